//! Leases that survive a power cut, from the request to its answer, which comes after the commit.

use super::client::Client;
use super::matchmaker::Matchmaker;
use super::node;
use crate::quantile::quantile;
use anyhow::{Context, Result, anyhow, bail};
use nearframe_protocol::api::CreateSession;
use nearframe_protocol::link::{FromNode, HEARTBEAT_MS};
use nearframe_protocol::{NodeKey, TitleId};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Together they take more sessions than are asked for.
const NODES: u32 = 64;
/// What is not counted at the start.
const WARM_UP: Duration = Duration::from_secs(2);
/// Requests from one address, of which each minute allows 120.
const REQUESTS_PER_ADDRESS: u32 = 100;

pub(crate) struct Measured {
    pub(crate) per_s: f64,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) median_ms: Option<f64>,
}

/// Median time of a small write that reaches the disk.
pub(crate) fn flush_ms(disk: &Path) -> Result<f64> {
    let folder = tempfile::tempdir_in(disk)?;
    let mut file = File::create(folder.path().join("flushed"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    quantile(&times, 0.5).context("nothing was flushed")
}

/// Asks for sessions, as fast as they are answered.
pub(crate) fn measure(matchmaker: &Matchmaker, clients: u32, length: Duration) -> Result<Measured> {
    let stop = &AtomicBool::new(false);
    let mut wires = Vec::new();
    for (number, code) in (0..).zip(matchmaker.codes(NODES)?) {
        wires.push(node::link(matchmaker.door, number, code)?);
    }
    let door = matchmaker.door;
    let begun = Instant::now();
    let measured = thread::scope(|scope| -> Result<Vec<Vec<f64>>> {
        let nodes: Vec<_> = wires.into_iter().map(|wire| scope.spawn(move || stay(wire, stop))).collect();
        let asking: Vec<_> = (0..clients)
            .map(|client| scope.spawn(move || ask(door, client, begun + WARM_UP, begun + WARM_UP + length)))
            .collect();
        let answers: Result<Vec<_>> =
            asking.into_iter().map(|task| task.join().map_err(|_| anyhow!("a client failed"))?).collect();
        stop.store(true, Ordering::Relaxed);
        for node in nodes {
            node.join().map_err(|_| anyhow!("a node failed"))??;
        }
        answers
    })?;
    let times: Vec<f64> = measured.into_iter().flatten().collect();
    Ok(Measured {
        per_s: times.len() as f64 / length.as_secs_f64(),
        p99_ms: quantile(&times, 0.99),
        median_ms: quantile(&times, 0.5),
    })
}

/// Times of the requests that were asked and answered between the two moments, ms.
fn ask(door: std::net::SocketAddr, client: u32, from: Instant, until: Instant) -> Result<Vec<f64>> {
    let request = CreateSession::of(TitleId::new(node::TITLE)?, NodeKey::from_seed([9; 32]).public());
    let body = serde_json::to_string(&request)?;
    let mut times = Vec::new();
    let mut number = client * 4096;
    while Instant::now() < until {
        let mut connection = Client::dial(door, number)?;
        number += 1;
        for _ in 0..REQUESTS_PER_ADDRESS {
            let begun = Instant::now();
            let answer =
                connection.ask("POST", "/v1/sessions", "Content-Type: application/json\r\n", &body)?;
            if answer.status != 201 {
                bail!("a session was refused: {}", answer.body);
            }
            let ended = Instant::now();
            if begun >= from && ended < until {
                times.push((ended - begun).as_secs_f64() * 1000.0);
            }
            if ended >= until {
                break;
            }
        }
    }
    Ok(times)
}

/// Reads what a node is told, and says that it is there.
fn stay(mut wire: node::Wire, stop: &AtomicBool) -> Result<()> {
    wire.get_ref().set_read_timeout(Some(Duration::from_millis(HEARTBEAT_MS / 4)))?;
    let mut sequence = 0;
    let mut beaten: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) {
        match wire.read() {
            Ok(_) => {}
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("a node's link ended"),
        }
        if beaten.is_none_or(|beaten| beaten.elapsed() >= Duration::from_millis(HEARTBEAT_MS)) {
            (beaten, sequence) = (Some(Instant::now()), sequence + 1);
            let heartbeat = FromNode::Heartbeat { sequence, sessions: vec![] };
            wire.send(Message::text(serde_json::to_string(&heartbeat)?))?;
        }
    }
    Ok(())
}

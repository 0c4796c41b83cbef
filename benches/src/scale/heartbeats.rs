//! Heartbeats of many nodes, each in a message of its own over its own connection, taken in by one core.

use super::matchmaker::Matchmaker;
use super::node::{self, Wire};
use crate::process;
use anyhow::Result;
use nearframe_protocol::link::FromNode;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Rounds between two looks at whether all was taken in: what waits in between lies in sockets.
const ROUNDS: u64 = 20;
/// Nodes that link between two heartbeats of those that did: this takes far less than the time to be lost.
const LINKED_AT_ONCE: u32 = 100;

/// Heartbeats in a second, and the share of its core that the matchmaker used for them.
pub(crate) fn measure(matchmaker: &Matchmaker, nodes: u32, length: Duration) -> Result<(f64, f64)> {
    let (mut wires, mut sequence) = (Vec::new(), 0);
    for (number, code) in (0..).zip(matchmaker.codes(nodes)?) {
        wires.push(node::link(matchmaker.door, number, code)?);
        // Who is silent while the others link is lost.
        if number % LINKED_AT_ONCE == 0 {
            beat(&mut wires, &mut sequence)?;
        }
    }
    rounds(&mut wires, &mut sequence)?;
    let (begun, cpu) = (Instant::now(), process::cpu_time(matchmaker.pid())?);
    let mut count = 0;
    while begun.elapsed() < length {
        count += rounds(&mut wires, &mut sequence)?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let used = (process::cpu_time(matchmaker.pid())? - cpu).as_secs_f64();
    Ok((count as f64 / elapsed, used / elapsed))
}

/// One heartbeat of each node.
fn beat(wires: &mut [Wire], sequence: &mut u64) -> Result<()> {
    *sequence += 1;
    let heartbeat = FromNode::Heartbeat { sequence: *sequence, sessions: vec![] };
    let text = serde_json::to_string(&heartbeat)?;
    for wire in wires {
        wire.send(Message::text(text.clone()))?;
    }
    Ok(())
}

/// One heartbeat of each node, some times over; returns when the matchmaker has read all of them: it answers the
/// ping behind them.
fn rounds(wires: &mut [Wire], sequence: &mut u64) -> Result<u64> {
    for _ in 0..ROUNDS {
        beat(wires, sequence)?;
    }
    for wire in &mut *wires {
        wire.send(Message::Ping(Vec::new().into()))?;
    }
    for wire in &mut *wires {
        while !matches!(wire.read()?, Message::Pong(_)) {}
    }
    Ok(ROUNDS * wires.len() as u64)
}

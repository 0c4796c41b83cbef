//! Three matchmakers as real processes on a real PostgreSQL and a real NATS, with clocks that are ten minutes apart,
//! under load, while each of them is killed, its network is torn and the database goes away. Each is a host of its own
//! in a network of namespaces.
//!
//! `NEARFRAME_AWAY_S` says for how long the database is away: `make nightly` takes 60 s.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

#[path = "../../../matchmaker/tests/nats/mod.rs"]
mod nats;
mod network;
mod node;
#[path = "../../../matchmaker/tests/postgres/mod.rs"]
mod postgres;

use nearframe_protocol::api::{CreateSession, CreatedSession};
use nearframe_protocol::{NodeKey, SessionId, TitleId};
use network::{BUS, Host};
use node::{Memory, Node};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const DATABASE: &str = "replicas";
/// Twice what it takes on a busy machine.
const WITHIN: Duration = Duration::from_secs(40);
/// A region is taken over within this.
const TAKEOVER: Duration = Duration::from_secs(5);
const PLAYERS: usize = 6;
/// Clocks, as offsets that libfaketime understands.
const CLOCKS: [Option<&str>; 3] = [None, Some("+600s"), Some("-600s")];
const NODES: [(&str, u32); 5] = [("DE", 2), ("DE", 2), ("FR", 2), ("US-CA", 1), ("", 1)];

/// One matchmaker and the machine that it runs on.
struct Replica {
    host: Host,
    clock: Option<&'static str>,
    bus_url: String,
    data: tempfile::TempDir,
    process: Option<Child>,
    enrolment: Option<String>,
}

impl Replica {
    fn new(n: u8, clock: Option<&'static str>, bus: &nats::Server) -> Self {
        let (host, data) = (Host::new(n), tempfile::tempdir().unwrap());
        Self { host, clock, bus_url: bus.url(), data, process: None, enrolment: None }
    }

    fn door(&self) -> SocketAddr {
        self.host.door()
    }

    fn start(&mut self) {
        let mut command = self.host.command(env!("CARGO_BIN_EXE_nearframe"));
        command.args(["matchmaker", "--listen", &self.host.listen().to_string(), "--log", "warn"]);
        let database_url = format!("postgres://postgres@{}/{DATABASE}", network::DATABASE);
        command.args(["--database-url", &database_url, "--bus-url", &self.bus_url]);
        command.arg("--data").arg(self.data.path()).env_clear().env("NEARFRAME_CONFIG", "/dev/null");
        if let Some(offset) = self.clock {
            command.env("LD_PRELOAD", fake_clock()).env("FAKETIME", offset);
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the programs are installed: scripts/setup.sh test");
        let said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let code =
            said.filter_map(|line| line.split_once("--enrolment-code ").map(|(_, code)| code.to_owned()));
        self.enrolment = code.take(1).next();
        self.process = Some(process);
        let until = Instant::now() + WITHIN;
        while get(self.door(), "/livez").is_none_or(|answer| answer.0 != 200) {
            assert!(Instant::now() < until, "a matchmaker does not answer");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The library that makes a clock wrong. Its command would stand between us and the process that we kill.
fn fake_clock() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map_while(Result::ok);
    let library = |folder: PathBuf| folder.join("faketime/libfaketimeMT.so.1");
    let found = folders.map(|entry| library(entry.path())).find(|path| path.is_file());
    found.expect("faketime is installed: scripts/setup.sh test")
}

/// Asks over HTTP; status and body.
fn ask(door: SocketAddr, request: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&door, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(12))).ok()?;
    let length = body.len();
    let head =
        format!("{request} HTTP/1.1\r\nHost: {door}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    write!(stream, "{head}{headers}\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn get(door: SocketAddr, path: &str) -> Option<(u16, String)> {
    ask(door, &format!("GET {path}"), "", "")
}

fn player() -> NodeKey {
    NodeKey::from_seed([200; 32])
}

fn create(door: SocketAddr, key: &str) -> Option<CreatedSession> {
    let request = CreateSession::of(TitleId::new("meteor").unwrap(), player().public());
    let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
    let body = serde_json::to_string(&request).unwrap();
    let (status, body) = ask(door, "POST /v1/sessions", &headers, &body)?;
    if status != 201 {
        return None;
    }
    serde_json::from_str(&body).ok()
}

fn leave(door: SocketAddr, session: &CreatedSession) -> bool {
    let headers = format!("Authorization: Bearer {}\r\n", session.ticket);
    let left = ask(door, &format!("DELETE /v1/sessions/{}", session.session.id), &headers, "");
    left.is_some_and(|(status, _)| status == 200)
}

/// Players who come and go until told to stop, at whichever door answers.
fn play(n: usize, doors: &[SocketAddr], stop: &AtomicBool, played: &Mutex<Vec<SessionId>>) {
    let mut at = n;
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let session = loop {
            at += 1;
            match create(doors[at % doors.len()], &format!("{n}/{round}")) {
                Some(session) => break Some(session),
                None if stop.load(Ordering::Relaxed) => break None,
                None => thread::sleep(Duration::from_millis(200)),
            }
        };
        let Some(session) = session else { return };
        played.lock().unwrap().push(session.session.id);
        thread::sleep(Duration::from_millis(1500 + 400 * (at as u64 % 5)));
        while !leave(doors[at % doors.len()], &session) {
            at += 1;
            thread::sleep(Duration::from_millis(100));
        }
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    nodes_stop: Arc<AtomicBool>,
    players: Vec<JoinHandle<()>>,
    nodes: Vec<(u32, Arc<Mutex<Memory>>, JoinHandle<()>)>,
    played: Arc<Mutex<Vec<SessionId>>>,
}

impl Load {
    fn start(doors: &[SocketAddr], codes: Vec<String>) -> Self {
        let (stop, nodes_stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let played: Arc<Mutex<Vec<SessionId>>> = Arc::default();
        let mut nodes = Vec::new();
        for (n, ((region, slots), code)) in (1..).zip(NODES.into_iter().zip(codes)) {
            let memory = Arc::new(Mutex::new(Memory::default()));
            let node = Node {
                key: NodeKey::from_seed([n; 32]),
                player: player(),
                region,
                slots,
                code,
                doors: doors.to_vec(),
                memory: Arc::clone(&memory),
                stop: Arc::clone(&nodes_stop),
            };
            nodes.push((slots, memory, thread::spawn(move || node.run())));
        }
        let players = (0..PLAYERS).map(|n| {
            let (doors, stop, played) = (doors.to_vec(), Arc::clone(&stop), Arc::clone(&played));
            thread::spawn(move || play(n, &doors, &stop, &played))
        });
        Self { players: players.collect(), stop, nodes_stop, nodes, played }
    }

    fn played(&self) -> usize {
        self.played.lock().unwrap().len()
    }

    /// Waits until players get sessions again.
    fn goes_on(&self, what: &str) {
        let (before, until) = (self.played(), Instant::now() + WITHIN);
        while self.played() < before + 3 {
            assert!(Instant::now() < until, "nobody plays after {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Who owns a region that nodes are in, by its number.
fn fences(server: &postgres::Server) -> String {
    server.ask(DATABASE, "SELECT region, owner, fence FROM regions ORDER BY region")
}

/// Waits until no region is owned by a replica that is not there.
fn taken_over(server: &postgres::Server, since: Instant) {
    let orphans = "SELECT count(*) FROM regions WHERE owner NOT IN (SELECT id FROM replicas)";
    let dead = "SELECT count(*) FROM replicas";
    while server.ask(DATABASE, dead) != "2" || server.ask(DATABASE, orphans) != "0" {
        let waited = since.elapsed();
        assert!(waited < TAKEOVER, "regions without an owner after {waited:?}: {}", fences(server));
        thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until all replicas count again.
fn all_count(server: &postgres::Server) {
    let until = Instant::now() + WITHIN;
    while server.ask(DATABASE, "SELECT count(*) FROM replicas") != "3" {
        assert!(Instant::now() < until, "a replica does not come back");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Stops a replica as a machine whose memory is moved, and in the middle of a transaction: that of a beat, whose row
/// others must delete who take over.
fn stand_still(replica: Pid, server: &postgres::Server) -> Instant {
    thread::scope(|scope| {
        let beats = "BEGIN; SELECT FROM replicas FOR UPDATE; SELECT pg_sleep(1); COMMIT";
        scope.spawn(|| server.ask(DATABASE, beats));
        // All beats wait for it by now.
        thread::sleep(Duration::from_millis(800));
        kill_process(replica, Signal::STOP).unwrap();
    });
    let since = Instant::now();
    let halfway = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    let until = since + Duration::from_secs(1);
    while server.ask(DATABASE, halfway) == "0" {
        assert!(Instant::now() < until, "the replica was not in the middle of a transaction");
    }
    since
}

#[test]
fn three_replicas_lose_nothing_whatever_is_killed_torn_or_away() {
    if network::runs_inside("three_replicas_lose_nothing_whatever_is_killed_torn_or_away") {
        return;
    }
    network::make();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut server = runtime.block_on(postgres::Server::start_at(&network::DATABASE.to_string()));
    runtime.block_on(server.database(DATABASE));
    let mut bus = nats::Server::start_at(&BUS.to_string());
    let mut replicas: Vec<_> = (1..).zip(CLOCKS).map(|(n, clock)| Replica::new(n, clock, &bus)).collect();
    let mut codes = Vec::new();
    for _ in 0..2 {
        for replica in &mut replicas {
            replica.kill();
            replica.start();
            codes.extend(replica.enrolment.clone());
        }
    }
    let doors: Vec<_> = replicas.iter().map(|replica| replica.door()).collect();
    let load = Load::start(&doors, codes);
    load.goes_on("the start");

    for replica in &mut replicas {
        replica.kill();
        taken_over(&server, Instant::now());
        load.goes_on("a replica was killed");
        replica.start();
        // It counts, and nodes may come back to it.
        thread::sleep(Duration::from_secs(1));
    }
    for Replica { host, .. } in &replicas {
        host.cut_off_from(BUS, true);
        thread::sleep(Duration::from_secs(4));
        host.cut_off_from(BUS, false);
        load.goes_on("a replica was cut off from the others");
        let since = Instant::now();
        host.cut_off_from(network::DATABASE, true);
        taken_over(&server, since);
        host.cut_off_from(network::DATABASE, false);
        load.goes_on("a replica was cut off from the database");
        let since = Instant::now();
        host.unplug(true);
        taken_over(&server, since);
        load.goes_on("a replica was unplugged");
        host.unplug(false);
        all_count(&server);
    }
    let pid = Pid::from_child(replicas[1].process.as_ref().unwrap());
    taken_over(&server, stand_still(pid, &server));
    thread::sleep(Duration::from_secs(2));
    kill_process(pid, Signal::CONT).unwrap();
    load.goes_on("a replica stood still");

    bus.kill();
    thread::sleep(Duration::from_secs(3));
    bus.restart();
    load.goes_on("the bus was away");

    let away_s = std::env::var("NEARFRAME_AWAY_S").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    server.crash();
    thread::sleep(Duration::from_secs(away_s));
    runtime.block_on(server.restart());
    load.goes_on("the database was away");
    judge(load, &server);
}

fn judge(load: Load, server: &postgres::Server) {
    load.stop.store(true, Ordering::Relaxed);
    load.players.into_iter().for_each(|player| player.join().unwrap());
    let until = Instant::now() + WITHIN;
    let active = "SELECT count(*) FROM sessions WHERE state <> 'ended'";
    let idle = || load.nodes.iter().all(|(_, memory, _)| memory.lock().unwrap().is_idle());
    while server.ask(DATABASE, active) != "0" || !idle() {
        let nodes: Vec<_> = load.nodes.iter().map(|(_, memory, _)| format!("{memory:?}")).collect();
        assert!(Instant::now() < until, "does not come to an end: {nodes:#?}");
        thread::sleep(Duration::from_millis(100));
    }
    load.nodes_stop.store(true, Ordering::Relaxed);
    let mut taken = 0;
    for (slots, memory, task) in load.nodes {
        task.join().unwrap();
        let memory = memory.lock().unwrap();
        assert!(memory.most_running <= slots as usize);
        assert!(memory.touched.is_empty(), "streams that ran were ended: {:?}", memory.touched);
        // Time after the end is refused, and rightly, with what follows it; nothing else is.
        let mut overrun = HashSet::new();
        let lost: Vec<_> = memory
            .refused
            .iter()
            .filter(|(id, why)| !(overrun.contains(id) || why.contains("lasted") && overrun.insert(*id)))
            .collect();
        assert!(lost.is_empty(), "receipts that are lost: {lost:?}");
        taken += memory.taken.len();
    }
    let receipts = server.ask(DATABASE, "SELECT count(*) FROM receipts");
    assert_eq!(receipts, taken.to_string(), "what was acknowledged stands in the record, once");
    assert_eq!(server.ask(DATABASE, "SELECT coalesce(sum(held), 0) FROM nodes"), "0");
    let uneven = "SELECT count(*) FROM (SELECT lease_id, sum(CASE kind WHEN 'pending' THEN amount_micros ELSE -amount_micros END) AS open FROM transfers GROUP BY lease_id) AS sums WHERE open < 0";
    assert_eq!(server.ask(DATABASE, uneven), "0", "more was posted than was set aside");
    let clocks = "SELECT max(abs(started_at_ms - extract(epoch FROM now()) * 1000)) < 600000 FROM leases";
    assert_eq!(server.ask(DATABASE, clocks), "t", "leases go by the database's clock");
}

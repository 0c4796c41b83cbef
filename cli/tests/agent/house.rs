//! A real matchmaker with prices, an account with a key, and a stand-in for a machine whose receipts cost money.
#![allow(dead_code, reason = "each test program uses a part of it")]

use super::node::{Memory, Node};
use nearframe_protocol::NodeKey;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Twice what it takes on a busy machine.
pub(crate) const WITHIN: Duration = Duration::from_secs(40);
/// An hour costs one euro a second, so that receipts of two seconds cost something that is seen.
pub(crate) const PRICE_MICROS: &str = "3600000000";

/// The command, with nothing of the machine's own configuration.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearframe"));
    bare(&mut command);
    command
}

fn bare(command: &mut Command) {
    command.env_clear().env("NEARFRAME_CONFIG", "/dev/null").stdin(Stdio::null());
}

pub(crate) fn ends(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

/// What makes a program's clock go ahead, in the words of faketime: in its environment, because the command would stand between
/// us and the process.
pub(crate) fn wrong_clock(offset: &str) -> [(&'static str, OsString); 3] {
    let clock = fake_clock().into_os_string();
    [("LD_PRELOAD", clock), ("FAKETIME", offset.into()), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into())]
}

/// The library that does it.
fn fake_clock() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map_while(Result::ok);
    let library = |folder: PathBuf| folder.join("faketime/libfaketimeMT.so.1");
    let found = folders.map(|entry| library(entry.path())).find(|path| path.is_file());
    found.expect("faketime is installed: scripts/setup.sh test")
}

/// A body that came in chunks, each after its length in hex.
fn whole(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        text.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    text
}

pub(crate) struct House {
    process: Mutex<Child>,
    pub(crate) door: SocketAddr,
    /// Enrols one node.
    pub(crate) code: String,
    operator: String,
}

/// An answer over HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    /// What is no JSON.
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl House {
    /// Starts a matchmaker in a folder; its clock may go `ahead`, in the words of faketime.
    pub(crate) fn open(data: &Path, ahead: Option<&str>) -> Self {
        Self::open_with(data, ahead, &[])
    }

    /// The same with these options.
    pub(crate) fn open_with(data: &Path, ahead: Option<&str>, options: &[&str]) -> Self {
        let mut command = command();
        if let Some(offset) = ahead {
            command.envs(wrong_clock(offset));
        }
        Self::matchmaker(command, data, options)
    }

    /// The same as one of several on a database, by whose clock they go, and a bus.
    pub(crate) fn open_among(data: &Path, database_url: &str, bus_url: &str) -> Self {
        let mut command = command();
        command.env("NEARFRAME_DATABASE_URL", database_url).env("NEARFRAME_BUS_URL", bus_url);
        Self::matchmaker(command, data, &[])
    }

    /// The same through a program that starts it, such as in a namespace.
    pub(crate) fn open_on(data: &Path, mut command: Command) -> Self {
        bare(&mut command);
        Self::matchmaker(command, data, &[])
    }

    fn matchmaker(mut command: Command, data: &Path, options: &[&str]) -> Self {
        command.args(["matchmaker", "--price-micros-per-hour", PRICE_MICROS]).args(options);
        // What a machine earns is not held because it is new: it plays once, and its day settles.
        command.args(["--new-host-hours", "0", "--new-host-sessions", "0"]);
        command.args([
            "--company",
            "Nearby Games & Co GmbH;Hauptstraße 1",
            "--payer-iban",
            "DE89370400440532013000",
        ]);
        Self::start(command, data, true, None)
    }

    /// Starts a matchmaker and a real node in one process.
    pub(crate) fn up(data: &Path) -> Self {
        let mut command = command();
        command.arg("up");
        Self::start(command, data, false, None)
    }

    /// The same on a machine of its own, whose media leave from its address and which is reached at this door of it.
    pub(crate) fn up_at(data: &Path, mut command: Command, door: SocketAddr) -> Self {
        bare(&mut command);
        command.args(["up", "--media-bind", &door.ip().to_string()]);
        Self::start(command, data, false, Some(door))
    }

    fn start(mut command: Command, data: &Path, alone: bool, reached: Option<SocketAddr>) -> Self {
        let port = reached.map_or(0, |door| door.port());
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--log", "warn", "--data"]).arg(data);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut after = |word: &str| {
            said.find_map(|line| line.split_once(word).map(|(_, rest)| rest.trim().to_owned()))
                .unwrap_or_else(|| panic!("it never said {word:?}"))
        };
        let code = if alone { after("--enrolment-code ") } else { String::new() };
        let link = after("operator http://");
        let told = after(if alone { "listening http://" } else { "ready http://" });
        let door = reached.unwrap_or_else(|| told.trim_end_matches('/').parse().unwrap());
        let mut house = Self { process: Mutex::new(process), door, code, operator: String::new() };
        let (_, path) = link.split_once('/').unwrap();
        let answer = house.ask(&format!("GET /{path}"), "", &Value::Null);
        house.operator = answer.cookie();
        house
    }

    /// Sends a request with this header line.
    pub(crate) fn ask(&self, request: &str, header: &str, body: &Value) -> Answer {
        let mut stream = TcpStream::connect(self.door).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{header}\r\n{body}",
            self.door,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let (head, text) = (head.to_owned(), if is_chunked { whole(body) } else { body.to_owned() });
        Answer { status, head, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    pub(crate) fn ask_as_operator(&self, request: &str, body: &Value) -> Answer {
        self.ask(request, &format!("Cookie: {}\r\n", self.operator), body)
    }

    /// Asks, whether or not the answer comes.
    pub(crate) fn try_as_operator(&self, request: &str, body: &Value) {
        let Ok(mut stream) = TcpStream::connect(self.door) else { return };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("Host: {}\r\nConnection: close\r\nCookie: {}\r\n", self.door, self.operator);
        let kind = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        // The server may be gone at any moment: that is what it is asked for.
        let _ = stream.write_all(format!("{request} HTTP/1.1\r\n{head}{kind}{body}").as_bytes());
        let _ = stream.read_to_string(&mut String::new());
    }

    /// As a power cut stops it.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub(crate) fn as_operator(&self, request: &str, body: &Value) -> Value {
        let answer = self.ask_as_operator(request, body);
        assert!(answer.status < 300, "{request}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// An account that may spend this, and the secret of a key that may.
    pub(crate) fn account(&self, account_limit: &str, key_limit: &str) -> String {
        self.account_with(account_limit, key_limit, &["quotes", "sessions", "usage"])
    }

    /// The same with these scopes.
    pub(crate) fn account_with(&self, account_limit: &str, key_limit: &str, scopes: &[&str]) -> String {
        let made = self.as_operator("POST /v1/accounts", &json!({"kind": "studio", "name": "Acme"}));
        let id = made["id"].as_str().unwrap();
        let limit = |amount: &str| json!({"limit": {"amount": amount, "currency": "EUR"}});
        self.as_operator(&format!("PUT /v1/accounts/{id}/allowance"), &limit(account_limit));
        let mut wanted = limit(key_limit);
        wanted["name"] = "an agent".into();
        wanted["scopes"] = json!(scopes);
        let made = self.as_operator(&format!("POST /v1/accounts/{id}/keys"), &wanted);
        made["secret"].as_str().unwrap().to_owned()
    }

    /// A machine with slots, which signs for itself and for its player.
    pub(crate) fn machine(&self, player: NodeKey) -> Machine {
        let (memory, stop) = (Arc::new(Mutex::new(Memory::default())), Arc::new(AtomicBool::new(false)));
        let node = Node {
            key: NodeKey::from_seed([9; 32]),
            player,
            region: "DE",
            slots: 4,
            code: self.code.clone(),
            doors: vec![self.door],
            memory: Arc::clone(&memory),
            stop: Arc::clone(&stop),
        };
        let thread = thread::spawn(move || node.run());
        let until = Instant::now() + WITHIN;
        while !self.ask("GET /v1/titles", "", &Value::Null).body.to_string().contains("meteor") {
            assert!(Instant::now() < until, "the machine never came");
            thread::sleep(Duration::from_millis(20));
        }
        Machine { memory, stop, thread: Some(thread) }
    }

    /// As a service manager stops it.
    pub(crate) fn stop(self) {
        self.end();
    }

    /// The same where somebody else holds it.
    pub(crate) fn end(&self) {
        let mut process = self.process.lock().unwrap();
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        let until = Instant::now() + WITHIN;
        while process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it did not stop");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Ended already where the test stopped it.
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

impl Answer {
    fn cookie(&self) -> String {
        let line = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next().unwrap().to_owned())
        });
        line.unwrap_or_else(|| panic!("no cookie: {}", self.head))
    }
}

/// The stand-in for a machine; it leaves at the end.
pub(crate) struct Machine {
    pub(crate) memory: Arc<Mutex<Memory>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Machine {
    /// Waits until receipts were taken and none waits.
    pub(crate) fn receipts(&self, at_least: usize) {
        let until = Instant::now() + WITHIN;
        while {
            let memory = self.memory.lock().unwrap();
            memory.taken.len() < at_least || !memory.spool.is_empty()
        } {
            assert!(Instant::now() < until, "receipts are not taken");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whatever it died of, the test tells by itself.
            let _ = thread.join();
        }
    }
}

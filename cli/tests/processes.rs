//! The real command, started and stopped as a person or a service manager does it.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Twice what starting and stopping may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(40);

/// A running command whose stdout is read line by line; killed at the end, if it still runs.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            let read = BufReader::new(stdout).lines().map_while(Result::ok);
            read.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Self { child, lines }
    }

    /// The rest of the first line that begins with `word`.
    fn said(&self, word: &str) -> String {
        let until = Instant::now() + WITHIN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("it never said {word:?}"));
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends SIGTERM and waits for the end.
    fn stop(mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let until = Instant::now() + WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it did not stop");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended in most tests; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, with nothing of the machine's own configuration.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nearframe"));
    command.args(args).env_clear().env("NEARFRAME_CONFIG", "/dev/null");
    command.stdin(Stdio::null());
    command
}

fn ends(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn get(url: &str, path: &str) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The processes whose parent is `parent`.
fn children(parent: Pid) -> Vec<Pid> {
    let wanted = parent.as_raw_nonzero().get().to_string();
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    processes
        .filter_map(|name| {
            let raw = name.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
            let after_name = stat.rsplit(')').next()?;
            (after_name.split_whitespace().nth(1)? == wanted).then(|| Pid::from_raw(raw)).flatten()
        })
        .collect()
}

fn gone(pid: Pid) -> bool {
    let until = Instant::now() + WITHIN;
    while test_kill_process(pid).is_ok() && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    test_kill_process(pid).is_err()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn up_serves_until_sigterm_and_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let up = Running::start(&["up", "--listen", "127.0.0.1:0", "--data", text(data.path())]);
    let operator = up.said("operator ");
    let url = up.said("ready ");
    assert!(operator.starts_with(&url), "{operator}");
    assert!(get(&url, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(&url, "/v1/titles").contains("\"meteor\""));
    let workers = children(up.pid());

    let again = ends(&["up", "--listen", "127.0.0.1:0", "--data", text(data.path())]);
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && told.contains("--data"), "{told}");

    assert_eq!(up.stop().code(), Some(0));
    assert!(TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).is_err());
    assert!(workers.into_iter().all(gone), "a session process is left");
}

#[test]
fn killing_up_outright_ends_its_sessions_too() {
    let data = tempfile::tempdir().unwrap();
    let mut up = Running::start(&["up", "--listen", "127.0.0.1:0", "--data", text(data.path())]);
    up.said("ready ");
    let until = Instant::now() + WITHIN;
    let workers = loop {
        let found = children(up.pid());
        if !found.is_empty() || Instant::now() > until {
            break found;
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert!(!workers.is_empty(), "a spare session process waits");
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    assert!(workers.into_iter().all(gone), "a session process outlived its parent");
}

#[test]
fn matchmaker_and_node_run_apart_by_the_line_that_the_matchmaker_prints() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let matchmaker = Running::start(&["matchmaker", "--listen", "127.0.0.1:0", "--data", text(one.path())]);
    let enrol = matchmaker.said("enrol nearframe ");
    let url = matchmaker.said("listening ");
    assert!(get(&url, "/v1/titles").ends_with("{\"items\":[]}"));
    let mut args: Vec<_> = enrol.split(' ').collect();
    args.extend(["--data", text(two.path())]);
    let node = Running::start(&args);
    let until = Instant::now() + WITHIN;
    while !get(&url, "/v1/titles").contains("\"meteor\"") {
        assert!(Instant::now() < until, "the node's titles never appeared");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(node.stop().code(), Some(0));
    assert_eq!(matchmaker.stop().code(), Some(0));
}

#[test]
fn with_a_certificate_the_door_is_https_and_the_node_still_finds_it() {
    let data = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (data.path().join("cert.pem"), data.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let flags = ["--tls-cert", text(&cert), "--tls-key", text(&key), "--data", text(data.path())];
    let up = Running::start(&[&["up", "--listen", "127.0.0.1:0"], &flags[..]].concat());
    assert!(up.said("ready ").starts_with("https://127.0.0.1:"));
    assert_eq!(up.stop().code(), Some(0));
}

#[test]
fn a_taken_port_is_explained() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let data = tempfile::tempdir().unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let ended = ends(&["up", "--listen", &address, "--data", text(data.path())]);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && told.contains(&address) && told.contains("--listen"), "{told}");
}

#[test]
fn a_wrong_key_in_the_file_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("nearframe.toml"), dir.path().join("data"));
    fs::write(&file, "[node]\nslot = 3\n").unwrap();
    let ended = ends(&["--config", text(&file), "up", "--listen", "127.0.0.1:0", "--data", text(&data)]);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(told.contains("line 2") && told.contains("slot") && told.contains("`slots`"), "{told}");
    assert!(!data.exists(), "nothing is written");
}

#[test]
fn doctor_and_openapi_speak_json() {
    let doctor: serde_json::Value = serde_json::from_slice(&ends(&["doctor", "--json"]).stdout).unwrap();
    let areas: Vec<_> =
        doctor["checks"].as_array().unwrap().iter().map(|check| check["area"].clone()).collect();
    for area in ["gpu", "encoder", "audio", "ports", "sandbox"] {
        assert!(areas.contains(&area.into()), "{area}");
    }
    let lacks = doctor["capability"]["missing"].as_array().unwrap();
    assert!(lacks.iter().any(|lack| lack["what"] == "uplink"), "nobody has measured it here");
    let openapi: serde_json::Value = serde_json::from_slice(&ends(&["openapi"]).stdout).unwrap();
    assert!(openapi["paths"]["/v1/sessions"].is_object());
}

#[test]
fn the_uplink_is_measured_when_a_node_links_and_the_doctor_tells_it() {
    let data = tempfile::tempdir().unwrap();
    let up = Running::start(&["up", "--listen", "127.0.0.1:0", "--data", text(data.path())]);
    let url = up.said("ready ");
    assert!(get(&url, "/v1/nodes").contains("\"elapsed_us\""), "the report of the node has it");
    let told = ends(&["doctor", "--json", "--data", text(data.path())]).stdout;
    let doctor: serde_json::Value = serde_json::from_slice(&told).unwrap();
    let uplink = &doctor["capability"]["uplink"];
    assert!(uplink["bytes"].as_u64().unwrap() > 0 && uplink["elapsed_us"].as_u64().unwrap() > 0, "{uplink}");
    assert!(up.stop().success());
}

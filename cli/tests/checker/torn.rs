//! A checker whose own network fails while it plays, on a machine of its own: it accuses nobody of what it did not hear.

use crate::house::{House, WITHIN, command};
use crate::network::{self, Host};
use crate::{filed, text};
use nearframe_protocol::check::{SignedCheck, Verdict};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What it plays for, from the first frame on.
const SECONDS: &str = "9";

struct Torn {
    house: House,
    machine: Host,
}

impl Torn {
    /// Starts to play, and waits until it does.
    fn play(&self, data: &Path) -> Child {
        let mut checker = self.machine.command(env!("CARGO_BIN_EXE_nearframe"));
        checker.args(["checker", "--title", "testcard", "--seconds", SECONDS, "--json", "--log", "error"]);
        checker.args(["--media-bind", &self.machine.door().ip().to_string(), "--data"]).arg(data);
        checker.env_clear().env("NEARFRAME_CONFIG", "/dev/null");
        checker.env("NEARFRAME_SERVER", format!("http://{}", self.house.door));
        let checker =
            checker.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let until = Instant::now() + WITHIN;
        while !self.is_live() {
            assert!(Instant::now() < until, "nothing is played");
            thread::sleep(Duration::from_millis(50));
        }
        // The challenge is answered within the first frames, the clock is found by the first pings.
        thread::sleep(Duration::from_secs(3));
        checker
    }

    /// Its signalling socket is open.
    fn is_live(&self) -> bool {
        let metrics = self.house.ask("GET /metrics", "", &Value::Null).text;
        let open = metrics.lines().find_map(|line| line.strip_prefix("nearframe_signalling_sockets "));
        open.is_some_and(|count| count.trim() != "0")
    }
}

fn ended(checker: Child) -> Output {
    checker.wait_with_output().unwrap()
}

#[test]
fn a_checker_whose_network_fails_while_it_plays_accuses_nobody() {
    if network::runs_inside("torn::a_checker_whose_network_fails_while_it_plays_accuses_nobody") {
        return;
    }
    network::make();
    let (server, machine) = (Host::new(1), Host::new(2));
    // Whoever asks its own network for names by multicast needs a way for it.
    for host in [&server, &machine] {
        let mut route = host.command("ip");
        assert!(route.args(["route", "add", "default", "dev", "cable"]).status().unwrap().success());
    }
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let house = House::up_at(data.path(), server.command(env!("CARGO_BIN_EXE_nearframe")), server.door());
    let key = command().args(["checker", "key", "--data"]).arg(own.path()).output().unwrap();
    let key = text(&key.stdout).trim().to_owned();
    house.as_operator(&format!("PUT /v1/checkers/{key}"), &json!({"name": "attic"}));
    let torn = Torn { house, machine };

    // Longer than what may be a node's own silence, shorter than what ends a connection.
    let checker = torn.play(own.path());
    torn.machine.unplug(true);
    thread::sleep(Duration::from_millis(2_500));
    torn.machine.unplug(false);
    let output = ended(checker);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let check: SignedCheck = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(check.report.verdict, Verdict::Failed, "{:?}", check.report);
    assert!(check.report.frozen_ms > 2_000 && check.report.freezes > 0, "{:?}", check.report);
    assert_eq!(filed(&torn.house), [check]);

    // For good: what it saw cannot be told, and is not.
    let checker = torn.play(own.path());
    torn.machine.unplug(true);
    let output = ended(checker);
    let told = text(&output.stderr);
    assert!(!output.status.success() && told.contains("unreachable"), "{told}");
    assert_eq!(filed(&torn.house).len(), 1, "nothing more is filed");
}

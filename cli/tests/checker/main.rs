//! `nearframe checker`, run as an operator runs it: against a real matchmaker and a real node, and against a node whose
//! pictures answer another session's challenge.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

#[path = "../agent/house.rs"]
mod house;
mod liar;
#[path = "../replicas/network.rs"]
#[allow(dead_code, reason = "written for a larger test")]
mod network;
#[path = "../replicas/node.rs"]
#[allow(dead_code, reason = "written for a larger test")]
mod node;
mod torn;

use house::{House, WITHIN, command};
use liar::Liar;
use nearframe_protocol::check::draw::{commitment, day_of};
use nearframe_protocol::check::{CheckSeeds, Finding, SignedCheck, Verdict};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

/// A checker with a folder of its own.
struct Checker<'a> {
    house: &'a House,
    data: &'a Path,
}

impl Checker<'_> {
    fn run(&self, args: &[&str]) -> Output {
        let mut checker = command();
        checker.arg("checker").args(args).arg("--data").arg(self.data).args(["--log", "error"]);
        checker.env("NEARFRAME_SERVER", format!("http://{}", self.house.door)).output().unwrap()
    }

    fn key(&self) -> String {
        let output = self.run(&["key"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    fn enrol(&self) -> String {
        let key = self.key();
        self.house.as_operator(&format!("PUT /v1/checkers/{key}"), &json!({"name": "attic"}));
        key
    }

    /// Plays a title and returns what was filed.
    fn check(&self, title: &str, seconds: &str) -> SignedCheck {
        let output = self.run(&["--title", title, "--seconds", seconds, "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The reports that the operator sees of the only node.
fn filed(house: &House) -> Vec<SignedCheck> {
    let nodes = house.as_operator("GET /v1/nodes", &Value::Null);
    let node = nodes["items"][0]["id"].as_str().unwrap();
    let page = house.as_operator(&format!("GET /v1/nodes/{node}/checks"), &Value::Null);
    let rows = page["items"].as_array().unwrap();
    rows.iter().map(|row| serde_json::from_value(row["check"].clone()).unwrap()).collect()
}

#[test]
fn a_checker_plays_like_a_page_and_files_what_it_saw_until_it_is_revoked() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let house = House::up(data.path());
    let checker = Checker { house: &house, data: own.path() };
    let stranger = checker.run(&["--title", "testcard", "--seconds", "1"]);
    let told = text(&stranger.stderr);
    assert!(!stranger.status.success() && told.contains("PUT /v1/checkers"), "{told}");

    let key = checker.enrol();
    let card = checker.check("testcard", "3");
    card.verify().unwrap();
    let report = &card.report;
    assert_eq!((report.verdict, &report.findings[..]), (Verdict::Passed, &[][..]), "{report:?}");
    assert_eq!(report.checker.to_string(), key);
    assert_eq!((report.width, report.height), (1280, 720));
    assert!(report.frames > 30 && report.played_ms >= 2_500, "{report:?}");
    assert!(report.bytes > 100_000 && report.packets > 100, "{report:?}");
    assert!(report.challenge_us > 0 && report.rtt_us > 0 && report.age_p50_us > 0, "{report:?}");
    assert!(report.connect_ms <= report.first_frame_ms, "{report:?}");
    let game = checker.check("meteor", "1");
    assert_eq!(game.report.verdict, Verdict::Passed, "{:?}", game.report);
    assert_eq!(filed(&house), [game, card]);

    house.as_operator(&format!("DELETE /v1/checkers/{key}"), &Value::Null);
    let revoked = checker.run(&["--title", "testcard", "--seconds", "1"]);
    assert!(!revoked.status.success() && text(&revoked.stderr).contains("revoked"), "{revoked:?}");
    assert_eq!(filed(&house).len(), 2);
}

#[test]
fn a_node_that_shows_what_was_recorded_in_another_session_fails() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let house = House::open(data.path(), None);
    let _liar = Liar::start(&house);
    let until = Instant::now() + WITHIN;
    while !house.ask("GET /v1/titles", "", &Value::Null).body.to_string().contains("testcard") {
        assert!(Instant::now() < until, "the node never came");
        thread::sleep(Duration::from_millis(50));
    }
    let checker = Checker { house: &house, data: own.path() };
    checker.enrol();
    let check = checker.check("testcard", "2");
    check.verify().unwrap();
    assert_eq!(check.report.verdict, Verdict::Failed, "{:?}", check.report);
    assert_eq!(check.report.findings, [Finding::ChallengeUnanswered]);
    assert_eq!(filed(&house), [check]);
}

#[test]
fn many_players_at_once_are_summed_up_and_the_day_is_committed_to() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let house = House::up(data.path());
    let checker = Checker { house: &house, data: own.path() };
    let load = checker.run(&["--sessions", "2", "--decoding", "1", "--seconds", "2", "--json"]);
    assert!(load.status.success(), "{}", text(&load.stderr));
    let summary: Value = serde_json::from_slice(&load.stdout).unwrap();
    assert_eq!((summary["sessions"].as_u64(), summary["played"].as_u64()), (Some(2), Some(2)), "{summary}");
    assert!(summary["connect_ms"]["p99"].as_f64().unwrap() > 0.0, "{summary}");
    assert!(summary["fps"]["p50"].as_f64().unwrap() > 10.0, "{summary}");
    assert_eq!(summary["failures"], json!({}));

    let answer = house.ask("GET /v1/checks/seeds", "", &Value::Null);
    let seeds: CheckSeeds = serde_json::from_value(answer.body).unwrap();
    assert!(seeds.past.is_empty(), "no day is over");
    // A seed that nobody is told yet cannot be drawn with; what was told is bound to its day.
    let zero = nearframe_protocol::check::draw::Seed::from_bytes([0; 32]);
    assert_ne!(seeds.today.commitment, commitment(seeds.today.day, &zero, &seeds.today.rules));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(day_of(now.as_millis() as u64).abs_diff(seeds.today.day) <= 1);
}

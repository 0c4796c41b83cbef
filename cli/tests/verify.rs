//! `nearframe ledger verify` and `nearframe payout verify`, run as a person runs them on what a real matchmaker wrote.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

#[path = "agent/house.rs"]
mod house;
#[path = "replicas/node.rs"]
#[allow(dead_code, reason = "written for a larger test")]
mod node;

use house::{House, WITHIN, ends};
use nearframe_protocol::NodeKey;
use nearframe_protocol::api::CreateSession;
use nearframe_protocol::{NodeId, TitleId};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

fn player() -> NodeKey {
    NodeKey::from_seed([200; 32])
}

/// Plays until two receipts were counted, and stops.
fn play(house: &House) {
    let machine = house.machine(player());
    let wanted = json!(CreateSession::of(TitleId::new("meteor").unwrap(), player().public()));
    let key = house.account("100000", "100000");
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let created = house.ask("POST /v1/sessions", &bearer, &wanted);
    assert_eq!(created.status, 201, "{}", created.body);
    machine.receipts(2);
    let id = created.body["session"]["id"].as_str().unwrap();
    assert_eq!(house.ask(&format!("DELETE /v1/sessions/{id}"), &bearer, &Value::Null).status, 200);
    machine.receipts(2);
}

fn verify_ledger(data: &Path) -> Output {
    ends(&["ledger", "verify", "--data", data.to_str().unwrap()])
}

/// With a head of the general ledger that somebody kept.
fn verify_from(data: &Path, head: &Path) -> Output {
    ends(&["ledger", "verify", "--data", data.to_str().unwrap(), "--head", head.to_str().unwrap()])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_ledger_that_is_right_says_so_in_sums_and_one_that_was_changed_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path(), None);
    play(&house);
    // The general ledger follows the record within five seconds.
    let until = Instant::now() + WITHIN;
    let head = loop {
        let head = house.ask("GET /v1/ledger/head", "", &Value::Null).body;
        if head["records"].as_u64().unwrap_or(0) >= 3 {
            break head;
        }
        assert!(Instant::now() < until, "the ledger does not follow: {head}");
        thread::sleep(Duration::from_millis(100));
    };
    house.stop();
    let kept = data.path().join("head.json");
    fs::write(&kept, head.to_string()).unwrap();
    let right = verify_from(data.path(), &kept);
    let told = text(&right.stdout);
    assert!(right.status.success(), "{told}{}", text(&right.stderr));
    let lines: Vec<_> = told.lines().collect();
    assert!(
        lines[0].starts_with("1 leases, ")
            && lines[0].ends_with("every signature, chain, bill and sum is right"),
        "{told}"
    );
    assert!(lines[1].starts_with("audit trail: ") && lines[2].starts_with("general ledger: "), "{told}");
    // A euro a second, of which hosts get four fifths.
    let earned = lines[3].strip_prefix("earned: hosts ").unwrap();
    let (hosts, platform) = earned.split_once(" EUR, platform ").unwrap();
    let micros = |text: &str| text.trim_end_matches(" EUR").replace('.', "").parse::<i128>().unwrap();
    assert!(micros(hosts) >= 3_000_000 && micros(hosts) == 4 * micros(platform), "{told}");

    // The last block is changed: without a head that looks like a crash, and says so.
    let blocks = data.path().join("matchmaker/ledger/blocks");
    let whole = fs::read(&blocks).unwrap();
    // Up to the end of the block that the head names: 104 bytes for each block, 128 for each record.
    let end = head["blocks"].as_u64().unwrap() * 104 + head["records"].as_u64().unwrap() * 128;
    let mut bytes = whole[..end as usize].to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&blocks, &bytes).unwrap();
    let silent = verify_ledger(data.path());
    let told = text(&silent.stdout);
    assert!(silent.status.success(), "{}", text(&silent.stderr));
    assert!(told.contains(" bytes follow the last whole block") && told.contains("--head"), "{told}");
    let proved = verify_from(data.path(), &kept);
    assert!(
        !proved.status.success() && text(&proved.stderr).contains("published"),
        "{}",
        text(&proved.stderr)
    );
    fs::write(&blocks, &whole).unwrap();
    let missing = verify_from(data.path(), &data.path().join("nothing"));
    assert!(!missing.status.success() && text(&missing.stderr).contains("--head"));

    // A line of the audit trail says something else afterwards.
    let record = data.path().join("matchmaker/matchmaker.sqlite3");
    let mut bytes = fs::read(&record).unwrap();
    let (door, other) = (b"POST /v1/accounts", b"POST /v9/accounts");
    let at = bytes.windows(door.len()).position(|part| part == door).expect("accounts were made");
    bytes[at..at + other.len()].copy_from_slice(other);
    fs::write(&record, bytes).unwrap();
    let changed = verify_ledger(data.path());
    assert!(!changed.status.success(), "{}", text(&changed.stdout));
    assert!(text(&changed.stderr).contains("audit trail"), "{}", text(&changed.stderr));

    let nothing = tempfile::tempdir().unwrap();
    let missing = verify_ledger(nothing.path());
    assert!(!missing.status.success() && text(&missing.stderr).contains("matchmaker.sqlite3"));
    assert!(fs::read_dir(nothing.path()).unwrap().next().is_none(), "looking writes nothing");
}

#[test]
fn a_proof_is_checked_without_the_network_and_a_changed_one_proves_nothing() {
    let data = tempfile::tempdir().unwrap();
    // A day settles three days after its end: it was five days ago.
    let house = House::open(data.path(), Some("-5d"));
    play(&house);
    house.stop();
    let house = House::open(data.path(), None);
    let nodes = house.ask("GET /v1/nodes", "", &Value::Null).body;
    let node: NodeId = nodes["items"][0]["id"].as_str().unwrap().parse().unwrap();
    let until = Instant::now() + WITHIN;
    let earnings = loop {
        let earnings = house.as_operator(&format!("GET /v1/nodes/{node}/earnings"), &Value::Null);
        if earnings["proofs"].as_array().is_some_and(|proofs| !proofs.is_empty()) {
            break earnings;
        }
        assert!(Instant::now() < until, "nothing is settled: {earnings}");
        thread::sleep(Duration::from_millis(100));
    };
    house.stop();
    let key = earnings["ledger_key"].as_str().unwrap();
    let proof = earnings["proofs"][0].to_string();
    let file = data.path().join("proof.json");
    let check = |proof: &str, key: &str| {
        fs::write(&file, proof).unwrap();
        ends(&["payout", "verify", file.to_str().unwrap(), "--key", key])
    };
    let right = check(&proof, key);
    assert!(right.status.success(), "{}", text(&right.stderr));
    let earned = earnings["settled"][0]["amount"].as_str().unwrap();
    let told = text(&right.stdout);
    assert!(told.starts_with("right: until the end of 20") && told.contains(&node.to_string()), "{told}");
    assert!(told.trim_end().ends_with(&format!("earned {earned} EUR in all")), "{told}");

    let more = proof.replace(earned, &format!("1{earned}"));
    assert_ne!(more, proof);
    let other = NodeKey::from_seed([3; 32]).public().to_string();
    for (proof, key, why) in [
        (&*more, key, "proves nothing"),
        (&*proof, &*other, "proves nothing"),
        ("{}", key, "no proof"),
        (&*proof, "12", "--key"),
    ] {
        let wrong = check(proof, key);
        assert!(
            !wrong.status.success() && text(&wrong.stderr).contains(why),
            "{why}: {}",
            text(&wrong.stderr)
        );
        assert!(wrong.stdout.is_empty());
    }
}

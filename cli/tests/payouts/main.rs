//! Payouts of a real matchmaker, and of two on one database, that are killed again and again while they pay, and whose disks
//! fill up: nothing is paid twice and nothing is lost.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

mod disk;
mod earned;
mod full;
#[path = "../agent/house.rs"]
mod house;
#[path = "../../../matchmaker/tests/nats/mod.rs"]
mod nats;
#[path = "../replicas/node.rs"]
#[allow(dead_code, reason = "written for a larger test")]
mod node;
#[path = "../../../matchmaker/tests/postgres/mod.rs"]
mod postgres;
mod replicas;

use earned::{earned, micros, payouts};
use house::{House, ends};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Asks and kills the server while it works; the answer may never come.
fn killed(data: &Path, request: &str, body: &Value, after: Duration) {
    let house = House::open(data, None);
    thread::scope(|scope| {
        let (house, request) = (&house, request);
        scope.spawn(move || house.try_as_operator(request, body));
        thread::sleep(after);
        house.kill();
    });
}

/// As a bank would look at it: against the schema of pain.001.001.09.
fn assert_valid(xml: &str) {
    let schema =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../matchmaker/ledger/tests/schemas/pain.001.001.09.xsd");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payouts.xml");
    std::fs::write(&file, xml).unwrap();
    let mut xmllint = Command::new("xmllint");
    let checked = xmllint.args(["--noout", "--nonet", "--schema", schema]).arg(&file).output();
    let checked = checked.expect("xmllint is installed (Debian: libxml2-utils)");
    assert!(checked.status.success(), "{}\n{xml}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_payout_survives_kills_at_any_moment_and_is_made_once() {
    let data = tempfile::tempdir().unwrap();
    let (settled, node) = earned(data.path());
    let due = settled - settled % 10_000;
    assert!(due > 0, "{settled}");

    for ms in [0, 1, 2, 4, 8, 16, 32] {
        killed(data.path(), "POST /v1/payouts", &Value::Null, Duration::from_millis(ms));
    }
    let house = House::open(data.path(), None);
    house.as_operator("POST /v1/payouts", &Value::Null);
    let again = house.as_operator("POST /v1/payouts", &Value::Null);
    assert!(again["payouts"].as_array().unwrap().is_empty(), "{again}");
    let [payout] = &payouts(&house)[..] else { panic!("one payout: {:?}", payouts(&house)) };
    assert_eq!((micros(&payout["amount"]), &payout["state"]), (due, &json!("created")));
    let (run, id) = (payout["run"].as_u64().unwrap(), payout["id"].as_str().unwrap().to_owned());
    let file = format!("GET /v1/payouts/{run}/bank-file");
    let early = house.ask_as_operator(&file, &Value::Null);
    assert_eq!((early.status, &early.body["code"]), (409, &json!("not_payable")));
    let outcome = format!("PUT /v1/payouts/{run}/{id}/outcome");
    let never = house.ask_as_operator(&outcome, &json!({"settled": true}));
    assert_eq!((never.status, &never.body["code"]), (409, &json!("payout_decided")), "nothing was sent");
    drop(house);

    let submission = format!("POST /v1/payouts/{run}/submission");
    for ms in [0, 1, 2, 4, 8, 16] {
        killed(data.path(), &submission, &Value::Null, Duration::from_millis(ms));
    }
    let house = House::open(data.path(), None);
    house.as_operator(&submission, &Value::Null);
    assert_eq!(payouts(&house)[0]["state"], "submitted");
    let sent = house.ask_as_operator(&file, &Value::Null).text;
    assert_valid(&sent);
    let amount = format!("<InstdAmt Ccy=\"EUR\">{}.{:02}</InstdAmt>", due / 1_000_000, due / 10_000 % 100);
    for part in [&*id, &*amount, "NL91ABNA0417164300", "DE89370400440532013000", "Nearby Games &amp; Co GmbH"]
    {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    assert_eq!(house.ask_as_operator(&file, &Value::Null).text, sent, "the same file each time");
    drop(house);

    for ms in [0, 1, 2, 4, 8, 16] {
        killed(data.path(), &outcome, &json!({"settled": true}), Duration::from_millis(ms));
    }
    let house = House::open(data.path(), None);
    let paid = house.as_operator(&outcome, &json!({"settled": true}));
    assert_eq!(paid["state"], "settled");
    let failed = house.ask_as_operator(&outcome, &json!({"settled": false}));
    assert_eq!((failed.status, &failed.body["code"]), (409, &json!("payout_decided")));
    house.as_operator("POST /v1/payouts", &Value::Null);
    assert_eq!(payouts(&house).len(), 1, "paid once");
    let earnings = house.as_operator("GET /v1/earnings", &Value::Null);
    let row = earnings["nodes"].as_array().unwrap().iter().find(|row| row["node"] == node.as_str()).unwrap();
    assert_eq!(micros(&row["paid"]), due);
    house.stop();
    let verified = ends(&["ledger", "verify", "--data", data.path().to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

//! Stakes of a real matchmaker that is killed again and again: what is staked is exact, is not paid out as well, and nothing
//! is lost.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

#[path = "agent/house.rs"]
mod house;
#[path = "replicas/node.rs"]
#[allow(dead_code, reason = "written for a larger test")]
mod node;

use house::{House, WITHIN, ends};
use nearframe_protocol::api::CreateSession;
use nearframe_protocol::{NodeKey, TitleId};
use serde_json::{Value, json};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

fn player() -> NodeKey {
    NodeKey::from_seed([201; 32])
}

fn micros(money: &Value) -> i128 {
    money["amount"].as_str().unwrap().replace('.', "").parse().unwrap()
}

/// Earns something five days ago, which is settled by now. Gives that, the machine and its host's account.
fn earned(data: &Path) -> (i128, String, String) {
    let house = House::open(data, Some("-5d"));
    let machine = house.machine(player());
    let wanted = json!(CreateSession::of(TitleId::new("meteor").unwrap(), player().public()));
    let bearer = format!("Authorization: Bearer {}\r\n", house.account("100000", "100000"));
    let created = house.ask("POST /v1/sessions", &bearer, &wanted);
    assert_eq!(created.status, 201, "{}", created.body);
    machine.receipts(2);
    drop(machine);
    house.stop();
    let house = House::open(data, None);
    let node =
        house.ask("GET /v1/nodes", "", &Value::Null).body["items"][0]["id"].as_str().unwrap().to_owned();
    let until = Instant::now() + WITHIN;
    let settled = loop {
        let earnings = house.as_operator(&format!("GET /v1/nodes/{node}/earnings"), &Value::Null);
        if let Some(settled) = earnings["settled"].get(0) {
            break micros(settled);
        }
        assert!(Instant::now() < until, "nothing is settled: {earnings}");
        thread::sleep(Duration::from_millis(100));
    };
    let host = house.as_operator("POST /v1/accounts", &json!({"kind": "host", "name": "Ada's attic"}));
    let host = host["id"].as_str().unwrap().to_owned();
    house.as_operator(&format!("PUT /v1/nodes/{node}/owner"), &json!({"account": host}));
    let to = json!({"pay_to": {"rail": "bank", "name": "Ada", "iban": "NL91ABNA0417164300"}});
    house.as_operator(&format!("PUT /v1/accounts/{host}/destination"), &to);
    (settled, node, host)
}

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

fn stake(house: &House, host: &str) -> Value {
    let all = house.as_operator(&format!("GET /v1/accounts/{host}/stake"), &Value::Null);
    all["items"][0].clone()
}

#[test]
fn a_stake_survives_kills_at_any_moment_and_is_never_paid_out_as_well() {
    let data = tempfile::tempdir().unwrap();
    let (settled, node, host) = earned(data.path());
    let cent = json!({"amount": "0.01", "currency": "EUR"});
    let path = format!("POST /v1/accounts/{host}/stake");
    for ms in [0, 1, 2, 4, 8, 16] {
        killed(data.path(), &path, &json!({"node": node, "amount": cent}), Duration::from_millis(ms));
    }
    let house = House::open(data.path(), None);
    house.as_operator(&path, &json!({"node": node, "amount": cent}));
    let posted = stake(&house, &host);
    let cents = posted["entries"].as_array().unwrap().len() as i128;
    assert!((1..=7).contains(&cents), "{posted}");
    assert_eq!(micros(&posted["staked"]), cents * 10_000, "as many cents as entries");
    assert_eq!(micros(&posted["available"]), settled - cents * 10_000);
    drop(house);

    let deposit = format!("POST /v1/nodes/{node}/stake/deposits");
    let money = json!({"amount": {"amount": "5", "currency": "EUR"}, "reference": "bank 4"});
    for ms in [0, 2, 8] {
        killed(data.path(), &deposit, &money, Duration::from_millis(ms));
    }
    let house = House::open(data.path(), None);
    for _ in 0..2 {
        let booked = house.as_operator(&deposit, &money);
        assert_eq!(micros(&booked["staked"]), cents * 10_000 + 5_000_000, "one reference is one deposit");
    }
    let run = house.as_operator("POST /v1/payouts", &Value::Null);
    let due = settled - cents * 10_000;
    assert_eq!(micros(&run["payouts"][0]["amount"]), due - due % 10_000);
    let more = house.ask_as_operator(&path, &json!({"node": node, "amount": cent}));
    assert_eq!((more.status, &more.body["code"]), (409, &json!("not_stakable")), "it is on its way");
    let given = house.as_operator(&format!("{path}/notice"), &json!({"node": node}));
    let again = house.as_operator(&format!("{path}/notice"), &json!({"node": node}));
    assert!(given["releases_at_ms"].is_u64() && given["releases_at_ms"] == again["releases_at_ms"]);
    house.stop();
    let verified = ends(&["ledger", "verify", "--data", data.path().to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

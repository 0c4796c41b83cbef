//! A host that earned something which is settled.

use crate::house::{House, WITHIN};
use nearframe_protocol::api::CreateSession;
use nearframe_protocol::{NodeKey, TitleId};
use serde_json::{Value, json};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

fn player() -> NodeKey {
    NodeKey::from_seed([200; 32])
}

pub(crate) fn micros(money: &Value) -> i128 {
    money["amount"].as_str().unwrap().replace('.', "").parse().unwrap()
}

/// Earns something five days ago, which is settled by now, and says where the host wants it.
pub(crate) fn earned(data: &Path) -> (i128, String) {
    plays(&House::open(data, Some("-5d")));
    settles(&House::open(data, None))
}

/// Somebody plays for money; then the house is stopped.
pub(crate) fn plays(house: &House) {
    let machine = house.machine(player());
    let wanted = json!(CreateSession::of(TitleId::new("meteor").unwrap(), player().public()));
    let bearer = format!("Authorization: Bearer {}\r\n", house.account("100000", "100000"));
    let created = house.ask("POST /v1/sessions", &bearer, &wanted);
    assert_eq!(created.status, 201, "{}", created.body);
    machine.receipts(2);
    let id = created.body["session"]["id"].as_str().unwrap();
    assert_eq!(house.ask(&format!("DELETE /v1/sessions/{id}"), &bearer, &Value::Null).status, 200);
    machine.receipts(2);
    drop(machine);
    house.end();
}

/// What is settled of that five days later, and of which machine, whose host says where it wants it.
pub(crate) fn settles(house: &House) -> (i128, String) {
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
    let host = host["id"].as_str().unwrap();
    house.as_operator(&format!("PUT /v1/nodes/{node}/owner"), &json!({"account": host}));
    let to = json!({"pay_to": {"rail": "bank", "name": "Ada", "iban": "NL91ABNA0417164300"}});
    house.as_operator(&format!("PUT /v1/accounts/{host}/destination"), &to);
    (settled, node)
}

pub(crate) fn payouts(house: &House) -> Vec<Value> {
    house.as_operator("GET /v1/payouts", &Value::Null)["items"].as_array().unwrap().clone()
}

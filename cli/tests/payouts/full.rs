//! Disks that are full in the middle of a payout, and have room again.

use crate::disk::Disk;
use crate::earned::{earned, micros, payouts};
use crate::house::{Answer, House, ends};
use serde_json::{Value, json};
use std::path::Path;

/// More steps of payouts than the rest of a file's last page takes.
const MOST_CYCLES: u32 = 40;

/// What was refused because there was no room.
struct Refused {
    request: String,
    body: Value,
}

fn says_full(answer: &Answer) -> bool {
    if answer.status < 300 {
        return false;
    }
    let what = (answer.status, answer.body["code"].as_str());
    assert_eq!(what, (507, Some("storage_full")), "{}", answer.body);
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("makes room") && detail.contains("sent again"), "{detail}");
    true
}

/// Payouts are made, submitted, and fail, again and again, until one of these is refused. The last page of a file may
/// hold a few more records on a disk that is full.
fn until_refused(house: &House) -> Refused {
    for _ in 0..MOST_CYCLES {
        let run = "POST /v1/payouts".to_owned();
        if says_full(&house.ask_as_operator(&run, &Value::Null)) {
            return Refused { request: run, body: Value::Null };
        }
        let rows = payouts(house);
        let (run, id) = (&rows[0]["run"], rows[0]["id"].as_str().unwrap());
        let submit = format!("POST /v1/payouts/{run}/submission");
        let fail = format!("PUT /v1/payouts/{run}/{id}/outcome");
        for (request, body) in [(submit, Value::Null), (fail, json!({"settled": false}))] {
            if says_full(&house.ask_as_operator(&request, &body)) {
                return Refused { request, body };
            }
        }
    }
    panic!("the disk is full and everything is written");
}

/// Pays once there is room: what was refused is asked for again, and the host is paid to the last coin, once.
fn pays(house: &House, refused: &Refused, due: i128) {
    let again = house.ask_as_operator(&refused.request, &refused.body);
    assert!(again.status < 300, "{}: {}", refused.request, again.body);
    house.as_operator("POST /v1/payouts", &Value::Null);
    let open: Vec<Value> = payouts(house).into_iter().filter(|row| row["state"] != "failed").collect();
    let [payout] = &open[..] else { panic!("one payout is not over: {open:?}") };
    assert_eq!(micros(&payout["amount"]), due);
    let (run, id) = (&payout["run"], payout["id"].as_str().unwrap());
    house.as_operator(&format!("POST /v1/payouts/{run}/submission"), &Value::Null);
    house.as_operator(&format!("PUT /v1/payouts/{run}/{id}/outcome"), &json!({"settled": true}));
    house.as_operator("POST /v1/payouts", &Value::Null);
    let paid: i128 =
        payouts(house).iter().filter(|row| row["state"] != "failed").map(|row| micros(&row["amount"])).sum();
    assert_eq!(paid, due, "nothing twice");
}

fn verifies(data: &Path, head: &Value) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), head.to_string()).unwrap();
    let (data, head) = (data.to_str().unwrap(), file.path().to_str().unwrap());
    let verified = ends(&["ledger", "verify", "--data", data, "--head", head]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_ledger_whose_disk_is_full_says_so_and_goes_on_without_a_restart_once_there_is_room() {
    let data = tempfile::tempdir().unwrap();
    let (settled, _) = earned(data.path());
    let disk = Disk::over(&data.path().join("matchmaker/ledger"), "1m");
    let house = House::open_on(data.path(), disk.command(env!("CARGO_BIN_EXE_nearframe")));
    disk.fill();
    let refused = until_refused(&house);
    for _ in 0..2 {
        assert!(says_full(&house.ask_as_operator(&refused.request, &refused.body)), "again the same");
    }
    // What is published meanwhile is what is surely on the disk.
    let head = house.as_operator("GET /v1/ledger/head", &Value::Null);
    disk.free();
    pays(&house, &refused, settled - settled % 10_000);
    house.stop();
    disk.take_back();
    verifies(data.path(), &head);
}

#[test]
fn a_record_whose_disk_is_full_says_so_and_pays_once_there_is_room() {
    let data = tempfile::tempdir().unwrap();
    let (settled, _) = earned(data.path());
    let disk = Disk::over(data.path(), "32m");
    let house = House::open_on(data.path(), disk.command(env!("CARGO_BIN_EXE_nearframe")));
    disk.fill();
    let refused = until_refused(&house);
    assert!(says_full(&house.ask_as_operator(&refused.request, &refused.body)), "again the same");
    let head = house.as_operator("GET /v1/ledger/head", &Value::Null);
    disk.free();
    pays(&house, &refused, settled - settled % 10_000);
    house.stop();
    disk.take_back();
    verifies(data.path(), &head);
}

//! Two matchmakers on one database, each with a copy of the ledger of its own, which are killed while both pay.

use crate::earned::{micros, payouts, plays, settles};
use crate::house::{House, ends, wrong_clock};
use crate::{nats, postgres};
use serde_json::{Value, json};
use std::path::Path;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const DATABASE: &str = "payouts";

/// The database, the bus, and a folder for each matchmaker.
struct Town {
    database: postgres::Server,
    bus: nats::Server,
    url: String,
    folders: [TempDir; 2],
    /// Heads that were published, as files.
    heads: Vec<tempfile::NamedTempFile>,
}

impl Town {
    /// Somebody played five days ago by the database's clock.
    fn new() -> (Self, i128, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = wrong_clock("-5d").to_vec();
        let mut database = runtime.block_on(postgres::Server::start_in("", clock));
        let url = runtime.block_on(database.database(DATABASE));
        let (bus, folders) = (nats::Server::start(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
        plays(&House::open_among(folders[0].path(), &url, &bus.url()));
        database.crash();
        runtime.block_on(database.restart());
        let town = Self { database, bus, url, folders, heads: vec![] };
        let (settled, node) = settles(&town.open(1));
        (town, settled, node)
    }

    fn open(&self, which: usize) -> House {
        House::open_among(self.folders[which].path(), &self.url, &self.bus.url())
    }

    fn both(&self) -> [House; 2] {
        thread::scope(|scope| {
            let [one, other] = [0, 1].map(|which| scope.spawn(move || self.open(which)));
            [one.join().unwrap(), other.join().unwrap()]
        })
    }

    /// What both say of the ledger stays true for ever.
    fn keep_heads(&mut self, houses: &[House]) {
        for house in houses {
            let head = house.ask("GET /v1/ledger/head", "", &Value::Null).body;
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), head.to_string()).unwrap();
            self.heads.push(file);
        }
    }

    /// Asks both at once, and kills them in turns while they work: the one after a moment, the other after two.
    fn killed(&mut self, request: &str, body: &Value) {
        for (round, ms) in [0, 3, 9, 27].into_iter().enumerate() {
            let houses = self.both();
            self.keep_heads(&houses);
            let first = round % 2;
            thread::scope(|scope| {
                for house in &houses {
                    scope.spawn(move || house.try_as_operator(request, body));
                }
                thread::sleep(Duration::from_millis(ms));
                houses[first].kill();
                thread::sleep(Duration::from_millis(ms));
                houses[1 - first].kill();
            });
        }
    }

    fn verify(&self) -> String {
        let mut args = vec!["ledger", "verify", "--database-url", &self.url];
        args.extend(self.heads.iter().flat_map(|file| ["--head", file.path().to_str().unwrap()]));
        let verified = ends(&args);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        String::from_utf8(verified.stdout).unwrap()
    }

    fn blocks(&self) -> String {
        self.database.ask(DATABASE, "SELECT count(*) || ' ' || max(height) + 1 FROM ledger_blocks")
    }
}

#[test]
fn two_replicas_that_are_killed_in_turns_pay_once_in_one_history() {
    let (mut town, settled, node) = Town::new();
    let due = settled - settled % 10_000;
    assert!(due > 0, "{settled}");

    town.killed("POST /v1/payouts", &Value::Null);
    let [one, other] = town.both();
    one.as_operator("POST /v1/payouts", &Value::Null);
    let again = other.as_operator("POST /v1/payouts", &Value::Null);
    assert!(again["payouts"].as_array().unwrap().is_empty(), "{again}");
    let [payout] = &payouts(&one)[..] else { panic!("one payout: {:?}", payouts(&one)) };
    assert_eq!((micros(&payout["amount"]), &payout["state"]), (due, &json!("created")));
    let (run, id) = (payout["run"].as_u64().unwrap(), payout["id"].as_str().unwrap().to_owned());
    drop([one, other]);

    let submission = format!("POST /v1/payouts/{run}/submission");
    town.killed(&submission, &Value::Null);
    let [one, other] = town.both();
    one.as_operator(&submission, &Value::Null);
    let file = format!("GET /v1/payouts/{run}/bank-file");
    let [sent, same] = [&one, &other].map(|house| house.ask_as_operator(&file, &Value::Null).text);
    assert!(sent.contains(&id) && sent == same, "the same file, whoever is asked");
    drop([one, other]);

    let outcome = format!("PUT /v1/payouts/{run}/{id}/outcome");
    town.killed(&outcome, &json!({"settled": true}));
    let houses = town.both();
    let [one, other] = &houses;
    assert_eq!(one.as_operator(&outcome, &json!({"settled": true}))["state"], "settled");
    let failed = other.ask_as_operator(&outcome, &json!({"settled": false}));
    assert_eq!((failed.status, &failed.body["code"]), (409, &json!("payout_decided")));
    other.as_operator("POST /v1/payouts", &Value::Null);
    assert_eq!(payouts(other).len(), 1, "paid once");
    let earnings = other.as_operator("GET /v1/earnings", &Value::Null);
    let row = earnings["nodes"].as_array().unwrap().iter().find(|row| row["node"] == node.as_str()).unwrap();
    assert_eq!(micros(&row["paid"]), due);
    town.keep_heads(&houses);
    drop(houses);

    let told = town.verify();
    assert!(
        told.contains("general ledger: ") && told.contains("every hash, key and balance is right"),
        "{told}"
    );
    let blocks = town.blocks();
    let (count, height) = blocks.split_once(' ').unwrap();
    assert_eq!(count, height, "no block is missing");
    an_empty_folder_is_filled(&town);
}

fn ledger(folder: &Path) -> std::path::PathBuf {
    folder.join("matchmaker/ledger")
}

/// A replica whose disk is lost comes back with the same history.
fn an_empty_folder_is_filled(town: &Town) {
    let blocks = ledger(town.folders[0].path()).join("blocks");
    let before = std::fs::read(&blocks).unwrap();
    std::fs::remove_dir_all(ledger(town.folders[0].path())).unwrap();
    town.open(0).end();
    let after = std::fs::read(&blocks).unwrap();
    assert!(after.starts_with(&before) && !before.is_empty());
}

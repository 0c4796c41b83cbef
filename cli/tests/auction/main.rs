//! Machines reserved of real nodes by a real matchmaker, each a process of its own: they seal bids and open them, the cheapest stand
//! by and are paid, a session takes a slot and gives it back, a node that is killed is replaced, and days later all of it is
//! settled and computed again by other programs.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

#[path = "../agent/house.rs"]
mod house;
#[path = "../replicas/node.rs"]
#[allow(dead_code, reason = "written for a larger test")]
mod node;

use house::{House, WITHIN, command, ends};
use nearframe_protocol::api::CreateSession;
use nearframe_protocol::{NodeKey, TitleId};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the host of each machine asks for an hour.
const ASKED: [&str; 3] = ["1000", "1500", "2000.000001"];
/// What the first that lost asked, in micro-units.
const PRICE: i128 = 2_000_000_001;
/// For how long machines are reserved: a receipt is due every ten seconds.
const LASTS_MS: u64 = 50_000;

/// A real node with one slot.
struct Machine {
    process: Child,
    id: String,
    _data: tempfile::TempDir,
}

impl Machine {
    fn start(house: &House, n: usize, asks: &str) -> Self {
        let enrolment = house.as_operator("POST /v1/enrolments", &Value::Null);
        let data = tempfile::tempdir().unwrap();
        let mut node = command();
        node.args(["node", "--log", "warn", "--matchmaker", enrolment["url"].as_str().unwrap()]);
        node.args([
            "--name",
            &format!("bidder {n}"),
            "--region",
            "DE",
            "--slots",
            "1",
            "--standby-price",
            asks,
        ]);
        let process = node.arg("--data").arg(data.path()).stdout(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + WITHIN;
        let id = loop {
            if let Some(id) = online(house, &format!("bidder {n}")) {
                break id;
            }
            assert!(Instant::now() < until, "node {n} never came");
            thread::sleep(Duration::from_millis(50));
        };
        Self { process, id, _data: data }
    }

    fn kill(&mut self) {
        // Ended already where the test killed it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The id of a machine of this name that is there.
fn online(house: &House, name: &str) -> Option<String> {
    let nodes = house.ask("GET /v1/nodes", "", &Value::Null).body;
    let node =
        nodes["items"].as_array()?.iter().find(|node| node["name"] == name && node["online"] == true)?;
    node["id"].as_str().map(str::to_owned)
}

fn micros(money: &Value) -> i128 {
    money["amount"].as_str().unwrap().replace('.', "").parse().unwrap()
}

/// The studio that reserves.
struct Studio<'a> {
    house: &'a House,
    bearer: String,
}

impl Studio<'_> {
    fn ask(&self, request: &str, body: &Value) -> Value {
        let answer = self.house.ask(request, &self.bearer, body);
        assert!(answer.status < 300, "{request}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Looks at the reservation until it is so.
    fn until(&self, id: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + WITHIN + Duration::from_millis(LASTS_MS);
        loop {
            let now = self.ask(&format!("GET /v1/reservations/{id}"), &Value::Null);
            if so(&now) {
                return now;
            }
            assert!(Instant::now() < until, "never {what}: {now}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn state<'a>(reservation: &'a Value, node: &str) -> &'a str {
    let machines = reservation["machine_states"].as_array().unwrap();
    machines.iter().find(|machine| machine["node"] == node).map_or("none", |it| it["state"].as_str().unwrap())
}

fn run(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}/../scripts/{program}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3").arg(path).args(arguments).output().expect("python3 is installed");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What hosts are paid for standing by and in all, by machine, as the statement says.
fn by_machine(statement: &str) -> (HashMap<String, i128>, i128) {
    let mut lines = statement.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let (node, work, host, total) = (at("node"), at("work"), at("host_micros"), at("total_micros"));
    let (mut hosts, mut stood) = (HashMap::new(), 0);
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        *hosts.entry(fields[node].to_owned()).or_insert(0) += fields[host].parse::<i128>().unwrap();
        if fields[work] == "reserve" {
            stood += fields[total].parse::<i128>().unwrap();
        }
    }
    (hosts, stood)
}

/// The auction and the bill, computed again by programs of another language; gives what each host is paid.
fn check(studio: &Studio<'_>, over: &Value, folder: &Path) -> HashMap<String, i128> {
    let house = studio.house;
    let save = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let auction =
        house.ask(&format!("GET /v1/auctions/{}", over["auction"].as_str().unwrap()), "", &Value::Null);
    let auction = save("auction.json", &auction.text);
    let said = run("recompute-auction.py", &[&auction]);
    assert!(said.contains(&format!("3 bids are right: 2 machines at {PRICE}")), "{said}");
    let day = over["until_ms"].as_u64().unwrap() / nearframe_ledger::settlement::DAY_MS;
    let (year, month, _) = nearframe_ledger::settlement::Epoch(day as u32).date();
    let statement =
        house.ask(&format!("GET /v1/statements/meteor/{year:04}-{month:02}"), &studio.bearer, &Value::Null);
    let (hosts, stood) = by_machine(&statement.text);
    assert_eq!(stood, micros(&over["paid"]), "what stood by is what was paid");
    let statement = save("statement.csv", &statement.text);
    let card = save("card.json", &house.ask("GET /v1/prices", "", &Value::Null).text);
    let (card, auction) = (format!("--card={card}"), format!("--auction={auction}"));
    let said = run("recompute-bill.py", &[&statement, &card, &auction]);
    assert!(said.contains("every price follows"), "{said}");
    hosts
}

/// Days later: what each host earned is settled and proved.
fn settled(data: &Path, hosts: &HashMap<String, i128>) {
    let house = House::open(data, None);
    let until = Instant::now() + WITHIN;
    for (node, earned) in hosts.iter().filter(|(_, micros)| **micros > 0) {
        let earnings = loop {
            let earnings = house.as_operator(&format!("GET /v1/nodes/{node}/earnings"), &Value::Null);
            if earnings["settled"].get(0).is_some() {
                break earnings;
            }
            assert!(Instant::now() < until, "nothing is settled: {earnings}");
            thread::sleep(Duration::from_millis(100));
        };
        assert_eq!((micros(&earnings["settled"][0]), micros(&earnings["earned"][0])), (*earned, *earned));
        let proof = data.join("proof.json");
        std::fs::write(&proof, earnings["proofs"][0].to_string()).unwrap();
        let key = earnings["ledger_key"].as_str().unwrap();
        let proved = ends(&["payout", "verify", proof.to_str().unwrap(), "--key", key]);
        assert!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stderr));
    }
    house.stop();
    let verified = ends(&["ledger", "verify", "--data", data.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn real_nodes_bid_sealed_stand_by_are_played_on_replaced_paid_and_settled() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let house = House::open_with(data.path(), Some("-5d"), &["--auction-s", "4"]);
    let mut machines: Vec<Machine> =
        (1..).zip(ASKED).map(|(n, asks)| Machine::start(&house, n, asks)).collect();
    let ids: Vec<String> = machines.iter().map(|machine| machine.id.clone()).collect();
    let bearer = format!("Authorization: Bearer {}\r\n", house.account("100000", "100000"));
    let studio = Studio { house: &house, bearer };
    let now_ms = house.as_operator("GET /v1/earnings", &Value::Null)["now_ms"].as_u64().unwrap();
    let wanted = json!({"title": "meteor", "region": "DE", "machines": 2, "from_ms": 0, "until_ms": now_ms + LASTS_MS});
    let wished = studio.ask("POST /v1/reservations", &wanted);
    let (id, auction) = (wished["id"].as_str().unwrap(), wished["auction"].as_str().unwrap());

    let record = || house.ask(&format!("GET /v1/auctions/{auction}"), "", &Value::Null).body;
    let until = Instant::now() + WITHIN;
    while record()["bids"].as_array().unwrap().len() < ASKED.len() {
        assert!(Instant::now() < until, "not all have sealed: {}", record());
        thread::sleep(Duration::from_millis(20));
    }
    let sealed = record();
    assert!(sealed["bids"].as_array().unwrap().iter().all(|bid| bid.get("bid").is_none()), "{sealed}");
    let booked = studio.until(id, "booked", |now| now["state"] != "bidding");
    assert_eq!(
        (booked["state"].as_str(), micros(&booked["price_per_hour"])),
        (Some("booked"), PRICE),
        "{booked}"
    );
    let cleared = record();
    assert_eq!((&cleared["winners"], &cleared["next"]), (&json!(ids[..2]), &json!(ids[2..])));

    let both = |now: &Value| ids[..2].iter().all(|node| state(now, node) == "standing");
    studio.until(id, "both standing", both);
    studio.until(id, "paid", |now| micros(&now["paid"]) > 0);
    let session =
        json!(CreateSession::of(TitleId::new("meteor").unwrap(), NodeKey::from_seed([200; 32]).public()));
    let created = studio.ask("POST /v1/sessions", &session);
    let node = created["session"]["node"].as_str().unwrap();
    assert!(ids[..2].iter().any(|id| id == node), "{created}");
    let playing = studio.until(id, "playing", |now| state(now, node) == "playing");
    assert_eq!(playing["standing"], 2);
    studio.ask(&format!("DELETE /v1/sessions/{}", created["session"]["id"].as_str().unwrap()), &Value::Null);
    studio.until(id, "standing again", both);

    machines[1].kill();
    let replaced = studio.until(id, "replaced", |now| state(now, &ids[2]) == "standing");
    assert_eq!((state(&replaced, &ids[0]), state(&replaced, &ids[1])), ("standing", "gone"));
    studio.until(id, "over", |now| now["state"] == "over");
    // The last receipts leave with the word that it is over.
    let kept_ms = |now: &Value| {
        let whole_ms = now["until_ms"].as_u64().unwrap() - now["from_ms"].as_u64().unwrap();
        2 * whole_ms - now["short_ms"].as_u64().unwrap()
    };
    // What a killed node had not stated yet, at most ten seconds, is nobody's; so is the time of the session.
    let least = |now: &Value| PRICE * i128::from(kept_ms(now).saturating_sub(25_000)) / 3_600_000;
    let over = studio.until(id, "paid for", |now| micros(&now["paid"]) >= least(now));
    // The two that won, one of them twice, and the one that took a place: a lease counts at most two seconds more than it lasted.
    let most = PRICE * i128::from(kept_ms(&over) + 4 * 2_000) / 3_600_000 + 1;
    assert!(micros(&over["paid"]) <= most, "{over}");
    assert_eq!((micros(&over["held"]), over["standing"].as_u64()), (0, Some(0)));

    drop(machines);
    // Nobody is left who could state more.
    let over = studio.until(id, "over", |_| true);
    let hosts = check(&studio, &over, files.path());
    house.stop();
    settled(data.path(), &hosts);
}

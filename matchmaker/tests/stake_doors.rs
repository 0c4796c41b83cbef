//! Stakes at the doors: hosts post, give notice and appeal; operators book deposits and rule; months are credited.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::http::StatusCode;
use axum::response::Response;
use nearframe_ledger::settlement::{DAY_MS, Epoch};
use nearframe_matchmaker::store::service::Reached;
use nearframe_matchmaker::store::stake::{RuleTable, RulesRow};
use nearframe_matchmaker::store::trust::{CaseBody, CaseRow};
use nearframe_matchmaker::store::{MemoryStore, NewSession, ServiceStore, StakeStore, Store, TrustStore};
use nearframe_matchmaker::{Config, TrustConfig};
use nearframe_protocol::account::{Account, SignInLink};
use nearframe_protocol::api::Page;
use nearframe_protocol::bill::SessionBill;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::stake::{SlashState, Stake, StakeRules};
use nearframe_protocol::trust::{AccountCredit, Case, CreditWhy, ServiceLevels};
use nearframe_protocol::{
    CaseId, EndReason, Generation, GuestId, LeaseId, NodeId, SessionId, TitleHash, TitleId,
};
use nearframe_trust::credit::CreditRules;
use nearframe_trust::fraud::{Exhibit, Grade, Kind};
use nearframe_trust::witness::Witness;
use serde_json::{Value, json as object};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use support::{FakeNode, Service, bytes, cookie, json, player, problem, send};

struct House {
    service: Service,
    store: Arc<MemoryStore>,
    node: FakeNode,
    operator: String,
    /// The account of the machine's host, and its owner's cookie.
    host: Account,
    owner: String,
}

async fn member(service: &Service, operator: &str, kind: &str, role: &str) -> (Account, String) {
    let body = object!({"kind": kind, "name": kind});
    let account: Account = json(send(service, "POST", "/v1/accounts", operator, body).await).await;
    let cookie = invited(service, operator, &account, role).await;
    (account, cookie)
}

async fn invited(service: &Service, operator: &str, account: &Account, role: &str) -> String {
    let path = format!("/v1/accounts/{}/invitations", account.id);
    let link: SignInLink = json(send(service, "POST", &path, operator, object!({"role": role})).await).await;
    let token = link.url.split_once("#join=").unwrap().1;
    cookie(&send(service, "POST", "/v1/sign-in", "", object!({"token": token})).await)
}

async fn house() -> House {
    let store = Arc::new(MemoryStore::new());
    let trust = TrustConfig { new_host_hours: 0, new_host_sessions: 0, ..TrustConfig::default() };
    let config = Config { price_micros_per_hour: 3_600_000_000, trust, ..Config::default() };
    let service = Service::with_store(config, Arc::clone(&store) as _).await;
    let operator = service.operator().await;
    let node = FakeNode::enrol(&service, 2).await;
    let (host, owner) = member(&service, &operator, "host", "owner").await;
    let path = format!("/v1/nodes/{}/owner", node.id);
    let owned = send(&service, "PUT", &path, &operator, object!({"account": host.id})).await;
    assert!(owned.status().is_success());
    House { service, store, node, operator, host, owner }
}

impl House {
    async fn post(&self, path: &str, cookie: &str, body: Value) -> Response {
        send(&self.service, "POST", path, cookie, body).await
    }

    async fn stake(&self) -> Stake {
        let path = format!("/v1/accounts/{}/stake", self.host.id);
        let answer = send(&self.service, "GET", &path, &self.owner, Value::Null).await;
        let mut page: Page<Stake> = json(answer).await;
        assert_eq!(page.items.len(), 1);
        page.items.remove(0)
    }

    async fn deposit(&self, amount: &str) -> Response {
        let path = format!("/v1/nodes/{}/stake/deposits", self.node.id);
        let body = object!({"amount": {"amount": amount, "currency": "EUR"}, "reference": "bank 4"});
        self.post(&path, &self.operator, body).await
    }

    /// A case that two witnesses prove.
    async fn case(&self, n: u8) -> CaseId {
        let id = CaseId::from_bytes([n; 16]);
        let row = CaseRow {
            id,
            node: self.node.id,
            kind: Kind::ClonedKey,
            grade: Grade::Slash,
            body: CaseBody {
                witnesses: vec![Witness::Lease, Witness::Itself],
                exhibits: vec![Exhibit { session: None, what: "two addresses in turns".into() }],
            },
            opened_at_ms: 7,
            changed_at_ms: 7,
            verdict: None,
        };
        assert!(self.store.add_case(&row).await.unwrap());
        id
    }

    async fn uphold(&self, case: CaseId, cookie: &str) -> Case {
        let body = object!({"verdict": "upheld", "reason": "two lines"});
        json(self.post(&format!("/v1/cases/{case}/decision"), cookie, body).await).await
    }
}

#[tokio::test]
async fn a_host_stakes_gives_notice_and_sees_why_it_cannot() {
    let house = house().await;
    let path = format!("/v1/accounts/{}/stake", house.host.id);
    let euro =
        |amount: &str| object!({"node": house.node.id, "amount": {"amount": amount, "currency": "EUR"}});
    let nothing = house.post(&path, &house.owner, euro("1")).await;
    assert_eq!(problem(nothing).await, "not_stakable", "nothing is settled");
    assert_eq!(problem(house.post(&path, &house.owner, euro("0")).await).await, "bad_body");
    let notice = format!("{path}/notice");
    let body = object!({"node": house.node.id});
    assert_eq!(problem(house.post(&notice, &house.owner, body.clone()).await).await, "not_stakable");
    let stranger = object!({"node": NodeId::from_bytes([9; 16])});
    assert_eq!(problem(house.post(&notice, &house.owner, stranger).await).await, "unknown_node");

    assert_eq!(house.deposit("50").await.status(), StatusCode::OK);
    let booked: Stake = json(house.deposit("50").await).await;
    assert_eq!((booked.staked.amount_micros, booked.entries.len()), (50_000_000, 1), "once");
    assert_eq!(booked.entries[0].reference.as_deref(), Some("bank 4"));
    assert_eq!(problem(house.deposit("51").await).await, "bad_body");
    let deposit = format!("/v1/nodes/{}/stake/deposits", house.node.id);
    let body_of = object!({"amount": {"amount": "1", "currency": "EUR"}, "reference": " "});
    assert_eq!(problem(house.post(&deposit, &house.operator, body_of.clone()).await).await, "bad_body");
    assert_eq!(problem(house.post(&deposit, &house.owner, body_of).await).await, "sign_in_needed");

    for _ in 0..2 {
        let given: Stake = json(house.post(&notice, &house.owner, body.clone()).await).await;
        assert_eq!(given.entries.len(), 2, "the first notice stays");
        let days = (given.releases_at_ms.unwrap() - given.entries[1].at_ms) / DAY_MS;
        assert_eq!(days, 14);
    }
    let rules: Page<StakeRules> = json(house.service.get("/v1/stake/rules").await).await;
    assert_eq!((rules.items.len(), rules.items[0].notice_days, rules.items[0].version), (1, 14, 1));
}

#[tokio::test]
async fn an_appeal_is_made_once_and_ruled_on_by_another_operator() {
    let house = house().await;
    assert_eq!(house.deposit("50").await.status(), StatusCode::OK);
    let (office, first) = member(&house.service, &house.operator, "operator", "owner").await;
    let case = house.case(5).await;
    let upheld = house.uphold(case, &first).await;
    let slash = upheld.slash.unwrap();
    assert_eq!((slash.amount.amount_micros, slash.state, slash.rules), (25_000_000, SlashState::Pending, 1));
    let mine = house.stake().await;
    assert_eq!(mine.slashes, [*slash]);
    assert_eq!((mine.staked.amount_micros, mine.set_aside.amount_micros), (50_000_000, 25_000_000));
    assert_eq!(mine.slashes[0].exhibits[0].what, "two addresses in turns");

    let path = format!("/v1/cases/{case}/appeal");
    let text = object!({"text": "my line was copied"});
    let (_, stranger) = member(&house.service, &house.operator, "host", "owner").await;
    assert_eq!(problem(house.post(&path, &stranger, text.clone()).await).await, "not_yours");
    assert_eq!(problem(house.post(&path, &house.owner, object!({"text": " "})).await).await, "bad_body");
    let decision = format!("{path}/decision");
    let allow = object!({"allowed": true, "reason": "the line was copied"});
    assert_eq!(problem(house.post(&decision, &first, allow.clone()).await).await, "nothing_to_appeal");
    let appealed: Stake = json(house.post(&path, &house.owner, text.clone()).await).await;
    assert_eq!(appealed.slashes[0].state, SlashState::Appealed);
    assert_eq!(problem(house.post(&path, &house.owner, text).await).await, "decided_otherwise");
    let queue: Page<Case> =
        json(send(&house.service, "GET", "/v1/appeals", &house.operator, Value::Null).await).await;
    assert_eq!(queue.items.iter().map(|case| case.id).collect::<Vec<_>>(), [case]);

    let second = invited(&house.service, &house.operator, &office, "member").await;
    assert_eq!(problem(house.post(&decision, &first, allow.clone()).await).await, "same_operator");
    for _ in 0..2 {
        let ruled: Case = json(house.post(&decision, &second, allow.clone()).await).await;
        let slash = ruled.slash.unwrap();
        let ruling = slash.appeal.unwrap().ruling.unwrap();
        assert_eq!((slash.state, ruling.allowed, ruling.same_operator), (SlashState::Freed, true, false));
    }
    let refuse = object!({"allowed": false, "reason": "no"});
    assert_eq!(problem(house.post(&decision, &second, refuse).await).await, "nothing_to_appeal");
    let free = house.stake().await;
    assert_eq!((free.staked.amount_micros, free.set_aside.amount_micros), (50_000_000, 0));
    let queue: Page<Case> =
        json(send(&house.service, "GET", "/v1/appeals", &house.operator, Value::Null).await).await;
    assert!(queue.items.is_empty());
    let unknown = format!("/v1/cases/{}/appeal", CaseId::from_bytes([66; 16]));
    assert_eq!(
        problem(house.post(&unknown, &house.owner, object!({"text": "x"})).await).await,
        "unknown_case"
    );
}

#[tokio::test]
async fn a_case_that_was_not_proved_costs_no_stake() {
    let house = house().await;
    assert_eq!(house.deposit("50").await.status(), StatusCode::OK);
    let id = CaseId::from_bytes([5; 16]);
    let row = CaseRow {
        id,
        node: house.node.id,
        kind: Kind::RecordedPicture,
        grade: Grade::Slash,
        body: CaseBody { witnesses: vec![Witness::Checker], exhibits: vec![] },
        opened_at_ms: 7,
        changed_at_ms: 7,
        verdict: None,
    };
    assert!(house.store.add_case(&row).await.unwrap());
    assert_eq!(house.uphold(id, &house.operator).await.slash, None, "a lone checker");
    let path = format!("/v1/cases/{id}/appeal");
    let appeal = house.post(&path, &house.owner, object!({"text": "x"})).await;
    assert_eq!(problem(appeal).await, "nothing_to_appeal");
}

/// The independent program's verdict on these levels.
fn recomputed(levels: &ServiceLevels, bills: &[SessionBill]) -> (bool, String) {
    let written = |bytes: Vec<u8>| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    };
    let file = written(serde_json::to_vec(levels).unwrap());
    let bills: Vec<_> = bills.iter().map(|bill| written(serde_json::to_vec(bill).unwrap())).collect();
    let bills = bills.iter().map(|file| format!("--bill={}", file.path().display()));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/recompute-service-levels.py");
    let done = Command::new("python3").arg(script).arg(file.path()).args(bills).output().unwrap();
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (done.status.success(), said.concat())
}

fn read_pdf(pdf: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pdf).unwrap();
    let read = Command::new("pdftotext").arg("-layout").arg(file.path()).arg("-").output();
    let read = read.expect("pdftotext: scripts/setup.sh test installs it");
    String::from_utf8(read.stdout).unwrap()
}

fn this_month() -> String {
    let (year, month, _) = Epoch::of(UNIX_EPOCH.elapsed().unwrap().as_millis() as u64).date();
    format!("{year:04}-{month:02}")
}

/// The last month whose last day is settled by now: its name, and its first ms.
fn due_month() -> (String, u64) {
    let now_ms = UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let (year, month, _) = Epoch::of(now_ms - 5 * DAY_MS).date();
    let (year, month, _) = Epoch(Epoch::from_date(year, month, 1).unwrap().0 - 1).date();
    let begins = Epoch::from_date(year, month, 1).unwrap().begins_at_ms();
    (format!("{year:04}-{month:02}"), begins)
}

/// A session of ten seconds that was lost, and cost 10 euros.
async fn lost(store: &MemoryStore, node: &FakeNode, at_ms: u64) {
    let new = NewSession {
        id: SessionId::from_bytes([1; 16]),
        guest: GuestId::from_bytes([1; 16]),
        guest_limit: 1,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([0; 32]),
        node: node.id,
        player_key: player().public(),
        lease: LeaseId::from_bytes([1; 16]),
        tariff: nearframe_ledger::Tariff {
            price_micros_per_hour: 3_600_000_000,
            fee_permille: 200,
            currency: Config::default().currency,
        },
        basis: None,
        now_ms: at_ms - 10_000,
        idempotency: None,
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    };
    store.create_session(&new).await.unwrap();
    let receipt = Receipt {
        session: new.id,
        generation: Generation(0),
        sequence: 0,
        previous: ReceiptHash::ZERO,
        duration_us: 10_000_000,
        frames: 600,
        bytes: 1,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 0,
        packets_sent: 1,
        packets_lost: 0,
    };
    store.take_receipt(&SignedReceipt::sign(&node.key, receipt), at_ms).await.unwrap();
    store.end_session(new.id, EndReason::NodeLost, at_ms).await.unwrap();
}

#[tokio::test]
async fn a_month_below_the_promise_is_credited_by_itself_and_computed_again_by_another_program() {
    let House { service, store, node, operator, .. } = house().await;
    let (studio, payer) = member(&service, &operator, "studio", "owner").await;
    let owned = object!({"account": studio.id});
    assert!(send(&service, "PUT", "/v1/titles/meteor/owner", &operator, owned).await.status().is_success());
    let (month, begins_ms) = due_month();
    lost(&store, &node, begins_ms + DAY_MS).await;
    let reached = [Reached::Service, Reached::Node(node.id)];
    for minutes in [1, 2] {
        store.note_reached(&reached, begins_ms + minutes * 60_000, 60_000).await.unwrap();
    }
    // A table was in force before the month began: as of a server that has run for longer.
    let body = serde_json::to_string(&CreditRules { version: 2, ..CreditRules::default() }).unwrap();
    store.add_rules(RuleTable::Credit, &RulesRow { version: 2, body, since_ms: 0 }).await.unwrap();
    let trust = TrustConfig {
        credit: CreditRules { version: 2, ..CreditRules::default() },
        new_host_hours: 0,
        new_host_sessions: 0,
        ..TrustConfig::default()
    };
    let again = Service::with_store(Config { trust, ..Config::default() }, Arc::clone(&store) as _).await;
    let path = format!("/v1/service-levels/{month}");
    let until = Instant::now() + Duration::from_secs(10);
    let levels = loop {
        let levels: ServiceLevels = json(again.get(&path).await).await;
        if levels.credits.is_some() {
            break levels;
        }
        assert!(Instant::now() < until, "no month is closed: {levels:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    drop(service);
    let credits = levels.credits.as_ref().unwrap();
    let [site] = &credits.sites[..] else { panic!("one site: {credits:?}") };
    assert_eq!((site.level_ppm, site.permille, credits.version), (142_857, 1000, 2));
    let [credit] = &credits.credits[..] else { panic!("one payer: {credits:?}") };
    assert_eq!((credit.paid.amount_micros, credit.credited.amount_micros), (10_000_000, 10_000_000));
    let posted = store.credits_after(0, 9).await.unwrap();
    assert_eq!(posted.iter().map(|row| row.amount_micros).sum::<i128>(), 10_000_000);
    assert!(posted.iter().all(|row| row.credit.to_string() == "studio:meteor" && row.about == month));

    let path = format!("/v1/accounts/{}/credits", studio.id);
    let mine: Page<AccountCredit> = json(send(&again, "GET", &path, &payer, Value::Null).await).await;
    let [own] = &mine.items[..] else { panic!("one entry: {mine:?}") };
    assert_eq!((own.why, &own.about, &*own.to), (CreditWhy::Service, &month, "studio:meteor"));
    let invoice = format!("/v1/invoices/{}", this_month());
    let text = read_pdf(&bytes(send(&again, "GET", &invoice, &payer, Value::Null).await).await);
    for part in ["Credits in EUR", &format!("Service level of {month}"), "-10.000000"] {
        assert!(text.contains(part), "{part} in {text}");
    }

    let session = SessionId::from_bytes([1; 16]);
    let path = format!("/v1/sessions/{session}/bill");
    let bill: SessionBill = json(send(&again, "GET", &path, &operator, Value::Null).await).await;
    let [own] = &bill.leases[0].credits[..] else { panic!("one credit: {bill:?}") };
    assert_eq!((own.why, &own.about, own.amount.amount_micros), (CreditWhy::Service, &month, 10_000_000));
    let (right, said) = recomputed(&levels, std::slice::from_ref(&bill));
    assert!(right && said.contains("1 credits, 1 parts of them in bills"), "{said}");
    let mut wrong = bill;
    wrong.leases[0].credits[0].amount.amount_micros -= 1;
    assert!(!recomputed(&levels, &[wrong]).0, "a part that is a micro-unit too small");
    let change = |change: fn(&mut ServiceLevels)| {
        let mut wrong = levels.clone();
        change(&mut wrong);
        recomputed(&wrong, &[]).0
    };
    assert!(!change(|wrong| wrong.nodes[0].reach.up_ms += 1), "its share does not follow");
    assert!(!change(|wrong| wrong.credits.as_mut().unwrap().sites[0].level_ppm += 1));
    assert!(!change(|wrong| wrong.credits.as_mut().unwrap().sites[0].permille = 100));
    assert!(!change(|wrong| wrong.credits.as_mut().unwrap().credits[0].credited.amount_micros -= 1));
    assert!(!change(|wrong| wrong.credits.as_mut().unwrap().credits[0].by_host.amount_micros = 5_000_001));
}

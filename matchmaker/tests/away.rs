//! A database that goes away in the middle of what moves money or accuses, at every moment that there is: a clear word to
//! whoever asked, and whoever asks again finds it done once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cut;
mod payers;
mod postgres;
mod support;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use cut::{Line, Lost};
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_matchmaker::Config;
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::trust::DisputeRow;
use nearframe_matchmaker::store::{CheckStore, Created, PostgresStore, Store, Taken, TrustStore};
use nearframe_protocol::api::Problem;
use nearframe_protocol::check::{CheckReport, PROOF_HEADER, SignedCheck, Verdict, proof};
use nearframe_protocol::receipt::ReceiptHash;
use nearframe_protocol::trust::Party;
use nearframe_protocol::{DisputeId, EndReason, NodeId, NodeKey, SessionId};
use payers::{NOW, enrol, receipt, request, session_id};
use serde_json::json as object;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{Service, json};

/// More questions to the database than one of these requests and the jobs beside it take.
const MOST_QUESTIONS: u32 = 150;
/// Requests that are asked again until the pool has found its way back.
const MOST_REPETITIONS: u32 = 100;

struct House {
    service: Service,
    operator: String,
    node: NodeId,
    /// Past the line.
    store: PostgresStore,
    line: Line,
    _server: postgres::Server,
}

/// With so many disputed sessions, which were there before the server: its jobs end what nobody plays.
async fn house(disputes: u32) -> House {
    let server = postgres::Server::start().await;
    let direct = server.database("away").await;
    let store = PostgresStore::open(&direct).await.unwrap();
    let node = enrol(&store).await;
    for n in 0..disputes {
        disputed(&store, node, n).await;
    }
    let line = Line::to(server.socket_folder());
    let config = Config { database_url: Some(line.address(&direct)), ..Config::default() };
    let service = Service::with(config).await;
    let operator = service.operator().await;
    House { service, operator, node, store, line, _server: server }
}

impl House {
    /// Asks while the line is cut at a moment, and again once it is mended; whether it was cut.
    async fn ask(&self, moment: u32, lost: Lost, request: impl Fn() -> Request<Body>) -> bool {
        self.line.cut_after(moment, lost);
        let first = self.service.ask(request()).await;
        let was_cut = self.line.mend();
        if !first.status().is_success() {
            assert!(was_cut, "{:?}", support::bytes(first).await);
            assert_helps(first).await;
            self.succeeds(&request).await;
        }
        // Once more is harmless. A connection that a job had when the line was cut may be the one that answers.
        self.succeeds(&request).await;
        was_cut
    }

    /// Asks until it is done.
    async fn succeeds(&self, request: &impl Fn() -> Request<Body>) {
        for n in 0.. {
            let again = self.service.ask(request()).await;
            if again.status().is_success() {
                return;
            }
            assert_helps(again).await;
            assert!(n < MOST_REPETITIONS, "it does not go on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn assert_helps(answer: Response<Body>) {
    let status = answer.status();
    let problem: Problem = json(answer).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem:?}");
    assert!(["unavailable", "timeout"].contains(&&*problem.code), "{problem:?}");
    assert!(problem.detail.contains("Try again"), "{problem:?}");
}

/// Runs `each` for every moment in which the line can be cut, and both ways to cut it, until none is left.
async fn at_every_moment(mut each: impl AsyncFnMut(u32, u32, Lost) -> bool) {
    let mut runs = 0;
    for moment in 0..MOST_QUESTIONS {
        let mut was_cut = false;
        for lost in [Lost::Question, Lost::Answer] {
            was_cut |= each(runs, moment, lost).await;
            runs += 1;
        }
        if !was_cut {
            assert!(moment >= 3, "a request takes more questions than {moment}");
            return;
        }
    }
    panic!("it never ends");
}

/// A session of ten seconds whose account is closed, and a dispute of it.
async fn disputed(store: &PostgresStore, node: NodeId, n: u32) {
    assert!(matches!(store.create_session(&request(node, n, None)).await.unwrap(), Created::New(_)));
    let signed = receipt(n, 0, ReceiptHash::ZERO, 10_000_000);
    assert!(matches!(store.take_receipt(&signed, NOW + 20_000).await.unwrap(), Taken::Counted { .. }));
    store.end_session(session_id(n), EndReason::PlayerLeft, NOW + 20_000).await.unwrap();
    store.close_accounts(NOW + 20_001 + LATE_WINDOW_MS).await.unwrap();
    let row = DisputeRow {
        id: dispute_id(n),
        session: session_id(n),
        party: Party::Player,
        reason: "it froze".into(),
        evidence: String::new(),
        case: None,
        opened_at_ms: NOW,
        settled: None,
    };
    store.open_dispute(&row).await.unwrap();
}

fn dispute_id(n: u32) -> DisputeId {
    DisputeId::from_bytes(*session_id(n).as_bytes())
}

async fn paid_back(house: &House, n: u32) -> Vec<i128> {
    let rows = house.store.corrections_of(session_id(n)).await.unwrap();
    rows.iter().map(|row| row.transfer.amount_micros).collect()
}

async fn committed(house: &House) -> i128 {
    house.store.budgets().await.unwrap()[0].committed.amount_micros
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_made_once_whenever_the_database_goes_away() {
    // The last one is decided where nothing goes wrong.
    let house = house(2 * MOST_QUESTIONS + 1).await;
    let undisturbed = 2 * MOST_QUESTIONS;
    let decision = |n: u32| {
        Request::post(format!("/v1/disputes/{}/decision", dispute_id(n)))
            .header(header::COOKIE, &house.operator)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(object!({"refund_permille": 500, "note": "seen"}).to_string()))
            .unwrap()
    };
    let before = committed(&house).await;
    assert!(house.service.ask(decision(undisturbed)).await.status().is_success());
    let back = paid_back(&house, undisturbed).await;
    let sum: i128 = back.iter().sum();
    assert!(back.len() == 2 && committed(&house).await == before - sum, "{back:?}");
    at_every_moment(async |n, moment, lost| {
        let was_cut = house.ask(moment, lost, || decision(n)).await;
        assert_eq!(paid_back(&house, n).await, back, "{moment} {lost:?}");
        assert_eq!(committed(&house).await, before - sum * i128::from(n + 2), "{moment} {lost:?}");
        was_cut
    })
    .await;
    audit(&house.store).await.unwrap();
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn report(checker: &NodeKey, node: NodeId, session: SessionId) -> CheckReport {
    CheckReport {
        checker: checker.public(),
        node,
        session,
        audit: None,
        verdict: Verdict::Passed,
        findings: vec![],
        started_at_ms: now_ms(),
        played_ms: 1,
        connect_ms: 1,
        first_frame_ms: 1,
        challenge_us: 1,
        rtt_us: 1,
        width: 1,
        height: 1,
        frames: 1,
        age_p50_us: 1,
        age_p95_us: 1,
        freezes: 0,
        frozen_ms: 0,
        bytes: 1,
        packets: 1,
        lost: 0,
        receipts: 0,
        refused: 0,
        claimed_frames: 0,
        claimed_bytes: 0,
        claimed_us: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkers_report_counts_once_whenever_the_database_goes_away() {
    let house = house(0).await;
    let checker = NodeKey::from_seed([90; 32]);
    assert!(house.store.enrol_checker(&checker.public(), "attic", now_ms()).await.unwrap());
    at_every_moment(async |n, moment, lost| {
        let mut new = request(house.node, n, None);
        new.now_ms = now_ms();
        assert!(matches!(house.store.create_session(&new).await.unwrap(), Created::New(_)));
        let check = SignedCheck::sign(&checker, report(&checker, house.node, new.id));
        let filing = || {
            Request::post("/v1/checks")
                .header(PROOF_HEADER, proof(&checker, now_ms(), "POST", "/v1/checks"))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(serde_json::to_string(&check).unwrap()))
                .unwrap()
        };
        let was_cut = house.ask(moment, lost, filing).await;
        let filed = house.store.checks_of(house.node, 1_000).await.unwrap();
        assert_eq!(filed.len() as u32, n + 1, "{moment} {lost:?}");
        assert_eq!(filed.iter().filter(|row| row.check == check).count(), 1, "{moment} {lost:?}");
        was_cut
    })
    .await;
}

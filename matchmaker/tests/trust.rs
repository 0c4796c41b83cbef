//! Trust at the doors: players dispute, operators decide once, and what is held says why.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::http::StatusCode;
use nearframe_ledger::settlement::Epoch;
use nearframe_matchmaker::store::trust::{CaseBody, CaseRow};
use nearframe_matchmaker::store::{MemoryStore, Store, TrustStore};
use nearframe_matchmaker::{Config, TrustConfig};
use nearframe_protocol::api::{CreatedSession, Page};
use nearframe_protocol::bill::{EarningsOverview, SessionBill};
use nearframe_protocol::link::{FromNode, ToNode};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::trust::{Case, Dispute, Party, ServiceLevels, Verdict, WithheldWhy};
use nearframe_protocol::{CaseId, NodeId, SessionId};
use nearframe_trust::fraud::{Exhibit, Grade, Kind};
use nearframe_trust::witness::Witness;
use serde_json::{Value, json as object};
use std::process::Command;
use std::sync::Arc;
use support::{FakeNode, Service, cookie, create_session, json, player, post_session, problem, send};

struct House {
    service: Service,
    store: Arc<MemoryStore>,
    node: FakeNode,
    operator: String,
    guest: String,
    session: SessionId,
    receipt: Receipt,
}

/// A session that has ended, with a receipt of a second, of which the host earned 800 micro-units.
async fn house() -> House {
    let store = Arc::new(MemoryStore::new());
    let trust = TrustConfig { new_host_hours: 0, new_host_sessions: 0, ..TrustConfig::default() };
    let config = Config { price_micros_per_hour: 3_600_000, trust, ..Config::default() };
    let service = Service::with_store(config, Arc::clone(&store) as _).await;
    let operator = service.operator().await;
    let mut node = FakeNode::enrol(&service, 2).await;
    let answer = service.ask(post_session(&create_session("meteor"))).await;
    let guest = cookie(&answer);
    let created: CreatedSession = json(answer).await;
    let running = node.started().await;
    let receipt = Receipt {
        session: running.session,
        generation: running.generation,
        sequence: 0,
        previous: ReceiptHash::ZERO,
        duration_us: 1_000_000,
        frames: 60,
        bytes: 1,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 0,
        packets_sent: 1,
        packets_lost: 0,
    };
    let mut signed = SignedReceipt::sign(&node.key, receipt.clone());
    signed.player_signature = Some(player().sign(&signed.receipt.signed_bytes()));
    node.wire.say(&FromNode::Receipt { receipt: Box::new(signed) }).await;
    assert!(matches!(node.wire.hear().await, Some(ToNode::ReceiptTaken { .. })));
    let session = created.session.id;
    let left = send(&service, "DELETE", &format!("/v1/sessions/{session}"), &guest, Value::Null).await;
    assert!(left.status().is_success());
    House { service, store, node, operator, guest, session, receipt }
}

impl House {
    async fn withheld(&self) -> Vec<(NodeId, WithheldWhy, i128)> {
        let answer = send(&self.service, "GET", "/v1/earnings", &self.operator, Value::Null).await;
        let overview: EarningsOverview = json(answer).await;
        overview.withheld.into_iter().map(|row| (row.node, row.why, row.amount.amount_micros)).collect()
    }

    async fn post(&self, path: &str, cookie: &str, body: Value) -> axum::response::Response {
        send(&self.service, "POST", path, cookie, body).await
    }
}

#[tokio::test]
async fn a_players_dispute_holds_what_the_session_earned_and_stands_once() {
    let house = house().await;
    let path = format!("/v1/sessions/{}/disputes", house.session);
    let why = object!({"reason": "it froze", "evidence": "12:05"});
    assert_eq!(house.withheld().await, []);
    let answer = house.post(&path, &house.guest, why.clone()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let first: Dispute = json(answer).await;
    assert_eq!((first.by, first.session, &first.decision), (Party::Player, house.session, &None));
    let again = house.post(&path, &house.guest, object!({"reason": "once more"})).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(json::<Dispute>(again).await, first);
    assert_eq!(house.withheld().await, [(house.node.id, WithheldWhy::Disputed, 800)]);
    assert_eq!(problem(house.post(&path, &house.guest, object!({"reason": " "})).await).await, "bad_body");
    assert_eq!(problem(house.post(&path, "a=b", why).await).await, "sign_in_needed");

    let decision = format!("/v1/disputes/{}/decision", first.id);
    let half = object!({"refund_permille": 500, "note": "a minute was lost"});
    let early = house.post(&decision, &house.operator, half).await;
    assert_eq!(problem(early).await, "too_early", "its receipts may come for another day");
    let too_much =
        house.post(&decision, &house.operator, object!({"refund_permille": 1001, "note": "x"})).await;
    assert_eq!(problem(too_much).await, "bad_body");
    let open: Page<Dispute> =
        json(send(&house.service, "GET", "/v1/disputes", &house.operator, Value::Null).await).await;
    assert_eq!(open.items, [first]);
    let bill = format!("/v1/sessions/{}/bill", house.session);
    let bill: SessionBill = json(send(&house.service, "GET", &bill, &house.guest, Value::Null).await).await;
    assert!(bill.leases[0].corrections.is_empty());
}

#[tokio::test]
async fn a_case_is_decided_once_and_upholding_it_disputes_the_sessions_that_show_it() {
    let house = house().await;
    let id = CaseId::from_bytes([5; 16]);
    let exhibit = Exhibit { session: Some(house.session), what: "it claims too much".into() };
    let row = CaseRow {
        id,
        node: house.node.id,
        kind: Kind::InflatedTime,
        grade: Grade::Slash,
        body: CaseBody { witnesses: vec![Witness::Lease, Witness::Player], exhibits: vec![exhibit] },
        opened_at_ms: 7,
        changed_at_ms: 7,
        verdict: None,
    };
    assert!(house.store.add_case(&row).await.unwrap());
    assert_eq!(house.withheld().await, [(house.node.id, WithheldWhy::UnderReview, 800)]);
    let queue: Page<Case> =
        json(send(&house.service, "GET", "/v1/cases", &house.operator, Value::Null).await).await;
    let [case] = &queue.items[..] else { panic!("one case is open: {queue:?}") };
    assert_eq!((case.id, case.kind.as_str(), case.grade.as_str()), (id, "inflated_time", "slash"));
    assert_eq!(
        (&case.node_name[..], &case.witnesses[..]),
        ("stand-in", &["lease".into(), "player".into()][..])
    );

    let path = format!("/v1/cases/{id}/decision");
    let uphold = object!({"verdict": "upheld", "reason": "two witnesses"});
    assert_eq!(problem(house.post(&path, &house.guest, uphold.clone()).await).await, "sign_in_needed");
    for _ in 0..2 {
        let decided: Case = json(house.post(&path, &house.operator, uphold.clone()).await).await;
        assert_eq!(decided.decision.unwrap().verdict, Verdict::Upheld);
    }
    let dismiss = object!({"verdict": "dismissed", "reason": "no"});
    assert_eq!(problem(house.post(&path, &house.operator, dismiss).await).await, "decided_otherwise");
    let path = format!("/v1/sessions/{}/disputes", house.session);
    let disputes: Page<Dispute> =
        json(send(&house.service, "GET", &path, &house.guest, Value::Null).await).await;
    assert_eq!(
        disputes.items.iter().map(|row| (row.by, row.case)).collect::<Vec<_>>(),
        [(Party::Operator, Some(id))]
    );
    assert_eq!(house.withheld().await, [(house.node.id, WithheldWhy::Disputed, 800)]);
    let unknown = format!("/v1/cases/{}/decision", CaseId::from_bytes([6; 16]));
    assert_eq!(problem(house.post(&unknown, &house.operator, uphold).await).await, "unknown_case");
}

#[tokio::test]
async fn what_a_page_counts_and_the_lease_refuses_is_written_down() {
    let mut house = house().await;
    let count = object!({"until_sequence": 0, "elapsed_us": 1_000_000, "frames": 60, "bytes": 1, "packets": 1, "packets_lost": 0});
    let path = format!("/v1/sessions/{}/count", house.session);
    assert_eq!(
        send(&house.service, "PUT", &path, &house.guest, count.clone()).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(problem(send(&house.service, "PUT", &path, "a=b", count).await).await, "sign_in_needed");
    let greedy = Receipt { duration_us: 2_000_000, ..house.receipt.clone() };
    let forked = SignedReceipt::sign(&house.node.key, greedy);
    house.node.wire.say(&FromNode::Receipt { receipt: Box::new(forked) }).await;
    loop {
        match house.node.wire.hear().await {
            Some(ToNode::ReceiptRefused { .. }) => break,
            Some(_) => {}
            None => panic!("the link stays"),
        }
    }
    let said = house.store.testimonies(0).await.unwrap();
    let kinds: Vec<_> = said.iter().map(|said| (said.kind.as_str(), said.node)).collect();
    let node = house.node.id;
    assert_eq!(kinds, [("link", node), ("page", node), ("refused", node)]);
}

/// The independent program's verdict on these levels.
fn recomputed(levels: &ServiceLevels) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_vec(levels).unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/recompute-service-levels.py");
    let done = Command::new("python3").arg(script).arg(file.path()).output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
}

#[tokio::test]
async fn service_levels_are_public_and_computed_again_by_another_program() {
    let house = house().await;
    let ended_at_ms = house.store.session(house.session).await.unwrap().unwrap().ended_at_ms.unwrap();
    let (year, month, _) = Epoch::of(ended_at_ms).date();
    let answer = house.service.get(&format!("/v1/service-levels/{year:04}-{month:02}")).await;
    let levels: ServiceLevels = json(answer).await;
    let [node] = &levels.nodes[..] else { panic!("one machine served: {levels:?}") };
    assert_eq!((node.node, node.level.sessions, node.level.served_us), (house.node.id, 1, 1_000_000));
    assert_eq!((node.level.lost, node.level.availability_ppm), (0, 1_000_000));
    let (right, said) = recomputed(&levels);
    assert!(right && said.contains("right: 1 machines, 1 sites"), "{said}");
    let mut wrong = levels.clone();
    wrong.nodes[0].level.lost = 1;
    assert!(!recomputed(&wrong).0, "the share does not follow from the counts any more");
    let mut wrong = levels;
    wrong.sites[0].level.sessions = 2;
    assert!(!recomputed(&wrong).0, "the site is not the sum of its machines any more");
    assert_eq!(problem(house.service.get("/v1/service-levels/2026-13").await).await, "bad_request");
    assert_eq!(house.service.get("/v1/service-levels/1990-01").await.status(), StatusCode::OK);
}

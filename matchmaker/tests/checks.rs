//! Checkers at the doors: an audit that is due is handed out once, places its session where it was drawn, and is reported
//! by whoever took it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use nearframe_matchmaker::Config;
use nearframe_matchmaker::store::checks::DayRow;
use nearframe_matchmaker::store::{Admission, MemoryStore, Store};
use nearframe_protocol::api::{CreatedSession, Page};
use nearframe_protocol::check::draw::{DAY_MS, Rules, Seed, day_of};
use nearframe_protocol::check::{
    CheckReport, EnrolChecker, FiledCheck, Finding, NextCheck, PROOF_HEADER, SignedCheck, Verdict, proof,
};
use nearframe_protocol::{NodeId, NodeKey, SessionId};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use support::{FakeNode, Service, bytes, create_session, json, post_session, problem};

/// Every node in every hour.
const RULES: Rules = Rules { new_days: 0, new_per_day: 24, per_day: 24 };

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn checker() -> NodeKey {
    NodeKey::from_seed([90; 32])
}

/// A request that the checker proves to be its own.
fn proven(method: &'static str, path: &str, body: Option<&impl Serialize>) -> Request<Body> {
    let body = body.map_or_else(Body::empty, |body| Body::from(serde_json::to_string(body).unwrap()));
    Request::builder()
        .method(method)
        .uri(path)
        .header(PROOF_HEADER, proof(&checker(), now_ms(), method, path))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap()
}

async fn file(service: &Service, check: &SignedCheck) -> Response<Body> {
    service.ask(proven("POST", "/v1/checks", Some(check))).await
}

async fn next(service: &Service) -> Option<NextCheck> {
    let answer = service.ask(proven("GET", "/v1/checks/next", None::<&()>)).await;
    match answer.status() {
        StatusCode::NO_CONTENT => None,
        StatusCode::OK => Some(json(answer).await),
        other => panic!("{other}: {:?}", bytes(answer).await),
    }
}

fn report(node: NodeId, session: SessionId) -> CheckReport {
    CheckReport {
        checker: checker().public(),
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

/// A matchmaker on which the first node has been enrolled for a day, and the second just now.
async fn house() -> (Service, FakeNode, FakeNode) {
    let store = Arc::new(MemoryStore::new());
    let old = NodeKey::from_seed([7; 32]);
    let yesterday = now_ms() - DAY_MS;
    store.add_enrolment([1; 32], u64::MAX).await.unwrap();
    let admission =
        store.admit_node(&old.public(), Some([1; 32]), &FakeNode::offer(4), yesterday).await.unwrap();
    assert!(matches!(admission, Admission::Admitted(_)));
    // Just after midnight, what is due is yesterday's.
    let day = DayRow { day: day_of(yesterday), seed: Seed::from_bytes([3; 32]), rules: RULES };
    nearframe_matchmaker::store::CheckStore::check_day(&*store, &day).await.unwrap();
    let config = Config { checks: RULES, ..Config::default() };
    let service = Service::with_store(config, store).await;
    let first = FakeNode::again(service.address, 4, vec![]).await;
    let code = service.matchmaker.enrolment_code().await.unwrap();
    let fresh = NodeKey::from_seed([8; 32]);
    let second =
        FakeNode::hello(service.address, fresh, Some(code), FakeNode::offer(4), vec![]).await.unwrap();
    let path = format!("/v1/checkers/{}", checker().public());
    let enrol = Request::put(path)
        .header(header::COOKIE, service.operator().await)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(serde_json::to_string(&EnrolChecker { name: "attic".into() }).unwrap()))
        .unwrap();
    assert_eq!(service.ask(enrol).await.status(), StatusCode::NO_CONTENT);
    (service, first, second)
}

#[tokio::test]
async fn a_drawn_audit_is_one_checkers_and_places_its_session_where_it_was_drawn() {
    let (service, first, _second) = Box::pin(house()).await;
    let mut audits = BTreeSet::new();
    while let Some(due) = next(&service).await {
        assert_eq!(due.node, first.id, "the second was not there yet");
        assert_eq!(due.title.as_str(), "meteor");
        assert!(audits.insert(due.audit), "handed out twice");
        let mut wish = create_session("meteor");
        wish.check = Some(due.check.clone());
        let created: CreatedSession = json(service.ask(post_session(&wish)).await).await;
        assert_eq!(created.session.node, first.id);
        let drawn = CheckReport { audit: Some(due.audit), ..report(first.id, created.session.id) };
        let check = SignedCheck::sign(&checker(), drawn);
        assert_eq!(file(&service, &check).await.status(), StatusCode::NO_CONTENT);
        wish.check = Some(format!("{}x", due.check));
        assert_eq!(problem(service.ask(post_session(&wish)).await).await, "bad_body", "a forged token");
        let path = format!("/v1/sessions/{}", created.session.id);
        let leave = Request::delete(path).header("authorization", format!("Bearer {}", created.ticket));
        assert_eq!(service.ask(leave.body(Body::empty()).unwrap()).await.status(), StatusCode::OK);
    }
    assert!((1..=3).contains(&audits.len()), "two hours of one audit each: {audits:?}");
}

#[tokio::test]
async fn a_report_is_taken_as_it_was_signed_and_of_a_session_that_was() {
    let (service, first, second) = Box::pin(house()).await;
    let session = service.created("meteor").await.session;
    let (node, other) = if session.node == first.id { (first.id, second.id) } else { (second.id, first.id) };
    let good = report(node, session.id);
    let refuse = async |check: SignedCheck| problem(file(&service, &check).await).await;
    let sign = |report: CheckReport| SignedCheck::sign(&checker(), report);
    let altered = SignedCheck { report: CheckReport { frames: 2, ..good.clone() }, ..sign(good.clone()) };
    assert_eq!(refuse(altered).await, "bad_body");
    let of_another = SignedCheck::sign(&NodeKey::from_seed([91; 32]), good.clone());
    assert_eq!(refuse(of_another).await, "bad_body");
    let unfounded = CheckReport { verdict: Verdict::Failed, ..good.clone() };
    assert_eq!(refuse(sign(unfounded)).await, "bad_body");
    let elsewhere = CheckReport { node: other, ..good.clone() };
    assert_eq!(refuse(sign(elsewhere)).await, "bad_body");
    let never = CheckReport { session: SessionId::from_bytes([9; 16]), ..good.clone() };
    assert_eq!(refuse(sign(never)).await, "unknown_session");

    assert_eq!(file(&service, &sign(good.clone())).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(file(&service, &sign(good.clone())).await.status(), StatusCode::NO_CONTENT, "again");
    let findings = vec![Finding::ChallengeUnanswered];
    let changed = CheckReport { verdict: Verdict::Failed, findings, ..good.clone() };
    assert_eq!(refuse(sign(changed)).await, "bad_body", "otherwise");

    let read =
        Request::get(format!("/v1/nodes/{node}/checks")).header(header::COOKIE, service.operator().await);
    let page: Page<FiledCheck> = json(service.ask(read.body(Body::empty()).unwrap()).await).await;
    let told: Vec<_> = page.items.iter().map(|row| (&row.check.report, &*row.checker_name)).collect();
    assert_eq!(told, [(&good, "attic")]);
}

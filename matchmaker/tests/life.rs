//! A session from the first request to its last receipt, and every way it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use nearframe_matchmaker::Config;
use nearframe_matchmaker::store::{MemoryStore, Store};
use nearframe_protocol::api::{CreatedSession, Node, Page, Session, StoredReceipt, Title};
use nearframe_protocol::attest::{Attestation, Fingerprint};
use nearframe_protocol::capability::{Capability, SignedCapability};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{FromNode, NODE_LOST_MS, NodeOffer, RunningSession, ToNode};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::signal::{FromPage, ToPage};
use nearframe_protocol::{EndReason, Generation, NodeKey, PeerId, Seat, SessionState, SpendLimit};
use std::sync::Arc;
use std::time::Duration;
use support::{FakeNode, Service, json, page, player, problem, welcomed};
use tokio::time::Instant;

async fn session(service: &Service, created: &CreatedSession) -> Session {
    let request = Request::get(format!("/v1/sessions/{}", created.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", created.ticket));
    json(service.ask(request.body(Body::empty()).unwrap()).await).await
}

async fn ended(wire: &mut support::Wire) -> EndReason {
    match wire.hear().await {
        Some(ToPage::Ended { reason, message }) => {
            assert_eq!(message, reason.advice());
            wire.expect_closed().await;
            reason
        }
        other => panic!("{other:?}"),
    }
}

async fn stopped(node: &mut FakeNode) -> EndReason {
    match node.wire.hear().await {
        Some(ToNode::Stop { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// A session that is live, with its page.
async fn playing(service: &Service, node: &mut FakeNode) -> (CreatedSession, RunningSession, support::Wire) {
    let created = service.created("meteor").await;
    let running = node.started().await;
    let mut wire = page(service, &created).await;
    assert_eq!(welcomed(&mut wire).await, SessionState::Starting);
    node.wire.say(&FromNode::Live { session: running.session, generation: running.generation }).await;
    assert_eq!(wire.hear().await, Some(ToPage::State { state: SessionState::Live }));
    (created, running, wire)
}

#[tokio::test]
async fn offer_answer_and_candidates_reach_the_right_side() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (created, running, mut wire) = playing(&service, &mut node).await;
    assert_eq!((created.node_key, created.session.node), (node.key.public(), node.id));
    let (peer, nonce) = (PeerId::from_random([1; 16]), Nonce::from_bytes([2; 32]));
    wire.say(&FromPage::Offer { peer, seat: Seat(0), sdp: "offer".into(), nonce }).await;
    let offer = node.wire.hear().await;
    let Some(ToNode::Offer { session, sdp, expires_at_ms, .. }) = offer else { panic!("{offer:?}") };
    assert_eq!((session, sdp.as_str()), (created.session.id, "offer"));
    wire.say(&FromPage::Candidate { peer, candidate: "candidate:1".into(), sdp_mid: None }).await;
    let candidate = ToNode::Candidate { session, peer, candidate: "candidate:1".into(), sdp_mid: None };
    assert_eq!(node.wire.hear().await, Some(candidate));

    let fingerprint = Fingerprint::from_bytes([3; 32]);
    let attestation = Attestation::sign(&node.key, session, fingerprint, nonce, expires_at_ms);
    let answer =
        |peer| FromNode::Answer { session, peer, sdp: "answer".into(), attestation: attestation.clone() };
    node.wire.say(&answer(PeerId::from_random([9; 16]))).await;
    node.wire.say(&answer(peer)).await;
    let heard = wire.hear().await;
    let Some(ToPage::Answer { peer: answered, attestation, .. }) = heard else { panic!("{heard:?}") };
    assert_eq!(answered, peer, "the answer to another page's peer is not for this one");
    attestation.verify(&created.node_key).unwrap();
    node.wire
        .say(&FromNode::Candidate { session, peer, candidate: "c".into(), sdp_mid: Some("0".into()) })
        .await;
    let candidate = ToPage::Candidate { peer, candidate: "c".into(), sdp_mid: Some("0".into()) };
    assert_eq!(wire.hear().await, Some(candidate));
    assert_eq!(running.generation, Generation(0));
}

#[tokio::test]
async fn a_session_whose_players_cap_is_used_up_says_so() {
    let store = Arc::new(MemoryStore::new());
    let service = Service::with_store(Config::default(), Arc::clone(&store) as _).await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (created, running, _) = playing(&service, &mut node).await;
    let limit = SpendLimit::PlayerCap;
    store.end_over_budget(running.session, limit, created.session.created_at_ms + 1).await.unwrap();
    let row = session(&service, &created).await;
    assert_eq!((row.end_reason, row.end_limit), (Some(EndReason::BudgetUsedUp), Some(limit)));
    assert_eq!(row.end_message.as_deref(), Some(limit.advice()));
    let mut late = page(&service, &created).await;
    let Some(ToPage::Ended { reason, message }) = late.hear().await else { panic!("it is over") };
    assert_eq!((reason, message.as_str()), (EndReason::BudgetUsedUp, limit.advice()));
    // Its node says that it runs, and is told the same.
    node.heartbeat(vec![running]).await;
    let heard = node.wire.hear().await;
    let Some(ToNode::Stop { reason, limit: told, .. }) = heard else { panic!("it stops: {heard:?}") };
    assert_eq!((reason, told), (EndReason::BudgetUsedUp, Some(limit)));
}

#[tokio::test]
async fn a_player_who_leaves_ends_the_session_and_frees_the_slot() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (created, _, mut wire) = playing(&service, &mut node).await;
    assert_eq!(problem(service.create("meteor").await).await, "no_capacity");
    let titles: Page<Title> = json(service.get("/v1/titles").await).await;
    assert!(!titles.items[0].available);
    wire.say(&FromPage::Leave).await;
    assert_eq!(ended(&mut wire).await, EndReason::PlayerLeft);
    assert_eq!(stopped(&mut node).await, EndReason::PlayerLeft);
    let row = session(&service, &created).await;
    assert_eq!((row.state, row.end_reason), (SessionState::Ended, Some(EndReason::PlayerLeft)));
    assert_eq!(row.end_message.as_deref(), Some(EndReason::PlayerLeft.advice()));
    let mut late = page(&service, &created).await;
    assert_eq!(ended(&mut late).await, EndReason::PlayerLeft);
    service.created("meteor").await;
}

#[tokio::test]
async fn leaving_over_http_ends_it_too_and_leaving_again_changes_nothing() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (created, _, mut wire) = playing(&service, &mut node).await;
    let operator = service.operator().await;
    let leave = |name, value: String| {
        Request::delete(format!("/v1/sessions/{}", created.session.id))
            .header(name, value)
            .body(Body::empty())
    };
    let by_ticket = leave(header::AUTHORIZATION, format!("Bearer {}", created.ticket)).unwrap();
    let row: Session = json(service.ask(by_ticket).await).await;
    assert_eq!(row.end_reason, Some(EndReason::PlayerLeft));
    assert_eq!(ended(&mut wire).await, EndReason::PlayerLeft);
    let row: Session = json(service.ask(leave(header::COOKIE, operator.clone()).unwrap()).await).await;
    assert_eq!(row.end_reason, Some(EndReason::PlayerLeft), "the first reason stays");

    assert_eq!(stopped(&mut node).await, EndReason::PlayerLeft);
    let (created, _, mut wire) = playing(&service, &mut node).await;
    let by_operator = Request::delete(format!("/v1/sessions/{}", created.session.id));
    let by_operator = by_operator.header(header::COOKIE, operator).body(Body::empty()).unwrap();
    assert_eq!(service.ask(by_operator).await.status(), StatusCode::OK);
    assert_eq!(ended(&mut wire).await, EndReason::Operator);
}

#[tokio::test]
async fn what_the_node_reports_reaches_page_and_api() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let reasons = [
        EndReason::TitleExited,
        EndReason::TitleFailed,
        EndReason::IdleTimeout,
        EndReason::PlayerUnreachable,
        EndReason::Drained,
    ];
    for reason in reasons {
        let (created, running, mut wire) = playing(&service, &mut node).await;
        let RunningSession { session: id, generation } = running;
        let other = FromNode::Ended { session: id, generation: Generation(1), reason, detail: String::new() };
        node.wire.say(&other).await;
        node.wire.say(&FromNode::Ended { session: id, generation, reason, detail: "why".into() }).await;
        assert_eq!(ended(&mut wire).await, reason);
        assert_eq!(session(&service, &created).await.end_reason, Some(reason));
        assert_eq!(stopped(&mut node).await, reason);
    }
}

#[tokio::test]
async fn a_node_that_stays_silent_is_lost_and_its_sessions_end() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (created, _, mut wire) = playing(&service, &mut node).await;
    node.wire.cut();
    let cut = Instant::now();
    assert_eq!(ended(&mut wire).await, EndReason::NodeLost);
    assert!(cut.elapsed() < Duration::from_millis(2 * NODE_LOST_MS), "{:?}", cut.elapsed());
    assert_eq!(session(&service, &created).await.end_reason, Some(EndReason::NodeLost));
    let nodes: Page<Node> = json(service.get("/v1/nodes").await).await;
    assert_eq!((nodes.items.len(), nodes.items[0].online, nodes.items[0].busy), (1, false, 0));
    assert_eq!(problem(service.create("meteor").await).await, "unknown_title");
}

#[tokio::test]
async fn what_a_node_measured_is_shown_with_its_signature() {
    let service = Service::start().await;
    let (key, code) = (NodeKey::from_seed([9; 32]), service.matchmaker.enrolment_code().await.unwrap());
    let signed = SignedCapability::sign(&key, Capability { sessions: 7, ..Capability::default() });
    let offer = NodeOffer { capability: Some(signed.clone()), ..FakeNode::offer(1) };
    let hello = FakeNode::hello(service.address, key.clone(), Some(code), offer, vec![]).await;
    let Ok(_node) = hello else { panic!("the node is not let in") };
    let nodes: Page<Node> = json(service.get("/v1/nodes").await).await;
    let shown = nodes.items[0].capability.as_ref().expect("the report is shown");
    assert_eq!(*shown, signed);
    shown.verify(&key.public()).unwrap();
}

#[tokio::test]
async fn a_link_that_comes_back_keeps_its_sessions_and_stops_strangers() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 2).await;
    let (created, running, mut wire) = playing(&service, &mut node).await;
    let stranger =
        RunningSession { session: nearframe_protocol::SessionId::from_random([66; 16]), ..running };
    node.wire.cut();
    let peer = PeerId::from_random([1; 16]);
    wire.say(&FromPage::Offer { peer, seat: Seat(0), sdp: "s".into(), nonce: Nonce::from_bytes([1; 32]) })
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut node = FakeNode::again(service.address, 2, vec![running, stranger]).await;
    let (mut offered, mut stopped) = (false, false);
    while !(offered && stopped) {
        match node.wire.hear().await {
            Some(ToNode::Offer { session, .. }) => offered = session == running.session,
            Some(ToNode::Stop { session, .. }) => stopped = session == stranger.session,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(session(&service, &created).await.state, SessionState::Live);
}

#[tokio::test]
async fn a_node_that_restarted_lost_its_live_sessions_and_starts_waiting_ones_again() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 2).await;
    let (_, _, mut live) = playing(&service, &mut node).await;
    let waiting = service.created("meteor").await;
    node.started().await;
    node.wire.cut();
    let mut node = FakeNode::again(service.address, 2, vec![]).await;
    assert_eq!(ended(&mut live).await, EndReason::NodeLost);
    loop {
        match node.wire.hear().await {
            Some(ToNode::Start { session, .. }) => break assert_eq!(session, waiting.session.id),
            Some(ToNode::Stop { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_that_vanishes_from_three_heartbeats_is_lost() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (_, running, mut wire) = playing(&service, &mut node).await;
    node.heartbeat(vec![running]).await;
    for _ in 0..3 {
        node.heartbeat(vec![]).await;
    }
    assert_eq!(ended(&mut wire).await, EndReason::NodeLost);
}

#[tokio::test]
async fn a_session_that_nobody_comes_to_ends_as_unreachable() {
    let service = Service::with(Config { connect_timeout_s: 1, ..Config::default() }).await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let created = service.created("meteor").await;
    node.started().await;
    assert_eq!(stopped(&mut node).await, EndReason::PlayerUnreachable);
    assert_eq!(session(&service, &created).await.end_reason, Some(EndReason::PlayerUnreachable));
}

#[tokio::test]
async fn sessions_outlive_a_restart_of_the_matchmaker() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (created, running, wire) = playing(&service, &mut node).await;
    node.wire.cut();
    wire.cut();
    let service = service.restart(Config::default()).await;
    assert_eq!(session(&service, &created).await.state, SessionState::Live);
    let _node = FakeNode::again(service.address, 1, vec![running]).await;
    let mut wire = page(&service, &created).await;
    assert_eq!(welcomed(&mut wire).await, SessionState::Live, "the old ticket still opens it");
}

fn receipt(node: &FakeNode, running: RunningSession, sequence: u32, previous: ReceiptHash) -> SignedReceipt {
    let receipt = Receipt {
        session: running.session,
        generation: running.generation,
        sequence,
        previous,
        duration_us: 1_000_000,
        frames: 60,
        bytes: 1000,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 1,
        packets_sent: 10,
        packets_lost: 0,
    };
    let mut signed = SignedReceipt::sign(&node.key, receipt);
    signed.player_signature = Some(player().sign(&signed.receipt.signed_bytes()));
    signed
}

#[tokio::test]
async fn receipts_are_acknowledged_counted_once_and_shown() {
    let config = Config { price_micros_per_hour: 3_600_000_000, ..Config::default() };
    let service = Service::with(config).await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (created, running, _wire) = playing(&service, &mut node).await;
    let first = receipt(&node, running, 0, ReceiptHash::ZERO);
    for _ in 0..2 {
        node.wire.say(&FromNode::Receipt { receipt: Box::new(first.clone()) }).await;
        let taken = node.wire.hear().await;
        assert!(matches!(taken, Some(ToNode::ReceiptTaken { sequence: 0, .. })), "{taken:?}");
    }
    let mut forged = receipt(&node, running, 1, first.receipt.hash());
    forged.receipt.frames = 1;
    node.wire.say(&FromNode::Receipt { receipt: Box::new(forged) }).await;
    let refused = node.wire.hear().await;
    assert!(matches!(refused, Some(ToNode::ReceiptRefused { sequence: 1, .. })), "{refused:?}");

    let row = session(&service, &created).await;
    assert_eq!((row.receipts, row.used_s, row.cost.amount_micros), (1, 1.0, 1_000_000));
    let request = Request::get(format!("/v1/sessions/{}/receipts", created.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", created.ticket));
    let page: Page<StoredReceipt> = json(service.ask(request.body(Body::empty()).unwrap()).await).await;
    assert_eq!((page.items.len(), &page.items[0].signed, page.items[0].countersigned), (1, &first, true));
}

#[tokio::test]
async fn a_receipt_makes_a_session_live_when_that_word_was_lost() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let created = service.created("meteor").await;
    let running = node.started().await;
    let mut wire = page(&service, &created).await;
    assert_eq!(welcomed(&mut wire).await, SessionState::Starting);
    let first = receipt(&node, running, 0, ReceiptHash::ZERO);
    node.wire.say(&FromNode::Receipt { receipt: Box::new(first) }).await;
    assert_eq!(wire.hear().await, Some(ToPage::State { state: SessionState::Live }));
}

#[tokio::test]
async fn a_store_that_fails_is_told_as_such_and_nothing_is_left_behind() {
    let store = Arc::new(MemoryStore::new());
    let service = Service::with_store(Config::default(), store.clone()).await;
    let mut node = FakeNode::enrol(&service, 1).await;
    store.crash_after(0);
    assert_eq!(problem(service.create("meteor").await).await, "unavailable");
    let created = service.created("meteor").await;
    assert_eq!(node.started().await.session, created.session.id, "the only slot was still free");
}

#[tokio::test]
async fn draining_tells_everybody_and_takes_the_last_receipts() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let (_, running, mut wire) = playing(&service, &mut node).await;
    node.heartbeat(vec![running]).await;
    // The receipt's answer says that the heartbeat before it was heard.
    let first = receipt(&node, running, 0, ReceiptHash::ZERO);
    node.wire.say(&FromNode::Receipt { receipt: Box::new(first.clone()) }).await;
    assert!(matches!(node.wire.hear().await, Some(ToNode::ReceiptTaken { .. })));
    let router = service.router();
    let (matchmaker, address) = (&service.matchmaker, service.address);
    let drain = matchmaker.drain(Duration::from_secs(20));
    let node_side = async {
        assert_eq!(ended(&mut wire).await, EndReason::Drained);
        assert_eq!(stopped(&mut node).await, EndReason::Drained);
        let last = receipt(&node, running, 1, first.receipt.hash());
        node.wire.say(&FromNode::Receipt { receipt: Box::new(last) }).await;
        let taken = node.wire.hear().await;
        assert!(matches!(taken, Some(ToNode::ReceiptTaken { sequence: 1, .. })), "{taken:?}");
        let create = support::post_session(&support::create_session("meteor"));
        let answer = tower::ServiceExt::oneshot(router, create).await.unwrap();
        assert_eq!(problem(answer).await, "draining");
        node.heartbeat(vec![]).await;
        node.wire.expect_closed().await;
    };
    tokio::join!(drain, node_side);
    assert!(address.ip().is_loopback());
    let answer = service.get("/readyz").await;
    assert_eq!(problem(answer).await, "draining");
}

#[tokio::test]
async fn a_server_that_was_started_again_leases_where_it_did_before() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 2).await;
    service.created("meteor").await;
    node.started().await;
    let service = service.restart(Config::default()).await;
    let mut node = FakeNode::again(service.address, 2, vec![]).await;
    service.created("meteor").await;
    node.started().await;
}

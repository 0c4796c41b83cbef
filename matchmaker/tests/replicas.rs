//! Several matchmakers on one PostgreSQL database and one NATS server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nats;
mod postgres;
mod support;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use nearframe_matchmaker::Config;
use nearframe_protocol::api::{CreatedSession, Node, Page, Session};
use nearframe_protocol::attest::{Attestation, Fingerprint};
use nearframe_protocol::fleet::{Group, Pending, Queued};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{FromNode, ToNode};
use nearframe_protocol::measure::Survey;
use nearframe_protocol::placement::Placement;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::signal::{FromPage, ToPage};
use nearframe_protocol::{EndReason, NodeKey, PeerId, Seat, SessionState, VersionOffer};
use std::time::Duration;
use support::{FakeNode, Service, cookie, create_session, json, page, player, post_session, welcomed};

struct Replicas {
    all: Vec<Service>,
    _postgres: postgres::Server,
    _nats: nats::Server,
}

impl Replicas {
    async fn start(count: usize) -> Self {
        let (postgres, nats) = (postgres::Server::start().await, nats::Server::start());
        let config = Config {
            database_url: Some(postgres.database("replicas").await),
            bus_url: Some(nats.url()),
            ..Config::default()
        };
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Service::with(config.clone()).await);
        }
        Self { all, _postgres: postgres, _nats: nats }
    }
}

/// Asks until it is so.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..400 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 20 s: {what}");
}

async fn is_online(service: &Service) -> Option<()> {
    let nodes: Page<Node> = json(service.get("/v1/nodes").await).await;
    nodes.items.first().filter(|node| node.online).map(drop)
}

async fn session(service: &Service, created: &CreatedSession) -> Session {
    let request = Request::get(format!("/v1/sessions/{}", created.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", created.ticket));
    json(service.ask(request.body(Body::empty()).unwrap()).await).await
}

#[tokio::test]
async fn a_page_at_one_replica_plays_on_a_node_at_another() {
    let replicas = Replicas::start(2).await;
    let [one, other] = &replicas.all[..] else { unreachable!() };
    let mut node = FakeNode::enrol(one, 1).await;
    until("the other replica knows the node", async || is_online(other).await).await;
    let cover = other.get("/v1/titles/meteor/cover").await;
    assert_eq!((cover.status(), &*support::bytes(cover).await), (StatusCode::OK, support::COVER));

    let created = other.created("meteor").await;
    let running = node.started().await;
    assert_eq!(running.session, created.session.id);
    let mut wire = page(other, &created).await;
    assert_eq!(welcomed(&mut wire).await, SessionState::Starting);

    let peer = PeerId::from_random([1; 16]);
    let nonce = Nonce::from_bytes([7; 32]);
    wire.say(&FromPage::Offer { peer, seat: Seat(0), sdp: "offer".into(), nonce }).await;
    let offer = node.wire.hear().await;
    assert!(matches!(&offer, Some(ToNode::Offer { sdp, .. }) if sdp == "offer"), "{offer:?}");
    let Some(ToNode::Offer { expires_at_ms, .. }) = offer else { unreachable!() };
    let fingerprint = Fingerprint::from_bytes([3; 32]);
    let attestation = Attestation::sign(&node.key, running.session, fingerprint, nonce, expires_at_ms);
    let sdp = "answer".to_owned();
    node.wire.say(&FromNode::Answer { session: running.session, peer, sdp, attestation }).await;
    let answer = wire.hear().await;
    assert!(matches!(answer, Some(ToPage::Answer { .. })), "{answer:?}");
    node.wire.say(&FromNode::Live { session: running.session, generation: running.generation }).await;
    assert_eq!(wire.hear().await, Some(ToPage::State { state: SessionState::Live }));

    let receipt = receipt(&node, running);
    node.wire.say(&FromNode::Receipt { receipt: Box::new(receipt) }).await;
    let taken = node.wire.hear().await;
    assert!(matches!(taken, Some(ToNode::ReceiptTaken { sequence: 0, .. })), "{taken:?}");
    assert_eq!(session(other, &created).await.receipts, 1);

    wire.say(&FromPage::Leave).await;
    assert_eq!(
        node.wire.hear().await,
        Some(ToNode::Stop { session: running.session, reason: EndReason::PlayerLeft, limit: None })
    );
    assert_eq!(session(one, &created).await.state, SessionState::Ended);
}

fn receipt(node: &FakeNode, running: nearframe_protocol::link::RunningSession) -> SignedReceipt {
    let receipt = Receipt {
        session: running.session,
        generation: running.generation,
        sequence: 0,
        previous: ReceiptHash::ZERO,
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
async fn a_page_at_one_replica_measures_the_nodes_of_another_and_is_let_in_there() {
    let replicas = Replicas::start(2).await;
    let [one, other] = &replicas.all[..] else { unreachable!() };
    let mut near = FakeNode::measurable(one, 1, FakeNode::offer(1)).await;
    let _far = FakeNode::measurable(one, 2, FakeNode::offer(1)).await;
    let survey = async || -> Survey {
        let asked = support::post("/v1/surveys", &serde_json::json!({"versions": VersionOffer::current()}));
        json(other.ask(asked).await).await
    };
    let both = async || Some(survey().await).filter(|survey| survey.candidates.len() == 2);
    let found = until("the other replica knows how to measure both", both).await;
    let candidate = found.candidates.iter().find(|candidate| candidate.node == near.id).unwrap();
    assert_eq!(candidate.addresses, ["192.0.2.1:4000".parse().unwrap()]);
    let check = serde_json::json!({"node": near.id, "address": "0.0.0.0:50000"});
    let body = serde_json::json!({"survey": found.survey, "checks": [check]});
    assert_eq!(other.ask(support::post("/v1/surveys/checks", &body)).await.status(), StatusCode::NO_CONTENT);
    let told = near.wire.hear().await;
    assert!(matches!(told, Some(ToNode::Check { .. })), "{told:?}");
    near.wire.cut();
    until("a node that is gone is not measured", async || survey().await.candidates.is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn a_node_key_has_one_link_across_replicas_and_its_sessions_go_with_it() {
    let replicas = Replicas::start(2).await;
    let [one, other] = &replicas.all[..] else { unreachable!() };
    let mut node = FakeNode::enrol(one, 2).await;
    until("the other replica knows the node", async || is_online(other).await).await;
    let created = other.created("meteor").await;
    let running = node.started().await;
    let mut moved = FakeNode::again(other.address, 2, vec![running]).await;
    match node.wire.hear().await {
        Some(ToNode::Refused { code, .. }) => assert_eq!(code, "replaced"),
        other => panic!("{other:?}"),
    }
    node.wire.expect_closed().await;
    until("the first replica knows where the node is", async || is_online(one).await).await;
    let second = one.created("meteor").await;
    assert_eq!(moved.started().await.session, second.session.id);
    assert_eq!(session(one, &created).await.state, SessionState::Starting, "the move ended nothing");
}

#[tokio::test]
async fn a_node_that_stops_is_lost_within_seconds_and_its_sessions_end_for_pages_everywhere() {
    let replicas = Replicas::start(2).await;
    let [one, other] = &replicas.all[..] else { unreachable!() };
    let mut node = FakeNode::enrol(one, 1).await;
    until("the other replica knows the node", async || is_online(other).await).await;
    let created = other.created("meteor").await;
    node.started().await;
    let mut wire = page(other, &created).await;
    welcomed(&mut wire).await;
    let cut = std::time::Instant::now();
    node.wire.cut();
    until("the node is offline", async || is_online(other).await.is_none().then_some(())).await;
    assert!(cut.elapsed() < Duration::from_secs(3), "noticed after {:?}", cut.elapsed());
    let ended = wire.hear().await;
    assert!(matches!(ended, Some(ToPage::Ended { reason: EndReason::NodeLost, .. })), "{ended:?}");
    assert_eq!(other.create("meteor").await.status(), StatusCode::NOT_FOUND, "nobody holds the title");
}

#[tokio::test]
async fn two_matchmakers_share_their_operator_and_their_guests() {
    let replicas = Replicas::start(2).await;
    let [one, other] = &replicas.all[..] else { unreachable!() };
    let cookie = one.operator().await;
    let request = Request::post("/v1/enrolments").header(header::COOKIE, cookie);
    let answer = other.ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let code = one.matchmaker.enrolment_code().await.unwrap();
    let key = NodeKey::from_seed([9; 32]);
    FakeNode::hello(other.address, key, Some(code), FakeNode::offer(1), vec![]).await.unwrap();
}

fn with_cookie(mut request: Request<Body>, cookie: &str) -> Request<Body> {
    request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    request
}

#[tokio::test]
async fn the_line_is_the_same_at_every_replica_and_so_are_reasons() {
    let replicas = Replicas::start(2).await;
    let [one, other] = &replicas.all[..] else { unreachable!() };
    let mut node = FakeNode::enrol(one, 1).await;
    until("the other replica knows the node", async || is_online(other).await).await;
    let playing = one.created("meteor").await;
    node.started().await;
    let why = Request::get(format!("/v1/sessions/{}/placement", playing.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", playing.ticket));
    let why: Placement = json(other.ask(why.body(Body::empty()).unwrap()).await).await;
    assert_eq!((why.session, why.chosen), (playing.session.id, node.id), "whoever decided it");

    let mut wanted = create_session("meteor");
    wanted.wait = true;
    let answer = one.ask(post_session(&wanted)).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let first = cookie(&answer);
    until("the other replica knows the line", async || {
        let queue = Request::get("/v1/queue").header(header::COOKIE, &first).body(Body::empty()).unwrap();
        let queue: Page<Queued> = json(other.ask(queue).await).await;
        (!queue.items.is_empty()).then_some(())
    })
    .await;
    let second: Pending = json(other.ask(post_session(&wanted)).await).await;
    assert_eq!(second.wait.unwrap().place, 2);

    let leave = Request::delete(format!("/v1/sessions/{}", playing.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", playing.ticket));
    assert_eq!(one.ask(leave.body(Body::empty()).unwrap()).await.status(), StatusCode::OK);
    let mut again = wanted.clone();
    again.queue = Some(second.queue);
    for _ in 0..3 {
        let still: Pending = json(other.ask(post_session(&again)).await).await;
        assert_eq!(still.wait.unwrap().place, 2, "the first in line comes first, wherever it asked");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mine = until("the first gets the slot at the other replica", async || {
        let answer = other.ask(with_cookie(post_session(&wanted), &first)).await;
        (answer.status() == StatusCode::CREATED).then_some(answer)
    })
    .await;
    let mine: CreatedSession = json(mine).await;
    assert_eq!(mine.session.node, node.id);
    until("the second moves up everywhere", async || {
        let next: Pending = json(one.ask(post_session(&again)).await).await;
        (next.wait.unwrap().place == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_group_gathers_whichever_replica_each_member_asks() {
    let replicas = Replicas::start(3).await;
    let [one, other, third] = &replicas.all[..] else { unreachable!() };
    let node = FakeNode::enrol(one, 3).await;
    for replica in [other, third] {
        until("every replica knows the node", async || is_online(replica).await).await;
    }
    let body = serde_json::json!({"title": "meteor", "size": 3, "together": "node"});
    let group: Group = json(third.ask(support::post("/v1/groups", &body)).await).await;
    let mut wanted = create_session("meteor");
    wanted.group = Some(group.group);
    let mut waiting = Vec::new();
    for (replica, joined) in [(one, 1), (other, 2)] {
        let answer = replica.ask(post_session(&wanted)).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        waiting.push(cookie(&answer));
        let pending: Pending = json(answer).await;
        assert_eq!(pending.gathered.map(|gathered| (gathered.joined, gathered.size)), Some((joined, 3)));
    }
    let mut sessions = vec![json::<CreatedSession>(third.ask(post_session(&wanted)).await).await];
    for (replica, member) in [(other, &waiting[0]), (one, &waiting[1])] {
        sessions.push(json(replica.ask(with_cookie(post_session(&wanted), member)).await).await);
    }
    assert!(sessions.iter().all(|created| created.session.node == node.id));
    let answer = other.ask(post_session(&wanted)).await;
    assert_eq!(support::problem(answer).await, "unknown_group", "it is complete");
}

#[tokio::test]
async fn one_that_is_told_to_stop_leaves_its_regions_and_sessions_to_the_others() {
    let replicas = Replicas::start(2).await;
    let [one, other] = &replicas.all[..] else { unreachable!() };
    let mut node = FakeNode::enrol(one, 2).await;
    until("the other replica knows the node", async || is_online(other).await).await;
    let created = one.created("meteor").await;
    let running = node.started().await;
    let asked = std::time::Instant::now();
    one.matchmaker.drain(Duration::from_secs(5)).await;
    let mut moved = FakeNode::again(other.address, 2, vec![running]).await;
    let second = until("the other replica leases in the region", async || {
        let answer = other.create("meteor").await;
        (answer.status() == StatusCode::CREATED).then_some(answer)
    })
    .await;
    assert!(asked.elapsed() < Duration::from_secs(3), "nobody had to find out: {:?}", asked.elapsed());
    let second: CreatedSession = json(second).await;
    assert_eq!(moved.started().await.session, second.session.id);
    assert_eq!(session(other, &created).await.state, SessionState::Starting, "nothing was ended");
}

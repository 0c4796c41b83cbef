//! Surveys, what is made of them, and what an operator orders, asked over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use nearframe_matchmaker::Config;
use nearframe_matchmaker::store::{MemoryStore, PlacementStore};
use nearframe_protocol::api::{CreatedSession, Page};
use nearframe_protocol::fleet::{Booking, FleetView, Group, Order, Pending, Queued, Residency, Together};
use nearframe_protocol::link::{NodeOffer, ToNode};
use nearframe_protocol::measure::{
    ExpectedQuality, KnownBy, Measured, MeasuredNode, Outlook, Survey, Ticket,
};
use nearframe_protocol::placement::Placement;
use nearframe_protocol::terms::{Evidence, Location, NodeTerms};
use nearframe_protocol::{NodeId, NodeKey, VersionOffer};
use serde::Serialize;
use serde_json::json as value;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{FakeNode, Service, cookie, create_session, json, post_session, problem};

/// Rules and presence are looked at within this.
const SOON: Duration = Duration::from_secs(15);

fn offer(name: &str, region: &str, place: (f64, f64), slots: u32) -> NodeOffer {
    let (latitude_deg, longitude_deg) = place;
    let location = Some(Location { latitude_deg, longitude_deg, asn: None, evidence: Evidence::Declared });
    let terms = NodeTerms { location, ..NodeTerms::default() };
    NodeOffer { name: name.into(), region: region.into(), terms, ..FakeNode::offer(slots) }
}

fn request(method: Method, path: &str, body: &impl Serialize) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(serde_json::to_string(body).unwrap()))
        .unwrap()
}

fn with_cookie(mut request: Request<Body>, cookie: &str) -> Request<Body> {
    request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    request
}

async fn survey(service: &Service) -> Survey {
    let asked = value!({"versions": VersionOffer::current()});
    json(service.ask(support::post("/v1/surveys", &asked)).await).await
}

/// Asks until the reflectors of `count` nodes are known.
async fn survey_of(service: &Service, count: usize) -> Survey {
    let end = tokio::time::Instant::now() + SOON;
    loop {
        let found = survey(service).await;
        if found.candidates.len() == count {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn results(survey: &Survey, rtts: &[(NodeId, u32)]) -> Measured {
    let nodes = rtts.iter().map(|&(node, rtt_us)| MeasuredNode { node, rtt_us }).collect();
    Measured { survey: survey.survey.clone(), nodes }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn three(service: &Service) -> [FakeNode; 3] {
    [
        FakeNode::measurable(service, 11, offer("berlin", "DE", (52.5, 13.4), 4)).await,
        FakeNode::measurable(service, 12, offer("paris", "FR", (48.9, 2.4), 4)).await,
        FakeNode::measurable(service, 13, offer("sydney", "AU", (-33.9, 151.2), 4)).await,
    ]
}

#[tokio::test]
async fn a_page_is_told_whom_to_measure_and_plays_where_it_measured_least() {
    let service = Service::start().await;
    let mut nodes = Box::pin(three(&service)).await;
    let found = survey_of(&service, 3).await;
    for candidate in &found.candidates {
        let n = nodes.iter().position(|node| node.id == candidate.node).unwrap();
        let known = Ticket::read(&support::secret(11 + n as u8), &candidate.ufrag, now_s()).unwrap();
        assert_eq!(known.password, candidate.password, "the node knows the ticket by itself");
        assert_eq!(candidate.addresses[0], format!("192.0.2.{}:4000", 11 + n).parse().unwrap());
    }

    let rtts = [(nodes[0].id, 280_000), (nodes[1].id, 290_000), (nodes[2].id, 9_000)];
    let measured = results(&found, &rtts);
    let outlook: Outlook = json(service.ask(support::post("/v1/surveys/measured", &measured)).await).await;
    let title = &outlook.titles[0];
    assert_eq!((title.region.as_str(), title.known_by), ("AU", KnownBy::Measured));
    assert_eq!((title.rtt_ms, title.quality), (Some(9.0), ExpectedQuality::Excellent));

    let mut wanted = create_session("meteor");
    wanted.measured = Some(measured);
    let created: CreatedSession = json(service.ask(post_session(&wanted)).await).await;
    assert_eq!(created.session.node, nodes[2].id);
    nodes[2].started().await;
    let why = Request::get(format!("/v1/sessions/{}/placement", created.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", created.ticket))
        .body(Body::empty())
        .unwrap();
    let why: Placement = json(service.ask(why).await).await;
    assert_eq!((why.chosen, why.candidates[0].rtt_us), (nodes[2].id, 9_000));
    assert_eq!(why.candidates[1].cost.rtt, 271_000, "what the next one would have cost more");

    let again: Outlook = json(service.get("/v1/outlook").await).await;
    assert_eq!(again.titles[0].known_by, KnownBy::History, "the same network need not measure to be told");
    assert_eq!(again.titles[0].rtt_ms, Some(9.0));
}

#[tokio::test]
async fn what_is_not_ours_or_was_not_asked_for_is_left_aside() {
    let service = Service::start().await;
    let nodes = Box::pin(three(&service)).await;
    let found = survey_of(&service, 3).await;
    let forged = Measured { survey: format!("{}x", found.survey), nodes: vec![] };
    let answer = service.ask(support::post("/v1/surveys/measured", &forged)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem(answer).await, "bad_survey");

    let mut wanted = create_session("meteor");
    wanted.measured = Some(forged);
    assert_eq!(service.ask(post_session(&wanted)).await.status(), StatusCode::CREATED, "a guess will do");

    // Two short legs to the ends of the world contradict each other: neither is believed.
    let liar = results(&found, &[(nodes[0].id, 1_000), (nodes[2].id, 1_000)]);
    let outlook: Outlook = json(service.ask(support::post("/v1/surveys/measured", &liar)).await).await;
    assert_ne!(outlook.titles[0].known_by, KnownBy::Measured);
}

#[tokio::test]
async fn a_node_behind_a_nat_is_told_the_pages_own_address_and_no_other() {
    let service = Service::start().await;
    let mut nodes = Box::pin(three(&service)).await;
    let found = survey_of(&service, 3).await;
    let check = |address: &str, node: NodeId| {
        let body = value!({"survey": found.survey, "checks": [{"node": node, "address": address}]});
        support::post("/v1/surveys/checks", &body)
    };
    // Without a listener's word the caller's address is unspecified.
    let own = service.ask(check("0.0.0.0:50000", nodes[0].id)).await;
    assert_eq!(own.status(), StatusCode::NO_CONTENT);
    match nodes[0].wire.hear().await {
        Some(ToNode::Check { address, ufrag }) => {
            assert_eq!(address, "0.0.0.0:50000".parse().unwrap());
            assert!(Ticket::read(&support::secret(11), &ufrag, now_s()).is_some());
        }
        other => panic!("{other:?}"),
    }
    let victim = service.ask(check("198.51.100.1:50000", nodes[0].id)).await;
    assert_eq!(problem(victim).await, "bad_request");
    let stranger = service.ask(check("0.0.0.0:50000", NodeId::from_random([99; 16]))).await;
    assert_eq!(problem(stranger).await, "bad_request");
}

#[tokio::test]
async fn round_trips_survive_a_restart_and_are_shared_by_replicas() {
    let store = Arc::new(MemoryStore::new());
    let service = Service::with_store(Config::default(), store.clone()).await;
    let nodes = Box::pin(three(&service)).await;
    let found = survey_of(&service, 3).await;
    let measured = results(&found, &[(nodes[0].id, 50_000), (nodes[1].id, 7_000), (nodes[2].id, 250_000)]);
    service.ask(support::post("/v1/surveys/measured", &measured)).await;
    service.matchmaker.drain(Duration::from_secs(1)).await;
    assert_eq!(store.known_latency_sites().await.unwrap().len(), 3);
    assert_eq!(store.latency_since(0, 10).await.unwrap().len(), 1, "one network");

    let replica = Service::with_store(Config::default(), store).await;
    let again = FakeNode::hello(
        replica.address,
        NodeKey::from_seed([12; 32]),
        None,
        offer("paris", "FR", (48.9, 2.4), 4),
        vec![],
    );
    let _again = again.await.unwrap();
    let outlook: Outlook = json(replica.get("/v1/outlook").await).await;
    assert_eq!((outlook.titles[0].known_by, outlook.titles[0].rtt_ms), (KnownBy::History, Some(7.0)));
}

#[tokio::test]
async fn bans_and_drains_hold_are_explained_and_can_be_lifted() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let mut nodes = Box::pin(three(&service)).await;
    let order = |node: NodeId, kind: &str, body: serde_json::Value| {
        with_cookie(request(Method::PUT, &format!("/v1/nodes/{node}/{kind}"), &body), &operator)
    };
    let banned = order(nodes[0].id, "ban", value!({"reason": "lies", "evidence": "see the log"}));
    assert_eq!(service.ask(banned).await.status(), StatusCode::NO_CONTENT);
    let drained = order(nodes[1].id, "drain", value!({"reason": "new driver"}));
    assert_eq!(service.ask(drained).await.status(), StatusCode::NO_CONTENT);
    let empty = order(nodes[1].id, "ban", value!({"reason": " "}));
    assert_eq!(problem(service.ask(empty).await).await, "bad_body");
    let nobody = order(NodeId::from_random([99; 16]), "ban", value!({"reason": "x"}));
    assert_eq!(problem(service.ask(nobody).await).await, "unknown_node");

    let created = service.created("meteor").await;
    assert_eq!(created.session.node, nodes[2].id);
    nodes[2].started().await;
    let view: FleetView =
        json(service.ask(with_cookie(request(Method::GET, "/v1/fleet", &value!(null)), &operator)).await)
            .await;
    let row = |name: &str| view.nodes.iter().find(|node| node.name == name).unwrap();
    assert!(row("berlin").banned && row("paris").draining && !row("sydney").draining);
    assert_eq!(row("berlin").orders[0].evidence, "see the log");
    assert_eq!(view.placements[0].node, nodes[2].id);

    // A node that comes back is still shut out.
    let again = FakeNode::hello(
        service.address,
        NodeKey::from_seed([11; 32]),
        None,
        offer("berlin", "DE", (52.5, 13.4), 4),
        vec![],
    );
    let _again = again.await.unwrap();
    let why = Request::get(format!("/v1/sessions/{}/placement", created.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", created.ticket))
        .body(Body::empty())
        .unwrap();
    let why: Placement = json(service.ask(why).await).await;
    let refused: Vec<_> = why.refused.iter().map(|row| (row.obstacle.as_str(), row.nodes)).collect();
    assert_eq!(refused, [("banned", 1), ("draining", 1)]);

    for kind in ["ban", "drain"] {
        let node = if kind == "ban" { nodes[0].id } else { nodes[1].id };
        let lift = request(Method::DELETE, &format!("/v1/nodes/{node}/{kind}"), &value!(null));
        assert_eq!(service.ask(with_cookie(lift, &operator)).await.status(), StatusCode::NO_CONTENT);
    }
    let orders = request(Method::GET, &format!("/v1/nodes/{}/orders", nodes[0].id), &value!(null));
    let orders: Page<Order> = json(service.ask(with_cookie(orders, &operator)).await).await;
    assert!(orders.items[0].lifted_ms.is_some() && orders.items[0].reason == "lies", "the record stays");
}

#[tokio::test]
async fn residency_of_title_and_player_hold_together() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let nodes = Box::pin(three(&service)).await;
    let rule = value!({"allow": ["DE", "FR"]});
    let set = request(Method::PUT, "/v1/titles/meteor/residency", &rule);
    assert_eq!(service.ask(with_cookie(set, &operator)).await.status(), StatusCode::NO_CONTENT);
    let wrong = request(Method::PUT, "/v1/titles/meteor/residency", &value!({"allow": ["Germany"]}));
    assert_eq!(problem(service.ask(with_cookie(wrong, &operator)).await).await, "bad_body");

    let mut wanted = create_session("meteor");
    wanted.residency = Some(Residency { allow: vec![], deny: vec!["DE".into()] });
    let created: CreatedSession = json(service.ask(post_session(&wanted)).await).await;
    assert_eq!(created.session.node, nodes[1].id, "only France is left");

    wanted.residency = Some(Residency { allow: vec!["AU".into()], deny: vec![] });
    let answer = service.ask(post_session(&wanted)).await;
    assert_eq!(problem(answer).await, "no_capacity");
}

#[tokio::test]
async fn who_finds_no_slot_waits_in_line_and_gets_the_next() {
    let service = Service::start().await;
    let mut alone = FakeNode::measurable(&service, 11, offer("alone", "DE", (52.5, 13.4), 1)).await;
    let first = service.created("meteor").await;
    alone.started().await;

    let mut wanted = create_session("meteor");
    wanted.wait = true;
    let answer = service.ask(post_session(&wanted)).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let guest = cookie(&answer);
    let pending: Pending = json(answer).await;
    assert_eq!(pending.wait.unwrap().place, 1);
    // Another, who keeps its place without a cookie.
    let answer = service.ask(post_session(&wanted)).await;
    let other: Pending = json(answer).await;
    assert_eq!(other.wait.unwrap().place, 2);
    let mut again = wanted.clone();
    again.queue = Some(other.queue.clone());
    let same: Pending = json(service.ask(post_session(&again)).await).await;
    assert_eq!(same.wait.unwrap().place, 2, "asked again, the same place");

    let queue = with_cookie(request(Method::GET, "/v1/queue", &value!(null)), &guest);
    let queue: Page<Queued> = json(service.ask(queue).await).await;
    assert_eq!((queue.items.len(), queue.items[0].wait.place), (1, 1));

    let leave = Request::delete(format!("/v1/sessions/{}", first.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {}", first.ticket))
        .body(Body::empty())
        .unwrap();
    assert_eq!(service.ask(leave).await.status(), StatusCode::OK);
    assert_eq!(problem(service.create("meteor").await).await, "no_capacity", "nobody is passed by");
    let second: Pending = json(service.ask(post_session(&again)).await).await;
    assert_eq!(second.wait.unwrap().place, 2, "the first in line comes first");
    let answer = service.ask(with_cookie(post_session(&wanted), &guest)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let next: Pending = json(service.ask(post_session(&again)).await).await;
    assert_eq!(next.wait.unwrap().place, 1);

    let give_up = with_cookie(request(Method::DELETE, "/v1/queue/meteor", &value!(null)), &guest);
    assert_eq!(service.ask(give_up).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_reserve_is_kept_from_players_without_a_booking() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let mut berlin = FakeNode::measurable(&service, 11, offer("berlin", "DE", (52.5, 13.4), 2)).await;
    let reserve = request(Method::PUT, "/v1/regions/DE/reserve", &value!({"slots": 1}));
    assert_eq!(service.ask(with_cookie(reserve, &operator)).await.status(), StatusCode::NO_CONTENT);
    service.created("meteor").await;
    berlin.started().await;
    let refused = service.create("meteor").await;
    assert_eq!(problem(refused).await, "no_capacity", "the other slot is reserved");

    let now_ms = now_s() * 1000;
    let wish = |slots: u32| {
        let body =
            value!({"region": "DE", "from_ms": now_ms, "until_ms": now_ms + 3_600_000, "slots": slots});
        with_cookie(support::post("/v1/bookings", &body), &operator)
    };
    assert_eq!(problem(service.ask(wish(2)).await).await, "no_room");
    let answer = service.ask(wish(1)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let booking: Booking = json(answer).await;

    let mut wanted = create_session("meteor");
    wanted.booking = Some(booking.booking.clone());
    let answer = service.ask(post_session(&wanted)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    berlin.started().await;
    let more = service.ask(post_session(&wanted)).await;
    assert!(["no_room", "no_capacity"].contains(&problem(more).await.as_str()), "it was for one");
    wanted.booking = Some("rubbish".into());
    assert_eq!(problem(service.ask(post_session(&wanted)).await).await, "unknown_booking");

    let cancel = request(Method::DELETE, &format!("/v1/bookings/{}", booking.booking), &value!(null));
    assert_eq!(service.ask(with_cookie(cancel, &operator)).await.status(), StatusCode::NO_CONTENT);
    let list = with_cookie(request(Method::GET, "/v1/bookings", &value!(null)), &operator);
    let list: Page<Booking> = json(service.ask(list).await).await;
    assert!(list.items.is_empty());
}

#[tokio::test]
async fn a_group_gets_one_node_or_none_of_them_a_slot() {
    let service = Service::start().await;
    let mut small = FakeNode::measurable(&service, 11, offer("small", "DE", (52.5, 13.4), 1)).await;
    let mut large = FakeNode::measurable(&service, 12, offer("large", "FR", (48.9, 2.4), 2)).await;
    let body = value!({"title": "meteor", "size": 2, "together": Together::Node});
    let answer = service.ask(support::post("/v1/groups", &body)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let group: Group = json(answer).await;
    let mut wanted = create_session("meteor");
    wanted.group = Some(group.group.clone());
    let answer = service.ask(post_session(&wanted)).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let first = cookie(&answer);
    let pending: Pending = json(answer).await;
    assert_eq!(pending.gathered.map(|gathered| (gathered.joined, gathered.size)), Some((1, 2)));
    let second: CreatedSession = json(service.ask(post_session(&wanted)).await).await;
    let answer = service.ask(with_cookie(post_session(&wanted), &first)).await;
    let first: CreatedSession = json(answer).await;
    assert_eq!((first.session.node, second.session.node), (large.id, large.id));
    assert_ne!(first.session.id, second.session.id);
    large.started().await;
    large.started().await;
    assert_eq!(problem(service.ask(post_session(&wanted)).await).await, "unknown_group", "it is complete");

    // Now one slot is left in all: a group of two gets none of it.
    let group: Group = json(service.ask(support::post("/v1/groups", &body)).await).await;
    wanted.group = Some(group.group);
    let answer = service.ask(post_session(&wanted)).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(problem(service.ask(post_session(&wanted)).await).await, "no_capacity");
    assert_eq!(service.created("meteor").await.session.node, small.id, "the slot is still there");
    small.started().await;
}

#[tokio::test]
async fn interruptible_work_makes_way_for_a_player_after_a_notice() {
    let service = Service::start().await;
    let terms = NodeTerms { batch: true, ..NodeTerms::default() };
    let offer = NodeOffer { terms, ..FakeNode::offer(1) };
    let mut alone = FakeNode::measurable(&service, 11, offer).await;
    let mut batch = create_session("meteor");
    batch.interruptible = true;
    let task: CreatedSession = json(service.ask(post_session(&batch)).await).await;
    let running = alone.started().await;
    let mut page = support::page(&service, &task).await;
    support::welcomed(&mut page).await;

    let mut player = create_session("meteor");
    player.wait = true;
    let asked = tokio::time::Instant::now();
    let pending: Pending = json(service.ask(post_session(&player)).await).await;
    let told: nearframe_protocol::signal::ToPage = page.hear().await.unwrap();
    assert!(matches!(told, nearframe_protocol::signal::ToPage::Interruption { .. }), "{told:?}");
    player.queue = Some(pending.queue);
    loop {
        alone.heartbeat(vec![running]).await;
        let answer = service.ask(post_session(&player)).await;
        if answer.status() == StatusCode::CREATED {
            break;
        }
        assert!(asked.elapsed() < SOON, "the slot was never given");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(asked.elapsed() >= Duration::from_secs(5), "not before the notice was over");
    match page.hear::<nearframe_protocol::signal::ToPage>().await {
        Some(nearframe_protocol::signal::ToPage::Ended { reason, .. }) => {
            assert_eq!(reason, nearframe_protocol::EndReason::Preempted);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_page_tells_how_far_its_node_is_while_it_plays() {
    let service = Service::start().await;
    let mut nodes = Box::pin(three(&service)).await;
    let created = service.created("meteor").await;
    let at = nodes.iter().position(|node| node.id == created.session.node).unwrap();
    nodes[at].started().await;
    let mut report = request(
        Method::POST,
        &format!("/v1/sessions/{}/path", created.session.id),
        &value!({"rtt_us": 12_000}),
    );
    report.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {}", created.ticket).parse().unwrap());
    assert_eq!(service.ask(report).await.status(), StatusCode::NO_CONTENT);
    let outlook: Outlook = json(service.get("/v1/outlook").await).await;
    assert_eq!((outlook.titles[0].known_by, outlook.titles[0].rtt_ms), (KnownBy::History, Some(12.0)));
}

//! The doors from outside: problems for every error, limits, origins, covers, sign-in, and rubbish.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use nearframe_matchmaker::{Config, IceConfig, Limits};
use nearframe_protocol::api::{CreatedSession, Enrolment, Page, Session, Title};
use nearframe_protocol::capability::{Capability, SignedCapability};
use nearframe_protocol::link::{FromNode, NodeOffer, ToNode};
use nearframe_protocol::signal::{FromPage, MAX_SIGNAL_BYTES, ToPage};
use nearframe_protocol::{NodeKey, PeerId, Seat, SessionId, VersionOffer, key::Nonce};
use serde_json::{Value, json as object};
use std::time::Duration;
use support::{
    COVER, FakeNode, Service, Wire, bytes, cookie, create_session, json, page, page_with, post_session,
    problem, welcomed,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

fn get(path: &str) -> axum::http::request::Builder {
    Request::get(path)
}
async fn ask(service: &Service, request: axum::http::request::Builder) -> Response<Body> {
    service.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_kind_of_mistake_is_a_problem_with_its_code() {
    let service = Service::start().await;
    let _node = FakeNode::enrol(&service, 1).await;
    let post = |kind: &'static str, body: String| {
        let builder = Request::post("/v1/sessions").header(header::CONTENT_TYPE, kind);
        builder.body(Body::from(body)).unwrap()
    };
    let json_kind = "application/json";
    let mut unknown_field = serde_json::to_value(create_session("meteor")).unwrap();
    unknown_field["cheat"] = Value::Bool(true);
    let mut future = create_session("meteor");
    future.versions = VersionOffer { min: 9, max: 9, features: vec![] };
    let nobody = SessionId::from_random([1; 16]);
    let empty = |builder: axum::http::request::Builder| builder.body(Body::empty()).unwrap();
    let cases = [
        (post(json_kind, "{".into()), "bad_request"),
        (post(json_kind, "\u{0}".into()), "bad_request"),
        (post(json_kind, "[]".into()), "bad_body"),
        (post(json_kind, unknown_field.to_string()), "bad_body"),
        (post(json_kind, object!({"title": "../etc"}).to_string()), "bad_body"),
        (post("text/plain", "{}".into()), "unsupported_media_type"),
        (post(json_kind, format!("\"{}\"", "x".repeat(70_000))), "too_large"),
        (post_session(&create_session("unheard-of")), "unknown_title"),
        (post_session(&future), "version_mismatch"),
        (empty(get("/v1/nothing")), "not_found"),
        (empty(get("/v1/titles/Meteor!")), "bad_id"),
        (empty(get("/v1/titles/%ff")), "bad_id"),
        (empty(get("/v1/titles/unheard-of")), "unknown_title"),
        (empty(get("/v1/titles/unheard-of/cover")), "unknown_title"),
        (empty(get("/v1/sessions/1")), "bad_id"),
        (empty(get(&format!("/v1/sessions/{nobody}"))), "unknown_session"),
        (empty(get("/v1/sessions?cursor=~")), "bad_cursor"),
        (empty(get("/v1/sessions?cursor=a&cursor=b")), "bad_request"),
        (empty(Request::put("/v1/sessions")), "method_not_allowed"),
        (empty(Request::delete("/v1/titles")), "method_not_allowed"),
        (empty(get("/v1/nodes/link")), "upgrade_needed"),
        (empty(get(&format!("/v1/sessions/{nobody}/signal"))), "upgrade_needed"),
        (empty(Request::post("/v1/enrolments")), "sign_in_needed"),
        (empty(get("/operator?token=wrong")), "sign_in_needed"),
    ];
    for (request, code) in cases {
        let what = format!("{} {}", request.method(), request.uri());
        assert_eq!(problem(service.ask(request).await).await, code, "{what}");
    }
}

#[tokio::test]
async fn the_catalogue_shows_what_nodes_hold_with_covers_that_are_cached() {
    let service = Service::start().await;
    let empty: Page<Title> = json(service.get("/v1/titles").await).await;
    assert!(empty.items.is_empty());
    let _node = FakeNode::enrol(&service, 1).await;
    service.matchmaker.wait_ready().await;
    let titles: Page<Title> = json(service.get("/v1/titles").await).await;
    let title: Title = json(service.get("/v1/titles/meteor").await).await;
    assert_eq!(titles.items, std::slice::from_ref(&title));
    assert!(title.available);
    let path = title.entry.cover.unwrap();
    assert_eq!(path, "/v1/titles/meteor/cover", "the node's own path is not shown");
    let cover = service.get(&path).await;
    assert_eq!(cover.headers()[header::CONTENT_TYPE], "image/png");
    let tag = cover.headers()[header::ETAG].clone();
    assert_eq!(bytes(cover).await, COVER);
    let again = ask(&service, get(&path).header(header::IF_NONE_MATCH, tag)).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_guest_gets_a_cookie_once_and_finds_its_sessions_by_it() {
    let service = Service::start().await;
    let _node = FakeNode::enrol(&service, 2).await;
    let first = service.create("meteor").await;
    let set = first.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && !set.contains("Secure"), "{set}");
    let guest = cookie(&first);
    let first: CreatedSession = json(first).await;
    let mut request = post_session(&create_session("meteor"));
    request.headers_mut().insert(header::COOKIE, guest.parse().unwrap());
    let second = service.ask(request).await;
    assert!(second.headers().get(header::SET_COOKIE).is_none());
    let second: CreatedSession = json(second).await;
    assert_ne!(first.ticket, second.ticket);
    let mine: Page<Session> =
        json(ask(&service, get("/v1/sessions").header(header::COOKIE, guest)).await).await;
    let mut ids: Vec<_> = mine.items.iter().map(|row| row.id).collect();
    ids.sort();
    let mut expected = [first.session.id, second.session.id];
    expected.sort();
    assert_eq!(ids, expected);
    let nobodys: Page<Session> = json(service.get("/v1/sessions").await).await;
    assert!(nobodys.items.is_empty());
}

#[tokio::test]
async fn over_tls_cookies_are_secure_and_browsers_stay_there() {
    let public_url = Some("https://play.example".parse().unwrap());
    let service = Service::with(Config { public_url, ..Config::default() }).await;
    let _node = FakeNode::enrol(&service, 1).await;
    let answer = service.create("meteor").await;
    assert!(answer.headers()[header::SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
    assert!(answer.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
}

#[tokio::test]
async fn a_repeated_request_with_its_key_gives_the_same_session() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let keyed = |title| {
        let mut request = post_session(&create_session(title));
        request.headers_mut().insert("idempotency-key", "tap-1".parse().unwrap());
        request
    };
    let first: CreatedSession = json(service.ask(keyed("meteor")).await).await;
    let second = service.ask(keyed("meteor")).await;
    assert!(
        second.headers().contains_key(header::SET_COOKIE),
        "the answer with the cookie may have been lost"
    );
    let second: CreatedSession = json(second).await;
    assert_eq!((first.session.id, &first.ticket), (second.session.id, &second.ticket));
    assert_eq!(node.started().await.session, first.session.id);
    let mut other = create_session("meteor");
    other.versions.features.push("x".into());
    let mut request = post_session(&other);
    request.headers_mut().insert("idempotency-key", "tap-1".parse().unwrap());
    assert_eq!(problem(service.ask(request).await).await, "key_reused");
}

#[tokio::test]
async fn one_list_of_origins_governs_cors_sockets_and_embedding() {
    let friend = "https://friend.example";
    let config = Config { allowed_origins: vec![friend.into()], ..Config::default() };
    let service = Service::with(config).await;
    let _node = FakeNode::enrol(&service, 1).await;
    let from =
        |origin: &str| get("/v1/titles").header(header::HOST, "own.example").header(header::ORIGIN, origin);
    let allowed = ask(&service, from(friend)).await;
    assert_eq!(allowed.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], friend);
    let policy = allowed.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'self' https://friend.example"), "{policy}");
    assert!(policy.contains("wss://own.example"), "{policy}");
    let stranger = ask(&service, from("https://evil.example")).await;
    assert!(!stranger.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));

    for (origin, expected) in [(friend, 204), ("https://evil.example", 204)] {
        let preflight = Request::options("/v1/sessions")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        let answer = ask(&service, preflight).await;
        assert_eq!(answer.status().as_u16(), expected);
        assert_eq!(answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS), origin == friend);
    }
    for (origin, ok) in
        [(friend, true), ("http://own.example", true), ("https://evil.example", false), ("null", false)]
    {
        let mut request = post_session(&create_session("meteor"));
        request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        request.headers_mut().insert(header::HOST, "own.example".parse().unwrap());
        let answer = service.ask(request).await;
        assert_eq!(answer.status() != StatusCode::FORBIDDEN, ok, "{origin}");

        let address = service.address;
        let mut socket = format!("ws://{address}/v1/nodes/link").into_client_request().unwrap();
        let origin = if origin.contains("own") { format!("http://{address}") } else { origin.to_owned() };
        socket.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        assert_eq!(tokio_tungstenite::connect_async(socket).await.is_ok(), ok, "{origin}");
    }
}

#[tokio::test]
async fn a_page_that_came_by_http_2_is_still_our_own() {
    let service = Service::start().await;
    let _node = FakeNode::enrol(&service, 1).await;
    let mut request = post_session(&create_session("meteor"));
    *request.uri_mut() = "https://own.example/v1/sessions".parse().unwrap();
    request.headers_mut().insert(header::ORIGIN, "https://own.example".parse().unwrap());
    assert_eq!(service.ask(request).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_to_wait() {
    let limits =
        Limits { sessions_per_minute: 2, sockets_per_minute: 3, sessions_per_guest: 9, ..Limits::default() };
    let service = Service::with(Config { limits, ..Config::default() }).await;
    let _node = FakeNode::enrol(&service, 9).await;
    for _ in 0..2 {
        service.created("meteor").await;
    }
    let answer = service.create("meteor").await;
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(problem(answer).await, "too_many_requests");
    for n in 0..3 {
        let url = format!("ws://{}/v1/nodes/link", service.address);
        let opened = tokio_tungstenite::connect_async(url).await;
        // One socket is the node's own.
        assert_eq!(opened.is_ok(), n < 2, "{n}");
    }
}

#[tokio::test]
async fn the_operators_link_works_once_and_opens_enrolment() {
    let pin = "ab".repeat(32);
    let public_url = Some("https://play.example:8443/".parse().unwrap());
    let config = Config { public_url, certificate_pin: Some(pin.clone()), ..Config::default() };
    let service = Service::with(config).await;
    let link = service.matchmaker.operator_link().await.unwrap();
    let first = service.get(&link).await;
    assert_eq!(
        (first.status(), &first.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/operator".parse().unwrap())
    );
    let operator = cookie(&first);
    assert_eq!(problem(service.get(&link).await).await, "sign_in_needed");
    let enrol = Request::post("/v1/enrolments").header(header::COOKIE, operator);
    let answer = ask(&service, enrol).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let enrolment: Enrolment = json(answer).await;
    assert_eq!(enrolment.url, format!("https://play.example:8443#sha256={pin}&code={}", enrolment.code));
    let hello = |seed, code: &str| {
        let offer = FakeNode::offer(1);
        FakeNode::hello(service.address, NodeKey::from_seed([seed; 32]), Some(code.to_owned()), offer, vec![])
    };
    assert!(hello(1, &enrolment.code).await.is_ok());
    assert_eq!(hello(2, &enrolment.code).await.err().as_deref(), Some("bad_enrolment"), "used up");
}

#[tokio::test]
async fn turn_credentials_come_with_session_and_socket() {
    let ice = IceConfig {
        stun: vec!["stun:s:1".into()],
        turn: vec!["turn:t:1".into()],
        turn_secret: Some("north".into()),
    };
    let service = Service::with(Config { ice, ..Config::default() }).await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let created = service.created("meteor").await;
    assert_eq!(created.ice_servers.len(), 2);
    let user = created.ice_servers[1].username.clone().unwrap();
    assert!(user.ends_with(&format!(":{}", created.session.id)), "{user}");
    let start = node.wire.hear().await;
    let Some(ToNode::Start { ice_servers, .. }) = start else { panic!("{start:?}") };
    assert!(ice_servers[1].credential.is_some());
}

#[tokio::test]
async fn pages_are_served_with_security_headers_and_machines_get_their_answers() {
    let service = Service::start().await;
    for path in ["/", "/play/meteor", "/sessions/x", "/operator", "/nodes", "/about", "/about/us"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let value = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(value("content-type"), "text/html; charset=utf-8");
        assert_eq!(value("cache-control"), "no-cache");
        assert_eq!(value("cross-origin-opener-policy"), "same-origin");
        assert_eq!(value("cross-origin-embedder-policy"), "require-corp");
        assert_eq!(value("cross-origin-resource-policy"), "same-origin");
        assert_eq!(value("x-content-type-options"), "nosniff");
        for may in ["gamepad=(self)", "microphone=(self)", "camera=()"] {
            assert!(value("permissions-policy").contains(may), "{may}");
        }
        assert!(value("content-security-policy").contains("script-src 'self';"));
    }
    let lost = ask(&service, get("/no/such/page").header(header::ACCEPT, "text/html,*/*")).await;
    assert_eq!(lost.status(), StatusCode::NOT_FOUND);
    assert!(bytes(lost).await.starts_with(b"<!doctype html>"), "the page itself says that nothing is here");
    assert_eq!(bytes(service.get("/livez").await).await, b"ok\n");
    assert_eq!(bytes(service.get("/readyz").await).await, b"ok\n");
    let openapi: Value = json(service.get("/v1/openapi.json").await).await;
    assert_eq!(openapi, serde_json::to_value(nearframe_matchmaker::openapi()).unwrap());
    let metrics = String::from_utf8(bytes(service.get("/metrics").await).await).unwrap();
    assert!(metrics.contains("# TYPE nearframe_nodes_online gauge\nnearframe_nodes_online 0\n"), "{metrics}");
    assert!(metrics.contains("nearframe_http_responses_total{class=\"2xx\"} "), "{metrics}");
}

/// What the page is told before its socket is closed.
async fn told(wire: &mut Wire) -> String {
    match wire.hear().await {
        Some(ToPage::Error { code, message }) => {
            assert!(!message.is_empty());
            wire.expect_closed().await;
            code
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rubbish_from_a_page_is_answered_and_closed() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let created = service.created("meteor").await;
    node.started().await;
    let path = format!("/v1/sessions/{}/signal", created.session.id);
    let mut wire = page_with(&service, created.session.id, "wrong").await;
    assert_eq!(told(&mut wire).await, "bad_ticket");
    let mut wire = page_with(&service, SessionId::from_random([5; 16]), &created.ticket).await;
    assert_eq!(told(&mut wire).await, "bad_ticket");
    let before_hello = [
        (Message::text("{"), "bad_message"),
        (Message::text("{\"type\":\"dance\"}"), "bad_message"),
        (Message::binary(vec![0xff; 9]), "bad_message"),
        (Message::text("[".repeat(60_000)), "bad_message"),
        (Message::text("x".repeat(MAX_SIGNAL_BYTES + 1)), "too_large"),
        (Message::text("{\"type\":\"leave\"}"), "hello_needed"),
    ];
    for (message, code) in before_hello {
        let mut wire = Wire::open(service.address, &path).await;
        wire.raw(message).await;
        assert_eq!(told(&mut wire).await, code);
    }
    let mut old = Wire::open(service.address, &path).await;
    let versions = VersionOffer { min: 7, max: 8, features: vec![] };
    old.say(&FromPage::Hello { versions, ticket: created.ticket.clone() }).await;
    assert_eq!(told(&mut old).await, "version_mismatch");

    let (peer, nonce) = (PeerId::from_random([1; 16]), Nonce::from_bytes([0; 32]));
    let after_hello = [
        (FromPage::Offer { peer, seat: Seat(4), sdp: String::new(), nonce }, "bad_seat"),
        (FromPage::Candidate { peer, candidate: String::new(), sdp_mid: None }, "unknown_peer"),
        (FromPage::Hello { versions: VersionOffer::current(), ticket: String::new() }, "bad_message"),
    ];
    for (message, code) in after_hello {
        let mut wire = page(&service, &created).await;
        welcomed(&mut wire).await;
        wire.say(&message).await;
        assert_eq!(told(&mut wire).await, code);
    }
}

#[tokio::test]
async fn a_socket_that_says_nothing_is_closed_after_five_seconds() {
    let service = Service::start().await;
    let _node = FakeNode::enrol(&service, 1).await;
    let created = service.created("meteor").await;
    let mut silent = Wire::open(service.address, &created.signal_path).await;
    assert_eq!(told(&mut silent).await, "hello_needed");
}

#[tokio::test]
async fn a_page_that_floods_is_cut_off() {
    let service = Service::start().await;
    let _node = FakeNode::enrol(&service, 1).await;
    let created = service.created("meteor").await;
    let mut wire = page(&service, &created).await;
    welcomed(&mut wire).await;
    let (peer, nonce) = (PeerId::from_random([1; 16]), Nonce::from_bytes([0; 32]));
    for _ in 0..300 {
        let offer = FromPage::Offer { peer, seat: Seat(0), sdp: String::new(), nonce };
        wire.raw(Message::text(serde_json::to_string(&offer).unwrap())).await;
    }
    assert_eq!(told(&mut wire).await, "too_fast");
}

/// What the node is refused with before its link is closed.
async fn refused(wire: &mut Wire) -> String {
    loop {
        match wire.hear().await {
            Some(ToNode::Challenge { .. }) => {}
            Some(ToNode::Refused { code, .. }) => break code,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn nodes_without_a_right_to_be_here_are_refused() {
    let service = Service::start().await;
    let key = || NodeKey::from_seed([9; 32]);
    let hello = |code: Option<&str>, offer| {
        FakeNode::hello(service.address, key(), code.map(str::to_owned), offer, vec![])
    };
    assert_eq!(hello(None, FakeNode::offer(1)).await.err().as_deref(), Some("enrolment_needed"));
    assert_eq!(hello(Some("guess"), FakeNode::offer(1)).await.err().as_deref(), Some("bad_enrolment"));
    let mut svg = FakeNode::offer(1);
    svg.titles[0].cover_base64 = Some("PHN2Zz4=".into());
    assert_eq!(hello(None, svg).await.err().as_deref(), Some("bad_offer"));
    let mut twice = FakeNode::offer(1);
    twice.titles.push(twice.titles[0].clone());
    assert_eq!(hello(None, twice).await.err().as_deref(), Some("bad_offer"));
    let measured = |signer: NodeKey, release: &str| {
        let capability = Capability { release: release.to_owned(), ..Capability::default() };
        let capability = Some(SignedCapability::sign(&signer, capability));
        NodeOffer { capability, ..FakeNode::offer(1) }
    };
    let foreign = measured(NodeKey::from_seed([8; 32]), "0.1.0");
    assert_eq!(hello(None, foreign).await.err().as_deref(), Some("bad_offer"), "signed by another node");
    assert_eq!(hello(None, measured(key(), "a\nb")).await.err().as_deref(), Some("bad_offer"));
    let own = hello(None, measured(key(), "0.1.0")).await.err();
    assert_eq!(own.as_deref(), Some("enrolment_needed"), "the report itself is in order");

    let code = service.matchmaker.enrolment_code().await.unwrap();
    let mut wire = Wire::open(service.address, "/v1/nodes/link").await;
    let stale = Nonce::from_bytes([0; 32]);
    wire.say(&support::hello(&key(), &stale, Some(code), FakeNode::offer(1), vec![])).await;
    assert_eq!(refused(&mut wire).await, "bad_signature");
    for (message, code) in [
        (Message::text("?"), "bad_message"),
        (Message::text(serde_json::to_string(&FromNode::Draining).unwrap()), "hello_needed"),
    ] {
        let mut wire = Wire::open(service.address, "/v1/nodes/link").await;
        wire.raw(message).await;
        assert_eq!(refused(&mut wire).await, code);
    }
}

#[tokio::test]
async fn an_uplink_is_measured_on_a_link_of_its_own_by_what_arrives() {
    use nearframe_protocol::uplink::MOST_CHUNK_BYTES;
    let service = Service::start().await;
    let chunk = |bytes: usize| Message::binary(vec![7; bytes]);
    let mut node = FakeNode::enrol(&service, 1).await;
    node.wire.say(&FromNode::MeasureUplink).await;
    assert_eq!(node.wire.hear().await, Some(ToNode::UplinkOpen));
    // 16 KiB every 20 ms: 6.5 Mbit/s, for longer than is measured.
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(2_200) {
        node.wire.raw(chunk(MOST_CHUNK_BYTES)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let Some(ToNode::UplinkMeasured { uplink: Some(uplink) }) = node.wire.hear().await else {
        panic!("no answer")
    };
    // A machine that is busy sends less often, never more.
    assert!(uplink.check().is_ok() && !uplink.at_least, "{uplink:?}");
    assert!((500_000..7_000_000).contains(&uplink.bps()), "{uplink:?}");
    node.wire.cut();

    let mut silent = FakeNode::again(service.address, 1, vec![]).await;
    silent.wire.say(&FromNode::MeasureUplink).await;
    assert_eq!(silent.wire.hear().await, Some(ToNode::UplinkOpen));
    assert_eq!(silent.wire.hear().await, Some(ToNode::UplinkMeasured { uplink: None }));

    for rubbish in [chunk(MOST_CHUNK_BYTES + 1), Message::text("{}")] {
        let mut wrong = FakeNode::again(service.address, 1, vec![]).await;
        wrong.wire.say(&FromNode::MeasureUplink).await;
        assert_eq!(wrong.wire.hear().await, Some(ToNode::UplinkOpen));
        wrong.wire.raw(rubbish).await;
        assert_eq!(refused(&mut wrong.wire).await, "bad_message");
    }
    let mut unasked = FakeNode::again(service.address, 1, vec![]).await;
    unasked.wire.raw(chunk(10)).await;
    assert_eq!(refused(&mut unasked.wire).await, "bad_message", "bytes belong to a measurement");
}

#[tokio::test]
async fn only_so_many_uplinks_are_measured_at_once() {
    let service = Service::start().await;
    let mut busy = Vec::new();
    for n in 1..=2 {
        let mut node = FakeNode::measurable(&service, n, FakeNode::offer(1)).await;
        node.wire.say(&FromNode::MeasureUplink).await;
        assert_eq!(node.wire.hear().await, Some(ToNode::UplinkOpen));
        busy.push(node);
    }
    let mut third = FakeNode::measurable(&service, 3, FakeNode::offer(1)).await;
    third.wire.say(&FromNode::MeasureUplink).await;
    assert_eq!(third.wire.hear().await, Some(ToNode::UplinkLater));
    third.wire.expect_closed().await;
}

#[tokio::test]
async fn of_two_links_with_one_key_the_newer_stays() {
    let service = Service::start().await;
    let mut older = FakeNode::enrol(&service, 1).await;
    let mut newer = FakeNode::again(service.address, 1, vec![]).await;
    assert_eq!(older.id, newer.id);
    assert_eq!(refused(&mut older.wire).await, "replaced");
    older.wire.expect_closed().await;
    service.created("meteor").await;
    newer.started().await;
}

#[tokio::test]
async fn a_draining_node_gets_no_new_sessions() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    node.wire.say(&FromNode::Draining).await;
    // The answer to a receipt that belongs to nothing says that what came before it was heard.
    let receipt = serde_json::from_value(object!({
        "receipt": {
            "session": SessionId::from_random([1; 16]), "generation": 0, "sequence": 0,
            "previous": "0".repeat(64), "duration_us": 0, "frames": 0, "bytes": 0, "encoder_us": 0,
            "width": 0, "height": 0, "rtt_us": 0, "packets_sent": 0, "packets_lost": 0,
        },
        "node_signature": "0".repeat(128),
    }));
    node.wire.say(&FromNode::Receipt { receipt: Box::new(receipt.unwrap()) }).await;
    assert!(matches!(node.wire.hear().await, Some(ToNode::ReceiptRefused { .. })));
    let body: Value = json(service.create("meteor").await).await;
    assert_eq!(body["code"], "no_capacity");
    assert!(body["detail"].as_str().unwrap().contains("1 shutting down"), "{body}");
}

#[tokio::test]
async fn who_sends_too_much_hears_why_and_is_not_cut_off() {
    let service = Service::start().await;
    let mut stream = tokio::net::TcpStream::connect(service.address).await.unwrap();
    let head = "POST /v1/sessions HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        // Slow enough for an answer that came at once to have closed the connection.
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(&[b'"'; 100_000]).await.expect("it is read to its end");
    }
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

//! Saves from outside: a node hands them in and fetches them, a guest lists, downloads and deletes them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode, header};
use nearframe_matchmaker::assets::{Fault, InMemory};
use nearframe_matchmaker::store::MemoryStore;
use nearframe_matchmaker::{Config, Matchmaker};
use nearframe_protocol::api::{CreatedSession, Page, Save};
use nearframe_protocol::link::{FromNode, ToNode};
use nearframe_protocol::save::{BASED_ON_HEADER, HASH_HEADER, MAX_PACK_BYTES, SaveGrant, SaveRef};
use nearframe_protocol::{EndReason, Generation, SessionId};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{FakeNode, Service, bytes, cookie, create_session, json, post_session, problem};
use tower::ServiceExt;

/// A guest at play, and the grant that its node got.
struct Play {
    guest: String,
    session: SessionId,
    grant: SaveGrant,
}

async fn start(service: &Service, node: &mut FakeNode, guest: Option<&str>) -> Play {
    let mut request = post_session(&create_session("meteor"));
    if let Some(guest) = guest {
        request.headers_mut().insert(header::COOKIE, guest.parse().unwrap());
    }
    let answer = service.ask(request).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let guest = guest.map_or_else(|| cookie(&answer), str::to_owned);
    let created: CreatedSession = json(answer).await;
    loop {
        match node.wire.hear().await {
            Some(ToNode::Start { session, save, .. }) => {
                assert_eq!(session, created.session.id);
                return Play { guest, session, grant: save.unwrap() };
            }
            Some(ToNode::Stop { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn end(service: &Service, play: &Play) {
    let leave = Request::delete(format!("/v1/sessions/{}", play.session)).header(header::COOKIE, &play.guest);
    assert_eq!(service.ask(leave.body(Body::empty()).unwrap()).await.status(), StatusCode::OK);
}

async fn ended(node: &mut FakeNode, play: &Play) {
    let (session, generation) = (play.session, Generation(0));
    let reason = EndReason::PlayerLeft;
    node.wire.say(&FromNode::Ended { session, generation, reason, detail: String::new() }).await;
}

fn put(play: &Play, content: &[u8]) -> axum::http::request::Builder {
    let mut request = Request::put(format!("/v1/sessions/{}/save", play.session))
        .header(header::AUTHORIZATION, format!("Bearer {}", play.grant.token))
        .header(HASH_HEADER, blake3::hash(content).to_hex().as_str());
    if let Some(restore) = &play.grant.restore {
        request = request.header(BASED_ON_HEADER, restore.version.to_string());
    }
    request
}

async fn send(service: &Service, play: &Play, content: &[u8]) -> Response<Body> {
    service.ask(put(play, content).body(Body::from(content.to_vec())).unwrap()).await
}

async fn fetch(service: &Service, play: &Play, query: &str) -> Response<Body> {
    let request = Request::get(format!("/v1/sessions/{}/save{query}", play.session))
        .header(header::AUTHORIZATION, format!("Bearer {}", play.grant.token));
    service.ask(request.body(Body::empty()).unwrap()).await
}

async fn as_guest(service: &Service, guest: &str, method: &str, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).header(header::COOKIE, guest);
    service.ask(request.body(Body::empty()).unwrap()).await
}

async fn saves(service: &Service, guest: &str) -> Vec<Save> {
    json::<Page<Save>>(as_guest(service, guest, "GET", "/v1/saves").await).await.items
}

#[tokio::test]
async fn what_one_session_saved_the_next_one_restores() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 2).await;
    let first = start(&service, &mut node, None).await;
    assert_eq!(first.grant.restore, None);
    assert_eq!(problem(fetch(&service, &first, "").await).await, "unknown_save");

    let answer = send(&service, &first, b"level 1").await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let kept: SaveRef = json(answer).await;
    assert_eq!((kept.version.0, kept.size_bytes), (1, 7));
    let again = send(&service, &first, b"level 1").await;
    assert_eq!(again.status(), StatusCode::OK, "an answer that was lost changes nothing");
    assert_eq!(json::<SaveRef>(again).await, kept);
    let newest: SaveRef = json(send(&service, &first, b"level 2").await).await;

    end(&service, &first).await;
    let last: SaveRef = json(send(&service, &first, b"level 3").await).await;
    ended(&mut node, &first).await;
    let second = start(&service, &mut node, Some(&first.guest)).await;
    assert_eq!(second.grant.restore, Some(last), "the last pack came after the end, and counts");
    let answer = fetch(&service, &second, &format!("?version={}", last.version)).await;
    assert_eq!(answer.headers()[HASH_HEADER], last.hash.to_string().as_str());
    assert_eq!(answer.headers()[header::CONTENT_LENGTH], "7");
    assert_eq!(bytes(answer).await, b"level 3");
    assert_eq!(bytes(fetch(&service, &second, "?version=2").await).await, b"level 2");
    assert_eq!(bytes(fetch(&service, &second, "").await).await, b"level 3");

    let late: SaveRef = json(send(&service, &second, b"level 4").await).await;
    let rows = saves(&service, &first.guest).await;
    let listed: Vec<_> = rows.iter().map(|row| (row.version, row.current, row.based_on)).collect();
    assert_eq!(
        listed,
        [
            (late.version, true, Some(last.version)),
            (last.version, false, Some(newest.version)),
            (newest.version, false, Some(kept.version)),
            (kept.version, false, None),
        ]
    );
    assert_eq!(
        (rows[0].session, rows[0].title_version.as_str(), rows[0].size_bytes),
        (second.session, "1", 7)
    );
}

#[tokio::test]
async fn a_pack_that_comes_late_is_kept_beside_what_was_played_since() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 2).await;
    let older = start(&service, &mut node, None).await;
    send(&service, &older, b"common").await;
    // The two sessions' order is that of their creation, in ms.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let newer = start(&service, &mut node, Some(&older.guest)).await;
    let played: SaveRef = json(send(&service, &newer, b"played on").await).await;
    assert_eq!(send(&service, &older, b"handed in late").await.status(), StatusCode::CREATED);
    let rows = saves(&service, &older.guest).await;
    assert_eq!(rows.iter().find(|row| row.current).unwrap().version, played.version);
    assert_eq!((rows.len(), rows[0].based_on.unwrap().0), (3, 1));
    let path = format!("/v1/saves/meteor/{}", rows[0].version);
    assert_eq!(bytes(as_guest(&service, &older.guest, "GET", &path).await).await, b"handed in late");
}

#[tokio::test]
async fn a_token_moves_the_saves_of_its_own_session_only_and_not_for_ever() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 3).await;
    let mine = start(&service, &mut node, None).await;
    let other = start(&service, &mut node, None).await;
    let other_generation = mine.grant.token.replacen('0', "1", 1);
    for token in ["", "0", "0.x", "1.x", &other_generation, &other.grant.token] {
        let grant = SaveGrant { token: token.to_owned(), restore: None };
        let forged = Play { guest: mine.guest.clone(), session: mine.session, grant };
        assert_eq!(problem(send(&service, &forged, b"x").await).await, "sign_in_needed", "{token:?}");
        assert_eq!(problem(fetch(&service, &forged, "").await).await, "sign_in_needed", "{token:?}");
    }
    assert_eq!(send(&service, &mine, b"mine").await.status(), StatusCode::CREATED);
    assert!(saves(&service, &other.guest).await.is_empty());
    let path = "/v1/saves/meteor/1";
    assert_eq!(problem(as_guest(&service, &other.guest, "GET", path).await).await, "unknown_save");
    assert_eq!(problem(service.get(path).await).await, "unknown_save");
    assert_eq!(as_guest(&service, &other.guest, "DELETE", "/v1/saves/meteor").await.status(), 204);
    let answer = as_guest(&service, &mine.guest, "GET", path).await;
    assert_eq!(answer.headers()[header::CONTENT_DISPOSITION], "attachment; filename=\"meteor-1.tar.gz\"");
    assert_eq!(bytes(answer).await, b"mine");
    assert_eq!(as_guest(&service, &mine.guest, "DELETE", "/v1/saves/meteor").await.status(), 204);
    assert!(saves(&service, &mine.guest).await.is_empty());
    assert_eq!(problem(as_guest(&service, &mine.guest, "GET", path).await).await, "unknown_save");
    let stranger = Request::delete("/v1/saves/meteor").header(header::ORIGIN, "https://evil.example");
    let refused = service.ask(stranger.body(Body::empty()).unwrap()).await;
    assert_eq!(problem(refused).await, "origin_not_allowed");
}

#[tokio::test]
async fn packs_that_are_wrong_too_large_or_too_many_are_refused() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let play = start(&service, &mut node, None).await;
    let ask = |request: axum::http::request::Builder, body: Body| {
        let request = request.body(body).unwrap();
        async { problem(service.ask(request).await).await }
    };
    assert_eq!(ask(put(&play, b"announced"), Body::from("sent")).await, "wrong_hash");
    let bare = || {
        Request::put(format!("/v1/sessions/{}/save", play.session))
            .header(header::AUTHORIZATION, format!("Bearer {}", play.grant.token))
    };
    assert_eq!(ask(bare(), Body::from("x")).await, "bad_request");
    assert_eq!(ask(bare().header(HASH_HEADER, "00"), Body::from("x")).await, "bad_request");
    assert_eq!(ask(put(&play, b"x").header(BASED_ON_HEADER, "-1"), Body::from("x")).await, "bad_request");
    let announced = put(&play, b"x").header(header::CONTENT_LENGTH, MAX_PACK_BYTES + 1);
    assert_eq!(ask(announced, Body::from("x")).await, "too_large");
    let piece = Bytes::from(vec![0; 1 << 20]);
    let endless = futures_util::stream::iter((0..).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    assert_eq!(ask(put(&play, b"x"), Body::from_stream(endless)).await, "too_large");
    let cut = futures_util::stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("gone"))]);
    assert_eq!(ask(put(&play, b"x"), Body::from_stream(cut)).await, "bad_request");
    assert!(saves(&service, &play.guest).await.is_empty());
    let mut outcomes = Vec::new();
    for n in 0..40 {
        outcomes.push(send(&service, &play, &[n]).await.status().as_u16());
    }
    assert!(outcomes.ends_with(&[429]) && outcomes.contains(&201), "{outcomes:?}");
    assert_eq!(saves(&service, &play.guest).await.len(), 5, "the newest few stay");
}

#[tokio::test]
async fn a_new_session_waits_for_the_last_pack_of_the_one_before_but_not_long() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 9).await;
    let first = start(&service, &mut node, None).await;
    end(&service, &first).await;
    let handed_in = async {
        let kept: SaveRef = json(send(&service, &first, b"the end").await).await;
        kept
    };
    let mut again = post_session(&create_session("meteor"));
    again.headers_mut().insert(header::COOKIE, first.guest.parse().unwrap());
    let waiting = tokio::spawn(service.router().oneshot(again));
    let kept = handed_in.await;
    assert!(!waiting.is_finished(), "the node has not said that the session is over");
    ended(&mut node, &first).await;
    let created: CreatedSession = json(waiting.await.unwrap().unwrap()).await;
    let grant = loop {
        match node.wire.hear().await {
            Some(ToNode::Start { save, .. }) => break save.unwrap(),
            Some(ToNode::Stop { .. }) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(grant.restore, Some(kept));

    let second = Play { guest: first.guest, session: created.session.id, grant };
    end(&service, &second).await;
    let since = Instant::now();
    let mut request = post_session(&create_session("meteor"));
    request.headers_mut().insert(header::COOKIE, second.guest.parse().unwrap());
    let waiting = tokio::spawn(service.router().oneshot(request));
    while !waiting.is_finished() {
        node.heartbeat(vec![]).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::CREATED);
    assert!(since.elapsed() >= Duration::from_secs(3), "a node that says nothing is waited for");
    assert!(since.elapsed() < Duration::from_secs(6), "and not for long");
}

#[tokio::test]
async fn faults_of_the_assets_are_told_and_leave_no_version_behind() {
    let assets = Arc::new(InMemory::new());
    let store = Arc::new(MemoryStore::new());
    let matchmaker = Matchmaker::with_parts(Config::default(), store.clone(), assets.clone()).await.unwrap();
    let service = Service::of(matchmaker).await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let play = start(&service, &mut node, None).await;
    for (fault, code) in [(Fault::Full, "storage_full"), (Fault::Io, "unavailable")] {
        assets.fail(fault);
        assert_eq!(problem(send(&service, &play, b"x").await).await, code);
    }
    store.crash_after(1);
    assert_eq!(problem(send(&service, &play, b"x").await).await, "unavailable");
    assert_eq!(assets.count(), 1, "it is removed later");
    assert!(saves(&service, &play.guest).await.is_empty());
    assert_eq!(send(&service, &play, b"x").await.status(), StatusCode::CREATED);
    assets.fail(Fault::Flipped);
    let answer = fetch(&service, &play, "").await;
    assert!(axum::body::to_bytes(answer.into_body(), 100).await.is_err(), "damaged content never ends well");
}

#[tokio::test]
async fn saves_outlive_a_restart() {
    let service = Service::start().await;
    let mut node = FakeNode::enrol(&service, 1).await;
    let play = start(&service, &mut node, None).await;
    let kept: SaveRef = json(send(&service, &play, b"kept").await).await;
    let service = service.restart(Config::default()).await;
    assert_eq!(bytes(fetch(&service, &play, "").await).await, b"kept");
    assert_eq!(saves(&service, &play.guest).await[0].version, kept.version);
    assert_eq!(send(&service, &play, b"more").await.status(), StatusCode::CREATED, "the token still holds");
}

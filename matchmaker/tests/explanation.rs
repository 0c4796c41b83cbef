//! Why a session runs where it runs, asked over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use nearframe_matchmaker::Config;
use nearframe_protocol::NodeKey;
use nearframe_protocol::api::CreatedSession;
use nearframe_protocol::placement::Placement;
use support::{FakeNode, Service, json, problem};

fn asked(created: &CreatedSession, ticket: &str) -> Request<Body> {
    Request::get(format!("/v1/sessions/{}/placement", created.session.id))
        .header(header::AUTHORIZATION, format!("Bearer {ticket}"))
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn the_owner_is_told_what_was_chosen_and_why_the_others_were_not() {
    let service = Service::with(Config::default()).await;
    let mut first = FakeNode::enrol(&service, 1).await;
    let created = service.created("meteor").await;
    first.started().await;

    let code = service.matchmaker.enrolment_code().await.unwrap();
    let key = NodeKey::from_seed([8; 32]);
    let mut second =
        FakeNode::hello(service.address, key, Some(code), FakeNode::offer(2), vec![]).await.unwrap();
    let later = service.created("meteor").await;
    second.started().await;

    let why: Placement = json(service.ask(asked(&created, &created.ticket)).await).await;
    assert_eq!((why.chosen, why.allowed, why.candidates.len()), (first.id, 1, 1));
    assert!(why.refused.is_empty() && why.complete, "it was alone: {why:?}");

    let why: Placement = json(service.ask(asked(&later, &later.ticket)).await).await;
    assert_eq!((why.session, why.chosen), (later.session.id, second.id));
    assert_eq!(why.candidates[0].node, second.id);
    assert_eq!((why.candidates[0].name.as_str(), why.candidates[0].region.as_str()), ("stand-in", "DE"));
    assert_eq!((why.refused[0].obstacle.as_str(), why.refused[0].nodes), ("full", 1));
    assert_eq!(why.examples[0].node, first.id);

    let answer = service.ask(asked(&later, &created.ticket)).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(problem(answer).await, "not_yours", "another session's ticket opens nothing");
}

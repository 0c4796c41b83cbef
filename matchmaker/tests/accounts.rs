//! Accounts at the doors: from the operator's link to a program that pays with a key, and everything that must fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use nearframe_matchmaker::Config;
use nearframe_matchmaker::store::{AccountStore, MemoryStore, Store};
use nearframe_protocol::MemberId;
use nearframe_protocol::account::{
    Account, Actor, ApiKey, AuditLine, CreatedKey, Holdings, Me, Member, MemberRole, Short, SignInLink,
};
use nearframe_protocol::api::{CreatedSession, Page, Problem, Session, Usage};
use nearframe_protocol::plan::{Charges, Plan, Subscription};
use serde_json::{Value, json as object};
use std::sync::Arc;
use support::{FakeNode, Service, bytes, cookie, create_session, json, problem};

/// An hour of an hour's price is one euro.
const PRICE_MICROS: i64 = 1_000_000;

fn config() -> Config {
    Config { price_micros_per_hour: PRICE_MICROS, ..Config::default() }
}

/// A caller with a cookie or a key.
#[derive(Clone)]
struct Caller<'a> {
    service: &'a Service,
    header: (header::HeaderName, String),
}

impl<'a> Caller<'a> {
    fn cookie(service: &'a Service, cookie: String) -> Self {
        Self { service, header: (header::COOKIE, cookie) }
    }
    fn key(service: &'a Service, secret: &str) -> Self {
        Self { service, header: (header::AUTHORIZATION, format!("Bearer {secret}")) }
    }
    async fn send(&self, method: Method, path: &str, body: Value, extra: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(&self.header.0, &self.header.1)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        self.service.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }
    async fn post(&self, path: &str, body: Value) -> Response<Body> {
        self.send(Method::POST, path, body, &[]).await
    }
    async fn put(&self, path: &str, body: Value) -> Response<Body> {
        self.send(Method::PUT, path, body, &[]).await
    }
    async fn get(&self, path: &str) -> Response<Body> {
        self.send(Method::GET, path, Value::Null, &[]).await
    }
    async fn delete(&self, path: &str) -> Response<Body> {
        self.send(Method::DELETE, path, Value::Null, &[]).await
    }
    async fn audit(&self) -> Vec<AuditLine> {
        json::<Page<AuditLine>>(self.get("/v1/audit").await).await.items
    }
}

async fn operator(service: &Service) -> Caller<'_> {
    Caller::cookie(service, service.operator().await)
}

async fn account(operator: &Caller<'_>, kind: &str) -> Account {
    let answer = operator.post("/v1/accounts", object!({"kind": kind, "name": "Acme"})).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    json(answer).await
}

async fn sign_in(service: &Service, link: &SignInLink, name: &str) -> Response<Body> {
    let (page, token) = link.url.split_once("#join=").unwrap();
    assert!(page.ends_with("/account"), "{page}");
    let body = object!({"token": token, "name": name});
    service.ask(support::post("/v1/sign-in", &body)).await
}

/// Invites somebody, who comes.
async fn member<'a>(by: &Caller<'a>, account: &Account, role: &str) -> Caller<'a> {
    let path = format!("/v1/accounts/{}/invitations", account.id);
    let link = by.post(&path, object!({"role": role})).await;
    assert_eq!(link.status(), StatusCode::CREATED);
    let arrived = sign_in(by.service, &json(link).await, role).await;
    assert_eq!(arrived.status(), StatusCode::OK);
    Caller::cookie(by.service, cookie(&arrived))
}

async fn key(by: &Caller<'_>, account: &Account, scopes: &[&str], limit: Option<&str>) -> CreatedKey {
    let mut body = object!({"name": "build server", "scopes": scopes});
    if let Some(amount) = limit {
        body["limit"] = object!({"amount": amount, "currency": "EUR"});
    }
    let answer = by.post(&format!("/v1/accounts/{}/keys", account.id), body).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    json(answer).await
}

fn limit(amount: &str) -> Value {
    object!({"limit": {"amount": amount, "currency": "EUR"}})
}

fn session() -> Value {
    serde_json::to_value(create_session("meteor")).unwrap()
}

#[tokio::test]
async fn a_program_books_with_a_key_up_to_its_budget_and_is_told_what_more_takes() {
    let service = Service::with(config()).await;
    let mut node = FakeNode::enrol(&service, 9).await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    let owner = member(&operator, &studio, "owner").await;
    let created = key(&owner, &studio, &["sessions", "quotes", "usage"], Some("1.5")).await;
    assert_eq!(created.key.scopes.len(), 3);
    assert!(created.secret.starts_with(&created.key.prefix) && created.key.prefix.len() == 12);
    let program = Caller::key(&service, &created.secret);

    let quote = program.post("/v1/quotes", object!({"title": "meteor"})).await;
    assert_eq!(quote.status(), StatusCode::CREATED);
    let quote: nearframe_protocol::api::Quote = json(quote).await;
    let mut quoted = session();
    quoted["quote"] = Value::String(quote.quote);

    let refused: Problem = json(program.post("/v1/sessions", quoted.clone()).await).await;
    assert_eq!((refused.status, refused.code.as_str()), (402, "budget_used_up"));
    let offer = refused.offer.unwrap();
    assert_eq!(offer.short, Short::Account, "a new account may spend nothing");
    assert_eq!(offer.raise.path, format!("/v1/accounts/{}/allowance", studio.id));
    assert_eq!((offer.left.amount_micros, offer.raise.to_at_least.amount_micros), (0, 1_000_000));
    let own = owner.put(&offer.raise.path, limit("10")).await;
    assert_eq!(problem(own).await, "sign_in_needed", "an owner does not raise what the account may spend");
    assert_eq!(operator.put(&offer.raise.path, limit("10")).await.status(), StatusCode::OK);

    let answer = program.post("/v1/sessions", quoted.clone()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let playing: CreatedSession = json(answer).await;
    node.started().await;
    let refused: Problem = json(program.post("/v1/sessions", quoted.clone()).await).await;
    let offer = refused.offer.unwrap();
    assert_eq!(offer.short, Short::Key, "{}", refused.detail);
    assert_eq!((offer.left.amount_micros, offer.needed.amount_micros), (500_000, 1_000_000));
    let to = offer.raise.to_at_least.decimal();
    assert_eq!(owner.put(&offer.raise.path, limit(&to)).await.status(), StatusCode::OK);
    assert_eq!(program.post("/v1/sessions", quoted).await.status(), StatusCode::CREATED);

    let mine: Page<Session> = json(program.get("/v1/sessions").await).await;
    assert_eq!(mine.items.len(), 2);
    let one = format!("/v1/sessions/{}", playing.session.id);
    assert_eq!(json::<Session>(program.get(&one).await).await.id, playing.session.id);
    let rival = account(&operator, "studio").await;
    let others = Caller::key(&service, &key(&operator, &rival, &["sessions", "usage"], None).await.secret);
    assert_eq!(problem(others.get(&one).await).await, "not_yours");
    assert_eq!(problem(others.delete(&one).await).await, "not_yours");
    assert!(json::<Page<Session>>(others.get("/v1/sessions").await).await.items.is_empty());
    let ended: Session = json(program.delete(&one).await).await;
    assert_eq!(ended.end_reason, Some(nearframe_protocol::EndReason::PlayerLeft));

    let me: Me = json(program.get("/v1/me").await).await;
    assert_eq!(me.account.unwrap().id, studio.id);
    assert!(me.key.unwrap().last_used_ms.is_some() && me.member.is_none() && me.operator.is_none());
    let usage: Page<Usage> = json(program.get("/v1/usage/2026-11").await).await;
    assert!(usage.items.is_empty(), "no receipt came in");
    let statement = program.get("/v1/statements/meteor/2026-11").await;
    assert_eq!(String::from_utf8(bytes(statement).await).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_from_then_on_on_any_server() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let service = Service::with_store(config(), Arc::clone(&store)).await;
    let other = Service::with_store(config(), store).await;
    let mut node = FakeNode::enrol(&service, 9).await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    operator.put(&format!("/v1/accounts/{}/allowance", studio.id), object!({})).await;
    let member = member(&operator, &studio, "member").await;
    let created = key(&member, &studio, &["sessions"], None).await;
    let (here, there) = (Caller::key(&service, &created.secret), Caller::key(&other, &created.secret));
    assert_eq!(there.get("/v1/sessions").await.status(), StatusCode::OK);
    let playing: CreatedSession = json(here.post("/v1/sessions", session()).await).await;
    node.started().await;
    let path = format!("/v1/accounts/{}/keys/{}", studio.id, created.key.id);
    assert_eq!(member.delete(&path).await.status(), StatusCode::NO_CONTENT);
    for caller in [&here, &there] {
        assert_eq!(problem(caller.get("/v1/sessions").await).await, "bad_key");
        assert_eq!(problem(caller.post("/v1/sessions", session()).await).await, "bad_key");
        assert_eq!(problem(caller.get("/v1/me").await).await, "bad_key");
    }
    let one = format!("/v1/sessions/{}", playing.session.id);
    let session: Session = json(operator.get(&one).await).await;
    assert!(session.ended_at_ms.is_none(), "what was started plays on");
    assert_eq!(member.delete(&format!("{path}?end_sessions=true")).await.status(), StatusCode::NO_CONTENT);
    let session: Session = json(operator.get(&one).await).await;
    assert_eq!(session.end_reason, Some(nearframe_protocol::EndReason::Operator));
    let keys: Page<ApiKey> = json(member.get(&format!("/v1/accounts/{}/keys", studio.id)).await).await;
    assert!(keys.items[0].revoked_at_ms.is_some() && keys.items[0].created_by.is_some());
}

#[tokio::test]
async fn what_a_key_may_not_is_refused_with_a_reason() {
    let service = Service::with(config()).await;
    let _node = FakeNode::enrol(&service, 9).await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    let created = key(&operator, &studio, &["quotes"], None).await;
    let program = Caller::key(&service, &created.secret);
    assert_eq!(problem(program.post("/v1/sessions", session()).await).await, "scope_missing");
    assert_eq!(problem(program.get("/v1/usage/2026-11").await).await, "scope_missing");
    assert_eq!(problem(program.get("/v1/audit").await).await, "scope_missing");
    let path = format!("/v1/accounts/{}/keys", studio.id);
    let more = object!({"name": "more", "scopes": ["sessions"]});
    assert_eq!(problem(program.post(&path, more).await).await, "scope_missing", "a key makes no keys");
    assert_eq!(program.get("/v1/titles").await.status(), StatusCode::OK, "what is anybody's");
    let mut typo = created.secret.clone();
    typo.pop();
    assert_eq!(problem(Caller::key(&service, &typo).get("/v1/me").await).await, "bad_key");
    let unknown = "nf_live_0000000000000000000000000000000000000000000000000";
    assert_eq!(problem(Caller::key(&service, unknown).get("/v1/me").await).await, "bad_key");
    for (body, code) in [
        (object!({"name": "x", "scopes": []}), "bad_body"),
        (object!({"name": "", "scopes": ["usage"]}), "bad_body"),
        (object!({"name": "a\nb", "scopes": ["usage"]}), "bad_body"),
        (object!({"name": "x", "scopes": ["everything"]}), "bad_body"),
        (object!({"name": "x", "scopes": ["usage"], "expires_at_ms": 1}), "bad_body"),
        (
            object!({"name": "x", "scopes": ["usage"], "limit": {"amount": "-1", "currency": "EUR"}}),
            "bad_body",
        ),
        (
            object!({"name": "x", "scopes": ["usage"], "limit": {"amount": "1", "currency": "USD"}}),
            "bad_body",
        ),
        (object!({"name": "x", "scopes": ["usage"], "secret": "mine"}), "bad_body"),
    ] {
        assert_eq!(problem(operator.post(&path, body.clone()).await).await, code, "{body}");
    }
    let nobody = MemberId::from_bytes([9; 16]);
    for path in [format!("/v1/accounts/{nobody}/keys"), format!("/v1/accounts/{nobody}/invitations")] {
        let body = object!({"name": "x", "scopes": ["usage"], "role": "owner"});
        let answer = operator.post(&path, body).await;
        assert!([404, 422].contains(&answer.status().as_u16()), "{path}: {}", answer.status());
    }
}

#[tokio::test]
async fn members_come_by_links_that_work_once_and_do_what_their_role_allows() {
    let service = Service::start().await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    let owner = member(&operator, &studio, "owner").await;
    let base = format!("/v1/accounts/{}", studio.id);
    let link: SignInLink =
        json(owner.post(&format!("{base}/invitations"), object!({"role": "viewer"})).await).await;
    let first = sign_in(&service, &link, "Vera").await;
    let set = first.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    let viewer = Caller::cookie(&service, cookie(&first));
    let me: Me = json(first).await;
    assert_eq!(me.member.as_ref().map(|member| member.name.as_str()), Some("Vera"));
    assert_eq!(problem(sign_in(&service, &link, "Mallory").await).await, "sign_in_needed", "used");

    assert_eq!(json::<Account>(viewer.get(&base).await).await.name, "Acme");
    let wanted = object!({"name": "x", "scopes": ["usage"]});
    assert_eq!(problem(viewer.post(&format!("{base}/keys"), wanted).await).await, "role_missing");
    assert_eq!(problem(viewer.get("/v1/audit").await).await, "role_missing");
    assert_eq!(
        problem(viewer.post(&format!("{base}/invitations"), object!({"role": "owner"})).await).await,
        "role_missing"
    );
    let members: Page<Member> = json(owner.get(&format!("{base}/members")).await).await;
    let vera = members.items.iter().find(|row| row.name == "Vera").unwrap();
    let boss = members.items.iter().find(|row| row.role == MemberRole::Owner).unwrap();
    let itself = format!("{base}/members/{}", boss.id);
    assert_eq!(problem(owner.put(&itself, object!({"role": "viewer"})).await).await, "last_owner");
    let hers = format!("{base}/members/{}", vera.id);
    assert_eq!(owner.put(&hers, object!({"role": "member"})).await.status(), StatusCode::NO_CONTENT);
    key(&viewer, &studio, &["usage"], None).await;

    let again: SignInLink = json(owner.post(&format!("{hers}/link"), object!({})).await).await;
    let phone = sign_in(&service, &again, "ignored").await;
    let phone = Caller::cookie(&service, cookie(&phone));
    assert_eq!(json::<Me>(phone.get("/v1/me").await).await.member.unwrap().name, "Vera");
    assert_eq!(phone.delete("/v1/sign-in").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(json::<Me>(phone.get("/v1/me").await).await, Me::default());
    assert_eq!(viewer.get(&base).await.status(), StatusCode::OK, "the other device stays");
    assert_eq!(owner.delete(&hers).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(problem(viewer.get(&base).await).await, "sign_in_needed");

    let rival = account(&operator, "host").await;
    let stranger = member(&operator, &rival, "owner").await;
    assert_eq!(problem(stranger.get(&base).await).await, "not_yours");
    assert_eq!(problem(stranger.put("/v1/titles/meteor/owner", object!({})).await).await, "sign_in_needed");
    let own = operator.put("/v1/titles/meteor/owner", object!({"account": studio.id})).await;
    assert_eq!(own.status(), StatusCode::NO_CONTENT);
    let held: Holdings = json(owner.get(&format!("{base}/holdings")).await).await;
    assert_eq!(held.titles.len(), 1);
}

#[tokio::test]
async fn whoever_signs_in_by_a_link_ends_who_was_signed_in_in_that_browser() {
    let service = Service::start().await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    let former = member(&operator, &studio, "owner").await;
    let elsewhere = member(&operator, &studio, "viewer").await;
    let path = format!("/v1/accounts/{}/invitations", studio.id);
    let link: SignInLink = json(operator.post(&path, object!({"role": "viewer"})).await).await;
    let (_, token) = link.url.split_once("#join=").unwrap();
    let role = async |of: &Caller<'_>| json::<Me>(of.get("/v1/me").await).await.member.map(|it| it.role);
    let wrong = former.post("/v1/sign-in", object!({"token": "wrong"})).await;
    assert_eq!(problem(wrong).await, "sign_in_needed");
    assert_eq!(role(&former).await, Some(MemberRole::Owner), "who does not come in ends nobody");
    let came = former.post("/v1/sign-in", object!({"token": token})).await;
    assert_eq!(came.status(), StatusCode::OK);
    let now = Caller::cookie(&service, cookie(&came));
    assert_eq!((role(&now).await, role(&former).await), (Some(MemberRole::Viewer), None));
    assert_eq!(role(&elsewhere).await, Some(MemberRole::Viewer), "other browsers stay as they are");
}

#[tokio::test]
async fn the_browsers_of_members_are_known_and_those_of_guests_are_not() {
    let store = Arc::new(MemoryStore::new());
    let service = Service::with_store(config(), Arc::clone(&store) as Arc<dyn Store>).await;
    let _node = FakeNode::enrol(&service, 9).await;
    let operator = operator(&service).await;
    let host = account(&operator, "host").await;
    let owner = member(&operator, &host, "owner").await;
    let played = service.create("meteor").await;
    let guest = Caller::cookie(&service, cookie(&played));
    assert_eq!(guest.get("/v1/me").await.status(), StatusCode::OK);
    assert_eq!(owner.get("/v1/me").await.status(), StatusCode::OK);
    assert!(store.devices(host.id, 0).await.unwrap().is_empty(), "they are two browsers");
    let both = Caller::cookie(&service, format!("{}; {}", owner.header.1, guest.header.1));
    for _ in 0..2 {
        assert_eq!(both.get("/v1/me").await.status(), StatusCode::OK);
        assert_eq!(store.devices(host.id, 0).await.unwrap().len(), 1);
    }
    let stranger = account(&operator, "host").await;
    assert!(store.devices(stranger.id, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn members_of_an_operators_account_are_operators_as_far_as_their_role_goes() {
    let service = Service::start().await;
    let link = operator(&service).await;
    let crew = account(&link, "operator").await;
    let (viewer, hand) = (member(&link, &crew, "viewer").await, member(&link, &crew, "member").await);
    let boss = member(&link, &crew, "owner").await;
    let studio = account(&boss, "studio").await;
    assert_eq!(viewer.get("/v1/fleet").await.status(), StatusCode::OK);
    assert_eq!(viewer.get(&format!("/v1/accounts/{}", studio.id)).await.status(), StatusCode::OK);
    assert_eq!(problem(viewer.put("/v1/budgets/meteor", object!({})).await).await, "role_missing");
    assert_eq!(hand.put("/v1/budgets/meteor", object!({})).await.status(), StatusCode::OK);
    let until_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 + 60_000;
    let _node = FakeNode::enrol(&service, 2).await;
    service.matchmaker.wait_ready().await;
    let wanted = object!({"region": "DE", "from_ms": 0, "until_ms": until_ms, "slots": 1, "note": ""});
    let booked: Value = json(hand.post("/v1/bookings", wanted).await).await;
    let secret = booked["booking"].as_str().unwrap();
    let seen = String::from_utf8(bytes(viewer.get("/v1/fleet").await).await).unwrap();
    assert!(!seen.contains(secret), "whoever only looks does not learn it");
    assert!(String::from_utf8(bytes(hand.get("/v1/fleet").await).await).unwrap().contains(secret));

    let invite = format!("/v1/accounts/{}/invitations", crew.id);
    for low in [&viewer, &hand] {
        assert_eq!(problem(low.post(&invite, object!({"role": "owner"})).await).await, "role_missing");
        let foreign = format!("/v1/accounts/{}/keys", studio.id);
        let wanted = object!({"name": "x", "scopes": ["usage"]});
        assert_eq!(problem(low.post(&foreign, wanted).await).await, "not_yours");
    }
    let me: Me = json(boss.get("/v1/me").await).await;
    assert_eq!(me.operator, Some(MemberRole::Owner));
}

#[tokio::test]
async fn a_request_that_is_sent_again_does_nothing_again() {
    let service = Service::start().await;
    let operator = operator(&service).await;
    let named = |name: &str| object!({"kind": "studio", "name": name});
    let again = [("idempotency-key", "order-1")];
    let send = |body| operator.send(Method::POST, "/v1/accounts", body, &again);
    let first = send(named("Acme")).await;
    assert!(first.headers().get("idempotency-replayed").is_none());
    let first: Account = json(first).await;
    let second = send(named("Acme")).await;
    assert_eq!(
        (second.status(), second.headers()["idempotency-replayed"].as_bytes()),
        (StatusCode::CREATED, &b"true"[..])
    );
    assert_eq!(json::<Account>(second).await, first);
    assert_eq!(problem(send(named("Other")).await).await, "key_reused");
    let all: Page<Account> = json(operator.get("/v1/accounts").await).await;
    assert_eq!(all.items.len(), 1);

    let own = [("idempotency-key", "own")];
    for replayed in [false, true] {
        let owned = operator.send(Method::PUT, "/v1/titles/meteor/owner", object!({}), &own).await;
        assert_eq!(owned.status(), StatusCode::NO_CONTENT);
        assert_eq!(owned.headers().contains_key("idempotency-replayed"), replayed, "also without a body");
    }

    let owner = member(&operator, &first, "owner").await;
    let path = format!("/v1/accounts/{}/keys", first.id);
    let wanted = object!({"name": "once", "scopes": ["usage"]});
    let made = owner.send(Method::POST, &path, wanted.clone(), &again).await;
    assert_eq!(made.status(), StatusCode::CREATED, "another caller's key is another key");
    let repeated = owner.send(Method::POST, &path, wanted, &again).await;
    assert_eq!(problem(repeated).await, "answered_once", "a secret is shown once");
    assert_eq!(json::<Page<ApiKey>>(owner.get(&path).await).await.items.len(), 1);

    let refused = |role: &str| object!({"role": role});
    let invite = format!("/v1/accounts/{}/invitations", first.id);
    let key = [("idempotency-key", "try")];
    let wrong = owner.send(Method::POST, &invite, refused("king"), &key).await;
    assert_eq!(problem(wrong).await, "bad_body");
    let right = owner.send(Method::POST, &invite, refused("viewer"), &key).await;
    assert_eq!(right.status(), StatusCode::CREATED, "what was refused may be tried anew");
    let bad = owner.send(Method::POST, &invite, refused("viewer"), &[("idempotency-key", "")]).await;
    assert_eq!(problem(bad).await, "bad_request");
}

#[tokio::test]
async fn everything_that_is_done_stands_in_the_trail_without_any_secret() {
    let service = Service::start().await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    let owner = member(&operator, &studio, "owner").await;
    let viewer = member(&owner, &studio, "viewer").await;
    let created = key(&owner, &studio, &["sessions"], None).await;
    let path = format!("/v1/accounts/{}/keys/{}", studio.id, created.key.id);
    assert_eq!(problem(viewer.delete(&path).await).await, "role_missing");
    assert_eq!(owner.delete(&path).await.status(), StatusCode::NO_CONTENT);
    let rival = account(&operator, "host").await;

    let lines = operator.audit().await;
    let mut previous = "0".repeat(64);
    for (number, line) in (1..).zip(lines.iter().rev()) {
        assert_eq!((line.number, &line.previous), (number, &previous));
        previous.clone_from(&line.hash);
    }
    let text = serde_json::to_string(&lines).unwrap();
    assert!(!text.contains(&created.secret[12..40]), "{text}");
    let newest = &lines[0];
    assert_eq!((newest.door.as_str(), &newest.actor), ("POST /v1/accounts", &Actor::Operator));
    assert_eq!(newest.subject, rival.id.to_string(), "what was made is named");

    let own = owner.audit().await;
    assert!(own.len() < lines.len() && own.iter().all(|line| line.account == Some(studio.id)));
    let deletions: Vec<_> = own.iter().filter(|line| line.door.starts_with("DELETE")).collect();
    assert_eq!(deletions.iter().map(|line| line.status).collect::<Vec<_>>(), [204, 403]);
    assert!(deletions.iter().all(|line| line.subject == created.key.id.to_string()));
    assert!(matches!(deletions[0].actor, Actor::Member { .. }));
}

#[tokio::test]
async fn a_site_that_may_embed_the_player_acts_for_guests_and_not_for_members() {
    let allowed_origins = vec!["https://games.example".to_owned()];
    let service = Service::with(Config { allowed_origins, ..config() }).await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    let owner = member(&operator, &studio, "owner").await;
    let from = |origin| [("origin", origin), ("host", "play.example")];
    let path = format!("/v1/accounts/{}/keys", studio.id);
    let wanted = object!({"name": "x", "scopes": ["usage"]});
    for caller in [&owner, &operator] {
        let listed = caller.send(Method::POST, &path, wanted.clone(), &from("https://games.example")).await;
        assert_eq!(problem(listed).await, "sign_in_needed");
        let foreign = caller.send(Method::POST, &path, wanted.clone(), &from("https://evil.example")).await;
        assert_eq!(problem(foreign).await, "origin_not_allowed");
        let read = caller.send(Method::GET, &path, Value::Null, &from("https://evil.example")).await;
        assert_eq!(problem(read).await, "sign_in_needed");
        let own = caller.send(Method::POST, &path, wanted.clone(), &from("https://play.example")).await;
        assert_eq!(own.status(), StatusCode::CREATED);
    }
}

#[tokio::test]
async fn an_owner_subscribes_to_a_plan_and_its_hours_start_sessions_that_no_allowance_holds() {
    let service = Service::with(config()).await;
    let _node = FakeNode::enrol(&service, 9).await;
    let operator = operator(&service).await;
    let studio = account(&operator, "studio").await;
    let (owner, viewer) =
        (member(&operator, &studio, "owner").await, member(&operator, &studio, "viewer").await);
    let price = |hours: u32, amount: &str| object!({"included_hours": hours, "price": {"amount": amount, "currency": "EUR"}});
    for wrong in [price(0, "1"), price(745, "1"), price(1, "-1")] {
        assert_eq!(problem(operator.put("/v1/plans/weekend", wrong).await).await, "bad_body");
    }
    let plan: Plan = json(operator.put("/v1/plans/weekend", price(1, "9.99")).await).await;
    assert_eq!((plan.version, plan.included_hours, plan.is_offered), (1, 1, true));
    let again: Plan = json(operator.put("/v1/plans/weekend", price(1, "9.99")).await).await;
    assert_eq!(again, plan, "the same is no new version");
    let path = format!("/v1/accounts/{}/subscription", studio.id);
    let wanted = object!({"plan": "weekend"});
    assert_eq!(problem(viewer.put(&path, wanted.clone()).await).await, "role_missing");
    assert_eq!(problem(owner.put(&path, wanted.clone()).await).await, "budget_used_up");
    let allowance = format!("/v1/accounts/{}/allowance", studio.id);
    operator.put(&allowance, limit("9.99")).await;
    assert_eq!(problem(owner.put(&path, object!({"plan": "unheard-of"})).await).await, "not_found");
    assert_eq!(problem(viewer.get(&path).await).await, "not_found");
    let subscription: Subscription = json(owner.put(&path, wanted.clone()).await).await;
    assert_eq!((subscription.included_us, subscription.left_us), (3_600_000_000, 3_600_000_000));

    let program = Caller::key(&service, &key(&owner, &studio, &["sessions"], None).await.secret);
    assert_eq!(program.post("/v1/sessions", session()).await.status(), StatusCode::CREATED);
    assert_eq!(problem(program.post("/v1/sessions", session()).await).await, "budget_used_up");
    let seen: Subscription = json(viewer.get(&path).await).await;
    assert_eq!((seen.left_us, seen.fee.amount_micros), (0, 9_990_000));
    let charges = format!("/v1/accounts/{}/charges?from_ms=0&to_ms={}", studio.id, u64::MAX / 4);
    let charges: Charges = json(viewer.get(&charges).await).await;
    assert_eq!(
        charges.charges.iter().map(|charge| charge.due.amount_micros).collect::<Vec<_>>(),
        [9_990_000]
    );
    let cancelled: Subscription = json(owner.delete(&path).await).await;
    assert!(cancelled.is_cancelled);

    let host = account(&operator, "host").await;
    let other = format!("/v1/accounts/{}/subscription", host.id);
    assert_eq!(problem(operator.put(&other, wanted).await).await, "bad_body");
    let plans: Page<Plan> = json(service.get("/v1/plans").await).await;
    assert_eq!(plans.items, [plan]);
}

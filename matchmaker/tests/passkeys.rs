//! Passkeys at the doors: added, used, refused, flagged, removed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authenticator;
mod support;

use authenticator::Authenticator;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use nearframe_matchmaker::Config;
use nearframe_matchmaker::store::{MemoryStore, Store};
use nearframe_protocol::account::{Account, AuditLine, Me, SignInLink};
use nearframe_protocol::api::Page;
use nearframe_protocol::sign_in::{PasskeyChallenge, SignInWays, SignIns};
use serde_json::{Value, json as object};
use std::sync::Arc;
use support::{Service, cookie, json, problem};

const ORIGIN: &str = "https://play.example";

fn config() -> Config {
    Config { public_url: Some(ORIGIN.parse().unwrap()), ..Config::default() }
}

async fn send(service: &Service, method: Method, path: &str, cookie: &str, body: Value) -> Response<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookie)
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/json");
    service.ask(request.body(Body::from(body.to_string())).unwrap()).await
}

/// The cookie of the owner of a new account.
async fn owner(service: &Service) -> String {
    let operator = service.operator().await;
    let body = object!({"kind": "studio", "name": "Acme"});
    let account: Account = json(send(service, Method::POST, "/v1/accounts", &operator, body).await).await;
    let path = format!("/v1/accounts/{}/invitations", account.id);
    let link = send(service, Method::POST, &path, &operator, object!({"role": "owner"})).await;
    let link: SignInLink = json(link).await;
    let token = link.url.split_once("#join=").unwrap().1;
    let body = object!({"token": token, "name": "Vera"});
    cookie(&send(service, Method::POST, "/v1/sign-in", "", body).await)
}

async fn asked_to_add(service: &Service, member: &str) -> Value {
    let answer = send(service, Method::POST, "/v1/me/passkeys/challenge", member, Value::Null).await;
    assert_eq!(answer.status(), StatusCode::OK);
    json::<PasskeyChallenge>(answer).await.options
}

async fn add(service: &Service, member: &str, credential: Value) -> Response<Body> {
    let body = object!({"name": "laptop", "credential": credential});
    send(service, Method::POST, "/v1/me/passkeys", member, body).await
}

/// The challenge of a sign-in, and the cookie that comes with it.
async fn asked(service: &Service) -> (Value, String) {
    let answer = send(service, Method::POST, "/v1/sign-in/passkey/challenge", "", Value::Null).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = cookie(&answer);
    (json::<PasskeyChallenge>(answer).await.options, cookie)
}

async fn use_it(service: &Service, cookie: &str, credential: Value) -> Response<Body> {
    send(service, Method::POST, "/v1/sign-in/passkey", cookie, object!({"credential": credential})).await
}

async fn house() -> (Service, String, Authenticator) {
    let service = Service::with(config()).await;
    let owner = owner(&service).await;
    let mut device = Authenticator::new(ORIGIN, "play.example");
    let made = device.create(&asked_to_add(&service, &owner).await);
    assert_eq!(add(&service, &owner, made).await.status(), StatusCode::CREATED);
    (service, owner, device)
}

#[tokio::test]
async fn a_passkey_signs_its_member_in_without_a_name_until_it_is_removed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let service = Service::with_store(config(), Arc::clone(&store)).await;
    let other = Service::with_store(config(), store).await;
    let ways: SignInWays = json(service.get("/v1/sign-in").await).await;
    assert_eq!(ways.passkeys.host.as_deref(), Some("play.example"));
    let owner = owner(&service).await;
    let mut device = Authenticator::new(ORIGIN, "play.example");
    let made = device.create(&asked_to_add(&service, &owner).await);
    assert_eq!(add(&other, &owner, made.clone()).await.status(), StatusCode::CREATED, "on another server");
    assert_eq!(problem(add(&service, &owner, made).await).await, "unknown_sign_in", "a challenge works once");

    device.counter += 1;
    let (options, browser) = asked(&service).await;
    assert_eq!(options["publicKey"]["allowCredentials"], object!([]), "no name is asked for");
    let answer = device.get(&options);
    let came = use_it(&other, &browser, answer.clone()).await;
    assert_eq!(came.status(), StatusCode::OK);
    let secure = came.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(
        secure.contains("HttpOnly") && secure.contains("Secure") && secure.contains("nf_member="),
        "{secure}"
    );
    let member = cookie(&came);
    let me: Me = json(send(&service, Method::GET, "/v1/me", &member, Value::Null).await).await;
    assert_eq!(me.member.unwrap().name, "Vera");
    assert_eq!(
        problem(use_it(&service, &browser, answer).await).await,
        "unknown_sign_in",
        "an answer works once"
    );

    let own: SignIns = json(send(&service, Method::GET, "/v1/me/sign-ins", &member, Value::Null).await).await;
    let [passkey] = &own.passkeys[..] else { panic!("{own:?}") };
    assert!(passkey.name == "laptop" && passkey.last_used_ms.is_some() && passkey.flagged_at_ms.is_none());
    let path = format!("/v1/me/passkeys/{}", passkey.id);
    let gone = send(&service, Method::DELETE, &path, &member, Value::Null).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    device.counter += 1;
    let (options, browser) = asked(&service).await;
    assert_eq!(problem(use_it(&service, &browser, device.get(&options)).await).await, "passkey_refused");
    let trail: Page<AuditLine> =
        json(send(&service, Method::GET, "/v1/audit", &member, Value::Null).await).await;
    let deeds: Vec<_> = trail.items.iter().map(|line| (line.door.as_str(), line.status)).collect();
    assert_eq!(
        deeds[..4],
        [
            ("DELETE /v1/me/passkeys/{passkey}", 204),
            ("POST /v1/sign-in/passkey", 200),
            ("POST /v1/me/passkeys", 404),
            ("POST /v1/me/passkeys", 201),
        ]
    );
}

/// What an authenticator that lies answers.
type Spoil<'a> = &'a dyn Fn(&mut Authenticator, &Value) -> Value;

#[tokio::test]
async fn answers_that_prove_nothing_sign_nobody_in() {
    let (service, _, mut device) = house().await;
    device.counter += 10;
    let (other_options, _) = asked(&service).await;
    let cases: [(&str, Spoil<'_>); 6] = [
        ("another page", &|device, options| {
            device.origin = "https://evil.example".into();
            device.get(options)
        }),
        ("another name", &|device, options| {
            device.host = "evil.example".into();
            device.get(options)
        }),
        ("nobody was verified", &|device, options| {
            device.flags = 1;
            device.get(options)
        }),
        ("another member's", &|device, options| {
            device.user = vec![7; 16];
            device.get(options)
        }),
        ("another signature", &|device, options| {
            let mut answer = device.get(options);
            let fresh = Authenticator::new(ORIGIN, "play.example").get(options);
            answer["response"]["signature"] = fresh["response"]["signature"].clone();
            answer
        }),
        ("another challenge", &|device, _| device.get(&other_options)),
    ];
    for (what, spoil) in cases {
        let (options, browser) = asked(&service).await;
        let kept = (device.origin.clone(), device.host.clone(), device.flags, device.user.clone());
        let answer = use_it(&service, &browser, spoil(&mut device, &options)).await;
        assert!(answer.headers().get(header::SET_COOKIE).is_none(), "{what}");
        assert_eq!(problem(answer).await, "passkey_refused", "{what}");
        (device.origin, device.host, device.flags, device.user) = kept;
    }
    let (options, browser) = asked(&service).await;
    let answer = device.get(&options);
    assert_eq!(problem(use_it(&service, "", answer).await).await, "unknown_sign_in", "another browser");
    assert_eq!(problem(use_it(&service, &browser, object!({"id": 5})).await).await, "bad_body");
    let (options, browser) = asked(&service).await;
    let answer = device.get(&options);
    assert_eq!(use_it(&service, &browser, answer).await.status(), StatusCode::OK, "it was not the rest");
}

#[tokio::test]
async fn a_counter_that_goes_back_is_flagged_and_the_passkey_signs_nobody_in_any_more() {
    let (service, owner, mut device) = house().await;
    device.counter = 9;
    let (options, browser) = asked(&service).await;
    assert_eq!(use_it(&service, &browser, device.get(&options)).await.status(), StatusCode::OK);
    device.counter = 8;
    let (options, browser) = asked(&service).await;
    assert_eq!(problem(use_it(&service, &browser, device.get(&options)).await).await, "passkey_refused");
    let own: SignIns = json(send(&service, Method::GET, "/v1/me/sign-ins", &owner, Value::Null).await).await;
    assert!(own.passkeys[0].flagged_at_ms.is_some());
    let trail: Page<AuditLine> =
        json(send(&service, Method::GET, "/v1/audit", &owner, Value::Null).await).await;
    let line = &trail.items[0];
    assert_eq!((line.door.as_str(), line.status), ("POST /v1/sign-in/passkey", 401));
    assert!(
        line.subject.contains("counter went back") && line.subject.contains(&own.passkeys[0].id.to_string())
    );
    device.counter = 100;
    let (options, browser) = asked(&service).await;
    assert_eq!(problem(use_it(&service, &browser, device.get(&options)).await).await, "passkey_refused");
}

#[tokio::test]
async fn passkeys_are_added_by_whoever_is_signed_in_and_belong_to_one_member() {
    let (service, first, mut device) = house().await;
    let second = owner(&service).await;
    let nobody = send(&service, Method::POST, "/v1/me/passkeys/challenge", "", Value::Null).await;
    assert_eq!(problem(nobody).await, "sign_in_needed");
    let options = asked_to_add(&service, &second).await;
    let answer = device.create(&options);
    assert_eq!(
        problem(add(&service, &first, answer.clone()).await).await,
        "unknown_sign_in",
        "not their challenge"
    );
    assert_eq!(problem(add(&service, &second, answer).await).await, "passkey_refused", "it is the first's");
    let mut evil = Authenticator::new("https://evil.example", "play.example").named(3);
    let made = evil.create(&asked_to_add(&service, &second).await);
    assert_eq!(problem(add(&service, &second, made).await).await, "passkey_refused");
    let mut careless = Authenticator::new(ORIGIN, "play.example").named(4);
    careless.flags = 1;
    let made = careless.create(&asked_to_add(&service, &second).await);
    assert_eq!(problem(add(&service, &second, made).await).await, "passkey_refused", "nobody was verified");
    let options = asked_to_add(&service, &first).await;
    assert_eq!(
        options["publicKey"]["excludeCredentials"].as_array().unwrap().len(),
        1,
        "known ones are named"
    );
}

#[tokio::test]
async fn where_the_server_has_no_name_there_are_none_and_it_says_why() {
    let service =
        Service::with(Config { public_url: Some("http://127.0.0.1:1".parse().unwrap()), ..config() }).await;
    let ways: SignInWays = json(service.get("/v1/sign-in").await).await;
    assert!(!ways.passkeys.offered && ways.passkeys.why_not.unwrap().contains("public_url"));
    let asked = service.ask(support::post("/v1/sign-in/passkey/challenge", &Value::Null)).await;
    assert_eq!(problem(asked).await, "not_offered");
}

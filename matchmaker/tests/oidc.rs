//! Sign-in at a provider of identities: who comes in, and every answer that must let nobody in.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod issuer;
mod support;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use issuer::{Issuer, Signed, Spoilt};
use nearframe_matchmaker::store::{MemoryStore, Store};
use nearframe_matchmaker::{Config, Limits};
use nearframe_protocol::account::{Account, AccountKind, Actor, AuditLine, Me, MemberRole, SignInLink};
use nearframe_protocol::api::Page;
use nearframe_protocol::sign_in::{BegunSignIn, SignInChoice, SignInWays, SignIns};
use serde_json::{Value, json as object};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Service, json, problem};
use url::Url;

/// A browser with its cookies.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn of(cookie: &str) -> Self {
        let (name, value) = cookie.split_once('=').unwrap();
        Self { cookies: BTreeMap::from([(name.to_owned(), value.to_owned())]) }
    }

    async fn send(
        &mut self,
        service: &Service,
        method: Method,
        path: &str,
        body: Value,
        origin: Option<&str>,
    ) -> Response<Body> {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, pairs.join("; "))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        let answer = service.ask(request.body(Body::from(body.to_string())).unwrap()).await;
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    async fn get(&mut self, service: &Service, path: &str) -> Response<Body> {
        self.send(service, Method::GET, path, Value::Null, None).await
    }

    async fn post(&mut self, service: &Service, path: &str, body: Value) -> Response<Body> {
        self.send(service, Method::POST, path, body, None).await
    }

    /// To where the answer sends it.
    async fn goes(&mut self, service: &Service, path: &str) -> String {
        let answer = self.get(service, path).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
    }

    /// To the provider's page.
    async fn begins(&mut self, service: &Service) -> Url {
        Url::parse(&self.goes(service, "/v1/sign-in/oidc/acme").await).unwrap()
    }

    /// To the provider and back; gives where it ends.
    async fn signs_in(&mut self, service: &Service, issuer: &Issuer) -> String {
        let page = self.begins(service).await;
        self.goes(service, &issuer.agree(&page)).await
    }

    /// To the provider and back, for a purpose that takes more than a click.
    async fn goes_for(&mut self, service: &Service, issuer: &Issuer, purpose: Value) -> String {
        let begun = self.post(service, "/v1/sign-in/oidc/acme", purpose).await;
        assert_eq!(begun.status(), StatusCode::OK);
        let page = Url::parse(&json::<BegunSignIn>(begun).await.url).unwrap();
        self.goes(service, &issuer.agree(&page)).await
    }

    async fn me(&mut self, service: &Service) -> Me {
        json(self.get(service, "/v1/me").await).await
    }
}

fn config(issuer: &Issuer) -> Config {
    let limits = Limits { sign_ins_per_minute: 10_000, ..Limits::default() };
    Config { oidc_providers: vec![issuer.provider("acme")], limits, ..Config::default() }
}

async fn house() -> (Issuer, Service) {
    let issuer = Issuer::start().await;
    let service = Service::with(config(&issuer)).await;
    (issuer, service)
}

async fn invitation(service: &Service, kind: &str, role: &str) -> (Account, String) {
    let mut operator = Browser::of(&service.operator().await);
    let made = operator.post(service, "/v1/accounts", object!({"kind": kind, "name": "Acme Games"})).await;
    let account: Account = json(made).await;
    let path = format!("/v1/accounts/{}/invitations", account.id);
    let link: SignInLink = json(operator.post(service, &path, object!({"role": role})).await).await;
    (account, link.url.split_once("#join=").unwrap().1.to_owned())
}

async fn joined(service: &Service, issuer: &Issuer, role: &str) -> (Account, Browser) {
    let (account, token) = invitation(service, "studio", role).await;
    let mut browser = Browser::default();
    let ends = browser.goes_for(service, issuer, object!({"purpose": "join", "token": token})).await;
    assert_eq!(ends, "/account");
    (account, browser)
}

#[tokio::test]
async fn whoever_joins_with_an_identity_signs_in_with_it_again_and_all_of_it_stands_in_the_trail() {
    let (issuer, service) = house().await;
    let ways: SignInWays = json(service.get("/v1/sign-in").await).await;
    assert_eq!((ways.providers[0].id.as_str(), ways.providers[0].label.as_str()), ("acme", "Acme"));
    assert_eq!(ways.new_accounts, [AccountKind::Player]);
    let (studio, mut browser) = joined(&service, &issuer, "owner").await;
    let me = browser.me(&service).await;
    assert_eq!(me.account.unwrap().id, studio.id);
    assert_eq!(me.member.as_ref().unwrap().name, "Vera Lind", "what the provider says");
    assert!(!browser.cookies.contains_key("nf_sign_in"), "it is used up");

    let before = browser.cookies.clone();
    let out = browser.send(&service, Method::DELETE, "/v1/sign-in", Value::Null, None).await;
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    assert!(browser.me(&service).await.member.is_none());
    assert!(Browser { cookies: before }.me(&service).await.member.is_none(), "the old cookie is nothing");
    assert_eq!(browser.signs_in(&service, &issuer).await, "/account");
    assert_eq!(browser.me(&service).await.member.unwrap().role, MemberRole::Owner);

    let own: SignIns = json(browser.get(&service, "/v1/me/sign-ins").await).await;
    assert_eq!((own.identities[0].provider.as_str(), own.identities[0].name.as_str()), ("Acme", "Vera Lind"));
    assert!(own.identities[0].last_used_ms.is_some() && own.passkeys.is_empty());
    let path = format!("/v1/me/identities/{}", own.identities[0].id);
    let gone = browser.send(&service, Method::DELETE, &path, Value::Null, None).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let gone = browser.send(&service, Method::DELETE, &path, Value::Null, None).await;
    assert_eq!(problem(gone).await, "unknown_way");
    let trail: Page<AuditLine> = json(browser.get(&service, "/v1/audit").await).await;
    let deeds: Vec<_> = trail.items.iter().map(|line| (line.door.as_str(), line.status)).collect();
    assert_eq!(
        deeds[..5],
        [
            ("DELETE /v1/me/identities/{identity}", 404),
            ("DELETE /v1/me/identities/{identity}", 204),
            ("GET /v1/sign-in/oidc/{provider}/callback", 303),
            ("DELETE /v1/sign-in", 204),
            ("GET /v1/sign-in/oidc/{provider}/callback", 303),
        ]
    );
    assert!(trail.items[..5].iter().all(|line| matches!(line.actor, Actor::Member { .. })));
    assert_eq!(Browser::default().signs_in(&service, &issuer).await, "/account#choose", "nobody's any more");
}

#[tokio::test]
async fn an_answer_works_once_in_the_browser_that_asked_for_it_on_any_server() {
    let issuer = Issuer::start().await;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let service = Service::with_store(config(&issuer), Arc::clone(&store)).await;
    let other = Service::with_store(config(&issuer), store).await;
    joined(&service, &issuer, "member").await;
    let mut browser = Browser::default();
    let page = browser.begins(&service).await;
    let back = issuer.agree(&page);
    for wrong in [
        back.replace("state=", "state=x"),
        back.replace("state=", "status="),
        back.replace("state=", &format!("state={}", "x".repeat(5000))),
    ] {
        assert_eq!(browser.goes(&service, &wrong).await, "/account#sign-in=expired", "{wrong}");
        // A wrong answer forgets the browser's cookie: it is put back, as a second window would have it.
        browser = Browser::default();
        browser.begins(&service).await;
    }
    let page = browser.begins(&service).await;
    let back = issuer.agree(&page);
    let mut thief = Browser::default();
    assert_eq!(thief.goes(&service, &back).await, "/account#sign-in=expired", "without the cookie");
    thief.begins(&service).await;
    assert_eq!(thief.goes(&service, &back).await, "/account#sign-in=expired", "with a cookie of its own");
    let cookies = browser.cookies.clone();
    assert_eq!(browser.goes(&other, &back).await, "/account", "another server finishes it");
    assert!(browser.me(&service).await.member.is_some());
    let mut replay = Browser { cookies };
    assert_eq!(replay.goes(&service, &back).await, "/account#sign-in=expired", "it was used");
    assert!(replay.me(&service).await.member.is_none());

    let mut again = Browser::default();
    let page = again.begins(&service).await;
    let used = back.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let state = page.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let replayed = format!("/v1/sign-in/oidc/acme/callback?state={state}&code={used}&iss={}", issuer.url);
    assert_eq!(again.goes(&service, &replayed).await, "/account#sign-in=bad_answer", "a code works once");
}

#[tokio::test]
async fn tokens_that_prove_nothing_let_nobody_in() {
    let (issuer, service) = house().await;
    joined(&service, &issuer, "owner").await;
    let cases = [
        (Signed::Right, object!({"aud": "somebody-else"})),
        (Signed::Right, object!({"aud": ["nearframe", "somebody-else"]})),
        (Signed::Right, object!({"aud": null})),
        (Signed::Right, object!({"iss": "http://127.0.0.1:1"})),
        (Signed::Right, object!({"exp": 1})),
        (Signed::Right, object!({"exp": null})),
        (Signed::Right, object!({"iat": 99_999_999_999_u64, "exp": 99_999_999_999_u64})),
        (Signed::Right, object!({"nonce": "another"})),
        (Signed::Right, object!({"nonce": null})),
        (Signed::Right, object!({"sub": ""})),
        (Signed::Right, object!({"sub": "x".repeat(256)})),
        (Signed::Right, object!({"sub": null})),
        (Signed::Not, object!({})),
        (Signed::Shared, object!({})),
        (Signed::Forged, object!({})),
    ];
    for (signed, claims) in cases {
        issuer.set(|script| (script.signed, script.claims) = (signed, claims.clone()));
        let mut browser = Browser::default();
        let ends = browser.signs_in(&service, &issuer).await;
        let known = ["/account#sign-in=bad_answer", "/account#sign-in=provider_down"];
        assert!(known.contains(&ends.as_str()), "{signed:?} {claims}: {ends}");
        assert!(!browser.cookies.contains_key("nf_member"), "{signed:?} {claims}");
    }
    issuer.set(|script| (script.signed, script.claims) = (Signed::Right, object!({})));
    assert_eq!(Browser::default().signs_in(&service, &issuer).await, "/account", "it was not the rest");
}

#[tokio::test]
async fn a_new_key_is_asked_for_once() {
    let (issuer, service) = house().await;
    joined(&service, &issuer, "owner").await;
    assert_eq!(issuer.asked()[..2], [1, 1], "what a provider says of itself is kept");
    issuer.set(|script| (script.signer, script.shown) = ("two".into(), vec!["one".into(), "two".into()]));
    assert_eq!(Browser::default().signs_in(&service, &issuer).await, "/account", "the keys were changed");
    assert_eq!(issuer.asked()[..2], [1, 2]);
    issuer.set(|script| script.signer = "forger".into());
    for _ in 0..3 {
        assert_eq!(Browser::default().signs_in(&service, &issuer).await, "/account#sign-in=bad_answer");
    }
    assert_eq!(issuer.asked()[..2], [1, 2], "unknown keys do not make us ask again and again");
}

#[tokio::test]
async fn an_answer_of_another_provider_is_refused_before_its_code_is_shown_to_anybody() {
    let issuer = Issuer::start().await;
    let evil = Issuer::start().await;
    let providers = vec![issuer.provider("acme"), evil.provider("evil")];
    let service = Service::with(Config { oidc_providers: providers, ..config(&issuer) }).await;
    let mut browser = Browser::default();
    let page = browser.begins(&service).await;
    let back = issuer.agree(&page);
    let mixed = back.replace(&format!("iss={}", issuer.url), &format!("iss={}", evil.url));
    assert_eq!(browser.goes(&service, &mixed).await, "/account#sign-in=bad_answer");
    let page = browser.begins(&service).await;
    let elsewhere = issuer.agree(&page).replace("/acme/", "/evil/");
    assert_eq!(browser.goes(&service, &elsewhere).await, "/account#sign-in=bad_answer");
    assert_eq!([issuer.asked()[2], evil.asked()[2]], [0, 0], "no code went anywhere");

    let says = object!({"authorization_response_iss_parameter_supported": true});
    issuer.set(|script| script.says = says);
    let service = Service::with(config(&issuer)).await;
    let page = browser.begins(&service).await;
    let back = issuer.agree(&page);
    let (unnamed, _) = back.split_once("&iss=").unwrap();
    assert_eq!(
        browser.goes(&service, unnamed).await,
        "/account#sign-in=bad_answer",
        "it says that it names itself"
    );
    assert_eq!(issuer.asked()[2], 0);
    assert_eq!(browser.signs_in(&service, &issuer).await, "/account#choose");
}

#[tokio::test]
async fn a_provider_that_is_down_holds_nobody_up() {
    for (spoilt, says) in [
        (Spoilt::Hangs, object!({})),
        (Spoilt::Huge, object!({})),
        (Spoilt::Status, object!({})),
        (Spoilt::Rubbish, object!({})),
        (Spoilt::No, object!({"issuer": "http://127.0.0.1:1"})),
        (Spoilt::No, object!({"jwks_uri": null})),
    ] {
        let (issuer, service) = house().await;
        issuer.set(|script| (script.discovery, script.says) = (spoilt, says.clone()));
        let began = Instant::now();
        let mut browser = Browser::default();
        let ends = browser.goes(&service, "/v1/sign-in/oidc/acme").await;
        assert_eq!(ends, "/account#sign-in=provider_down", "{spoilt:?} {says}");
        assert!(began.elapsed() < Duration::from_secs(8), "{spoilt:?} took {:?}", began.elapsed());
        let began = Instant::now();
        let asked = browser.post(&service, "/v1/sign-in/oidc/acme", object!({"purpose": "sign_in"})).await;
        assert_eq!(problem(asked).await, "provider_down");
        assert!(began.elapsed() < Duration::from_secs(2), "the next one does not wait for it again");
        assert_eq!(issuer.asked()[0], 1);
        assert_eq!(service.get("/v1/titles").await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_provider_that_fails_half_way_lets_nobody_in() {
    let (issuer, service) = house().await;
    joined(&service, &issuer, "owner").await;
    for spoilt in [Spoilt::Hangs, Spoilt::Huge, Spoilt::Status, Spoilt::Rubbish] {
        issuer.set(|script| script.token = spoilt);
        let began = Instant::now();
        let ends = Browser::default().signs_in(&service, &issuer).await;
        assert!(ends.starts_with("/account#sign-in="), "{spoilt:?}: {ends}");
        assert!(began.elapsed() < Duration::from_secs(8), "{spoilt:?} took {:?}", began.elapsed());
    }
    issuer.set(|script| script.token = Spoilt::No);
    let mut browser = Browser::default();
    let page = browser.begins(&service).await;
    let back = issuer.agree(&page);
    let (way, _) = back.split_once("&code=").unwrap();
    for (error, word) in
        [("access_denied", "denied"), ("server_error", "provider_error"), ("%00", "provider_error")]
    {
        let mut browser = Browser { cookies: browser.cookies.clone() };
        let ends = browser.goes(&service, &format!("{way}&error={error}")).await;
        // The first used the state up.
        let known = [format!("/account#sign-in={word}"), "/account#sign-in=expired".to_owned()];
        assert!(known.contains(&ends), "{error}: {ends}");
    }
}

#[tokio::test]
async fn one_person_in_several_accounts_chooses() {
    let (issuer, service) = house().await;
    let (first, _) = joined(&service, &issuer, "viewer").await;
    let (second, _) = joined(&service, &issuer, "owner").await;
    let mut browser = Browser::default();
    assert_eq!(browser.signs_in(&service, &issuer).await, "/account#choose");
    assert!(browser.me(&service).await.member.is_none(), "not yet");
    let choice: SignInChoice = json(browser.get(&service, "/v1/sign-in/choice").await).await;
    assert_eq!(choice.members.len(), 2);
    assert!(choice.new_accounts.is_empty() && choice.name == "Vera Lind");
    let nobody = Browser::default().get(&service, "/v1/sign-in/choice").await;
    assert_eq!(problem(nobody).await, "unknown_sign_in", "another browser has nothing to choose");
    let stranger = object!({"sign_in_as": "member", "member": first.id});
    assert_eq!(problem(browser.post(&service, "/v1/sign-in/choice", stranger).await).await, "unknown_member");
    let row = choice.members.iter().find(|row| row.account == second.id).unwrap();
    let wanted = object!({"sign_in_as": "member", "member": row.member});
    let sent = "https://evil.example";
    let forged = browser.send(&service, Method::POST, "/v1/sign-in/choice", wanted.clone(), Some(sent)).await;
    assert_eq!(problem(forged).await, "origin_not_allowed");
    let chosen = browser.post(&service, "/v1/sign-in/choice", wanted.clone()).await;
    assert_eq!(chosen.status(), StatusCode::OK);
    assert_eq!(browser.me(&service).await.account.unwrap().id, second.id);
    assert_eq!(problem(browser.post(&service, "/v1/sign-in/choice", wanted).await).await, "unknown_sign_in");
}

#[tokio::test]
async fn an_unknown_identity_makes_an_account_only_where_that_is_allowed() {
    let (issuer, service) = house().await;
    let mut browser = Browser::default();
    assert_eq!(browser.signs_in(&service, &issuer).await, "/account#choose");
    let choice: SignInChoice = json(browser.get(&service, "/v1/sign-in/choice").await).await;
    assert_eq!((choice.members.len(), &choice.new_accounts[..]), (0, &[AccountKind::Player][..]));
    let make = |kind: &str| object!({"sign_in_as": "new_account", "kind": kind, "name": "Vera"});
    for kind in ["studio", "host", "operator"] {
        let refused = browser.post(&service, "/v1/sign-in/choice", make(kind)).await;
        assert_eq!(problem(refused).await, "not_offered", "{kind}");
    }
    let made = browser.post(&service, "/v1/sign-in/choice", make("player")).await;
    assert_eq!(made.status(), StatusCode::OK);
    let me = browser.me(&service).await;
    let account = me.account.unwrap();
    assert_eq!((account.kind, me.member.unwrap().role), (AccountKind::Player, MemberRole::Owner));
    assert_eq!(account.allowance.limit.unwrap().amount_micros, 0, "it may spend nothing");
    assert_eq!(me.operator, None);
    assert_eq!(Browser::default().signs_in(&service, &issuer).await, "/account", "now it is somebody's");

    let closed = Config { new_accounts: vec![], ..config(&issuer) };
    let closed = Service::with(closed).await;
    assert_eq!(Browser::default().signs_in(&closed, &issuer).await, "/account#sign-in=no_account");
}

#[tokio::test]
async fn an_identity_is_linked_to_whoever_is_signed_in_and_to_nobody_else() {
    let (issuer, service) = house().await;
    let (_, mut browser) = joined(&service, &issuer, "owner").await;
    let link = object!({"purpose": "link"});
    let mut nobody = Browser::default();
    let refused = nobody.post(&service, "/v1/sign-in/oidc/acme", link.clone()).await;
    assert_eq!(problem(refused).await, "sign_in_needed");
    issuer.set(|script| script.subject = "vera-at-home".into());
    let forged = ("/v1/sign-in/oidc/acme", link.clone(), Some("https://evil.example"));
    let forged = browser.send(&service, Method::POST, forged.0, forged.1, forged.2).await;
    assert_eq!(problem(forged).await, "origin_not_allowed");
    assert_eq!(browser.goes_for(&service, &issuer, link.clone()).await, "/account#sign-in=linked");
    let own: SignIns = json(browser.get(&service, "/v1/me/sign-ins").await).await;
    assert_eq!(own.identities.len(), 2);
    assert_eq!(Browser::default().signs_in(&service, &issuer).await, "/account");

    issuer.set(|script| script.subject = "mallory".into());
    let begun = browser.post(&service, "/v1/sign-in/oidc/acme", link).await;
    let page = Url::parse(&json::<BegunSignIn>(begun).await.url).unwrap();
    browser.cookies.remove("nf_member");
    let ends = browser.goes(&service, &issuer.agree(&page)).await;
    assert_eq!(ends, "/account#sign-in=not_signed_in");
    assert_eq!(Browser::default().signs_in(&service, &issuer).await, "/account#choose", "nobody knows her");
}

#[tokio::test]
async fn an_invitation_is_used_up_once_and_not_by_who_is_in_already() {
    let (issuer, service) = house().await;
    let (account, mut owner) = joined(&service, &issuer, "owner").await;
    let path = format!("/v1/accounts/{}/invitations", account.id);
    let link: SignInLink = json(owner.post(&service, &path, object!({"role": "viewer"})).await).await;
    let token = link.url.split_once("#join=").unwrap().1.to_owned();
    let join = object!({"purpose": "join", "token": token, "name": "Somebody"});
    let ends = Browser::default().goes_for(&service, &issuer, join.clone()).await;
    assert_eq!(ends, "/account#sign-in=already", "it is for somebody new");
    issuer.set(|script| script.subject = "new".into());
    let mut new = Browser::default();
    assert_eq!(new.goes_for(&service, &issuer, join.clone()).await, "/account", "it stayed good");
    let me = new.me(&service).await.member.unwrap();
    assert_eq!((me.name.as_str(), me.role), ("Somebody", MemberRole::Viewer));
    issuer.set(|script| script.subject = "late".into());
    assert_eq!(Browser::default().goes_for(&service, &issuer, join).await, "/account#sign-in=link_used");
    let wrong = object!({"purpose": "join", "token": "x", "name": "a\nb"});
    let refused = Browser::default().post(&service, "/v1/sign-in/oidc/acme", wrong).await;
    assert_eq!(problem(refused).await, "bad_body");
}

#[tokio::test]
async fn sign_ins_are_limited_and_unknown_providers_are_told() {
    let issuer = Issuer::start().await;
    let limits = Limits { sign_ins_per_minute: 2, ..Limits::default() };
    let service = Service::with(Config { limits, ..config(&issuer) }).await;
    assert_eq!(problem(service.get("/v1/sign-in/oidc/nobody").await).await, "unknown_provider");
    let mut browser = Browser::default();
    for _ in 0..2 {
        browser.begins(&service).await;
    }
    assert_eq!(browser.goes(&service, "/v1/sign-in/oidc/acme").await, "/account#sign-in=too_many");
    let asked = browser.post(&service, "/v1/sign-in/oidc/acme", object!({"purpose": "sign_in"})).await;
    assert_eq!(problem(asked).await, "too_many_requests");
    assert_eq!(
        problem(browser.post(&service, "/v1/sign-in", object!({"token": "x"})).await).await,
        "too_many_requests"
    );
}

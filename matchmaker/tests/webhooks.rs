//! Webhooks from outside: registered at the doors, delivered over HTTP to a receiver that checks the signatures itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use aws_lc_rs::hmac;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nearframe_matchmaker::Config;
use nearframe_protocol::account::{Account, CreatedKey, SignInLink};
use nearframe_protocol::api::{CreatedSession, Page};
use nearframe_protocol::webhook::{
    BudgetOf, Delivery, DeliveryState, Disabled, Event, EventData, EventKind, Queued, Webhook, WebhookSecret,
};
use serde_json::{Value, json as object};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{FakeNode, Service, cookie, create_session, json, problem};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Nothing on loopback takes this long, however busy the machine is.
const LONG: Duration = Duration::from_secs(30);

fn config() -> Config {
    Config { price_micros_per_hour: 1_000_000, private_webhooks: true, ..Config::default() }
}

/// Something that was received, as it came.
#[derive(Debug)]
struct Received {
    headers: HeaderMap,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
    fn event(&self) -> Event {
        serde_json::from_str(&self.body).unwrap()
    }
    /// Which of the signatures this secret made; written anew from the specification.
    fn signed_by(&self, secret: &str) -> Option<usize> {
        let secret = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signed =
            format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let signatures = self.header("webhook-signature").split(' ');
        signatures
            .map(|it| BASE64_STANDARD.decode(it.strip_prefix("v1,").unwrap()).unwrap())
            .position(|signature| hmac::verify(&key, signed.as_bytes(), &signature).is_ok())
    }
}

/// A receiver that answers as it is told, and with 204 after that.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<Received>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let told = Arc::clone(&answers);
        let take = move |headers: HeaderMap, body: Bytes| {
            let status = told.lock().unwrap().pop_front().unwrap_or(204);
            let body = String::from_utf8(body.to_vec()).unwrap();
            sender.send(Received { headers, body }).unwrap();
            async move { StatusCode::from_u16(status).unwrap() }
        };
        let router = axum::Router::new().route("/in", axum::routing::post(take));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, received, answers, server }
    }
    fn answer(&self, status: u16) {
        self.answers.lock().unwrap().push_back(status);
    }
    async fn next(&mut self) -> Received {
        timeout(LONG, self.received.recv()).await.expect("something is delivered").unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Caller<'a> {
    service: &'a Service,
    header: (header::HeaderName, String),
}

impl<'a> Caller<'a> {
    async fn send(&self, method: Method, path: &str, body: Value) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(&self.header.0, &self.header.1)
            .header(header::CONTENT_TYPE, "application/json");
        self.service.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }
    async fn post(&self, path: &str, body: Value) -> Response<Body> {
        self.send(Method::POST, path, body).await
    }
    async fn get(&self, path: &str) -> Response<Body> {
        self.send(Method::GET, path, Value::Null).await
    }
    async fn operator(service: &'a Service) -> Self {
        Self { service, header: (header::COOKIE, service.operator().await) }
    }
    async fn member(&self, account: &Account, role: &str) -> Self {
        let path = format!("/v1/accounts/{}/invitations", account.id);
        let link: SignInLink = json(self.post(&path, object!({"role": role})).await).await;
        let token = link.url.split_once("#join=").unwrap().1;
        let arrived =
            self.service.ask(support::post("/v1/sign-in", &object!({"token": token, "name": role}))).await;
        Self { service: self.service, header: (header::COOKIE, cookie(&arrived)) }
    }
    async fn account(&self) -> Account {
        json(self.post("/v1/accounts", object!({"kind": "studio", "name": "Acme"})).await).await
    }
    async fn webhook(&self, account: &Account, url: &str, events: &[&str]) -> WebhookSecret {
        let body = object!({"url": url, "events": events});
        let answer = self.post(&format!("/v1/accounts/{}/webhooks", account.id), body).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        json(answer).await
    }
    async fn deliveries(&self, account: &Account, webhook: &Webhook) -> Vec<Delivery> {
        let path = format!("/v1/accounts/{}/webhooks/{}/deliveries", account.id, webhook.id);
        json::<Page<Delivery>>(self.get(&path).await).await.items
    }
    /// Waits until the newest delivery stands there.
    async fn settled(&self, account: &Account, webhook: &Webhook, tries: u32) -> Delivery {
        let until = tokio::time::Instant::now() + LONG;
        loop {
            let found = self.deliveries(account, webhook).await;
            if let Some(newest) = found.first().filter(|it| it.tries >= tries) {
                return newest.clone();
            }
            assert!(tokio::time::Instant::now() < until, "{found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

const ALL: [&str; 4] = ["session.started", "session.ended", "budget.low", "budget.exhausted"];

#[tokio::test]
async fn a_program_hears_of_its_session_of_its_budget_and_of_the_end() {
    let service = Service::with(config()).await;
    let mut node = FakeNode::enrol(&service, 9).await;
    let mut receiver = Receiver::start().await;
    let operator = Caller::operator(&service).await;
    let studio = operator.account().await;
    let allow = object!({"limit": {"amount": "100", "currency": "EUR"}});
    operator.send(Method::PUT, &format!("/v1/accounts/{}/allowance", studio.id), allow).await;
    let member = operator.member(&studio, "member").await;
    let made = member.webhook(&studio, &receiver.url, &ALL).await;
    assert_eq!(made.webhook.events.len(), 4);
    let listed: Page<Webhook> = json(member.get(&format!("/v1/accounts/{}/webhooks", studio.id)).await).await;
    assert_eq!(listed.items, std::slice::from_ref(&made.webhook), "without the secret");
    let body = object!({"name": "k", "scopes": ["sessions"], "limit": {"amount": "1.2", "currency": "EUR"}});
    let key: CreatedKey = json(member.post(&format!("/v1/accounts/{}/keys", studio.id), body).await).await;
    let program =
        Caller { service: &service, header: (header::AUTHORIZATION, format!("Bearer {}", key.secret)) };

    let wanted = serde_json::to_value(create_session("meteor")).unwrap();
    let created: CreatedSession = json(program.post("/v1/sessions", wanted.clone()).await).await;
    node.started().await;
    let mut first = [receiver.next().await, receiver.next().await];
    first.sort_by_key(|it| it.event().kind);
    let [started, low] = &first;
    for one in &first {
        assert_eq!(one.signed_by(&made.secret), Some(0), "{one:?}");
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(one.event().account, studio.id);
    }
    let EventData::Session(session) = started.event().data else { panic!("{started:?}") };
    assert_eq!((session.session.id, session.key), (created.session.id, Some(key.key.id)));
    let EventData::Budget(budget) = low.event().data else { panic!("{low:?}") };
    assert_eq!((low.event().kind, budget.left.amount_micros), (EventKind::BudgetLow, 200_000));

    assert_eq!(problem(program.post("/v1/sessions", wanted).await).await, "budget_used_up");
    let told = receiver.next().await.event();
    let EventData::Budget(budget) = told.data else { panic!("{told:?}") };
    assert_eq!((told.kind, &budget.of), (EventKind::BudgetExhausted, &BudgetOf::Key { id: key.key.id }));
    assert_eq!(budget.raise.unwrap().to_at_least.amount_micros, 2_000_000);

    let path = format!("/v1/sessions/{}", created.session.id);
    assert_eq!(program.send(Method::DELETE, &path, Value::Null).await.status(), StatusCode::OK);
    let ended = receiver.next().await.event();
    let EventData::Session(session) = ended.data else { panic!("{ended:?}") };
    assert_eq!(ended.kind, EventKind::SessionEnded);
    let bill = session.bill.unwrap();
    assert_eq!((bill.total.amount_micros, bill.is_final), (0, false));
    let newest = member.settled(&studio, &made.webhook, 1).await;
    assert_eq!(
        (newest.kind, newest.state, newest.status),
        (EventKind::SessionEnded, DeliveryState::Delivered, Some(204))
    );
}

#[tokio::test]
async fn what_fails_is_tried_again_under_its_id_and_a_dead_one_when_somebody_asks() {
    let service = Service::with(config()).await;
    let mut receiver = Receiver::start().await;
    let operator = Caller::operator(&service).await;
    let studio = operator.account().await;
    let member = operator.member(&studio, "member").await;
    let made = member.webhook(&studio, &receiver.url, &ALL).await;
    let base = format!("/v1/accounts/{}/webhooks/{}", studio.id, made.webhook.id);
    receiver.answer(500);
    let queued = member.post(&format!("{base}/test"), Value::Null).await;
    assert_eq!(queued.status(), StatusCode::ACCEPTED);
    let queued: Queued = json(queued).await;
    let first = receiver.next().await;
    assert_eq!(
        (first.event().kind, first.header("webhook-id")),
        (EventKind::WebhookTest, &*queued.event.to_string())
    );
    let row = member.settled(&studio, &made.webhook, 1).await;
    assert_eq!((row.state, row.status, row.tries), (DeliveryState::Pending, Some(500), 1));
    assert!(row.due_ms > row.tried_at_ms && row.trouble.unwrap().contains("500"));
    let again = receiver.next().await;
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"), "5 s later");
    assert_eq!((&again.body, again.signed_by(&made.secret)), (&first.body, Some(0)));
    assert_eq!(member.settled(&studio, &made.webhook, 2).await.state, DeliveryState::Delivered);

    receiver.answer(410);
    member.post(&format!("{base}/test"), Value::Null).await;
    let gone = receiver.next().await;
    let row = member.settled(&studio, &made.webhook, 1).await;
    assert_eq!((row.state, row.status), (DeliveryState::Dead, Some(410)));
    let path = format!("/v1/accounts/{}/webhooks", studio.id);
    let listed: Page<Webhook> = json(member.get(&path).await).await;
    assert_eq!(listed.items[0].disabled, Some(Disabled::Gone));
    let redeliver = format!("{base}/deliveries/{}", gone.header("webhook-id"));
    assert_eq!(problem(member.post(&redeliver, Value::Null).await).await, "webhook_disabled");
    assert_eq!(problem(member.post(&format!("{base}/test"), Value::Null).await).await, "webhook_disabled");
    let enable = object!({"url": receiver.url, "events": ALL, "enabled": true});
    assert_eq!(member.send(Method::PUT, &base, enable).await.status(), StatusCode::OK);
    assert_eq!(member.post(&redeliver, Value::Null).await.status(), StatusCode::ACCEPTED);
    assert_eq!(receiver.next().await.header("webhook-id"), gone.header("webhook-id"));
}

#[tokio::test]
async fn a_secret_is_shown_once_and_an_old_one_signs_along() {
    let service = Service::with(config()).await;
    let mut receiver = Receiver::start().await;
    let operator = Caller::operator(&service).await;
    let studio = operator.account().await;
    let member = operator.member(&studio, "member").await;
    let made = member.webhook(&studio, &receiver.url, &ALL).await;
    assert!(made.secret.starts_with("whsec_") && made.secret.len() == 50, "{}", made.secret);
    let base = format!("/v1/accounts/{}/webhooks/{}", studio.id, made.webhook.id);
    let renewed = member.post(&format!("{base}/secret"), Value::Null).await;
    assert_eq!(renewed.status(), StatusCode::CREATED);
    let renewed: WebhookSecret = json(renewed).await;
    assert_ne!(renewed.secret, made.secret);
    assert!(renewed.webhook.old_secret_until_ms.is_some());
    member.post(&format!("{base}/test"), Value::Null).await;
    let both = receiver.next().await;
    assert_eq!((both.signed_by(&renewed.secret), both.signed_by(&made.secret)), (Some(0), Some(1)));
    let other = member.webhook(&studio, &receiver.url, &ALL).await;
    assert_eq!(both.signed_by(&other.secret), None, "each webhook has its own");
    let listed = support::bytes(member.get(&format!("/v1/accounts/{}/webhooks", studio.id)).await).await;
    assert!(!String::from_utf8(listed).unwrap().contains("whsec_"));
}

#[tokio::test]
async fn another_accounts_webhooks_are_out_of_reach_and_keys_open_none() {
    let service = Service::with(config()).await;
    let operator = Caller::operator(&service).await;
    let (mine, theirs) = (operator.account().await, operator.account().await);
    let (me, them) = (operator.member(&mine, "owner").await, operator.member(&theirs, "owner").await);
    let viewer = operator.member(&mine, "viewer").await;
    let made = me.webhook(&mine, "http://127.0.0.1:9/in", &ALL).await;
    let body = object!({"url": "http://127.0.0.1:9/x", "events": ALL, "enabled": true});
    // Through their own account, its id is nobody's; through mine, the door is shut.
    for (account, code) in [(&theirs, "unknown_webhook"), (&mine, "not_yours")] {
        let base = format!("/v1/accounts/{}/webhooks/{}", account.id, made.webhook.id);
        let answers = [
            them.send(Method::PUT, &base, body.clone()).await,
            them.send(Method::DELETE, &base, Value::Null).await,
            them.post(&format!("{base}/secret"), Value::Null).await,
            them.post(&format!("{base}/test"), Value::Null).await,
            them.get(&format!("{base}/deliveries")).await,
            them.post(&format!("{base}/deliveries/{}", made.webhook.id), Value::Null).await,
        ];
        for answer in answers {
            assert_eq!(problem(answer).await, code);
        }
    }
    let list = format!("/v1/accounts/{}/webhooks", mine.id);
    assert_eq!(viewer.get(&list).await.status(), StatusCode::OK);
    assert_eq!(problem(viewer.post(&list, body).await).await, "role_missing");
    let wanted = object!({"name": "k", "scopes": ["sessions", "usage", "quotes"]});
    let key: CreatedKey = json(me.post(&format!("/v1/accounts/{}/keys", mine.id), wanted).await).await;
    let program =
        Caller { service: &service, header: (header::AUTHORIZATION, format!("Bearer {}", key.secret)) };
    assert_eq!(problem(program.get(&list).await).await, "scope_missing");
    let own = me.send(Method::DELETE, &format!("{list}/{}", made.webhook.id), Value::Null).await;
    assert_eq!(own.status(), StatusCode::NO_CONTENT);
    let unknown = me.get(&format!("{list}/{}/deliveries", made.webhook.id)).await;
    assert_eq!(problem(unknown).await, "unknown_webhook");
}

#[tokio::test]
async fn addresses_that_only_this_server_reaches_are_refused() {
    let service = Service::with(Config { private_webhooks: false, ..config() }).await;
    let operator = Caller::operator(&service).await;
    let studio = operator.account().await;
    let member = operator.member(&studio, "member").await;
    let path = format!("/v1/accounts/{}/webhooks", studio.id);
    for url in [
        "http://hooks.example.org/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://localhost:8600/",
        "nonsense",
    ] {
        let refused = member.post(&path, object!({"url": url, "events": ALL})).await;
        assert_eq!(problem(refused).await, "bad_body", "{url}");
    }
    let none = member.post(&path, object!({"url": "https://hooks.example.org/", "events": []})).await;
    assert_eq!(problem(none).await, "bad_body");
    let unknown =
        member.post(&path, object!({"url": "https://hooks.example.org/", "events": ["payday"]})).await;
    assert_eq!(problem(unknown).await, "bad_body");
    // A name is taken, and looked at when something is sent.
    let made = member.webhook(&studio, "https://localtest.invalid/", &ALL).await;
    member.post(&format!("{path}/{}/test", made.webhook.id), Value::Null).await;
    let row = member.settled(&studio, &made.webhook, 1).await;
    assert_eq!((row.state, row.status), (DeliveryState::Pending, None));
    assert!(row.trouble.as_ref().unwrap().contains("not resolved"), "{row:?}");
}

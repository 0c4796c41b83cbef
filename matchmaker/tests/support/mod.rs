//! A running matchmaker on loopback, and stand-ins for a node and a page. The stand-ins say what the
//! real ones say; they prove only the matchmaker's side.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use futures_util::{SinkExt, StreamExt};
use nearframe_matchmaker::store::Store;
use nearframe_matchmaker::{Config, Matchmaker};
use nearframe_protocol::api::{CreateSession, CreatedSession};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{FromNode, HeldTitle, NodeOffer, RunningSession, ToNode, sign_hello};
use nearframe_protocol::measure::{Reflector, ReflectorSecret};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::title::{TitleEntry, TouchControls};
use nearframe_protocol::{NodeId, NodeKey, SessionId, TitleHash, TitleId, VersionOffer, signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tower::ServiceExt;

/// Nothing on loopback takes this long, however busy the machine is.
const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Service {
    pub(crate) matchmaker: Matchmaker,
    pub(crate) address: SocketAddr,
    folder: Arc<TempDir>,
    server: tokio::task::JoinHandle<()>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::in_folder(config, Arc::new(tempfile::tempdir().unwrap())).await
    }

    pub(crate) async fn with_store(config: Config, store: Arc<dyn Store>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::serve(Matchmaker::with_store(config, store).await.unwrap(), folder).await
    }

    /// A matchmaker that the test made.
    pub(crate) async fn of(matchmaker: Matchmaker) -> Self {
        Self::serve(matchmaker, Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn in_folder(config: Config, folder: Arc<TempDir>) -> Self {
        let config = Config { data_dir: folder.path().to_owned(), ..config };
        Self::serve(Matchmaker::open(config).await.unwrap(), folder).await
    }

    async fn serve(matchmaker: Matchmaker, folder: Arc<TempDir>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = matchmaker.router().into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { matchmaker, address, folder, server }
    }

    /// Stops the process's part without any farewell to nodes or pages, and starts it anew.
    pub(crate) async fn restart(self, config: Config) -> Self {
        let folder = Arc::clone(&self.folder);
        drop(self);
        Self::in_folder(config, folder).await
    }

    pub(crate) fn router(&self) -> Router {
        self.matchmaker.router()
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Response<Body> {
        self.router().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Body> {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn create(&self, title: &str) -> Response<Body> {
        self.ask(post_session(&create_session(title))).await
    }

    pub(crate) async fn created(&self, title: &str) -> CreatedSession {
        let answer = self.create(title).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        json(answer).await
    }

    /// Signs the operator in and returns the cookie.
    pub(crate) async fn operator(&self) -> String {
        let answer = self.get(&self.matchmaker.operator_link().await.unwrap()).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        cookie(&answer)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn player() -> NodeKey {
    NodeKey::from_seed([200; 32])
}

pub(crate) fn create_session(title: &str) -> CreateSession {
    CreateSession::of(TitleId::new(title).unwrap(), player().public())
}

pub(crate) fn post_session(body: &impl Serialize) -> Request<Body> {
    post("/v1/sessions", body)
}

pub(crate) fn post(path: &str, body: &impl Serialize) -> Request<Body> {
    Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(serde_json::to_string(body).unwrap()))
        .unwrap()
}

/// Asks with a cookie and a JSON body.
pub(crate) async fn send(
    service: &Service,
    method: &str,
    path: &str,
    cookie: &str,
    body: serde_json::Value,
) -> Response<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/json");
    service.ask(request.body(Body::from(body.to_string())).unwrap()).await
}

/// `name=value` of the cookie that the answer sets.
pub(crate) fn cookie(answer: &Response<Body>) -> String {
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

pub(crate) async fn bytes(answer: Response<Body>) -> Vec<u8> {
    axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec()
}

pub(crate) async fn json<T: DeserializeOwned>(answer: Response<Body>) -> T {
    let bytes = bytes(answer).await;
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&bytes)))
}

/// Asserts an RFC 9457 problem of this status and returns its code.
pub(crate) async fn problem(answer: Response<Body>) -> String {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: nearframe_protocol::api::Problem = json(answer).await;
    assert_eq!(problem.status, status);
    assert_eq!(problem.kind, format!("https://nearframe.dev/problems/{}", problem.code));
    assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?}");
    problem.code
}

/// A WebSocket that speaks JSON.
pub(crate) struct Wire(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Wire {
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        Self(connect_async(format!("ws://{address}{path}")).await.unwrap().0)
    }
    pub(crate) async fn say(&mut self, message: &impl Serialize) {
        self.raw(Message::text(serde_json::to_string(message).unwrap())).await;
    }
    pub(crate) async fn raw(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }
    /// The next message; `None` when the socket was closed.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            match timeout(LONG, self.0.next()).await.expect("the matchmaker says something") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
    pub(crate) async fn expect_closed(&mut self) {
        assert!(self.hear::<serde_json::Value>().await.is_none(), "the socket should be closed");
    }
    /// Vanishes without a farewell.
    pub(crate) fn cut(self) {
        drop(self.0);
    }
}

pub(crate) const COVER: &[u8] = b"\x89PNG\r\n\x1a\nrest of the picture";

pub(crate) fn held(title: &str, hash: u8) -> HeldTitle {
    use base64::Engine;
    HeldTitle {
        entry: TitleEntry {
            id: TitleId::new(title).unwrap(),
            kind: nearframe_protocol::title::TitleKind::Builtin,
            name: title.to_uppercase(),
            version: "1".into(),
            hash: TitleHash::from_bytes([hash; 32]),
            description: "A game.".into(),
            cover: Some("/somewhere/on/the/node".into()),
            width: 1280,
            height: 720,
            fps: 60,
            controls: vec![],
            touch: TouchControls::default(),
        },
        cover_base64: Some(base64::prelude::BASE64_STANDARD.encode(COVER)),
    }
}

/// A stand-in for a node.
pub(crate) struct FakeNode {
    pub(crate) key: NodeKey,
    pub(crate) id: NodeId,
    pub(crate) wire: Wire,
    sequence: u64,
}

/// What a measurable node makes its tickets with.
pub(crate) fn secret(n: u8) -> ReflectorSecret {
    ReflectorSecret::from_bytes([n; 32])
}

impl FakeNode {
    pub(crate) fn offer(slots: u32) -> NodeOffer {
        NodeOffer {
            name: "stand-in".into(),
            region: "DE".into(),
            slots,
            adapter: "none (stand-in)".into(),
            encoders: vec!["none".into()],
            titles: vec![held("meteor", 1)],
            capability: None,
            terms: NodeTerms::default(),
        }
    }

    /// Enrols with a fresh code.
    pub(crate) async fn enrol(service: &Service, slots: u32) -> Self {
        let code = service.matchmaker.enrolment_code().await.unwrap();
        let key = NodeKey::from_seed([7; 32]);
        Self::hello(service.address, key, Some(code), Self::offer(slots), vec![]).await.unwrap()
    }

    /// Enrols a node that pages can measure, with a key of its own.
    pub(crate) async fn measurable(service: &Service, n: u8, offer: NodeOffer) -> Self {
        let code = service.matchmaker.enrolment_code().await.unwrap();
        let key = NodeKey::from_seed([n; 32]);
        let mut node = Self::hello(service.address, key, Some(code), offer, vec![]).await.unwrap();
        let reflector = Reflector {
            addresses: vec![format!("192.0.2.{n}:4000").parse().unwrap()],
            secret: secret(n),
            behind_nat: false,
        };
        node.wire.say(&FromNode::Reflector { reflector: Box::new(reflector) }).await;
        node
    }

    /// Enrols a node that bids in auctions and stands by, with a key and a name of its own.
    pub(crate) async fn bidder(service: &Service, n: u8, slots: u32) -> Self {
        let code = service.matchmaker.enrolment_code().await.unwrap();
        let key = NodeKey::from_seed([n; 32]);
        let offer = NodeOffer { name: format!("bidder {n}"), ..Self::offer(slots) };
        let mut wire = Wire::open(service.address, "/v1/nodes/link").await;
        let Some(ToNode::Challenge { nonce, .. }) = wire.hear().await else {
            panic!("a challenge comes first")
        };
        let FromNode::Hello { public_key, signature, enrolment_code, offer, sessions, .. } =
            hello(&key, &nonce, Some(code), offer, vec![])
        else {
            panic!("a hello is a hello")
        };
        let versions = nearframe_protocol::link::versions();
        wire.say(&FromNode::Hello { versions, public_key, signature, enrolment_code, offer, sessions }).await;
        match wire.hear().await {
            Some(ToNode::Welcome { node, .. }) => Self { key, id: node, wire, sequence: 0 },
            other => panic!("{other:?}"),
        }
    }

    /// Links again with a known key.
    pub(crate) async fn again(address: SocketAddr, slots: u32, sessions: Vec<RunningSession>) -> Self {
        Self::hello(address, NodeKey::from_seed([7; 32]), None, Self::offer(slots), sessions).await.unwrap()
    }

    pub(crate) async fn hello(
        address: SocketAddr,
        key: NodeKey,
        enrolment_code: Option<String>,
        offer: NodeOffer,
        sessions: Vec<RunningSession>,
    ) -> Result<Self, String> {
        let mut wire = Wire::open(address, "/v1/nodes/link").await;
        let Some(ToNode::Challenge { nonce, .. }) = wire.hear().await else {
            panic!("a challenge comes first")
        };
        wire.say(&hello(&key, &nonce, enrolment_code, offer, sessions)).await;
        match wire.hear().await {
            Some(ToNode::Welcome { node, version: 1, .. }) => Ok(Self { key, id: node, wire, sequence: 0 }),
            Some(ToNode::Refused { code, .. }) => Err(code),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn heartbeat(&mut self, sessions: Vec<RunningSession>) {
        self.sequence += 1;
        self.wire.say(&FromNode::Heartbeat { sequence: self.sequence, sessions }).await;
    }

    /// Waits for the command to start and returns its session.
    pub(crate) async fn started(&mut self) -> RunningSession {
        match self.wire.hear().await {
            Some(ToNode::Start { session, generation, .. }) => RunningSession { session, generation },
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn hello(
    key: &NodeKey,
    nonce: &Nonce,
    enrolment_code: Option<String>,
    offer: NodeOffer,
    sessions: Vec<RunningSession>,
) -> FromNode {
    FromNode::Hello {
        versions: VersionOffer::current(),
        public_key: key.public(),
        signature: sign_hello(key, nonce),
        enrolment_code,
        offer: Box::new(offer),
        sessions,
    }
}

/// Opens a page's socket and says hello.
pub(crate) async fn page(service: &Service, created: &CreatedSession) -> Wire {
    page_with(service, created.session.id, &created.ticket).await
}

pub(crate) async fn page_with(service: &Service, session: SessionId, ticket: &str) -> Wire {
    let mut wire = Wire::open(service.address, &format!("/v1/sessions/{session}/signal")).await;
    let hello = signal::FromPage::Hello { versions: VersionOffer::current(), ticket: ticket.to_owned() };
    wire.say(&hello).await;
    wire
}

/// Hears `welcome` and `state`.
pub(crate) async fn welcomed(wire: &mut Wire) -> nearframe_protocol::SessionState {
    let welcome = wire.hear().await;
    assert!(matches!(welcome, Some(signal::ToPage::Welcome { version: 1, .. })), "{welcome:?}");
    match wire.hear().await {
        Some(signal::ToPage::State { state }) => state,
        other => panic!("{other:?}"),
    }
}

//! Tools for agents over HTTP: the streamable transport of the Model Context Protocol, without sessions, so that any
//! replica answers any call.
//!
//! **Architecture invariant:** what a tool does is a request to the doors of this server with the caller's own key and from
//! the caller's address: nothing is open here that is not open there.

use super::limits::Prefix;
use super::origin::{self, Origin};
use super::problem::{Code, Problem};
use super::role::Caller;
use super::{MAX_BODY_BYTES, base};
use crate::state::Shared;
use async_trait::async_trait;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use nearframe_mcp::{Question, Tools, Unreachable, Way};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tower::ServiceExt;

/// Largest answer that a tool reads: a page of a listing is far below.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// What tells the doors where a request comes from.
const FROM: [HeaderName; 3] =
    [header::HOST, header::AUTHORIZATION, HeaderName::from_static("x-forwarded-for")];

/// All doors of this server.
#[derive(Clone)]
pub(super) struct Doors(pub(super) Router);

/// The way of one call to the doors.
#[derive(Clone)]
struct Within {
    doors: Router,
    headers: HeaderMap,
    peer: Option<ConnectInfo<SocketAddr>>,
    key: String,
    base: String,
}

impl Within {
    fn of(shared: &Shared, Doors(doors): Doors, request: &Request) -> Result<Self, Problem> {
        let own = request.headers();
        let key = super::who::bearer(own).ok_or_else(super::who::key_needed)?.to_owned();
        let mut headers = HeaderMap::new();
        for name in FROM {
            for value in own.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        let peer = request.extensions().get().copied();
        Ok(Self { doors, headers, peer, key, base: base(shared, own) })
    }
}

#[async_trait]
impl Way for Within {
    async fn ask(&self, question: Question<'_>) -> Result<(StatusCode, Bytes), Unreachable> {
        let wrong = |error: &dyn std::fmt::Display| Unreachable(error.to_string());
        let body = question.body.map(ToString::to_string).unwrap_or_default();
        let mut request = axum::http::Request::builder().method(question.method).uri(question.path);
        if let Some(key) = question.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let mut request = request.body(Body::from(body)).map_err(|error| wrong(&error))?;
        request.headers_mut().extend(self.headers.clone());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let Ok(response) = self.doors.clone().oneshot(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await;
        Ok((status, body.map_err(|error| wrong(&error))?))
    }
    fn key(&self) -> Option<&str> {
        Some(&self.key)
    }
    fn origin(&self) -> String {
        self.base.clone()
    }
    fn address(&self, path: &str, web_socket: bool) -> String {
        // `http` becomes `ws`, `https` becomes `wss`.
        let base = if web_socket { self.base.replacen("http", "ws", 1) } else { self.base.clone() };
        format!("{base}{path}")
    }
}

/// One message of an agent.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(doors): Extension<Doors>,
    request: Request,
) -> Result<Response, Problem> {
    // A page has no key of its own, and what it could do with somebody's is not for others' pages.
    if !matches!(origin::classify(&shared, request.headers()), Origin::Absent | Origin::Own) {
        let detail = "Pages of other sites may not act as agents. Call this from a program.";
        return Err(Problem::new(Code::OriginNotAllowed, detail));
    }
    let key = caller.who.key.as_ref().ok_or_else(super::who::key_needed)?;
    let mut prefix = Prefix::default();
    prefix.copy_from_slice(&key.id.as_bytes()[..8]);
    shared.agent_limit.take_for(prefix, Instant::now()).map_err(|wait_s| {
        shared.metrics.rate_limited.add();
        Problem::new(Code::TooManyRequests, format!("Try again in {wait_s} s.")).retry_after(wait_s)
    })?;
    let way = Within::of(&shared, doors, &request)?;
    // Whose host this is was looked at where its key was: a name that leads here elsewhere brings none.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY_BYTES)
        .disable_allowed_hosts();
    let tools = move || Ok(Tools::new(way.clone()));
    let service = StreamableHttpService::new(tools, Arc::new(NeverSessionManager::default()), config);
    Ok(service.handle(request).await.map(Body::new))
}

/// There is no stream to listen on: every call has its answer.
pub(crate) async fn no_stream() -> Problem {
    Problem::new(Code::MethodNotAllowed, "Every message is answered where it is posted. Send POST /mcp.")
}

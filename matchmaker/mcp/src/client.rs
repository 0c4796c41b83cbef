//! The API as tools ask it: what went wrong is told in the server's words, and a broken connection is tried once more.

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use nearframe_protocol::api::Problem;
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// Before the one repetition of a request whose connection broke.
const AGAIN: Duration = Duration::from_millis(300);

/// A way to the API, with a key where there is one.
#[async_trait]
pub trait Way: Send + Sync + 'static {
    /// Asks once.
    async fn ask(&self, question: Question<'_>) -> Result<(StatusCode, Bytes), Unreachable>;
    /// The key that goes with every question.
    fn key(&self) -> Option<&str>;
    /// Scheme, host and port of the server, as people know it.
    fn origin(&self) -> String;
    /// An address on the server.
    fn address(&self, path: &str, web_socket: bool) -> String;
}

/// A request, with the way's key.
#[derive(Debug)]
pub struct Question<'a> {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// JSON.
    pub body: Option<&'a Value>,
    /// Makes a repetition harmless.
    pub idempotency_key: Option<&'a str>,
}

/// There was no answer, for this reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// A way that tools take.
pub(crate) struct Client(pub(crate) Box<dyn Way>);

/// A request. All of them may be sent twice: they read, name what they end, or carry an idempotency key.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) idempotency_key: Option<&'a str>,
}

impl Ask<'_> {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, idempotency_key: None }
    }
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }
    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }
}

/// Why a tool has no result: what the agent is told.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The server said no, and what to do.
    Problem(Box<Problem>),
    /// Something is missing here, or the server did not answer: a code and what to do.
    Here(&'static str, String),
}

impl IntoCallToolResult for Refusal {
    /// The problem whole, with the offer of a 402, behind a line for people.
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let (line, value) = match self {
            Self::Problem(problem) => (format!("{}. {}", problem.title, problem.detail), json!(*problem)),
            Self::Here(code, detail) => (detail.clone(), json!({ "code": code, "detail": detail })),
        };
        let mut result = CallToolResult::structured_error(value);
        result.content.insert(0, ContentBlock::text(line));
        Ok(result.into())
    }
}

impl Client {
    /// The key, where a tool cannot do without.
    pub(crate) fn key(&self) -> Result<&str, Refusal> {
        self.0.key().ok_or_else(|| {
            let detail = "No key is configured. A member of an account makes one on the server's page /account, and it \
                          goes into the variable NEARFRAME_KEY of this MCP server.";
            Refusal::Here("no_key", detail.to_owned())
        })
    }

    /// An address on the server.
    pub(crate) fn address(&self, path: &str, web_socket: bool) -> String {
        self.0.address(path, web_socket)
    }

    /// Asks, and once more where the connection broke.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, Refusal> {
        let silent = |why: &dyn std::fmt::Display| {
            Refusal::Here("unreachable", format!("{} does not answer: {why}", self.0.origin()))
        };
        let (status, body) = match self.try_once(&ask).await {
            Ok(answer) => answer,
            Err(_) => {
                sleep(AGAIN).await;
                self.try_once(&ask).await.map_err(|error| silent(&error))?
            }
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                silent(&format!("its answer has another form: is it of another release? {error}"))
            });
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Refusal::Problem(Box::new(problem))),
            Err(_) => Err(silent(&format!("it answers with {status}"))),
        }
    }

    async fn try_once(&self, ask: &Ask<'_>) -> Result<(StatusCode, Bytes), Unreachable> {
        let Ask { method, path, body, idempotency_key } = ask;
        let (method, body) = (method.clone(), body.as_ref());
        self.0.ask(Question { method, path, body, idempotency_key: *idempotency_key }).await
    }
}

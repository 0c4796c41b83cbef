//! The API as tools ask it: what went wrong is told in the server's words, and a broken connection is tried once more.

use crate::api::{Api, Question};
use anyhow::{Context, Result};
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
pub(super) struct Client(pub(super) Api);

/// A request. All of them may be sent twice: they read, name what they end, or carry an idempotency key.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) idempotency_key: Option<&'a str>,
}

impl Ask<'_> {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, idempotency_key: None }
    }
    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }
}

/// Why a tool has no result: what the agent is told.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server said no, and what to do.
    Problem(Box<Problem>),
    /// Something is missing here, or the server did not answer: a code and what to do.
    Here(&'static str, String),
}

impl IntoCallToolResult for Refusal {
    /// The problem whole, with the offer of a 402, behind a line for people.
    fn into_call_tool_result(self) -> std::result::Result<CallToolResponse, ErrorData> {
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
    pub(super) fn has_key(&self) -> bool {
        self.0.key().is_some()
    }

    /// The key, where a tool cannot do without.
    pub(super) fn key(&self) -> std::result::Result<&str, Refusal> {
        self.0.key().ok_or_else(|| {
            let detail = "No key is configured. A member of an account makes one on the server's page /account, and it \
                          goes into the variable NEARFRAME_KEY of this MCP server.";
            Refusal::Here("no_key", detail.to_owned())
        })
    }

    /// An address on the server.
    pub(super) fn address(&self, path: &str, web_socket: bool) -> String {
        self.0.address(path, web_socket)
    }

    /// Asks, and once more where the connection broke.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> std::result::Result<T, Refusal> {
        let silent = |error: anyhow::Error| {
            Refusal::Here("unreachable", format!("{} does not answer: {error:#}", self.0.origin()))
        };
        let first = self.try_once(&ask).await;
        let (status, body) = match first {
            Ok(answer) => answer,
            Err(_) => {
                sleep(AGAIN).await;
                self.try_once(&ask).await.map_err(silent)?
            }
        };
        if status.is_success() {
            let parsed = serde_json::from_slice(&body)
                .context("its answer has another form: is it of another release?");
            return parsed.map_err(silent);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Refusal::Problem(Box::new(problem))),
            Err(_) => Err(silent(anyhow::anyhow!("it answers with {status}"))),
        }
    }

    async fn try_once(&self, ask: &Ask<'_>) -> Result<(StatusCode, Bytes)> {
        let key = ask.idempotency_key.map(|key| ("idempotency-key", key));
        let question = Question {
            method: ask.method.clone(),
            path: &ask.path,
            headers: key.into_iter().collect(),
            body: ask.body.as_ref(),
        };
        self.0.exchange(&question).await
    }
}

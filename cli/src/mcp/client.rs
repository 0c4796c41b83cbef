//! The API over HTTP: one request a connection, which a tool's call can afford.

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use nearframe_protocol::api::Problem;
use nearframe_server::agent::trust;
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// One request takes at most this long; the server gives up after ten seconds.
const WITHIN: Duration = Duration::from_secs(15);
/// Before the one repetition of a request whose connection broke.
const AGAIN: Duration = Duration::from_millis(300);
/// Largest answer, in bytes: a page of a listing is far below.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
const AGENT: &str = concat!("nearframe-mcp/", env!("CARGO_PKG_VERSION"));

/// A way to the API, with a key where there is one.
pub(super) struct Client {
    base: Url,
    key: Option<String>,
    /// Set for `https`.
    tls: Option<TlsConnector>,
}

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
    pub(super) fn new(base: Url, key: Option<String>, pin: Option<[u8; 32]>) -> Result<Self> {
        let tls = match base.scheme() {
            "https" => Some(TlsConnector::from(Arc::new(trust(pin).context("TLS")?))),
            _ => None,
        };
        Ok(Self { base, key, tls })
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The key, where a tool cannot do without.
    pub(super) fn key(&self) -> std::result::Result<&str, Refusal> {
        self.key.as_deref().ok_or_else(|| {
            let detail = "No key is configured. A member of an account makes one on the server's page /account, and it \
                          goes into the variable NEARFRAME_KEY of this MCP server.";
            Refusal::Here("no_key", detail.to_owned())
        })
    }

    /// An address on the server.
    pub(super) fn address(&self, path: &str, web_socket: bool) -> String {
        let mut url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        if web_socket {
            let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
            // Both are schemes with a host, so that it is taken.
            let _ = url.set_scheme(scheme);
        }
        url.into()
    }

    /// Asks, and once more where the connection broke.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> std::result::Result<T, Refusal> {
        let silent = |error: anyhow::Error| {
            Refusal::Here(
                "unreachable",
                format!("{} does not answer: {error:#}", self.base.origin().ascii_serialization()),
            )
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
        timeout(WITHIN, self.exchange(ask)).await.context("it took too long")?
    }

    async fn exchange(&self, ask: &Ask<'_>) -> Result<(StatusCode, Bytes)> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the response.
        tokio::spawn(connection);
        let response = sender.send_request(self.request(ask)?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|error| anyhow::anyhow!("the answer was cut off: {error}"))?.to_bytes()))
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>> {
        let host = self.base.host_str().unwrap_or_default();
        let host = self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.path)
            .header(HOST, host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(key) = ask.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = ask.body.as_ref().map(Value::to_string);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::from(body.unwrap_or_default())).context("the request")
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let port = self.base.port_or_known_default().context("the address has no port")?;
        let (host, name) = match self.base.host().context("the address has no host")? {
            Host::Domain(name) => (name.to_owned(), ServerName::try_from(name.to_owned())?),
            Host::Ipv4(ip) => (ip.to_string(), ServerName::from(IpAddr::V4(ip))),
            Host::Ipv6(ip) => (ip.to_string(), ServerName::from(IpAddr::V6(ip))),
        };
        let tcp = TcpStream::connect((host, port)).await?;
        match &self.tls {
            Some(tls) => Ok(Box::new(tls.connect(name, tcp).await?)),
            None => Ok(Box::new(tcp)),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

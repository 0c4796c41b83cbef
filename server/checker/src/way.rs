//! The way to a matchmaker. Who composes the program knows addresses, keys and certificates.

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use nearframe_protocol::api::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Such as `GET`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Headers beside those of every request; an `authorization` here stands in the place of the way's own.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as JSON.
    pub body: Option<Value>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A connection to the matchmaker.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How requests and sockets reach the matchmaker.
#[async_trait]
pub trait Way: Send + Sync + 'static {
    /// Asks once; an answer of any status is one.
    async fn call(&self, call: Call) -> Result<Reply>;
    /// Opens a connection for a socket.
    async fn dial(&self) -> Result<Box<dyn Stream>>;
    /// The address of a socket, such as `ws://host/v1/…`.
    fn socket_address(&self, path: &str) -> String;
}

impl Call {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None }
    }
    pub(crate) fn with(mut self, header: &'static str, value: String) -> Self {
        self.headers.push((header, value));
        self
    }
    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(serde_json::to_value(body).context("writing a request")?);
        Ok(self)
    }
}

impl Reply {
    /// The body, where all is well; else an error in the server's words, with its code first.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        self.check()?;
        serde_json::from_slice(&self.body).context("bad_answer: the server's answer has another form")
    }

    /// Whether all is well.
    pub(crate) fn check(&self) -> Result<()> {
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => bail!("{}: {}", problem.code, problem.detail),
            Err(_) => bail!("http_{}: the server refuses", self.status),
        }
    }
}

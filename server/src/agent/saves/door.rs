//! The matchmaker's door for saves: one request a connection, over the trust of the link.

use super::super::link::pin;
use super::outbox::Item;
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nearframe_protocol::SessionId;
use nearframe_protocol::api::Problem;
use nearframe_protocol::save::{BASED_ON_HEADER, HASH_HEADER, SaveRef};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// Connecting, TLS included, takes at most this long.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// One upload takes at most this long; the matchmaker gives up a little earlier.
const SEND_TIME: Duration = Duration::from_secs(160);
/// Longest answer that is no pack, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why a pack did not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    /// It never will.
    #[error("refused: {0}")]
    Refused(String),
    /// It may when tried again.
    #[error("{0:#}")]
    Later(#[from] anyhow::Error),
}

/// Where packs are sent to and fetched from.
pub(super) struct Door {
    base: Url,
    /// Set for `https`.
    tls: Option<TlsConnector>,
}

impl Door {
    pub(super) fn new(base: &Url, certificate_pin: Option<[u8; 32]>) -> Result<Self> {
        let config = if base.scheme() == "https" { Some(pin::trust(certificate_pin)?) } else { None };
        Ok(Self { base: base.clone(), tls: config.map(|config| TlsConnector::from(Arc::new(config))) })
    }

    /// The pack with exactly this hash and length.
    pub(super) async fn fetch(
        &self,
        session: SessionId,
        token: &str,
        wanted: &SaveRef,
    ) -> Result<Bytes, DoorError> {
        let path = format!("/v1/sessions/{session}/save?version={}", wanted.version);
        let request = self.request(Method::GET, &path, token).body(Full::default()).context("the request")?;
        let response = self.ask(request).await?;
        let most = usize::try_from(wanted.size_bytes).context("the pack's length")?;
        let response = good(response).await?;
        let body = Limited::new(response.into_body(), most).collect().await;
        let pack = body.map_err(|error| anyhow::anyhow!("the pack was cut off: {error}"))?.to_bytes();
        if *blake3::hash(&pack).as_bytes() != *wanted.hash.as_bytes() {
            return Err(anyhow::anyhow!("the pack is not what was announced").into());
        }
        Ok(pack)
    }

    /// Sends a pack; when this returns `Ok`, the matchmaker keeps it.
    pub(super) async fn send(&self, item: &Item, pack: Bytes) -> Result<(), DoorError> {
        let path = format!("/v1/sessions/{}/save", item.session);
        let mut request =
            self.request(Method::PUT, &path, &item.token).header(HASH_HEADER, item.hash.to_string());
        if let Some(base) = item.based_on {
            request = request.header(BASED_ON_HEADER, base.to_string());
        }
        let request = request.body(Full::new(pack)).context("the request")?;
        let sent = async { good(self.ask(request).await?).await.map(drop) };
        tokio::time::timeout(SEND_TIME, sent).await.context("the matchmaker was too slow")?
    }

    fn request(&self, method: Method, path: &str, token: &str) -> hyper::http::request::Builder {
        let host = self.base.host_str().unwrap_or_default();
        let host = self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(AUTHORIZATION, format!("Bearer {token}"))
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let stream = tokio::time::timeout(CONNECT_TIME, self.connect()).await.context("connecting")??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the response's body, or when that is dropped.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let port = self.base.port_or_known_default().context("the matchmaker's address has no port")?;
        let (address, name) = match self.base.host().context("the matchmaker's address has no host")? {
            Host::Domain(name) => (name.to_owned(), ServerName::try_from(name.to_owned())?),
            Host::Ipv4(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::V4(ip))),
            Host::Ipv6(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::V6(ip))),
        };
        let tcp = TcpStream::connect((address, port)).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => Ok(Box::new(tls.connect(name, tcp).await?)),
            None => Ok(Box::new(tcp)),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Passes a success on, and reads what else was answered.
async fn good(response: Response<Incoming>) -> Result<Response<Incoming>, DoorError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body.to_bytes()).ok());
    let code = problem.as_ref().map_or("", |problem| problem.code.as_str());
    let detail = problem.as_ref().map_or("no explanation", |problem| problem.detail.as_str());
    let said = format!("{status}: {detail}");
    // What the matchmaker will answer again however often it is asked.
    let is_final = code == "too_many_saves"
        || status.is_client_error()
            && ![StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if is_final { Err(DoorError::Refused(said)) } else { Err(anyhow::anyhow!(said).into()) }
}

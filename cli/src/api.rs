//! The matchmaker's API over HTTP, for the commands that ask it: one request a connection, which they can afford.

use crate::node::pin;
use crate::options::Agent;
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use nearframe_checker::{Call, Reply, Stream, Way};
use nearframe_server::agent::trust;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// One request takes at most this long; the server gives up after ten seconds.
const WITHIN: Duration = Duration::from_secs(15);
/// Largest answer, in bytes: a page of a listing is far below.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
const AGENT: &str = concat!("nearframe/", env!("CARGO_PKG_VERSION"));

/// A way to the API, with a key where there is one.
pub(crate) struct Api {
    base: Url,
    key: Option<String>,
    /// Set for `https`.
    tls: Option<TlsConnector>,
}

/// What is asked.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'static str, &'a str)>,
    pub(crate) body: Option<&'a Value>,
}

impl Api {
    pub(crate) fn new(base: Url, key: Option<String>, pin: Option<[u8; 32]>) -> Result<Self> {
        let tls = match base.scheme() {
            "https" => Some(TlsConnector::from(Arc::new(trust(pin).context("TLS")?))),
            _ => None,
        };
        Ok(Self { base, key, tls })
    }

    /// As the options of `[agent]` say.
    pub(crate) fn configure(options: &Agent) -> Result<Self> {
        let text = options.server.as_deref().context(
            "server is missing: name the matchmaker with --server URL or NEARFRAME_SERVER, such as https://play.example.org",
        )?;
        let allowed = "allowed is an address such as https://play.example.org";
        let server = Url::parse(text).with_context(|| format!("server = {text:?}: {allowed}"))?;
        if !matches!(server.scheme(), "http" | "https") || server.host().is_none() {
            bail!("server = {text:?}: {allowed}");
        }
        let key = match (&options.key, &options.key_file) {
            (Some(_), Some(_)) => bail!("key and key_file are both given: allowed is one of them"),
            (Some(key), None) => Some(key.trim().to_owned()),
            (None, Some(path)) => {
                let key =
                    fs::read_to_string(path).with_context(|| format!("key_file = {}", path.display()))?;
                Some(key.trim().to_owned())
            }
            (None, None) => None,
        };
        let is_key = |key: &String| key.starts_with("nf_") && key.bytes().all(|b| b.is_ascii_graphic());
        if !key.iter().all(is_key) {
            bail!(
                "key: allowed is a key of an account, which begins with nf_live_; it is shown when it is made"
            );
        }
        let pin = options.pin.as_deref().map(pin).transpose()?;
        Self::new(server, key, pin)
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Scheme, host and port of the server.
    pub(crate) fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }

    /// An address on the server.
    pub(crate) fn address(&self, path: &str, web_socket: bool) -> String {
        let mut url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        if web_socket {
            let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
            // Both are schemes with a host, so that it is taken.
            let _ = url.set_scheme(scheme);
        }
        url.into()
    }

    /// Asks once.
    pub(crate) async fn exchange(&self, question: &Question<'_>) -> Result<(StatusCode, Bytes)> {
        timeout(WITHIN, self.ask(question)).await.context("it took too long")?
    }

    async fn ask(&self, question: &Question<'_>) -> Result<(StatusCode, Bytes)> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the response.
        tokio::spawn(connection);
        let response = sender.send_request(self.request(question)?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|error| anyhow::anyhow!("the answer was cut off: {error}"))?.to_bytes()))
    }

    fn request(&self, question: &Question<'_>) -> Result<Request<Full<Bytes>>> {
        let host = self.base.host_str().unwrap_or_default();
        let host = self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut request = Request::builder()
            .method(&question.method)
            .uri(question.path)
            .header(HOST, host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json");
        let body = question.body.map(Value::to_string);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let mut request = request.body(Full::from(body.unwrap_or_default())).context("the request")?;
        let bearer = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let own = bearer.as_deref().map(|bearer| ("authorization", bearer));
        for (name, value) in own.into_iter().chain(question.headers.iter().copied()) {
            let name: HeaderName = name.parse().context("the name of a header")?;
            let value: HeaderValue = value.parse().with_context(|| format!("the header {name}"))?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
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

#[async_trait]
impl Way for Api {
    async fn call(&self, call: Call) -> Result<Reply> {
        let question = Question {
            method: call.method.parse().context("the method")?,
            path: &call.path,
            headers: call.headers.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            body: call.body.as_ref(),
        };
        let (status, body) = self.exchange(&question).await?;
        Ok(Reply { status: status.as_u16(), body: body.to_vec() })
    }
    async fn dial(&self) -> Result<Box<dyn Stream>> {
        timeout(WITHIN, self.connect()).await.context("it took too long")?
    }
    fn socket_address(&self, path: &str) -> String {
        self.address(path, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(options: &Agent) -> String {
        Api::configure(options).err().map_or_else(|| "taken".to_owned(), |error| format!("{error:#}"))
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        let server = || Some("https://play.example.org".to_owned());
        let key = || Some("nf_live_abc".to_owned());
        assert!(told(&Agent::default()).contains("NEARFRAME_SERVER"));
        assert!(told(&Agent { server: Some("play".into()), ..Agent::default() }).starts_with("server"));
        assert!(told(&Agent { server: Some("ftp://a".into()), ..Agent::default() }).starts_with("server"));
        assert!(
            told(&Agent { server: server(), key: Some("secret".into()), ..Agent::default() })
                .starts_with("key")
        );
        let both = Agent { server: server(), key: key(), key_file: Some("/x".into()), ..Agent::default() };
        assert!(told(&both).contains("one of them"));
        let missing = Agent { server: server(), key_file: Some("/nonexistent/k".into()), ..Agent::default() };
        assert!(told(&missing).starts_with("key_file"));
        assert!(
            told(&Agent { server: server(), pin: Some("12".into()), ..Agent::default() }).starts_with("pin")
        );
        assert_eq!(told(&Agent { server: server(), key: key(), ..Agent::default() }), "taken");
        assert_eq!(told(&Agent { server: server(), ..Agent::default() }), "taken", "prices are for anybody");
    }

    #[test]
    fn the_line_end_of_a_key_file_is_not_part_of_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "nf_live_abc\n").unwrap();
        let options =
            Agent { server: Some("http://127.0.0.1:1".into()), key_file: Some(path), ..Agent::default() };
        assert_eq!(Api::configure(&options).unwrap().key(), Some("nf_live_abc"));
    }
}

//! One request to a stranger's server: connected to the address that was looked at, bounded in time, its answer's body
//! unread, its redirects not followed.

use super::target;
use super::{Carried, Courier, Letter};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// A try takes at most this long, from the name to the answer's head: in the middle of what the specification proposes.
const WITHIN: Duration = Duration::from_secs(20);
const AGENT: &str = concat!("nearframe/", env!("CARGO_PKG_VERSION"));

/// Letters over HTTP.
pub(crate) struct Post {
    tls: TlsConnector,
    /// Also over plain HTTP, and to addresses that are not public.
    private: bool,
}

impl Post {
    /// Trusts the public authorities.
    pub(crate) fn new(private: bool) -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::with_roots(private, roots)
    }

    fn with_roots(private: bool, roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)), private }
    }

    async fn send(&self, letter: Letter) -> Result<Carried, String> {
        let url = target::check(&letter.url, self.private)?;
        let stream = self.connect(&url).await?;
        let said = |error: hyper::Error| format!("the connection broke: {error}");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
        // It ends with the answer, which is dropped with its body unread.
        tokio::spawn(connection);
        let response = sender.send_request(request(&url, letter)?).await.map_err(said)?;
        Ok(answered(&response))
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Stream>, String> {
        let address = target::resolve(url, self.private).await?;
        let unreached = |error: std::io::Error| format!("{address} is not reached: {error}");
        let tcp = TcpStream::connect(address).await.map_err(unreached)?;
        if url.scheme() == "http" {
            return Ok(Box::new(tcp));
        }
        let name = match url.host().ok_or("the address has no host")? {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?,
            Host::Ipv4(ip) => ServerName::from(IpAddr::V4(ip)),
            Host::Ipv6(ip) => ServerName::from(IpAddr::V6(ip)),
        };
        let refused = |error: std::io::Error| format!("TLS with {address}: {error}");
        Ok(Box::new(self.tls.connect(name, tcp).await.map_err(refused)?))
    }
}

#[async_trait]
impl Courier for Post {
    async fn carry(&self, letter: Letter) -> Carried {
        match timeout(WITHIN, self.send(letter)).await {
            Ok(Ok(carried)) => carried,
            Ok(Err(why)) => Carried::Failed(why),
            Err(_) => Carried::Failed(format!("no answer within {WITHIN:?}")),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

fn request(url: &Url, letter: Letter) -> Result<Request<Full<Bytes>>, String> {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in letter.headers {
        request = request.header(name, value);
    }
    request.body(Full::from(letter.body)).map_err(|error| format!("the request: {error}"))
}

fn answered<B>(response: &Response<B>) -> Carried {
    let retry_after_s = retry_after_s(response.headers(), SystemTime::now());
    Carried::Answered { status: response.status().as_u16(), retry_after_s }
}

/// `Retry-After` in both of its forms (RFC 9110, section 10.2.3).
fn retry_after_s(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    text.parse().ok().or_else(|| {
        let then = httpdate::parse_http_date(text).ok()?;
        Some(then.duration_since(now).map_or(0, |left| left.as_secs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    fn letter(url: String) -> Letter {
        let header = |name| (name, "x".to_owned());
        Letter {
            url,
            headers: [header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")],
            body: "{}".into(),
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after_s(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
        };
        assert_eq!(of("120"), Some(120));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(of("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(of("soon"), None);
    }

    /// Answers one connection with `answer` and gives what was asked.
    async fn once(answer: &'static str, tls: Option<TlsAcceptor>) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream: Box<dyn Stream> = match tls {
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return String::new(),
                },
                None => Box::new(tcp),
            };
            let mut asked = Vec::new();
            while !asked.ends_with(b"{}") {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&asked));
                asked.extend_from_slice(&bytes[..read]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (port, asked)
    }

    #[tokio::test]
    async fn a_letter_is_one_post_and_a_redirect_is_its_answer() {
        let moved =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let (port, asked) = once(moved, None).await;
        let carried = Post::new(true).carry(letter(format!("http://127.0.0.1:{port}/in?a=b#c"))).await;
        assert_eq!(carried, Carried::Answered { status: 307, retry_after_s: None });
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /in?a=b HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.contains(&format!("host: 127.0.0.1:{port}\r\n")) && asked.contains("webhook-id: x\r\n"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn an_address_that_is_not_public_is_not_even_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        assert!(
            matches!(Post::new(false).carry(letter(url)).await, Carried::Failed(why) if why.contains("public"))
        );
        let nobody = timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(nobody.is_err(), "a connection came");
    }

    #[tokio::test]
    async fn over_tls_only_a_server_that_somebody_vouches_for_gets_it() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let server = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
        let tls = TlsAcceptor::from(Arc::new(server));
        let good = "HTTP/1.1 204 No Content\r\n\r\n";

        let (port, _asked) = once(good, Some(tls.clone())).await;
        let refused = Post::new(true).carry(letter(format!("https://localhost:{port}/"))).await;
        assert!(matches!(&refused, Carried::Failed(why) if why.contains("TLS")), "{refused:?}");

        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let (port, asked) = once(good, Some(tls)).await;
        let carried = Post::with_roots(true, roots).carry(letter(format!("https://localhost:{port}/"))).await;
        assert_eq!(carried, Carried::Answered { status: 204, retry_after_s: None });
        assert!(asked.await.unwrap().starts_with("POST / HTTP/1.1"));
    }
}

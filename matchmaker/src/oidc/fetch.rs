//! Asking a provider something: over TLS, without following it anywhere, within a time and a size.

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Largest answer: discovery documents and key sets have a few kilobytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// An idle connection is kept this long.
const IDLE: Duration = Duration::from_secs(30);
/// Whoever does not answer a call by then is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the address {0} is not https")]
    Plain(String),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("no answer: {0}")]
    Silent(#[from] hyper_util::client::legacy::Error),
    #[error("the answer breaks off or is larger than 256 KiB")]
    Body,
    #[error("the request cannot be written: {0}")]
    Request(#[from] axum::http::Error),
}

/// A client whose every request has this long.
pub(super) struct Within<'a> {
    fetch: &'a Fetch,
    within: Duration,
}

impl<'c> AsyncHttpClient<'c> for Within<'_> {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.fetch.ask(request, self.within))
    }
}

/// A client of one provider.
pub(super) struct Fetch {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The provider is a program on this machine.
    plain: bool,
}

impl Fetch {
    pub(super) fn new(plain: bool) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = HttpsConnectorBuilder::new().with_provider_and_platform_verifier(provider)?;
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .build(connector);
        Ok(Self { client, plain })
    }

    /// The same as what asks for tokens, keys and discovery wants it.
    pub(super) fn within(&self, within: Duration) -> Within<'_> {
        Within { fetch: self, within }
    }

    /// One request and its whole answer.
    async fn ask(&self, request: HttpRequest, within: Duration) -> Result<HttpResponse, FetchError> {
        if request.uri().scheme_str() != Some("https") && !self.plain {
            return Err(FetchError::Plain(request.uri().to_string()));
        }
        let answer = self.whole(request.map(|body| Full::new(Bytes::from(body))));
        tokio::time::timeout(within, answer).await.map_err(|_| FetchError::Late(within))?
    }

    async fn whole(&self, request: axum::http::Request<Full<Bytes>>) -> Result<HttpResponse, FetchError> {
        let (parts, body) = self.client.request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|_| FetchError::Body)?;
        Ok(axum::http::Response::from_parts(parts, body.to_bytes().to_vec()))
    }
}

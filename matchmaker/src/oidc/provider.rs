//! One provider: what it says of itself, kept for a while; the way to its page; what its answer is worth.

use super::OidcProvider;
use super::fetch::{Fetch, FetchError};
use crate::random;
use crate::store::sign_in::Outsider;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreGrantType, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    TokenResponse,
};
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// What a provider says of itself is asked again after this; keys change every few weeks.
const FRESH: Duration = Duration::from_secs(3600);
/// What it said is used for so long where it does not answer any more.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// A provider that did not answer is left alone for this long, so that nobody else waits for it.
const AGAIN: Duration = Duration::from_secs(10);
/// The times for what a sign-in asks, which together are less than a request may take.
const DISCOVERY_WITHIN: Duration = Duration::from_millis(3_500);
const TOKEN_WITHIN: Duration = Duration::from_secs(3);
const KEYS_WITHIN: Duration = Duration::from_secs(2);
/// How far a provider's clock may be off.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// Longest subject, in bytes (OpenID Connect Core, 2).
const MAX_SUBJECT: usize = 255;
/// Longest name that is kept, in characters.
const MAX_NAME: usize = 100;

/// Signatures that nobody can make who can check them.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why a sign-in does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// The provider does not answer, or not what it should.
    #[error("{0}")]
    Down(String),
    /// The answer is not proved.
    #[error("{0}")]
    Refused(String),
}

/// RFC 9207.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct IssuerParameter {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}
impl AdditionalProviderMetadata for IssuerParameter {}

type Metadata = ProviderMetadata<
    IssuerParameter,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type Known = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What a request comes to, in a form that may be waited for on any thread.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to a provider's page.
pub(crate) struct Begun {
    pub(crate) url: String,
    /// What the answer has to bring back.
    pub(crate) state: String,
    pub(crate) kept: Kept,
}

/// What has to be remembered until the answer comes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    nonce: String,
    verifier: String,
}

/// What came back through the browser.
pub(crate) struct Answer<'a> {
    pub(crate) code: &'a str,
    /// The issuer that the answer names.
    pub(crate) issuer: Option<&'a str>,
}

#[derive(Default)]
struct Cache {
    metadata: Option<Arc<Metadata>>,
    fetched: Option<Instant>,
    failed: Option<Instant>,
    keys_again: Option<Instant>,
}

/// A provider, with what is known of it.
pub(crate) struct Provider {
    config: OidcProvider,
    fetch: Fetch,
    cache: Mutex<Cache>,
}

fn younger(at: Option<Instant>, than: Duration) -> bool {
    at.is_some_and(|at| at.elapsed() < than)
}

impl Provider {
    pub(super) fn new(config: OidcProvider) -> std::io::Result<Self> {
        let fetch = Fetch::new(config.is_plain())?;
        Ok(Self { config, fetch, cache: Mutex::default() })
    }

    pub(crate) fn config(&self) -> &OidcProvider {
        &self.config
    }

    /// The way to the provider's page, from which it sends the browser to `redirect`.
    pub(crate) async fn begin(&self, redirect: &str) -> Result<Begun, OidcError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata, redirect)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let fresh = (|| CsrfToken::new(random::secret()), || Nonce::new(random::secret()));
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client.authorize_url(flow, fresh.0, fresh.1).set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        let kept = Kept { nonce: nonce.secret().clone(), verifier: verifier.secret().clone() };
        Ok(Begun { url: url.into(), state: state.secret().clone(), kept })
    }

    /// Whom the answer proves, after every check.
    pub(crate) async fn finish(
        &self,
        answer: &Answer<'_>,
        kept: &Kept,
        redirect: &str,
        now_ms: u64,
    ) -> Result<Outsider, OidcError> {
        let metadata = self.metadata().await?;
        // Before the code is shown to anybody: it may be another provider's (RFC 9207).
        let is_ours = match answer.issuer {
            Some(issuer) => issuer == self.config.issuer,
            None => !metadata.additional_metadata().authorization_response_iss_parameter_supported,
        };
        if !is_ours {
            return Err(OidcError::Refused("the answer is not of the provider that was asked".to_owned()));
        }
        let token = self.token(&metadata, answer.code, kept, redirect).await?;
        let now = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis);
        let now = now.ok_or_else(|| OidcError::Refused("the clock is beyond all calendars".to_owned()))?;
        let nonce = Nonce::new(kept.nonce.clone());
        match self.claims(&metadata, &token, &nonce, now) {
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                // Signed with a key that is newer than what is known.
                let metadata = self.with_keys_again(&metadata).await?;
                self.claims(&metadata, &token, &nonce, now)
            }
            claims => claims,
        }
        .map_err(|error| OidcError::Refused(error.to_string()))
        .and_then(|claims| self.outsider(&claims))
    }

    /// What the provider says of itself, with its keys.
    async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        // Whoever comes while it is asked waits for the same answer.
        let mut cache = self.cache.lock().await;
        let known = cache.metadata.clone();
        if let Some(metadata) = known.clone().filter(|_| younger(cache.fetched, FRESH)) {
            return Ok(metadata);
        }
        let old = known.filter(|_| younger(cache.fetched, STALE));
        if younger(cache.failed, AGAIN) {
            return old.ok_or_else(|| OidcError::Down("it did not answer a moment ago".to_owned()));
        }
        match self.discover().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *cache = Cache {
                    metadata: Some(Arc::clone(&metadata)),
                    fetched: Some(Instant::now()),
                    ..Cache::default()
                };
                Ok(metadata)
            }
            Err(error) => {
                tracing::warn!(provider = %self.config.id, %error, "the provider says nothing of itself");
                cache.failed = Some(Instant::now());
                old.ok_or(error)
            }
        }
    }

    async fn discover(&self) -> Result<Metadata, OidcError> {
        let down = |error: String| OidcError::Down(error);
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(|error| down(error.to_string()))?;
        let ask = self.fetch.within(DISCOVERY_WITHIN);
        let found: Boxed<'_, _> = Box::pin(Metadata::discover_async(issuer, &ask));
        let found = tokio::time::timeout(DISCOVERY_WITHIN, found);
        let found = found.await.map_err(|_| down(FetchError::Late(DISCOVERY_WITHIN).to_string()))?;
        found.map_err(|error| down(chain(&error)))
    }

    /// The same with the keys of now. They are not asked for more often than every few seconds: tokens with unknown keys
    /// are easily made.
    async fn with_keys_again(&self, metadata: &Metadata) -> Result<Arc<Metadata>, OidcError> {
        let mut cache = self.cache.lock().await;
        if younger(cache.keys_again, AGAIN) {
            return Ok(cache.metadata.clone().unwrap_or_else(|| Arc::new(metadata.clone())));
        }
        cache.keys_again = Some(Instant::now());
        let ask = self.fetch.within(KEYS_WITHIN);
        let keys: Boxed<'_, _> = Box::pin(CoreJsonWebKeySet::fetch_async(metadata.jwks_uri(), &ask));
        let keys = keys.await.map_err(|error| OidcError::Down(chain(&error)))?;
        let metadata = Arc::new(metadata.clone().set_jwks(keys));
        cache.metadata = Some(Arc::clone(&metadata));
        Ok(metadata)
    }

    fn client(&self, metadata: &Metadata, redirect: &str) -> Result<Known, OidcError> {
        let secret = self.config.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(self.config.client_id.clone());
        let redirect = RedirectUrl::new(redirect.to_owned())
            .map_err(|error| OidcError::Refused(format!("public_url: {error}")))?;
        let methods = metadata.token_endpoint_auth_methods_supported();
        let takes = |wanted| methods.is_none_or(|methods| methods.contains(&wanted));
        let in_body =
            !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost);
        let kind = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        let client = CoreClient::from_provider_metadata(metadata.clone(), id, secret);
        Ok(client.set_redirect_uri(redirect).set_auth_type(kind))
    }

    /// The code's worth, from the provider itself.
    async fn token(
        &self,
        metadata: &Metadata,
        code: &str,
        kept: &Kept,
        redirect: &str,
    ) -> Result<CoreIdToken, OidcError> {
        let client = self.client(metadata, redirect)?;
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| OidcError::Down(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(kept.verifier.clone()));
        let ask = self.fetch.within(TOKEN_WITHIN);
        let answer: Boxed<'_, _> = Box::pin(request.request_async(&ask));
        let answer = answer.await.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => OidcError::Refused(said.error().to_string()),
            RequestTokenError::Request(error) => OidcError::Down(error.to_string()),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                OidcError::Down("its answer to the code is no token".to_owned())
            }
        })?;
        let token = answer.id_token().cloned();
        token.ok_or_else(|| OidcError::Refused("its answer has no id token".to_owned()))
    }

    /// Signature, issuer, audience, times and nonce.
    fn claims(
        &self,
        metadata: &Metadata,
        token: &CoreIdToken,
        nonce: &Nonce,
        now: DateTime<Utc>,
    ) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
        let secret = self.config.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(self.config.client_id.clone());
        let client: Known = CoreClient::from_provider_metadata(metadata.clone(), id, secret);
        let not_ahead = move |issued: DateTime<Utc>| {
            if issued > now + LEEWAY { Err("the token is from the future".to_owned()) } else { Ok(()) }
        };
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || now - LEEWAY)
            .set_issue_time_verifier_fn(not_ahead);
        token.claims(&verifier, nonce).cloned()
    }

    fn outsider(&self, claims: &CoreIdTokenClaims) -> Result<Outsider, OidcError> {
        let subject = claims.subject().as_str();
        if !(1..=MAX_SUBJECT).contains(&subject.len()) {
            return Err(OidcError::Refused("the subject is empty or too long".to_owned()));
        }
        let whole = claims.name().and_then(|name| name.get(None)).map(|name| name.as_str());
        let user = claims.preferred_username().map(|name| name.as_str());
        let mail = claims.email().map(|mail| mail.as_str());
        let names = [whole, user, mail];
        let shown = names.into_iter().flatten().map(on_a_line).find(|name| !name.is_empty());
        let name = shown.unwrap_or_else(|| on_a_line(&self.config.label));
        Ok(Outsider { issuer: self.config.issuer.clone(), subject: subject.to_owned(), name })
    }
}

/// A name that people read: on one line, and not long.
fn on_a_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>().trim().to_owned()
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

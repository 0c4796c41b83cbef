//! Who may use this server from a browser: one list governs CORS, WebSocket origins and
//! `frame-ancestors`; and the security headers that every response carries.

use super::problem::{Code, Problem};
use crate::config::parse_origin;
use crate::state::Shared;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

const PERMISSIONS: &str = "autoplay=(self), fullscreen=(self), gamepad=(self), microphone=(self), \
                           screen-wake-lock=(self), camera=(), geolocation=(), payment=(), usb=()";
const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const COEP: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What the `Origin` of a request is to this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Not a browser's cross-origin request.
    Absent,
    /// Ours.
    Own,
    /// On the list.
    Listed(HeaderValue),
    /// Neither.
    Stranger,
}

/// Classifies the request's `Origin`.
pub(crate) fn classify(shared: &Shared, headers: &HeaderMap) -> Origin {
    let Some(value) = headers.get(header::ORIGIN) else { return Origin::Absent };
    let Some(origin) = value.to_str().ok().and_then(parse_origin) else { return Origin::Stranger };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let named = origin.split_once("://").map_or("", |(_, authority)| authority);
    let public = shared.config.public_url.as_ref().map(|url| url.origin().ascii_serialization());
    if named.eq_ignore_ascii_case(host) || public.as_ref() == Some(&origin) {
        return Origin::Own;
    }
    if shared.config.allowed_origins.contains(&origin) {
        return Origin::Listed(value.clone());
    }
    Origin::Stranger
}

/// Refuses browsers that come from elsewhere.
pub(crate) fn check(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    match classify(shared, headers) {
        Origin::Stranger => Err(Problem::new(
            Code::OriginNotAllowed,
            "Requests from this site are not allowed. The operator can add it to `allowed_origins`.",
        )),
        _ => Ok(()),
    }
}

/// Answers preflights, refuses strangers' writes, and sets CORS and security headers.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    name_host(&mut request);
    let origin = classify(&shared, request.headers());
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let mut response = if preflight {
        StatusCode::NO_CONTENT.into_response()
    } else if origin == Origin::Stranger && !reads {
        check(&shared, request.headers()).into_response()
    } else {
        next.run(request).await
    };
    if let Origin::Listed(value) = origin {
        cross_origin(response.headers_mut(), value, preflight);
    }
    secure(&shared, host.as_deref(), response.headers_mut());
    response
}

/// HTTP/2 carries the host in the request's target; everything behind this reads the header.
fn name_host(request: &mut Request) {
    let authority =
        request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = authority {
        request.headers_mut().entry(header::HOST).or_insert(host);
    }
}

fn cross_origin(headers: &mut HeaderMap, origin: HeaderValue, preflight: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, DELETE");
        let names = HeaderValue::from_static("authorization, content-type, idempotency-key");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

fn secure(shared: &Shared, host: Option<&str>, headers: &mut HeaderMap) {
    let listed = &shared.config.allowed_origins;
    let corp = if listed.is_empty() { "same-origin" } else { "cross-origin" };
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (COOP, "same-origin"),
        (COEP, "require-corp"),
        (CORP, corp),
        (PERMISSIONS_POLICY, PERMISSIONS),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Ok(value) = HeaderValue::from_str(&content_policy(listed, host)) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(value);
    }
    // Not under our own authority: a browser that has not installed its root would be locked out of the plain
    // page that offers it.
    if shared.config.is_secure() && shared.config.certificate_pin.is_none() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

/// Older Safari does not count `ws:` and `wss:` of our own host as `'self'`, so the host is named.
fn content_policy(listed: &[String], host: Option<&str>) -> String {
    let plain = |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let sockets = host.filter(plain).map(|host| format!(" ws://{host} wss://{host}")).unwrap_or_default();
    let ancestors: String = listed.iter().map(|origin| format!(" {origin}")).collect();
    format!(
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
         media-src 'self' blob:; connect-src 'self'{sockets}; worker-src 'self' blob:; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'self'{ancestors}"
    )
}

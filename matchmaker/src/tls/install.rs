//! The pages that help a device to trust the local authority.
//!
//! They carry the root certificate, which is public, and instructions. They may be served in plain
//! HTTP, because a device that does not trust the root yet can load nothing else.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::Uuid;

/// Where the instructions are.
pub(super) const PAGE: &str = "/install-ca";
const CERTIFICATE: &str = "/nearframe-root.crt";
const PROFILE: &str = "/nearframe-root.mobileconfig";
const STYLE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the pages show.
struct Root {
    der: Vec<u8>,
    /// Where to go on, with a slash at its end.
    play: String,
}

/// The pages, without a fallback, to be merged into the router of the door.
pub(super) fn pages(root: &CertificateDer<'_>, play: &str) -> Router {
    let state = Arc::new(Root { der: root.to_vec(), play: play.to_owned() });
    Router::new()
        .route(PAGE, get(page))
        .route(CERTIFICATE, get(certificate))
        .route(PROFILE, get(profile))
        .with_state(state)
}

/// The pages for the plain-HTTP port: whatever else is asked for is sent to `play`, over HTTPS.
pub(super) fn plain_pages(root: &CertificateDer<'_>, play: &str) -> Router {
    let base = play.trim_end_matches('/').to_owned();
    pages(root, play).fallback(move |uri: Uri| {
        let target = format!("{base}{}", uri.path_and_query().map_or("/", |path| path.as_str()));
        async move { Redirect::temporary(&target) }
    })
}

async fn page(State(root): State<Arc<Root>>) -> Response {
    let fingerprint = hex::encode_upper(Sha256::digest(&root.der));
    let pairs: Vec<_> = fingerprint.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    let html = include_str!("install.html")
        .replace("{{certificate}}", CERTIFICATE)
        .replace("{{profile}}", PROFILE)
        .replace("{{play}}", &escaped(&root.play))
        .replace("{{fingerprint}}", &pairs.join(" "));
    headers(
        [(header::CONTENT_SECURITY_POLICY, STYLE_POLICY), (header::CACHE_CONTROL, "no-store")],
        Html(html),
    )
}

async fn certificate(State(root): State<Arc<Root>>) -> Response {
    headers(
        [
            (header::CONTENT_TYPE, "application/x-x509-ca-cert"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"nearframe-root.crt\""),
        ],
        root.der.clone(),
    )
}

async fn profile(State(root): State<Arc<Root>>) -> Response {
    headers(
        [
            (header::CONTENT_TYPE, "application/x-apple-aspen-config"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"nearframe-root.mobileconfig\""),
        ],
        mobile_config(&root.der),
    )
}

fn headers<const N: usize>(fields: [(HeaderName, &'static str); N], body: impl IntoResponse) -> Response {
    (StatusCode::OK, fields, [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], body).into_response()
}

/// Apple's configuration profile with one root certificate (Device Management, `com.apple.security.root`).
/// Its ids follow from the certificate, so that installing it again replaces it.
fn mobile_config(der: &[u8]) -> String {
    let id = |purpose: &str| {
        let hash = Sha256::new().chain_update(purpose).chain_update(der).finalize();
        let bytes: [u8; 16] = hash[..16].try_into().expect("SHA-256 has 32 bytes");
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    };
    let (outer, inner): (Uuid, Uuid) = (id("profile"), id("payload"));
    include_str!("install.mobileconfig")
        .replace("{{profile_id}}", &outer.to_string().to_uppercase())
        .replace("{{payload_id}}", &inner.to_string().to_uppercase())
        .replace("{{certificate}}", &BASE64_STANDARD.encode(der))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_installed_again_replaces_itself() {
        assert_eq!(mobile_config(b"one"), mobile_config(b"one"));
        assert_ne!(mobile_config(b"one"), mobile_config(b"two"));
        assert!(!mobile_config(b"one").contains("{{"));
    }

    #[test]
    fn an_address_cannot_break_out_of_the_page() {
        assert_eq!(escaped("https://a/\"><b>&"), "https://a/&quot;>&lt;b>&amp;");
    }
}

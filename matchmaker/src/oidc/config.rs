//! Which providers are trusted.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use url::{Host, Url};

/// A provider of identities. The server's address with `/v1/sign-in/oidc/{id}/callback` is what is registered there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// Part of addresses: lower-case letters, digits and hyphens.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The provider's address of itself, exactly as it writes it.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// The secret that it gave; without one, this server is a public client.
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
}

/// Without the secret.
impl fmt::Debug for OidcProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, issuer, client_id, .. } = self;
        write!(f, "OidcProvider {{ id: {id:?}, issuer: {issuer:?}, client_id: {client_id:?} }}")
    }
}

impl OidcProvider {
    /// Whether the provider is a program on this machine, which may speak without TLS.
    pub(super) fn is_plain(&self) -> bool {
        Url::parse(&self.issuer).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
    }

    pub(crate) fn check(&self) -> Result<()> {
        let bad = |key, allowed| Err(Error::Config { key, allowed });
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&self.id.len()) || !self.id.bytes().all(fits) {
            return bad(
                "oidc_providers",
                "files whose names are 1 to 32 of a-z, 0-9 and hyphens, such as google.toml",
            );
        }
        let line = |text: &str, most| {
            (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        if !line(&self.label, 60) {
            return bad("oidc_providers.label", "1 to 60 characters on one line");
        }
        let url = Url::parse(&self.issuer).ok();
        let is_whole = |url: &Url| {
            url.query().is_none() && url.fragment().is_none() && (url.scheme() == "https" || self.is_plain())
        };
        if !url.as_ref().is_some_and(is_whole) {
            return bad(
                "oidc_providers.issuer",
                "an https address without a query, such as https://accounts.google.com",
            );
        }
        if !line(&self.client_id, 255) {
            return bad("oidc_providers.client_id", "what the provider calls this server");
        }
        if self.client_secret.as_ref().is_some_and(String::is_empty) {
            return bad(
                "oidc_providers.client_secret_file",
                "a file with the secret in it, or none for a public client",
            );
        }
        let scope = |scope: &String| {
            (1..=64).contains(&scope.len())
                && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        if self.scopes.len() > 16 || !self.scopes.iter().all(scope) {
            return bad("oidc_providers.scopes", "at most 16 words such as email or profile");
        }
        Ok(())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_or_is_not_safe_is_refused_by_key() {
        let good = OidcProvider {
            id: "acme".into(),
            label: "Acme".into(),
            issuer: "https://id.acme.example/realm".into(),
            client_id: "nearframe".into(),
            client_secret: Some("hush".into()),
            scopes: vec!["email".into()],
        };
        good.check().unwrap();
        assert!(!format!("{good:?}").contains("hush"));
        for issuer in ["http://127.0.0.1:9", "http://[::1]:9/a", "http://localhost:9"] {
            OidcProvider { issuer: issuer.into(), ..good.clone() }.check().unwrap();
        }
        for (wrong, key) in [
            (OidcProvider { id: "Acme".into(), ..good.clone() }, "oidc_providers"),
            (OidcProvider { label: "a\nb".into(), ..good.clone() }, "oidc_providers.label"),
            (
                OidcProvider { issuer: "http://id.acme.example".into(), ..good.clone() },
                "oidc_providers.issuer",
            ),
            (
                OidcProvider { issuer: "https://a.example/?x=1".into(), ..good.clone() },
                "oidc_providers.issuer",
            ),
            (OidcProvider { issuer: "acme".into(), ..good.clone() }, "oidc_providers.issuer"),
            (OidcProvider { client_id: String::new(), ..good.clone() }, "oidc_providers.client_id"),
            (
                OidcProvider { client_secret: Some(String::new()), ..good.clone() },
                "oidc_providers.client_secret_file",
            ),
            (OidcProvider { scopes: vec!["two words".into()], ..good.clone() }, "oidc_providers.scopes"),
        ] {
            let message = wrong.check().unwrap_err().to_string();
            assert!(message.starts_with(&format!("{key}:")), "{message}");
        }
    }
}

//! The certificate that is shown now, replaceable while connections come in.

use super::TlsError;
use super::acme::ALPN;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// What a handshake is answered with.
#[derive(Debug, Default)]
pub(super) struct LiveCertificate {
    shown: RwLock<Option<Arc<CertifiedKey>>>,
    /// Answers to TLS-ALPN-01 validations under way, by domain.
    challenges: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    certified: watch::Sender<bool>,
}

impl LiveCertificate {
    /// Shows `chain` from the next handshake on. Fails when key and chain do not belong together.
    pub(super) fn show(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), TlsError> {
        let certified = Arc::new(CertifiedKey::from_der(chain, key, &default_provider())?);
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(certified);
        self.certified.send_replace(true);
        Ok(())
    }

    /// Answers validations of `domain` with `certificate` (RFC 8737) until [`Self::end_challenges`].
    pub(super) fn answer_challenge(
        &self,
        domain: &str,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), TlsError> {
        // Not checked against its key as other certificates are: the critical extension that answers the
        // challenge is one that the check does not know.
        let key = default_provider().key_provider.load_private_key(key)?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
        self.challenges
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(domain.to_ascii_lowercase(), certified);
        Ok(())
    }

    /// Forgets the answers.
    pub(super) fn end_challenges(&self) {
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The leaf that is shown now.
    #[cfg(test)]
    pub(super) fn leaf(&self) -> Option<CertificateDer<'static>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().map(|key| key.cert[0].clone())
    }

    /// Turns true with the first certificate.
    pub(super) fn certified(&self) -> watch::Receiver<bool> {
        self.certified.subscribe()
    }
}

impl ResolvesServerCert for LiveCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let validates = hello.alpn().is_some_and(|mut offered| offered.any(|name| name == ALPN));
        if validates {
            let domain = hello.server_name()?.to_ascii_lowercase();
            return self.challenges.read().unwrap_or_else(PoisonError::into_inner).get(&domain).cloned();
        }
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A server configuration that asks `live` at each handshake. HTTP/1.1 alone: WebSockets need no more.
pub(super) fn server_config(
    live: &Arc<LiveCertificate>,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(live) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

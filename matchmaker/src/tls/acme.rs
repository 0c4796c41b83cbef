//! Certificates from an ACME server (RFC 8555), proved on the door itself (TLS-ALPN-01, RFC 8737), so
//! that no other port has to be open.

use super::TlsError;
use super::authority::write_private;
use super::given::parse_chain;
use super::live::LiveCertificate;
use instant_acme::{
    Account, AccountCredentials, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier,
    LetsEncrypt, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::error::Error;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The protocol name that a validating server offers alone.
pub(super) const ALPN: &[u8] = b"acme-tls/1";
/// Whether a renewal is due is asked this often.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);
/// Let's Encrypt allows five failed validations an hour: the pauses stay below that after the first few.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// An order that is not decided by then is given up; the next try makes a new one.
const ORDER_WITHIN: Duration = Duration::from_secs(90);

/// How certificates are obtained.
#[derive(Clone, Debug)]
pub struct AcmeConfig {
    /// Where the account and the certificate are kept; made when missing.
    pub directory: PathBuf,
    /// Names of the certificate, at least one.
    pub domains: Vec<String>,
    /// Mail address that the server may write to.
    pub contact: Option<String>,
    /// URL of the server's directory; Let's Encrypt where absent.
    pub server: Option<String>,
    /// Root, in PEM, that vouches for the server itself; the system's roots where absent.
    pub root: Option<PathBuf>,
}

/// A certificate kept fresh by an ACME server.
#[derive(Debug)]
pub(super) struct Acme {
    config: AcmeConfig,
    /// When to renew; `None` while there is no certificate.
    renew_at: Option<SystemTime>,
}

impl Acme {
    /// Shows the certificate kept from earlier, where it still fits.
    pub(super) fn load(config: AcmeConfig, live: &LiveCertificate) -> Result<Self, TlsError> {
        if config.domains.is_empty() {
            return Err(TlsError::Acme("acme_domain needs at least one domain".to_owned()));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.directory)
            .map_err(|error| TlsError::file(&config.directory, &error))?;
        let mut acme = Self { config, renew_at: None };
        let Ok(pem) = fs::read(acme.certificate_path()) else { return Ok(acme) };
        match acme.show(&pem, live) {
            Ok(renew_at) => acme.renew_at = Some(renew_at),
            Err(error) => tracing::warn!(%error, "the kept certificate is not used; a new one is asked for"),
        }
        Ok(acme)
    }

    /// Obtains a certificate when there is none and renews it in time, for as long as the door is open.
    pub(super) async fn keep(mut self, live: &LiveCertificate) {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.renew_at.is_some_and(|at| SystemTime::now() < at) {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            match self.obtain(live).await {
                Ok(()) => {
                    tracing::info!(domains = ?self.config.domains, "a certificate was obtained");
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    tracing::error!(%error, again_in = ?pause, "no certificate was obtained; the domain must lead to this door's port as 443");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Goes through one order.
    async fn obtain(&mut self, live: &LiveCertificate) -> Result<(), TlsError> {
        let account = self.account().await?;
        let names: Vec<_> = self.config.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let proved = prove(&mut order, live).await;
        live.end_challenges();
        proved?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.config.domains.clone())?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&patience()).await?;
        let pem = format!("{}{chain}", key.serialize_pem());
        self.renew_at = Some(self.show(pem.as_bytes(), live)?);
        write_private(&self.certificate_path(), pem.as_bytes())
    }

    /// The account kept from earlier, or a new one.
    async fn account(&self) -> Result<Account, TlsError> {
        let builder = match &self.config.root {
            Some(root) => Account::builder_with_root(root),
            None => Account::builder(),
        }?;
        let path = self.config.directory.join("account.json");
        if let Ok(kept) = fs::read(&path) {
            let credentials: AccountCredentials =
                serde_json::from_slice(&kept).map_err(|error| TlsError::file(&path, &error))?;
            return Ok(builder.from_credentials(credentials).await?);
        }
        let contact = self.config.contact.as_ref().map(|mail| format!("mailto:{mail}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let server = self.config.server.clone().unwrap_or_else(|| LetsEncrypt::Production.url().to_owned());
        let (account, credentials) = builder.create(&wanted, server, None).await?;
        let kept = serde_json::to_vec_pretty(&credentials).map_err(|error| TlsError::file(&path, &error))?;
        write_private(&path, &kept)?;
        Ok(account)
    }

    /// Shows the key and chain in `pem` and says when to renew: after two thirds of their life.
    fn show(&self, pem: &[u8], live: &LiveCertificate) -> Result<SystemTime, TlsError> {
        let path = self.certificate_path();
        let chain = parse_chain(pem).map_err(|problem| TlsError::file(&path, &problem))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsError::file(&path, &error))?;
        let renew_at =
            renewal(&chain[0], &self.config.domains).map_err(|problem| TlsError::file(&path, &problem))?;
        live.show(chain, key)?;
        Ok(renew_at)
    }

    fn certificate_path(&self) -> PathBuf {
        self.config.directory.join("certificate.pem")
    }
}

/// Answers every challenge of `order` and waits until the server has seen the answers.
async fn prove(order: &mut Order, live: &LiveCertificate) -> Result<(), TlsError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => {}
            AuthorizationStatus::Pending => answer(authorization, live).await?,
            ref other => return Err(TlsError::Acme(format!("an authorization is {other:?}"))),
        }
    }
    match order.poll_ready(&patience()).await? {
        OrderStatus::Ready | OrderStatus::Valid => Ok(()),
        other => Err(TlsError::Acme(format!(
            "the order is {other:?}: the server could not validate the domain here"
        ))),
    }
}

async fn answer(mut authorization: AuthorizationHandle<'_>, live: &LiveCertificate) -> Result<(), TlsError> {
    let mut challenge = authorization
        .challenge(ChallengeType::TlsAlpn01)
        .ok_or_else(|| TlsError::Acme("the server offers no TLS-ALPN-01 challenge".to_owned()))?;
    let domain = challenge.identifier().to_string();
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![domain.clone()])?;
    let digest = challenge.key_authorization().digest();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let certificate = params.self_signed(&key)?;
    live.answer_challenge(
        &domain,
        certificate.der().clone(),
        PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    )?;
    Ok(challenge.set_ready().await?)
}

/// When to renew `leaf`; refused when it is not for `domains`.
fn renewal(leaf: &CertificateDer<'_>, domains: &[String]) -> Result<SystemTime, String> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.as_ref().map(|found| found.value.general_names.as_slice()).unwrap_or_default();
    for domain in domains {
        let held = names
            .iter()
            .any(|name| matches!(name, GeneralName::DNSName(held) if held.eq_ignore_ascii_case(domain)));
        if !held {
            return Err(format!("is not for {domain}"));
        }
    }
    let second = |at: i64| u64::try_from(at).unwrap_or(0);
    let begins = second(parsed.validity().not_before.timestamp());
    let ends = second(parsed.validity().not_after.timestamp());
    let renew = begins + ends.saturating_sub(begins) / 3 * 2;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(renew))
}

fn patience() -> RetryPolicy {
    RetryPolicy::new().initial_delay(Duration::from_millis(200)).timeout(ORDER_WITHIN)
}

impl From<instant_acme::Error> for TlsError {
    fn from(error: instant_acme::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = Error::source(&error);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self::Acme(text)
    }
}

#[cfg(test)]
#[path = "acme_tests.rs"]
mod tests;

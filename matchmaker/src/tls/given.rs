//! A certificate from files that somebody else renews.

use super::TlsError;
use super::live::LiveCertificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Renewals are noticed within this long; certificates are renewed weeks before they expire.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The files, and the state of them that is shown.
#[derive(Debug)]
pub(super) struct Given {
    cert: PathBuf,
    key: PathBuf,
    seen: Option<(SystemTime, SystemTime)>,
}

impl Given {
    /// Reads both files and shows them.
    pub(super) fn load(cert: PathBuf, key: PathBuf, live: &LiveCertificate) -> Result<Self, TlsError> {
        let mut given = Self { cert, key, seen: None };
        given.seen = given.changed();
        given.show(live)?;
        Ok(given)
    }

    /// Shows the files again whenever they change. A broken pair is reported and the old one stays.
    pub(super) async fn keep(mut self, live: &LiveCertificate) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            self.look_again(live);
        }
    }

    fn look_again(&mut self, live: &LiveCertificate) {
        let now = self.changed();
        if now.is_none() || now == self.seen {
            return;
        }
        self.seen = now;
        match self.show(live) {
            Ok(()) => tracing::info!(file = %self.cert.display(), "the renewed certificate is in use"),
            Err(error) => {
                tracing::error!(%error, "the changed certificate cannot be used; the old one stays");
            }
        }
    }

    fn show(&self, live: &LiveCertificate) -> Result<(), TlsError> {
        let chain = read_chain(&self.cert)?;
        let key = read_key(&self.key)?;
        live.show(chain, key).map_err(|error| {
            TlsError::file(&self.cert, &format!("with the key {}: {error}", self.key.display()))
        })
    }

    fn changed(&self) -> Option<(SystemTime, SystemTime)> {
        let at = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified()).ok();
        Some((at(&self.cert)?, at(&self.key)?))
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = fs::read(path).map_err(|error| TlsError::file(path, &error))?;
    parse_chain(&pem).map_err(|problem| TlsError::file(path, &problem))
}

/// The certificates in `pem`, at least one.
pub(super) fn parse_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if chain.is_empty() {
        return Err(
            "holds no certificate; PEM starting with -----BEGIN CERTIFICATE----- is expected".to_owned()
        );
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = fs::read(path).map_err(|error| TlsError::file(path, &error))?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| TlsError::file(path, &format!("no private key in PEM: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn pair(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (cert, key)
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_by_name() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (cert, _) = pair(one.path(), "a.example");
        let (_, key) = pair(two.path(), "a.example");
        let text = Given::load(cert, key.clone(), &LiveCertificate::default()).unwrap_err().to_string();
        assert!(text.contains(&key.display().to_string()), "{text}");
    }

    #[test]
    fn a_file_that_is_no_certificate_says_what_is_expected() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = pair(dir.path(), "a.example");
        fs::write(&cert, "hello").unwrap();
        let text = Given::load(cert, key, &LiveCertificate::default()).unwrap_err().to_string();
        assert!(text.contains("BEGIN CERTIFICATE"), "{text}");
    }

    #[test]
    fn a_renewed_file_is_shown_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = pair(dir.path(), "a.example");
        let live = LiveCertificate::default();
        let mut given = Given::load(cert.clone(), key, &live).unwrap();
        let first = live.leaf();
        let later = |seconds| {
            let at = SystemTime::now() + Duration::from_secs(seconds);
            File::options().write(true).open(&cert).unwrap().set_modified(at).unwrap();
        };
        pair(dir.path(), "a.example");
        later(5);
        given.look_again(&live);
        let second = live.leaf();
        assert_ne!(first, second);
        fs::write(&cert, "broken").unwrap();
        later(10);
        given.look_again(&live);
        assert_eq!(live.leaf(), second);
    }
}

//! `[door]` turned into a listener with its certificate.

use crate::options::Door as DoorOptions;
use anyhow::{Context, Result, bail};
use nearframe_matchmaker::tls::{AcmeConfig, Certificates, Door, DoorConfig, LocalConfig, qr_code};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use url::Url;

/// Where the door is unless told otherwise: reachable from this machine alone.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8600);

/// Opens the door; certificates are kept under `data`.
pub(crate) fn open(options: &DoorOptions, data: &Path) -> Result<Door> {
    let config = DoorConfig {
        listen: listen(options),
        public_url: public_url(options)?,
        certificates: certificates(options, data)?,
    };
    Ok(Door::open(config)?)
}

/// The address asked for.
fn listen(options: &DoorOptions) -> SocketAddr {
    options.listen.unwrap_or(DEFAULT_LISTEN)
}

/// `public_url`, checked.
fn public_url(options: &DoorOptions) -> Result<Option<Url>> {
    let Some(text) = &options.public_url else { return Ok(None) };
    let allowed = "allowed is an address such as https://play.example.org/";
    let url = Url::parse(text).with_context(|| format!("public_url = {text:?}: {allowed}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.path() != "/" {
        bail!("public_url = {text:?}: {allowed}, without a path");
    }
    Ok(Some(url))
}

/// The source of the certificate that the options ask for.
fn certificates(options: &DoorOptions, data: &Path) -> Result<Certificates> {
    let acme = options.acme_domain.as_ref().filter(|domains| !domains.is_empty());
    let chosen = match (&options.tls_cert, &options.tls_key, acme) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            bail!("tls_cert and acme_domain exclude each other: a certificate is given or obtained, not both")
        }
        (Some(_), None, None) => bail!("tls_cert needs tls_key, the private key of the certificate"),
        (None, Some(_), None) => bail!("tls_key needs tls_cert, the certificate it belongs to"),
        (Some(cert), Some(key), None) => Certificates::Given { cert: cert.clone(), key: key.clone() },
        (None, None, Some(domains)) => Certificates::Acme(AcmeConfig {
            directory: data.join("acme"),
            domains: domains.clone(),
            contact: options.acme_contact.clone(),
            server: options.acme_directory.clone(),
            root: options.acme_root.clone(),
        }),
        (None, None, None) if listen(options).ip().is_loopback() => Certificates::Plain,
        (None, None, None) => Certificates::Local(LocalConfig {
            directory: data.join("authority"),
            names: options.tls_names.clone().unwrap_or_default(),
            ca_listen: options.ca_listen,
        }),
    };
    if !matches!(chosen, Certificates::Local(_)) {
        let stray = options.tls_names.is_some().then_some("tls_names");
        if let Some(key) = stray.or(options.ca_listen.is_some().then_some("ca_listen")) {
            bail!(
                "{key} belongs to the local authority, which serves when --listen is beyond loopback and no certificate is named"
            );
        }
    }
    Ok(chosen)
}

/// What a person standing in front of the machine needs to come in with a phone.
pub(crate) fn invitation(door: &Door) -> Option<String> {
    if door.local_addr().ip().is_loopback() {
        return None;
    }
    let address = door.install_url().unwrap_or_else(|| door.url().to_owned());
    let mut text = String::new();
    if let Some(drawn) = qr_code(&address) {
        text.push_str(&drawn);
        text.push('\n');
    }
    text.push_str(&format!("scan {address}"));
    if let Some(pin) = door.pin() {
        text.push_str(&format!("\nroot certificate SHA-256 {}", hex::encode_upper(pin)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn chosen(options: &DoorOptions) -> Result<Certificates> {
        certificates(options, Path::new("/data"))
    }

    #[test]
    fn loopback_is_plain_and_anything_beyond_it_never() {
        assert!(matches!(chosen(&DoorOptions::default()).unwrap(), Certificates::Plain));
        let beyond = DoorOptions { listen: Some("0.0.0.0:1".parse().unwrap()), ..DoorOptions::default() };
        assert!(matches!(chosen(&beyond).unwrap(), Certificates::Local(_)));
    }

    #[test]
    fn half_a_certificate_is_refused_by_key() {
        let options = DoorOptions { tls_cert: Some(PathBuf::from("a.pem")), ..DoorOptions::default() };
        assert!(chosen(&options).unwrap_err().to_string().contains("tls_key"));
    }

    #[test]
    fn an_option_that_would_have_no_effect_is_refused() {
        let options =
            DoorOptions { ca_listen: Some("127.0.0.1:1".parse().unwrap()), ..DoorOptions::default() };
        assert!(chosen(&options).unwrap_err().to_string().contains("ca_listen"));
    }

    #[test]
    fn a_public_url_is_an_origin() {
        let with = |text: &str| {
            public_url(&DoorOptions { public_url: Some(text.to_owned()), ..DoorOptions::default() })
        };
        assert!(with("https://play.example.org").is_ok());
        for wrong in ["play.example.org", "ftp://a.example", "https://a.example/deep"] {
            assert!(with(wrong).unwrap_err().to_string().contains("public_url"), "{wrong}");
        }
    }
}

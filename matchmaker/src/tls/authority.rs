//! A certificate authority of this machine's own, for a phone on the same network.
//!
//! The root's key never leaves the data directory, and the root may vouch only for private addresses
//! and for the names it was made for (name constraints, RFC 5280 §4.2.1.10): whoever steals it cannot
//! pose as anyone else. Leaf keys live in memory alone.

use super::TlsError;
use super::live::LiveCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fmt::{self, Display};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Two years: long enough that a phone is set up once, short enough to end by itself.
const ROOT_LIFE: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);
/// Apple refuses leaves beyond 825 days; a stolen leaf is worth little after 90.
const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// A running door gets a new leaf this often.
const REISSUE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Phones' clocks are a little off; no leaf begins later than this before now.
const CLOCK_SLACK: Duration = DAY;
/// Private, link-local and loopback networks (RFC 1918, RFC 3927, RFC 4193), as address and prefix.
const PRIVATE_NETWORKS: [(&str, u8); 8] = [
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("169.254.0.0", 16),
    ("127.0.0.0", 8),
    ("fc00::", 7),
    ("fe80::", 10),
    ("::1", 128),
];
/// Names that never leave the local network (RFC 6761, RFC 6762).
const LOCAL_NAMES: [&str; 2] = ["localhost", "local"];

/// How the local authority is kept.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Where the root and its key are kept; made when missing.
    pub directory: PathBuf,
    /// Names and addresses to vouch for besides those of this machine.
    pub names: Vec<String>,
    /// A plain-HTTP address for the installation pages alone.
    pub ca_listen: Option<SocketAddr>,
}

/// The root with its key, and the names it vouches for.
pub(super) struct Authority {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    names: Vec<String>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority kept in `directory`, or makes one: where there is none, where it is about
    /// to expire, and where it may not vouch for all of `names`.
    pub(super) fn open(directory: &Path, names: Vec<String>) -> Result<Self, TlsError> {
        let mut maker = fs::DirBuilder::new();
        maker
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| TlsError::file(directory, &error))?;
        if let Some(kept) = load(directory, &names)? {
            return Ok(kept);
        }
        let made = make(names)?;
        save(directory, &made)?;
        tracing::info!(directory = %directory.display(), "made a new local authority: install its root on each device");
        Ok(made)
    }

    /// Issues a leaf and shows it.
    pub(super) fn issue(&self, live: &LiveCertificate) -> Result<(), TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        let name = self.names.first().map_or("nearframe", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        set_validity(&mut params, LEAF_LIFE);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        // The root goes along so that a node, which knows only its hash, can check the chain.
        live.show(vec![leaf.der().clone(), self.root.clone()], key)
    }

    /// Issues anew for as long as the door is open.
    pub(super) async fn keep(self, live: &LiveCertificate) {
        loop {
            tokio::time::sleep(REISSUE).await;
            if let Err(error) = self.issue(live) {
                tracing::error!(%error, "the certificate could not be issued anew");
            }
        }
    }

    /// The root in DER, for devices to install.
    pub(super) fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// SHA-256 of the root in DER.
    pub(super) fn pin(&self) -> [u8; 32] {
        Sha256::digest(&self.root).into()
    }
}

fn root_path(directory: &Path) -> PathBuf {
    directory.join("nearframe-root.pem")
}

fn key_path(directory: &Path) -> PathBuf {
    directory.join("nearframe-root.key")
}

/// Reads the kept authority; `None` where a new one has to be made.
fn load(directory: &Path, names: &[String]) -> Result<Option<Authority>, TlsError> {
    let (root_path, key_path) = (root_path(directory), key_path(directory));
    let pem = match fs::read(&root_path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TlsError::file(&root_path, &error)),
    };
    let advice = "move it away to have a new authority made";
    let broken = |error: &dyn Display| TlsError::file(&root_path, &format!("{error}; {advice}"));
    let root = CertificateDer::from_pem_slice(&pem).map_err(|error| broken(&error))?;
    let (_, parsed) = X509Certificate::from_der(&root).map_err(|error| broken(&error))?;
    let needed_until = SystemTime::now() + LEAF_LIFE;
    if unix(needed_until) > parsed.validity().not_after.timestamp() {
        tracing::warn!("the local authority expires soon: a new root is made, install it on each device");
        return Ok(None);
    }
    if !names.iter().all(|name| vouches_for(&parsed, name)) {
        tracing::warn!(
            "the local authority may not vouch for a new name: a new root is made, install it on each device"
        );
        return Ok(None);
    }
    let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let common_name = common_name.ok_or_else(|| broken(&"it has no common name"))?;
    let key = fs::read_to_string(&key_path)
        .map_err(|error| TlsError::file(&key_path, &format!("{error}; {advice}")))?;
    let key =
        KeyPair::from_pem(&key).map_err(|error| TlsError::file(&key_path, &format!("{error}; {advice}")))?;
    let issuer = Issuer::new(root_params(common_name, names), key);
    Ok(Some(Authority { root: root.clone(), issuer, names: names.to_vec() }))
}

fn make(names: Vec<String>) -> Result<Authority, TlsError> {
    let key = KeyPair::generate()?;
    // Part of the key's hash in the name keeps two authorities on one phone apart.
    let mark = hex::encode(&Sha256::digest(key.public_key_raw())[..4]);
    let mut params = root_params(&format!("nearframe local authority {mark}"), &names);
    set_validity(&mut params, ROOT_LIFE);
    let root = params.self_signed(&key)?.der().clone();
    Ok(Authority { root, issuer: Issuer::new(params, key), names })
}

fn save(directory: &Path, authority: &Authority) -> Result<(), TlsError> {
    let key = authority.issuer.key().serialize_pem();
    // The key first: a root without its key is an error to read, a key without its root is replaced.
    write_private(&key_path(directory), key.as_bytes())?;
    write_private(&root_path(directory), root_pem(&authority.root).as_bytes())
}

/// Replaces a file in one step, readable by its owner alone.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file =
            fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| TlsError::file(path, &error))
}

fn root_pem(root: &CertificateDer<'_>) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let body = BASE64_STANDARD.encode(root);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn root_params(common_name: &str, names: &[String]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let networks = PRIVATE_NETWORKS.iter().filter_map(|(address, prefix)| {
        let address: IpAddr = address.parse().ok()?;
        Some(GeneralSubtree::IpAddress(subnet(address, *prefix)))
    });
    let local = LOCAL_NAMES.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned()));
    let asked = names.iter().map(|name| match name.parse::<IpAddr>() {
        Ok(address) => GeneralSubtree::IpAddress(subnet(address, if address.is_ipv4() { 32 } else { 128 })),
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    });
    let permitted_subtrees = networks.chain(local).chain(asked).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    params
}

fn subnet(address: IpAddr, prefix: u8) -> CidrSubnet {
    CidrSubnet::from_addr_prefix(address, prefix)
}

/// Whether the root's name constraints allow `name`.
fn vouches_for(root: &X509Certificate<'_>, name: &str) -> bool {
    let Ok(Some(constraints)) = root.name_constraints() else { return false };
    let permitted = constraints.value.permitted_subtrees.as_deref().unwrap_or_default();
    permitted.iter().any(|tree| match (&tree.base, name.parse::<IpAddr>()) {
        (GeneralName::IPAddress(network), Ok(address)) => contains(network, address),
        (GeneralName::DNSName(suffix), Err(_)) => {
            name.eq_ignore_ascii_case(suffix)
                || name.to_ascii_lowercase().ends_with(&format!(".{}", suffix.to_ascii_lowercase()))
        }
        _ => false,
    })
}

/// Whether `network` (address, then mask, as RFC 5280 writes it) holds `address`.
fn contains(network: &[u8], address: IpAddr) -> bool {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    network.len() == 2 * bytes.len()
        && bytes.iter().enumerate().all(|(at, byte)| {
            let mask = network[bytes.len() + at];
            byte & mask == network[at] & mask
        })
}

/// Seconds since 1970.
fn unix(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Sets how long `params` is good: from a little before now, so that phones' clocks may be off.
fn set_validity(params: &mut CertificateParams, life: Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + now - CLOCK_SLACK;
    params.not_after = params.not_before + life;
}

//! The door: the listener that pages and nodes reach the matchmaker through, and its certificate.
//!
//! Plain HTTP exists for loopback alone. Beyond it the door speaks HTTPS, because browsers give
//! WebCrypto, gamepads and wake lock to secure pages only; the certificate is given, obtained by ACME
//! ([`acme`]) or issued by an authority of this machine's own ([`authority`]). Deliberately not here:
//! what is served. The caller brings the router.
//!
//! **Architecture invariant:** no address beyond loopback is ever answered in plain HTTP, except the
//! pages that help to install the local authority's root ([`install`]), which carry no secret.

mod acme;
mod addresses;
mod authority;
mod given;
mod install;
mod live;
mod qr;
mod serve;

pub use acme::AcmeConfig;
pub use authority::LocalConfig;
pub use qr::qr_code;

use live::LiveCertificate;
use rustls::ServerConfig;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::watch;
use url::Url;

/// What keeps a door from opening or staying open.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The port belongs to another program.
    #[error("{0} is taken by another program: stop it, or choose another with --listen ADDR:PORT")]
    PortTaken(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Plain HTTP was asked for on an address that others can reach.
    #[error(
        "{0} is reachable from other machines, where only HTTPS is served: name a certificate, an ACME domain or the local authority"
    )]
    PlainBeyondLoopback(SocketAddr),
    /// A file of certificates or keys is missing, unreadable or wrong.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// The TLS library refuses the certificate or its key.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The ACME server refuses, or cannot be reached.
    #[error("ACME: {0}")]
    Acme(String),
    /// Serving ended by itself.
    #[error("serving: {0}")]
    Serve(io::Error),
}

impl TlsError {
    /// Names the file with what is wrong.
    fn file(path: &Path, problem: &dyn Display) -> Self {
        Self::File { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// Where a door's certificate comes from.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// None: plain HTTP, refused beyond loopback.
    Plain,
    /// Files in PEM, read again when they change.
    Given {
        /// The chain, leaf first.
        cert: PathBuf,
        /// The leaf's private key.
        key: PathBuf,
    },
    /// An ACME server (RFC 8555).
    Acme(AcmeConfig),
    /// An authority of this machine's own.
    Local(LocalConfig),
}

/// How a door opens.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What players type, where it differs from `listen`.
    pub public_url: Option<Url>,
    /// Where the certificate comes from.
    pub certificates: Certificates,
}

/// A bound listener with its certificate; [`Door::serve`] answers on it.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    host: String,
    url: String,
    lock: Lock,
}

/// What stands between a connection and the router.
#[derive(Debug)]
enum Lock {
    Plain,
    Tls { config: Arc<ServerConfig>, live: Arc<LiveCertificate>, keeper: Box<Keeper> },
}

/// What keeps the certificate fresh while the door is open.
#[derive(Debug)]
enum Keeper {
    Given(given::Given),
    Acme(acme::Acme),
    Local { authority: authority::Authority, install: Option<(TcpListener, SocketAddr)> },
}

impl Door {
    /// Binds the address and prepares the certificate. Nothing is answered until [`Door::serve`].
    pub fn open(config: DoorConfig) -> Result<Self, TlsError> {
        if matches!(config.certificates, Certificates::Plain) && !config.listen.ip().is_loopback() {
            return Err(TlsError::PlainBeyondLoopback(config.listen));
        }
        let (listener, address) = bind(config.listen)?;
        let host = match config.public_url.as_ref().and_then(Url::host_str) {
            Some(host) => host.to_owned(),
            None => addresses::host_for_url(address.ip()),
        };
        let lock = Lock::prepare(config.certificates, address, &host)?;
        let scheme = if matches!(lock, Lock::Plain) { "http" } else { "https" };
        let url = match config.public_url {
            Some(url) => url.to_string(),
            None => format!("{scheme}://{host}:{}/", address.port()),
        };
        Ok(Self { listener, address, host, url, lock })
    }

    /// The address listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What a player types, with a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where a phone installs the root of the local authority: over plain HTTP where a port is set
    /// aside for it, else behind the browser's warning. `None` where no root need be installed.
    pub fn install_url(&self) -> Option<String> {
        let Lock::Tls { keeper, .. } = &self.lock else { return None };
        match &**keeper {
            Keeper::Local { install: Some((_, address)), .. } => {
                Some(format!("http://{}:{}{}", self.host, address.port(), install::PAGE))
            }
            Keeper::Local { .. } => Some(format!("{}{}", self.url.trim_end_matches('/'), install::PAGE)),
            Keeper::Given(_) | Keeper::Acme(_) => None,
        }
    }

    /// SHA-256 of the local authority's root certificate (DER): what a node pins. `None` where a
    /// public authority vouches, or where there is no TLS.
    pub fn pin(&self) -> Option<[u8; 32]> {
        let Lock::Tls { keeper, .. } = &self.lock else { return None };
        match &**keeper {
            Keeper::Local { authority, .. } => Some(authority.pin()),
            Keeper::Given(_) | Keeper::Acme(_) => None,
        }
    }

    /// Turns true when the door has a certificate to show; only ACME makes one wait.
    pub fn certified(&self) -> watch::Receiver<bool> {
        match &self.lock {
            Lock::Plain => watch::channel(true).1,
            Lock::Tls { live, .. } => live.certified(),
        }
    }
}

impl Lock {
    fn prepare(certificates: Certificates, address: SocketAddr, host: &str) -> Result<Self, TlsError> {
        let live = Arc::new(LiveCertificate::default());
        let (keeper, alpn): (Keeper, &[&[u8]]) = match certificates {
            Certificates::Plain => return Ok(Self::Plain),
            Certificates::Given { cert, key } => {
                (Keeper::Given(given::Given::load(cert, key, &live)?), &[b"http/1.1"])
            }
            Certificates::Acme(config) => {
                (Keeper::Acme(acme::Acme::load(config, &live)?), &[b"http/1.1", acme::ALPN])
            }
            Certificates::Local(config) => {
                let install = config.ca_listen.map(bind).transpose()?;
                let names = addresses::certificate_names(address.ip(), host, &config.names);
                let authority = authority::Authority::open(&config.directory, names)?;
                authority.issue(&live)?;
                (Keeper::Local { authority, install }, &[b"http/1.1"])
            }
        };
        let config = live::server_config(&live, alpn)?;
        Ok(Self::Tls { config, live, keeper: Box::new(keeper) })
    }
}

/// Binds `wanted`, telling a taken port from other troubles.
fn bind(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), TlsError> {
    let listen = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => TlsError::PortTaken(wanted),
        _ => TlsError::Listen { address: wanted, error },
    };
    let listener = TcpListener::bind(wanted).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    Ok((listener, address))
}

/// The addresses of this machine that others on its network reach it at: one for each IP version that
/// has a route. Sends nothing.
pub fn network_addresses() -> Vec<IpAddr> {
    addresses::routed()
}

#[cfg(test)]
mod tests;

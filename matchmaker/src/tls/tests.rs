//! The door driven from outside, as a browser and a node drive it.

use super::*;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Longer than anything here takes; a test that waits this long has failed.
pub(super) const SOON: Duration = Duration::from_secs(10);

pub(super) struct Open {
    pub(super) address: SocketAddr,
    url: String,
    install_url: Option<String>,
    pin: Option<[u8; 32]>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), TlsError>>,
}

impl Open {
    fn start(config: DoorConfig) -> Self {
        Self::serve(Door::open(config).unwrap())
    }

    pub(super) fn serve(door: Door) -> Self {
        let (address, url) = (door.local_addr(), door.url().to_owned());
        let (install_url, pin) = (door.install_url(), door.pin());
        let stop = watch::Sender::new(false);
        let router = Router::new().route(
            "/peer",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
        );
        let serving = tokio::spawn(door.serve(router, stop.subscribe()));
        Self { address, url, install_url, pin, stop, serving }
    }

    pub(super) async fn close(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(SOON, self.serving).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(self.address).is_err(), "the port is free again");
    }
}

pub(super) fn config(certificates: Certificates) -> DoorConfig {
    DoorConfig { listen: "127.0.0.1:0".parse().unwrap(), public_url: None, certificates }
}

fn local(directory: &Path, names: &[&str]) -> Certificates {
    Certificates::Local(LocalConfig {
        directory: directory.to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ca_listen: Some("127.0.0.1:0".parse().unwrap()),
    })
}

fn root_in(directory: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&fs::read(directory.join("nearframe-root.pem")).unwrap()).unwrap()
}

pub(super) fn exchange(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // Closing without close_notify is how an HTTP/1.1 server may end.
    if let Err(error) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        return Err(error);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn plain(address: SocketAddr, path: &'static str) -> String {
    let get = move || exchange(TcpStream::connect(address).unwrap(), path).unwrap();
    tokio::task::spawn_blocking(get).await.unwrap()
}

pub(super) async fn secure(
    address: SocketAddr,
    name: &str,
    path: &'static str,
    root: CertificateDer<'static>,
) -> io::Result<String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let get = move || {
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SOON))?;
        exchange(StreamOwned::new(session, stream), path)
    };
    tokio::task::spawn_blocking(get).await.unwrap()
}

#[tokio::test]
async fn loopback_is_served_in_plain_http_and_the_port_is_given_back() {
    let open = Open::start(config(Certificates::Plain));
    assert_eq!(open.url, format!("http://{}/", open.address));
    assert!(plain(open.address, "/peer").await.ends_with("127.0.0.1"));
    open.close().await;
}

#[test]
fn plain_http_beyond_loopback_is_refused() {
    let mut config = config(Certificates::Plain);
    config.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(Door::open(config).unwrap_err(), TlsError::PlainBeyondLoopback(_)));
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(Certificates::Plain);
    config.listen = holder.local_addr().unwrap();
    let text = Door::open(config).unwrap_err().to_string();
    assert!(text.contains("--listen") && text.contains(&holder.local_addr().unwrap().to_string()), "{text}");
}

#[tokio::test]
async fn a_device_that_installed_the_root_trusts_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::start(config(local(dir.path(), &["arcade.local"])));
    let root = root_in(dir.path());
    for name in ["127.0.0.1", "localhost", "arcade.local"] {
        let answer = secure(open.address, name, "/peer", root.clone()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
    assert!(secure(open.address, "bank.example", "/peer", root).await.is_err());
    open.close().await;
}

#[tokio::test]
async fn the_installation_port_offers_the_root_and_sends_all_else_to_https() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::start(config(local(dir.path(), &[])));
    let install = Url::parse(open.install_url.as_deref().unwrap()).unwrap();
    assert_eq!(install.scheme(), "http");
    let address = SocketAddr::new(open.address.ip(), install.port().unwrap());
    assert!(plain(address, "/install-ca").await.contains("nearframe-root.mobileconfig"));
    let answer = plain(address, "/nearframe-root.crt").await;
    assert!(answer.contains("application/x-x509-ca-cert"), "{answer}");
    assert!(plain(address, "/nearframe-root.mobileconfig").await.contains("com.apple.security.root"));
    let redirect = plain(address, "/play/meteor?start=1").await;
    assert!(redirect.contains(&format!("location: {}play/meteor?start=1", open.url)), "{redirect}");
    open.close().await;
}

#[tokio::test]
async fn the_authority_stays_the_same_until_it_may_not_vouch_for_a_new_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut pins = Vec::new();
    for names in [&["a.local"][..], &["b.local", "10.1.2.3"], &["play.example.org"], &["play.example.org"]] {
        let open = Open::start(config(local(dir.path(), names)));
        pins.push(open.pin.unwrap());
        let answer = secure(open.address, names[0], "/peer", root_in(dir.path())).await;
        assert!(answer.is_ok(), "{names:?}: {answer:?}");
        open.close().await;
    }
    assert_eq!(pins[0], pins[1], "private names and addresses are covered from the start");
    assert_ne!(pins[1], pins[2], "a public name is not");
    assert_eq!(pins[2], pins[3]);
}

#[tokio::test]
async fn the_roots_key_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("authority");
    drop(Door::open(config(local(&directory, &[]))).unwrap());
    for name in ["nearframe-root.key", "nearframe-root.pem"] {
        let mode = fs::metadata(directory.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[tokio::test]
async fn a_given_certificate_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["given.example".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let open = Open::start(config(Certificates::Given { cert, key }));
    assert!(open.url.starts_with("https://"));
    assert_eq!((open.pin, open.install_url.clone()), (None, None));
    let answer = secure(open.address, "given.example", "/peer", made.cert.der().clone()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    open.close().await;
}

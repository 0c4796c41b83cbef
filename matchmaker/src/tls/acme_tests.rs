//! Against Debian's `pebble`, which validates for real: it looks the domain up and connects to the door.

use super::super::tests::{Open, SOON, config, secure};
use super::super::{Certificates, Door};
use super::*;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const DOMAIN: &str = "play.nearframe.test";
/// Several round trips and validations; a loaded machine takes its time.
const OBTAINED_WITHIN: Duration = Duration::from_secs(30);

/// A child that does not outlive its test.
struct Service(Child);

impl Service {
    fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{name}: {error}; install Debian's package pebble")))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

/// Pebble with a name server of its own, which sends every name to loopback.
struct Pebble {
    api: SocketAddr,
    management: SocketAddr,
    root: PathBuf,
    services: Vec<Service>,
}

impl Pebble {
    /// Chooses ports and makes pebble's own certificate; nothing runs yet.
    fn prepare(dir: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let root = dir.join("pebble.pem");
        fs::write(&root, made.cert.pem()).unwrap();
        fs::write(dir.join("pebble.key"), made.signing_key.serialize_pem()).unwrap();
        Self { api: free_tcp(), management: free_tcp(), root, services: Vec::new() }
    }

    fn start(&mut self, dir: &Path, door: SocketAddr) {
        let dns = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let names = ["-dns01", &dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", ""];
        let unused = ["-https01", "", "-tlsalpn01", "", "-management", &free_tcp().to_string()];
        self.services.push(Service::start(Command::new("pebble-challtestsrv").args(names).args(unused)));
        let settings = serde_json::json!({"pebble": {
            "listenAddress": self.api.to_string(), "managementListenAddress": self.management.to_string(),
            "certificate": self.root, "privateKey": dir.join("pebble.key"),
            "httpPort": 1, "tlsPort": door.port(),
        }});
        let path = dir.join("pebble.json");
        fs::write(&path, settings.to_string()).unwrap();
        let mut pebble = Command::new("pebble");
        pebble.args(["-dnsserver", &dns, "-config"]).arg(path);
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0").env("PEBBLE_AUTHZREUSE", "0");
        self.services.push(Service::start(&mut pebble));
        let began = Instant::now();
        while TcpStream::connect(self.api).is_err() {
            assert!(began.elapsed() < SOON, "pebble did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The root that pebble issues under, made anew at each of its starts.
    async fn issuing_root(&self) -> CertificateDer<'static> {
        let own = CertificateDer::from_pem_slice(&fs::read(&self.root).unwrap()).unwrap();
        let answer = secure(self.management, "127.0.0.1", "/roots/0", own).await.unwrap();
        CertificateDer::from_pem_slice(answer.as_bytes()).unwrap()
    }
}

fn free_tcp() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn door(dir: &Path, pebble: &Pebble) -> Door {
    Door::open(config(Certificates::Acme(AcmeConfig {
        directory: dir.join("acme"),
        domains: vec![DOMAIN.to_owned()],
        contact: Some("operator@nearframe.test".to_owned()),
        server: Some(format!("https://{}/dir", pebble.api)),
        root: Some(pebble.root.clone()),
    })))
    .unwrap()
}

#[tokio::test]
async fn a_certificate_is_obtained_shown_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut pebble = Pebble::prepare(dir.path());
    let first = door(dir.path(), &pebble);
    let mut certified = first.certified();
    assert!(!*certified.borrow());
    pebble.start(dir.path(), first.local_addr());
    let open = Open::serve(first);
    tokio::time::timeout(OBTAINED_WITHIN, certified.wait_for(|certified| *certified)).await.unwrap().unwrap();
    let root = pebble.issuing_root().await;
    let answer = secure(open.address, DOMAIN, "/peer", root.clone()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    open.close().await;

    let again = door(dir.path(), &pebble);
    assert!(*again.certified().borrow(), "the certificate is kept for the next start");
    let open = Open::serve(again);
    assert!(secure(open.address, DOMAIN, "/peer", root).await.is_ok());
    open.close().await;
}

#[test]
fn a_certificate_for_another_name_is_asked_for_anew() {
    let made = rcgen::generate_simple_self_signed(vec![DOMAIN.to_owned()]).unwrap();
    assert!(renewal(made.cert.der(), &[DOMAIN.to_owned()]).is_ok());
    let error = renewal(made.cert.der(), &["other.nearframe.test".to_owned()]).unwrap_err();
    assert!(error.contains("other.nearframe.test"), "{error}");
}

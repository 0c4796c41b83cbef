//! A NATS server of a test's own, on a free port of loopback, or of another address.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far above what it takes on a loaded machine of two cores.
const START_WITHIN: Duration = Duration::from_secs(30);
const PROGRAMS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

pub(crate) struct Server {
    address: SocketAddr,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    pub(crate) fn start_at(address: &str) -> Self {
        let address = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap();
        Self { address, process: run(address) }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.process = run(self.address);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(address: SocketAddr) -> Child {
    let start = |program: &&str| {
        Command::new(program)
            .args(["--addr", &address.ip().to_string(), "--port", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()
    };
    let process = PROGRAMS.iter().find_map(start).expect("nats-server is installed: scripts/setup.sh test");
    let until = Instant::now() + START_WITHIN;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "nats-server does not answer within {START_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

//! A NATS server of a test's own, on a free port of loopback.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far above what it takes on a loaded machine of two cores.
const START_WITHIN: Duration = Duration::from_secs(30);
const PROGRAMS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

pub(crate) struct Server {
    port: u16,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, process: run(port) }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.process = run(self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(port: u16) -> Child {
    let start = |program: &&str| {
        Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()
    };
    let process = PROGRAMS.iter().find_map(start).expect("nats-server is installed: scripts/setup.sh test");
    let until = Instant::now() + START_WITHIN;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nats-server does not answer within {START_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

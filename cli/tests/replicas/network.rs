//! A network of the test's own, on which every matchmaker is a host: a network namespace each, at the ports of one
//! bridge. What is cut loses packets and hears of nothing, as in a network that is torn.
//!
//! The test itself, PostgreSQL and NATS are in the namespace of the bridge, at addresses of their own.

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Where the database is.
pub(crate) const DATABASE: Ipv4Addr = address(2);
/// Where the bus is.
pub(crate) const BUS: Ipv4Addr = address(3);
const TEST: Ipv4Addr = address(1);
const PORT: u16 = 8600;
const BRIDGE: &str = "hub";
/// Says that the test runs in its network.
const INSIDE: &str = "NEARFRAME_TEST_NETWORK";
const WITHIN: Duration = Duration::from_secs(10);

const fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host)
}

/// Runs the test of this name again, in a network of its own; false where this is that run already.
pub(crate) fn runs_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    let inside =
        unshare.arg("--net").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let status = inside.env(INSIDE, "1").status().expect("unshare is installed: scripts/setup.sh test");
    assert!(
        status.success(),
        "the test failed in its network, or may not make one: run it as root, or allow users to make namespaces"
    );
    true
}

/// Makes the bridge.
pub(crate) fn make() {
    ip(&["link", "set", "lo", "up"]);
    ip(&["link", "add", BRIDGE, "type", "bridge"]);
    for address in [TEST, DATABASE, BUS] {
        ip(&["address", "add", &format!("{address}/24"), "dev", BRIDGE]);
    }
    ip(&["link", "set", BRIDGE, "up"]);
}

/// A machine on the network.
pub(crate) struct Host {
    address: Ipv4Addr,
    /// The bridge's end of its cable.
    port: String,
    /// A program that does nothing but be in the host's namespace, which lasts as long as it does.
    keeper: Child,
}

impl Host {
    pub(crate) fn new(n: u8) -> Self {
        let keeper =
            Command::new("unshare").args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).spawn();
        let host = Self { address: address(10 + n), port: format!("port{n}"), keeper: keeper.unwrap() };
        host.await_namespace();
        let keeper = host.keeper.id().to_string();
        ip(&["link", "add", &host.port, "type", "veth", "peer", "name", "cable", "netns", &keeper]);
        ip(&["link", "set", &host.port, "master", BRIDGE, "up"]);
        let own = format!("{}/24", host.address);
        for args in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", &own, "dev", "cable"],
            &["link", "set", "cable", "up"],
        ] {
            run(host.command("ip").args(args));
        }
        host.open_door();
        host
    }

    /// As an operator's proxy would, because without certificates a matchmaker answers its own machine alone.
    fn open_door(&self) {
        let (namespace, door) =
            (File::open(format!("/proc/{}/ns/net", self.keeper.id())).unwrap(), self.door());
        let (opened, is_open) = mpsc::channel();
        thread::spawn(move || {
            // This thread and those that it starts are on the host from here on.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let listener = TcpListener::bind(door).unwrap();
            opened.send(()).unwrap();
            for from in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || forward(from));
            }
        });
        is_open.recv().expect("the door opens");
    }

    /// The program has a namespace of its own a moment after it was started.
    fn await_namespace(&self) {
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let until = Instant::now() + WITHIN;
        while of(&self.keeper.id().to_string()) == of("self") {
            assert!(Instant::now() < until, "unshare --net makes no namespace");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Where a server on it listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, PORT).into()
    }

    /// Where it is reached.
    pub(crate) fn door(&self) -> SocketAddr {
        (self.address, PORT).into()
    }

    /// A program that will run on it; it is the process that is started.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--net").arg(format!("--target={}", self.keeper.id())).arg("--").arg(program);
        command
    }

    /// Nothing that a server says arrives here any more, or does again.
    pub(crate) fn cut_off_from(&self, server: Ipv4Addr, cut: bool) {
        let change = if cut { "add" } else { "delete" };
        ip(&["rule", change, "from", &server.to_string(), "to", &self.address.to_string(), "blackhole"]);
    }

    /// Pulls its cable, or puts it back.
    pub(crate) fn unplug(&self, unplugged: bool) {
        ip(&["link", "set", &self.port, if unplugged { "down" } else { "up" }]);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = kill_process(Pid::from_child(&self.keeper), Signal::KILL);
        let _ = self.keeper.wait();
    }
}

/// To the server on the same machine and back; it may be away.
fn forward(from: TcpStream) -> io::Result<()> {
    let to = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
    let (mut back_from, mut back_to) = (to.try_clone()?, from.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut back_from, &mut back_to);
        back_to.shutdown(Shutdown::Write)
    });
    let (mut from, mut to) = (from, to);
    let _ = io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Write)
}

fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

fn run(command: &mut Command) {
    let status = command.status().expect("iproute2 and util-linux are installed: scripts/setup.sh test");
    assert!(status.success(), "{command:?} failed; its words are above");
}

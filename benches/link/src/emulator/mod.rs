//! A path in real time, between two network namespaces, for programs as they are.
//!
//! Each end is a namespace with one TUN device and nothing else: what a program there sends comes out of its device,
//! a thread of this process lets a [`Link`] decide on it, and it goes into the other end's device. Needs root, or
//! `unshare -Ur`; needs `ip` of iproute2. IPv4 only. TUN devices do not segment, so that the packets seen are those
//! of the wire.
//!
//! **Architecture invariant:** namespaces and devices have no name outside this process; they are open files of it.
//! Whatever ends it, they are gone with it and with the programs that run in them.

#![allow(unsafe_code)] // Namespaces, TUN devices and scheduling have no safe wrapper.

mod error;
mod flow;
mod ip;
mod log;
mod namespace;
mod relay;
mod tun;

pub use error::EmulatorError;
pub use flow::BulkFlow;
pub use log::{DirectionStats, Logged, Outcome, RelayStats};

use crate::link::Link;
use crate::spec::LinkSpec;
use namespace::Namespace;
use relay::Relay;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The server's address: private, so that a local authority may vouch for it.
pub const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
/// The client's addresses: the first, and those it changes to.
const CLIENT_NETWORK: [u8; 3] = [10, 88, 1];
const FIRST_CLIENT: u8 = 2;
const LAST_CLIENT: u8 = 250;

/// Both directions of a path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmulatorSpec {
    /// From the server to the client.
    pub down: LinkSpec,
    /// From the client to the server.
    pub up: LinkSpec,
    /// Decides every chance.
    pub seed: u64,
}

/// An end of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The sender of the stream.
    Server,
    /// Its receiver.
    Client,
}

/// A direction of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the server to the client.
    Down,
    /// From the client to the server.
    Up,
}

/// A running path. Dropping it ends it; programs that run at its ends are left without a network.
#[derive(Debug)]
pub struct Emulator {
    server: Namespace,
    client: Namespace,
    relay: Relay,
    client_host: u8,
}

impl Emulator {
    /// Makes both ends and connects them.
    ///
    /// # Errors
    /// Without the rights to it, without `ip`, or for a link that cannot be.
    pub fn start(spec: &EmulatorSpec) -> Result<Self, EmulatorError> {
        let down = Link::new(spec.down.clone(), spec.seed)?;
        let up = Link::new(spec.up.clone(), spec.seed ^ UP)?;
        let (server, client) = (Namespace::new()?, Namespace::new()?);
        let server_tun = server.run(tun::open)??;
        let client_tun = client.run(tun::open)??;
        server.ip(&tun::setup(SERVER_ADDRESS))?;
        client.ip(&tun::setup(client_address(FIRST_CLIENT)))?;
        let relay = Relay::start([down, up], server_tun, client_tun)?;
        Ok(Self { server, client, relay, client_host: FIRST_CLIENT })
    }

    /// The server's address.
    pub fn server_address(&self) -> Ipv4Addr {
        SERVER_ADDRESS
    }

    /// The client's address of this time.
    pub fn client_address(&self) -> Ipv4Addr {
        client_address(self.client_host)
    }

    /// A command that will run at one end. The program is asked to end (SIGTERM) when the thread that starts it ends,
    /// so that nothing stays behind when this process is killed.
    pub fn command_in(&self, end: End, program: impl AsRef<OsStr>) -> Command {
        self.namespace(end).command(program.as_ref())
    }

    /// A file that leads to the namespace of one end while this process runs, such as for `nsenter --net=FILE`.
    pub fn namespace_path(&self, end: End) -> PathBuf {
        self.namespace(end).path()
    }

    /// Runs `work` on a thread at one end: sockets opened by it belong there, wherever they are used later.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn run_in<T: Send>(&self, end: End, work: impl FnOnce() -> T + Send) -> Result<T, EmulatorError> {
        self.namespace(end).run(work)
    }

    /// From now on the path is like this: time zero of its steps, traces and outages, and of what is counted and
    /// logged, is now. The seed stays; what is under way arrives as it would have.
    ///
    /// # Errors
    /// For a link that cannot be.
    pub fn restart(&self, down: LinkSpec, up: LinkSpec) -> Result<(), EmulatorError> {
        Ok(self.relay.restart([down, up])?)
    }

    /// Time since the latest restart.
    pub fn elapsed(&self) -> Duration {
        self.relay.elapsed()
    }

    /// What happened in one direction since the latest restart. Its log is handed over and begins anew.
    pub fn take_stats(&self, direction: Direction) -> DirectionStats {
        self.relay.take_stats(direction)
    }

    /// How well the relay kept to the model's times since the latest restart.
    pub fn relay_stats(&self) -> RelayStats {
        self.relay.stats()
    }

    /// What one direction could have carried between two times after the latest restart; `None` where it has no limit.
    pub fn capacity_bytes(&self, direction: Direction, from: Duration, until: Duration) -> Option<u64> {
        self.relay.capacity_bytes(direction, from, until)
    }

    /// A TCP connection that sends from the server to the client as much as it can, between two times after the
    /// latest restart.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn start_bulk_flow(&self, from: Duration, until: Duration) -> Result<BulkFlow, EmulatorError> {
        let now = self.elapsed();
        BulkFlow::start(&self.server, &self.client, from.saturating_sub(now), until.saturating_sub(now))
    }

    /// The client gets another address and loses the one it had, as when a phone leaves a Wi-Fi.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn change_address(&mut self) -> Result<Ipv4Addr, EmulatorError> {
        let old = self.client_address();
        let host = if self.client_host == LAST_CLIENT { FIRST_CLIENT } else { self.client_host + 1 };
        let new = client_address(host);
        self.client.ip(&tun::readdress(old, new))?;
        self.client_host = host;
        Ok(new)
    }

    fn namespace(&self, end: End) -> &Namespace {
        match end {
            End::Server => &self.server,
            End::Client => &self.client,
        }
    }
}

/// Makes the upward direction's chances other than the downward one's.
const UP: u64 = 0x5e_ed0f_0bac;

fn client_address(host: u8) -> Ipv4Addr {
    let [a, b, c] = CLIENT_NETWORK;
    Ipv4Addr::new(a, b, c, host)
}

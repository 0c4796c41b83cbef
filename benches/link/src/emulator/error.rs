//! Why there is no path.

use crate::spec::SpecError;
use std::io;

/// Why a path cannot be emulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// No link is like that.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A network namespace was refused.
    #[error("making a network namespace: {0}: run as root, or inside `unshare -Ur`")]
    Namespace(#[source] io::Error),
    /// A TUN device was refused.
    #[error("opening a TUN device: {0}: /dev/net/tun must be there (`modprobe tun`) and open to this user")]
    Tun(#[source] io::Error),
    /// `ip` could not be run.
    #[error("running ip: {0}: install iproute2")]
    NoIp(#[source] io::Error),
    /// `ip` said no.
    #[error("ip refused {commands:?}: {reason}")]
    Ip {
        /// What it was told.
        commands: String,
        /// What it said.
        reason: String,
    },
    /// A thread could not be started.
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
    /// The competing connection could not be made.
    #[error("making the competing TCP connection: {0}")]
    Flow(#[source] io::Error),
}

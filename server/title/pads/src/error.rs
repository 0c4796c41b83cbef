use std::io;
use std::path::PathBuf;

/// Why a title has no gamepads.
#[derive(Debug, thiserror::Error)]
pub enum PadsError {
    /// uinput is not there or not allowed.
    #[error(
        "/dev/uinput: {0}; load the uinput module and let this user write to the device, or use the shim"
    )]
    Uinput(#[source] io::Error),
    /// The kernel made no device node for a pad.
    #[error("the kernel shows no /dev/input/event node for the new pad; is devtmpfs mounted?")]
    NoNode,
    /// A file of the shim could not be made.
    #[error("{path}: {source}; the session's directory must be writable and on a local file system")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread that serves the title could not start.
    #[error("cannot serve gamepads: {0}; raise the limits on threads and open files")]
    Serve(#[source] io::Error),
}

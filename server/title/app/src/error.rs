//! What can go wrong between a session and its compositor.

use std::path::PathBuf;

/// Why the compositor could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum CompositorError {
    /// The settings cannot be met.
    #[error("compositor settings: {0}")]
    Settings(&'static str),
    /// The folder of the session cannot hold our socket.
    #[error("cannot listen on {path}: {source}; the folder must exist, be ours and have a short path")]
    Listen {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The event loop or a protocol global could not be set up.
    #[error("cannot set up the compositor: {0}")]
    Setup(String),
    /// The compositor's thread has ended; the session cannot go on.
    #[error("the compositor has stopped; end the session")]
    Stopped,
}

//! What can keep a title from starting, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a title was not started, frozen or thawed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is no bubblewrap.
    #[error(
        "bubblewrap is missing: install the package `bubblewrap` (Debian, Ubuntu: apt install bubblewrap)"
    )]
    NoBubblewrap,
    /// The kernel or its policy refuses bubblewrap what it needs.
    #[error("bubblewrap could not build the sandbox: {said}; {advice}")]
    Refused {
        /// Bubblewrap's own words.
        said: String,
        /// What the host can change.
        advice: &'static str,
    },
    /// The title's folder may not be mounted.
    #[error("{path}: {why}")]
    Bundle {
        /// What is at fault.
        path: PathBuf,
        /// Why, and what to change.
        why: String,
    },
    /// The title's command is not a program in its folder or in the system.
    #[error("the command `{command}` {why}")]
    Command {
        /// The first word of the command.
        command: String,
        /// Why it cannot be run.
        why: String,
    },
    /// A bind that would weaken the sandbox.
    #[error("{inside} cannot be bound: {why}")]
    Bind {
        /// Where it would have been inside.
        inside: PathBuf,
        /// Why not.
        why: String,
    },
    /// The last stage inside could not lock itself in or start the title.
    #[error("the title did not start: {0}")]
    Start(String),
    /// A call of the system failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// How it failed.
        source: io::Error,
    },
}

/// Names what was tried when a call of the system fails.
pub(crate) trait Tried<T> {
    /// The result with `what` in front of its error.
    fn tried(self, what: impl Into<String>) -> Result<T, SandboxError>;
}

impl<T, E: Into<io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: impl Into<String>) -> Result<T, SandboxError> {
        self.map_err(|error| SandboxError::System { what: what.into(), source: error.into() })
    }
}

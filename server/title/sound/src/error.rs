//! What keeps a sound server from starting.

use std::path::PathBuf;

/// Failures of this crate; each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// cpal would look for another server, or for none.
    #[error("start this process with {name}={wanted:?} in its environment, as Sound::process_env says")]
    Environment {
        /// The variable.
        name: String,
        /// Its value for this folder.
        wanted: String,
    },
    /// A file or folder of the server could not be made.
    #[error(
        "cannot make {path:?} for the sound server: {source}; is the session's folder there and writable?"
    )]
    Folder {
        /// Which one.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// No randomness for the cookie.
    #[error("the system gave no random bytes for the sound server's cookie: {0}")]
    Random(getrandom::Error),
    /// Its sandbox could not be made.
    #[error("the sound server cannot be locked in: {0}")]
    Sandbox(#[from] nearframe_sandbox::SandboxError),
    /// The server ended by itself.
    #[error(
        "the sound server ended ({status}; {said}); PulseAudio 15 or later with systemd's socket activation is needed: \
         install the package `pulseaudio`"
    )]
    Ended {
        /// How.
        status: std::process::ExitStatus,
        /// The last that it said.
        said: String,
    },
    /// The server runs, but its sound does not come.
    #[error("the sound server gave no sound: {0}; play goes on without sound until it is started again")]
    Link(String),
    /// The server runs, but nothing comes from it any more.
    #[error("nothing came from the sound server for {0:?}; it is started again")]
    Stalled(std::time::Duration),
    /// No thread for the watch.
    #[error("cannot start the sound server's thread: {0}; raise the limit on threads")]
    Thread(std::io::Error),
}

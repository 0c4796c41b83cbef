//! A private sound server for one title: what it plays comes out, what the player says goes in.
//!
//! [`Sound`] runs one PulseAudio process with a null sink, in a folder of its own, and takes the sink's
//! monitor through cpal into [`Capture`], which the worker's audio thread reads every 10 ms on its own
//! clock. A server that dies or stalls is started again behind the same socket and cookie; the caller
//! hears silence meanwhile. With a microphone, [`Microphone`] feeds the title's default source.
//!
//! Deliberately no encoding, no mixing and no network. cpal finds its server by the environment of the
//! process alone, so a process has one `Sound`, and is started with [`Sound::process_env`].
//!
//! **Architecture invariant:** [`Capture::fill`] and [`Microphone::push`] never block and never allocate
//! without bound; the server holds no right that it does not need; nothing of it outlives this process.

mod capture;
mod elastic;
mod error;
mod folder;
mod link;
mod microphone;
mod ring;
mod server;
mod watch;

pub use capture::Capture;
pub use error::SoundError;
pub use microphone::Microphone;

use folder::Folder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use watch::{Shared, Watch};

/// Samples each second of every channel, in and out.
pub const SAMPLE_RATE: u32 = 48_000;
/// Channels of [`Capture`], interleaved: left, right.
pub const CAPTURE_CHANNELS: usize = 2;

/// The delay that a title's streams are given unless they ask for less. Below this, programs that are
/// woken late on a busy machine crackle.
const TITLE_LATENCY_MS: u32 = 20;

/// Where and how the server runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The session's private folder, which exists. The server's files come into `sound` below it and
    /// are removed on drop.
    pub dir: PathBuf,
    /// Whether the title's default source is the player's microphone. Otherwise it is silence.
    pub microphone: bool,
}

/// What happened so far, for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoundState {
    /// How often the server had to be started again.
    pub restarts: u32,
    /// Sound that waits to be read, filtered.
    pub buffered_ms: f32,
    /// How often there was nothing to read in the middle of sound.
    pub underruns: u64,
    /// How often old sound was dropped because too much waited.
    pub overruns: u64,
    /// How much faster the server's clock runs than the reader's, as far as it is compensated.
    pub drift_ppm: f32,
}

/// One title's sound server. Dropping it ends the server and removes its files.
#[derive(Debug)]
pub struct Sound {
    // Field order is drop order: the server ends before its files go.
    watch: Watch,
    folder: Folder,
    shared: Arc<Shared>,
    capture: Option<Capture>,
    microphone: Option<Microphone>,
}

impl Sound {
    /// Starts the server. Programs may connect at once: the socket is there, and waits for it. A server that
    /// cannot be started is told of in the log, and programs are then refused.
    ///
    /// # Errors
    /// [`SoundError::Environment`] when this process was not started with [`Sound::process_env`] for this
    /// folder; otherwise what kept its files from being made.
    pub fn start(settings: Settings) -> Result<Self, SoundError> {
        let Settings { dir, microphone } = settings;
        check_environment(&dir)?;
        let (folder, files) = Folder::create(&dir)?;
        let (shared, capture, microphone) = Shared::new(microphone);
        let watch = Watch::start(Arc::clone(&shared), files)?;
        Ok(Self { watch, folder, shared, capture: Some(capture), microphone })
    }

    /// Waits until sound arrives from the server. To be called once, by whoever needs it before the first
    /// [`Capture::fill`].
    ///
    /// # Errors
    /// What kept the server from starting.
    pub fn wait_until_heard(&self) -> Result<(), SoundError> {
        self.watch.first_sound()
    }

    /// The variables that this process itself must have been started with: cpal takes its server from
    /// nowhere else, and a running process cannot change its environment safely.
    pub fn process_env(dir: &Path) -> Vec<(String, String)> {
        let (socket, cookie) = (Folder::socket_in(dir), Folder::cookie_in(dir));
        vec![
            ("PULSE_SERVER".to_owned(), format!("unix:{}", socket.display())),
            ("PULSE_COOKIE".to_owned(), cookie.display().to_string()),
        ]
    }

    /// The server's socket, to be bound into the sandbox. The same file for the whole session.
    pub fn socket(&self) -> &Path {
        self.folder.socket()
    }

    /// The file that a client proves its right with, to be bound read-only into the sandbox.
    pub fn cookie(&self) -> &Path {
        self.folder.cookie()
    }

    /// The title's environment, given where socket and cookie lie inside the sandbox.
    pub fn env(inside_socket: &Path, inside_cookie: &Path) -> Vec<(String, String)> {
        [
            ("PULSE_SERVER", format!("unix:{}", inside_socket.display())),
            ("PULSE_COOKIE", inside_cookie.display().to_string()),
            ("PULSE_SINK", server::SINK.to_owned()),
            ("PULSE_LATENCY_MSEC", TITLE_LATENCY_MS.to_string()),
            // SDL 3 and OpenAL Soft may know better servers. SDL 1.2 and 2 share a variable but not the name for
            // PulseAudio, which both of them try first. ALSA's own plugin looks at PULSE_SERVER.
            ("SDL_AUDIO_DRIVER", "pulseaudio".to_owned()),
            ("ALSOFT_DRIVERS", "pulse".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The sound that the title plays.
    ///
    /// # Panics
    /// When called twice: one clock reads the sound.
    pub fn capture(&mut self) -> Capture {
        self.capture.take().expect("capture is taken once")
    }

    /// Where the player's voice goes; `None` without a microphone and after the first call.
    pub fn microphone(&mut self) -> Option<Microphone> {
        self.microphone.take()
    }

    /// The title is frozen (`true`) or goes on. While it is frozen the server rests and costs nothing.
    pub fn set_paused(&self, paused: bool) {
        self.shared.paused.store(paused, std::sync::atomic::Ordering::Relaxed);
        self.watch.wake();
    }

    /// What happened so far.
    pub fn state(&self) -> SoundState {
        self.shared.state()
    }

    /// The running server's process, for diagnosis; `None` while it is being started again.
    pub fn server_pid(&self) -> Option<u32> {
        self.shared.server_pid()
    }
}

/// What comes from outside may be beyond full scale, or no number at all.
fn clean(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

fn check_environment(dir: &Path) -> Result<(), SoundError> {
    for (name, wanted) in Sound::process_env(dir) {
        if std::env::var(&name).as_deref() != Ok(wanted.as_str()) {
            return Err(SoundError::Environment { name, wanted });
        }
    }
    Ok(())
}

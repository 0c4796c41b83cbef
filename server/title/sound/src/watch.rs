//! Keeps a server running: starts it, sees that sound flows, and starts it again when it does not.

use crate::capture::Capture;
use crate::folder::ServerFiles;
use crate::link::{Link, LinkEvent};
use crate::microphone::{Microphone, Voice};
use crate::ring::{Producer, ring};
use crate::server::Server;
use crate::{CAPTURE_CHANNELS, SAMPLE_RATE, SoundError, SoundState};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// A new server must give sound within this.
const START_TIME: Duration = Duration::from_secs(5);
/// A server from which nothing came for so long is stalled: its blocks come every 10 ms, silent or not. A busy
/// machine may hold them up for a while, and most titles do not come back to a server that was replaced.
const STALL_TIME: Duration = Duration::from_secs(2);
/// How often it is looked after.
const CHECK_TIME: Duration = Duration::from_millis(50);
/// Pause before the first restart; it doubles with each that follows,
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// up to this: a title that brings its server down at once may cost one start in this time.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A server that ran for so long is a good one, and the pause is short again.
const GOOD_TIME: Duration = Duration::from_secs(30);
/// A voice from which nothing came for so long is over.
const QUIET_TIME: Duration = Duration::from_secs(5);
/// Sound that waits between threads at most.
const RING_MS: usize = 200;

/// What the threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where the title's sound goes. Only ever locked by the one stream that is open.
    pub(crate) heard: Mutex<Producer>,
    /// Where the player's voice comes from, with a microphone.
    pub(crate) voice: Option<Mutex<Voice>>,
    /// Milliseconds from `since` to the player's last word; 0 before the first.
    spoken_ms: Arc<AtomicU64>,
    since: Instant,
    blocks: AtomicU64,
    /// The title is frozen: nobody plays and nobody hears.
    pub(crate) paused: AtomicBool,
    server_pid: AtomicU32,
    restarts: AtomicU32,
    buffered_us: AtomicU32,
    drift_ppb: AtomicU64,
    underruns: AtomicU64,
    overruns: AtomicU64,
}

impl Shared {
    /// What the threads share, and the ends that the caller gets.
    pub(crate) fn new(microphone: bool) -> (Arc<Self>, Capture, Option<Microphone>) {
        let ring_frames = SAMPLE_RATE as usize * RING_MS / 1000;
        let (heard, hears) = ring(ring_frames * CAPTURE_CHANNELS);
        let (speaks, voice) = microphone.then(|| ring(ring_frames)).unzip();
        let (spoken_ms, since) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let speaks = speaks.map(|ring| Microphone::new(ring, Arc::clone(&spoken_ms), since));
        let shared = Arc::new(Self {
            spoken_ms,
            since,
            heard: Mutex::new(heard),
            voice: voice.map(|ring| Mutex::new(Voice::new(ring))),
            blocks: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            server_pid: AtomicU32::new(0),
            restarts: AtomicU32::new(0),
            buffered_us: AtomicU32::new(0),
            drift_ppb: AtomicU64::new(0),
            underruns: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
        });
        let capture = Capture::new(hears, Arc::clone(&shared));
        (shared, capture, speaks)
    }

    /// Whether the player's voice has come lately.
    pub(crate) fn someone_speaks(&self) -> bool {
        let last = self.spoken_ms.load(Relaxed);
        last != 0 && self.since.elapsed() < Duration::from_millis(last) + QUIET_TIME
    }

    pub(crate) fn note_progress(&self) {
        self.blocks.fetch_add(1, Relaxed);
    }

    pub(crate) fn report(&self, waiting_s: f64, drift: f64, underruns: u64, overruns: u64) {
        self.buffered_us.store((waiting_s * 1e6) as u32, Relaxed);
        self.drift_ppb.store(((drift * 1e9) as i64).cast_unsigned(), Relaxed);
        self.underruns.store(underruns, Relaxed);
        self.overruns.store(overruns, Relaxed);
    }

    pub(crate) fn state(&self) -> SoundState {
        SoundState {
            restarts: self.restarts.load(Relaxed),
            buffered_ms: self.buffered_us.load(Relaxed) as f32 / 1e3,
            underruns: self.underruns.load(Relaxed),
            overruns: self.overruns.load(Relaxed),
            drift_ppm: self.drift_ppb.load(Relaxed).cast_signed() as f32 / 1e3,
        }
    }

    pub(crate) fn server_pid(&self) -> Option<u32> {
        Some(self.server_pid.load(Relaxed)).filter(|pid| *pid != 0)
    }
}

/// The thread that owns the server. Dropping it ends both.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    first: Receiver<Result<(), SoundError>>,
}

impl Watch {
    /// Starts the first server; its socket can be bound and connected to at once.
    pub(crate) fn start(shared: Arc<Shared>, files: ServerFiles) -> Result<Self, SoundError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (started, first) = mpsc::sync_channel(1);
        let keeper = Keeper { shared, files, stop: Arc::clone(&stop) };
        let thread = thread::Builder::new()
            .name("sound-watch".to_owned())
            .spawn(move || keeper.run(&started))
            .map_err(SoundError::Thread)?;
        Ok(Self { stop, thread: Some(thread), first })
    }

    /// Waits until sound flows from the first server, or until it has failed. To be called once.
    pub(crate) fn first_sound(&self) -> Result<(), SoundError> {
        self.first.recv().unwrap_or_else(|_| Err(SoundError::Link("its thread ended".to_owned())))
    }

    /// Lets a resting server go on at once.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// The first start's outcome goes here.
type Started = SyncSender<Result<(), SoundError>>;

struct Keeper {
    shared: Arc<Shared>,
    files: ServerFiles,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    /// A first server that never gives sound is the last one: programs that connect are refused from then on.
    fn run(self, started: &Started) {
        let mut backoff = BACKOFF_MIN;
        let mut first = true;
        while !self.stopped() {
            let since = Instant::now();
            let outcome = self.serve(|| {
                if std::mem::take(&mut first) {
                    let _ = started.send(Ok(()));
                }
            });
            let error = match outcome {
                Ok(()) => return,
                Err(error) if first => {
                    warn!("this session has no sound: {error}");
                    let _ = started.send(Err(error));
                    return;
                }
                Err(error) => error,
            };
            warn!("{error}");
            self.shared.restarts.fetch_add(1, Relaxed);
            if since.elapsed() >= GOOD_TIME {
                backoff = BACKOFF_MIN;
            }
            self.pause(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Runs one server until told to stop (`Ok`) or until it fails.
    fn serve(&self, mut up: impl FnMut()) -> Result<(), SoundError> {
        let mut server = Server::spawn(&self.files, self.shared.voice.is_some())?;
        self.shared.server_pid.store(server.pid(), Relaxed);
        let outcome = Link::open(Arc::clone(&self.shared)).and_then(|link| {
            let outcome = self.attend(&mut server, &link, &mut up);
            // First the server: without it nothing in the link waits for it any more.
            self.shared.server_pid.store(0, Relaxed);
            server.kill();
            link.close();
            outcome
        });
        self.shared.server_pid.store(0, Relaxed);
        outcome
    }

    fn attend(&self, server: &mut Server, link: &Link, up: &mut impl FnMut()) -> Result<(), SoundError> {
        let (mut blocks, mut since) = (self.shared.blocks.load(Relaxed), Instant::now());
        let mut limit = START_TIME;
        while !self.stopped() {
            match link.event(CHECK_TIME) {
                Some(LinkEvent::Up) => {
                    info!("the sound server runs as process {}", server.pid());
                    limit = STALL_TIME;
                    since = Instant::now();
                    up();
                }
                // The server's end says more than the streams' loss of it.
                Some(LinkEvent::Failed(error)) => {
                    return Err(server.ended().map_or(SoundError::Link(error), |(status, said)| {
                        SoundError::Ended { status, said }
                    }));
                }
                None => {}
            }
            if let Some((status, said)) = server.ended() {
                return Err(SoundError::Ended { status, said });
            }
            // Only a server that has given sound is stopped: its start would take it for stalled.
            if limit == STALL_TIME && self.shared.paused.load(Relaxed) {
                self.rest(server);
                since = Instant::now();
                continue;
            }
            let now = self.shared.blocks.load(Relaxed);
            if now != blocks {
                (blocks, since) = (now, Instant::now());
            } else if since.elapsed() > limit {
                return Err(SoundError::Stalled(limit));
            }
        }
        Ok(())
    }

    /// Keeps the server stopped while the title is frozen: it would play silence to nobody.
    fn rest(&self, server: &Server) {
        server.signal(Signal::STOP);
        while self.shared.paused.load(Relaxed) && !self.stopped() {
            thread::park_timeout(STALL_TIME);
        }
        server.signal(Signal::CONT);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.stopped() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            thread::park_timeout(left);
        }
    }
}

//! From title to encoded frame: three threads that hand one frame to the next.
//!
//! *frame* draws on the frame clock and converts; *encode* encodes and hands out; *audio* makes 10 ms of
//! Opus at a time. A mailbox of one raw frame lies between the first two: a late raw frame is replaced by
//! a newer one, an encoded frame is never dropped here. While no player is connected all three sleep.

mod audio_thread;
mod codec;
mod curtain;
mod encode_thread;
mod frame_thread;
mod frames;
#[cfg(test)]
mod gpu_tests;
mod mailbox;
mod recovery;
mod slices;
#[cfg(test)]
mod tests;

use super::input_port::{InputPort, SEATS};
use super::transport::Transport;
use super::voice::VoicePort;
pub(crate) use codec::EncoderInfo;
use curtain::Curtain;
pub(crate) use frames::Frames;
use mailbox::Mailbox;
use nearframe_encode::{Capabilities, EncoderChange, VideoOptions};
use nearframe_gpu::{Gpu, GpuError, Surface};
use nearframe_protocol::VideoCodec;
use nearframe_protocol::key::Nonce;
use nearframe_protocol::title::TitleManifest;
use nearframe_stream::{FrameClock, Quality};
use nearframe_title::{PlayerWish, Surroundings, TitleNotice};
use slices::Underway;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Wishes that may wait for a frame; a page that sends more is not heard.
const MAX_WISHES: usize = 16;

/// Frames that may be told of between two encoded ones.
const MAX_RECEIVED: usize = 64;

/// Opens the session's GPU: at the start, and again when it was lost.
pub(crate) type GpuSource = Arc<dyn Fn() -> Result<Arc<Gpu>, GpuError> + Send + Sync>;

/// What a pipeline is made from.
pub(crate) struct PipelineConfig {
    pub(crate) title_dir: PathBuf,
    pub(crate) manifest: TitleManifest,
    pub(crate) seed: u64,
    pub(crate) around: Surroundings,
    pub(crate) open_gpu: GpuSource,
    pub(crate) start_bps: u32,
    /// Which encoders may be used, and how.
    pub(crate) video: VideoOptions,
    pub(crate) input: Arc<InputPort>,
    pub(crate) voice: Arc<VoicePort>,
    pub(crate) events: mpsc::UnboundedSender<PipelineEvent>,
}

/// What a pipeline tells its session.
#[derive(Debug)]
pub(crate) enum PipelineEvent {
    /// The title is open and the encoder too.
    Opened(PipelineInfo),
    /// The first frame was handed to a player.
    FirstFrame,
    /// Frames from this one on are the title's, by its RTP timestamp.
    Begins(u32),
    /// The title has something for the page.
    Notice(TitleNotice),
    /// The encoder failed and another took over within the same stream.
    EncoderChanged {
        /// The one that is in use now.
        encoder: EncoderInfo,
        /// What gave way to it.
        change: EncoderChange,
    },
    /// Pictures are in another codec from now on, as was agreed.
    CodecChanged(EncoderInfo),
    /// The encoder cannot be opened for what was agreed; pictures stay as they are.
    CodecRefused {
        /// For which codec.
        codec: VideoCodec,
        /// In its own words.
        why: String,
    },
    /// The title ended by itself.
    Exited,
    /// The GPU failed for good; another machine may do better.
    GpuGone(String),
    /// The title or the encoder failed for good.
    Failed(String),
}

/// What runs, for the statistics.
#[derive(Clone, Debug)]
pub(crate) struct PipelineInfo {
    /// The title's own picture.
    pub(crate) whole: Quality,
    pub(crate) encoder: EncoderInfo,
    pub(crate) adapter: String,
    pub(crate) conversion: String,
}

/// A converted frame on its way to the encoder, with the first half of its trace.
pub(crate) struct RawFrame {
    pub(crate) surface: Surface,
    pub(crate) frame: u32,
    pub(crate) captured_us: u64,
    pub(crate) drawn_us: u64,
    pub(crate) converted_us: u64,
    pub(crate) serials: [u32; SEATS],
    /// Frames a second that follow it.
    pub(crate) fps: u32,
}

impl RawFrame {
    /// 90 kHz from µs, modulo 2³²: exact, so that the page can match frames to facts.
    fn rtp_timestamp(&self) -> u32 {
        (u128::from(self.captured_us) * 9 / 100) as u32
    }
}

/// What the receiver has and has not, for the encoder.
#[derive(Debug, Default)]
struct References {
    received: Vec<u32>,
    /// Frames after this one are lost for good.
    newest_good: Option<u32>,
}

/// State that the threads and the session share.
pub(crate) struct Shared {
    stop: AtomicBool,
    active: Mutex<bool>,
    woken: Condvar,
    mailbox: Mailbox<RawFrame>,
    keyframe: AtomicBool,
    references: Mutex<References>,
    bitrate_bps: AtomicU32,
    encoder_us: AtomicU64,
    /// Smoothed time of encoding a frame, µs; 0 before the first at this quality.
    encode_mean_us: AtomicU64,
    /// The player looks elsewhere.
    hidden: AtomicBool,
    /// No player is reached.
    away: AtomicBool,
    wishes: Mutex<Vec<PlayerWish>>,
    clock: Mutex<FrameClock>,
    peers: RwLock<Vec<Arc<dyn Transport>>>,
    /// What is to be encoded from the next frame on.
    quality: Mutex<Quality>,
    /// What pictures are to be in from the next one on.
    codec: Mutex<VideoCodec>,
    /// The encoder that took over, until pictures are made for it.
    encoder: Mutex<Option<Capabilities>>,
    /// What is being encoded, for its slices.
    underway: Mutex<Option<Underway>>,
    /// Hides the title until the session's challenge is answered.
    curtain: Mutex<Option<Curtain>>,
}

impl Shared {
    /// Waits until a player is connected; `false` when the pipeline is to stop.
    fn wait_active(&self) -> bool {
        let Ok(mut active) = self.active.lock() else { return false };
        while !*active && !self.stopped() {
            active = match self.woken.wait(active) {
                Ok(active) => active,
                Err(_) => return false,
            };
        }
        !self.stopped()
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn is_active(&self) -> bool {
        self.active.lock().is_ok_and(|active| *active)
    }

    fn references(&self) -> MutexGuard<'_, References> {
        self.references.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn underway(&self) -> MutexGuard<'_, Option<Underway>> {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quality(&self) -> Quality {
        *self.quality.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn codec(&self) -> VideoCodec {
        *self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_codec(&self, codec: VideoCodec) {
        *self.codec.lock().unwrap_or_else(PoisonError::into_inner) = codec;
    }

    fn take_encoder(&self) -> Option<Capabilities> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn curtain(&self) -> MutexGuard<'_, Option<Curtain>> {
        self.curtain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_encoder(&self, encoder: Capabilities) {
        *self.encoder.lock().unwrap_or_else(PoisonError::into_inner) = Some(encoder);
    }

    fn each_peer(&self, mut act: impl FnMut(&Arc<dyn Transport>)) {
        if let Ok(peers) = self.peers.read() {
            peers.iter().for_each(&mut act);
        }
    }
}

/// The running threads. Dropping it stops them and waits.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pipeline {
    /// Starts opening the title; [`PipelineEvent::Opened`] or `Failed` follows.
    pub(crate) fn start(config: PipelineConfig) -> std::io::Result<Self> {
        let whole = whole(&config.manifest);
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            active: Mutex::new(false),
            woken: Condvar::new(),
            mailbox: Mailbox::new(),
            keyframe: AtomicBool::new(true),
            references: Mutex::default(),
            bitrate_bps: AtomicU32::new(config.start_bps),
            encoder_us: AtomicU64::new(0),
            encode_mean_us: AtomicU64::new(0),
            hidden: AtomicBool::new(false),
            away: AtomicBool::new(false),
            wishes: Mutex::new(Vec::new()),
            clock: Mutex::new(FrameClock::new(period(whole), Instant::now())),
            peers: RwLock::new(Vec::new()),
            quality: Mutex::new(whole),
            codec: Mutex::new(VideoCodec::H264),
            encoder: Mutex::default(),
            underway: Mutex::default(),
            curtain: Mutex::default(),
        });
        let frame = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("frame".into())
                .spawn(move || frame_thread::run(&shared, &config))?
        };
        Ok(Self { shared, threads: vec![frame] })
    }

    /// Who gets frames from now on. The list replaces the one before; a keyframe is made when it grows.
    pub(crate) fn set_peers(&self, peers: Vec<Arc<dyn Transport>>) {
        if let Ok(mut current) = self.shared.peers.write() {
            if peers.len() > current.len() {
                self.shared.keyframe.store(true, Ordering::Release);
            }
            let fps = self.shared.quality().fps;
            peers.iter().for_each(|peer| peer.set_frame_rate(fps));
            *current = peers;
        }
        self.update_active();
    }

    /// The first frames that a player gets answer this challenge; the title is shown after them.
    pub(crate) fn challenge(&self, nonce: Nonce) {
        *self.shared.curtain() = Some(Curtain::new(nonce));
    }

    /// The first player's page has greeted; `covers`: it keeps its loading screen before the challenge.
    pub(crate) fn greeted(&self, covers: bool) {
        if let Some(curtain) = self.shared.curtain().as_mut() {
            curtain.greeted(covers);
        }
    }

    /// The player looks away or back.
    pub(crate) fn set_hidden(&self, hidden: bool) {
        self.shared.hidden.store(hidden, Ordering::Release);
        self.update_active();
    }

    /// Nobody is reached any more, or somebody is again.
    pub(crate) fn set_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::Release);
        self.update_active();
    }

    /// Tells the title what the page wishes, before its next frame.
    pub(crate) fn tell(&self, wish: PlayerWish) {
        if let Ok(mut wishes) = self.shared.wishes.lock()
            && wishes.len() < MAX_WISHES
        {
            wishes.push(wish);
        }
    }

    /// Ends the title and its threads; returns when nothing of it runs any more.
    pub(crate) fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.woken.notify_all();
        self.shared.mailbox.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has already been reported by the panic hook.
            let _ = thread.join();
        }
    }

    /// The next frame is a keyframe.
    pub(crate) fn request_keyframe(&self) {
        self.shared.keyframe.store(true, Ordering::Release);
    }

    /// The only receiver surely has this frame.
    pub(crate) fn received(&self, frame: u32) {
        let mut references = self.shared.references();
        if references.received.len() < MAX_RECEIVED {
            references.received.push(frame);
        }
    }

    /// What the only receiver was sent after `newest_good` is lost for good: the next frame builds on that one or an
    /// older, or is a keyframe.
    pub(crate) fn reference_lost(&self, newest_good: u32) {
        self.shared.references().newest_good = Some(newest_good);
    }

    /// What the slowest player's path carries.
    pub(crate) fn set_bitrate(&self, bps: u32) {
        self.shared.bitrate_bps.store(bps, Ordering::Release);
    }

    /// What is encoded from the next frame on, which is a keyframe where the size changes.
    pub(crate) fn set_quality(&self, quality: Quality) {
        *self.shared.quality.lock().unwrap_or_else(PoisonError::into_inner) = quality;
        self.shared.encode_mean_us.store(0, Ordering::Release);
        self.shared.each_peer(|peer| peer.set_frame_rate(quality.fps));
        if let Ok(mut clock) = self.shared.clock.lock() {
            clock.set_period(period(quality));
        }
    }

    /// What pictures are in from the next one on, if the encoder can; every peer takes it. A keyframe follows.
    pub(crate) fn set_codec(&self, codec: VideoCodec) {
        self.shared.set_codec(codec);
        self.shared.encode_mean_us.store(0, Ordering::Release);
    }

    /// How long encoding a frame takes at this quality.
    pub(crate) fn encode_time(&self) -> Option<Duration> {
        let mean_us = self.shared.encode_mean_us.load(Ordering::Acquire);
        (mean_us > 0).then(|| Duration::from_micros(mean_us))
    }

    /// How long a frame lay ready before the first player's display took it.
    pub(crate) fn shown(&self, rtp_timestamp: u32, wait_us: i32) {
        if let Ok(mut clock) = self.shared.clock.lock() {
            clock.shown(rtp_timestamp, i64::from(wait_us));
        }
    }

    /// Refreshes a second of the first player's display, where the page has told.
    pub(crate) fn set_display(&self, refresh_hz: Option<f32>) {
        // Rates that no display has are no durations either.
        let refresh = refresh_hz.and_then(|hz| Duration::try_from_secs_f32(1.0 / hz).ok());
        if let Ok(mut clock) = self.shared.clock.lock() {
            clock.set_refresh(refresh);
        }
    }

    /// Time the encoder has worked.
    pub(crate) fn encoder_us(&self) -> u64 {
        self.shared.encoder_us.load(Ordering::Acquire)
    }

    fn update_active(&self) {
        let has_peers = self.shared.peers.read().is_ok_and(|peers| !peers.is_empty());
        let looks = !self.shared.hidden.load(Ordering::Acquire) && !self.shared.away.load(Ordering::Acquire);
        let active = has_peers && looks;
        if let Ok(mut current) = self.shared.active.lock() {
            if active && !*current {
                self.shared.keyframe.store(true, Ordering::Release);
                if let Ok(mut clock) = self.shared.clock.lock() {
                    clock.restart(Instant::now());
                }
            }
            *current = active;
            self.shared.woken.notify_all();
        }
    }
}

/// The title's own picture.
fn whole(manifest: &TitleManifest) -> Quality {
    let run = &manifest.run;
    Quality { width: run.width, height: run.height, fps: run.fps }
}

fn period(quality: Quality) -> Duration {
    Duration::from_secs(1) / quality.fps.max(1)
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

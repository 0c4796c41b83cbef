//! An unmodified Linux program: compositor, sound, pads and sandbox put together.
//!
//! The program runs in the sandbox and sees one Wayland socket, one X11 socket, one sound server and its own
//! gamepads, all of this session alone. This module starts them in that order, hands input over before each
//! frame, and ends the program before it takes its surroundings away.
//!
//! **Architecture invariant:** nothing a program does makes the frame thread wait longer than the compositor's
//! bound; a program that hangs repeats its last picture.

mod hands;
mod keys;
mod launch;
mod layers;
mod sound;

use crate::source::{
    AudioSource, Drawn, FrameTick, PlayerWish, RumbleRequest, TitleFailure, TitleNotice, TitleSource,
    TitleStatus, VoiceSink,
};
use hands::Hands;
use layers::{OnGpu, needs_gpu};
use nearframe_compositor::canvas::Canvas;
use nearframe_compositor::{Compositor, Event, Frame, FrameRequest, KeyboardLayout};
use nearframe_gpu::{CpuPicture, Gpu, Picture};
use nearframe_pads::Pads;
use nearframe_protocol::Seat;
use nearframe_protocol::control::{Cursor, MAX_CLIPBOARD_BYTES};
use nearframe_protocol::input::InputEvent;
use nearframe_protocol::title::TitleManifest;
use nearframe_sandbox::{Exit, Sandbox};
use nearframe_sound::Sound;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tracing::{info, warn};

/// Where a session's program lives.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Private folder of this session, with a short path: sockets lie in it.
    pub dir: PathBuf,
    /// The program's home; what its manifest saves lies below it.
    pub home: PathBuf,
    /// The program that becomes the sandbox's first process when called with `title-init`.
    pub launcher: PathBuf,
    /// The session's GPU, where the program may draw with it.
    pub gpu: Option<Arc<Gpu>>,
}

/// Variables that a process must be started with before it can run programs whose private folder is `dir`.
pub fn process_env(dir: &Path) -> Vec<(String, String)> {
    Sound::process_env(dir)
}

/// A program that is asked to end gets this long to save; half of what the agent gives its worker.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Whether the program of `manifest` may draw with the host's GPU.
pub fn may_use_gpu(manifest: &TitleManifest) -> bool {
    launch::may_use_gpu(manifest)
}

/// Notices that may wait for the session; what is newer than that many is lost, the newest cursor never.
const MAX_NOTICES: usize = 64;

/// A running program. Fields are dropped in order: the program first.
pub(crate) struct Program {
    sandbox: Sandbox,
    compositor: Compositor,
    pads: Pads,
    sound: Option<Sound>,
    events: Receiver<Event>,
    hands: Hands,
    canvas: Canvas,
    on_gpu: Option<OnGpu>,
    frame: Frame,
    notices: VecDeque<TitleNotice>,
    size: (u32, u32),
    failed: Option<String>,
    exited: bool,
}

impl Program {
    /// Starts the program of `manifest`, whose files lie in `dir`.
    pub(crate) fn start(
        manifest: &TitleManifest,
        dir: &Path,
        around: &Surroundings,
    ) -> Result<Self, TitleFailure> {
        let run = &manifest.run;
        let on_gpu = match around.gpu.clone().filter(|gpu| gpu.dmabuf_support().is_some()) {
            Some(gpu) => Some(OnGpu::new(gpu, run.width, run.height).map_err(failure)?),
            None => None,
        };
        // A machine without a sound server still plays, silently; doctor says what to install. Its start takes a
        // while, and the program's own goes on beside it.
        let sound = Sound::start(launch::sound(around))
            .inspect_err(|error| warn!("this session has no sound: {error}"))
            .ok();
        let (compositor, events) =
            Compositor::start(launch::compositor(manifest, around)).map_err(failure)?;
        let pads = Pads::start(launch::pads(around)).map_err(failure)?;
        let launch = launch::sandbox(manifest, dir, around, &compositor, &pads, sound.as_ref());
        let sandbox = Sandbox::launch(&launch).map_err(failure)?;
        info!(pid = sandbox.pid(), pads = pads.backend(), "the program runs in its sandbox");
        Ok(Self {
            sandbox,
            compositor,
            pads,
            sound,
            events,
            hands: Hands::new(run.width, run.height),
            canvas: Canvas::new(run.width, run.height),
            on_gpu,
            frame: Frame::default(),
            notices: VecDeque::new(),
            size: (run.width, run.height),
            failed: None,
            exited: false,
        })
    }

    fn note(&mut self, notice: TitleNotice) {
        if matches!(notice, TitleNotice::Cursor(_)) {
            self.notices.retain(|waiting| !matches!(waiting, TitleNotice::Cursor(_)));
        }
        if self.notices.len() < MAX_NOTICES {
            self.notices.push_back(notice);
        }
    }

    fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Cursor(cursor) => {
                    if let Some(cursor) = page_cursor(cursor) {
                        self.note(TitleNotice::Cursor(cursor));
                    }
                }
                Event::PointerLocked(locked) => self.note(TitleNotice::PointerLocked(locked)),
                Event::TextInput { active, .. } => self.note(TitleNotice::TextInput(active)),
                Event::Clipboard(text) if text.len() <= MAX_CLIPBOARD_BYTES => {
                    self.note(TitleNotice::Clipboard(text));
                }
                Event::Clipboard(text) => {
                    warn!(bytes = text.len(), "too much text for the player's clipboard");
                }
                Event::Title(name) => info!(name, "the window's title"),
                Event::FirstWindow => info!("the program opened its first window"),
                Event::AllWindowsClosed => info!("the program closed its last window"),
            }
        }
        while let Some(rumble) = self.pads.take_rumble() {
            let Some((seat, pad)) = self.hands.holder(rumble.pad) else { continue };
            self.note(TitleNotice::Rumble(RumbleRequest {
                seat,
                pad,
                strong: rumble.strong,
                weak: rumble.weak,
                duration_ms: u16::try_from(rumble.duration_ms).unwrap_or(u16::MAX),
            }));
        }
    }

    /// Notices that the program ended: by itself, by a crash or by its limits.
    fn watch(&mut self) {
        if self.exited || self.failed.is_some() {
            return;
        }
        match self.sandbox.try_wait() {
            None => {}
            Some(Exit::Code(0)) => self.exited = true,
            Some(exit) => {
                let said = self.sandbox.output_tail();
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
                warn!(output = said, "the program ended: {exit}");
                self.failed = Some(format!("{exit}; the last it said: {last:.300}"));
            }
        }
    }
}

impl TitleSource for Program {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn apply(&mut self, seat: Seat, event: &InputEvent) {
        self.hands.apply(seat, event);
    }

    fn draw(&mut self, tick: FrameTick) -> Result<Drawn<'_>, TitleFailure> {
        for (pad, state) in self.hands.pad_changes.drain(..) {
            match state {
                Some(state) => self.pads.apply(pad, &state),
                None => self.pads.gone(pad),
            }
        }
        let request = FrameRequest { inputs: std::mem::take(&mut self.hands.inputs), now_us: tick.now_us };
        self.frame = self.compositor.frame(request).map_err(failure)?;
        self.take_events();
        self.watch();
        if let Some(why) = self.failed.take() {
            return Err(TitleFailure(why));
        }
        if let Some(on_gpu) = self.on_gpu.as_mut().filter(|_| needs_gpu(&self.frame)) {
            let (texture, changed) = on_gpu.compose(&self.frame).map_err(failure)?;
            return Ok(Drawn { picture: Picture::Gpu(texture), changed });
        }
        let flat = self
            .canvas
            .flatten(&self.frame)
            .ok_or_else(|| TitleFailure("a window's picture cannot be read by the CPU".to_owned()))?;
        let stride =
            u32::try_from(flat.stride).map_err(|_| TitleFailure("a window is too wide".to_owned()))?;
        let picture = CpuPicture { width: flat.width, height: flat.height, stride, data: flat.data };
        Ok(Drawn { picture: Picture::Cpu(picture), changed: self.frame.changed })
    }

    fn status(&self) -> TitleStatus {
        if self.exited { TitleStatus::Exited } else { TitleStatus::Running }
    }

    fn take_notice(&mut self) -> Option<TitleNotice> {
        self.notices.pop_front()
    }

    fn tell(&mut self, wish: PlayerWish) {
        match wish {
            PlayerWish::Keyboard { layout, variant } => {
                self.compositor.set_layout(KeyboardLayout { layout, variant });
            }
            PlayerWish::Clipboard(text) => self.compositor.set_clipboard(text),
        }
    }

    fn audio(&mut self) -> Box<dyn AudioSource> {
        Box::new(sound::Heard(self.sound.as_mut().map(Sound::capture)))
    }

    fn microphone(&mut self) -> Option<Box<dyn VoiceSink>> {
        let microphone = self.sound.as_mut()?.microphone()?;
        Some(Box::new(sound::Spoken(microphone)))
    }

    fn warms_up(&self) -> bool {
        true
    }

    fn set_frame_rate(&mut self, fps: u32) {
        let (width, height) = self.size;
        self.compositor.resize(width, height, fps);
    }

    fn replace_gpu(&mut self, gpu: &Arc<Gpu>) -> Result<(), TitleFailure> {
        if self.on_gpu.is_some() {
            let (width, height) = self.size;
            // The program's buffers are its own and outlive our device: they are imported again when shown next.
            self.on_gpu = Some(OnGpu::new(Arc::clone(gpu), width, height).map_err(failure)?);
        }
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) {
        if let Some(sound) = &self.sound {
            sound.set_paused(paused);
        }
        let done = if paused { self.sandbox.freeze() } else { self.sandbox.thaw() };
        if let Err(error) = done {
            warn!(paused, "the program could not be frozen or thawed: {error}");
        }
    }

    fn stop(&mut self) {
        self.sandbox.end(END_WITHIN);
    }
}

fn failure(error: impl std::fmt::Display) -> TitleFailure {
    TitleFailure(error.to_string())
}

/// As it travels to the page; a picture that cannot be encoded is left out.
fn page_cursor(cursor: nearframe_compositor::Cursor) -> Option<Cursor> {
    use base64::Engine;
    use image::ImageEncoder;
    Some(match cursor {
        nearframe_compositor::Cursor::Hidden => Cursor::Hidden,
        nearframe_compositor::Cursor::Named(name) => Cursor::Named { name: name.to_owned() },
        nearframe_compositor::Cursor::Picture { width, height, hot_x, hot_y, rgba } => {
            let mut png = Vec::new();
            image::codecs::png::PngEncoder::new(&mut png)
                .write_image(&rgba, width, height, image::ExtendedColorType::Rgba8)
                .inspect_err(|error| warn!("a pointer's picture cannot be encoded: {error}"))
                .ok()?;
            let png = base64::engine::general_purpose::STANDARD.encode(png);
            let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
            let (hot_x, hot_y) = (hot_spot(hot_x, width), hot_spot(hot_y, height));
            Cursor::Picture { png, hot_x, hot_y, width, height }
        }
    })
}

/// Inside the picture, wherever the program says it is.
fn hot_spot(at: i32, size: u16) -> u16 {
    u16::try_from(at.max(0)).unwrap_or(u16::MAX).min(size.saturating_sub(1))
}

//! The seam between a title and the session that streams it.

use nearframe_gpu::{Gpu, Picture};
use nearframe_protocol::Seat;
use nearframe_protocol::control::Cursor;
use nearframe_protocol::input::InputEvent;
use std::sync::Arc;

/// The moment a frame is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTick {
    /// 0, 1, 2, …; grows by one for every frame that is drawn.
    pub frame: u32,
    /// Node clock (monotonic), in µs.
    pub now_us: u64,
    /// Serial of the newest input event applied before this tick; 0 before the first.
    pub input_serial: u32,
}

/// What was drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'a> {
    /// The picture.
    pub picture: Picture<'a>,
    /// Whether it differs from the one before.
    pub changed: bool,
}

impl<'a> From<Picture<'a>> for Drawn<'a> {
    /// Taken to be new.
    fn from(picture: Picture<'a>) -> Self {
        Self { picture, changed: true }
    }
}

/// Whether a title goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TitleStatus {
    /// It runs.
    Running,
    /// It ended by itself; the session ends with `title_exited`.
    Exited,
}

/// A wish to shake a pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RumbleRequest {
    /// Whose pad.
    pub seat: Seat,
    /// Which of the seat's pads.
    pub pad: u8,
    /// Low-frequency motor, 0..=65535.
    pub strong: u16,
    /// High-frequency motor, 0..=65535.
    pub weak: u16,
    /// How long.
    pub duration_ms: u16,
}

/// What a title tells the player's page, beside picture and sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TitleNotice {
    /// It wants to shake a pad.
    Rumble(RumbleRequest),
    /// The pointer looks like this from now on.
    Cursor(Cursor),
    /// It wants relative motion, or no longer does.
    PointerLocked(bool),
    /// A text field has the focus, or none any more.
    TextInput(bool),
    /// It put text on the clipboard.
    Clipboard(String),
}

/// What a player's page tells the title, beside input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayerWish {
    /// The keyboard's layout, by its names in xkb.
    Keyboard {
        /// Such as `de`.
        layout: String,
        /// Such as `nodeadkeys`, or empty.
        variant: String,
    },
    /// Text to paste.
    Clipboard(String),
}

/// A title that failed for good.
#[derive(Debug, thiserror::Error)]
#[error("the title failed: {0}")]
pub struct TitleFailure(pub String);

/// Something that plays. Lives on one thread, the frame thread.
pub trait TitleSource: Send {
    /// Picture size in pixels.
    fn size(&self) -> (u32, u32);

    /// Applies one input event; the next frame shows its effect.
    fn apply(&mut self, seat: Seat, event: &InputEvent);

    /// Draws the frame for this tick.
    fn draw(&mut self, tick: FrameTick) -> Result<Drawn<'_>, TitleFailure>;

    /// Whether the title goes on.
    fn status(&self) -> TitleStatus;

    /// What it has to tell since the last call, one at a time.
    fn take_notice(&mut self) -> Option<TitleNotice>;

    /// What the page tells; most titles do not care.
    fn tell(&mut self, _wish: PlayerWish) {}

    /// The sound of this title; asked for once, before the first frame.
    fn audio(&mut self) -> Box<dyn AudioSource>;

    /// Where the player's voice goes; asked for once. `None`: nobody listens.
    fn microphone(&mut self) -> Option<Box<dyn VoiceSink>> {
        None
    }

    /// How many frames a second are drawn from now on. Titles whose time is that of their ticks do not care.
    fn set_frame_rate(&mut self, _fps: u32) {}

    /// Whether it wants to be drawn before a player is there: programs reach their menu this way.
    fn warms_up(&self) -> bool {
        false
    }

    /// The session's GPU was lost and `gpu` takes its place: makes anew whatever lived on it and goes on where it
    /// was. Titles that draw with the CPU do not care.
    fn replace_gpu(&mut self, _gpu: &Arc<Gpu>) -> Result<(), TitleFailure> {
        Ok(())
    }

    /// The player is away (`true`) or back: time stands still in between.
    fn set_paused(&mut self, paused: bool);

    /// Ends it for good and returns when nothing of it runs any more; its files are then whole.
    fn stop(&mut self) {}
}

/// Takes the player's voice.
pub trait VoiceSink: Send {
    /// The next samples: 48 kHz, mono, −1..=1. Never blocks.
    fn push(&mut self, samples: &[f32]);
}

/// The sound of a title. Lives on the audio thread and never blocks on the frame thread.
pub trait AudioSource: Send {
    /// Fills `out` with the next samples: 48 kHz, interleaved stereo, −1..=1.
    fn fill(&mut self, out: &mut [f32]);
}

//! The seam between a title and the session that streams it.

use nearframe_gpu::Picture;
use nearframe_protocol::Seat;
use nearframe_protocol::input::InputEvent;

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
    fn draw(&mut self, tick: FrameTick) -> Result<Picture<'_>, TitleFailure>;

    /// Whether the title goes on.
    fn status(&self) -> TitleStatus;

    /// Rumble wished since the last call, at most one per pad.
    fn take_rumble(&mut self) -> Option<RumbleRequest>;

    /// The sound of this title; asked for once, before the first frame.
    fn audio(&mut self) -> Box<dyn AudioSource>;

    /// The player is away (`true`) or back: time stands still in between.
    fn set_paused(&mut self, paused: bool);
}

/// The sound of a title. Lives on the audio thread and never blocks on the frame thread.
pub trait AudioSource: Send {
    /// Fills `out` with the next samples: 48 kHz, interleaved stereo, −1..=1.
    fn fill(&mut self, out: &mut [f32]);
}

//! The seam to a video encoder.

use nearframe_gpu::{Layout, Surface};
use std::time::Duration;

/// Video codecs that can be negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Constrained baseline, level as the size needs, packetization mode 1.
    H264,
}

/// What an encoder is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSettings {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Target bitrate.
    pub bitrate_bps: u32,
}

/// What an encoder is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Shown to players and operators, such as `OpenH264`.
    pub name: &'static str,
    /// What it emits.
    pub codec: Codec,
    /// What it takes.
    pub layout: Layout,
    /// Whether [`VideoEncoder::invalidate`] can avoid a keyframe.
    pub reference_invalidation: bool,
}

/// One frame to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRequest {
    /// 0, 1, 2, …; gaps are frames the title drew but nobody encoded.
    pub frame: u32,
    /// When the frame was drawn, counted from the session's start.
    pub at: Duration,
    /// Make it a keyframe.
    pub keyframe: bool,
}

/// One encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// As requested.
    pub frame: u32,
    /// H.264 Annex B: start codes, parameter sets before every keyframe, one or more slices.
    pub data: Vec<u8>,
    /// Needs no other frame.
    pub keyframe: bool,
    /// Time the encoder worked on it.
    pub encode_time: Duration,
}

/// What came of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// The next frame refers only to frames before the lost one.
    Applied,
    /// No such reference is left: ask for a keyframe.
    KeyframeNeeded,
}

/// An encoder for one stream.
pub trait VideoEncoder: Send {
    /// What it is and can do.
    fn capabilities(&self) -> &Capabilities;

    /// Encodes one frame. `None`: rate control left the frame out, the receiver keeps the one before.
    fn encode(&mut self, surface: &Surface, request: FrameRequest)
    -> Result<Option<AccessUnit>, EncodeError>;

    /// Changes the target bitrate from the next frame on, without a keyframe.
    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError>;

    /// The receiver never got `frame` and what followed it.
    fn invalidate(&mut self, frame: u32) -> Result<Invalidation, EncodeError>;
}

/// What can go wrong in an encoder.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Settings outside what the encoder takes.
    #[error("{encoder} cannot encode {what}: allowed is {allowed}")]
    Unsupported {
        /// Which encoder.
        encoder: &'static str,
        /// What was asked for.
        what: String,
        /// What would work.
        allowed: String,
    },
    /// A surface that does not fit the settings.
    #[error("the surface is {got}, the encoder was opened for {want}")]
    WrongSurface {
        /// Size and layout of the surface.
        got: String,
        /// Size and layout wanted.
        want: String,
    },
    /// The codec library reported a failure.
    #[error("{encoder} failed while {doing}: {detail}; the session opens another encoder or ends")]
    Backend {
        /// Which encoder.
        encoder: &'static str,
        /// What it was doing.
        doing: &'static str,
        /// Its own words or code.
        detail: String,
    },
}

//! What a sender is told when it is made.

use crate::rtp::{ExtensionIds, StreamIds};

/// Payload of a packet can be neither tiny nor larger than what any path carries, in bytes.
const PAYLOAD_RANGE: (usize, usize) = (200, 1400);
/// Frames a second that a display can show.
const FPS_RANGE: (u32, u32) = (1, 1000);

/// What was negotiated, and how much may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// The H.264 stream.
    pub video: StreamIds,
    /// The Opus stream.
    pub audio: StreamIds,
    /// Header extensions of video and its retransmissions.
    pub extensions: ExtensionIds,
    /// Header extensions of audio.
    pub audio_extensions: ExtensionIds,
    /// Longest payload, in bytes: 1150 leaves room for TURN within 1280.
    pub max_payload: usize,
    /// The encoder is never asked for less, bits a second.
    pub min_bps: u64,
    /// Where it starts.
    pub start_bps: u64,
    /// It is never asked for more.
    pub max_bps: u64,
    /// Frames a second; the pacer's windows are parts of the interval.
    pub fps: u32,
}

impl SenderConfig {
    /// The same within what makes sense: a limit that is no range becomes one.
    pub(crate) fn checked(self) -> Self {
        Self {
            max_payload: self.max_payload.clamp(PAYLOAD_RANGE.0, PAYLOAD_RANGE.1),
            max_bps: self.max_bps.max(self.min_bps),
            start_bps: self.start_bps.clamp(self.min_bps, self.max_bps.max(self.min_bps)),
            fps: self.fps.clamp(FPS_RANGE.0, FPS_RANGE.1),
            ..self
        }
    }
}

//! What a sender is told when it is made.

use crate::fec;
use crate::rtp::{ExtensionIds, FecIds, OtherCodecs, StreamIds};

/// Payload of a packet can be neither tiny nor larger than what any path carries, in bytes.
const PAYLOAD_RANGE: (usize, usize) = (200, 1400);
/// A parity packet is longer than what it covers by its own header and by the covered header extensions.
const FEC_OVERHEAD: usize = fec::MAX_OVERHEAD_LEN + 28;
/// Frames a second that a display can show.
const FPS_RANGE: (u32, u32) = (1, 1000);

/// What was negotiated, and how much may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderConfig {
    /// The stream of pictures; its payload types are those of H.264.
    pub video: StreamIds,
    /// Other codecs that the receiver takes on it.
    pub other_codecs: OtherCodecs,
    /// The Opus stream.
    pub audio: StreamIds,
    /// Parity over video, where the receiver takes it.
    pub fec: Option<FecIds>,
    /// Payload type of RED over Opus (RFC 2198), where the receiver takes it: audio then carries itself
    /// once more while packets are lost.
    pub audio_red_payload_type: Option<u8>,
    /// Header extensions of video, its retransmissions and its parity.
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
        let overhead = if self.fec.is_some() { FEC_OVERHEAD } else { 0 };
        Self {
            max_payload: self.max_payload.clamp(PAYLOAD_RANGE.0, PAYLOAD_RANGE.1 - overhead),
            max_bps: self.max_bps.max(self.min_bps),
            start_bps: self.start_bps.clamp(self.min_bps, self.max_bps.max(self.min_bps)),
            fps: self.fps.clamp(FPS_RANGE.0, FPS_RANGE.1),
            extensions: self.extensions.in_one_byte_form(),
            audio_extensions: self.audio_extensions.in_one_byte_form(),
            ..self
        }
    }
}

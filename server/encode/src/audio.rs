//! The seam to an audio encoder.

use crate::video::EncodeError;

/// Samples a second and channel; the only rate in this house.
pub const AUDIO_RATE_HZ: u32 = 48_000;
/// Interleaved left and right.
pub const AUDIO_CHANNELS: usize = 2;
/// Samples a channel in one frame: 10 ms.
pub const AUDIO_FRAME_SAMPLES: usize = 480;

/// An encoder for one stereo stream.
pub trait AudioEncoder: Send {
    /// Shown to players and operators, such as `Opus`.
    fn name(&self) -> &'static str;

    /// Encodes one frame: [`AUDIO_FRAME_SAMPLES`] × [`AUDIO_CHANNELS`] interleaved samples in −1..=1; what
    /// lies outside is clipped. `None`: silence that needs no packet. The packet is valid until the next
    /// call.
    fn encode(&mut self, samples: &[f32]) -> Result<Option<&[u8]>, EncodeError>;

    /// So many of a hundred packets are lost: frames depend less on the ones before, and a lost one is
    /// heard for a shorter time, at the price of quality. Copies of packets are for what carries them.
    fn set_expected_loss(&mut self, percent: u8) -> Result<(), EncodeError>;
}

/// A decoder for one voice.
pub trait AudioDecoder: Send {
    /// Decodes one packet into mono samples in −1..=1; an empty one stands for a packet that was lost. The samples
    /// are valid until the next call.
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], EncodeError>;
}

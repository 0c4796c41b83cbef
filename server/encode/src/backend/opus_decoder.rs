//! Opus the other way: a player's voice.

use crate::audio::{AUDIO_RATE_HZ, AudioDecoder};
use crate::video::EncodeError;
use opus::{Channels, Decoder};

const NAME: &str = "Opus";
/// RFC 6716, 3.2: no packet holds more than 120 ms.
const MAX_SAMPLES: usize = AUDIO_RATE_HZ as usize / 1000 * 120;

/// 48 kHz mono, whatever the packets hold.
pub struct OpusDecoder {
    decoder: Decoder,
    samples: Box<[f32; MAX_SAMPLES]>,
    /// Samples of the packet before: as many are made up for one that was lost.
    last: usize,
}

impl OpusDecoder {
    /// A decoder with empty history.
    pub fn new() -> Result<Self, EncodeError> {
        let decoder =
            Decoder::new(AUDIO_RATE_HZ, Channels::Mono).map_err(|error| failure("opening", &error))?;
        Ok(Self { decoder, samples: Box::new([0.0; MAX_SAMPLES]), last: MAX_SAMPLES })
    }
}

fn failure(doing: &'static str, error: &opus::Error) -> EncodeError {
    EncodeError::Backend { encoder: NAME, doing, detail: error.to_string() }
}

impl std::fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpusDecoder")
    }
}

impl AudioDecoder for OpusDecoder {
    fn decode(&mut self, packet: &[u8]) -> Result<&[f32], EncodeError> {
        let room = if packet.is_empty() { self.last } else { MAX_SAMPLES };
        let count = self
            .decoder
            .decode_float(packet, &mut self.samples[..room], false)
            .map_err(|error| failure("decoding", &error))?;
        self.last = count;
        Ok(&self.samples[..count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{AUDIO_CHANNELS, AUDIO_FRAME_SAMPLES, AudioEncoder};
    use crate::backend::OpusEncoder;

    #[test]
    fn a_voice_comes_out_as_it_went_in_and_rubbish_is_refused() {
        let mut encoder = OpusEncoder::new().unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut loudest = 0.0f32;
        for frame in 0..20 {
            let at = |i: usize| (frame * AUDIO_FRAME_SAMPLES + i / 2) as f32 / AUDIO_RATE_HZ as f32;
            let tone: Vec<f32> = (0..AUDIO_FRAME_SAMPLES * AUDIO_CHANNELS)
                .map(|i| (at(i) * 440.0 * std::f32::consts::TAU).sin() * 0.5)
                .collect();
            let packet = encoder.encode(&tone).unwrap().unwrap().to_vec();
            let heard = decoder.decode(&packet).unwrap();
            assert_eq!(heard.len(), AUDIO_FRAME_SAMPLES);
            loudest = heard.iter().fold(loudest, |most, sample| most.max(sample.abs()));
        }
        assert!((0.4..0.6).contains(&loudest), "{loudest}");
        assert_eq!(decoder.decode(&[]).unwrap().len(), AUDIO_FRAME_SAMPLES, "as long as the packet before");
        assert!(decoder.decode(&[0xff; 3]).is_err());
    }
}

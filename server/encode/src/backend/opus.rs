//! Opus through libopus (RFC 6716).

use crate::audio::{AUDIO_CHANNELS, AUDIO_FRAME_SAMPLES, AUDIO_RATE_HZ, AudioEncoder};
use crate::video::EncodeError;
use opus::{Application, Bitrate, Channels, Encoder};

const NAME: &str = "Opus";
const BITRATE_BPS: i32 = 96_000;
/// RFC 6716, 3.4: no frame is longer than 1275 bytes, and 10 ms are one frame plus its TOC byte.
const MAX_PACKET_BYTES: usize = 1276;
/// libopus answers with at most this many bytes for a frame that discontinuous transmission leaves out.
const LEFT_OUT_BYTES: usize = 2;

/// 48 kHz stereo, at first at 96 kbit/s, with 2.5 ms of look-ahead. In-band FEC exists only in Opus' speech
/// mode, which looks further ahead, so it is off; silence is not sent.
pub struct OpusEncoder {
    encoder: Encoder,
    packet: Box<[u8; MAX_PACKET_BYTES]>,
}

impl OpusEncoder {
    /// An encoder with empty history.
    pub fn new() -> Result<Self, EncodeError> {
        let encoder = configured().map_err(|error| failure("opening", &error))?;
        Ok(Self { encoder, packet: Box::new([0; MAX_PACKET_BYTES]) })
    }
}

fn configured() -> opus::Result<Encoder> {
    let mut encoder = Encoder::new(AUDIO_RATE_HZ, Channels::Stereo, Application::LowDelay)?;
    encoder.set_bitrate(Bitrate::Bits(BITRATE_BPS))?;
    encoder.set_inband_fec(false)?;
    encoder.set_dtx(true)?;
    Ok(encoder)
}

fn failure(doing: &'static str, error: &opus::Error) -> EncodeError {
    EncodeError::Backend { encoder: NAME, doing, detail: error.to_string() }
}

impl std::fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpusEncoder")
    }
}

impl AudioEncoder for OpusEncoder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encode(&mut self, samples: &[f32]) -> Result<Option<&[u8]>, EncodeError> {
        if samples.len() != AUDIO_FRAME_SAMPLES * AUDIO_CHANNELS {
            return Err(EncodeError::Unsupported {
                encoder: NAME,
                what: format!("{} samples at once", samples.len()),
                allowed: format!("{AUDIO_FRAME_SAMPLES} × {AUDIO_CHANNELS}"),
            });
        }
        let bytes = self
            .encoder
            .encode_float(samples, &mut self.packet[..])
            .map_err(|error| failure("encoding", &error))?;
        Ok((bytes > LEFT_OUT_BYTES).then(|| &self.packet[..bytes]))
    }

    fn set_expected_loss(&mut self, percent: u8) -> Result<(), EncodeError> {
        if percent > 100 {
            return Err(EncodeError::Unsupported {
                encoder: NAME,
                what: format!("{percent}% of packets lost"),
                allowed: "0 to 100".to_owned(),
            });
        }
        let set = self.encoder.set_packet_loss_perc(i32::from(percent));
        set.map_err(|error| failure("expecting loss", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: usize = AUDIO_FRAME_SAMPLES * AUDIO_CHANNELS;

    fn tone(frame: usize) -> Vec<f32> {
        let at = |i: usize| (frame * AUDIO_FRAME_SAMPLES + i / 2) as f32 / AUDIO_RATE_HZ as f32;
        (0..SAMPLES).map(|i| (at(i) * 440.0 * std::f32::consts::TAU).sin() * 0.5).collect()
    }

    #[test]
    fn a_tone_comes_back_as_loud_as_it_went_in() {
        let mut encoder = OpusEncoder::new().unwrap();
        let mut decoder = opus::Decoder::new(AUDIO_RATE_HZ, Channels::Stereo).unwrap();
        let mut energy = 0.0;
        for frame in 0..20 {
            let packet = encoder.encode(&tone(frame)).unwrap().expect("a tone is no silence");
            let mut heard = [0.0f32; SAMPLES];
            assert_eq!(decoder.decode_float(packet, &mut heard, false).unwrap(), AUDIO_FRAME_SAMPLES);
            if frame >= 10 {
                energy += heard.iter().map(|s| s * s).sum::<f32>() / SAMPLES as f32 / 10.0;
            }
        }
        assert!((0.11..0.14).contains(&energy), "mean square {energy}, sent 0.125");
    }

    #[test]
    fn a_second_of_tone_keeps_to_the_bitrate() {
        let mut encoder = OpusEncoder::new().unwrap();
        let bytes = bytes_in_a_second(&mut encoder);
        assert!((4_000..14_400).contains(&bytes), "{bytes} bytes in one second at 96 kbit/s");
    }

    fn bytes_in_a_second(encoder: &mut OpusEncoder) -> usize {
        (0..100).map(|f| encoder.encode(&tone(f)).expect("it encodes").map_or(0, <[u8]>::len)).sum()
    }

    /// Noise that swells and fades, so that frames differ in loudness.
    fn swelling(frame: usize) -> Vec<f32> {
        let mut state = 0x9e37_79b9_u32.wrapping_mul(frame as u32 + 1) | 1;
        let loudness = (frame as f32 * 0.7).sin().abs() * 0.5;
        let sample = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state as f32 / u32::MAX as f32 - 0.5) * loudness
        };
        (0..SAMPLES).map(sample).collect()
    }

    /// How far what is heard after every tenth packet was lost lies from what is heard without loss, in
    /// the frame after the loss.
    fn error_after_loss(expected_percent: u8) -> f32 {
        let mut encoder = OpusEncoder::new().expect("libopus works");
        encoder.set_expected_loss(expected_percent).expect("libopus works");
        let mut decoders =
            [(); 2].map(|()| opus::Decoder::new(AUDIO_RATE_HZ, Channels::Stereo).expect("libopus works"));
        let mut error = 0.0;
        for frame in 0..300 {
            let packet = encoder
                .encode(&swelling(frame))
                .expect("libopus works")
                .map(<[u8]>::to_vec)
                .unwrap_or_default();
            let mut heard = [[0.0f32; SAMPLES]; 2];
            let received: [&[u8]; 2] = [&packet, if frame % 10 == 5 { &[] } else { &packet }];
            for (at, decoder) in decoders.iter_mut().enumerate() {
                decoder.decode_float(received[at], &mut heard[at], false).expect("libopus works");
            }
            if frame % 10 == 6 {
                error += heard[0].iter().zip(heard[1]).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            }
        }
        error
    }

    #[test]
    fn a_lost_packet_is_heard_less_where_loss_is_expected() {
        let (careless, careful) = (error_after_loss(0), error_after_loss(30));
        assert!(careful < careless * 0.9, "{careful} with loss expected, {careless} without");
        assert!(OpusEncoder::new().unwrap().set_expected_loss(101).is_err());
    }

    #[test]
    fn silence_stays_unsent_where_loss_is_expected() {
        let mut encoder = OpusEncoder::new().unwrap();
        encoder.set_expected_loss(20).unwrap();
        for frame in 0..10 {
            encoder.encode(&tone(frame)).unwrap();
        }
        let sent = (0..100).filter(|_| encoder.encode(&[0.0; SAMPLES]).unwrap().is_some()).count();
        assert!(sent < 50, "{sent} of 100 silent frames were sent");
    }

    #[test]
    fn lasting_silence_is_not_sent_and_sound_after_it_is() {
        let mut encoder = OpusEncoder::new().unwrap();
        for frame in 0..10 {
            encoder.encode(&tone(frame)).unwrap();
        }
        let sent = (0..100).filter(|_| encoder.encode(&[0.0; SAMPLES]).unwrap().is_some()).count();
        assert!(sent < 50, "{sent} of 100 silent frames were sent");
        assert!(encoder.encode(&tone(0)).unwrap().is_some());
    }

    #[test]
    fn a_frame_of_another_length_is_refused() {
        let mut encoder = OpusEncoder::new().unwrap();
        assert!(matches!(encoder.encode(&[0.0; 100]), Err(EncodeError::Unsupported { .. })));
    }
}

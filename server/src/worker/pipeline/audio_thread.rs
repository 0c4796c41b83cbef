//! Makes 10 ms of Opus at a time, on the same monotonic clock as the picture.

use super::Shared;
use crate::worker::now_us;
use nearframe_encode::{AUDIO_CHANNELS, AUDIO_FRAME_SAMPLES, AudioEncoder, OpusEncoder};
use nearframe_title::AudioSource;
use std::time::{Duration, Instant};
use tracing::warn;

const FRAME_TIME: Duration = Duration::from_millis(10);
/// After a stop this long the sound goes on from now instead of catching up.
const MAX_LAG: Duration = Duration::from_millis(60);

/// How often the path's loss is looked at, in samples: a second.
const LOOK_EVERY: u32 = 48_000;

/// What the worst path loses, in per cent.
fn expected_loss(shared: &Shared) -> u8 {
    let mut worst = 0.0_f64;
    shared.each_peer(|peer| worst = worst.max(peer.loss()));
    (worst.clamp(0.0, 1.0) * 100.0).round() as u8
}

/// Plays until stopped. A title whose sound cannot be encoded goes on without it.
pub(super) fn run(shared: &Shared, mut sound: Box<dyn AudioSource>) {
    let mut encoder = match OpusEncoder::new() {
        Ok(encoder) => encoder,
        Err(error) => return warn!("no sound in this session: {error}"),
    };
    let mut samples = [0.0; AUDIO_FRAME_SAMPLES * AUDIO_CHANNELS];
    let mut next = Instant::now();
    let mut timestamp = (u128::from(now_us()) * 48 / 1000) as u32;
    let mut looked_at = timestamp;
    while shared.wait_active() {
        let now = Instant::now();
        if now.saturating_duration_since(next) > MAX_LAG {
            let skipped = (now - next).as_micros() as u64 * 48 / 1000;
            timestamp = timestamp
                .wrapping_add((skipped / AUDIO_FRAME_SAMPLES as u64 * AUDIO_FRAME_SAMPLES as u64) as u32);
            next = now;
        }
        std::thread::sleep(next.saturating_duration_since(now));
        if timestamp.wrapping_sub(looked_at) >= LOOK_EVERY {
            looked_at = timestamp;
            if let Err(error) = encoder.set_expected_loss(expected_loss(shared)) {
                warn!("the sound is not prepared for loss: {error}");
            }
        }
        sound.fill(&mut samples);
        match encoder.encode(&samples) {
            Ok(Some(packet)) => shared.each_peer(|peer| peer.send_audio(timestamp, packet)),
            // Silence is not sent.
            Ok(None) => {}
            Err(error) => return warn!("the sound of this session ends: {error}"),
        }
        timestamp = timestamp.wrapping_add(AUDIO_FRAME_SAMPLES as u32);
        next += FRAME_TIME;
    }
}

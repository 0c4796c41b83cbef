//! How much video may be made of what the path would carry.
//!
//! On a path that is known to be narrow a frame may have what the path carries until the next one, which is more than
//! the bitrate's part where that was set by something else: the most that is ever sent, or the player's data cap. In
//! sum frames stay near the bitrate.

use std::time::Instant;

/// What frames may take in sum, over the bitrate: as far as an encoder may be off.
const TOLERANCE: f64 = 1.1;
/// Frames' parts that one frame may have at once.
const MOST: f64 = 2.0;
/// It always may have this part: what a keyframe took is paid back over many frames, none of which is left out.
const LEAST: f64 = 0.5;
/// No more parts are paid back.
const MOST_OWED: f64 = 4.0;

/// An account of bytes that frames may have.
#[derive(Debug, Default)]
pub(super) struct Ceiling {
    credit_bytes: f64,
    at: Option<Instant>,
}

impl Ceiling {
    /// What the next of `fps` frames a second may have at `bps`.
    pub(super) fn bytes(&mut self, now: Instant, bps: u64, fps: u32) -> usize {
        let bytes_per_s = bps as f64 / 8.0 * TOLERANCE;
        let part = bytes_per_s / f64::from(fps.max(1));
        let passed = self.at.replace(now).map_or(f64::INFINITY, |at| (now - at).as_secs_f64());
        self.credit_bytes =
            (self.credit_bytes.max(-MOST_OWED * part) + bytes_per_s * passed).min(MOST * part);
        self.credit_bytes.max(LEAST * part) as usize
    }

    /// A frame was made.
    pub(super) fn spent(&mut self, bytes: usize) {
        self.credit_bytes -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FPS: u32 = 60;
    const BPS: u64 = 4_800_000;
    const PART: f64 = 11_000.0;

    #[test]
    fn frames_that_take_all_they_may_stay_at_the_bitrate_in_sum() {
        let (start, mut ceiling, mut sum) = (Instant::now(), Ceiling::default(), 0);
        for frame in 0..10 * FPS {
            let bytes = ceiling.bytes(start + Duration::from_secs(1) * frame / FPS, BPS, FPS);
            ceiling.spent(bytes);
            sum += bytes;
        }
        let bps = sum as f64 * 8.0 / 10.0;
        assert!((1.09..1.11).contains(&(bps / BPS as f64)), "{bps}");
    }

    #[test]
    fn a_frame_may_have_twice_its_part_and_never_less_than_half() {
        let (start, mut ceiling) = (Instant::now(), Ceiling::default());
        assert!((ceiling.bytes(start, BPS, FPS) as f64 - MOST * PART).abs() < 2.0);
        ceiling.spent(1_000_000);
        let after = |frames: u32| start + Duration::from_secs(1) * frames / FPS;
        assert!((ceiling.bytes(after(1), BPS, FPS) as f64 - LEAST * PART).abs() < 2.0);
        assert!((ceiling.bytes(after(5), BPS, FPS) as f64 - PART).abs() < 2.0, "four parts were owed");
    }
}

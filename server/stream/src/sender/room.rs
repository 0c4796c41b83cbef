//! How fast a frame may leave, by what is known of the path.

use super::MediaSender;
use crate::pacer::{
    AMPLE_PACE_FACTOR, CONSTRAINED_PACE_FACTOR, CONSTRAINED_WINDOW, PACE_FACTOR, WHOLE_FRAME_WINDOW,
};
use std::time::{Duration, Instant};

/// A path that carried all that was asked for so long, and lost nothing, takes a frame in one go. The
/// estimator has its target confirmed by some forty reports by then.
const TRUST_AFTER: Duration = Duration::from_secs(2);
/// A longer frame is spread over a part of its interval all the same: some switches and access points hold
/// no more than this of one flow.
const MAX_BURST_BYTES: usize = 48_000;
/// A frame leaves in one go only where the path, as far as it is known, has it through in this share of the
/// frame's interval: it then meets no queue of its own making that spacing would have spared it.
const BURST_SHARE: f64 = 0.75;

/// What is known of the path.
enum Room {
    /// A bottleneck was met lately.
    Constrained,
    /// Its capacity is still being found.
    Unknown,
    /// It carries all that is asked for.
    Ample,
}

impl MediaSender {
    /// Within what time a frame of `bytes` is to leave.
    pub(super) fn window(&mut self, now: Instant, keyframe: bool, bytes: usize) -> Duration {
        let interval = Duration::from_secs(1) / self.config.fps;
        let trusted = self.is_trusted(now);
        match (self.room(now), keyframe) {
            (Room::Constrained, _) => CONSTRAINED_WINDOW,
            (Room::Unknown, true) => interval * 2,
            (Room::Unknown, false) | (Room::Ample, true) => interval / 2,
            (Room::Ample, false) if trusted && self.takes_at_once(now, interval, bytes) => WHOLE_FRAME_WINDOW,
            (Room::Ample, false) => interval / 8,
        }
    }

    /// The pace rate over the target.
    pub(super) fn pace_factor(&self, now: Instant) -> f64 {
        match self.room(now) {
            Room::Constrained => CONSTRAINED_PACE_FACTOR,
            Room::Unknown => PACE_FACTOR,
            Room::Ample => AMPLE_PACE_FACTOR,
        }
    }

    fn room(&self, now: Instant) -> Room {
        if self.estimator.is_constrained(now) {
            Room::Constrained
        } else if self.told_bps >= self.config.max_bps {
            Room::Ample
        } else {
            Room::Unknown
        }
    }

    /// Whether the path has been ample and lossless for long.
    fn is_trusted(&mut self, now: Instant) -> bool {
        let ample = matches!(self.room(now), Room::Ample) && self.loss.rate(now) == 0.0;
        self.ample_since = if ample { self.ample_since.or(Some(now)) } else { None };
        self.ample_since.is_some_and(|since| now.saturating_duration_since(since) >= TRUST_AFTER)
    }

    fn takes_at_once(&self, now: Instant, interval: Duration, bytes: usize) -> bool {
        let room = self.estimator.room_bytes(now, interval.mul_f64(BURST_SHARE), Duration::ZERO, 0);
        bytes <= MAX_BURST_BYTES && bytes as f64 <= room
    }
}

//! When to ask the encoder for a keyframe: at once, and not again while one is on its way.

use std::time::{Duration, Instant};

/// A keyframe that was asked for is not asked for again for this long: six frames at 60 Hz.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bounds of the time in which a keyframe that left answers a request: at least a fast receiver's
/// decoding, at most a queue that will not last.
const ANSWER_TIME: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Keyframes asked for and on their way.
#[derive(Debug)]
pub(crate) struct KeyframeRequests {
    /// Delta frames cannot be decoded until a keyframe has been pushed.
    awaited: bool,
    asked: Option<Instant>,
    left: Option<Instant>,
}

impl KeyframeRequests {
    /// A stream begins with a keyframe.
    pub(crate) fn new() -> Self {
        Self { awaited: true, asked: None, left: None }
    }
    /// Whether delta frames are of no use.
    pub(crate) fn awaited(&self) -> bool {
        self.awaited
    }
    /// A frame will never leave: what follows cannot be decoded.
    pub(crate) fn broken(&mut self) {
        self.awaited = true;
    }
    /// A keyframe came from the encoder.
    pub(crate) fn pushed(&mut self) {
        self.awaited = false;
        self.asked = None;
    }
    /// The last packet of a keyframe left.
    pub(crate) fn left(&mut self, now: Instant) {
        self.left = Some(now);
    }
    /// Whether a keyframe that left answers a request that arrives now: it crossed it on the way.
    pub(crate) fn answers(&self, now: Instant, rtt: Duration) -> bool {
        let way = rtt.clamp(ANSWER_TIME.0, ANSWER_TIME.1);
        self.left.is_some_and(|at| now.saturating_duration_since(at) < way)
    }
    /// Whether to ask the encoder now.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        let patient = self.asked.is_some_and(|at| now.saturating_duration_since(at) < PATIENCE);
        if !patient {
            self.asked = Some(now);
        }
        !patient
    }
}

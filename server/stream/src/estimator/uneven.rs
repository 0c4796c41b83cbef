//! Paths whose delay varies too much for frames to measure them, and what such a path carried lately.
//!
//! On a radio link packets wait for their turn, not for each other: their spacing is no capacity, and no frame proves
//! room. So there the target is what the path is reckoned with, and only queues that stand or build at once speak
//! against it. Dips and silences come and go, though, and growth by rules takes seconds after each. So what was
//! delivered while no queue stood is remembered, and up to that the target grows back in tenths of a second. Where a
//! queue is met on the way, the memory falls a little.

use std::time::{Duration, Instant};

/// Delays that vary more hide what frames prove…
const BLIND: Duration = Duration::from_micros(2500);
/// …until they vary less than this again.
const SEEING: Duration = Duration::from_micros(1250);
/// The memory fades by this share a second, and by this at each queue met.
const FADING: f64 = 0.04;
const DISAPPOINTMENT: f64 = 0.03;
/// As much of it is taken back without asking, growing by this share a second.
const REGAINED: f64 = 0.9;
const GROWTH: f64 = 3.0;

/// Whether a path is uneven, and its memory.
#[derive(Debug, Default)]
pub(super) struct Uneven {
    is_blind: bool,
    delivered_bps: f64,
    at: Option<Instant>,
}

impl Uneven {
    /// How much the delay varies by now.
    pub(super) fn varies(&mut self, jitter: Duration) {
        self.is_blind = jitter > if self.is_blind { SEEING } else { BLIND };
    }

    /// Whether frames can prove nothing.
    pub(super) fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// As much was delivered while no queue stood.
    pub(super) fn delivered(&mut self, now: Instant, bps: f64) {
        let elapsed = self.at.replace(now).map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let kept = 1.0 - FADING * elapsed.as_secs_f64().min(1.0);
        self.delivered_bps = (self.delivered_bps * kept).max(bps);
    }

    /// A queue was met.
    pub(super) fn met_queue(&mut self) {
        self.delivered_bps *= 1.0 - DISAPPOINTMENT;
    }

    /// The target that has grown back from `target_bps` in `elapsed_s`; nothing where frames tell better.
    pub(super) fn regained_bps(&self, target_bps: f64, elapsed_s: f64) -> Option<f64> {
        let grown = target_bps * (1.0 + GROWTH * elapsed_s);
        self.is_blind.then(|| grown.min(self.delivered_bps * REGAINED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_path_is_blind_from_much_variation_until_there_is_little() {
        let mut uneven = Uneven::default();
        let blind: Vec<bool> = [2, 3, 2, 1, 2]
            .into_iter()
            .map(|ms| {
                uneven.varies(MS * ms);
                uneven.is_blind()
            })
            .collect();
        assert_eq!(blind, [false, true, true, false, false]);
    }

    #[test]
    fn what_was_delivered_is_regained_soon_and_less_of_it_after_each_queue() {
        let start = Instant::now();
        let mut uneven = Uneven::default();
        uneven.delivered(start, 10e6);
        assert_eq!(uneven.regained_bps(1e6, 0.1), None, "frames tell better");
        uneven.varies(MS * 5);
        let mut target = 1e6;
        for ms in 1..=100 {
            uneven.delivered(start + MS * 10 * ms, 1e6);
            target = uneven.regained_bps(target, 0.01).unwrap();
        }
        assert!(target > 8.5e6 && target < 9e6, "{target}");
        let before = uneven.regained_bps(100e6, 0.0).unwrap();
        (0..10).for_each(|_| uneven.met_queue());
        let after = uneven.regained_bps(100e6, 0.0).unwrap();
        assert!(after > 0.7 * before && after < 0.8 * before, "{after} of {before}");
        // A minute in which little was sent: nothing is left of it.
        (1..=60).for_each(|s| uneven.delivered(start + MS * 1000 * (s + 1), 1e6));
        assert!(uneven.regained_bps(100e6, 0.0).unwrap() < 1.2e6);
    }
}

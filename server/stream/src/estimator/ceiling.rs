//! The rate at which a bottleneck was last met, and how carefully it is approached again.

use std::time::{Duration, Instant};

/// A bottleneck met is remembered for this long.
const MEMORY: Duration = Duration::from_secs(30);
/// Past the ceiling by this factor, it is no ceiling.
const EXCEEDED: f64 = 1.5;
/// Right after the retreat the target may be this share of the ceiling …
const LOW: f64 = 0.85;
/// … from where it grows as CUBIC does (RFC 9438 §4.2): flat at the ceiling, then ever faster. In bits a
/// second per second cubed, the same for all, so that who has less comes back sooner: 2 s at 10 Mbit/s.
const CURVE: f64 = 187_500.0;
/// Once the queue is gone, this share of what was delivered may be sent again.
const RESTORED: f64 = 0.92;
/// A ceiling lower than the one before leaves room to whoever took it (RFC 9438 §4.7).
const YIELD: f64 = 0.95;
/// From one report to the next it grows by this share at most.
const MAX_STEP: f64 = 0.1;

/// What was delivered when packets queued.
#[derive(Debug)]
pub(super) struct Ceiling {
    bps: f64,
    at: Instant,
}

impl Ceiling {
    pub(super) fn met(now: Instant, delivered_bps: f64, before: Option<&Self>) -> Self {
        let lower = before.is_some_and(|before| delivered_bps < before.bps);
        Self { bps: delivered_bps * if lower { YIELD } else { 1.0 }, at: now }
    }

    pub(super) fn bps(&self) -> f64 {
        self.bps
    }

    pub(super) fn restored_bps(&self) -> f64 {
        self.bps * RESTORED
    }

    pub(super) fn holds(&self, now: Instant, target_bps: f64) -> bool {
        now.saturating_duration_since(self.at) < MEMORY && target_bps < self.bps * EXCEEDED
    }

    /// The target that has grown to by now, from `target_bps`.
    pub(super) fn growth(&self, now: Instant, target_bps: f64) -> f64 {
        let plateau_s = (self.bps * (1.0 - LOW) / CURVE).cbrt();
        let t = now.saturating_duration_since(self.at).as_secs_f64() - plateau_s;
        let wanted = self.bps + CURVE * t.powi(3);
        wanted.clamp(target_bps, target_bps * (1.0 + MAX_STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_flat_at_the_ceiling_and_fast_far_from_it() {
        let start = Instant::now();
        let ceiling = Ceiling::met(start, 10e6, None);
        let (mut target, mut steps) = (8.5e6, Vec::new());
        for tick in 1..=100u32 {
            let grown = ceiling.growth(start + Duration::from_millis(50) * tick, target);
            steps.push(grown - target);
            target = grown;
        }
        assert!(steps[39] * 20.0 < steps[0] && steps[39] * 20.0 < steps[99], "{steps:?}");
        assert!(target > 14e6, "{target}");
        assert!(!ceiling.holds(start, 15.1e6) && !ceiling.holds(start + MEMORY, 9e6));
    }
}

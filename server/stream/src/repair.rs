//! How much may be repaired: repairs on a congested path are load, and past a point dearer than a keyframe.

use std::time::{Duration, Instant};

/// Repairs may take this share of the target for good…
const SHARE: f64 = 0.3;
/// …and this much of it at once: about what a keyframe takes.
const BURST: Duration = Duration::from_millis(150);

/// A token bucket in bits.
#[derive(Debug)]
pub(crate) struct RepairBudget {
    /// `None` is full.
    bits: Option<f64>,
    at: Instant,
}

impl RepairBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self { bits: None, at: now }
    }

    /// Takes `bits`, or nothing where there are fewer.
    pub(crate) fn take(&mut self, now: Instant, target_bps: f64, bits: f64) -> bool {
        let full = target_bps * BURST.as_secs_f64();
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let there = self.bits.map_or(full, |left| (left + elapsed * SHARE * target_bps).min(full));
        self.at = now;
        let granted = bits <= there;
        self.bits = Some(if granted { there - bits } else { there });
        granted
    }
}

/// A rate averaged over whole seconds.
#[derive(Debug)]
pub(crate) struct SecondMeter {
    since: Instant,
    bits: f64,
    last_bps: f64,
}

impl SecondMeter {
    const WINDOW: Duration = Duration::from_secs(1);

    /// Says `expected_bps` until the first second is over.
    pub(crate) fn new(now: Instant, expected_bps: f64) -> Self {
        Self { since: now, bits: 0.0, last_bps: expected_bps }
    }

    pub(crate) fn count(&mut self, now: Instant, bytes: usize) {
        self.roll(now);
        self.bits += bytes as f64 * 8.0;
    }

    /// The last whole second's rate, bits a second.
    pub(crate) fn bps(&mut self, now: Instant) -> f64 {
        self.roll(now);
        self.last_bps
    }

    fn roll(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= Self::WINDOW {
            self.last_bps = self.bits / elapsed.as_secs_f64();
            (self.since, self.bits) = (now, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_are_granted_in_a_burst_and_then_as_a_share() {
        let start = Instant::now();
        let mut budget = RepairBudget::new(start);
        let granted =
            |budget: &mut RepairBudget, at| (0..1000).filter(|_| budget.take(at, 8e6, 8000.0)).count();
        assert_eq!(granted(&mut budget, start), 150);
        assert_eq!(granted(&mut budget, start), 0);
        assert_eq!(granted(&mut budget, start + Duration::from_millis(100)), 30);
        assert_eq!(granted(&mut budget, start + Duration::from_secs(60)), 150);
    }

    #[test]
    fn a_meter_says_what_was_expected_until_it_knows() {
        let start = Instant::now();
        let mut meter = SecondMeter::new(start, 5e5);
        (0..100).for_each(|i| meter.count(start + Duration::from_millis(i * 10), 1000));
        assert_eq!(meter.bps(start), 5e5);
        assert_eq!(meter.bps(start + Duration::from_secs(1)), 8e5);
        assert_eq!(meter.bps(start + Duration::from_secs(3)), 0.0);
    }
}

//! Times, counted in buckets that grow with them.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Buckets to each doubling: an error of at most 9 %.
const PER_DOUBLING: u32 = 8;
/// The lowest bucket's upper end is 1 µs, the highest's lower end 2²⁶ µs: over a minute.
const BUCKETS: usize = (26 * PER_DOUBLING) as usize + 2;

/// How often which time was seen. Of a fixed size, whatever is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        let us = time.as_secs_f64() * 1e6;
        let bucket = if us < 1.0 { 0.0 } else { 1.0 + (us.log2() * f64::from(PER_DOUBLING)).floor() };
        self.counts[(bucket as usize).min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The time below which the share `p` (0..=1) lies, up to the width of a bucket too long; `None` when nothing
    /// was counted.
    pub fn quantile(&self, p: f64) -> Option<Duration> {
        let rank = (p * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        let end_us = (bucket as f64 / f64::from(PER_DOUBLING)).exp2();
        Some(Duration::from_secs_f64(end_us / 1e6).min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_bucket() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        for (p, ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let seen = histogram.quantile(p).unwrap().as_secs_f64() * 1e3;
            assert!((ms..ms * 1.1).contains(&seen), "{seen} for {ms}");
        }
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_secs(1)));
        assert_eq!((histogram.count(), histogram.max()), (1000, Duration::from_secs(1)));
    }

    #[test]
    fn nothing_and_everything_can_be_counted() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.record(Duration::ZERO);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_micros(1)));
        assert_eq!(histogram.max(), Duration::MAX);
    }
}

//! Congestion marks (ECN CE): the bottleneck says itself that it is full, before a queue is long.
//!
//! The share of marked packets is averaged and the target lowered in proportion to it once a round trip, as
//! DCTCP (RFC 8257) and SCReAM v2 (draft-johansson-ccwg-rfc8298bis-scream) do.

use crate::feedback::PacketReport;
use std::time::{Duration, Instant};

/// RFC 8257 §3.3: weight of one round trip in the average.
const GAIN: f64 = 1.0 / 16.0;

/// The average share of marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    share: f64,
    marked: usize,
    arrived: usize,
    round_began: Option<Instant>,
}

impl Marks {
    /// Counts a report. At the end of a round trip with marks: the factor for the target.
    pub(super) fn on_packets(
        &mut self,
        now: Instant,
        rtt: Duration,
        reports: &[PacketReport],
    ) -> Option<f64> {
        self.arrived += reports.iter().filter(|report| report.arrival.is_some()).count();
        let marked = reports.iter().filter(|report| report.ce).count();
        if self.share == 0.0 && marked > 0 {
            // RFC 8257 §3.3: the first mark is taken seriously.
            self.share = 1.0;
        }
        self.marked += marked;
        let began = *self.round_began.get_or_insert(now);
        if now.saturating_duration_since(began) < rtt || self.arrived == 0 {
            return None;
        }
        let share = self.marked as f64 / self.arrived as f64;
        self.share += (share - self.share) * GAIN;
        (self.marked, self.arrived, self.round_began) = (0, 0, Some(now));
        (share > 0.0).then(|| 1.0 - (self.share / 2.0).min(0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reaction_is_in_proportion_to_the_share_of_marks() {
        let start = Instant::now();
        let rtt = Duration::from_millis(20);
        let after = |every: usize| {
            let (mut marks, mut last) = (Marks::default(), None);
            for round in 0..200u32 {
                let now = start + Duration::from_millis(50) * round;
                let report = |i: usize| PacketReport {
                    departure: now,
                    arrival: Some(Duration::ZERO),
                    size: 1200,
                    probe: None,
                    ce: i.is_multiple_of(every),
                };
                let reports: Vec<_> = (0..20).map(report).collect();
                last = marks.on_packets(now, rtt, &reports).or(last);
            }
            last.unwrap()
        };
        assert!((after(1) - 0.5).abs() < 0.01);
        assert!((after(10) - 0.95).abs() < 0.01);
    }
}

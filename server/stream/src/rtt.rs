//! Round-trip times.

use std::time::{Duration, Instant};

/// The shortest of the last one to two of these is the path's own: a sample from transport-wide feedback
/// includes the wait for the report, up to a frame interval.
const WINDOW: Duration = Duration::from_secs(2);
/// A longer round trip is a mistake.
const MAX_SAMPLE: Duration = Duration::from_secs(10);

/// What is known of the round trip.
#[derive(Debug)]
pub(crate) struct RttMeter {
    smoothed: Option<Duration>,
    shortest: [Option<Duration>; 2],
    since: Instant,
}

impl RttMeter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { smoothed: None, shortest: [None; 2], since: now }
    }

    pub(crate) fn take(&mut self, now: Instant, sample: Duration) {
        let sample = sample.min(MAX_SAMPLE);
        self.smoothed = Some(self.smoothed.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        if now.saturating_duration_since(self.since) > WINDOW {
            self.shortest = [None, self.shortest[0]];
            self.since = now;
        }
        self.shortest[0] = Some(self.shortest[0].map_or(sample, |shortest| shortest.min(sample)));
    }

    /// Smoothed as in RFC 6298.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The shortest of the last seconds.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.shortest.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_is_kept_for_a_while_and_follows_a_longer_route() {
        let start = Instant::now();
        let mut rtt = RttMeter::new(start);
        let mut take = |second: u64, ms| {
            rtt.take(start + Duration::from_secs(second), Duration::from_millis(ms));
            rtt.shortest().map(|shortest| shortest.as_millis())
        };
        assert_eq!([take(0, 30), take(1, 20), take(2, 35)], [Some(30), Some(20), Some(20)]);
        assert_eq!([take(3, 60), take(6, 70), take(9, 65)], [Some(20), Some(60), Some(65)]);
        assert!(rtt.smoothed() > Some(Duration::from_millis(20)));
    }
}

//! Bandwidth probes: a short train of packets, sent faster than the target, that shows whether the path
//! carries more (packet-train dispersion).

use crate::feedback::PacketReport;
use std::time::{Duration, Instant};

/// Long enough to tell a rate through timer jitter. At twice the target, a path that is full is queued by no
/// more than this.
const TRAIN: Duration = Duration::from_millis(10);
/// Fewer packets say nothing of a rate.
const MIN_BYTES: usize = 7500;
/// Where the train arrives slower than this share of its sending rate, the path is full.
const SATURATED: f64 = 0.85;
/// A train that has not begun by then never will: there was nothing to send.
const PATIENCE: Duration = Duration::from_millis(100);
/// Fewer arrivals than this say nothing.
const MIN_ARRIVED: usize = 6;

/// A train to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbePlan {
    /// Tags its packets in the reports.
    pub id: u32,
    /// Bits a second on the wire.
    pub rate_bps: f64,
    /// Bytes on the wire.
    pub bytes: usize,
}

impl ProbePlan {
    /// A train at `rate_bps`.
    pub fn new(id: u32, rate_bps: f64) -> Self {
        let bytes = (rate_bps * TRAIN.as_secs_f64() / 8.0) as usize;
        Self { id, rate_bps, bytes: bytes.max(MIN_BYTES) }
    }
}

/// What a train found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// Bits a second that the path carried.
    pub(crate) rate_bps: f64,
    /// Whether that is all it carries.
    pub(crate) saturated: bool,
}

/// Gathers the reports of one train.
#[derive(Debug)]
pub(crate) struct Train {
    id: u32,
    planned: Instant,
    departures: Option<(Instant, Instant)>,
    arrivals: Option<(Duration, Duration)>,
    bytes: usize,
    first_bytes: usize,
    arrived: usize,
    lost: usize,
}

impl Train {
    pub(crate) fn new(id: u32, planned: Instant) -> Self {
        Self { id, planned, departures: None, arrivals: None, bytes: 0, first_bytes: 0, arrived: 0, lost: 0 }
    }

    /// Takes one report; true once a packet sent after the train is reported, which closes it.
    pub(crate) fn closes_with(&mut self, report: &PacketReport) -> bool {
        if report.probe != Some(self.id) {
            let end = self.departures.map_or(self.planned + PATIENCE, |(_, last)| last);
            return report.departure > end;
        }
        let Some(arrival) = report.arrival else {
            self.lost += 1;
            return false;
        };
        let (first, last) = self.departures.get_or_insert((report.departure, report.departure));
        (*first, *last) = ((*first).min(report.departure), (*last).max(report.departure));
        let (first, last) = self.arrivals.get_or_insert((arrival, arrival));
        (*first, *last) = ((*first).min(arrival), (*last).max(arrival));
        if self.arrived == 0 {
            self.first_bytes = report.size;
        }
        self.bytes += report.size;
        self.arrived += 1;
        false
    }

    /// The rate the path carried; `None` where too little of the train arrived to tell.
    pub(crate) fn found(&self) -> Option<Found> {
        let ((sent_first, sent_last), (first, last)) = self.departures.zip(self.arrivals)?;
        if self.arrived < MIN_ARRIVED || self.lost * 10 > self.arrived {
            return None;
        }
        // The first packet opens the interval in which the others arrive.
        let bits = (self.bytes - self.first_bytes) as f64 * 8.0;
        let sent_s = sent_last.saturating_duration_since(sent_first).as_secs_f64();
        let arrived_s = last.saturating_sub(first).as_secs_f64();
        if sent_s < TRAIN.as_secs_f64() / 4.0 {
            return None;
        }
        let saturated = sent_s < arrived_s * SATURATED;
        Some(Found { rate_bps: bits / sent_s.max(arrived_s), saturated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(arrival_gap_us: u64) -> Train {
        let start = Instant::now();
        let mut train = Train::new(1, start);
        for i in 0..21u64 {
            let report = PacketReport {
                departure: start + Duration::from_millis(i),
                arrival: Some(Duration::from_micros(5000 + i * arrival_gap_us)),
                size: 1250,
                probe: Some(1),
                ce: false,
            };
            assert!(!train.closes_with(&report));
        }
        train
    }

    #[test]
    fn a_train_that_arrives_as_it_was_sent_proves_its_rate() {
        let found = train(1000).found().unwrap();
        assert!((found.rate_bps - 10e6).abs() < 1e3 && !found.saturated, "{found:?}");
    }

    #[test]
    fn a_train_that_is_stretched_shows_the_bottleneck() {
        let found = train(2000).found().unwrap();
        assert!((found.rate_bps - 5e6).abs() < 1e3 && found.saturated, "{found:?}");
    }

    #[test]
    fn a_train_that_arrives_all_at_once_proves_no_more_than_its_sending_rate() {
        let found = train(0).found().unwrap();
        assert!((found.rate_bps - 10e6).abs() < 1e3 && !found.saturated, "{found:?}");
    }
}

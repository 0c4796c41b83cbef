//! What the reports say of the path: standing queue, delivered rate, loss.

use crate::feedback::PacketReport;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A queue is standing when every packet of this long met it. Shorter is scheduling, not congestion.
const STANDING: Duration = Duration::from_millis(120);
/// Reports that a standing queue needs at least.
const MIN_REPORTS: usize = 2;
/// The shortest delay of the last one to two of these is the path's delay without a queue.
const BASE_WINDOW: Duration = Duration::from_secs(5);
/// Rates are taken over this long: 18 frames at 60 Hz.
const RATE_WINDOW_US: i64 = 300_000;
/// While packets queue, the path delivers evenly and a shorter window follows a drop sooner.
const QUEUED_WINDOW_US: i64 = 150_000;
/// Loss is taken over this long.
const LOSS_WINDOW: Duration = Duration::from_millis(600);
/// Fewer packets say nothing of loss.
const MIN_LOSS_PACKETS: usize = 30;
/// Bound of each window: 0.3 s at 13 000 packets a second.
const MAX_SAMPLES: usize = 4096;

/// Bits over the newest part of a window of (time in µs, bytes).
fn rate_bps(samples: &VecDeque<(i64, usize)>, window_us: i64) -> f64 {
    let Some(&(newest, _)) = samples.back() else { return 0.0 };
    let bytes: usize =
        samples.iter().rev().take_while(|&&(at, _)| newest - at < window_us).map(|&(_, size)| size).sum();
    bytes as f64 * 8e6 / window_us as f64
}

fn push_sample(samples: &mut VecDeque<(i64, usize)>, at: i64, size: usize) {
    samples.push_back((at, size));
    while samples.len() > MAX_SAMPLES
        || samples.front().is_some_and(|&(first, _)| at - first > RATE_WINDOW_US)
    {
        samples.pop_front();
    }
}

fn micros(duration: Duration) -> i64 {
    // Far below the limits, so that differences of outside values cannot overflow.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

/// Measurements of one path.
#[derive(Debug)]
pub(crate) struct PathMeter {
    /// Zero of the departure times.
    epoch: Instant,
    base: [Option<i64>; 2],
    base_since: Instant,
    /// Shortest one-way delay of each report, µs on two clocks: only differences mean anything.
    delays: VecDeque<(Instant, i64)>,
    arrived: VecDeque<(i64, usize)>,
    sent: VecDeque<(i64, usize)>,
    fates: VecDeque<(Instant, usize, usize)>,
}

impl PathMeter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            base: [None; 2],
            base_since: now,
            delays: VecDeque::new(),
            arrived: VecDeque::new(),
            sent: VecDeque::new(),
            fates: VecDeque::new(),
        }
    }

    pub(crate) fn on_sent(&mut self, now: Instant, size: usize) {
        push_sample(&mut self.sent, micros(now.saturating_duration_since(self.epoch)), size);
    }

    pub(crate) fn on_packets(&mut self, now: Instant, reports: &[PacketReport]) {
        let mut shortest: Option<i64> = None;
        for report in reports {
            let Some(arrival) = report.arrival else { continue };
            let arrival = micros(arrival);
            let delay = arrival - micros(report.departure.saturating_duration_since(self.epoch));
            shortest = Some(shortest.map_or(delay, |shortest| shortest.min(delay)));
            push_sample(&mut self.arrived, arrival, report.size);
        }
        if let Some(delay) = shortest {
            self.note_delay(now, delay);
        }
        let lost = reports.iter().filter(|report| report.arrival.is_none()).count();
        self.fates.push_back((now, lost, reports.len()));
        while self.fates.len() > MAX_SAMPLES
            || self.fates.front().is_some_and(|&(at, ..)| now.saturating_duration_since(at) > LOSS_WINDOW)
        {
            self.fates.pop_front();
        }
    }

    fn note_delay(&mut self, now: Instant, delay: i64) {
        if now.saturating_duration_since(self.base_since) > BASE_WINDOW {
            self.base = [None, self.base[0]];
            self.base_since = now;
        }
        self.base[0] = Some(self.base[0].map_or(delay, |base| base.min(delay)));
        self.delays.push_back((now, delay));
        while self.delays.len() > MIN_REPORTS
            && self.delays.front().is_some_and(|&(at, _)| now.saturating_duration_since(at) > STANDING)
        {
            self.delays.pop_front();
        }
    }

    /// How long every recent packet had to queue; `None` before there are reports enough.
    pub(crate) fn queue_delay(&self) -> Option<Duration> {
        let base = self.base.into_iter().flatten().min()?;
        let standing = self.delays.iter().map(|&(_, delay)| delay).min()?;
        let queue = u64::try_from(standing - base).unwrap_or(0);
        (self.delays.len() >= MIN_REPORTS).then(|| Duration::from_micros(queue))
    }

    /// Bits a second that arrived.
    pub(crate) fn delivered_bps(&self) -> f64 {
        rate_bps(&self.arrived, RATE_WINDOW_US)
    }
    /// The same over a shorter time: the path's capacity while packets queue.
    pub(crate) fn delivered_lately_bps(&self) -> f64 {
        rate_bps(&self.arrived, QUEUED_WINDOW_US)
    }
    /// Bits a second that left.
    pub(crate) fn sent_bps(&self) -> f64 {
        rate_bps(&self.sent, RATE_WINDOW_US)
    }
    /// Share of packets lost; 0 before there are enough.
    pub(crate) fn loss(&self) -> f64 {
        let (lost, all) = self.fates.iter().fold((0, 0), |(lost, all), (_, l, n)| (lost + l, all + n));
        if all < MIN_LOSS_PACKETS { 0.0 } else { lost as f64 / all as f64 }
    }
    /// Forgets rates and loss, which describe what was before the path fell silent.
    pub(crate) fn forget_rates(&mut self) {
        self.arrived.clear();
        self.fates.clear();
        self.delays.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(start: Instant, sent_ms: u64, delay_ms: u64) -> PacketReport {
        PacketReport {
            departure: start + Duration::from_millis(sent_ms),
            arrival: Some(Duration::from_millis(7_000_000 + sent_ms + delay_ms)),
            size: 1250,
            probe: None,
        }
    }

    #[test]
    fn one_late_report_is_no_queue_and_three_are() {
        let start = Instant::now();
        let mut path = PathMeter::new(start);
        let queues: Vec<u128> = [5, 5, 5, 45, 5, 45, 45, 45, 45]
            .into_iter()
            .enumerate()
            .map(|(i, delay)| {
                let at = i as u64 * 50;
                path.on_packets(start + Duration::from_millis(at + 50), &[report(start, at, delay)]);
                path.queue_delay().map_or(0, |queue| queue.as_millis())
            })
            .collect();
        assert_eq!(queues, [0, 0, 0, 0, 0, 0, 0, 40, 40]);
    }

    #[test]
    fn delivered_rate_counts_what_arrived() {
        let start = Instant::now();
        let mut path = PathMeter::new(start);
        let reports: Vec<_> = (0..1000).map(|ms| report(start, ms, 5)).collect();
        path.on_packets(start + Duration::from_secs(1), &reports);
        assert!((path.delivered_bps() - 10e6).abs() < 1e5, "{}", path.delivered_bps());
    }

    #[test]
    fn hostile_arrival_times_do_not_overflow() {
        let start = Instant::now();
        let mut path = PathMeter::new(start);
        for arrival in [Duration::MAX, Duration::ZERO, Duration::MAX] {
            let report = PacketReport { arrival: Some(arrival), ..report(start, 0, 0) };
            path.on_packets(start, &[report]);
        }
        path.queue_delay();
    }
}

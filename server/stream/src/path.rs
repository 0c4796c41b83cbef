//! What the reports say of the path: standing queue, delivered rate, loss, dispersion.

use crate::company::Company;
use crate::dispersion::{Dispersion, Passed, Run};
use crate::feedback::PacketReport;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A queue is standing when every packet of this long met it. Shorter is scheduling, not congestion.
const STANDING: Duration = Duration::from_millis(120);
/// Reports that a standing queue needs at least.
const MIN_REPORTS: usize = 2;
/// The path's delay without a queue is taken over one to two of these.
const BASE_WINDOW: Duration = Duration::from_secs(5);
/// Rates are taken over this long: 18 frames at 60 Hz.
const RATE_WINDOW_US: i64 = 300_000;
/// While packets queue, the path delivers evenly and a shorter window follows a drop sooner.
const QUEUED_WINDOW_US: i64 = 150_000;
/// Loss is taken over this long.
const LOSS_WINDOW: Duration = Duration::from_millis(600);
/// Fewer packets say nothing of loss.
const MIN_LOSS_PACKETS: usize = 30;
/// Smaller packets, as of audio, pass a bottleneck sooner than others: they are not compared with them.
const MIN_SIZE: usize = 400;
/// What the round-trip time follows one report by.
const RTT_WEIGHT: u32 = 8;
/// Taken for granted before one is measured.
const UNKNOWN_RTT: Duration = Duration::from_millis(50);
/// Packets of so long are averaged: a frame's last ones wait for its first.
const MEAN_WINDOW: Duration = Duration::from_millis(50);
/// A standing queue shorter than this is none.
pub(crate) const CALM: Duration = Duration::from_millis(7);
/// A round-trip time above this is a mistake.
const MAX_RTT: Duration = Duration::from_secs(10);
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

/// The shortest delay of the last one to two [`BASE_WINDOW`]s, µs on two clocks.
#[derive(Debug)]
struct Base {
    windows: [Option<i64>; 2],
    since: Instant,
}

impl Base {
    fn new(now: Instant) -> Self {
        Self { windows: [None; 2], since: now }
    }
    fn note(&mut self, now: Instant, delay: i64) {
        if now.saturating_duration_since(self.since) > BASE_WINDOW {
            self.windows = [None, self.windows[0]];
            self.since = now;
        }
        self.windows[0] = Some(self.windows[0].map_or(delay, |base| base.min(delay)));
    }
    fn delay(&self) -> Option<i64> {
        self.windows.into_iter().flatten().min()
    }
}

/// Measurements of one path.
#[derive(Debug)]
pub(crate) struct PathMeter {
    /// Zero of the departure times.
    epoch: Instant,
    /// Of all packets, and of large ones.
    base: Base,
    large_base: Base,
    /// Shortest one-way delay of each report, µs on two clocks: only differences mean anything.
    delays: VecDeque<(Instant, i64)>,
    arrived: VecDeque<(i64, usize)>,
    sent: VecDeque<(i64, usize)>,
    fates: VecDeque<(Instant, usize, usize)>,
    dispersion: Dispersion,
    company: Company,
    /// Departure and queue of the newest packet that arrived.
    newest: Option<(Instant, Duration)>,
    /// What the large packets of the last reports had to queue together, µs, and how many they were.
    queues: VecDeque<(Instant, i64, i64)>,
    rtt: Option<Duration>,
}

impl PathMeter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            base: Base::new(now),
            large_base: Base::new(now),
            delays: VecDeque::new(),
            arrived: VecDeque::new(),
            sent: VecDeque::new(),
            fates: VecDeque::new(),
            dispersion: Dispersion::default(),
            company: Company::default(),
            newest: None,
            queues: VecDeque::new(),
            rtt: None,
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
            push_sample(&mut self.arrived, arrival, report.size);
            let delay = arrival - self.departure(report);
            shortest = Some(shortest.map_or(delay, |shortest| shortest.min(delay)));
            if report.size >= MIN_SIZE {
                self.large_base.note(now, delay);
            }
        }
        if let Some(delay) = shortest {
            self.note_delay(now, delay);
        }
        self.note_company(reports);
        let (mut total, mut count) = (0i64, 0);
        for report in reports.iter().filter(|report| report.size >= MIN_SIZE) {
            if let Some(queue) = self.note_passed(now, report) {
                (total, count) = (total.saturating_add(queue), count + 1);
            }
        }
        if count > 0 {
            self.note_queue(now, total, count);
        }
        self.dispersion.on_report(now);
        self.note_rtt(now, reports);
        let lost = reports.iter().filter(|report| report.arrival.is_none()).count();
        self.fates.push_back((now, lost, reports.len()));
        while self.fates.len() > MAX_SAMPLES
            || self.fates.front().is_some_and(|&(at, ..)| now.saturating_duration_since(at) > LOSS_WINDOW)
        {
            self.fates.pop_front();
        }
    }

    fn note_queue(&mut self, now: Instant, total: i64, count: i64) {
        self.queues.push_back((now, total, count));
        while self.queues.len() > MAX_SAMPLES
            || self.queues.front().is_some_and(|&(at, ..)| now.saturating_duration_since(at) >= MEAN_WINDOW)
        {
            self.queues.pop_front();
        }
    }

    fn note_company(&mut self, reports: &[PacketReport]) {
        let Some((all, large)) = self.base.delay().zip(self.large_base.delay()) else { return };
        let jitter = micros(self.dispersion.jitter());
        for report in reports {
            let Some(arrival) = report.arrival.map(micros) else { continue };
            let base = if report.size < MIN_SIZE { all } else { large };
            self.company.on_packet(self.departure(report), arrival, base, jitter);
        }
    }

    fn departure(&self, report: &PacketReport) -> i64 {
        micros(report.departure.saturating_duration_since(self.epoch))
    }

    /// How long a packet had to queue, in µs.
    fn note_passed(&mut self, now: Instant, report: &PacketReport) -> Option<i64> {
        let (arrival, base) = report.arrival.map(micros).zip(self.large_base.delay())?;
        let departure = self.departure(report);
        let queue = (arrival - departure - base).max(0);
        let calm = self.queue_delay().is_some_and(|queue| queue < CALM);
        let bits = report.size as f64 * 8.0;
        self.dispersion.on_packet(now, Passed { departure, arrival, queue, bits }, calm);
        if self.newest.is_none_or(|(newest, _)| report.departure >= newest) {
            self.newest = Some((report.departure, Duration::from_micros(queue.unsigned_abs())));
        }
        Some(queue)
    }

    fn note_rtt(&mut self, now: Instant, reports: &[PacketReport]) {
        let arrived = reports.iter().filter(|report| report.arrival.is_some());
        let Some(newest) = arrived.map(|report| report.departure).max() else { return };
        let sample = now.saturating_duration_since(newest).min(MAX_RTT);
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * (RTT_WEIGHT - 1) + sample) / RTT_WEIGHT));
    }

    fn note_delay(&mut self, now: Instant, delay: i64) {
        self.base.note(now, delay);
        self.delays.push_back((now, delay));
        while self.delays.len() > MIN_REPORTS
            && self.delays.front().is_some_and(|&(at, _)| now.saturating_duration_since(at) > STANDING)
        {
            self.delays.pop_front();
        }
    }

    /// How long every recent packet had to queue; `None` before there are reports enough.
    pub(crate) fn queue_delay(&self) -> Option<Duration> {
        let base = self.base.delay()?;
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
    /// The busy period of the bottleneck that lasts.
    pub(crate) fn run(&self) -> Option<Run> {
        self.dispersion.run()
    }
    /// The least that frames have just shown the path to carry.
    pub(crate) fn proven_bps(&self, now: Instant) -> Option<f64> {
        self.dispersion.proven_bps(now)
    }
    /// Takes back a capacity that was disproved.
    pub(crate) fn forget_capacity(&mut self) {
        self.dispersion.forget_capacity();
    }
    /// What the bottleneck carries, where packets queued lately.
    pub(crate) fn capacity_bps(&self, now: Instant) -> Option<f64> {
        self.dispersion.capacity_bps(now)
    }
    /// What of it is ours, where others send as well.
    pub(crate) fn share_bps(&self, now: Instant) -> Option<f64> {
        self.dispersion.share_bps(now)
    }
    /// Departure of the newest packet that arrived, and how long it had to queue.
    pub(crate) fn newest(&self) -> Option<(Instant, Duration)> {
        self.newest
    }
    /// What the packets of the last three frames had to queue on average.
    pub(crate) fn mean_queue(&self) -> Duration {
        let (total, count) = self.queues.iter().fold((0i64, 0), |(total, count), &(_, queued, packets)| {
            (total.saturating_add(queued), count + packets)
        });
        Duration::from_micros((total / count.max(1)).unsigned_abs())
    }
    /// How much the delay varies from frame to frame without congestion, and not by what our own frames left queued.
    pub(crate) fn jitter(&self) -> Duration {
        self.dispersion.jitter()
    }
    /// Whether others send through the same bottleneck.
    pub(crate) fn is_shared(&self) -> bool {
        self.company.is_shared()
    }
    /// From departure to report, queue included.
    pub(crate) fn rtt(&self) -> Duration {
        self.rtt.unwrap_or(UNKNOWN_RTT)
    }
    /// Forgets rates and loss, which describe what was before the path fell silent.
    pub(crate) fn forget_rates(&mut self) {
        self.arrived.clear();
        self.fates.clear();
        self.delays.clear();
        self.dispersion.forget();
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
            ce: false,
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

//! Google congestion control as libwebrtc has it (`modules/congestion_controller/goog_cc`): trendline filter
//! with adaptive threshold, AIMD with link capacity estimate, loss-based limit, initial probes, and the
//! pacer at 2.5 times the target. The yardstick of the tests here; it does not ship.

use nearframe_stream::PacketReport;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// `inter_arrival_delta.cc`: packets sent within 5 ms are one group; so is a burst that arrives at once.
const GROUP_S: f64 = 0.005;
/// `trendline_estimator.cc`
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
const MAX_DELTAS: f64 = 60.0;
const OVERUSE_TIME_MS: f64 = 10.0;
const K_UP: f64 = 0.0087;
const K_DOWN: f64 = 0.039;
/// `aimd_rate_control.cc`
const BETA: f64 = 0.85;
const MIN_BPS: f64 = 300_000.0;

#[derive(Clone, Copy, PartialEq)]
enum Usage {
    Normal,
    Over,
    Under,
}

#[derive(Clone, Copy)]
struct Group {
    first_sent: f64,
    last_sent: f64,
    first_arrived: f64,
    last_arrived: f64,
}

/// Delay gradient by linear regression, compared with a threshold that adapts.
struct Trendline {
    group: Option<Group>,
    before: Option<Group>,
    deltas: f64,
    accumulated_ms: f64,
    smoothed_ms: f64,
    history: VecDeque<(f64, f64)>,
    first_arrived: Option<f64>,
    threshold: f64,
    updated_ms: Option<f64>,
    over_ms: f64,
    over_count: usize,
    previous_trend: f64,
    usage: Usage,
}

impl Trendline {
    fn new() -> Self {
        Self {
            group: None,
            before: None,
            deltas: 0.0,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            history: VecDeque::new(),
            first_arrived: None,
            threshold: 12.5,
            updated_ms: None,
            over_ms: -1.0,
            over_count: 0,
            previous_trend: 0.0,
            usage: Usage::Normal,
        }
    }

    fn on_packet(&mut self, sent: f64, arrived: f64) {
        let Some(group) = &mut self.group else {
            self.group = Some(Group {
                first_sent: sent,
                last_sent: sent,
                first_arrived: arrived,
                last_arrived: arrived,
            });
            return;
        };
        let propagation = (arrived - group.last_arrived) - (sent - group.last_sent);
        let burst =
            propagation < 0.0 && arrived - group.last_arrived <= 0.005 && arrived - group.first_arrived < 0.1;
        if sent - group.first_sent <= GROUP_S || burst {
            group.last_sent = group.last_sent.max(sent);
            group.last_arrived = group.last_arrived.max(arrived);
            return;
        }
        let done = *group;
        *group = Group { first_sent: sent, last_sent: sent, first_arrived: arrived, last_arrived: arrived };
        if let Some(before) = self.before.replace(done) {
            let sent_ms = (done.last_sent - before.last_sent) * 1000.0;
            let arrived_ms = (done.last_arrived - before.last_arrived) * 1000.0;
            self.on_group(sent_ms, arrived_ms, done.last_arrived * 1000.0);
        }
    }

    fn on_group(&mut self, sent_ms: f64, arrived_ms: f64, now_ms: f64) {
        self.deltas = (self.deltas + 1.0).min(1000.0);
        self.accumulated_ms += arrived_ms - sent_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        let first = *self.first_arrived.get_or_insert(now_ms);
        self.history.push_back((now_ms - first, self.smoothed_ms));
        if self.history.len() > WINDOW {
            self.history.pop_front();
        }
        let trend = if self.history.len() == WINDOW { self.slope() } else { self.previous_trend };
        self.detect(trend, sent_ms, now_ms);
    }

    fn slope(&self) -> f64 {
        let n = self.history.len() as f64;
        let (x, y) = self.history.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
        let (above, below) = self
            .history
            .iter()
            .fold((0.0, 0.0), |(a, b), p| (a + (p.0 - x) * (p.1 - y), b + (p.0 - x) * (p.0 - x)));
        if below == 0.0 { self.previous_trend } else { above / below }
    }

    fn detect(&mut self, trend: f64, sent_ms: f64, now_ms: f64) {
        if self.deltas < 2.0 {
            self.usage = Usage::Normal;
            return;
        }
        let modified = self.deltas.min(MAX_DELTAS) * trend * GAIN;
        if modified > self.threshold {
            self.over_ms = if self.over_ms < 0.0 { sent_ms / 2.0 } else { self.over_ms + sent_ms };
            self.over_count += 1;
            if self.over_ms > OVERUSE_TIME_MS && self.over_count > 1 && trend >= self.previous_trend {
                (self.over_ms, self.over_count, self.usage) = (0.0, 0, Usage::Over);
            }
        } else {
            (self.over_ms, self.over_count) = (-1.0, 0);
            self.usage = if modified < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.previous_trend = trend;
        self.adapt(modified, now_ms);
    }

    fn adapt(&mut self, modified: f64, now_ms: f64) {
        let before = self.updated_ms.replace(now_ms).unwrap_or(now_ms);
        if modified.abs() > self.threshold + 15.0 {
            return;
        }
        let k = if modified.abs() < self.threshold { K_DOWN } else { K_UP };
        let elapsed = (now_ms - before).min(100.0);
        self.threshold += k * (modified.abs() - self.threshold) * elapsed;
        self.threshold = self.threshold.clamp(6.0, 600.0);
    }
}

/// `link_capacity_estimator.cc`, in kbit/s as there.
#[derive(Default)]
struct LinkCapacity {
    estimate: Option<f64>,
    deviation: f64,
}

impl LinkCapacity {
    fn sigma(&self, estimate: f64) -> f64 {
        (self.deviation * estimate).sqrt()
    }
    fn on_overuse(&mut self, kbps: f64) {
        let estimate = self.estimate.map_or(kbps, |estimate| 0.95 * estimate + 0.05 * kbps);
        self.estimate = Some(estimate);
        let error = (estimate - kbps).powi(2) / estimate.max(1.0);
        self.deviation = (0.95 * self.deviation.max(0.4) + 0.05 * error).clamp(0.4, 2.5);
    }
    fn contradicted_above(&self, kbps: f64) -> bool {
        self.estimate.is_some_and(|estimate| kbps > estimate + 3.0 * self.sigma(estimate))
    }
    fn contradicted_below(&self, kbps: f64) -> bool {
        self.estimate.is_some_and(|estimate| kbps < estimate - 3.0 * self.sigma(estimate))
    }
}

/// The controller.
pub(crate) struct Gcc {
    start: Instant,
    trendline: Trendline,
    capacity: LinkCapacity,
    delay_bps: f64,
    loss_bps: f64,
    max_bps: f64,
    increasing: bool,
    changed: Option<Instant>,
    decreased: Option<Instant>,
    acked: VecDeque<(f64, usize)>,
    rtt: Duration,
    fates: VecDeque<(Instant, usize, usize)>,
    loss_increased: Instant,
    loss_decreased: Instant,
    /// Rates still to be probed.
    probes: VecDeque<f64>,
}

impl Gcc {
    pub(crate) fn new(now: Instant, start_bps: f64, max_bps: f64) -> Self {
        Self {
            start: now,
            trendline: Trendline::new(),
            capacity: LinkCapacity::default(),
            delay_bps: start_bps,
            loss_bps: max_bps,
            max_bps,
            increasing: false,
            changed: None,
            decreased: None,
            acked: VecDeque::new(),
            rtt: Duration::from_millis(200),
            fates: VecDeque::new(),
            loss_increased: now,
            loss_decreased: now,
            // `probe_controller.cc`: three and six times the start.
            probes: [3.0 * start_bps, 6.0 * start_bps].into(),
        }
    }

    pub(crate) fn target_bps(&self) -> f64 {
        self.delay_bps.min(self.loss_bps).clamp(MIN_BPS, self.max_bps)
    }

    /// The next rate to probe: 15 ms of packets.
    pub(crate) fn poll_probe(&mut self) -> Option<f64> {
        self.probes.pop_front().map(|bps| bps.min(2.0 * self.max_bps))
    }

    /// `probe_bitrate_estimator.cc`: what a probe sent at `sent_bps` arrived at.
    pub(crate) fn on_probe(&mut self, now: Instant, sent_bps: f64, arrived_bps: f64) {
        let found = if arrived_bps < 0.9 * sent_bps { 0.95 * arrived_bps } else { sent_bps.min(arrived_bps) };
        if found > self.delay_bps {
            self.delay_bps = found.min(self.max_bps);
            self.changed = Some(now);
            if arrived_bps >= 0.9 * sent_bps && self.probes.is_empty() && found < 0.95 * self.max_bps {
                self.probes.push_back(2.0 * found);
            }
        }
    }

    pub(crate) fn on_packets(&mut self, now: Instant, reports: &[PacketReport]) {
        let mut newest = None;
        let mut over = false;
        for report in reports {
            let Some(arrival) = report.arrival else { continue };
            let (sent, arrived) = ((report.departure - self.start).as_secs_f64(), arrival.as_secs_f64());
            self.acked.push_back((arrived, report.size));
            self.trendline.on_packet(sent, arrived);
            over |= self.trendline.usage == Usage::Over;
            newest = newest.max(Some(report.departure));
        }
        if let Some(departure) = newest {
            self.rtt = now - departure;
        }
        while let Some((first, last)) = self.acked.front().zip(self.acked.back())
            && last.0 - first.0 > 0.5
        {
            self.acked.pop_front();
        }
        self.update_loss(now, reports);
        self.update_delay(now, if over { Usage::Over } else { self.trendline.usage });
    }

    fn acked_bps(&self) -> Option<f64> {
        let (first, last) = self.acked.front().zip(self.acked.back())?;
        let span = last.0 - first.0;
        let bytes: usize = self.acked.iter().map(|&(_, size)| size).sum();
        (span > 0.15).then(|| bytes as f64 * 8.0 / span)
    }

    fn update_delay(&mut self, now: Instant, usage: Usage) {
        match usage {
            Usage::Over => self.decrease(now),
            Usage::Under => self.increasing = false,
            Usage::Normal if !self.increasing => {
                self.increasing = true;
                self.changed = Some(now);
            }
            Usage::Normal => self.increase(now),
        }
    }

    fn decrease(&mut self, now: Instant) {
        self.increasing = false;
        let apart = self.rtt.clamp(Duration::from_millis(10), Duration::from_millis(200));
        let throughput = self.acked_bps().unwrap_or(self.delay_bps);
        let soon = self.decreased.is_some_and(|at| now - at < apart);
        if soon && throughput >= 0.5 * self.delay_bps {
            return;
        }
        let mut bps = BETA * throughput;
        if bps > self.delay_bps
            && let Some(kbps) = self.capacity.estimate
        {
            bps = BETA * kbps * 1000.0;
        }
        if self.capacity.contradicted_below(throughput / 1000.0) {
            self.capacity = LinkCapacity::default();
        }
        self.capacity.on_overuse(throughput / 1000.0);
        self.delay_bps = bps.min(self.delay_bps).max(MIN_BPS);
        (self.decreased, self.changed) = (Some(now), Some(now));
    }

    fn increase(&mut self, now: Instant) {
        let elapsed = self.changed.replace(now).map_or(0.0, |at| (now - at).as_secs_f64().min(1.0));
        let throughput = self.acked_bps().unwrap_or(self.delay_bps);
        if self.capacity.contradicted_above(throughput / 1000.0) {
            self.capacity = LinkCapacity::default();
        }
        let grown = if self.capacity.estimate.is_some() {
            let packets = (self.delay_bps / 60.0 / 9600.0).ceil().max(1.0);
            let packet_bits = self.delay_bps / 60.0 / packets;
            let response = self.rtt.as_secs_f64() + 0.1;
            self.delay_bps + (packet_bits / response).max(4000.0) * elapsed
        } else {
            self.delay_bps * 1.08f64.powf(elapsed) + 1000.0 * elapsed
        };
        let limit = (1.5 * throughput + 10_000.0).max(self.delay_bps);
        self.delay_bps = grown.min(limit).min(self.max_bps);
    }

    /// `send_side_bandwidth_estimation.cc`: 8 % a second below 2 % of loss, down above 10 %.
    fn update_loss(&mut self, now: Instant, reports: &[PacketReport]) {
        let lost = reports.iter().filter(|report| report.arrival.is_none()).count();
        self.fates.push_back((now, lost, reports.len()));
        while self.fates.front().is_some_and(|&(at, ..)| now - at > Duration::from_millis(500)) {
            self.fates.pop_front();
        }
        let (lost, all) = self.fates.iter().fold((0, 0), |(l, n), &(_, lost, all)| (l + lost, n + all));
        if all < 20 {
            return;
        }
        let loss = lost as f64 / all as f64;
        if loss <= 0.02 {
            let elapsed = (now - self.loss_increased).as_secs_f64();
            self.loss_bps = (self.loss_bps * 1.08f64.powf(elapsed)).min(self.max_bps);
        } else if loss > 0.1 && now - self.loss_decreased > self.rtt + Duration::from_millis(300) {
            self.loss_bps = self.target_bps() * (1.0 - 0.5 * loss);
            self.loss_decreased = now;
        }
        self.loss_increased = now;
    }
}

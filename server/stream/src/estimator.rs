//! How much the path carries.
//!
//! [`DelayEstimator`] holds the standing queue near zero: it grows while packets meet no queue, and when
//! every packet of 120 ms met one, it takes the delivered rate for the path's capacity and sends less
//! than that until the queue is gone. Loss is a second witness, for paths whose queue is too short to be
//! seen. An encoder that sends less than it may never lowers the target; the target grows past what was
//! delivered only as far as a probe has shown.

use crate::feedback::PacketReport;
use crate::path::PathMeter;
use crate::probe::{Found, ProbePlan, Train};
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// A standing queue longer than this is congestion.
const OVERUSE: Duration = Duration::from_millis(15);
/// A standing queue shorter than this is none.
const CALM: Duration = Duration::from_millis(7);
/// Loss above this is congestion even where no queue shows.
const HEAVY_LOSS: f64 = 0.10;
/// Retreats from a queue are at least this far apart: two reports.
const RETREAT_INTERVAL: Duration = Duration::from_millis(100);
/// Retreats from loss are further apart, so that one burst is not held against us twice.
const LOSS_RETREAT_INTERVAL: Duration = Duration::from_millis(600);
/// One retreat leaves at least this share of the target, so that one wrong measurement cannot take the
/// picture away; the second where the queue is longer than [`LONG_QUEUE`].
const MAX_RETREAT: [f64; 2] = [0.5, 0.3];
/// No jitter of a working path makes a queue this long.
const LONG_QUEUE: Duration = Duration::from_millis(60);
/// A queue of this length is to be gone this long after the retreat.
const DRAIN_S: f64 = 0.4;
/// A queue that was not halved in this time, though we send far less than the path carried, is not ours:
/// jitter, a longer route, or other senders.
const FOREIGN_QUEUE: Duration = Duration::from_millis(800);
/// As much of a foreign queue is put up with. Beyond it, playing on would be worse than a poorer picture.
const MAX_TOLERANCE: Duration = Duration::from_millis(100);
/// A foreign queue that was not seen for this long is gone.
const TOLERANCE_MEMORY: Duration = Duration::from_secs(10);
/// Without feedback for this long the target is halved.
const SILENCE: Duration = Duration::from_millis(600);
/// A bottleneck met is remembered for this long.
const CAPACITY_MEMORY: Duration = Duration::from_secs(30);
/// An encoder that cannot fill the target leaves it untested; it is then probed this often.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// Loss without a queue may be over soon.
const PROBE_AFTER_LOSS: Duration = Duration::from_secs(1);
/// Growth a second: before the first bottleneck, far from the known one, near to it.
const GROWTH: [f64; 3] = [2.0, 0.25, 0.04];

/// A policy that says how much to send. `now` never goes back.
pub trait BandwidthEstimator: Debug + Send {
    /// A packet of `size` bytes on the wire left.
    fn on_sent(&mut self, now: Instant, size: usize);
    /// Fates of packets, in order of departure, never empty.
    fn on_packets(&mut self, now: Instant, reports: &[PacketReport]);
    /// A receiver report; decides only where there is no per-packet feedback.
    fn on_receiver_report(&mut self, now: Instant, fraction_lost: f32);
    /// The receiver's own limit.
    fn on_remb(&mut self, now: Instant, bps: u64);
    /// To be called at `poll_timeout`.
    fn handle_timeout(&mut self, now: Instant);
    /// When to call `handle_timeout`.
    fn poll_timeout(&self) -> Option<Instant>;
    /// A probe to send now.
    fn poll_probe(&mut self, now: Instant) -> Option<ProbePlan>;
    /// What may be sent, bits a second on the wire.
    fn target_bps(&self) -> f64;
    /// How long packets stand in the path's queue.
    fn queue_delay(&self) -> Duration;
    /// Whether a bottleneck was met lately, so that sending faster than the target only fills its queue.
    fn is_constrained(&self, now: Instant) -> bool;
}

/// A queue of ours that is being emptied.
#[derive(Debug)]
struct Drain {
    since: Instant,
    /// Queue when it began.
    queue: Duration,
    /// What the path delivered when it began, bits a second.
    delivered_bps: f64,
}

/// The delay-based estimator.
#[derive(Debug)]
pub struct DelayEstimator {
    min: f64,
    max: f64,
    target: f64,
    path: PathMeter,
    /// The bottleneck's rate and when it was last met.
    capacity: Option<(f64, Instant)>,
    drain: Option<Drain>,
    /// A queue that is not ours, and when it was last seen.
    tolerance: Option<(Duration, Instant)>,
    fast_start: bool,
    retreated_at: Option<Instant>,
    grown_at: Option<Instant>,
    feedback_at: Option<Instant>,
    /// When the oldest packet left that no feedback has followed.
    unanswered: Option<Instant>,
    sent_at: Instant,
    /// Whether the path has fallen silent since the last feedback.
    silent: bool,
    remb: Option<f64>,
    train: Option<Train>,
    next_train: u32,
    probe_at: Option<Instant>,
}

impl DelayEstimator {
    /// Starts at `start_bps` and stays within `min_bps..=max_bps`, all on the wire.
    pub fn new(now: Instant, min_bps: f64, start_bps: f64, max_bps: f64) -> Self {
        Self {
            min: min_bps,
            max: max_bps.max(min_bps),
            target: start_bps.clamp(min_bps, max_bps.max(min_bps)),
            path: PathMeter::new(now),
            capacity: None,
            drain: None,
            tolerance: None,
            fast_start: true,
            retreated_at: None,
            grown_at: None,
            feedback_at: None,
            unanswered: None,
            sent_at: now,
            silent: false,
            remb: None,
            train: None,
            next_train: 0,
            probe_at: None,
        }
    }

    fn set_target(&mut self, bps: f64) {
        let ceiling = self.remb.map_or(self.max, |remb| self.max.min(remb)).max(self.min);
        self.target = bps.clamp(self.min, ceiling);
    }

    /// Retreats below the path's capacity, the further the longer the queue.
    fn retreat(&mut self, now: Instant, queue: Duration, loss: f64) {
        let interval = if queue > OVERUSE { RETREAT_INTERVAL } else { LOSS_RETREAT_INTERVAL };
        if self.retreated_at.is_some_and(|at| now.saturating_duration_since(at) < interval) {
            return;
        }
        self.retreated_at = Some(now);
        self.fast_start = false;
        self.train = None;
        let floor = self.target * MAX_RETREAT[usize::from(queue > LONG_QUEUE)];
        let wanted = if queue > OVERUSE {
            let delivered_bps = self.path.delivered_lately_bps();
            self.drain.get_or_insert(Drain { since: now, queue, delivered_bps });
            self.capacity = Some((delivered_bps, now));
            self.probe_at = Some(now + PROBE_INTERVAL);
            delivered_bps * (0.95 - queue.as_secs_f64() / DRAIN_S).clamp(0.3, 0.9)
        } else {
            self.probe_at = Some(now + PROBE_AFTER_LOSS);
            self.target * (1.0 - loss / 2.0)
        };
        self.set_target(wanted.clamp(floor, self.target.max(floor)));
    }

    /// Back to just below the capacity once the queue is gone.
    fn end_drain(&mut self, queue: Duration) {
        if queue < CALM && self.drain.take().is_some() {
            let capacity = self.capacity.map_or(0.0, |(bps, _)| bps);
            self.set_target(self.target.max(capacity * 0.92));
        }
    }

    /// Puts up with a queue that stays although we send far less than was delivered when it was found.
    fn give_up_drain(&mut self, now: Instant, queue: Duration) {
        let Some(drain) = &mut self.drain else { return };
        if queue * 2 < drain.queue || queue * 4 > drain.queue * 5 {
            (drain.since, drain.queue) = (now, queue);
        } else if now.saturating_duration_since(drain.since) > FOREIGN_QUEUE
            && self.path.sent_bps() < 0.7 * drain.delivered_bps
        {
            let before = drain.delivered_bps;
            self.tolerance = Some(((self.tolerated() + queue).min(MAX_TOLERANCE), now));
            self.drain = None;
            self.capacity = None;
            self.set_target(before * 0.7);
        }
    }

    fn tolerated(&self) -> Duration {
        self.tolerance.map_or(Duration::ZERO, |(queue, _)| queue)
    }

    /// What of the standing queue is ours.
    fn own_queue(&mut self, now: Instant) -> Duration {
        let queue = self.path.queue_delay().unwrap_or_default();
        if let Some((tolerated, seen)) = &mut self.tolerance {
            if queue * 2 > *tolerated {
                *seen = now;
            } else if now.saturating_duration_since(*seen) > TOLERANCE_MEMORY {
                self.tolerance = None;
            }
        }
        queue.saturating_sub(self.tolerated())
    }

    fn grow(&mut self, now: Instant, loss: f64) {
        let elapsed =
            self.grown_at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64().min(0.2));
        self.grown_at = Some(now);
        let near = self.capacity.is_some_and(|(bps, _)| (0.8..1.2).contains(&(self.target / bps)));
        let growth = match (self.fast_start, near) {
            (true, _) => GROWTH[0],
            (false, false) => GROWTH[1],
            (false, true) => GROWTH[2],
        };
        let hesitation = if loss > 0.02 { 0.5 } else { 1.0 };
        let grown = self.target * (1.0 + growth * hesitation * elapsed);
        let shown = 1.5 * self.path.delivered_bps() + 300_000.0;
        self.set_target(grown.min(shown.max(self.target)));
    }

    fn take_probe(&mut self, now: Instant, reports: &[PacketReport]) {
        let Some(train) = &mut self.train else { return };
        if !reports.iter().any(|report| train.closes_with(report)) {
            return;
        }
        let found = train.found();
        self.train = None;
        let Some(Found { rate_bps, saturated }) = found else { return };
        if saturated {
            self.fast_start = false;
            self.set_target(self.target.max(rate_bps * 0.85));
        } else if rate_bps > self.target {
            self.set_target(rate_bps);
            self.probe_at = Some(now);
        }
    }

    fn expire(&mut self, now: Instant) {
        self.capacity = self.capacity.filter(|&(bps, at)| {
            now.saturating_duration_since(at) < CAPACITY_MEMORY && self.target < bps * 1.5
        });
    }
}

impl BandwidthEstimator for DelayEstimator {
    fn on_sent(&mut self, now: Instant, size: usize) {
        self.path.on_sent(now, size);
        self.sent_at = now;
        self.unanswered.get_or_insert(now);
    }

    fn on_packets(&mut self, now: Instant, reports: &[PacketReport]) {
        if self.feedback_at.is_none() {
            self.probe_at = Some(now);
        }
        self.feedback_at = Some(now);
        self.unanswered = None;
        if std::mem::take(&mut self.silent) {
            // What was lost meanwhile says nothing of the path as it is now.
            let arrived: Vec<_> = reports.iter().filter(|report| report.arrival.is_some()).copied().collect();
            self.path.on_packets(now, &arrived);
        } else {
            self.path.on_packets(now, reports);
        }
        self.expire(now);
        let loss = self.path.loss();
        let queue = self.own_queue(now);
        if queue > OVERUSE || loss > HEAVY_LOSS {
            self.retreat(now, queue, loss);
            self.give_up_drain(now, queue);
            self.grown_at = Some(now);
            return;
        }
        self.take_probe(now, reports);
        self.end_drain(queue);
        if queue < CALM && self.drain.is_none() {
            self.grow(now, loss);
        } else {
            self.grown_at = Some(now);
        }
    }

    fn on_receiver_report(&mut self, now: Instant, fraction_lost: f32) {
        if self.feedback_at.is_some_and(|at| now.saturating_duration_since(at) < SILENCE * 4) {
            return;
        }
        let fraction = f64::from(fraction_lost.clamp(0.0, 1.0));
        if fraction > HEAVY_LOSS {
            self.set_target(self.target * (1.0 - fraction / 2.0));
        } else if fraction < 0.02 {
            self.set_target(self.target * 1.08);
        }
    }

    fn on_remb(&mut self, _now: Instant, bps: u64) {
        self.remb = Some(bps as f64);
        let target = if self.feedback_at.is_none() { bps as f64 } else { self.target };
        self.set_target(target);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        if now.saturating_duration_since(self.sent_at) > SILENCE {
            // Nothing was sent lately: the silence says nothing of the path.
            self.unanswered = None;
        } else {
            self.set_target(self.target / 2.0);
            self.path.forget_rates();
            self.unanswered = Some(now);
            self.silent = true;
            self.fast_start = true;
            self.capacity = None;
            self.drain = None;
            self.train = None;
            self.probe_at = Some(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.feedback_at?;
        self.unanswered.map(|since| since + SILENCE)
    }

    fn poll_probe(&mut self, now: Instant) -> Option<ProbePlan> {
        let at = self.probe_at?;
        if at > now || self.train.is_some() || self.drain.is_some() || self.silent {
            return None;
        }
        self.probe_at = Some(now + PROBE_INTERVAL);
        let idle = self.path.sent_bps() < 0.7 * self.target;
        if self.target >= 0.95 * self.max || !(self.fast_start || idle || self.capacity.is_none()) {
            return None;
        }
        let plan = ProbePlan::new(self.next_train, (2.0 * self.target).min(1.1 * self.max));
        self.next_train = self.next_train.wrapping_add(1);
        self.train = Some(Train::new(plan.id, now));
        Some(plan)
    }

    fn target_bps(&self) -> f64 {
        self.target
    }

    fn queue_delay(&self) -> Duration {
        self.path.queue_delay().unwrap_or_default()
    }

    fn is_constrained(&self, now: Instant) -> bool {
        self.capacity.is_some_and(|(_, at)| now.saturating_duration_since(at) < CAPACITY_MEMORY)
    }
}

//! How much the path carries.
//!
//! [`DelayEstimator`] holds the standing queue near zero. Frames that arrive as fast as they were paced prove
//! room, and the target follows what they prove; frames that queue measure the bottleneck (dispersion), and
//! the target stays below it. A queue that stands, or one that builds within one report, is answered by a
//! retreat below what was delivered and by frame budgets that let the queue run out. Loss and congestion
//! marks are further witnesses. A queue that is not ours and stays is shared with as TCP would. On a radio's uneven path,
//! where frames measure nothing, the target returns after a dip to what was delivered before it.
//! `docs/congestion-control.md` derives all of it.

mod ceiling;
mod compete;
mod marks;
mod uneven;

use crate::backlog::Backlog;
use crate::dispersion::Run;
use crate::feedback::PacketReport;
use crate::path::{CALM, PathMeter};
use crate::probe::{Found, ProbePlan, Train};
use ceiling::Ceiling;
use compete::Compete;
use marks::Marks;
use std::fmt::Debug;
use std::time::{Duration, Instant};
use uneven::Uneven;

/// A standing queue longer than this is congestion.
const OVERUSE: Duration = Duration::from_millis(15);
/// A packet that waited for longer leaves less room for the next frame, before a limit is known.
const LATE: Duration = Duration::from_millis(10);
/// A queue that grows past this within one report is congestion, if packets arrive slower than they left by
/// [`SUDDEN_SLOWDOWN`] for [`SUDDEN_SPAN`].
const SUDDEN: Duration = Duration::from_millis(20);
const SUDDEN_SPAN: Duration = Duration::from_millis(12);
const SUDDEN_SLOWDOWN: f64 = 0.8;
/// Less is enough where packets arrive at this share of what the path was known to carry.
const FALLEN: f64 = 0.6;
const FALLEN_SPAN: Duration = Duration::from_millis(8);
const FALLEN_QUEUE: Duration = Duration::from_millis(8);
/// Loss above this is congestion even where no queue shows.
const HEAVY_LOSS: f64 = 0.10;
/// Loss above this is no reason to retreat, but one to grow slowly.
const SOME_LOSS: f64 = 0.02;
/// Retreats from a queue are at least this far apart: two reports.
const RETREAT_INTERVAL: Duration = Duration::from_millis(100);
/// Retreats from loss are further apart, so that one burst is not held against us twice.
const LOSS_RETREAT_INTERVAL: Duration = Duration::from_millis(600);
/// One retreat leaves at least this share of the target, so that one wrong measurement cannot take the
/// picture away; the second where the queue is longer than [`LONG_QUEUE`].
const MAX_RETREAT: [f64; 2] = [0.5, 0.2];
/// No jitter of a working path makes a queue this long.
const LONG_QUEUE: Duration = Duration::from_millis(60);
/// A queue of this length is to be gone this long after the retreat.
const DRAIN_S: f64 = 0.4;
/// A queue that has shrunk to this share since the last report needs no further retreat.
const DRAINING: f64 = 0.85;
/// A queue that was not halved in this time, though we send far less than the path carried, is not ours:
/// jitter, a longer route, or other senders.
const FOREIGN_QUEUE: Duration = Duration::from_millis(800);
/// As much of a foreign queue is put up with. Beyond it, playing on would be worse than a poorer picture.
const MAX_TOLERANCE: Duration = Duration::from_millis(400);
/// Who took the others for gone too early takes his share again.
const COMPETED_MEMORY: Duration = Duration::from_secs(30);
/// Without feedback for this long the target is halved.
const SILENCE: Duration = Duration::from_millis(600);
/// An encoder that cannot fill the target leaves it untested; it is then probed this often.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// Loss without a queue may be over soon.
const PROBE_AFTER_LOSS: Duration = Duration::from_secs(1);
/// Growth a second before the first bottleneck, where nothing is proven.
const FAST_GROWTH: f64 = 2.0;
/// The same where no bottleneck was met for so long, or where jitter lets no frame prove anything.
const GROWTH: f64 = 0.25;
const UNDISTURBED: Duration = Duration::from_secs(10);
/// Bits a second added each second at least, and beside others: the same for all.
const ADDED_BPS: f64 = 0.8e6;
/// Growth a second towards what frames have proven: half as much again with each report.
const PROVEN_GROWTH: f64 = 10.0;
/// As much of a proven rate is used, and of a measured capacity: frames differ in size, and each is to be
/// through before the next.
const PROVEN_FILL: f64 = 0.8;
const FILL: f64 = 0.9;
/// Towards a capacity that is measured lower the target falls by its own size a second, and by this much at most
/// from one report to the next.
const MAX_FALL: f64 = 0.05;
/// A proof that exceeds what was taken for the limit by this much disproves it.
const DISPROOF: f64 = 1.15;
/// Share of the target that an idle encoder stays below.
const IDLE: f64 = 0.7;
/// Share of the target given up a second while packets queue, but not so long that it is congestion. With
/// [`ADDED_BPS`] this is what makes shares equal.
const YIELD: f64 = 0.5;
/// Delays that vary less show others plainly.
const CLEAN: Duration = Duration::from_millis(2);
/// The target never exceeds this many times what was delivered, and as much more: what the encoder leaves
/// unused is not tested.
const SHOWN: f64 = 1.5;
const SHOWN_LEAST_BPS: f64 = 300_000.0;
/// Beside others, frames up to this many times their share of the target may leave, and where frames measure nothing, up
/// to this.
const SHARED_SERVICE: f64 = 1.2;
const BLIND_SERVICE: f64 = 0.8;
/// A frame's budget never exceeds this many times its share of the target.
const MAX_BUDGET: f64 = 2.0;

/// Whatever waits here for longer is dropped.
const MAX_AHEAD: Duration = Duration::from_secs(1);
/// While feedback is missing, nothing tells whether the path stands still or only the way back. As much is sent on
/// for so long: enough to go on playing in the one case, and soon through in the other.
const BLIND_SHARE: f64 = 0.25;
const MAX_BLIND: Duration = Duration::from_secs(1);
/// A path that is empty takes this many bytes, however long it takes with them: a poor picture now and then
/// is better than none.
const MIN_ROOM: f64 = 1500.0;

/// A policy that says how much to send. `now` never goes back.
pub trait BandwidthEstimator: Debug + Send {
    /// A packet of `size` bytes on the wire left; `asks` if the receiver is to report at once what has arrived by then.
    fn on_sent(&mut self, now: Instant, size: usize, asks: bool);
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
    /// Bytes on the wire that the path would carry within `interval` of what leaves in a while, `lead` from now,
    /// after what is queued in it and `waiting` bytes that are about to leave.
    fn room_bytes(&self, now: Instant, interval: Duration, lead: Duration, waiting: usize) -> f64;
    /// How long packets stand in the path's queue.
    fn queue_delay(&self) -> Duration;
    /// Whether packets wait in the path just now, or nothing passes any more, wherever its limit is.
    fn is_late(&self, now: Instant) -> bool;
    /// Whether a bottleneck was met lately, so that sending faster than the target only fills its queue.
    fn is_constrained(&self, now: Instant) -> bool;
}

/// A queue of ours that is being emptied.
#[derive(Debug)]
struct Drain {
    since: Instant,
    /// Queue when it began.
    queue: Duration,
    /// Queue when it was last looked at.
    seen: Duration,
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
    backlog: Backlog,
    marks: Marks,
    /// What was delivered when a bottleneck was last met.
    ceiling: Option<Ceiling>,
    drain: Option<Drain>,
    uneven: Uneven,
    /// The share taken against a queue that is not ours.
    compete: Option<Compete>,
    /// The share that was last taken so, and until when.
    competed: Option<(f64, Instant)>,
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
            backlog: Backlog::new(now),
            marks: Marks::default(),
            ceiling: None,
            drain: None,
            uneven: Uneven::default(),
            compete: None,
            competed: None,
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

    /// Whether others send through a bottleneck that was met. Jitter alone looks like others, but meets none.
    fn is_shared(&self) -> bool {
        self.path.is_shared() && (self.ceiling.is_some() || self.path.jitter() < CLEAN)
    }

    /// The wait of a packet sent now, as far as answers that do not come tell of it.
    fn least_wait(&self, now: Instant) -> Duration {
        self.backlog.least_wait(now, self.path.loss() > 0.0)
    }

    /// What a packet's transmission is reckoned with. Beside others, what got through is no limit, nor what came
    /// through in one of a radio's turns.
    fn service_bps(&self, now: Instant) -> f64 {
        match self.path.share_bps(now) {
            Some(bps) if self.is_shared() => bps.max(self.target * SHARED_SERVICE),
            Some(bps) if self.uneven.is_blind() => bps.max(self.target * BLIND_SERVICE),
            Some(bps) => bps.max(self.min),
            None => self.target * MAX_BUDGET,
        }
    }

    /// The busy period of a bottleneck that has just become narrow.
    fn sudden(&self, now: Instant) -> Option<Run> {
        let capacity = self.path.capacity_bps(now).unwrap_or(0.0);
        let jitter = self.path.jitter() * 3;
        self.path.run().filter(|run| {
            let slow = run.rate_bps < SUDDEN_SLOWDOWN * run.offered_bps;
            let fallen = run.rate_bps < FALLEN * capacity.min(run.offered_bps);
            slow && run.span >= SUDDEN_SPAN && run.queue > SUDDEN + jitter
                || fallen && run.span >= FALLEN_SPAN && run.queue > FALLEN_QUEUE + jitter
        })
    }

    /// Retreats below the path's capacity, the further the longer the queue.
    fn retreat(&mut self, now: Instant, queue: Duration, loss: f64, sudden: Option<Run>) {
        let interval = if queue > OVERUSE { RETREAT_INTERVAL } else { LOSS_RETREAT_INTERVAL };
        if self.retreated_at.is_some_and(|at| now.saturating_duration_since(at) < interval) {
            return;
        }
        if let Some(drain) = &mut self.drain
            && queue > OVERUSE
        {
            let falls = queue.as_secs_f64() < DRAINING * drain.seen.as_secs_f64();
            drain.seen = queue;
            if falls {
                return;
            }
        }
        self.retreated_at = Some(now);
        self.fast_start = false;
        self.train = None;
        let floor = self.target * MAX_RETREAT[usize::from(queue > LONG_QUEUE)];
        let wanted = if queue > OVERUSE {
            let delivered_bps = sudden.map_or(self.path.delivered_lately_bps(), |run| run.rate_bps);
            self.drain.get_or_insert(Drain { since: now, queue, seen: queue, delivered_bps });
            self.ceiling = Some(Ceiling::met(now, delivered_bps, self.ceiling.as_ref()));
            self.uneven.met_queue();
            self.probe_at = Some(now + PROBE_INTERVAL);
            delivered_bps * (0.95 - queue.as_secs_f64() / DRAIN_S).clamp(0.3, 0.9)
        } else {
            self.probe_at = Some(now + PROBE_AFTER_LOSS);
            self.target * (1.0 - loss / 2.0)
        };
        self.set_target(wanted.clamp(floor, self.target.max(floor)));
    }

    /// Back to just below the capacity once the queue is gone.
    fn end_drain(&mut self) {
        if self.drain.take().is_some() {
            let restored = self.ceiling.as_ref().map_or(0.0, Ceiling::restored_bps);
            self.set_target(self.target.max(restored));
        }
    }

    /// Shares a queue that stays although we send far less than was delivered when it was found.
    fn give_up_drain(&mut self, now: Instant, queue: Duration) {
        let Some(drain) = &mut self.drain else { return };
        if queue * 4 < drain.queue || queue * 4 > drain.queue * 5 {
            (drain.since, drain.queue) = (now, queue);
            return;
        }
        let before = self.competed.filter(|&(_, at)| now.saturating_duration_since(at) < COMPETED_MEMORY);
        let little = self.path.sent_bps() < IDLE * drain.delivered_bps || before.is_some();
        if little && now.saturating_duration_since(drain.since) > FOREIGN_QUEUE {
            let share = before.map_or(0.0, |(bps, _)| bps).max(drain.delivered_bps * IDLE);
            self.drain = None;
            self.ceiling = None;
            self.compete = Some(Compete::new(now, share, self.path.rtt()));
            self.set_target(share);
        }
    }

    /// Takes the share of one more TCP flow; false once nobody else fills the queue.
    fn compete(&mut self, now: Instant, reports: &[PacketReport]) -> bool {
        let queue = self.path.queue_delay().unwrap_or_default();
        let limited = self.path.sent_bps() < IDLE * self.target;
        let Some(compete) = &mut self.compete else { return false };
        if queue > MAX_TOLERANCE || compete.is_over(now, queue, CALM) {
            self.competed = Some((compete.bps(), now));
            self.compete = None;
            return false;
        }
        let lost = reports.iter().any(|report| report.arrival.is_none());
        let bps = compete.rate_bps(now, self.path.rtt(), lost, limited);
        self.set_target(bps);
        true
    }

    fn grow(&mut self, now: Instant, loss: f64) {
        let elapsed =
            self.grown_at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64().min(0.2));
        self.grown_at = Some(now);
        let proven = self.path.proven_bps(now).unwrap_or(0.0);
        self.heed_disproof(now, proven);
        let hesitation = if loss > SOME_LOSS { 0.5 } else { 1.0 };
        let elapsed = elapsed * hesitation;
        let mut wanted = self.grown(now, elapsed);
        if self.ceiling.is_none() {
            let step = self.target * (1.0 + PROVEN_GROWTH * elapsed);
            wanted = wanted.max((proven * PROVEN_FILL).min(step));
        }
        self.uneven.delivered(now, self.path.delivered_bps());
        if let Some(regained) = self.uneven.regained_bps(self.target, elapsed).filter(|_| !self.is_shared()) {
            wanted = wanted.max(regained);
        }
        let shown = SHOWN * self.path.delivered_bps() + SHOWN_LEAST_BPS;
        // Who paces slower gets less through beside others: among them only the queue tells what is fair.
        let clear = !self.is_shared() && !self.uneven.is_blind();
        let filled = match self.path.capacity_bps(now).filter(|_| clear) {
            Some(bps) => (bps * FILL).max(self.target * (1.0 - elapsed.min(MAX_FALL))),
            None => f64::MAX,
        };
        self.set_target(wanted.min(shown.max(self.target)).min(filled));
    }

    /// What the target has grown to in `elapsed` seconds without proof.
    fn grown(&self, now: Instant, elapsed: f64) -> f64 {
        let least = self.target + ADDED_BPS * elapsed;
        if let Some(ceiling) = &self.ceiling {
            return ceiling.growth(now, self.target).max(least);
        }
        let quiet = self.retreated_at.is_none_or(|at| now.saturating_duration_since(at) > UNDISTURBED);
        let rate = match (self.fast_start, quiet || self.uneven.is_blind()) {
            (true, _) => FAST_GROWTH,
            (false, true) => GROWTH,
            (false, false) => 0.0,
        };
        (self.target * (1.0 + rate * elapsed)).max(least)
    }

    /// Frames that passed faster than what was taken for the limit.
    fn heed_disproof(&mut self, now: Instant, proven: f64) {
        if self.path.capacity_bps(now).is_some_and(|bps| proven > bps * DISPROOF) {
            self.path.forget_capacity();
        }
        if self.ceiling.as_ref().is_some_and(|ceiling| proven * PROVEN_FILL > ceiling.bps() * DISPROOF) {
            self.ceiling = None;
            self.fast_start = true;
        }
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

    fn measure(&mut self, now: Instant, reports: &[PacketReport]) {
        if std::mem::take(&mut self.silent) {
            // What was lost meanwhile says nothing of the path as it is now.
            let arrived: Vec<_> = reports.iter().filter(|report| report.arrival.is_some()).copied().collect();
            self.path.on_packets(now, &arrived);
        } else {
            self.path.on_packets(now, reports);
        }
        self.uneven.varies(self.path.jitter());
        let service = self.service_bps(now);
        let newest = reports.iter().map(|report| report.departure).max();
        if let Some((departure, queue)) = self.path.newest() {
            self.backlog.answered(now, newest.unwrap_or(departure), queue);
            self.backlog.on_report(now, departure, queue, service);
        }
        // Small packets tell nothing of the queue, but that they arrived.
        if let Some(newest) = newest {
            self.backlog.forget_until(newest);
        }
        let target = self.target;
        self.ceiling = self.ceiling.take().filter(|ceiling| ceiling.holds(now, target));
    }

    /// The queue that is to be answered: the standing one, or the one of a sudden.
    fn decide(&mut self, now: Instant, reports: &[PacketReport]) {
        let loss = self.path.loss();
        let sudden = self.sudden(now);
        let standing = self.path.queue_delay().unwrap_or_default();
        let queue = sudden.map_or(standing, |run| run.queue.max(standing));
        if queue > OVERUSE || loss > HEAVY_LOSS {
            self.retreat(now, queue, loss, sudden);
            self.give_up_drain(now, standing);
            self.grown_at = Some(now);
            return;
        }
        self.take_probe(now, reports);
        let jitter = self.path.jitter();
        let bottleneck =
            self.ceiling.is_some() || !self.uneven.is_blind() && self.path.capacity_bps(now).is_some();
        let crowded = bottleneck && self.path.mean_queue() > CALM + jitter * 3;
        if standing < CALM && !crowded {
            self.end_drain();
            self.grow(now, loss);
            return;
        }
        let elapsed = self.grown_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.grown_at = Some(now);
        if self.drain.is_none() && (crowded || standing > CALM + jitter) {
            self.set_target(self.target * (1.0 - YIELD * elapsed.as_secs_f64().min(0.2)));
        }
    }
}

impl BandwidthEstimator for DelayEstimator {
    fn on_sent(&mut self, now: Instant, size: usize, asks: bool) {
        self.path.on_sent(now, size);
        self.backlog.on_sent(now, size as f64 * 8.0, asks, self.service_bps(now));
        self.sent_at = now;
        self.unanswered.get_or_insert(now);
    }

    fn on_packets(&mut self, now: Instant, reports: &[PacketReport]) {
        if self.feedback_at.is_none() {
            self.probe_at = Some(now);
        }
        self.feedback_at = Some(now);
        self.unanswered = None;
        self.measure(now, reports);
        if self.compete(now, reports) {
            self.grown_at = Some(now);
            return;
        }
        match self.marks.on_packets(now, self.path.rtt(), reports) {
            Some(factor) => {
                self.fast_start = false;
                self.ceiling = Some(Ceiling::met(now, self.target, None));
                self.set_target(self.target * factor);
                self.grown_at = Some(now);
            }
            None => self.decide(now, reports),
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
            self.ceiling = None;
            self.drain = None;
            self.compete = None;
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
        let idle = self.path.sent_bps() < IDLE * self.target;
        if self.target >= 0.95 * self.max || !(self.fast_start || idle || self.ceiling.is_none()) {
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

    fn room_bytes(&self, now: Instant, interval: Duration, lead: Duration, waiting: usize) -> f64 {
        let share = self.target * interval.as_secs_f64();
        if self.compete.is_some() {
            return share * MAX_BUDGET / 8.0;
        }
        let service = self.service_bps(now);
        let ahead = Duration::from_secs_f64(waiting as f64 * 8.0 / service.max(1.0)).min(MAX_AHEAD);
        let wait = (self.backlog.wait(now) + ahead).saturating_sub(lead);
        let overdue = self.backlog.overdue(now);
        let least = self.least_wait(now).saturating_sub(lead);
        let free = interval.saturating_sub(wait).as_secs_f64() * service;
        let sure = interval.saturating_sub((wait + overdue).max(least)).as_secs_f64() * service;
        let room = if overdue < MAX_BLIND { sure.max(free * BLIND_SHARE) } else { sure };
        let wait = wait + overdue;
        let least = if wait < interval / 4 { MIN_ROOM * 8.0 } else { 0.0 };
        room.min(share * MAX_BUDGET).max(least) / 8.0
    }

    fn is_late(&self, now: Instant) -> bool {
        let queued = self.path.newest().is_some_and(|(_, queue)| queue > LATE + self.path.jitter() * 3);
        queued || self.backlog.stands_still(now) || self.least_wait(now) > LATE
    }

    fn is_constrained(&self, now: Instant) -> bool {
        self.ceiling.is_some()
            || self.compete.is_some()
            || self.path.capacity_bps(now).is_some_and(|bps| self.target > bps * IDLE)
    }
}

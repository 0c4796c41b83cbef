//! A fair share against flows that fill the queue.
//!
//! A sender that heeds delay starves beside TCP, which heeds only loss. Where a queue stays though we send
//! far less than the path carries, the target is what one CUBIC flow would have (RFC 9438) that met our
//! losses at our round-trip time.

use std::time::{Duration, Instant};

/// RFC 9438 §4.1.2 and §4.6.
const BETA: f64 = 0.7;
/// RFC 9438 §5: segments per second cubed.
const C: f64 = 0.4;
/// RFC 9438 §4.3: additive increase that equals Reno's share.
const FRIENDLY: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// TCP's usual segment on the wire.
const SEGMENT_BITS: f64 = 12_000.0;
const MIN_RTT: Duration = Duration::from_millis(1);
/// An empty queue for this long: the others are gone.
const EMPTY: Duration = Duration::from_millis(1500);

/// Alone, the imagined flow would keep the queue full by itself. So often it is tried who fills it …
const TRIAL_INTERVAL: Duration = Duration::from_secs(20);
/// … by sending this share for so long: a queue of ours drains, one of others hardly does.
const TRIAL: f64 = 0.4;
const TRIAL_LENGTH: Duration = Duration::from_millis(400);
/// A queue that shrank to this share was ours. Half of one that is shared equally would remain.
const OURS: f64 = 0.3;

/// A CUBIC flow that is only imagined.
#[derive(Debug)]
pub(super) struct Compete {
    /// Window before the last decrease, in segments.
    max: f64,
    /// Window after the last decrease.
    from: f64,
    window: f64,
    /// What the window amounts to.
    bps: f64,
    since: Instant,
    decreased: Instant,
    empty_since: Option<Instant>,
    /// When the trial that runs began, and the queue then.
    trial: Option<(Instant, Duration)>,
    tried: Instant,
}

impl Compete {
    /// Begins at `bps`, as if after a loss.
    pub(super) fn new(now: Instant, bps: f64, rtt: Duration) -> Self {
        let window = bps * rtt.max(MIN_RTT).as_secs_f64() / SEGMENT_BITS;
        Self {
            max: window / BETA,
            from: window,
            window,
            bps,
            since: now,
            decreased: now,
            empty_since: None,
            trial: None,
            tried: now,
        }
    }

    /// The share that is taken, bits a second.
    pub(super) fn bps(&self) -> f64 {
        self.bps
    }

    /// The rate after a report; `lost`: whether it named any loss, `limited`: whether the encoder left
    /// part of the target unused, which proves nothing and so earns nothing.
    pub(super) fn rate_bps(&mut self, now: Instant, rtt: Duration, lost: bool, limited: bool) -> f64 {
        let rtt_s = rtt.max(MIN_RTT).as_secs_f64();
        if lost && now.saturating_duration_since(self.decreased).as_secs_f64() > rtt_s {
            // §4.7: fast convergence leaves room to those who have less.
            let max = if self.window < self.max { self.window * (1.0 + BETA) / 2.0 } else { self.window };
            (self.max, self.from) = (max, (self.window * BETA).max(2.0));
            (self.window, self.since, self.decreased) = (self.from, now, now);
        } else if limited {
            (self.max, self.from, self.since) = (self.window, self.window, now);
        } else {
            let t = now.saturating_duration_since(self.since).as_secs_f64();
            let k = ((self.max - self.from).max(0.0) / C).cbrt();
            let cubic = C * (t - k).powi(3) + self.max;
            let friendly = self.from + FRIENDLY * t / rtt_s;
            self.window = cubic.max(friendly).min(self.window * 1.5).max(self.window);
        }
        if self.trial.is_some() {
            return self.bps * TRIAL;
        }
        self.bps = self.window * SEGMENT_BITS / rtt_s;
        self.bps
    }

    /// Whether nobody else can be filling the queue: it stayed below `calm`, or it drained in a trial.
    pub(super) fn is_over(&mut self, now: Instant, queue: Duration, calm: Duration) -> bool {
        let empty = queue < calm;
        let since = *self.empty_since.filter(|_| empty).get_or_insert(now);
        self.empty_since = empty.then_some(since);
        let drained = self.try_alone(now, queue);
        drained || now.saturating_duration_since(since) > EMPTY
    }

    fn try_alone(&mut self, now: Instant, queue: Duration) -> bool {
        let Some((since, before)) = self.trial else {
            if now.saturating_duration_since(self.tried) > TRIAL_INTERVAL {
                self.trial = Some((now, queue));
            }
            return false;
        };
        if now.saturating_duration_since(since) <= TRIAL_LENGTH {
            return false;
        }
        (self.trial, self.tried) = (None, now);
        queue < before.mul_f64(OURS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(60);

    #[test]
    fn it_falls_to_seven_tenths_once_a_round_trip_and_comes_back() {
        let start = Instant::now();
        let mut flow = Compete::new(start, 7e6, RTT);
        let at = |ms| start + Duration::from_millis(ms);
        let before = flow.rate_bps(at(1000), RTT, false, false);
        let after = flow.rate_bps(at(1050), RTT, true, false);
        assert!((after / before - BETA).abs() < 0.01, "{before} {after}");
        assert!(flow.rate_bps(at(1100), RTT, true, false) >= after, "one burst counts once");
        let mut back = after;
        for ms in (1150..9000).step_by(50) {
            back = flow.rate_bps(at(ms), RTT, false, false);
        }
        assert!(back > before, "{before} {back}");
    }

    #[test]
    fn a_queue_that_drains_when_we_send_less_was_ours() {
        let start = Instant::now();
        let full = Duration::from_millis(140);
        let over_with = |drained: Duration| {
            let mut flow = Compete::new(start, 7e6, RTT);
            (0..600u64).any(|tick| {
                let now = start + Duration::from_millis(50 * tick);
                let slow = flow.rate_bps(now, RTT, false, true) < 6e6;
                flow.is_over(now, if slow { drained } else { full }, Duration::from_millis(7))
            })
        };
        assert!(over_with(Duration::from_millis(30)));
        assert!(!over_with(Duration::from_millis(90)));
    }

    #[test]
    fn what_is_not_used_earns_nothing() {
        let start = Instant::now();
        let mut flow = Compete::new(start, 7e6, RTT);
        for ms in (50..9000).step_by(50) {
            let bps = flow.rate_bps(start + Duration::from_millis(ms), RTT, false, true);
            assert!((bps - 7e6).abs() < 1e3, "{bps}");
        }
    }
}

//! A bulk TCP sender: Reno (RFC 5681) or CUBIC (RFC 9438), with selective acknowledgement.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) const SEGMENT: usize = 1500;
/// Later segments acknowledged before one counts as lost.
const REORDERING: u64 = 3;
const TIMEOUT: Duration = Duration::from_millis(600);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Reno,
    Cubic,
}

pub(crate) struct Tcp {
    kind: Kind,
    window: f64,
    threshold: f64,
    max: f64,
    from: f64,
    since: Option<Instant>,
    flying: BTreeMap<u64, Instant>,
    next: u64,
    recover: u64,
    heard: Instant,
    rtt_s: f64,
}

impl Tcp {
    pub(crate) fn new(kind: Kind, now: Instant) -> Self {
        Self {
            kind,
            window: 10.0,
            threshold: f64::MAX,
            max: 0.0,
            from: 0.0,
            since: None,
            flying: BTreeMap::new(),
            next: 0,
            recover: 0,
            heard: now,
            rtt_s: 0.05,
        }
    }

    /// The next segment to send now.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<u64> {
        if !self.flying.is_empty() && now - self.heard > TIMEOUT {
            self.flying.clear();
            self.threshold = (self.window / 2.0).max(2.0);
            (self.window, self.since, self.heard) = (1.0, None, now);
        }
        if self.flying.len() as f64 >= self.window.floor() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.flying.insert(number, now);
        Some(number)
    }

    pub(crate) fn on_ack(&mut self, now: Instant, number: u64) {
        self.heard = now;
        let Some(sent) = self.flying.remove(&number) else { return };
        self.rtt_s += ((now - sent).as_secs_f64() - self.rtt_s) / 8.0;
        let kept = self.flying.split_off(&number.saturating_sub(REORDERING));
        let lost = std::mem::replace(&mut self.flying, kept);
        if let Some((&last, _)) = lost.last_key_value()
            && last >= self.recover
        {
            self.recover = self.next;
            self.reduce(now);
        } else {
            self.grow(now);
        }
    }

    fn reduce(&mut self, now: Instant) {
        let beta = if self.kind == Kind::Reno { 0.5 } else { 0.7 };
        self.max = if self.window < self.max { self.window * (1.0 + beta) / 2.0 } else { self.window };
        self.window = (self.window * beta).max(2.0);
        (self.threshold, self.from, self.since) = (self.window, self.window, Some(now));
    }

    fn grow(&mut self, now: Instant) {
        if self.window < self.threshold {
            self.window += 1.0;
            return;
        }
        match self.kind {
            Kind::Reno => self.window += 1.0 / self.window,
            Kind::Cubic => {
                let since = *self.since.get_or_insert(now);
                if self.max < self.window && self.from == 0.0 {
                    (self.max, self.from) = (self.window, self.window);
                }
                let t = (now - since).as_secs_f64() + self.rtt_s;
                let k = ((self.max - self.from).max(0.0) / 0.4).cbrt();
                let cubic = 0.4 * (t - k).powi(3) + self.max;
                let friendly = self.from + 3.0 * 0.3 / 1.7 * t / self.rtt_s;
                let wanted = cubic.max(friendly).min(self.window * 1.5);
                self.window += (wanted - self.window).max(0.0) / self.window;
            }
        }
    }
}

//! What is counted while the world turns.

use nearframe_placement::assign::queue::Wait;
use std::collections::BTreeMap;

/// One hour, for the pictures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hour {
    pub(crate) load: f64,
    pub(crate) waiting: f64,
    pub(crate) rtt_ms: f64,
    pub(crate) oracle_ms: f64,
    pub(crate) interrupted: f64,
    pub(crate) evicted: f64,
}

/// Everything that was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rtt_ms: Vec<f64>,
    pub(crate) oracle_ms: Vec<f64>,
    pub(crate) regret_ms: Vec<f64>,
    pub(crate) waited_s: Vec<f64>,
    /// Waits that kept within what was told, and all that were told.
    pub(crate) told: (u64, u64),
    pub(crate) bookings: (u64, u64),
    pub(crate) interrupted: u64,
    pub(crate) evicted: u64,
    pub(crate) liars: (u64, u64),
    pub(crate) accused: (u64, u64),
    pub(crate) hours: Vec<Hour>,
    judged: BTreeMap<usize, bool>,
    since: usize,
}

impl Seen {
    pub(super) fn placed(&mut self, rtt_ms: f64, oracle_ms: f64) {
        self.rtt_ms.push(rtt_ms);
        self.oracle_ms.push(oracle_ms);
        self.regret_ms.push(rtt_ms - oracle_ms);
        self.waited_s.push(0.0);
    }

    /// The session placed last had waited.
    pub(super) fn served(&mut self, minutes: u32, told: Option<Wait>) {
        let waited_s = f64::from(minutes) * 60.0;
        if let Some(last) = self.waited_s.last_mut() {
            *last = waited_s;
        }
        if let Some(told) = told {
            self.told.0 += u64::from(waited_s * 1000.0 <= told.at_most_ms as f64 + 60_000.0);
            self.told.1 += 1;
        }
    }

    pub(super) fn booked(&mut self, taken: bool) {
        self.bookings.0 += u64::from(taken);
        self.bookings.1 += 1;
    }

    pub(super) fn interrupted(&mut self, now: u32) {
        self.interrupted += 1;
        self.hour(now / 60).interrupted += 1.0;
    }

    pub(super) fn evicted(&mut self, minute: u64) {
        self.evicted += 1;
        self.hour(minute as u32 / 60).evicted += 1.0;
    }

    /// Each node counts once, and as caught if it ever was.
    pub(super) fn judged(&mut self, node: usize, lies: bool, caught: bool) {
        let first = !self.judged.contains_key(&node);
        let known = self.judged.entry(node).or_insert(false);
        let newly = u64::from(caught && !*known);
        *known |= caught;
        let count = if lies { &mut self.liars } else { &mut self.accused };
        count.0 += newly;
        count.1 += u64::from(first);
    }

    pub(super) fn minute(&mut self, now: u32, load: f64, waiting: usize) {
        let hour = self.hour(now / 60);
        hour.load += load / 60.0;
        hour.waiting += waiting as f64 / 60.0;
        if now % 60 == 59 {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let (rtt_ms, oracle_ms) = (mean(&self.rtt_ms[self.since..]), mean(&self.oracle_ms[self.since..]));
            self.since = self.rtt_ms.len();
            let hour = self.hour(now / 60);
            (hour.rtt_ms, hour.oracle_ms) = (rtt_ms, oracle_ms);
        }
    }

    fn hour(&mut self, hour: u32) -> &mut Hour {
        let at = hour as usize;
        if self.hours.len() <= at {
            self.hours.resize(at + 1, Hour::default());
        }
        &mut self.hours[at]
    }
}

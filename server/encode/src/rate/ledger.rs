//! What was emitted in the last second, and what may follow.

use std::collections::VecDeque;
use std::time::Duration;

/// Share of the target that no window exceeds; a receiver is promised 1.10.
pub(super) const CEILING: f64 = 1.09;
/// Share of the target that frames in sum are planned up to; from here to the ceiling is for those that
/// come out larger.
const PLANNED_CEILING: f64 = 1.06;
/// Nearer than this the ceiling is watched frame by frame; planning for it would shake the quantiser.
const NEAR: Duration = Duration::from_millis(150);
/// One frame longer than the second that is promised, because receivers see frames a little displaced.
const WINDOW: Duration = Duration::from_millis(1_017);
/// Bound of the ledger: one second at the highest frame rate, 240, with room to spare.
const LEDGER_LEN: usize = 512;
/// Bound of remembered targets; more changes than this in one second forget the oldest, which is strict.
const TARGETS_LEN: usize = 64;

/// What was emitted in the last second, and which targets still count for it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    emitted: VecDeque<(Duration, usize)>,
    /// With the time until which they count; falling.
    earlier_targets: VecDeque<(Duration, f64)>,
}

impl Ledger {
    /// Forgets what no window reaches any more.
    pub(super) fn advance(&mut self, now: Duration) {
        while self.emitted.front().is_some_and(|&(then, _)| then + WINDOW <= now) {
            self.emitted.pop_front();
        }
        while self.earlier_targets.front().is_some_and(|&(end, _)| end <= now) {
            self.earlier_targets.pop_front();
        }
    }

    /// Whether nothing was emitted within the window.
    pub(super) fn is_empty(&self) -> bool {
        self.emitted.is_empty()
    }

    pub(super) fn remember(&mut self, target_bps: f64, now: Duration) {
        while self.earlier_targets.back().is_some_and(|&(_, earlier)| earlier <= target_bps) {
            self.earlier_targets.pop_back();
        }
        if self.earlier_targets.len() == TARGETS_LEN {
            self.earlier_targets.pop_front();
        }
        self.earlier_targets.push_back((now + WINDOW, target_bps));
    }

    pub(super) fn room_bits(&self, target_bps: f64) -> f64 {
        let earlier = self.earlier_targets.front().map_or(0.0, |&(_, target)| target);
        let emitted: usize = self.emitted.iter().map(|&(_, bytes)| bytes).sum();
        (CEILING * target_bps.max(earlier) - (emitted * 8) as f64).max(0.0)
    }

    /// The highest constant rate at which no window of the coming second exceeds its ceiling: until an
    /// emitted frame leaves the window, only the room and what left before it can be spent.
    pub(super) fn even_rate_bps(&self, target_bps: f64, now: Duration) -> f64 {
        let mut free = self.room_bits(target_bps) - (CEILING - PLANNED_CEILING) * target_bps;
        let mut rate_bps = f64::INFINITY;
        for &(then, bytes) in &self.emitted {
            let left = (then + WINDOW).saturating_sub(now);
            if left >= NEAR {
                rate_bps = rate_bps.min(free.max(0.0) / left.as_secs_f64());
            }
            free += (bytes * 8) as f64;
        }
        rate_bps
    }

    pub(super) fn push(&mut self, now: Duration, bytes: usize) {
        let full = self.emitted.len() == LEDGER_LEN;
        match self.emitted.back_mut() {
            Some(newest) if full || newest.0 == now => *newest = (now, newest.1 + bytes),
            _ => self.emitted.push_back((now, bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_left_the_window_makes_room() {
        let mut ledger = Ledger::default();
        ledger.push(at(0), 50_000);
        ledger.push(at(500), 10_000);
        assert!((ledger.room_bits(1e6) - (CEILING * 1e6 - 480_000.0)).abs() < 1.0);
        ledger.advance(at(1_100));
        assert!((ledger.room_bits(1e6) - (CEILING * 1e6 - 80_000.0)).abs() < 1.0);
    }

    #[test]
    fn the_larger_of_two_targets_counts_until_its_windows_have_passed() {
        let mut ledger = Ledger::default();
        ledger.remember(4e6, at(0));
        ledger.advance(at(1_000));
        assert!((ledger.room_bits(1e6) - CEILING * 4e6).abs() < 1.0);
        ledger.advance(at(1_020));
        assert!((ledger.room_bits(1e6) - CEILING * 1e6).abs() < 1.0);
    }

    #[test]
    fn the_even_rate_spends_what_is_left_until_a_burst_leaves_the_window() {
        let mut ledger = Ledger::default();
        ledger.push(at(0), 100_000);
        ledger.advance(at(517));
        let rate = ledger.even_rate_bps(1e6, at(517));
        assert!((rate - (PLANNED_CEILING * 1e6 - 800_000.0) / 0.5).abs() < 1_000.0, "{rate}");
        assert!(Ledger::default().even_rate_bps(1e6, at(0)).is_infinite());
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_forgotten() {
        let mut ledger = Ledger::default();
        for us in 0..2_000 {
            ledger.push(Duration::from_micros(us), 10);
            ledger.remember(2_000.0 - us as f64, Duration::from_micros(us));
        }
        assert_eq!((ledger.emitted.len(), ledger.earlier_targets.len()), (LEDGER_LEN, TARGETS_LEN));
        assert_eq!(ledger.emitted.iter().map(|&(_, bytes)| bytes).sum::<usize>(), 20_000);
    }
}

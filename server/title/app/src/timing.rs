//! How long a frame waits for the title, learned from how it has answered before. Sans-I/O: all times are
//! arguments, in microseconds; [`now_us`] is where the callers get them from.

use std::collections::VecDeque;

use rustix::time::{ClockId, clock_gettime};

/// Answers that are remembered: half a second at 60 Hz.
const REMEMBERED: usize = 32;
/// Answers needed before the title is waited for.
const NEEDED: usize = 4;
/// Answers in a row that must be late before the title is no longer waited for.
const FORGIVEN: u32 = 3;
/// Added to the learned time, because it varies.
const SLACK_US: u64 = 1_000;

/// Learns the time from frame callback to commit of one window and says how long to wait for it.
///
/// A title that draws when told (most games with vertical sync) commits shortly after its callback: its
/// frame is worth waiting for, because otherwise it would be a whole interval old when shown. A title
/// that draws by its own clock, slowly or not at all is never waited for.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    answers_us: VecDeque<u64>,
    late_in_a_row: u32,
    asked_us: Option<u64>,
}

impl Patience {
    /// Frame callbacks are sent now. A callback that is still open counts as answered late.
    pub(crate) fn ask(&mut self, now_us: u64) {
        self.asked_us.get_or_insert(now_us);
    }

    /// A frame of the title has arrived.
    pub(crate) fn answer(&mut self, now_us: u64, interval_us: u64) {
        let Some(asked_us) = self.asked_us.take() else { return };
        let took_us = now_us.saturating_sub(asked_us);
        if took_us > Self::limit_us(interval_us) {
            self.late_in_a_row = (self.late_in_a_row + 1).min(FORGIVEN + NEEDED as u32);
        } else {
            self.late_in_a_row = self.late_in_a_row.saturating_sub(1);
            if self.late_in_a_row < FORGIVEN {
                self.late_in_a_row = 0;
            }
        }
        if self.answers_us.len() == REMEMBERED {
            self.answers_us.pop_front();
        }
        self.answers_us.push_back(took_us);
    }

    /// How long this frame may wait: nothing for a title that does not answer in time.
    pub(crate) fn wait_us(&self, interval_us: u64) -> Option<u64> {
        let limit_us = Self::limit_us(interval_us);
        if self.late_in_a_row >= FORGIVEN || self.answers_us.len() < NEEDED {
            return None;
        }
        let mut timely: Vec<u64> = self.answers_us.iter().copied().filter(|us| *us <= limit_us).collect();
        if timely.len() * 5 < self.answers_us.len() * 4 {
            return None;
        }
        timely.sort_unstable();
        let p95 = timely[(timely.len() - 1) * 95 / 100];
        Some((p95 + SLACK_US).min(limit_us))
    }

    /// Nobody is worth more than two fifths of the interval.
    fn limit_us(interval_us: u64) -> u64 {
        interval_us * 2 / 5
    }
}

/// `CLOCK_MONOTONIC` in microseconds.
pub(crate) fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_US: u64 = 16_667;

    fn run(patience: &mut Patience, answers: impl IntoIterator<Item = u64>) {
        for (tick, took_us) in answers.into_iter().enumerate() {
            let now_us = tick as u64 * 100_000;
            patience.ask(now_us);
            patience.answer(now_us + took_us, INTERVAL_US);
        }
    }

    #[test]
    fn a_title_that_answers_soon_is_waited_for_a_little_longer_than_it_needs() {
        let mut patience = Patience::default();
        assert_eq!(patience.wait_us(INTERVAL_US), None, "nothing is known yet");
        run(&mut patience, [2_000; 8]);
        assert_eq!(patience.wait_us(INTERVAL_US), Some(3_000));
    }

    #[test]
    fn the_wait_never_exceeds_two_fifths_of_the_interval() {
        let mut patience = Patience::default();
        run(&mut patience, [6_500; 8]);
        assert_eq!(patience.wait_us(INTERVAL_US), Some(INTERVAL_US * 2 / 5));
        assert_eq!(patience.wait_us(INTERVAL_US / 2), None, "at twice the rate it is too slow");
    }

    #[test]
    fn a_title_by_its_own_clock_is_never_waited_for() {
        let mut patience = Patience::default();
        run(&mut patience, (0..200).map(|n| n * 7_919 % 28_000));
        assert_eq!(patience.wait_us(INTERVAL_US), None);
    }

    #[test]
    fn a_title_that_hangs_costs_three_waits_and_comes_back_soon() {
        let mut patience = Patience::default();
        run(&mut patience, [2_000; 32]);
        run(&mut patience, [500_000; 3]);
        assert_eq!(patience.wait_us(INTERVAL_US), None);
        run(&mut patience, [2_000; 2]);
        assert_eq!(patience.wait_us(INTERVAL_US), Some(3_000));
    }

    #[test]
    fn an_open_callback_is_timed_from_when_it_was_sent() {
        let mut patience = Patience::default();
        for tick in 0..8 {
            let now_us = tick * 200_000;
            patience.ask(now_us);
            patience.ask(now_us + 100_000);
            patience.answer(now_us + 101_000, INTERVAL_US);
        }
        assert_eq!(patience.wait_us(INTERVAL_US), None);
    }

    #[test]
    fn a_commit_without_a_callback_teaches_nothing() {
        let mut patience = Patience::default();
        (0..20).for_each(|n| patience.answer(n * 1_000, INTERVAL_US));
        assert_eq!(patience.wait_us(INTERVAL_US), None);
    }
}

//! How long the path takes to answer, and what an answer that should be here by now says.
//!
//! A packet that asks for a report is answered a round trip after it has passed the bottleneck. Where the answer to
//! one is overdue, all that left up to it has not passed since: so the path carries less than that, though nobody
//! has said so yet. In the middle of a fall of capacity that is known a frame earlier than the report tells it.

use std::time::{Duration, Instant};

/// Weights of one answer in the mean and in the mean deviation, those of RFC 6298.
const MEAN_WEIGHT: f64 = 1.0 / 8.0;
const DEVIATION_WEIGHT: f64 = 1.0 / 4.0;
/// An answer is overdue after the mean and so many deviations…
const PATIENCE: f64 = 4.0;
/// …and no sooner than this much after the mean: a receiver has other things to do.
const GRACE_S: f64 = 0.003;
/// Fewer answers say little of what is usual.
const ENOUGH: u32 = 16;

/// Round trips of packets that asked, without what they stood in the queue.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    mean_s: f64,
    deviation_s: f64,
    count: u32,
}

impl Answers {
    /// What left at `departure` and waited for `queue` was answered now.
    pub(crate) fn came(&mut self, now: Instant, departure: Instant, queue: Duration) {
        let took = now.saturating_duration_since(departure).saturating_sub(queue).as_secs_f64();
        if self.count == 0 {
            (self.mean_s, self.deviation_s) = (took, took / 2.0);
        }
        self.deviation_s += ((took - self.mean_s).abs() - self.deviation_s) * DEVIATION_WEIGHT;
        self.mean_s += (took - self.mean_s) * MEAN_WEIGHT;
        self.count = self.count.saturating_add(1);
    }

    /// Whether enough answers came to tell what is usual.
    pub(crate) fn are_known(&self) -> bool {
        self.count >= ENOUGH
    }

    /// How long before `now` a packet must have passed the queue to be answered, where that is known and the answer to
    /// one that was to pass it at `passes` is overdue.
    pub(crate) fn overdue(&self, now: Instant, passes: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(passes).as_secs_f64();
        let patience = self.mean_s + (self.deviation_s * PATIENCE).max(GRACE_S);
        let overdue = self.are_known() && elapsed > patience;
        overdue.then(|| Duration::from_secs_f64(self.mean_s + self.deviation_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_answer_is_overdue_after_what_is_usual_for_this_receiver() {
        let start = Instant::now();
        let (mut quick, mut uneven) = (Answers::default(), Answers::default());
        for i in 0..100 {
            let at = start + MS * 10 * i;
            quick.came(at + MS * 25, at, MS * 5);
            uneven.came(at + MS * (16 + 8 * (i % 2)), at, Duration::ZERO);
        }
        let late = start + MS * 2000;
        assert!(quick.overdue(late + MS * 22, late).is_none());
        let way = quick.overdue(late + MS * 24, late).unwrap();
        assert!(way > MS * 19 && way < MS * 21, "{way:?}");
        assert!(uneven.overdue(late + MS * 30, late).is_none());
        assert!(uneven.overdue(late + MS * 40, late).is_some());
    }

    #[test]
    fn nothing_is_overdue_before_anything_is_usual() {
        let start = Instant::now();
        let mut answers = Answers::default();
        (0..ENOUGH - 1).for_each(|_| answers.came(start + MS * 20, start, Duration::ZERO));
        assert!(answers.overdue(start + MS * 900, start).is_none());
        answers.came(start + MS * 20, start, Duration::ZERO);
        assert!(answers.overdue(start + MS * 900, start).is_some());
    }
}

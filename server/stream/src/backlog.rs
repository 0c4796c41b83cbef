//! What is still queued in the path, between reports.
//!
//! Reports are 50 ms apart and as old as the way back. In between, the path's queue follows from what was
//! sent (Lindley's recursion): each packet adds its own transmission, each moment takes its length away. A
//! report sets it right. Feedback that is overdue tells of a path that stands still, or of a way back that does.

use crate::answers::Answers;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bound: two seconds at 2000 packets a second. What is older has left the path, or never will.
const MAX_UNREPORTED: usize = 4096;
/// Weight of one report in the usual distance between them: the longer ones count, which lie between the last
/// report of a frame and the first of the next where a frame has several.
const LONGER_WEIGHT: f64 = 1.0 / 2.0;
const SHORTER_WEIGHT: f64 = 1.0 / 128.0;
/// Feedback is overdue after this many usual distances and [`GRACE_S`].
const PATIENCE: f64 = 1.3;
const GRACE_S: f64 = 0.01;
/// Feedback that is late by more than that is missing because nothing passes, not because somebody was busy.
const STANDSTILL_S: f64 = 0.05;
/// No usual distance is longer: libwebrtc reports at least every 250 ms.
const MAX_INTERVAL_S: f64 = 0.25;

/// A packet that no report has followed yet.
#[derive(Debug)]
struct Unreported {
    departure: Instant,
    bits: f64,
    /// When it has passed the queue, as predicted.
    passes: Instant,
    asks: bool,
}

/// The predicted queue.
#[derive(Debug)]
pub(crate) struct Backlog {
    unreported: VecDeque<Unreported>,
    answers: Answers,
    /// When the newest packet that was reported had passed the queue, by our clock.
    passed_at: Instant,
    /// Wait of a packet sent at `at`, seconds.
    wait_s: f64,
    at: Instant,
    reported_at: Option<Instant>,
    /// Usual distance of reports, seconds.
    interval_s: f64,
}

impl Backlog {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            unreported: VecDeque::new(),
            answers: Answers::default(),
            passed_at: now,
            wait_s: 0.0,
            at: now,
            reported_at: None,
            interval_s: 0.05,
        }
    }

    /// A packet left; `asks` if it is to be answered by a report at once.
    pub(crate) fn on_sent(&mut self, now: Instant, bits: f64, asks: bool, capacity_bps: f64) {
        if self.unreported.len() >= MAX_UNREPORTED {
            self.unreported.pop_front();
        }
        let passes = self.add(now, bits, capacity_bps);
        self.unreported.push_back(Unreported { departure: now, bits, passes, asks });
    }

    /// A packet that left at `departure`, the newest that arrived, had to wait for `queue`.
    pub(crate) fn on_report(&mut self, now: Instant, departure: Instant, queue: Duration, capacity_bps: f64) {
        if let Some(before) = self.reported_at.replace(now) {
            // A pause of ours is no slow feedback.
            let elapsed = now.saturating_duration_since(before).as_secs_f64().min(MAX_INTERVAL_S);
            let weight = if elapsed > self.interval_s { LONGER_WEIGHT } else { SHORTER_WEIGHT };
            self.interval_s += (elapsed - self.interval_s) * weight;
        }
        self.forget_until(departure);
        self.passed_at = departure.checked_add(queue).unwrap_or(departure);
        (self.wait_s, self.at) = (queue.as_secs_f64(), departure);
        for index in 0..self.unreported.len() {
            let Unreported { departure, bits, .. } = self.unreported[index];
            self.unreported[index].passes = self.add(departure, bits, capacity_bps);
        }
    }

    /// The newest packet of a report left at `departure`; packets queued for `queue` by then.
    pub(crate) fn answered(&mut self, now: Instant, departure: Instant, queue: Duration) {
        if self.unreported.iter().any(|packet| packet.asks && packet.departure == departure) {
            self.answers.came(now, departure, queue);
        }
    }

    /// All that left until then was reported, whether or not it tells of the queue: none of it is overdue.
    pub(crate) fn forget_until(&mut self, departure: Instant) {
        while self.unreported.pop_front_if(|packet| packet.departure <= departure).is_some() {}
    }

    /// How long a packet sent now would wait at least, as far as answers that should have come by now tell; a path
    /// that is `lossy` may have lost the question.
    pub(crate) fn least_wait(&self, now: Instant, lossy: bool) -> Duration {
        Duration::from_secs_f64(self.least_wait_s(now, lossy).unwrap_or(0.0))
    }

    fn least_wait_s(&self, now: Instant, lossy: bool) -> Option<f64> {
        if !self.answers.are_known() {
            return None;
        }
        let since = self.unreported.front()?.departure.max(self.passed_at);
        let asked = |packet: &&Unreported| packet.asks;
        let question = self.unreported.iter().filter(asked).nth(usize::from(lossy))?;
        let way = self.answers.overdue(now, question.passes)?;
        let busy_s = now.checked_sub(way)?.checked_duration_since(since)?.as_secs_f64();
        // All of this has not passed in that time: the path carries less.
        let unpassed = self.unreported.iter().take_while(|packet| packet.departure <= question.departure);
        let bits: f64 = unpassed.map(|packet| packet.bits).sum();
        let all: f64 = self.unreported.iter().map(|packet| packet.bits).sum();
        Some((all / bits.max(1.0) * busy_s - now.saturating_duration_since(since).as_secs_f64()).max(0.0))
    }

    /// How long a packet sent now would wait in the path, as far as reports tell.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        Duration::from_secs_f64((self.wait_s - elapsed).max(0.0))
    }

    /// For how long the path, or the way back, has stood still, as far as missing feedback can tell.
    pub(crate) fn overdue(&self, now: Instant) -> Duration {
        Duration::from_secs_f64(self.overdue_s(now))
    }

    /// Whether nothing seems to pass any more.
    pub(crate) fn stands_still(&self, now: Instant) -> bool {
        self.overdue_s(now) > STANDSTILL_S
    }

    fn overdue_s(&self, now: Instant) -> f64 {
        let (Some(reported), Some(oldest)) = (self.reported_at, self.unreported.front()) else {
            return 0.0;
        };
        let silent = now.saturating_duration_since(reported.max(oldest.departure)).as_secs_f64();
        (silent - self.interval_s * PATIENCE - GRACE_S).max(0.0)
    }

    /// Adds a packet; returns when it has passed.
    fn add(&mut self, at: Instant, bits: f64, capacity_bps: f64) -> Instant {
        let elapsed = at.saturating_duration_since(self.at).as_secs_f64();
        self.wait_s = (self.wait_s - elapsed).max(0.0) + bits / capacity_bps.max(1.0);
        self.at = self.at.max(at);
        at.checked_add(Duration::from_secs_f64(self.wait_s)).unwrap_or(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_report_and_what_was_sent_since_predict_the_wait_of_the_next_packet() {
        let start = Instant::now();
        let mut backlog = Backlog::new(start);
        // 20 packets of 1 ms each, sent in 10 ms into 10 Mbit/s.
        for i in 0..20 {
            backlog.on_sent(start + MS * i / 2, 10_000.0, false, 10e6);
        }
        let close = |wait: Duration, ms: f64| (wait.as_secs_f64() * 1000.0 - ms).abs() < 0.1;
        assert!(close(backlog.wait(start + MS * 10), 10.0));
        // The tenth packet, sent at 4.5 ms, had waited 15 ms: others share the path.
        backlog.on_report(start + MS * 30, start + MS * 9 / 2, MS * 15, 10e6);
        assert!(close(backlog.wait(start + MS * 10), 15.0 + 10.0 - 5.5));
        assert_eq!(backlog.wait(start + MS * 40), Duration::ZERO);
    }

    #[test]
    fn what_was_reported_is_not_overdue_though_nothing_is_sent_any_more() {
        let start = Instant::now();
        let mut backlog = Backlog::new(start);
        backlog.on_report(start, start, Duration::ZERO, 10e6);
        backlog.on_sent(start + MS, 1000.0, false, 10e6);
        assert!(backlog.overdue(start + MS * 640) > MS * 500);
        backlog.on_report(start + MS * 20, start, Duration::ZERO, 10e6);
        backlog.forget_until(start + MS);
        assert_eq!(backlog.overdue(start + MS * 640), Duration::ZERO);
    }

    #[test]
    fn overdue_feedback_is_noticed_after_a_while_and_counted() {
        let start = Instant::now();
        let mut backlog = Backlog::new(start);
        for i in 1..40 {
            let now = start + MS * 50 * i;
            backlog.on_report(now, now - MS * 10, Duration::ZERO, 10e6);
            backlog.on_sent(now, 1000.0, false, 10e6);
        }
        let last = start + MS * 50 * 39;
        assert_eq!(backlog.overdue(last + MS * 70), Duration::ZERO);
        let wait = backlog.overdue(last + MS * 400);
        assert!(wait > MS * 310 && wait < MS * 340, "{wait:?}");
        assert!(!backlog.stands_still(last + MS * 110) && backlog.stands_still(last + MS * 140));
    }

    #[test]
    fn an_answer_that_does_not_come_tells_of_the_queue_before_any_report_does() {
        let start = Instant::now();
        let mut backlog = Backlog::new(start);
        // Frames of ten packets of 10 kbit, each asking with its last and answered after 20 ms.
        let frame = |backlog: &mut Backlog, at: Instant| {
            (0..10).for_each(|i| backlog.on_sent(at, 10_000.0, i == 9, 20e6));
        };
        for i in 0..20 {
            let at = start + MS * 17 * i;
            frame(&mut backlog, at);
            backlog.answered(at + MS * 20, at, Duration::ZERO);
            backlog.on_report(at + MS * 20, at, Duration::ZERO, 20e6);
        }
        // Of two frames more nothing is heard: after 32 ms the first has not passed in 12, so that both take more
        // than 24, and what follows them waits.
        let at = start + MS * 400;
        frame(&mut backlog, at);
        frame(&mut backlog, at + MS * 17);
        assert_eq!(backlog.least_wait(at + MS * 22, false), Duration::ZERO);
        assert_eq!(backlog.least_wait(at + MS * 32, false), Duration::ZERO, "24 ms were over by then");
        let wait = backlog.least_wait(at + MS * 60, false);
        assert!(wait > MS * 18 && wait < MS * 21, "{wait:?}");
        // The question itself may be lost: then it takes two of them.
        assert!(backlog.least_wait(at + MS * 50, false) > Duration::ZERO);
        assert_eq!(backlog.least_wait(at + MS * 50, true), Duration::ZERO);
        backlog.on_report(at + MS * 61, at + MS * 17, MS * 24, 5e6);
        assert_eq!(backlog.least_wait(at + MS * 61, false), Duration::ZERO);
    }
}

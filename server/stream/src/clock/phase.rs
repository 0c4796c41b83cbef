//! Where in the display's cycle frames come, and whether that can be steered. Pure geometry.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::time::Duration;

/// Below this concentration the waits have no phase.
const MIN_CONCENTRATION: f64 = 0.3;
/// Refreshes in which frames and display meet again at most: two for 60 frames on 90 Hz.
const MAX_REFRESHES: u32 = 2;
/// Rates that differ by less are the same, measured by a page or drifting.
const SAME_RATE: f64 = 0.015;
/// In a shorter cycle there is nothing to gain, in ms: frames wait half of it on average.
const MIN_CYCLE_MS: f64 = 4.0;
/// Smaller corrections are within what a display drifts meanwhile, in ms.
const JUDGED_MS: f64 = 1.0;
/// Corrections in a row without effect after which a display is left alone.
const MAX_IDLE: u32 = 3;
/// Batches of reports until it is tried again: a minute at 60 Hz.
const REST: u32 = 150;

/// The shortest time by which a tick can be moved without any frame's wait being another, in ms; `None`
/// where frames and refreshes have no common phase worth steering: 60 frames on 75 or 144 Hz.
pub(super) fn common_cycle(period: Duration, refresh: Option<Duration>) -> Option<f64> {
    let period_ms = period.as_secs_f64() * 1000.0;
    let Some(refresh) = refresh.filter(|refresh| !refresh.is_zero()) else { return Some(period_ms) };
    let refreshes = period_ms / (refresh.as_secs_f64() * 1000.0);
    (1..=MAX_REFRESHES).find_map(|frames| {
        let together = refreshes * f64::from(frames);
        let whole = together.round();
        let same = whole >= 1.0 && (together / whole - 1.0).abs() < SAME_RATE;
        let cycle_ms = period_ms / whole;
        (same && cycle_ms >= MIN_CYCLE_MS).then_some(cycle_ms)
    })
}

/// Circular mean of waits, in ms; `None` where they have no common phase.
pub(super) fn circular_mean(waits_ms: &VecDeque<f64>, cycle_ms: f64) -> Option<f64> {
    let count = waits_ms.len() as f64;
    let (x, y) = waits_ms.iter().fold((0.0, 0.0), |(x, y), wait| {
        let angle = wait / cycle_ms * TAU;
        (x + angle.cos(), y + angle.sin())
    });
    (x.hypot(y) / count >= MIN_CONCENTRATION).then(|| y.atan2(x) / TAU * cycle_ms)
}

/// The value in −cycle/2..cycle/2 that differs by whole cycles.
pub(super) fn wrap(ms: f64, cycle_ms: f64) -> f64 {
    ms - (ms / cycle_ms).round() * cycle_ms
}

/// Whether moving the ticks moves the waits. It does not where the display refreshes when a frame comes.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// Mean wait before the last correction, and by how much that made ticks later, in ms.
    last: Option<(f64, f64)>,
    idle: u32,
    /// Batches for which nothing is tried.
    rest: u32,
}

impl Response {
    /// A correction begins.
    pub(super) fn moved(&mut self, mean_ms: f64, by_ms: f64) {
        self.last = Some((mean_ms, by_ms));
    }

    /// Judges the last correction by the mean that came of it. False: leave the ticks alone for now.
    pub(super) fn follows(&mut self, mean_ms: f64, cycle_ms: f64) -> bool {
        if self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        if let Some((before_ms, by_ms)) = self.last.take()
            && by_ms.abs() >= JUDGED_MS
        {
            let moved_ms = wrap(before_ms - mean_ms, cycle_ms);
            let stood = (moved_ms / by_ms).abs() < 0.3;
            self.idle = if stood { self.idle + 1 } else { 0 };
            if self.idle >= MAX_IDLE {
                (self.idle, self.rest) = (0, REST);
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(fps: f64, hz: f64) -> Option<f64> {
        common_cycle(Duration::from_secs_f64(1.0 / fps), Some(Duration::from_secs_f64(1.0 / hz)))
    }

    #[test]
    fn frames_and_refreshes_meet_again_after_a_common_cycle() {
        for (fps, hz, wanted_ms) in [
            (60.0, 60.0, Some(16.67)),
            (60.0, 59.94, Some(16.67)),
            (60.0, 120.0, Some(8.33)),
            (60.0, 239.8, Some(4.17)),
            (60.0, 90.0, Some(5.56)),
            (30.0, 90.0, Some(11.11)),
            (30.0, 30.0, Some(33.33)),
            (60.0, 30.0, Some(16.67)),
            (60.0, 75.0, None),
            (60.0, 144.0, None),
            (60.0, 1.0, None),
        ] {
            let found = cycle(fps, hz);
            let same = match (found, wanted_ms) {
                (Some(found), Some(wanted)) => (found - wanted).abs() < 0.01,
                (found, wanted) => found == wanted,
            };
            assert!(same, "{fps} on {hz} Hz: {found:?}");
        }
        assert_eq!(common_cycle(Duration::from_millis(20), None), Some(20.0));
        assert_eq!(common_cycle(Duration::from_millis(20), Some(Duration::ZERO)), Some(20.0));
    }

    #[test]
    fn waits_either_side_of_the_wrap_have_their_mean_at_the_wrap() {
        let mean = circular_mean(&VecDeque::from([0.5, 16.2, 0.5, 16.2]), 16.667).unwrap();
        assert!(mean.abs() < 0.1, "{mean}");
    }

    #[test]
    fn a_display_that_does_not_follow_is_left_alone_for_a_while() {
        let mut response = Response::default();
        let tried = (0..40).filter(|_| {
            let follows = response.follows(1.0, 16.667);
            if follows {
                response.moved(1.0, -1.5);
            }
            follows
        });
        assert_eq!(tried.count() as u32, MAX_IDLE);
        let mut drifting = Response::default();
        assert!((0..40).all(|_| {
            let follows = drifting.follows(3.0, 16.667);
            drifting.moved(3.0, 0.5);
            follows
        }));
    }
}

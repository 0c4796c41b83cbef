//! What was seen of a session's picture.

use std::time::{Duration, Instant};

/// A longer pause between frames is a freeze.
const FREEZE: Duration = Duration::from_millis(200);
/// Ages that are kept: an hour at 60 Hz.
const MOST_AGES: usize = 216_000;

/// Counts and times, all of this end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Whole frames.
    pub(crate) frames: u32,
    /// Frames that could be decoded.
    pub(crate) decoded: u32,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    pub(crate) freezes: u32,
    pub(crate) frozen: Duration,
    pub(crate) size: (u16, u16),
    pub(crate) packets: u32,
    pub(crate) lost: u32,
    /// Of video.
    pub(crate) bytes: u64,
    pub(crate) ages_us: Vec<u32>,
    /// From an input to the first frame that answers the challenge with it.
    pub(crate) answered: Option<Duration>,
    /// Frames that answered the challenge, with whatever input.
    pub(crate) answers: u32,
    /// Packets of video, and the longest pause between them.
    pub(crate) line: Line,
}

/// What comes over the line from time to time, and how long it was silent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    last: Option<Instant>,
    longest: Duration,
}

impl Line {
    /// Something came.
    pub(crate) fn heard(&mut self, at: Instant) {
        self.longest = self.silence(at);
        self.last = Some(at);
    }

    /// The longest silence until `at`, from the first that came on.
    pub(crate) fn silence(&self, at: Instant) -> Duration {
        let since = self.last.map(|last| at.saturating_duration_since(last)).unwrap_or_default();
        self.longest.max(since)
    }
}

impl Seen {
    /// A frame is whole, and could be shown at `at`.
    pub(crate) fn frame(&mut self, at: Instant, size: Option<(u16, u16)>) {
        self.frames += 1;
        if let Some(size) = size {
            self.size = size;
            self.decoded += 1;
        }
        self.first.get_or_insert(at);
        let pause = self.last.map(|last| at.saturating_duration_since(last)).unwrap_or_default();
        if pause > FREEZE {
            self.freezes += 1;
            self.frozen += pause;
        }
        self.last = Some(at);
    }

    /// A frame was this old when it could be shown.
    pub(crate) fn age(&mut self, age: Duration) {
        if self.ages_us.len() < MOST_AGES {
            self.ages_us.push(u32::try_from(age.as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// The age that this share of frames do not exceed, µs; 0 where unknown.
    pub(crate) fn age_us(&self, share: f64) -> u32 {
        quantile(&mut self.ages_us.clone(), share).unwrap_or_default()
    }

    /// From the first frame to the last.
    pub(crate) fn played(&self) -> Duration {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        }
    }

    /// Frames a second.
    pub(crate) fn fps(&self) -> f64 {
        let seconds = self.played().as_secs_f64();
        if seconds > 0.0 { f64::from(self.frames.saturating_sub(1)) / seconds } else { 0.0 }
    }
}

/// The value that this share does not exceed.
pub(crate) fn quantile<T: PartialOrd + Copy>(values: &mut [T], share: f64) -> Option<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_freeze_and_an_ordinary_gap_is_none() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        for at in [0, 16, 33, 400, 416] {
            seen.frame(start + Duration::from_millis(at), Some((4, 2)));
        }
        assert_eq!((seen.freezes, seen.frozen), (1, Duration::from_millis(367)));
        assert_eq!((seen.frames, seen.size), (5, (4, 2)));
        assert!((seen.fps() - 4.0 / 0.416).abs() < 1e-9);
    }

    #[test]
    fn a_line_is_silent_between_what_comes_and_after_it() {
        let (mut line, start) = (Line::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(line.silence(at(9_000)), Duration::ZERO, "nothing was to come yet");
        for ms in [0, 100, 900, 950] {
            line.heard(at(ms));
        }
        assert_eq!(line.silence(at(960)), Duration::from_millis(800));
        assert_eq!(line.silence(at(1_950)), Duration::from_millis(1_000));
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let mut values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(
            [0.5, 0.95, 1.0].map(|share| quantile(&mut values, share)),
            [Some(50), Some(95), Some(100)]
        );
        assert_eq!(quantile::<u32>(&mut [], 0.5), None);
    }
}

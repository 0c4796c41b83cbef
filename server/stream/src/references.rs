//! When to ask the encoder to go on from an older frame: at once, not again while the answer is being
//! encoded, and not for ever.

use std::time::{Duration, Instant};

/// A request is repeated after this long: three frames at 30 Hz, more at higher rates.
const PATIENCE: Duration = Duration::from_millis(100);
/// An encoder that has not answered by then will not; only a keyframe helps.
const HOPELESS: Duration = Duration::from_millis(500);
/// A receiver that reports the picture lost again this soon after an answer cannot use such answers: its
/// decoder wants a keyframe.
const RELAPSE: Duration = Duration::from_secs(1);

/// What to do about a picture that cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Now,
    /// The answer is on its way.
    Wait,
    /// Ask for a keyframe.
    Keyframe,
}

/// Requests to the encoder, and its answers.
#[derive(Debug, Default)]
pub(crate) struct ReferenceRequests {
    /// The first and the newest of the requests that are not answered.
    open: Option<(Instant, Instant)>,
    answered: Option<Instant>,
}

impl ReferenceRequests {
    /// The picture cannot go on.
    pub(crate) fn ask(&mut self, now: Instant) -> Ask {
        match &mut self.open {
            Some((first, _)) if now.saturating_duration_since(*first) >= HOPELESS => Ask::Keyframe,
            Some((_, newest)) if now.saturating_duration_since(*newest) < PATIENCE => Ask::Wait,
            Some((_, newest)) => {
                *newest = now;
                Ask::Now
            }
            None => {
                self.open = Some((now, now));
                Ask::Now
            }
        }
    }

    /// The receiver says that it cannot go on. A request or an answer that it cannot have seen yet, because
    /// less than `way` has passed, answers it.
    pub(crate) fn reported(&mut self, now: Instant, way: Duration) -> Ask {
        let since = self.answered.map(|at| now.saturating_duration_since(at));
        match since {
            _ if self.open.is_some() => self.ask(now),
            Some(since) if since < way => Ask::Wait,
            Some(since) if since < way + RELAPSE => Ask::Keyframe,
            _ => self.ask(now),
        }
    }

    /// A frame that can be shown came from the encoder.
    pub(crate) fn pushed(&mut self, now: Instant) {
        if self.open.take().is_some() {
            self.answered = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Duration = Duration::from_millis(50);

    #[test]
    fn a_request_is_made_once_then_again_and_then_given_up() {
        let start = Instant::now();
        let mut requests = ReferenceRequests::default();
        let asked = [0, 16, 99, 100, 150, 499, 500].map(|ms| requests.ask(start + Duration::from_millis(ms)));
        use Ask::{Keyframe, Now, Wait};
        assert_eq!(asked, [Now, Wait, Wait, Now, Wait, Now, Keyframe]);
        requests.pushed(start + HOPELESS);
        assert_eq!(requests.ask(start + HOPELESS), Now);
    }

    #[test]
    fn a_report_that_crossed_an_answer_is_ignored_and_a_relapse_needs_a_keyframe() {
        let start = Instant::now();
        let mut requests = ReferenceRequests::default();
        assert_eq!(requests.reported(start, WAY), Ask::Now);
        requests.pushed(start);
        assert_eq!(requests.reported(start + WAY / 2, WAY), Ask::Wait);
        assert_eq!(requests.reported(start + WAY * 2, WAY), Ask::Keyframe);
        assert_eq!(requests.reported(start + RELAPSE * 2, WAY), Ask::Now);
    }
}

//! Service levels: how much of what players were given was taken from them.
//!
//! What counts is what a player notices: a session that its machine lost. Heartbeats say nothing about that, and how a
//! title fails is not the machine's fault. Counted by the month in UTC in which a session ended, by machine and by site.

use std::iter::Sum;

/// What is promised, in millionths: 99.99 %.
pub const PROMISED_PPM: u64 = 999_900;
/// What a lost session costs its player beside the picture: the way back into the game, in µs. It counts as time in which
/// nothing was served.
pub const WAY_BACK_US: u64 = 60_000_000;

/// What was served in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Sessions that ended and of which something was billed.
    pub sessions: u64,
    /// Of those, lost by their machine.
    pub lost: u64,
    /// Time billed, in µs.
    pub served_us: u64,
}

impl Sum for Served {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            sessions: sum.sessions.saturating_add(one.sessions),
            lost: sum.lost.saturating_add(one.lost),
            served_us: sum.served_us.saturating_add(one.served_us),
        })
    }
}

impl Served {
    /// The part of the time that was served, in millionths, rounded down; `None` where nothing was asked for.
    pub fn availability_ppm(&self) -> Option<u64> {
        let served = u128::from(self.served_us);
        let due = served + u128::from(self.lost) * u128::from(WAY_BACK_US);
        u64::try_from((served * 1_000_000).checked_div(due)?).ok()
    }

    /// Lost sessions by sessions, in millionths, rounded up.
    pub fn lost_ppm(&self) -> Option<u64> {
        let lost = u128::from(self.lost) * 1_000_000;
        (self.sessions > 0)
            .then(|| u64::try_from(lost.div_ceil(u128::from(self.sessions))).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_session_counts_as_a_minute_without_service() {
        let served = Served { sessions: 10, lost: 1, served_us: 540_000_000 };
        assert_eq!((served.availability_ppm(), served.lost_ppm()), (Some(900_000), Some(100_000)));
        let both: Served = [served, Served { sessions: 3, lost: 0, served_us: 60_000_000 }].into_iter().sum();
        assert_eq!((both.sessions, both.lost, both.availability_ppm()), (13, 1, Some(909_090)));
        assert_eq!((Served::default().availability_ppm(), Served::default().lost_ppm()), (None, None));
    }
}

//! Days.

use std::fmt;

/// A day, in ms.
pub const DAY_MS: u64 = 24 * 3600 * 1000;
/// How long after its end an epoch may be disputed, in ms.
pub const DISPUTE_WINDOW_MS: u64 = 72 * 3600 * 1000;

/// A day in UTC: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch of a moment, Unix ms.
    pub fn of(at_ms: u64) -> Self {
        Self(u32::try_from(at_ms / DAY_MS).unwrap_or(u32::MAX))
    }
    /// Its first ms.
    pub fn begins_at_ms(self) -> u64 {
        u64::from(self.0) * DAY_MS
    }
    /// The first ms after it.
    pub fn ends_at_ms(self) -> u64 {
        self.begins_at_ms() + DAY_MS
    }
    /// From when on it may be settled.
    pub fn settles_at_ms(self) -> u64 {
        self.ends_at_ms() + DISPUTE_WINDOW_MS
    }
    /// The day with this date of the Gregorian calendar; `None` where there is none, or before 1970.
    pub fn from_date(year: u32, month: u32, day: u32) -> Option<Self> {
        // Civil date to days: the inverse of the algorithm below.
        let shifted_year = u64::from(year).checked_sub(u64::from(month <= 2))?;
        let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
        let shifted_month = (u64::from(month) + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + u64::from(day).checked_sub(1)?;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
        let epoch = Self(u32::try_from(days).ok()?);
        (epoch.date() == (year, month, day)).then_some(epoch)
    }

    /// Year, month and day.
    pub fn date(self) -> (u32, u32, u32) {
        // Days to civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
        let days = u64::from(self.0) + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        (year as u32, month as u32, day as u32)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        let cases = [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_786, "2026-11-29"),
            (47_541, "2100-03-01"),
        ];
        for (day, date) in cases {
            assert_eq!(Epoch(day).to_string(), date);
        }
    }

    #[test]
    fn every_date_is_one_day_and_others_are_none() {
        for day in (0..60_000).step_by(7) {
            let (year, month, date) = Epoch(day).date();
            assert_eq!(Epoch::from_date(year, month, date), Some(Epoch(day)));
        }
        for (year, month, day) in
            [(2026, 2, 29), (2026, 13, 1), (2026, 0, 1), (2026, 1, 0), (1969, 12, 31), (0, 1, 1)]
        {
            assert_eq!(Epoch::from_date(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn an_epoch_settles_three_days_after_its_end() {
        let epoch = Epoch::of(1_700_000_000_000);
        assert!((epoch.begins_at_ms()..epoch.ends_at_ms()).contains(&1_700_000_000_000));
        assert_eq!(Epoch::of(epoch.settles_at_ms()).0, epoch.0 + 4);
        assert_eq!(Epoch::of(epoch.ends_at_ms()).0, epoch.0 + 1);
    }
}

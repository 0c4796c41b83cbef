//! Months in UTC, counted from the year 0.

use nearframe_ledger::settlement::Epoch;
use std::ops::Range;

/// The month of a time, Unix ms.
pub(super) fn month_of(at_ms: u64) -> u32 {
    let (year, month, _) = Epoch::of(at_ms).date();
    year * 12 + month.saturating_sub(1)
}

/// From its first ms to the one after it.
pub(super) fn range_of(month: u32) -> Range<u64> {
    let begins = |month: u32| {
        let day = Epoch::from_date(month / 12, month % 12 + 1, 1);
        day.map_or(u64::MAX, |day| day.begins_at_ms())
    };
    begins(month)..begins(month + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_its_month_and_months_follow_each_other() {
        for at_ms in [0, 1_700_000_000_000, 1_798_761_599_999, 1_798_761_600_000] {
            let month = month_of(at_ms);
            assert!(range_of(month).contains(&at_ms), "{at_ms}");
            assert_eq!(range_of(month).end, range_of(month + 1).start);
        }
        assert_ne!(month_of(1_798_761_599_999), month_of(1_798_761_600_000), "the end of 2026");
    }
}

//! What hosts may have now, of what they earned.

use nearframe_ledger::LedgerError;
use nearframe_ledger::settlement::Totals;

/// What is settled, and what of the earnings is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// Settled, by host and currency; nobody with nothing.
    pub totals: Totals,
    /// Posted and not settled.
    pub withheld: Totals,
}

/// Splits what was `posted` to hosts. What is `held`, and what was `corrected` away from them, is not settled; but what
/// was settled `before` is: a total never falls, and what came to light too late is made up by what is earned next.
pub fn free(
    posted: &Totals,
    held: &Totals,
    corrected: &Totals,
    before: &Totals,
) -> Result<Free, LedgerError> {
    let mut free = Free::default();
    for (place, posted_micros) in posted {
        let of = |totals: &Totals| totals.get(place).copied().unwrap_or(0);
        let rest = posted_micros.checked_sub(of(held)).and_then(|rest| rest.checked_sub(of(corrected)));
        let settled = rest.ok_or(LedgerError::Overflow)?.max(of(before)).max(0);
        if settled > 0 {
            free.totals.insert(place.clone(), settled);
        }
        if *posted_micros != settled {
            free.withheld.insert(place.clone(), posted_micros - settled);
        }
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::{Currency, NodeId};

    fn totals(rows: &[(u8, i128)]) -> Totals {
        let currency = Currency::new("EUR").unwrap();
        rows.iter()
            .map(|(host, micros)| ((NodeId::from_bytes([*host; 16]), currency.clone()), *micros))
            .collect()
    }

    #[test]
    fn what_is_held_or_paid_back_is_not_settled_and_no_total_falls() {
        let posted = totals(&[(1, 100), (2, 100), (3, 100), (4, 100)]);
        let held = totals(&[(1, 30), (3, 100), (4, 100)]);
        let corrected = totals(&[(1, 5), (2, 40)]);
        let before = totals(&[(2, 80), (4, 60)]);
        let free = free(&posted, &held, &corrected, &before).unwrap();
        assert_eq!(free.totals, totals(&[(1, 65), (2, 80), (4, 60)]));
        assert_eq!(free.withheld, totals(&[(1, 35), (2, 20), (3, 100), (4, 40)]));
    }

    #[test]
    fn what_was_settled_too_early_is_made_up_by_what_is_earned_next() {
        let corrected = totals(&[(2, 40)]);
        let next = free(&totals(&[(2, 110)]), &Totals::new(), &corrected, &totals(&[(2, 80)])).unwrap();
        assert_eq!(next.totals, totals(&[(2, 80)]), "70 are due by now, and 80 were settled");
        let later = free(&totals(&[(2, 150)]), &Totals::new(), &corrected, &next.totals).unwrap();
        assert_eq!(later.totals, totals(&[(2, 110)]));
    }
}

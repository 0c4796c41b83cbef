//! Disputes: until when, and what a decision pays back.

use nearframe_ledger::settlement::Epoch;
use nearframe_ledger::{Account, Kind, LedgerError, Transfer};
use nearframe_protocol::{Currency, DisputeId, LeaseId, TransferId};
use std::collections::BTreeMap;

/// Until when a session may be disputed, Unix ms: until the day on which it ended is settled. One that runs may be.
pub fn open_until_ms(ended_at_ms: Option<u64>) -> u64 {
    ended_at_ms.map_or(u64::MAX, |ended| Epoch::of(ended).settles_at_ms())
}

/// What a lease has paid to whom, less what was paid back before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The lease.
    pub lease: LeaseId,
    /// Who paid.
    pub debtor: Account,
    /// To whom, in micro-units.
    pub to: BTreeMap<Account, i128>,
    /// In what.
    pub currency: Currency,
}

impl Paid {
    /// The entries that pay a part back: from each account the floor of its part, under keys that follow from the
    /// dispute. `id` gives fresh ids.
    pub fn refund(
        &self,
        dispute: DisputeId,
        permille: u16,
        mut id: impl FnMut() -> TransferId,
    ) -> Result<Vec<Transfer>, LedgerError> {
        let mut entries = Vec::new();
        for (account, paid_micros) in &self.to {
            let share =
                paid_micros.checked_mul(i128::from(permille.min(1000))).ok_or(LedgerError::Overflow)? / 1000;
            if share <= 0 {
                continue;
            }
            entries.push(Transfer {
                id: id(),
                lease: self.lease,
                kind: Kind::Post,
                debit: account.clone(),
                credit: self.debtor.clone(),
                amount_micros: share,
                currency: self.currency.clone(),
                key: format!("dispute:{dispute}:{}:{account}", self.lease),
            });
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_ledger::settlement::DAY_MS;
    use nearframe_protocol::{NodeId, TitleId};

    #[test]
    fn a_session_may_be_disputed_until_its_day_is_settled() {
        assert_eq!(open_until_ms(None), u64::MAX);
        assert_eq!(open_until_ms(Some(10 * DAY_MS + 5)), 14 * DAY_MS);
    }

    #[test]
    fn each_account_gives_its_part_back_rounded_down_under_a_key_of_its_own() {
        let host = Account::Host(NodeId::from_bytes([1; 16]));
        let paid = Paid {
            lease: LeaseId::from_bytes([2; 16]),
            debtor: Account::Studio(TitleId::new("meteor").unwrap()),
            to: BTreeMap::from([(host.clone(), 801), (Account::Platform, 199)]),
            currency: Currency::new("EUR").unwrap(),
        };
        let refund = |permille| {
            let id = || TransferId::from_bytes([7; 16]);
            paid.refund(DisputeId::from_bytes([3; 16]), permille, id).unwrap()
        };
        let half: BTreeMap<_, _> =
            refund(500).into_iter().map(|entry| (entry.debit, entry.amount_micros)).collect();
        assert_eq!(half, BTreeMap::from([(host, 400), (Account::Platform, 99)]));
        assert!(refund(0).is_empty());
        let all = refund(2000);
        assert_eq!(
            all.iter().map(|entry| entry.amount_micros).sum::<i128>(),
            1000,
            "never more than was paid"
        );
        assert_ne!(all[0].key, all[1].key);
    }
}

//! Disputes: until when, and what a decision pays back.

use nearframe_ledger::settlement::Epoch;
use nearframe_ledger::{Account, Kind, LedgerError, Transfer};
use nearframe_protocol::{Currency, DisputeId, LeaseId, TransferId};
use std::collections::BTreeMap;

/// Until when a session may be disputed, Unix ms: until the day on which it ended is settled. One that runs may be.
pub fn open_until_ms(ended_at_ms: Option<u64>) -> u64 {
    ended_at_ms.map_or(u64::MAX, |ended| Epoch::of(ended).settles_at_ms())
}

/// What a lease has paid to whom, less what was given back since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The lease.
    pub lease: LeaseId,
    /// Who paid.
    pub debtor: Account,
    /// What each account still has of it, in micro-units: less what it paid back and what it bore of credits for the lease.
    /// Below zero where it bore more than it got.
    pub to: BTreeMap<Account, i128>,
    /// What was paid back to who paid before, without credits.
    pub before_micros: i128,
    /// In what.
    pub currency: Currency,
}

impl Paid {
    /// The entries that pay a part back of what is left: from each account the floor of its part, under keys that follow from
    /// the dispute. The platform bears credits in its machines' place: where it bore more than it got, the host's part goes
    /// to it by as much, so that credit and refund come to the same in either order. `id` gives fresh ids.
    pub fn refund(
        &self,
        dispute: DisputeId,
        permille: u16,
        mut id: impl FnMut() -> TransferId,
    ) -> Result<Vec<Transfer>, LedgerError> {
        let part = |micros: i128| {
            Ok::<_, LedgerError>(
                micros.checked_mul(i128::from(permille.min(1000))).ok_or(LedgerError::Overflow)? / 1000,
            )
        };
        // What a host bore of its own outage beyond what it earned stays with it.
        let all: i128 = self.to.values().sum();
        let hosts =
            || self.to.iter().filter(|(account, micros)| **account != Account::Platform && **micros > 0);
        let platform = all - hosts().map(|(_, micros)| micros).sum::<i128>();
        let mut entries = Vec::new();
        let mut pay = |debit: &Account, credit: &Account, step: &str, amount_micros: i128| {
            if amount_micros > 0 {
                entries.push(Transfer {
                    id: id(),
                    lease: self.lease,
                    kind: Kind::Post,
                    debit: debit.clone(),
                    credit: credit.clone(),
                    amount_micros,
                    currency: self.currency.clone(),
                    key: format!("dispute:{dispute}:{}:{debit}{step}", self.lease),
                });
            }
        };
        let mut owed = part((-platform).max(0))?;
        for (account, micros) in hosts() {
            let share = part(*micros)?;
            let to_platform = owed.min(share);
            owed -= to_platform;
            pay(account, &Account::Platform, ":platform", to_platform);
            pay(account, &self.debtor, "", share - to_platform);
        }
        pay(&Account::Platform, &self.debtor, "", part(platform.max(0))?);
        Ok(entries)
    }

    /// What of such entries is paid back to who paid.
    pub fn back_micros(&self, entries: &[Transfer]) -> i128 {
        let theirs = entries.iter().filter(|entry| entry.credit == self.debtor);
        theirs.map(|entry| entry.amount_micros).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::Credit;
    use nearframe_ledger::settlement::DAY_MS;
    use nearframe_protocol::{NodeId, TitleId};
    use proptest::prelude::*;

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
            before_micros: 0,
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

    fn lease(host: i128, platform: i128) -> Paid {
        Paid {
            lease: LeaseId::from_bytes([2; 16]),
            debtor: Account::Studio(TitleId::new("meteor").unwrap()),
            to: BTreeMap::from([
                (Account::Host(NodeId::from_bytes([1; 16])), host),
                (Account::Platform, platform),
            ]),
            before_micros: 0,
            currency: Currency::new("EUR").unwrap(),
        }
    }

    /// What host and platform still have, and what was paid back.
    fn refunded(paid: &Paid, permille: u16) -> (Paid, i128) {
        let id = || TransferId::from_bytes([7; 16]);
        let entries = paid.refund(DisputeId::from_bytes([3; 16]), permille, id).unwrap();
        let mut after = paid.clone();
        for entry in &entries {
            assert!(entry.amount_micros > 0 && entry.debit != entry.credit, "{entry:?}");
            *after.to.get_mut(&entry.debit).unwrap() -= entry.amount_micros;
            if entry.credit == Account::Platform {
                *after.to.get_mut(&Account::Platform).unwrap() += entry.amount_micros;
            }
        }
        let keys: std::collections::BTreeSet<_> = entries.iter().map(|entry| &entry.key).collect();
        assert_eq!(keys.len(), entries.len(), "each entry has a key of its own");
        (after, paid.back_micros(&entries))
    }

    fn credited(paid: &Paid, permille: u16, host_permille: u16) -> (Paid, i128) {
        let credit = Credit::of(paid.to.values().sum(), permille, host_permille, i128::MAX);
        let mut after = paid.clone();
        for (account, micros) in &mut after.to {
            *micros -= match account {
                Account::Platform => credit.amount_micros - credit.host_micros,
                _ => credit.host_micros,
            };
        }
        (after, credit.amount_micros)
    }

    #[test]
    fn what_a_credit_gave_back_is_not_paid_back_again_and_the_platform_gets_what_it_bore_for_the_host() {
        let (paid, credit) = credited(&lease(800, 200), 250, 0);
        let (after, back) = refunded(&paid, 1000);
        assert_eq!((credit, back), (250, 750), "all of it, once");
        assert_eq!(
            after.to.values().collect::<Vec<_>>(),
            [&0, &0],
            "nobody keeps anything, nobody bears anything"
        );
        let (whole, credit) = credited(&lease(800, 200), 1000, 0);
        assert_eq!((credit, refunded(&whole, 1000).1), (1000, 0));
    }

    #[test]
    fn a_host_that_bore_more_than_it_earned_is_given_nothing_back() {
        let (paid, _) = credited(&lease(800, 200), 1000, 1000);
        assert_eq!(paid.to.values().collect::<Vec<_>>(), [&-200, &200]);
        assert_eq!(refunded(&paid, 1000), (paid, 0));
    }

    proptest! {
        #[test]
        fn credit_and_refund_come_to_the_same_in_either_order(
            host in 0_i128..9_000_000, platform in 0_i128..2_000_000, refund in 0_u16..=1000, permille in 0_u16..=1000,
            host_permille in 0_u16..=500,
        ) {
            let paid = lease(host, platform);
            let (first, credit_first) = credited(&paid, permille, host_permille);
            let (first, back_second) = refunded(&first, refund);
            let (second, back_first) = refunded(&paid, refund);
            let (second, credit_second) = credited(&second, permille, host_permille);
            let (one, other) = (credit_first + back_second, back_first + credit_second);
            prop_assert!(one <= host + platform && other <= host + platform, "never more than was paid");
            prop_assert!((one - other).abs() <= 3, "{one} and {other}");
            for (account, micros) in &first.to {
                // Where a host bears more than is left to it, the order tells who is first.
                if first.to.values().chain(second.to.values()).all(|micros| *micros >= 0) {
                    prop_assert!((micros - second.to[account]).abs() <= 3, "{account}: {first:?} {second:?}");
                }
            }
        }
    }
}

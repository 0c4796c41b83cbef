//! A lease's account from its first transfer to its last, with random use.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_ledger::{
    Account, Imbalance, Kind, LeaseAccount, Meter, Reservation, Tariff, Transfer, verify,
};
use nearframe_protocol::{Currency, LeaseId, NodeId, TitleId, TransferId};
use proptest::prelude::*;

fn account(price_micros_per_hour: i64) -> LeaseAccount {
    LeaseAccount {
        lease: LeaseId::from_random([1; 16]),
        title: TitleId::new("meteor").unwrap(),
        payer: None,
        node: NodeId::from_random([2; 16]),
        tariff: Tariff { price_micros_per_hour, fee_permille: 200, currency: Currency::new("EUR").unwrap() },
    }
}

fn id() -> TransferId {
    TransferId::from_random([9; 16])
}

fn sums(journal: &[Transfer]) -> Reservation {
    let of = |kind| journal.iter().filter(|t| t.kind == kind).map(|t| t.amount_micros).sum();
    Reservation {
        pending_micros: of(Kind::Pending),
        posted_micros: of(Kind::Post),
        voided_micros: of(Kind::Void),
    }
}

proptest! {
    #[test]
    fn whatever_is_used_the_journal_balances_and_nothing_stays_set_aside(
        price in 0..100_000_000i64,
        durations in prop::collection::vec((0..2_000_000_000u64, any::<bool>()), 0..40),
        late in prop::collection::vec((0..1_000_000u64, any::<bool>()), 0..5),
    ) {
        let account = account(price);
        let mut meter = Meter::default();
        let mut journal = vec![account.open(id()).unwrap()];
        let late_us: u64 = late.iter().map(|(duration, _)| duration).sum();
        for (sequence, (duration, signed)) in durations.iter().enumerate() {
            let bill = meter.bill(&account.tariff, *duration, *signed).unwrap();
            journal.extend(account.post(&sums(&journal), &bill, sequence as u32, [id(); 3]).unwrap());
        }
        journal.extend(account.release(&sums(&journal), late_us, "end", id()).unwrap());
        let set_aside = sums(&journal).pending_micros;
        // Where less than that was left when the lease ended, late receipts set aside what they need.
        let is_enough = sums(&journal).open_micros() > account.tariff.cost_micros(late_us).unwrap();
        for (sequence, (duration, signed)) in late.iter().enumerate() {
            let bill = meter.bill(&account.tariff, *duration, *signed).unwrap();
            journal.extend(account.post(&sums(&journal), &bill, 1000 + sequence as u32, [id(); 3]).unwrap());
        }
        if is_enough {
            prop_assert_eq!(sums(&journal).pending_micros, set_aside, "late receipts needed more than was kept");
        }
        journal.extend(account.release(&sums(&journal), 0, "close", id()).unwrap());
        prop_assert_eq!(sums(&journal).open_micros(), 0);

        let balances = verify(&journal).unwrap();
        let cost = account.tariff.cost_micros(meter.billed_us).unwrap();
        let studio = balances[&(Account::Studio(account.title.clone()), "EUR".to_owned())];
        prop_assert_eq!((studio.debits_micros, studio.pending_micros), (cost, 0));
    }
}

#[test]
fn a_late_receipt_sets_more_aside_where_too_little_was_left() {
    let account = account(3_600_000_000);
    let mut meter = Meter::default();
    let mut journal = vec![account.open(id()).unwrap()];
    // All but the last microsecond of the hour that was set aside.
    let bill = meter.bill(&account.tariff, 3_599_999_999, true).unwrap();
    journal.extend(account.post(&sums(&journal), &bill, 0, [id(); 3]).unwrap());
    journal.extend(account.release(&sums(&journal), 1_000_000, "end", id()).unwrap());
    assert_eq!(sums(&journal).open_micros(), 1, "nothing is released: a second may still cost a million");
    let bill = meter.bill(&account.tariff, 1_000_000, true).unwrap();
    journal.extend(account.post(&sums(&journal), &bill, 1, [id(); 3]).unwrap());
    assert_eq!(sums(&journal).pending_micros, 2 * 3_600_000_000);
    journal.extend(account.release(&sums(&journal), 0, "close", id()).unwrap());
    assert_eq!(sums(&journal).open_micros(), 0);
    let balances = verify(&journal).unwrap();
    let studio = balances[&(account.debtor(), "EUR".to_owned())];
    assert_eq!((studio.debits_micros, studio.pending_micros), (3_600_999_999, 0));
}

#[test]
fn a_journal_that_breaks_a_rule_is_refused() {
    let account = account(3_600_000);
    let open = account.open(id()).unwrap();
    assert_eq!(verify(&[open.clone(), open.clone()]), Err(Imbalance::Key(open.key.clone())));
    let post = Transfer { kind: Kind::Post, key: "k".into(), ..open.clone() };
    let more = Transfer { amount_micros: 1, key: "l".into(), ..post.clone() };
    assert!(verify(&[open.clone(), post.clone()]).is_ok());
    assert_eq!(verify(&[open.clone(), post, more]), Err(Imbalance::Overdrawn(account.lease)));
    let dollars = Transfer { currency: Currency::new("USD").unwrap(), key: "m".into(), ..open.clone() };
    assert_eq!(verify(&[open.clone(), dollars]), Err(Imbalance::Currency(account.lease)));
    assert!(verify(&[Transfer { amount_micros: -1, ..open }]).is_err());
}

//! Destinations and payouts on every store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod payers;
mod postgres;

use nearframe_ledger::hash::Hash32;
use nearframe_ledger::payout::{Address, Destination, Payout, Rail, State};
use nearframe_ledger::settlement::Epoch;
use nearframe_matchmaker::store::Store;
use nearframe_matchmaker::store::payouts::{DestinationRow, PayoutRow, Spent};
use nearframe_matchmaker::store::stake::StakeRow;
use nearframe_matchmaker::store::webhooks::EventRow;
use nearframe_protocol::webhook::EventKind;
use nearframe_protocol::{EventId, NodeId};
use nearframe_trust::stake::{Deed, Entry, Source};
use payers::{NOW, account, account_id, enrol, eur};

fn at_bank() -> Destination {
    Destination::bank(
        "Ada & Söhne",
        "NL91ABNA0417164300".parse().unwrap(),
        Some("COBADEFFXXX".parse().unwrap()),
    )
    .unwrap()
}

fn on_chain() -> Destination {
    Destination::Evm { address: Address::from_bytes([7; 20]) }
}

fn payout(host: NodeId, run: u64, attempt: u32, destination: Destination) -> PayoutRow {
    let payout = Payout {
        epoch: Epoch(20_000),
        root: Hash32([8; 32]),
        attempt,
        host,
        currency: eur(),
        amount_micros: 1_230_000,
        destination,
    };
    let at_ms = NOW + run;
    PayoutRow {
        run,
        account: account_id(1),
        payout,
        state: State::Created,
        created_at_ms: at_ms,
        changed_at_ms: at_ms,
    }
}

fn event(n: u8) -> EventRow {
    let (id, account) = (EventId::from_bytes([n; 16]), account_id(1));
    EventRow { id, account, kind: EventKind::PayoutCreated, at_ms: NOW, body: "{}".into() }
}

async fn the_last_destination_of_a_currency_counts(store: &dyn Store) {
    account(store, 1, None).await;
    account(store, 2, None).await;
    let row = |n, destination, since_ms| DestinationRow {
        account: account_id(n),
        currency: eur(),
        destination,
        since_ms,
    };
    store.set_destination(&row(1, on_chain(), NOW)).await.unwrap();
    store.set_destination(&row(1, at_bank(), NOW + 1)).await.unwrap();
    store.set_destination(&row(2, on_chain(), NOW)).await.unwrap();
    assert_eq!(store.destinations(Some(account_id(1))).await.unwrap(), [row(1, at_bank(), NOW + 1)]);
    assert_eq!(store.destinations(None).await.unwrap().len(), 2);
    assert!(store.destinations(Some(account_id(3))).await.unwrap().is_empty());
}

async fn payouts_are_written_once_and_counted_until_they_fail(store: &dyn Store) {
    let host = enrol(store).await;
    account(store, 1, None).await;
    let first = payout(host, 1, 0, at_bank());
    let add = async |row: PayoutRow, n| {
        let spent = store.spent().await.unwrap();
        assert!(store.add_payouts(&[(row, event(n))], spent).await.unwrap());
    };
    add(first.clone(), 1).await;
    add(PayoutRow { run: 9, ..first.clone() }, 9).await;
    store.set_payout_state(first.id(), State::Submitted, NOW + 5, None).await.unwrap();
    store.set_payout_state(first.id(), State::Submitted, NOW + 9, Some(&event(2))).await.unwrap();
    let stored = store.payouts_of_run(1).await.unwrap();
    assert_eq!(
        stored,
        [PayoutRow { state: State::Submitted, changed_at_ms: NOW + 5, ..first.clone() }],
        "again is nothing"
    );
    assert_eq!(store.open_payouts().await.unwrap(), stored);
    for among in [None, Some(&[host][..])] {
        assert_eq!(store.paid(among).await.unwrap(), [(host, eur(), Rail::Bank, 1_230_000)]);
    }
    for others in [&[NodeId::from_bytes([8; 16])][..], &[]] {
        assert_eq!(store.paid(Some(others)).await.unwrap(), []);
    }
    assert_eq!(store.spent().await.unwrap(), Spent { run: 1, stakes: 0 });
    store.set_payout_state(first.id(), State::Created, NOW + 7, None).await.unwrap();
    assert_eq!(store.payouts_of_run(1).await.unwrap(), stored, "it never goes back");

    store.set_payout_state(first.id(), State::Failed, NOW + 6, Some(&event(3))).await.unwrap();
    assert!(store.open_payouts().await.unwrap().is_empty() && store.paid(None).await.unwrap().is_empty());
    assert_eq!(store.failed_payouts(20_000).await.unwrap(), [(host, eur(), 1)]);
    assert!(store.failed_payouts(20_001).await.unwrap().is_empty());
    let second = payout(host, 2, 1, on_chain());
    add(second.clone(), 4).await;
    store.set_payout_state(first.id(), State::Submitted, NOW + 8, None).await.unwrap();
    assert!(
        store.open_payouts().await.unwrap().iter().all(|row| row.id() == second.id()),
        "what is over stays so"
    );
    let all = store.payouts(None, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|row| row.run).collect::<Vec<_>>(), [2, 1], "the newest first");
    assert_eq!(all[0], second);
    assert_eq!(store.payouts(None, Some(second.id()), 10).await.unwrap().len(), 1);
    assert_eq!(store.payouts(Some(account_id(1)), None, 1).await.unwrap().len(), 1);
    assert!(store.payouts(Some(account_id(2)), None, 10).await.unwrap().is_empty());
}

async fn earnings_are_spent_only_by_who_knows_what_was_spent_before(store: &dyn Store) {
    let host = enrol(store).await;
    account(store, 1, None).await;
    let stake = |number| StakeRow {
        seq: 0,
        node: host,
        currency: eur(),
        entry: Entry {
            number,
            at_ms: NOW,
            amount_micros: 5,
            deed: Deed::Posted { from: Source::Earnings },
            by: None,
        },
    };
    let nothing = store.spent().await.unwrap();
    assert_eq!(nothing, Spent::default());
    let first = payout(host, 1, 0, at_bank());
    assert!(store.add_payouts(&[(first.clone(), event(1))], nothing).await.unwrap());
    let late = payout(host, 1, 1, at_bank());
    assert!(!store.add_payouts(&[(late.clone(), event(2))], nothing).await.unwrap());
    assert!(!store.stake_earnings(&stake(1), nothing).await.unwrap());
    let paid = store.spent().await.unwrap();
    assert_eq!(paid, Spent { run: 1, stakes: 0 });
    assert!(!store.stake_earnings(&stake(2), paid).await.unwrap(), "not the next entry");
    assert!(store.stake_earnings(&stake(1), paid).await.unwrap());
    assert!(!store.stake_earnings(&stake(2), paid).await.unwrap());
    assert!(!store.add_payouts(&[(late, event(2))], paid).await.unwrap());
    assert_eq!(store.spent().await.unwrap(), Spent { run: 1, stakes: 1 });
    assert_eq!(store.payouts(None, None, 9).await.unwrap(), [first]);
    assert_eq!(store.stake_entries(None).await.unwrap().len(), 1);
}

contract! {
    the_last_destination_of_a_currency_counts
    payouts_are_written_once_and_counted_until_they_fail
    earnings_are_spent_only_by_who_knows_what_was_spent_before
}

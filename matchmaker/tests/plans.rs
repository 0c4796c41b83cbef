//! Subscriptions on every store: hours that are used before money, by no number of sessions at once beyond what a month
//! includes; months that are renewed, changed and ended; every micro-unit posted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod payers;
mod postgres;

use nearframe_ledger::Account;
use nearframe_ledger::subscription::Plan;
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::plans::{PlanRow, Subscribed, SubscriptionRow};
use nearframe_matchmaker::store::trust::{Decided, DisputeRow, Settling};
use nearframe_matchmaker::store::{
    Created, MemoryStore, PostgresStore, SqliteStore, Store, StoreError, Taken,
};
use nearframe_protocol::account::Actor;
use nearframe_protocol::plan::{ChargeKind, PlanName};
use nearframe_protocol::receipt::ReceiptHash;
use nearframe_protocol::trust::Party;
use nearframe_protocol::{DisputeId, EndReason};
use payers::{
    HOUR_MICROS, NOW, account, account_id, committed, enrol, eur, key, receipt, request, session_id,
};
use std::sync::Arc;
use std::time::Duration;

const HOUR_US: u64 = 3_600_000_000;
const DAY_MS: u64 = 86_400_000;

fn plan(name: &str, version: u32, hours: u64, price_micros: i128) -> PlanRow {
    PlanRow {
        name: PlanName::new(name).unwrap(),
        version,
        since_ms: NOW,
        plan: Plan { included_us: hours * HOUR_US, price_micros },
        currency: eur(),
        is_offered: true,
    }
}

async fn subscribed(store: &dyn Store, plan: &PlanRow, now_ms: u64) -> SubscriptionRow {
    match store.subscribe(account_id(1), plan, now_ms).await.unwrap() {
        Subscribed::Done(row) => row,
        Subscribed::OverBudget => panic!("the allowance holds it"),
    }
}

async fn left_us(store: &dyn Store) -> u64 {
    store.subscription(account_id(1)).await.unwrap().unwrap().term.left_us()
}

/// What the account pays by each kind of charge.
async fn charged(store: &dyn Store) -> Vec<(ChargeKind, i128)> {
    let sums = store.charge_sums(account_id(1), 0..u64::MAX).await.unwrap();
    sums.into_iter().map(|(kind, _, due)| (kind, due)).collect()
}

/// What is on an account's credit side, less what is on its debit side.
async fn balance(store: &dyn Store, of: &Account) -> i128 {
    let rows = store.charges_after(0, 1_000).await.unwrap();
    let side = |row: &Account, micros| if row == of { micros } else { 0 };
    rows.iter().map(|row| side(&row.credit, row.amount_micros) - side(&row.debit, row.amount_micros)).sum()
}

async fn versions_of_plans_count_up_and_stay(store: &dyn Store) {
    assert!(store.add_plan(&plan("small", 1, 10, 5_000_000)).await.unwrap());
    assert!(!store.add_plan(&plan("small", 1, 11, 5_000_000)).await.unwrap(), "another was faster");
    assert!(!store.add_plan(&plan("small", 3, 11, 5_000_000)).await.unwrap());
    assert!(store.add_plan(&plan("large", 1, 40, 15_000_000)).await.unwrap());
    assert!(store.add_plan(&plan("small", 2, 12, 6_000_000)).await.unwrap());
    assert_eq!(
        store.plans().await.unwrap(),
        [plan("large", 1, 40, 15_000_000), plan("small", 2, 12, 6_000_000)]
    );
}

async fn included_hours_are_used_before_money_and_come_back_when_they_are_not_used(store: &dyn Store) {
    let node = enrol(store).await;
    account(store, 1, Some(20_000_000)).await;
    key(store, 1, 1, None).await;
    let small = plan("small", 1, 2, 5_000_000);
    store.add_plan(&small).await.unwrap();
    subscribed(store, &small, NOW).await;
    assert_eq!(subscribed(store, &small, NOW + 1).await.term.from_ms, NOW, "again changes nothing");
    assert_eq!(committed(store, 1, 1).await, (5_000_000, 0), "the fee is the account's, not the key's");
    for n in 0..3 {
        assert!(matches!(
            store.create_session(&request(node, n, Some((1, 1)))).await.unwrap(),
            Created::New(_)
        ));
    }
    assert_eq!(
        (left_us(store).await, committed(store, 1, 1).await.1),
        (0, HOUR_MICROS.into()),
        "the third is paid"
    );
    let late = NOW + 2 * 3_600_000;
    for (n, duration_us) in [(0, 60_000_000), (2, 60_000_000)] {
        let taken = store.take_receipt(&receipt(n, 0, ReceiptHash::ZERO, duration_us), late).await.unwrap();
        assert!(matches!(taken, Taken::Counted { .. }), "{taken:?}");
    }
    for n in 0..3 {
        store.end_session(session_id(n), EndReason::PlayerLeft, late).await.unwrap();
    }
    store.close_accounts(late + 48 * 3_600_000).await.unwrap();
    let cost = i128::from(HOUR_MICROS) * 60_000_000 / 3_600_000_000;
    assert_eq!(
        committed(store, 1, 1).await,
        (5_000_000 + cost, cost),
        "the first minute was included, the third's not"
    );
    let used_us = 2 * HOUR_US - left_us(store).await;
    // A micro-unit buys 2,916 µs: that much less than the minute may be given back as never used.
    assert!((60_000_000 - 2_917..=60_000_000).contains(&used_us), "{used_us}");
    assert_eq!(charged(store).await, [(ChargeKind::Covered, -cost), (ChargeKind::Fee, 5_000_000)]);
    assert_eq!(balance(store, &Account::Plans).await, 5_000_000 - cost);
    assert_eq!(audit(store).await.unwrap().leases, 3, "leases and their transfers are as ever");
}

async fn a_fee_that_the_allowance_does_not_hold_is_refused_and_a_month_ends_for_it(store: &dyn Store) {
    account(store, 1, Some(5_000_000)).await;
    let small = plan("small", 1, 2, 3_000_000);
    store.add_plan(&small).await.unwrap();
    store.add_plan(&plan("large", 1, 9, 5_000_001)).await.unwrap();
    let refused = store.subscribe(account_id(1), &plan("large", 1, 9, 5_000_001), NOW).await.unwrap();
    assert_eq!(refused, Subscribed::OverBudget);
    assert_eq!(store.subscription(account_id(1)).await.unwrap(), None);
    let row = subscribed(store, &small, NOW).await;
    assert_eq!(store.renew_subscriptions(row.term.to_ms - 1).await.unwrap(), 0, "not yet");
    assert_eq!(store.renew_subscriptions(row.term.to_ms).await.unwrap(), 1);
    assert_eq!(store.subscription(account_id(1)).await.unwrap(), None, "six euros are more than five");
    let row = store.account(account_id(1)).await.unwrap().unwrap();
    assert_eq!(row.purse.committed_micros, 3_000_000);
    assert_eq!(
        (balance(store, &Account::Plans).await, balance(store, &Account::Platform).await),
        (0, 3_000_000)
    );
}

async fn months_are_renewed_on_their_day_changed_by_the_share_of_time_and_cancelled(store: &dyn Store) {
    account(store, 1, None).await;
    let (small, large) = (plan("small", 1, 10, 9_000_000), plan("large", 1, 40, 31_000_001));
    store.add_plan(&small).await.unwrap();
    store.add_plan(&large).await.unwrap();
    let first = subscribed(store, &small, NOW).await.term;
    // Both months before are made up for; renewing again changes nothing.
    let late = first.to_ms + 40 * DAY_MS;
    assert_eq!(store.renew_subscriptions(late).await.unwrap(), 1);
    assert_eq!(store.renew_subscriptions(late).await.unwrap(), 0);
    let third = store.subscription(account_id(1)).await.unwrap().unwrap().term;
    assert_eq!((third.number, third.anchor_ms, third.included_us), (2, NOW, 10 * HOUR_US));
    assert!(third.from_ms <= late && late < third.to_ms);

    let middle = (third.from_ms + third.to_ms) / 2;
    let changed = subscribed(store, &large, middle).await;
    let halves = 9_000_000 - 4_500_000 + 31_000_001 - 15_500_000;
    assert_eq!((changed.term.fee_micros, changed.term.included_us), (halves, 25 * HOUR_US));
    let back = subscribed(store, &small, middle).await;
    assert_eq!(back.term, third, "back at once, as if it had never been changed");
    subscribed(store, &large, middle + 1).await;
    let cancelled = store.cancel_subscription(account_id(1)).await.unwrap().unwrap();
    assert!(
        cancelled.is_cancelled && !subscribed(store, &large, middle + 2).await.is_cancelled,
        "taken back"
    );
    store.cancel_subscription(account_id(1)).await.unwrap();
    assert_eq!(store.renew_subscriptions(third.to_ms).await.unwrap(), 1);
    assert_eq!(store.subscription(account_id(1)).await.unwrap(), None);
    assert_eq!(store.cancel_subscription(account_id(1)).await.unwrap(), None);

    let rows = store.charges(account_id(1), 0..u64::MAX, 100).await.unwrap();
    let paid: i128 = rows.iter().map(|row| row.due_micros()).sum();
    assert_eq!(store.account(account_id(1)).await.unwrap().unwrap().purse.committed_micros, paid);
    assert_eq!((balance(store, &Account::Plans).await, balance(store, &Account::Platform).await), (0, paid));
    assert!(rows.iter().any(|row| row.kind == ChargeKind::Change && row.due_micros() < 0), "{rows:?}");
    subscribed(store, &small, third.to_ms + 1).await;
    assert_eq!(left_us(store).await, 10 * HOUR_US, "and anew");
}

async fn what_plays_over_the_end_of_a_month_gives_nothing_to_the_next(store: &dyn Store) {
    let node = enrol(store).await;
    account(store, 1, Some(20_000_000)).await;
    key(store, 1, 1, None).await;
    let small = plan("small", 1, 1, 5_000_000);
    store.add_plan(&small).await.unwrap();
    let term = subscribed(store, &small, NOW).await.term;
    let mut playing = request(node, 0, Some((1, 1)));
    playing.now_ms = term.to_ms - 600_000;
    assert!(matches!(store.create_session(&playing).await.unwrap(), Created::New(_)));
    store.renew_subscriptions(term.to_ms).await.unwrap();
    assert_eq!(left_us(store).await, HOUR_US);
    let over = term.to_ms + 600_000;
    let played = receipt(0, 0, ReceiptHash::ZERO, 900_000_000);
    assert!(matches!(store.take_receipt(&played, over).await.unwrap(), Taken::Counted { .. }));
    store.end_session(session_id(0), EndReason::PlayerLeft, over).await.unwrap();
    store.close_accounts(over + 48 * 3_600_000).await.unwrap();
    assert_eq!(left_us(store).await, HOUR_US, "the new month is whole");
    assert_eq!(committed(store, 1, 1).await, (10_000_000, 0));
    let cost = i128::from(HOUR_MICROS) * 900 / 3_600;
    assert_eq!(charged(store).await.first(), Some(&(ChargeKind::Covered, -cost)));
    let platform = balance(store, &Account::Platform).await;
    assert_eq!(platform, 5_000_000 - cost, "the month that is over was the platform's already");
}

/// An hour and a half in one session, of which the month includes the hour; what was posted.
async fn half_paid(store: &dyn Store) -> i128 {
    let node = enrol(store).await;
    account(store, 1, Some(20_000_000)).await;
    key(store, 1, 1, None).await;
    let small = plan("small", 1, 1, 5_000_000);
    store.add_plan(&small).await.unwrap();
    subscribed(store, &small, NOW).await;
    let created = store.create_session(&request(node, 0, Some((1, 1)))).await.unwrap();
    assert!(matches!(created, Created::New(_)), "{created:?}");
    let first = receipt(0, 0, ReceiptHash::ZERO, HOUR_US);
    let second = receipt(0, 1, first.receipt.hash(), HOUR_US / 2);
    for (signed, at_ms) in [(&first, NOW + 3_600_000), (&second, NOW + 5_400_000)] {
        let taken = store.take_receipt(signed, at_ms).await.unwrap();
        assert!(matches!(taken, Taken::Counted { .. }), "{taken:?}");
    }
    store.end_session(session_id(0), EndReason::PlayerLeft, NOW + 5_400_000).await.unwrap();
    store.close_accounts(NOW + 48 * 3_600_000).await.unwrap();
    i128::from(HOUR_MICROS) * 3 / 2
}

/// Decides a dispute of that session; what was paid back of it in all.
async fn refund(store: &dyn Store, party: Party, refund_permille: u16, at_ms: u64) -> i128 {
    let id = DisputeId::from_bytes([party as u8; 16]);
    let row = DisputeRow {
        id,
        session: session_id(0),
        party,
        reason: "it froze".into(),
        evidence: String::new(),
        case: None,
        opened_at_ms: at_ms,
        settled: None,
    };
    store.open_dispute(&row).await.unwrap();
    let settling = Settling { refund_permille, note: "seen".into(), actor: Actor::Operator, at_ms };
    assert!(matches!(store.decide_dispute(id, &settling).await.unwrap(), Decided::Now(_)));
    let paid_back = store.corrections_of(session_id(0)).await.unwrap();
    let again = store.decide_dispute(id, &settling).await.unwrap();
    assert!(matches!(again, Decided::Again(_)), "{again:?}");
    paid_back.iter().map(|row| row.transfer.amount_micros).sum()
}

async fn a_refund_is_money_for_what_money_paid_and_time_for_what_was_included(store: &dyn Store) {
    let (posted, hour) = (half_paid(store).await, i128::from(HOUR_MICROS));
    let paid = posted - hour;
    assert_eq!(committed(store, 1, 1).await, (5_000_000 + paid, paid));
    assert_eq!(left_us(store).await, 0);
    for (party, permille) in [(Party::Player, 333), (Party::Studio, 500), (Party::Host, 1000)] {
        let back = refund(store, party, permille, NOW + 49 * 3_600_000).await;
        let own = back * paid / posted;
        assert_eq!(committed(store, 1, 1).await, (5_000_000 + paid - own, paid - own));
        let covered = hour - (back - own);
        let still = [(ChargeKind::Covered, -covered), (ChargeKind::Fee, 5_000_000)];
        assert_eq!(charged(store).await, still);
        assert_eq!(balance(store, &Account::Plans).await, 5_000_000 - covered);
        let time = i128::from(left_us(store).await);
        let exact = i128::from(HOUR_US) * (back - own) / hour;
        assert!((exact - 3..=exact).contains(&time), "{time} of {exact}");
    }
    assert_eq!(committed(store, 1, 1).await, (5_000_000, 0), "all of it came back");
    let term = store.subscription(account_id(1)).await.unwrap().unwrap().term;
    assert_eq!(term.covered_micros, 0);
    audit(store).await.unwrap();
}

async fn what_a_month_that_is_over_had_covered_is_no_money_and_no_time_of_the_next(store: &dyn Store) {
    let (posted, hour) = (half_paid(store).await, i128::from(HOUR_MICROS));
    let to_ms = store.subscription(account_id(1)).await.unwrap().unwrap().term.to_ms;
    store.renew_subscriptions(to_ms).await.unwrap();
    assert_eq!(refund(store, Party::Player, 1000, to_ms + 1).await, posted);
    assert_eq!(committed(store, 1, 1).await, (10_000_000, 0), "two fees");
    let term = store.subscription(account_id(1)).await.unwrap().unwrap().term;
    assert_eq!((term.used_us, term.covered_micros), (0, 0));
    assert_eq!(balance(store, &Account::Plans).await, 5_000_000, "the fee of the month that runs");
    let platform = balance(store, &Account::Platform).await;
    assert_eq!(platform, 5_000_000 - hour + hour, "what was left of the first, and what it had covered");
}

/// Hours that a month includes; as many sessions again begin at once.
const HOURS: u64 = 40;

async fn many_at_once(store: Arc<dyn Store>) {
    let node = enrol(store.as_ref()).await;
    account(store.as_ref(), 1, Some(HOUR_MICROS.into())).await;
    key(store.as_ref(), 1, 1, None).await;
    let plan = plan("small", 1, HOURS, 0);
    store.add_plan(&plan).await.unwrap();
    subscribed(store.as_ref(), &plan, NOW).await;
    let asked: Vec<_> = (0..2 * HOURS as u32)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                loop {
                    match store.create_session(&request(node, n, Some((1, 1)))).await {
                        Ok(created) => return matches!(created, Created::New(_)),
                        Err(StoreError::Database(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let mut begun = 0;
    for asked in asked {
        begun += u64::from(asked.await.unwrap());
    }
    assert_eq!((begun, left_us(store.as_ref()).await), (HOURS + 1, 0), "one more is paid with the allowance");
    assert_eq!(committed(store.as_ref(), 1, 1).await, (HOUR_MICROS.into(), HOUR_MICROS.into()));
    for n in 0..2 * HOURS as u32 {
        store.end_session(session_id(n), EndReason::PlayerLeft, NOW + 1).await.unwrap();
    }
    store.close_accounts(NOW + 48 * 3_600_000).await.unwrap();
    assert_eq!(
        (left_us(store.as_ref()).await, committed(store.as_ref(), 1, 1).await),
        (HOURS * HOUR_US, (0, 0))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_no_more_begin_than_a_month_includes() {
    many_at_once(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_sqlite_no_more_begin_than_a_month_includes() {
    let folder = tempfile::tempdir().unwrap();
    many_at_once(Arc::new(SqliteStore::open(&folder.path().join("db")).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_postgresql_no_more_begin_than_a_month_includes() {
    let server = postgres::Server::start().await;
    many_at_once(Arc::new(PostgresStore::open(&server.database("a").await).await.unwrap())).await;
}

contract! {
    versions_of_plans_count_up_and_stay
    included_hours_are_used_before_money_and_come_back_when_they_are_not_used
    a_fee_that_the_allowance_does_not_hold_is_refused_and_a_month_ends_for_it
    months_are_renewed_on_their_day_changed_by_the_share_of_time_and_cancelled
    what_plays_over_the_end_of_a_month_gives_nothing_to_the_next
    a_refund_is_money_for_what_money_paid_and_time_for_what_was_included
    what_a_month_that_is_over_had_covered_is_no_money_and_no_time_of_the_next
}

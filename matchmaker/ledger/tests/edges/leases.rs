//! A lease's receipts, what it sets aside and releases, and journals that cannot be.

use nearframe_ledger::chain::{DRIFT_DIVISOR, LATE_WINDOW_MS, SLACK_US};
use nearframe_ledger::meter::WITNESS_TOLERANCE_US;
use nearframe_ledger::settlement::{DAY_MS, DISPUTE_WINDOW_MS};
use nearframe_ledger::{
    Account, Bill, Chain, Imbalance, Kind, LeaseAccount, LedgerError, RESERVE_US, Refusal, Reservation,
    Tariff, Terms, Transfer, verify,
};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::{
    AccountId, Currency, Generation, LeaseId, NodeId, NodeKey, SessionId, TitleId, TransferId,
};

const START_MS: u64 = 1_000_000;

fn key() -> NodeKey {
    NodeKey::from_seed([1; 32])
}

fn terms() -> Terms {
    Terms {
        session: SessionId::from_bytes([3; 16]),
        generation: Generation(2),
        node_key: key().public(),
        player_key: key().public(),
        started_at_ms: START_MS,
        ended_at_ms: None,
    }
}

fn receipt(sequence: u32, previous: ReceiptHash, duration_us: u64) -> SignedReceipt {
    let receipt = Receipt {
        session: terms().session,
        generation: Generation(2),
        sequence,
        previous,
        duration_us,
        frames: 1,
        bytes: 1,
        encoder_us: 1,
        width: 2,
        height: 2,
        rtt_us: 0,
        packets_sent: 1,
        packets_lost: 0,
    };
    SignedReceipt::sign(&key(), receipt)
}

#[test]
fn the_times_that_are_promised_are_these() {
    assert_eq!((LATE_WINDOW_MS, SLACK_US, DRIFT_DIVISOR), (86_400_000, 2_000_000, 1_000));
    assert_eq!((RESERVE_US, WITNESS_TOLERANCE_US), (3_600_000_000, 12_000_000));
    assert_eq!((DAY_MS, DISPUTE_WINDOW_MS), (86_400_000, 259_200_000));
}

#[test]
fn a_lease_pays_for_its_time_a_thousandth_and_two_seconds() {
    let terms = terms();
    let running = |now_ms| terms.claimable_us(now_ms);
    assert_eq!(running(START_MS), SLACK_US);
    assert_eq!(running(START_MS - 5), SLACK_US, "a clock that went back");
    assert_eq!(running(START_MS + 10_000), 10_000_000 + 10_000 + SLACK_US);
    let ended = Terms { ended_at_ms: Some(START_MS + 7_000), ..terms.clone() };
    assert_eq!(ended.claimable_us(START_MS + 6_000), running(START_MS + 6_000));
    assert_eq!(ended.claimable_us(START_MS + 60_000), running(START_MS + 7_000));
    let most = running(START_MS + 10_000);
    let judge = |duration_us| {
        Chain::default().judge(&terms, &receipt(0, ReceiptHash::ZERO, duration_us), None, START_MS + 10_000)
    };
    assert!(judge(most).is_ok());
    let (claimed_us, lasted_us) = (most + 1, most);
    assert_eq!(judge(most + 1), Err(Refusal::TooLong { claimed_us, lasted_us }));
    assert!(matches!(judge(u64::MAX), Err(Refusal::TooLong { .. })));
}

#[test]
fn a_receipt_belongs_to_one_session_one_generation_and_one_place() {
    let first = receipt(0, ReceiptHash::ZERO, 1);
    let judge =
        |terms: &Terms, chain: &Chain, signed: &SignedReceipt| chain.judge(terms, signed, None, START_MS);
    let elsewhere = Terms { session: SessionId::from_bytes([4; 16]), ..terms() };
    assert_eq!(judge(&elsewhere, &Chain::default(), &first), Err(Refusal::WrongLease));
    let moved = Terms { generation: Generation(1), ..terms() };
    assert_eq!(judge(&moved, &Chain::default(), &first), Err(Refusal::WrongLease));
    let last = Chain { next_sequence: u32::MAX, ..Chain::default() };
    let at_the_end = receipt(u32::MAX, ReceiptHash::ZERO, 1);
    assert_eq!(judge(&terms(), &last, &at_the_end), Err(Refusal::Gap { expected: u32::MAX }));
    let full = Chain { claimed_us: u64::MAX, ..Chain::default() };
    assert!(matches!(judge(&terms(), &full, &first), Err(Refusal::TooLong { claimed_us: u64::MAX, .. })));
    let ended = Terms { ended_at_ms: Some(START_MS), ..terms() };
    let at = |ms| Chain::default().judge(&ended, &first, None, START_MS + ms).is_ok();
    assert!(at(LATE_WINDOW_MS) && !at(LATE_WINDOW_MS + 1));
}

fn account(payer: Option<AccountId>) -> LeaseAccount {
    LeaseAccount {
        lease: LeaseId::from_bytes([1; 16]),
        title: TitleId::new("meteor").unwrap(),
        payer,
        node: NodeId::from_bytes([2; 16]),
        tariff: Tariff {
            price_micros_per_hour: 1_000,
            fee_permille: 0,
            currency: Currency::new("EUR").unwrap(),
        },
    }
}

fn id() -> TransferId {
    TransferId::from_bytes([9; 16])
}

fn bill(host_micros: i128, platform_micros: i128) -> Bill {
    Bill { billed_us: 0, host_micros, platform_micros }
}

#[test]
fn more_is_set_aside_only_where_a_bill_needs_it_and_then_an_hour_or_what_is_missing() {
    let account = account(None);
    let post = |open, bill: Bill| {
        let reservation = Reservation { pending_micros: open, ..Reservation::default() };
        let rows = account.post(&reservation, &bill, 7, [id(); 3]).unwrap();
        rows.into_iter().map(|row| (row.kind, row.amount_micros, row.credit, row.key)).collect::<Vec<_>>()
    };
    let (host, lease) = (Account::Host(account.node), account.lease);
    let row = |kind, micros, credit: &Account, step: &str| {
        (kind, micros, credit.clone(), format!("{lease}:{step}:7"))
    };
    let paid = |micros, fee| {
        let rows =
            vec![row(Kind::Post, micros, &host, "host"), row(Kind::Post, fee, &Account::Platform, "fee")];
        rows.into_iter().filter(|row| row.1 > 0).collect::<Vec<_>>()
    };
    assert_eq!(post(10, bill(8, 2)), paid(8, 2), "what is there suffices to the last unit");
    assert_eq!(post(9, bill(8, 2)), [vec![row(Kind::Pending, 1_000, &host, "more")], paid(8, 2)].concat());
    assert_eq!(
        post(0, bill(5_000, 0)),
        [vec![row(Kind::Pending, 5_000, &host, "more")], paid(5_000, 0)].concat()
    );
    assert_eq!(post(0, bill(0, 0)), []);
}

#[test]
fn what_is_left_is_released_less_what_may_still_come() {
    let account = account(Some(AccountId::from_bytes([5; 16])));
    let release = |open: i128, claimable_us| {
        let reservation = Reservation { pending_micros: open + 3, posted_micros: 2, voided_micros: 1 };
        account.release(&reservation, claimable_us, "end", id()).unwrap()
    };
    assert_eq!(release(0, 0), None);
    let all = release(1, 0).unwrap();
    assert_eq!((all.kind, all.amount_micros), (Kind::Void, 1));
    assert_eq!(all.debit, Account::Customer(AccountId::from_bytes([5; 16])));
    assert_eq!(all.key, format!("{}:end", account.lease));
    // An hour may still cost 1,000, and one for the rounding.
    assert_eq!(release(1_001, 3_600_000_000), None);
    assert_eq!(release(1_002, 3_600_000_000).unwrap().amount_micros, 1);
}

fn transfer(kind: Kind, amount_micros: i128, step: &str) -> Transfer {
    let account = account(None);
    Transfer {
        id: id(),
        lease: account.lease,
        kind,
        debit: account.debtor(),
        credit: Account::Host(account.node),
        amount_micros,
        currency: account.tariff.currency,
        key: step.to_owned(),
    }
}

#[test]
fn a_journal_moves_what_was_set_aside_and_no_unit_more() {
    let pending = transfer(Kind::Pending, 10, "a");
    let balances =
        verify(&[pending.clone(), transfer(Kind::Post, 6, "b"), transfer(Kind::Void, 4, "c")]).unwrap();
    let studio = balances[&(pending.debit.clone(), "EUR".to_owned())];
    assert_eq!((studio.debits_micros, studio.credits_micros, studio.pending_micros), (6, 0, 0));
    let host = balances[&(pending.credit.clone(), "EUR".to_owned())];
    assert_eq!((host.debits_micros, host.credits_micros, host.pending_micros), (0, 6, 0));
    for last in [transfer(Kind::Post, 5, "c"), transfer(Kind::Void, 5, "c")] {
        let journal = [pending.clone(), transfer(Kind::Post, 6, "b"), last];
        assert_eq!(verify(&journal), Err(Imbalance::Overdrawn(pending.lease)));
    }
    let negative = verify(&[transfer(Kind::Pending, -1, "a")]);
    assert_eq!(negative, Err(Imbalance::Amount(LedgerError::Negative)));
    assert!(transfer(Kind::Pending, 0, "a").check().is_ok());
    let huge = [transfer(Kind::Pending, i128::MAX, "a"), transfer(Kind::Pending, 1, "b")];
    assert_eq!(verify(&huge), Err(Imbalance::Amount(LedgerError::Overflow)));
}

//! Stakes, rules, credits, reach and closed months on every store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod payers;
mod postgres;

use nearframe_ledger::Account;
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_ledger::settlement::Totals;
use nearframe_matchmaker::store::Store;
use nearframe_matchmaker::store::aside::{AsideRow, Feed};
use nearframe_matchmaker::store::service::{Closing, MonthRow, PaidRow, ReachRow, Reached};
use nearframe_matchmaker::store::stake::{CreditKind, CreditRow, NewCredit, RuleTable, RulesRow, StakeRow};
use nearframe_matchmaker::store::trust::{
    CaseBody, CaseRow, CaseVerdict, CorrectionRow, DisputeRow, Settling,
};
use nearframe_matchmaker::store::webhooks::EventRow;
use nearframe_protocol::account::Actor;
use nearframe_protocol::receipt::ReceiptHash;
use nearframe_protocol::trust::{Party, Verdict};
use nearframe_protocol::webhook::EventKind;
use nearframe_protocol::{CaseId, DisputeId, EndReason, EventId, MemberId, NodeId};
use nearframe_trust::fraud::{Grade, Kind};
use nearframe_trust::stake::{Deed, Entry, Source};
use nearframe_trust::witness::Witness;
use payers::{NOW, account, account_id, enrol, eur, receipt, request, session_id, title};
use std::ops::Range;

const NO_EVENT: Option<&EventRow> = None;

fn row(node: NodeId, number: u32, amount_micros: i128, deed: Deed) -> StakeRow {
    let by = Some(Actor::Member { id: MemberId::from_bytes([3; 16]) });
    let entry = Entry { number, at_ms: NOW + u64::from(number), amount_micros, deed, by };
    StakeRow { seq: 0, node, currency: eur(), entry }
}

fn earned() -> Deed {
    Deed::Posted { from: Source::Earnings }
}

fn deposited(reference: &str) -> Deed {
    Deed::Posted { from: Source::Deposit { reference: reference.into() } }
}

fn set_aside(case: CaseId) -> Deed {
    Deed::SetAside { case, kind: Kind::InflatedTime, rules: 1, takes_at_ms: NOW + 99 }
}

async fn case(store: &dyn Store, node: NodeId, n: u8, grade: Grade, verdict: Option<Verdict>) -> CaseId {
    let id = CaseId::from_random([n; 16]);
    let row = CaseRow {
        id,
        node,
        kind: Kind::InflatedTime,
        grade,
        body: CaseBody { witnesses: vec![Witness::Player, Witness::Checker], exhibits: vec![] },
        opened_at_ms: NOW,
        changed_at_ms: NOW,
        verdict: None,
    };
    assert!(store.add_case(&row).await.unwrap());
    if let Some(verdict) = verdict {
        let actor = Actor::Operator;
        let at_ms = NOW + u64::from(n);
        let verdict = CaseVerdict { verdict, reason: "seen".into(), actor, at_ms };
        store.decide_case(id, &verdict, &[]).await.unwrap();
    }
    id
}

fn credit(n: u8, debit: Account, credit: Account, amount_micros: i128) -> NewCredit {
    let row = CreditRow {
        seq: 0,
        kind: CreditKind::Slash,
        about: "case".into(),
        debit,
        credit,
        amount_micros,
        currency: eur(),
        key: format!("slash:{n}"),
        at_ms: NOW + u64::from(n),
    };
    NewCredit { row, shares: vec![] }
}

async fn an_entry_is_written_only_as_the_next_one_with_what_follows_from_it(store: &dyn Store) {
    let node = enrol(store).await;
    account(store, 1, None).await;
    let add = async |row: &StakeRow| store.add_stake_entry(row, &[], NO_EVENT).await.unwrap();
    assert!(!add(&row(node, 2, 5, earned())).await, "there is none before it");
    let first = row(node, 1, 1_000, earned());
    assert!(add(&first).await);
    assert!(!add(&row(node, 1, 7, earned())).await, "another was faster");
    let id = EventId::from_bytes([1; 16]);
    let (account, kind) = (account_id(1), EventKind::StakePending);
    let event = EventRow { id, account, kind, at_ms: NOW, body: "{}".into() };
    let payer = Account::Customer(account_id(1));
    let credits = [credit(1, Account::Platform, payer.clone(), 30)];
    let id = case(store, node, 1, Grade::Slash, None).await;
    let aside = row(node, 2, 400, set_aside(id));
    assert!(store.add_stake_entry(&aside, &credits, Some(&event)).await.unwrap());
    assert!(
        !store.add_stake_entry(&aside, &[credit(9, Account::Platform, payer, 1)], NO_EVENT).await.unwrap()
    );
    assert!(!add(&row(node, 3, 400, set_aside(id))).await, "once for each case");
    assert!(
        add(&row(node, 3, 0, Deed::Appealed { case: id, text: "no \"source\":\"earnings\"".into() })).await
    );
    let entries = store.stake_entries(Some(node)).await.unwrap();
    assert_eq!(
        entries.iter().map(|row| row.entry.clone()).collect::<Vec<_>>()[..2],
        [first.entry, aside.entry]
    );
    assert_eq!(store.stake_entries(None).await.unwrap(), entries);
    assert!(store.stake_entries(Some(NodeId::from_bytes([8; 16]))).await.unwrap().is_empty());
    assert_eq!(store.stake_entries_after(entries[0].seq, 1).await.unwrap(), entries[1..2]);
    let credits = store.credits_after(0, 9).await.unwrap();
    assert_eq!(credits.iter().map(|row| &*row.key).collect::<Vec<_>>(), ["slash:1"]);
}

async fn what_hosts_staked_of_their_earnings_and_bore_is_deducted_and_what_was_released_is_not(
    store: &dyn Store,
) {
    let node = enrol(store).await;
    let deeds = [
        (1_000, earned()),
        (500, deposited("bank \"source\":\"earnings\" 7")),
        (0, Deed::Noticed { releases_at_ms: NOW, rules: 1 }),
        (300, Deed::Released),
    ];
    let sums = |micros: i128| Totals::from([((node, eur()), micros)]);
    let expected = [sums(1_000), sums(1_000), sums(1_000), sums(700)];
    for ((number, (amount, deed)), deducted) in (1..).zip(deeds).zip(expected) {
        assert!(store.add_stake_entry(&row(node, number, amount, deed), &[], NO_EVENT).await.unwrap());
        assert_eq!(store.deducted(None).await.unwrap(), deducted, "after entry {number}");
    }
    let payer = Account::Studio(title());
    let credits = [
        credit(1, Account::Host(node), payer.clone(), 50),
        credit(2, Account::Platform, payer.clone(), 7),
        credit(2, Account::Platform, payer.clone(), 7),
    ];
    let all = row(node, 5, 1_200, Deed::Released);
    assert!(store.add_stake_entry(&all, &credits, NO_EVENT).await.unwrap());
    assert_eq!(store.deducted(None).await.unwrap(), sums(-450), "a deposit was released as well");
    assert_eq!(store.deducted(Some(&[node])).await.unwrap(), sums(-450));
    for others in [&[NodeId::from_bytes([8; 16])][..], &[]] {
        assert_eq!(store.deducted(Some(others)).await.unwrap(), Totals::new());
    }
    assert_eq!(store.released().await.unwrap(), sums(1_500));
    let theirs = async |accounts: &[Account], range: Range<u64>| {
        let rows = store.credits_to(accounts, range).await.unwrap();
        rows.into_iter().map(|row| row.amount_micros).collect::<Vec<_>>()
    };
    assert_eq!(theirs(std::slice::from_ref(&payer), NOW..NOW + 9).await, [50, 7]);
    assert_eq!(theirs(&[Account::Platform, payer], NOW + 2..NOW + 9).await, [7]);
    assert!(theirs(&[Account::Customer(account_id(1))], 0..u64::MAX).await.is_empty());
}

async fn upheld_cases_that_are_proved_wait_until_something_is_set_aside(store: &dyn Store) {
    let node = enrol(store).await;
    let proved = case(store, node, 3, Grade::Slash, Some(Verdict::Upheld)).await;
    case(store, node, 4, Grade::Review, Some(Verdict::Upheld)).await;
    case(store, node, 5, Grade::Slash, Some(Verdict::Dismissed)).await;
    case(store, node, 6, Grade::Slash, None).await;
    let waiting = store.unpunished().await.unwrap();
    assert_eq!(waiting.iter().map(|row| row.id).collect::<Vec<_>>(), [proved]);
    assert_eq!(store.case(proved).await.unwrap().as_ref(), waiting.first());
    assert_eq!(store.case(CaseId::from_random([99; 16])).await.unwrap(), None);
    assert!(store.add_stake_entry(&row(node, 1, 0, set_aside(proved)), &[], NO_EVENT).await.unwrap());
    assert!(store.unpunished().await.unwrap().is_empty());
}

async fn a_version_of_rules_stays_what_it_was(store: &dyn Store) {
    let row =
        |version, body: &str| RulesRow { version, body: body.into(), since_ms: NOW + u64::from(version) };
    let add = async |table, row| store.add_rules(table, &row).await.unwrap();
    assert_eq!(add(RuleTable::Stake, row(2, "b")).await, row(2, "b"));
    assert_eq!(add(RuleTable::Stake, row(1, "a")).await, row(1, "a"));
    assert_eq!(add(RuleTable::Stake, row(2, "c")).await, row(2, "b"), "the first stays");
    assert_eq!(add(RuleTable::Credit, row(2, "c")).await, row(2, "c"));
    assert_eq!(store.rule_tables(RuleTable::Stake).await.unwrap(), [row(1, "a"), row(2, "b")]);
}

async fn what_the_ledger_refuses_stands_until_it_is_taken(store: &dyn Store) {
    let row = |feed, seq: u64, at_ms| AsideRow {
        feed,
        seq,
        key: format!("{seq}"),
        debit: Account::Host(NodeId::from_bytes([8; 16])),
        credit: Account::Platform,
        amount_micros: 5,
        currency: eur(),
        reason: "not enough".into(),
        at_ms,
    };
    let rows =
        [row(Feed::Corrections, 7, NOW), row(Feed::Stakes, 2, NOW + 1), row(Feed::Stakes, 10, NOW + 1)];
    for row in rows.iter().rev() {
        assert!(store.set_aside(row).await.unwrap());
    }
    assert!(!store.set_aside(&row(Feed::Stakes, 2, NOW + 9)).await.unwrap(), "the first word stays");
    assert_eq!(store.asides(9).await.unwrap(), rows);
    assert_eq!(store.asides(1).await.unwrap(), rows[..1]);
    store.taken_up(Feed::Corrections, 7, NOW + 5).await.unwrap();
    store.taken_up(Feed::Credits, 2, NOW + 5).await.unwrap();
    assert_eq!(store.asides(9).await.unwrap(), rows[1..]);
    assert!(!store.set_aside(&rows[0]).await.unwrap(), "what was taken is not refused again");
    assert_eq!(store.asides(9).await.unwrap(), rows[1..]);
}

async fn what_is_reached_again_soon_was_so_without_a_break(store: &dyn Store) {
    let node = Reached::Node(enrol(store).await);
    let note = async |subjects: &[Reached], at| store.note_reached(subjects, NOW + at, 30).await.unwrap();
    note(&[Reached::Service, node], 0).await;
    note(&[Reached::Service, node], 20).await;
    note(&[Reached::Service], 40).await;
    note(&[node], 51).await;
    note(&[node], 45).await;
    note(&[node], 60).await;
    let reached = |subject, from, until| ReachRow { subject, time: NOW + from..NOW + until };
    let all = store.reached(0..u64::MAX).await.unwrap();
    assert_eq!(all, [reached(Reached::Service, 0, 40), reached(node, 0, 20), reached(node, 51, 60)]);
    let some = store.reached(NOW + 41..NOW + 52).await.unwrap();
    assert_eq!(some, [reached(node, 51, 60)]);
}

async fn what_was_paid_on_a_machine_is_known_by_payer_less_what_was_paid_back(store: &dyn Store) {
    let node = enrol(store).await;
    account(store, 1, None).await;
    payers::key(store, 1, 1, None).await;
    for (n, payer) in [(1, Some((1, 1))), (2, None), (3, None)] {
        let new = request(node, n, payer);
        store.create_session(&new).await.unwrap();
        if n < 3 {
            store.take_receipt(&receipt(n, 0, ReceiptHash::ZERO, 10_000_000), NOW + 20_000).await.unwrap();
        }
        store.end_session(session_id(n), EndReason::PlayerLeft, NOW + 20_000 + u64::from(n)).await.unwrap();
    }
    let rows = async |range: Range<u64>| store.paid_for(range).await.unwrap();
    let paid = |n, payer, paid_micros| {
        let lease = request(node, n, None).lease;
        PaidRow { lease, payer, node, currency: eur(), paid_micros }
    };
    let (customer, studio) = (Account::Customer(account_id(1)), Account::Studio(title()));
    let all = rows(NOW..NOW + 30_000).await;
    let micros = all[0].paid_micros;
    assert!(micros > 0);
    assert_eq!(
        all,
        [paid(1, customer.clone(), micros), paid(2, studio.clone(), micros)],
        "nothing was paid for the third"
    );
    assert_eq!(rows(NOW..NOW + 20_002).await, [paid(1, customer, micros)], "the second ended later");

    let dispute = DisputeRow {
        id: DisputeId::from_bytes([1; 16]),
        session: session_id(1),
        party: Party::Player,
        reason: "it froze".into(),
        evidence: String::new(),
        case: None,
        opened_at_ms: NOW,
        settled: None,
    };
    store.open_dispute(&dispute).await.unwrap();
    assert_eq!(store.undecided(NOW..NOW + 20_002).await.unwrap(), 1);
    assert_eq!(store.undecided(NOW + 20_002..NOW + 30_000).await.unwrap(), 0);
    store.close_accounts(NOW + 30_000 + LATE_WINDOW_MS).await.unwrap();
    let (note, actor) = ("all of it".to_owned(), Actor::Operator);
    let settling = Settling { refund_permille: 1000, note, actor, at_ms: NOW };
    store.decide_dispute(dispute.id, &settling).await.unwrap();
    assert_eq!(store.undecided(0..u64::MAX).await.unwrap(), 0);
    assert_eq!(rows(NOW..NOW + 30_000).await, [paid(2, studio, micros)], "nothing is left of the first");
}

async fn a_month_is_closed_once_with_its_credits(store: &dyn Store) {
    let closing = |body: &str, credits: [NewCredit; 1]| {
        let month = MonthRow { month: "2026-11".into(), body: body.into(), at_ms: NOW };
        Closing { month, ended: NOW..NOW + 1, paid: vec![], credits: credits.to_vec() }
    };
    let to = || Account::Studio(title());
    assert_eq!(store.month("2026-11").await.unwrap(), None);
    let first = closing("{}", [credit(1, Account::Platform, to(), 5)]);
    assert!(store.close_month(&first).await.unwrap());
    assert!(!store.close_month(&closing("[]", [credit(2, Account::Platform, to(), 6)])).await.unwrap());
    assert_eq!(store.month("2026-11").await.unwrap(), Some(first.month));
    assert_eq!(store.credits_after(0, 9).await.unwrap().len(), 1);
}

async fn what_a_month_credited_is_not_paid_back_again_and_a_month_knows_what_was(store: &dyn Store) {
    let node = enrol(store).await;
    account(store, 1, None).await;
    payers::key(store, 1, 1, None).await;
    store.create_session(&request(node, 1, Some((1, 1)))).await.unwrap();
    store.take_receipt(&receipt(1, 0, ReceiptHash::ZERO, 10_000_000), NOW + 20_000).await.unwrap();
    store.end_session(session_id(1), EndReason::PlayerLeft, NOW + 20_001).await.unwrap();
    store.close_accounts(NOW + 30_000 + LATE_WINDOW_MS).await.unwrap();
    let (ended, customer) = (NOW..NOW + 30_000, Account::Customer(account_id(1)));
    let [paid] = &store.paid_for(ended.clone()).await.unwrap()[..] else { panic!("one lease was paid for") };
    let all = paid.paid_micros;
    let closing = |body: &str, paid: &[PaidRow]| {
        let share = all / 4;
        let mut new = credit(1, Account::Platform, customer.clone(), share);
        new.shares = vec![(paid[0].lease, share)];
        let month = MonthRow { month: "2026-11".into(), body: body.into(), at_ms: NOW };
        Closing { month, ended: ended.clone(), paid: paid.to_vec(), credits: vec![new] }
    };
    let refund = async |n: u8, party: Party, refund_permille: u16| {
        let dispute = DisputeRow {
            id: DisputeId::from_bytes([n; 16]),
            session: session_id(1),
            party,
            reason: "it froze".into(),
            evidence: String::new(),
            case: None,
            opened_at_ms: NOW,
            settled: None,
        };
        store.open_dispute(&dispute).await.unwrap();
        let (note, actor) = ("n".to_owned(), Actor::Operator);
        let settling = Settling { refund_permille, note, actor, at_ms: NOW };
        store.decide_dispute(dispute.id, &settling).await.unwrap();
    };
    refund(1, Party::Player, 100).await;
    let stale = std::slice::from_ref(paid);
    assert!(!store.close_month(&closing("{}", stale)).await.unwrap(), "something was paid back since");
    assert_eq!(store.month("2026-11").await.unwrap(), None);
    let rows = store.paid_for(ended.clone()).await.unwrap();
    let left = rows[0].paid_micros;
    assert!(left < all && left * 10 >= all * 9, "{left} of {all}");
    assert!(store.close_month(&closing("{}", &rows)).await.unwrap());
    let credits = store.credits_of_session(session_id(1)).await.unwrap();
    assert_eq!(
        credits.iter().map(|it| (it.lease, it.row.amount_micros)).collect::<Vec<_>>(),
        [(paid.lease, all / 4)]
    );
    assert_eq!(store.credits_of_session(session_id(2)).await.unwrap(), []);
    assert_eq!(store.paid_for(ended.clone()).await.unwrap()[0].paid_micros, left - all / 4);

    refund(2, Party::Studio, 1000).await;
    let entries = store.corrections_of(session_id(1)).await.unwrap();
    let of = |account: &Account, side: fn(&CorrectionRow) -> &Account| -> i128 {
        entries.iter().filter(|row| side(row) == account).map(|row| row.transfer.amount_micros).sum()
    };
    let to = |account: &Account| of(account, |row| &row.transfer.credit);
    assert_eq!(to(&customer) + all / 4, all, "all of it, once");
    let posted = store.host_totals(u64::MAX, None).await.unwrap()[&(node, eur())];
    assert_eq!(of(&Account::Host(node), |row| &row.transfer.debit), posted, "the host keeps nothing");
    let platform = all - posted - of(&Account::Platform, |row| &row.transfer.debit) + to(&Account::Platform);
    assert_eq!(platform, all / 4, "the platform gets what it bore and no more");
    assert_eq!(store.paid_for(ended).await.unwrap(), []);
    let committed = store.account(account_id(1)).await.unwrap().unwrap().purse.committed_micros;
    assert_eq!(committed, all / 4, "what was paid back may be spent again");
}

contract! {
    an_entry_is_written_only_as_the_next_one_with_what_follows_from_it
    what_hosts_staked_of_their_earnings_and_bore_is_deducted_and_what_was_released_is_not
    upheld_cases_that_are_proved_wait_until_something_is_set_aside
    a_version_of_rules_stays_what_it_was
    what_is_reached_again_soon_was_so_without_a_break
    what_the_ledger_refuses_stands_until_it_is_taken
    what_was_paid_on_a_machine_is_known_by_payer_less_what_was_paid_back
    a_month_is_closed_once_with_its_credits
    what_a_month_credited_is_not_paid_back_again_and_a_month_knows_what_was
}

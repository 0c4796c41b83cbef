//! Trust on every store: what is held and why, disputes that are decided once and paid back exactly, cases, testimonies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod postgres;

use nearframe_ledger::Tariff;
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::settlement::{Epoch, Settlement, SignedRoot, Totals};
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::trust::{
    CaseBody, CaseRow, CaseVerdict, Decided, DisputeRow, HeldRow, Opened, Settling, Testimony, TestimonyKind,
    Trial,
};
use nearframe_matchmaker::store::{
    Admission, Created, MemoryStore, NewSession, Store, StoreError, Taken, TrustStore,
};
use nearframe_protocol::account::Actor;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::trust::{Party, Verdict, WithheldWhy};
use nearframe_protocol::{
    CaseId, Currency, DisputeId, EndReason, Generation, GuestId, LeaseId, NodeId, NodeKey, SessionId,
    TitleHash, TitleId,
};
use nearframe_trust::fraud::{Exhibit, Grade, Kind};
use nearframe_trust::service::Served;
use nearframe_trust::witness::Witness;
use std::collections::BTreeMap;

const NOW: u64 = 1_700_000_000_000;
/// Nobody is new.
const NO_TRIAL: Trial = Trial { enrolled_before_ms: u64::MAX, sessions: 0 };

fn currency() -> Currency {
    Currency::new("EUR").unwrap()
}
fn title() -> TitleId {
    TitleId::new("meteor").unwrap()
}
fn session(n: u8) -> SessionId {
    SessionId::from_random([n; 16])
}

async fn enrol(store: &dyn Store, n: u8) -> NodeId {
    store.add_enrolment([n; 32], NOW + 1).await.unwrap();
    let offer = NodeOffer {
        name: "node".into(),
        region: String::new(),
        slots: 9,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    };
    match store.admit_node(&NodeKey::from_seed([n; 32]).public(), Some([n; 32]), &offer, NOW).await.unwrap() {
        Admission::Admitted(node) => node,
        other => panic!("{other:?}"),
    }
}

fn new_session(node: NodeId, n: u8) -> NewSession {
    NewSession {
        id: session(n),
        guest: GuestId::from_random([n; 16]),
        guest_limit: 1,
        title: title(),
        title_hash: TitleHash::from_bytes([4; 32]),
        node,
        player_key: NodeKey::from_seed([9; 32]).public(),
        lease: LeaseId::from_random([n; 16]),
        tariff: Tariff { price_micros_per_hour: 3_600_000, fee_permille: 200, currency: currency() },
        basis: None,
        now_ms: NOW,
        idempotency: None,
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    }
}

/// Ten seconds, signed by the node with this key.
async fn receive(store: &dyn Store, session: SessionId, key: u8) {
    let receipt = Receipt {
        session,
        generation: Generation(0),
        sequence: 0,
        previous: ReceiptHash::ZERO,
        duration_us: 10_000_000,
        frames: 600,
        bytes: 1,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 0,
        packets_sent: 1,
        packets_lost: 0,
    };
    let signed = SignedReceipt::sign(&NodeKey::from_seed([key; 32]), receipt);
    let taken = store.take_receipt(&signed, NOW + 10_000).await.unwrap();
    assert!(matches!(taken, Taken::Counted { .. }), "{taken:?}");
}

/// Ten seconds of play, which cost 10,000 micro-units: 8,000 are the host's.
async fn play(store: &dyn Store, node: NodeId, key: u8, n: u8) {
    let new = new_session(node, n);
    assert!(matches!(store.create_session(&new).await.unwrap(), Created::New(_)));
    receive(store, new.id, key).await;
    store.end_session(new.id, EndReason::PlayerLeft, NOW + 10_000).await.unwrap();
}

fn dispute(n: u8, party: Party) -> DisputeRow {
    DisputeRow {
        id: DisputeId::from_random([100 + n + party as u8; 16]),
        session: session(n),
        party,
        reason: "it froze".into(),
        evidence: "12:05".into(),
        case: None,
        opened_at_ms: NOW + u64::from(n),
        settled: None,
    }
}

fn settling(refund_permille: u16) -> Settling {
    Settling { refund_permille, note: "seen".into(), actor: Actor::Operator, at_ms: NOW + 7 }
}

fn case(node: NodeId, n: u8, grade: Grade) -> CaseRow {
    let exhibit = Exhibit { session: Some(session(1)), what: "it claims too much".into() };
    CaseRow {
        id: CaseId::from_random([n; 16]),
        node,
        kind: Kind::InflatedTime,
        grade,
        body: CaseBody { witnesses: vec![Witness::Lease, Witness::Player], exhibits: vec![exhibit] },
        opened_at_ms: NOW + u64::from(n),
        changed_at_ms: NOW + u64::from(n),
        verdict: None,
    }
}

fn verdict(verdict: Verdict) -> CaseVerdict {
    CaseVerdict { verdict, reason: "looked at".into(), actor: Actor::Operator, at_ms: NOW + 9 }
}

async fn held(store: &dyn Store, trial: Trial) -> Vec<(NodeId, WithheldWhy, i128)> {
    let rows = store.held_earnings(u64::MAX, trial, None).await.unwrap();
    assert!(rows.iter().all(|row: &HeldRow| row.currency == currency()));
    rows.into_iter().map(|row| (row.host, row.why, row.amount_micros)).collect()
}

async fn earnings_of_new_disputed_and_suspected_nodes_are_held_for_one_reason_each(store: &dyn Store) {
    let (one, other) = (enrol(store, 1).await, enrol(store, 2).await);
    play(store, one, 1, 1).await;
    play(store, one, 1, 2).await;
    play(store, other, 2, 3).await;
    assert!(held(store, NO_TRIAL).await.is_empty());
    let few = Trial { sessions: 2, ..NO_TRIAL };
    assert_eq!(held(store, few).await, [(other, WithheldWhy::NewHost, 8_000)], "one session has ended on it");
    let young = Trial { enrolled_before_ms: NOW - 1, sessions: 0 };
    assert_eq!(held(store, young).await.len(), 2);
    store.open_dispute(&dispute(1, Party::Player)).await.unwrap();
    assert_eq!(held(store, NO_TRIAL).await, [(one, WithheldWhy::Disputed, 8_000)]);
    assert!(store.add_case(&case(one, 1, Grade::Review)).await.unwrap());
    let both = [(one, WithheldWhy::Disputed, 8_000), (one, WithheldWhy::UnderReview, 8_000)];
    assert_eq!(held(store, NO_TRIAL).await, both, "the disputed session counts once");
    let before = store.held_earnings(NOW + 10_000, NO_TRIAL, None).await.unwrap();
    assert!(before.is_empty(), "nothing was posted before that");
}

async fn a_dispute_is_opened_once_by_each_party_and_decided_once(store: &dyn Store) {
    let node = enrol(store, 1).await;
    play(store, node, 1, 1).await;
    let mine = dispute(1, Party::Player);
    assert_eq!(store.open_dispute(&mine).await.unwrap(), Opened::Now(mine.clone()));
    let again = DisputeRow { id: DisputeId::from_random([9; 16]), reason: "more".into(), ..mine.clone() };
    assert_eq!(store.open_dispute(&again).await.unwrap(), Opened::Again(mine.clone()));
    let hosts = dispute(1, Party::Host);
    assert!(matches!(store.open_dispute(&hosts).await.unwrap(), Opened::Now(_)));
    assert_eq!(store.disputes_of(session(1)).await.unwrap().len(), 2);
    assert_eq!(store.disputes(true, None, 1).await.unwrap().len(), 1);
    let decide = async |id, permille| store.decide_dispute(id, &settling(permille)).await.unwrap();
    let ends = NOW + 10_000 + LATE_WINDOW_MS;
    assert_eq!(decide(mine.id, 500).await, Decided::TooEarly(ends), "receipts may still come");
    assert_eq!(store.close_accounts(ends + 1).await.unwrap(), 1);
    let settled = DisputeRow { settled: Some(settling(500)), ..mine.clone() };
    assert_eq!(decide(mine.id, 500).await, Decided::Now(settled.clone()));
    assert_eq!(decide(mine.id, 500).await, Decided::Again(settled.clone()));
    assert_eq!(decide(mine.id, 0).await, Decided::Otherwise(settled.clone()));
    assert_eq!(decide(DisputeId::from_random([77; 16]), 0).await, Decided::Unknown);
    assert_eq!(store.disputes(true, None, 9).await.unwrap(), std::slice::from_ref(&hosts));
    let all = store.disputes(false, None, 9).await.unwrap();
    assert_eq!((all.len(), all.contains(&settled)), (2, true));
    assert_eq!(store.disputes(false, Some(all[0].id), 9).await.unwrap(), all[1..]);
}

async fn what_is_paid_back_is_exact_frees_the_budget_and_leaves_the_journal_as_it_was(store: &dyn Store) {
    let node = enrol(store, 1).await;
    play(store, node, 1, 1).await;
    store.close_accounts(NOW + 10_000 + LATE_WINDOW_MS + 1).await.unwrap();
    let committed = async || {
        let rows = store.budgets().await.unwrap();
        rows.iter().find(|row| row.title == title()).map_or(0, |row| row.committed.amount_micros)
    };
    assert_eq!(committed().await, 10_000);
    let journal = store.journal().await.unwrap();
    for (party, permille, back) in [(Party::Player, 333, 2_664), (Party::Studio, 1000, 8_000)] {
        let row = dispute(1, party);
        store.open_dispute(&row).await.unwrap();
        store.decide_dispute(row.id, &settling(permille)).await.unwrap();
        assert_eq!(store.corrected(None).await.unwrap(), Totals::from([((node, currency()), back)]));
    }
    assert_eq!(committed().await, 0, "what was paid back may be spent again");
    let entries = store.corrections_of(session(1)).await.unwrap();
    assert_eq!(entries.iter().map(|row| row.transfer.amount_micros).sum::<i128>(), 10_000);
    assert!(entries.iter().all(|row| row.transfer.credit.to_string() == "studio:meteor"));
    let after = store.corrections_after(0, 9).await.unwrap();
    assert_eq!(after.len(), 4);
    assert_eq!(store.corrections_after(after[1].seq, 9).await.unwrap(), after[2..]);
    assert_eq!(store.journal().await.unwrap(), journal);
    audit(store).await.unwrap();
    assert!(held(store, NO_TRIAL).await.is_empty(), "both are decided");
}

async fn sums_of_hosts_that_are_named_are_theirs_alone(store: &dyn Store) {
    let nodes = [enrol(store, 1).await, enrol(store, 2).await, enrol(store, 3).await];
    for n in [1, 2] {
        play(store, nodes[usize::from(n) - 1], n, n).await;
    }
    store.close_accounts(NOW + 10_000 + LATE_WINDOW_MS + 1).await.unwrap();
    for n in [1, 2] {
        let row = dispute(n, Party::Player);
        store.open_dispute(&row).await.unwrap();
        store.decide_dispute(row.id, &settling(100 * u16::from(n))).await.unwrap();
        let open = DisputeRow { id: DisputeId::from_random([n; 16]), ..dispute(n, Party::Studio) };
        store.open_dispute(&open).await.unwrap();
    }
    let [one, two, none] = nodes;
    let sums = |rows: &[(NodeId, i128)]| -> Totals {
        rows.iter().map(|(node, micros)| ((*node, currency()), *micros)).collect()
    };
    let withheld = sums(&[(one, 3), (two, 4)]);
    let settlement = Settlement { epoch: Some(Epoch(5)), totals: withheld.clone(), held: BTreeMap::new() };
    let root = SignedRoot::sign(&settlement, Hash32::default(), &NodeKey::from_seed([5; 32])).unwrap();
    store.settle(&root, &withheld).await.unwrap();
    let asked: [(Option<&[NodeId]>, &[u8]); 5] = [
        (None, &[1, 2]),
        (Some(&[one]), &[1]),
        (Some(&[none, two]), &[2]),
        (Some(&[none]), &[]),
        (Some(&[]), &[]),
    ];
    for (among, expected) in asked {
        let of = |micros: fn(i128) -> i128| {
            let rows: Vec<_> =
                expected.iter().map(|n| (nodes[usize::from(*n) - 1], micros((*n).into()))).collect();
            sums(&rows)
        };
        assert_eq!(store.corrected(among).await.unwrap(), of(|n| 800 * n), "{among:?}");
        assert_eq!(store.withheld(5, among).await.unwrap(), of(|n| n + 2), "{among:?}");
        let rows = store.held_earnings(u64::MAX, NO_TRIAL, among).await.unwrap();
        let held: Totals =
            rows.into_iter().map(|row| ((row.host, row.currency), row.amount_micros)).collect();
        assert_eq!(held, of(|_| 8_000), "{among:?}");
    }
}

async fn a_case_grows_while_it_is_open_and_upholding_it_opens_its_disputes_once(store: &dyn Store) {
    let node = enrol(store, 1).await;
    play(store, node, 1, 1).await;
    assert!(store.add_case(&case(node, 1, Grade::Review)).await.unwrap());
    assert!(!store.add_case(&case(node, 1, Grade::Slash)).await.unwrap());
    assert!(!store.add_case(&case(node, 1, Grade::Review)).await.unwrap());
    assert_eq!(store.cases(true, None, 9).await.unwrap()[0].grade, Grade::Slash, "it never gets weaker");
    assert!(store.add_case(&case(node, 2, Grade::Review)).await.unwrap());
    let ids = async |open, after| {
        let rows = store.cases(open, after, 9).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let [one, two] = [1, 2].map(|n| CaseId::from_random([n; 16]));
    assert_eq!(ids(true, None).await, [two, one]);
    assert_eq!(ids(true, Some(two)).await, [one]);
    let opening = [DisputeRow { case: Some(one), ..dispute(1, Party::Operator) }];
    let decide = async |id, way| store.decide_case(id, &verdict(way), &opening).await.unwrap();
    assert!(matches!(decide(one, Verdict::Upheld).await, Decided::Now(_)));
    assert!(matches!(decide(one, Verdict::Upheld).await, Decided::Again(_)));
    assert!(matches!(decide(one, Verdict::Dismissed).await, Decided::Otherwise(_)));
    assert_eq!(decide(CaseId::from_random([9; 16]), Verdict::Upheld).await, Decided::Unknown);
    assert_eq!(store.disputes_of(session(1)).await.unwrap(), opening);
    assert!(!store.add_case(&case(node, 1, Grade::Slash)).await.unwrap(), "it was decided");
    assert_eq!((ids(true, None).await, ids(false, None).await), (vec![two], vec![two, one]));
}

async fn a_root_is_kept_with_what_is_not_in_it_and_the_first_of_an_epoch_stays(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let totals = |micros| Totals::from([((node, currency()), micros)]);
    let root = |epoch, micros| {
        let settlement =
            Settlement { epoch: Some(Epoch(epoch)), totals: totals(micros), held: BTreeMap::new() };
        SignedRoot::sign(&settlement, Hash32::default(), &NodeKey::from_seed([5; 32])).unwrap()
    };
    store.settle(&root(5, 10), &totals(3)).await.unwrap();
    store.settle(&root(5, 11), &totals(2)).await.unwrap();
    assert_eq!(store.withheld(5, None).await.unwrap(), totals(3));
    store.settle(&root(6, 13), &Totals::new()).await.unwrap();
    assert!(store.withheld(6, None).await.unwrap().is_empty());
    assert_eq!(store.last_settlement().await.unwrap(), Some(root(6, 13)));
}

async fn lost_sessions_are_counted_in_the_month_in_which_they_ended(store: &dyn Store) {
    let (one, other) = (enrol(store, 1).await, enrol(store, 2).await);
    play(store, one, 1, 1).await;
    play(store, other, 2, 2).await;
    let idle = new_session(one, 3);
    assert!(matches!(store.create_session(&idle).await.unwrap(), Created::New(_)));
    store.end_session(idle.id, EndReason::NodeLost, NOW + 10_000).await.unwrap();
    let lost = new_session(one, 4);
    assert!(matches!(store.create_session(&lost).await.unwrap(), Created::New(_)));
    receive(store, lost.id, 1).await;
    store.end_session(lost.id, EndReason::NodeLost, NOW + 10_001).await.unwrap();
    let mut rows = store.served(NOW..NOW + 20_000).await.unwrap();
    rows.sort_by_key(|row| row.node != one);
    let served: Vec<_> = rows.iter().map(|row| (row.node, row.served)).collect();
    let of = |sessions, lost, served_us| Served { sessions, lost, served_us };
    assert_eq!(served, [(one, of(2, 1, 20_000_000)), (other, of(1, 0, 10_000_000))]);
    assert_eq!(store.served(NOW..NOW + 10_001).await.unwrap().len(), 2, "the lost one ended later");
    assert!(store.served(0..NOW).await.unwrap().is_empty());
}

async fn the_newest_testimony_of_a_kind_about_a_subject_stays_until_it_is_old(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let said = |kind, subject, at_ms, body: &str| Testimony {
        kind,
        subject: [subject; 16],
        node,
        at_ms,
        body: body.into(),
    };
    let all = [
        said(TestimonyKind::Page, 1, NOW, "1"),
        said(TestimonyKind::Page, 1, NOW + 5, "2"),
        said(TestimonyKind::Link, 1, NOW + 1, "3"),
        said(TestimonyKind::Refused, 2, NOW + 2, "4"),
    ];
    for said in &all {
        store.testify(said).await.unwrap();
    }
    let bodies = async |since| {
        let rows = store.testimonies(since).await.unwrap();
        rows.into_iter().map(|said| said.body).collect::<Vec<_>>()
    };
    assert_eq!(bodies(NOW).await, ["3", "2", "4"]);
    assert_eq!(bodies(NOW + 2).await, ["2", "4"]);
    store.forget_testimonies(NOW + 3).await.unwrap();
    assert_eq!(bodies(0).await, ["2"]);
    play(store, node, 1, 1).await;
    let [row] = &store.played(NOW, 9).await.unwrap()[..] else { panic!("one session was played") };
    assert_eq!((row.session, row.node, row.receipts.len()), (session(1), node, 1));
    assert!(store.played(NOW + 1, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_crash_before_the_commit_of_a_decision_leaves_nothing_of_it() {
    let store = MemoryStore::new();
    let node = enrol(&store, 1).await;
    play(&store, node, 1, 1).await;
    store.close_accounts(NOW + 10_000 + LATE_WINDOW_MS + 1).await.unwrap();
    let row = dispute(1, Party::Player);
    store.open_dispute(&row).await.unwrap();
    store.crash_after(0);
    let crashed = store.decide_dispute(row.id, &settling(1000)).await;
    assert!(matches!(crashed, Err(StoreError::Crashed)));
    assert!(store.corrected(None).await.unwrap().is_empty());
    assert_eq!(held(&store, NO_TRIAL).await, [(node, WithheldWhy::Disputed, 8_000)]);
    assert!(matches!(store.decide_dispute(row.id, &settling(1000)).await.unwrap(), Decided::Now(_)));
    assert_eq!(store.corrected(None).await.unwrap()[&(node, currency())], 8_000);
}

contract! {
    sums_of_hosts_that_are_named_are_theirs_alone
    earnings_of_new_disputed_and_suspected_nodes_are_held_for_one_reason_each
    a_dispute_is_opened_once_by_each_party_and_decided_once
    what_is_paid_back_is_exact_frees_the_budget_and_leaves_the_journal_as_it_was
    a_case_grows_while_it_is_open_and_upholding_it_opens_its_disputes_once
    a_root_is_kept_with_what_is_not_in_it_and_the_first_of_an_epoch_stays
    lost_sessions_are_counted_in_the_month_in_which_they_ended
    the_newest_testimony_of_a_kind_about_a_subject_stays_until_it_is_old
}

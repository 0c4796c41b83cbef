//! Checkers, reports and the draw, on every store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod postgres;

use nearframe_ledger::Tariff;
use nearframe_matchmaker::store::checks::{DayRow, Filed, Take};
use nearframe_matchmaker::store::{Admission, Created, NewSession, Store};
use nearframe_protocol::check::draw::{Audit, Rules, Seed};
use nearframe_protocol::check::{CheckReport, SignedCheck, Verdict};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{
    Currency, GuestId, LeaseId, NodeId, NodeKey, PublicKey, SessionId, TitleHash, TitleId,
};

const NOW: u64 = 1_700_000_000_000;
const AUDIT: Audit = Audit { day: 19_675, hour: 3 };

fn key(n: u8) -> NodeKey {
    NodeKey::from_seed([n; 32])
}

/// A node, enrolled at this time.
async fn node(store: &dyn Store, n: u8, now_ms: u64) -> NodeId {
    let offer = NodeOffer {
        name: format!("node {n}"),
        region: String::new(),
        slots: 8,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    };
    store.add_enrolment([n; 32], u64::MAX).await.unwrap();
    let admission = store.admit_node(&key(n).public(), Some([n; 32]), &offer, now_ms).await.unwrap();
    let Admission::Admitted(id) = admission else { panic!("{admission:?}") };
    id
}

async fn session(store: &dyn Store, node: NodeId, n: u8) -> SessionId {
    let tariff =
        Tariff { price_micros_per_hour: 0, fee_permille: 0, currency: Currency::new("EUR").unwrap() };
    let new = NewSession {
        id: SessionId::from_bytes([n; 16]),
        guest: GuestId::from_bytes([n; 16]),
        guest_limit: 8,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([0; 32]),
        node,
        player_key: key(1).public(),
        lease: LeaseId::from_bytes([n; 16]),
        tariff,
        basis: None,
        now_ms: NOW,
        idempotency: None,
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    };
    assert!(matches!(store.create_session(&new).await.unwrap(), Created::New(_)));
    new.id
}

fn report(checker: &NodeKey, node: NodeId, session: SessionId, audit: Option<Audit>) -> SignedCheck {
    let report = CheckReport {
        checker: checker.public(),
        node,
        session,
        audit,
        verdict: Verdict::Passed,
        findings: vec![],
        started_at_ms: NOW,
        played_ms: 1,
        connect_ms: 2,
        first_frame_ms: 3,
        challenge_us: 4,
        rtt_us: 5,
        width: 6,
        height: 7,
        frames: 8,
        age_p50_us: 9,
        age_p95_us: 10,
        freezes: 11,
        frozen_ms: 12,
        bytes: 13,
        packets: 14,
        lost: 15,
        receipts: 16,
        refused: 17,
        claimed_frames: 18,
        claimed_bytes: 19,
        claimed_us: 20,
    };
    SignedCheck::sign(checker, report)
}

async fn a_report_counts_once_and_only_of_an_enrolled_checker(store: &dyn Store) {
    let at = node(store, 1, NOW).await;
    let (first, second) = (session(store, at, 1).await, session(store, at, 2).await);
    let checker = key(50);
    let file = async |check: &SignedCheck, now| store.file_check(check, now).await.unwrap();
    let check = report(&checker, at, first, None);
    assert_eq!(file(&check, NOW).await, Filed::Refused, "nobody knows it");
    assert!(store.enrol_checker(&checker.public(), "attic", NOW).await.unwrap());
    assert_eq!(file(&check, NOW + 1).await, Filed::New);
    assert_eq!(file(&check, NOW + 2).await, Filed::Again);
    let other = SignedCheck::sign(&checker, CheckReport { frames: 99, ..check.report.clone() });
    assert_eq!(file(&other, NOW + 3).await, Filed::Other);
    let later = report(&checker, at, second, None);
    assert_eq!(file(&later, NOW + 4).await, Filed::New);
    let since = store.checks_since(NOW, 10).await.unwrap();
    assert_eq!(since.iter().map(|row| &row.check).collect::<Vec<_>>(), [&check, &later]);
    assert_eq!(store.checks_since(NOW + 2, 10).await.unwrap().len(), 1);
    assert_eq!(store.checks_since(NOW, 1).await.unwrap().len(), 1);
    assert!(store.revoke_checker(&checker.public(), NOW + 5).await.unwrap());
    let late = report(&checker, at, session(store, at, 3).await, None);
    assert_eq!(file(&late, NOW + 6).await, Filed::Refused);

    let filed = store.checks_of(at, 10).await.unwrap();
    let all: Vec<_> = filed.iter().map(|row| (&row.check, row.filed_at_ms, &*row.checker_name)).collect();
    assert_eq!(all, [(&later, NOW + 4, "attic"), (&check, NOW + 1, "attic")]);
    assert_eq!(store.checks_of(at, 1).await.unwrap().len(), 1);
    assert!(store.checks_since(NOW, 10).await.unwrap().is_empty(), "its reports count no more");
    assert!(store.checks_of(node(store, 2, NOW).await, 10).await.unwrap().is_empty());
}

async fn a_checker_that_was_revoked_stays_so(store: &dyn Store) {
    let (one, other) = (key(60).public(), key(61).public());
    assert!(store.enrol_checker(&one, "b", NOW).await.unwrap());
    assert!(store.enrol_checker(&other, "a", NOW + 1).await.unwrap());
    assert!(store.enrol_checker(&one, "c", NOW + 2).await.unwrap(), "another name");
    assert!(store.revoke_checker(&one, NOW + 3).await.unwrap());
    assert!(store.revoke_checker(&one, NOW + 9).await.unwrap());
    assert!(!store.revoke_checker(&key(62).public(), NOW).await.unwrap());
    assert!(!store.enrol_checker(&one, "d", NOW + 10).await.unwrap());
    let rows = store.checkers().await.unwrap();
    let told: Vec<(PublicKey, &str, u64, Option<u64>)> =
        rows.iter().map(|row| (row.key, &*row.name, row.enrolled_at_ms, row.revoked_at_ms)).collect();
    assert_eq!(told, [(other, "a", NOW + 1, None), (one, "c", NOW, Some(NOW + 3))]);
    assert_eq!(store.checker(&one).await.unwrap().as_ref(), Some(&rows[1]));
    assert_eq!(store.checker(&key(62).public()).await.unwrap(), None);
}

async fn a_day_keeps_its_first_seed_and_rules(store: &dyn Store) {
    let row =
        |day: u32, seed: u8| DayRow { day, seed: Seed::from_bytes([seed; 32]), rules: Rules::default() };
    let first = store.check_day(&row(9, 1)).await.unwrap();
    let rules = Rules { per_day: 7, ..Rules::default() };
    assert_eq!(store.check_day(&DayRow { rules, ..row(9, 2) }).await.unwrap(), first);
    store.check_day(&row(8, 3)).await.unwrap();
    store.check_day(&row(10, 4)).await.unwrap();
    let days = async |before, limit| -> Vec<u32> {
        store.check_days(before, limit).await.unwrap().iter().map(|row| row.day).collect()
    };
    assert_eq!(days(10, 9).await, [9, 8]);
    assert_eq!(days(10, 1).await, [9]);
    assert!(days(8, 9).await.is_empty());
}

async fn an_audit_is_one_checkers_until_it_is_done_or_given_up(store: &dyn Store) {
    let at = node(store, 1, NOW).await;
    assert_eq!(store.enrolled().await.unwrap(), [(at, NOW)]);
    let (one, other) = (key(70), key(71));
    for checker in [&one, &other] {
        assert!(store.enrol_checker(&checker.public(), "c", NOW).await.unwrap());
    }
    let take = |checker: &NodeKey, now_ms| Take {
        audit: AUDIT,
        node: at,
        checker: checker.public(),
        now_ms,
        stale_before_ms: now_ms - 100,
    };
    assert!(store.take_audit(&take(&one, NOW)).await.unwrap());
    assert!(!store.take_audit(&take(&other, NOW + 100)).await.unwrap(), "it is under way");
    assert_eq!(store.closed_audits(AUDIT.day, NOW).await.unwrap(), [(AUDIT, at)]);
    assert!(store.closed_audits(AUDIT.day, NOW + 1).await.unwrap().is_empty(), "given up");
    assert!(store.take_audit(&take(&other, NOW + 101)).await.unwrap());
    // The first comes back late: its report counts, but the audit is the other's.
    let late = report(&one, at, session(store, at, 1).await, Some(AUDIT));
    assert_eq!(store.file_check(&late, NOW + 150).await.unwrap(), Filed::New);
    assert!(store.closed_audits(AUDIT.day, NOW + 300).await.unwrap().is_empty());
    let done = report(&other, at, session(store, at, 2).await, Some(AUDIT));
    assert_eq!(store.file_check(&done, NOW + 160).await.unwrap(), Filed::New);
    assert_eq!(store.closed_audits(AUDIT.day, NOW + 300).await.unwrap(), [(AUDIT, at)]);
    assert!(store.closed_audits(AUDIT.day + 1, 0).await.unwrap().is_empty());
    assert!(!store.take_audit(&take(&one, NOW + 10_000)).await.unwrap(), "it is done");
}

contract! {
    a_report_counts_once_and_only_of_an_enrolled_checker
    a_checker_that_was_revoked_stays_so
    a_day_keeps_its_first_seed_and_rules
    an_audit_is_one_checkers_until_it_is_done_or_given_up
}

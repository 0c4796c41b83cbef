//! Earnings, totals, roots and proofs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_ledger::books::Key;
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::settlement::{
    Earning, Epoch, PayoutProof, ProofError, Settlement, SettlementError, SignedRoot,
};
use nearframe_protocol::{Currency, LeaseId, NodeId, NodeKey};
use proptest::prelude::*;
use std::collections::BTreeSet;

const DAY: Epoch = Epoch(20_000);

fn eur() -> Currency {
    Currency::new("EUR").unwrap()
}

fn host(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn earning(n: u32, host_no: u8, amount_micros: i128, day: Epoch, lease: u8) -> Earning {
    Earning {
        key: Key::of(&format!("earning {n}")),
        host: host(host_no),
        currency: eur(),
        amount_micros,
        at_ms: day.begins_at_ms() + u64::from(n),
        lease: LeaseId::from_bytes([lease; 16]),
    }
}

fn settle(before: &Settlement, day: Epoch, earnings: Vec<Earning>, disputed: &[u8]) -> Settlement {
    let disputed: BTreeSet<LeaseId> = disputed.iter().map(|n| LeaseId::from_bytes([*n; 16])).collect();
    before.settle(day, earnings, &disputed, day.settles_at_ms()).unwrap()
}

fn total(settlement: &Settlement, host_no: u8) -> i128 {
    settlement.totals.get(&(host(host_no), eur())).copied().unwrap_or(0)
}

#[test]
fn totals_grow_from_epoch_to_epoch_and_a_missed_one_is_harmless() {
    let first = settle(&Settlement::default(), DAY, vec![earning(1, 1, 100, DAY, 1)], &[]);
    let third = Epoch(DAY.0 + 2);
    let meanwhile = vec![earning(2, 1, 10, Epoch(DAY.0 + 1), 1), earning(3, 2, 5, third, 1)];
    let last = settle(&first, third, meanwhile, &[]);
    assert_eq!((total(&last, 1), total(&last, 2)), (110, 5));
}

#[test]
fn what_is_disputed_is_held_until_it_is_decided() {
    let first =
        settle(&Settlement::default(), DAY, vec![earning(1, 1, 100, DAY, 1), earning(2, 1, 7, DAY, 2)], &[2]);
    assert_eq!((total(&first, 1), first.held.len()), (100, 1));
    let still = settle(&first, Epoch(DAY.0 + 1), vec![], &[2]);
    assert_eq!((total(&still, 1), still.held.len()), (100, 1));
    let decided = settle(&still, Epoch(DAY.0 + 2), vec![], &[]);
    assert_eq!((total(&decided, 1), decided.held.len()), (107, 0));
}

#[test]
fn nothing_is_settled_early_twice_or_out_of_its_time() {
    let none = BTreeSet::new();
    let early = Settlement::default().settle(DAY, vec![], &none, DAY.settles_at_ms() - 1);
    assert_eq!(early, Err(SettlementError::TooEarly { epoch: DAY }));
    let first = settle(&Settlement::default(), DAY, vec![earning(1, 1, 100, DAY, 1)], &[]);
    let again = first.settle(DAY, vec![], &none, u64::MAX);
    assert_eq!(again, Err(SettlementError::Settled { epoch: DAY }));
    let next = Epoch(DAY.0 + 1);
    let old = first.settle(next, vec![earning(1, 1, 100, DAY, 1)], &none, u64::MAX);
    assert!(matches!(old, Err(SettlementError::OutOfTime { .. })), "settled before, so never again: {old:?}");
    let future = first.settle(next, vec![earning(9, 1, 100, Epoch(DAY.0 + 2), 1)], &none, u64::MAX);
    assert!(matches!(future, Err(SettlementError::OutOfTime { .. })));
    let same = earning(5, 1, 1, next, 1);
    let twice = first.settle(next, vec![same.clone(), same.clone()], &none, u64::MAX);
    assert_eq!(twice, Err(SettlementError::Twice(same.key)));
    assert!(first.settle(next, vec![earning(6, 1, -1, next, 1)], &none, u64::MAX).is_err());
}

fn signed(hosts: u8) -> (Settlement, SignedRoot, NodeKey) {
    let earnings = (0..hosts).map(|n| earning(n.into(), n, 1_000 + i128::from(n), DAY, 1)).collect();
    let settlement = settle(&Settlement::default(), DAY, earnings, &[]);
    let key = NodeKey::from_seed([6; 32]);
    let root = SignedRoot::sign(&settlement, Hash32::default(), &key).unwrap();
    (settlement, root, key)
}

#[test]
fn every_host_proves_its_earnings_and_nothing_else() {
    let (settlement, root, key) = signed(11);
    for n in 0..11 {
        let proof = root.proof(&settlement, host(n), &eur()).unwrap();
        let text = serde_json::to_string(&proof).unwrap();
        let proof: PayoutProof = serde_json::from_str(&text).unwrap();
        assert_eq!(proof.verify(&key.public()), Ok(()));
        let mut more = proof.clone();
        more.earned.amount_micros += 1;
        assert_eq!(more.verify(&key.public()), Err(ProofError::Path));
        let other = PayoutProof { host: host(n + 1), ..proof.clone() };
        assert_eq!(other.verify(&key.public()), Err(ProofError::Path));
        let moved = PayoutProof { index: (proof.index + 1) % 11, ..proof.clone() };
        assert_eq!(moved.verify(&key.public()), Err(ProofError::Path));
        let later = PayoutProof { epoch: DAY.0 + 1, date: Epoch(DAY.0 + 1).to_string(), ..proof.clone() };
        assert_eq!(later.verify(&key.public()), Err(ProofError::Signature));
        assert_eq!(
            PayoutProof { version: 2, ..proof.clone() }.verify(&key.public()),
            Err(ProofError::Version(2))
        );
        let dated = PayoutProof { date: "2026-01-01".into(), ..proof.clone() };
        assert_eq!(dated.verify(&key.public()), Err(ProofError::Date));
        let stranger = NodeKey::from_seed([7; 32]).public();
        assert_eq!(proof.verify(&stranger), Err(ProofError::Signature));
    }
    assert!(root.proof(&settlement, host(12), &eur()).is_none());
}

/// `vectors/settlement.json`: what the bytes are, for programs in other languages.
#[test]
fn the_vectors_are_what_this_code_writes() {
    let (settlement, root, key) = signed(5);
    let leaves = settlement.leaves();
    let value = serde_json::json!({
        "seed": hex::encode(key.seed()),
        "ledger_key": key.public(),
        "leaves": leaves.iter().map(|leaf| serde_json::json!({
            "index": leaf.index,
            "host": leaf.host,
            "currency": leaf.currency,
            "earned_micros": leaf.earned_micros.to_string(),
            "hex": hex::encode(leaf.encode()),
            "hash": leaf.hash(),
        })).collect::<Vec<_>>(),
        "root": root.root,
        "proof": root.proof(&settlement, host(3), &eur()).unwrap(),
    });
    nearframe_ledger_vectors::compare("settlement.json", &value);
}

#[path = "support/vectors.rs"]
mod nearframe_ledger_vectors;

proptest! {
    #[test]
    fn in_whatever_steps_days_are_settled_the_totals_are_the_same(
        amounts in prop::collection::vec((0..4u8, 0..1_000_000i128, 0..20u32, 0..3u8), 1..60),
        steps in prop::collection::btree_set(0..20u32, 0..6),
        disputed in prop::collection::vec(any::<bool>(), 20),
    ) {
        let all: Vec<Earning> = amounts
            .iter()
            .enumerate()
            .map(|(n, (host, amount, day, lease))| earning(n as u32, *host, *amount, Epoch(DAY.0 + day), *lease))
            .collect();
        let last = Epoch(DAY.0 + 20);
        let once = settle(&Settlement::default(), last, all.clone(), &[]);
        let mut settlement = Settlement::default();
        let mut from = 0;
        for step in steps.iter().copied().chain([20]) {
            let own = all.iter().filter(|e| (from..=step).contains(&(Epoch::of(e.at_ms).0 - DAY.0))).cloned();
            let held: &[u8] = if step < 20 && disputed[step as usize] { &[1] } else { &[] };
            let next = settle(&settlement, Epoch(DAY.0 + step), own.collect(), held);
            for (place, total) in &settlement.totals {
                prop_assert!(next.totals[place] >= *total, "a total fell");
            }
            (settlement, from) = (next, step + 1);
        }
        prop_assert_eq!(settlement.totals, once.totals);
        prop_assert!(settlement.held.is_empty());
    }
}

//! Bills computed again from receipts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_ledger::bill::{BillError, Counted, Evidence};
use nearframe_ledger::{
    Account, Imbalance, Kind, LeaseAccount, Meter, Refusal, Reservation, Tariff, Terms, Transfer,
};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::{
    Currency, Generation, LeaseId, NodeId, NodeKey, SessionId, Signature, TitleId, TransferId,
};

const START_MS: u64 = 1_000_000;

fn keys() -> (NodeKey, NodeKey) {
    (NodeKey::from_seed([1; 32]), NodeKey::from_seed([2; 32]))
}

/// A lease of an hour in receipts of 10 s, of which the player signed all but the last.
fn lease() -> Evidence {
    let (node, player) = keys();
    let account = LeaseAccount {
        lease: LeaseId::from_bytes([3; 16]),
        title: TitleId::new("meteor").unwrap(),
        payer: None,
        node: NodeId::from_bytes([4; 16]),
        tariff: Tariff {
            price_micros_per_hour: 1_234_567,
            fee_permille: 137,
            currency: Currency::new("EUR").unwrap(),
        },
    };
    let terms = Terms {
        session: SessionId::from_bytes([5; 16]),
        generation: Generation(0),
        node_key: node.public(),
        player_key: player.public(),
        started_at_ms: START_MS,
        ended_at_ms: Some(START_MS + 3_600_000),
    };
    let mut evidence = Evidence { terms, account, basis: None, receipts: vec![], transfers: vec![] };
    let id = || TransferId::from_bytes([6; 16]);
    evidence.transfers.push(evidence.account.open(id()).unwrap());
    let (mut meter, mut previous) = (Meter::default(), ReceiptHash::ZERO);
    for sequence in 0..360 {
        let receipt = receipt(&evidence, sequence, previous);
        previous = receipt.hash();
        let mut signed = SignedReceipt::sign(&node, receipt);
        let countersigned = sequence < 359;
        if countersigned {
            signed.player_signature = Some(player.sign(&signed.receipt.signed_bytes()));
        }
        let bill = meter.bill(&evidence.account.tariff, signed.receipt.duration_us, countersigned).unwrap();
        let posts = evidence.account.post(&sums(&evidence.transfers), &bill, sequence, [id(); 3]).unwrap();
        evidence.transfers.extend(posts);
        let received_at_ms = START_MS + u64::from(sequence + 1) * 10_000;
        evidence.receipts.push(Counted { signed, received_at_ms, countersigned });
    }
    evidence
        .transfers
        .extend(evidence.account.release(&sums(&evidence.transfers), 0, "close", id()).unwrap());
    evidence
}

fn receipt(evidence: &Evidence, sequence: u32, previous: ReceiptHash) -> Receipt {
    Receipt {
        session: evidence.terms.session,
        generation: Generation(0),
        sequence,
        previous,
        duration_us: 10_000_000,
        frames: 600,
        bytes: 1_000,
        encoder_us: 1,
        width: 1280,
        height: 720,
        rtt_us: 9_000,
        packets_sent: 10,
        packets_lost: 0,
    }
}

fn sums(journal: &[Transfer]) -> Reservation {
    let of = |kind| journal.iter().filter(|t| t.kind == kind).map(|t| t.amount_micros).sum();
    Reservation {
        pending_micros: of(Kind::Pending),
        posted_micros: of(Kind::Post),
        voided_micros: of(Kind::Void),
    }
}

#[test]
fn an_hours_receipts_come_to_an_hours_price_to_the_last_unit() {
    let bill = lease().recompute().unwrap();
    assert_eq!(bill.billed_us, 3_600_000_000);
    assert_eq!(bill.host_micros + bill.platform_micros, 1_234_567);
    assert_eq!(bill.platform_micros, 1_234_567 * 137 / 1000);
    assert_eq!(bill.lines.iter().map(|line| line.host_micros).sum::<i128>(), bill.host_micros);
}

#[test]
fn receipts_that_are_missing_reordered_forged_or_repeated_are_found() {
    let broken = |change: fn(&mut Evidence)| {
        let mut evidence = lease();
        change(&mut evidence);
        evidence.recompute().unwrap_err()
    };
    assert_eq!(
        broken(|e| {
            e.receipts.remove(7);
        }),
        BillError::Receipt { sequence: 8, refusal: Refusal::Gap { expected: 7 } }
    );
    assert_eq!(
        broken(|e| e.receipts.swap(7, 8)),
        BillError::Receipt { sequence: 8, refusal: Refusal::Gap { expected: 7 } }
    );
    assert_eq!(
        broken(|e| e.receipts[7].signed.receipt.duration_us += 1),
        BillError::Receipt { sequence: 7, refusal: Refusal::Signature }
    );
    assert_eq!(
        broken(|e| e.receipts.insert(8, e.receipts[7].clone())),
        BillError::Receipt { sequence: 7, refusal: Refusal::Gap { expected: 8 } }
    );
    assert_eq!(
        broken(|e| e.receipts[7].signed.player_signature = Some(Signature::from_bytes([0; 64]))),
        BillError::Countersignature { sequence: 7 }
    );
    assert_eq!(
        broken(|e| e.receipts[359].countersigned = true),
        BillError::Countersignature { sequence: 359 }
    );
    assert!(matches!(broken(|e| e.receipts.truncate(300)), BillError::Posted { .. }));
    assert!(matches!(
        broken(|e| e.receipts[7].received_at_ms = START_MS),
        BillError::Receipt { sequence: 7, refusal: Refusal::TooLong { .. } }
    ));
}

#[test]
fn transfers_that_do_not_follow_from_the_receipts_are_found() {
    let mut more = lease();
    let post = more.transfers.iter_mut().find(|t| t.key.ends_with(":host:5")).unwrap();
    post.amount_micros += 1;
    assert!(matches!(more.recompute(), Err(BillError::Posted { .. } | BillError::Journal(_))));

    let mut elsewhere = lease();
    let stranger = Account::Host(NodeId::from_bytes([9; 16]));
    elsewhere.transfers.iter_mut().filter(|t| t.kind == Kind::Post).for_each(|t| {
        if t.key.ends_with(":host:5") {
            t.credit = stranger.clone();
        }
    });
    assert!(matches!(elsewhere.recompute(), Err(BillError::Posted { .. })));

    // Right sums from somebody else's pocket.
    let mut anothers = lease();
    let post = anothers.transfers.iter_mut().find(|t| t.key.ends_with(":host:5")).unwrap();
    post.debit = Account::Platform;
    let (account, posted_micros) = (post.credit.clone(), post.amount_micros);
    assert_eq!(anothers.recompute(), Err(BillError::Posted { account, posted_micros, due_micros: 0 }));

    let mut twice = lease();
    let again = twice.transfers[4].clone();
    twice.transfers.push(again);
    assert!(matches!(twice.recompute(), Err(BillError::Journal(Imbalance::Key(_)))));
}

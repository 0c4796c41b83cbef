//! `check.json`: reports of checkers, answers to challenges and draws.

use crate::golden;
use nearframe_protocol::check::challenge::{self, Heard};
use nearframe_protocol::check::draw::{self, Audit, Rules, Seed};
use nearframe_protocol::check::{CheckReport, Finding, SignedCheck, Verdict};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::{NodeId, NodeKey, PublicKey, SessionId};
use serde_json::{Value, json};

const CHECKER_SEED: [u8; 32] = [0x33; 32];

fn report() -> CheckReport {
    CheckReport {
        checker: NodeKey::from_seed(CHECKER_SEED).public(),
        node: NodeId::from_bytes([0xa1; 16]),
        session: SessionId::from_bytes([0xb2; 16]),
        audit: Some(Audit { day: 20_786, hour: 17 }),
        verdict: Verdict::Passed,
        findings: Vec::new(),
        started_at_ms: 1_795_972_000_000,
        played_ms: 20_000,
        connect_ms: 310,
        first_frame_ms: 420,
        challenge_us: 38_500,
        rtt_us: 21_000,
        width: 1280,
        height: 720,
        frames: 1196,
        age_p50_us: 24_000,
        age_p95_us: 31_000,
        freezes: 1,
        frozen_ms: 240,
        bytes: 24_800_123,
        packets: 21_903,
        lost: 4,
        receipts: 2,
        refused: 0,
        claimed_frames: 1200,
        claimed_bytes: 25_000_000,
        claimed_us: 20_003_000,
    }
}

fn reports() -> [(&'static str, CheckReport); 3] {
    let failed = CheckReport {
        audit: None,
        verdict: Verdict::Failed,
        findings: vec![Finding::ChallengeUnanswered, Finding::ReceiptsOverstated],
        challenge_us: 0,
        ..report()
    };
    let open = CheckReport {
        verdict: Verdict::Inconclusive,
        findings: vec![Finding::NoConnection],
        audit: Some(Audit { day: u32::MAX, hour: 23 }),
        bytes: 9_007_199_254_740_991,
        claimed_bytes: 9_007_199_254_740_991,
        claimed_us: 9_007_199_254_740_991,
        ..report()
    };
    [("passed, as drawn", report()), ("failed, unasked", failed), ("nothing to say, largest fields", open)]
}

fn report_entry(name: &str, report: &CheckReport) -> Value {
    let key = NodeKey::from_seed(CHECKER_SEED);
    let signed = SignedCheck::sign(&key, report.clone());
    signed.verify().unwrap();
    assert!(report.is_consistent(), "{name}");
    assert_eq!(CheckReport::parse(&report.canonical()).as_ref(), Ok(report), "{name}");
    let value = serde_json::to_value(report).unwrap();
    assert_eq!(&serde_json::from_value::<CheckReport>(value.clone()).unwrap(), report);
    json!({
        "name": name,
        "kind": "report",
        "hex": hex::encode(report.canonical()),
        "value": value,
        "signed_hex": hex::encode(report.signed_bytes()),
        "seed": hex::encode(CHECKER_SEED),
        "signature": signed.signature,
    })
}

fn refused_reports() -> Vec<Value> {
    let with = |at: usize, value: u8| {
        let mut bytes = report().canonical();
        bytes[at] = value;
        bytes
    };
    [
        ("nothing", vec![]),
        ("another magic", with(7, b'2')),
        ("an hour that no day has", with(76, 24)),
        ("no verdict", with(77, 0)),
        ("a finding that is not known", with(79, 0x80)),
        ("a reserved byte that is not zero", with(176, 1)),
        ("a byte too many", [&report().canonical()[..], &[0]].concat()),
    ]
    .iter()
    .map(|(name, bytes)| golden::refused(name, bytes, CheckReport::parse))
    .collect()
}

fn challenge_entry(name: &str, heard: Heard) -> Value {
    let nonce = Nonce::from_bytes([0x44; 32]);
    let Heard { input_serial, frame, pointer: (x, y) } = heard;
    json!({
        "name": name, "kind": "challenge", "nonce": nonce, "hex": hex::encode(challenge::answer(&nonce, heard)),
        "value": {"input_serial": input_serial, "frame": frame, "x": x, "y": y},
    })
}

fn draw_entry(name: &str, seed: Seed, rate: u8) -> Value {
    let (node, day, rules) = (NodeId::from_bytes([0xa1; 16]), 20_786, Rules::default());
    let audits: Vec<Value> = draw::audits(&seed, node, day, rate)
        .map(|(audit, due_ms)| json!({"hour": audit.hour, "due_ms": due_ms}))
        .collect();
    json!({
        "name": name, "kind": "draw", "seed": seed, "day": day, "node": node, "rate": rate, "rules": rules,
        "commitment": draw::commitment(day, &seed, &rules), "audits": audits,
    })
}

#[test]
fn checks_challenges_and_draws_have_this_form() {
    let mut entries: Vec<Value> = reports().iter().map(|(name, report)| report_entry(name, report)).collect();
    entries.extend(refused_reports());
    entries.push(challenge_entry("before any input", Heard::default()));
    let heard = Heard { input_serial: 3, frame: 41, pointer: (12_345, 65_535) };
    entries.push(challenge_entry("after a movement", heard));
    entries.push(draw_entry("a new node", Seed::from_bytes([0x55; 32]), 6));
    entries.push(draw_entry("another day's seed", Seed::from_bytes([0x56; 32]), 6));
    golden::check("check.json", &entries.into());
}

#[test]
fn a_report_that_was_changed_or_signed_by_another_is_refused() {
    let signed = SignedCheck::sign(&NodeKey::from_seed(CHECKER_SEED), report());
    let changed = SignedCheck { report: CheckReport { frames: 1, ..report() }, ..signed.clone() };
    assert!(changed.verify().is_err());
    let other: PublicKey = NodeKey::from_seed([1; 32]).public();
    let claimed = SignedCheck { report: CheckReport { checker: other, ..report() }, ..signed };
    assert!(claimed.verify().is_err());
}

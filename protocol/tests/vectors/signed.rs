//! `receipt.json` and `attest.json`: signed statements, with keys from fixed seeds.

use crate::golden;
use nearframe_protocol::attest::{Attestation, Fingerprint};
use nearframe_protocol::key::{KeyError, Nonce};
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::wire::WireError;
use nearframe_protocol::{Generation, NodeKey, PublicKey, SessionId, Signature};
use serde_json::{Value, json};

const NODE_SEED: [u8; 32] = [0x11; 32];
const PLAYER_SEED: [u8; 32] = [0x22; 32];
const SESSION: [u8; 16] =
    [0x6f, 0x1c, 0x1e, 0x1e, 0x0b, 0x7a, 0x4a, 0x51, 0x9a, 0x61, 0x2f, 0x5a, 1, 2, 3, 4];

fn receipts() -> [(&'static str, Receipt); 3] {
    let first = Receipt {
        session: SessionId::from_bytes(SESSION),
        generation: Generation(0),
        sequence: 0,
        previous: ReceiptHash::ZERO,
        duration_us: 10_000_000,
        frames: 600,
        bytes: 15_000_000,
        encoder_us: 2_400_000,
        width: 1280,
        height: 720,
        rtt_us: 18_250,
        packets_sent: 13_500,
        packets_lost: 27,
    };
    let second = Receipt { sequence: 1, previous: first.hash(), frames: 598, rtt_us: 0, ..first.clone() };
    // 2^53 − 1: the largest integer that a JSON number carries exactly into JavaScript.
    let largest = Receipt {
        generation: Generation(u32::MAX),
        sequence: u32::MAX,
        previous: second.hash(),
        duration_us: 9_007_199_254_740_991,
        frames: u32::MAX,
        bytes: 9_007_199_254_740_991,
        encoder_us: 9_007_199_254_740_991,
        width: u16::MAX,
        height: u16::MAX,
        rtt_us: u32::MAX,
        packets_sent: u32::MAX,
        packets_lost: u32::MAX,
        session: first.session,
    };
    [("the first of a chain", first), ("the second, chained", second), ("the largest fields", largest)]
}

fn receipt_entry(name: &str, receipt: &Receipt) -> Value {
    let (node, player) = (NodeKey::from_seed(NODE_SEED), NodeKey::from_seed(PLAYER_SEED));
    let mut signed = SignedReceipt::sign(&node, receipt.clone());
    signed.player_signature = Some(player.sign(&receipt.signed_bytes()));
    signed.verify(&node.public(), &player.public()).unwrap();
    json!({
        "name": name,
        "hex": hex::encode(receipt.canonical()),
        "value": receipt,
        "hash": receipt.hash(),
        "signed_hex": hex::encode(receipt.signed_bytes()),
        "node_seed": hex::encode(NODE_SEED),
        "node_key": node.public(),
        "node_signature": signed.node_signature,
        "player_seed": hex::encode(PLAYER_SEED),
        "player_key": player.public(),
        "player_signature": signed.player_signature,
    })
}

fn refused_receipts(good: &Receipt) -> Vec<Value> {
    let with = |at: usize, value: u8| {
        let mut bytes = good.canonical().to_vec();
        bytes[at] = value;
        bytes
    };
    let cut = good.canonical()[..147].to_vec();
    [
        ("nothing", vec![]),
        ("another magic", with(7, b'2')),
        ("a reserved byte that is not zero", with(108, 1)),
        ("a receipt cut short", cut),
        ("a byte too many", [&good.canonical()[..], &[0]].concat()),
    ]
    .iter()
    .map(|(name, bytes)| golden::refused(name, bytes, Receipt::parse))
    .collect()
}

#[test]
fn receipts_have_these_bytes_hashes_and_signatures() {
    let mut entries: Vec<Value> = Vec::new();
    for (name, receipt) in receipts() {
        assert_eq!(Receipt::parse(&receipt.canonical()).as_ref(), Ok(&receipt), "{name}");
        let entry = receipt_entry(name, &receipt);
        assert_eq!(serde_json::from_value::<Receipt>(entry["value"].clone()).unwrap(), receipt);
        entries.push(entry);
    }
    assert_eq!(Receipt::parse(&[]), Err(WireError::Short));
    entries.extend(refused_receipts(&receipts()[0].1));
    golden::check("receipt.json", &entries.into());
}

/// The layout as the module says it, written a second time: a slip in the code cannot hide here.
fn attested_bytes(a: &Attestation) -> Vec<u8> {
    let mut bytes = b"nearframe/attest/v1\0".to_vec();
    bytes.extend(a.session.as_bytes());
    bytes.extend(a.fingerprint.as_bytes());
    bytes.extend(a.nonce.as_bytes());
    bytes.extend(a.expires_at_ms.to_le_bytes());
    bytes.extend([0; 12]);
    assert_eq!(bytes.len(), 120);
    bytes
}

fn attest_entry(name: &str, attestation: &Attestation, key: PublicKey) -> Value {
    let octets: Vec<String> =
        attestation.fingerprint.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
    let sdp_line = format!("a=fingerprint:sha-256 {}", octets.join(":"));
    assert_eq!(
        Fingerprint::from_sdp(&format!("v=0\r\n{sdp_line}\r\na=setup:active\r\n")),
        Some(attestation.fingerprint)
    );
    let mut entry = json!({
        "name": name, "hex": hex::encode(attested_bytes(attestation)), "value": attestation,
        "node_key": key, "sdp_line": sdp_line,
    });
    match attestation.verify(&key) {
        Ok(()) => entry["node_seed"] = hex::encode(NODE_SEED).into(),
        Err(KeyError::BadKey) => entry["error"] = "bad key".into(),
        Err(_) => entry["error"] = "bad signature".into(),
    }
    entry
}

#[test]
fn attestations_have_these_bytes_and_signatures() {
    let node = NodeKey::from_seed(NODE_SEED);
    let fingerprint = Fingerprint::from_bytes(std::array::from_fn(|i| i as u8 * 7 + 1));
    let nonce = Nonce::from_bytes(std::array::from_fn(|i| 255 - i as u8));
    let session = SessionId::from_bytes(SESSION);
    let good = Attestation::sign(&node, session, fingerprint, nonce, 1_795_000_000_000);
    good.verify(&node.public()).unwrap();
    node.public().verify(&attested_bytes(&good), &good.signature).unwrap();

    let mut flipped = *good.signature.as_bytes();
    flipped[63] ^= 1;
    let refused = [
        ("a fingerprint put in by another", {
            Attestation { fingerprint: Fingerprint::from_bytes([9; 32]), ..good.clone() }
        }),
        ("an old nonce", Attestation { nonce: Nonce::from_bytes([0; 32]), ..good.clone() }),
        ("a later expiry", Attestation { expires_at_ms: good.expires_at_ms + 1, ..good.clone() }),
        ("another session", Attestation { session: SessionId::from_bytes([1; 16]), ..good.clone() }),
        ("a flipped bit", Attestation { signature: Signature::from_bytes(flipped), ..good.clone() }),
    ];
    let mut entries = vec![attest_entry("a good attestation", &good, node.public())];
    entries.extend(refused.iter().map(|(name, wrong)| attest_entry(name, wrong, node.public())));
    entries.push(attest_entry("signed by another node", &good, NodeKey::from_seed(PLAYER_SEED).public()));
    let mut identity = [0; 32];
    identity[0] = 1;
    entries.push(attest_entry("a weak key", &good, PublicKey::from_bytes(identity)));
    assert!(entries[1..].iter().all(|entry| entry["error"].is_string()));
    golden::check("attest.json", &entries.into());
}

//! `auction.json`: bids and their seals, with a key from a fixed seed.

use crate::golden;
use nearframe_protocol::auction::{Bid, OpenBid, SealedBid, seed_hash};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::{AuctionId, Currency, NodeId, NodeKey};
use serde_json::{Value, json};

const NODE_SEED: [u8; 32] = [0x11; 32];

fn bids() -> [(&'static str, Bid); 3] {
    let usual = Bid {
        auction: AuctionId::from_bytes([0xa1; 16]),
        node: NodeId::from_bytes([0xb2; 16]),
        price_micros_per_hour: 250_000,
        currency: Currency::new("EUR").unwrap(),
    };
    let token = Bid { currency: Currency::new("NEARGAME").unwrap(), ..usual.clone() };
    // 2^53 − 1: the largest integer that a JSON number carries exactly into JavaScript.
    let largest = Bid { price_micros_per_hour: 9_007_199_254_740_991, ..usual.clone() };
    [("a quarter of a euro", usual), ("the longest currency", token), ("the largest price", largest)]
}

fn entry(name: &str, bid: &Bid) -> Value {
    let key = NodeKey::from_seed(NODE_SEED);
    let nonce = Nonce::from_bytes([0xc3; 32]);
    let sealed = SealedBid::of(&key, bid, &nonce);
    assert!(sealed.verify(&key.public(), bid.node).is_ok());
    assert!(OpenBid { bid: bid.clone(), nonce }.opens(&sealed.seal));
    assert_eq!(Bid::parse(&bid.canonical()).as_ref(), Ok(bid));
    json!({
        "name": name,
        "hex": hex::encode(bid.canonical()),
        "value": bid,
        "nonce": nonce,
        "seal": sealed.seal,
        "signed_hex": hex::encode(SealedBid::signed_bytes(bid.auction, bid.node, &sealed.seal)),
        "node_key": key.public(),
        "signature": sealed.signature,
    })
}

#[test]
fn bids_and_seals_are_these_bytes() {
    let good = bids()[0].1.canonical();
    let mut lower = good;
    lower[48] = b'e';
    let mut entries: Vec<Value> = bids().iter().map(|(name, bid)| entry(name, bid)).collect();
    entries.extend([
        golden::refused("cut short", &good[..55], Bid::parse),
        golden::refused("with more after it", &[&good[..], &[0]].concat(), Bid::parse),
        golden::refused("a currency in small letters", &lower, Bid::parse),
        json!({"name": "a seed, told before it is drawn with", "seed": hex::encode([0xd4; 32]),
               "seed_hash": seed_hash(&[0xd4; 32])}),
    ]);
    golden::check("auction.json", &json!(entries));
}

//! Sealed bids: a node seals what it asks before anybody asks how much, and opens it when all seals are in.
//!
//! A bid has 56 bytes, little-endian: `"NFBID001"` (8) · auction (16) · node (16) · price of an hour in micro-units u64 ·
//! currency (8, zeros after it). Its seal is SHA-256 over these bytes and a nonce of 32 that the node drew. The node signs
//! `"nearframe/sealed-bid/v1\0"` · auction (16) · node (16) · seal (32). Whoever has the seal learns nothing of the price;
//! whoever opens it can open only what was sealed.

use crate::key::{KeyError, NodeKey, Nonce, PublicKey, Signature, hex_bytes};
use crate::money::{Currency, Money};
use crate::prices::Work;
use crate::wire::{Reader, WireError};
use crate::{AuctionId, NodeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use utoipa::ToSchema;

const MAGIC: &[u8; 8] = b"NFBID001";
const SEALED_DOMAIN: &[u8] = b"nearframe/sealed-bid/v1\0";
/// Length of a bid's canonical bytes.
pub const BID_LEN: usize = 56;
/// The longest currency code, in bytes.
const CURRENCY_LEN: usize = 8;

hex_bytes!(
    /// SHA-256 over a bid and its nonce.
    Seal,
    32
);

/// What is wanted of nodes. A node that asks more than the ceiling need not answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The auction.
    pub auction: AuctionId,
    /// The node that is called, as its bid names it.
    pub node: NodeId,
    /// What is paid for.
    pub work: Work,
    /// From then on, Unix ms by the matchmaker's clock.
    pub from_ms: u64,
    /// Until then, Unix ms.
    pub until_ms: u64,
    /// Machines that are wanted.
    pub machines: u32,
    /// The most that an hour of a machine may cost.
    pub ceiling: Money,
    /// What an hour of this machine costs by the rate card: asked by hosts that name no price.
    pub listed: Money,
    /// Seals are taken until then, Unix ms.
    pub seal_until_ms: u64,
    /// SHA-256 of the matchmaker's part of the draw between equal bids.
    pub seed_hash: Seal,
}

/// What a node asks for an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// In which auction.
    pub auction: AuctionId,
    /// Whose bid it is.
    pub node: NodeId,
    /// The least that it takes for an hour, in micro-units.
    pub price_micros_per_hour: u64,
    /// What that is counted in.
    pub currency: Currency,
}

impl Bid {
    /// The bytes that are sealed.
    pub fn canonical(&self) -> [u8; BID_LEN] {
        let mut out = Vec::with_capacity(BID_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.auction.as_bytes());
        out.extend_from_slice(self.node.as_bytes());
        out.extend_from_slice(&self.price_micros_per_hour.to_le_bytes());
        out.extend_from_slice(self.currency.as_str().as_bytes());
        out.resize(BID_LEN, 0);
        out.try_into().unwrap_or([0; BID_LEN])
    }

    /// Reads canonical bytes; refuses any other form, so that one bid has one seal.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        if r.bytes(8)? != MAGIC {
            return Err(WireError::Range("magic"));
        }
        let (auction, node) = (AuctionId::from_bytes(r.array()?), NodeId::from_bytes(r.array()?));
        let price_micros_per_hour = r.u64()?;
        let code: [u8; CURRENCY_LEN] = r.array()?;
        r.end()?;
        let length = code.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let code = std::str::from_utf8(&code[..length]).map_err(|_| WireError::Range("currency"))?;
        let currency = Currency::new(code).map_err(|_| WireError::Range("currency"))?;
        Ok(Self { auction, node, price_micros_per_hour, currency })
    }

    /// What hides it until its nonce is known.
    pub fn seal(&self, nonce: &Nonce) -> Seal {
        let mut hash = Sha256::new();
        hash.update(self.canonical());
        hash.update(nonce.as_bytes());
        Seal(hash.finalize().into())
    }
}

/// A bid that nobody can read, and that its node cannot change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedBid {
    /// In which auction.
    pub auction: AuctionId,
    /// Hides the bid.
    pub seal: Seal,
    /// The node's, over [`SealedBid::signed_bytes`].
    pub signature: Signature,
}

impl SealedBid {
    /// Seals a bid as its node.
    pub fn of(key: &NodeKey, bid: &Bid, nonce: &Nonce) -> Self {
        let seal = bid.seal(nonce);
        let signature = key.sign(&Self::signed_bytes(bid.auction, bid.node, &seal));
        Self { auction: bid.auction, seal, signature }
    }

    /// What the node signs.
    pub fn signed_bytes(auction: AuctionId, node: NodeId, seal: &Seal) -> Vec<u8> {
        [SEALED_DOMAIN, auction.as_bytes(), node.as_bytes(), seal.as_bytes()].concat()
    }

    /// Checks the node's signature.
    pub fn verify(&self, key: &PublicKey, node: NodeId) -> Result<(), KeyError> {
        key.verify(&Self::signed_bytes(self.auction, node, &self.seal), &self.signature)
    }
}

/// A bid with what it was sealed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBid {
    /// The bid.
    pub bid: Bid,
    /// What it was sealed with.
    pub nonce: Nonce,
}

impl OpenBid {
    /// Whether just this was sealed.
    pub fn opens(&self, seal: &Seal) -> bool {
        self.bid.seal(&self.nonce) == *seal
    }
}

/// SHA-256 of a part of a draw, told before the draw.
pub fn seed_hash(seed: &[u8; 32]) -> Seal {
    Seal(Sha256::digest(seed).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(code: &str) -> Bid {
        Bid {
            auction: AuctionId::from_bytes([1; 16]),
            node: NodeId::from_bytes([2; 16]),
            price_micros_per_hour: 250_000,
            currency: Currency::new(code).unwrap(),
        }
    }

    #[test]
    fn a_bid_has_one_form_and_what_is_another_is_refused() {
        for code in ["EUR", "USDC", "ABCDEFGH"] {
            assert_eq!(Bid::parse(&bid(code).canonical()), Ok(bid(code)));
        }
        let good = bid("EUR").canonical();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            Bid::parse(&bytes)
        };
        assert_eq!(Bid::parse(&good[..55]), Err(WireError::Short));
        assert_eq!(Bid::parse(&[&good[..], &[0]].concat()), Err(WireError::Trailing));
        assert_eq!(with(0, b'X'), Err(WireError::Range("magic")));
        assert_eq!(with(48, b'e'), Err(WireError::Range("currency")));
        assert_eq!(with(55, b'R'), Err(WireError::Range("currency")), "zeros in a code");
        assert_eq!(with(50, 0xff), Err(WireError::Range("currency")));
    }

    #[test]
    fn a_seal_opens_only_for_what_was_sealed_and_binds_its_node() {
        let key = NodeKey::from_seed([3; 32]);
        let nonce = Nonce::from_bytes([4; 32]);
        let sealed = SealedBid::of(&key, &bid("EUR"), &nonce);
        let open = OpenBid { bid: bid("EUR"), nonce };
        assert!(open.opens(&sealed.seal));
        let cheaper = Bid { price_micros_per_hour: 249_999, ..bid("EUR") };
        assert!(!OpenBid { bid: cheaper, nonce }.opens(&sealed.seal));
        assert!(!OpenBid { nonce: Nonce::from_bytes([5; 32]), ..open }.opens(&sealed.seal));
        assert!(sealed.verify(&key.public(), bid("EUR").node).is_ok());
        assert!(sealed.verify(&key.public(), NodeId::from_bytes([9; 16])).is_err());
        assert!(sealed.verify(&NodeKey::from_seed([6; 32]).public(), bid("EUR").node).is_err());
    }
}

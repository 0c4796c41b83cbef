//! Sealed-bid reverse auctions: who wins, and at which price.
//!
//! The cheapest of those who opened what they had sealed in time win, and all are paid the same: what the first one who
//! lost had asked, or the buyer's ceiling where nobody lost. So nobody's price follows from its own bid, and whoever asks
//! what it really takes does best. Where fewer bid than are wanted, nobody wins. Among equal bids a draw decides that
//! neither the buyer nor a bidder could foresee: it is made of a seed whose hash was told first, and of the nonces of the
//! bids.
//!
//! Deliberately without a word on what is bought: reservations and jobs use it as it is.
//!
//! **Architecture invariant:** what wins follows from the transcript alone, in whatever order it was written;
//! `scripts/recompute-auction.py` does the same without this code.

use crate::hash::Hash32;
use nearframe_protocol::auction::{OpenBid, Seal, SealedBid, seed_hash};
use nearframe_protocol::prices::Work;
use nearframe_protocol::{AuctionId, Currency, NodeId, PublicKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const DRAW_DOMAIN: &[u8] = b"nearframe/auction-draw/v1\0";

/// What is wanted, and until when it may be bid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The auction.
    pub auction: AuctionId,
    /// What is paid for.
    pub work: Work,
    /// Where, as an ISO 3166 code; empty: everywhere.
    pub region: String,
    /// Least GPU tier.
    pub gpu_tier: u8,
    /// How many machines, at least one.
    pub machines: u32,
    /// From then on, Unix ms.
    pub from_ms: u64,
    /// Until then, Unix ms.
    pub until_ms: u64,
    /// The most that an hour of one may cost, in micro-units.
    pub ceiling_micros_per_hour: i64,
    /// What that is counted in.
    pub currency: Currency,
    /// Seals are taken until then, Unix ms.
    pub seal_until_ms: u64,
    /// Seals are opened until then, Unix ms.
    pub open_until_ms: u64,
    /// SHA-256 of the seed of the draw.
    pub seed_hash: Seal,
}

/// A machine's part in an auction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The machine; each has one.
    pub node: NodeId,
    /// Its key.
    pub key: PublicKey,
    /// What it sealed.
    pub sealed: SealedBid,
    /// When that came, Unix ms.
    pub sealed_at_ms: u64,
    /// What it opened, and when.
    pub opened: Option<(OpenBid, u64)>,
    /// Other auctions that it has won for the same time, as many as it has slots: then it is out.
    pub taken_by: Vec<AuctionId>,
}

/// Why a machine is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Out {
    /// The seal is not signed by it.
    Forged,
    /// The seal came too late.
    SealedLate,
    /// It was not opened in time.
    NotOpened,
    /// It opened something else than was sealed, or a bid of another machine, auction or currency.
    OtherBid,
    /// It is promised to others.
    Taken,
    /// It asks more than the ceiling.
    AboveCeiling,
}

impl Out {
    /// A stable code for JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::SealedLate => "sealed_late",
            Self::NotOpened => "not_opened",
            Self::OtherBid => "other_bid",
            Self::Taken => "taken",
            Self::AboveCeiling => "above_ceiling",
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// What each winner is paid for an hour, in micro-units; `None`: too few have bid.
    pub price_micros_per_hour: Option<i64>,
    /// Who won, the cheapest first.
    pub winners: Vec<NodeId>,
    /// Who takes a winner's place at the same price should it go, the next first.
    pub next: Vec<NodeId>,
    /// Who is out, and why.
    pub out: BTreeMap<NodeId, Out>,
}

/// The buyer's seed is not the one whose hash was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seed of the draw is not the one whose hash was told before the auction")]
pub struct WrongSeed;

/// Says who wins. Each machine stands in `entries` once, in any order.
pub fn clear(wanted: &Wanted, entries: &[Entry], seed: &Hash32) -> Result<Cleared, WrongSeed> {
    if seed_hash(&seed.0) != wanted.seed_hash {
        return Err(WrongSeed);
    }
    let mut cleared = Cleared::default();
    let mut in_order: Vec<&Entry> = entries.iter().collect();
    in_order.sort_by_key(|entry| entry.node);
    let mut bids: Vec<(i64, &OpenBid)> = Vec::with_capacity(entries.len());
    for entry in in_order {
        match judge(wanted, entry) {
            Ok(bid) => bids.push(bid),
            Err(out) => {
                cleared.out.insert(entry.node, out);
            }
        }
    }
    let draw = draw(wanted.auction, seed, &bids);
    bids.sort_by_key(|(price, open)| (*price, rank(&draw, open.bid.node)));
    let ceiling = wanted.ceiling_micros_per_hour;
    let machines = wanted.machines as usize;
    if bids.len() < machines || machines == 0 {
        return Ok(cleared);
    }
    let losers = bids.split_off(machines);
    let price = losers.first().map_or(ceiling, |(price, _)| *price);
    cleared.price_micros_per_hour = Some(price);
    cleared.winners = bids.iter().map(|(_, open)| open.bid.node).collect();
    let willing = losers.iter().take_while(|(asked, _)| *asked <= price);
    cleared.next = willing.map(|(_, open)| open.bid.node).collect();
    Ok(cleared)
}

/// A bid that counts, and its price.
fn judge<'a>(wanted: &Wanted, entry: &'a Entry) -> Result<(i64, &'a OpenBid), Out> {
    let is_right =
        entry.sealed.auction == wanted.auction && entry.sealed.verify(&entry.key, entry.node).is_ok();
    if !is_right {
        return Err(Out::Forged);
    }
    if entry.sealed_at_ms > wanted.seal_until_ms {
        return Err(Out::SealedLate);
    }
    let opened = entry.opened.as_ref().filter(|(_, at_ms)| *at_ms <= wanted.open_until_ms);
    let Some((open, _)) = opened else { return Err(Out::NotOpened) };
    let bid = &open.bid;
    let is_same = open.opens(&entry.sealed.seal)
        && (bid.auction, bid.node, &bid.currency) == (wanted.auction, entry.node, &wanted.currency);
    if !is_same {
        return Err(Out::OtherBid);
    }
    if !entry.taken_by.is_empty() {
        return Err(Out::Taken);
    }
    match i64::try_from(bid.price_micros_per_hour) {
        Ok(price) if price <= wanted.ceiling_micros_per_hour => Ok((price, open)),
        _ => Err(Out::AboveCeiling),
    }
}

/// SHA-256 over the domain, the auction, the seed, and the nonces of the bids that count, by the ids of their machines.
fn draw(auction: AuctionId, seed: &Hash32, bids: &[(i64, &OpenBid)]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DRAW_DOMAIN);
    hash.update(auction.as_bytes());
    hash.update(seed.0);
    for (_, open) in bids {
        hash.update(open.nonce.as_bytes());
    }
    hash.finalize().into()
}

/// Of two equal bids the one with the lower rank comes first.
fn rank(draw: &[u8; 32], node: NodeId) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(draw);
    hash.update(node.as_bytes());
    hash.finalize().into()
}

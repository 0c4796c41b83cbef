//! Bids of this node in auctions: sealed when machines are called for, opened when all seals are in.
//!
//! What the host asks for an hour of standing by never leaves this machine before that. Where the host says nothing, it
//! asks what the rate card gives.

use nearframe_protocol::auction::{Bid, Call, OpenBid, SealedBid};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::{AuctionId, NodeKey};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Bids that are sealed and not opened yet; more auctions at once are not answered.
const MOST: usize = 256;
/// A seal that nobody asks to open is forgotten after this.
const KEPT: Duration = Duration::from_secs(600);

/// What this node asks, and what it has sealed.
pub(crate) struct Bidder {
    /// The least for an hour, in micro-units of whatever the matchmaker counts in.
    price_micros: Option<u64>,
    sealed: HashMap<AuctionId, (OpenBid, Instant)>,
}

impl Bidder {
    pub(crate) fn new(price_micros: Option<u64>) -> Self {
        Self { price_micros, sealed: HashMap::new() }
    }

    /// Seals a bid for a call; the same again for one that was answered. `None`: it asks more than is paid, or too much
    /// is sealed already.
    pub(crate) fn seal(
        &mut self,
        key: &NodeKey,
        call: &Call,
        nonce: impl FnOnce() -> Nonce,
        now: Instant,
    ) -> Option<SealedBid> {
        self.sealed.retain(|_, (_, since)| now.saturating_duration_since(*since) < KEPT);
        if let Some((open, _)) = self.sealed.get(&call.auction) {
            return Some(SealedBid::of(key, &open.bid, &open.nonce));
        }
        let listed = u64::try_from(call.listed.amount_micros).ok()?;
        let price_micros_per_hour = self.price_micros.unwrap_or(listed);
        if i128::from(price_micros_per_hour) > call.ceiling.amount_micros || self.sealed.len() >= MOST {
            return None;
        }
        let currency = call.ceiling.currency.clone();
        let bid = Bid { auction: call.auction, node: call.node, price_micros_per_hour, currency };
        let open = OpenBid { bid, nonce: nonce() };
        let sealed = SealedBid::of(key, &open.bid, &open.nonce);
        self.sealed.insert(call.auction, (open, now));
        Some(sealed)
    }

    /// What was sealed for an auction. It is told again when it is asked again: a link may break meanwhile.
    pub(crate) fn open(&self, auction: AuctionId) -> Option<OpenBid> {
        self.sealed.get(&auction).map(|(open, _)| open.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::auction::seed_hash;
    use nearframe_protocol::prices::Work;
    use nearframe_protocol::{Currency, Money, NodeId};

    fn call(n: u8, ceiling: i128, listed: i128) -> Call {
        let money = |amount_micros| Money { amount_micros, currency: Currency::new("EUR").unwrap() };
        Call {
            auction: AuctionId::from_bytes([n; 16]),
            node: NodeId::from_bytes([7; 16]),
            work: Work::Reserve,
            from_ms: 1,
            until_ms: 2,
            machines: 1,
            ceiling: money(ceiling),
            listed: money(listed),
            seal_until_ms: 0,
            seed_hash: seed_hash(&[0; 32]),
        }
    }

    fn price(bidder: &Bidder, n: u8) -> Option<u64> {
        bidder.open(AuctionId::from_bytes([n; 16])).map(|open| open.bid.price_micros_per_hour)
    }

    #[test]
    fn a_host_asks_its_own_price_or_the_cards_and_nothing_above_the_ceiling() {
        let key = NodeKey::from_seed([1; 32]);
        let nonce = || Nonce::from_bytes([5; 32]);
        let now = Instant::now();
        let mut own = Bidder::new(Some(30));
        let mut listed = Bidder::new(None);
        let sealed = own.seal(&key, &call(1, 50, 40), nonce, now).unwrap();
        assert!(sealed.verify(&key.public(), NodeId::from_bytes([7; 16])).is_ok());
        assert!(own.open(sealed.auction).unwrap().opens(&sealed.seal));
        listed.seal(&key, &call(1, 50, 40), nonce, now).unwrap();
        assert_eq!((price(&own, 1), price(&listed, 1)), (Some(30), Some(40)));
        assert_eq!(own.seal(&key, &call(2, 29, 40), nonce, now), None);
        assert_eq!(listed.seal(&key, &call(2, 39, 40), nonce, now), None);
        assert_eq!(price(&own, 2), None);
    }

    #[test]
    fn a_call_that_comes_again_gets_the_same_seal_and_old_ones_make_room() {
        let key = NodeKey::from_seed([1; 32]);
        let now = Instant::now();
        let mut bidder = Bidder::new(Some(1));
        let first = bidder.seal(&key, &call(0, 9, 9), || Nonce::from_bytes([1; 32]), now);
        let again = bidder.seal(&key, &call(0, 9, 9), || Nonce::from_bytes([2; 32]), now);
        assert_eq!(first, again);
        for n in 0..=255 {
            assert!(bidder.seal(&key, &call(n, 9, 9), || Nonce::from_bytes([1; 32]), now).is_some());
        }
        let more = Call { auction: AuctionId::from_bytes([9; 16]), ..call(9, 9, 9) };
        assert!(bidder.seal(&key, &more, || Nonce::from_bytes([1; 32]), now).is_some(), "it is known");
        let strange = Call { auction: AuctionId::from_random([3; 16]), ..more };
        assert_eq!(bidder.seal(&key, &strange, || Nonce::from_bytes([1; 32]), now), None);
        let later = now + KEPT;
        assert!(bidder.seal(&key, &strange, || Nonce::from_bytes([1; 32]), later).is_some());
    }
}

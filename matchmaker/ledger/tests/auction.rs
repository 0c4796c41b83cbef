//! Auctions: the cheapest win, at what the first loser asked; nobody does better by asking another price than its own,
//! or pays more than the ceiling; the order in which things came does not matter.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_ledger::auction::{Cleared, Entry, Out, Wanted, WrongSeed, clear};
use nearframe_ledger::hash::Hash32;
use nearframe_protocol::auction::{Bid, OpenBid, SealedBid, seed_hash};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{AuctionId, Currency, NodeId, NodeKey};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SEED: Hash32 = Hash32([9; 32]);
const SEALED: u64 = 1_000;
const OPENED: u64 = 2_000;

fn auction() -> AuctionId {
    AuctionId::from_bytes([1; 16])
}

fn eur() -> Currency {
    Currency::new("EUR").unwrap()
}

fn node(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn wanted(machines: u32, ceiling: i64) -> Wanted {
    Wanted {
        auction: auction(),
        work: Work::Reserve,
        region: String::new(),
        gpu_tier: 0,
        machines,
        from_ms: 3_000,
        until_ms: 4_000,
        ceiling_micros_per_hour: ceiling,
        currency: eur(),
        seal_until_ms: SEALED,
        open_until_ms: OPENED,
        seed_hash: seed_hash(&SEED.0),
    }
}

fn entry(n: u8, price: u64) -> Entry {
    let key = NodeKey::from_seed([n; 32]);
    let bid = Bid { auction: auction(), node: node(n), price_micros_per_hour: price, currency: eur() };
    let nonce = Nonce::from_bytes([n ^ 0x5a; 32]);
    Entry {
        node: node(n),
        key: key.public(),
        sealed: SealedBid::of(&key, &bid, &nonce),
        sealed_at_ms: SEALED,
        opened: Some((OpenBid { bid, nonce }, OPENED)),
        taken_by: vec![],
    }
}

fn entries(prices: &[u64]) -> Vec<Entry> {
    (1..).zip(prices).map(|(n, price)| entry(n, *price)).collect()
}

fn cleared(machines: u32, ceiling: i64, prices: &[u64]) -> Cleared {
    clear(&wanted(machines, ceiling), &entries(prices), &SEED).unwrap()
}

#[test]
fn the_cheapest_win_at_what_the_first_loser_asked() {
    let two = cleared(2, 100, &[30, 10, 40, 20]);
    assert_eq!((two.price_micros_per_hour, two.winners), (Some(30), vec![node(2), node(4)]));
    assert_eq!(two.next, [node(1)], "who takes a place asks no more than the price");
    let all = cleared(4, 100, &[30, 10, 40, 20]);
    assert_eq!((all.price_micros_per_hour, all.next), (Some(100), vec![]), "nobody lost: the ceiling");
    let one = cleared(1, 25, &[30, 10, 40]);
    assert_eq!(one.price_micros_per_hour, Some(25), "bids above the ceiling set no price");
    assert_eq!(one.out.keys().copied().collect::<Vec<_>>(), [node(1), node(3)]);
}

#[test]
fn where_too_few_bid_nobody_wins() {
    for (machines, prices) in [(3, &[1, 2][..]), (1, &[][..]), (2, &[1, 101][..])] {
        let none = cleared(machines, 100, prices);
        assert_eq!((none.price_micros_per_hour, none.winners, none.next), (None, vec![], vec![]));
    }
}

#[test]
fn who_is_late_or_opens_something_else_is_out() {
    let with = |change: fn(&mut Entry)| {
        let mut entries = entries(&[10, 20, 30]);
        change(&mut entries[0]);
        let cleared = clear(&wanted(1, 100), &entries, &SEED).unwrap();
        assert_eq!(cleared.winners, [node(2)]);
        cleared.out[&node(1)]
    };
    assert_eq!(with(|entry| entry.sealed_at_ms += 1), Out::SealedLate);
    assert_eq!(with(|entry| entry.opened = None), Out::NotOpened);
    assert_eq!(with(|entry| entry.opened.as_mut().unwrap().1 += 1), Out::NotOpened);
    assert_eq!(with(|entry| entry.opened.as_mut().unwrap().0.bid.price_micros_per_hour = 9), Out::OtherBid);
    assert_eq!(
        with(|entry| entry.opened.as_mut().unwrap().0.nonce = Nonce::from_bytes([0; 32])),
        Out::OtherBid
    );
    assert_eq!(with(|entry| entry.key = NodeKey::from_seed([77; 32]).public()), Out::Forged);
    assert_eq!(with(|entry| entry.sealed.auction = AuctionId::from_bytes([2; 16])), Out::Forged);
    assert_eq!(with(|entry| entry.taken_by = vec![AuctionId::from_bytes([3; 16])]), Out::Taken);
}

#[test]
fn a_seed_that_was_not_told_first_is_refused() {
    let other = clear(&wanted(1, 100), &entries(&[1]), &Hash32([8; 32]));
    assert_eq!(other, Err(WrongSeed));
}

#[test]
fn a_draw_decides_between_equal_bids_and_each_bidder_has_a_part_in_it() {
    let first = |seed: u8, nonce: u8| {
        let mut entries = entries(&[10, 10, 10]);
        let key = NodeKey::from_seed([3; 32]);
        let third = &mut entries[2];
        let (open, _) = third.opened.as_mut().unwrap();
        open.nonce = Nonce::from_bytes([nonce; 32]);
        third.sealed = SealedBid::of(&key, &open.bid, &open.nonce);
        let wanted = Wanted { seed_hash: seed_hash(&[seed; 32]), ..wanted(1, 100) };
        clear(&wanted, &entries, &Hash32([seed; 32])).unwrap().winners[0]
    };
    let by_seed: BTreeSet<_> = (0..64).map(|seed| first(seed, 0)).collect();
    let by_nonce: BTreeSet<_> = (0..64).map(|nonce| first(9, nonce)).collect();
    assert_eq!((by_seed.len(), by_nonce.len()), (3, 3), "either part alone moves it");
}

/// What a machine gains that takes `cost` for an hour.
fn gain(machines: u32, ceiling: i64, prices: &[u64], n: u8, cost: i64) -> i64 {
    let cleared = cleared(machines, ceiling, prices);
    let won = cleared.winners.contains(&node(n));
    cleared.price_micros_per_hour.filter(|_| won).map_or(0, |price| price - cost)
}

#[test]
fn nobody_gains_by_another_bid_than_what_it_takes() {
    const PRICES: std::ops::Range<u64> = 0..6;
    let mut cases = 0;
    for ceiling in [0, 3, 5] {
        for machines in 1..=3 {
            for others in PRICES.flat_map(|a| PRICES.map(move |b| [a, b])) {
                for cost in PRICES {
                    let with = |bid| gain(machines, ceiling, &[bid, others[0], others[1]], 1, cost as i64);
                    let honest = with(cost);
                    assert!(honest >= 0, "nobody is paid less than it takes");
                    for bid in PRICES {
                        cases += 1;
                        let gained = with(bid);
                        assert!(
                            gained <= honest,
                            "{machines} of {others:?}, {cost} asked as {bid}: {gained}"
                        );
                    }
                }
            }
        }
    }
    assert_eq!(cases, 3 * 3 * 36 * 6 * 6);
}

proptest! {
    #[test]
    fn the_ceiling_holds_winners_are_the_cheapest_and_order_does_not_matter(
        prices in prop::collection::vec(0..50u64, 0..9),
        machines in 1..5u32,
        ceiling in 0..50i64,
        turn in 0..9usize,
    ) {
        let entries = entries(&prices);
        let wanted = wanted(machines, ceiling);
        let cleared = clear(&wanted, &entries, &SEED).unwrap();
        let mut turned = entries.clone();
        turned.rotate_left(turn.min(entries.len()));
        turned.reverse();
        prop_assert_eq!(&clear(&wanted, &turned, &SEED).unwrap(), &cleared);
        let asked = |node: &NodeId| entries.iter().find(|entry| entry.node == *node).unwrap();
        let asked = |node: &NodeId| asked(node).opened.as_ref().unwrap().0.bid.price_micros_per_hour as i64;
        match cleared.price_micros_per_hour {
            None => prop_assert!(cleared.winners.is_empty() && cleared.next.is_empty()),
            Some(price) => {
                prop_assert!(price <= ceiling);
                prop_assert_eq!(cleared.winners.len(), machines as usize);
                prop_assert!(cleared.winners.iter().chain(&cleared.next).all(|node| asked(node) <= price));
                let dearest = cleared.winners.iter().map(asked).max().unwrap();
                let lost = entries.iter().map(|entry| entry.node).filter(|node| !cleared.winners.contains(node));
                prop_assert!(lost.map(|node| asked(&node)).all(|asked| asked >= dearest));
            }
        }
    }
}

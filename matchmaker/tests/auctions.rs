//! An auction over two matchmakers on one PostgreSQL database and one NATS server: machines bid wherever they are linked, it is
//! cleared once, and what stands by goes on when one of the two dies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bidder;
mod nats;
mod postgres;
mod support;

use axum::http::{Method, StatusCode};
use bidder::{Bidder, Studio, config, now_ms, states, studio, wish};
use nearframe_ledger::auction::clear;
use nearframe_matchmaker::Config;
use nearframe_matchmaker::audit::audit;
use nearframe_matchmaker::store::{MarketStore, PostgresStore};
use nearframe_protocol::NodeId;
use nearframe_protocol::api::{Node, Page};
use nearframe_protocol::market::{AuctionRecord, Reservation, ReservationState};
use serde_json::Value;
use std::time::{Duration, Instant};
use support::{FakeNode, Service, json};

/// Until a replica knows so many machines that are there.
async fn knows(service: &Service, machines: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let nodes: Page<Node> = json(service.get("/v1/nodes").await).await;
        if nodes.items.iter().filter(|node| node.online).count() == machines {
            return;
        }
        assert!(Instant::now() < until, "{nodes:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn reserved(studio: &Studio<'_>, machines: u32, lasts_ms: u64) -> Reservation {
    let answer = studio.send(Method::POST, "/v1/reservations", wish(machines, 0, now_ms() + lasts_ms)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    json(answer).await
}

#[tokio::test]
async fn an_auction_over_two_replicas_is_cleared_once_and_outlives_one_of_them() {
    let (postgres, nats) = (postgres::Server::start().await, nats::Server::start());
    let url = postgres.database("auctions").await;
    let config = Config { database_url: Some(url.clone()), bus_url: Some(nats.url()), ..config() };
    let (one, other) = (Service::with(config.clone()).await, Service::with(config).await);
    let mut ids: Vec<NodeId> = vec![];
    let mut nodes = vec![];
    for (n, price, at) in
        [(1, 1_000_000, &one), (2, 1_500_000, &other), (3, 2_000_001, &other), (4, 9_000_000, &one)]
    {
        let node = FakeNode::bidder(at, n, 1).await;
        ids.push(node.id);
        nodes.push(Bidder::live(node, price));
    }
    knows(&one, 4).await;
    knows(&other, 4).await;
    let studio = studio(&other, "100").await;
    let wished = reserved(&studio, 2, 45_000).await;

    let booked = studio.until(wished.id, "booked", |now| now.state != ReservationState::Bidding).await;
    assert_eq!(booked.state, ReservationState::Booked);
    assert_eq!(booked.price_per_hour.unwrap().amount_micros, 2_000_001, "what the first loser asked");
    let path = format!("/v1/auctions/{}", wished.auction);
    let [record, again] =
        [json::<AuctionRecord>(one.get(&path).await).await, json(other.get(&path).await).await];
    assert_eq!(record, again, "both tell the same of it");
    assert_eq!((&record.winners[..], &record.next[..], record.bids.len()), (&ids[..2], &ids[2..3], 4));
    let store = PostgresStore::open(&url).await.unwrap();
    let row = store.reservation(wished.id).await.unwrap().unwrap();
    let bids = store.bids(wished.auction).await.unwrap();
    let cleared = clear(&row.auction.wanted, &bids, &row.auction.seed).unwrap();
    assert_eq!(cleared.winners, record.winners);

    let stands = |nodes: Vec<NodeId>| {
        move |now: &Reservation| nodes.iter().all(|node| states(now).get(node) == Some(&"standing"))
    };
    studio.until(wished.id, "standing at both", stands(ids[..2].to_vec())).await;
    studio.until(wished.id, "paid", |now| now.paid.amount_micros > 0).await;
    // The links of its machines die with it.
    drop(one);
    for at in [0, 3] {
        nodes[at].abort();
    }
    let replaced = studio.until(wished.id, "replaced", stands(ids[1..3].to_vec())).await;
    assert_eq!((states(&replaced)[&ids[0]], replaced.standing), ("gone", 2));

    studio.until(wished.id, "over", |now| now.state == ReservationState::Over).await;
    // The last receipts are on their way.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let over = studio.reservation(wished.id).await;
    let whole =
        2 * over.price_per_hour.as_ref().unwrap().amount_micros * i128::from(over.until_ms - over.from_ms)
            / 3_600_000;
    assert_eq!(over.held.amount_micros, 0);
    assert!(over.paid.amount_micros > 0 && over.paid.amount_micros <= whole, "{over:?}");
    assert!(over.short_ms > 0, "it took a moment to replace the machine");
    let held = postgres.ask("auctions", "SELECT coalesce(sum(held), 0) FROM nodes");
    assert_eq!(held, "0", "every slot was given back once");
    let twice = "SELECT count(*) FROM leases a JOIN leases b ON a.node_id = b.node_id AND a.id < b.id
        AND a.started_at_ms < coalesce(b.ended_at_ms, 9e15) AND b.started_at_ms < coalesce(a.ended_at_ms, 9e15)";
    assert_eq!(postgres.ask("auctions", twice), "0", "no slot stood by twice");
    audit(&store).await.unwrap();
    nodes.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Whoever of the two clears auctions dies while bids are opened; the other clears from the record alone.
#[tokio::test]
async fn an_auction_whose_matchmaker_dies_is_cleared_by_the_other() {
    let (postgres, nats) = (postgres::Server::start().await, nats::Server::start());
    let url = postgres.database("auctions").await;
    let config = Config { database_url: Some(url), bus_url: Some(nats.url()), auction_s: 6, ..config() };
    let (one, other) = (Service::with(config.clone()).await, Service::with(config).await);
    let node = FakeNode::bidder(&other, 1, 1).await;
    let id = node.id;
    let node = Bidder::live(node, 1_000_000);
    knows(&one, 1).await;
    let studio = studio(&other, "100").await;
    let wished = reserved(&studio, 1, 30_000).await;
    let until = Instant::now() + Duration::from_secs(5);
    let path = format!("/v1/auctions/{}", wished.auction);
    while json::<AuctionRecord>(other.get(&path).await).await.bids.is_empty() {
        assert!(Instant::now() < until, "nothing is sealed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(one);
    let stands = studio.until(wished.id, "standing", |now| now.standing == 1).await;
    assert_eq!(states(&stands)[&id], "standing");
    let cancelled =
        studio.send(Method::DELETE, &format!("/v1/reservations/{}", wished.id), Value::Null).await;
    assert_eq!(cancelled.status(), StatusCode::OK);
    node.abort();
}

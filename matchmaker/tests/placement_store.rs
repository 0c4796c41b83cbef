//! What every store does for placement, whichever it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod contract;
mod postgres;

use nearframe_ledger::Tariff;
use nearframe_matchmaker::bus::words::ReplicaId;
use nearframe_matchmaker::store::placement::{
    BookingRow, BookingTerms, InterruptibleRow, OrderKind, OrderRow, PastRow, RuleKind, RuleRow,
};
use nearframe_matchmaker::store::{Admission, Created, Fence, NewSession, Store};
use nearframe_placement::assign::reserve::NoRoom;
use nearframe_placement::latency::{Recent, keep};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::{
    Currency, EndReason, GuestId, LeaseId, NodeId, NodeKey, SessionId, TitleHash, TitleId,
};
use std::collections::BTreeMap;

const NOW: u64 = 1_700_000_000_000;

async fn enrol(store: &dyn Store, n: u8) -> NodeId {
    store.add_enrolment([n; 32], NOW + 1).await.unwrap();
    let offer = NodeOffer {
        name: "node".into(),
        region: "DE".into(),
        slots: 4,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![],
        capability: None,
        terms: NodeTerms::default(),
    };
    let key = NodeKey::from_seed([n; 32]).public();
    match store.admit_node(&key, Some([n; 32]), &offer, NOW).await.unwrap() {
        Admission::Admitted(node) => node,
        other => panic!("{other:?}"),
    }
}

fn new_session(node: NodeId, n: u8) -> NewSession {
    NewSession {
        id: SessionId::from_random([n; 16]),
        guest: GuestId::from_random([n; 16]),
        guest_limit: 3,
        title: TitleId::new("meteor").unwrap(),
        title_hash: TitleHash::from_bytes([4; 32]),
        node,
        player_key: NodeKey::from_seed([9; 32]).public(),
        lease: LeaseId::from_random([n; 16]),
        tariff: Tariff { price_micros_per_hour: 0, fee_permille: 0, currency: Currency::new("EUR").unwrap() },
        basis: None,
        now_ms: NOW,
        idempotency: None,
        fence: None,
        payer: None,
        reservation: None,
        player: None,
    }
}

async fn session(store: &dyn Store, node: NodeId, n: u8) -> SessionId {
    let new = new_session(node, n);
    assert!(matches!(store.create_session(&new).await.unwrap(), Created::New(_)));
    new.id
}

fn past(client: u8, values: &[(u32, u32, u32)]) -> PastRow {
    let mut sites: BTreeMap<u32, Recent> = BTreeMap::new();
    for &(site, epoch, rtt_us) in values {
        sites.entry(site).or_default().observe(epoch, rtt_us);
    }
    let (past, newest) = keep::to_bytes(&sites);
    PastRow { client: vec![client; keep::CLIENT_BYTES], past, newest }
}

async fn sites_keep_the_numbers_that_they_once_got(store: &dyn Store) {
    let name = |text: &str| text.to_owned();
    let first = store.latency_sites(&[name("DE|-|-"), name("FR|1|2,3")]).await.unwrap();
    let again = store.latency_sites(&[name("FR|1|2,3"), name("JP|-|-"), name("DE|-|-")]).await.unwrap();
    assert_eq!((again[0], again[2]), (first[1], first[0]));
    let known = store.known_latency_sites().await.unwrap();
    assert_eq!(known.len(), 3);
    assert!(known.contains(&(again[1], name("JP|-|-"))));
}

async fn pasts_of_replicas_are_united_and_read_by_change(store: &dyn Store) {
    store.merge_latency(&[past(1, &[(1, 5, 20_000)])], NOW).await.unwrap();
    store
        .merge_latency(&[past(1, &[(1, 5, 18_000), (2, 6, 9_000)]), past(2, &[(1, 4, 1)])], NOW + 10)
        .await
        .unwrap();
    // Late, and told twice.
    store.merge_latency(&[past(1, &[(1, 5, 20_000)])], NOW + 20).await.unwrap();
    let all = store.latency_since(0, 10).await.unwrap();
    assert_eq!(all.len(), 2);
    let united = all.iter().find(|(_, row)| row.client[0] == 1).unwrap();
    assert_eq!((united.0, &united.1), (NOW + 20, &past(1, &[(1, 5, 18_000), (2, 6, 9_000)])));
    assert_eq!(store.latency_since(NOW + 11, 10).await.unwrap().len(), 1);
    assert_eq!(store.latency_since(0, 1).await.unwrap()[0].1.client[0], 2, "the oldest change first");
}

async fn old_pasts_and_those_that_are_too_many_are_forgotten(store: &dyn Store) {
    for n in 1..=6 {
        store.merge_latency(&[past(n, &[(1, u32::from(n), 1000)])], NOW).await.unwrap();
    }
    assert_eq!(store.prune_latency(3, 2).await.unwrap(), 4);
    let mut left: Vec<_> =
        store.latency_since(0, 10).await.unwrap().iter().map(|(_, row)| row.newest).collect();
    left.sort_unstable();
    assert_eq!(left, [5, 6]);
}

async fn an_order_stands_until_it_is_lifted_and_stays_on_record(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let order = |kind, reason: &str, since_ms| OrderRow {
        node,
        kind,
        reason: reason.to_owned(),
        evidence: "link".to_owned(),
        since_ms,
        lifted_ms: None,
    };
    store.add_order(&order(OrderKind::Ban, "first", NOW)).await.unwrap();
    store.add_order(&order(OrderKind::Drain, "driver", NOW)).await.unwrap();
    store.add_order(&order(OrderKind::Ban, "second", NOW + 1)).await.unwrap();
    let standing = store.standing_orders().await.unwrap();
    let words: Vec<_> = standing.iter().map(|row| (row.kind, row.reason.as_str())).collect();
    assert_eq!(words, [(OrderKind::Ban, "second"), (OrderKind::Drain, "driver")]);
    assert!(store.lift_order(node, OrderKind::Ban, NOW + 2).await.unwrap());
    assert!(!store.lift_order(node, OrderKind::Ban, NOW + 3).await.unwrap(), "once");
    assert_eq!(store.standing_orders().await.unwrap().len(), 1);
    let record = store.orders_of(node).await.unwrap();
    assert_eq!(record.len(), 3);
    assert_eq!((record[0].reason.as_str(), record[0].lifted_ms), ("second", Some(NOW + 2)));
}

async fn a_rule_is_replaced_and_removed(store: &dyn Store) {
    store.put_rule(RuleKind::Reserve, "DE", Some("3")).await.unwrap();
    store.put_rule(RuleKind::Reserve, "DE", Some("4")).await.unwrap();
    store.put_rule(RuleKind::Residency, "meteor", Some("{}")).await.unwrap();
    store.put_rule(RuleKind::Residency, "meteor", None).await.unwrap();
    store.put_rule(RuleKind::Residency, "meteor", None).await.unwrap();
    let rule = RuleRow { kind: RuleKind::Reserve, subject: "DE".into(), body: "4".into() };
    assert_eq!(store.rules().await.unwrap(), [rule]);
}

fn booking(n: u8, from: u64, until: u64, slots: u32) -> BookingRow {
    BookingRow {
        id: [n; 16],
        region: "DE".into(),
        from_ms: NOW + from,
        until_ms: NOW + until,
        slots,
        note: String::new(),
        cancelled_ms: None,
    }
}

async fn no_slot_is_booked_twice_and_a_repeated_booking_is_one(store: &dyn Store) {
    let terms = BookingTerms { capacity: 4, reserve: 1, spot: 1, spot_ends_ms: NOW + 50 };
    assert_eq!(store.book(&booking(1, 0, 100, 3), terms).await.unwrap(), Ok(()));
    assert_eq!(store.book(&booking(1, 0, 100, 3), terms).await.unwrap(), Ok(()), "the same again");
    let full = Err(NoRoom::Full { free: 0 });
    assert_eq!(store.book(&booking(2, 10, 20, 1), terms).await.unwrap(), full, "spot plays until 50");
    assert_eq!(store.book(&booking(3, 60, 90, 1), terms).await.unwrap(), Ok(()), "then it is over");
    assert_eq!(store.book(&booking(4, 60, 90, 1), terms).await.unwrap(), full);
    assert_eq!(store.book(&booking(5, 100, 200, 4), terms).await.unwrap(), Ok(()), "after both");
    assert!(store.cancel_booking([3; 16], NOW).await.unwrap());
    assert!(!store.cancel_booking([3; 16], NOW).await.unwrap());
    assert_eq!(store.book(&booking(4, 60, 90, 1), terms).await.unwrap(), Ok(()));
    let open: Vec<_> = store.bookings(NOW + 95).await.unwrap().iter().map(|row| row.id[0]).collect();
    assert_eq!(open, [1, 5]);
}

async fn sessions_use_a_booking_as_far_as_it_goes(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let terms = BookingTerms { capacity: 4, reserve: 0, spot: 0, spot_ends_ms: NOW };
    store.book(&booking(1, 0, 100, 1), terms).await.unwrap().unwrap();
    let [first, second] = [session(store, node, 1).await, session(store, node, 2).await];
    assert!(store.use_booking([1; 16], first).await.unwrap());
    assert!(!store.use_booking([1; 16], second).await.unwrap(), "it is for one");
    assert_eq!(store.booking_use().await.unwrap(), [([1; 16], 1)]);
    store.end_session(first, EndReason::PlayerLeft, NOW + 1).await.unwrap();
    assert!(store.booking_use().await.unwrap().is_empty());
    assert!(store.use_booking([1; 16], second).await.unwrap(), "the slot came back");
    assert!(!store.use_booking([9; 16], second).await.unwrap(), "no such booking");
}

async fn interruptible_sessions_are_kept_until_they_end_and_told_once(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let [first, second] = [session(store, node, 1).await, session(store, node, 2).await];
    for _ in 0..2 {
        store.add_interruptible(first).await.unwrap();
    }
    store.add_interruptible(second).await.unwrap();
    let row = |session, ends_ms| InterruptibleRow { session, node, since_ms: NOW, ends_ms };
    assert_eq!(store.interruptible().await.unwrap(), [row(first, None), row(second, None)]);
    assert!(store.give_notice(first, NOW + 5).await.unwrap());
    assert!(!store.give_notice(first, NOW + 9).await.unwrap(), "told once");
    store.add_interruptible(first).await.unwrap();
    assert_eq!(store.interruptible().await.unwrap(), [row(first, Some(NOW + 5)), row(second, None)]);
    store.end_session(first, EndReason::Preempted, NOW + 5).await.unwrap();
    store.add_interruptible(second).await.unwrap();
    assert_eq!(store.interruptible().await.unwrap(), [row(second, None)]);
    assert!(!store.give_notice(SessionId::from_random([9; 16]), NOW).await.unwrap(), "none of those");
}

async fn nodes_are_listed_page_by_page(store: &dyn Store) {
    let mut all = Vec::new();
    for n in 1..=5 {
        all.push(enrol(store, n).await);
    }
    assert_eq!(store.node_count().await.unwrap(), 5);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.nodes(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.iter().map(|row| row.id));
    }
    all.sort();
    assert_eq!(seen, all, "of one name, by id");
    assert!(store.nodes(Some(NodeId::from_random([9; 16])), 2).await.unwrap().is_empty(), "no such node");
}

async fn who_lost_a_region_leases_nothing_in_it_any_more(store: &dyn Store) {
    let node = enrol(store, 1).await;
    let [one, other] = [1, 2].map(ReplicaId::from_number);
    for replica in [one, other] {
        store.beat(replica, true).await.unwrap();
    }
    assert_eq!(store.claim_region("DE", one, None).await.unwrap(), Some(1));
    assert_eq!(store.claim_region("DE", other, None).await.unwrap(), None, "it is owned");
    let lease = async |n: u8, number: u64| {
        let fence = Some(Fence { region: "DE".into(), number });
        store.create_session(&NewSession { fence, ..new_session(node, n) }).await.unwrap()
    };
    assert!(matches!(lease(1, 1).await, Created::New(_)));
    assert_eq!(store.claim_region("DE", other, Some(1)).await.unwrap(), Some(2));
    assert_eq!(store.claim_region("DE", one, Some(1)).await.unwrap(), None, "it was faster");
    assert_eq!(lease(2, 1).await, Created::Fenced, "the number before holds no more");
    assert_eq!(store.busy().await.unwrap().get(&node), Some(&1), "and nothing is taken");
    assert!(matches!(lease(2, 2).await, Created::New(_)));
    assert_eq!(lease(3, 3).await, Created::Fenced, "nor does one that nobody has");
}

contract! {
    sites_keep_the_numbers_that_they_once_got
    pasts_of_replicas_are_united_and_read_by_change
    old_pasts_and_those_that_are_too_many_are_forgotten
    an_order_stands_until_it_is_lifted_and_stays_on_record
    a_rule_is_replaced_and_removed
    no_slot_is_booked_twice_and_a_repeated_booking_is_one
    sessions_use_a_booking_as_far_as_it_goes
    interruptible_sessions_are_kept_until_they_end_and_told_once
    nodes_are_listed_page_by_page
    who_lost_a_region_leases_nothing_in_it_any_more
}

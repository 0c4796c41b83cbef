//! Which nodes a page measures, what follows from it, what an operator's word does, and what a full house does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_placement::geo::Place;
use nearframe_placement::latency::{Client, ClientKey, MAX_MEASUREMENTS};
use nearframe_placement::orders::Order;
use nearframe_placement::{Fleet, Obstacle, Request};
use nearframe_protocol::fleet::Together;
use nearframe_protocol::link::{HeldTitle, NodeOffer};
use nearframe_protocol::measure::{Reflector, ReflectorSecret};
use nearframe_protocol::terms::{Evidence, Location, NodeTerms};
use nearframe_protocol::title::{TitleEntry, TitleKind, TouchControls};
use nearframe_protocol::{Currency, NodeId, TitleHash, TitleId};
use std::collections::{BTreeMap, HashSet};

const LINK: u64 = 1;

fn title() -> TitleId {
    TitleId::new("meteor").unwrap()
}

fn hash() -> TitleHash {
    TitleHash::from_bytes([1; 32])
}

fn request() -> Request {
    Request::play(title(), hash())
}

fn node(n: u8) -> NodeId {
    NodeId::from_random([n; 16])
}

fn client(n: u32) -> Client {
    Client { prefix: Some(ClientKey::V4(n)), ..Client::default() }
}

/// A node of its own site, 10° of longitude for each number, that pages may measure.
fn join(fleet: &mut Fleet, n: u8, link: u64, region: &str, degrees: f64) {
    let entry = TitleEntry {
        id: title(),
        kind: TitleKind::Builtin,
        name: "Meteor".into(),
        version: "1".into(),
        hash: hash(),
        description: String::new(),
        cover: None,
        width: 1280,
        height: 720,
        fps: 60,
        controls: vec![],
        touch: TouchControls::default(),
    };
    let location =
        Some(Location { latitude_deg: 0.0, longitude_deg: degrees, asn: None, evidence: Evidence::Declared });
    let offer = NodeOffer {
        name: format!("n{n}"),
        region: region.to_owned(),
        slots: 2,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![HeldTitle { entry, cover_base64: None }],
        capability: None,
        terms: NodeTerms { location, ..NodeTerms::default() },
    };
    fleet.join(node(n), link, offer, 0);
    let reflector = Reflector {
        addresses: vec!["192.0.2.1:1".parse().unwrap()],
        secret: ReflectorSecret::from_bytes([n; 32]),
        behind_nat: false,
    };
    assert!(fleet.set_reflector(node(n), link, reflector));
}

fn fleet(nodes: &[(u8, &str, f64)]) -> Fleet {
    let mut fleet = Fleet::new(Currency::new("EUR").unwrap());
    nodes.iter().for_each(|&(n, region, degrees)| join(&mut fleet, n, LINK, region, degrees));
    fleet
}

#[test]
fn a_stranger_measures_at_most_eight_nodes_of_different_sites_and_a_known_client_four() {
    let nodes: Vec<_> = (0..20).map(|n| (n, "DE", f64::from(n) * 10.0)).collect();
    let mut fleet = fleet(&nodes);
    let stranger = fleet.candidates(&client(1), Some(&request()), 7);
    assert_eq!(stranger.len(), MAX_MEASUREMENTS);
    assert_eq!(stranger.iter().collect::<HashSet<_>>().len(), MAX_MEASUREMENTS);
    assert!(fleet.learn(&client(1), &[(stranger[0], 9_000)], 1));
    assert_eq!(fleet.candidates(&client(1), Some(&request()), 7).len(), 4);
}

#[test]
fn where_there_are_few_sites_more_of_their_nodes_are_measured_and_alone_none_is() {
    let three = fleet(&[(1, "DE", 10.0), (2, "DE", 10.0), (3, "FR", 30.0)]);
    let all: HashSet<_> = three.candidates(&client(1), None, 3).into_iter().collect();
    assert_eq!(all, HashSet::from([node(1), node(2), node(3)]));
    let alone = fleet(&[(1, "DE", 10.0)]);
    assert!(alone.candidates(&client(1), None, 3).is_empty(), "there is nothing to choose");
}

#[test]
fn nobody_measures_a_node_that_may_not_be_chosen() {
    let mut fleet = fleet(&[(1, "DE", 10.0), (2, "FR", 30.0), (3, "SE", 50.0), (4, "ES", 70.0)]);
    fleet.order(BTreeMap::from([(node(1), Order { banned: true, drained: false })]));
    fleet.drain(node(2), LINK);
    let found: HashSet<_> = fleet.candidates(&client(1), None, 0).into_iter().collect();
    assert_eq!(found, HashSet::from([node(3), node(4)]));
    let other = Request::play(TitleId::new("nothing").unwrap(), hash());
    assert!(fleet.candidates(&client(1), Some(&other), 0).is_empty());
    fleet.take_lost(10_000);
    assert!(fleet.candidates(&client(1), None, 0).is_empty(), "who is gone is not measured");
}

#[test]
fn what_was_measured_decides_and_is_remembered_unless_it_cannot_be() {
    let mut fleet = fleet(&[(1, "DE", 10.0), (2, "FR", 30.0), (3, "AU", 150.0)]);
    let measured = [(node(1), 40_000), (node(2), 25_000), (node(3), 4_000)];
    let chosen = |fleet: &Fleet, measured: &[(NodeId, u32)]| {
        let decided = fleet.decide_measured(&request(), &client(1), measured, 0).unwrap();
        let found = decided.chosen.unwrap();
        (found.node, found.rtt_us)
    };
    assert_eq!(chosen(&fleet, &measured), (node(3), 4_000));
    assert!(!fleet.remembers(&client(1), node(3)));
    assert!(fleet.learn(&client(1), &[(node(1), 40_000), (node(2), 25_000)], 1));
    assert_eq!(chosen(&fleet, &[]), (node(2), 25_000));
    assert!(fleet.remembers(&client(1), node(2)) && !fleet.remembers(&client(2), node(2)));
    // Nobody is a millisecond from both ends of the world.
    assert!(!fleet.learn(&client(2), &[(node(1), 1_000), (node(3), 1_000)], 1));
    assert!(fleet.take_learnt(9).iter().all(|(key, _)| *key == ClientKey::V4(1)));
    assert!(fleet.take_learnt(9).is_empty(), "told once");
}

#[test]
fn a_node_that_answers_slower_than_its_neighbour_is_known_by_it_in_time() {
    let mut fleet = fleet(&[(1, "DE", 10.0), (2, "DE", 10.0)]);
    for epoch in 0..40 {
        assert!(fleet.learn(&client(1), &[(node(1), 5_000), (node(2), 25_000)], epoch));
    }
    for seed in 0..16 {
        let decided = fleet.decide_measured(&request(), &client(1), &[], seed).unwrap();
        assert_eq!(decided.chosen.unwrap().node, node(1));
    }
}

#[test]
fn orders_hold_for_who_comes_back_and_a_nodes_own_word_outlasts_them() {
    let mut fleet = fleet(&[(1, "DE", 10.0), (2, "FR", 30.0)]);
    let banned = Order { banned: true, drained: false };
    fleet.order(BTreeMap::from([(node(1), banned), (node(2), Order { banned: false, drained: true })]));
    join(&mut fleet, 1, LINK + 1, "DE", 10.0);
    let no = fleet.decide_measured(&request(), &client(1), &[], 0).unwrap_err();
    assert_eq!(no.counts, BTreeMap::from([(Obstacle::Banned, 1), (Obstacle::Draining, 1)]));
    fleet.drain(node(2), LINK);
    fleet.order(BTreeMap::new());
    let decided = fleet.decide_measured(&request(), &client(1), &[], 0).unwrap();
    assert_eq!(decided.chosen.unwrap().node, node(1));
    assert_eq!(decided.no.counts, BTreeMap::from([(Obstacle::Draining, 1)]), "it said so itself");
}

#[test]
fn a_shut_region_is_no_region_for_spot_and_says_why() {
    let fleet = fleet(&[(1, "DE", 10.0), (2, "FR", 30.0)]);
    let shut = Request { shut: vec!["DE".into(), "nowhere".into()], ..request() };
    let decided = fleet.decide_measured(&shut, &client(1), &[(node(1), 1_000)], 0).unwrap();
    assert_eq!(decided.chosen.unwrap().node, node(2));
    assert_eq!(decided.no.counts, BTreeMap::from([(Obstacle::Reserved, 1)]));
    assert_eq!((fleet.free_for(&shut), fleet.free_for(&request())), (2, 4));
    let none = Request { shut: vec!["DE".into(), "FR".into()], ..request() };
    assert!(fleet.decide_measured(&none, &client(1), &[], 0).is_err() && fleet.could_take(&none));
}

#[test]
fn a_group_is_placed_together_or_not_at_all() {
    let mut fleet = fleet(&[(1, "DE", 10.0), (2, "DE", 30.0), (3, "FR", 50.0)]);
    let near = fleet.ranking_measured(&client(1), &[(node(1), 5_000), (node(3), 90_000)]);
    let far = fleet.ranking_measured(&client(2), &[(node(1), 90_000), (node(3), 6_000)]);
    let one = fleet.decide_group(&request(), &[near.clone(), near.clone()], Together::Node, 0).unwrap();
    assert_eq!((one[0].node, one[1].node), (node(1), node(1)));
    let both = [near.clone(), far];
    let region = fleet.decide_group(&request(), &both, Together::Region, 0).unwrap();
    let regions: HashSet<_> = region.iter().map(|found| fleet.region_of(found.node).to_owned()).collect();
    assert_eq!(regions.len(), 1, "{regions:?}");
    let three = [near.clone(), near.clone(), near.clone()];
    assert!(fleet.decide_group(&request(), &three, Together::Node, 0).is_none(), "no node has three slots");
    let five = vec![near; 5];
    assert!(fleet.decide_group(&request(), &five, Together::Region, 0).is_none());
    assert_eq!(fleet.free_for(&request()), 6, "nothing was taken");
}

#[test]
fn a_past_moves_to_another_process_by_the_names_of_sites() {
    let mut one = fleet(&[(1, "DE", 10.0), (2, "FR", 30.0)]);
    assert!(one.learn(&client(1), &[(node(2), 7_000)], 3));
    let told = one.take_learnt(9);
    // Another process met the sites in another order, and has not met one of them at all.
    let mut other = fleet(&[(3, "JP", 90.0), (2, "FR", 30.0)]);
    told.into_iter().for_each(|past| other.take_in(past));
    let decided = other.decide_measured(&request(), &client(1), &[], 0).unwrap();
    assert_eq!(decided.chosen.map(|found| (found.node, found.rtt_us)), Some((node(2), 7_000)));
    assert!(other.take_learnt(9).is_empty(), "what was taken in is not told again");
}

/// Ten slots at 0° and ten at 40°, and players of two places: half-way, who hardly care, and near the first.
struct FullHouse {
    fleet: Fleet,
    held: BTreeMap<u8, u32>,
}

impl FullHouse {
    const NEAR: std::ops::Range<u8> = 0..5;
    const FAR: std::ops::Range<u8> = 5..10;

    fn new() -> Self {
        let nodes: Vec<_> =
            (0..10).map(|n| (n, "DE", if Self::NEAR.contains(&n) { 0.0 } else { 40.0 })).collect();
        Self { fleet: fleet(&nodes), held: BTreeMap::new() }
    }

    fn player(degrees: f64) -> Client {
        Client { place: Place::new(0.0, degrees), ..Client::default() }
    }

    fn sit(&mut self, client: &Client, at: std::ops::Range<u8>, players: u32) {
        for _ in 0..players {
            let free = |n: &u8| self.held.get(n).copied().unwrap_or_default() < 2;
            let n = at.clone().find(free).expect("a free slot");
            let held = self.held.entry(n).or_default();
            *held += 1;
            self.fleet.set_held(node(n), *held, u64::from(*held));
            self.fleet.seat(client, node(n));
        }
    }

    fn plan(&mut self) -> bool {
        let next = self.fleet.next_plan();
        let planned = next.is_some();
        next.into_iter().for_each(|next| self.fleet.adopt(next.solve()));
        planned
    }

    fn is_sent_near(&self, client: &Client) -> bool {
        let chosen = self.fleet.decide(&request(), client, 7).unwrap().chosen.unwrap();
        Self::NEAR.map(node).any(|node| node == chosen.node)
    }
}

#[test]
fn a_full_house_keeps_near_slots_for_those_who_lose_most_without_them() {
    let (indifferent, near) = (FullHouse::player(19.0), FullHouse::player(1.0));
    let mut house = FullHouse::new();
    house.sit(&indifferent, FullHouse::NEAR, 8);
    assert!(!house.plan() && house.fleet.prices_us().is_empty(), "there is room for everybody");
    assert!(house.is_sent_near(&indifferent) && house.is_sent_near(&near));
    house.sit(&near, FullHouse::NEAR, 1);
    house.sit(&indifferent, FullHouse::FAR, 4);
    house.sit(&near, FullHouse::FAR, 3);
    assert!(house.plan());
    assert!(house.fleet.prices_us()[0] > 0, "{:?}", house.fleet.prices_us());
    assert!(house.is_sent_near(&near) && !house.is_sent_near(&indifferent));
    let reasons = house.fleet.decide(&request(), &near, 7).unwrap().chosen.unwrap();
    assert!(reasons.terms.scarcity > 0, "the price is told: {}", reasons.terms);

    // Those who came first leave: there is room again, and the nearest slot is simply taken.
    for n in FullHouse::NEAR {
        house.fleet.set_held(node(n), 0, 9);
    }
    assert!(!house.plan() && house.is_sent_near(&indifferent));
}

#[test]
fn slots_that_others_hold_leave_less_to_plan_with() {
    let (indifferent, near) = (FullHouse::player(19.0), FullHouse::player(1.0));
    let mut house = FullHouse::new();
    // Eight of the far slots went to players whom another process seated.
    for n in 5..9 {
        house.fleet.set_held(node(n), 2, 1);
    }
    house.sit(&indifferent, FullHouse::NEAR, 5);
    house.sit(&near, FullHouse::NEAR, 4);
    house.held.insert(9, 0);
    assert!(house.plan());
    assert!(house.is_sent_near(&near));
    house.sit(&indifferent, 9..10, 2);
    assert!(house.plan());
    assert!(house.is_sent_near(&indifferent), "nothing else is free");
}

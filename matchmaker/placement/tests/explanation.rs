//! What a person is told about a placement.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_placement::latency::Client;
use nearframe_placement::profile::{Hour, PriceList};
use nearframe_placement::region::Residency;
use nearframe_placement::{Explanation, Fleet, NoNode, Obstacle, Request, Weights};
use nearframe_protocol::link::{HeldTitle, NodeOffer};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::title::{TitleEntry, TitleKind, TouchControls};
use nearframe_protocol::{Currency, Money, NodeId, TitleHash, TitleId};
use std::collections::HashMap;
use std::sync::Arc;

fn euro() -> Currency {
    Currency::new("EUR").unwrap()
}

fn node(n: u8) -> NodeId {
    NodeId::from_random([n; 16])
}

fn offer(region: &str, hash: u8, terms: NodeTerms) -> NodeOffer {
    let entry = TitleEntry {
        id: TitleId::new("meteor").unwrap(),
        kind: TitleKind::Builtin,
        name: "Meteor".into(),
        version: "1".into(),
        hash: TitleHash::from_bytes([hash; 32]),
        description: String::new(),
        cover: None,
        width: 1280,
        height: 720,
        fps: 60,
        controls: vec![],
        touch: TouchControls::default(),
    };
    NodeOffer {
        name: "n".into(),
        region: region.into(),
        slots: 2,
        adapter: String::new(),
        encoders: vec![],
        titles: vec![HeldTitle { entry, cover_base64: None }],
        capability: None,
        terms,
    }
}

fn request() -> Request {
    Request::play(TitleId::new("meteor").unwrap(), TitleHash::from_bytes([1; 32]))
}

fn decide(fleet: &mut Fleet, request: &Request, busy: &HashMap<NodeId, u32>) -> Result<Explanation, NoNode> {
    busy.iter().for_each(|(node, held)| fleet.set_held(*node, *held, 1));
    fleet.decide(request, &Client::default(), 7)
}

fn priced(amount_micros: i128, currency: &str) -> NodeTerms {
    let currency = Currency::new(currency).unwrap();
    NodeTerms { price_per_hour: Some(Money { amount_micros, currency }), ..NodeTerms::default() }
}

#[test]
fn the_emptier_and_the_cheaper_node_is_chosen_and_the_terms_say_so() {
    let mut fleet = Fleet::new(euro());
    fleet.join(node(1), 1, offer("DE", 1, priced(900_000, "EUR")), 0);
    fleet.join(node(2), 1, offer("DE", 1, priced(300_000, "EUR")), 0);
    let explained = decide(&mut fleet, &request(), &HashMap::new()).unwrap();
    let chosen = explained.chosen.unwrap();
    assert_eq!(chosen.node, node(2));
    assert_eq!(explained.candidates.len(), 2);
    let [first, second] = [explained.candidates[0], explained.candidates[1]];
    assert_eq!(first, chosen);
    assert_eq!(second.terms.price - first.terms.price, 12_000, "60 cents an hour weigh 12 ms");
    let explained = decide(&mut fleet, &request(), &HashMap::from([(node(2), 2)])).unwrap();
    assert_eq!(explained.chosen.unwrap().node, node(1));
    assert_eq!(explained.no.examples, [(node(2), Obstacle::Full)]);
}

#[test]
fn every_no_names_its_first_reason() {
    let mut fleet = Fleet::new(euro());
    fleet.join(node(1), 1, offer("FR", 1, NodeTerms::default()), 0);
    fleet.join(node(2), 1, offer("DE-BY", 2, NodeTerms::default()), 0);
    fleet.join(node(3), 1, offer("DE", 1, priced(100, "USD")), 0);
    fleet.join(node(4), 1, offer("DE", 1, NodeTerms::default()), 0);
    fleet.drain(node(4), 1);
    fleet.join(node(5), 1, offer("DE", 1, NodeTerms::default()), 0);
    fleet.unlink(node(5), 1);
    let mut request = request();
    request.residency = vec![Residency::only(vec!["DE".into()])];
    request.needs.price_ceiling_micros_per_hour = Some(1_000_000);
    let no = decide(&mut fleet, &request, &HashMap::new()).unwrap_err();
    let expected = [
        (node(1), Obstacle::Region),
        (node(2), Obstacle::OtherVersion),
        (node(3), Obstacle::Price),
        (node(4), Obstacle::Draining),
        (node(5), Obstacle::Offline),
    ];
    for (node, obstacle) in expected {
        assert!(no.examples.contains(&(node, obstacle)), "{node} {obstacle}: {:?}", no.examples);
    }
    let text = no.to_string();
    assert!(text.starts_with("no node can take it: 1 offline, 1 shutting down"), "{text}");
    let mut none = Fleet::new(euro());
    let no = decide(&mut none, &request, &HashMap::new()).unwrap_err();
    assert_eq!(no.to_string(), "no node is connected");
}

#[test]
fn a_title_that_only_other_nodes_hold_in_another_version_is_said_to_be_so() {
    let mut fleet = Fleet::new(euro());
    fleet.join(node(1), 1, offer("DE", 9, NodeTerms::default()), 0);
    let no = decide(&mut fleet, &request(), &HashMap::new()).unwrap_err();
    assert_eq!(no.to_string(), "no node can take it: 1 with another version of the title");
}

/// An hour costs 0.30 for each tier, less where it may be interrupted.
#[derive(Debug)]
struct ByTier(u64);

impl PriceList for ByTier {
    fn hour(&self, gpu_tier: u8, _region: &str) -> Hour {
        let interactive_micros = self.0 * u64::from(gpu_tier);
        // The highest tier is nearly free where it may be interrupted.
        let batch_micros = if gpu_tier == 3 { 1 } else { interactive_micros };
        Hour { interactive_micros, batch_micros }
    }
}

#[test]
fn a_price_list_counts_on_every_node_and_those_who_ask_more_are_out_of_reach() {
    let tier = |gpu_tier, terms| NodeTerms { gpu_tier, batch: true, ..terms };
    let mut fleet = Fleet::new(euro());
    fleet.join(node(1), 1, offer("DE", 1, tier(1, NodeTerms::default())), 0);
    fleet.join(node(3), 1, offer("DE", 1, tier(3, NodeTerms::default())), 0);
    fleet.set_prices(Arc::new(ByTier(300_000)));
    fleet.join(node(2), 1, offer("DE", 1, tier(2, priced(700_000, "EUR"))), 0);
    let mut request = request();
    request.needs.price_ceiling_micros_per_hour = Some(600_000);
    let explained = decide(&mut fleet, &request, &HashMap::new()).unwrap();
    assert_eq!((explained.chosen.unwrap().node, explained.chosen.unwrap().terms.price), (node(1), 6_000));
    for dear in [node(2), node(3)] {
        assert!(explained.no.examples.contains(&(dear, Obstacle::Price)), "{:?}", explained.no.examples);
    }

    request.needs.batch = true;
    request.weights = Weights::BATCH;
    let explained = decide(&mut fleet, &request, &HashMap::new()).unwrap();
    assert_eq!(explained.chosen.unwrap().node, node(3), "what may be interrupted has prices of its own");

    request.needs.batch = false;
    fleet.set_prices(Arc::new(ByTier(400_000)));
    request.needs.gpu_tier = 2;
    request.needs.price_ceiling_micros_per_hour = Some(800_000);
    let explained = decide(&mut fleet, &request, &HashMap::new()).unwrap();
    assert_eq!(explained.chosen.unwrap().node, node(2), "dearer prices bring those in who ask for them");
}

use super::*;
use nearframe_protocol::capability::{Capability, SignedCapability};
use nearframe_protocol::terms::NodeTerms;
use nearframe_protocol::title::{TitleEntry, TouchControls};
use nearframe_protocol::uplink::Uplink;
use nearframe_protocol::{NodeKey, TitleHash};
use proptest::prelude::*;

fn node(n: u8) -> NodeId {
    NodeId::from_random([n; 16])
}

fn fleet() -> Fleet {
    Fleet::new(Currency::new("EUR").unwrap())
}

fn offer(hashes: &[u8]) -> NodeOffer {
    let titles = hashes.iter().map(|&hash| HeldTitle {
        entry: TitleEntry {
            id: TitleId::new("meteor").unwrap(),
            kind: nearframe_protocol::title::TitleKind::Builtin,
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
        },
        cover_base64: None,
    });
    NodeOffer {
        capability: None,
        name: "n".into(),
        region: String::new(),
        slots: 2,
        adapter: String::new(),
        encoders: vec![],
        titles: titles.collect(),
        terms: NodeTerms::default(),
    }
}

#[test]
fn a_node_has_no_more_slots_than_its_uplink_carries() {
    let with_uplink = |uplink: Option<(u32, bool)>| {
        let uplink =
            uplink.map(|(mbps, at_least)| Uplink { bytes: mbps * 125_000, elapsed_us: 1_000_000, at_least });
        let capability = Capability { uplink, ..Capability::default() };
        let capability = Some(SignedCapability::sign(&NodeKey::from_seed([1; 32]), capability));
        let mut fleet = fleet();
        fleet.join(node(1), 1, NodeOffer { slots: 5, capability, ..offer(&[1]) }, 0);
        fleet.board.index.slots(node(1)).map(|(slots, _)| slots)
    };
    assert_eq!(with_uplink(None), Some(5));
    assert_eq!(with_uplink(Some((9, false))), Some(2));
    assert_eq!(with_uplink(Some((1, false))), Some(1), "pictures follow what a path bears");
    assert_eq!(with_uplink(Some((9, true))), Some(5), "it may carry more");
    assert_eq!(with_uplink(Some((200, false))), Some(5));
}

#[test]
fn a_node_is_lost_exactly_three_seconds_after_its_last_word() {
    let mut fleet = fleet();
    fleet.join(node(1), 1, offer(&[1]), 0);
    fleet.heard(node(1), 1, 1000);
    assert!(fleet.take_lost(1000 + NODE_LOST_MS - 1).is_empty());
    assert_eq!(fleet.take_lost(1000 + NODE_LOST_MS), [(node(1), 1)]);
    assert!(fleet.member(node(1)).is_none());
    assert_eq!(fleet.titles().count(), 0, "titles of lost nodes are not offered");
}

#[test]
fn a_dropped_link_makes_a_node_offline_but_not_lost_until_it_stayed_away() {
    let mut fleet = fleet();
    fleet.join(node(1), 1, offer(&[1]), 0);
    fleet.unlink(node(1), 1);
    assert!(!fleet.is_online(node(1)));
    assert_eq!(fleet.titles().count(), 1, "the catalogue does not flicker");
    fleet.join(node(1), 2, offer(&[1]), 2000);
    assert!(fleet.take_lost(NODE_LOST_MS).is_empty());
    assert!(fleet.is_online(node(1)));
}

#[test]
fn a_replaced_link_has_no_say_any_more() {
    let mut fleet = fleet();
    fleet.join(node(1), 1, offer(&[1]), 0);
    fleet.join(node(1), 2, offer(&[1]), 0);
    fleet.heard(node(1), 1, 2000);
    fleet.drain(node(1), 1);
    fleet.unlink(node(1), 1);
    let member = fleet.member(node(1)).unwrap();
    assert!(fleet.is_online(node(1)) && !member.is_draining());
    assert!(!fleet.join(node(1), 1, offer(&[1]), 0), "an old hello that comes late");
    assert_eq!(fleet.take_lost(NODE_LOST_MS), [(node(1), 2)]);
    assert!(!fleet.join(node(1), 2, offer(&[1]), 0), "what is lost does not come back by an old word");
    assert!(fleet.join(node(1), 3, offer(&[1]), 0));
}

#[test]
fn old_and_repeated_heartbeats_change_nothing() {
    let mut fleet = fleet();
    fleet.join(node(1), 1, offer(&[]), 0);
    let taken: Vec<_> = [1, 1, 3, 2, 4].map(|n| fleet.heartbeat(node(1), 1, n, 0)).into();
    assert_eq!(taken, [true, false, true, false, true]);
}

#[test]
fn the_bytes_that_most_nodes_hold_stand_for_a_title() {
    let mut fleet = fleet();
    for (n, hash) in [(1, 9), (2, 5), (3, 5)] {
        fleet.join(node(n), 1, offer(&[hash]), 0);
    }
    let title = TitleId::new("meteor").unwrap();
    let hash = |fleet: &Fleet| fleet.title(&title).map(|held| held.entry.hash);
    assert_eq!(hash(&fleet), Some(TitleHash::from_bytes([5; 32])));
    fleet.tell(node(2), 1, Stage::Lost, None, Home::Here);
    fleet.tell(node(3), 1, Stage::Lost, None, Home::Here);
    assert_eq!(hash(&fleet), Some(TitleHash::from_bytes([9; 32])));
}

#[test]
fn nodes_of_a_replica_that_is_out_of_reach_take_nothing_and_stay() {
    let mut fleet = fleet();
    fleet.tell(node(1), 1, Stage::Linked, Some(offer(&[1])), Home::There(7));
    assert!(fleet.is_online(node(1)));
    fleet.set_reachable(7, false);
    assert!(!fleet.is_online(node(1)) && fleet.member(node(1)).is_some());
    assert!(fleet.take_lost(u64::MAX).is_empty(), "whether it is lost is for its replica to say");
    fleet.set_reachable(7, true);
    assert!(fleet.is_online(node(1)));
    let moment = fleet.moment();
    fleet.tell(node(2), 1, Stage::Linked, Some(offer(&[1])), Home::There(7));
    fleet.forget_untold(7, moment);
    assert!(fleet.member(node(1)).is_none() && fleet.member(node(2)).is_some());
}

#[derive(Clone, Debug)]
enum Word {
    Node(u64, Stage),
    Held(u32, u64),
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    let stage = prop_oneof![Just(Stage::Linked), Just(Stage::Draining), Just(Stage::Away), Just(Stage::Lost)];
    let word = prop_oneof![
        (1..4u64, stage).prop_map(|(link, stage)| Word::Node(link, stage)),
        (1..6u64).prop_map(|change| Word::Held((change % 3) as u32, change)),
    ];
    prop::collection::vec(word, 1..12)
}

fn told<'a>(words: impl Iterator<Item = &'a Word>) -> String {
    let mut fleet = fleet();
    for word in words {
        match *word {
            Word::Node(link, stage) => {
                let home = Home::There(link);
                // A link's first word brings the offer, whichever comes first.
                let offer = (stage == Stage::Linked).then(|| offer(&[link as u8]));
                fleet.tell(node(1), link, stage, offer, home);
            }
            Word::Held(held, change) => fleet.set_held(node(1), held, change),
        }
    }
    let member = fleet.member(node(1)).map(|it| (it.link, it.stage, it.home, it.offer.clone()));
    let slots = fleet.board.index.slots(node(1));
    format!("{member:?} {slots:?} {} {:?}", fleet.is_online(node(1)), fleet.titles().collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn late_repeated_and_reordered_words_end_in_the_same_state(
        words in words(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 24),
    ) {
        let once = told(words.iter());
        // All of them once, in another order, with some of them twice.
        let mut shuffled: Vec<_> = order.iter().take(6).map(|at| at.get(&words)).collect();
        for word in &words {
            let at = order[shuffled.len() % order.len()].index(shuffled.len() + 1);
            shuffled.insert(at, word);
        }
        prop_assert_eq!(once, told(shuffled.into_iter()));
    }
}

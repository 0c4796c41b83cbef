//! What holds for every decision, on random fleets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nearframe_placement::decide::obstacle;
use nearframe_placement::{Candidate, Obstacle, Request, decide};
use nearframe_protocol::{NodeId, TitleHash, TitleId};
use proptest::prelude::*;

fn request(regions: Vec<String>) -> Request {
    Request { title: TitleId::new("meteor").unwrap(), hash: TitleHash::from_bytes([1; 32]), regions }
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let region = prop::sample::select(vec!["", "DE", "DE-BY", "US", "US-CA"]);
    (any::<[u8; 16]>(), any::<[bool; 2]>(), 0..4u32, 0..4u32, region, 0..4u8, prop::option::of(0..200u32))
        .prop_map(|(id, [online, draining], slots, busy, region, hash, rtt_ms)| Candidate {
            node: NodeId::from_random(id),
            online,
            draining,
            slots,
            busy,
            region: region.to_owned(),
            holds: (hash > 0).then(|| TitleHash::from_bytes([hash.min(2); 32])),
            rtt_ms,
        })
}

proptest! {
    #[test]
    fn the_chosen_node_passes_every_filter_and_the_order_of_candidates_does_not_matter(
        mut candidates in prop::collection::vec(candidate(), 0..20),
        restricted in any::<bool>(),
    ) {
        let request = request(if restricted { vec!["DE".into()] } else { vec![] });
        let decision = decide(&request, candidates.clone());
        candidates.reverse();
        match (&decision, decide(&request, candidates.clone())) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!((first.node, first.cost), (second.node, second.cost));
                let chosen = candidates.iter().find(|c| c.node == first.node).unwrap();
                prop_assert_eq!(obstacle(&request, chosen), None);
                prop_assert!(chosen.busy < chosen.slots && chosen.online && !chosen.draining);
                prop_assert!(!restricted || chosen.region.starts_with("DE"));
            }
            (Err(no), Err(_)) => {
                prop_assert_eq!(no.obstacles.len(), candidates.len(), "every no is explained");
                prop_assert!(candidates.iter().all(|c| obstacle(&request, c).is_some()));
            }
            (first, second) => prop_assert!(false, "{:?} but {:?}", first, second),
        }
    }
}

fn ready(id: u8) -> Candidate {
    Candidate {
        node: NodeId::from_random([id; 16]),
        online: true,
        draining: false,
        slots: 2,
        busy: 0,
        region: "DE".into(),
        holds: Some(TitleHash::from_bytes([1; 32])),
        rtt_ms: None,
    }
}

#[test]
fn the_emptier_node_is_chosen_and_a_near_one_beats_it() {
    let (busy, free) = (Candidate { busy: 1, ..ready(1) }, ready(2));
    assert_eq!(decide(&request(vec![]), [busy.clone(), free.clone()]).unwrap().node, free.node);
    let near = Candidate { rtt_ms: Some(5), ..busy };
    assert_eq!(decide(&request(vec![]), [near.clone(), free]).unwrap().node, near.node);
}

#[test]
fn every_no_names_its_reason() {
    let other = Some(TitleHash::from_bytes([2; 32]));
    let cases = [
        (Candidate { online: false, ..ready(1) }, Obstacle::Offline),
        (Candidate { draining: true, ..ready(1) }, Obstacle::Draining),
        (Candidate { holds: None, ..ready(1) }, Obstacle::TitleMissing),
        (Candidate { holds: other, ..ready(1) }, Obstacle::OtherVersion),
        (Candidate { region: "DENMARK".into(), ..ready(1) }, Obstacle::Region),
        (Candidate { busy: 2, ..ready(1) }, Obstacle::Full),
    ];
    for (candidate, why) in cases {
        let no = decide(&request(vec!["DE".into()]), [candidate]).unwrap_err();
        assert_eq!(no.obstacles[0].1, why);
        assert!(no.to_string().contains(&why.to_string()), "{no}");
    }
    assert_eq!(decide(&request(vec![]), []).unwrap_err().to_string(), "no node is connected");
}

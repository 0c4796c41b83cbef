//! What holds for every decision, on random fleets and random histories of one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use nearframe_placement::caps::Caps;
use nearframe_placement::index::search::Query;
use nearframe_placement::index::{Claim, Found, Scratch};
use nearframe_placement::latency::{Ranking, SiteId};
use nearframe_placement::profile::Profile;
use nearframe_placement::region::Residency;
use nearframe_placement::{Index, Needs, Request, Weights, explain};
use nearframe_protocol::NodeId;
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{hash, node, title};

/// The regions of the sites, in the order of their ids.
const REGIONS: [&str; 5] = ["DE", "DE-BY", "US-CA", "", "FR"];
/// Titles are numbered below this.
const TITLES: u8 = 4;

#[derive(Clone, Debug)]
enum Step {
    Join(u8, u8, Profile, u8),
    Leave(u8),
    Close(u8, u8, bool),
    Busy(u8, u32),
    Offset(u8, i32),
    Scarce(u8, u32),
    Place(Box<Request>, u64),
    End(u8),
}

fn profile() -> impl Strategy<Value = Profile> {
    let pixels = prop::sample::select(vec![0, 1280 * 720 * 60, 1920 * 1080 * 60, 3840 * 2160 * 60]);
    let money = prop::sample::select(vec![0, 40_000, 60_000, 500_000, 2_000_000, 30_000_000]);
    (0..5u32, 0..16u8, pixels, 0..9u8, 0..4u8, money.clone(), money, 0..40u16, any::<bool>()).prop_map(
        |(slots, codecs, pixels_per_s, gpu_tier, trust, stake_micros, price, failure_permille, batch)| {
            Profile {
                slots,
                codecs,
                pixels_per_s,
                gpu_tier,
                trust,
                stake_micros,
                price_micros_per_hour: price,
                batch_discount_micros: price / 4,
                failure_permille,
                batch,
                region: String::new(),
            }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let codes = || prop::collection::vec(prop::sample::select(vec!["DE", "US", "US-CA", "FR"]), 0..2);
    let owned = |codes: Vec<&str>| codes.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let needs = (
        prop::sample::select(vec![0, 1, 4, 5]),
        prop::sample::select(vec![0, 1280 * 720 * 60, 2560 * 1440 * 60]),
        0..3u8,
        0..2u8,
        prop::sample::select(vec![0, 1_000_000]),
        prop::option::of(0..90_000u32),
        prop::option::of(prop::sample::select(vec![0, 50_000, 700_000])),
        0..4u32,
        any::<bool>(),
    );
    (0..TITLES, 0..2u8, codes(), codes(), needs, any::<bool>(), 0..100_000u64).prop_map(
        move |(id, version, allow, deny, needs, by_price, waited_ms)| Request {
            title: title(id),
            hash: hash(version),
            residency: vec![Residency { allow: owned(allow), deny: owned(deny) }],
            shut: REGIONS
                .iter()
                .filter(|_| waited_ms % 5 == 0)
                .take(1)
                .map(|name| (*name).to_owned())
                .collect(),
            needs: Needs {
                codecs: needs.0,
                pixels_per_s: needs.1,
                gpu_tier: needs.2,
                trust: needs.3,
                stake_micros: needs.4,
                rtt_ceiling_us: needs.5,
                price_ceiling_micros_per_hour: needs.6,
                slots: needs.7,
                batch: needs.8,
            },
            weights: if by_price { Weights::BATCH } else { Weights::INTERACTIVE },
            waited_ms,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let site = 0..REGIONS.len() as u8;
    prop_oneof![
        6 => (any::<u8>(), site.clone(), profile(), any::<u8>()).prop_map(|(n, s, p, t)| Step::Join(n, s, p, t)),
        1 => any::<u8>().prop_map(Step::Leave),
        2 => (any::<u8>(), 0..3u8, any::<bool>()).prop_map(|(n, why, set)| Step::Close(n, why, set)),
        1 => (any::<u8>(), 0..6u32).prop_map(|(n, busy)| Step::Busy(n, busy)),
        1 => (any::<u8>(), -90_000..90_000i32).prop_map(|(n, offset)| Step::Offset(n, offset)),
        1 => (site, 0..60_000u32).prop_map(|(s, scarcity)| Step::Scarce(s, scarcity)),
        6 => (request(), any::<u64>()).prop_map(|(request, seed)| Step::Place(Box::new(request), seed)),
        2 => any::<u8>().prop_map(Step::End),
    ]
}

/// An index, the same nodes in plain books, and the claims that are held.
struct World {
    index: Index,
    ranking: Ranking,
    claims: Vec<Claim>,
    /// Of nodes that left since: releasing them must change nothing.
    void: Vec<Claim>,
}

impl World {
    fn new() -> Self {
        let mut index = Index::new();
        for region in REGIONS {
            index.add_site(region);
        }
        let pairs = (0..REGIONS.len()).map(|site| (site as u32 * 20_000, SiteId(site as u16)));
        Self { index, ranking: Ranking::from_pairs(pairs), claims: Vec::new(), void: Vec::new() }
    }

    fn pairs(&self, request: &Request) -> Vec<(u32, SiteId)> {
        if request.weights == Weights::BATCH {
            self.index.anywhere().collect()
        } else {
            self.ranking.pairs().to_vec()
        }
    }

    fn apply(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Join(n, site, profile, held) => {
                // A node that joins anew has lost what ran on it.
                self.forget(node(n));
                let held = (0..TITLES).filter(|id| held >> id & 1 == 1);
                let keys: Vec<_> = held.map(|id| self.index.titles.intern(&title(id), hash(n % 2))).collect();
                self.index.insert(node(n), SiteId(u16::from(site)), &profile, &keys);
            }
            Step::Leave(n) => {
                self.forget(node(n));
                self.index.remove(node(n));
            }
            Step::Close(n, 0, set) => self.index.set_online(node(n), !set),
            Step::Close(n, 1, set) => self.index.set_draining(node(n), set),
            Step::Close(n, _, set) => self.index.set_banned(node(n), set),
            Step::Busy(n, busy) => {
                let held = self.claims.iter().filter(|claim| claim.node == node(n)).count();
                if held == 0 {
                    self.index.set_busy(node(n), busy);
                }
            }
            Step::Offset(n, offset_us) => self.index.observe_offset(node(n), offset_us),
            Step::Scarce(site, us) => self.index.set_scarcity(SiteId(u16::from(site)), us),
            Step::Place(request, seed) => self.place(&request, seed)?,
            Step::End(n) => {
                if n % 2 == 0
                    && let Some(claim) = self.void.pop()
                {
                    self.index.release(claim);
                }
                if let Some(at) = self.claims.len().checked_sub(1) {
                    let claim = self.claims.swap_remove(usize::from(n) % (at + 1));
                    self.index.release(claim);
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, gone: NodeId) {
        let (void, held) = self.claims.drain(..).partition(|claim| claim.node == gone);
        self.claims = held;
        self.void.extend::<Vec<_>>(void);
    }

    fn place(&mut self, request: &Request, seed: u64) -> Result<(), TestCaseError> {
        let pairs = self.pairs(request);
        let mut scratch = Scratch::default();
        let query = Query::new(&self.index, request);
        let search = |scratch: &mut Scratch| {
            query.as_ref().and_then(|query| self.index.find(query, pairs.clone(), seed, scratch))
        };
        let found = search(&mut scratch);
        prop_assert_eq!(found, search(&mut scratch), "the same seed chooses the same node");
        let explanation = explain(&self.index, request, pairs.clone(), found);
        prop_assert_eq!(found.is_some(), explanation.allowed > 0, "found exactly when the scan finds one");
        let total = explanation.allowed + explanation.no.counts.values().sum::<usize>();
        prop_assert_eq!(total, self.index.len(), "every node is allowed or has an obstacle");
        let Some(found) = found else { return Ok(()) };
        prop_assert!(explanation.candidates.contains(&found));
        let named = explanation.no.examples.iter().any(|(other, _)| *other == found.node);
        prop_assert!(!named, "what is chosen is not forbidden");
        if request.weights == Weights::BATCH {
            let grade = |found: &Found| {
                let micros = found.terms.price * 1000 / u64::from(Weights::BATCH.price_per_milli);
                Caps::price_grades().find(|grade| Caps::is_within_grade(micros, *grade))
            };
            let lowest = explanation.candidates.iter().filter_map(grade).min();
            prop_assert_eq!(grade(&found), lowest, "no node of a cheaper grade was free");
        }
        let slots = request.needs.slots.max(1) as u16;
        self.claims.push(self.index.claim(&found, slots).unwrap());
        Ok(())
    }

    fn verify(&self, steps_since: &BTreeMap<NodeId, u32>) -> Result<(), TestCaseError> {
        for (node, claimed) in steps_since {
            let (slots, free) = self.index.slots(*node).unwrap();
            prop_assert!(
                claimed + u32::from(free) <= u32::from(slots),
                "{node}: {claimed} + {free} of {slots}"
            );
        }
        Ok(())
    }

    fn claimed(&self) -> BTreeMap<NodeId, u32> {
        let mut claimed = BTreeMap::new();
        for claim in &self.claims {
            *claimed.entry(claim.node).or_default() += u32::from(claim.slots());
        }
        claimed
    }
}

proptest! {
    #[test]
    fn no_history_of_a_fleet_leads_to_a_forbidden_node_or_a_slot_given_twice(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new();
        for step in steps {
            world.apply(step)?;
            world.verify(&world.claimed())?;
        }
    }
}

#[test]
fn a_claim_on_a_node_that_came_back_is_refused_and_releases_nothing() {
    let mut world = World::new();
    let key = world.index.titles.intern(&title(0), hash(0));
    let profile = Profile { slots: 1, ..Profile::default() };
    world.index.insert(node(1), SiteId(0), &profile, &[key]);
    let request = Request::play(title(0), hash(0));
    let query = Query::new(&world.index, &request).unwrap();
    let found = world.index.find(&query, world.pairs(&request), 0, &mut Scratch::default()).unwrap();
    let claim = world.index.claim(&found, 1).unwrap();
    assert!(world.index.claim(&found, 1).is_err(), "the slot is taken");
    world.index.insert(node(1), SiteId(1), &profile, &[key]);
    world.index.insert(node(2), SiteId(0), &profile, &[key]);
    assert!(world.index.claim(&found, 1).is_err(), "another node stands there now");
    world.index.set_busy(node(2), 1);
    world.index.release(claim);
    assert_eq!(world.index.slots(node(2)), Some((1, 0)), "and its slot is not given back by a stranger");
}

//! Finding a node: sites from near to far, in each the better of two that may take the request.

use super::site::{SiteNodes, nth_set};
use super::{Handle, Index, TitleKey};
use crate::caps::Caps;
use crate::cost::{self, Terms};
use crate::latency::SiteId;
use crate::region::RegionSet;
use crate::request::{Needs, Request, Weights};
use nearframe_protocol::NodeId;

/// A request, looked up once for as many searches as are needed.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) title: TitleKey,
    pub(crate) caps: Caps,
    pub(crate) regions: RegionSet,
    pub(crate) needs: Needs,
    pub(crate) weights: Weights,
    pub(crate) credit: u64,
}

/// A node that may take the request, and its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub node: NodeId,
    /// Where it stands.
    pub handle: Handle,
    /// Its site's round trip, µs.
    pub rtt_us: u32,
    /// Its cost.
    pub terms: Terms,
}

/// Memory that searches share.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    words: Vec<u64>,
}

/// Pairs tried in a site before all of its nodes are looked at: a bitmap is graded, so that a pick may fail the
/// exact comparison, but rarely twice.
const PAIRS: u32 = 2;
/// So few nodes are all looked at.
const FEW: u32 = 4;

impl Query {
    /// `None` where no node ever held the title.
    pub fn new(index: &Index, request: &Request) -> Option<Self> {
        let rules: Vec<_> = request.residency.iter().collect();
        Some(Self {
            title: index.titles.find(&request.title, request.hash)?,
            caps: Caps::needed(&request.needs),
            regions: index.regions.allowed(&rules),
            needs: request.needs.clone(),
            weights: request.weights,
            credit: cost::credit(request),
        })
    }

    /// Slots on one node that it takes.
    pub fn slots(&self) -> u32 {
        self.needs.slots.max(1)
    }

    fn is_price_first(&self) -> bool {
        self.weights.rtt_percent == 0
    }

    /// No node of this site costs less before credit.
    fn floor(&self, site: &SiteNodes, rtt_us: u32, best_us: u32) -> u64 {
        if self.is_price_first() {
            cost::price_cost(&self.weights, site.cheapest_micros)
        } else {
            // A node may be faster than its site, and an offset is bounded by the site's own round trip.
            cost::rtt_cost(&self.weights, rtt_us.saturating_sub(best_us).saturating_sub(FASTER_US))
        }
    }
}

/// Nodes are faster than their site by no more than this, µs; what claims more is bounded to it.
pub(crate) const FASTER_US: u32 = 2_000;

impl Index {
    /// The sites by their cheapest node, for requests that price decides.
    pub fn by_price(&self) -> Vec<(u32, SiteId)> {
        let mut order: Vec<_> = (0..self.sites.len()).map(|at| (0, SiteId(at as u16))).collect();
        order.sort_by_key(|(_, site)| (self.sites[site.index()].cheapest_micros, *site));
        order
    }

    /// The cheapest of the nodes looked at. `ranking` names sites and their round trips in µs in ascending
    /// order, by round trip or (for price-first requests) as [`Index::by_price`] does. `seed` draws the pairs.
    ///
    /// Finds a node exactly when some node of the ranked sites may take the request.
    pub fn find(
        &self,
        query: &Query,
        ranking: impl IntoIterator<Item = (u32, SiteId)>,
        seed: u64,
        scratch: &mut Scratch,
    ) -> Option<Found> {
        let mut dice = Dice(seed);
        let mut best: Option<Found> = None;
        let mut best_us = None;
        for (rtt_us, id) in ranking {
            let Some(site) = self.sites.get(id.index()) else { continue };
            let best_us = *best_us.get_or_insert(rtt_us);
            let beaten = |found: &Found| query.floor(site, rtt_us, best_us) >= found.terms.before_credit();
            if best.as_ref().is_some_and(beaten) {
                break;
            }
            let hopeless =
                query.needs.rtt_ceiling_us.is_some_and(|most| rtt_us.saturating_sub(FASTER_US) > most);
            if hopeless || !query.regions.contains(site.region) {
                continue;
            }
            let count = site.eligible(query.title, query.caps, &mut scratch.words);
            if count == 0 {
                continue;
            }
            let pick = Pick { site, id, query, rtt_us, best_us };
            let found = pick.of_two(&scratch.words, count, &mut dice).or_else(|| pick.of_all(&scratch.words));
            if let Some(found) = found {
                let cheaper = |best: &Found| found.terms.before_credit() < best.terms.before_credit();
                if best.as_ref().is_none_or(cheaper) {
                    best = Some(found);
                }
            }
        }
        best
    }
}

/// Choosing within one site.
struct Pick<'a> {
    site: &'a SiteNodes,
    id: SiteId,
    query: &'a Query,
    rtt_us: u32,
    best_us: u32,
}

impl Pick<'_> {
    /// The better of two drawn ones (Mitzenmacher 2001: almost as even as the best of all, at the price of two).
    fn of_two(&self, words: &[u64], count: u32, dice: &mut Dice) -> Option<Found> {
        if self.query.is_price_first() || count <= FEW {
            return None;
        }
        (0..PAIRS).find_map(|_| {
            let (one, other) = (dice.below(count), dice.below(count));
            let one = nth_set(words, one).and_then(|at| self.exact(at));
            let other = nth_set(words, other).and_then(|at| self.exact(at));
            match (one, other) {
                (Some(one), Some(other)) => Some(self.cheaper(one, other)),
                (one, other) => one.or(other),
            }
        })
    }

    fn of_all(&self, words: &[u64]) -> Option<Found> {
        let positions = words
            .iter()
            .enumerate()
            .flat_map(|(at, word)| Caps(*word).positions().map(move |bit| at as u32 * 64 + bit as u32));
        positions.filter_map(|at| self.exact(at)).reduce(|one, other| self.cheaper(one, other))
    }

    fn cheaper(&self, one: Found, other: Found) -> Found {
        let key = |found: &Found| (found.terms.before_credit(), found.node);
        if key(&other) < key(&one) { other } else { one }
    }

    /// The node at `at`, if it passes what the bitmaps only grade.
    fn exact(&self, at: u32) -> Option<Found> {
        let record = self.site.record(at)?;
        if super::scan::ungraded(self.query, record, self.rtt_us).is_some() {
            return None;
        }
        let Query { weights, credit, .. } = self.query;
        let terms = cost::terms(weights, record, self.rtt_us, self.best_us, self.site.scarcity_us, *credit);
        let handle = Handle { site: self.id, at, serial: record.serial };
        Some(Found { node: record.node?, handle, rtt_us: self.rtt_us, terms })
    }
}

/// A sequence from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        ((mixed >> 32) * u64::from(bound) >> 32) as u32
    }
}

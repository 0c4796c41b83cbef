//! Finding a node: sites from near to far, in each the better of two that may take the request.

use super::SiteNodes;
use super::eligible::{Blocks, Eligible};
use super::{Handle, Index, TitleKey};
use crate::caps::Caps;
use crate::cost::{self, Terms};
use crate::latency::SiteId;
use crate::region::{RegionId, RegionSet};
use crate::request::{Needs, Request, Weights};
use nearframe_protocol::NodeId;

/// A request, looked up once for as many searches as are needed.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) title: TitleKey,
    pub(crate) caps: Caps,
    pub(crate) regions: RegionSet,
    /// Regions that are kept for others; hardly ever any.
    pub(crate) shut: Vec<RegionId>,
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
    blocks: Blocks,
    /// Round trips by site, of a search by price.
    pub(super) rtts: Vec<u32>,
}

/// Pairs tried in a site before all of its nodes are looked at: a bitmap is graded, so that a pick may fail the
/// exact comparison, but rarely twice.
const PAIRS: u32 = 2;

/// What the plan may cost a player beyond the cheapest node, prices of scarce slots counted, µs: where everybody
/// sits as planned the two cost the same.
const PLAN_SLACK: u64 = 5_000;

impl Query {
    /// `None` where no node ever held the title.
    pub fn new(index: &Index, request: &Request) -> Option<Self> {
        let rules: Vec<_> = request.residency.iter().collect();
        Some(Self {
            title: index.titles.find(&request.title, request.hash)?,
            caps: Caps::needed(&request.needs),
            regions: index.regions.allowed(&rules),
            shut: request.shut.iter().filter_map(|name| index.regions.find(name)).collect(),
            needs: request.needs.clone(),
            weights: request.weights,
            credit: cost::credit(request),
        })
    }

    /// Slots on one node that it takes.
    pub fn slots(&self) -> u32 {
        self.needs.slots.max(1)
    }

    /// Whether price alone decides, so that how far a node is does not count.
    pub(super) fn is_price_first(&self) -> bool {
        self.weights.rtt_percent == 0
    }

    /// Whether nodes of a site with this round trip may be chosen, as far as the site decides it.
    pub(super) fn may_go_to(&self, site: &SiteNodes, rtt_us: u32) -> bool {
        let hopeless = self.needs.rtt_ceiling_us.is_some_and(|most| rtt_us.saturating_sub(FASTER_US) > most);
        !hopeless && self.regions.contains(site.region) && !self.shut.contains(&site.region)
    }

    /// No node of a site with this round trip costs less before credit.
    fn floor(&self, rtt_us: u32, best_us: u32) -> u64 {
        // A node may be faster than its site.
        cost::rtt_cost(&self.weights, rtt_us.saturating_sub(best_us).saturating_sub(FASTER_US))
    }
}

/// Nodes are faster than their site by no more than this, µs; what claims more is bounded to it.
pub(crate) const FASTER_US: u32 = 2_000;

impl Index {
    /// All sites as if each were at hand, for requests that price decides.
    pub fn anywhere(&self) -> impl Iterator<Item = (u32, SiteId)> + Clone + use<> {
        (0..self.sites.len()).map(|site| (0, SiteId(site as u16)))
    }

    /// The cheapest of the nodes looked at. `ranking` names sites and their round trips in µs, in ascending order
    /// unless price alone decides. `seed` draws where to look.
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
        if query.is_price_first() {
            return self.find_by_price(query, ranking, &mut dice, scratch);
        }
        let mut best: Option<Found> = None;
        let mut best_us = None;
        for (rtt_us, id) in ranking {
            let best_us = *best_us.get_or_insert(rtt_us);
            let beaten = |found: &Found| query.floor(rtt_us, best_us) >= found.terms.before_credit();
            if best.as_ref().is_some_and(beaten) {
                break;
            }
            let found = self.find_at(query, (rtt_us, best_us, id), &mut dice, scratch);
            best = cheaper(best, found);
        }
        best
    }

    /// As [`Index::find`]; among nodes that cost nearly the same, one of the site that the plan wants.
    pub fn find_planned(
        &self,
        query: &Query,
        ranking: &[(u32, SiteId)],
        planned: Option<SiteId>,
        seed: u64,
        scratch: &mut Scratch,
    ) -> Option<Found> {
        let found = self.find(query, ranking.iter().copied(), seed, scratch)?;
        let elsewhere = planned.filter(|site| *site != found.handle.site && !query.is_price_first());
        let wanted = elsewhere.and_then(|site| ranking.iter().find(|(_, other)| *other == site));
        let Some(&(rtt_us, site)) = wanted else { return Some(found) };
        let best_us = ranking.first()?.0;
        let there = self.find_at(query, (rtt_us, best_us, site), &mut Dice(seed), scratch);
        let near = |there: &Found| {
            there.terms.before_credit() <= found.terms.before_credit().saturating_add(PLAN_SLACK)
        };
        Some(there.filter(near).unwrap_or(found))
    }

    /// A node of one site.
    fn find_at(
        &self,
        query: &Query,
        (rtt_us, best_us, id): (u32, u32, SiteId),
        dice: &mut Dice,
        scratch: &mut Scratch,
    ) -> Option<Found> {
        let site = self.sites.get(id.index())?;
        if !site.has_room() || !query.may_go_to(site, rtt_us) {
            return None;
        }
        let mut eligible = site.eligible(query.title, query.caps, &mut scratch.blocks)?;
        Pick { site, id, query, rtt_us, best_us }.best(&mut eligible, dice)
    }
}

pub(super) fn cheaper(one: Option<Found>, other: Option<Found>) -> Option<Found> {
    match (one, other) {
        (Some(one), Some(other)) if other.terms.before_credit() < one.terms.before_credit() => Some(other),
        (one, other) => one.or(other),
    }
}

/// Choosing within one site.
pub(super) struct Pick<'a> {
    pub(super) site: &'a SiteNodes,
    pub(super) id: SiteId,
    pub(super) query: &'a Query,
    pub(super) rtt_us: u32,
    pub(super) best_us: u32,
}

impl Pick<'_> {
    /// The better of two drawn ones (Mitzenmacher 2001: almost as even as the best of all, at the price of two),
    /// two different ones where there are two. A draw is a position, and the next node from there. Of all of them,
    /// where no pair passes.
    fn best(&self, eligible: &mut Eligible<'_>, dice: &mut Dice) -> Option<Found> {
        let positions = eligible.positions();
        for _ in 0..PAIRS {
            // Where the first draw meets nobody, there is nobody.
            let first = eligible.next(dice.below(positions))?;
            let drawn = eligible.next(dice.below(positions))?;
            let second = if drawn == first { eligible.next(first + 1)? } else { drawn };
            let found = match (self.exact(first), self.exact(second)) {
                (Some(one), Some(other)) => Some(self.cheaper(one, other)),
                (one, other) => one.or(other),
            };
            if found.is_some() || second == first {
                return found;
            }
        }
        self.of_all(eligible)
    }

    fn of_all(&self, eligible: &mut Eligible<'_>) -> Option<Found> {
        let mut from = 0;
        let all = std::iter::from_fn(|| {
            let at = eligible.at_or_after(from)?;
            from = at + 1;
            Some(at)
        });
        all.filter_map(|at| self.exact(at)).reduce(|one, other| self.cheaper(one, other))
    }

    fn cheaper(&self, one: Found, other: Found) -> Found {
        let key = |found: &Found| (found.terms.before_credit(), found.node);
        if key(&other) < key(&one) { other } else { one }
    }

    /// The node at `at`, if it passes what the bitmaps only grade.
    pub(super) fn exact(&self, at: u32) -> Option<Found> {
        let record = self.site.record(at)?;
        if super::scan::ungraded(self.query, record, self.rtt_us).is_some() {
            return None;
        }
        let Query { weights, credit, needs, .. } = self.query;
        let scarcity_us = self.site.scarcity_us;
        let terms =
            cost::terms(weights, record, needs.batch, self.rtt_us, self.best_us, scarcity_us, *credit);
        let handle = Handle { site: self.id, at, serial: record.serial };
        Some(Found { node: record.node?, handle, rtt_us: self.rtt_us, terms })
    }
}

/// A sequence from a seed (SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// At random, below a bound.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (((mixed >> 32) * u64::from(bound)) >> 32) as u32
    }
}

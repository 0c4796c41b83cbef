//! Finding a node: sites from near to far, in each the better of two that may take the request.

use super::site::{Blocks, Eligible, SiteNodes};
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
}

/// Pairs tried in a site before all of its nodes are looked at: a bitmap is graded, so that a pick may fail the
/// exact comparison, but rarely twice.
const PAIRS: u32 = 2;
/// Sites whose offers of one grade of price are compared.
const OFFERS: u32 = 8;

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

    fn is_price_first(&self) -> bool {
        self.weights.rtt_percent == 0
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
        if query.is_price_first() {
            let ranking: Vec<_> = ranking.into_iter().collect();
            return self.find_by_price(query, &ranking, &mut dice, scratch);
        }
        let mut best: Option<Found> = None;
        let mut best_us = None;
        for (rtt_us, id) in ranking {
            let best_us = *best_us.get_or_insert(rtt_us);
            let beaten = |found: &Found| query.floor(rtt_us, best_us) >= found.terms.before_credit();
            if best.as_ref().is_some_and(beaten) {
                break;
            }
            let found = self.find_at(query, query.caps, (rtt_us, best_us, id), &mut dice, scratch);
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
        let there = self.find_at(query, query.caps, (rtt_us, best_us, site), &mut Dice(seed), scratch);
        let near = |there: &Found| {
            there.terms.before_credit() <= found.terms.before_credit().saturating_add(PLAN_SLACK)
        };
        Some(there.filter(near).unwrap_or(found))
    }

    /// Grade by grade of price, the better of what the first few sites offer that have any node of the grade.
    fn find_by_price(
        &self,
        query: &Query,
        ranking: &[(u32, SiteId)],
        dice: &mut Dice,
        scratch: &mut Scratch,
    ) -> Option<Found> {
        let best_us = ranking.first()?.0;
        for grade in Caps::price_grades() {
            let mut best: Option<Found> = None;
            let mut met = 0;
            for &(rtt_us, id) in ranking {
                // Nodes of lower grades there have been looked at.
                let has_room = |site: &SiteNodes| site.has_room(Some(grade));
                if met >= OFFERS || !self.sites.get(id.index()).is_some_and(has_room) {
                    continue;
                }
                let caps = query.caps.within_price_grade(grade);
                let found = self.find_at(query, caps, (rtt_us, best_us, id), dice, scratch);
                met += u32::from(found.is_some());
                best = cheaper(best, found);
            }
            if best.is_some() {
                return best;
            }
        }
        None
    }

    /// A node of one site.
    fn find_at(
        &self,
        query: &Query,
        caps: Caps,
        (rtt_us, best_us, id): (u32, u32, SiteId),
        dice: &mut Dice,
        scratch: &mut Scratch,
    ) -> Option<Found> {
        let site = self.sites.get(id.index())?;
        let hopeless = query.needs.rtt_ceiling_us.is_some_and(|most| rtt_us.saturating_sub(FASTER_US) > most);
        if hopeless || !query.regions.contains(site.region) || query.shut.contains(&site.region) {
            return None;
        }
        if !site.has_room(None) {
            return None;
        }
        let mut eligible = site.eligible(query.title, caps, &mut scratch.blocks)?;
        let pick = Pick { site, id, query, rtt_us, best_us };
        pick.of_two(&mut eligible, dice).or_else(|| pick.of_all(&mut eligible))
    }
}

fn cheaper(one: Option<Found>, other: Option<Found>) -> Option<Found> {
    match (one, other) {
        (Some(one), Some(other)) if other.terms.before_credit() < one.terms.before_credit() => Some(other),
        (one, other) => one.or(other),
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
    /// The better of two drawn ones (Mitzenmacher 2001: almost as even as the best of all, at the price of two),
    /// two different ones where there are two. A draw is a position, and the next node from there.
    fn of_two(&self, eligible: &mut Eligible<'_>, dice: &mut Dice) -> Option<Found> {
        let positions = eligible.positions();
        (0..PAIRS).find_map(|_| {
            let first = eligible.next(dice.below(positions))?;
            let drawn = eligible.next(dice.below(positions))?;
            let second = if drawn == first { eligible.next(first + 1)? } else { drawn };
            match (self.exact(first), self.exact(second)) {
                (Some(one), Some(other)) => Some(self.cheaper(one, other)),
                (one, other) => one.or(other),
            }
        })
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
        (((mixed >> 32) * u64::from(bound)) >> 32) as u32
    }
}

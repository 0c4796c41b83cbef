//! Finding a node: sites from near to far, in each the better of two that may take the request.

use super::eligible::{Blocks, Eligible};
use super::{Handle, Index, TitleKey};
use super::{Record, SiteNodes};
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

/// A node that may take the request, as little of it as the search needs to compare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Before credit.
    pub(super) cost: u64,
    site: SiteId,
    at: u32,
    rtt_us: u32,
    best_us: u32,
}

/// Memory that searches share.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(super) blocks: Blocks,
    /// Round trips by site, of a search by price.
    pub(super) rtts: Vec<u32>,
}

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

    /// What a node of a site costs.
    fn terms(&self, site: &SiteNodes, record: &Record, rtt_us: u32, best_us: u32) -> Terms {
        let Self { weights, needs, credit, .. } = self;
        cost::terms(weights, record, needs.batch, rtt_us, best_us, site.scarcity_us, *credit)
    }

    /// What a node needs to have for its price to leave it below this cost.
    pub(super) fn worth(&self, cost: u64) -> Caps {
        cost::price_within(&self.weights, cost).map_or(Caps::default(), Caps::not_dearer)
    }

    /// No node of a site with this round trip costs less before credit.
    pub(super) fn floor(&self, rtt_us: u32, best_us: u32) -> u64 {
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
        let best = if query.is_price_first() {
            self.find_by_price(query, ranking, &mut dice, scratch)
        } else {
            self.find_near(query, ranking, &mut dice, scratch)
        };
        self.found(query, &best?)
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
        let there = there.and_then(|offer| self.found(query, &offer));
        let near = |there: &Found| {
            there.terms.before_credit() <= found.terms.before_credit().saturating_add(PLAN_SLACK)
        };
        Some(there.filter(near).unwrap_or(found))
    }

    /// All that is to be told of an offer.
    fn found(&self, query: &Query, offer: &Offer) -> Option<Found> {
        let Offer { site: id, at, rtt_us, best_us, .. } = *offer;
        let site = self.sites.get(id.index())?;
        let record = site.record(at)?;
        Some(Found {
            node: site.node(at),
            handle: Handle { site: id, at, serial: record.serial },
            rtt_us,
            terms: query.terms(site, record, rtt_us, best_us),
        })
    }
}

/// The cheaper of two, the former where they cost the same.
pub(super) fn better(one: Option<Offer>, other: Option<Offer>) -> Option<Offer> {
    match (one, other) {
        (Some(one), Some(other)) if other.cost < one.cost => Some(other),
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
    /// two different ones where there are two. A draw is a position, and the next node from there.
    pub(super) fn pair(eligible: &mut Eligible<'_>, draws: [u32; 2]) -> Option<[u32; 2]> {
        // Where the first draw meets nobody, there is nobody.
        let first = eligible.next(draws[0])?;
        let drawn = eligible.next(draws[1])?;
        Some([first, if drawn == first { eligible.next(first + 1)? } else { drawn }])
    }

    /// Of all of them, where no pair passes.
    pub(super) fn best(&self, eligible: &mut Eligible<'_>, dice: &mut Dice) -> Option<Offer> {
        let pair = Self::pair(eligible, dice.pair(self.site.positions()))?;
        self.better_of(pair).or_else(|| self.of_all(eligible))
    }

    pub(super) fn better_of(&self, [one, other]: [u32; 2]) -> Option<Offer> {
        better(self.offer(one), self.offer(other))
    }

    fn of_all(&self, eligible: &mut Eligible<'_>) -> Option<Offer> {
        let mut from = 0;
        let all = std::iter::from_fn(|| {
            let at = eligible.at_or_after(from)?;
            from = at + 1;
            Some(at)
        });
        all.map(|at| self.offer(at)).fold(None, better)
    }

    /// The node at `at`, if it passes what the bitmaps only grade.
    pub(super) fn offer(&self, at: u32) -> Option<Offer> {
        let Self { site, id, query, rtt_us, best_us } = *self;
        let record = site.record(at)?;
        if super::scan::ungraded(query, record, rtt_us).is_some() {
            return None;
        }
        let cost = query.terms(site, record, rtt_us, best_us).before_credit();
        Some(Offer { cost, site: id, at, rtt_us, best_us })
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

    /// Two positions of a site that has so many.
    pub(super) fn pair(&mut self, positions: u32) -> [u32; 2] {
        let words = positions.next_multiple_of(64);
        [self.below(words), self.below(words)]
    }
}

//! The walk of a search from near to far, a few sites at a time.
//!
//! What a site costs a search is waiting for memory: its bits and its nodes lie in lines of the cache that no other
//! request has read lately. So the lines of a few sites are asked for together, before any of them is compared.

use super::Index;
use super::eligible::{Blocks, Eligible};
use super::search::{Dice, Offer, Pick, Query, Scratch, better};
use super::titles::Members;
use crate::caps::Caps;
use crate::latency::SiteId;

/// Sites that are asked for together.
const TOGETHER: usize = 4;

/// A site that may be chosen, and where in it to look.
struct Visit<'a> {
    pick: Pick<'a>,
    holders: &'a Members,
    draws: [u32; 2],
    /// Below which no node of it costs.
    floor: u64,
    /// What its nodes need to have.
    needed: Caps,
    /// The two that were met.
    pair: Option<[u32; 2]>,
}

impl Index {
    /// The best offer of sites in ascending order of their round trip, until what is farther cannot cost less.
    pub(super) fn find_near(
        &self,
        query: &Query,
        ranking: impl IntoIterator<Item = (u32, SiteId)>,
        dice: &mut Dice,
        scratch: &mut Scratch,
    ) -> Option<Offer> {
        let mut ranking = ranking.into_iter().peekable();
        let best_us = ranking.peek()?.0;
        let mut best: Option<Offer> = None;
        let mut visits = Vec::with_capacity(TOGETHER);
        loop {
            let beaten = |floor| best.is_some_and(|best| floor >= best.cost);
            let near = |rtt_us| !beaten(query.floor(rtt_us, best_us));
            while visits.len() < TOGETHER
                && let Some((rtt_us, id)) = ranking.next_if(|(rtt_us, _)| near(*rtt_us))
            {
                visits.extend(self.approach(query, (rtt_us, best_us, id), dice));
            }
            if visits.is_empty() {
                return best;
            }
            for visit in &mut visits {
                visit.needed =
                    best.map_or(query.caps, |best| query.caps.and(query.worth(best.cost - visit.floor)));
                visit.ask_for_bits();
            }
            for visit in &mut visits {
                visit.meet(&mut scratch.blocks);
            }
            for visit in visits.drain(..) {
                if best.is_none_or(|best| visit.floor < best.cost) {
                    best = better(best, visit.offer(dice, &mut scratch.blocks));
                }
            }
        }
    }

    /// The best offer of one site.
    pub(super) fn find_at(
        &self,
        query: &Query,
        place: (u32, u32, SiteId),
        dice: &mut Dice,
        scratch: &mut Scratch,
    ) -> Option<Offer> {
        let mut visit = self.approach(query, place, dice)?;
        visit.meet(&mut scratch.blocks);
        visit.offer(dice, &mut scratch.blocks)
    }

    /// `None`: no node of the site can be chosen.
    fn approach<'a>(
        &'a self,
        query: &'a Query,
        (rtt_us, best_us, id): (u32, u32, SiteId),
        dice: &mut Dice,
    ) -> Option<Visit<'a>> {
        let site = self.sites.get(id.index())?;
        if !site.has_room() || !query.may_go_to(site, rtt_us) {
            return None;
        }
        Some(Visit {
            pick: Pick { site, id, query, rtt_us, best_us },
            holders: self.holders.of(query.title, id)?,
            draws: dice.pair(site.positions()),
            floor: query.floor(rtt_us, best_us),
            needed: query.caps,
            pair: None,
        })
    }
}

impl<'a> Visit<'a> {
    fn eligible<'b>(&self, blocks: &'b mut Blocks) -> Eligible<'b>
    where
        'a: 'b,
    {
        Eligible::new(self.pick.site, self.holders, self.needed, blocks)
    }

    fn ask_for_bits(&self) {
        Eligible::ask_for(self.pick.site, self.holders, self.needed, self.draws);
    }

    fn meet(&mut self, blocks: &mut Blocks) {
        self.pair = Pick::pair(&mut self.eligible(blocks), self.draws);
        if let Some(pair) = self.pair {
            self.pick.site.ask_for(pair);
        }
    }

    /// What the bits only grade can fail the exact comparison: then it is the best of all.
    fn offer(&self, dice: &mut Dice, blocks: &mut Blocks) -> Option<Offer> {
        let pair = self.pair?;
        self.pick.better_of(pair).or_else(|| self.pick.best(&mut self.eligible(blocks), dice))
    }
}

//! The open nodes of all sites by grade of price, for requests that price alone decides.
//!
//! Where a fleet is well used, what is left of the cheap nodes is what hardly any request may have: too slow, without
//! the title, not for batch. They are spread over every site, so that a walk by site would look into each of them in
//! vain. Here they lie one behind the other with what they can do, eight in a line of the cache.
//!
//! **Architecture invariant:** a node is in the list of its grade exactly while it is open and has a free slot;
//! [`Index::change`](super::Index) alone sees to it.

use super::Index;
use super::search::{Dice, Offer, Pick, Query, Scratch, better};
use crate::caps::{Caps, GRADES};
use crate::latency::SiteId;

/// Offers of one grade that are compared.
const OFFERS: u32 = 8;
/// Nodes that are looked at for more offers than one.
const LOOKED_AT: usize = 4096;
/// Nodes whose abilities are compared before any is looked at more closely.
const LINE: usize = 8;
/// The round trip of a site that may not be chosen.
const NEVER: u32 = u32::MAX;

/// Lists of each grade: of nodes that take work that may be interrupted, and of those that do not. Nearly all that price
/// decides is such work.
const LISTS: usize = 2;

/// The list in which a node with these abilities belongs.
fn list_of(caps: Caps) -> Option<usize> {
    caps.open_grade().map(|grade| grade * LISTS + usize::from(!caps.takes_batch()))
}

/// Where a node stands in these lists: its list and its place there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filed(u32);

/// Bits of a place; the list, plus one, stands above them.
const PLACE_BITS: u32 = 27;

impl Filed {
    const NOWHERE: Self = Self(0);

    fn new(list: usize, place: usize) -> Self {
        assert!(place < 1 << PLACE_BITS, "a fleet has fewer than 2^27 nodes");
        Self((list as u32 + 1) << PLACE_BITS | place as u32)
    }

    fn get(self) -> Option<(usize, usize)> {
        let list = (self.0 >> PLACE_BITS).checked_sub(1)?;
        Some((list as usize, (self.0 & ((1 << PLACE_BITS) - 1)) as usize))
    }
}

/// The lists, the cheapest grade first.
#[derive(Clone, Debug, Default)]
pub(super) struct Bargains {
    lists: [List; GRADES * LISTS],
}

/// Nodes in no order.
#[derive(Clone, Debug, Default)]
struct List {
    caps: Vec<Caps>,
    places: Vec<(SiteId, u32)>,
}

impl Index {
    /// Sets right where a node is filed, after its record has changed.
    pub(super) fn refile(&mut self, site: SiteId, at: u32) {
        let record = self.sites[site.index()].kept(at);
        let caps = record.caps;
        match (record.filed.get(), list_of(caps)) {
            (Some((old, place)), Some(new)) if old == new => self.bargains.lists[old].caps[place] = caps,
            (old, new) => {
                if let Some((list, place)) = old {
                    self.unfile(list, place);
                }
                let filed = new.map_or(Filed::NOWHERE, |number| {
                    let list = &mut self.bargains.lists[number];
                    list.caps.push(caps);
                    list.places.push((site, at));
                    Filed::new(number, list.caps.len() - 1)
                });
                self.sites[site.index()].kept_mut(at).filed = filed;
            }
        }
    }

    /// The last of the list takes the place of the one that goes.
    fn unfile(&mut self, number: usize, place: usize) {
        let list = &mut self.bargains.lists[number];
        list.caps.swap_remove(place);
        list.places.swap_remove(place);
        if let Some(&(site, at)) = list.places.get(place) {
            self.sites[site.index()].kept_mut(at).filed = Filed::new(number, place);
        }
    }

    /// The best of a few offers of the lowest grade that has any.
    pub(super) fn find_by_price(
        &self,
        query: &Query,
        ranking: impl IntoIterator<Item = (u32, SiteId)>,
        dice: &mut Dice,
        scratch: &mut Scratch,
    ) -> Option<Offer> {
        let rtts = &mut scratch.rtts;
        rtts.clear();
        rtts.resize(self.sites.len(), NEVER);
        let mut best_us = None;
        for (rtt_us, id) in ranking {
            best_us.get_or_insert(rtt_us);
            if self.sites.get(id.index()).is_some_and(|site| query.may_go_to(site, rtt_us)) {
                rtts[id.index()] = rtt_us.min(NEVER - 1);
            }
        }
        let best_us = best_us?;
        let lists = if query.needs.batch { 1 } else { LISTS };
        self.bargains.lists.chunks(LISTS).find_map(|grade| {
            let offers = grade[..lists].iter().map(|list| list.best(self, query, (rtts, best_us), dice));
            offers.fold(None, better)
        })
    }
}

impl List {
    /// Goes round from a drawn place, until there are offers enough.
    fn best(
        &self,
        index: &Index,
        query: &Query,
        (rtts, best_us): (&[u32], u32),
        dice: &mut Dice,
    ) -> Option<Offer> {
        if self.caps.is_empty() {
            return None;
        }
        let offer = |place: usize| {
            let (id, at) = self.places[place];
            let (site, rtt_us) = (&index.sites[id.index()], rtts[id.index()]);
            let may = rtt_us != NEVER && index.holders.contains(query.title, id, at);
            may.then(|| Pick { site, id, query, rtt_us, best_us }.offer(at))?
        };
        let start = dice.below(self.caps.len() as u32) as usize;
        let mut best = None;
        let (mut met, mut looked_at) = (0, 0);
        for (from, part) in [(start, &self.caps[start..]), (0, &self.caps[..start])] {
            for (line, caps) in part.chunks(LINE).enumerate() {
                looked_at += caps.len();
                let any = caps.iter().fold(false, |any, caps| any | caps.cover(query.caps));
                if !any {
                    continue;
                }
                let places = caps.iter().enumerate().filter(|(_, caps)| caps.cover(query.caps));
                for offer in places.filter_map(|(place, _)| offer(from + line * LINE + place)) {
                    met += 1;
                    best = better(best, Some(offer));
                }
                if met >= OFFERS || (met > 0 && looked_at >= LOOKED_AT) {
                    return best;
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Claim, Scratch, TitleKey};
    use super::*;
    use crate::profile::Profile;
    use crate::{Request, Weights};
    use nearframe_protocol::{NodeId, TitleHash, TitleId};

    const SITES: u16 = 3;
    const NODES: u32 = 40;

    fn request(title: &TitleId, hash: TitleHash) -> Request {
        Request { weights: Weights::BATCH, ..Request::play(title.clone(), hash) }
    }

    fn profile(dice: &mut Dice) -> Profile {
        let price_micros_per_hour = u64::from(dice.below(30)) * 60_000;
        let (slots, batch) = (1 + dice.below(3), dice.below(2) == 0);
        Profile { slots, batch, price_micros_per_hour, ..Profile::default() }
    }

    /// Every node is filed where it belongs, and nothing else is.
    fn check(index: &Index) {
        let filed: usize = index.bargains.lists.iter().map(|list| list.caps.len()).sum();
        let mut open = 0;
        for (id, site) in index.sites.iter().enumerate() {
            for (at, record) in site.records() {
                let Some(list) = list_of(record.caps) else {
                    assert_eq!(record.filed, Filed::NOWHERE);
                    continue;
                };
                open += 1;
                let (there, place) = record.filed.get().expect("it is filed");
                assert_eq!(there, list);
                assert_eq!(index.bargains.lists[list].caps[place], record.caps);
                assert_eq!(index.bargains.lists[list].places[place], (SiteId(id as u16), at));
            }
        }
        assert_eq!(filed, open);
    }

    #[test]
    fn whatever_happens_every_open_node_is_filed_by_its_price() {
        let mut index = Index::new();
        let sites: Vec<_> = (0..SITES).map(|_| index.add_site("DE")).collect();
        let (title, hash) = (TitleId::new("meteor").unwrap(), TitleHash::from_bytes([1; 32]));
        let key: TitleKey = index.titles.intern(&title, hash);
        let (mut dice, mut held) = (Dice(1), Vec::<Claim>::new());
        for step in 0..4_000 {
            let node = NodeId::from_bytes(u128::from(dice.below(NODES)).to_le_bytes());
            match dice.below(9) {
                0 | 1 => {
                    let site = sites[dice.below(u32::from(SITES)) as usize];
                    index.insert(node, site, &profile(&mut dice), &[key]);
                }
                2 => index.remove(node),
                3 => index.set_draining(node, dice.below(2) == 0),
                4 => index.set_price(node, &profile(&mut dice)),
                5 => index.set_busy(node, dice.below(4)),
                6 if !held.is_empty() => {
                    index.release(held.swap_remove(dice.below(held.len() as u32) as usize));
                }
                _ => {
                    let query = Query::new(&index, &request(&title, hash)).expect("it is held");
                    let found = index.find(&query, index.anywhere(), step, &mut Scratch::default());
                    held.extend(found.map(|found| index.claim(&found, 1).expect("nobody else decides")));
                }
            }
            check(&index);
        }
    }

    #[test]
    fn few_offers_are_compared_and_a_search_in_vain_looks_everywhere() {
        let mut index = Index::new();
        let site = index.add_site("DE");
        let (title, hash) = (TitleId::new("meteor").unwrap(), TitleHash::from_bytes([1; 32]));
        let key = index.titles.intern(&title, hash);
        let other = index.titles.intern(&TitleId::new("scene").unwrap(), hash);
        let nodes = LOOKED_AT as u32 * 2;
        for n in 1..=nodes {
            let node = NodeId::from_bytes(u128::from(n).to_le_bytes());
            let title = if n == nodes / 3 { key } else { other };
            index.insert(node, site, &Profile { slots: 1, ..Profile::default() }, &[title]);
        }
        let query = Query::new(&index, &request(&title, hash)).unwrap();
        for seed in 0..20 {
            let found = index.find(&query, index.anywhere(), seed, &mut Scratch::default());
            let node = found.expect("one has it").node;
            assert_eq!(node, NodeId::from_bytes(u128::from(nodes / 3).to_le_bytes()));
        }
        let nowhere = index.find(&query, [], 1, &mut Scratch::default());
        assert!(nowhere.is_none(), "no site is allowed");
    }
}

//! Titles by number, and the nodes that hold one.

use super::eligible::{BLOCK, Block, NOBODY, bit_of};
use crate::latency::SiteId;
use nearframe_protocol::{TitleHash, TitleId};
use std::collections::BTreeMap;

/// One title with exactly these bytes, as an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TitleKey(pub u32);

/// The titles of a fleet, each version once.
#[derive(Clone, Debug, Default)]
pub struct Titles {
    versions: BTreeMap<TitleId, Vec<(TitleHash, TitleKey)>>,
    count: u32,
}

impl Titles {
    /// The key of a title, a new one where it is new.
    pub fn intern(&mut self, id: &TitleId, hash: TitleHash) -> TitleKey {
        if let Some(key) = self.find(id, hash) {
            return key;
        }
        let key = TitleKey(self.count);
        self.count += 1;
        self.versions.entry(id.clone()).or_default().push((hash, key));
        key
    }

    /// The key of a title; `None` where no node ever held it.
    pub fn find(&self, id: &TitleId, hash: TitleHash) -> Option<TitleKey> {
        self.versions(id).iter().find(|(known, _)| *known == hash).map(|(_, key)| *key)
    }

    /// All versions of a title.
    pub fn versions(&self, id: &TitleId) -> &[(TitleHash, TitleKey)] {
        self.versions.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Who holds what. A search asks every site for the same title, so that what is known of one title lies together.
#[derive(Clone, Debug, Default)]
pub(super) struct Holders {
    titles: Vec<TitleHolders>,
}

/// Those of one title.
#[derive(Clone, Debug, Default)]
struct TitleHolders {
    /// For each site, where its nodes stand in `members`, plus one; 0: nobody there holds it.
    sites: Vec<u32>,
    members: Vec<Members>,
}

impl Holders {
    /// The node at a position of a site that has so many holds the title.
    pub(super) fn insert(&mut self, title: TitleKey, site: SiteId, at: u32, nodes: usize) {
        let index = title.0 as usize;
        if self.titles.len() <= index {
            self.titles.resize_with(index + 1, TitleHolders::default);
        }
        self.titles[index].at_mut(site).insert(at, nodes);
    }

    /// The node at a position of a site holds nothing more.
    pub(super) fn remove(&mut self, site: SiteId, at: u32) {
        for title in &mut self.titles {
            if let Some(place) = title.place(site) {
                title.members[place].remove(at);
            }
        }
    }

    /// The holders of a title in a site; `None` where there never was one.
    pub(super) fn of(&self, title: TitleKey, site: SiteId) -> Option<&Members> {
        let title = self.titles.get(title.0 as usize)?;
        title.members.get(title.place(site)?)
    }

    pub(super) fn contains(&self, title: TitleKey, site: SiteId, at: u32) -> bool {
        self.of(title, site).is_some_and(|members| members.contains(at))
    }
}

impl TitleHolders {
    fn place(&self, site: SiteId) -> Option<usize> {
        self.sites.get(site.index())?.checked_sub(1).map(|place| place as usize)
    }

    fn at_mut(&mut self, site: SiteId) -> &mut Members {
        if self.sites.len() <= site.index() {
            self.sites.resize(site.index() + 1, 0);
        }
        let place = &mut self.sites[site.index()];
        if *place == 0 {
            self.members.push(Members::new());
            *place = u32::try_from(self.members.len()).expect("sites are fewer than 65,536");
        }
        &mut self.members[*place as usize - 1]
    }
}

/// Above this share of a site's nodes a bitmap is smaller than a list, as one in so many.
const LIST_SHARE: usize = 32;

/// Positions of nodes in their site.
#[derive(Clone, Debug)]
pub(super) enum Members {
    /// Ascending.
    Few(Vec<u32>),
    /// One bit each.
    Many(Vec<Block>),
}

impl Members {
    pub(super) fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(super) fn insert(&mut self, at: u32, nodes: usize) {
        match self {
            Self::Few(list) => {
                if let Err(place) = list.binary_search(&at) {
                    list.insert(place, at);
                }
                if list.len() * LIST_SHARE > nodes.max(64) {
                    let mut blocks = vec![NOBODY; nodes.div_ceil(BLOCK)];
                    list.iter().for_each(|&at| set(&mut blocks, at));
                    *self = Self::Many(blocks);
                }
            }
            Self::Many(blocks) => set(blocks, at),
        }
    }

    pub(super) fn remove(&mut self, at: u32) {
        match self {
            Self::Few(list) => {
                if let Ok(place) = list.binary_search(&at) {
                    list.remove(place);
                }
            }
            Self::Many(blocks) => {
                let (block, word, bit) = bit_of(at);
                if let Some(block) = blocks.get_mut(block) {
                    block[word] &= !bit;
                }
            }
        }
    }

    pub(super) fn contains(&self, at: u32) -> bool {
        match self {
            Self::Few(list) => list.binary_search(&at).is_ok(),
            Self::Many(blocks) => {
                let (block, word, bit) = bit_of(at);
                blocks.get(block).is_some_and(|block| block[word] & bit != 0)
            }
        }
    }
}

fn set(blocks: &mut Vec<Block>, at: u32) {
    let (block, word, bit) = bit_of(at);
    if blocks.len() <= block {
        blocks.resize(block + 1, NOBODY);
    }
    blocks[block][word] |= bit;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_bitmap_without_losing_anybody() {
        let mut members = Members::new();
        let positions: Vec<u32> = (0..50).map(|n| n * 7).collect();
        positions.iter().for_each(|&at| members.insert(at, 1000));
        assert!(matches!(members, Members::Many(_)));
        members.remove(14);
        members.insert(900, 1000);
        let found: Vec<u32> = (0..1000).filter(|&at| members.contains(at)).collect();
        let expected: Vec<u32> = positions.into_iter().filter(|at| *at != 14).chain([900]).collect();
        assert_eq!(found, expected);
    }
}

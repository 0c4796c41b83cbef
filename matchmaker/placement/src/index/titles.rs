//! Titles by number, and the nodes of a site that hold one.

use super::eligible::{BLOCK, Block, NOBODY, bit_of};
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

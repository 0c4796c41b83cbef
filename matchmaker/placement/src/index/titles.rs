//! Titles by number, and the nodes of a site that hold one.

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
    Many(Vec<u64>),
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
                    let mut words = vec![0; nodes.div_ceil(64)];
                    list.iter().for_each(|&at| set(&mut words, at));
                    *self = Self::Many(words);
                }
            }
            Self::Many(words) => set(words, at),
        }
    }

    pub(super) fn remove(&mut self, at: u32) {
        match self {
            Self::Few(list) => {
                if let Ok(place) = list.binary_search(&at) {
                    list.remove(place);
                }
            }
            Self::Many(words) => {
                if let Some(word) = words.get_mut(at as usize / 64) {
                    *word &= !(1 << (at % 64));
                }
            }
        }
    }

    pub(super) fn contains(&self, at: u32) -> bool {
        match self {
            Self::Few(list) => list.binary_search(&at).is_ok(),
            Self::Many(words) => words.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1),
        }
    }
}

fn set(words: &mut Vec<u64>, at: u32) {
    let word = at as usize / 64;
    if words.len() <= word {
        words.resize(word + 1, 0);
    }
    words[word] |= 1 << (at % 64);
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

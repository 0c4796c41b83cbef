//! The tree over leaves, shaped and hashed as in RFC 9162, section 2.1, with SHA-256.
//!
//! A leaf (56 bytes, little-endian): `"NFEARN01"` (8) · index u64 · host (16) · currency (8, zeros after its code) ·
//! earned_micros i128. Its hash is SHA-256(0x00 ‖ leaf); that of an inner node SHA-256(0x01 ‖ left ‖ right). Of n > 1
//! leaves the left side holds the largest power of two below n. The root of no leaves is SHA-256 of nothing.

use crate::hash::Hash32;
use nearframe_protocol::{Currency, NodeId};
use sha2::{Digest, Sha256};

/// Length of a leaf.
pub const LEAF_LEN: usize = 56;
/// A path is no longer than this: there are fewer than 2⁶⁴ leaves.
pub(super) const LONGEST_PATH: usize = 64;

/// What one host earned in one currency, until the end of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its place.
    pub index: u64,
    /// The host.
    pub host: NodeId,
    /// The currency.
    pub currency: Currency,
    /// Everything it ever earned, in micro-units.
    pub earned_micros: i128,
}

impl Leaf {
    /// Its bytes.
    pub fn encode(&self) -> [u8; LEAF_LEN] {
        let mut out = [0; LEAF_LEN];
        out[..8].copy_from_slice(b"NFEARN01");
        out[8..16].copy_from_slice(&self.index.to_le_bytes());
        out[16..32].copy_from_slice(self.host.as_bytes());
        let code = self.currency.as_str().as_bytes();
        out[32..32 + code.len()].copy_from_slice(code);
        out[40..].copy_from_slice(&self.earned_micros.to_le_bytes());
        out
    }
    /// Its hash.
    pub fn hash(&self) -> Hash32 {
        Hash32(Sha256::new_with_prefix([0]).chain_update(self.encode()).finalize().into())
    }
}

fn node(left: &Hash32, right: &Hash32) -> Hash32 {
    Hash32(Sha256::new_with_prefix([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// How many of `leaves` > 1 are on the left.
fn split(leaves: usize) -> usize {
    leaves.next_power_of_two() / 2
}

/// The root over hashes of leaves.
pub fn root(leaves: &[Hash32]) -> Hash32 {
    match leaves {
        [] => Hash32(Sha256::digest([]).into()),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The neighbours from the leaf at `index` up to the root; empty where there is no such leaf.
pub fn path(leaves: &[Hash32], index: usize) -> Vec<Hash32> {
    if leaves.len() < 2 || index >= leaves.len() {
        return vec![];
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut below, neighbour) =
        if index < at { (path(left, index), root(right)) } else { (path(right, index - at), root(left)) };
    below.push(neighbour);
    below
}

/// The root that a leaf and its path lead to (RFC 9162, section 2.1.3.2); `None` where the path has not the length that
/// a leaf at this place has.
pub(super) fn root_of_path(leaf: Hash32, index: u64, leaves: u64, path: &[Hash32]) -> Option<Hash32> {
    if index >= leaves || path.len() > LONGEST_PATH {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, leaves - 1, leaf);
    for neighbour in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = node(neighbour, &hash);
            while at.is_multiple_of(2) && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, neighbour);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Hash32> {
        (0..count).map(|n| Hash32(Sha256::digest([n as u8]).into())).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_leads_to_its_root_and_to_no_other_place() {
        for count in 1..40 {
            let leaves = leaves(count);
            let root = root(&leaves);
            for index in 0..count {
                let path = path(&leaves, index);
                let lead = |at: u64, path: &[Hash32]| root_of_path(leaves[index], at, count as u64, path);
                assert_eq!(lead(index as u64, &path), Some(root), "{index} of {count}");
                for other in (0..=count as u64).filter(|other| *other != index as u64) {
                    assert_ne!(lead(other, &path), Some(root), "{index} of {count} as {other}");
                }
                let longer: Vec<Hash32> = path.iter().copied().chain([root]).collect();
                assert_eq!(lead(index as u64, &longer), None);
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(lead(index as u64, shorter), None);
                }
            }
        }
    }

    #[test]
    fn the_shape_is_that_of_the_rfc() {
        let l = leaves(7);
        let left = node(&node(&l[0], &l[1]), &node(&l[2], &l[3]));
        let right = node(&node(&l[4], &l[5]), &l[6]);
        assert_eq!(root(&l), node(&left, &right));
        assert_eq!(path(&l, 6), [node(&l[4], &l[5]), left]);
    }
}

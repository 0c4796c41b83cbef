//! The signed root, and the proof that a host downloads.

use super::earnings::Settlement;
use super::epoch::Epoch;
use super::merkle::{Leaf, path, root, root_of_path};
use crate::hash::Hash32;
use nearframe_protocol::{Currency, Money, NodeId, NodeKey, PublicKey, Signature};
use serde::{Deserialize, Serialize};

const DOMAIN: &[u8] = b"nearframe/settlement/v1\0";

/// The root of an epoch. It names the one before, so that no two histories can be shown to two hosts for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRoot {
    /// The epoch.
    pub epoch: Epoch,
    /// How many leaves there are.
    pub leaves: u64,
    /// The root.
    pub root: Hash32,
    /// The root of the epoch that was settled before; zeros before the first.
    pub previous: Hash32,
    /// The ledger's signature.
    pub signature: Signature,
}

/// `"nearframe/settlement/v1\0"` · epoch u32 · leaves u64 · root (32) · previous root (32), little-endian.
fn signed_bytes(epoch: Epoch, leaves: u64, root: &Hash32, previous: &Hash32) -> Vec<u8> {
    let mut out = DOMAIN.to_vec();
    out.extend_from_slice(&epoch.0.to_le_bytes());
    out.extend_from_slice(&leaves.to_le_bytes());
    out.extend_from_slice(&root.0);
    out.extend_from_slice(&previous.0);
    out
}

impl SignedRoot {
    /// Signs what a settlement says; `None` before the first epoch.
    pub fn sign(settlement: &Settlement, previous: Hash32, key: &NodeKey) -> Option<Self> {
        let epoch = settlement.epoch?;
        let hashes: Vec<Hash32> = settlement.leaves().iter().map(Leaf::hash).collect();
        let (leaves, root) = (hashes.len() as u64, root(&hashes));
        let signature = key.sign(&signed_bytes(epoch, leaves, &root, &previous));
        Some(Self { epoch, leaves, root, previous, signature })
    }

    /// The proof of one host in one currency; `None` where it has no leaf.
    pub fn proof(&self, settlement: &Settlement, host: NodeId, currency: &Currency) -> Option<PayoutProof> {
        let leaves = settlement.leaves();
        let leaf = leaves.iter().find(|leaf| leaf.host == host && leaf.currency == *currency)?;
        let hashes: Vec<Hash32> = leaves.iter().map(Leaf::hash).collect();
        Some(PayoutProof {
            version: 1,
            epoch: self.epoch.0,
            date: self.epoch.to_string(),
            host,
            earned: Money { amount_micros: leaf.earned_micros, currency: currency.clone() },
            index: leaf.index,
            leaves: self.leaves,
            path: path(&hashes, leaf.index as usize),
            root: self.root,
            previous_root: self.previous,
            signature: self.signature,
        })
    }
}

/// What a host keeps: everything it takes to check, without the network, what it earned until the end of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayoutProof {
    /// 1.
    pub version: u32,
    /// Days since 1970-01-01.
    pub epoch: u32,
    /// The same for people.
    pub date: String,
    /// The host.
    pub host: NodeId,
    /// Everything it earned in this currency until the end of that day.
    pub earned: Money,
    /// The place of its leaf.
    pub index: u64,
    /// How many leaves there are.
    pub leaves: u64,
    /// Neighbours from the leaf up.
    pub path: Vec<Hash32>,
    /// The root.
    pub root: Hash32,
    /// The root before.
    pub previous_root: Hash32,
    /// The ledger's signature.
    pub signature: Signature,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A form of another release.
    #[error("proofs of version {0} are not known here; use the release that wrote it")]
    Version(u32),
    /// The date is not that of the epoch.
    #[error("the date is not that of the epoch")]
    Date,
    /// The leaf is not under the root.
    #[error("the amount is not the one under the root: it, the host, the place or the path was changed")]
    Path,
    /// The root is not signed.
    #[error("the root is not signed by this ledger's key")]
    Signature,
}

impl PayoutProof {
    /// Checks that the ledger with this key said so.
    pub fn verify(&self, key: &PublicKey) -> Result<(), ProofError> {
        if self.version != 1 {
            return Err(ProofError::Version(self.version));
        }
        if Epoch(self.epoch).to_string() != self.date {
            return Err(ProofError::Date);
        }
        let leaf = Leaf {
            index: self.index,
            host: self.host,
            currency: self.earned.currency.clone(),
            earned_micros: self.earned.amount_micros,
        };
        if root_of_path(leaf.hash(), self.index, self.leaves, &self.path) != Some(self.root) {
            return Err(ProofError::Path);
        }
        let bytes = signed_bytes(Epoch(self.epoch), self.leaves, &self.root, &self.previous_root);
        key.verify(&bytes, &self.signature).map_err(|_| ProofError::Signature)
    }
}

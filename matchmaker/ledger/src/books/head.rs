//! The published head: a signed word about how far the journal goes, which nobody can take back.

use super::block::BlockHash;
use super::state::Books;
use nearframe_protocol::key::KeyError;
use nearframe_protocol::{NodeKey, PublicKey, Signature};

const DOMAIN: &[u8] = b"nearframe/ledger-head/v1\0";

/// How far the journal goes. Whoever kept one can prove later that blocks were removed or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// How many blocks there are.
    pub blocks: u64,
    /// How many records are in them.
    pub records: u64,
    /// When the last one was written, Unix ms.
    pub at_ms: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// The ledger's signature.
    pub signature: Signature,
}

impl SignedHead {
    /// Signs how far `books` go.
    pub fn sign(books: &Books, key: &NodeKey) -> Self {
        let (blocks, records, at_ms, hash) =
            (books.next_height(), books.records(), books.at_ms(), books.head());
        let signature = key.sign(&signed_bytes(blocks, records, at_ms, &hash));
        Self { blocks, records, at_ms, hash, signature }
    }

    /// Checks the signature.
    pub fn verify(&self, key: &PublicKey) -> Result<(), KeyError> {
        key.verify(&signed_bytes(self.blocks, self.records, self.at_ms, &self.hash), &self.signature)
    }
}

/// `"nearframe/ledger-head/v1\0"` · blocks u64 · records u64 · at_ms u64 · hash (32), little-endian.
fn signed_bytes(blocks: u64, records: u64, at_ms: u64, hash: &BlockHash) -> Vec<u8> {
    let mut out = DOMAIN.to_vec();
    out.extend_from_slice(&blocks.to_le_bytes());
    out.extend_from_slice(&records.to_le_bytes());
    out.extend_from_slice(&at_ms.to_le_bytes());
    out.extend_from_slice(hash.as_bytes());
    out
}

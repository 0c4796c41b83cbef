//! The blocks of the general ledger, as replicas share them.

use super::StoreError;
use async_trait::async_trait;
use nearframe_journal::Following;
use nearframe_ledger::books::BlockHash;

/// Bytes of blocks that are read at once: at least two of the largest, so that one always comes beside the one before.
pub(super) const READ_BYTES: u64 = 6 << 20;
/// Blocks that are read at once, however small.
pub(super) const READ_BLOCKS: u32 = 1024;

/// A table whose rows are read on by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Numbered {
    Transfers,
    Charges,
    Corrections,
    StakeEntries,
    Credits,
}

impl Numbered {
    /// Its name.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Charges => "charges",
            Self::Corrections => "corrections",
            Self::StakeEntries => "stake_entries",
            Self::Credits => "credits",
        }
    }
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRow {
    /// 0, 1, 2, … without gaps.
    pub height: u64,
    /// The hash of the block before.
    pub previous: BlockHash,
    /// Its hash.
    pub hash: BlockHash,
    /// Header and records.
    pub bytes: Vec<u8>,
}

/// The part of the store that replicas share the general ledger by. As of every method: one transaction.
#[async_trait]
pub trait LedgerStore: Send + Sync + 'static {
    /// Writes a block if it is the next one: if none has its height, and the one before has the hash that it names. True
    /// if this call did.
    async fn add_block(&self, block: &BlockRow) -> Result<bool, StoreError>;
    /// What comes after so many blocks: at least one where there are more.
    async fn blocks_after(&self, blocks: u64) -> Result<Following, StoreError>;
}

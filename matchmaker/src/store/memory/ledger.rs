//! Blocks of the general ledger, in memory.

use super::MemoryStore;
use crate::store::StoreError;
use crate::store::ledger::{BlockRow, LedgerStore, READ_BLOCKS};
use async_trait::async_trait;
use nearframe_journal::Following;
use nearframe_ledger::books::BlockHash;

/// All of them, by height.
pub(super) type Blocks = Vec<BlockRow>;

#[async_trait]
impl LedgerStore for MemoryStore {
    async fn add_block(&self, block: &BlockRow) -> Result<bool, StoreError> {
        self.transact(|state| {
            let last = state.blocks.last().map_or(BlockHash::NONE, |last| last.hash);
            let is_next = block.height == state.blocks.len() as u64 && block.previous == last;
            if is_next {
                state.blocks.push(block.clone());
            }
            Ok(is_next)
        })
    }

    async fn blocks_after(&self, blocks: u64) -> Result<Following, StoreError> {
        Ok(self.read(|state| {
            let before = blocks.checked_sub(1).and_then(|last| state.blocks.get(last as usize));
            let following = state.blocks.iter().skip(blocks as usize).take(READ_BLOCKS as usize);
            Following {
                before: before.map(|row| row.hash),
                blocks: following.map(|row| row.bytes.clone()).collect(),
            }
        }))
    }
}

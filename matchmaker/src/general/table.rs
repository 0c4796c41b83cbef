//! The table of blocks that replicas share, for the journal, which waits for it.

use crate::store::Store;
use crate::store::ledger::BlockRow;
use nearframe_journal::{Following, SharedBlocks, SharedError};
use nearframe_ledger::books::Header;
use std::fmt;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The store's table. Asked on threads that may wait, never on those of the runtime, which it waits for.
pub(crate) struct Table {
    store: Arc<dyn Store>,
    runtime: Handle,
}

impl Table {
    /// Of a store whose connections live in this runtime.
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        Self { store: Arc::clone(store), runtime: Handle::current() }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl SharedBlocks for Table {
    fn insert(&self, header: &Header, bytes: &[u8]) -> Result<bool, SharedError> {
        let block = BlockRow {
            height: header.height,
            previous: header.previous,
            hash: header.hash(),
            bytes: bytes.to_vec(),
        };
        let inserted = self.runtime.block_on(self.store.add_block(&block));
        inserted.map_err(|error| SharedError::Failed(Box::new(error)))
    }

    fn after(&self, blocks: u64) -> Result<Following, SharedError> {
        let following = self.runtime.block_on(self.store.blocks_after(blocks));
        following.map_err(|error| SharedError::Failed(Box::new(error)))
    }
}

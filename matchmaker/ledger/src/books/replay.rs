//! Reading: kept blocks in, the same books out, or the first thing that is wrong.

use super::block::{Block, BlockError};
use super::key::{Fingerprint, Key};
use super::record::Record;
use super::state::{Books, Refusal};

/// A block that does not follow from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The bytes are wrong.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Not the next one.
    #[error("block {found} stands where block {expected} belongs")]
    Height {
        /// What comes next.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Another chain.
    #[error("block {height} does not name the hash of the block before it")]
    Chain {
        /// The block.
        height: u64,
    },
    /// The count of records or the time runs backwards.
    #[error("block {height} counts records or time wrongly")]
    Count {
        /// The block.
        height: u64,
    },
    /// A record that no order leads to.
    #[error("block {height}, record {record}: {refusal}")]
    Refused {
        /// The block.
        height: u64,
        /// The record, counted within the block.
        record: usize,
        /// The rule that it breaks.
        refusal: Refusal,
    },
    /// A record that says something else than what its order does.
    #[error("block {height}, record {record} says something else than what its order does")]
    Differs {
        /// The block.
        height: u64,
        /// The record, counted within the block.
        record: usize,
    },
}

impl Books {
    /// Takes the next kept block, record by record, by the same rules as when it was written. Tells each key with what
    /// was asked for; whether a key comes twice is for the caller to see, who knows them all.
    ///
    /// Where it fails, these books are not to be used any more.
    pub fn replay(
        &mut self,
        block: &Block,
        mut seen: impl FnMut(Key, Fingerprint),
    ) -> Result<(), ReplayError> {
        let header = block.header();
        let height = header.height;
        if height != self.next_height {
            return Err(ReplayError::Height { expected: self.next_height, found: height });
        }
        if header.previous != self.head() {
            return Err(ReplayError::Chain { height });
        }
        if header.records_before != self.records || header.at_ms < self.at_ms {
            return Err(ReplayError::Count { height });
        }
        for (at, record) in block.records().enumerate() {
            let record = record?;
            let refused = |refusal| ReplayError::Refused { height, record: at, refusal };
            self.begin_group();
            let again = match &record {
                Record::Opened { order, .. } | Record::Moved { order, .. } => {
                    seen(order.key, order.fingerprint());
                    self.carry_out(order, header.at_ms).map_err(refused)?
                }
                Record::Expired { pending, .. } => self.expire(pending, header.at_ms).map_err(refused)?,
            };
            self.assert_group_balanced();
            if again != record {
                return Err(ReplayError::Differs { height, record: at });
            }
        }
        self.move_on(block);
        Ok(())
    }
}

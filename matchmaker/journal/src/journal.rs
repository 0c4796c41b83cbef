//! Writing.

use crate::keys::{DiskKeys, KeysError, OnDisk};
use crate::manifest::Manifest;
use crate::open;
use crate::replicated::SharedError;
use crate::storage::Storage;
use nearframe_ledger::books::{
    Answer, BlockError, BlockHash, Books, CheckpointError, Fingerprint, Group, Key, ReplayError, SignedHead,
    WriteError,
};
use nearframe_protocol::NodeKey;

/// Checkpoints kept: the last, and the one before that it is compared with.
const CHECKPOINTS: usize = 2;

/// Why a journal cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk.
    #[error("the ledger's disk: {0}")]
    Io(#[source] std::io::Error),
    /// The table that others write as well.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// The copy's last block is not the table's.
    #[error(
        "block {height} is {own} in this copy and {shared} in the database: these are two histories. If a head of this \
         copy was published, restore the database that it came from; otherwise move the folder away, and it is fetched \
         again"
    )]
    OtherHistory {
        /// Its height.
        height: u64,
        /// Its hash here.
        own: BlockHash,
        /// Its hash in the table.
        shared: BlockHash,
    },
    /// The copy has more blocks than the table.
    #[error(
        "block {height}, {own}, is in this copy and not in the database, which has fewer: it is an older backup, or of \
         another ledger. Restore the newest state of the database; or, if no head of this copy was published, move the \
         folder away, and it is fetched again"
    )]
    Ahead {
        /// The height of the copy's last block.
        height: u64,
        /// Its hash.
        own: BlockHash,
    },
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Too many orders at once.
    #[error("more orders in one write than a block holds; split them")]
    TooMany,
    /// An earlier write failed.
    #[error("an earlier write failed, so that memory may be ahead of the disk; recover the ledger first")]
    Poisoned,
    /// A block is wrong.
    #[error("the ledger's blocks, at byte {at}: {error}; restore them from a backup or another copy")]
    Block {
        /// Where it begins.
        at: u64,
        /// What is wrong.
        error: BlockError,
    },
    /// A block does not follow.
    #[error("the ledger's blocks: {0}; restore them from a backup or another copy")]
    Replay(#[from] ReplayError),
    /// A key twice.
    #[error("the key {0} was carried out twice; restore the blocks from a backup or another copy")]
    Twice(Key),
    /// Another block than a published head names.
    #[error(
        "block {block} is not the one whose hash was published; restore the blocks from a backup or another copy"
    )]
    NotPublished {
        /// Its height.
        block: u64,
    },
    /// A head that this ledger's key did not sign.
    #[error("a head that is not signed by this ledger's key")]
    ForeignHead,
    /// Less than a checkpoint or a published head knows of.
    #[error(
        "the ledger's blocks end before block {blocks}, which was signed: some were removed; restore them"
    )]
    Missing {
        /// How many blocks there were.
        blocks: u64,
    },
    /// Balances differ.
    #[error(
        "the balances rebuilt from the blocks are not those of the checkpoint at block {blocks}; \
         restore the blocks from a backup or another copy"
    )]
    Differs {
        /// How many blocks there were.
        blocks: u64,
    },
    /// A checkpoint is wrong.
    #[error("{name}: {error}; remove all checkpoints, they are made again from the blocks")]
    Checkpoint {
        /// Its file.
        name: String,
        /// What is wrong.
        error: CheckpointError,
    },
}

impl From<std::io::Error> for JournalError {
    fn from(error: std::io::Error) -> Self {
        // A storage that is a copy fails where its table does.
        error.downcast().map_or_else(Self::Io, Self::Shared)
    }
}

/// The general ledger, and the disk it is on. One writer at a time.
#[derive(Debug)]
pub struct Journal<S> {
    pub(crate) storage: S,
    pub(crate) books: Books,
    pub(crate) keys: DiskKeys,
    pub(crate) key: NodeKey,
    pub(crate) blocks_len: u64,
    pub(crate) poisoned: bool,
}

impl<S: Storage> Journal<S> {
    /// The books as they stand on the disk.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// What the order with this key asked for, if there ever was one.
    pub fn find(&self, key: &Key) -> Result<Option<Fingerprint>, JournalError> {
        Ok(self.keys.find(&self.storage, key)?)
    }

    /// Where it is kept: for small files of whoever writes it.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Whether a write failed and [`Journal::recover`] has to come before the next: memory may be ahead of the disk.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// How far the journal goes, signed: to be published.
    pub fn head(&self) -> SignedHead {
        SignedHead::sign(&self.books, &self.key)
    }

    /// Carries `groups` out, each whole or not at all. When this returns, it is safe from a crash.
    pub fn write(&mut self, groups: &[Group], now_ms: u64) -> Result<Vec<Answer>, JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned);
        }
        let mut keys = OnDisk { keys: &mut self.keys, storage: &self.storage };
        let written = self.books.write(groups, &mut keys, now_ms).map_err(|error| match error {
            WriteError::TooMany => JournalError::TooMany,
            WriteError::Keys(error) => error.into(),
        })?;
        if let Some(block) = written.block {
            self.poisoned = true;
            self.storage.append(block.bytes())?;
            self.storage.sync()?;
            self.blocks_len += block.bytes().len() as u64;
            self.poisoned = false;
        }
        if self.keys.is_full() {
            // What was just written is safe; what fails here fails again at the next write.
            self.checkpoint()?;
        }
        Ok(written.answers)
    }

    /// Writes all keys into runs and all balances into a signed checkpoint, and removes what neither needs any more.
    pub fn checkpoint(&mut self) -> Result<(), JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned);
        }
        self.keys.flush(&self.storage)?;
        let appendix = Manifest::encode(self.blocks_len, &self.keys);
        let mut bytes = Some(self.books.checkpoint(&self.key, &appendix));
        self.storage.put(&open::checkpoint_name(self.books.next_height()), &mut || Ok(bytes.take()))?;
        let mut checkpoints = open::checkpoints(&self.storage)?;
        for name in checkpoints.drain(..checkpoints.len().saturating_sub(CHECKPOINTS)) {
            self.storage.remove(&name)?;
        }
        open::remove_unused_runs(&self.storage, &self.keys)?;
        Ok(())
    }
}

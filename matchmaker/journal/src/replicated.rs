//! A journal of several writers: a table that all share holds the blocks, and each keeps a copy on a disk of its own.
//!
//! The table takes a block only as the next one, so that of two who write at the same time one is refused: the height is
//! what keeps them apart. Whoever is refused reads what the other wrote and tries again.
//!
//! **Architecture invariant:** a block is in the table before it is in any copy. A copy may be behind, never ahead and
//! never beside.

use crate::journal::{Journal, JournalError};
use crate::open::Settings;
use crate::storage::{Chunks, Storage};
use nearframe_ledger::books::{Block, BlockHash, HEADER_LEN, Header};
use std::error::Error;
use std::fmt::Debug;
use std::io;

/// Why the table did not take a block, or gave none.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// Another wrote the next block.
    #[error("another replica wrote to the ledger at the same time, again and again; try again")]
    Outrun,
    /// The table is away, or broken.
    #[error("the ledger's blocks, which all replicas share: {0}")]
    Failed(Box<dyn Error + Send + Sync>),
}

impl From<SharedError> for io::Error {
    fn from(error: SharedError) -> Self {
        Self::other(error)
    }
}

/// What the table has after so many blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// The hash of the block before; `None` where the table ends before it, and before block 0.
    pub before: Option<BlockHash>,
    /// The next blocks, without gaps: at least one where there are more, and no more than fit into memory.
    pub blocks: Vec<Vec<u8>>,
}

/// The seam: a table that nobody takes blocks out of. Whoever calls may be made to wait.
pub trait SharedBlocks: Debug + Send {
    /// Puts a block in if it is the next one: if none has its height, and the one before has the hash that it names.
    /// True if this call did. Safe from a crash when it returns.
    fn insert(&self, header: &Header, bytes: &[u8]) -> Result<bool, SharedError>;
    /// What comes after so many blocks.
    fn after(&self, blocks: u64) -> Result<Following, SharedError>;
}

/// A storage, and the table that it is a copy of, if others write as well.
#[derive(Debug)]
pub struct Replicated<L> {
    own: L,
    shared: Option<Box<dyn SharedBlocks>>,
}

impl<L> Replicated<L> {
    /// Nobody else writes: the storage is the record.
    pub fn alone(own: L) -> Self {
        Self { own, shared: None }
    }
    /// The table is the record.
    pub fn copy_of(shared: Box<dyn SharedBlocks>, own: L) -> Self {
        Self { own, shared: Some(shared) }
    }
}

impl<L: Storage> Storage for Replicated<L> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(shared) = &self.shared {
            let header: &[u8; HEADER_LEN] = bytes.first_chunk().expect("a block has a header");
            let header = Header::decode(header).expect("the books sealed it");
            if !shared.insert(&header, bytes)? {
                return Err(SharedError::Outrun.into());
            }
        }
        self.own.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.own.sync()
    }
    fn blocks_len(&self) -> io::Result<u64> {
        self.own.blocks_len()
    }
    fn read_blocks(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.own.read_blocks(at, into)
    }
    fn truncate_blocks(&mut self, length: u64) -> io::Result<()> {
        self.own.truncate_blocks(length)
    }
    fn put(&self, name: &str, chunks: &mut Chunks<'_>) -> io::Result<()> {
        self.own.put(name, chunks)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.own.names()
    }
    fn len(&self, name: &str) -> io::Result<u64> {
        self.own.len(name)
    }
    fn read(&self, name: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.own.read(name, at, into)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.own.remove(name)
    }
}

/// What catching up found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Blocks that others wrote.
    pub blocks: u64,
    /// Bytes cut off, which a write that failed had left behind.
    pub cut_bytes: u64,
}

impl<L: Storage> Journal<Replicated<L>> {
    /// Goes on after a write that failed, and takes what others wrote meanwhile. Where this fails, it may be tried once
    /// more.
    pub fn catch_up(&mut self, settings: Settings) -> Result<CaughtUp, JournalError> {
        let mut caught_up = CaughtUp::default();
        if self.poisoned {
            caught_up.cut_bytes = self.recover(settings)?.cut_bytes;
        }
        loop {
            let blocks = self.following()?;
            if blocks.is_empty() {
                return Ok(caught_up);
            }
            caught_up.blocks += blocks.len() as u64;
            self.take_all(blocks)?;
        }
    }

    /// What others wrote after our last block, which has to be theirs as well.
    fn following(&self) -> Result<Vec<Vec<u8>>, JournalError> {
        let Some(shared) = &self.storage.shared else { return Ok(vec![]) };
        let (blocks, own) = (self.books.next_height(), self.books.head());
        let Following { before, blocks: following } = shared.after(blocks)?;
        match before {
            _ if blocks == 0 => Ok(following),
            Some(before) if before == own => Ok(following),
            Some(shared) => Err(JournalError::OtherHistory { height: blocks - 1, own, shared }),
            None => Err(JournalError::Ahead { height: blocks - 1, own }),
        }
    }

    /// By the same rules as those of our own; into the copy, which is safe before any of them counts.
    fn take_all(&mut self, blocks: Vec<Vec<u8>>) -> Result<(), JournalError> {
        let (safe_len, last_serial) = (self.blocks_len, self.keys.last_serial());
        self.poisoned = true;
        if let Err(error) = self.take_each(blocks) {
            self.blocks_len = safe_len;
            return Err(error);
        }
        self.poisoned = false;
        // The last checkpoint may name runs that were merged since.
        if self.keys.last_serial() > last_serial { self.checkpoint() } else { Ok(()) }
    }

    fn take_each(&mut self, blocks: Vec<Vec<u8>>) -> Result<(), JournalError> {
        for bytes in blocks {
            let block =
                Block::parse(bytes).map_err(|error| JournalError::Block { at: self.blocks_len, error })?;
            self.take(&block)?;
            self.storage.own.append(block.bytes())?;
        }
        Ok(self.storage.own.sync()?)
    }
}

//! Everything from the beginning: every block, every record, every key, every checkpoint.

use crate::journal::JournalError;
use crate::open::{checkpoints, next_block, read_checkpoint};
use crate::replicated::SharedBlocks;
use crate::storage::Storage;
use nearframe_ledger::books::{Block, BlockHash, Books, Key, ReplayError, SignedHead};
use nearframe_protocol::PublicKey;
use std::collections::BTreeMap;

/// Keys compared at once, 512 MiB of them: a longer journal is read several times.
const KEYS_AT_ONCE: u64 = 1 << 25;

/// What was read, and found right.
#[derive(Debug)]
pub struct Verified {
    /// The books, rebuilt.
    pub books: Books,
    /// Checkpoints that say the same.
    pub checkpoints: usize,
    /// Bytes after the last whole block: a write under way, or one that a crash interrupted.
    pub unfinished_bytes: u64,
}

/// Reads a journal from its beginning. `heads` are what was published earlier: each has to be in it.
pub fn verify(
    storage: &impl Storage,
    key: &PublicKey,
    heads: &[SignedHead],
) -> Result<Verified, JournalError> {
    let end = storage.blocks_len()?;
    let published = published(heads, key)?;
    let mut kept = BTreeMap::new();
    for name in checkpoints(storage)? {
        let (checkpoint, _) = read_checkpoint(storage, &name, key)?;
        kept.insert(checkpoint.books.next_height(), checkpoint.books.canonical(&[]));
    }
    let checkpoints = kept.len();
    let mut source = OnDisk { storage, at: 0, end };
    let books = read_all(&mut source, kept, published)?;
    Ok(Verified { books, checkpoints, unfinished_bytes: end - source.at })
}

/// The same of a table that several share, which has no checkpoints.
pub fn verify_shared(
    shared: &dyn SharedBlocks,
    key: &PublicKey,
    heads: &[SignedHead],
) -> Result<Verified, JournalError> {
    let published = published(heads, key)?;
    let books = read_all(&mut InTable::new(shared), BTreeMap::new(), published)?;
    Ok(Verified { books, checkpoints: 0, unfinished_bytes: 0 })
}

/// Blocks in their order, read as often as needed.
trait Source {
    fn next(&mut self) -> Result<Option<Block>, JournalError>;
    fn rewind(&mut self);
}

struct OnDisk<'a, S> {
    storage: &'a S,
    at: u64,
    end: u64,
}

impl<S: Storage> Source for OnDisk<'_, S> {
    fn next(&mut self) -> Result<Option<Block>, JournalError> {
        let block = next_block(self.storage, self.at, self.end)?;
        self.at += block.as_ref().map_or(0, |block| block.bytes().len() as u64);
        Ok(block)
    }
    fn rewind(&mut self) {
        self.at = 0;
    }
}

struct InTable<'a> {
    shared: &'a dyn SharedBlocks,
    page: std::vec::IntoIter<Vec<u8>>,
    blocks: u64,
    at: u64,
}

impl<'a> InTable<'a> {
    fn new(shared: &'a dyn SharedBlocks) -> Self {
        Self { shared, page: vec![].into_iter(), blocks: 0, at: 0 }
    }
}

impl Source for InTable<'_> {
    fn next(&mut self) -> Result<Option<Block>, JournalError> {
        if self.page.len() == 0 {
            self.page = self.shared.after(self.blocks)?.blocks.into_iter();
        }
        let Some(bytes) = self.page.next() else { return Ok(None) };
        let block = Block::parse(bytes).map_err(|error| JournalError::Block { at: self.at, error })?;
        self.blocks += 1;
        self.at += block.bytes().len() as u64;
        Ok(Some(block))
    }
    fn rewind(&mut self) {
        *self = Self::new(self.shared);
    }
}

fn read_all(
    source: &mut impl Source,
    mut kept: BTreeMap<u64, Vec<u8>>,
    mut published: BTreeMap<u64, BlockHash>,
) -> Result<Books, JournalError> {
    let mut books = Books::new();
    let (mut keys, mut count) = (vec![], 0);
    while let Some(block) = source.next()? {
        books.replay(&block, |key, _| {
            count += 1;
            keys.extend((count <= KEYS_AT_ONCE).then_some(key));
        })?;
        let blocks = books.next_height();
        if kept.remove(&blocks).is_some_and(|canonical| canonical != books.canonical(&[])) {
            return Err(JournalError::Differs { blocks });
        }
        if published.remove(&blocks).is_some_and(|hash| hash != books.head()) {
            return Err(JournalError::NotPublished { block: blocks - 1 });
        }
    }
    if let Some(blocks) = kept.into_keys().chain(published.into_keys()).max() {
        return Err(JournalError::Missing { blocks });
    }
    books.assert_balanced();
    // Where not all of them fitted, as many as do are compared in each pass.
    let passes = count.div_ceil(KEYS_AT_ONCE);
    for pass in 0..passes {
        if passes > 1 {
            read_keys(source, &mut keys, |key| pass_of(key, passes) == pass)?;
        }
        no_key_twice(&mut keys)?;
    }
    Ok(books)
}

fn published(heads: &[SignedHead], key: &PublicKey) -> Result<BTreeMap<u64, BlockHash>, JournalError> {
    let mut published = BTreeMap::new();
    for head in heads.iter().filter(|head| head.blocks > 0) {
        head.verify(key).map_err(|_| JournalError::ForeignHead)?;
        if published.insert(head.blocks, head.hash).is_some_and(|other| other != head.hash) {
            return Err(JournalError::NotPublished { block: head.blocks - 1 });
        }
    }
    Ok(published)
}

fn pass_of(key: &Key, passes: u64) -> u64 {
    let [a, b, c, d, ..] = *key.as_bytes();
    (u64::from(u32::from_be_bytes([a, b, c, d])) * passes) >> 32
}

fn read_keys(
    source: &mut impl Source,
    keys: &mut Vec<Key>,
    wanted: impl Fn(&Key) -> bool,
) -> Result<(), JournalError> {
    keys.clear();
    source.rewind();
    while let Some(block) = source.next()? {
        for record in block.records() {
            keys.extend(record.map_err(ReplayError::from)?.key().filter(&wanted));
        }
    }
    Ok(())
}

fn no_key_twice(keys: &mut [Key]) -> Result<(), JournalError> {
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(JournalError::Twice(pair[0])),
        None => Ok(()),
    }
}

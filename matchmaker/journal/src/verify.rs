//! Everything from the beginning: every block, every record, every key, every checkpoint.

use crate::journal::JournalError;
use crate::open::{checkpoints, next_block, read_checkpoint};
use crate::storage::Storage;
use nearframe_ledger::books::{Block, BlockHash, Books, Key, SignedHead};
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
    let length = storage.blocks_len()?;
    let mut published = published(heads, key)?;
    let mut kept = BTreeMap::new();
    for name in checkpoints(storage)? {
        let (checkpoint, _) = read_checkpoint(storage, &name, key)?;
        kept.insert(checkpoint.books.next_height(), checkpoint.books.canonical(&[]));
    }
    let checkpoints = kept.len();
    let mut books = Books::new();
    // As many keys as fit are compared in this pass; whatever is left is read again.
    let passes = (length / 128).div_ceil(KEYS_AT_ONCE).max(1);
    let mut keys = Vec::with_capacity((length / 128).min(KEYS_AT_ONCE) as usize);
    let mut at = 0;
    while let Some(block) = next_block(storage, at, length)? {
        books.replay(&block, |key, _| keys.extend((pass_of(&key, passes) == 0).then_some(key)))?;
        at += block.bytes().len() as u64;
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
    no_key_twice(&mut keys)?;
    for pass in 1..passes {
        read_keys(storage, at, &mut keys, |key| pass_of(key, passes) == pass)?;
        no_key_twice(&mut keys)?;
    }
    Ok(Verified { books, checkpoints, unfinished_bytes: length - at })
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
    storage: &impl Storage,
    end: u64,
    keys: &mut Vec<Key>,
    wanted: impl Fn(&Key) -> bool,
) -> Result<(), JournalError> {
    keys.clear();
    let mut at = 0;
    while let Some(block) = next_block(storage, at, end)? {
        for record in block.records() {
            let record = record.map_err(|error| JournalError::Block { at, error })?;
            keys.extend(record.key().filter(&wanted));
        }
        at += Block::bytes(&block).len() as u64;
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

//! Opening: the last checkpoint is compared with what the blocks say, and blocks after it are read again.

use crate::journal::{Journal, JournalError};
use crate::keys::DiskKeys;
use crate::manifest::Manifest;
use crate::run;
use crate::storage::Storage;
use nearframe_ledger::books::{Block, Books, Checkpoint, HEADER_LEN, Header, MAX_RECORDS, RECORD_LEN};
use nearframe_protocol::wire::WireError;
use nearframe_protocol::{NodeKey, PublicKey};

const PREFIX: &str = "checkpoint-";

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Blocks that were read again.
    pub replayed_blocks: u64,
    /// Whether the last checkpoint was rebuilt from the one before it, and equal.
    pub compared: bool,
    /// Bytes cut off the end: a write that a crash interrupted and nobody was told of.
    pub cut_bytes: u64,
}

/// What a journal may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Keys kept in memory before they are written into a run, with a checkpoint: about 100 bytes each at most.
    pub keys_in_memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keys_in_memory: 1 << 18 }
    }
}

impl<S: Storage> Journal<S> {
    /// Opens the ledger that `key` signs, or begins one.
    pub fn open(storage: S, key: NodeKey, settings: Settings) -> Result<(Self, Opened), JournalError> {
        let keys = DiskKeys::of_runs(vec![], 0, settings.keys_in_memory);
        let mut journal = Self { storage, books: Books::new(), keys, key, blocks_len: 0, poisoned: true };
        let opened = journal.load(settings)?;
        Ok((journal, opened))
    }

    /// Goes on after a write that failed, such as on a disk that was full: what it left behind, of which nobody was told,
    /// is cut off, whether or not it can be read, because nobody knows whether it is safe; and everything is read again.
    /// Where this fails, it may be tried once more.
    pub fn recover(&mut self, settings: Settings) -> Result<Opened, JournalError> {
        let safe_len = self.blocks_len;
        self.poisoned = true;
        let left_over = self.storage.blocks_len()?.saturating_sub(safe_len);
        self.storage.truncate_blocks(safe_len)?;
        let loaded = self.load(settings);
        self.blocks_len = safe_len;
        loaded.map(|opened| Opened { cut_bytes: left_over, ..opened })
    }

    fn load(&mut self, settings: Settings) -> Result<Opened, JournalError> {
        let start = Start::find(&self.storage, &self.key.public(), settings)?;
        let mut opened = Opened { replayed_blocks: 0, compared: start.compared, cut_bytes: 0 };
        (self.books, self.keys, self.blocks_len) = (start.books, start.keys, start.at);
        let length = self.storage.blocks_len()?;
        let written = self.keys.last_serial();
        while let Some(block) = next_block(&self.storage, self.blocks_len, length)? {
            self.take(&block)?;
            opened.replayed_blocks += 1;
        }
        opened.cut_bytes = length - self.blocks_len;
        if opened.cut_bytes > 0 {
            self.storage.truncate_blocks(self.blocks_len)?;
        }
        self.books.assert_balanced();
        self.poisoned = false;
        if self.keys.last_serial() > written {
            // The last checkpoint still names runs that were merged since.
            self.checkpoint()?;
        } else {
            remove_unused_runs(&self.storage, &self.keys)?;
        }
        Ok(opened)
    }

    /// Takes the next block, by the same rules as when it was written.
    pub(crate) fn take(&mut self, block: &Block) -> Result<(), JournalError> {
        let (mut twice, mut failed) = (None, None);
        let (keys, storage) = (&mut self.keys, &self.storage);
        self.books.replay(block, |key, fingerprint| match keys.find(storage, &key) {
            Ok(None) => keys.remember(key, fingerprint),
            Ok(Some(_)) => twice = Some(key),
            Err(error) => failed = Some(error),
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if let Some(key) = twice {
            return Err(JournalError::Twice(key));
        }
        self.blocks_len += block.bytes().len() as u64;
        if self.keys.is_full() { Ok(self.keys.flush(&self.storage)?) } else { Ok(()) }
    }
}

/// Where reading begins.
struct Start {
    books: Books,
    keys: DiskKeys,
    at: u64,
    compared: bool,
}

impl Start {
    fn find(storage: &impl Storage, key: &PublicKey, settings: Settings) -> Result<Self, JournalError> {
        let names = checkpoints(storage)?;
        let Some(last) = names.last() else {
            let keys = DiskKeys::of_runs(vec![], 0, settings.keys_in_memory);
            return Ok(Self { books: Books::new(), keys, at: 0, compared: false });
        };
        let (last, manifest) = read_checkpoint(storage, last, key)?;
        let keys = manifest.keys(storage, settings.keys_in_memory)?;
        let before = match names.len().checked_sub(2) {
            Some(at) => {
                let (before, manifest) = read_checkpoint(storage, &names[at], key)?;
                (before.books, manifest.blocks_len)
            }
            None => (Books::new(), 0),
        };
        compare(storage, before, &last, manifest.blocks_len)?;
        Ok(Self { books: last.books, keys, at: manifest.blocks_len, compared: true })
    }
}

/// Rebuilds a checkpoint from the one before it.
fn compare(
    storage: &impl Storage,
    (mut books, mut at): (Books, u64),
    last: &Checkpoint,
    end: u64,
) -> Result<(), JournalError> {
    let blocks = last.books.next_height();
    if storage.blocks_len()? < end {
        return Err(JournalError::Missing { blocks });
    }
    while let Some(block) = next_block(storage, at, end)? {
        books.replay(&block, |_, _| {})?;
        at += block.bytes().len() as u64;
    }
    if at == end && books.canonical(&[]) == last.books.canonical(&[]) {
        Ok(())
    } else {
        Err(JournalError::Differs { blocks })
    }
}

/// The whole block at `at`; `None` at the end, and where what is left is a write that a crash interrupted. A block that
/// is wrong and has others after it is an error: a crash damages only the last.
pub(crate) fn next_block(storage: &impl Storage, at: u64, end: u64) -> Result<Option<Block>, JournalError> {
    let left = end.saturating_sub(at);
    let mut bytes = vec![0; left.min(HEADER_LEN as u64) as usize];
    storage.read_blocks(at, &mut bytes)?;
    let header = bytes.first_chunk().ok_or(WireError::Short).and_then(Header::decode);
    let block = match header {
        Ok(header) => {
            bytes.resize(left.min((HEADER_LEN + header.body_len()) as u64) as usize, 0);
            storage.read_blocks(at, &mut bytes)?;
            Block::parse(bytes)
        }
        Err(error) => Err(error.into()),
    };
    match block {
        Ok(block) => Ok(Some(block)),
        Err(_) if left == 0 || is_torn(storage, at, end)? => Ok(None),
        Err(error) => Err(JournalError::Block { at, error }),
    }
}

/// Whether what cannot be read is a torn write: no longer than one block, and without a header anywhere after it.
fn is_torn(storage: &impl Storage, at: u64, end: u64) -> Result<bool, JournalError> {
    let left = end - at;
    if left > LONGEST_BLOCK {
        return Ok(false);
    }
    let mut bytes = vec![0; left as usize];
    storage.read_blocks(at, &mut bytes)?;
    let header = |from: usize| bytes[from..].first_chunk().is_some_and(|head| Header::decode(head).is_ok());
    Ok(!(1..bytes.len()).any(header))
}

const LONGEST_BLOCK: u64 = (HEADER_LEN + MAX_RECORDS * RECORD_LEN) as u64;

/// The file of a checkpoint after so many blocks.
pub(crate) fn checkpoint_name(blocks: u64) -> String {
    format!("{PREFIX}{blocks:012}")
}

/// The files of checkpoints, the oldest first.
pub(crate) fn checkpoints(storage: &impl Storage) -> Result<Vec<String>, JournalError> {
    let mut names = storage.names()?;
    names.retain(|name| name.starts_with(PREFIX));
    names.sort_unstable();
    Ok(names)
}

/// Reads a checkpoint that `key` signed.
pub(crate) fn read_checkpoint(
    storage: &impl Storage,
    name: &str,
    key: &PublicKey,
) -> Result<(Checkpoint, Manifest), JournalError> {
    let mut bytes = vec![0; storage.len(name)? as usize];
    storage.read(name, 0, &mut bytes)?;
    let wrong = |error| JournalError::Checkpoint { name: name.to_owned(), error };
    let checkpoint = Checkpoint::read(&bytes, key).map_err(wrong)?;
    let manifest = Manifest::decode(&checkpoint.appendix).map_err(|error| wrong(error.into()))?;
    Ok((checkpoint, manifest))
}

/// Removes runs that `keys` no longer need.
pub(crate) fn remove_unused_runs(storage: &impl Storage, keys: &DiskKeys) -> Result<(), JournalError> {
    let used: Vec<String> = keys.runs().iter().map(|run| run::name_of(run.serial)).collect();
    for name in storage.names()? {
        if name.starts_with(run::PREFIX) && !used.contains(&name) {
            storage.remove(&name)?;
        }
    }
    Ok(())
}

//! All keys that were ever carried out: the latest in memory, the others in sorted runs.

use crate::run::{Entry, Run};
use crate::storage::Storage;
use nearframe_ledger::books::{Fingerprint, Key, Keys, MemoryKeys};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So many runs of about one size become one: a look-up asks few runs, and a key is rewritten few times.
const MERGED_AT_ONCE: usize = 8;

/// Why keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The disk.
    #[error("the ledger's keys: {0}")]
    Io(#[from] std::io::Error),
    /// A file is not what was written.
    #[error(
        "the ledger's file {0} is damaged; remove it together with all checkpoints, they are made again from the blocks"
    )]
    Damaged(String),
}

/// The keys of one journal.
#[derive(Debug)]
pub(crate) struct DiskKeys {
    recent: MemoryKeys,
    /// So many in memory become a run.
    most_recent: usize,
    runs: Vec<Run>,
    last_serial: u64,
}

/// [`DiskKeys`] with the disk they are on.
pub(crate) struct OnDisk<'a, S> {
    pub(crate) keys: &'a mut DiskKeys,
    pub(crate) storage: &'a S,
}

impl<S: Storage> Keys for OnDisk<'_, S> {
    type Error = KeysError;
    fn find(&mut self, key: &Key) -> Result<Option<Fingerprint>, KeysError> {
        self.keys.find(self.storage, key)
    }
    fn remember(&mut self, key: Key, fingerprint: Fingerprint) {
        self.keys.recent.remember(key, fingerprint);
    }
}

impl DiskKeys {
    /// Keys that lie in these runs, the oldest first.
    pub(crate) fn of_runs(runs: Vec<Run>, last_serial: u64, most_recent: usize) -> Self {
        Self { recent: MemoryKeys::default(), most_recent, runs, last_serial }
    }
    /// The runs, the oldest first.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }
    /// The serial of the run that was written last.
    pub(crate) fn last_serial(&self) -> u64 {
        self.last_serial
    }
    /// Whether it is time to [`DiskKeys::flush`].
    pub(crate) fn is_full(&self) -> bool {
        self.recent.len() >= self.most_recent
    }
    /// Remembers a key that a kept block tells of.
    pub(crate) fn remember(&mut self, key: Key, fingerprint: Fingerprint) {
        self.recent.remember(key, fingerprint);
    }

    pub(crate) fn find(&self, storage: &impl Storage, key: &Key) -> Result<Option<Fingerprint>, KeysError> {
        if let Some(fingerprint) = self.recent.get(key) {
            return Ok(Some(fingerprint));
        }
        for run in self.runs.iter().rev() {
            if let Some(fingerprint) = run.find(storage, key)? {
                return Ok(Some(fingerprint));
            }
        }
        Ok(None)
    }

    /// Writes what is in memory as a run, and merges runs of one size. Runs that were merged stay on the disk until a
    /// checkpoint no longer names them.
    pub(crate) fn flush(&mut self, storage: &impl Storage) -> Result<(), KeysError> {
        if self.recent.is_empty() {
            return Ok(());
        }
        let entries = self.recent.drain_sorted();
        let (keys, serial) = (entries.len() as u64, self.next_serial());
        let mut sorted = entries.iter().copied();
        match Run::write(storage, serial, keys, &mut || Ok(sorted.next())) {
            Ok(run) => self.runs.push(run),
            Err(error) => {
                // What is not on the disk is still to be known: an order must not be carried out again.
                entries.into_iter().for_each(|(key, fingerprint)| self.recent.remember(key, fingerprint));
                return Err(error);
            }
        }
        while self.runs.len() >= MERGED_AT_ONCE && self.last_are_of_one_size() {
            let split = self.runs.len() - MERGED_AT_ONCE;
            let serial = self.next_serial();
            let merged = merge(storage, &self.runs[split..], serial)?;
            self.runs.truncate(split);
            self.runs.push(merged);
        }
        Ok(())
    }

    fn last_are_of_one_size(&self) -> bool {
        let last = &self.runs[self.runs.len() - MERGED_AT_ONCE..];
        let sizes = || last.iter().map(|run| run.keys);
        let (least, most) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
        most < least.saturating_mul(MERGED_AT_ONCE as u64 / 2)
    }

    fn next_serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.last_serial
    }
}

/// Reads a run from its first key to its last, a page at a time.
struct Cursor<'a> {
    run: &'a Run,
    page: usize,
    entries: std::vec::IntoIter<Entry>,
}

impl Cursor<'_> {
    fn next(&mut self, storage: &impl Storage) -> Result<Option<Entry>, KeysError> {
        if let Some(entry) = self.entries.next() {
            return Ok(Some(entry));
        }
        if self.page == self.run.pages() {
            return Ok(None);
        }
        self.entries = self.run.page(storage, self.page)?.into_iter();
        self.page += 1;
        Ok(self.entries.next())
    }
}

fn merge(storage: &impl Storage, runs: &[Run], serial: u64) -> Result<Run, KeysError> {
    let keys = runs.iter().map(|run| run.keys).sum();
    let mut cursors: Vec<Cursor<'_>> =
        runs.iter().map(|run| Cursor { run, page: 0, entries: vec![].into_iter() }).collect();
    let mut heads = BinaryHeap::new();
    for (at, cursor) in cursors.iter_mut().enumerate() {
        heads.extend(cursor.next(storage)?.map(|entry| Reverse((entry, at))));
    }
    Run::write(storage, serial, keys, &mut || {
        let Some(Reverse((entry, at))) = heads.pop() else { return Ok(None) };
        heads.extend(cursors[at].next(storage)?.map(|entry| Reverse((entry, at))));
        Ok(Some(entry))
    })
}

//! A disk in memory that dies in the middle of a chosen operation and keeps what a real one might.

use nearframe_journal::{Chunks, Storage};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;

#[derive(Debug, Default)]
struct Platters {
    blocks: Vec<u8>,
    /// How much of `blocks` is safe.
    synced: usize,
    files: BTreeMap<String, Vec<u8>>,
    /// Operations until it dies.
    left: Option<usize>,
    done: usize,
    dead: bool,
}

/// Handles to one disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<Platters>>);

impl Disk {
    /// Dies in the operation after so many.
    pub(crate) fn die_after(&self, operations: usize) {
        self.0.borrow_mut().left = Some(operations);
    }
    pub(crate) fn operations(&self) -> usize {
        self.0.borrow().done
    }
    /// Power comes back: of what was not safe, `keep` of its bytes per mille are there, the last of them wrong.
    pub(crate) fn revive(&self, keep: usize, wrong: bool) {
        let mut platters = self.0.borrow_mut();
        let kept = platters.synced + (platters.blocks.len() - platters.synced) * keep / 1000;
        if wrong && kept > platters.synced {
            platters.blocks[kept - 1] ^= 0x10;
        }
        platters.blocks.truncate(kept);
        platters.synced = kept;
        (platters.left, platters.dead) = (None, false);
    }
    /// Changes bytes as a failing disk or a forger would.
    pub(crate) fn damage(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut platters = self.0.borrow_mut();
        change(&mut platters.blocks);
        platters.synced = platters.blocks.len();
    }
    pub(crate) fn remove_files(&self, prefix: &str) {
        self.0.borrow_mut().files.retain(|name, _| !name.starts_with(prefix));
    }
    pub(crate) fn damage_file(&self, prefix: &str, at: usize) {
        let mut platters = self.0.borrow_mut();
        let (_, bytes) = platters.files.iter_mut().find(|(name, _)| name.starts_with(prefix)).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1;
    }

    /// Counts an operation; whether it is the one in which the disk dies.
    fn spend(&self) -> Result<bool> {
        let mut platters = self.0.borrow_mut();
        if platters.dead {
            return Err(dead());
        }
        platters.done += 1;
        match platters.left.as_mut() {
            Some(0) => {
                platters.dead = true;
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }
}

fn dead() -> Error {
    Error::other("the disk is dead")
}

fn fill(from: &[u8], at: u64, into: &mut [u8]) -> Result<()> {
    let part = from.get(at as usize..at as usize + into.len()).ok_or(ErrorKind::UnexpectedEof)?;
    into.copy_from_slice(part);
    Ok(())
}

impl Storage for Disk {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let dies = self.spend()?;
        self.0.borrow_mut().blocks.extend_from_slice(bytes);
        if dies { Err(dead()) } else { Ok(()) }
    }
    fn sync(&mut self) -> Result<()> {
        if self.spend()? {
            return Err(dead());
        }
        let mut platters = self.0.borrow_mut();
        platters.synced = platters.blocks.len();
        Ok(())
    }
    fn blocks_len(&self) -> Result<u64> {
        Ok(self.0.borrow().blocks.len() as u64)
    }
    fn read_blocks(&self, at: u64, into: &mut [u8]) -> Result<()> {
        fill(&self.0.borrow().blocks, at, into)
    }
    fn truncate_blocks(&mut self, length: u64) -> Result<()> {
        let dies = self.spend()?;
        let mut platters = self.0.borrow_mut();
        platters.blocks.truncate(length as usize);
        platters.synced = platters.synced.min(length as usize);
        if dies { Err(dead()) } else { Ok(()) }
    }
    fn put(&self, name: &str, chunks: &mut Chunks<'_>) -> Result<()> {
        let mut bytes = vec![];
        while let Some(chunk) = chunks()? {
            bytes.extend_from_slice(&chunk);
        }
        // Renamed at its end: whole or not there. Dying here means that it is there and nobody was told.
        let before = self.spend()?;
        if before {
            return Err(dead());
        }
        let after = self.spend()?;
        self.0.borrow_mut().files.insert(name.to_owned(), bytes);
        if after { Err(dead()) } else { Ok(()) }
    }
    fn names(&self) -> Result<Vec<String>> {
        Ok(self.0.borrow().files.keys().cloned().collect())
    }
    fn len(&self, name: &str) -> Result<u64> {
        self.0
            .borrow()
            .files
            .get(name)
            .map(|file| file.len() as u64)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }
    fn read(&self, name: &str, at: u64, into: &mut [u8]) -> Result<()> {
        let platters = self.0.borrow();
        fill(platters.files.get(name).ok_or(ErrorKind::NotFound)?, at, into)
    }
    fn remove(&self, name: &str) -> Result<()> {
        let dies = self.spend()?;
        self.0.borrow_mut().files.remove(name);
        if dies { Err(dead()) } else { Ok(()) }
    }
}

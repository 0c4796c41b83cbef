//! A table of blocks in memory, which loses answers and requests where a test says so.

use nearframe_journal::{Following, SharedBlocks, SharedError};
use nearframe_ledger::books::{BlockHash, Header};
use std::sync::{Arc, Mutex};

/// Blocks in one answer: so few that copies that are behind ask often.
const PAGE: usize = 3;

/// What goes wrong with the next insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never arrives.
    Request,
    /// It is done, and nobody is told.
    Answer,
}

#[derive(Debug, Default)]
struct Rows {
    blocks: Vec<(BlockHash, Vec<u8>)>,
    fault: Option<Fault>,
}

/// Handles to one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Arc<Mutex<Rows>>);

impl Table {
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }
    /// No fault is left over for whoever comes next.
    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().fault = None;
    }
    pub(crate) fn height(&self) -> usize {
        self.0.lock().unwrap().blocks.len()
    }
    /// As a forger or an old backup would.
    pub(crate) fn damage(&self, change: impl FnOnce(&mut Vec<(BlockHash, Vec<u8>)>)) {
        change(&mut self.0.lock().unwrap().blocks);
    }
}

fn away() -> SharedError {
    SharedError::Failed("the table is away".into())
}

impl SharedBlocks for Table {
    fn insert(&self, header: &Header, bytes: &[u8]) -> Result<bool, SharedError> {
        let mut rows = self.0.lock().unwrap();
        let fault = rows.fault.take();
        if fault == Some(Fault::Request) {
            return Err(away());
        }
        let last = rows.blocks.last().map_or(BlockHash::NONE, |(hash, _)| *hash);
        let is_next = rows.blocks.len() as u64 == header.height && last == header.previous;
        if is_next {
            rows.blocks.push((header.hash(), bytes.to_vec()));
        }
        if fault == Some(Fault::Answer) { Err(away()) } else { Ok(is_next) }
    }

    fn after(&self, blocks: u64) -> Result<Following, SharedError> {
        let rows = self.0.lock().unwrap();
        let before = blocks.checked_sub(1).and_then(|last| rows.blocks.get(last as usize));
        let following = rows.blocks.iter().skip(blocks as usize).take(PAGE);
        Ok(Following {
            before: before.map(|(hash, _)| *hash),
            blocks: following.map(|(_, bytes)| bytes.clone()).collect(),
        })
    }
}

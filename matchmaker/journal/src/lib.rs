//! The general ledger on a disk.
//!
//! [`Journal`] keeps the blocks of [`nearframe_ledger::books`] in one file that only grows, flushed before anybody
//! hears an answer; the keys of all orders in sorted runs, so that memory stays the same however many there are; and a
//! signed checkpoint now and then. Deliberately without rules of its own about money, and without a thread: the one
//! who writes waits for the disk, with as many orders at once as there are.
//!
//! **Architecture invariant:** the file of blocks is the record, or, where several write, the table that they share and of
//! which the file is a copy ([`Replicated`]). Runs and checkpoints are made from it and may be lost; nothing that was
//! answered is lost while the record is there.

mod bloom;
mod folder;
mod journal;
mod keys;
mod manifest;
mod open;
mod replicated;
mod run;
mod storage;
mod verify;

pub use folder::Folder;
pub use journal::{Journal, JournalError};
pub use keys::KeysError;
pub use open::{Opened, Settings};
pub use replicated::{CaughtUp, Following, Replicated, SharedBlocks, SharedError};
pub use storage::{Chunks, Storage};
pub use verify::{Verified, verify, verify_shared};

//! The general ledger: double entry in blocks that name each other, without I/O.
//!
//! [`Books`] holds every account's balance and every pending amount. [`Books::write`] takes orders and gives back
//! what became of each and one [`Block`] to be kept; [`Books::replay`] takes a kept block and ends in the same state.
//! The model is TigerBeetle's: records of one size, batches, two-phase transfers, keys that the caller chose.
//! Deliberately without a file, a clock or a thread: `nearframe-journal` keeps blocks on a disk.
//!
//! **Architecture invariant:** for each currency debits equal credits, posted and pending, after every order; no key is
//! carried out twice; an account with a limit never passes it; a block that was written is never changed. What was
//! wrong is put right by an order of its own.

mod block;
mod checkpoint;
mod head;
mod key;
mod order;
mod record;
mod replay;
mod state;
mod write;

pub use block::{Block, BlockError, BlockHash, HEADER_LEN, Header, MAX_ORDERS, MAX_RECORDS};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use head::SignedHead;
pub use key::{Fingerprint, Key, KeyMap, Keys, MemoryKeys};
pub use order::{Action, Amount, Group, Memo, Order};
pub use record::{RECORD_LEN, Record, RecordError};
pub use replay::ReplayError;
pub use state::{AccountNo, AccountState, Balance, Books, Limit, Pending, Refusal, Sums};
pub use write::{Answer, WriteError, Written};

//! Metering and double-entry bookkeeping, without I/O.
//!
//! [`chain`] decides whether a receipt is the next one of its session, [`meter`] turns it into money,
//! [`reservation`] says how that money is set aside, posted and released, and [`verify`] rebuilds
//! every balance from the journal of leases. [`books`] is the general ledger. Deliberately without a database, a clock or an async runtime: the
//! store calls these functions inside its transactions and passes the time in.
//!
//! **Architecture invariant:** money moves only as a [`Transfer`] between two accounts, in integer
//! micro-units; transfers are only ever appended; each has a key that makes repeating it harmless.

pub mod account;
pub mod auction;
pub mod bill;
pub mod books;
pub mod chain;
pub mod hash;
pub mod meter;
pub mod payout;
pub mod rates;
pub mod reservation;
pub mod settlement;
pub mod subscription;
pub mod transfer;
pub mod verify;

pub use account::{Account, Label};
pub use chain::{Chain, Link, Refusal, Terms, Verdict};
pub use meter::{Bill, Meter, Tariff};
pub use reservation::{LeaseAccount, RESERVE_US, Reservation};
pub use transfer::{Kind, Transfer};
pub use verify::{Balances, Imbalance, verify};

/// What can go wrong with sums of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A sum does not fit the integers that money is counted in.
    #[error("an amount of money is too large to be counted; check the price")]
    Overflow,
    /// A transfer of less than nothing.
    #[error("a transfer moves a positive amount or none; to take back, transfer the other way")]
    Negative,
}

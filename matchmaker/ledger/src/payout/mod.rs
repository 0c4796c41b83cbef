//! Payouts: money that leaves, once.
//!
//! A [`Manifest`] says what is due to whom after a settlement and by which rail; [`bank`] writes it as a file for a
//! bank, [`evm`] as claims on a token contract. A [`Payout`] goes from created over submitted to settled or failed;
//! each step is an order of the general ledger ([`Payout::orders`]), where the amount is set aside on the host's account
//! before anything is sent. Deliberately without sending anything.
//!
//! **Architecture invariant:** after a payout was submitted it is only asked about, never sent again, until its rail
//! gave a definite answer. What is set aside for one payout cannot be set aside for another, on whatever rail.

pub mod bank;
mod destination;
pub mod evm;
mod manifest;
mod state;

pub use destination::{Address, Bic, Destination, DestinationError, Iban, Rail};
pub use manifest::{Due, Manifest, ManifestError, PaidSoFar, minor_decimals};
pub use state::{Event, Next, Payout, PayoutError, State};

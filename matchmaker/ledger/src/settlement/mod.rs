//! Settlement: what each host has earned until the end of a day, under one signed root.
//!
//! An [`Epoch`] is a day in UTC; it settles 72 hours after its end, so that what is disputed until then is held back.
//! What is settled is cumulative: a host's leaf says everything it ever earned in a currency, so that a missed epoch is
//! harmless and one proof claims it all. Deliberately without money moving: payouts do that.
//!
//! **Architecture invariant:** a total never falls, and an earning is in exactly one of totals and held.

mod earnings;
mod epoch;
mod merkle;
mod proof;

pub use earnings::{Earning, Settlement, SettlementError, Totals};
pub use epoch::{DAY_MS, DISPUTE_WINDOW_MS, Epoch};
pub use merkle::{LEAF_LEN, Leaf, path, root};
pub use proof::{PayoutProof, ProofError, SignedRoot};

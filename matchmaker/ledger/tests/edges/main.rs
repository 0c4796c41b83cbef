//! The last value that is right and the first that is wrong, and what a forger would change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod books;
mod forged;
mod leases;
mod paying;
mod prices;

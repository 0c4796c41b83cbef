//! Golden vectors: `protocol/vectors/*.json` are what the code writes, byte for byte, and what it reads back.
//!
//! The TypeScript client reads the same files. `UPDATE_VECTORS=1 cargo test -p nearframe-protocol --test
//! vectors` rewrites them; a difference that was not meant is a broken protocol.
#![allow(clippy::unwrap_used, reason = "a vector that cannot be made or read fails its test")]

mod auction;
mod capability;
mod check;
mod facts;
mod golden;
mod input;
mod key_codes;
mod messages;
mod offers;
mod saves;
mod signed;

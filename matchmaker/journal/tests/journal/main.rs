//! The journal on a disk that dies, and in a real folder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod damage;
mod disk;
mod folder;
mod kill;
mod orders;

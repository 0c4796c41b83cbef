//! The journal on a disk that dies, in a real folder, and shared by several.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod damage;
mod disk;
mod folder;
mod kill;
mod orders;
mod replicas;
mod table;

//! Placement: which node gets a session, and why.
//!
//! Sans-I/O: time comes in as a number, chance as a seed, and what is to be done comes out as values. Nothing
//! here reads a clock, opens a socket or writes a lease; the caller commits a decision in its store, where the
//! capacity is checked again.
//!
//! `latency` says how far a client is from a site, `index` finds a node among hundreds of thousands, `cost` and
//! `obstacle` say what it means, `assign` shares what is scarce. The model is derived in docs/placement.md.

pub mod assign;
pub mod caps;
pub mod cost;
pub mod explain;
pub mod fleet;
pub mod geo;
pub mod index;
pub mod kept;
pub mod latency;
pub mod measuring;
pub mod obstacle;
pub mod orders;
pub mod placing;
pub mod profile;
pub mod region;
pub mod request;

pub use explain::{Explanation, explain};
pub use fleet::{Fleet, Home, Member, Stage};
pub use index::Index;
pub use obstacle::{NoNode, Obstacle};
pub use request::{Needs, Request, Weights};

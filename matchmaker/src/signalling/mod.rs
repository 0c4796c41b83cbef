//! The two WebSockets: of pages ([`page`]) and of nodes ([`node`]), and what passes between them.
//!
//! Each socket is one task that reads, writes and listens to the bus. Deliberately without state of
//! its own beyond the connection: the store and the fleet know everything that must be known.
//!
//! **Architecture invariant:** a page reaches only its own session's node, a node only the pages of
//! sessions it holds a lease for.

pub(crate) mod node;
pub(crate) mod page;
mod socket;
pub(crate) mod uplink;

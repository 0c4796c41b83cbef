//! Who plays where, without I/O.
//!
//! [`fleet`] knows which nodes are there and when they were last heard; [`decide`](mod@decide) chooses
//! one of them for a request and explains every no. Deliberately without sockets, a database or a
//! clock: time comes in as an argument, and the store re-checks capacity when the lease is written.
//!
//! **Architecture invariant:** the same fleet, request and time always give the same decision, and a
//! node that fails one hard filter is never chosen, whatever it costs.

pub mod decide;
pub mod fleet;

pub use decide::{Candidate, Decision, NoNode, Obstacle, Request, decide};
pub use fleet::{Fleet, Member};

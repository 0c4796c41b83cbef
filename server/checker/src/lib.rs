//! A player without a screen: it plays a session like a page, measures it, and says what it found.
//!
//! It asks for ordinary sessions through the public API, connects as a page does, decodes what comes, moves its hands,
//! countersigns receipts and verifies the session's challenge. Alone it carries out the audits that the matchmaker
//! draws; many at once are a load. Deliberately without an opinion on what follows from a report: that is the
//! matchmaker's and its operator's.
//!
//! **Architecture invariant:** whatever comes from a node is taken for a lie until it was seen here: times are this end's
//! own, counts are of what arrived, and only a frame's age rests on the node's clock.

mod audit;
mod dialogue;
mod dice;
mod hands;
mod load;
mod peer;
mod place;
mod play;
mod receipts;
mod report;
mod rtp;
mod seen;
mod signal;
mod watch;
mod way;

pub use audit::{Audited, Auditor};
pub use load::{Load, Spread, Summary, run};
pub use play::{Outcome, Player};
pub use way::{Call, Reply, Stream, Way};

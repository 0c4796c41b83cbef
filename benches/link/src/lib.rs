//! A network path to measure on.
//!
//! [`Link`] models one direction of a path: capacity (constant, in steps, or driven by a recorded trace), a drop-tail
//! queue, propagation delay, jitter, reordering, random and bursty loss, ECN marks, outages and a change of address.
//! It opens nothing and reads no clock: packets go in with a time and come out with one, so that what is built on it
//! runs thousands of simulated seconds in one. `emulator` puts two of them, in real time, between two network
//! namespaces of Linux, and any program can run at either end, an unmodified browser too.
//!
//! ```
//! use nearframe_link::{Ecn, Fate, Link};
//! use std::time::Duration;
//!
//! let spec = "rate=12M queue=50ms delay=10ms loss=1% burst=3".parse()?;
//! let mut link = Link::new(spec, 1)?;
//! let fate = link.push(Duration::ZERO, 1500, Ecn::Ect0, "a packet");
//! // A millisecond on the wire, ten under way.
//! assert!(matches!(fate, Fate::Arrives { at, .. } if at == Duration::from_millis(11)));
//! assert_eq!(link.poll_timeout(), Some(Duration::from_millis(11)));
//! assert!(link.poll(Duration::from_millis(10)).is_none());
//! assert_eq!(link.poll(Duration::from_millis(11)).map(|one| one.packet), Some("a packet"));
//! # Ok::<(), nearframe_link::SpecError>(())
//! ```
//!
//! Deliberately not: a simulator of protocols. What is sent, and when, is the business of whoever pushes packets.
//!
//! **Architecture invariant:** what happens to the packets of a link follows from its [`LinkSpec`], its seed and the
//! packets' times and sizes alone. Each kind of chance draws from a stream of its own, so that adding jitter to a
//! specification loses the same packets as before.

#[cfg(target_os = "linux")]
pub mod emulator;

mod capacity;
mod histogram;
mod link;
mod loss;
mod quantity;
mod rate;
mod rng;
mod spec;
mod trace;

pub use histogram::Histogram;
pub use link::{Delivery, Ecn, Fate, Link, LinkStats};
pub use quantity::{parse_duration, parse_rate};
pub use rate::{Rate, Step};
pub use spec::{Jitter, LinkSpec, Loss, Outage, Queue, Reordering, SpecError};
pub use trace::{OPPORTUNITY_BYTES, Trace, TraceError};

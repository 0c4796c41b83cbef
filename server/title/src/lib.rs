//! What plays.
//!
//! [`TitleSource`] is the seam: apply input, draw the newest frame, make sound. Deliberately not here:
//! encoding, networking, clocks (time comes in with every tick).
//!
//! **Architecture invariant:** a title never blocks on the network and never sees who plays; it sees a
//! seat, input events and a tick.

mod source;

pub use source::{AudioSource, FrameTick, RumbleRequest, TitleFailure, TitleSource, TitleStatus};

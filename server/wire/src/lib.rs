//! The last metres of media: RTP packets are encrypted in place, side by side in one buffer, and runs of packets
//! of one length are handed to the kernel in one call (UDP generic segmentation offload).
//!
//! This is not a transport: who the other end is, which keys hold and over which path packets go is decided
//! elsewhere, and so is when each packet leaves ([`nearframe_stream`]).
//!
//! Invariant: an [`Outbox`] copies a packet's bytes once and gives the kernel packets in the order in which it
//! got them.

mod outbox;
mod seal;

pub use outbox::Outbox;
pub use seal::{Algorithm, SealError, Sealer, TAG_LEN};

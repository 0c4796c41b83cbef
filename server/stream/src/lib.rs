//! Streaming without I/O: packets, pacing, loss recovery, congestion control, frame clock, input.
//!
//! [`MediaSender`] owns every media packet of one peer: it splits access units, numbers and paces
//! packets, repairs what is lost by retransmission or parity, says which frame to go on from where that
//! fails, and follows the path's capacity. [`FrameClock`] says when the next
//! frame is due and moves into phase with the player's display. [`InputSequencer`] turns unordered,
//! repeated input packets into every event exactly once, in order.
//!
//! Deliberately no sockets, no async, no encryption and no clock: time comes in as `Instant`, outputs
//! are drained by `poll_…`, and a seed makes every run repeatable.
//!
//! **Architecture invariant:** nothing here waits, reads a clock or draws randomness; every queue has a
//! bound in packets or in time; no byte that comes from the network can make this crate panic.

mod agreement;
mod annex_b;
mod answers;
mod asking;
mod av1;
mod backlog;
mod clock;
mod codec;
mod company;
mod config;
mod descriptor;
mod dispersion;
mod estimator;
mod extensions;
mod fec;
mod feedback;
mod frames;
mod h264;
mod hevc;
mod history;
mod input;
mod keyframe;
mod loss;
mod nal;
mod outlet;
mod pacer;
mod path;
mod payload;
mod probe;
mod quality;
mod recovery;
mod red;
mod references;
mod repair;
mod retransmit;
mod rtp;
mod rtt;
mod sender;
mod usage;

pub use agreement::{CodecAgreement, CodecInputs, CodecPlayer};
pub use clock::FrameClock;
pub use config::SenderConfig;
pub use estimator::{BandwidthEstimator, DelayEstimator};
pub use extensions::Extensions;
pub use feedback::{Feedback, PacketReport, TwccReport};
pub use input::InputSequencer;
pub use probe::ProbePlan;
pub use quality::{Quality, QualityController, QualityInputs, QualityLimit};
pub use rtp::{ExtensionIds, FecIds, OtherCodecs, PacketKind, PayloadTypes, RtpClock, RtpPacket, StreamIds};
pub use sender::{MediaSender, SenderEvent, VideoFrame};
pub use usage::{SenderStats, Usage};

//! As much of H.264 (ITU-T H.264, 08/2021) as a sender has to read and write of its own stream: NAL units,
//! sequence parameter sets and slice headers. Never panics, whatever the bytes.

mod bits;
mod nal;
mod profile;
mod slice;
mod sps;

pub use bits::{BitReader, BitWriter};
pub use nal::{Nal, NalKind, nals, push_nal};
pub use profile::ProfileLevelId;
pub(crate) use profile::{check_agreed, say_constrained};
pub use slice::{Marking, Reference, SliceHeader, SliceKind};
pub use sps::{Colour, Sps, with_frame_num_gaps};

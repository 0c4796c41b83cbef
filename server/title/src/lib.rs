//! What plays.
//!
//! [`TitleSource`] is the seam: apply input, draw the newest frame, make sound. [`catalogue`] finds the
//! titles of a folder, [`open`] starts one; programs run under `program`. Deliberately not here: encoding, networking, clocks (time
//! comes in with every tick).
//!
//! **Architecture invariant:** a title never blocks on the network and never sees who plays; it sees a
//! seat, input events and a tick.

pub mod catalogue;
mod clock;
mod cue;
mod meteor;
mod open;
mod program;
mod rng;
mod scene;
mod shipped;
mod source;
pub mod stamp;
mod target;
mod testcard;

pub use nearframe_sandbox as sandbox;
pub use open::{builtin_names, open};
pub use program::{Surroundings, may_use_gpu, process_env};
pub use source::{
    AudioSource, Drawn, FrameTick, PlayerWish, RumbleRequest, TitleFailure, TitleNotice, TitleSource,
    TitleStatus, VoiceSink,
};

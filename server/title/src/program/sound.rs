//! A program's sound and microphone, as the session's threads take them.

use crate::source::{AudioSource, VoiceSink};
use nearframe_sound::{Capture, Microphone};

/// What the private sound server plays.
pub(super) struct Heard(pub(super) Option<Capture>);

impl AudioSource for Heard {
    fn fill(&mut self, out: &mut [f32]) {
        match &mut self.0 {
            Some(capture) => capture.fill(out),
            None => out.fill(0.0),
        }
    }
}

/// Into the title's microphone.
pub(super) struct Spoken(pub(super) Microphone);

impl VoiceSink for Spoken {
    fn push(&mut self, samples: &[f32]) {
        self.0.push(samples);
    }
}

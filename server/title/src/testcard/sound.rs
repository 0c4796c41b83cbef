//! A short beep on each press.

use crate::cue::SAMPLE_RATE;
use crate::source::AudioSource;
use std::f32::consts::TAU;
use std::sync::mpsc::Receiver;

/// Length of a beep in samples: 50 ms.
const BEEP_SAMPLES: u32 = 2400;
/// Ramp at both ends, so that the beep does not click: 2 ms.
const RAMP_SAMPLES: f32 = 96.0;
const BEEP_HZ: f32 = 1000.0;
const LEVEL: f32 = 0.35;

/// Something was pressed.
pub(crate) struct Beep;

/// Plays a beep for every cue; a new one restarts it.
pub(crate) struct BeepSource {
    cues: Receiver<Beep>,
    left: u32,
    phase: f32,
}

impl BeepSource {
    pub(crate) fn new(cues: Receiver<Beep>) -> Self {
        Self { cues, left: 0, phase: 0.0 }
    }
}

impl AudioSource for BeepSource {
    fn fill(&mut self, out: &mut [f32]) {
        if self.cues.try_iter().count() > 0 {
            self.left = BEEP_SAMPLES;
        }
        for pair in out.chunks_mut(2) {
            let from_end = self.left.min(BEEP_SAMPLES - self.left) as f32;
            let sample = (self.phase * TAU).sin() * LEVEL * (from_end / RAMP_SAMPLES).min(1.0);
            self.phase = (self.phase + BEEP_HZ / SAMPLE_RATE).fract();
            self.left = self.left.saturating_sub(1);
            pair.fill(sample);
        }
    }
}

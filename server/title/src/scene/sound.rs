//! Wind and a soft chord, generated.

use crate::cue::{SAMPLE_RATE, soft_clip};
use crate::rng::Rng;
use crate::source::AudioSource;
use std::f32::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The chord in Hz, and how slowly each of its notes comes and goes, in Hz.
const CHORD: [(f32, f32); 5] =
    [(110.0, 0.031), (164.8, 0.043), (220.0, 0.027), (277.2, 0.053), (329.6, 0.037)];
const CHORD_LEVEL: f32 = 0.035;
const WIND_LEVEL: f32 = 0.5;

/// Plays on and on; silent while paused.
pub(crate) struct Ambience {
    paused: Arc<AtomicBool>,
    rng: Rng,
    time_s: f32,
    phases: [f32; CHORD.len()],
    /// Wind of the left and the right ear: two low-passes each.
    wind: [[f32; 2]; 2],
    level: f32,
}

impl Ambience {
    pub(crate) fn new(paused: Arc<AtomicBool>) -> Self {
        Self {
            paused,
            rng: Rng::new(9),
            time_s: 0.0,
            phases: [0.0; CHORD.len()],
            wind: [[0.0; 2]; 2],
            level: 0.0,
        }
    }

    fn chord(&mut self) -> f32 {
        let mut sum = 0.0;
        for (phase, (hz, swell_hz)) in self.phases.iter_mut().zip(CHORD) {
            *phase = (*phase + hz / SAMPLE_RATE).fract();
            let swell = 0.5 + 0.5 * (self.time_s * swell_hz * TAU + hz).sin();
            sum += (*phase * TAU).sin() * swell * swell;
        }
        sum * CHORD_LEVEL
    }

    fn gust(&mut self, ear: usize) -> f32 {
        let gust =
            0.55 + 0.45 * (self.time_s * 0.11 * TAU + ear as f32).sin() * (self.time_s * 0.037 * TAU).sin();
        let follow = 0.008 + 0.02 * gust;
        let [first, second] = &mut self.wind[ear];
        *first += (self.rng.range(-1.0, 1.0) - *first) * follow;
        *second += (*first - *second) * follow * 2.0;
        *second * gust * WIND_LEVEL
    }
}

impl AudioSource for Ambience {
    fn fill(&mut self, out: &mut [f32]) {
        let wanted = if self.paused.load(Ordering::Relaxed) { 0.0 } else { 1.0 };
        for pair in out.chunks_mut(2) {
            // Swings repeat within 1000 s; single precision stays fine.
            self.time_s = (self.time_s + 1.0 / SAMPLE_RATE) % 1000.0;
            self.level += (wanted - self.level) * 2.0 / SAMPLE_RATE;
            let chord = self.chord();
            for (ear, sample) in pair.iter_mut().enumerate() {
                *sample = soft_clip((chord + self.gust(ear)) * self.level);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_soft_and_silent_while_paused() {
        let paused = Arc::new(AtomicBool::new(false));
        let mut ambience = Ambience::new(Arc::clone(&paused));
        let mut out = vec![0.0; 48_000 * 2];
        (0..4).for_each(|_| ambience.fill(&mut out));
        let loudest = |out: &[f32]| out.iter().fold(0.0f32, |most, s| most.max(s.abs()));
        assert!((0.01..0.5).contains(&loudest(&out)), "{}", loudest(&out));
        paused.store(true, Ordering::Relaxed);
        (0..6).for_each(|_| ambience.fill(&mut out));
        assert!(loudest(&out) < 0.001);
    }
}

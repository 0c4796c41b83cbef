//! Sound of the game, synthesised: voices for what happens, and a quiet pulse that rises with the wave.

use super::entities::{Happening, Size};
use crate::cue::{SAMPLE_RATE, soft_clip};
use crate::rng::Rng;
use crate::source::AudioSource;
use std::f32::consts::TAU;
use std::sync::mpsc::Receiver;

/// Voices at once; the oldest gives way.
const MAX_VOICES: usize = 24;
/// Steps of the pulse: minor thirds and fifths over A1, in semitones.
const BASS: [i32; 16] = [0, 0, 12, 0, 3, 0, 12, 7, -4, -4, 8, -4, -2, -2, 10, 5];
const BASS_HZ: f32 = 55.0;
/// Sixteenths per second in wave 1, and what each wave adds.
const TEMPO_HZ: f32 = 6.6;
const TEMPO_PER_WAVE_HZ: f32 = 0.25;

/// What the audio thread is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cue {
    Happened(Happening),
    Paused(bool),
}

/// How a voice sounds.
#[derive(Clone, Copy, Debug)]
struct Timbre {
    /// Pitch at the beginning and at the end, Hz.
    from_hz: f32,
    to_hz: f32,
    /// Share of noise, 0..=1; the rest is a tone.
    noise: f32,
    /// How harsh the tone is: 0 sine, 1 square.
    edge: f32,
    length_s: f32,
    level: f32,
    /// Begins this much later.
    delay_s: f32,
}

/// A voice being played.
#[derive(Clone, Copy, Debug)]
struct Voice {
    timbre: Timbre,
    /// −1 left, 1 right.
    pan: f32,
    age_s: f32,
    phase: f32,
    /// Low-pass memory of the noise.
    smooth: f32,
}

/// Plays what it is told.
pub(crate) struct Mixer {
    cues: Receiver<Cue>,
    voices: Vec<Voice>,
    rng: Rng,
    wave: u32,
    playing: bool,
    paused: bool,
    /// Sixteenths of music played, with fraction.
    beat: f32,
    bass_phase: f32,
    hum_phase: f32,
    music_level: f32,
}

impl Mixer {
    pub(crate) fn new(cues: Receiver<Cue>) -> Self {
        Self {
            cues,
            voices: Vec::with_capacity(MAX_VOICES),
            rng: Rng::new(1),
            wave: 1,
            playing: false,
            paused: false,
            beat: 0.0,
            bass_phase: 0.0,
            hum_phase: 0.0,
            music_level: 0.0,
        }
    }

    fn take_cues(&mut self) {
        while let Ok(cue) = self.cues.try_recv() {
            match cue {
                Cue::Paused(paused) => self.paused = paused,
                Cue::Happened(happening) => self.start(&happening),
            }
        }
    }

    fn start(&mut self, happening: &Happening) {
        match *happening {
            Happening::GameBegan => {
                (self.playing, self.wave, self.beat) = (true, 1, 0.0);
                self.tune(&[0, 7, 12, 19], 0.07, 0.16);
            }
            Happening::WaveBegan { number } => {
                self.wave = number;
                self.tune(&[0, 3, 7, 12], 0.09, 0.14);
            }
            Happening::Fired { at } => self.voice(LASER, at.x),
            Happening::Chipped { at } => self.voice(CHIP, at.x),
            Happening::Broke { at, size, .. } => {
                let (deep, long) = match size {
                    Size::Small => (1.5, 0.6),
                    Size::Medium => (1.0, 0.85),
                    Size::Large => (0.7, 1.25),
                };
                let length_s = BOOM.length_s * long;
                let boom =
                    Timbre { from_hz: BOOM.from_hz * deep, to_hz: BOOM.to_hz * deep, length_s, ..BOOM };
                self.voice(boom, at.x);
                self.voice(Timbre { length_s: length_s * 0.7, ..RUMBLE }, at.x);
            }
            Happening::Caught { .. } => self.tune(&[12, 16, 19, 24], 0.05, 0.15),
            Happening::LifeWon => self.tune(&[12, 19, 24, 31, 36], 0.06, 0.17),
            Happening::ShieldLost { at } => {
                self.voice(ZAP, at.x);
                self.voice(RUMBLE, at.x);
            }
            Happening::ShipLost { at } => {
                self.voice(Timbre { length_s: 1.3, level: 0.6, ..BOOM }, at.x);
                self.voice(Timbre { length_s: 1.6, level: 0.5, ..RUMBLE }, at.x);
                self.voice(ZAP, at.x);
            }
            Happening::GameLost => {
                self.playing = false;
                self.tune(&[12, 11, 7, 3, 0, -5], 0.17, 0.2);
            }
        }
    }

    fn voice(&mut self, timbre: Timbre, x: f32) {
        if self.voices.len() == MAX_VOICES {
            self.voices.remove(0);
        }
        let pan = (x / 12.0).clamp(-0.8, 0.8);
        self.voices.push(Voice { timbre, pan, age_s: -timbre.delay_s, phase: 0.0, smooth: 0.0 });
    }

    /// A run of notes, in semitones over A3.
    fn tune(&mut self, notes: &[i32], step_s: f32, level: f32) {
        for (i, note) in notes.iter().enumerate() {
            let hz = 220.0 * semitones(*note);
            let delay_s = i as f32 * step_s;
            let length_s = step_s * 2.5;
            let tone = Timbre { from_hz: hz, to_hz: hz, noise: 0.0, edge: 0.35, length_s, level, delay_s };
            self.voice(tone, 0.0);
        }
    }

    fn music(&mut self) -> f32 {
        let step_s = 1.0 / SAMPLE_RATE;
        let wanted = if self.paused { 0.0 } else { 1.0 };
        self.music_level += (wanted - self.music_level) * step_s * 4.0;
        let tempo = TEMPO_HZ + TEMPO_PER_WAVE_HZ * self.wave.min(16) as f32;
        self.beat = (self.beat + tempo * step_s) % BASS.len() as f32;
        let note = BASS[self.beat as usize % BASS.len()];
        let within = self.beat.fract();
        self.bass_phase = (self.bass_phase + BASS_HZ * semitones(note) * step_s).fract();
        self.hum_phase = (self.hum_phase + 41.2 * step_s).fract();
        let hum = (self.hum_phase * TAU).sin() * 0.05 + (self.hum_phase * 2.0 * TAU).sin() * 0.02;
        if !self.playing {
            return hum * self.music_level;
        }
        let saw = self.bass_phase * 2.0 - 1.0;
        let tone = (self.bass_phase * TAU).sin() * 0.75 + saw * 0.25;
        let bass = tone * (1.0 - within).powi(2) * (within * 60.0).min(1.0) * 0.13;
        let ticks = if self.beat as usize % 4 == 2 { self.rng.range(-0.05, 0.05) } else { 0.0 };
        let hat = ticks * (1.0 - within).powi(8);
        (hum + bass + hat) * self.music_level
    }
}

impl Voice {
    /// The next sample.
    fn next(&mut self, rng: &mut Rng) -> f32 {
        let timbre = &self.timbre;
        let progress = self.age_s / timbre.length_s;
        self.age_s += 1.0 / SAMPLE_RATE;
        if progress < 0.0 {
            return 0.0;
        }
        let rest = 1.0 - progress.min(1.0);
        // Falls fast at first, as what is struck does.
        let hz = timbre.to_hz + (timbre.from_hz - timbre.to_hz) * rest * rest;
        self.phase = (self.phase + hz / SAMPLE_RATE).fract();
        let sine = (self.phase * TAU).sin();
        let tone = sine + (sine.signum() * 0.7 - sine) * timbre.edge;
        let follow = (hz * 6.0 / SAMPLE_RATE).min(1.0);
        self.smooth += (rng.range(-1.0, 1.0) - self.smooth) * follow;
        let attack = (self.age_s * 500.0).min(1.0);
        (tone + (self.smooth * 2.0 - tone) * timbre.noise) * timbre.level * attack * rest * rest
    }
}

impl AudioSource for Mixer {
    fn fill(&mut self, out: &mut [f32]) {
        self.take_cues();
        for pair in out.chunks_mut(2) {
            let music = self.music();
            let (mut left, mut right) = (music, music);
            for voice in &mut self.voices {
                let sample = voice.next(&mut self.rng);
                left += sample * (1.0 - voice.pan.max(0.0));
                right += sample * (1.0 + voice.pan.min(0.0));
            }
            pair[0] = soft_clip(left);
            if let Some(second) = pair.get_mut(1) {
                *second = soft_clip(right);
            }
        }
        self.voices.retain(|voice| voice.age_s < voice.timbre.length_s);
    }
}

fn semitones(steps: i32) -> f32 {
    (steps as f32 / 12.0).exp2()
}

const LASER: Timbre = Timbre {
    from_hz: 1500.0,
    to_hz: 240.0,
    noise: 0.05,
    edge: 0.3,
    length_s: 0.14,
    level: 0.13,
    delay_s: 0.0,
};
const CHIP: Timbre = Timbre {
    from_hz: 900.0,
    to_hz: 300.0,
    noise: 0.75,
    edge: 0.6,
    length_s: 0.07,
    level: 0.16,
    delay_s: 0.0,
};
const BOOM: Timbre =
    Timbre { from_hz: 190.0, to_hz: 34.0, noise: 0.15, edge: 0.1, length_s: 0.5, level: 0.42, delay_s: 0.0 };
const RUMBLE: Timbre =
    Timbre { from_hz: 1300.0, to_hz: 60.0, noise: 1.0, edge: 0.0, length_s: 0.9, level: 0.34, delay_s: 0.0 };
const ZAP: Timbre =
    Timbre { from_hz: 2200.0, to_hz: 110.0, noise: 0.35, edge: 0.9, length_s: 0.5, level: 0.2, delay_s: 0.0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cue::cue_channel;
    use glam::Vec2;

    fn loudest(mixer: &mut Mixer, seconds: f32) -> f32 {
        let mut out = vec![0.0; (seconds * SAMPLE_RATE) as usize * 2];
        mixer.fill(&mut out);
        assert!(out.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
        out.iter().fold(0.0, |most, s| most.max(s.abs()))
    }

    #[test]
    fn every_happening_is_heard_within_full_scale_and_dies_away() {
        let at = Vec2::new(5.0, 5.0);
        let (cues, receiver) = cue_channel();
        let mut mixer = Mixer::new(receiver);
        let calm = loudest(&mut mixer, 1.0);
        for happening in [
            Happening::Fired { at },
            Happening::ShipLost { at },
            Happening::ShieldLost { at },
            Happening::LifeWon,
            Happening::GameLost,
        ] {
            cues.send(Cue::Happened(happening));
            assert!(loudest(&mut mixer, 0.3) > calm + 0.02, "{happening:?}");
            loudest(&mut mixer, 3.0);
            assert!(mixer.voices.is_empty());
        }
    }

    #[test]
    fn a_storm_of_cues_keeps_the_voices_bounded_and_a_pause_is_silent() {
        let (cues, receiver) = cue_channel();
        let mut mixer = Mixer::new(receiver);
        for _ in 0..50 {
            cues.send(Cue::Happened(Happening::ShipLost { at: Vec2::ZERO }));
            loudest(&mut mixer, 0.01);
            assert!(mixer.voices.len() <= MAX_VOICES);
        }
        cues.send(Cue::Paused(true));
        loudest(&mut mixer, 5.0);
        assert!(loudest(&mut mixer, 0.1) < 0.001);
    }

    #[test]
    fn a_shot_on_the_left_is_louder_on_the_left() {
        let (cues, receiver) = cue_channel();
        let mut mixer = Mixer::new(receiver);
        cues.send(Cue::Happened(Happening::Fired { at: Vec2::new(-9.0, 5.0) }));
        let mut out = vec![0.0; 4800];
        mixer.fill(&mut out);
        let energy = |side: usize| out.iter().skip(side).step_by(2).map(|s| s * s).sum::<f32>();
        assert!(energy(0) > energy(1) * 1.5);
    }
}

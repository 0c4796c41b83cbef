//! Between two clocks: sound comes in by one and goes out by the other, without a click.
//!
//! Sans-I/O. Blocks of any size come in, blocks of any size are taken out; how much waits before each
//! taking says how the clocks run against each other. A small excess is worked off by playing up to
//! 0.5 % faster or slower (cubic interpolation), a large one by a cross-fade. While the clocks agree,
//! samples soon pass bit-exact. When sound runs out it fades, and starts again once enough waits.

use std::collections::VecDeque;

/// Fastest correction of the speed; a semitone would be 6 %.
const MAX_CORRECTION: f64 = 0.005;
/// Speed for each second of excess: works an excess off with a time constant of 1 s.
const GAIN_PER_S: f64 = 1.0;
/// How fast the measured excess follows, in seconds. Blocks make it jump by their size.
const LEVEL_TIME_S: f64 = 0.5;
/// Excess up to which the speed stays exactly 1. Blocks that come now just before and now just after a
/// taking make the level differ by less in the mean, without any drift.
const TOLERANCE_S: f64 = 0.003;
/// Once beyond it, the excess is worked off down to this.
const SETTLED_S: f64 = 0.000_5;
/// How much faster sound is played there until it falls on whole frames again, less than one frame away.
const SETTLING: f64 = 0.000_5;
/// How fast the told drift follows the speed, in seconds.
const DRIFT_TIME_S: f64 = 60.0;
/// More excess than this is dropped at once.
const MAX_EXCESS_S: f64 = 0.040;
/// Each time sound runs out, this much more waits from then on,
const MARGIN_STEP_S: f64 = 0.005;
/// up to this,
const MARGIN_MAX_S: f64 = 0.040;
/// and it is given back this slowly, per second.
const MARGIN_DECAY: f64 = 0.000_02;
/// Frames of a fade in or out.
const FADE_FRAMES: usize = 96;
/// Frames of a cross-fade where sound is dropped.
const SPLICE_FRAMES: usize = 240;
/// Neighbours that the interpolation needs beyond the current frame.
const LOOK_AHEAD: usize = 3;

#[derive(Debug, PartialEq)]
enum Mode {
    /// Silence until enough waits.
    Filling,
    /// This many frames were played since the silence; the first ones are faded in.
    Playing(usize),
}

/// A queue of frames of `C` channels that is taken out at a speed that keeps it short.
#[derive(Debug)]
pub(crate) struct Elastic<const C: usize> {
    queue: VecDeque<[f32; C]>,
    mode: Mode,
    rate: f64,
    /// Where between the second and third frame of the queue the next one is taken, 0 to 1. The first is
    /// the past neighbour.
    phase: f64,
    speed: f64,
    /// The clocks agree: stay on whole frames once there.
    settling: bool,
    min_margin_s: f64,
    margin_s: f64,
    /// Frames that wait before each taking beyond what should, filtered: takings may differ in size.
    excess: f64,
    /// Frames that should wait before the last taking.
    target: f64,
    drift: f64,
    underruns: u64,
    overruns: u64,
}

impl<const C: usize> Elastic<C> {
    /// A queue in which `margin_s` waits beyond what is taken at once.
    pub(crate) fn new(rate: u32, margin_s: f64) -> Self {
        Self {
            queue: VecDeque::with_capacity(rate as usize),
            mode: Mode::Filling,
            rate: f64::from(rate),
            phase: 0.0,
            speed: 1.0,
            settling: true,
            min_margin_s: margin_s,
            margin_s,
            excess: 0.0,
            target: 0.0,
            drift: 0.0,
            underruns: 0,
            overruns: 0,
        }
    }

    /// Appends a frame. What is not taken within a second is dropped, oldest first.
    pub(crate) fn push(&mut self, frame: [f32; C]) {
        if self.queue.len() == self.rate as usize {
            self.queue.pop_front();
        }
        self.queue.push_back(frame);
    }

    /// Forgets what waits: what comes next does not join on to it.
    pub(crate) fn interrupt(&mut self) {
        self.queue.clear();
        self.mode = Mode::Filling;
        self.overruns += 1;
    }

    /// Fills `out`, whole frames of `C` samples.
    pub(crate) fn take(&mut self, out: &mut [f32]) {
        let frames = out.len() / C;
        let period_s = frames as f64 / self.rate;
        let target = frames as f64 + self.margin_s * self.rate;
        if self.mode == Mode::Filling {
            if (self.queue.len() as f64) < target + LOOK_AHEAD as f64 {
                return out.fill(0.0);
            }
            self.begin(target);
        }
        self.steer(target, period_s);
        let (out, rest) = out.split_at_mut(frames * C);
        rest.fill(0.0);
        let mut played = match self.mode {
            Mode::Playing(played) => played,
            Mode::Filling => 0,
        };
        let enough = self.enough_for(frames);
        for (index, frame) in out.chunks_exact_mut(C).enumerate() {
            if index >= enough {
                frame.fill(0.0);
                continue;
            }
            let fade_in = (played as f32 / FADE_FRAMES as f32).min(1.0);
            // Only a block that runs out fades, over its end.
            let left = if enough < frames { enough - index } else { FADE_FRAMES };
            let gain = fade_in.min(left as f32 / FADE_FRAMES as f32).min(1.0);
            self.interpolate(frame, gain);
            played += 1;
        }
        self.mode = Mode::Playing(played.min(FADE_FRAMES));
        if enough < frames {
            self.run_out();
        }
    }

    /// Seconds that wait before each taking, filtered.
    pub(crate) fn waiting_s(&self) -> f64 {
        if self.mode == Mode::Filling {
            self.queue.len() as f64 / self.rate
        } else {
            (self.target + self.excess) / self.rate
        }
    }

    /// How much faster sound comes in than it is taken, as a fraction.
    pub(crate) fn drift(&self) -> f64 {
        self.drift
    }

    /// How often sound ran out.
    pub(crate) fn underruns(&self) -> u64 {
        self.underruns
    }

    /// How often sound was dropped.
    pub(crate) fn overruns(&self) -> u64 {
        self.overruns
    }

    fn begin(&mut self, target: f64) {
        let excess = self.queue.len() - (target as usize + LOOK_AHEAD);
        self.queue.drain(..excess.min(self.queue.len()));
        self.mode = Mode::Playing(0);
        self.phase = 0.0;
        self.excess = self.queue.len() as f64 - target;
    }

    /// Follows the level and sets the speed.
    fn steer(&mut self, target: f64, period_s: f64) {
        let follow = 1.0 - (-period_s / LEVEL_TIME_S).exp();
        self.target = target;
        self.excess += (self.queue.len() as f64 - target - self.excess) * follow;
        self.margin_s = (self.margin_s - MARGIN_DECAY * period_s).max(self.min_margin_s);
        let excess_s = self.excess / self.rate;
        if self.queue.len() as f64 - target > MAX_EXCESS_S * self.rate {
            self.splice(target as usize + LOOK_AHEAD);
        }
        let limit_s = if self.settling { TOLERANCE_S } else { SETTLED_S };
        self.settling = excess_s.abs() < limit_s;
        let correction =
            if self.settling { 0.0 } else { (GAIN_PER_S * excess_s).clamp(-MAX_CORRECTION, MAX_CORRECTION) };
        // In the long run the speed that keeps the level is the drift.
        self.drift += (correction - self.drift) * (1.0 - (-period_s / DRIFT_TIME_S).exp());
        self.speed = 1.0 + if self.settling && self.phase > 0.0 { SETTLING } else { correction };
    }

    /// How many frames can be interpolated from what waits, of `frames`.
    fn enough_for(&self, frames: usize) -> usize {
        let reach = (self.queue.len() as f64 - LOOK_AHEAD as f64 - self.phase) / self.speed;
        frames.min(reach.floor().max(0.0) as usize)
    }

    /// Writes one frame and moves on. At phase 0 this is the frame itself.
    fn interpolate(&mut self, out: &mut [f32], gain: f32) {
        let t = self.phase as f32;
        let frame = |index: usize| self.queue.get(index).copied().unwrap_or([0.0; C]);
        let (a, b, c, d) = (frame(0), frame(1), frame(2), frame(3));
        for (channel, sample) in out.iter_mut().enumerate() {
            let value = if t == 0.0 {
                b[channel]
            } else {
                cubic([a[channel], b[channel], c[channel], d[channel]], t)
            };
            // Between samples the curve may pass full scale.
            *sample = (value * gain).clamp(-1.0, 1.0);
        }
        self.phase += self.speed;
        // It has caught up with the next whole frame, to within a two-thousandth.
        if self.settling && self.phase >= 2.0 {
            (self.phase, self.speed) = (2.0, 1.0);
        }
        while self.phase >= 1.0 {
            self.phase -= 1.0;
            self.queue.pop_front();
        }
    }

    /// Drops the oldest sound down to `keep` frames, fading from the old into the new.
    fn splice(&mut self, keep: usize) {
        let skip = self.queue.len().saturating_sub(keep);
        for index in 0..SPLICE_FRAMES.min(keep) {
            let mix = (index + 1) as f32 / (SPLICE_FRAMES + 1) as f32;
            let old = self.queue[index];
            let new = &mut self.queue[skip + index];
            for (sample, old) in new.iter_mut().zip(old) {
                *sample = old * (1.0 - mix) + *sample * mix;
            }
        }
        self.queue.drain(..skip);
        self.excess = self.queue.len() as f64 - self.target;
        self.overruns += 1;
    }

    fn run_out(&mut self) {
        self.queue.clear();
        self.mode = Mode::Filling;
        self.underruns += 1;
        self.margin_s = (self.margin_s + MARGIN_STEP_S).min(MARGIN_MAX_S.max(self.min_margin_s));
    }
}

/// Catmull–Rom between the second and the third of four neighbours.
fn cubic([a, b, c, d]: [f32; 4], t: f32) -> f32 {
    let (slope_b, slope_c) = ((c - a) * 0.5, (d - b) * 0.5);
    let (t2, t3) = (t * t, t * t * t);
    b * (2.0 * t3 - 3.0 * t2 + 1.0)
        + slope_b * (t3 - 2.0 * t2 + t)
        + c * (3.0 * t2 - 2.0 * t3)
        + slope_c * (t3 - t2)
}

#[cfg(test)]
mod tests;

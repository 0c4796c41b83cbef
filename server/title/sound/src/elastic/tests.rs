//! Two clocks in simulated time, with drift and jitter.

use super::Elastic;
use std::f64::consts::TAU;

const RATE: f64 = 48_000.0;
const BLOCK: usize = 480;
const TAKEN: usize = 480;
const HERTZ: f64 = 997.0;

/// A writer and a reader, each with its own clock, over one queue.
struct Clocks {
    elastic: Elastic<2>,
    /// How much faster the writer's clock runs.
    drift: f64,
    jitter_s: f64,
    random: u64,
    written: u64,
    next_write: f64,
    /// What was read: the left channel.
    heard: Vec<f32>,
    reads: u64,
}

impl Clocks {
    fn new(drift: f64, jitter_s: f64) -> Self {
        let elastic = Elastic::new(RATE as u32, crate::capture::MARGIN_S);
        Self { elastic, drift, jitter_s, random: 7, written: 0, next_write: 0.0, heard: Vec::new(), reads: 0 }
    }

    /// 0 to 1.
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    fn run(&mut self, seconds: f64) {
        let end = self.reads + (seconds * 100.0) as u64;
        while self.reads < end {
            let late = self.random() * self.jitter_s;
            let now = self.reads as f64 * 0.01 + late;
            while self.next_write <= now {
                self.write_block();
                let due = self.written as f64 / (RATE * (1.0 + self.drift));
                self.next_write = due + self.random() * self.jitter_s;
            }
            self.read_block();
        }
    }

    fn write_block(&mut self) {
        for _ in 0..BLOCK {
            let sample = (TAU * HERTZ * self.written as f64 / RATE).sin() as f32 * 0.5;
            self.elastic.push([sample, -sample]);
            self.written += 1;
        }
    }

    fn read_block(&mut self) {
        let mut out = [0.0; TAKEN * 2];
        self.elastic.take(&mut out);
        for frame in out.chunks_exact(2) {
            assert!((frame[0] + frame[1]).abs() < 1e-5, "the channels stay together");
            self.heard.push(frame[0]);
        }
        self.reads += 1;
    }

    /// The largest step of the slope: of the pure tone it is 0.5·ω² = 0.0085; a click is far beyond.
    fn roughest(&self) -> f32 {
        self.heard.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max)
    }
}

const SMOOTH: f32 = 0.0095;

#[test]
fn while_the_clocks_agree_samples_pass_bit_exact() {
    let mut clocks = Clocks::new(0.0, 0.0);
    clocks.run(20.0);
    let start = clocks.heard.iter().position(|s| *s != 0.0).unwrap() + super::FADE_FRAMES;
    let tone: Vec<f32> =
        (0..clocks.written).map(|n| (TAU * HERTZ * n as f64 / RATE).sin() as f32 * 0.5).collect();
    let heard = &clocks.heard[start + 1..];
    let offset = (0..2 * TAKEN)
        .find(|o| tone[start + 1 - *o..].iter().zip(heard).take(TAKEN).all(|(a, b)| a == b))
        .expect("the tone is found");
    assert!(tone[start + 1 - offset..].iter().zip(heard).all(|(a, b)| a == b));
    assert_eq!((clocks.elastic.underruns(), clocks.elastic.overruns()), (0, 0));
}

#[test]
fn drift_is_followed_without_clicks_or_gaps() {
    for ppm in [-1000.0, -300.0, -100.0, 100.0, 300.0, 1000.0] {
        for jitter_s in [0.0, 0.003] {
            let mut clocks = Clocks::new(ppm * 1e-6, jitter_s);
            clocks.run(150.0);
            let told = clocks.elastic.drift() * 1e6;
            assert!((told - ppm).abs() < 0.25 * ppm.abs() + 50.0, "{ppm} ppm is told as {told}");
            let waiting = clocks.elastic.waiting_s();
            assert!((0.010..0.035).contains(&waiting), "{waiting} s wait at {ppm} ppm");
            // The margin learns the jitter once.
            let gaps = clocks.elastic.underruns();
            assert!(gaps <= u64::from(jitter_s > 0.0), "{gaps} gaps at {ppm} ppm, {jitter_s} s");
            assert_eq!(clocks.elastic.overruns(), 0);
            let rough = clocks.roughest();
            assert!(gaps > 0 || rough < SMOOTH, "{rough} at {ppm} ppm, {jitter_s} s");
        }
    }
}

#[test]
fn after_a_drift_samples_pass_bit_exact_again() {
    let mut clocks = Clocks::new(0.0, 0.0);
    clocks.run(1.0);
    // 25 ms more wait at once, which are worked off.
    clocks.reads += 3;
    clocks.run(30.0);
    assert_eq!((clocks.elastic.underruns(), clocks.elastic.overruns()), (0, 0));
    assert_eq!((clocks.elastic.phase, clocks.elastic.speed), (0.0, 1.0));
    assert!(clocks.roughest() < SMOOTH, "{}", clocks.roughest());
}

#[test]
fn more_jitter_widens_the_margin_until_nothing_is_missing() {
    let mut clocks = Clocks::new(0.0, 0.030);
    clocks.run(60.0);
    let before = clocks.elastic.underruns();
    assert!((1..10).contains(&before), "{before} gaps until it holds");
    clocks.run(30.0);
    assert!(clocks.elastic.underruns() <= before + 1);
}

#[test]
fn too_much_at_once_is_dropped_oldest_first_without_a_click() {
    let mut clocks = Clocks::new(0.0, 0.0);
    clocks.run(2.0);
    // The reader slept for 100 ms.
    clocks.reads += 10;
    clocks.run(0.01);
    assert_eq!(clocks.elastic.overruns(), 1);
    clocks.run(2.0);
    assert!(clocks.elastic.waiting_s() < 0.030, "the delay is gone: {}", clocks.elastic.waiting_s());
    assert_eq!((clocks.elastic.underruns(), clocks.elastic.overruns()), (0, 1));
    // Two tones cross: the slope bends more than in one, and far less than at a cut (up to 1).
    assert!(clocks.roughest() < 2.0 * SMOOTH, "{}", clocks.roughest());
}

#[test]
fn a_writer_that_stops_fades_to_exact_silence_and_fades_in_again() {
    let mut clocks = Clocks::new(0.0, 0.0);
    clocks.run(1.0);
    clocks.next_write = f64::INFINITY;
    clocks.run(1.0);
    assert!(clocks.heard[clocks.heard.len() - 40_000..].iter().all(|s| s.to_bits() == 0));
    assert_eq!(clocks.elastic.underruns(), 1);
    clocks.next_write = clocks.reads as f64 * 0.01;
    clocks.elastic.interrupt();
    let silence = clocks.heard.len();
    for _ in 0..100 {
        clocks.write_block();
        clocks.write_block();
        clocks.read_block();
    }
    let loudest = clocks.heard[silence..].iter().fold(0.0f32, |a, b| a.max(b.abs()));
    assert!(loudest > 0.49);
    // A fade over 2 ms bends the slope, a cut would be 0.1 and more.
    assert!(clocks.roughest() < 0.02, "{}", clocks.roughest());
}

#[test]
fn silence_is_exact_zeros_at_any_speed() {
    let mut elastic = Elastic::<2>::new(RATE as u32, 0.008);
    let mut out = [1.0; TAKEN * 2];
    for read in 0..5000 {
        for _ in 0..TAKEN + usize::from(read % 2 == 0) {
            elastic.push([0.0; 2]);
        }
        elastic.take(&mut out);
        assert!(out.iter().all(|sample| sample.to_bits() == 0));
    }
}

#[test]
fn nothing_waits_longer_than_a_second() {
    let mut elastic = Elastic::<1>::new(RATE as u32, 0.008);
    for _ in 0..1_000_000 {
        elastic.push([0.5]);
    }
    assert!(elastic.queue.len() <= RATE as usize);
    let mut out = [0.0; TAKEN];
    elastic.take(&mut out);
    assert!(elastic.waiting_s() < 0.030);
}

//! What is encoded: size and frame rate, by what network, node and player's device can do.
//!
//! One ladder of pictures, from the title's own down to a floor that stays playable. Down goes it soon, when the
//! bits of the path are too few for the picture, when the encoder cannot keep up with the frame clock, or when the
//! player's decoder cannot; up only after a while in which the next rung would have fitted, and later each time that
//! it turned out not to. The bitrate itself is the congestion controller's: it changes with every report, while each
//! step here costs a keyframe.

use nearframe_protocol::VideoCodec;
use std::time::{Duration, Instant};

/// Bits a pixel in H.264 below which a smaller picture, scaled up, looks better than a blocky one at 60 frames a second…
const BITS_PER_PIXEL: f64 = 0.045;
/// …where each frame of a slower one differs more from the one before, by this power of the rate.
const RATE_EXPONENT: f64 = 0.75;
/// The rate that the bits a pixel are meant for.
const USUAL_FPS: f64 = 60.0;
/// Sides of the rungs as shares of the title's.
const SCALES: [f64; 5] = [1.0, 0.75, 0.5625, 0.5, 0.375];
/// No picture is lower than this, unless the title's own is.
const FLOOR_HEIGHT: u32 = 270;
/// The slowest rate of the last rung: below, a game is no game.
const FLOOR_FPS: u32 = 30;
/// A path must carry too little for this long…
const STARVED: Duration = Duration::from_millis(1500);
/// …or less than half for this long.
const STARVED_BADLY: Duration = Duration::from_millis(300);
/// An encoder or decoder must be too slow for this long.
const OVERLOADED: Duration = Duration::from_secs(2);
/// Share of the frame interval that a stage may take.
const BUSY: f64 = 0.85;
/// Share of the frame interval that it is to take on the rung above, by its pixels.
const ROOMY: f64 = 0.6;
/// The path must carry this much more than the rung above needs…
const AMPLE: f64 = 1.3;
/// …for this long; longer each time that the step up was taken back, up to [`PATIENCE_MAX`].
const PATIENCE: Duration = Duration::from_secs(6);
const PATIENCE_MAX: Duration = Duration::from_secs(96);
/// A step up that was taken back within this was wrong.
const REGRET: Duration = Duration::from_secs(15);
/// After a step the measurements are those of the picture before.
const SETTLING: Duration = Duration::from_millis(1000);

/// One rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
}

impl Quality {
    fn pixels_per_s(self) -> f64 {
        f64::from(self.width) * f64::from(self.height) * f64::from(self.fps)
    }

    /// Whether a path of so many bits a second carries it in H.264.
    pub fn fits(self, target_bps: u64) -> bool {
        target_bps as f64 >= self.needed_bps()
    }

    /// Bits a second in H.264 below which it is not worth having.
    fn needed_bps(self) -> f64 {
        let slower = (f64::from(self.fps) / USUAL_FPS).powf(RATE_EXPONENT - 1.0);
        self.pixels_per_s() * BITS_PER_PIXEL * slower
    }

    fn interval(self) -> Duration {
        Duration::from_secs(1) / self.fps
    }
}

/// What keeps the picture from being better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QualityLimit {
    /// Nothing: it is the title's own.
    None,
    /// The path carries no more.
    Network,
    /// The node's encoder is too slow.
    Node,
    /// The player's device decodes too slowly.
    Device,
}

/// What was measured lately, at the rung in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityInputs {
    /// What video may take, bits a second.
    pub target_bps: u64,
    /// What pictures are in.
    pub codec: VideoCodec,
    /// Mean time of encoding a frame.
    pub encode: Option<Duration>,
    /// Mean time that the player's browser takes from the last packet to the decoded picture.
    pub decode: Option<Duration>,
}

impl QualityInputs {
    /// What the path is worth in bits of H.264: the others need fewer for the same picture, by a careful reading of what
    /// is published of hardware encoders without delay.
    fn worth_bps(&self) -> f64 {
        let need = match self.codec {
            VideoCodec::H264 => 1.0,
            VideoCodec::Hevc | VideoCodec::Hevc10 => 0.75,
            VideoCodec::Av1 => 0.65,
        };
        self.target_bps as f64 / need
    }
}

/// Chooses rungs.
#[derive(Debug)]
pub struct QualityController {
    /// Best first; needs fall strictly.
    ladder: Vec<Quality>,
    at: usize,
    limit: QualityLimit,
    /// Since when each cause calls for less: network, badly, node, device.
    since: [Option<Instant>; 4],
    roomy_since: Option<Instant>,
    stepped_at: Option<Instant>,
    rose_at: Option<Instant>,
    patience: Duration,
}

impl QualityController {
    /// Begins with the best rung that `start_bps` is enough for.
    pub fn new(title: Quality, start_bps: u64) -> Self {
        let ladder = ladder(title);
        let fits = |rung: &Quality| rung.needed_bps() <= start_bps as f64;
        let at = ladder.iter().position(fits).unwrap_or(ladder.len() - 1);
        Self {
            limit: if at == 0 { QualityLimit::None } else { QualityLimit::Network },
            ladder,
            at,
            since: [None; 4],
            roomy_since: None,
            stepped_at: None,
            rose_at: None,
            patience: PATIENCE,
        }
    }

    /// The rung in use.
    pub fn quality(&self) -> Quality {
        self.ladder[self.at]
    }

    /// What keeps it from being better.
    pub fn limit(&self) -> QualityLimit {
        self.limit
    }

    /// Takes measurements, several times a second. Gives the new rung when it changes.
    pub fn update(&mut self, now: Instant, inputs: &QualityInputs) -> Option<Quality> {
        let settling = self.stepped_at.is_some_and(|at| now.saturating_duration_since(at) < SETTLING);
        if settling {
            return None;
        }
        if let Some(why) = self.too_much(now, inputs) {
            return self.step_down(now, why, inputs);
        }
        if self.at == 0 {
            return None;
        }
        if let Some(why) = self.hindrance(self.ladder[self.at - 1], inputs) {
            self.roomy_since = None;
            self.limit = why;
            return None;
        }
        let since = *self.roomy_since.get_or_insert(now);
        (now.saturating_duration_since(since) >= self.patience).then(|| self.step_up(now))
    }

    /// The cause that has called for less for long enough.
    fn too_much(&mut self, now: Instant, inputs: &QualityInputs) -> Option<QualityLimit> {
        let rung = self.quality();
        let (target, needed) = (inputs.worth_bps(), rung.needed_bps());
        let busy = |time: Option<Duration>| time.is_some_and(|time| time > rung.interval().mul_f64(BUSY));
        let calls = [
            (target < needed, STARVED, QualityLimit::Network),
            (target < needed / 2.0, STARVED_BADLY, QualityLimit::Network),
            (busy(inputs.encode), OVERLOADED, QualityLimit::Node),
            (busy(inputs.decode), OVERLOADED, QualityLimit::Device),
        ];
        let mut found = None;
        for (since, (calls, patience, why)) in self.since.iter_mut().zip(calls) {
            *since = if calls { since.or(Some(now)) } else { None };
            if since.is_some_and(|since| now.saturating_duration_since(since) >= patience) {
                found.get_or_insert(why);
            }
        }
        found
    }

    /// Down at once to what the path carries, by one rung where a machine is too slow.
    fn step_down(&mut self, now: Instant, why: QualityLimit, inputs: &QualityInputs) -> Option<Quality> {
        let last = self.ladder.len() - 1;
        let below = (self.at + 1).min(last);
        let wanted = match why {
            QualityLimit::Network => {
                let fits = |rung: &Quality| rung.needed_bps() <= inputs.worth_bps();
                below + self.ladder[below..].iter().position(fits).unwrap_or(last - below)
            }
            _ => below,
        };
        self.limit = why;
        self.since = [None; 4];
        self.roomy_since = None;
        if wanted == self.at {
            return None;
        }
        if self.rose_at.take().is_some_and(|at| now.saturating_duration_since(at) < REGRET) {
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        }
        self.at = wanted;
        self.stepped_at = Some(now);
        Some(self.quality())
    }

    /// What keeps the rung above from being taken.
    fn hindrance(&self, above: Quality, inputs: &QualityInputs) -> Option<QualityLimit> {
        let now = self.quality();
        let more = f64::from(above.width * above.height) / f64::from(now.width * now.height);
        let crowded = |time: Option<Duration>| {
            time.is_some_and(|time| time.mul_f64(more) >= above.interval().mul_f64(ROOMY))
        };
        if inputs.worth_bps() < above.needed_bps() * AMPLE {
            Some(QualityLimit::Network)
        } else if crowded(inputs.encode) {
            Some(QualityLimit::Node)
        } else if crowded(inputs.decode) {
            Some(QualityLimit::Device)
        } else {
            None
        }
    }

    fn step_up(&mut self, now: Instant) -> Quality {
        // A step that lasted makes the next one come as soon as the first.
        if self.rose_at.is_some_and(|at| now.saturating_duration_since(at) >= REGRET) {
            self.patience = PATIENCE;
        }
        self.at -= 1;
        self.roomy_since = None;
        self.since = [None; 4];
        self.stepped_at = Some(now);
        self.rose_at = Some(now);
        if self.at == 0 {
            self.limit = QualityLimit::None;
        }
        self.quality()
    }
}

/// The title's picture, the same smaller, and at the end the smallest at half the rate.
fn ladder(title: Quality) -> Vec<Quality> {
    let even = |side: u32, scale: f64| ((f64::from(side) * scale / 2.0).round() as u32 * 2).max(16);
    let floor = FLOOR_HEIGHT.min(title.height);
    let mut rungs: Vec<Quality> = SCALES
        .iter()
        .map(|&scale| Quality {
            width: even(title.width, scale),
            height: even(title.height, scale),
            fps: title.fps,
        })
        .filter(|rung| rung.height >= floor || rung.height >= title.height)
        .collect();
    rungs.dedup();
    if let Some(&smallest) = rungs.last()
        && smallest.fps / 2 >= FLOOR_FPS
    {
        rungs.push(Quality { fps: smallest.fps / 2, ..smallest });
    }
    rungs
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: Quality = Quality { width: 1280, height: 720, fps: 60 };
    const STEP: Duration = Duration::from_millis(250);

    struct Run {
        controller: QualityController,
        now: Instant,
    }

    impl Run {
        fn new() -> Self {
            Self { controller: QualityController::new(TITLE, 4_000_000), now: Instant::now() }
        }

        /// Feeds the same for so long; gives each change with its time in seconds.
        fn feed(&mut self, seconds: f64, inputs: QualityInputs) -> Vec<(f64, Quality)> {
            let start = self.now;
            let mut changes = Vec::new();
            while (self.now - start).as_secs_f64() < seconds {
                self.now += STEP;
                if let Some(quality) = self.controller.update(self.now, &inputs) {
                    changes.push(((self.now - start).as_secs_f64(), quality));
                }
            }
            changes
        }
    }

    fn carries(target_bps: u64) -> QualityInputs {
        QualityInputs {
            target_bps,
            codec: VideoCodec::H264,
            encode: Some(Duration::from_millis(3)),
            decode: Some(Duration::from_millis(2)),
        }
    }

    #[test]
    fn the_ladder_falls_strictly_to_a_playable_floor() {
        for title in [
            TITLE,
            Quality { width: 1920, height: 1080, fps: 120 },
            Quality { width: 640, height: 360, fps: 30 },
            Quality { width: 160, height: 120, fps: 25 },
            Quality { width: 16, height: 16, fps: 1 },
        ] {
            let ladder = ladder(title);
            assert_eq!(ladder[0], title);
            assert!(ladder.windows(2).all(|pair| pair[1].needed_bps() < pair[0].needed_bps()), "{ladder:?}");
            assert!(ladder.iter().all(|rung| rung.width % 2 == 0 && rung.height % 2 == 0), "{ladder:?}");
            let last = ladder[ladder.len() - 1];
            assert!(
                last.fps >= FLOOR_FPS.min(title.fps) && last.height >= FLOOR_HEIGHT.min(title.height),
                "{last:?}"
            );
        }
    }

    #[test]
    fn a_narrow_path_gets_a_smaller_picture_soon_and_a_wide_one_the_whole_again_later() {
        let mut run = Run::new();
        assert!(run.feed(10.0, carries(8_000_000)).is_empty());
        let down = run.feed(10.0, carries(900_000));
        assert_eq!(down.len(), 1, "{down:?}");
        assert!(down[0].0 <= 2.0 && down[0].1.needed_bps() <= 900_000.0, "{down:?}");
        assert_eq!(run.controller.limit(), QualityLimit::Network);
        let up = run.feed(60.0, carries(8_000_000));
        assert_eq!(up.last().map(|change| change.1), Some(TITLE), "{up:?}");
        assert!(up[0].0 >= PATIENCE.as_secs_f64(), "{up:?}");
        assert_eq!(run.controller.limit(), QualityLimit::None);
    }

    #[test]
    fn a_path_that_falls_apart_is_followed_at_once_and_never_below_the_floor() {
        let mut run = Run::new();
        let down = run.feed(5.0, carries(100_000));
        assert!(down[0].0 <= 0.75, "{down:?}");
        assert_eq!(run.controller.quality(), *ladder(TITLE).last().unwrap());
        assert!(run.feed(30.0, carries(1_000)).is_empty());
    }

    #[test]
    fn a_capacity_between_two_rungs_is_not_climbed_for_ever() {
        let mut run = Run::new();
        // Enough for the whole picture by its need, and by the time it is shown, not any more.
        let mut changes = 0;
        for _ in 0..40 {
            let whole = run.controller.quality() == TITLE;
            changes += run.feed(5.0, carries(if whole { 2_000_000 } else { 3_400_000 })).len();
        }
        assert!(changes <= 12, "{changes} changes in 200 s");
    }

    #[test]
    fn a_slow_encoder_or_decoder_costs_one_rung_at_a_time_and_is_named() {
        let slow = |stage: QualityLimit| {
            let time = |which| Some(Duration::from_millis(if which == stage { 16 } else { 2 }));
            QualityInputs {
                target_bps: 8_000_000,
                codec: VideoCodec::H264,
                encode: time(QualityLimit::Node),
                decode: time(QualityLimit::Device),
            }
        };
        for stage in [QualityLimit::Node, QualityLimit::Device] {
            let mut run = Run::new();
            assert!(run.feed(1.5, slow(stage)).is_empty(), "a moment is no overload");
            let down = run.feed(1.0, slow(stage));
            assert_eq!(down.len(), 1);
            assert_eq!(down[0].1, ladder(TITLE)[1]);
            assert_eq!(run.controller.limit(), stage);
            // Half as slow on the smaller picture: not enough room to go back.
            let busy = QualityInputs { encode: Some(Duration::from_millis(9)), ..carries(8_000_000) };
            assert!(run.feed(60.0, busy).is_empty());
            assert_eq!(run.controller.limit(), QualityLimit::Node, "the network is not to blame");
        }
    }
}

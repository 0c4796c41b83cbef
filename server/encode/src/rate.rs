//! How large the next frame may be, and with which quantiser it gets there.
//!
//! Pure policy: no codec, no clock. A ledger of the last second knows what was emitted; the sum over any
//! window of one second stays below 1.09 × target, keyframes included, and in the mean just below
//! the target. The quantiser follows the sizes that come out, slowly downwards: a finer quantiser has to
//! pay once for what the frames before left out, and on pictures that merely move it pays all at once.
//! Where a frame comes out too large for its window, it is not sent: since the encoder has then moved on
//! without the receiver, it is encoded again as a keyframe, coarser.

mod ledger;
mod quantiser;
mod window;

pub use window::{WindowRates, window_rates};

use ledger::Ledger;
use quantiser::{MAX_QP, QP_PER_HALVING, Quantiser, bits_at, qp_for};
use std::time::Duration;

/// Share of the target that frames in sum aim at; the rest is for keyframes.
const AIM: f64 = 0.96;
/// Share of one second's target that a keyframe aims at where the ceiling leaves room for it.
const KEYFRAME_SHARE: f64 = 0.10;
/// A keyframe this many times larger than it should be is encoded again, since it would take as many
/// times longer to arrive.
const KEYFRAME_TOLERANCE: f64 = 1.6;
/// Frames' shares of the window that a keyframe leaves free, so that the frames after it fit.
const KEYFRAME_LEAVES: f64 = 2.5;
/// Most frames' shares that are owed after a burst, or saved up in a still scene.
const CREDIT_FRAMES: f64 = 3.0;
/// A frame drawn this much later than the one before is budgeted as if it were drawn then.
const LONGEST_INTERVAL: Duration = Duration::from_millis(100);
/// Bits a pixel of a detailed keyframe at quantiser 26, for the first guess.
const FIRST_BITS_PER_PIXEL: f64 = 0.7;
/// The first try and three coarser ones; the last is as coarse as it gets.
const MAX_TRIES: u32 = 4;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Leave it out: the window has no room even for the smallest frame.
    Skip,
    /// Encode it.
    Encode(Try),
}

/// One attempt at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Quantiser for every macroblock, 14..=51.
    pub qp: u8,
    /// As a keyframe.
    pub keyframe: bool,
    /// The size that is aimed at.
    pub budget_bytes: usize,
}

/// What to do with the bytes that came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send them.
    Emit,
    /// Throw them away and encode the same frame like this.
    Again(Try),
    /// Throw them away; the next frame will be a keyframe.
    Drop,
}

/// The policy for one stream. Call [`Self::plan`], then [`Self::judge`] for every attempt it asks for.
#[derive(Debug)]
pub struct RateControl {
    target_bps: f64,
    ledger: Ledger,
    /// Time of the newest frame, and of the first one on.
    last: Option<Duration>,
    /// Smoothed seconds between frames.
    interval_s: f64,
    /// What frames were allowed and did not use; negative: a debt.
    credit_bits: f64,
    /// log₂ of a keyframe's bits at quantiser 0.
    keyframe_complexity: f64,
    quantiser: Quantiser,
    keyframe_owed: bool,
    tries: u32,
}

impl RateControl {
    /// For pictures of `pixels`, aiming at `bitrate_bps` with about `fps` frames a second.
    pub fn new(bitrate_bps: u32, fps: u32, pixels: u64) -> Self {
        Self {
            target_bps: f64::from(bitrate_bps),
            ledger: Ledger::default(),
            last: None,
            interval_s: 1.0 / f64::from(fps.max(1)),
            credit_bits: 0.0,
            keyframe_complexity: (pixels as f64 * FIRST_BITS_PER_PIXEL).log2() + 26.0 / QP_PER_HALVING,
            quantiser: Quantiser::default(),
            keyframe_owed: true,
            tries: 0,
        }
    }

    /// Changes the target from the next frame on. A window that reaches back before the change is held
    /// against the larger of both.
    pub fn set_bitrate(&mut self, bitrate_bps: u32) {
        let before = std::mem::replace(&mut self.target_bps, f64::from(bitrate_bps));
        self.credit_bits = 0.0;
        self.quantiser.scale(before / self.target_bps);
        if let Some(now) = self.last {
            self.ledger.remember(before, now);
        }
    }

    /// What to do with the frame drawn at `at`. Times that go back count as the latest one.
    pub fn plan(&mut self, at: Duration, keyframe: bool) -> Plan {
        self.advance(at);
        self.tries = 1;
        let keyframe = keyframe || self.keyframe_owed;
        let (share, room) = (self.share_bits(), self.room_bits());
        if keyframe {
            self.keyframe_owed = true;
            let budget = self.keyframe_bits();
            let smallest = bits_at(self.keyframe_complexity, MAX_QP);
            // Half a keyframe's share is worth waiting for: a coarser one takes longer to look right again.
            if room < smallest.max(KEYFRAME_SHARE * self.target_bps / 2.0) && !self.ledger.is_empty() {
                return Plan::Skip;
            }
            let qp = qp_for(self.keyframe_complexity, budget).max(self.quantiser.finest_keyframe());
            return Plan::Encode(Try { qp, keyframe, budget_bytes: bytes_of(budget) });
        }
        let qp = self.quantiser.next(share, self.credit_bits / share, room);
        // Where even the coarsest frames are too large, they are left out evenly.
        let expected = self.quantiser.expected(qp);
        let hopeless = qp == MAX_QP && expected > share && self.credit_bits < -share;
        if (hopeless || room < expected.max(share / 2.0)) && !self.ledger.is_empty() {
            return Plan::Skip;
        }
        let budget = (share + self.credit_bits / CREDIT_FRAMES).clamp(share / 2.0, room.max(share / 2.0));
        Plan::Encode(Try { qp, keyframe, budget_bytes: bytes_of(budget) })
    }

    /// What to do with the `bytes` that an attempt gave.
    pub fn judge(&mut self, attempt: Try, bytes: usize) -> Verdict {
        let bits = (bytes.max(1) * 8) as f64;
        if attempt.keyframe {
            self.keyframe_complexity = bits.log2() + f64::from(attempt.qp) / QP_PER_HALVING;
        }
        let exhausted = self.tries >= MAX_TRIES || attempt.keyframe && attempt.qp == MAX_QP;
        let too_large = attempt.keyframe && bits > KEYFRAME_TOLERANCE * self.keyframe_bits() && !exhausted;
        // A frame that no empty window could take is sent all the same: the alternative is a picture that
        // stands still for ever.
        let only_choice = exhausted && self.ledger.is_empty();
        if only_choice || bits <= self.room_bits() && !too_large {
            self.emit(attempt, bytes, bits);
            return Verdict::Emit;
        }
        self.keyframe_owed = true;
        if exhausted {
            return Verdict::Drop;
        }
        self.tries += 1;
        let budget = self.keyframe_bits();
        let coarser = qp_for(self.keyframe_complexity, budget);
        let floor = if attempt.keyframe { attempt.qp + 1 } else { attempt.qp };
        let qp = if self.tries == MAX_TRIES { MAX_QP } else { coarser.clamp(floor.min(MAX_QP), MAX_QP) };
        Verdict::Again(Try { qp, keyframe: true, budget_bytes: bytes_of(budget) })
    }

    /// Moves time on and credits what passed.
    fn advance(&mut self, at: Duration) {
        let last = self.last.unwrap_or(at);
        let now = at.max(last);
        self.ledger.advance(now);
        if self.last.replace(now).is_some() {
            let passed_s = (now - last).min(LONGEST_INTERVAL).as_secs_f64();
            self.interval_s += (passed_s - self.interval_s) * 0.1;
            self.credit_bits += self.rate_bps() * passed_s;
        }
    }

    /// What frames aim at in sum: the target, or what the windows of the coming second leave of it.
    fn rate_bps(&self) -> f64 {
        let now = self.last.unwrap_or_default();
        (AIM * self.target_bps).min(self.ledger.even_rate_bps(self.target_bps, now))
    }

    /// One frame's part of it.
    fn share_bits(&self) -> f64 {
        (self.rate_bps() * self.interval_s).max(8.0)
    }

    /// Bits that the window may still take.
    fn room_bits(&self) -> f64 {
        self.ledger.room_bits(self.target_bps)
    }

    fn keyframe_bits(&self) -> f64 {
        let room = self.room_bits();
        let most = KEYFRAME_SHARE * self.target_bps;
        most.min(room - KEYFRAME_LEAVES * self.share_bits()).max(room.min(most) / 2.0).max(8.0)
    }

    fn emit(&mut self, attempt: Try, bytes: usize, bits: f64) {
        let share = self.share_bits();
        // A keyframe lives on the room between aim and ceiling; frames after it need not pay for it.
        self.credit_bits -= if attempt.keyframe { share } else { bits };
        self.credit_bits = self.credit_bits.clamp(-CREDIT_FRAMES * share, CREDIT_FRAMES * share);
        self.quantiser.seen(attempt, bits);
        self.keyframe_owed &= !attempt.keyframe;
        self.ledger.push(self.last.unwrap_or_default(), bytes);
    }
}

fn bytes_of(bits: f64) -> usize {
    (bits / 8.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives frames sizes as a codec would: by complexity and quantiser, and more for what is refined.
    struct StandInCodec {
        qp: u8,
    }

    impl StandInCodec {
        fn bytes(&mut self, attempt: Try, detail: f64, motion: f64) -> usize {
            let level = |qp: u8| (-f64::from(qp) / QP_PER_HALVING).exp2();
            let refined = (level(attempt.qp) - level(self.qp)).max(0.0);
            let predicted = detail * motion * level(attempt.qp) + 0.5 * detail * refined;
            self.qp = attempt.qp;
            (if attempt.keyframe { detail * level(attempt.qp) } else { predicted }) as usize + 20
        }
    }

    struct Run {
        rate: RateControl,
        codec: StandInCodec,
        emitted: Vec<(Duration, usize)>,
        keyframes: Vec<u32>,
        skipped: u32,
        frame: u32,
    }

    impl Run {
        fn new(bitrate_bps: u32) -> Self {
            Self {
                rate: RateControl::new(bitrate_bps, 60, 1280 * 720),
                codec: StandInCodec { qp: MAX_QP },
                emitted: Vec::new(),
                keyframes: Vec::new(),
                skipped: 0,
                frame: 0,
            }
        }

        fn frame(&mut self, keyframe: bool, detail: f64, motion: f64) {
            let at = Duration::from_secs_f64(f64::from(self.frame) / 60.0);
            let mut plan = self.rate.plan(at, keyframe);
            while let Plan::Encode(attempt) = plan {
                let bytes = self.codec.bytes(attempt, detail, motion);
                match self.rate.judge(attempt, bytes) {
                    Verdict::Emit => {
                        self.emitted.push((at, bytes));
                        if attempt.keyframe {
                            self.keyframes.push(self.frame);
                        }
                        break;
                    }
                    Verdict::Again(coarser) => plan = Plan::Encode(coarser),
                    Verdict::Drop => plan = Plan::Skip,
                }
            }
            self.skipped += u32::from(plan == Plan::Skip);
            self.frame += 1;
        }

        fn share_of(&self, bitrate_bps: u32) -> (f64, f64) {
            let rates = window_rates(&self.emitted).expect("runs are longer than a window");
            let target = f64::from(bitrate_bps);
            (rates.lowest_bps / target, rates.highest_bps / target)
        }
    }

    const DETAIL: f64 = 2e6;

    #[test]
    fn a_steady_picture_keeps_every_window_near_the_target() {
        for bitrate_bps in [1_500_000, 3_000_000, 6_000_000, 10_000_000] {
            let mut run = Run::new(bitrate_bps);
            (0..600).for_each(|_| run.frame(false, DETAIL, 0.2));
            let (lowest, highest) = run.share_of(bitrate_bps);
            assert!(lowest >= 0.9 && highest <= 1.1, "{bitrate_bps}: {lowest} to {highest}");
            assert!(run.skipped <= 2, "{bitrate_bps}: {} of 600 frames left out", run.skipped);
            assert_eq!(run.keyframes, [0]);
        }
    }

    #[test]
    fn requested_keyframes_come_at_once_and_fit_into_their_window() {
        let mut run = Run::new(3_000_000);
        (0..600).for_each(|frame| run.frame(frame == 200 || frame == 400, DETAIL, 0.2));
        let (lowest, highest) = run.share_of(3_000_000);
        assert_eq!(run.keyframes, [0, 200, 400]);
        assert!(lowest >= 0.9 && highest <= 1.1, "{lowest} to {highest}");
    }

    #[test]
    fn a_lower_target_holds_one_second_after_the_change_and_needs_no_keyframe() {
        let mut run = Run::new(6_000_000);
        (0..300).for_each(|_| run.frame(false, DETAIL, 0.2));
        run.rate.set_bitrate(1_500_000);
        (0..60).for_each(|_| run.frame(false, DETAIL, 0.2));
        run.emitted.clear();
        (0..240).for_each(|_| run.frame(false, DETAIL, 0.2));
        let (lowest, highest) = run.share_of(1_500_000);
        assert!(lowest >= 0.85 && highest <= 1.1, "{lowest} to {highest}");
        assert_eq!(run.keyframes, [0]);
    }

    #[test]
    fn a_picture_beyond_the_coarsest_quantiser_is_thinned_out_evenly() {
        let mut run = Run::new(500_000);
        (0..600).for_each(|_| run.frame(false, 15e6, 0.3));
        let (_, highest) = run.share_of(500_000);
        assert!(highest <= 1.1, "{highest}");
        let longest = run.emitted.windows(2).map(|pair| pair[1].0 - pair[0].0).max().expect("frames");
        assert!(longest < Duration::from_secs(2), "nothing for {longest:?}");
    }

    #[test]
    fn a_picture_too_large_for_any_window_does_not_stand_still() {
        let mut run = Run::new(100_000);
        (0..600).for_each(|_| run.frame(false, 50e6, 1.0));
        assert!(run.emitted.len() >= 5, "{} frames in ten seconds", run.emitted.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_window_exceeds_the_ceiling_whatever_the_picture(
            bitrate_bps in 300_000u32..20_000_000,
            scenes in proptest::collection::vec((10u32..120, 4.0f64..7.0, 0.0f64..1.2, any::<bool>()), 2..12)
        ) {
            let mut run = Run::new(bitrate_bps);
            for (length, detail, motion, keyframe) in scenes {
                let detail = 10f64.powf(detail);
                (0..length).for_each(|frame| run.frame(keyframe && frame == 0, detail, motion));
            }
            if let Some(rates) = window_rates(&run.emitted) {
                prop_assert!(rates.highest_bps <= 1.1 * f64::from(bitrate_bps));
            }
        }
    }
}

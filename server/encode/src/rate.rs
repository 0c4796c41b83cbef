//! How large the next frame may be, and with which quantiser it gets there.
//!
//! Pure policy: no codec, no clock. A ledger of the last second knows what was emitted; the sum over any
//! window of one second stays below 1.09 × target, keyframes included (save for one that begins a stream
//! anew, which can neither wait nor make others wait), and in the mean just below the target. The quantiser follows the sizes that come out, slowly downwards: a finer quantiser has to
//! pay once for what the frames before left out, and on pictures that merely move it pays all at once.
//! Where a frame comes out too large for its window, it is not sent: since the encoder has then moved on
//! without the receiver, it is encoded again, coarser, from an older frame that the receiver has, or as a
//! keyframe where there is none.
//!
//! A frame with a budget of its own is held against that budget alone: a model of sizes, learnt from the
//! frames before, gives the quantiser, and only what misses by far is encoded again.

mod attempt;
mod ledger;
mod quantiser;
mod size;
mod window;

pub use attempt::{Kind, Plan, Try, Verdict, Wanted};
pub use window::{WindowRates, window_rates};

use attempt::GROWTH_PER_FRAME;
use ledger::Ledger;
use quantiser::{MAX_QP, QP_PER_HALVING, Quantiser, bits_at, qp_for};
use size::SizeModel;
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
/// A budgeted frame is tried once more and then sent as it is: what comes late is worth less than what
/// comes coarse, and a third try would miss the frame's turn.
const MAX_BUDGETED_TRIES: u32 = 2;
/// Times its budget that a frame may take before it is tried again, where that costs nothing but time.
const BUDGET_TOLERANCE: f64 = 1.1;
/// The same where the second try goes back to an older frame, and so starts from a larger size.
const RECOVERY_INSTEAD: f64 = 1.25;
/// The same where only a keyframe is left.
const KEYFRAME_INSTEAD: f64 = 2.5;
/// Ages up to which a reference is always, and at most, worth more than a keyframe. From 10 frames on
/// recovery frames of fast pictures are as large as keyframes; calm ones can go back further.
const OLDEST_REFERENCE: (u32, u32) = (10, 30);

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
    sizes: SizeModel,
    keyframe_owed: bool,
    /// The keyframe that is owed begins the stream anew.
    restarted: bool,
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
            sizes: SizeModel::default(),
            keyframe_owed: true,
            restarted: false,
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

    /// The stream begins anew with the next frame, whose pictures have `ratio` times as many pixels.
    pub fn restart(&mut self, ratio: f64) {
        self.keyframe_complexity += ratio.log2();
        self.sizes.scale(ratio);
        self.quantiser.scale(ratio);
        self.keyframe_owed = true;
        self.restarted = true;
    }

    /// About so many frames a second are coming.
    pub fn set_frame_rate(&mut self, fps: u32) {
        self.interval_s = 1.0 / f64::from(fps.max(1));
    }

    /// The next frame has to be a keyframe, whatever was planned.
    pub fn owe_keyframe(&mut self) {
        self.keyframe_owed = true;
    }

    /// How many frames old a reference may be so that a frame predicted from it is worth more than a
    /// keyframe.
    pub fn oldest_reference(&self) -> u32 {
        let smaller_by = self.sizes.complexity().map_or(1.0, |log| (self.keyframe_complexity - log).exp2());
        let age = 1.0 + (smaller_by - 1.0) / GROWTH_PER_FRAME;
        age.clamp(f64::from(OLDEST_REFERENCE.0), f64::from(OLDEST_REFERENCE.1)) as u32
    }

    /// What to do with a frame.
    pub fn plan(&mut self, wanted: Wanted) -> Plan {
        self.advance(wanted.at);
        self.tries = 1;
        let kind = if self.keyframe_owed { Kind::Keyframe } else { wanted.kind };
        self.keyframe_owed = kind == Kind::Keyframe;
        let own_budget = wanted.budget_bytes.map(|bytes| bytes as usize);
        // A stream that begins anew has nothing to show meanwhile: it cannot wait for the window.
        let at_once = self.restarted.then(|| bytes_of(KEYFRAME_SHARE * self.target_bps));
        if let Some(budget_bytes) = own_budget.or(at_once) {
            let qp = self.budgeted_qp(kind, (budget_bytes.max(1) * 8) as f64);
            return Plan::Encode(Try { qp, kind, budget_bytes, budgeted: true });
        }
        let (share, room) = (self.share_bits(), self.room_bits());
        if kind == Kind::Keyframe {
            let budget = self.keyframe_bits();
            let smallest = bits_at(self.keyframe_complexity, MAX_QP);
            // Half a keyframe's share is worth waiting for: a coarser one takes longer to look right again.
            if room < smallest.max(KEYFRAME_SHARE * self.target_bps / 2.0) && !self.ledger.is_empty() {
                return Plan::Skip;
            }
            let qp = qp_for(self.keyframe_complexity, budget).max(self.quantiser.finest_keyframe());
            return Plan::Encode(Try { qp, kind, budget_bytes: bytes_of(budget), budgeted: false });
        }
        let growth = kind.growth();
        let coarser = (QP_PER_HALVING / 2.0 * growth.log2()).round() as u8;
        let qp = (self.quantiser.next(share, self.credit_bits / share, room) + coarser).min(MAX_QP);
        // Where even the coarsest frames are too large, they are left out evenly.
        let expected = self.quantiser.expected(qp) * growth;
        let hopeless = qp == MAX_QP && expected > share && self.credit_bits < -share;
        if (hopeless || room < expected.max(share / 2.0)) && !self.ledger.is_empty() {
            return Plan::Skip;
        }
        let budget = (share + self.credit_bits / CREDIT_FRAMES).clamp(share / 2.0, room.max(share / 2.0));
        Plan::Encode(Try { qp, kind, budget_bytes: bytes_of(budget), budgeted: false })
    }

    /// What to do with the `bytes` that an attempt gave, if the same frame could also be predicted from a
    /// frame of that age.
    pub fn judge(&mut self, attempt: Try, bytes: usize, other_age: Option<u32>) -> Verdict {
        let bits = (bytes.max(1) * 8) as f64;
        if attempt.kind == Kind::Keyframe {
            self.keyframe_complexity = bits.log2() + f64::from(attempt.qp) / QP_PER_HALVING;
        }
        let other = other_age.map_or(Kind::Keyframe, |age| Kind::Recovery { age });
        if attempt.budgeted {
            return self.judge_budgeted(attempt, bytes, bits, other);
        }
        let whole = attempt.kind == Kind::Keyframe;
        let exhausted = self.tries >= MAX_TRIES || whole && attempt.qp == MAX_QP;
        let too_large = whole && bits > KEYFRAME_TOLERANCE * self.keyframe_bits() && !exhausted;
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
        let kind = if whole { Kind::Keyframe } else { other };
        let budget = self.keyframe_bits();
        let coarser = match kind {
            Kind::Keyframe => qp_for(self.keyframe_complexity, budget),
            _ => qp_for(bits.log2() + f64::from(attempt.qp) / QP_PER_HALVING, budget),
        };
        let floor = if whole { attempt.qp + 1 } else { attempt.qp };
        let qp = if self.tries == MAX_TRIES { MAX_QP } else { coarser.clamp(floor.min(MAX_QP), MAX_QP) };
        Verdict::Again(Try { qp, kind, budget_bytes: bytes_of(budget), budgeted: false })
    }

    fn judge_budgeted(&mut self, attempt: Try, bytes: usize, bits: f64, other: Kind) -> Verdict {
        self.sizes.seen(attempt, bits);
        let over = bits / ((attempt.budget_bytes.max(1) * 8) as f64);
        // What is not predicted from the frame before can be tried again without moving the receiver's
        // picture on; else the frame has to go back to an older one, which has its price.
        let (kind, tolerance) = match (attempt.kind, other) {
            (Kind::Predicted, Kind::Keyframe) => (other, KEYFRAME_INSTEAD),
            (Kind::Predicted, _) => (other, RECOVERY_INSTEAD),
            (same, _) => (same, BUDGET_TOLERANCE),
        };
        if over <= tolerance || attempt.qp == MAX_QP || self.tries >= MAX_BUDGETED_TRIES {
            self.emit(attempt, bytes, bits);
            return Verdict::Emit;
        }
        self.tries += 1;
        self.keyframe_owed |= kind == Kind::Keyframe;
        // After a cut an older reference is no worse than a newer one, in a fast pan it is: the middle is
        // assumed.
        let growth = if kind == attempt.kind { 0.0 } else { kind.growth().log2() / 2.0 };
        let complexity = bits.log2() + f64::from(attempt.qp) / QP_PER_HALVING + growth;
        let qp = self.sizes.qp_for(complexity, (attempt.budget_bytes.max(1) * 8) as f64);
        Verdict::Again(Try { qp: qp.max(attempt.qp + 1).min(MAX_QP), kind, ..attempt })
    }

    fn budgeted_qp(&self, kind: Kind, bits: f64) -> u8 {
        match kind {
            Kind::Keyframe => self.sizes.qp_for(self.keyframe_complexity, bits),
            Kind::Predicted => self.sizes.next(self.keyframe_complexity, bits),
            Kind::Recovery { .. } => {
                let qp = self.sizes.next(self.keyframe_complexity, bits / kind.growth());
                qp.max(self.sizes.newest_qp())
            }
        }
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
        self.credit_bits -= if attempt.kind == Kind::Keyframe { share } else { bits };
        self.credit_bits = self.credit_bits.clamp(-CREDIT_FRAMES * share, CREDIT_FRAMES * share);
        self.quantiser.seen(attempt, bits);
        if !attempt.budgeted {
            self.sizes.seen(attempt, bits);
        }
        self.keyframe_owed = false;
        if !std::mem::take(&mut self.restarted) {
            self.ledger.push(self.last.unwrap_or_default(), bytes);
        }
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
            let whole = attempt.kind == Kind::Keyframe;
            (if whole { detail * level(attempt.qp) } else { predicted * attempt.kind.growth() }) as usize + 20
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
            let kind = if keyframe { Kind::Keyframe } else { Kind::Predicted };
            let mut plan = self.rate.plan(Wanted { at, kind, budget_bytes: None });
            while let Plan::Encode(attempt) = plan {
                let bytes = self.codec.bytes(attempt, detail, motion);
                match self.rate.judge(attempt, bytes, None) {
                    Verdict::Emit => {
                        self.emitted.push((at, bytes));
                        if attempt.kind == Kind::Keyframe {
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

    #[test]
    fn references_may_be_older_where_pictures_are_calm() {
        let oldest = |motion: f64| {
            let mut run = Run::new(6_000_000);
            (0..300).for_each(|_| run.frame(false, DETAIL, motion));
            run.rate.oldest_reference()
        };
        assert_eq!(oldest(1.0), OLDEST_REFERENCE.0);
        assert_eq!(oldest(0.02), OLDEST_REFERENCE.1);
        assert!((11..30).contains(&oldest(0.18)), "{}", oldest(0.18));
    }

    /// Plays frames with budgets, going back four frames where the control wants to.
    fn budgeted(run: &mut Run, frames: u32, budget: u32, detail: f64, motion: f64) -> Vec<usize> {
        let one = |run: &mut Run| {
            let at = Duration::from_secs_f64(f64::from(run.frame) / 60.0);
            run.frame += 1;
            let wanted = Wanted { at, kind: Kind::Predicted, budget_bytes: Some(budget) };
            let mut plan = run.rate.plan(wanted);
            for _ in 0..MAX_BUDGETED_TRIES {
                let Plan::Encode(attempt) = plan else { panic!("a frame with a budget is left out") };
                let bytes = run.codec.bytes(attempt, detail, motion);
                match run.rate.judge(attempt, bytes, Some(4)) {
                    Verdict::Emit => return bytes,
                    Verdict::Again(coarser) => plan = Plan::Encode(coarser),
                    Verdict::Drop => panic!("a frame with a budget is dropped"),
                }
            }
            panic!("more tries than promised")
        };
        (0..frames).map(|_| one(run)).collect()
    }

    #[test]
    fn budgets_are_met_through_steps_and_cuts() {
        let mut run = Run::new(6_000_000);
        budgeted(&mut run, 60, 12_000, DETAIL, 0.2);
        // One frame in fifty may exceed its budget by more than a tenth, and none by much.
        let within = |sizes: &[usize], budget: usize| {
            let over = sizes.iter().filter(|bytes| **bytes > budget * 11 / 10).count();
            over <= 1 && sizes.iter().all(|bytes| *bytes <= budget * 5 / 4)
        };
        assert!(within(&budgeted(&mut run, 60, 3_000, DETAIL, 0.2), 3_000), "÷4");
        assert!(within(&budgeted(&mut run, 60, 12_000, DETAIL, 0.2), 12_000), "×4");
        let cut = budgeted(&mut run, 60, 12_000, DETAIL, 1.0);
        assert!(within(&cut[1..], 12_000) && cut[0] <= 18_000, "{cut:?}");
        let used = cut[30..].iter().sum::<usize>() as f64 / 30.0 / 12_000.0;
        assert!(used > 0.7, "{used:.2} of the budget is used");
    }

    #[test]
    fn a_frame_with_a_budget_is_sent_though_the_window_is_full() {
        let mut run = Run::new(500_000);
        let sizes = budgeted(&mut run, 120, 4_000, DETAIL, 0.2);
        assert!(sizes[60..].iter().sum::<usize>() > 2 * 500_000 / 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn budgets_never_leave_a_frame_out(
            scenes in proptest::collection::vec((1u32..20, 0u32..30_000, 3.0f64..8.0, 0.0f64..1.2), 1..12)
        ) {
            let mut run = Run::new(6_000_000);
            for (length, budget, detail, motion) in scenes {
                budgeted(&mut run, length, budget, 10f64.powf(detail), motion);
            }
        }

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

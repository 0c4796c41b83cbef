//! How large a frame comes out at which quantiser, learnt from the frames before.

use super::quantiser::{MAX_QP, MIN_QP, QP_PER_HALVING};
use super::{BUDGET_TOLERANCE, Kind, Try};

/// log₂ of the share of a budget that frames aim at, before what they vary by is left free too.
const AIM_LOG: f64 = -0.08;
/// Times the mean deviation from the model that is left free.
const SAFETY: f64 = 1.0;
/// A frame larger than the model says is believed nearly at once, a smaller one gradually.
const RISE: f64 = 0.8;
const FALL: f64 = 0.25;
/// How fast deviations are learnt.
const LEARN: f64 = 0.1;
/// log₂ of the share of their budgets that frames come to in the mean, if so few of them exceed theirs by more than
/// [`BUDGET_TOLERANCE`] that it pays: one in so many as [`TOO_FULL`] is of [`FILL_STEP`].
const FULL_LOG: f64 = -0.04;
const FILL_STEP: f64 = 0.002;
const TOO_FULL: f64 = 0.1;
/// log₂ of the most that is made up for.
const MOST_UNUSED: f64 = 0.35;
/// Deviation expected before any is known.
const FIRST_DEVIATION: f64 = 0.3;
/// Most steps that the quantiser falls from one frame to the next: a finer frame pays once for what the
/// ones before left out, and the model learns from that before the next step.
const MAX_REFINING_QP: u8 = 2;
/// Steps that halve a predicted frame, before any large step was seen: vectors and headers do not shrink
/// as residuals do. What is learnt stays within these bounds, half of it from the newest large step.
const FIRST_HALVING_QP: f64 = 7.5;
const HALVING_QP: (f64, f64) = (4.0, 16.0);
const LARGE_STEP_QP: u8 = 4;
/// log₂ of a keyframe's size over a predicted frame's, before one was seen.
const FIRST_PREDICTED_LOG: f64 = -1.0;

/// Sizes of predicted frames.
#[derive(Debug)]
pub(super) struct SizeModel {
    /// log₂ of the bits at quantiser 0, as far as sizes halve with every [`QP_PER_HALVING`] steps.
    complexity: Option<f64>,
    deviation: f64,
    /// Steps that halve a frame, as seen when the quantiser rose by a lot.
    halving_qp: f64,
    /// Quantiser of the newest frame.
    qp: Option<u8>,
    /// log₂ of its bits, if it was predicted from the one before.
    size_log: Option<f64>,
    /// log₂ of what budgets are multiplied by, because the model errs on the side of small frames.
    unused_log: f64,
    /// log₂ of the share of their budgets that frames came to lately.
    filled_log: f64,
}

impl Default for SizeModel {
    fn default() -> Self {
        Self {
            complexity: None,
            deviation: FIRST_DEVIATION,
            halving_qp: FIRST_HALVING_QP,
            qp: None,
            size_log: None,
            unused_log: 0.0,
            filled_log: FULL_LOG,
        }
    }
}

impl SizeModel {
    /// The quantiser of the next predicted frame, which may have `bits`.
    pub(super) fn next(&self, keyframe_complexity: f64, bits: f64) -> u8 {
        let complexity = self.complexity.unwrap_or(keyframe_complexity + FIRST_PREDICTED_LOG);
        let safe = self.qp_for(complexity + SAFETY * self.deviation, bits);
        let Some(qp) = self.qp else { return safe };
        // A budget that falls steeply is met first and filled later.
        let full = self.qp_for(complexity + SAFETY * self.deviation - self.unused_log, bits);
        let wanted = if full > qp + 1 { safe } else { full };
        if wanted <= qp {
            return wanted.max(qp.saturating_sub(MAX_REFINING_QP));
        }
        let steps = f64::from(wanted - qp) * (self.halving_qp / QP_PER_HALVING).max(1.0);
        (qp + steps.ceil() as u8).min(MAX_QP)
    }

    /// The quantiser that gives a frame of this complexity a little less than `bits`.
    pub(super) fn qp_for(&self, complexity: f64, bits: f64) -> u8 {
        let qp = (QP_PER_HALVING * (complexity - AIM_LOG - bits.log2())).ceil();
        qp.clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8
    }

    /// log₂ of a predicted frame's bits at quantiser 0, once one was seen.
    pub(super) fn complexity(&self) -> Option<f64> {
        self.complexity
    }

    /// The quantiser of the newest frame; the finest where there is none.
    pub(super) fn newest_qp(&self) -> u8 {
        self.qp.unwrap_or(MIN_QP)
    }

    pub(super) fn seen(&mut self, attempt: Try, bits: f64) {
        let predicted = attempt.kind == Kind::Predicted;
        if predicted {
            self.learn_halving(attempt.qp, bits.log2());
            self.learn_fill(attempt, bits);
            let seen = bits.log2() + f64::from(attempt.qp) / QP_PER_HALVING;
            let error = self.complexity.map_or(0.0, |complexity| seen - complexity);
            self.deviation += LEARN * (error.abs() - self.deviation);
            let weight = if error > 0.0 { RISE } else { FALL };
            self.complexity = Some(self.complexity.map_or(seen, |known| known + weight * error));
        }
        self.qp = Some(attempt.qp);
        self.size_log = predicted.then(|| bits.log2());
    }

    fn learn_halving(&mut self, qp: u8, size_log: f64) {
        let (Some(before), Some(before_log)) = (self.qp, self.size_log) else { return };
        let steps = qp.saturating_sub(before);
        if steps >= LARGE_STEP_QP {
            let seen = f64::from(steps) / (before_log - size_log).max(0.01);
            self.halving_qp += 0.5 * (seen.clamp(HALVING_QP.0, HALVING_QP.1) - self.halving_qp);
        }
    }

    /// What frames come to in the mean is what makes the picture good; that each stays in its budget is what keeps it young.
    fn learn_fill(&mut self, attempt: Try, bits: f64) {
        let refining = self.qp.is_none_or(|before| before >= attempt.qp + MAX_REFINING_QP);
        // A quantiser that was not chosen by the budget tells nothing.
        if !attempt.budgeted || attempt.budget_bytes == 0 || attempt.qp == MIN_QP || refining {
            return;
        }
        let filled_log = bits.log2() - ((attempt.budget_bytes * 8) as f64).log2();
        self.filled_log += LEARN * (filled_log - self.filled_log);
        let change = if filled_log > BUDGET_TOLERANCE.log2() {
            -TOO_FULL
        } else if self.filled_log > FULL_LOG {
            -FILL_STEP
        } else {
            FILL_STEP
        };
        self.unused_log = (self.unused_log + change).clamp(0.0, MOST_UNUSED);
    }

    /// Pictures grew by `factor`.
    pub(super) fn scale(&mut self, factor: f64) {
        self.complexity = self.complexity.map(|complexity| complexity + factor.log2());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(qp: u8) -> Try {
        Try { qp, kind: Kind::Predicted, budget_bytes: 0, budgeted: true }
    }

    fn after(sizes: &[(u8, f64)]) -> SizeModel {
        let mut model = SizeModel::default();
        sizes.iter().for_each(|&(qp, bits)| model.seen(attempt(qp), bits));
        model
    }

    #[test]
    fn a_quarter_of_the_budget_is_met_at_once() {
        let model = after(&[(26, 60_000.0); 40]);
        let steady = model.next(0.0, 66_000.0);
        assert!((25..=27).contains(&steady), "{steady}");
        assert!(model.next(0.0, 16_500.0) >= steady + 12);
    }

    /// Budgeted frames of a codec whose sizes vary; what share of their budgets they come to, and how many exceed
    /// it by more than is tolerated.
    fn fill(variation: impl Fn(u32) -> f64) -> (f64, f64) {
        const BUDGET: usize = 10_000;
        let mut model = SizeModel::default();
        let (mut sum, mut over, frames) = (0.0, 0, 2_000);
        for frame in 0..frames + 200 {
            let qp = model.next(20.0, (BUDGET * 8) as f64);
            let bits = (21.0 - f64::from(qp) / QP_PER_HALVING + variation(frame)).exp2();
            model.seen(Try { qp, kind: Kind::Predicted, budget_bytes: BUDGET, budgeted: true }, bits);
            if frame >= 200 {
                let filled = bits / (BUDGET * 8) as f64;
                sum += filled / f64::from(frames);
                over += u32::from(filled > BUDGET_TOLERANCE);
            }
        }
        (sum, f64::from(over) / f64::from(frames))
    }

    #[test]
    fn frames_fill_their_budgets_as_far_as_they_can_be_foretold() {
        let noise = |frame: u32| f64::from(frame.wrapping_mul(2_654_435_761) >> 16) / 65_536.0 - 0.5;
        let (calm, over) = fill(|frame| 0.1 * noise(frame));
        assert!((0.92..1.0).contains(&calm) && over < 0.05, "{calm} {over}");
        let (restless, over) = fill(|frame| 0.6 * noise(frame));
        assert!((0.75..0.95).contains(&restless) && over < 0.05, "{restless} {over}");
    }

    #[test]
    fn quality_returns_in_small_steps() {
        let model = after(&[(40, 10_000.0); 40]);
        assert_eq!(model.next(0.0, 1e6), 40 - MAX_REFINING_QP);
    }

    #[test]
    fn pictures_that_shrink_slowly_are_coarsened_more() {
        let wanted = |after: &SizeModel| after.next(0.0, 7_500.0);
        let quick = after(&[(20, 64_000.0), (32, 16_000.0), (32, 16_000.0)]);
        let slow = after(&[(20, 32_000.0), (32, 16_000.0), (32, 16_000.0)]);
        assert!(wanted(&slow) > wanted(&quick), "{} and {}", wanted(&slow), wanted(&quick));
    }

    #[test]
    fn restless_sizes_leave_more_room() {
        let calm = after(&[(30, 30_000.0); 60]);
        let restless: Vec<_> = (0..60).map(|i| (30, if i % 2 == 0 { 20_000.0 } else { 30_000.0 })).collect();
        assert!(after(&restless).next(0.0, 40_000.0) > calm.next(0.0, 40_000.0));
    }
}

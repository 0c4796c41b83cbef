//! Which quantiser a frame is encoded with.

use super::{Kind, Try};

/// Beyond this many frames' shares of credit or debt the quantiser moves even if sizes look right.
const CREDIT_TOLERANCE: f64 = 1.5;
/// Finer than this nobody sees a difference, and the encoder's time grows with every bit.
pub(super) const MIN_QP: u8 = 14;
/// H.264's coarsest quantiser.
pub(super) const MAX_QP: u8 = 51;
/// Bits halve with every this many steps of the quantiser (its step size doubles, 8.5.9).
pub(super) const QP_PER_HALVING: f64 = 6.0;
/// A keyframe may be finer than predicted frames by this much and no more; they would only lose it again.
const KEYFRAME_FINER_QP: u8 = 4;
/// A burst is remembered this long: each frame keeps so much of it.
const BURST_MEMORY: f64 = 0.97;
/// The first predicted frame is coarser than its keyframe, because nobody knows yet what moves.
const FIRST_PREDICTED_COARSER_QP: u8 = 4;
/// Most steps that the quantiser rises at once to fit a frame into the window.
const MAX_COARSENING_QP: f64 = 6.0;

/// The quantiser of predicted frames.
#[derive(Debug, Default)]
pub(super) struct Quantiser {
    /// Of the newest predicted frame, or where the next one starts.
    qp: u8,
    /// Bits that the newest predicted frame had; none yet after the first keyframe.
    size: Option<f64>,
    /// The newest frame was finer than the one before, so that part of its bits were paid once.
    refined: bool,
    /// The largest of the last frames, slowly forgotten.
    burst: f64,
}

impl Quantiser {
    /// The next quantiser, for frames of `share` bits, with `credit` frames' shares to spare and `room`
    /// bits left in the window.
    pub(super) fn next(&self, share: f64, credit: f64, room: f64) -> u8 {
        let Some(size) = self.size else { return self.qp };
        let excess = (size / share).log2();
        let mut change = if excess > 0.3 {
            if self.refined {
                (1.5 * (excess - 1.0)).round().max(0.0)
            } else {
                (3.0 * excess).round().max(1.0)
            }
        } else if credit < -CREDIT_TOLERANCE && excess > -0.5 {
            1.0
        } else if credit > CREDIT_TOLERANCE || credit > 0.0 && excess < -0.15 {
            if excess < -1.0 { -2.0 } else { -1.0 }
        } else {
            0.0
        };
        // What a finer quantiser may cost at once has to fit into the window.
        if change < 0.0 && room < self.burst.max(2.0 * share) {
            change = 0.0;
        }
        if size > room {
            let needed = (QP_PER_HALVING * (size / room.max(1.0)).log2()).ceil();
            // Leaving a frame out hurts less than losing the detail of all that follow.
            change = change.max(if needed <= MAX_COARSENING_QP { needed } else { 0.0 });
        }
        (f64::from(self.qp) + change).clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8
    }

    /// Bits to expect of a frame at `qp`.
    pub(super) fn expected(&self, qp: u8) -> f64 {
        let finer = f64::from(self.qp) - f64::from(qp);
        self.size.map_or(0.0, |size| size * (finer / QP_PER_HALVING).exp2())
    }

    /// The quantiser below which a keyframe would be finer than what follows can hold.
    pub(super) fn finest_keyframe(&self) -> u8 {
        if self.size.is_some() { self.qp.saturating_sub(KEYFRAME_FINER_QP) } else { MIN_QP }
    }

    pub(super) fn seen(&mut self, attempt: Try, bits: f64) {
        match attempt.kind {
            Kind::Keyframe => {
                // What follows refines the keyframe, from its quality on.
                let unknown = if self.size.is_none() { FIRST_PREDICTED_COARSER_QP } else { 0 };
                self.qp = self.qp.max(attempt.qp + unknown).min(MAX_QP);
                self.refined = false;
            }
            Kind::Recovery { .. } => {
                self.size = self.size.map(|_| self.expected(attempt.qp));
                self.qp = attempt.qp;
                self.refined = false;
            }
            Kind::Predicted => {
                self.refined = attempt.qp < self.qp;
                self.qp = attempt.qp;
                self.size = Some(bits);
                self.burst = bits.max(self.burst * BURST_MEMORY);
            }
        }
    }

    /// The target was divided by `factor`: frames should become so much smaller.
    pub(super) fn scale(&mut self, factor: f64) {
        let steps = (QP_PER_HALVING * factor.log2() * 0.5).max(0.0);
        self.qp = (f64::from(self.qp) + steps).clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8;
        self.refined = false;
    }
}

/// Bits of a keyframe of this complexity at `qp`.
pub(super) fn bits_at(complexity: f64, qp: u8) -> f64 {
    (complexity - f64::from(qp) / QP_PER_HALVING).exp2()
}

/// The quantiser that gives a keyframe of this complexity `bits`.
pub(super) fn qp_for(complexity: f64, bits: f64) -> u8 {
    let qp = (QP_PER_HALVING * (complexity - bits.log2())).round();
    qp.clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predicted(qp: u8) -> Try {
        Try { qp, kind: Kind::Predicted, budget_bytes: 0, budgeted: false }
    }

    fn after(qp: u8, bits: f64) -> Quantiser {
        let mut quantiser = Quantiser { qp, ..Quantiser::default() };
        quantiser.seen(predicted(qp), bits);
        quantiser
    }

    #[test]
    fn frames_of_the_right_size_keep_their_quantiser() {
        assert_eq!(after(30, 10_000.0).next(10_000.0, 0.0, 1e6), 30);
    }

    #[test]
    fn large_frames_become_coarser_at_once_and_small_ones_finer_step_by_step() {
        assert_eq!(after(30, 40_000.0).next(10_000.0, 0.0, 1e6), 36);
        assert_eq!(after(30, 7_000.0).next(10_000.0, 0.1, 1e6), 29);
        assert_eq!(after(30, 1_000.0).next(10_000.0, 0.1, 1e6), 28);
    }

    #[test]
    fn the_price_of_one_refinement_is_not_taken_for_the_price_of_every_frame() {
        let mut quantiser = after(30, 10_000.0);
        quantiser.seen(predicted(29), 18_000.0);
        assert_eq!(quantiser.next(10_000.0, 0.0, 1e6), 29);
    }

    #[test]
    fn nothing_is_refined_without_room_for_what_that_has_cost_before() {
        assert_eq!(after(30, 5_000.0).next(10_000.0, 2.0, 15_000.0), 30);
        assert_eq!(after(30, 5_000.0).next(10_000.0, 2.0, 25_000.0), 29);
    }

    #[test]
    fn the_quantiser_stays_within_its_bounds() {
        assert_eq!(after(MAX_QP, 1e6).next(10.0, -3.0, 1e9), MAX_QP);
        assert_eq!(after(MIN_QP, 10.0).next(1e6, 3.0, 1e9), MIN_QP);
    }
}

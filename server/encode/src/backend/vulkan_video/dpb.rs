//! The decoded picture buffer: which slot a frame goes into, and which one it is predicted from.
//!
//! Pure bookkeeping. Every frame is a reference, in a sliding window as a decoder keeps it (H.264 8.2.5.3; HEVC
//! through reference picture sets that say the same). A frame that was lost stays in the window, because the
//! decoder counts it too, and is never predicted from.

use crate::references::References;
use crate::video::Invalidated;
use std::collections::VecDeque;

/// A frame in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// As requested.
    pub(super) frame: u32,
    /// Frames since the keyframe: `frame_num` before wrapping, and half the picture order count.
    pub(super) number: u32,
    /// Layer of the image it was reconstructed into.
    pub(super) slot: u32,
}

/// How the next frame is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The frame itself.
    pub(super) setup: Held,
    /// What it is predicted from; `None` for a keyframe.
    pub(super) reference: Option<Held>,
    /// What the decoder holds before it, newest first; empty for a keyframe.
    pub(super) held: Vec<Held>,
}

/// The buffer of one stream.
#[derive(Debug)]
pub(super) struct Dpb {
    /// Slots of the hardware: one more than frames in the window.
    slots: u32,
    window: VecDeque<Held>,
    references: References,
    /// What the next frame is to be predicted from instead of the newest.
    chosen: Option<u32>,
}

impl Dpb {
    /// A buffer of `slots`, at least 2: one of them is always being written.
    pub(super) fn new(slots: u32) -> Self {
        assert!(slots >= 2, "a frame cannot be predicted from the slot it is written to");
        Self { slots, window: VecDeque::new(), references: References::default(), chosen: None }
    }

    /// Frames that the decoder keeps: `max_num_ref_frames`.
    pub(super) fn window_len(&self) -> u32 {
        self.slots - 1
    }

    /// How `frame` is to be encoded. Nothing changes until it [was](Self::encoded).
    pub(super) fn plan(&self, frame: u32, keyframe: bool) -> Step {
        let wanted = self.chosen.or_else(|| self.references.newest());
        let reference = wanted.and_then(|wanted| {
            let held = self.window.iter().find(|held| held.frame == wanted)?;
            self.references.is_intact(wanted).then_some(*held)
        });
        let Some(reference) = reference.filter(|_| !keyframe) else {
            return Step { setup: Held { frame, number: 0, slot: 0 }, reference: None, held: Vec::new() };
        };
        let newest = self.window.back().map_or(0, |held| held.number);
        let taken = |slot: &u32| self.window.iter().any(|held| held.slot == *slot);
        let slot = (0..self.slots).find(|slot| !taken(slot)).unwrap_or(0);
        let held = self.window.iter().rev().copied().collect();
        Step { setup: Held { frame, number: newest + 1, slot }, reference: Some(reference), held }
    }

    /// `step` was encoded and is sent.
    pub(super) fn encoded(&mut self, step: &Step) {
        if step.reference.is_none() {
            self.window.clear();
        }
        if self.window.len() as u32 == self.window_len() {
            self.window.pop_front();
        }
        self.window.push_back(step.setup);
        let refers_to = step.reference.map(|held| held.frame);
        self.references.sent(step.setup.frame, step.setup.number, refers_to);
        self.chosen = None;
    }

    /// The receiver has `frame`.
    pub(super) fn acknowledge(&mut self, frame: u32) {
        self.references.acknowledge(frame);
    }

    /// Nothing after `newest_good` may be predicted from.
    pub(super) fn invalidate(&mut self, newest_good: u32) -> Invalidated {
        self.references.acknowledge(newest_good);
        self.references.lose_after(newest_good);
        let received = |held: &&Held| held.frame <= newest_good && self.references.has(held.frame);
        let found = self.window.iter().rev().find(received).map(|held| held.frame);
        self.chosen = found;
        match found {
            Some(frame) => Invalidated::Refers { frame },
            None => {
                self.window.clear();
                Invalidated::KeyframeNeeded
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(dpb: &mut Dpb, frame: u32, keyframe: bool) -> Step {
        let step = dpb.plan(frame, keyframe);
        dpb.encoded(&step);
        step
    }

    #[test]
    fn frames_follow_each_other_and_slots_are_reused_in_turns() {
        let mut dpb = Dpb::new(4);
        assert_eq!(sent(&mut dpb, 0, false).reference, None, "the first frame is a keyframe unasked");
        for frame in 1..20 {
            let step = sent(&mut dpb, frame, false);
            assert_eq!(step.reference.map(|held| held.frame), Some(frame - 1));
            assert_eq!(step.setup.number, frame);
            assert!(step.held.len() <= 3 && step.held.iter().all(|held| held.slot != step.setup.slot));
        }
        let step = sent(&mut dpb, 20, true);
        assert_eq!((step.reference, step.setup.number, step.held.len()), (None, 0, 0));
    }

    #[test]
    fn after_a_loss_the_newest_acknowledged_frame_is_built_on() {
        let mut dpb = Dpb::new(6);
        (0..5).for_each(|frame| drop(sent(&mut dpb, frame, false)));
        dpb.acknowledge(2);
        assert_eq!(dpb.invalidate(3), Invalidated::Refers { frame: 3 });
        let step = sent(&mut dpb, 5, false);
        assert_eq!(step.reference.map(|held| held.frame), Some(3));
        assert_eq!(step.held.len(), 5, "the decoder still counts what was lost");
        assert_eq!(
            sent(&mut dpb, 6, false).reference.map(|held| held.frame),
            Some(5),
            "and goes on from there"
        );
        assert_eq!(dpb.invalidate(4), Invalidated::Refers { frame: 3 }, "4 was lost before");
    }

    #[test]
    fn a_reference_that_has_left_the_buffer_asks_for_a_keyframe() {
        let mut dpb = Dpb::new(4);
        (0..10).for_each(|frame| drop(sent(&mut dpb, frame, false)));
        assert_eq!(dpb.invalidate(5), Invalidated::KeyframeNeeded);
        assert_eq!(sent(&mut dpb, 10, false).reference, None);
    }

    #[test]
    fn a_frame_that_failed_changes_nothing() {
        let mut dpb = Dpb::new(4);
        sent(&mut dpb, 0, true);
        let failed = dpb.plan(1, false);
        assert_eq!(dpb.plan(1, false), failed);
    }

    proptest! {
        #[test]
        fn whatever_happens_nothing_lost_is_predicted_from(
            slots in 2u32..9, acts in proptest::collection::vec((0u8..10, 0u32..12), 1..200),
        ) {
            let mut dpb = Dpb::new(slots);
            let (mut next, mut lost) = (0_u32, Vec::<u32>::new());
            for (act, back) in acts {
                match act {
                    0 => dpb.acknowledge(next.saturating_sub(back)),
                    1 if next > 0 => {
                        let good = (next - 1).saturating_sub(back);
                        lost.extend(good + 1..next);
                        let told = dpb.invalidate(good);
                        if let Invalidated::Refers { frame } = told {
                            prop_assert!(frame <= good && !lost.contains(&frame));
                        }
                    }
                    _ => {
                        let step = dpb.plan(next, act == 9);
                        if let Some(reference) = step.reference {
                            prop_assert!(!lost.contains(&reference.frame));
                            prop_assert!(reference.slot != step.setup.slot);
                            prop_assert!(step.held.contains(&reference));
                        }
                        prop_assert!(step.setup.slot < slots && step.held.len() < slots as usize);
                        let mut used: Vec<_> = step.held.iter().map(|held| held.slot).collect();
                        used.sort_unstable();
                        used.dedup();
                        prop_assert_eq!(used.len(), step.held.len());
                        // A frame that pushes the oldest out of a full window may take only a free slot.
                        dpb.encoded(&step);
                        next += 1;
                    }
                }
            }
        }
    }
}

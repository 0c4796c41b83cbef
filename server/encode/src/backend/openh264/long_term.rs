//! What the library holds as long-term references, as far as its slice headers tell.
//!
//! The library keeps one reference that it was told is received, the base, and marks one candidate for the
//! next; feedback makes the candidate the base. A recovery request makes the next picture refer to the base
//! alone. Everything here follows the slice headers that came out, and what contradicts them is not sent.

use crate::h264::{Marking, NalKind, Reference, SliceHeader, Sps, nals};
use crate::references::References;
use crate::video::Invalidated;

/// Long-term indices that the library uses (its `LONG_TERM_REF_NUM`).
const SLOTS: usize = 2;

/// A frame that became a long-term reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    frame: u32,
    frame_num: u32,
    /// The frame that says so: the same one or the next.
    by: u32,
}

/// A mark on its way to become the base.
#[derive(Clone, Copy, Debug)]
enum Candidate {
    /// The receiver has to get it first.
    Marked(Mark),
    /// The library knows that the receiver has it, and acts on it with the next picture.
    Confirmed(Mark),
}

/// To tell the library: the receiver has the picture that was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feedback {
    pub(super) idr_pic_id: u32,
    pub(super) frame_num: u32,
}

/// To ask of the library: the next picture refers to the base alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    pub(super) idr_pic_id: u32,
    /// Of the newest frame that is good.
    pub(super) last_correct: u32,
    /// Of the newest frame that was encoded, sent or not.
    pub(super) current: u32,
}

/// One encoded picture, as its slice headers describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) refers_to: Option<u32>,
    frame_num: u32,
    mark: Option<(Mark, usize)>,
}

/// The references of one stream.
#[derive(Debug, Default)]
pub(super) struct LongTerm {
    history: References,
    sps: Option<Sps>,
    idr_pic_id: u32,
    /// Of the newest encoded picture, sent or not.
    frame_num: u32,
    base: Option<Mark>,
    candidate: Option<Candidate>,
    /// Frames at the long-term indices.
    slots: [Option<u32>; SLOTS],
    /// The next picture must refer to nothing after this frame.
    good_until: Option<u32>,
}

impl LongTerm {
    /// Reads what the library made of `frame`. `None`: the picture refers to something that the receiver
    /// cannot have, or is broken; it must not be sent, and a keyframe has to follow.
    pub(super) fn read(&mut self, frame: u32, stream: &[u8]) -> Option<Picture> {
        let mut first: Option<SliceHeader> = None;
        for nal in nals(stream) {
            match nal.kind() {
                NalKind::Sps => self.sps = Some(Sps::parse(&nal)?),
                NalKind::Slice | NalKind::IdrSlice => {
                    let header = SliceHeader::parse(&nal, self.sps.as_ref()?)?;
                    let said = first.get_or_insert(header);
                    let agrees = said.frame_num == header.frame_num
                        && said.idr_pic_id == header.idr_pic_id
                        && said.reference == header.reference
                        && said.marking == header.marking;
                    if !agrees {
                        return None;
                    }
                }
                _ => {}
            }
        }
        let header = first?;
        self.encoded(&header);
        let refers_to = match header.reference {
            Some(reference) => Some(self.resolve(reference, header.frame_num)?),
            None if header.idr_pic_id.is_some() => None,
            None => return None,
        };
        let mark = match header.marking {
            Some(marking) => Some(self.mark(frame, header.frame_num, marking)?),
            None => None,
        };
        Some(Picture { refers_to, frame_num: header.frame_num, mark })
    }

    /// The picture was handed out.
    pub(super) fn sent(&mut self, frame: u32, picture: Picture) {
        self.history.sent(frame, picture.frame_num, picture.refers_to);
        self.good_until = None;
        let Some((mark, slot)) = picture.mark else { return };
        self.slots[slot] = Some(mark.frame);
        if picture.refers_to.is_none() {
            self.base = Some(mark);
        } else {
            self.candidate = Some(Candidate::Marked(mark));
        }
    }

    /// The picture was thrown away: the next one must not refer to it.
    pub(super) fn discarded(&mut self) {
        self.good_until = self.good_until.or(self.history.newest());
    }

    /// The receiver has `frame`. Answers what the library is to be told.
    pub(super) fn acknowledge(&mut self, frame: u32) -> Option<Feedback> {
        self.history.acknowledge(frame);
        let Some(Candidate::Marked(mark)) = self.candidate else { return None };
        if !self.history.has(mark.frame) || !self.history.has(mark.by) {
            return None;
        }
        self.candidate = Some(Candidate::Confirmed(mark));
        Some(Feedback { idr_pic_id: self.idr_pic_id, frame_num: mark.frame_num })
    }

    /// Nothing after `newest_good` arrived whole; a reference may be `oldest` frames old.
    pub(super) fn invalidate(&mut self, newest_good: u32, oldest: u32) -> Invalidated {
        self.history.lose_after(newest_good);
        let Some(newest) = self.history.newest() else { return Invalidated::KeyframeNeeded };
        if newest <= newest_good && self.history.is_intact(newest) && self.good_until.is_none() {
            return Invalidated::Refers { frame: newest };
        }
        let limit = self.good_until.map_or(newest_good, |limit| limit.min(newest_good));
        match self.base_for(newest.saturating_add(1), oldest) {
            Some(base) if base.frame <= limit => {
                self.good_until = Some(limit);
                Invalidated::Refers { frame: base.frame }
            }
            _ => Invalidated::KeyframeNeeded,
        }
    }

    /// How many frames old the reference is that `frame` has to go back to; `None` where the frame before
    /// will do.
    pub(super) fn recovery_age(&self, frame: u32) -> Option<u32> {
        self.good_until.and(self.base).map(|base| frame.saturating_sub(base.frame).max(1))
    }

    /// How many frames old the reference is that `frame` could go back to; `None` where there is none of
    /// at most `oldest`.
    pub(super) fn age_at(&self, frame: u32, oldest: u32) -> Option<u32> {
        self.base_for(frame, oldest).map(|base| frame.saturating_sub(base.frame).max(1))
    }

    /// What to ask of the library before it encodes a picture that goes back to the base.
    pub(super) fn recovery(&mut self) -> Option<Recovery> {
        let limit = self.good_until?;
        let last_correct = self.history.frame_num_up_to(limit)?;
        // With the request the library forgets a mark that something after the limit made.
        if let Some(Candidate::Marked(mark) | Candidate::Confirmed(mark)) = self.candidate
            && mark.by > limit
        {
            self.candidate = None;
        }
        Some(Recovery { idr_pic_id: self.idr_pic_id, last_correct, current: self.frame_num })
    }

    fn base_for(&self, frame: u32, oldest: u32) -> Option<Mark> {
        self.base.filter(|base| self.history.has(base.frame) && frame.saturating_sub(base.frame) <= oldest)
    }

    /// The library's state moves on with every picture, sent or not.
    fn encoded(&mut self, header: &SliceHeader) {
        self.frame_num = header.frame_num;
        if let Some(idr_pic_id) = header.idr_pic_id {
            self.idr_pic_id = idr_pic_id;
            (self.base, self.candidate, self.good_until) = (None, None, None);
            self.slots = [None; SLOTS];
        }
        if let Some(Candidate::Confirmed(mark)) = self.candidate {
            self.base = Some(mark);
            self.candidate = None;
        }
    }

    /// The frame behind a reference, if the receiver can have it.
    fn resolve(&self, reference: Reference, frame_num: u32) -> Option<u32> {
        let frame = match reference {
            Reference::LongTerm(index) => (*self.slots.get(index as usize)?)?,
            Reference::Before(pictures) => {
                let modulus = 1 << self.sps.as_ref()?.frame_num_bits;
                let before = frame_num.checked_add(modulus)?.checked_sub(pictures)? % modulus;
                self.history.with_frame_num(before)?
            }
        };
        let limit = self.good_until.unwrap_or(u32::MAX);
        (self.history.is_intact(frame) && frame <= limit).then_some(frame)
    }

    fn mark(&self, frame: u32, frame_num: u32, marking: Marking) -> Option<(Mark, usize)> {
        let (marked, number, index) = match marking {
            Marking::Current { index } => (frame, frame_num, index),
            Marking::Before { pictures, index } => {
                let modulus = 1 << self.sps.as_ref()?.frame_num_bits;
                let before = frame_num.checked_add(modulus)?.checked_sub(pictures)? % modulus;
                (self.history.with_frame_num(before)?, before, index)
            }
        };
        let slot = usize::try_from(index).ok().filter(|&slot| slot < SLOTS)?;
        Some((Mark { frame: marked, frame_num: number, by: frame }, slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::{BitWriter, push_nal};
    use proptest::prelude::*;

    const IDR: u8 = 0x65;
    const PREDICTED: u8 = 0x61;
    const OLDEST: u32 = 10;

    /// The head of a slice: list modification and marking operations as the library writes them.
    fn slice(header: u8, macroblock: u32, frame_num: u32, modification: &[u32], marking: &[u32]) -> Vec<u8> {
        let mut bits = BitWriter::default();
        [macroblock, if header == IDR { 7 } else { 5 }, 0].iter().for_each(|&v| bits.unsigned(v));
        bits.bits(frame_num, 16);
        if header == IDR {
            bits.unsigned(1);
            bits.bits(0b01, 2);
        } else {
            bits.bit(false);
            for commands in [modification, marking] {
                bits.bit(!commands.is_empty());
                commands.iter().for_each(|&v| bits.unsigned(v));
            }
        }
        let mut stream = Vec::new();
        push_nal(&mut stream, header, &bits.finish());
        stream
    }

    fn keyframe() -> Vec<u8> {
        let mut stream = Vec::new();
        push_nal(&mut stream, 0x67, &Sps::constrained_baseline(64, 64, 30).write());
        stream.extend(slice(IDR, 0, 0, &[], &[]));
        stream
    }

    fn send(references: &mut LongTerm, frame: u32, stream: &[u8]) -> Option<u32> {
        let picture = references.read(frame, stream).expect("it may be sent");
        references.sent(frame, picture);
        picture.refers_to
    }

    /// A keyframe, frame 1 from it, and frame 2, which marks frame 1 for index 1.
    fn marked() -> LongTerm {
        let mut references = LongTerm::default();
        assert_eq!(send(&mut references, 0, &keyframe()), None);
        assert_eq!(send(&mut references, 1, &slice(PREDICTED, 0, 1, &[2, 0, 3], &[])), Some(0));
        assert_eq!(send(&mut references, 2, &slice(PREDICTED, 0, 2, &[], &[3, 0, 1, 0])), Some(1));
        references
    }

    #[test]
    fn a_mark_becomes_the_base_once_it_and_what_made_it_are_received() {
        let mut references = marked();
        assert_eq!(references.acknowledge(1), None);
        assert_eq!(references.age_at(3, OLDEST), Some(3), "the keyframe is the base");
        assert_eq!(references.acknowledge(2), Some(Feedback { idr_pic_id: 1, frame_num: 1 }));
        assert_eq!(references.acknowledge(2), None, "the library is told once");
        assert_eq!(references.age_at(3, OLDEST), Some(3), "the library acts with the next picture");
        assert_eq!(send(&mut references, 3, &slice(PREDICTED, 0, 3, &[], &[])), Some(2));
        assert_eq!(references.age_at(4, OLDEST), Some(3));
    }

    #[test]
    fn a_mark_made_by_what_was_lost_is_forgotten() {
        let mut references = marked();
        references.acknowledge(1);
        assert_eq!(references.invalidate(1, OLDEST), Invalidated::Refers { frame: 0 });
        assert_eq!(references.recovery(), Some(Recovery { idr_pic_id: 1, last_correct: 1, current: 2 }));
        assert_eq!(send(&mut references, 3, &slice(PREDICTED, 0, 3, &[2, 0, 3], &[])), Some(0));
        assert_eq!(references.acknowledge(3), None);
        assert_eq!(references.age_at(4, OLDEST), Some(4));
    }

    #[test]
    fn a_base_that_is_too_old_is_no_reference() {
        let mut references = marked();
        references.acknowledge(2);
        assert_eq!(references.age_at(10, OLDEST), Some(10));
        assert_eq!(references.age_at(11, OLDEST), None);
        assert_eq!(references.invalidate(1, 2), Invalidated::KeyframeNeeded);
        assert_eq!(references.invalidate(9, 2), Invalidated::KeyframeNeeded, "lost stays lost");
    }

    #[test]
    fn a_picture_that_refers_to_what_was_lost_or_thrown_away_is_refused() {
        let mut references = marked();
        references.acknowledge(1);
        references.invalidate(1, OLDEST);
        assert_eq!(references.read(3, &slice(PREDICTED, 0, 3, &[], &[])), None, "refers to frame 2");
        let mut references = marked();
        references.read(3, &slice(PREDICTED, 0, 3, &[], &[])).expect("it may be sent");
        references.discarded();
        assert_eq!(
            references.read(3, &slice(PREDICTED, 0, 4, &[], &[])),
            None,
            "refers to the discarded one"
        );
        assert_eq!(references.read(3, &slice(PREDICTED, 0, 5, &[2, 5, 3], &[])), None, "no such index");
    }

    #[test]
    fn slices_that_contradict_each_other_are_refused() {
        let mut references = marked();
        let two = |second: &[u32]| {
            [slice(PREDICTED, 0, 3, &[2, 1, 3], &[]), slice(PREDICTED, 9, 3, second, &[])].concat()
        };
        assert_eq!(references.read(3, &two(&[2, 0, 3])), None);
        assert!(references.read(3, &two(&[2, 1, 3])).is_some());
        assert_eq!(references.read(3, &[]), None, "nothing came out");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut references = marked();
            let stream = [&[0, 0, 1, PREDICTED][..], &bytes].concat();
            if let Some(picture) = references.read(3, &stream) {
                references.sent(3, picture);
            }
            references.acknowledge(3);
            references.invalidate(2, OLDEST);
            references.recovery();
        }
    }
}

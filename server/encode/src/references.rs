//! Which frame was predicted from which, and which of them the receiver has.
//!
//! Pure bookkeeping for backends that can predict from older frames. A frame counts as the receiver's only
//! when that was said of it or of one predicted from it; what was lost never counts again.

use std::collections::VecDeque;

/// Frames remembered since the newest keyframe: four seconds at 60 a second, far more than a reference
/// may be old.
const REMEMBERED: usize = 256;

/// What is known about a frame that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Underway,
    Received,
    /// It, or something it depends on, never arrived.
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    frame: u32,
    frame_num: u32,
    refers_to: Option<u32>,
    fate: Fate,
}

/// The frames since the newest keyframe.
#[derive(Debug, Default)]
pub(crate) struct References {
    sent: VecDeque<Sent>,
}

impl References {
    /// `frame` was handed out with this `frame_num`, predicted from `refers_to`; a keyframe begins anew.
    pub(crate) fn sent(&mut self, frame: u32, frame_num: u32, refers_to: Option<u32>) {
        if refers_to.is_none() {
            self.sent.clear();
        }
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { frame, frame_num, refers_to, fate: Fate::Underway });
    }

    /// The receiver has `frame`, and so everything that it was predicted from.
    pub(crate) fn acknowledge(&mut self, frame: u32) {
        let mut next = Some(frame);
        while let Some(sent) = next.and_then(|frame| self.find_mut(frame)) {
            if sent.fate != Fate::Underway {
                return;
            }
            sent.fate = Fate::Received;
            next = sent.refers_to;
        }
    }

    /// Nothing after `newest_good` may be relied on any more.
    pub(crate) fn lose_after(&mut self, newest_good: u32) {
        for sent in self.sent.iter_mut().rev().take_while(|sent| sent.frame > newest_good) {
            sent.fate = Fate::Lost;
        }
    }

    /// Whether the receiver surely has `frame`.
    pub(crate) fn has(&self, frame: u32) -> bool {
        self.find(frame).is_some_and(|sent| sent.fate == Fate::Received)
    }

    /// Whether `frame` can still be predicted from: sent since the keyframe and not lost.
    pub(crate) fn is_intact(&self, frame: u32) -> bool {
        self.find(frame).is_some_and(|sent| sent.fate != Fate::Lost)
    }

    /// The newest frame that was sent.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.sent.back().map(|sent| sent.frame)
    }

    /// The newest frame up to `limit` that the receiver surely has.
    pub(crate) fn newest_received(&self, limit: u32) -> Option<u32> {
        let received = |sent: &&Sent| sent.frame <= limit && sent.fate == Fate::Received;
        self.sent.iter().rev().find(received).map(|sent| sent.frame)
    }

    /// The `frame_num` of the newest frame up to `limit`.
    pub(crate) fn frame_num_up_to(&self, limit: u32) -> Option<u32> {
        self.sent.iter().rev().find(|sent| sent.frame <= limit).map(|sent| sent.frame_num)
    }

    /// The newest frame with this `frame_num`.
    pub(crate) fn with_frame_num(&self, frame_num: u32) -> Option<u32> {
        self.sent.iter().rev().find(|sent| sent.frame_num == frame_num).map(|sent| sent.frame)
    }

    fn find(&self, frame: u32) -> Option<&Sent> {
        let at = self.sent.binary_search_by_key(&frame, |sent| sent.frame).ok()?;
        self.sent.get(at)
    }

    fn find_mut(&mut self, frame: u32) -> Option<&mut Sent> {
        let at = self.sent.binary_search_by_key(&frame, |sent| sent.frame).ok()?;
        self.sent.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames 0 to 9, each predicted from the one before.
    fn chain() -> References {
        let mut references = References::default();
        (0..10).for_each(|frame| references.sent(frame, frame, frame.checked_sub(1)));
        references
    }

    #[test]
    fn a_received_frame_stands_for_all_that_it_depends_on() {
        let mut references = chain();
        references.acknowledge(4);
        assert!((0..=4).all(|frame| references.has(frame)) && !references.has(5));
        assert_eq!((references.newest_received(9), references.newest_received(2)), (Some(4), Some(2)));
    }

    #[test]
    fn what_was_lost_is_never_received_and_what_goes_around_it_is() {
        let mut references = chain();
        references.acknowledge(3);
        references.lose_after(5);
        references.acknowledge(8);
        assert!(!references.has(8) && !references.is_intact(6) && references.is_intact(5));
        references.sent(10, 10, Some(3));
        references.acknowledge(10);
        assert!(references.has(10) && !references.has(5) && !references.has(9));
    }

    #[test]
    fn a_keyframe_begins_anew_and_memory_is_bounded() {
        let mut references = chain();
        references.sent(10, 0, None);
        references.acknowledge(9);
        assert!(!references.has(9) && !references.is_intact(9));
        (11..2_000).for_each(|frame| references.sent(frame, frame, Some(frame - 1)));
        assert_eq!(references.sent.len(), REMEMBERED);
        references.acknowledge(1_999);
        assert!(references.has(1_999) && !references.is_intact(11));
    }

    #[test]
    fn numbers_that_were_never_sent_are_nobody_s() {
        let mut references = chain();
        references.acknowledge(77);
        references.lose_after(77);
        assert!(!references.has(77) && references.is_intact(9));
        assert_eq!((references.frame_num_up_to(77), references.with_frame_num(77)), (Some(9), None));
    }
}

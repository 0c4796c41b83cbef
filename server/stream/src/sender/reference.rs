//! Frames that are lost for good: the encoder goes on from one that the receiver has, or with a keyframe.

use super::{MediaSender, SenderEvent, UNKNOWN_RTT, VideoFrame};
use crate::references::Ask;
use std::time::{Duration, Instant};

impl MediaSender {
    /// The encoder has no reference as old as `ReferenceLost` told it: the next frame it makes is a
    /// keyframe, and is asked for here.
    pub fn reference_too_old(&mut self, now: Instant) {
        self.drop_queue();
        self.keyframes.broken();
        self.ask_keyframe(now);
    }

    /// Whether the receiver can go on without a keyframe: it reads what frames refer to, and says what
    /// arrived.
    pub(super) fn keeps_references(&self) -> bool {
        let extensions = self.config.extensions;
        extensions.dependency_descriptor.is_some() && extensions.transport_cc.is_some()
    }

    /// Whether a frame can be shown, as far as is known. Where it cannot, it is dropped and what the picture
    /// needs is asked for.
    pub(super) fn admits(&mut self, now: Instant, frame: &VideoFrame<'_>, refers_to: Option<u32>) -> bool {
        let usable = |reference| self.frames.is_usable(frame.frame, reference);
        if self.keyframes.awaited() && !frame.keyframe {
            self.stats.frames_dropped += 1;
            self.ask_keyframe(now);
            return false;
        }
        if self.keeps_references() && !refers_to.is_none_or(usable) {
            self.stats.frames_dropped += 1;
            self.ask_reference(now);
            return false;
        }
        self.references.pushed(now);
        true
    }

    /// Video in the pacer that waited too long is dropped.
    pub(super) fn drop_stale(&mut self, now: Instant) {
        if !self.pacer.is_stale(now) {
            return;
        }
        let unsent = self.video_left;
        let only_parity = unsent == self.video_sequence;
        self.drop_queue();
        if only_parity {
            return;
        }
        if self.keeps_references() {
            self.frames.lose_from(unsent);
            self.ask_reference(now);
        } else {
            self.keyframes.broken();
            self.ask_keyframe(now);
        }
    }

    /// The frames of these packets are lost for good.
    pub(super) fn lose(&mut self, now: Instant, sequences: &[u64]) {
        let newest = sequences.iter().fold(false, |_, &sequence| self.frames.lose(sequence));
        if newest {
            self.drop_queue();
            self.ask_reference(now);
        }
    }

    pub(super) fn on_pli(&mut self, now: Instant) {
        let rtt = self.rtt.smoothed().unwrap_or(UNKNOWN_RTT);
        if self.pacer.keyframe_waits() || self.keyframes.answers(now, rtt) {
            return;
        }
        if !self.keeps_references() || self.keyframes.awaited() {
            self.ask_keyframe(now);
            return;
        }
        let way = rtt + 2 * Duration::from_secs(1) / self.config.fps;
        match self.references.reported(now, way) {
            Ask::Now => {
                self.frames.lose_unsure();
                self.drop_queue();
                self.tell_reference(now);
            }
            Ask::Wait => {}
            Ask::Keyframe => self.ask_keyframe(now),
        }
    }

    pub(super) fn ask_keyframe(&mut self, now: Instant) {
        if self.keyframes.ask(now) {
            self.stats.keyframe_requests += 1;
            self.push_event(SenderEvent::KeyframeNeeded);
        }
    }

    fn ask_reference(&mut self, now: Instant) {
        match self.references.ask(now) {
            Ask::Now => self.tell_reference(now),
            Ask::Wait => {}
            Ask::Keyframe => self.reference_too_old(now),
        }
    }

    fn tell_reference(&mut self, now: Instant) {
        match self.frames.newest_good() {
            Some(newest_good) => {
                self.stats.references_lost += 1;
                self.push_event(SenderEvent::ReferenceLost { newest_good });
            }
            None => self.reference_too_old(now),
        }
    }

    /// Drops all video that waits, and what was to protect it.
    fn drop_queue(&mut self) {
        self.stats.frames_dropped += self.pacer.drop_video();
        self.video_left = self.video_sequence;
        self.fec.discard();
    }
}

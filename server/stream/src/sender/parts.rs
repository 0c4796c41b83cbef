//! Pictures that come in parts: their packets leave while the rest is still being encoded.
//!
//! Which packet is the last of a picture is known only with the part after it, so that one packet of each part waits.

use super::{MediaSender, VideoFrame};
use crate::codec;
use crate::descriptor::FrameRefs;
use crate::pacer::Queued;
use std::time::Instant;

/// A picture whose end has not come.
#[derive(Debug)]
pub(super) struct Open {
    number: u32,
    /// `None`: nothing more of it is sent.
    refs: Option<FrameRefs>,
    /// Sequence number of its first packet, once there is one.
    first: Option<u64>,
    /// Its newest packet.
    held: Option<Queued>,
}

impl MediaSender {
    /// Queues a part of a picture that is still being encoded, as [`Self::push_video`] does with whole ones: `data` is
    /// one or more whole NAL units (H.264, HEVC), and nothing where a `last` part only says that the picture is over.
    /// Keyframes come whole; a part of one is dropped. Where another picture comes before the last part, this one is
    /// lost.
    pub fn push_video_part(&mut self, now: Instant, part: VideoFrame<'_>, last: bool) {
        self.drop_stale(now);
        if part.keyframe {
            return;
        }
        let open = match self.open.take() {
            Some(open) if open.number == part.frame => open,
            other => {
                self.open = other;
                self.abandon(now);
                let refs = self.admit(now, &part);
                Open { number: part.frame, refs, first: None, held: None }
            }
        };
        let open = self.go_on(now, &part, open, last);
        self.open = (!last).then_some(open);
    }

    fn go_on(&mut self, now: Instant, part: &VideoFrame<'_>, mut open: Open, last: bool) -> Open {
        let lost = open.first.is_some_and(|first| self.frames.is_broken(first) || self.keyframes.awaited());
        let Some(refs) = open.refs.filter(|_| !lost) else {
            return Open { refs: None, held: None, ..open };
        };
        let payloads = codec::packetize(part, self.config.max_payload, self.video_sequence);
        let begins = open.first.is_none();
        match (begins, payloads.len()) {
            (true, 0) => return open,
            (true, count) => {
                self.offered = Some(open.number);
                open.first = Some(self.video_sequence);
                self.frames.push(now, refs, self.video_sequence, count);
                self.frames.extend(0);
            }
            (false, count) => self.frames.extend(count),
        }
        self.ceiling.spent(part.data.len());
        let fresh = self.queue_up(now, part, payloads, begins);
        let mut packets: Vec<_> = open.held.take().into_iter().chain(fresh).collect();
        if last {
            self.frames.close();
            if let Some(end) = packets.last_mut() {
                end.packet.marker = true;
            }
        } else {
            open.held = packets.pop();
        }
        if !packets.is_empty() {
            self.enqueue(now, part, packets, last);
        }
        open
    }

    /// Gives a picture up that will not end; which one that was. What was kept of it leaves, so that no number is
    /// missing.
    pub(super) fn abandon(&mut self, now: Instant) -> Option<u32> {
        let open = self.open.take()?;
        if let Some(first) = open.first {
            self.frames.close();
            self.frames.lose(first);
            if !self.keeps_references() {
                self.keyframes.broken();
            }
            let held = open.held.filter(|_| open.refs.is_some());
            let window = self.window(now, false, 0);
            self.pacer.push_video(now, window, held.into_iter());
        }
        Some(open.number)
    }
}

//! When each packet leaves.
//!
//! Audio leaves at once, repairs before video, video in order. Video leaves at the pace rate or as fast as
//! its window asks, whichever is faster. The sender asks for a frame to leave within half its interval and
//! a keyframe within two; on a path that carries all that is asked for, within an eighth and a half, and once
//! it has done so for long, in one go ([`WHOLE_FRAME_WINDOW`]); before a known bottleneck, where speed only
//! fills its queue, within [`CONSTRAINED_WINDOW`].

use crate::retransmit::Stored;
use crate::rtp::PacketKind;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets of this much time leave together, so that no timer is finer.
const GROUP: Duration = Duration::from_millis(1);
/// A timer that fires late may be made up for by a burst of at most this much time.
const CATCH_UP: Duration = Duration::from_millis(5);
/// Pace rate over target: a frame of average size leaves in 0.4 of its interval.
pub(crate) const PACE_FACTOR: f64 = 2.5;
/// The same on a path that carries all that is asked for: what waits here is only seen later.
pub(crate) const AMPLE_PACE_FACTOR: f64 = 10.0;
/// The same before a bottleneck, which lets the frame through no sooner.
pub(crate) const CONSTRAINED_PACE_FACTOR: f64 = 1.5;
/// A frame with this window leaves at once, as one group.
pub(crate) const WHOLE_FRAME_WINDOW: Duration = GROUP;
/// Whatever waits longer shows the player the past; the queue is dropped and a keyframe asked for.
pub(crate) const MAX_QUEUE_AGE: Duration = Duration::from_millis(250);
/// Below [`MAX_QUEUE_AGE`], so that pacing alone never makes a queue too old.
pub(crate) const CONSTRAINED_WINDOW: Duration = Duration::from_millis(200);
/// Memory bound: four keyframes of 1 MB. Time bounds the queue long before.
const MAX_VIDEO_PACKETS: usize = 4096;
/// Audio is handed out at once; more than this is a caller that never polls.
const MAX_AUDIO_PACKETS: usize = 64;
/// A request names at most some hundred packets; more repairs are bounded in time by the sender.
const MAX_REPAIRS: usize = 512;

/// Which stream a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Video,
    Audio,
}

/// A packet that waits.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) stream: Stream,
    pub(crate) kind: PacketKind,
    pub(crate) packet: Stored,
    /// Number of the frame, where this is its first packet.
    pub(crate) begins: Option<u32>,
    /// Whether the packet belongs to a keyframe.
    pub(crate) keyframe: bool,
    pub(crate) since: Instant,
}

impl Queued {
    fn bits(&self) -> f64 {
        self.packet.data.len() as f64 * 8.0
    }
}

/// The queues and the clock that empties them.
#[derive(Debug)]
pub(crate) struct Pacer {
    audio: VecDeque<Queued>,
    repairs: VecDeque<Queued>,
    video: VecDeque<Queued>,
    video_bits: f64,
    repair_bits: f64,
    /// The rate, in bits a second, that the waiting video's windows ask for.
    required_bps: f64,
    /// When the waiting video is to have left.
    deadline: Instant,
    /// When what has left so far is through, at the pace rate.
    busy_until: Instant,
    group_end: Instant,
}

impl Pacer {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            audio: VecDeque::new(),
            repairs: VecDeque::new(),
            video: VecDeque::new(),
            video_bits: 0.0,
            repair_bits: 0.0,
            required_bps: 0.0,
            deadline: now,
            busy_until: now,
            group_end: now,
        }
    }

    pub(crate) fn push_audio(&mut self, queued: Queued) {
        if self.audio.len() >= MAX_AUDIO_PACKETS {
            self.audio.pop_front();
        }
        self.audio.push_back(queued);
    }

    /// Queues a repair; false where there are too many already.
    pub(crate) fn push_repair(&mut self, now: Instant, queued: Queued) -> bool {
        if self.repairs.len() >= MAX_REPAIRS {
            return false;
        }
        self.wake(now);
        self.repair_bits += queued.bits();
        self.repairs.push_back(queued);
        true
    }

    /// Queues a frame's packets, to leave within `window` after those that already wait.
    pub(crate) fn push_video(
        &mut self,
        now: Instant,
        window: Duration,
        packets: impl Iterator<Item = Queued>,
    ) {
        self.wake(now);
        for queued in packets {
            self.video_bits += queued.bits();
            self.video.push_back(queued);
        }
        self.deadline = self.deadline.max(now + window);
        let left = self.deadline.saturating_duration_since(now).max(GROUP);
        self.required_bps = self.required_bps.max((self.video_bits + self.repair_bits) / left.as_secs_f64());
    }

    /// The next packet that may leave now, at `pace_bps` or faster.
    pub(crate) fn poll(&mut self, now: Instant, pace_bps: f64) -> Option<Queued> {
        if let Some(queued) = self.audio.pop_front() {
            return Some(queued);
        }
        if self.repairs.is_empty() && self.video.is_empty() {
            self.required_bps = 0.0;
            return None;
        }
        if !self.may_send(now) {
            return None;
        }
        let queued = self.repairs.pop_front().or_else(|| self.video.pop_front())?;
        let waiting = match queued.kind {
            PacketKind::Video | PacketKind::Fec => &mut self.video_bits,
            _ => &mut self.repair_bits,
        };
        *waiting = (*waiting - queued.bits()).max(0.0);
        self.spend(now, queued.bits(), pace_bps.max(self.required_bps));
        Some(queued)
    }

    /// Whether the schedule lets a packet go now.
    pub(crate) fn may_send(&mut self, now: Instant) -> bool {
        if self.busy_until <= now {
            self.group_end = now + GROUP;
        }
        self.busy_until < self.group_end
    }

    /// Accounts for a packet that leaves at `rate_bps`.
    pub(crate) fn spend(&mut self, now: Instant, bits: f64, rate_bps: f64) {
        let begins = self.busy_until.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        self.busy_until = begins + Duration::from_secs_f64(bits / rate_bps.max(1000.0));
    }

    /// An idle pacer saves nothing up.
    fn wake(&mut self, now: Instant) {
        if self.video.is_empty() && self.repairs.is_empty() {
            self.busy_until = self.busy_until.max(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match (self.audio.front(), self.repairs.is_empty() && self.video.is_empty()) {
            (Some(audio), _) => Some(audio.since),
            (None, true) => None,
            (None, false) => Some(self.busy_until),
        }
    }

    /// When the next packet may leave, if there were one.
    pub(crate) fn busy_until(&self) -> Instant {
        self.busy_until
    }

    /// Whether video has waited too long, or is too much.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.video.len() > MAX_VIDEO_PACKETS
            || self
                .video
                .front()
                .is_some_and(|queued| now.saturating_duration_since(queued.since) > MAX_QUEUE_AGE)
    }

    /// Drops all waiting video; returns how many frames will never be complete.
    pub(crate) fn drop_video(&mut self) -> u64 {
        self.video_bits = 0.0;
        self.required_bps = 0.0;
        let ends = |queued: &Queued| queued.kind == PacketKind::Video && queued.packet.marker;
        self.video.drain(..).filter(ends).count() as u64
    }

    pub(crate) fn drop_repairs(&mut self) {
        self.repair_bits = 0.0;
        self.repairs.clear();
    }

    pub(crate) fn video_bytes(&self) -> usize {
        (self.video_bits / 8.0) as usize
    }
    /// Everything that has yet to leave.
    pub(crate) fn waiting_bytes(&self) -> usize {
        ((self.video_bits + self.repair_bits) / 8.0) as usize
    }
    pub(crate) fn keyframe_waits(&self) -> bool {
        self.video.iter().any(|queued| queued.keyframe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const PACE_BPS: f64 = 20e6;

    fn queued(kind: PacketKind, sequence: u64, now: Instant) -> Queued {
        let stream = if kind == PacketKind::Audio { Stream::Audio } else { Stream::Video };
        let packet = Stored {
            sequence,
            timestamp: 0,
            marker: false,
            types: None,
            data: Bytes::from_static(&[0; 1000]),
        };
        Queued { stream, kind, packet, begins: None, keyframe: false, since: now }
    }

    fn video(count: u64, now: Instant) -> impl Iterator<Item = Queued> {
        (0..count).map(move |sequence| queued(PacketKind::Video, sequence, now))
    }

    /// Drains as an adapter does: sleeps until each timeout. Returns departures and wake-ups.
    fn drain(pacer: &mut Pacer, mut now: Instant) -> (Vec<(Instant, PacketKind, u64)>, usize) {
        let (mut left, mut wakes) = (Vec::new(), 0);
        while let Some(at) = pacer.poll_timeout() {
            now = now.max(at);
            wakes += 1;
            while let Some(queued) = pacer.poll(now, PACE_BPS) {
                left.push((now, queued.kind, queued.packet.sequence));
            }
        }
        (left, wakes)
    }

    #[test]
    fn audio_leaves_first_then_repairs_then_video_in_order() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        pacer.push_video(now, Duration::from_millis(8), video(3, now));
        pacer.push_repair(now, queued(PacketKind::Retransmission, 9, now));
        pacer.push_audio(queued(PacketKind::Audio, 7, now));
        let order: Vec<u64> = drain(&mut pacer, now).0.into_iter().map(|(.., sequence)| sequence).collect();
        assert_eq!(order, [7, 9, 0, 1, 2]);
    }

    #[test]
    fn a_large_frame_leaves_within_its_window_and_no_timer_is_finer_than_a_millisecond() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        pacer.push_video(now, Duration::from_millis(8), video(200, now));
        let (left, wakes) = drain(&mut pacer, now);
        let took = left.last().unwrap().0 - now;
        assert!(took > Duration::from_millis(6) && took <= Duration::from_millis(8), "{took:?}");
        assert!(wakes <= 9, "{wakes}");
    }

    #[test]
    fn a_frame_is_spread_at_the_pace_rate_where_there_is_time() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        pacer.push_video(now, Duration::from_millis(200), video(50, now));
        let took = drain(&mut pacer, now).0.last().unwrap().0 - now;
        // 400 kbit at 20 Mbit/s are 20 ms.
        assert!(took >= Duration::from_millis(18) && took <= Duration::from_millis(21), "{took:?}");
    }

    #[test]
    fn an_idle_pacer_saves_no_burst_and_a_late_timer_makes_up_for_little() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        let later = now + Duration::from_secs(1);
        pacer.push_video(later, Duration::from_millis(200), video(100, later));
        let burst = |pacer: &mut Pacer, at| std::iter::from_fn(|| pacer.poll(at, PACE_BPS)).count();
        assert!(burst(&mut pacer, later) <= 3);
        assert!(burst(&mut pacer, later + Duration::from_millis(100)) <= 16);
    }

    #[test]
    fn waiting_video_goes_stale_and_dropping_it_counts_its_frames() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now);
        let frame = |last| {
            video(last + 1, now).map(move |mut queued| {
                queued.packet.marker = queued.packet.sequence == last;
                queued
            })
        };
        pacer.push_video(now, Duration::from_millis(8), frame(4));
        pacer.push_video(now, Duration::from_millis(8), frame(2));
        assert!(!pacer.is_stale(now + MAX_QUEUE_AGE));
        assert!(pacer.is_stale(now + MAX_QUEUE_AGE + GROUP));
        assert_eq!(pacer.drop_video(), 2);
        assert_eq!(pacer.poll_timeout(), None);
    }
}

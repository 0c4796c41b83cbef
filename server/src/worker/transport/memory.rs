//! An in-memory transport for tests: keeps what it was given.

use super::Transport;
use nearframe_protocol::control::ToPage;
use nearframe_protocol::facts::FrameFacts;
use nearframe_protocol::{Seat, VideoCodec};
use nearframe_stream::{Usage, VideoFrame};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// What was given to a [`MemoryTransport`].
#[derive(Default)]
pub(crate) struct Received {
    /// Frame number, keyframe, RTP timestamp, length.
    pub(crate) video: Vec<(u32, bool, u32, usize)>,
    /// RTP timestamps of audio packets.
    pub(crate) audio: Vec<u32>,
    /// The codec of each frame.
    pub(crate) codecs: Vec<VideoCodec>,
    /// Keyframes as they came.
    pub(crate) keyframes: Vec<Vec<u8>>,
    /// Frame number and arrival of each part, and whether it was the last.
    pub(crate) parts: Vec<(u32, Instant, bool)>,
    /// Facts in order.
    pub(crate) facts: Vec<FrameFacts>,
}

/// Keeps frames, sound and facts.
#[derive(Default)]
pub(crate) struct MemoryTransport {
    received: Mutex<Received>,
    changed: Condvar,
}

impl MemoryTransport {
    /// Waits until `enough` says so; panics after 20 s, which only a broken pipeline takes.
    pub(crate) fn wait_for<T>(&self, enough: impl Fn(&Received) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut received = self.received.lock().unwrap();
        loop {
            if let Some(value) = enough(&received) {
                return value;
            }
            assert!(Instant::now() < deadline, "nothing came in time");
            received = self.changed.wait_timeout(received, Duration::from_millis(50)).unwrap().0;
        }
    }

    fn keep(&self, keep: impl FnOnce(&mut Received)) {
        keep(&mut self.received.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Transport for MemoryTransport {
    fn seat(&self) -> Seat {
        Seat(0)
    }
    fn codecs(&self) -> Vec<VideoCodec> {
        VideoCodec::ALL.to_vec()
    }
    fn send_video(&self, frame: &VideoFrame<'_>) {
        let row = (frame.frame, frame.keyframe, frame.rtp_timestamp, frame.data.len());
        self.keep(|received| {
            received.video.push(row);
            received.codecs.push(frame.codec);
            if frame.keyframe {
                received.keyframes.push(frame.data.to_vec());
            }
        });
    }
    fn send_video_part(&self, part: &VideoFrame<'_>, last: bool) {
        let row = (part.frame, Instant::now(), last);
        self.keep(|received| received.parts.push(row));
    }
    fn frame_budget(&self, _: u32) -> Option<u32> {
        None
    }
    fn set_frame_rate(&self, _: u32) {}
    fn loss(&self) -> f64 {
        0.0
    }
    fn send_audio(&self, rtp_timestamp: u32, _: &[u8]) {
        self.keep(|received| received.audio.push(rtp_timestamp));
    }
    fn send_facts(&self, facts: &FrameFacts) {
        self.keep(|received| received.facts.push(*facts));
    }
    fn send_control(&self, _: &ToPage) {}
    fn usage(&self) -> Usage {
        Usage::default()
    }
}

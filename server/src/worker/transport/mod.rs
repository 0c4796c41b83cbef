//! The seam to one player's connection.

mod direct;
mod feedback;
#[cfg(test)]
pub(crate) mod memory;
mod offered;
mod reports;
pub(crate) mod webrtc;
mod wire;

use nearframe_protocol::facts::FrameFacts;
use nearframe_protocol::{EndReason, PeerId, Seat, SpendLimit, VideoCodec, control};
use nearframe_stream::{Usage, VideoFrame};
use std::time::Duration;

/// Media and data to one peer. Called from the encode and audio threads; never blocks.
pub(crate) trait Transport: Send + Sync {
    /// Whose connection.
    fn seat(&self) -> Seat;
    /// Codecs that were negotiated, H.264 among them.
    fn codecs(&self) -> Vec<VideoCodec>;
    /// Hands over an encoded frame, in one of those codecs.
    fn send_video(&self, frame: &VideoFrame<'_>);
    /// Hands over a part of a frame that is still being encoded; `last` ends it.
    fn send_video_part(&self, part: &VideoFrame<'_>, last: bool);
    /// Bytes that the next frame may have, where video is made at `bps`; `None` where the path carries more than its
    /// bitrate says.
    fn frame_budget(&self, bps: u32) -> Option<u32>;
    /// Frames come at another rate from now on.
    fn set_frame_rate(&self, fps: u32);
    /// Share of packets lost lately, 0 to 1.
    fn loss(&self) -> f64;
    /// Hands over 10 ms of Opus; the timestamp counts 48 kHz samples.
    fn send_audio(&self, rtp_timestamp: u32, payload: &[u8]);
    /// Tells what is known of a frame.
    fn send_facts(&self, facts: &FrameFacts);
    /// Sends on the control channel.
    fn send_control(&self, message: &control::ToPage);
    /// What it has used so far.
    fn usage(&self) -> Usage;
}

/// What a peer does to its session.
#[derive(Debug)]
pub(crate) struct PeerEvent {
    /// Which peer.
    pub(crate) peer: PeerId,
    /// What.
    pub(crate) kind: PeerEventKind,
}

/// The kinds of [`PeerEvent`].
#[derive(Debug)]
pub(crate) enum PeerEventKind {
    /// Media can flow.
    Connected,
    /// No route right now; it may come back by itself or by an ICE restart.
    Disconnected,
    /// It will not come back.
    Failed,
    /// A control message, not yet parsed.
    Control(String),
    /// A shown-report.
    Shown {
        /// Which frame.
        rtp_timestamp: u32,
        /// How long the frame lay ready: display callback − decoded, µs.
        wait_us: i32,
        /// From its last packet until it was decoded.
        decode: Duration,
    },
    /// The receiver needs a keyframe.
    KeyframeNeeded,
    /// What was sent last is lost for good: the next frame is to build on this frame or an older one.
    ReferenceLost {
        /// The newest that the receiver surely has.
        newest_good: u32,
    },
    /// The receiver surely has this frame.
    FrameReceived {
        /// Which.
        frame: u32,
    },
    /// The congestion controller's new target for media.
    TargetBitrate {
        /// In bit/s.
        bps: u32,
    },
    /// A local candidate, found after the answer.
    Candidate {
        /// `candidate:…`.
        candidate: String,
        /// m-line.
        sdp_mid: Option<String>,
    },
}

/// The farewell on the control channel.
pub(crate) fn farewell(reason: EndReason, limit: Option<SpendLimit>) -> control::ToPage {
    let message = limit.map_or(reason.advice(), SpendLimit::advice).to_owned();
    control::ToPage::Ended { reason, message }
}

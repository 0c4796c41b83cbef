//! Counters: what receipts bill from and what the statistics show.

use std::time::Duration;

/// Use since the sender was made; only ever grows, apart from `rtt`. Probes are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Frames whose last packet was handed out.
    pub frames: u64,
    /// RTP bytes handed out, before encryption, repairs included.
    pub bytes: u64,
    /// Packets handed out, repairs included.
    pub packets_sent: u64,
    /// Packets that the receiver reported missing, and that did not turn up later.
    pub packets_lost: u64,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
}

/// What the sender is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderStats {
    /// Use, as in receipts.
    pub usage: Usage,
    /// What the estimator allows on the wire, bits a second.
    pub estimate_bps: u64,
    /// What the video encoder should aim at, bits a second.
    pub target_bps: u64,
    /// How long packets stand in the path's queue.
    pub queue_delay: Duration,
    /// Video bytes that wait in the pacer.
    pub paced_bytes: usize,
    /// Frames that never left, because the pacer's queue was too old or a keyframe was awaited.
    pub frames_dropped: u64,
    /// Packets sent again on request.
    pub retransmissions: u64,
    /// Packets asked for that were too old, or asked for too often.
    pub retransmissions_refused: u64,
    /// Parity packets sent.
    pub fec_packets: u64,
    /// How often the encoder was told to go on from an older frame.
    pub references_lost: u64,
    /// Packets sent to probe the path.
    pub probes: u64,
    /// Keyframes asked of the encoder.
    pub keyframe_requests: u64,
}

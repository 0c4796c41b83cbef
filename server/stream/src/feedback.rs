//! What the receiver reports, as the RTCP adapter translates it.

use std::time::{Duration, Instant};

/// One message of the receiver.
#[derive(Clone, Debug, PartialEq)]
pub enum Feedback {
    /// Picture loss indication (RFC 4585 §6.3.1) or full intra request (RFC 5104 §4.3.1).
    Pli,
    /// Generic NACK (RFC 4585 §6.2.1), with its bit masks spelled out.
    Nack {
        /// Media stream that misses packets.
        ssrc: u32,
        /// Missing sequence numbers.
        sequences: Vec<u16>,
    },
    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportCc(TwccReport),
    /// Report block of a receiver report (RFC 3550 §6.4.1).
    ReceiverReport {
        /// Stream it speaks of.
        ssrc: u32,
        /// Share lost since the report before, 0.0..=1.0.
        fraction_lost: f32,
        /// Extended highest sequence number received.
        highest_seq: u32,
        /// Interarrival jitter, in ticks of the stream's clock.
        jitter: u32,
        /// Round-trip time from LSR and DLSR, where they are there.
        rtt: Option<Duration>,
    },
    /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
    Remb {
        /// Bits a second.
        bps: u64,
    },
}

/// Arrival of each packet in a run of transport-wide sequence numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TwccReport {
    /// First sequence number of the run.
    pub base_seq: u16,
    /// Each number with its arrival on the receiver's clock, whose zero is arbitrary but fixed; `None`
    /// has not arrived.
    pub reports: Vec<(u16, Option<Duration>)>,
    /// Numbers in the run that arrived with a congestion mark (ECN CE, as RFC 8888 reports it), in the
    /// order of `reports`.
    pub marked: Vec<u16>,
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketReport {
    /// When it left here.
    pub departure: Instant,
    /// When it arrived, on the receiver's clock; `None` is lost.
    pub arrival: Option<Duration>,
    /// Bytes on the wire.
    pub size: usize,
    /// Which bandwidth probe it was part of.
    pub probe: Option<u32>,
    /// Whether it arrived with a congestion mark (ECN CE).
    pub ce: bool,
}

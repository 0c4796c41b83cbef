//! RTP packets as this crate hands them out, and the numbers in them.

use crate::extensions::Extensions;
use bytes::Bytes;
use nearframe_protocol::VideoCodec;

/// Bytes of an RTP header without extensions (RFC 3550 §5.1).
pub(crate) const RTP_HEADER_LEN: usize = 12;
/// What a packet costs on the wire beyond RTP: authentication tag 16, UDP 8, IPv4 20.
pub(crate) const WIRE_OVERHEAD_LEN: usize = 44;

/// Identifiers of one RTP stream, as negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamIds {
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of its retransmissions (RFC 4588); `None` sends the original packet again.
    pub rtx_ssrc: Option<u32>,
    /// Payload type of the media.
    pub payload_type: u8,
    /// Payload type of its retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// RTP ticks a second: 90 000 for video, 48 000 for Opus.
    pub clock_rate: u32,
}

/// Payload types of one codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadTypes {
    /// Of the media.
    pub media: u8,
    /// Of its retransmissions; `None` sends the original packet again.
    pub rtx: Option<u8>,
}

/// The codecs beside H.264 that a receiver takes on the same stream, as negotiated. Which one a picture is in, its
/// payload type says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherCodecs {
    /// HEVC main.
    pub hevc: Option<PayloadTypes>,
    /// HEVC main 10, in HDR10.
    pub hevc10: Option<PayloadTypes>,
    /// AV1 main.
    pub av1: Option<PayloadTypes>,
}

impl OtherCodecs {
    /// Those of a codec; `None` of H.264, which has the stream's own.
    pub fn of(&self, codec: VideoCodec) -> Option<PayloadTypes> {
        match codec {
            VideoCodec::H264 => None,
            VideoCodec::Hevc => self.hevc,
            VideoCodec::Hevc10 => self.hevc10,
            VideoCodec::Av1 => self.av1,
        }
    }
}

/// Identifiers of a FlexFEC-03 stream (draft-ietf-payload-flexible-fec-scheme-03), as negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FecIds {
    /// SSRC of the repair packets.
    pub ssrc: u32,
    /// Their payload type.
    pub payload_type: u8,
}

/// Negotiated ids of header extensions (RFC 8285), 1 to 14; `None` is not negotiated and is not sent, nor is
/// any other id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`
    pub playout_delay: Option<u8>,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    pub transport_cc: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02`: the same number, and reports when they
    /// are asked for. Of use only beside `transport_cc`, which takes its place where nobody answers.
    pub feedback_request: Option<u8>,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`; with it a
    /// receiver goes on after a frame that is lost for good, without a keyframe.
    pub dependency_descriptor: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/color-space`: sent with keyframes in HDR10.
    pub colour_space: Option<u8>,
}

impl ExtensionIds {
    /// Without those that the one-byte form cannot say (RFC 8285 §4.2).
    pub(crate) fn in_one_byte_form(self) -> Self {
        let fits = |id: &u8| (1..=14).contains(id);
        Self {
            playout_delay: self.playout_delay.filter(fits),
            transport_cc: self.transport_cc.filter(fits),
            feedback_request: self.transport_cc.filter(fits).and(self.feedback_request.filter(fits)),
            dependency_descriptor: self.dependency_descriptor.filter(fits),
            colour_space: self.colour_space.filter(fits),
        }
    }
}

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// Part of an access unit.
    Video,
    /// One audio frame.
    Audio,
    /// Sent again because it was lost.
    Retransmission,
    /// Parity over packets of video.
    Fec,
    /// Sent again to fill a bandwidth probe; the receiver drops it as a duplicate.
    Probe,
}

/// A packet to encrypt and send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// Negotiated payload type.
    pub payload_type: u8,
    /// Set on the last packet of an access unit.
    pub marker: bool,
    /// Sequence number within `ssrc`.
    pub sequence: u16,
    /// In ticks of the stream's clock.
    pub timestamp: u32,
    /// Which stream.
    pub ssrc: u32,
    /// Header extensions.
    pub extensions: Extensions,
    /// Shared with the retransmission store; cloning copies no bytes.
    pub payload: Bytes,
    /// What it is for.
    pub kind: PacketKind,
}

impl RtpPacket {
    /// Length of the RTP packet before encryption, in bytes.
    pub fn rtp_len(&self) -> usize {
        RTP_HEADER_LEN + self.extensions.block_len() + self.payload.len()
    }
    /// Length on the wire, encryption, UDP and IP included, in bytes.
    pub fn wire_len(&self) -> usize {
        self.rtp_len() + WIRE_OVERHEAD_LEN
    }

    /// The first two bytes: version, padding, extension, CSRC count, marker, payload type (RFC 3550 §5.1).
    pub(crate) fn first_bytes(&self) -> [u8; 2] {
        let extended = u8::from(!self.extensions.is_empty()) << 4;
        [0x80 | extended, u8::from(self.marker) << 7 | self.payload_type & 0x7f]
    }

    /// Appends the packet as it is before encryption; returns the length of its header, extensions included.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend_from_slice(&self.first_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        self.extensions.write_block(out);
        let header_len = out.len() - start;
        out.extend_from_slice(&self.payload);
        header_len
    }

    /// The header extensions as they are on the wire, padded to whole words.
    pub(crate) fn extension_block(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.extensions.block_len());
        self.extensions.write_block(&mut block);
        block
    }
}

/// Media time in µs → RTP timestamps, without drift: each is computed from the whole, not by adding up.
#[derive(Clone, Copy, Debug)]
pub struct RtpClock {
    rate: u32,
    offset: u32,
}

impl RtpClock {
    /// A clock of `rate` ticks a second that starts at `offset`.
    pub fn new(rate: u32, offset: u32) -> Self {
        Self { rate, offset }
    }
    /// The timestamp at `media_us` after the start, rounded to the nearest tick, modulo 2³².
    pub fn timestamp(&self, media_us: u64) -> u32 {
        let ticks = (u128::from(media_us) * u128::from(self.rate) + 500_000) / 1_000_000;
        self.offset.wrapping_add(ticks as u32)
    }
}

/// Extends 16-bit sequence numbers to 64 bits, each to the value nearest to a reference.
pub(crate) fn unwrap_sequence(reference: u64, sequence: u16) -> Option<u64> {
    let ahead = sequence.wrapping_sub(reference as u16) as i16;
    reference.checked_add_signed(i64::from(ahead))
}

/// Well-spread numbers from a seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// An initial sequence number in the lower half, so that a lost first packet cannot be taken for a
    /// rollover of the SRTP counter (RFC 3711 §3.3.1).
    pub(crate) fn first_sequence(&mut self) -> u64 {
        self.draw() & 0x7fff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_do_not_drift_over_a_day_of_odd_steps() {
        let clock = RtpClock::new(90_000, 7);
        assert_eq!(clock.timestamp(0), 7);
        assert_eq!(clock.timestamp(1_000_000), 90_007);
        let day_us = 86_400_000_000;
        assert_eq!(clock.timestamp(day_us), 7u32.wrapping_add((86_400u64 * 90_000) as u32));
        assert_eq!(RtpClock::new(48_000, 0).timestamp(10_000), 480);
    }

    #[test]
    fn sequence_numbers_unwrap_to_the_nearest_value() {
        assert_eq!(unwrap_sequence(65_534, 1), Some(65_537));
        assert_eq!(unwrap_sequence(65_537, 65_535), Some(65_535));
        assert_eq!(unwrap_sequence(3, 65_535), None);
    }
}

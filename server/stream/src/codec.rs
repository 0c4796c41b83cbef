//! Pictures → RTP payloads, each codec by its own rules.

use crate::h264::H264;
use crate::hevc::Hevc;
use crate::sender::VideoFrame;
use crate::{av1, nal};
use bytes::Bytes;
use nearframe_protocol::VideoCodec;

/// Splits a picture. Each result starts with the big-endian sequence number `first_sequence + i`, followed by at most
/// `max_payload` bytes of payload.
pub(crate) fn packetize(frame: &VideoFrame<'_>, max_payload: usize, first_sequence: u64) -> Vec<Bytes> {
    let split = match frame.codec {
        VideoCodec::H264 => nal::packetize::<H264>,
        VideoCodec::Hevc | VideoCodec::Hevc10 => nal::packetize::<Hevc>,
        VideoCodec::Av1 => av1::packetize,
    };
    split(frame.data, max_payload, first_sequence)
}

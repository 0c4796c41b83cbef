//! From an access unit to numbered, paced RTP packets.

use super::seconds_per_unit;
use crate::report::{Report, Spec, lower};
use nearframe_protocol::VideoCodec;
use nearframe_stream::{ExtensionIds, MediaSender, OtherCodecs, SenderConfig, StreamIds, VideoFrame};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A frame of 10 Mbit/s at 60 per second: 18 slices that fill a packet each.
const SLICES: usize = 18;
const SLICE_BYTES: usize = 1150;
const FRAMES: u32 = 120;
pub(super) const FRAME_TIME: Duration = Duration::from_micros(16_667);
/// Far above what the frames need, so that the pacer never holds one over to the next.
const BITRATE_BPS: u64 = 40_000_000;

const PACKETISE: Spec = lower("packetise_ns_per_packet", "ns", None);

pub(super) fn run(report: &mut Report) {
    let keyframe = access_unit(5, SLICES, SLICE_BYTES);
    let delta = access_unit(1, SLICES, SLICE_BYTES);
    let mut now = Instant::now();
    let mut sender = MediaSender::new(config(false), now, 1);
    let mut frame = 0u32;
    let seconds = seconds_per_unit(|| {
        let mut packets = 0;
        for _ in 0..FRAMES {
            let keyframe_due = frame == 0;
            let data = if keyframe_due { &keyframe } else { &delta };
            let rtp_timestamp = frame.wrapping_mul(1500);
            sender.push_video(
                now,
                VideoFrame {
                    frame,
                    rtp_timestamp,
                    keyframe: keyframe_due,
                    codec: VideoCodec::H264,
                    refers_to: None,
                    data,
                },
            );
            packets += drain(&mut sender, now);
            frame = frame.wrapping_add(1);
            now += FRAME_TIME;
        }
        packets
    });
    report.add(PACKETISE, seconds.map(|s| s * 1e9), "no packet came out");
}

/// Drains what the pacer lets go within one frame time, in simulated time.
fn drain(sender: &mut MediaSender, start: Instant) -> usize {
    let mut packets = 0;
    let mut at = start;
    loop {
        while let Some(packet) = sender.poll_packet(at) {
            black_box(&packet);
            packets += 1;
        }
        while let Some(event) = sender.poll_event() {
            black_box(event);
        }
        match sender.poll_timeout() {
            Some(next) if next < start + FRAME_TIME => {
                at = next.max(at + Duration::from_micros(100));
                sender.handle_timeout(at);
            }
            _ => return packets,
        }
    }
}

/// Annex B slices of the given NAL unit type.
pub(super) fn access_unit(kind: u8, slices: usize, slice_bytes: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(slices * (slice_bytes + 4));
    for slice in 0..slices {
        data.extend([0, 0, 0, 1, 0x60 | kind]);
        // No zero bytes: nothing in it may look like a start code.
        data.extend((1..slice_bytes).map(|i| ((i * 31 + slice) % 255) as u8 + 1));
    }
    data
}

/// Of a page that takes the Dependency Descriptor, or not.
pub(super) fn config(descriptor: bool) -> SenderConfig {
    let ids = |ssrc, payload_type, clock_rate| StreamIds {
        ssrc,
        rtx_ssrc: Some(ssrc + 1),
        payload_type,
        rtx_payload_type: Some(payload_type + 1),
        clock_rate,
    };
    SenderConfig {
        video: ids(1, 96, 90_000),
        audio: ids(11, 111, 48_000),
        other_codecs: OtherCodecs::default(),
        fec: None,
        audio_red_payload_type: None,
        extensions: ExtensionIds {
            playout_delay: Some(1),
            transport_cc: Some(2),
            feedback_request: None,
            dependency_descriptor: descriptor.then_some(3),
            colour_space: None,
        },
        audio_extensions: ExtensionIds { transport_cc: Some(2), ..ExtensionIds::default() },
        max_payload: 1150,
        min_bps: BITRATE_BPS,
        start_bps: BITRATE_BPS,
        max_bps: BITRATE_BPS,
        fps: 60,
    }
}

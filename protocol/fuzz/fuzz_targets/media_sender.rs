//! Any feedback, in any order, and any bytes as frames: the sender neither panics nor spins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nearframe_stream::{
    ExtensionIds, FecIds, Feedback, MediaSender, SenderConfig, StreamIds, TwccReport, VideoFrame,
};
use std::time::{Duration, Instant};

fn sender(now: Instant) -> MediaSender {
    let ids = |ssrc, rtx_ssrc, clock_rate| StreamIds {
        ssrc,
        rtx_ssrc,
        payload_type: 96,
        rtx_payload_type: rtx_ssrc.map(|_| 97),
        clock_rate,
    };
    let extensions = ExtensionIds {
        playout_delay: Some(1),
        transport_cc: Some(2),
        feedback_request: Some(4),
        dependency_descriptor: Some(3),
        colour_space: Some(5),
    };
    let config = SenderConfig {
        video: ids(1, Some(2), 90_000),
        audio: ids(3, None, 48_000),
        fec: Some(FecIds { ssrc: 4, payload_type: 49 }),
        audio_red_payload_type: Some(63),
        extensions,
        audio_extensions: extensions,
        max_payload: 1150,
        min_bps: 300_000,
        start_bps: 2_000_000,
        max_bps: 10_000_000,
        fps: 60,
    };
    MediaSender::new(config, now, 1)
}

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let mut sender = sender(now);
    for (index, chunk) in bytes.chunks(12).enumerate() {
        now += Duration::from_millis(u64::from(chunk[0]));
        let number = |at: usize| u16::from(chunk.get(at).copied().unwrap_or_default());
        let sequence = number(2) << 8 | number(3);
        match chunk.get(1).copied().unwrap_or_default() % 6 {
            0 => sender.handle_feedback(now, Feedback::Pli),
            1 => sender.handle_feedback(now, Feedback::Nack { ssrc: u32::from(number(4)), sequences: vec![sequence] }),
            2 => {
                let arrival = |at| Some(Duration::from_millis(u64::from(number(at)) << (number(at + 1) % 32)));
                let reports = vec![(sequence, arrival(5)), (sequence.wrapping_add(1), None), (number(7), arrival(8))];
                sender.handle_feedback(now, Feedback::TransportCc(TwccReport { base_seq: sequence, reports, marked: Vec::new() }));
            }
            3 => sender.handle_feedback(
                now,
                Feedback::ReceiverReport {
                    ssrc: 1,
                    fraction_lost: f32::from_bits(u32::from(sequence) << 16),
                    highest_seq: u32::from(number(5)) << 8,
                    jitter: u32::from(number(6)),
                    rtt: Some(Duration::from_millis(u64::from(number(7)))),
                },
            ),
            4 => sender.push_audio(now, u32::from(sequence), chunk),
            _ => {
                let frame = VideoFrame {
                    frame: index as u32,
                    rtp_timestamp: index as u32 * 1500,
                    keyframe: number(4) & 1 == 0,
                    refers_to: (number(4) & 2 == 0).then(|| (index as u32).wrapping_sub(u32::from(number(5)))),
                    data: chunk,
                };
                sender.push_video(now, frame);
            }
        }
        sender.handle_timeout(now);
        while sender.poll_packet(now).is_some() {}
        while sender.poll_event().is_some() {}
        assert!(sender.poll_timeout().is_none_or(|at| at > now), "after a drain nothing is due");
    }
});

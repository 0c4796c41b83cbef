//! Encodes the newest frame and hands it to every peer.

use super::{PipelineEvent, RawFrame, Shared};
use crate::worker::now_us;
use nearframe_encode::{AccessUnit, FrameRequest, VideoEncoder};
use nearframe_protocol::facts::FrameFacts;
use nearframe_stream::VideoFrame;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// Encodes until the mailbox closes.
pub(super) fn run(
    shared: &Shared,
    mut encoder: Box<dyn VideoEncoder>,
    events: &mpsc::UnboundedSender<PipelineEvent>,
) {
    let mut bitrate_bps = 0;
    let mut first = true;
    let mut started_us = None;
    while let Some(raw) = shared.mailbox.take() {
        let wanted = shared.bitrate_bps.load(Ordering::Acquire);
        let result = if wanted == bitrate_bps { Ok(()) } else { encoder.set_bitrate(wanted) };
        bitrate_bps = wanted;
        let request = FrameRequest {
            frame: raw.frame,
            at: Duration::from_micros(raw.captured_us - *started_us.get_or_insert(raw.captured_us)),
            keyframe: shared.keyframe.swap(false, Ordering::AcqRel),
        };
        match result.and_then(|()| encoder.encode(&raw.surface, request)) {
            Ok(Some(unit)) => {
                shared.encoder_us.fetch_add(unit.encode_time.as_micros() as u64, Ordering::AcqRel);
                hand_out(shared, &raw, &unit, wanted);
                if std::mem::take(&mut first) {
                    let _ = events.send(PipelineEvent::FirstFrame);
                }
            }
            Ok(None) if request.keyframe => shared.keyframe.store(true, Ordering::Release),
            Ok(None) => {}
            Err(error) => {
                let _ = events.send(PipelineEvent::Failed(error.to_string()));
                return;
            }
        }
    }
}

fn hand_out(shared: &Shared, raw: &RawFrame, unit: &AccessUnit, bitrate_bps: u32) {
    let encoded_us = now_us();
    let since_captured = |at: u64| at.saturating_sub(raw.captured_us) as u32;
    // 90 kHz from µs, modulo 2³²: exact, so that the page can match frames to facts.
    let rtp_timestamp = (u128::from(raw.captured_us) * 9 / 100) as u32;
    let frame = VideoFrame { frame: raw.frame, rtp_timestamp, keyframe: unit.keyframe, data: &unit.data };
    shared.each_peer(|peer| {
        peer.send_video(&frame);
        peer.send_facts(&FrameFacts {
            keyframe: unit.keyframe,
            rtp_timestamp,
            captured_us: raw.captured_us,
            input_serial: raw.serials.get(usize::from(peer.seat().0)).copied().unwrap_or_default(),
            frame: raw.frame,
            target_kbps: bitrate_bps / 1000,
            size_bytes: unit.data.len() as u32,
            drawn_us: since_captured(raw.drawn_us),
            converted_us: since_captured(raw.converted_us),
            encoded_us: since_captured(encoded_us),
            sent_us: since_captured(now_us()),
        });
    });
}

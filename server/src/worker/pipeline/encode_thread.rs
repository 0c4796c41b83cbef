//! Encodes the newest frame and hands it to every peer.

use super::codec::{meant, named};
use super::{EncoderInfo, PipelineEvent, RawFrame, References, Shared, slices};
use crate::worker::now_us;
use nearframe_encode::{AccessUnit, EncodeError, EncoderChain, FrameRequest, Invalidated, VideoEncoder};
use nearframe_protocol::VideoCodec;
use nearframe_protocol::facts::FrameFacts;
use nearframe_stream::{Quality, VideoFrame};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// Less than this holds no picture: the path is to be left alone for a frame.
const MIN_PICTURE_BYTES: u32 = 400;

/// Encodes until the mailbox closes.
pub(super) fn run(
    shared: &Arc<Shared>,
    mut encoder: EncoderChain,
    events: &mpsc::UnboundedSender<PipelineEvent>,
) {
    let codec = named(encoder.capabilities().codec);
    slices::attach(shared, &mut encoder, codec);
    let mut bitrate_bps = 0;
    let mut first = true;
    let mut started_us = None;
    let mut now = shared.quality();
    while let Some(raw) = shared.mailbox.take() {
        let wanted = shared.bitrate_bps.load(Ordering::Acquire);
        let budget_bytes = budget(shared, wanted);
        if budget_bytes.is_some_and(|bytes| bytes < MIN_PICTURE_BYTES) {
            continue;
        }
        follow_codec(shared, &mut encoder, events);
        let mut result = follow(&mut encoder, &mut now, &raw);
        if wanted != bitrate_bps {
            result = result.and_then(|()| encoder.set_bitrate(wanted));
            bitrate_bps = wanted;
        }
        let mut request = FrameRequest {
            frame: raw.frame,
            at: Duration::from_micros(raw.captured_us - *started_us.get_or_insert(raw.captured_us)),
            keyframe: shared.keyframe.swap(false, Ordering::AcqRel),
            budget_bytes,
        };
        let result = result.and_then(|()| {
            request.keyframe |= needs_keyframe(shared, &mut encoder)?;
            shared.begins(&raw, named(encoder.capabilities().codec));
            encoder.encode(&raw.surface, request)
        });
        let sent = shared.was_sent();
        tell_changes(shared, &mut encoder, events);
        match result {
            Ok(Some(unit)) => {
                note_time(shared, unit.encode_time.as_micros() as u64);
                let codec = named(encoder.capabilities().codec);
                hand_out(shared, &raw, &unit, wanted, codec, sent);
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

/// Takes over the codec that is agreed on. One that the encoder refuses is not asked for again.
fn follow_codec(
    shared: &Arc<Shared>,
    encoder: &mut EncoderChain,
    events: &mpsc::UnboundedSender<PipelineEvent>,
) {
    let wanted = shared.codec();
    let now = named(encoder.capabilities().codec);
    if wanted == now {
        return;
    }
    let event = match encoder.set_codec(meant(wanted)) {
        Ok(()) => {
            slices::attach(shared, encoder, wanted);
            let can = encoder.capabilities();
            shared.set_encoder(can.clone());
            PipelineEvent::CodecChanged(EncoderInfo::of(can))
        }
        Err(error) => {
            shared.set_codec(now);
            PipelineEvent::CodecRefused { codec: wanted, why: error.to_string() }
        }
    };
    let _ = events.send(event);
}

/// Another encoder may want its pictures in another layout or memory, and the page shows which one it is.
fn tell_changes(
    shared: &Arc<Shared>,
    encoder: &mut EncoderChain,
    events: &mpsc::UnboundedSender<PipelineEvent>,
) {
    let changes = encoder.take_changes();
    if !changes.is_empty() {
        let codec = named(encoder.capabilities().codec);
        slices::attach(shared, encoder, codec);
    }
    for change in changes {
        let can = encoder.capabilities();
        shared.set_encoder(can.clone());
        // It may do less than the one before.
        shared.set_codec(named(can.codec));
        let _ = events.send(PipelineEvent::EncoderChanged { encoder: EncoderInfo::of(can), change });
    }
}

/// What the narrowest path can take of the next frame at `bps`.
fn budget(shared: &Shared, bps: u32) -> Option<u32> {
    let mut least = None;
    shared.each_peer(|peer| least = [least, peer.frame_budget(bps)].into_iter().flatten().min());
    least
}

/// Takes over the size and rate of the frames that come now.
fn follow(encoder: &mut dyn VideoEncoder, now: &mut Quality, raw: &RawFrame) -> Result<(), EncodeError> {
    let (width, height) = (raw.surface.width(), raw.surface.height());
    if (width, height) != (now.width, now.height) {
        encoder.set_size(width, height)?;
        (now.width, now.height) = (width, height);
    }
    if raw.fps != now.fps {
        encoder.set_frame_rate(raw.fps)?;
        now.fps = raw.fps;
    }
    Ok(())
}

/// Tells the encoder what the receiver has. Whether what it lacks can only be mended by a keyframe.
fn needs_keyframe(shared: &Shared, encoder: &mut dyn VideoEncoder) -> Result<bool, EncodeError> {
    let References { received, newest_good } = std::mem::take(&mut *shared.references());
    for frame in received {
        encoder.acknowledge(frame)?;
    }
    let Some(newest_good) = newest_good else { return Ok(false) };
    Ok(encoder.invalidate(newest_good)? == Invalidated::KeyframeNeeded)
}

/// For receipts the sum, for the choice of quality the mean of about the last 32 frames.
fn note_time(shared: &Shared, took_us: u64) {
    shared.encoder_us.fetch_add(took_us, Ordering::AcqRel);
    let mean_us = shared.encode_mean_us.load(Ordering::Acquire);
    let next = if mean_us == 0 { took_us } else { (mean_us * 31 + took_us) / 32 };
    shared.encode_mean_us.store(next.max(1), Ordering::Release);
}

/// `sent`: the picture itself has left in slices.
fn hand_out(
    shared: &Shared,
    raw: &RawFrame,
    unit: &AccessUnit,
    bitrate_bps: u32,
    codec: VideoCodec,
    sent: bool,
) {
    let encoded_us = now_us();
    let since_captured = |at: u64| at.saturating_sub(raw.captured_us) as u32;
    let rtp_timestamp = raw.rtp_timestamp();
    let frame = VideoFrame {
        frame: raw.frame,
        rtp_timestamp,
        keyframe: unit.keyframe,
        refers_to: unit.refers_to,
        codec,
        data: &unit.data,
    };
    if let Ok(mut clock) = shared.clock.lock() {
        clock.sent(rtp_timestamp);
    }
    shared.each_peer(|peer| {
        if !sent {
            peer.send_video(&frame);
        }
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

//! Slices of a picture that leave while the rest of it is still being encoded.

use super::{RawFrame, Shared};
use nearframe_encode::{Slice, SliceSink, VideoEncoder};
use nearframe_protocol::VideoCodec;
use nearframe_stream::VideoFrame;
use std::sync::Arc;

/// The picture that the encoder works on.
#[derive(Debug)]
pub(super) struct Underway {
    frame: u32,
    rtp_timestamp: u32,
    codec: VideoCodec,
    /// All of it has been handed out.
    sent: bool,
}

/// Has the encoder hand out slices, where it can and where they are NAL units, which is what can be sent apart.
pub(super) fn attach(shared: &Arc<Shared>, encoder: &mut dyn VideoEncoder, codec: VideoCodec) {
    if !encoder.capabilities().slices || codec == VideoCodec::Av1 {
        return;
    }
    if let Err(error) = encoder.stream_slices(Some(sink(Arc::clone(shared)))) {
        tracing::warn!("pictures leave whole: {error}");
    }
}

fn sink(shared: Arc<Shared>) -> SliceSink {
    Box::new(move |slice: Slice<'_>| {
        let mut underway = shared.underway();
        let Some(now) = underway.as_mut().filter(|now| now.frame == slice.frame && !now.sent) else { return };
        now.sent = slice.last;
        let part = VideoFrame {
            frame: now.frame,
            rtp_timestamp: now.rtp_timestamp,
            keyframe: false,
            refers_to: slice.refers_to,
            codec: now.codec,
            data: slice.data,
        };
        drop(underway);
        shared.each_peer(|peer| peer.send_video_part(&part, slice.last));
    })
}

impl Shared {
    /// The encoder is given this picture.
    pub(super) fn begins(&self, raw: &RawFrame, codec: VideoCodec) {
        let (frame, rtp_timestamp) = (raw.frame, raw.rtp_timestamp());
        *self.underway() = Some(Underway { frame, rtp_timestamp, codec, sent: false });
    }

    /// Whether all of it has been handed out.
    pub(super) fn was_sent(&self) -> bool {
        self.underway().take().is_some_and(|underway| underway.sent)
    }
}

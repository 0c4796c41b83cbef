//! What is offered to the page: H.264, HEVC and AV1 with retransmission, Opus, and the header extensions in use.

use crate::worker::transport::wire::{
    COLOUR_SPACE_URI, DEPENDENCY_DESCRIPTOR_URI, FEEDBACK_REQUEST_URI, PLAYOUT_DELAY_URI, TRANSPORT_CC_URI,
    Wire,
};
use anyhow::Result;
use nearframe_encode::h264::ProfileLevelId;
use rtc::interceptor::{ReceiverReportBuilder, Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_FLEX_FEC03, MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MediaEngine,
};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpFecParameters, RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};
use std::sync::Arc;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

/// Audio with copies of itself (RFC 2198).
const MIME_TYPE_RED: &str = "audio/red";
/// Payload types until the page's own are known from its offer.
const OPUS_PT: u8 = 111;
const RED_PT: u8 = 63;
const FEC_PT: u8 = 49;
/// Repairs come within a frame's time; the browser is to keep packets for far longer than that.
const REPAIR_WINDOW: &str = "repair-window=10000000";

/// Every codec of pictures with its payload type and that of its retransmissions. Which of them are used is agreed on
/// once it is known what the page and the encoder can do.
fn video_codecs() -> [(RTCRtpCodec, u8, u8); 4] {
    [
        (h264(), 125, 107),
        (video("video/AV1", "profile=0"), 45, 46),
        (video("video/H265", "profile-id=1"), 53, 54),
        (video("video/H265", "profile-id=2"), 55, 56),
    ]
}

/// The profile that every encoder keeps to.
fn h264() -> RTCRtpCodec {
    let agreed = ProfileLevelId::AGREED;
    let fmtp = format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={agreed}");
    video(MIME_TYPE_H264, &fmtp)
}

fn video(mime_type: &str, fmtp: &str) -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    RTCRtpCodec {
        rtcp_feedback: vec![
            feedback("nack", ""),
            feedback("nack", "pli"),
            feedback("ccm", "fir"),
            feedback("transport-cc", ""),
        ],
        ..aid(mime_type, 90_000, 0, fmtp)
    }
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;stereo=1;sprop-stereo=1;usedtx=1".to_owned(),
        rtcp_feedback: vec![RTCPFeedback { typ: "transport-cc".into(), parameter: String::new() }],
    }
}

/// A format that carries no media of its own.
fn aid(mime_type: &str, clock_rate: u32, channels: u16, fmtp: &str) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

/// Codecs, extensions, and the interceptor chain: the `rtc` crate's reports of what the page sends, and our own
/// wire.
pub(super) fn engine(wire: &Arc<Wire>) -> Result<(MediaEngine, Registry)> {
    let mut engine = MediaEngine::default();
    let codec = |rtp_codec, payload_type| RTCRtpCodecParameters { rtp_codec, payload_type };
    for (video, payload_type, rtx_type) in video_codecs() {
        engine.register_codec(codec(video, payload_type), RtpCodecKind::Video)?;
        let rtx = aid(MIME_TYPE_RTX, 90_000, 0, &format!("apt={payload_type}"));
        engine.register_codec(codec(rtx, rtx_type), RtpCodecKind::Video)?;
    }
    engine.register_codec(
        codec(aid(MIME_TYPE_FLEX_FEC03, 90_000, 0, REPAIR_WINDOW), FEC_PT),
        RtpCodecKind::Video,
    )?;
    engine.register_codec(codec(opus(), OPUS_PT), RtpCodecKind::Audio)?;
    let copies = format!("{OPUS_PT}/{OPUS_PT}");
    engine.register_codec(codec(aid(MIME_TYPE_RED, 48_000, 2, &copies), RED_PT), RtpCodecKind::Audio)?;
    for (uri, kind) in [
        (PLAYOUT_DELAY_URI, RtpCodecKind::Video),
        (DEPENDENCY_DESCRIPTOR_URI, RtpCodecKind::Video),
        (COLOUR_SPACE_URI, RtpCodecKind::Video),
        (TRANSPORT_CC_URI, RtpCodecKind::Video),
        (TRANSPORT_CC_URI, RtpCodecKind::Audio),
        (FEEDBACK_REQUEST_URI, RtpCodecKind::Video),
        (FEEDBACK_REQUEST_URI, RtpCodecKind::Audio),
    ] {
        engine.register_header_extension(
            RTCRtpHeaderExtensionCapability { uri: uri.to_owned() },
            kind,
            None,
        )?;
    }
    let registry = Registry::new()
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(Slot::from(20_000), wire.interceptor());
    Ok((engine, registry))
}

/// The picture, in a stream of its own: lip sync with audio would delay it.
pub(super) fn video_track(ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    let ssrc = ssrc | 1;
    track("video", RtpCodecKind::Video, h264(), ssrc, Some((ssrc ^ 0x5555_5554, ssrc ^ 0x3333_3332)))
}

/// The sound.
pub(super) fn audio_track(ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    track("audio", RtpCodecKind::Audio, opus(), (ssrc | 1) ^ 0xaaaa_aaaa, None)
}

/// `repair`: SSRCs of retransmissions and of parity.
fn track(
    name: &str,
    kind: RtpCodecKind,
    codec: RTCRtpCodec,
    ssrc: u32,
    repair: Option<(u32, u32)>,
) -> Arc<TrackLocalStaticRTP> {
    let coding = RTCRtpCodingParameters {
        ssrc: Some(ssrc),
        rtx: repair.map(|(rtx, _)| RTCRtpRtxParameters { ssrc: rtx }),
        fec: repair.map(|(_, fec)| RTCRtpFecParameters { ssrc: fec }),
        ..Default::default()
    };
    let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
    Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
        format!("nearframe-{name}"),
        name.to_owned(),
        name.to_owned(),
        kind,
        vec![encoding],
    )))
}

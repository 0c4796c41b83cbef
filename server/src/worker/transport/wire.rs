//! The interceptor through which `stream` owns every media packet.
//!
//! `rtc` gives ICE, DTLS, SRTP and RTCP; this one link of its interceptor chain takes the packets of a
//! [`MediaSender`] when they are due and feeds RTCP back to it. Where the direct way is open, due packets leave
//! over that instead, from the thread that made them. The application never writes RTP itself: an empty packet
//! on the video track (the doorbell) only wakes the driver, and is swallowed here.

use super::direct::Tap;
use super::feedback::{self, ReferenceClock};
use super::offered;
use super::reports::SenderReports;
use super::{PeerEvent, PeerEventKind};
use bytes::Bytes;
use nearframe_protocol::{PeerId, VideoCodec};
use nearframe_stream::{
    ExtensionIds, FecIds, MediaSender, OtherCodecs, RtpPacket, SenderConfig, SenderEvent, StreamIds, Usage,
    VideoFrame,
};
use rtc::interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error as RtcError;
use rtc::{rtcp, rtp};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// RFC-less but deployed: min and max playout delay in 10 ms, 12 bits each.
pub(super) const PLAYOUT_DELAY_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Transport-wide sequence numbers.
pub(super) const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// The same with requests for reports.
pub(super) const FEEDBACK_REQUEST_URI: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02";
/// Which frames a frame needs (AV1 RTP, appendix A); browsers read it for any codec.
pub(super) const DEPENDENCY_DESCRIPTOR_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// Colour space of keyframes.
pub(super) const COLOUR_SPACE_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";

/// Payload of a packet in bytes: with headers and a relay's framing it fits every path of 1280 bytes.
const MAX_PAYLOAD: usize = 1150;

/// The driver looks at its timers whenever something comes or goes, many times a second; what is due sooner than
/// this needs a wake-up.
const DRIVER_LOOKS: Duration = Duration::from_millis(50);

/// Limits of one peer's media.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaLimits {
    pub(super) min_bps: u32,
    pub(super) start_bps: u32,
    pub(super) max_bps: u32,
    pub(super) fps: u32,
    pub(super) seed: u64,
}

/// A peer's media sender, shared between the threads that make media and the driver that sends it.
pub(super) struct Wire {
    peer: PeerId,
    limits: MediaLimits,
    /// Before the streams are bound, too.
    fps: AtomicU32,
    events: mpsc::UnboundedSender<PeerEvent>,
    tap: Arc<Tap>,
    state: Mutex<State>,
}

/// What a stream of packets is made by.
struct Media {
    sender: MediaSender,
    reports: SenderReports,
}

#[derive(Default)]
struct State {
    video: Option<StreamInfo>,
    audio: Option<StreamInfo>,
    /// Where the page takes Opus with copies of itself (RFC 2198).
    red_payload_type: Option<u8>,
    /// What pictures may be in beside H.264.
    other_codecs: OtherCodecs,
    media: Option<Media>,
}

impl Wire {
    pub(super) fn new(
        peer: PeerId,
        limits: MediaLimits,
        events: mpsc::UnboundedSender<PeerEvent>,
    ) -> Arc<Self> {
        let fps = AtomicU32::new(limits.fps);
        let (tap, state) = (Arc::default(), Mutex::new(State::default()));
        Arc::new(Self { peer, limits, fps, events, tap, state })
    }

    /// The way out past the driver.
    pub(super) fn tap(&self) -> &Arc<Tap> {
        &self.tap
    }

    /// Sends a frame, or what of it may leave now; whether the driver is to be woken for the rest.
    pub(super) fn push_video(&self, frame: &VideoFrame<'_>) -> bool {
        self.push(|sender, now| sender.push_video(now, *frame))
    }

    /// Sends a part of a frame, or what of it may leave now; whether the driver is to be woken for the rest.
    pub(super) fn push_video_part(&self, part: &VideoFrame<'_>, last: bool) -> bool {
        self.push(|sender, now| sender.push_video_part(now, *part, last))
    }

    /// Sends 10 ms of Opus; whether the driver is to be woken for it.
    pub(super) fn push_audio(&self, rtp_timestamp: u32, payload: &[u8]) -> bool {
        self.push(|sender, now| sender.push_audio(now, rtp_timestamp, payload))
    }

    /// Before the streams are negotiated nothing is sent and nobody woken.
    fn push(&self, push: impl FnOnce(&mut MediaSender, Instant)) -> bool {
        let now = Instant::now();
        let needs_driver = self.with_media(|media| {
            push(&mut media.sender, now);
            let sent = self.send_directly(media, now);
            !sent || media.sender.poll_timeout().is_some_and(|at| at < now + DRIVER_LOOKS)
        });
        needs_driver.unwrap_or(false)
    }

    /// Sends what is due over the direct way; false where that is not open.
    fn send_directly(&self, media: &mut Media, now: Instant) -> bool {
        self.tap.send(now, || media.next(now))
    }

    /// What the page's offer says of formats, before the streams are bound.
    pub(super) fn note_offer(&self, offer: &str) {
        if let Ok(mut state) = self.state.lock() {
            state.red_payload_type = offered::red(offer);
            state.other_codecs = offered::other_codecs(offer);
        }
    }

    /// What pictures may be in, H.264 included.
    pub(super) fn codecs(&self) -> Vec<VideoCodec> {
        let other = self.state.lock().map(|state| state.other_codecs).unwrap_or_default();
        let takes = |codec: &VideoCodec| *codec == VideoCodec::H264 || other.of(*codec).is_some();
        VideoCodec::ALL.into_iter().filter(takes).collect()
    }

    /// Frames come at another rate from now on.
    pub(super) fn set_frame_rate(&self, fps: u32) {
        self.fps.store(fps, Ordering::Release);
        self.with_sender(|sender| sender.set_frame_rate(fps));
    }

    /// Share of packets lost lately.
    pub(super) fn loss(&self) -> f64 {
        self.with_sender(|sender| sender.loss(Instant::now())).unwrap_or_default()
    }

    /// Bytes that the next frame may have, where the path is narrow.
    pub(super) fn frame_budget(&self, bps: u32) -> Option<u32> {
        let now = Instant::now();
        let limit = self.with_sender(|sender| sender.frame_limit(now, bps.into()));
        limit.flatten().map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    pub(super) fn usage(&self) -> Usage {
        self.with_sender(|sender| sender.usage()).unwrap_or_default()
    }

    /// SSRC and payload type of the video stream, once negotiated: what the doorbell is made of.
    pub(super) fn video_ids(&self) -> Option<(u32, u8)> {
        self.state.lock().ok()?.video.as_ref().map(|info| (info.ssrc, info.payload_type))
    }

    pub(super) fn interceptor(self: &Arc<Self>) -> WireInterceptor {
        WireInterceptor {
            wire: Arc::clone(self),
            clock: ReferenceClock::default(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn with_sender<T>(&self, act: impl FnOnce(&mut MediaSender) -> T) -> Option<T> {
        self.with_media(|media| act(&mut media.sender))
    }

    fn with_media<T>(&self, act: impl FnOnce(&mut Media) -> T) -> Option<T> {
        let mut state = self.state.lock().ok()?;
        let media = state.media.as_mut()?;
        let result = act(media);
        while let Some(event) = media.sender.poll_event() {
            let kind = match event {
                SenderEvent::KeyframeNeeded => PeerEventKind::KeyframeNeeded,
                SenderEvent::ReferenceLost { newest_good } => PeerEventKind::ReferenceLost { newest_good },
                SenderEvent::FrameReceived { frame } => PeerEventKind::FrameReceived { frame },
                SenderEvent::TargetBitrate { bps } => {
                    PeerEventKind::TargetBitrate { bps: bps.try_into().unwrap_or(u32::MAX) }
                }
                SenderEvent::FrameSent { .. } => continue,
            };
            let _ = self.events.send(PeerEvent { peer: self.peer, kind });
        }
        Some(result)
    }

    fn bind(&self, info: &StreamInfo) {
        let Ok(mut state) = self.state.lock() else { return };
        if info.mime_type.to_ascii_lowercase().starts_with("video/") {
            state.video = Some(info.clone());
        } else {
            state.audio = Some(info.clone());
        }
        if let (Some(video), Some(audio), None) = (&state.video, &state.audio, &state.media) {
            let config = SenderConfig {
                video: stream_ids(video),
                other_codecs: state.other_codecs,
                audio: stream_ids(audio),
                fec: video
                    .ssrc_fec
                    .zip(video.payload_type_fec)
                    .map(|(ssrc, payload_type)| FecIds { ssrc, payload_type }),
                audio_red_payload_type: state.red_payload_type,
                extensions: extension_ids(video),
                audio_extensions: extension_ids(audio),
                min_bps: self.limits.min_bps.into(),
                start_bps: self.limits.start_bps.into(),
                max_bps: self.limits.max_bps.into(),
                fps: self.fps.load(Ordering::Acquire),
                max_payload: MAX_PAYLOAD,
            };
            let now = Instant::now();
            let rates = [config.video, config.audio].map(|ids| (ids.ssrc, ids.clock_rate));
            let reports = SenderReports::new(rates, now);
            state.media = Some(Media { sender: MediaSender::new(config, now, self.limits.seed), reports });
        }
    }
}

impl Media {
    /// The next packet that is due.
    fn next(&mut self, now: Instant) -> Option<RtpPacket> {
        let packet = self.sender.poll_packet(now)?;
        self.reports.count(now, &packet);
        Some(packet)
    }
}

fn stream_ids(info: &StreamInfo) -> StreamIds {
    StreamIds {
        ssrc: info.ssrc,
        rtx_ssrc: info.ssrc_rtx,
        payload_type: info.payload_type,
        rtx_payload_type: info.payload_type_rtx,
        clock_rate: info.clock_rate,
    }
}

fn extension_ids(info: &StreamInfo) -> ExtensionIds {
    let find = |uri: &str| info.rtp_header_extensions.iter().find(|e| e.uri == uri).map(|e| e.id as u8);
    ExtensionIds {
        playout_delay: find(PLAYOUT_DELAY_URI),
        transport_cc: find(TRANSPORT_CC_URI),
        feedback_request: find(FEEDBACK_REQUEST_URI),
        dependency_descriptor: find(DEPENDENCY_DESCRIPTOR_URI),
        colour_space: find(COLOUR_SPACE_URI),
    }
}

fn to_rtp(packet: RtpPacket) -> rtp::Packet {
    let mut header = rtp::header::Header {
        version: 2,
        marker: packet.marker,
        payload_type: packet.payload_type,
        sequence_number: packet.sequence,
        timestamp: packet.timestamp,
        ssrc: packet.ssrc,
        ..Default::default()
    };
    for (id, value) in packet.extensions.iter() {
        // Only ids from the negotiation are used, and their values are at most 8 bytes: both fit RFC 8285.
        let _ = header.set_extension(id, Bytes::copy_from_slice(value));
    }
    rtp::Packet { header, payload: packet.payload }
}

/// The link of the interceptor chain.
pub(super) struct WireInterceptor {
    wire: Arc<Wire>,
    clock: ReferenceClock,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for WireInterceptor {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = RtcError;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), RtcError> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            let ntp_now = feedback::ntp_middle(SystemTime::now());
            for packet in packets {
                if let Some(feedback) = feedback::convert(packet.as_ref(), ntp_now, &mut self.clock) {
                    self.wire.with_sender(|sender| sender.handle_feedback(message.now, feedback));
                }
            }
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), RtcError> {
        let doorbell = matches!(&message.message.packet, Packet::Rtp(packet) if packet.payload.is_empty());
        if !doorbell {
            self.writes.push_back(message);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        if let Some(message) = self.writes.pop_front() {
            return Some(message);
        }
        let now = Instant::now();
        let packet = self.wire.with_media(|media| {
            let reports = media.reports.due(now, feedback::ntp(SystemTime::now()));
            if !reports.is_empty() {
                let reports = reports.into_iter().map(|report| Box::new(report) as Box<dyn rtcp::Packet>);
                return Some(Packet::Rtcp(reports.collect()));
            }
            if self.wire.send_directly(media, now) {
                return None;
            }
            Some(Packet::Rtp(to_rtp(media.next(now)?)))
        });
        let message = AttributedPacket::new(packet.flatten()?);
        Some(TaggedPacket { now, transport: TransportContext::default(), message })
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), RtcError> {
        self.wire.with_sender(|sender| sender.handle_timeout(now));
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.wire.with_sender(|sender| sender.poll_timeout()).flatten()
    }
}

impl Interceptor for WireInterceptor {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.wire.bind(info);
    }
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

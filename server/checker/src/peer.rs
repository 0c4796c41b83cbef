//! One connection, offered as a page offers it.
//!
//! What a node could still tell from a page's is listed in `docs/checkers.md`.

use crate::dice;
use crate::play::Event;
use crate::watch::Arrival;
use anyhow::{Context, Result};
use nearframe_protocol::PeerId;
use nearframe_protocol::network::IceServer;
use rtc::data_channel::RTCDataChannelInit;
use rtc::interceptor::{
    FlexFec03ReceiveBuilder, NackGeneratorBuilder, ReceiverReportBuilder, Registry, Slot, TwccReceiverBuilder,
};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_FLEX_FEC03, MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MediaEngine,
};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::debug;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceServer, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
    RTCSessionDescription, SettingEngineBuilder,
};

/// H.264 as Chromium offers it: payload type, that of its retransmissions, parameters.
const H264: [(u8, u8, &str); 6] = [
    (103, 104, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
    (107, 108, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f"),
    (109, 114, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    (115, 116, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
    (117, 118, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"),
    (39, 40, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
];
const FEC: (u8, &str) = (49, "repair-window=10000000");
const OPUS: (u8, &str) = (111, "minptime=10;stereo=1;useinbandfec=1");
const RED: (u8, &str) = (63, "111/111");
const EXTENSIONS: [(&str, &[RtpCodecKind]); 4] = [
    ("http://www.webrtc.org/experiments/rtp-hdrext/playout-delay", &[RtpCodecKind::Video]),
    (
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
        &[RtpCodecKind::Video],
    ),
    ("http://www.webrtc.org/experiments/rtp-hdrext/color-space", &[RtpCodecKind::Video]),
    (
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        &[RtpCodecKind::Video, RtpCodecKind::Audio],
    ),
];
const VIDEO_FEEDBACK: [(&str, &str); 5] =
    [("goog-remb", ""), ("transport-cc", ""), ("ccm", "fir"), ("nack", ""), ("nack", "pli")];
const AUDIO_FEEDBACK: [(&str, &str); 1] = [("transport-cc", "")];
/// As often as Chromium reports arrivals.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// As soon as Chromium asks for what is missing.
const NACK_INTERVAL: Duration = Duration::from_millis(20);

/// A connection and its channels.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    connection: Arc<dyn PeerConnection>,
    pub(crate) input: Arc<dyn DataChannel>,
    pub(crate) facts: Arc<dyn DataChannel>,
    pub(crate) control: Arc<dyn DataChannel>,
}

/// Where a connection's media go.
#[derive(Clone)]
pub(crate) struct Sinks {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) video: std::sync::mpsc::SyncSender<Arrival>,
    /// Bytes of audio that came.
    pub(crate) audio: Arc<AtomicU64>,
}

struct Handler(Sinks);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            let event = Event::Candidate { candidate: candidate.candidate, sdp_mid: candidate.sdp_mid };
            let _ = self.0.events.send(event).await;
        }
    }
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let event = match state {
            RTCPeerConnectionState::Connected => Event::Connected(Instant::now()),
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => Event::Failed,
            _ => return,
        };
        let _ = self.0.events.send(event).await;
    }
    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let sinks = self.0.clone();
        tokio::spawn(async move {
            if track.kind().await == RtpCodecKind::Video {
                let _ = sinks.events.send(Event::Video(Arc::clone(&track))).await;
                receive_video(track, &sinks).await;
            } else {
                receive_audio(track, &sinks).await;
            }
        });
    }
}

async fn receive_video(track: Arc<dyn TrackRemote>, sinks: &Sinks) {
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
        let arrival = Arrival {
            at: Instant::now(),
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            payload: packet.payload,
        };
        // A full queue: this machine is too slow to watch, and what it missed counts as lost.
        let _ = sinks.video.try_send(arrival);
    }
}

async fn receive_audio(track: Arc<dyn TrackRemote>, sinks: &Sinks) {
    while let Some(event) = track.poll().await {
        if let TrackRemoteEvent::OnRtpPacket(packet) = event {
            sinks.audio.fetch_add(packet.payload.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Peer {
    /// Makes a connection; [`Peer::offer`] begins to use it.
    pub(crate) async fn new(
        id: PeerId,
        ice_servers: &[IceServer],
        bind: &[IpAddr],
        sinks: Sinks,
    ) -> Result<Self> {
        let servers = ice_servers.iter().map(|server| RTCIceServer {
            urls: server.urls.clone(),
            username: server.username.clone().unwrap_or_default(),
            credential: server.credential.clone().unwrap_or_default(),
        });
        let has_loopback = bind.iter().any(IpAddr::is_loopback);
        let settings = SettingEngineBuilder::new().with_include_loopback_candidate(has_loopback);
        let (engine, registry) = engine()?;
        let addresses: Vec<SocketAddr> = bind.iter().map(|&ip| SocketAddr::new(ip, 0)).collect();
        let events = sinks.events.clone();
        let builder = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_ice_servers(servers.collect()).build())
            .with_media_engine(engine)
            .with_setting_engine(settings.build())
            .with_interceptor_registry(registry)
            .with_runtime(webrtc::runtime::default_runtime().context("choosing a runtime")?)
            .with_handler(Arc::new(Handler(sinks)))
            .with_udp_addrs(addresses);
        // Its future is 20 kB: on the heap, not in every future around it.
        let connection = Box::pin(builder.build()).await.context("opening sockets for media")?;
        let connection: Arc<dyn PeerConnection> = Arc::new(connection);
        connection.add_transceiver_from_kind(RtpCodecKind::Video, None).await.context("video")?;
        connection.add_transceiver_from_kind(RtpCodecKind::Audio, None).await.context("audio")?;
        let only_sent = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            streams: Vec::new(),
            send_encodings: Vec::new(),
        };
        let silent = microphone()?;
        connection.add_transceiver_from_track(silent, Some(only_sent)).await.context("microphone")?;
        let lossy = |id| RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(0),
            negotiated: Some(id),
            ..Default::default()
        };
        let reliable = RTCDataChannelInit { ordered: true, negotiated: Some(2), ..Default::default() };
        let what = "opening the data channels";
        let input = connection.create_data_channel("input", Some(lossy(0))).await.context(what)?;
        let facts = connection.create_data_channel("facts", Some(lossy(1))).await.context(what)?;
        let control = connection.create_data_channel("control", Some(reliable)).await.context(what)?;
        tokio::spawn(hear_facts(Arc::clone(&facts), events.clone()));
        tokio::spawn(hear_control(Arc::clone(&control), events));
        Ok(Self { id, connection, input, facts, control })
    }

    /// The offer, as it is before candidates are found; they follow as events.
    pub(crate) async fn offer(&self) -> Result<String> {
        let offer = self.connection.create_offer(None).await.context("making an offer")?;
        self.connection.set_local_description(offer).await.context("making an offer")?;
        let local = self.connection.local_description().await.context("the offer is not there")?;
        Ok(local.sdp)
    }

    /// Takes an answer whose attestation was checked.
    pub(crate) async fn accept(&self, sdp: String) -> Result<()> {
        let answer = RTCSessionDescription::answer(sdp).context("the node's answer")?;
        self.connection.set_remote_description(answer).await.context("the node's answer")
    }

    /// A candidate of the node; one that is of no use is a path less.
    pub(crate) async fn add_candidate(&self, candidate: String, sdp_mid: Option<String>) {
        if candidate.is_empty() {
            return;
        }
        let init = RTCIceCandidateInit { candidate, sdp_mid, ..Default::default() };
        if let Err(error) = self.connection.add_ice_candidate(init).await {
            debug!("a candidate of the node is left out: {error}");
        }
    }

    pub(crate) async fn close(&self) {
        if let Err(error) = self.connection.close().await {
            debug!("closing a connection: {error}");
        }
    }
}

/// Asks for a keyframe.
pub(crate) async fn ask_for_keyframe(track: &Arc<dyn TrackRemote>) {
    let Some(&media_ssrc) = track.ssrcs().await.first() else { return };
    let wish = PictureLossIndication { sender_ssrc: 0, media_ssrc };
    if let Err(error) = track.write_rtcp(vec![Box::new(wish)]).await {
        debug!("a keyframe cannot be asked for: {error}");
    }
}

async fn hear_facts(channel: Arc<dyn DataChannel>, events: mpsc::Sender<Event>) {
    while let Some(event) = channel.poll().await {
        if let DataChannelEvent::OnMessage(message) = event
            && events.send(Event::Facts(Instant::now(), message.data.to_vec())).await.is_err()
        {
            return;
        }
    }
}

async fn hear_control(channel: Arc<dyn DataChannel>, events: mpsc::Sender<Event>) {
    while let Some(event) = channel.poll().await {
        let event = match event {
            DataChannelEvent::OnOpen => Event::ControlOpen,
            DataChannelEvent::OnMessage(message) => Event::Control(message.data.to_vec()),
            _ => continue,
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// A page's microphone, which is off: an m-line without packets.
fn microphone() -> Result<Arc<TrackLocalStaticRTP>> {
    let ssrc = u32::from_le_bytes(dice::bytes()?);
    let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() };
    let opus = codec(MIME_TYPE_OPUS, 48_000, 2, OPUS.1, &AUDIO_FEEDBACK);
    let encoding =
        RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec: opus, ..Default::default() };
    let name = || "microphone".to_owned();
    let track = MediaStreamTrack::new(name(), name(), name(), RtpCodecKind::Audio, vec![encoding]);
    Ok(Arc::new(TrackLocalStaticRTP::new(track)))
}

fn codec(
    mime_type: &str,
    clock_rate: u32,
    channels: u16,
    fmtp: &str,
    feedback: &[(&str, &str)],
) -> RTCRtpCodec {
    let feedback = feedback
        .iter()
        .map(|(typ, parameter)| RTCPFeedback { typ: (*typ).to_owned(), parameter: (*parameter).to_owned() });
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: feedback.collect(),
    }
}

/// What a page offers of formats and extensions, as far as this end can use it.
fn engine() -> Result<(MediaEngine, Registry)> {
    let mut engine = MediaEngine::default();
    let mut add = |kind, payload_type, rtp_codec| {
        engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, kind)
    };
    for (payload_type, rtx_type, fmtp) in H264 {
        add(RtpCodecKind::Video, payload_type, codec(MIME_TYPE_H264, 90_000, 0, fmtp, &VIDEO_FEEDBACK))?;
        let apt = format!("apt={payload_type}");
        add(RtpCodecKind::Video, rtx_type, codec(MIME_TYPE_RTX, 90_000, 0, &apt, &[]))?;
    }
    add(RtpCodecKind::Video, FEC.0, codec(MIME_TYPE_FLEX_FEC03, 90_000, 0, FEC.1, &[]))?;
    add(RtpCodecKind::Audio, OPUS.0, codec(MIME_TYPE_OPUS, 48_000, 2, OPUS.1, &AUDIO_FEEDBACK))?;
    add(RtpCodecKind::Audio, RED.0, codec("audio/red", 48_000, 2, RED.1, &[]))?;
    for (uri, kinds) in EXTENSIONS {
        for &kind in kinds {
            let extension = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
            engine.register_header_extension(extension, kind, None)?;
        }
    }
    let registry = Registry::new()
        .with(Slot::FecDecoder, FlexFec03ReceiveBuilder::new().build())
        .with(Slot::NackGenerator, NackGeneratorBuilder::new().with_interval(NACK_INTERVAL).build())
        .with(Slot::TwccReceiver, TwccReceiverBuilder::new().with_interval(REPORT_INTERVAL).build())
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build());
    Ok((engine, registry))
}

//! WebRTC through the `webrtc` crate: one [`WebRtcPeer`] is one connection of one seat.

mod channels;
mod media;

use super::wire::{MediaLimits, Wire};
use super::{PeerEvent, PeerEventKind, Transport, offered};
use crate::worker::input_port::InputPort;
use crate::worker::voice::VoicePort;
use anyhow::{Context, Result};
use bytes::Bytes;
use channels::{Channels, Outboxes, Outgoing};
use futures_util::FutureExt;
use nearframe_protocol::control;
use nearframe_protocol::facts::{FactsMessage, FrameFacts};
use nearframe_protocol::network::{IceServer, MediaNetwork};
use nearframe_protocol::{PeerId, Seat, VideoCodec};
use nearframe_stream::{Usage, VideoFrame};
use rtc::rtp;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCIceCandidateType, RTCIceGatheringState, RTCIceServer, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

/// Candidates of this machine are known at once; those of STUN and TURN servers follow one by one.
const GATHER_TIME: Duration = Duration::from_millis(40);
/// Audio and the smallest picture that can be played still fit.
const MIN_BPS: u32 = 300_000;
/// Most home connections carry this; the estimator is above it within a second where more fits.
pub(crate) const START_BPS: u32 = 4_000_000;

/// What a peer is made from.
pub(crate) struct PeerConfig<'a> {
    pub(crate) peer: PeerId,
    pub(crate) seat: Seat,
    pub(crate) network: &'a MediaNetwork,
    pub(crate) ice_servers: &'a [IceServer],
    pub(crate) max_bps: u32,
    pub(crate) fps: u32,
    pub(crate) seed: u64,
    pub(crate) input: Arc<InputPort>,
    pub(crate) voice: Arc<VoicePort>,
    pub(crate) events: mpsc::UnboundedSender<PeerEvent>,
}

/// One WebRTC connection.
pub(crate) struct WebRtcPeer {
    seat: Seat,
    connection: Arc<dyn PeerConnection>,
    wire: Arc<Wire>,
    video: Arc<TrackLocalStaticRTP>,
    gathered: Arc<Notify>,
    outboxes: Outboxes,
}

struct Handler {
    peer: PeerId,
    events: mpsc::UnboundedSender<PeerEvent>,
    gathered: Arc<Notify>,
    voice: Arc<VoicePort>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.notify_one();
        }
    }
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            let kind =
                PeerEventKind::Candidate { candidate: candidate.candidate, sdp_mid: candidate.sdp_mid };
            let _ = self.events.send(PeerEvent { peer: self.peer, kind });
        }
    }
    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let (peer, voice) = (self.peer, Arc::clone(&self.voice));
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    voice.receive(peer, packet.header.sequence_number, &packet.payload);
                }
            }
        });
    }
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        debug!(peer = %self.peer, %state, "connection state");
        let kind = match state {
            RTCPeerConnectionState::Connected => PeerEventKind::Connected,
            RTCPeerConnectionState::Disconnected => PeerEventKind::Disconnected,
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => PeerEventKind::Failed,
            _ => return,
        };
        let _ = self.events.send(PeerEvent { peer: self.peer, kind });
    }
}

impl WebRtcPeer {
    /// Answers an offer: makes the connection and returns it with its SDP answer.
    pub(crate) async fn answer(config: PeerConfig<'_>, offer: String) -> Result<(Arc<Self>, String)> {
        let limits = MediaLimits {
            min_bps: MIN_BPS,
            start_bps: START_BPS.min(config.max_bps),
            max_bps: config.max_bps,
            fps: config.fps,
            seed: config.seed,
        };
        let wire = Wire::new(config.peer, limits, config.events.clone());
        wire.note_offer(&offer);
        let gathered = Arc::new(Notify::new());
        let handler = Handler {
            peer: config.peer,
            events: config.events.clone(),
            gathered: Arc::clone(&gathered),
            voice: Arc::clone(&config.voice),
        };
        let connection = build(&config, &wire, Arc::new(handler)).await?;
        let channels = Channels::open(connection.as_ref()).await?;
        connection
            .set_remote_description(RTCSessionDescription::offer(offer).context("the page's offer")?)
            .await
            .context("the page's offer")?;
        // Tracks are added after the offer is known: otherwise header-extension ids go stale.
        let ssrc = config.seed as u32;
        let video = media::video_track(ssrc);
        let audio = media::audio_track(ssrc);
        connection.add_track(Arc::clone(&video) as Arc<dyn TrackLocal>).await.context("adding video")?;
        connection.add_track(audio as Arc<dyn TrackLocal>).await.context("adding audio")?;
        let outboxes =
            channels.serve(config.peer, config.seat, config.input, config.events, Arc::clone(&video));
        let peer = Arc::new(Self { seat: config.seat, connection, wire, video, gathered, outboxes });
        let answer = peer.create_answer().await?;
        Ok((peer, answer))
    }

    /// Answers a further offer on the same connection: an ICE restart.
    pub(crate) async fn restart(&self, offer: String) -> Result<String> {
        self.connection
            .set_remote_description(RTCSessionDescription::offer(offer).context("the page's offer")?)
            .await
            .context("the page's offer")?;
        self.create_answer().await
    }

    /// Adds a candidate of the page.
    pub(crate) async fn add_candidate(&self, candidate: String, sdp_mid: Option<String>) -> Result<()> {
        let init = RTCIceCandidateInit { candidate, sdp_mid, ..Default::default() };
        self.connection.add_ice_candidate(init).await.context("the page's candidate")
    }

    /// Closes the connection; what it used must have been read before.
    pub(crate) async fn close(&self) {
        // The farewell is in the outbox of the control channel: it gets a moment to leave.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Err(error) = self.connection.close().await {
            warn!("closing a connection: {error}");
        }
    }

    async fn create_answer(&self) -> Result<String> {
        let answer = self.connection.create_answer(None).await.context("making an answer")?;
        self.connection.set_local_description(answer).await.context("making an answer")?;
        let _ = tokio::time::timeout(GATHER_TIME, self.gathered.notified()).await;
        let local = self.connection.local_description().await.context("the answer is not there")?;
        Ok(offered::with_level(&local.sdp))
    }

    /// Wakes the driver, so that it asks the wire for packets.
    fn ring(&self) {
        let Some((ssrc, payload_type)) = self.wire.video_ids() else { return };
        let doorbell = doorbell(ssrc, payload_type);
        // Ready at once unless the driver's queue is full, and then it is awake already.
        if self.video.write_rtp(doorbell).now_or_never().is_none() {
            let _ = self.outboxes.quick.try_send(Outgoing::Doorbell { ssrc, payload_type });
        }
    }
}

fn doorbell(ssrc: u32, payload_type: u8) -> rtp::Packet {
    let header = rtp::header::Header { version: 2, ssrc, payload_type, ..Default::default() };
    rtp::Packet { header, payload: Bytes::new() }
}

impl Transport for WebRtcPeer {
    fn seat(&self) -> Seat {
        self.seat
    }
    fn codecs(&self) -> Vec<VideoCodec> {
        self.wire.codecs()
    }
    fn send_video(&self, frame: &VideoFrame<'_>) {
        if self.wire.push_video(frame) {
            self.ring();
        }
    }
    fn send_video_part(&self, part: &VideoFrame<'_>, last: bool) {
        if self.wire.push_video_part(part, last) {
            self.ring();
        }
    }
    fn frame_budget(&self, bps: u32) -> Option<u32> {
        self.wire.frame_budget(bps)
    }
    fn set_frame_rate(&self, fps: u32) {
        self.wire.set_frame_rate(fps);
    }
    fn loss(&self) -> f64 {
        self.wire.loss()
    }
    fn send_audio(&self, rtp_timestamp: u32, payload: &[u8]) {
        if self.wire.push_audio(rtp_timestamp, payload) {
            self.ring();
        }
    }
    fn send_facts(&self, facts: &FrameFacts) {
        // A full outbox means that the data channel is stuck; facts are worth nothing later.
        let _ = self.outboxes.quick.try_send(Outgoing::Facts(FactsMessage::Frame(*facts).to_bytes()));
    }
    fn send_control(&self, message: &control::ToPage) {
        match serde_json::to_string(message) {
            Ok(text) => {
                if self.outboxes.control.try_send(text).is_err() {
                    warn!("the control channel is stuck; a message is lost");
                }
            }
            Err(error) => warn!("a control message cannot be written: {error}"),
        }
    }
    fn usage(&self) -> Usage {
        self.wire.usage()
    }
}

async fn build(
    config: &PeerConfig<'_>,
    wire: &Arc<Wire>,
    handler: Arc<dyn PeerConnectionEventHandler>,
) -> Result<Arc<dyn PeerConnection>> {
    let servers = config.ice_servers.iter().map(|server| RTCIceServer {
        urls: server.urls.clone(),
        username: server.username.clone().unwrap_or_default(),
        credential: server.credential.clone().unwrap_or_default(),
    });
    let has_loopback = config.network.bind.iter().any(IpAddr::is_loopback);
    let mut settings =
        SettingEngineBuilder::new().with_include_loopback_candidate(has_loopback).with_ice_timeouts(
            Some(Duration::from_secs(2)),
            Some(Duration::from_secs(30)),
            Some(Duration::from_secs(1)),
        );
    if !config.network.advertise.is_empty() {
        let addresses = config.network.advertise.iter().map(ToString::to_string).collect();
        settings = settings.with_nat_1to1_ips(addresses, RTCIceCandidateType::Host);
    }
    let crypto = webrtc::peer_connection::crypto::default_provider().context("choosing a crypto provider")?;
    let runtime = webrtc::runtime::default_runtime().context("choosing a runtime")?;
    settings = settings.with_crypto_provider(wire.tap().crypto(crypto));
    let (media_engine, registry) = media::engine(wire)?;
    let udp = free_addresses(config.network)?;
    let tcp = if config.network.ice_tcp { udp.clone() } else { Vec::new() };
    let builder = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().with_ice_servers(servers.collect()).build())
        .with_media_engine(media_engine)
        .with_setting_engine(settings.build())
        .with_interceptor_registry(registry)
        .with_runtime(wire.tap().runtime(runtime))
        .with_handler(handler)
        .with_udp_addrs(udp)
        .with_tcp_addrs(tcp);
    // Its future is 20 kB: on the heap, not in every future around it.
    let connection = Box::pin(builder.build()).await.context("opening sockets for media")?;
    Ok(Arc::new(connection))
}

/// One address to bind for each configured interface, with a port of the configured range that is free.
fn free_addresses(network: &MediaNetwork) -> Result<Vec<SocketAddr>> {
    let (first, last) = network.udp_ports;
    let find = |&ip: &IpAddr| {
        if first == 0 {
            return Ok(SocketAddr::new(ip, 0));
        }
        (first..=last).map(|port| SocketAddr::new(ip, port)).find(|&address| UdpSocket::bind(address).is_ok()).with_context(
            || format!("no UDP port from {first} to {last} is free on {ip}; widen network.udp_ports or lower slots"),
        )
    };
    network.bind.iter().map(find).collect()
}

/// What the page told about a shown frame, or asked.
fn on_facts(bytes: &[u8]) -> Option<FactsReply> {
    match FactsMessage::parse(bytes).ok()? {
        FactsMessage::Ping { t } => {
            Some(FactsReply::Send(FactsMessage::Pong { t, node_us: crate::worker::now_us() }.to_bytes()))
        }
        FactsMessage::Shown { rtp_timestamp, wait_us, decode_us } => {
            let decode = Duration::from_micros(decode_us.into());
            Some(FactsReply::Shown { rtp_timestamp, wait_us, decode })
        }
        FactsMessage::Frame(_) | FactsMessage::Pong { .. } => None,
    }
}

enum FactsReply {
    Send(Vec<u8>),
    Shown { rtp_timestamp: u32, wait_us: i32, decode: Duration },
}

/// Input packets that came at `now`.
fn on_input(port: &InputPort, seat: Seat, bytes: &[u8]) {
    match nearframe_protocol::input::InputPacket::parse(bytes) {
        Ok(packet) => port.receive(seat, &packet, Instant::now()),
        Err(error) => debug!("an input packet is not understood: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_from_the_configured_range_and_a_full_range_says_what_to_do() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let network = MediaNetwork { udp_ports: (port, port), ..MediaNetwork::default() };
        let error = free_addresses(&network).unwrap_err().to_string();
        assert!(error.contains("udp_ports"), "{error}");
        drop(held);
        assert_eq!(free_addresses(&network).unwrap()[0].port(), port);
    }

    #[test]
    fn facts_from_the_page_are_answered_or_passed_on_and_rubbish_is_dropped() {
        let ping = FactsMessage::Ping { t: 42 }.to_bytes();
        let Some(FactsReply::Send(pong)) = on_facts(&ping) else { panic!("no pong") };
        assert!(matches!(FactsMessage::parse(&pong), Ok(FactsMessage::Pong { t: 42, .. })));
        assert!(on_facts(b"rubbish").is_none());
        assert!(on_facts(&[]).is_none());
    }

    /// What Chromium offers of H.264: six of its formats, the agreed one the fifth.
    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 103 104 107 108 109 114 115 116 117 118 39 40\r\nc=IN IP4 0.0.0.0\r\nTRANSPORT\
        a=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
        a=rtpmap:103 H264/90000\r\na=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
        a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\n\
        a=rtpmap:107 H264/90000\r\na=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r\n\
        a=rtpmap:108 rtx/90000\r\na=fmtp:108 apt=107\r\n\
        a=rtpmap:115 H264/90000\r\na=fmtp:115 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n\
        a=rtpmap:116 rtx/90000\r\na=fmtp:116 apt=115\r\n\
        a=rtpmap:117 H264/90000\r\na=fmtp:117 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f\r\n\
        a=rtpmap:118 rtx/90000\r\na=fmtp:118 apt=117\r\n\
        a=rtpmap:109 H264/90000\r\na=fmtp:109 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:114 rtx/90000\r\na=fmtp:114 apt=109\r\n\
        a=rtpmap:39 H264/90000\r\na=fmtp:39 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f\r\n\
        a=rtpmap:40 rtx/90000\r\na=fmtp:40 apt=39\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\nTRANSPORT\
        a=mid:1\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\nTRANSPORT\
        a=mid:2\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

    #[tokio::test]
    async fn the_answer_names_the_profile_that_every_encoder_keeps_to_and_no_other() {
        // `main` chooses it for the program.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let network = MediaNetwork { bind: vec![IpAddr::from([127, 0, 0, 1])], ..MediaNetwork::default() };
        let (events, _heard) = mpsc::unbounded_channel();
        let config = PeerConfig {
            peer: PeerId::from_random([1; 16]),
            seat: Seat(0),
            network: &network,
            ice_servers: &[],
            max_bps: 20_000_000,
            fps: 60,
            seed: 7,
            input: Arc::new(InputPort::new(Instant::now())),
            voice: Arc::default(),
            events,
        };
        let fingerprint = ["AB"; 32].join(":");
        let transport = format!(
            "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n"
        );
        let (peer, answer) =
            WebRtcPeer::answer(config, OFFER.replace("TRANSPORT", &transport)).await.unwrap();
        let of_h264: Vec<&str> =
            answer.lines().filter(|line| line.starts_with("a=rtpmap:") && line.contains(" H264/")).collect();
        assert_eq!(of_h264, ["a=rtpmap:109 H264/90000"], "{answer}");
        let parameters = answer.lines().find_map(|line| line.strip_prefix("a=fmtp:109 ")).unwrap();
        let said = parameters.split(';').find_map(|pair| pair.strip_prefix("profile-level-id=")).unwrap();
        assert_eq!(said.parse(), Ok(nearframe_encode::h264::ProfileLevelId::AGREED));
        assert!(answer.contains("a=fmtp:114 apt=109"), "{answer}");
        peer.close().await;
    }
}

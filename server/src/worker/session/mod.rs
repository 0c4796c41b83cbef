//! One session: its title, its players, its receipts, and how it ends.

mod codec;
mod page;
mod quality;

use super::input_port::InputPort;
use super::meter::Meter;
use super::pipeline::{Pipeline, PipelineEvent, PipelineInfo};
use super::save_keeper::SaveKeeper;
use super::stage::{self, Stage};
use super::transport::webrtc::{PeerConfig, WebRtcPeer};
use super::transport::{PeerEvent, PeerEventKind, Transport, farewell};
use super::voice::VoicePort;
use anyhow::Result;
use base64::Engine;
use nearframe_protocol::control::ToPage;
use nearframe_protocol::title::{TitleKind, TitleManifest};
use nearframe_protocol::worker::{FromWorker, Start, ToWorker};
use nearframe_protocol::{EndReason, PeerId, Seat, SpendLimit, VideoCodec};
use nearframe_stream::{CodecAgreement, Quality, QualityController, QualityLimit};
use page::Shown;
use quality::Wants;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// A session that nobody has connected to ends after this.
const UNREACHABLE_TIME: Duration = Duration::from_secs(30);
/// A peer without a route is given up after this: the page has long made a new one.
const DISCONNECTED_TIME: Duration = Duration::from_secs(20);
/// Connections of one session: four players, some viewers, and their reconnecting twins.
const MAX_PEERS: usize = 16;
/// No two keyframes closer than this on request: one answers all the losses of the moment.
const KEYFRAME_PAUSE: Duration = Duration::from_millis(150);

struct Peer {
    transport: Arc<WebRtcPeer>,
    connected: bool,
    disconnected_since: Option<Instant>,
    target_bps: u32,
    greeted: bool,
    wants: Wants,
    /// What was negotiated with it.
    codecs: Vec<VideoCodec>,
    /// Whether the player wants to be heard.
    microphone: bool,
}

/// A running session.
pub(crate) struct Session {
    start: Start,
    manifest: TitleManifest,
    pipeline: Pipeline,
    info: Option<PipelineInfo>,
    quality: Option<QualityController>,
    agreement: CodecAgreement,
    /// What is encoded now, once the title is open.
    picture: Option<Quality>,
    /// What keeps it from being better, as the page was told.
    limit: QualityLimit,
    input: Arc<InputPort>,
    peers: BTreeMap<PeerId, Peer>,
    meter: Meter,
    alone_since: Option<Instant>,
    last_keyframe: Option<Instant>,
    /// The first frame that is the title's, by its RTP timestamp.
    begins: Option<u32>,
    shown: Shown,
    voice: Arc<VoicePort>,
    saves: Option<SaveKeeper>,
    peer_events: mpsc::UnboundedSender<PeerEvent>,
    to_agent: mpsc::Sender<FromWorker>,
    ended: Option<(EndReason, String)>,
    /// By which limit it was stopped, where one was reached.
    spend_limit: Option<SpendLimit>,
}

impl Session {
    /// Runs a session to its end, with its title already running where it was prepared, and tells the agent how it ended.
    pub(crate) async fn run(
        start: Start,
        prepared: Option<Stage>,
        mut commands: mpsc::Receiver<ToWorker>,
        to_agent: mpsc::Sender<FromWorker>,
    ) {
        let (peer_events, mut peers_say) = mpsc::unbounded_channel();
        let (warnings_in, mut warnings) = mpsc::unbounded_channel();
        let (mut session, mut pipeline_says) =
            match Self::open(start, prepared, peer_events, warnings_in, to_agent.clone()) {
                Ok(opened) => opened,
                Err(error) => {
                    let ended =
                        FromWorker::Ended { reason: EndReason::TitleFailed, detail: format!("{error:#}") };
                    let _ = to_agent.send(ended).await;
                    return;
                }
            };
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while session.ended.is_none() {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => session.command(command).await,
                    None => session.end(EndReason::NodeLost, "the agent is gone"),
                },
                Some(event) = peers_say.recv() => session.peer_event(event).await,
                Some(event) = pipeline_says.recv() => session.pipeline_event(event).await,
                Some(text) = warnings.recv() => session.warn_players(text),
                _ = ticks.tick() => session.tick(Instant::now()).await,
            }
        }
        session.close().await;
    }

    fn open(
        start: Start,
        prepared: Option<Stage>,
        peer_events: mpsc::UnboundedSender<PeerEvent>,
        warnings: mpsc::UnboundedSender<&'static str>,
        to_agent: mpsc::Sender<FromWorker>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<PipelineEvent>)> {
        let wanted = stage::wanted(&start);
        let manifest = stage::manifest(&wanted)?;
        let saves = match &start.save_dir {
            Some(save_dir) if !manifest.run.saves.is_empty() => {
                let keeper =
                    SaveKeeper::start(&start.home, &manifest.run.saves, save_dir, warnings, to_agent.clone());
                Some(keeper?)
            }
            _ => None,
        };
        let stage = match prepared.filter(|stage| stage.title_dir == start.title_dir) {
            Some(stage) => stage,
            None => Stage::open(&wanted, start.max_bitrate_bps)?,
        };
        let Stage { pipeline, input, voice, events, .. } = stage;
        let now = Instant::now();
        input.wake(now);
        if let Some(nonce) = start.challenge {
            pipeline.challenge(nonce);
        }
        let session = Self {
            meter: Meter::new(start.session, start.generation),
            start,
            manifest,
            pipeline,
            info: None,
            quality: None,
            agreement: CodecAgreement::default(),
            picture: None,
            limit: QualityLimit::None,
            input,
            peers: BTreeMap::new(),
            alone_since: Some(now),
            last_keyframe: None,
            begins: None,
            shown: Shown::new(),
            voice,
            saves,
            peer_events,
            to_agent,
            ended: None,
            spend_limit: None,
        };
        Ok((session, events))
    }

    async fn command(&mut self, command: ToWorker) {
        match command {
            ToWorker::Hello { .. } | ToWorker::Prepare(_) | ToWorker::Start(_) => {
                warn!("the agent repeated its greeting; ignored");
            }
            ToWorker::Offer { peer, seat, sdp, nonce, expires_at_ms } => {
                match self.offer(peer, seat, sdp).await {
                    Ok(sdp) => self.tell(FromWorker::Answer { peer, sdp, nonce, expires_at_ms }).await,
                    Err(error) => warn!(%peer, "an offer is not answered: {error:#}"),
                }
            }
            ToWorker::Candidate { peer, candidate, sdp_mid } => {
                let Some(peer) = self.peers.get(&peer) else { return };
                if candidate.is_empty() {
                    return;
                }
                if let Err(error) = peer.transport.add_candidate(candidate, sdp_mid).await {
                    warn!("a candidate is left out: {error:#}");
                }
            }
            ToWorker::Receipt { receipt } => {
                let bytes = base64::engine::general_purpose::STANDARD.encode(receipt.canonical());
                self.player_transport().inspect(|peer| peer.send_control(&ToPage::Receipt { bytes }));
            }
            ToWorker::Stop { reason, limit } => {
                self.spend_limit = limit;
                self.end(reason, "stopped by the matchmaker");
            }
        }
    }

    /// Answers an offer: restarts ICE on a known peer, or makes a new one.
    async fn offer(&mut self, id: PeerId, seat: Seat, sdp: String) -> Result<String> {
        if let Some(peer) = self.peers.get(&id) {
            return peer.transport.restart(sdp).await;
        }
        anyhow::ensure!(self.peers.len() < MAX_PEERS, "the session has {MAX_PEERS} connections already");
        anyhow::ensure!(seat.is_player() || seat == Seat::VIEWER, "there is no seat {}", seat.0);
        let config = PeerConfig {
            peer: id,
            seat,
            network: &self.start.network,
            ice_servers: &self.start.ice_servers,
            max_bps: self.start.max_bitrate_bps,
            fps: self.manifest.run.fps,
            seed: u64::from_le_bytes(id.as_bytes()[..8].try_into().expect("8 of 16 bytes")),
            input: Arc::clone(&self.input),
            voice: Arc::clone(&self.voice),
            events: self.peer_events.clone(),
        };
        let (transport, answer) = WebRtcPeer::answer(config, sdp).await?;
        let target_bps = self.start.max_bitrate_bps.min(super::transport::webrtc::START_BPS);
        let peer = Peer {
            codecs: transport.codecs(),
            transport,
            connected: false,
            disconnected_since: None,
            target_bps,
            greeted: false,
            wants: Wants::default(),
            microphone: false,
        };
        self.peers.insert(id, peer);
        Ok(answer)
    }

    async fn peer_event(&mut self, event: PeerEvent) {
        let now = Instant::now();
        let alone = self.peers.len() == 1;
        let Some(peer) = self.peers.get_mut(&event.peer) else { return };
        match event.kind {
            PeerEventKind::Connected => {
                let is_new = !peer.connected;
                (peer.connected, peer.disconnected_since) = (true, None);
                let seat = peer.transport.seat();
                if is_new && seat.is_player() {
                    self.input.sit(seat);
                    self.retire_twins(event.peer, seat).await;
                }
                self.peers_changed(now);
            }
            PeerEventKind::Disconnected => {
                peer.disconnected_since = Some(now);
                self.peers_changed(now);
            }
            PeerEventKind::Failed => self.remove_peer(event.peer).await,
            PeerEventKind::Control(text) => self.control(event.peer, &text).await,
            PeerEventKind::Shown { rtp_timestamp, wait_us, decode } => {
                peer.wants.decoded(decode);
                if self.phase_peer() == Some(event.peer) {
                    self.pipeline.shown(rtp_timestamp, wait_us);
                }
            }
            PeerEventKind::KeyframeNeeded => self.keyframe_needed(now),
            // One encoder feeds all: with several receivers, no reference is known to be good for each.
            PeerEventKind::ReferenceLost { newest_good } if alone => {
                self.pipeline.reference_lost(newest_good);
            }
            PeerEventKind::ReferenceLost { .. } => self.keyframe_needed(now),
            PeerEventKind::FrameReceived { frame } if alone => self.pipeline.received(frame),
            PeerEventKind::FrameReceived { .. } => {}
            PeerEventKind::TargetBitrate { bps } => {
                peer.target_bps = bps;
                self.apply_bitrate();
            }
            PeerEventKind::Candidate { candidate, sdp_mid } => {
                self.tell(FromWorker::Candidate { peer: event.peer, candidate, sdp_mid }).await;
            }
        }
    }

    async fn pipeline_event(&mut self, event: PipelineEvent) {
        match event {
            PipelineEvent::Opened(info) => {
                info!(adapter = %info.adapter, encoder = %info.encoder.name, conversion = %info.conversion, "title opened");
                self.begin_quality(info.whole);
                self.info = Some(info);
                let greeted: Vec<_> = self.peers.keys().copied().collect();
                greeted.into_iter().for_each(|id| self.introduce(id));
            }
            PipelineEvent::EncoderChanged { encoder, change } => {
                warn!(from = %change.from, to = encoder.name, why = %change.why, took_ms = change.took.as_millis(), "the encoder changed");
                self.encoder_is(encoder);
            }
            PipelineEvent::CodecChanged(encoder) => {
                info!(codec = %encoder.codec, encoder = %encoder.name, "another codec");
                self.encoder_is(encoder);
            }
            PipelineEvent::CodecRefused { codec, why } => {
                warn!(%codec, why, "the encoder refuses a codec");
                self.agreement.refused(codec);
            }
            PipelineEvent::FirstFrame => self.tell(FromWorker::Live).await,
            PipelineEvent::Begins(rtp_timestamp) => {
                self.begins = Some(rtp_timestamp);
                self.peers.keys().for_each(|&id| self.tell_begins(id));
            }
            PipelineEvent::Notice(notice) => self.notice(notice),
            PipelineEvent::Exited => self.end(EndReason::TitleExited, "the title ended"),
            PipelineEvent::GpuGone(why) => self.end(EndReason::NodeLost, &why),
            PipelineEvent::Failed(why) => self.end(EndReason::TitleFailed, &why),
        }
    }

    async fn tick(&mut self, now: Instant) {
        let lost: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, p)| p.disconnected_since.is_some_and(|since| now - since > DISCONNECTED_TIME))
            .map(|(&id, _)| id)
            .collect();
        for id in lost {
            self.remove_peer(id).await;
        }
        // Who has never been there is waited for a short while; who played finds the game as it was for longer.
        let keep = Duration::from_secs(u64::from(self.manifest.policy.keep_s));
        let patience = if self.meter.has_run() { keep } else { UNREACHABLE_TIME };
        if self.alone_since.is_some_and(|since| now - since > patience) {
            return self.end(EndReason::PlayerUnreachable, "no player connected in time");
        }
        let idle = Duration::from_secs(u64::from(self.manifest.policy.idle_timeout_s));
        if self.input.last_input().is_some_and(|last| now.saturating_duration_since(last) > idle) {
            return self.end(EndReason::IdleTimeout, "no input");
        }
        self.review_codec(now);
        self.review_quality(now);
        if self.meter.is_due(now) {
            self.state_use(now).await;
        }
    }

    /// A player came back on a new connection: the one it replaces goes.
    async fn retire_twins(&mut self, id: PeerId, seat: Seat) {
        let twins: Vec<_> = self
            .peers
            .iter()
            .filter(|(other, peer)| **other != id && peer.transport.seat() == seat)
            .map(|(&other, _)| other)
            .collect();
        for twin in twins {
            self.remove_peer(twin).await;
        }
    }

    async fn remove_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        self.meter.keep(&peer.transport.usage());
        self.peers_changed(Instant::now());
        peer.transport.close().await;
    }

    fn peers_changed(&mut self, now: Instant) {
        let connected: Vec<Arc<dyn Transport>> = self
            .peers
            .values()
            .filter(|peer| peer.connected)
            .map(|peer| Arc::clone(&peer.transport) as Arc<dyn Transport>)
            .collect();
        // A player without a route still gets frames, which find their way when it comes back; but nobody sees
        // them, so that this time is not counted.
        let reached = |peer: &Peer| {
            peer.connected && peer.disconnected_since.is_none() && peer.transport.seat().is_player()
        };
        let alone = !self.peers.values().any(reached);
        self.alone_since = alone.then(|| self.alone_since.unwrap_or(now));
        self.meter.set_running(!alone, now);
        self.pipeline.set_peers(connected);
        // A program must not play on unseen. The titles that ship go on, so that a short cut costs nothing.
        self.pipeline.set_away(alone && self.manifest.run.kind == TitleKind::App);
        self.apply_bitrate();
        self.choose_voice();
    }

    fn apply_bitrate(&self) {
        if let Some(bps) = self.slowest_bps() {
            self.pipeline.set_bitrate(bps);
        }
    }

    /// The first player whose microphone is on is heard.
    fn choose_voice(&self) {
        let speaking = self.peers.iter().filter(|(_, peer)| peer.connected && peer.microphone);
        self.voice.choose(speaking.min_by_key(|(_, peer)| peer.transport.seat()).map(|(&id, _)| id));
    }

    fn keyframe_needed(&mut self, now: Instant) {
        if self.last_keyframe.is_none_or(|last| now - last >= KEYFRAME_PAUSE) {
            self.last_keyframe = Some(now);
            self.pipeline.request_keyframe();
        }
    }

    /// The first player: the frame clock follows this display.
    fn phase_peer(&self) -> Option<PeerId> {
        let mut players: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.connected && peer.transport.seat().is_player())
            .map(|(&id, peer)| (peer.transport.seat(), id))
            .collect();
        players.sort_unstable();
        players.first().map(|&(_, id)| id)
    }

    fn player_transport(&self) -> Option<&WebRtcPeer> {
        let id = self.phase_peer()?;
        self.peers.get(&id).map(|peer| peer.transport.as_ref())
    }

    async fn state_use(&mut self, now: Instant) {
        let usages: Vec<_> = self.peers.values().map(|peer| peer.transport.usage()).collect();
        let totals = self.meter.totals(usages.iter(), self.pipeline.encoder_us());
        if let Some(usage) = self.meter.state(totals, self.picture_size(), now) {
            self.tell(FromWorker::Used { usage }).await;
        }
    }

    fn end(&mut self, reason: EndReason, detail: &str) {
        self.ended.get_or_insert_with(|| (reason, detail.to_owned()));
    }

    /// Says goodbye: the last receipt, the reason to every page, the reason to the agent.
    async fn close(mut self) {
        let (reason, detail) = self.ended.take().unwrap_or((EndReason::TitleExited, String::new()));
        self.state_use(Instant::now()).await;
        self.pipeline.set_peers(Vec::new());
        for peer in self.peers.values() {
            peer.transport.send_control(&farewell(reason, self.spend_limit));
        }
        for peer in self.peers.values() {
            peer.transport.close().await;
        }
        // The title ends before its saves are packed for the last time: nothing writes them any more.
        let mut pipeline = self.pipeline;
        let stopped = tokio::task::spawn_blocking(move || pipeline.stop());
        if stopped.await.is_err() {
            warn!("the title's threads did not end well");
        }
        if let Some(saves) = self.saves.take() {
            saves.finish().await;
        }
        let _ = self.to_agent.send(FromWorker::Ended { reason, detail }).await;
    }

    async fn tell(&self, message: FromWorker) {
        // Without an agent there is nobody to tell; the command channel closing ends the session.
        let _ = self.to_agent.send(message).await;
    }
}

//! One session, from the request to the leave.

use crate::dialogue::Dialogue;
use crate::dice;
use crate::hands::Hands;
use crate::peer::{Peer, Sinks, ask_for_keyframe};
use crate::place::{Placed, leave, place};
use crate::receipts::Receipts;
use crate::seen::Seen;
use crate::signal::Signal;
use crate::watch::{Desk, QUEUE, Wanted, Watch};
use crate::way::Way;
use anyhow::{Context, Result};
use nearframe_protocol::attest::{Attestation, Fingerprint};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::signal::{FromPage, ToPage};
use nearframe_protocol::{EndReason, NodeId, PeerId, Seat, SessionId, TitleId};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::debug;
use webrtc::media_stream::track_remote::TrackRemote;

/// Events that may wait for the session's task: seconds of them.
const EVENTS: usize = 4096;
/// A page gives a start up after this.
const START_LIMIT: Duration = Duration::from_secs(20);
/// The channels are looked after this often.
const TICK: Duration = Duration::from_millis(4);

/// What happens to a session.
pub(crate) enum Event {
    Signal(Box<ToPage>),
    SignalGone,
    Candidate { candidate: String, sdp_mid: Option<String> },
    Connected(Instant),
    Failed,
    Video(Arc<dyn TrackRemote>),
    KeyframeNeeded,
    ControlOpen,
    Control(Vec<u8>),
    Facts(Instant, Vec<u8>),
    Shown { rtp_timestamp: u32, decode_us: u32 },
}

/// Plays sessions.
#[derive(Clone)]
pub struct Player {
    /// To the matchmaker.
    pub way: Arc<dyn Way>,
    /// Addresses that media leave from.
    pub bind: Vec<IpAddr>,
    /// Decode and read pictures; else frames are only counted, and no challenge is verified.
    pub decode: bool,
}

/// What became of a session.
#[derive(Debug)]
pub struct Outcome {
    /// Which.
    pub session: SessionId,
    /// Where it ran.
    pub node: NodeId,
    /// Why it was over before its time; a code first.
    pub failure: Option<String>,
    pub(crate) started_at_ms: u64,
    pub(crate) asked: Instant,
    pub(crate) connected: Option<Instant>,
    pub(crate) wrong_identity: bool,
    /// The node said that it knows challenges.
    pub(crate) is_challenged: bool,
    pub(crate) decoded: bool,
    pub(crate) round_trip: Option<Duration>,
    /// The longest time in which nothing came, or nothing that was said was answered.
    pub(crate) silence: Duration,
    pub(crate) audio_bytes: u64,
    pub(crate) seen: Seen,
    pub(crate) receipts: Receipts,
}

/// Why a session is not played on.
enum Over {
    /// Its time is over.
    Time,
    WrongIdentity(String),
    Broken(String),
    Ended(EndReason),
}

impl Player {
    /// Plays a title for this long from its first frame on, and leaves. `check`: of an audit, which says where.
    ///
    /// # Errors
    /// No session could be had; the text begins with the server's code for why.
    pub async fn play(&self, title: &TitleId, check: Option<&str>, time: Duration) -> Result<Outcome> {
        let placed = place(&*self.way, title, check).await?;
        let outcome = Session::begin(self, &placed).await;
        let outcome = match outcome {
            Ok(session) => Ok(session.play(&placed, time).await),
            Err(error) => Err(error),
        };
        leave(&*self.way, &placed).await;
        outcome
    }
}

/// A session under way.
struct Session {
    signal: Signal,
    peer: Arc<Peer>,
    nonce: Nonce,
    events: mpsc::Receiver<Event>,
    desk: Arc<Desk>,
    watch: Watch,
    audio: Arc<AtomicU64>,
    dialogue: Dialogue,
    track: Option<Arc<dyn TrackRemote>>,
    connected: Option<Instant>,
    decode: bool,
}

impl Session {
    async fn begin(player: &Player, placed: &Placed) -> Result<Self> {
        let created = &placed.created;
        let now = Instant::now();
        let (events_in, events) = mpsc::channel(EVENTS);
        let (video, packets) = std::sync::mpsc::sync_channel(QUEUE);
        let desk = Arc::new(Desk::new(Hands::new(u64::from_le_bytes(dice::bytes()?), now)));
        let wanted = Wanted { challenge: created.challenge, decode: player.decode };
        let watch = Watch::start(Arc::clone(&desk), wanted, packets, events_in.clone())?;
        let audio = Arc::new(AtomicU64::new(0));
        let sinks = Sinks { events: events_in.clone(), video, audio: Arc::clone(&audio) };
        let mut signal = Signal::open(&*player.way, created, events_in).await?;
        let id = PeerId::from_random(dice::bytes()?);
        let peer = Arc::new(Peer::new(id, &created.ice_servers, &player.bind, sinks).await?);
        let nonce = Nonce::from_bytes(dice::bytes()?);
        let sdp = peer.offer().await?;
        signal.say(&FromPage::Offer { peer: id, seat: Seat(0), sdp, nonce }).await?;
        let receipts = Receipts::new(created.session.id, placed.key.clone(), placed.asked);
        let dialogue = Dialogue::new(Arc::clone(&peer), Arc::clone(&desk), receipts, now);
        let (track, connected, decode) = (None, None, player.decode);
        Ok(Self { signal, peer, nonce, events, desk, watch, audio, dialogue, track, connected, decode })
    }

    async fn play(mut self, placed: &Placed, time: Duration) -> Outcome {
        let begun = Instant::now();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let over = loop {
            let step = tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.event(event, placed).await,
                    None => Err(Over::Broken("no_connection: its parts are gone".to_owned())),
                },
                _ = ticks.tick() => {
                    self.dialogue.tick(Instant::now()).await;
                    self.look_at_clock(begun, time)
                }
            };
            if let Err(over) = step {
                break over;
            }
        };
        self.finish(placed, over).await
    }

    fn look_at_clock(&self, begun: Instant, time: Duration) -> Result<(), Over> {
        let first = self.desk.seen().first;
        match first {
            Some(first) if first.elapsed() >= time => Err(Over::Time),
            None if begun.elapsed() > START_LIMIT => {
                let code = if self.connected.is_some() { "no_picture" } else { "no_connection" };
                Err(Over::Broken(format!("{code}: within {} s", START_LIMIT.as_secs())))
            }
            _ => Ok(()),
        }
    }

    async fn event(&mut self, event: Event, placed: &Placed) -> Result<(), Over> {
        let now = Instant::now();
        match event {
            Event::Signal(message) => self.signalled(*message, placed).await?,
            // What is under way needs it no more.
            Event::SignalGone if self.connected.is_some() => {}
            Event::SignalGone => return Err(Over::Broken("no_signalling: the socket is gone".to_owned())),
            Event::Candidate { candidate, sdp_mid } => {
                let peer = self.peer.id;
                let said = self.signal.say(&FromPage::Candidate { peer, candidate, sdp_mid }).await;
                said.unwrap_or_else(|error| debug!("a candidate is lost: {error:#}"));
            }
            Event::Connected(at) => {
                self.connected.get_or_insert(at);
            }
            Event::Failed => return Err(Over::Broken("no_connection: it broke".to_owned())),
            Event::Video(track) => self.track = Some(track),
            Event::KeyframeNeeded => {
                if let Some(track) = &self.track {
                    ask_for_keyframe(track).await;
                }
            }
            Event::ControlOpen => self.dialogue.open(now).await,
            Event::Control(bytes) => {
                if let Some(reason) = self.dialogue.control(&bytes, now).await {
                    return Err(Over::Ended(reason));
                }
            }
            Event::Facts(at, bytes) => self.dialogue.facts(&bytes, at),
            Event::Shown { rtp_timestamp, decode_us } => {
                self.dialogue.shown(rtp_timestamp, decode_us, now).await;
            }
        }
        Ok(())
    }

    async fn signalled(&mut self, message: ToPage, placed: &Placed) -> Result<(), Over> {
        match message {
            ToPage::Answer { peer, sdp, attestation } if peer == self.peer.id => {
                self.check_identity(&sdp, &attestation, placed).map_err(Over::WrongIdentity)?;
                let accepted = self.peer.accept(sdp).await;
                accepted.map_err(|error| Over::Broken(format!("no_connection: {error:#}")))
            }
            ToPage::Candidate { peer, candidate, sdp_mid } if peer == self.peer.id => {
                self.peer.add_candidate(candidate, sdp_mid).await;
                Ok(())
            }
            ToPage::Ended { reason, .. } => Err(Over::Ended(reason)),
            ToPage::Error { code, message } => Err(Over::Broken(format!("{code}: {message}"))),
            ToPage::Welcome { .. }
            | ToPage::State { .. }
            | ToPage::Interruption { .. }
            | ToPage::Answer { .. }
            | ToPage::Candidate { .. } => Ok(()),
        }
    }

    /// The answer is the node's, for this session, now; the page checks the same before it connects.
    fn check_identity(&self, sdp: &str, attestation: &Attestation, placed: &Placed) -> Result<(), String> {
        let created = &placed.created;
        let now_ms = created.now_ms + placed.answered.elapsed().as_millis() as u64;
        let is_ours = attestation.session == created.session.id && attestation.nonce == self.nonce;
        if !is_ours || attestation.expires_at_ms < now_ms {
            return Err("it is of another session or another time".to_owned());
        }
        if Fingerprint::from_sdp(sdp) != Some(attestation.fingerprint) {
            return Err("its certificate is not the one that was signed".to_owned());
        }
        attestation.verify(&created.node_key).map_err(|error| error.to_string())
    }

    async fn finish(mut self, placed: &Placed, over: Over) -> Outcome {
        let silence = self.desk.silence(Instant::now());
        let _ = self.signal.say(&FromPage::Leave).await;
        let seen = self.watch.finish().await;
        self.peer.close().await;
        let (wrong_identity, failure) = match over {
            Over::Time => (false, None),
            Over::WrongIdentity(why) => (true, Some(format!("wrong_identity: {why}"))),
            Over::Broken(why) => (false, Some(why)),
            Over::Ended(reason) => (false, Some(format!("ended: {reason}"))),
        };
        let created = &placed.created;
        Outcome {
            session: created.session.id,
            node: created.session.node,
            failure,
            started_at_ms: created.now_ms,
            asked: placed.asked,
            connected: self.connected,
            wrong_identity,
            is_challenged: self.dialogue.is_challenged,
            decoded: self.decode,
            round_trip: self.desk.round_trip(),
            silence,
            audio_bytes: self.audio.load(Ordering::Relaxed),
            seen,
            receipts: self.dialogue.receipts,
        }
    }
}

impl Outcome {
    /// From the request to the connection.
    pub fn connect_time(&self) -> Option<Duration> {
        self.connected.map(|at| at.saturating_duration_since(self.asked))
    }

    /// From the request to the first frame that could be shown.
    pub fn first_frame_time(&self) -> Option<Duration> {
        self.seen.first.map(|at| at.saturating_duration_since(self.asked))
    }
}

/// Checks that a bind is of use before anything is asked for.
pub(crate) fn check_bind(bind: &[IpAddr]) -> Result<()> {
    bind.first().map(drop).context("no address for media to leave from: name one with --media-bind")
}

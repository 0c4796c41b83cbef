//! A node's link: challenge, hello, then heartbeats, receipts and commands.

use super::page::admit;
use super::socket::{GOING_AWAY, Gone, NORMAL, POLICY, Socket};
use super::uplink;
use crate::bus::{NodeCommands, SessionEvent};
use crate::catalogue::{check_offer, mark_covers};
use crate::http::Address;
use crate::http::problem::Problem;
use crate::market;
use crate::random;
use crate::replicas;
use crate::sessions;
use crate::state::{Phase, Shared, hash};
use crate::store::{Admission, SessionRow, StoreError, Taken};
use crate::trust;
use crate::webhooks;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use nearframe_placement::Stage;
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{
    AUCTIONS, FromNode, MAX_LINK_BYTES, NodeOffer, PREWARM, RunningSession, ToNode, hello_bytes, versions,
};
use nearframe_protocol::measure::{MOST_ADDRESSES, Reflector};
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::terms::{Evidence, Location};
use nearframe_protocol::{
    EndReason, Generation, NodeId, PeerId, PublicKey, SessionId, SessionState, Signature, VersionOffer, api,
};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Heartbeats in a row that do not name a session the node was seen running: then it lost it. One may
/// cross with the session's start or end.
const MISSED_HEARTBEATS: u32 = 3;

/// Heartbeats that name the very sessions of the one before, but not as many as leases are known of, are compared
/// with the store only this often.
const COMPARISON: u64 = 3;
/// And those that do, this often; of nodes that neither run nor hold anything, never.
const FULL_COMPARISON: u64 = 60;

/// A link that waits for the store says this often that its node is not what it waits for.
const AWAKE: Duration = Duration::from_secs(1);

/// Words of a node that may wait for a store that is away: receipts of a hundred sessions for three minutes.
const MAX_UNSAVED: usize = 2048;

/// The link of a node. The matchmaker speaks first; messages are described in `docs/api/README.md`.
#[utoipa::path(get, path = "/v1/nodes/link", tag = "signalling", operation_id = "node_link", responses(
    (status = 101, description = "A WebSocket, one JSON object per text message, at most 1 MiB"),
    (status = "default", description = "Any error, such as `upgrade_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn open(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = admit(&shared, &headers, address, upgrade)?
        .max_message_size(MAX_LINK_BYTES)
        .max_frame_size(MAX_LINK_BYTES);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _held = shared.metrics.links.hold();
        serve(&shared, address, Socket::new(socket)).await;
    }))
}

async fn serve(shared: &Shared, address: IpAddr, mut socket: Socket) {
    match greet(shared, address, &mut socket).await {
        Ok((mut link, commands)) => {
            tracing::info!(node = %link.node, "node linked");
            let code = link.run(&mut socket, commands).await;
            shared.fleet().unlink(link.node, link.number);
            replicas::say_stage(shared, link.node, link.number, Stage::Away).await;
            tracing::info!(node = %link.node, "link closed");
            socket.finish(None::<&ToNode>, code).await;
        }
        Err(Some((code, message))) => {
            tracing::warn!(code, message, "a node was refused");
            let refused = ToNode::Refused { code: code.to_owned(), message };
            socket.finish(Some(&refused), POLICY).await;
        }
        Err(None) => socket.finish(None::<&ToNode>, NORMAL).await,
    }
}

/// A refusal to tell the node, or `None` when it is gone.
type Refusal = Option<(&'static str, String)>;

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Some((code, message.into())))
}

impl From<Gone> for Refusal {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Closed => None,
            Gone::Rubbish(code, message) => Some((code, message)),
        }
    }
}

/// What a node's hello said.
struct Hello {
    key: PublicKey,
    version: u16,
    theirs: VersionOffer,
    code: Option<String>,
    offer: NodeOffer,
    sessions: Vec<RunningSession>,
}

/// Challenge, hello, admission, welcome.
async fn greet<'a>(
    shared: &'a Shared,
    address: IpAddr,
    socket: &mut Socket,
) -> Result<(Link<'a>, Box<dyn NodeCommands>), Refusal> {
    if !shared.cluster.alone && *shared.phase.borrow() != Phase::Open {
        return refuse("draining", "This server shuts down. Connect again: another one answers.");
    }
    let mut hello = challenge(socket).await?;
    locate(shared, address, &mut hello.offer);
    mark_covers(&mut hello.offer);
    check_offer(&hello.offer).or_else(|why| refuse("bad_offer", why))?;
    if hello.offer.capability.as_ref().is_some_and(|signed| signed.verify(&hello.key).is_err()) {
        return refuse("bad_offer", "the report of what the node can do is not signed by its key");
    }
    let code = hello.code.as_deref().map(hash);
    let admission = shared.store.admit_node(&hello.key, code, &hello.offer, shared.now_ms()).await;
    let node = match admission {
        Ok(Admission::Admitted(node)) => node,
        Ok(Admission::CodeNeeded) => {
            let message = "This node is not enrolled. Ask the operator for a one-time code.";
            return refuse("enrolment_needed", message);
        }
        Ok(Admission::BadCode) => {
            let message = "The enrolment code is wrong, used or too old. Ask the operator for a new one.";
            return refuse("bad_enrolment", message);
        }
        Err(error) => return unavailable(&error),
    };
    let replaced = shared.fleet().is_online(node);
    let number = match shared.store.open_link(node, shared.cluster.me).await {
        Ok(number) => number,
        Err(error) => return unavailable(&error),
    };
    trust::linked(shared, node, number, address, replaced).await;
    let commands = shared.bus.attach_node(node, number).await;
    let mut link = Link { shared, node, number, seen: HashMap::new(), unsaved: VecDeque::new() };
    let welcome = ToNode::Welcome { node, version: hello.version, now_ms: shared.now_ms() };
    if !socket.send(&welcome).await {
        return Err(None);
    }
    let titles = hello.offer.titles.len();
    if hello.theirs.has(PREWARM) {
        shared.placing.warmth.joined(node);
    }
    shared.market.joined(node, hello.theirs.has(AUCTIONS));
    if !shared.fleet().join(node, number, hello.offer, shared.uptime_ms()) {
        return refuse("replaced", "Another link with this node's key took over.");
    }
    replicas::say_node(shared, node).await;
    if let Err(error) = link.reconcile(&hello.sessions, &*commands).await {
        return unavailable(&error);
    }
    if titles > 0 {
        shared.ready.send_replace(true);
    }
    Ok((link, commands))
}

/// A node that does not say where it stands probably stands where its address is.
fn locate(shared: &Shared, address: IpAddr, offer: &mut NodeOffer) {
    let found = shared.placing.look_up(address);
    if offer.terms.location.is_none()
        && let Some(place) = found.place
    {
        offer.terms.location = Some(Location {
            latitude_deg: place.latitude_deg().into(),
            longitude_deg: place.longitude_deg().into(),
            asn: found.asn,
            evidence: Evidence::Address,
        });
    }
}

fn unavailable<T>(error: &StoreError) -> Result<T, Refusal> {
    tracing::error!(%error, "the store failed");
    refuse("unavailable", "The database did not answer. Connect again in a moment.")
}

async fn challenge(socket: &mut Socket) -> Result<Hello, Refusal> {
    let ours = versions();
    let nonce = Nonce::from_bytes(random::bytes());
    if !socket.send(&ToNode::Challenge { nonce, versions: ours.clone() }).await {
        return Err(None);
    }
    let hello = socket.first::<FromNode>().await?;
    let FromNode::Hello { versions, public_key, signature, enrolment_code, offer, sessions } = hello else {
        return refuse("hello_needed", "The first message must be `hello`.");
    };
    let version = ours.agree(&versions).or_else(|error| refuse("version_mismatch", error.to_string()))?;
    check_signature(&public_key, &nonce, &signature)?;
    Ok(Hello { key: public_key, version, theirs: versions, code: enrolment_code, offer: *offer, sessions })
}

fn check_signature(key: &PublicKey, nonce: &Nonce, signature: &Signature) -> Result<(), Refusal> {
    key.verify(&hello_bytes(nonce), signature).or_else(|error| refuse("bad_signature", error.to_string()))
}

/// A node that is in.
struct Link<'a> {
    shared: &'a Shared,
    node: NodeId,
    number: u64,
    /// Sessions the node was seen running, and heartbeats in a row that did not name them.
    seen: HashMap<SessionId, u32>,
    /// What the node says once and the store could not take.
    unsaved: VecDeque<FromNode>,
}

impl Link<'_> {
    async fn run(&mut self, socket: &mut Socket, mut commands: Box<dyn NodeCommands>) -> u16 {
        let mut cut = self.shared.cluster.cut.subscribe();
        loop {
            tokio::select! {
                message = socket.next() => {
                    self.shared.fleet().heard(self.node, self.number, self.shared.uptime_ms());
                    let message = match message {
                        Ok(message) => message,
                        Err(Gone::Closed) => return NORMAL,
                        Err(Gone::Rubbish(code, message)) => {
                            tracing::warn!(node = %self.node, code, message, "rubbish on a link");
                            socket.send(&ToNode::Refused { code: code.to_owned(), message }).await;
                            return POLICY;
                        }
                    };
                    if matches!(message, FromNode::MeasureUplink) {
                        return uplink::measure(self.shared, socket).await;
                    }
                    let mut answers = Vec::new();
                    if let Err(error) = self.hear_awake(message, &mut answers).await {
                        tracing::error!(node = %self.node, %error, "the store failed");
                    }
                    for answer in &answers {
                        if !socket.send(answer).await {
                            return NORMAL;
                        }
                    }
                    // With its next link, the node says again what nobody acknowledged.
                    if self.unsaved.len() >= MAX_UNSAVED {
                        return GOING_AWAY;
                    }
                }
                command = commands.next() => {
                    let Some(command) = command else {
                        let message = "Another link with this node's key took over.".to_owned();
                        socket.send(&ToNode::Refused { code: "replaced".to_owned(), message }).await;
                        return POLICY;
                    };
                    if !socket.send(&command).await {
                        return NORMAL;
                    }
                }
                // The sender lives as long as `shared`.
                _ = cut.changed() => return GOING_AWAY,
                () = self.shared.closed() => return GOING_AWAY,
            }
        }
    }

    /// Hears a message. While the store lets it wait, nobody can say that the node is silent.
    async fn hear_awake(&mut self, message: FromNode, answers: &mut Vec<ToNode>) -> Result<(), StoreError> {
        let (shared, node, number) = (self.shared, self.node, self.number);
        let mut hearing = std::pin::pin!(self.hear(message, answers));
        loop {
            match timeout(AWAKE, &mut hearing).await {
                Ok(heard) => return heard,
                Err(_) => shared.fleet().heard(node, number, shared.uptime_ms()),
            }
        }
    }

    /// Hears a message. What is said once and cannot be written down now waits for a later heartbeat, and what
    /// comes after it waits too: receipts are counted in order.
    async fn hear(&mut self, message: FromNode, answers: &mut Vec<ToNode>) -> Result<(), StoreError> {
        let is_beat = matches!(message, FromNode::Heartbeat { .. });
        let is_said_once =
            matches!(message, FromNode::Live { .. } | FromNode::Ended { .. } | FromNode::Receipt { .. });
        if is_said_once && !self.unsaved.is_empty() {
            self.unsaved.push_back(message);
            return Ok(());
        }
        let again = is_said_once.then(|| message.clone());
        match self.heed(message).await {
            Ok(answer) => answers.extend(answer),
            Err(error) => {
                self.unsaved.extend(again);
                return Err(error);
            }
        }
        if is_beat { self.save_unsaved(answers).await } else { Ok(()) }
    }

    async fn save_unsaved(&mut self, answers: &mut Vec<ToNode>) -> Result<(), StoreError> {
        while let Some(message) = self.unsaved.front().cloned() {
            answers.extend(self.heed(message).await?);
            self.unsaved.pop_front();
        }
        Ok(())
    }

    async fn heed(&mut self, message: FromNode) -> Result<Option<ToNode>, StoreError> {
        match message {
            FromNode::Hello { .. } | FromNode::MeasureUplink => {}
            FromNode::Heartbeat { sequence, sessions } => {
                let newer = self.shared.fleet().heartbeat(self.node, self.number, sequence, sessions.len());
                if newer && self.is_to_be_compared(sequence, &sessions) {
                    self.compare(&sessions).await?;
                }
            }
            FromNode::Reflector { reflector } => return Ok(self.reflector(*reflector).await),
            FromNode::Draining => {
                self.shared.fleet().drain(self.node, self.number);
                replicas::say_stage(self.shared, self.node, self.number, Stage::Draining).await;
            }
            FromNode::Live { session, generation } => {
                if self.leased(session, Some(generation)).await?.is_some() {
                    sessions::live(self.shared, session, generation).await?;
                }
            }
            FromNode::Answer { session, peer, sdp, attestation } => {
                self.relay(session, peer, ToPage::Answer { peer, sdp, attestation }).await?;
            }
            FromNode::Candidate { session, peer, candidate, sdp_mid } => {
                self.relay(session, peer, ToPage::Candidate { peer, candidate, sdp_mid }).await?;
            }
            FromNode::Receipt { receipt } => {
                let receipt = market::witness(self.shared, self.node, *receipt).await?;
                return self.receipt(&receipt).await.map(Some);
            }
            FromNode::Seal { sealed } => market::sealed(self.shared, self.node, &sealed).await?,
            FromNode::Open { open } => market::opened(self.shared, self.node, &open).await?,
            FromNode::Ended { session, generation, reason, detail } => {
                self.seen.remove(&session);
                if self.leased(session, Some(generation)).await?.is_some() {
                    tracing::info!(%session, %reason, detail, "the node ended a session");
                    sessions::end(self.shared, session, as_reported(reason)).await?;
                }
                self.shared.saves.settled(session, self.node);
            }
        }
        Ok(None)
    }

    /// Pages may measure the node from now on; it is told by which servers it learns its outside address.
    async fn reflector(&self, mut reflector: Reflector) -> Option<ToNode> {
        reflector.addresses.truncate(MOST_ADDRESSES);
        let first = self.shared.fleet().reflector(self.node).is_none();
        let taken = self.shared.fleet().set_reflector(self.node, self.number, reflector);
        if taken {
            replicas::say_node(self.shared, self.node).await;
        }
        let urls = self.shared.config.ice.stun.clone();
        (first && taken && !urls.is_empty()).then_some(ToNode::StunServers { urls })
    }

    /// The session, if it is active and leased to this node, in this generation.
    async fn leased(
        &self,
        session: SessionId,
        generation: Option<Generation>,
    ) -> Result<Option<SessionRow>, StoreError> {
        let row = self.shared.store.session(session).await?;
        Ok(row.filter(|row| {
            row.is_active() && row.node == self.node && generation.is_none_or(|g| g == row.generation)
        }))
    }

    async fn relay(&self, session: SessionId, peer: PeerId, message: ToPage) -> Result<(), StoreError> {
        if self.leased(session, None).await?.is_some() {
            self.shared.bus.publish(session, SessionEvent::Peer(peer, message)).await;
        }
        Ok(())
    }

    async fn receipt(&self, signed: &SignedReceipt) -> Result<ToNode, StoreError> {
        let (session, generation) = (signed.receipt.session, signed.receipt.generation);
        let sequence = signed.receipt.sequence;
        let metrics = &self.shared.metrics;
        let taken = self.shared.store.take_receipt(signed, self.shared.now_ms()).await?;
        let caught = if let Taken::Caught(_, seen) = &taken { Some(*seen) } else { None };
        Ok(match taken {
            Taken::Counted { .. } | Taken::Duplicate => {
                let counted = matches!(taken, Taken::Counted { .. });
                let counter = if counted { &metrics.receipts_counted } else { &metrics.receipts_repeated };
                counter.add();
                // Pictures were sent, so somebody sees them, even if the word `live` was lost with a link.
                if counted && signed.receipt.frames > 0 {
                    sessions::live(self.shared, session, generation).await?;
                }
                ToNode::ReceiptTaken { session, generation, sequence }
            }
            Taken::OverBudget(limit) => {
                metrics.receipts_refused.add();
                let ended = sessions::end_over_budget(self.shared, session, limit).await?;
                // A budget is told of once it is used up; what may be spent in a month is no budget.
                if let Some(row) = ended.filter(|_| !limit.is_cap()) {
                    webhooks::hour_refused(self.shared, &row).await;
                }
                let message = format!("what may be spent is used up ({limit}); the session ends");
                ToNode::ReceiptRefused { session, generation, sequence, message }
            }
            Taken::Refused(message) | Taken::Caught(message, _) => {
                metrics.receipts_refused.add();
                tracing::warn!(node = %self.node, %session, sequence, message, "a receipt was refused");
                if let Some(seen) = caught {
                    trust::refused(self.shared, self.node, session, seen).await;
                }
                ToNode::ReceiptRefused { session, generation, sequence, message }
            }
        })
    }

    /// After a hello: stops what runs without a lease, starts again what never began, ends what was
    /// live and is gone.
    async fn reconcile(
        &mut self,
        running: &[RunningSession],
        commands: &dyn NodeCommands,
    ) -> Result<(), StoreError> {
        let mine = self.mine().await?;
        self.stop_strangers(&mine, running).await;
        for row in &mine {
            if is_running(row, running) {
                self.seen.insert(row.id, 0);
            } else if row.state == SessionState::Live {
                sessions::end(self.shared, row.id, EndReason::NodeLost).await?;
            } else if !commands.has_start(row.id) {
                // A full queue means that the link dies at once; its next hello comes here again.
                let start = sessions::start_command(self.shared, row).await?;
                let _ = self.shared.bus.command(self.node, start).await;
            }
        }
        Ok(())
    }

    /// Whether what the node runs is to be compared with the store.
    fn is_to_be_compared(&self, sequence: u64, running: &[RunningSession]) -> bool {
        let held = self.shared.fleet().held(self.node) as usize;
        let idle = held == 0 && running.is_empty();
        !self.is_as_seen(running)
            || sequence.is_multiple_of(COMPARISON) && held != running.len()
            || sequence.is_multiple_of(FULL_COMPARISON) && !idle
    }

    /// Whether a heartbeat names just the sessions that the last one did.
    fn is_as_seen(&self, running: &[RunningSession]) -> bool {
        running.len() == self.seen.len() && running.iter().all(|r| self.seen.get(&r.session) == Some(&0))
    }

    /// After a heartbeat: the same, with patience for what is on its way.
    async fn compare(&mut self, running: &[RunningSession]) -> Result<(), StoreError> {
        let mine = self.mine().await?;
        self.stop_strangers(&mine, running).await;
        let active: HashSet<_> = mine.iter().map(|row| row.id).collect();
        self.seen.retain(|session, _| active.contains(session));
        for row in &mine {
            if is_running(row, running) {
                self.seen.insert(row.id, 0);
            } else if let Some(missed) = self.seen.get_mut(&row.id) {
                *missed += 1;
                if *missed >= MISSED_HEARTBEATS {
                    self.seen.remove(&row.id);
                    sessions::end(self.shared, row.id, EndReason::NodeLost).await?;
                }
            } else if row.state == SessionState::Starting {
                // The command may have been lost between replicas. A link that was given it is not given it again.
                let start = sessions::start_command(self.shared, row).await?;
                let _ = self.shared.bus.command(self.node, start).await;
            }
        }
        Ok(())
    }

    async fn mine(&self) -> Result<Vec<SessionRow>, StoreError> {
        self.shared.store.sessions_on(self.node).await
    }

    /// Tells the node to stop what holds no lease (any more); it is told why it ended, where known.
    async fn stop_strangers(&self, mine: &[SessionRow], running: &[RunningSession]) {
        for stranger in running {
            if mine.iter().any(|row| row.id == stranger.session && row.generation == stranger.generation) {
                continue;
            }
            // Where the store does not say why, the node is told with a later heartbeat.
            let Ok(known) = self.shared.store.session(stranger.session).await else { continue };
            let reason = known.as_ref().and_then(|row| row.end_reason).unwrap_or(EndReason::NodeLost);
            let limit = known.and_then(|row| row.end_limit);
            let stop = ToNode::Stop { session: stranger.session, reason, limit };
            // A node that cannot be told now is told with its next heartbeat.
            let _ = self.shared.bus.command(self.node, stop).await;
        }
    }
}

fn is_running(row: &SessionRow, running: &[RunningSession]) -> bool {
    running.iter().any(|r| r.session == row.id && r.generation == row.generation)
}

/// A node may give any reason but the operator's, which is ours to give.
fn as_reported(reason: EndReason) -> EndReason {
    if reason == EndReason::Operator { EndReason::Drained } else { reason }
}

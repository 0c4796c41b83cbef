//! A node's link: challenge, hello, then heartbeats, receipts and commands.

use super::page::admit;
use super::socket::{GOING_AWAY, Gone, NORMAL, POLICY, Socket};
use crate::bus::{NodeCommands, SessionEvent};
use crate::catalogue::check_offer;
use crate::http::Address;
use crate::http::problem::Problem;
use crate::random;
use crate::sessions;
use crate::state::{Shared, hash, now_ms};
use crate::store::{Admission, SessionRow, StoreError, Taken};
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use nearframe_protocol::key::Nonce;
use nearframe_protocol::link::{
    FromNode, MAX_LINK_BYTES, NodeOffer, PREWARM, RunningSession, ToNode, hello_bytes, versions,
};
use nearframe_protocol::measure::{MOST_ADDRESSES, Reflector};
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::signal::ToPage;
use nearframe_protocol::terms::{Evidence, Location};
use nearframe_protocol::{
    EndReason, Generation, NodeId, PeerId, PublicKey, SessionId, SessionState, Signature, VersionOffer, api,
};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Heartbeats in a row that do not name a session the node was seen running: then it lost it. One may
/// cross with the session's start or end.
const MISSED_HEARTBEATS: u32 = 3;

/// Heartbeats that name the very sessions of the one before are compared with the store only this often.
const FULL_COMPARISON: u64 = 10;

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
    let mut hello = challenge(socket).await?;
    locate(shared, address, &mut hello.offer);
    check_offer(&hello.offer).or_else(|why| refuse("bad_offer", why))?;
    if hello.offer.capability.as_ref().is_some_and(|signed| signed.verify(&hello.key).is_err()) {
        return refuse("bad_offer", "the report of what the node can do is not signed by its key");
    }
    let code = hello.code.as_deref().map(hash);
    let admission = shared.store.admit_node(&hello.key, code, &hello.offer, now_ms()).await;
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
    let commands = shared.bus.attach_node(node).await;
    let mut link = Link { shared, node, number: commands.number(), seen: HashMap::new() };
    let welcome = ToNode::Welcome { node, version: hello.version, now_ms: now_ms() };
    if !socket.send(&welcome).await {
        return Err(None);
    }
    let titles = hello.offer.titles.len();
    if hello.theirs.has(PREWARM) {
        shared.placing.warmth.joined(node);
    }
    shared.fleet().join(node, link.number, hello.offer, shared.uptime_ms());
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
}

impl Link<'_> {
    async fn run(&mut self, socket: &mut Socket, mut commands: Box<dyn NodeCommands>) -> u16 {
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
                    match self.hear(message).await {
                        Ok(Some(answer)) if !socket.send(&answer).await => return NORMAL,
                        Ok(_) => {}
                        // Nothing was acknowledged: the node repeats what matters.
                        Err(error) => tracing::error!(node = %self.node, %error, "the store failed"),
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
                () = self.shared.closed() => return GOING_AWAY,
            }
        }
    }

    async fn hear(&mut self, message: FromNode) -> Result<Option<ToNode>, StoreError> {
        match message {
            FromNode::Hello { .. } => {}
            FromNode::Heartbeat { sequence, sessions } => {
                let newer = self.shared.fleet().heartbeat(self.node, self.number, sequence, sessions.len());
                if newer && (sequence % FULL_COMPARISON == 0 || !self.is_as_seen(&sessions)) {
                    self.compare(&sessions).await?;
                }
            }
            FromNode::Reflector { reflector } => return Ok(self.reflector(*reflector)),
            FromNode::Draining => self.shared.fleet().drain(self.node, self.number),
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
            FromNode::Receipt { receipt } => return self.receipt(&receipt).await.map(Some),
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
    fn reflector(&self, mut reflector: Reflector) -> Option<ToNode> {
        reflector.addresses.truncate(MOST_ADDRESSES);
        let first = self.shared.fleet().reflector(self.node).is_none();
        let taken = self.shared.fleet().set_reflector(self.node, self.number, reflector);
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
        let taken = self.shared.store.take_receipt(signed, now_ms()).await?;
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
            Taken::Refused(message) => {
                metrics.receipts_refused.add();
                tracing::warn!(node = %self.node, %session, sequence, message, "a receipt was refused");
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
            }
        }
        Ok(())
    }

    async fn mine(&self) -> Result<Vec<SessionRow>, StoreError> {
        let mut active = self.shared.store.active_sessions().await?;
        active.retain(|row| row.node == self.node);
        Ok(active)
    }

    /// Tells the node to stop what holds no lease (any more); it is told why it ended, where known.
    async fn stop_strangers(&self, mine: &[SessionRow], running: &[RunningSession]) {
        for stranger in running {
            if mine.iter().any(|row| row.id == stranger.session && row.generation == stranger.generation) {
                continue;
            }
            let known = self.shared.store.session(stranger.session).await.ok().flatten();
            let reason = known.and_then(|row| row.end_reason).unwrap_or(EndReason::NodeLost);
            // A node that cannot be told now is told with its next heartbeat.
            let _ =
                self.shared.bus.command(self.node, ToNode::Stop { session: stranger.session, reason }).await;
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

//! A page's socket: ticket first, then offers and candidates, until the session ends.

use super::socket::{GOING_AWAY, Gone, NORMAL, POLICY, Pace, Socket};
use crate::bus::{SessionEvent, SessionEvents};
use crate::http::problem::{Code, Path, Problem};
use crate::http::{Address, origin};
use crate::ice;
use crate::sessions;
use crate::state::Shared;
use crate::store::SessionRow;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::signal::{FromPage, MAX_SIGNAL_BYTES, ToPage};
use nearframe_protocol::{EndReason, PeerId, Seat, SessionId, VersionOffer, api};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// Peers that one socket may make: each lost network makes one, and a page that needs more reloads.
const MAX_PEERS: usize = 64;
/// Messages at once and per second: a page with many interfaces trickles a few dozen candidates.
const PACE: (u32, u32) = (256, 32);
/// An answer's attestation holds this long, in ms: enough for the slowest ICE.
const ATTESTATION_MS: u64 = 60_000;

/// Signalling of a session. The first message is `hello` with the ticket; messages are described in
/// `docs/api/README.md`.
#[utoipa::path(get, path = "/v1/sessions/{id}/signal", tag = "signalling", operation_id = "signal",
    params(("id" = SessionId, Path, description = "Session id")),
    responses(
        (status = 101, description = "A WebSocket, one JSON object per text message, at most 64 KiB"),
        (status = "default", description = "Any error, such as `upgrade_needed`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn open(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<SessionId>,
    Address(address): Address,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = admit(&shared, &headers, address, upgrade)?
        .max_message_size(MAX_SIGNAL_BYTES)
        .max_frame_size(MAX_SIGNAL_BYTES);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _held = shared.metrics.pages.hold();
        serve(&shared, id, Socket::new(socket)).await;
    }))
}

/// What every WebSocket door checks before it opens.
pub(super) fn admit(
    shared: &Shared,
    headers: &HeaderMap,
    address: std::net::IpAddr,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::new(Code::UpgradeNeeded, error.body_text()))?;
    origin::check(shared, headers)?;
    shared.socket_limit.take(address, Instant::now()).map_err(|wait_s| {
        shared.metrics.rate_limited.add();
        Problem::new(Code::TooManyRequests, format!("Try again in {wait_s} s.")).retry_after(wait_s)
    })?;
    Ok(upgrade)
}

/// How a socket ends.
enum Close {
    /// The peer is gone.
    Silent,
    /// With a last message.
    Told(Box<ToPage>, u16),
}

impl Close {
    fn error(code: &str, message: impl Into<String>) -> Self {
        let error = ToPage::Error { code: code.to_owned(), message: message.into() };
        Self::Told(Box::new(error), POLICY)
    }
    fn ended(reason: EndReason, message: String) -> Self {
        let ended = ToPage::Ended { reason, message };
        Self::Told(Box::new(ended), NORMAL)
    }
}

impl From<Gone> for Close {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Closed => Self::Silent,
            Gone::Rubbish(code, message) => Self::error(code, message),
        }
    }
}

async fn serve(shared: &Shared, id: SessionId, mut socket: Socket) {
    let close = match greet(shared, id, &mut socket).await {
        Ok((row, events)) => {
            Conversation { shared, row, peers: HashSet::new(), pace: Pace::new(PACE.0, PACE.1) }
                .run(&mut socket, events)
                .await
        }
        Err(close) => close,
    };
    match close {
        Close::Silent => socket.finish(None::<&ToPage>, NORMAL).await,
        Close::Told(last, code) => socket.finish(Some(&*last), code).await,
    }
}

/// Hello, ticket, welcome. Subscribes before reading the state, so that no change is missed.
async fn greet(
    shared: &Shared,
    id: SessionId,
    socket: &mut Socket,
) -> Result<(SessionRow, Box<dyn SessionEvents>), Close> {
    let FromPage::Hello { versions, ticket } = socket.first().await? else {
        return Err(Close::error("hello_needed", "The first message must be `hello` with the ticket."));
    };
    let version = VersionOffer::current()
        .agree(&versions)
        .map_err(|error| Close::error("version_mismatch", error.to_string()))?;
    if !shared.is_ticket(id, &ticket) {
        let message = "The ticket does not open this session. Start a new one with POST /v1/sessions.";
        return Err(Close::error("bad_ticket", message));
    }
    let events =
        shared.bus.subscribe(id).await.map_err(|error| Close::error("too_many_pages", error.to_string()))?;
    let row = shared.store.session(id).await.map_err(|error| unavailable(&error))?;
    let row = row.ok_or_else(|| Close::error("bad_ticket", "There is no such session."))?;
    if let Some(reason) = row.end_reason {
        return Err(Close::ended(reason, row.end_message().unwrap_or_else(|| reason.advice()).to_owned()));
    }
    let welcome =
        ToPage::Welcome { version, ice_servers: ice::servers(&shared.config.ice, id, shared.now_ms()) };
    let state = ToPage::State { state: row.state };
    if !(socket.send(&welcome).await && socket.send(&state).await) {
        return Err(Close::Silent);
    }
    Ok((row, events))
}

fn unavailable(error: &crate::store::StoreError) -> Close {
    tracing::error!(%error, "the store failed");
    Close::error("unavailable", "The database did not answer. Connect again in a moment.")
}

/// A page that showed its ticket.
struct Conversation<'a> {
    shared: &'a Shared,
    row: SessionRow,
    /// Peers that this page made: answers to others are not for it.
    peers: HashSet<PeerId>,
    pace: Pace,
}

impl Conversation<'_> {
    async fn run(mut self, socket: &mut Socket, mut events: Box<dyn SessionEvents>) -> Close {
        loop {
            tokio::select! {
                message = socket.next() => {
                    if let Err(close) = self.hear(message).await {
                        return close;
                    }
                }
                event = events.next() => {
                    let Some(event) = event else {
                        return Close::error("too_slow", "This page reads too slowly. Connect again.");
                    };
                    let message = match event {
                        SessionEvent::Peer(peer, _) if !self.peers.contains(&peer) => continue,
                        SessionEvent::Peer(_, message) | SessionEvent::All(message) => message,
                    };
                    if let ToPage::Ended { reason, message } = message {
                        return Close::ended(reason, message);
                    }
                    if !socket.send(&message).await {
                        return Close::Silent;
                    }
                }
                () = self.shared.closed() => {
                    let message = "This server is shutting down. Connect again in a moment.";
                    let error = ToPage::Error { code: "draining".to_owned(), message: message.to_owned() };
                    return Close::Told(Box::new(error), GOING_AWAY);
                }
            }
        }
    }

    async fn hear(&mut self, message: Result<FromPage, Gone>) -> Result<(), Close> {
        let message = message?;
        if !self.pace.take() {
            return Err(Close::error("too_fast", "Too many messages. Connect again in a moment."));
        }
        let session = self.row.id;
        match message {
            FromPage::Hello { .. } => Err(Close::error("bad_message", "`hello` comes once.")),
            FromPage::Offer { peer, seat, sdp, nonce } => {
                self.check_offer(peer, seat)?;
                let expires_at_ms = self.shared.now_ms() + ATTESTATION_MS;
                self.pass(ToNode::Offer { session, peer, seat, sdp, nonce, expires_at_ms }).await
            }
            FromPage::Candidate { peer, candidate, sdp_mid } => {
                if !self.peers.contains(&peer) {
                    return Err(Close::error(
                        "unknown_peer",
                        "Send the offer of a peer before its candidates.",
                    ));
                }
                self.pass(ToNode::Candidate { session, peer, candidate, sdp_mid }).await
            }
            FromPage::Leave => {
                let ended = sessions::end(self.shared, session, EndReason::PlayerLeft).await;
                let row = ended.map_err(|error| unavailable(&error))?;
                let reason = row.as_ref().and_then(|row| row.end_reason).unwrap_or(EndReason::PlayerLeft);
                let message = row.as_ref().and_then(SessionRow::end_message);
                Err(Close::ended(reason, message.unwrap_or_else(|| reason.advice()).to_owned()))
            }
        }
    }

    fn check_offer(&mut self, peer: PeerId, seat: Seat) -> Result<(), Close> {
        if !seat.is_player() && seat != Seat::VIEWER {
            return Err(Close::error("bad_seat", "Seats are 0 to 3 for players and 255 for viewers."));
        }
        self.peers.insert(peer);
        if self.peers.len() > MAX_PEERS {
            return Err(Close::error("too_many_peers", "Too many connections from one page. Reload it."));
        }
        Ok(())
    }

    /// Queues a command for the node. What waits for a node that is lost ends with its session.
    async fn pass(&self, command: ToNode) -> Result<(), Close> {
        self.shared.bus.command(self.row.node, command).await.map_err(|error| {
            tracing::warn!(session = %self.row.id, node = %self.row.node, %error, "cannot reach the node");
            Close::error("node_unreachable", "The machine does not answer. Connect again in a moment.")
        })
    }
}

//! Sessions as the store keeps them.

use super::{Fence, Hash, Payer};
use crate::bus::words::HeldSlots;
use nearframe_ledger::Tariff;
use nearframe_protocol::prices::{Basis, Work};
use nearframe_protocol::{
    EndReason, Generation, GuestId, LeaseId, Money, NodeId, PublicKey, ReservationId, SessionId,
    SessionState, SpendLimit, TitleHash, TitleId, api,
};
use serde::{Deserialize, Serialize};

/// What makes a repeated request recognisable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Hash of the caller's key.
    pub key: Hash,
    /// Hash of the request that it came with.
    pub request: Hash,
}

/// Everything a new session needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Who asked.
    pub guest: GuestId,
    /// Sessions that the guest may have at once.
    pub guest_limit: u32,
    /// What plays.
    pub title: TitleId,
    /// Exactly which bytes.
    pub title_hash: TitleHash,
    /// Where.
    pub node: NodeId,
    /// Key that countersigns receipts.
    pub player_key: PublicKey,
    /// Its lease.
    pub lease: LeaseId,
    /// What it costs.
    pub tariff: Tariff,
    /// Who pays in the studio's place.
    #[serde(default)]
    pub payer: Option<Payer>,
    /// What that follows from; a replica of the release before knows none.
    #[serde(default)]
    pub basis: Option<Basis>,
    /// Now, Unix ms.
    pub now_ms: u64,
    /// Set when the caller may repeat the request.
    pub idempotency: Option<Idempotency>,
    /// By which right it is leased in its node's region; none where nobody else leases.
    pub fence: Option<Fence>,
    /// Under which reservation: then it takes the place of what stands by for that on its node.
    #[serde(default)]
    pub reservation: Option<ReservationId>,
    /// A hash of what the studio calls its player; without one, of the guest.
    #[serde(default)]
    pub player: Option<Hash>,
}

impl NewSession {
    /// Whether nobody plays.
    pub(super) fn stands_by(&self) -> bool {
        self.basis.as_ref().is_some_and(|basis| basis.work == Work::Reserve)
    }

    /// Who plays, for what players may spend.
    pub(super) fn player(&self) -> Hash {
        self.player
            .unwrap_or_else(|| blake3::derive_key("nearframe guest as player v1", self.guest.as_bytes()))
    }
}

/// A session with its newest lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub guest: GuestId,
    /// What plays.
    pub title: TitleId,
    /// Exactly which bytes.
    pub title_hash: TitleHash,
    /// Key that countersigns receipts.
    pub player_key: PublicKey,
    /// Where it stands.
    pub state: SessionState,
    /// Placement generation.
    pub generation: Generation,
    /// The newest generation's lease.
    pub lease: LeaseId,
    /// Who pays in the studio's place.
    #[serde(default)]
    pub payer: Option<Payer>,
    /// Under which reservation.
    #[serde(default)]
    pub reservation: Option<ReservationId>,
    /// Nobody plays: a slot stands by.
    #[serde(default)]
    pub stands_by: bool,
    /// Where it runs.
    pub node: NodeId,
    /// What the node's owner calls it.
    pub node_name: String,
    /// Slots of that node that leases hold.
    pub node_slots: HeldSlots,
    /// Unix ms.
    pub created_at_ms: u64,
    /// Unix ms.
    pub ended_at_ms: Option<u64>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// By which limit.
    #[serde(default)]
    pub end_limit: Option<SpendLimit>,
    /// Receipts counted.
    pub receipts: u32,
    /// Time billed, in µs.
    pub billed_us: u64,
    /// Money posted.
    pub cost: Money,
}

impl SessionRow {
    /// As it is when it has just been leased.
    pub(super) fn fresh(new: &NewSession, node_name: String, node_slots: HeldSlots) -> Self {
        Self {
            id: new.id,
            guest: new.guest,
            title: new.title.clone(),
            title_hash: new.title_hash,
            player_key: new.player_key,
            state: SessionState::Starting,
            generation: Generation(0),
            lease: new.lease,
            payer: new.payer,
            reservation: new.reservation,
            stands_by: new.stands_by(),
            node: new.node,
            node_name,
            node_slots,
            created_at_ms: new.now_ms,
            ended_at_ms: None,
            end_reason: None,
            end_limit: None,
            receipts: 0,
            billed_us: 0,
            cost: Money { amount_micros: 0, currency: new.tariff.currency.clone() },
        }
    }

    /// Why it ended, in words for the player.
    pub fn end_message(&self) -> Option<&'static str> {
        self.end_reason.map(|reason| self.end_limit.map_or(reason.advice(), SpendLimit::advice))
    }

    /// Whether it still holds its slot.
    pub fn is_active(&self) -> bool {
        self.state != SessionState::Ended
    }
}

impl From<SessionRow> for api::Session {
    fn from(row: SessionRow) -> Self {
        let end_message = row.end_message().map(str::to_owned);
        Self {
            id: row.id,
            title: row.title,
            title_hash: row.title_hash,
            state: row.state,
            generation: row.generation,
            lease: row.lease,
            node: row.node,
            node_name: row.node_name,
            created_at_ms: row.created_at_ms,
            ended_at_ms: row.ended_at_ms,
            end_reason: row.end_reason,
            end_limit: row.end_limit,
            end_message,
            receipts: row.receipts,
            used_s: row.billed_us as f64 / 1e6,
            cost: row.cost,
        }
    }
}

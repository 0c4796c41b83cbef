//! HTTP API types of the matchmaker (`/v1`). OpenAPI is generated from these.

use crate::account::Offer;
use crate::capability::SignedCapability;
use crate::fleet::Residency;
use crate::key::{Nonce, PublicKey, Signature};
use crate::measure::Measured;
use crate::money::{Money, MoneyJson};
use crate::network::IceServer;
use crate::prices::Work;
use crate::receipt::SignedReceipt;
use crate::save::{PackHash, SaveVersion};
use crate::session::{EndReason, Generation, SessionState, SpendLimit};
use crate::title::{TitleEntry, TitleHash, TitleId};
use crate::version::VersionOffer;
use crate::{LeaseId, NodeId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `https://nearframe.dev/problems/{code}`: an identifier, stable across releases.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short summary, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What went wrong this time and what to do.
    pub detail: String,
    /// Stable code, such as `no_capacity`.
    pub code: String,
    /// With `budget_used_up`, where a key asked: what it would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Opaque; pass as `?cursor=` for the next rows; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A catalogue row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Title {
    /// The title.
    #[serde(flatten)]
    pub entry: TitleEntry,
    /// Whether a node could take a player right now.
    pub available: bool,
}

/// `POST /v1/sessions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// What the page speaks.
    pub versions: VersionOffer,
    /// What to play.
    pub title: TitleId,
    /// Ed25519 key, made by the page for this session, that will countersign receipts.
    pub player_key: PublicKey,
    /// The most that an hour may cost: dearer machines are left aside. Without a quote alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub price_ceiling: Option<Money>,
    /// A quote of `POST /v1/quotes`, whose prices then hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// What the page measured; without it, the way is guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Where it may run, besides the rules of the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<Residency>,
    /// Wait in the queue where no slot is free: the answer is then 202, and the request is repeated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait: bool,
    /// From the last 202.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// From `POST /v1/groups`: to be placed together with its other members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// From `POST /v1/bookings`: to play on what was booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<String>,
    /// It may be interrupted for players who find no slot, after a notice of 5 s; price decides where it runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interruptible: bool,
    /// From `GET /v1/checks/next`, for a checker: to be placed on the node that it is to check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What a studio calls its player, with a key alone: what each of them may spend in a month is limited by
    /// `PUT /v1/titles/{id}/player-cap`. Kept hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub player: Option<String>,
}

impl CreateSession {
    /// A session of this title, asked for in the simplest way.
    pub fn of(title: TitleId, player_key: PublicKey) -> Self {
        Self {
            versions: VersionOffer::current(),
            title,
            player_key,
            quote: None,
            price_ceiling: None,
            measured: None,
            residency: None,
            wait: false,
            queue: None,
            group: None,
            booking: None,
            interruptible: false,
            check: None,
            player: None,
        }
    }
}

/// `POST /v1/quotes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateQuote {
    /// What would be played.
    pub title: TitleId,
    /// What would be paid for.
    #[serde(default)]
    pub work: Work,
}

/// What a session costs while the quote is valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// Opaque; goes with `POST /v1/sessions`.
    pub quote: String,
    /// What would be played.
    pub title: TitleId,
    /// What would be paid for.
    pub work: Work,
    /// The most that the studio pays for an hour, on whichever machine, fee included.
    #[schema(value_type = MoneyJson)]
    pub price_per_hour: Money,
    /// What it pays on the cheapest machine.
    #[schema(value_type = MoneyJson)]
    pub lowest_price_per_hour: Money,
    /// The platform's share of either, in thousandths.
    pub fee_permille: u16,
    /// The version of the rate card (`GET /v1/prices/{version}`) that the price will follow from.
    pub rate_card: u32,
    /// Until when it binds, Unix ms.
    pub valid_until_ms: u64,
}

/// Answer to `POST /v1/sessions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedSession {
    /// Agreed version of this door.
    pub version: u16,
    /// The session.
    pub session: Session,
    /// Secret; opens the signalling socket while the session lives.
    pub ticket: String,
    /// Path of the signalling WebSocket on this server.
    pub signal_path: String,
    /// The key that the node's attestation must be signed with.
    pub node_key: PublicKey,
    /// For `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
    /// Server's clock, Unix ms, against which attestations expire.
    pub now_ms: u64,
    /// What the node answers with its first frames, which are not the title's yet; every session has its own.
    pub challenge: Nonce,
}

/// What was used of a title in a month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// The title.
    pub title: TitleId,
    /// Leases with a receipt in that month.
    pub leases: u64,
    /// Receipts.
    pub receipts: u64,
    /// Seconds billed.
    pub used_s: f64,
    /// What hosts earned.
    #[schema(value_type = MoneyJson)]
    pub hosts: Money,
    /// What the platform earned.
    #[schema(value_type = MoneyJson)]
    pub platform: Money,
    /// What the studio owes.
    #[schema(value_type = MoneyJson)]
    pub total: Money,
}

/// How far the general ledger goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LedgerHead {
    /// How many blocks there are.
    pub blocks: u64,
    /// How many records are in them.
    pub records: u64,
    /// When the last one was written, Unix ms; 0 where there is none.
    pub at_ms: u64,
    /// Hash of the last block, as hex; zeros where there is none.
    pub hash: String,
    /// Over `"nearframe/ledger-head/v1\0"`, blocks (u64), records (u64), at_ms (u64) and the hash, little-endian.
    pub signature: Signature,
    /// The key it is signed with.
    pub ledger_key: PublicKey,
}

/// An entry of the record that the general ledger refuses: it is set aside and tried again, and nothing waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedEntry {
    /// Of which journal: `leases`, `charges`, `stakes`, `corrections` or `credits`.
    pub journal: String,
    /// The key of its order.
    pub key: String,
    /// Who pays, such as `host:…`.
    pub from: String,
    /// Who is paid.
    pub to: String,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// What the ledger said first.
    pub reason: String,
    /// When that was, Unix ms.
    pub at_ms: u64,
}

/// A signed root over what hosts have earned until the end of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettledRoot {
    /// Days since 1970-01-01.
    pub epoch: u32,
    /// The same for people.
    pub date: String,
    /// Hosts and currencies in it.
    pub leaves: u64,
    /// SHA-256, as hex.
    pub root: String,
    /// The root that was settled before; zeros before the first.
    pub previous_root: String,
    /// Over `"nearframe/settlement/v1\0"`, epoch (u32), leaves (u64), root and previous root, little-endian.
    pub signature: Signature,
    /// The key it is signed with.
    pub ledger_key: PublicKey,
}

/// What a node has earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Earnings {
    /// The node.
    pub node: NodeId,
    /// Everything so far, by currency.
    #[schema(value_type = Vec<MoneyJson>)]
    pub earned: Vec<Money>,
    /// What of it is settled.
    #[schema(value_type = Vec<MoneyJson>)]
    pub settled: Vec<Money>,
    /// Until when it is settled, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_until_ms: Option<u64>,
    /// The key that proofs are signed with.
    pub ledger_key: PublicKey,
    /// The proofs of what is settled, one for each currency; each is a file for `nearframe payout verify`.
    #[schema(value_type = Vec<Object>)]
    pub proofs: Vec<serde_json::Value>,
}

/// What may be spent on a title in one currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    /// The title.
    pub title: TitleId,
    /// The most that is ever set aside and spent; absent: without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub limit: Option<Money>,
    /// What is set aside or spent.
    #[schema(value_type = MoneyJson)]
    pub committed: Money,
}

/// `PUT /v1/budgets/{title}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBudget {
    /// The most that may be set aside and spent; absent: without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub limit: Option<Money>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// What plays.
    pub title: TitleId,
    /// Exactly which bytes.
    pub title_hash: TitleHash,
    /// Where it stands.
    pub state: SessionState,
    /// Placement generation.
    pub generation: Generation,
    /// Its lease.
    pub lease: LeaseId,
    /// Where it runs.
    pub node: NodeId,
    /// What the node's owner calls it.
    pub node_name: String,
    /// Unix ms.
    pub created_at_ms: u64,
    /// Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// With `budget_used_up`, by which limit; absent of sessions that ended before there was a word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_limit: Option<SpendLimit>,
    /// Why, in words for the player.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_message: Option<String>,
    /// Receipts taken so far.
    pub receipts: u32,
    /// Seconds used, as both ends signed.
    pub used_s: f64,
    /// What it cost so far.
    #[schema(value_type = MoneyJson)]
    pub cost: Money,
}

/// A receipt as the matchmaker keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoredReceipt {
    /// As received.
    #[serde(flatten)]
    pub signed: SignedReceipt,
    /// Unix ms.
    pub received_at_ms: u64,
    /// Whether the player's signature is there and right.
    pub countersigned: bool,
}

/// A node as anyone may see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Id.
    pub id: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// Region, empty if unknown.
    pub region: String,
    /// Connected, heard from in the last 3 s.
    pub online: bool,
    /// Takes no new sessions.
    pub draining: bool,
    /// Sessions it can run at once.
    pub slots: u32,
    /// Sessions it runs.
    pub busy: u32,
    /// Adapter.
    pub adapter: String,
    /// Encoders, best first.
    pub encoders: Vec<String>,
    /// Titles it holds.
    pub titles: Vec<TitleId>,
    /// What was measured there, signed by the node's key; absent while it is offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<SignedCapability>,
}

/// A save of the guest's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Save {
    /// Of which title.
    pub title: TitleId,
    /// Its version; grows by one with each save of this title.
    pub version: SaveVersion,
    /// Whether the next session of this title starts from it.
    pub current: bool,
    /// The version that the session which made it went on from. Where that is not the version before,
    /// two sessions went on from the same save, and both results are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub based_on: Option<SaveVersion>,
    /// Of the pack's bytes.
    pub hash: PackHash,
    /// Length of the pack.
    pub size_bytes: u64,
    /// Version of the title that made it, empty where unknown.
    pub title_version: String,
    /// The session that made it.
    pub session: SessionId,
    /// Unix ms.
    pub created_at_ms: u64,
}

/// `POST /v1/enrolments` (operator): a one-time code for a new node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Enrolment {
    /// `https://host:port#sha256=…&code=…`: matchmaker URL, certificate pin (empty without TLS) and
    /// one-time token, to be passed to `nearframe node --matchmaker`.
    pub url: String,
    /// The one-time token alone.
    pub code: String,
    /// Unix ms.
    pub expires_at_ms: u64,
}

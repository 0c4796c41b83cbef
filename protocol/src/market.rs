//! Reservations, the auctions behind them, and what players may spend.

use crate::auction::Seal;
use crate::key::{Nonce, PublicKey, Signature};
use crate::money::{Currency, Money, MoneyJson};
use crate::prices::Work;
use crate::{AccountId, AuctionId, NodeId, ReservationId, TitleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Machines that one reservation may have.
pub const MOST_MACHINES: u32 = 100;
/// Longest time of a reservation, in ms: 31 days.
pub const LONGEST_MS: u64 = 31 * 24 * 3600 * 1000;
/// How far ahead it may begin, in ms: 92 days.
pub const AHEAD_MS: u64 = 92 * 24 * 3600 * 1000;
/// Shortest time of a reservation, in ms.
pub const SHORTEST_MS: u64 = 1000;
/// Longest name that a studio gives its player, in bytes.
pub const MAX_PLAYER_BYTES: usize = 128;

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReservationState {
    /// Machines bid for it.
    Bidding,
    /// Machines were found: they stand by from `from_ms` until `until_ms`.
    Booked,
    /// Too few machines asked no more than the ceiling.
    Failed,
    /// It was cancelled before it began.
    Cancelled,
    /// Its time is over.
    Over,
}

impl ReservationState {
    /// The JSON form, also used in databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bidding => "bidding",
            Self::Booked => "booked",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Over => "over",
        }
    }
    /// The state with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Bidding, Self::Booked, Self::Failed, Self::Cancelled, Self::Over]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// `POST /v1/reservations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateReservation {
    /// What will be played.
    pub title: TitleId,
    /// ISO 3166 code of where the machines stand: `DE` takes all of Germany; empty: anywhere.
    #[serde(default)]
    pub region: String,
    /// Least GPU tier, 0 to 7.
    #[serde(default)]
    pub gpu_tier: u8,
    /// How many machines, 1 to 100. Each stands by with one slot.
    pub machines: u32,
    /// From then on, Unix ms; a time that is too early for the auction becomes the end of the auction.
    pub from_ms: u64,
    /// Until then, Unix ms: at most 31 days later.
    pub until_ms: u64,
    /// The most that an hour of a machine may cost, fee included; absent: what the rate card says for standing by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub price_ceiling: Option<Money>,
    /// A quote of `POST /v1/quotes` for `reserve`, whose prices then hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Who pays, where an operator asks; members and keys ask for their own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

/// A machine of a reservation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReservedMachine {
    /// Which.
    pub node: NodeId,
    /// `waiting`: it does not stand by, because the time has not come, it is not needed, it is not there or all its slots
    /// are taken by sessions of others; `standing`: it does; `playing`: a session runs on it, and standing by is not
    /// paid meanwhile; `gone`: it went away; `done`.
    pub state: String,
    /// Whether it takes the place of another that goes.
    pub is_next: bool,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Its auction, which `GET /v1/auctions/{auction}` tells all about.
    pub auction: AuctionId,
    /// Who pays.
    pub account: AccountId,
    /// What may be played on its machines.
    pub title: TitleId,
    /// ISO 3166 code; empty: anywhere.
    pub region: String,
    /// Least GPU tier.
    pub gpu_tier: u8,
    /// How many machines.
    pub machines: u32,
    /// From then on, Unix ms.
    pub from_ms: u64,
    /// Until then, Unix ms.
    pub until_ms: u64,
    /// Where it stands.
    pub state: ReservationState,
    /// Bids are taken until then, and it is booked or failed within a second, Unix ms.
    pub decided_at_ms: u64,
    /// The most that an hour of a machine may cost.
    #[schema(value_type = MoneyJson)]
    pub price_ceiling: Money,
    /// What an hour of a machine costs, fee included; absent until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub price_per_hour: Option<Money>,
    /// The platform's share, in thousandths.
    pub fee_permille: u16,
    /// Set aside for it, and not posted, of machines that do not stand by now.
    #[schema(value_type = MoneyJson)]
    pub held: Money,
    /// What was paid for standing by so far.
    #[schema(value_type = MoneyJson)]
    pub paid: Money,
    /// Machines that stand by or are played on now.
    #[serde(default)]
    pub standing: u32,
    /// For how long machines were missing so far, all of them together, in ms: one that is missing for a minute and two that
    /// are for half a minute are the same. Nothing is paid for that time. The moment in which machines begin, or take the
    /// place of others, counts.
    #[serde(default)]
    pub short_ms: u64,
    /// Its machines, the cheapest first.
    pub machine_states: Vec<ReservedMachine>,
    /// Unix ms.
    pub created_at_ms: u64,
}

/// A machine's part in an auction, as it is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuctionBid {
    /// Which machine.
    pub node: NodeId,
    /// Its key.
    pub key: PublicKey,
    /// SHA-256 over its bid and its nonce.
    pub seal: Seal,
    /// The machine's, over the seal.
    pub signature: Signature,
    /// When the seal came, Unix ms.
    pub sealed_at_ms: u64,
    /// The bid's bytes, hex; absent until the auction is over, and of a seal that was not opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<String>,
    /// What it was sealed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    /// When it was opened, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at_ms: Option<u64>,
    /// Auctions that the machine had won for the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_by: Vec<AuctionId>,
    /// Why it is out, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

/// An auction as it is published: everything that its result follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuctionRecord {
    /// Its id.
    pub auction: AuctionId,
    /// What is paid for.
    pub work: Work,
    /// ISO 3166 code; empty: anywhere.
    pub region: String,
    /// Least GPU tier.
    pub gpu_tier: u8,
    /// How many machines.
    pub machines: u32,
    /// From then on, Unix ms.
    pub from_ms: u64,
    /// Until then, Unix ms.
    pub until_ms: u64,
    /// The most that an hour of one may cost, in micro-units.
    pub ceiling_micros_per_hour: i64,
    /// What that is counted in.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// Seals were taken until then, Unix ms.
    pub seal_until_ms: u64,
    /// Seals were opened until then, Unix ms.
    pub open_until_ms: u64,
    /// SHA-256 of the seed, told with the call.
    pub seed_hash: Seal,
    /// The seed, hex; absent until the auction is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// When it was over, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at_ms: Option<u64>,
    /// What an hour costs, in micro-units; absent until it is over, and where too few have bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_micros_per_hour: Option<i64>,
    /// Who won, the cheapest first.
    pub winners: Vec<NodeId>,
    /// Who takes a winner's place at the same price should it go.
    pub next: Vec<NodeId>,
    /// All that were sealed, by machine.
    pub bids: Vec<AuctionBid>,
}

/// The most that is spent in a month, in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendCap {
    /// The most; absent: without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub per_month: Option<Money>,
}

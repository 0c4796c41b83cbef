//! What placement must not forget: round trips, orders about nodes, rules, bookings.

use super::StoreError;
use async_trait::async_trait;
use nearframe_placement::assign::reserve::NoRoom;
use nearframe_protocol::{NodeId, SessionId};

/// A client's past: the form of `nearframe_placement::latency::keep`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRow {
    /// The client's key.
    pub client: Vec<u8>,
    /// Sites by their stable numbers, with their epochs.
    pub past: Vec<u8>,
    /// The newest epoch in it.
    pub newest: u32,
}

/// What an operator orders about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderKind {
    /// Shut out.
    Ban,
    /// Takes no new sessions.
    Drain,
}

impl OrderKind {
    /// The form in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Drain => "drain",
        }
    }

    /// The kind with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ban, Self::Drain].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An order, standing or lifted. None is ever removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// About which node.
    pub node: NodeId,
    /// What.
    pub kind: OrderKind,
    /// Why, in the operator's words.
    pub reason: String,
    /// What shows it: links, ids of sessions, measurements; empty where none was given.
    pub evidence: String,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// When it was lifted, Unix ms.
    pub lifted_ms: Option<u64>,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleKind {
    /// Where a title may run: JSON of the API's residency.
    Residency,
    /// Slots of a region that spot never gets: a number.
    Reserve,
}

impl RuleKind {
    /// The form in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Residency => "residency",
            Self::Reserve => "reserve",
        }
    }

    /// The kind with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Residency, Self::Reserve].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A rule of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRow {
    /// What it is about.
    pub kind: RuleKind,
    /// Of which title or region.
    pub subject: String,
    /// What it says.
    pub body: String,
}

/// Slots of a region for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookingRow {
    /// Chosen by whoever books: the same id books once.
    pub id: [u8; 16],
    /// Where.
    pub region: String,
    /// From when, Unix ms.
    pub from_ms: u64,
    /// Until when, Unix ms.
    pub until_ms: u64,
    /// How many slots.
    pub slots: u32,
    /// For whom, in the operator's words.
    pub note: String,
    /// When it was given up, Unix ms.
    pub cancelled_ms: Option<u64>,
}

/// What a booking is decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookingTerms {
    /// Slots of the region now.
    pub capacity: u32,
    /// Of those, kept from spot.
    pub reserve: u32,
    /// Slots that spot holds now.
    pub spot: u32,
    /// When those are free at the latest, Unix ms.
    pub spot_ends_ms: u64,
}

/// A session that makes way for players.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptibleRow {
    /// Which.
    pub session: SessionId,
    /// Where it runs.
    pub node: NodeId,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// By when it was told to end, Unix ms.
    pub ends_ms: Option<u64>,
}

/// The part of the store that placement needs. As of every method: one transaction, and repeating it changes nothing.
#[async_trait]
pub trait PlacementStore: Send + Sync + 'static {
    /// Numbers of these sites, new ones where they are new; the same in every replica for ever.
    async fn latency_sites(&self, sites: &[String]) -> Result<Vec<u32>, StoreError>;
    /// All sites with their numbers.
    async fn known_latency_sites(&self) -> Result<Vec<(u32, String)>, StoreError>;
    /// Unites these pasts with those that are kept.
    async fn merge_latency(&self, pasts: &[PastRow], now_ms: u64) -> Result<(), StoreError>;
    /// Pasts that changed at `since_ms` or later, the oldest change first, at most `limit`; with the time of each.
    async fn latency_since(&self, since_ms: u64, limit: u32) -> Result<Vec<(u64, PastRow)>, StoreError>;
    /// Drops pasts whose newest epoch is before `epoch`, and the oldest beyond `most`; returns how many.
    async fn prune_latency(&self, epoch: u32, most: u32) -> Result<u64, StoreError>;

    /// Writes an order; one of the same kind that stands already is replaced.
    async fn add_order(&self, order: &OrderRow) -> Result<(), StoreError>;
    /// Lifts a standing order; false where none stands.
    async fn lift_order(&self, node: NodeId, kind: OrderKind, now_ms: u64) -> Result<bool, StoreError>;
    /// All orders that stand, by node.
    async fn standing_orders(&self) -> Result<Vec<OrderRow>, StoreError>;
    /// Every order about a node, newest first, at most 100.
    async fn orders_of(&self, node: NodeId) -> Result<Vec<OrderRow>, StoreError>;

    /// Writes a rule, or removes it where there is no body.
    async fn put_rule(&self, kind: RuleKind, subject: &str, body: Option<&str>) -> Result<(), StoreError>;
    /// All rules.
    async fn rules(&self) -> Result<Vec<RuleRow>, StoreError>;

    /// Books if the region has room, decided with all its bookings at hand.
    async fn book(&self, booking: &BookingRow, terms: BookingTerms)
    -> Result<Result<(), NoRoom>, StoreError>;
    /// Gives a booking up; false where there is none.
    async fn cancel_booking(&self, id: [u8; 16], now_ms: u64) -> Result<bool, StoreError>;
    /// Bookings that are not over and not given up, by beginning.
    async fn bookings(&self, now_ms: u64) -> Result<Vec<BookingRow>, StoreError>;
    /// A session plays on a booking's slots; false where all of them are taken. Ended sessions give theirs back.
    async fn use_booking(&self, id: [u8; 16], session: SessionId) -> Result<bool, StoreError>;
    /// How many sessions that are not over play on each booking.
    async fn booking_use(&self) -> Result<Vec<([u8; 16], u32)>, StoreError>;

    /// A session makes way for players from now on; those that are over are forgotten.
    async fn add_interruptible(&self, session: SessionId) -> Result<(), StoreError>;
    /// Those that are not over, oldest first.
    async fn interruptible(&self) -> Result<Vec<InterruptibleRow>, StoreError>;
    /// A session is told to end; false where it was told before, or is none of those.
    async fn give_notice(&self, session: SessionId, ends_ms: u64) -> Result<bool, StoreError>;
}

/// Decides a booking the same way in every store.
pub(super) fn decide_booking(
    kept: impl IntoIterator<Item = BookingRow>,
    booking: &BookingRow,
    terms: BookingTerms,
) -> Result<(), NoRoom> {
    use nearframe_placement::assign::reserve::{Booking, BookingId, Region};
    let mut region = Region::new(terms.capacity, terms.reserve);
    (0..terms.spot).for_each(|_| region.take_spot());
    let plain = |row: &BookingRow| Booking { from_ms: row.from_ms, until_ms: row.until_ms, slots: row.slots };
    for (serial, row) in (1..).zip(kept) {
        if row.id == booking.id {
            return if plain(&row) == plain(booking) { Ok(()) } else { Err(NoRoom::Full { free: 0 }) };
        }
        region.keep(BookingId(serial), plain(&row));
    }
    region.book(BookingId(0), plain(booking), terms.spot_ends_ms)
}

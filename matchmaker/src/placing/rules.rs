//! The operator's rules, as the store has them: orders about nodes, residency, reserves, bookings.
//!
//! Read from the store again and again, so that every replica obeys what one of them was told.

use crate::random;
use crate::state::Shared;
use crate::store::placement::{BookingRow, BookingTerms, OrderKind, OrderRow, RuleKind};
use crate::store::{PlacementStore, StoreError};
use nearframe_placement::Request;
use nearframe_placement::assign::reserve::{Booking, BookingId, Region};
use nearframe_placement::orders::{Order, Room};
use nearframe_placement::region;
use nearframe_protocol::fleet::Residency;
use nearframe_protocol::{NodeId, TitleId};
use std::collections::{BTreeMap, HashMap};

/// A session is expected to play this long: what is booked for that time is not given to spot.
const EXPECTED_MS: u64 = 2 * 3600 * 1000;

/// What the store said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    residency: BTreeMap<TitleId, Residency>,
    reserves: BTreeMap<String, u32>,
    bookings: Vec<BookingRow>,
    /// Sessions on each booking.
    used: HashMap<[u8; 16], u32>,
    orders: Vec<OrderRow>,
}

impl Rules {
    /// The request under the rules of its title.
    pub(crate) fn request(&self, mut request: Request) -> Request {
        if let Some(residency) = self.residency.get(&request.title) {
            request.residency.push(of_api(residency));
        }
        request
    }

    /// Whether anything is kept from spot anywhere.
    pub(crate) fn keep_anything(&self) -> bool {
        !self.reserves.is_empty() || !self.bookings.is_empty()
    }

    /// Regions whose free slots are all reserved or booked.
    pub(crate) fn shut_regions(&self, regions: &BTreeMap<String, Room>, now_ms: u64) -> Vec<String> {
        if !self.keep_anything() {
            return Vec::new();
        }
        let full =
            regions.iter().filter(|(name, room)| self.region(name, room).spot_room(now_ms, EXPECTED_MS) == 0);
        full.map(|(name, _)| name.clone()).collect()
    }

    /// A region as the reserve sees it.
    fn region(&self, name: &str, room: &Room) -> Region {
        let mut region = Region::new(room.slots, self.reserve(name));
        let mine = self.bookings.iter().filter(|booking| booking.region == name);
        for (serial, row) in (0..).zip(mine) {
            region.keep(BookingId(serial), plain(row));
        }
        (0..self.spot(name, room)).for_each(|_| region.take_spot());
        region
    }

    /// Slots that sessions without a booking hold.
    fn spot(&self, name: &str, room: &Room) -> u32 {
        let mine = self.bookings.iter().filter(|booking| booking.region == name);
        let booked: u32 = mine.filter_map(|booking| self.used.get(&booking.id)).sum();
        (room.slots - room.free).saturating_sub(booked)
    }

    /// Slots of a region that spot never gets.
    pub(crate) fn reserve(&self, region: &str) -> u32 {
        self.reserves.get(region).copied().unwrap_or(0)
    }

    /// Slots of a region that are booked right now.
    pub(crate) fn booked_now(&self, region: &str, now_ms: u64) -> u32 {
        let now = self.bookings.iter().filter(|row| row.region == region && row.from_ms <= now_ms);
        now.map(|row| row.slots).sum()
    }

    /// The bookings that are not over, with the sessions on each.
    pub(crate) fn bookings(&self) -> impl Iterator<Item = (&BookingRow, u32)> {
        self.bookings.iter().map(|row| (row, self.used.get(&row.id).copied().unwrap_or(0)))
    }

    /// One booking.
    pub(crate) fn booking(&self, id: [u8; 16]) -> Option<&BookingRow> {
        self.bookings.iter().find(|row| row.id == id)
    }

    /// Orders that stand about a node.
    pub(crate) fn orders_of(&self, node: NodeId) -> impl Iterator<Item = &OrderRow> {
        self.orders.iter().filter(move |order| order.node == node)
    }

    /// By what a booking in `region` is decided.
    pub(crate) fn booking_terms(&self, region: &str, room: &Room, now_ms: u64) -> BookingTerms {
        BookingTerms {
            capacity: room.slots,
            reserve: self.reserve(region),
            spot: self.spot(region, room),
            spot_ends_ms: now_ms + EXPECTED_MS,
        }
    }
}

fn plain(row: &BookingRow) -> Booking {
    Booking { from_ms: row.from_ms, until_ms: row.until_ms, slots: row.slots }
}

/// Residency as placement reads it.
pub(crate) fn of_api(residency: &Residency) -> region::Residency {
    region::Residency { allow: residency.allow.clone(), deny: residency.deny.clone() }
}

/// Reads all rules and obeys them.
pub(crate) async fn refresh(shared: &Shared) -> Result<(), StoreError> {
    let store: &dyn PlacementStore = &*shared.store;
    let now = shared.now_ms();
    let orders = store.standing_orders().await?;
    let mut rules = Rules {
        orders,
        bookings: store.bookings(now).await?,
        used: store.booking_use().await?.into_iter().collect(),
        ..Rules::default()
    };
    for row in store.rules().await? {
        match row.kind {
            RuleKind::Residency => {
                let read = TitleId::new(&row.subject).ok().zip(serde_json::from_str(&row.body).ok());
                let (title, residency) = read.ok_or(StoreError::Corrupt("body"))?;
                rules.residency.insert(title, residency);
            }
            RuleKind::Reserve => {
                let slots = row.body.parse().map_err(|_| StoreError::Corrupt("body"))?;
                rules.reserves.insert(row.subject, slots);
            }
        }
    }
    let mut orders: BTreeMap<NodeId, Order> = BTreeMap::new();
    for row in &rules.orders {
        let order = orders.entry(row.node).or_default();
        match row.kind {
            OrderKind::Ban => order.banned = true,
            OrderKind::Drain => order.drained = true,
        }
    }
    shared.fleet().order(orders);
    *shared.placing.rules() = rules;
    Ok(())
}

/// What a booking is known by outside.
pub(crate) fn booking_token(shared: &Shared, id: [u8; 16]) -> String {
    shared.seal("booking", &id)
}

/// The booking of a token; `None` for a forged one.
pub(crate) fn booking_of_token(shared: &Shared, token: &str) -> Option<[u8; 16]> {
    shared.unseal("booking", token)?.try_into().ok()
}

/// A booking's id.
pub(crate) fn booking_id() -> [u8; 16] {
    random::bytes()
}

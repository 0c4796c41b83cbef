//! Round trips, orders, rules and bookings in memory.

use super::{MemoryStore, State};
use crate::store::StoreError;
use crate::store::placement::{
    BookingRow, BookingTerms, InterruptibleRow, OrderKind, OrderRow, PastRow, PlacementStore, RuleKind,
    RuleRow, decide_booking,
};
use async_trait::async_trait;
use nearframe_placement::assign::reserve::NoRoom;
use nearframe_placement::latency::keep;
use nearframe_protocol::{NodeId, SessionId, SessionState};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    sites: Vec<String>,
    pasts: BTreeMap<Vec<u8>, (u64, PastRow)>,
    orders: Vec<OrderRow>,
    rules: BTreeMap<(RuleKind, String), String>,
    bookings: BTreeMap<[u8; 16], BookingRow>,
    used: BTreeSet<([u8; 16], SessionId)>,
    interruptible: BTreeMap<SessionId, Option<u64>>,
}

impl Kept {
    fn lift(&mut self, node: NodeId, kind: OrderKind, now_ms: u64) -> bool {
        let standing =
            |order: &&mut OrderRow| order.node == node && order.kind == kind && order.lifted_ms.is_none();
        let order = self.orders.iter_mut().find(standing);
        order.map(|order| order.lifted_ms = Some(now_ms)).is_some()
    }

    fn bookings_after(&self, now_ms: u64) -> Vec<BookingRow> {
        let open = |row: &&BookingRow| row.cancelled_ms.is_none() && row.until_ms > now_ms;
        let mut rows: Vec<_> = self.bookings.values().filter(open).cloned().collect();
        rows.sort_by_key(|row| (row.from_ms, row.id));
        rows
    }
}

impl State {
    fn on_booking(&self, id: [u8; 16]) -> u32 {
        let active = |session: &SessionId| {
            self.sessions.get(session).is_some_and(|held| held.state != SessionState::Ended)
        };
        self.placement.used.iter().filter(|(booking, session)| *booking == id && active(session)).count()
            as u32
    }
}

impl State {
    fn interruptible(&self, session: SessionId, ends_ms: Option<u64>) -> Option<InterruptibleRow> {
        let held = self.sessions.get(&session).filter(|held| held.state != SessionState::Ended)?;
        Some(InterruptibleRow { session, node: held.new.node, since_ms: held.new.now_ms, ends_ms })
    }
}

#[async_trait]
impl PlacementStore for MemoryStore {
    async fn latency_sites(&self, sites: &[String]) -> Result<Vec<u32>, StoreError> {
        self.transact(|state| {
            let known = &mut state.placement.sites;
            let mut number = |site: &String| {
                let at = known.iter().position(|known| known == site).unwrap_or_else(|| {
                    known.push(site.clone());
                    known.len() - 1
                });
                at as u32 + 1
            };
            Ok(sites.iter().map(&mut number).collect())
        })
    }
    async fn known_latency_sites(&self) -> Result<Vec<(u32, String)>, StoreError> {
        Ok(self.read(|state| (1..).zip(state.placement.sites.iter().cloned()).collect()))
    }
    async fn merge_latency(&self, pasts: &[PastRow], now_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            for row in pasts {
                let kept = state.placement.pasts.get(&row.client).map(|(_, kept)| kept.past.as_slice());
                let (past, newest) = keep::unite(kept, &row.past);
                let united = PastRow { client: row.client.clone(), past, newest };
                state.placement.pasts.insert(row.client.clone(), (now_ms, united));
            }
            Ok(())
        })
    }
    async fn latency_since(&self, since_ms: u64, limit: u32) -> Result<Vec<(u64, PastRow)>, StoreError> {
        Ok(self.read(|state| {
            let changed = state.placement.pasts.values().filter(|(at_ms, _)| *at_ms >= since_ms);
            let mut rows: Vec<_> = changed.cloned().collect();
            rows.sort_by(|(at, one), (other_at, other)| (at, &one.client).cmp(&(other_at, &other.client)));
            rows.truncate(limit as usize);
            rows
        }))
    }
    async fn prune_latency(&self, epoch: u32, most: u32) -> Result<u64, StoreError> {
        self.transact(|state| {
            let pasts = &mut state.placement.pasts;
            let before = pasts.len();
            pasts.retain(|_, (_, row)| row.newest >= epoch);
            let mut order: Vec<_> = pasts
                .iter()
                .map(|(client, (at_ms, row))| (Reverse(row.newest), Reverse(*at_ms), client.clone()))
                .collect();
            order.sort_unstable();
            order.drain(..order.len().min(most as usize));
            order.iter().for_each(|(_, _, client)| drop(pasts.remove(client)));
            Ok((before - pasts.len()) as u64)
        })
    }
    async fn add_order(&self, order: &OrderRow) -> Result<(), StoreError> {
        self.transact(|state| {
            state.placement.lift(order.node, order.kind, order.since_ms);
            state.placement.orders.push(order.clone());
            Ok(())
        })
    }
    async fn lift_order(&self, node: NodeId, kind: OrderKind, now_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| Ok(state.placement.lift(node, kind, now_ms)))
    }
    async fn standing_orders(&self) -> Result<Vec<OrderRow>, StoreError> {
        Ok(self.read(|state| {
            let standing = state.placement.orders.iter().filter(|order| order.lifted_ms.is_none());
            let mut orders: Vec<_> = standing.cloned().collect();
            orders.sort_by_key(|order| (order.node, order.kind));
            orders
        }))
    }
    async fn orders_of(&self, node: NodeId) -> Result<Vec<OrderRow>, StoreError> {
        Ok(self.read(|state| {
            let mine = state.placement.orders.iter().filter(|order| order.node == node);
            let mut orders: Vec<_> = mine.cloned().collect();
            orders.sort_by_key(|order| (Reverse(order.since_ms), order.kind));
            orders.truncate(100);
            orders
        }))
    }
    async fn put_rule(&self, kind: RuleKind, subject: &str, body: Option<&str>) -> Result<(), StoreError> {
        self.transact(|state| {
            let key = (kind, subject.to_owned());
            match body {
                Some(body) => drop(state.placement.rules.insert(key, body.to_owned())),
                None => drop(state.placement.rules.remove(&key)),
            }
            Ok(())
        })
    }
    async fn rules(&self) -> Result<Vec<RuleRow>, StoreError> {
        let row = |((kind, subject), body): (&(RuleKind, String), &String)| RuleRow {
            kind: *kind,
            subject: subject.clone(),
            body: body.clone(),
        };
        Ok(self.read(|state| state.placement.rules.iter().map(row).collect()))
    }
    async fn book(
        &self,
        booking: &BookingRow,
        terms: BookingTerms,
    ) -> Result<Result<(), NoRoom>, StoreError> {
        self.transact(|state| {
            let kept = state.placement.bookings.values().filter(|row| {
                let late = row.until_ms > booking.from_ms || row.id == booking.id;
                row.region == booking.region && row.cancelled_ms.is_none() && late
            });
            let decided = decide_booking(kept.cloned().collect::<Vec<_>>(), booking, terms);
            if decided.is_ok() {
                state.placement.bookings.entry(booking.id).or_insert_with(|| booking.clone());
            }
            Ok(decided)
        })
    }
    async fn cancel_booking(&self, id: [u8; 16], now_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| {
            let row = state.placement.bookings.get_mut(&id).filter(|row| row.cancelled_ms.is_none());
            Ok(row.map(|row| row.cancelled_ms = Some(now_ms)).is_some())
        })
    }
    async fn bookings(&self, now_ms: u64) -> Result<Vec<BookingRow>, StoreError> {
        Ok(self.read(|state| state.placement.bookings_after(now_ms)))
    }
    async fn use_booking(&self, id: [u8; 16], session: SessionId) -> Result<bool, StoreError> {
        self.transact(|state| {
            let open = state.placement.bookings.get(&id).filter(|row| row.cancelled_ms.is_none());
            let Some(slots) = open.map(|row| row.slots) else { return Ok(false) };
            let room = state.on_booking(id) < slots;
            if room {
                state.placement.used.insert((id, session));
            }
            Ok(room)
        })
    }
    async fn booking_use(&self) -> Result<Vec<([u8; 16], u32)>, StoreError> {
        Ok(self.read(|state| {
            let used: BTreeSet<[u8; 16]> = state.placement.used.iter().map(|(id, _)| *id).collect();
            let counted = used.into_iter().map(|id| (id, state.on_booking(id)));
            counted.filter(|(_, held)| *held > 0).collect()
        }))
    }
    async fn add_interruptible(&self, session: SessionId) -> Result<(), StoreError> {
        self.transact(|state| {
            let mut kept = std::mem::take(&mut state.placement.interruptible);
            kept.retain(|session, ends_ms| state.interruptible(*session, *ends_ms).is_some());
            kept.entry(session).or_default();
            state.placement.interruptible = kept;
            Ok(())
        })
    }
    async fn interruptible(&self) -> Result<Vec<InterruptibleRow>, StoreError> {
        Ok(self.read(|state| {
            let mut rows: Vec<_> = state
                .placement
                .interruptible
                .iter()
                .filter_map(|(id, ends_ms)| state.interruptible(*id, *ends_ms))
                .collect();
            rows.sort_by_key(|row| (row.since_ms, row.session));
            rows
        }))
    }
    async fn give_notice(&self, session: SessionId, ends_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| {
            let told = state.placement.interruptible.get_mut(&session).filter(|told| told.is_none());
            Ok(told.map(|told| *told = Some(ends_ms)).is_some())
        })
    }
}

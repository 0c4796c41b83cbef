//! Markets, in memory: what is held is added up from the journal each time.

use super::{Held, MemoryStore, State};
use crate::bus::words::HeldSlots;
use crate::store::market::{
    AuctionRow, CapOf, CapRow, MOST_ALIVE, MachineRow, MachineState, MarketStore, NewStandBy, ReservationRow,
    Reserved, Stood, within_ms,
};
use crate::store::months::month_of;
use crate::store::{NewSession, Payer, SessionRow, StoreError};
use async_trait::async_trait;
use nearframe_ledger::auction::{Entry, Wanted};
use nearframe_ledger::{Kind, Transfer};
use nearframe_protocol::auction::{OpenBid, SealedBid};
use nearframe_protocol::market::ReservationState;
use nearframe_protocol::{
    AccountId, AuctionId, EndReason, LeaseId, NodeId, ReservationId, SessionId, SessionState, SpendLimit,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

/// What is known of markets.
#[derive(Debug, Default, Clone)]
pub(super) struct Market {
    /// With all that was ever set aside for it; what of that is still held follows from the journal.
    reservations: BTreeMap<ReservationId, ReservationRow>,
    bids: BTreeMap<(AuctionId, NodeId), Entry>,
    machines: BTreeMap<(ReservationId, NodeId), (u32, bool, MachineState)>,
    caps: BTreeMap<CapOf, CapRow>,
}

impl Market {
    fn is_held(&self, id: ReservationId, node: NodeId) -> bool {
        matches!(self.machines.get(&(id, node)), Some((.., MachineState::Held)))
    }

    /// Slots of a node that reservations hold.
    fn held_at(&self, node: NodeId) -> u32 {
        let held = |((_, at), (.., state)): &(&(ReservationId, NodeId), &(u32, bool, MachineState))| {
            *at == node && *state == MachineState::Held
        };
        self.machines.iter().filter(held).count() as u32
    }

    /// Auctions of others that a machine has won for some of this time, where they are as many as its slots.
    fn taken_by(&self, node: NodeId, slots: u32, wanted: &Wanted) -> Vec<AuctionId> {
        let mut taken = vec![];
        for ((id, at), (.., state)) in &self.machines {
            let Some(row) = self.reservations.get(id).filter(|_| *at == node) else { continue };
            let other = &row.auction.wanted;
            let overlaps = other.from_ms < wanted.until_ms && row.until_ms() > wanted.from_ms;
            let is_promised = matches!(state, MachineState::Waiting | MachineState::Held);
            if is_promised && row.state == ReservationState::Booked && overlaps {
                taken.push(other.auction);
            }
        }
        taken.sort_unstable();
        if taken.len() < slots.max(1) as usize { vec![] } else { taken }
    }
}

impl State {
    /// What a reservation still holds.
    fn still_held(&self, row: &ReservationRow) -> i128 {
        if row.state != ReservationState::Booked && row.state != ReservationState::Bidding {
            return 0;
        }
        let stands = |lease: &LeaseId| self.stands_under(*lease) == Some(row.id);
        let own = self.journal.iter().filter(|transfer| stands(&transfer.lease));
        row.held_micros - own.map(super::budgets::change_micros).sum::<i128>()
    }

    /// The reservation of a lease that stands by.
    fn stands_under(&self, lease: LeaseId) -> Option<ReservationId> {
        let held = self.sessions.values().find(|held| held.new.lease == lease)?;
        held.new.reservation.filter(|_| held.new.stands_by())
    }

    fn reservation_row(&self, row: &ReservationRow) -> ReservationRow {
        ReservationRow { held_micros: self.still_held(row), ..row.clone() }
    }

    /// What reservations of such payers hold.
    pub(super) fn reserved_micros(&self, of: impl Fn(&Payer) -> bool) -> i128 {
        let rows = self.market.reservations.values();
        let own = rows.filter(|row| of(&Payer { account: row.account, key: row.key }));
        own.map(|row| self.still_held(row)).sum()
    }

    /// Whether the reservation of a lease that stands by holds more; `None`: it does not stand by.
    pub(super) fn reservation_holds(&self, transfers: &[Transfer]) -> Option<bool> {
        let id = self.stands_under(transfers.first()?.lease)?;
        let row = self.market.reservations.get(&id)?;
        let more: i128 = transfers.iter().map(super::budgets::change_micros).sum();
        Some(more <= 0 || (row.state == ReservationState::Booked && more <= self.still_held(row)))
    }

    /// Slots of a node that are taken: by sessions, and by reservations.
    pub(super) fn held(&self, node: NodeId) -> u32 {
        let active = |held: &&Held| {
            let new = &held.new;
            let is_inside = new.reservation.is_some_and(|id| self.market.is_held(id, node));
            new.node == node && held.state != SessionState::Ended && !is_inside
        };
        self.sessions.values().filter(active).count() as u32 + self.market.held_at(node)
    }

    /// What runs on a machine for a reservation.
    fn runs(&self, id: ReservationId, node: NodeId) -> Option<(SessionId, bool)> {
        let mut inside = self.sessions.values().filter(|held| {
            held.new.reservation == Some(id) && held.new.node == node && held.state != SessionState::Ended
        });
        inside.next().map(|held| (held.new.id, held.new.stands_by()))
    }

    /// Ends what stands by, so that a session takes its place; false: the machine is not the reservation's now.
    pub(super) fn make_way(&mut self, id: ReservationId, new: &NewSession) -> Result<bool, StoreError> {
        let row = self.market.reservations.get(&id);
        let runs = row.is_some_and(|row| row.runs_at(new.now_ms) && row.title == new.title);
        if !runs || !self.market.is_held(id, new.node) {
            return Ok(false);
        }
        match self.runs(id, new.node) {
            None => Ok(true),
            Some((_, false)) => Ok(false),
            Some((session, true)) => {
                self.end(session, (EndReason::Preempted, None), new.now_ms)?;
                Ok(true)
            }
        }
    }

    /// Whether what ended gives its slot back.
    pub(super) fn gives_slot(&self, new: &NewSession) -> bool {
        !new.reservation.is_some_and(|id| self.market.is_held(id, new.node))
    }

    fn stand_by(&mut self, new: &NewStandBy) -> Result<Stood, StoreError> {
        let Some(row) = self.market.reservations.get(&new.reservation).cloned() else {
            return Ok(Stood::Already);
        };
        let place = (new.reservation, new.node);
        let Some((.., state)) = self.market.machines.get(&place).copied() else { return Ok(Stood::Already) };
        let is_open = matches!(state, MachineState::Waiting | MachineState::Held);
        if !row.runs_at(new.now_ms) || !is_open || self.runs(new.reservation, new.node).is_some() {
            return Ok(Stood::Already);
        }
        let held_micros = self.still_held(&row);
        if held_micros == 0 {
            return Ok(Stood::NoMoney);
        }
        let slots = self.nodes.get(&new.node).map_or(0, |(_, node)| node.slots);
        if state == MachineState::Waiting && self.held(new.node) >= slots {
            return Ok(Stood::Full);
        }
        if state == MachineState::Waiting {
            self.set_machine(place, MachineState::Held);
            self.change_slots(new.node, |held| held + 1);
        }
        let micros = row.standing_micros(new.now_ms, row.until_ms())?.min(held_micros);
        let session = new.session_of(&row);
        let opening = super::account(&session).open_with(crate::random::transfer_id(), micros)?;
        self.payers.extend(session.payer.map(|payer| (session.lease, payer)));
        self.journal.push(opening);
        let held = Held {
            new: session,
            state: SessionState::Starting,
            ended: None,
            limit: None,
            closed: false,
            receipts: Vec::new(),
        };
        let stood: SessionRow = self.row(&held);
        self.sessions.insert(new.session, held);
        Ok(Stood::New(Box::new(stood)))
    }

    fn set_machine(&mut self, place: (ReservationId, NodeId), to: MachineState) {
        if let Some((.., state)) = self.market.machines.get_mut(&place) {
            *state = to;
        }
    }

    fn let_go(&mut self, id: ReservationId, node: NodeId, gone: bool) -> Option<HeldSlots> {
        let (.., state) = *self.market.machines.get(&(id, node))?;
        let runs = self.runs(id, node);
        let is_open = matches!(state, MachineState::Waiting | MachineState::Held);
        if matches!(runs, Some((_, true))) || !is_open {
            return None;
        }
        self.set_machine((id, node), if gone { MachineState::Gone } else { MachineState::Done });
        if state == MachineState::Held && runs.is_none() {
            self.change_slots(node, |held| held - 1);
        }
        Some(self.slots_of(node))
    }

    fn close_auction(
        &mut self,
        id: ReservationId,
        now_ms: u64,
    ) -> Result<Option<ReservationRow>, StoreError> {
        let Some(row) = self.market.reservations.get(&id).cloned() else { return Ok(None) };
        let wanted = row.auction.wanted.clone();
        if row.state != ReservationState::Bidding || now_ms <= wanted.open_until_ms {
            return Ok(Some(self.reservation_row(&row)));
        }
        let mut entries = self.entries(wanted.auction);
        for entry in &mut entries {
            let slots = self.nodes.get(&entry.node).map_or(0, |(_, node)| node.slots);
            entry.taken_by = self.market.taken_by(entry.node, slots, &wanted);
            self.market.bids.insert((wanted.auction, entry.node), entry.clone());
        }
        let (mut closed, cleared) = row.closed(&entries, now_ms)?;
        closed.held_micros = if cleared.winners.is_empty() { 0 } else { closed.whole_micros()? };
        let winners = cleared.winners.iter().map(|node| (*node, false));
        let all = winners.chain(cleared.next.iter().map(|node| (*node, true)));
        for (place, (node, is_next)) in (0..).zip(all) {
            self.market.machines.insert((id, node), (place, is_next, MachineState::Waiting));
        }
        self.market.reservations.insert(id, closed.clone());
        Ok(Some(closed))
    }

    fn entries(&self, auction: AuctionId) -> Vec<Entry> {
        let bids = self.market.bids.iter().filter(|((of, _), _)| *of == auction);
        bids.map(|(_, entry)| entry.clone()).collect()
    }

    fn reserve(&mut self, new: &ReservationRow) -> Reserved {
        if self.market.reservations.contains_key(&new.id) {
            return Reserved::Bidding;
        }
        let alive =
            |row: &&ReservationRow| matches!(row.state, ReservationState::Bidding | ReservationState::Booked);
        if self.market.reservations.values().filter(alive).count() >= MOST_ALIVE as usize {
            return Reserved::TooMany;
        }
        let currency = &new.auction.wanted.currency;
        let fits = |purse: &crate::store::accounts::Purse, spent: i128| {
            let limit = purse.limit_micros;
            purse.currency == *currency && limit.is_none_or(|limit| spent + new.held_micros <= limit)
        };
        let account = self.who.accounts.get(&new.account);
        let holds = account.is_some_and(|row| fits(&row.purse, self.account_spent(new.account)));
        let by_key = new.key.is_none_or(|id| {
            let row = self.who.keys.get(&id).filter(|row| row.revoked_at_ms.is_none());
            row.is_some_and(|row| fits(&row.purse, self.key_spent(id)))
        });
        if !holds || !by_key {
            return Reserved::OverBudget;
        }
        self.market.reservations.insert(new.id, new.clone());
        Reserved::Bidding
    }

    /// Which cap of whoever plays does not hold what transfers of one lease set aside; they are not in the journal yet.
    pub(super) fn over_cap(&self, new: &NewSession, transfers: &[Transfer]) -> Option<SpendLimit> {
        let more: i128 = transfers.iter().map(super::budgets::change_micros).sum();
        if more <= 0 || new.stands_by() {
            return None;
        }
        let by_account = new.payer.map(|payer| CapOf::Account(payer.account));
        let of = [Some(CapOf::Title(new.title.clone())), by_account].into_iter().flatten();
        let mut caps = of.filter_map(|of| self.market.caps.get(&of).map(|cap| (of, cap)));
        let over = caps.find(|(of, cap)| {
            cap.currency != new.tariff.currency || self.spent(of, new) + more > cap.limit_micros
        });
        over.map(|(of, _)| of.limit())
    }

    fn spent(&self, of: &CapOf, new: &NewSession) -> i128 {
        let month = month_of(new.now_ms);
        let counts = |held: &&Held| {
            let theirs = match of {
                CapOf::Title(title) => held.new.title == *title && held.new.player() == new.player(),
                CapOf::Account(account) => held.new.payer.is_some_and(|payer| payer.account == *account),
            };
            theirs && !held.new.stands_by() && month_of(held.new.now_ms) == month
        };
        let leases: Vec<LeaseId> = self.sessions.values().filter(counts).map(|held| held.new.lease).collect();
        let own = self.journal.iter().filter(|transfer| leases.contains(&transfer.lease));
        let back = self.trust.paid_back_by_lease().filter(|(lease, _)| leases.contains(lease));
        own.map(super::budgets::change_micros).sum::<i128>() - back.map(|(_, micros)| micros).sum::<i128>()
    }
}

#[async_trait]
impl MarketStore for MemoryStore {
    async fn reserve(&self, new: &ReservationRow) -> Result<Reserved, StoreError> {
        self.transact(|state| Ok(state.reserve(new)))
    }
    async fn reservation(&self, id: ReservationId) -> Result<Option<ReservationRow>, StoreError> {
        Ok(self.read(|state| state.market.reservations.get(&id).map(|row| state.reservation_row(row))))
    }
    async fn reservations(
        &self,
        account: Option<AccountId>,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<ReservationRow>, StoreError> {
        let mut rows: Vec<_> = self.read(|state| {
            let rows = state.market.reservations.values();
            let own = rows.filter(|row| account.is_none_or(|account| account == row.account));
            own.map(|row| state.reservation_row(row)).collect()
        });
        rows.sort_by_key(|row: &ReservationRow| Reverse((row.created_at_ms, row.id)));
        if let Some(after) = after {
            let at = rows.iter().position(|row| row.id == after).map_or(rows.len(), |at| at + 1);
            rows.drain(..at);
        }
        rows.truncate(limit as usize);
        Ok(rows)
    }
    async fn reservations_alive(&self) -> Result<Vec<ReservationRow>, StoreError> {
        let mut rows = self.reservations(None, None, u32::MAX).await?;
        rows.retain(|row| matches!(row.state, ReservationState::Bidding | ReservationState::Booked));
        rows.reverse();
        Ok(rows)
    }
    async fn auction(&self, id: AuctionId) -> Result<Option<AuctionRow>, StoreError> {
        Ok(self.read(|state| {
            let mut rows = state.market.reservations.values().map(|row| &row.auction);
            rows.find(|row| row.wanted.auction == id).cloned()
        }))
    }
    async fn seal_bid(&self, node: NodeId, sealed: &SealedBid, now_ms: u64) -> Result<bool, StoreError> {
        let auction = self.auction(sealed.auction).await?;
        self.transact(|state| {
            let place = (sealed.auction, node);
            let key = state.nodes.get(&node).map(|(key, _)| *key).ok_or(StoreError::Corrupt("node_id"))?;
            let is_open = |row: &AuctionRow| row.closed_at_ms.is_none() && now_ms <= row.wanted.seal_until_ms;
            if auction.as_ref().is_some_and(is_open) {
                let entry = Entry {
                    node,
                    key,
                    sealed: *sealed,
                    sealed_at_ms: now_ms,
                    opened: None,
                    taken_by: vec![],
                };
                state.market.bids.entry(place).or_insert(entry);
            }
            Ok(state.market.bids.get(&place).is_some_and(|entry| entry.sealed.seal == sealed.seal))
        })
    }
    async fn open_bid(&self, node: NodeId, open: &OpenBid, now_ms: u64) -> Result<bool, StoreError> {
        let auction = self.auction(open.bid.auction).await?;
        self.transact(|state| {
            let times = auction.as_ref().filter(|row| row.closed_at_ms.is_none()).map(|row| &row.wanted);
            let in_time =
                times.is_some_and(|wanted| wanted.seal_until_ms < now_ms && now_ms <= wanted.open_until_ms);
            let entry = state.market.bids.get_mut(&(open.bid.auction, node));
            let Some(entry) = entry.filter(|entry| in_time && open.opens(&entry.sealed.seal)) else {
                return Ok(false);
            };
            entry.opened.get_or_insert_with(|| (open.clone(), now_ms));
            Ok(true)
        })
    }
    async fn bids(&self, auction: AuctionId) -> Result<Vec<Entry>, StoreError> {
        Ok(self.read(|state| state.entries(auction)))
    }
    async fn close_auction(
        &self,
        id: ReservationId,
        now_ms: u64,
    ) -> Result<Option<ReservationRow>, StoreError> {
        self.transact(|state| state.close_auction(id, now_ms))
    }
    async fn machines(&self, id: ReservationId) -> Result<Vec<MachineRow>, StoreError> {
        let mut rows: Vec<_> = self.read(|state| {
            let own = state.market.machines.iter().filter(|((of, _), _)| *of == id);
            let row = |((_, node), (place, is_next, at)): (
                &(ReservationId, NodeId),
                &(u32, bool, MachineState),
            )| {
                MachineRow {
                    node: *node,
                    place: *place,
                    is_next: *is_next,
                    state: *at,
                    runs: state.runs(id, *node),
                }
            };
            own.map(row).collect()
        });
        rows.sort_by_key(|row: &MachineRow| row.place);
        Ok(rows)
    }
    async fn stand_by(&self, new: &NewStandBy) -> Result<Stood, StoreError> {
        self.transact(|state| state.stand_by(new))
    }
    async fn let_go(
        &self,
        id: ReservationId,
        node: NodeId,
        gone: bool,
    ) -> Result<Option<HeldSlots>, StoreError> {
        self.transact(|state| Ok(state.let_go(id, node, gone)))
    }
    async fn cancel_reservation(
        &self,
        id: ReservationId,
        now_ms: u64,
    ) -> Result<Option<ReservationRow>, StoreError> {
        self.transact(|state| {
            let Some(row) = state.market.reservations.get_mut(&id) else { return Ok(None) };
            if let Some(mut after) = row.cancelled(now_ms) {
                if after.state == ReservationState::Cancelled {
                    after.auction.closed_at_ms = after.auction.closed_at_ms.or(Some(now_ms));
                }
                *row = after;
            }
            let row = row.clone();
            Ok(Some(state.reservation_row(&row)))
        })
    }
    async fn finish_reservation(&self, id: ReservationId, now_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| {
            let mut machines = state.market.machines.iter().filter(|((of, _), _)| *of == id);
            let is_held = machines.any(|(_, (.., state))| *state == MachineState::Held);
            let row = state.market.reservations.get_mut(&id);
            let over = |row: &&mut ReservationRow| {
                row.state == ReservationState::Booked && now_ms >= row.until_ms() && !is_held
            };
            Ok(row.filter(over).map(|row| row.state = ReservationState::Over).is_some())
        })
    }
    async fn stood_micros(&self, id: ReservationId) -> Result<i128, StoreError> {
        Ok(self.read(|state| {
            let posts = state.journal.iter().filter(|transfer| transfer.kind == Kind::Post);
            let own = posts.filter(|transfer| state.stands_under(transfer.lease) == Some(id));
            own.map(|transfer| transfer.amount_micros).sum()
        }))
    }
    async fn kept_ms(&self, id: ReservationId, during: Range<u64>) -> Result<u64, StoreError> {
        Ok(self.read(|state| {
            let own = state.sessions.values().filter(|held| held.new.reservation == Some(id));
            let ended = |held: &Held| held.ended.map(|(at_ms, _)| at_ms);
            own.map(|held| within_ms(&during, held.new.now_ms, ended(held))).sum()
        }))
    }
    async fn set_cap(&self, of: &CapOf, cap: Option<&CapRow>) -> Result<(), StoreError> {
        self.transact(|state| {
            match cap {
                Some(cap) => state.market.caps.insert(of.clone(), cap.clone()),
                None => state.market.caps.remove(of),
            };
            Ok(())
        })
    }
    async fn cap(&self, of: &CapOf) -> Result<Option<CapRow>, StoreError> {
        Ok(self.read(|state| state.market.caps.get(of).cloned()))
    }
}

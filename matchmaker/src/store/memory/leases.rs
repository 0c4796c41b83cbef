//! How a session begins, is billed and ends, in memory.

use super::{Held, State, account};
use crate::store::account::audit;
use crate::store::{Created, Ended, Idempotency, NewSession, StoreError, Taken};
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_protocol::api::StoredReceipt;
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::webhook::EventKind;
use nearframe_protocol::{EndReason, Generation, SessionId, SessionState, SpendLimit};

impl State {
    pub(super) fn create(&mut self, new: &NewSession) -> Result<Created, StoreError> {
        if new.fence.as_ref().is_some_and(|fence| !self.replicas.holds(fence)) {
            return Ok(Created::Fenced);
        }
        if let Some(Idempotency { key, request }) = &new.idempotency
            && let Some((earlier, id)) = self.idempotency.get(key)
        {
            let held = self.sessions.get(id).ok_or(StoreError::Corrupt("session_id"))?;
            let same = earlier == request;
            return Ok(if same { Created::Again(self.row(held)) } else { Created::KeyReused });
        }
        if let Some(earlier) = self.sessions.get(&new.id) {
            return Ok(Created::Again(self.row(earlier)));
        }
        let mine = |held: &&Held| held.new.guest == new.guest && held.state != SessionState::Ended;
        if self.sessions.values().filter(mine).count() as u32 >= new.guest_limit {
            return Ok(Created::TooMany);
        }
        let slots = self.nodes.get(&new.node).map_or(0, |(_, node)| node.slots);
        let takes_slot = new.reservation.is_none();
        if takes_slot && self.held(new.node) >= slots {
            return Ok(Created::NoCapacity);
        }
        let before = new.reservation.map(|_| self.clone());
        if let Some(id) = new.reservation
            && !self.make_way(id, new)?
        {
            return Ok(Created::NoCapacity);
        }
        self.payers.extend(new.payer.map(|payer| (new.lease, payer)));
        let opening = account(new).open(crate::random::transfer_id())?;
        let plans = self.plans.clone();
        self.take_included(new, std::slice::from_ref(&opening), new.now_ms);
        if let Some(limit) = self.over(new, std::slice::from_ref(&opening)) {
            self.plans = plans;
            // What stood by goes on.
            if let Some(before) = before {
                *self = before;
            }
            return Ok(if limit.is_cap() { Created::OverCap } else { Created::OverBudget });
        }
        self.journal.push(opening.clone());
        self.tell_low(&[opening], new.now_ms)?;
        if let Some(Idempotency { key, request }) = &new.idempotency {
            self.idempotency.insert(*key, (*request, new.id));
        }
        let held = Held {
            new: new.clone(),
            state: SessionState::Starting,
            ended: None,
            limit: None,
            closed: false,
            receipts: Vec::new(),
        };
        self.change_slots(new.node, |slots| slots + u32::from(takes_slot));
        let row = self.row(&held);
        self.sessions.insert(new.id, held);
        self.tell_session(EventKind::SessionStarted, new.now_ms, &row)?;
        Ok(Created::New(row))
    }

    pub(super) fn end(
        &mut self,
        id: SessionId,
        (reason, limit): (EndReason, Option<SpendLimit>),
        now_ms: u64,
    ) -> Result<Option<Ended>, StoreError> {
        let Some(mut held) = self.sessions.get(&id).cloned() else { return Ok(None) };
        let first = held.state != SessionState::Ended;
        if first {
            let ended_at_ms = now_ms.max(held.new.now_ms);
            self.journal.extend(self.lease(&held)?.at_end(ended_at_ms)?);
            self.give_included_back(&held.new);
            (held.state, held.ended, held.limit) = (SessionState::Ended, Some((ended_at_ms, reason)), limit);
            self.sessions.insert(id, held.clone());
            let gives_slot = self.gives_slot(&held.new);
            self.change_slots(held.new.node, |slots| slots - u32::from(gives_slot));
            let row = self.row(&held);
            self.tell_session(EventKind::SessionEnded, ended_at_ms, &row)?;
        }
        Ok(Some(Ended { session: self.row(&held), first }))
    }

    pub(super) fn take(&mut self, signed: &SignedReceipt, now_ms: u64) -> Result<Taken, StoreError> {
        let receipt = &signed.receipt;
        let held = self.sessions.get(&receipt.session).filter(|_| receipt.generation == Generation(0));
        let Some(held) = held else {
            return Ok(Taken::Refused("no such session or generation was ever leased here".to_owned()));
        };
        let known = held.receipts.get(receipt.sequence as usize).map(|(r, _)| r.signed.receipt.hash());
        let entry = match self.lease(held)?.count(signed, known, now_ms)? {
            Ok(entry) => entry,
            Err(outcome) => return Ok(outcome),
        };
        let (new, plans) = (held.new.clone(), self.plans.clone());
        self.take_included(&new, &entry.transfers, now_ms);
        if let Some(limit) = self.over(&new, &entry.transfers) {
            self.plans = plans;
            return Ok(Taken::OverBudget(limit));
        }
        self.journal.extend(entry.transfers.iter().cloned());
        self.cover(&new, receipt.sequence, now_ms)?;
        self.tell_low(&entry.transfers, now_ms)?;
        let countersigned = entry.countersigned;
        let stored = StoredReceipt { signed: signed.clone(), received_at_ms: now_ms, countersigned };
        let held = self.sessions.get_mut(&receipt.session).ok_or(StoreError::Corrupt("session_id"))?;
        held.receipts.push((stored, entry.bill.billed_us));
        Ok(Taken::Counted { countersigned })
    }

    pub(super) fn close(&mut self, now_ms: u64) -> Result<u32, StoreError> {
        let late = |held: &Held| held.ended.is_some_and(|(at_ms, _)| at_ms + LATE_WINDOW_MS < now_ms);
        let due: Vec<_> = self.sessions.values().filter(|held| !held.closed && late(held)).cloned().collect();
        for held in &due {
            self.journal.extend(self.lease(held)?.at_close()?);
            self.give_included_back(&held.new);
            let mine = self.journal.iter().filter(|t| t.lease == held.new.lease).cloned();
            audit(&mine.collect::<Vec<_>>())?;
            self.sessions.insert(held.new.id, Held { closed: true, ..held.clone() });
            let row = self.row(held);
            self.tell_session(EventKind::SessionBilled, now_ms, &row)?;
        }
        Ok(due.len() as u32)
    }
}

//! When machines were reached, what was paid on them, and months that are closed, in memory.

use super::{MemoryStore, State};
use crate::store::StoreError;
use crate::store::service::{Closing, MonthRow, PaidRow, ReachRow, Reached, ServiceStore};
use async_trait::async_trait;
use nearframe_ledger::Kind;
use std::collections::BTreeMap;
use std::ops::Range;

/// What is known of service.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    reached: BTreeMap<Reached, Vec<Range<u64>>>,
    months: BTreeMap<String, MonthRow>,
}

impl Kept {
    fn note(&mut self, subject: Reached, now_ms: u64, gap_ms: u64) {
        let times = self.reached.entry(subject).or_default();
        match times.last_mut() {
            Some(last) if last.end >= now_ms.saturating_sub(gap_ms) => last.end = last.end.max(now_ms),
            _ => times.push(now_ms..now_ms),
        }
    }
}

fn paid_for(state: &State, ended: &Range<u64>) -> Vec<PaidRow> {
    let mut rows = vec![];
    let all = state.sessions.values();
    for held in all.filter(|held| held.ended.is_some_and(|(at_ms, _)| ended.contains(&at_ms))) {
        let account = super::account(&held.new);
        let payer = account.debtor();
        let posted = state.journal.iter().filter(|t| t.lease == account.lease && t.kind == Kind::Post);
        let posted: i128 = posted.map(|t| t.amount_micros).sum();
        let back = state.trust.paid_back(|entry| entry.lease == account.lease);
        let credited: i128 = state.stakes.credited(account.lease).map(|(_, micros)| micros).sum();
        let (lease, node, currency) = (account.lease, account.node, account.tariff.currency.clone());
        rows.push(PaidRow { lease, payer, node, currency, paid_micros: posted - back - credited });
    }
    rows.retain(|row| row.paid_micros > 0);
    rows.sort_by_key(|row| (row.payer.to_string(), row.node, row.currency.clone(), row.lease));
    rows
}

#[async_trait]
impl ServiceStore for MemoryStore {
    async fn note_reached(&self, subjects: &[Reached], now_ms: u64, gap_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            subjects.iter().for_each(|subject| state.service.note(*subject, now_ms, gap_ms));
            Ok(())
        })
    }
    async fn reached(&self, range: Range<u64>) -> Result<Vec<ReachRow>, StoreError> {
        Ok(self.read(|state| {
            let all = state.service.reached.iter();
            let rows = all.flat_map(|(subject, times)| times.iter().map(|time| (*subject, time.clone())));
            let rows = rows.filter(|(_, time)| time.end >= range.start && time.start < range.end);
            rows.map(|(subject, time)| ReachRow { subject, time }).collect()
        }))
    }
    async fn paid_for(&self, ended: Range<u64>) -> Result<Vec<PaidRow>, StoreError> {
        Ok(self.read(|state| paid_for(state, &ended)))
    }
    async fn undecided(&self, ended: Range<u64>) -> Result<u64, StoreError> {
        Ok(self.read(|state| {
            let ended_then = |session| {
                let held = state.sessions.get(&session);
                held.and_then(|held| held.ended).is_some_and(|(at_ms, _)| ended.contains(&at_ms))
            };
            state.trust.undecided().filter(|session| ended_then(*session)).count() as u64
        }))
    }
    async fn close_month(&self, closing: &Closing) -> Result<bool, StoreError> {
        self.transact(|state| {
            let month = &closing.month;
            let is_closed = state.service.months.contains_key(&month.month);
            if is_closed || paid_for(state, &closing.ended) != closing.paid {
                return Ok(false);
            }
            state.service.months.insert(month.month.clone(), month.clone());
            state.stakes.add_credits(&closing.credits);
            Ok(true)
        })
    }
    async fn month(&self, month: &str) -> Result<Option<MonthRow>, StoreError> {
        Ok(self.read(|state| state.service.months.get(month).cloned()))
    }
}

//! Destinations and payouts, in memory.

use super::{MemoryStore, State as Everything};
use crate::store::StoreError;
use crate::store::payouts::{DestinationRow, PayoutRow, PayoutStore, Spent};
use crate::store::webhooks::EventRow;
use async_trait::async_trait;
use nearframe_ledger::payout::{Rail, State};
use nearframe_protocol::payout::PayoutId;
use nearframe_protocol::{AccountId, Currency, NodeId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What is known of payouts.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    destinations: BTreeMap<(AccountId, Currency), DestinationRow>,
    payouts: BTreeMap<PayoutId, PayoutRow>,
}

impl Everything {
    /// How often earnings were spent.
    pub(super) fn earnings_spent(&self) -> Spent {
        let run = self.payouts.payouts.values().map(|row| row.run).max().unwrap_or(0);
        Spent { run, stakes: self.stakes.posted() }
    }
}

#[async_trait]
impl PayoutStore for MemoryStore {
    async fn set_destination(&self, row: &DestinationRow) -> Result<(), StoreError> {
        self.transact(|state| {
            state.payouts.destinations.insert((row.account, row.currency.clone()), row.clone());
            Ok(())
        })
    }
    async fn destinations(&self, account: Option<AccountId>) -> Result<Vec<DestinationRow>, StoreError> {
        Ok(self.read(|state| {
            let rows = state.payouts.destinations.values();
            rows.filter(|row| account.is_none_or(|account| account == row.account)).cloned().collect()
        }))
    }
    async fn spent(&self) -> Result<Spent, StoreError> {
        Ok(self.read(Everything::earnings_spent))
    }
    async fn add_payouts(&self, rows: &[(PayoutRow, EventRow)], read: Spent) -> Result<bool, StoreError> {
        self.transact(|state| {
            if state.earnings_spent() != read {
                return Ok(false);
            }
            for (row, event) in rows {
                if state.payouts.payouts.contains_key(&row.id()) {
                    continue;
                }
                state.payouts.payouts.insert(row.id(), row.clone());
                state.hooks.add(event, None);
            }
            Ok(true)
        })
    }
    async fn set_payout_state(
        &self,
        id: PayoutId,
        now: State,
        now_ms: u64,
        event: Option<&EventRow>,
    ) -> Result<(), StoreError> {
        self.transact(|state| {
            let comes_after = |row: &&mut PayoutRow| match row.state {
                State::Created => now != State::Created,
                State::Submitted => matches!(now, State::Settled | State::Failed),
                State::Settled | State::Failed => false,
            };
            if let Some(row) = state.payouts.payouts.get_mut(&id).filter(comes_after) {
                (row.state, row.changed_at_ms) = (now, now_ms);
                if let Some(event) = event {
                    state.hooks.add(event, None);
                }
            }
            Ok(())
        })
    }
    async fn payouts(
        &self,
        account: Option<AccountId>,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<PayoutRow>, StoreError> {
        Ok(self.read(|state| {
            let all = &state.payouts.payouts;
            let after = after.and_then(|id| all.get(&id)).map(|row| (row.run, row.id()));
            let mut rows: Vec<_> =
                all.values().filter(|row| account.is_none_or(|it| it == row.account)).collect();
            rows.retain(|row| after.is_none_or(|after| (row.run, row.id()) < after));
            rows.sort_by_key(|row| Reverse((row.run, row.id())));
            rows.into_iter().take(limit as usize).cloned().collect()
        }))
    }
    async fn payouts_of_run(&self, run: u64) -> Result<Vec<PayoutRow>, StoreError> {
        Ok(self.read(|state| state.payouts.payouts.values().filter(|row| row.run == run).cloned().collect()))
    }
    async fn open_payouts(&self) -> Result<Vec<PayoutRow>, StoreError> {
        Ok(self.read(|state| {
            let is_open = |row: &&PayoutRow| matches!(row.state, State::Created | State::Submitted);
            let mut rows: Vec<_> = state.payouts.payouts.values().filter(is_open).cloned().collect();
            rows.sort_by_key(|row| (row.run, row.id()));
            rows
        }))
    }
    async fn paid(
        &self,
        among: Option<&[NodeId]>,
    ) -> Result<Vec<(NodeId, Currency, Rail, i128)>, StoreError> {
        Ok(self.read(|state| {
            let mut sums: BTreeMap<(NodeId, Currency, Rail), i128> = BTreeMap::new();
            for row in state.payouts.payouts.values().filter(|row| row.state != State::Failed) {
                let payout = &row.payout;
                let place = (payout.host, payout.currency.clone(), payout.destination.rail());
                *sums.entry(place).or_default() += payout.amount_micros;
            }
            let is_asked = |host: &NodeId| among.is_none_or(|among| among.contains(host));
            let sums = sums.into_iter().filter(|((host, ..), _)| is_asked(host));
            sums.map(|((host, currency, rail), paid)| (host, currency, rail, paid)).collect()
        }))
    }
    async fn failed_payouts(&self, epoch: u32) -> Result<Vec<(NodeId, Currency, u32)>, StoreError> {
        Ok(self.read(|state| {
            let mut counts: BTreeMap<(NodeId, Currency), u32> = BTreeMap::new();
            let failed = state.payouts.payouts.values().filter(|row| row.state == State::Failed);
            for row in failed.filter(|row| row.payout.epoch.0 == epoch) {
                *counts.entry((row.payout.host, row.payout.currency.clone())).or_default() += 1;
            }
            counts.into_iter().map(|((host, currency), count)| (host, currency, count)).collect()
        }))
    }
}

//! Stakes, tables of rules and credits, in memory.

use super::MemoryStore;
use crate::store::StoreError;
use crate::store::payouts::Spent;
use crate::store::stake::{CreditRow, LeaseCredit, NewCredit, RuleTable, RulesRow, StakeRow, StakeStore};
use crate::store::trust::CaseRow;
use crate::store::webhooks::EventRow;
use async_trait::async_trait;
use nearframe_ledger::Account;
use nearframe_ledger::settlement::Totals;
use nearframe_protocol::trust::Verdict;
use nearframe_protocol::{CaseId, LeaseId, NodeId, SessionId};
use nearframe_trust::fraud::Grade;
use nearframe_trust::stake::{Deed, Source};
use std::collections::BTreeMap;
use std::ops::Range;

/// What is known of stakes.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    rules: BTreeMap<(RuleTable, u32), RulesRow>,
    entries: Vec<StakeRow>,
    credits: Vec<CreditRow>,
    /// With the lease that a part was for.
    shares: Vec<LeaseCredit>,
}

impl Kept {
    /// Writes credits; those whose key is there stay.
    pub(super) fn add_credits(&mut self, credits: &[NewCredit]) {
        for NewCredit { row, shares } in credits {
            if self.credits.iter().any(|known| known.key == row.key) {
                continue;
            }
            let row = CreditRow { seq: self.credits.len() as u64 + 1, ..row.clone() };
            let share = |&(lease, amount_micros)| LeaseCredit {
                lease,
                row: CreditRow { amount_micros, ..row.clone() },
            };
            self.shares.extend(shares.iter().map(share));
            self.credits.push(row);
        }
    }

    /// What a lease was credited, by who bears it: a host, or the platform.
    pub(super) fn credited(&self, lease: LeaseId) -> impl Iterator<Item = (Account, i128)> {
        let own = self.shares.iter().filter(move |share| share.lease == lease);
        own.map(|LeaseCredit { row, .. }| match row.debit {
            Account::Host(_) => (row.debit.clone(), row.amount_micros),
            _ => (Account::Platform, row.amount_micros),
        })
    }

    fn add(&mut self, row: &StakeRow, credits: &[NewCredit]) -> bool {
        let own = self.entries.iter().filter(|known| known.node == row.node);
        let set_aside = |row: &StakeRow| match row.entry.deed {
            Deed::SetAside { case, .. } => Some(case),
            _ => None,
        };
        let case = set_aside(row);
        let is_twice = case.is_some() && self.entries.iter().any(|known| set_aside(known) == case);
        if own.count() as u32 + 1 != row.entry.number || is_twice {
            return false;
        }
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(StakeRow { seq, ..row.clone() });
        self.add_credits(credits);
        true
    }

    /// How often something was staked.
    pub(super) fn posted(&self) -> u64 {
        self.entries.iter().filter(|row| matches!(row.entry.deed, Deed::Posted { .. })).count() as u64
    }

    fn sums(&self, of: impl Fn(&Deed) -> i128) -> Totals {
        let mut totals = Totals::new();
        for row in &self.entries {
            let place = (row.node, row.currency.clone());
            *totals.entry(place).or_default() += of(&row.entry.deed) * row.entry.amount_micros;
        }
        totals.retain(|_, micros| *micros != 0);
        totals
    }
}

#[async_trait]
impl StakeStore for MemoryStore {
    async fn add_rules(&self, table: RuleTable, row: &RulesRow) -> Result<RulesRow, StoreError> {
        self.transact(|state| {
            Ok(state.stakes.rules.entry((table, row.version)).or_insert_with(|| row.clone()).clone())
        })
    }
    async fn rule_tables(&self, table: RuleTable) -> Result<Vec<RulesRow>, StoreError> {
        Ok(self.read(|state| {
            let all = state.stakes.rules.iter().filter(|((of, _), _)| *of == table);
            all.map(|(_, row)| row.clone()).collect()
        }))
    }
    async fn add_stake_entry(
        &self,
        row: &StakeRow,
        credits: &[NewCredit],
        event: Option<&EventRow>,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            let is_new = state.stakes.add(row, credits);
            if let Some(event) = event.filter(|_| is_new) {
                state.hooks.add(event, None);
            }
            Ok(is_new)
        })
    }
    async fn stake_earnings(&self, row: &StakeRow, read: Spent) -> Result<bool, StoreError> {
        self.transact(|state| Ok(state.earnings_spent() == read && state.stakes.add(row, &[])))
    }
    async fn stake_entries(&self, node: Option<NodeId>) -> Result<Vec<StakeRow>, StoreError> {
        Ok(self.read(|state| {
            let all = state.stakes.entries.iter().filter(|row| node.is_none_or(|node| node == row.node));
            let mut rows: Vec<_> = all.cloned().collect();
            rows.sort_by_key(|row| (row.node, row.entry.number));
            rows
        }))
    }
    async fn stake_entries_after(&self, after: u64, limit: u32) -> Result<Vec<StakeRow>, StoreError> {
        Ok(self.read(|state| {
            let rows = state.stakes.entries.iter().filter(|row| row.seq > after);
            rows.take(limit as usize).cloned().collect()
        }))
    }
    async fn case(&self, id: CaseId) -> Result<Option<CaseRow>, StoreError> {
        Ok(self.read(|state| state.trust.cases().find(|row| row.id == id).cloned()))
    }
    async fn unpunished(&self) -> Result<Vec<CaseRow>, StoreError> {
        Ok(self.read(|state| {
            let upheld = |row: &CaseRow| {
                row.verdict.as_ref().is_some_and(|decided| decided.verdict == Verdict::Upheld)
            };
            let is_done = |id: CaseId| {
                let mut deeds = state.stakes.entries.iter().map(|row| &row.entry.deed);
                deeds.any(|deed| matches!(deed, Deed::SetAside { case, .. } if *case == id))
            };
            let all = state.trust.cases().filter(|row| row.grade == Grade::Slash && upheld(row));
            let mut rows: Vec<_> = all.filter(|row| !is_done(row.id)).cloned().collect();
            rows.sort_by_key(|row| (row.verdict.as_ref().map(|verdict| verdict.at_ms), row.id));
            rows
        }))
    }
    async fn credits_after(&self, after: u64, limit: u32) -> Result<Vec<CreditRow>, StoreError> {
        Ok(self.read(|state| {
            let rows = state.stakes.credits.iter().filter(|row| row.seq > after);
            rows.take(limit as usize).cloned().collect()
        }))
    }
    async fn credits_to(
        &self,
        accounts: &[Account],
        range: Range<u64>,
    ) -> Result<Vec<CreditRow>, StoreError> {
        Ok(self.read(|state| {
            let theirs = |row: &&CreditRow| accounts.contains(&row.credit) && range.contains(&row.at_ms);
            state.stakes.credits.iter().filter(theirs).cloned().collect()
        }))
    }
    async fn credits_of_session(&self, session: SessionId) -> Result<Vec<LeaseCredit>, StoreError> {
        Ok(self.read(|state| {
            let lease = state.sessions.get(&session).map(|held| held.new.lease);
            let own = state.stakes.shares.iter().filter(|share| Some(share.lease) == lease);
            own.cloned().collect()
        }))
    }
    async fn deducted(&self, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        Ok(self.read(|state| {
            let mut sums = state.stakes.sums(|deed| match deed {
                Deed::Posted { from: Source::Earnings } => 1,
                Deed::Released => -1,
                _ => 0,
            });
            for row in &state.stakes.credits {
                if let Account::Host(host) = row.debit {
                    *sums.entry((host, row.currency.clone())).or_default() += row.amount_micros;
                }
            }
            let is_asked = |host: &NodeId| among.is_none_or(|among| among.contains(host));
            sums.retain(|(host, _), micros| *micros != 0 && is_asked(host));
            sums
        }))
    }
    async fn released(&self) -> Result<Totals, StoreError> {
        Ok(self.read(|state| state.stakes.sums(|deed| i128::from(matches!(deed, Deed::Released)))))
    }
}

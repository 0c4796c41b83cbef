//! What was used and what it cost, in memory: computed from receipts.

use super::{MemoryStore, State};
use crate::store::StoreError;
use crate::store::billing::{
    BillingStore, CardRow, CardSource, LeaseUsageRow, UsageBy, UsageKey, UsageOf, UsageRow, UsageSums,
};
use async_trait::async_trait;
use nearframe_ledger::bill::{Evidence, Line};
use nearframe_ledger::rates::RateCard;
use nearframe_protocol::{LeaseId, SessionId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Rate cards, the oldest first.
pub(super) type Cards = Vec<(CardRow, CardSource)>;

impl UsageSums {
    fn count(&mut self, line: &Line) {
        self.receipts += 1;
        self.billed_us += line.billed_us;
        self.host_micros += line.host_micros;
        self.platform_micros += line.platform_micros;
    }
}

/// Each lease that is asked for, with its lines of that time.
fn lines(state: &State, of: &UsageOf) -> Result<Vec<(Evidence, Vec<Line>)>, StoreError> {
    let mut found = Vec::new();
    for evidence in super::evidence::page(state, of.account, of.title.as_ref(), None, u32::MAX)? {
        let node = evidence.account.node;
        let is_among = of.among.as_ref().is_none_or(|among| among.contains(&node));
        if of.node.is_some_and(|wanted| wanted != node) || !is_among {
            continue;
        }
        let bill = evidence.recompute().map_err(|_| StoreError::Corrupt("receipts"))?;
        let lines: Vec<_> =
            bill.lines.into_iter().filter(|line| of.range.contains(&line.received_at_ms)).collect();
        if !lines.is_empty() {
            found.push((evidence, lines));
        }
    }
    Ok(found)
}

fn usage(state: &State, of: &UsageOf, by: UsageBy) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows = BTreeMap::<_, UsageSums>::new();
    let mut counted = BTreeSet::new();
    for (evidence, lines) in lines(state, of)? {
        let rate = evidence.basis.as_ref().map(|basis| UsageKey::Rate {
            work: basis.work,
            region: basis.region.clone(),
            gpu_tier: basis.gpu_tier,
        });
        for line in &lines {
            let key = match by {
                UsageBy::Title => UsageKey::Title(evidence.account.title.clone()),
                UsageBy::Node => UsageKey::Node(evidence.account.node),
                UsageBy::Step(step_ms) => {
                    let passed_ms = line.received_at_ms - of.range.start;
                    UsageKey::From(line.received_at_ms - passed_ms % step_ms)
                }
                UsageBy::Rate => match &rate {
                    Some(rate) => rate.clone(),
                    None => continue,
                },
            };
            let place = (key, evidence.account.tariff.currency.clone());
            let is_first = counted.insert((place.clone(), evidence.account.lease));
            let sums = rows.entry(place).or_default();
            sums.leases += u64::from(is_first);
            sums.count(line);
        }
    }
    Ok(rows.into_iter().map(|((key, currency), sums)| UsageRow { key, currency, sums }).collect())
}

fn lease_usage(state: &State, of: &UsageOf) -> Result<Vec<LeaseUsageRow>, StoreError> {
    let mut rows = Vec::new();
    for (Evidence { account, terms, basis, .. }, lines) in lines(state, of)? {
        let mut sums = UsageSums { leases: 1, ..UsageSums::default() };
        lines.iter().for_each(|line| sums.count(line));
        let held = state.sessions.get(&terms.session).ok_or(StoreError::Corrupt("session_id"))?;
        rows.push(LeaseUsageRow {
            session: terms.session,
            lease: account.lease,
            title: account.title,
            node: account.node,
            node_name: state.row(held).node_name,
            state: held.state,
            started_at_ms: terms.started_at_ms,
            ended_at_ms: terms.ended_at_ms,
            tariff: account.tariff,
            basis,
            sums,
        });
    }
    rows.sort_by_key(|row| Reverse((row.started_at_ms, row.lease)));
    Ok(rows)
}

#[async_trait]
impl BillingStore for MemoryStore {
    async fn usage(&self, of: &UsageOf, by: UsageBy) -> Result<Vec<UsageRow>, StoreError> {
        self.read(|state| usage(state, of, by))
    }
    async fn lease_usage(
        &self,
        of: &UsageOf,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseUsageRow>, StoreError> {
        let mut rows = self.read(|state| lease_usage(state, of))?;
        if let Some(after) = after {
            let at = rows.iter().position(|row| row.lease == after).map_or(rows.len(), |at| at + 1);
            rows.drain(..at);
        }
        rows.truncate(limit as usize);
        Ok(rows)
    }
    async fn evidence_of(&self, session: SessionId) -> Result<Vec<Evidence>, StoreError> {
        let all = self.read(|state| super::evidence::page(state, None, None, None, u32::MAX))?;
        Ok(all.into_iter().filter(|evidence| evidence.terms.session == session).collect())
    }
    async fn add_card(
        &self,
        card: &RateCard,
        source: CardSource,
        over: u32,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            if state.cards.len() as u32 != over {
                return Ok(false);
            }
            let row = CardRow { version: over + 1, since_ms: now_ms, card: card.clone() };
            state.cards.push((row, source));
            Ok(true)
        })
    }
    async fn newest_card(&self, source: Option<CardSource>) -> Result<Option<CardRow>, StoreError> {
        Ok(self.read(|state| {
            let mut cards = state.cards.iter().rev();
            let newest = cards.find(|(_, of)| source.is_none_or(|source| source == *of));
            newest.map(|(row, _)| row.clone())
        }))
    }
    async fn card(&self, version: u32) -> Result<Option<CardRow>, StoreError> {
        Ok(self
            .read(|state| state.cards.iter().map(|(row, _)| row).find(|row| row.version == version).cloned()))
    }
}

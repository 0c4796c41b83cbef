//! Testimonies, cases, disputes and what was paid back, in memory.

use super::{Held, MemoryStore, State};
use crate::store::plans::Refund;
use crate::store::trust::{
    CaseRow, CaseVerdict, CorrectionRow, Decided, DisputeRow, HeldRow, Opened, PlayedRow, ServedRow,
    Settling, Testimony, TestimonyKind, Trial, TrustStore,
};
use crate::store::{PostedRow, StoreError};
use async_trait::async_trait;
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_ledger::{Account, Kind, Transfer};
use nearframe_protocol::trust::WithheldWhy;
use nearframe_protocol::{CaseId, DisputeId, EndReason, LeaseId, NodeId, SessionId};
use nearframe_trust::dispute::Paid;
use nearframe_trust::service::Served;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

#[derive(Debug, Default, Clone)]
pub(super) struct Trust {
    /// When nodes were enrolled, Unix ms.
    pub(super) enrolled: HashMap<NodeId, u64>,
    testimonies: BTreeMap<(NodeId, TestimonyKind, [u8; 16]), Testimony>,
    cases: BTreeMap<CaseId, CaseRow>,
    disputes: BTreeMap<DisputeId, DisputeRow>,
    corrections: Vec<CorrectionRow>,
    withheld: BTreeMap<u32, Totals>,
}

impl Trust {
    /// All of them.
    pub(super) fn cases(&self) -> impl Iterator<Item = &CaseRow> {
        self.cases.values()
    }

    /// Sessions of disputes that nobody decided.
    pub(super) fn undecided(&self) -> impl Iterator<Item = SessionId> {
        self.disputes.values().filter(|row| row.settled.is_none()).map(|row| row.session)
    }

    /// What such entries paid back to who paid, in micro-units.
    pub(super) fn paid_back(&self, of: impl Fn(&Transfer) -> bool) -> i128 {
        self.to_payers().filter(|entry| of(entry)).map(|entry| entry.amount_micros).sum()
    }

    /// The same of each lease.
    pub(super) fn paid_back_by_lease(&self) -> impl Iterator<Item = (LeaseId, i128)> {
        self.to_payers().map(|entry| (entry.lease, entry.amount_micros))
    }

    /// The others give the platform back what it bore in a host's place.
    fn to_payers(&self) -> impl Iterator<Item = &Transfer> {
        self.corrections.iter().map(|row| &row.transfer).filter(|entry| entry.credit != Account::Platform)
    }

    fn open_dispute(&mut self, new: &DisputeRow) -> Opened {
        let same = |row: &&DisputeRow| row.session == new.session && row.party == new.party;
        if let Some(row) = self.disputes.values().find(same) {
            return Opened::Again(row.clone());
        }
        self.disputes.insert(new.id, new.clone());
        Opened::Now(new.clone())
    }
}

impl State {
    fn why_held(&self, held: &Held, trial: Trial) -> Option<WithheldWhy> {
        let (session, node) = (held.new.id, held.new.node);
        let disputed = |row: &DisputeRow| row.session == session && row.settled.is_none();
        if self.trust.disputes.values().any(disputed) {
            return Some(WithheldWhy::Disputed);
        }
        if self.trust.cases.values().any(|row| row.node == node && row.verdict.is_none()) {
            return Some(WithheldWhy::UnderReview);
        }
        let played =
            |other: &&Held| other.new.node == node && other.ended.is_some() && !other.new.stands_by();
        let ended = self.sessions.values().filter(played).count();
        let enrolled = self.trust.enrolled.get(&node).copied().unwrap_or(0);
        let is_new = enrolled > trial.enrolled_before_ms || (ended as u64) < u64::from(trial.sessions);
        is_new.then_some(WithheldWhy::NewHost)
    }

    fn held_earnings(&self, before_ms: u64, trial: Trial) -> Result<Vec<HeldRow>, StoreError> {
        let mut sums = BTreeMap::new();
        for evidence in super::evidence::page(self, None, None, None, u32::MAX)? {
            let held = self.sessions.get(&evidence.terms.session).ok_or(StoreError::Corrupt("session_id"))?;
            let Some(why) = self.why_held(held, trial) else { continue };
            let bill = evidence.recompute().map_err(|_| StoreError::Corrupt("receipts"))?;
            let before = bill.lines.iter().filter(|line| line.received_at_ms < before_ms);
            let earned: i128 = before.map(|line| line.host_micros).sum();
            if earned > 0 {
                let currency = evidence.account.tariff.currency;
                *sums.entry((evidence.account.node, currency, why.as_str())).or_insert(0) += earned;
            }
        }
        let row = |((host, currency, why), amount_micros)| {
            let why = WithheldWhy::parse(why).ok_or(StoreError::Corrupt("why"))?;
            Ok(HeldRow { host, currency, why, amount_micros })
        };
        sums.into_iter().map(row).collect()
    }

    fn paid(&self, session: SessionId) -> Result<Paid, StoreError> {
        let held = self.sessions.get(&session).ok_or(StoreError::Corrupt("session_id"))?;
        let account = super::account(&held.new);
        let mut to = BTreeMap::new();
        for post in self.journal.iter().filter(|t| t.lease == account.lease && t.kind == Kind::Post) {
            *to.entry(post.credit.clone()).or_insert(0) += post.amount_micros;
        }
        for Transfer { debit, credit, amount_micros, lease, .. } in
            self.trust.corrections.iter().map(|row| &row.transfer)
        {
            if *lease == account.lease {
                *to.entry(debit.clone()).or_insert(0) -= amount_micros;
                if *credit == Account::Platform {
                    *to.entry(Account::Platform).or_insert(0) += amount_micros;
                }
            }
        }
        for (bearer, micros) in self.stakes.credited(account.lease) {
            *to.entry(bearer).or_insert(0) -= micros;
        }
        let before_micros = self.trust.paid_back(|entry| entry.lease == account.lease);
        let (lease, currency) = (account.lease, account.tariff.currency.clone());
        Ok(Paid { lease, debtor: account.debtor(), to, before_micros, currency })
    }

    fn decide_dispute(
        &mut self,
        id: DisputeId,
        settling: &Settling,
    ) -> Result<Decided<DisputeRow>, StoreError> {
        let Some(row) = self.trust.disputes.get(&id).cloned() else { return Ok(Decided::Unknown) };
        if let Some(before) = &row.settled {
            let same = before.refund_permille == settling.refund_permille;
            return Ok(if same { Decided::Again(row) } else { Decided::Otherwise(row) });
        }
        let held = self.sessions.get(&row.session).ok_or(StoreError::Corrupt("session_id"))?;
        if !held.closed {
            return Ok(Decided::TooEarly(held.ended.map_or(0, |(at_ms, _)| at_ms + LATE_WINDOW_MS)));
        }
        let payer = held.new.payer;
        let paid = self.paid(row.session)?;
        let entries = paid.refund(id, settling.refund_permille, crate::random::transfer_id)?;
        let back_micros = paid.back_micros(&entries);
        if let Some(payer) = payer.filter(|_| back_micros > 0) {
            let posted_micros = self.posted_micros(paid.lease);
            self.pay_back(&Refund {
                dispute: id,
                lease: paid.lease,
                account: payer.account,
                currency: &paid.currency,
                posted_micros,
                before_micros: paid.before_micros,
                back_micros,
                at_ms: settling.at_ms,
            })?;
        }
        let correction =
            |transfer| CorrectionRow { dispute: id, session: row.session, transfer, at_ms: settling.at_ms };
        self.trust.corrections.extend(entries.into_iter().map(correction));
        let row = DisputeRow { settled: Some(settling.clone()), ..row };
        self.trust.disputes.insert(id, row.clone());
        Ok(Decided::Now(row))
    }

    fn decide_case(&mut self, id: CaseId, verdict: &CaseVerdict, opening: &[DisputeRow]) -> Decided<CaseRow> {
        let Some(row) = self.trust.cases.get(&id).cloned() else { return Decided::Unknown };
        if let Some(before) = &row.verdict {
            let same = before.verdict == verdict.verdict;
            return if same { Decided::Again(row) } else { Decided::Otherwise(row) };
        }
        for dispute in opening {
            self.trust.open_dispute(dispute);
        }
        let row = CaseRow { verdict: Some(verdict.clone()), ..row };
        self.trust.cases.insert(id, row.clone());
        Decided::Now(row)
    }

    fn add_case(&mut self, new: &CaseRow) -> bool {
        let Some(row) = self.trust.cases.get_mut(&new.id) else {
            self.trust.cases.insert(new.id, new.clone());
            return true;
        };
        if row.verdict.is_none() && (row.grade < new.grade || row.body != new.body) {
            (row.grade, row.body) = (row.grade.max(new.grade), new.body.clone());
            row.changed_at_ms = new.opened_at_ms;
        }
        false
    }

    fn played(&self, since_ms: u64, limit: u32) -> Vec<PlayedRow> {
        let mut all: Vec<&Held> = self
            .sessions
            .values()
            .filter(|held| held.new.now_ms >= since_ms && !held.new.stands_by())
            .collect();
        all.sort_by_key(|held| held.new.lease);
        let row = |held: &Held| PlayedRow {
            session: held.new.id,
            node: held.new.node,
            guest: held.new.guest,
            account: held.new.payer.map(|payer| payer.account),
            started_at_ms: held.new.now_ms,
            ended_at_ms: held.ended.map(|(at_ms, _)| at_ms),
            receipts: held.receipts.iter().map(|(stored, _)| stored.signed.receipt.clone()).collect(),
        };
        all.into_iter().take(limit as usize).map(row).collect()
    }
}

fn served(state: &State, ended: &Range<u64>) -> Vec<ServedRow> {
    let mut nodes: BTreeMap<NodeId, Served> = BTreeMap::new();
    for held in state.sessions.values().filter(|held| !held.new.stands_by()) {
        let Some((_, reason)) = held.ended.filter(|(at_ms, _)| ended.contains(at_ms)) else { continue };
        let served_us = held.receipts.iter().map(|(_, billed_us)| billed_us).sum();
        if served_us > 0 {
            let lost = u64::from(reason == EndReason::NodeLost);
            let sum = nodes.entry(held.new.node).or_default();
            *sum = [*sum, Served { sessions: 1, lost, served_us }].into_iter().sum();
        }
    }
    let region = |node: &NodeId| state.nodes.get(node).map(|(_, row)| row.region.clone()).unwrap_or_default();
    nodes.into_iter().map(|(node, served)| ServedRow { node, region: region(&node), served }).collect()
}

/// The rows after one of them, newest first.
fn page<T: Clone, K: PartialEq>(
    mut rows: Vec<T>,
    after: Option<K>,
    limit: u32,
    id: impl Fn(&T) -> K,
) -> Vec<T> {
    if let Some(after) = after {
        let at = rows.iter().position(|row| id(row) == after).map_or(rows.len(), |at| at + 1);
        rows.drain(..at);
    }
    rows.truncate(limit as usize);
    rows
}

#[async_trait]
impl TrustStore for MemoryStore {
    async fn testify(&self, said: &Testimony) -> Result<(), StoreError> {
        self.transact(|state| {
            state.trust.testimonies.insert((said.node, said.kind, said.subject), said.clone());
            Ok(())
        })
    }
    async fn testimonies(&self, since_ms: u64) -> Result<Vec<Testimony>, StoreError> {
        let all = self.read(|state| state.trust.testimonies.values().cloned().collect::<Vec<_>>());
        let mut rows: Vec<_> = all.into_iter().filter(|said| said.at_ms >= since_ms).collect();
        rows.sort_by_key(|said| (said.node, said.kind, said.at_ms, said.subject));
        Ok(rows)
    }
    async fn forget_testimonies(&self, before_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            state.trust.testimonies.retain(|_, said| said.at_ms >= before_ms);
            Ok(())
        })
    }
    async fn played(&self, since_ms: u64, limit: u32) -> Result<Vec<PlayedRow>, StoreError> {
        Ok(self.read(|state| state.played(since_ms, limit)))
    }
    async fn add_case(&self, case: &CaseRow) -> Result<bool, StoreError> {
        self.transact(|state| Ok(state.add_case(case)))
    }
    async fn cases(&self, open: bool, after: Option<CaseId>, limit: u32) -> Result<Vec<CaseRow>, StoreError> {
        let all = self.read(|state| state.trust.cases.values().cloned().collect::<Vec<_>>());
        let mut rows: Vec<_> = all.into_iter().filter(|row| !open || row.verdict.is_none()).collect();
        rows.sort_by_key(|row| Reverse((row.opened_at_ms, row.id)));
        Ok(page(rows, after, limit, |row| row.id))
    }
    async fn decide_case(
        &self,
        id: CaseId,
        verdict: &CaseVerdict,
        opening: &[DisputeRow],
    ) -> Result<Decided<CaseRow>, StoreError> {
        self.transact(|state| Ok(state.decide_case(id, verdict, opening)))
    }
    async fn open_dispute(&self, dispute: &DisputeRow) -> Result<Opened, StoreError> {
        self.transact(|state| Ok(state.trust.open_dispute(dispute)))
    }
    async fn disputes(
        &self,
        open: bool,
        after: Option<DisputeId>,
        limit: u32,
    ) -> Result<Vec<DisputeRow>, StoreError> {
        let all = self.read(|state| state.trust.disputes.values().cloned().collect::<Vec<_>>());
        let mut rows: Vec<_> = all.into_iter().filter(|row| !open || row.settled.is_none()).collect();
        rows.sort_by_key(|row| Reverse((row.opened_at_ms, row.id)));
        Ok(page(rows, after, limit, |row| row.id))
    }
    async fn disputes_of(&self, session: SessionId) -> Result<Vec<DisputeRow>, StoreError> {
        let all = self.read(|state| state.trust.disputes.values().cloned().collect::<Vec<_>>());
        let mut rows: Vec<_> = all.into_iter().filter(|row| row.session == session).collect();
        rows.sort_by_key(|row| (row.opened_at_ms, row.id));
        Ok(rows)
    }
    async fn decide_dispute(
        &self,
        id: DisputeId,
        settling: &Settling,
    ) -> Result<Decided<DisputeRow>, StoreError> {
        self.transact(|state| state.decide_dispute(id, settling))
    }
    async fn corrections_of(&self, session: SessionId) -> Result<Vec<CorrectionRow>, StoreError> {
        let all = self.read(|state| state.trust.corrections.clone());
        Ok(all.into_iter().filter(|row| row.session == session).collect())
    }
    async fn corrections_after(&self, after: u64, limit: u32) -> Result<Vec<PostedRow>, StoreError> {
        let all = self.read(|state| state.trust.corrections.clone());
        let rows = (1..).zip(all).map(|(seq, row)| PostedRow { seq, transfer: row.transfer });
        Ok(rows.filter(|row| row.seq > after).take(limit as usize).collect())
    }
    async fn held_earnings(
        &self,
        before_ms: u64,
        trial: Trial,
        among: Option<&[NodeId]>,
    ) -> Result<Vec<HeldRow>, StoreError> {
        let mut rows = self.read(|state| state.held_earnings(before_ms, trial))?;
        rows.retain(|row| among.is_none_or(|among| among.contains(&row.host)));
        Ok(rows)
    }
    async fn corrected(&self, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        let all = self.read(|state| state.trust.corrections.clone());
        let mut totals = Totals::new();
        for CorrectionRow { transfer, .. } in all {
            if let Account::Host(host) = transfer.debit {
                *totals.entry((host, transfer.currency)).or_default() += transfer.amount_micros;
            }
        }
        totals.retain(|(host, _), _| among.is_none_or(|among| among.contains(host)));
        Ok(totals)
    }
    async fn served(&self, ended: Range<u64>) -> Result<Vec<ServedRow>, StoreError> {
        Ok(self.read(|state| served(state, &ended)))
    }
    async fn settle(&self, root: &SignedRoot, withheld: &Totals) -> Result<(), StoreError> {
        self.transact(|state| {
            if state.add_settlement(root) {
                state.trust.withheld.insert(root.epoch.0, withheld.clone());
            }
            Ok(())
        })
    }
    async fn withheld(&self, epoch: u32, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        let mut totals = self.read(|state| state.trust.withheld.get(&epoch).cloned().unwrap_or_default());
        totals.retain(|(host, _), _| among.is_none_or(|among| among.contains(host)));
        Ok(totals)
    }
}

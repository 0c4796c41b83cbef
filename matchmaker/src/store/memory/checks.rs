//! Checks, in memory.

use super::MemoryStore;
use crate::store::StoreError;
use crate::store::checks::{CheckRow, CheckStore, CheckerRow, DayRow, Filed, Take};
use async_trait::async_trait;
use nearframe_protocol::check::SignedCheck;
use nearframe_protocol::check::draw::Audit;
use nearframe_protocol::{NodeId, PublicKey, SessionId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[derive(Debug, Default, Clone)]
pub(super) struct Checks {
    checkers: BTreeMap<PublicKey, CheckerRow>,
    filed: Vec<(SignedCheck, u64)>,
    days: BTreeMap<u32, DayRow>,
    audits: BTreeMap<(Audit, NodeId), (PublicKey, u64, Option<SessionId>)>,
}

impl Checks {
    fn rows(&self, of: impl Fn(&CheckRow) -> bool) -> Vec<CheckRow> {
        let name = |key| self.checkers.get(key).map(|row| row.name.clone()).unwrap_or_default();
        let rows = self.filed.iter().map(|(check, filed_at_ms)| CheckRow {
            check: check.clone(),
            filed_at_ms: *filed_at_ms,
            checker_name: name(&check.report.checker),
        });
        rows.filter(of).collect()
    }

    fn file(&mut self, check: &SignedCheck, now_ms: u64) -> Filed {
        let report = &check.report;
        if self.checkers.get(&report.checker).is_none_or(|row| row.revoked_at_ms.is_some()) {
            return Filed::Refused;
        }
        let same =
            |it: &SignedCheck| it.report.checker == report.checker && it.report.session == report.session;
        if let Some((before, _)) = self.filed.iter().find(|(it, _)| same(it)) {
            return if before == check { Filed::Again } else { Filed::Other };
        }
        self.filed.push((check.clone(), now_ms));
        let taken = report.audit.and_then(|audit| self.audits.get_mut(&(audit, report.node)));
        if let Some((checker, _, session)) = taken
            && *checker == report.checker
        {
            session.get_or_insert(report.session);
        }
        Filed::New
    }
}

#[async_trait]
impl CheckStore for MemoryStore {
    async fn enrol_checker(&self, key: &PublicKey, name: &str, now_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| {
            let fresh =
                || CheckerRow { key: *key, name: String::new(), enrolled_at_ms: now_ms, revoked_at_ms: None };
            let row = state.checks.checkers.entry(*key).or_insert_with(fresh);
            if row.revoked_at_ms.is_some() {
                return Ok(false);
            }
            name.clone_into(&mut row.name);
            Ok(true)
        })
    }
    async fn revoke_checker(&self, key: &PublicKey, now_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| {
            let Some(row) = state.checks.checkers.get_mut(key) else { return Ok(false) };
            row.revoked_at_ms.get_or_insert(now_ms);
            Ok(true)
        })
    }
    async fn checkers(&self) -> Result<Vec<CheckerRow>, StoreError> {
        let mut rows: Vec<_> = self.read(|state| state.checks.checkers.values().cloned().collect());
        rows.sort_by(|a, b| (&a.name, a.key).cmp(&(&b.name, b.key)));
        Ok(rows)
    }
    async fn checker(&self, key: &PublicKey) -> Result<Option<CheckerRow>, StoreError> {
        Ok(self.read(|state| state.checks.checkers.get(key).cloned()))
    }
    async fn file_check(&self, check: &SignedCheck, now_ms: u64) -> Result<Filed, StoreError> {
        self.transact(|state| Ok(state.checks.file(check, now_ms)))
    }
    async fn checks_of(&self, node: NodeId, limit: u32) -> Result<Vec<CheckRow>, StoreError> {
        Ok(self.read(|state| {
            let mut rows = state.checks.rows(|row| row.check.report.node == node);
            rows.sort_by_key(|row| (Reverse(row.filed_at_ms), row.check.report.session));
            rows.truncate(limit as usize);
            rows
        }))
    }
    async fn checks_since(&self, since_ms: u64, limit: u32) -> Result<Vec<CheckRow>, StoreError> {
        Ok(self.read(|state| {
            let checks = &state.checks;
            let counts =
                |key: &PublicKey| checks.checkers.get(key).is_some_and(|row| row.revoked_at_ms.is_none());
            let mut rows =
                checks.rows(|row| row.filed_at_ms >= since_ms && counts(&row.check.report.checker));
            rows.sort_by_key(|row| (row.filed_at_ms, row.check.report.session));
            rows.truncate(limit as usize);
            rows
        }))
    }
    async fn check_day(&self, fresh: &DayRow) -> Result<DayRow, StoreError> {
        self.transact(|state| Ok(*state.checks.days.entry(fresh.day).or_insert(*fresh)))
    }
    async fn check_days(&self, before: u32, limit: u32) -> Result<Vec<DayRow>, StoreError> {
        Ok(self.read(|state| {
            state.checks.days.range(..before).rev().take(limit as usize).map(|(_, row)| *row).collect()
        }))
    }
    async fn enrolled(&self) -> Result<Vec<(NodeId, u64)>, StoreError> {
        let mut enrolled: Vec<_> = self.read(|state| state.trust.enrolled.clone()).into_iter().collect();
        enrolled.sort_unstable();
        Ok(enrolled)
    }
    async fn closed_audits(
        &self,
        from_day: u32,
        stale_before_ms: u64,
    ) -> Result<Vec<(Audit, NodeId)>, StoreError> {
        Ok(self.read(|state| {
            let closed = state.checks.audits.iter().filter(|((audit, _), (_, taken, session))| {
                audit.day >= from_day && (session.is_some() || *taken >= stale_before_ms)
            });
            closed.map(|(of, _)| *of).collect()
        }))
    }
    async fn take_audit(&self, take: &Take) -> Result<bool, StoreError> {
        self.transact(|state| {
            let of = (take.audit, take.node);
            let is_closed = |(_, taken, session): &(PublicKey, u64, Option<SessionId>)| {
                session.is_some() || *taken >= take.stale_before_ms
            };
            if state.checks.audits.get(&of).is_some_and(is_closed) {
                return Ok(false);
            }
            state.checks.audits.insert(of, (take.checker, take.now_ms, None));
            Ok(true)
        })
    }
}

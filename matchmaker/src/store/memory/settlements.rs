//! What hosts have earned until the end of a day, in memory.

use super::State;
use crate::store::{PostedRow, StoreError};
use nearframe_ledger::Kind;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_protocol::NodeId;

/// The last root that was kept.
pub(super) type Last = Option<SignedRoot>;

impl State {
    /// Computed from receipts: the journal in memory has no times.
    pub(super) fn totals(&self, before_ms: u64, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        let mut totals = Totals::new();
        for evidence in super::evidence::page(self, None, None, None, u32::MAX)? {
            if among.is_some_and(|among| !among.contains(&evidence.account.node)) {
                continue;
            }
            let bill = evidence.recompute().map_err(|_| StoreError::Corrupt("receipts"))?;
            let before = bill.lines.iter().filter(|line| line.received_at_ms < before_ms);
            let earned: i128 = before.map(|line| line.host_micros).sum();
            if earned > 0 {
                let place = (evidence.account.node, evidence.account.tariff.currency);
                *totals.entry(place).or_default() += earned;
            }
        }
        Ok(totals)
    }

    /// What was posted after a place in the journal, oldest first.
    pub(super) fn posted_after(&self, after: u64, limit: u32) -> Vec<PostedRow> {
        let rows = (1..).zip(&self.journal).filter(|(seq, row)| *seq > after && row.kind == Kind::Post);
        let rows = rows.map(|(seq, transfer)| PostedRow { seq, transfer: transfer.clone() });
        rows.take(limit as usize).collect()
    }

    /// True if it is the first of its epoch.
    pub(super) fn add_settlement(&mut self, root: &SignedRoot) -> bool {
        let is_first = self.settlement.as_ref().is_none_or(|last| last.epoch < root.epoch);
        if is_first {
            self.settlement = Some(root.clone());
        }
        is_first
    }
}

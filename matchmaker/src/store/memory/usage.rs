//! What was used and what it cost, in memory: computed from receipts.

use super::State;
use crate::store::{StoreError, UsageRow};
use nearframe_protocol::AccountId;
use std::collections::BTreeMap;
use std::ops::Range;

pub(super) fn of(
    state: &State,
    account: Option<AccountId>,
    range: &Range<u64>,
) -> Result<Vec<UsageRow>, StoreError> {
    let mut rows = BTreeMap::new();
    for evidence in super::evidence::page(state, account, None, None, u32::MAX)? {
        let bill = evidence.recompute().map_err(|_| StoreError::Corrupt("receipts"))?;
        let lines: Vec<_> = bill.lines.iter().filter(|line| range.contains(&line.received_at_ms)).collect();
        if lines.is_empty() {
            continue;
        }
        let (title, currency) = (evidence.account.title, evidence.account.tariff.currency);
        let none = UsageRow::none(title.clone(), currency.clone());
        let row = rows.entry((title, currency)).or_insert(none);
        row.leases += 1;
        for line in lines {
            row.receipts += 1;
            row.billed_us += line.billed_us;
            row.host_micros += line.host_micros;
            row.platform_micros += line.platform_micros;
        }
    }
    Ok(rows.into_values().collect())
}

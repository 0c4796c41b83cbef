//! Tables of rules in versions: what the configuration says is written down at a start, and never changed.

use crate::state::Shared;
use crate::store::StoreError;
use crate::store::stake::{RuleTable, RulesRow};
use crate::{Error, Result};
use nearframe_trust::credit::CreditRules;
use nearframe_trust::stake::Rules;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn parse<T: DeserializeOwned>(row: &RulesRow) -> std::result::Result<T, StoreError> {
    serde_json::from_str(&row.body).map_err(|_| StoreError::Corrupt("rule_tables.body"))
}

/// Writes the configured tables down. A version that says something else than it did before is refused, and so is one
/// below the newest.
pub(crate) async fn open(shared: &Shared) -> Result<()> {
    let trust = &shared.config.trust;
    keep(shared, RuleTable::Stake, trust.stake.version, &trust.stake, "trust.stake.version").await?;
    keep(shared, RuleTable::Credit, trust.credit.version, &trust.credit, "trust.credit.version").await
}

async fn keep<T: Serialize + DeserializeOwned + PartialEq>(
    shared: &Shared,
    table: RuleTable,
    version: u32,
    rules: &T,
    key: &'static str,
) -> Result<()> {
    let newest = shared.store.rule_tables(table).await?.last().map_or(0, |row| row.version);
    let body = serde_json::to_string(rules).map_err(|_| StoreError::Corrupt("rule_tables.body"))?;
    let row = RulesRow { version, body, since_ms: shared.now_ms() };
    if version < newest {
        return Err(Error::Config { key, allowed: "the newest version that was in force, or the next one" });
    }
    let kept = shared.store.add_rules(table, &row).await?;
    if parse::<T>(&kept)? != *rules {
        return Err(Error::Config { key, allowed: "a version of its own for other rules: count it up" });
    }
    Ok(())
}

/// The version that was in force then; the first one before that.
fn at(rows: &[RulesRow], at_ms: u64) -> Option<&RulesRow> {
    rows.iter().rfind(|row| row.since_ms <= at_ms)
}

/// The rules of stakes that were in force then; before the first ones, those.
pub(crate) async fn rules_at(shared: &Shared, at_ms: u64) -> std::result::Result<Rules, StoreError> {
    let rows = shared.store.rule_tables(RuleTable::Stake).await?;
    match at(&rows, at_ms).or(rows.first()) {
        Some(row) => parse(row),
        None => Ok(shared.config.trust.stake.clone()),
    }
}

/// The table of credits that was in force then; `None` before the first one.
pub(crate) async fn credit_rules_at(
    shared: &Shared,
    at_ms: u64,
) -> std::result::Result<Option<CreditRules>, StoreError> {
    let rows = shared.store.rule_tables(RuleTable::Credit).await?;
    at(&rows, at_ms).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_had_begun_counts() {
        let row = |version, since_ms| RulesRow { version, body: String::new(), since_ms };
        let rows = [row(1, 10), row(2, 20)];
        let version = |at_ms| at(&rows, at_ms).map(|row| row.version);
        assert_eq!([9, 10, 19, 20].map(version), [None, Some(1), Some(1), Some(2)]);
    }
}

//! What was used and what it cost, by title.

use super::evidence::PAID_BY_3;
use super::rows::{currency, int, signed, title};
use super::{DbRow, SqlStore, StoreError};
use crate::store::UsageRow;
use nearframe_protocol::{AccountId, Currency, TitleId};
use sqlx::query;
use std::collections::BTreeMap;
use std::ops::Range;

pub(super) async fn of(
    store: &SqlStore,
    account: Option<AccountId>,
    range: &Range<u64>,
) -> Result<Vec<UsageRow>, StoreError> {
    let account = account.map(|account| account.as_bytes().to_vec());
    let used = format!(
        "SELECT s.title, l.currency, count(DISTINCT l.id) AS leases, count(*) AS receipts,
                CAST(sum(r.billed_us) AS BIGINT) AS billed_us
           FROM receipts r
           JOIN leases l ON l.session_id = r.session_id AND l.generation = r.generation
           JOIN sessions s ON s.id = l.session_id
          WHERE r.received_at_ms >= $1 AND r.received_at_ms < $2 AND {PAID_BY_3} GROUP BY s.title, l.currency"
    );
    let posted = format!(
        "SELECT s.title, t.currency,
                CAST(sum(CASE WHEN t.credit = 'platform' THEN t.amount_micros ELSE 0 END) AS BIGINT) AS platform_micros,
                CAST(sum(CASE WHEN t.credit = 'platform' THEN 0 ELSE t.amount_micros END) AS BIGINT) AS host_micros
           FROM transfers t
           JOIN leases l ON l.id = t.lease_id
           JOIN sessions s ON s.id = l.session_id
          WHERE t.kind = 'post' AND t.at_ms >= $1 AND t.at_ms < $2 AND {PAID_BY_3}
          GROUP BY s.title, t.currency"
    );
    let ask = |sql| query(sql).bind(signed(range.start)).bind(signed(range.end)).bind(account.clone());
    let mut rows = BTreeMap::new();
    for row in ask(&used).fetch_all(&store.readers).await? {
        let usage = place(&mut rows, &row)?;
        (usage.leases, usage.receipts, usage.billed_us) =
            (int(&row, "leases")?, int(&row, "receipts")?, int(&row, "billed_us")?);
    }
    for row in ask(&posted).fetch_all(&store.readers).await? {
        let usage = place(&mut rows, &row)?;
        usage.host_micros = int::<i64>(&row, "host_micros")?.into();
        usage.platform_micros = int::<i64>(&row, "platform_micros")?.into();
    }
    Ok(rows.into_values().collect())
}

fn place<'a>(
    rows: &'a mut BTreeMap<(TitleId, Currency), UsageRow>,
    row: &DbRow,
) -> Result<&'a mut UsageRow, StoreError> {
    let (title, currency) = (title(row)?, currency(row)?);
    let usage = UsageRow::none(title.clone(), currency.clone());
    Ok(rows.entry((title, currency)).or_insert(usage))
}

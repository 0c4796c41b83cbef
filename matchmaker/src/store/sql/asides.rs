//! Entries that the general ledger refused.

use super::rows::{currency, int, signed, signed_amount, text};
use super::{DbRow, SqlStore, StoreError};
use crate::store::aside::{AsideRow, AsideStore, Feed};
use async_trait::async_trait;
use sqlx::query;

fn aside(row: &DbRow) -> Result<AsideRow, StoreError> {
    let account = |column| text(row, column)?.parse().map_err(|_| StoreError::Corrupt(column));
    Ok(AsideRow {
        feed: Feed::parse(text(row, "feed")?).ok_or(StoreError::Corrupt("feed"))?,
        seq: int(row, "seq")?,
        key: text(row, "key")?.to_owned(),
        debit: account("debit")?,
        credit: account("credit")?,
        amount_micros: int::<i64>(row, "amount_micros")?.into(),
        currency: currency(row)?,
        reason: text(row, "reason")?.to_owned(),
        at_ms: int(row, "at_ms")?,
    })
}

#[async_trait]
impl AsideStore for SqlStore {
    async fn set_aside(&self, row: &AsideRow) -> Result<bool, StoreError> {
        let done = query(
            "INSERT INTO ledger_asides (feed, seq, key, debit, credit, amount_micros, currency, reason, at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (feed, seq) DO NOTHING",
        )
        .bind(row.feed.as_str())
        .bind(signed(row.seq))
        .bind(&row.key)
        .bind(row.debit.to_string())
        .bind(row.credit.to_string())
        .bind(signed_amount(row.amount_micros)?)
        .bind(row.currency.as_str())
        .bind(&row.reason)
        .bind(signed(row.at_ms))
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }
    async fn asides(&self, limit: u32) -> Result<Vec<AsideRow>, StoreError> {
        let rows = query(
            "SELECT feed, seq, key, debit, credit, amount_micros, currency, reason, at_ms FROM ledger_asides
              WHERE taken_at_ms IS NULL ORDER BY at_ms, feed, seq LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(aside).collect()
    }
    async fn taken_up(&self, feed: Feed, seq: u64, now_ms: u64) -> Result<(), StoreError> {
        query(
            "UPDATE ledger_asides SET taken_at_ms = $3 WHERE feed = $1 AND seq = $2 AND taken_at_ms IS NULL",
        )
        .bind(feed.as_str())
        .bind(signed(seq))
        .bind(signed(now_ms))
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

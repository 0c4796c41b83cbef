//! When machines were reached, what was paid on them, and months that are closed.

use super::rows::{blob, currency, int, signed, text};
use super::{Connection, Db, DbRow, Fate, Lock, SqlStore, StoreError, Subject, stakes, within};
use crate::store::service::{Closing, MonthRow, PaidRow, ReachRow, Reached, ServiceStore};
use async_trait::async_trait;
use nearframe_protocol::{LeaseId, NodeId};
use sqlx::query;
use std::ops::Range;

/// What was posted for leases that ended then, less what was paid back and credited, by who paid. What a host gave the
/// platform back was nobody's payment.
const PAID: &str = "SELECT p.payer, l.node_id, p.currency, l.id AS lease_id,
        CAST(sum(p.amount_micros) AS BIGINT) AS paid_micros
  FROM leases l JOIN (
        SELECT lease_id, debit AS payer, currency, amount_micros FROM transfers WHERE kind = 'post'
        UNION ALL SELECT lease_id, credit AS payer, currency, -amount_micros FROM corrections WHERE credit <> 'platform'
        UNION ALL SELECT s.lease_id, c.credit AS payer, c.currency, -s.amount_micros
                    FROM credit_shares s JOIN credits c ON c.key = s.key) p ON p.lease_id = l.id
 WHERE l.ended_at_ms >= $1 AND l.ended_at_ms < $2
 GROUP BY p.payer, l.node_id, p.currency, l.id HAVING sum(p.amount_micros) > 0
 ORDER BY p.payer, l.node_id, p.currency, l.id";

async fn note(tx: &mut Connection, subjects: &[Reached], now_ms: u64, gap_ms: u64) -> Result<(), StoreError> {
    for subject in subjects {
        let subject = subject.bytes();
        let done = query(
            "UPDATE reach SET until_ms = CASE WHEN until_ms < $2 THEN $2 ELSE until_ms END
              WHERE subject = $1 AND until_ms >= $3
                AND from_ms = (SELECT max(r.from_ms) FROM reach r WHERE r.subject = $1)",
        )
        .bind(&subject[..])
        .bind(signed(now_ms))
        .bind(signed(now_ms.saturating_sub(gap_ms)))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            query(
                "INSERT INTO reach (subject, from_ms, until_ms) VALUES ($1, $2, $2) ON CONFLICT DO NOTHING",
            )
            .bind(&subject[..])
            .bind(signed(now_ms))
            .execute(&mut *tx)
            .await?;
        }
    }
    Ok(())
}

async fn paid(
    executor: impl sqlx::Executor<'_, Database = Db>,
    ended: &Range<u64>,
) -> Result<Vec<PaidRow>, StoreError> {
    let rows = query(PAID).bind(signed(ended.start)).bind(signed(ended.end)).fetch_all(executor).await?;
    let row = |row: &DbRow| {
        Ok(PaidRow {
            lease: LeaseId::from_bytes(blob(row, "lease_id")?),
            payer: text(row, "payer")?.parse().map_err(|_| StoreError::Corrupt("debit"))?,
            node: NodeId::from_bytes(blob(row, "node_id")?),
            currency: currency(row)?,
            paid_micros: int::<i64>(row, "paid_micros")?.into(),
        })
    };
    rows.iter().map(row).collect()
}

async fn close(tx: &mut Connection, closing: &Closing) -> Result<Fate<bool>, StoreError> {
    if paid(&mut *tx, &closing.ended).await? != closing.paid {
        return Ok(Fate::Undo(false));
    }
    let month = &closing.month;
    let done = query(
        "INSERT INTO service_months (month, body, at_ms) VALUES ($1, $2, $3) ON CONFLICT (month) DO NOTHING",
    )
    .bind(&month.month)
    .bind(&month.body)
    .bind(signed(month.at_ms))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Fate::Undo(false));
    }
    stakes::add_credits(tx, &closing.credits).await?;
    Ok(Fate::Keep(true))
}

#[async_trait]
impl ServiceStore for SqlStore {
    async fn note_reached(&self, subjects: &[Reached], now_ms: u64, gap_ms: u64) -> Result<(), StoreError> {
        let subjects = subjects.to_vec();
        within(self, &[], move |tx| {
            Box::pin(async move { Ok(Fate::Keep(note(tx, &subjects, now_ms, gap_ms).await?)) })
        })
        .await
    }
    async fn reached(&self, range: Range<u64>) -> Result<Vec<ReachRow>, StoreError> {
        let rows = query(
            "SELECT subject, from_ms, until_ms FROM reach WHERE until_ms >= $1 AND from_ms < $2
              ORDER BY subject, from_ms",
        )
        .bind(signed(range.start))
        .bind(signed(range.end))
        .fetch_all(&self.readers)
        .await?;
        let row = |row: &DbRow| {
            let time = int(row, "from_ms")?..int(row, "until_ms")?;
            Ok(ReachRow { subject: Reached::of(blob(row, "subject")?), time })
        };
        rows.iter().map(row).collect()
    }
    async fn paid_for(&self, ended: Range<u64>) -> Result<Vec<PaidRow>, StoreError> {
        paid(&self.readers, &ended).await
    }
    async fn undecided(&self, ended: Range<u64>) -> Result<u64, StoreError> {
        let row = query(
            "SELECT count(*) AS undecided FROM disputes d WHERE d.decided_at_ms IS NULL AND EXISTS (
                SELECT 1 FROM leases l WHERE l.session_id = d.session_id AND l.ended_at_ms >= $1 AND l.ended_at_ms < $2)",
        )
        .bind(signed(ended.start))
        .bind(signed(ended.end))
        .fetch_one(&self.readers)
        .await?;
        int(&row, "undecided")
    }
    async fn close_month(&self, closing: &Closing) -> Result<bool, StoreError> {
        let closing = closing.clone();
        let alone = [Lock::Alone(Subject::Refunds)];
        within(self, &alone, move |tx| Box::pin(async move { close(tx, &closing).await })).await
    }
    async fn month(&self, month: &str) -> Result<Option<MonthRow>, StoreError> {
        let row = query("SELECT month, body, at_ms FROM service_months WHERE month = $1")
            .bind(month)
            .fetch_optional(&self.readers)
            .await?;
        let row = row.map(|row| {
            let (month, body) = (text(&row, "month")?.to_owned(), text(&row, "body")?.to_owned());
            Ok::<_, StoreError>(MonthRow { month, body, at_ms: int(&row, "at_ms")? })
        });
        row.transpose()
    }
}

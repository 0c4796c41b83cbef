//! The audit trail, and answers under idempotency keys.

use super::accounts::maybe_id;
use super::rows::{blob, int, maybe_int, signed, text};
use super::{Connection, DbRow, Fate, SqlStore, StoreError, Subject, lock, within};
use crate::store::Hash;
use crate::store::deeds::{AnswerRow, Asked, Claim, Deed, DeedStore, TrailRow, actor_text, parse_actor};
use async_trait::async_trait;
use nearframe_protocol::AccountId;
use sqlx::{Row, query};

fn line(row: &DbRow) -> Result<TrailRow, StoreError> {
    let deed = Deed {
        at_ms: int(row, "at_ms")?,
        actor: parse_actor(text(row, "actor")?).ok_or(StoreError::Corrupt("actor"))?,
        account: maybe_id(row, "account_id")?.map(AccountId::from_bytes),
        door: text(row, "door")?.to_owned(),
        subject: text(row, "subject")?.to_owned(),
        status: int(row, "status")?,
    };
    Ok(TrailRow {
        number: int(row, "number")?,
        deed,
        previous: blob(row, "previous")?,
        hash: blob(row, "hash")?,
    })
}

async fn append(tx: &mut Connection, deed: Deed) -> Result<(), StoreError> {
    lock(tx, Subject::AuditTrail).await?;
    let last = query("SELECT number, hash FROM audit_trail ORDER BY number DESC LIMIT 1")
        .fetch_optional(&mut *tx)
        .await?;
    let last: Option<(u64, Hash)> =
        last.map(|row| Ok::<_, StoreError>((int(&row, "number")?, blob(&row, "hash")?))).transpose()?;
    let line = TrailRow::after(last, deed);
    query(
        "INSERT INTO audit_trail (number, at_ms, actor, account_id, door, subject, status, previous, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(signed(line.number))
    .bind(signed(line.deed.at_ms))
    .bind(actor_text(&line.deed.actor))
    .bind(line.deed.account.map(|account| account.as_bytes().to_vec()))
    .bind(&line.deed.door)
    .bind(&line.deed.subject)
    .bind(i64::from(line.deed.status))
    .bind(&line.previous[..])
    .bind(&line.hash[..])
    .execute(tx)
    .await?;
    Ok(())
}

async fn claim_in(tx: &mut Connection, asked: &Asked) -> Result<Fate<Claim>, StoreError> {
    lock(tx, Subject::Request(asked.key)).await?;
    let found =
        query("SELECT request_hash, at_ms, status, content_type, body FROM answers WHERE key_hash = $1")
            .bind(&asked.key[..])
            .fetch_optional(&mut *tx)
            .await?;
    if let Some(row) = found {
        if blob::<32>(&row, "request_hash")? != asked.request {
            return Ok(Fate::Undo(Claim::Other));
        }
        if let Some(status) = maybe_int(&row, "status")? {
            let (content_type, body) = (row.try_get("content_type")?, row.try_get("body")?);
            return Ok(Fate::Undo(Claim::Answered(AnswerRow { status, content_type, body })));
        }
        if int::<u64>(&row, "at_ms")? >= asked.abandoned_before_ms {
            return Ok(Fate::Undo(Claim::Running));
        }
    }
    query(
        "INSERT INTO answers (key_hash, request_hash, at_ms) VALUES ($1, $2, $3)
         ON CONFLICT (key_hash) DO UPDATE SET at_ms = $3",
    )
    .bind(&asked.key[..])
    .bind(&asked.request[..])
    .bind(signed(asked.now_ms))
    .execute(tx)
    .await?;
    Ok(Fate::Keep(Claim::Fresh))
}

#[async_trait]
impl DeedStore for SqlStore {
    async fn add_deed(&self, deed: &Deed) -> Result<(), StoreError> {
        let deed = deed.clone();
        within(self, &[], move |tx| {
            Box::pin(async move {
                append(tx, deed).await?;
                Ok(Fate::Keep(()))
            })
        })
        .await
    }
    async fn trail(
        &self,
        account: Option<AccountId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<TrailRow>, StoreError> {
        let rows = query(
            "SELECT number, at_ms, actor, account_id, door, subject, status, previous, hash FROM audit_trail
              WHERE ($1 IS NULL OR account_id = $1) AND number < $2 ORDER BY number DESC LIMIT $3",
        )
        .bind(account.map(|account| account.as_bytes().to_vec()))
        .bind(before.map_or(i64::MAX, signed))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(line).collect()
    }
    async fn claim(&self, asked: &Asked) -> Result<Claim, StoreError> {
        let asked = *asked;
        within(self, &[], move |tx| Box::pin(async move { claim_in(tx, &asked).await })).await
    }
    async fn keep_answer(&self, asked: &Asked, answer: &AnswerRow) -> Result<(), StoreError> {
        query(
            "UPDATE answers SET status = $1, content_type = $2, body = $3
              WHERE key_hash = $4 AND request_hash = $5 AND status IS NULL",
        )
        .bind(i64::from(answer.status))
        .bind(answer.content_type.as_deref())
        .bind(answer.body.as_deref())
        .bind(&asked.key[..])
        .bind(&asked.request[..])
        .execute(&self.writer)
        .await?;
        Ok(())
    }
    async fn give_claim_up(&self, asked: &Asked) -> Result<(), StoreError> {
        query("DELETE FROM answers WHERE key_hash = $1 AND request_hash = $2 AND status IS NULL")
            .bind(&asked.key[..])
            .bind(&asked.request[..])
            .execute(&self.writer)
            .await?;
        Ok(())
    }
    async fn forget_answers(&self, before_ms: u64) -> Result<(), StoreError> {
        query("DELETE FROM answers WHERE at_ms < $1").bind(signed(before_ms)).execute(&self.writer).await?;
        Ok(())
    }
}

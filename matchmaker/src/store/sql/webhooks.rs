//! Webhooks, and the seam's part that tells others.

use super::accounts::maybe_id;
use super::rows::{blob, int, maybe_int, signed, text};
use super::{DbRow, Fate, Lock, SqlStore, StoreError, Subject, outbox, within};
use crate::store::webhooks::{
    DeliveryClaim, DeliveryRow, Due, EventRow, MOST_WEBHOOKS, Refused, Settled, WebhookChange, WebhookRow,
    WebhookStore,
};
use async_trait::async_trait;
use nearframe_protocol::webhook::{Disabled, EventKind};
use nearframe_protocol::{AccountId, EventId, MemberId, WebhookId};
use sqlx::{Row, query};

/// Columns of a webhook, as `w`.
pub(super) const COLUMNS: &str =
    "w.id AS webhook_id, w.account_id, w.url, w.events, w.disabled, w.secret_number,
    w.old_secret_until_ms, w.created_at_ms, w.created_by, w.delivered_at_ms";

fn words(events: &[EventKind]) -> String {
    events.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ")
}

pub(super) fn kind(row: &DbRow) -> Result<EventKind, StoreError> {
    EventKind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))
}

/// A row of [`COLUMNS`].
pub(super) fn webhook(row: &DbRow) -> Result<WebhookRow, StoreError> {
    let events = text(row, "events")?.split(' ').map(EventKind::parse).collect::<Option<_>>();
    let disabled: Option<&str> = row.try_get("disabled")?;
    let why = |word| Disabled::parse(word).ok_or(StoreError::Corrupt("disabled"));
    Ok(WebhookRow {
        id: WebhookId::from_bytes(blob(row, "webhook_id")?),
        account: AccountId::from_bytes(blob(row, "account_id")?),
        url: text(row, "url")?.to_owned(),
        events: events.ok_or(StoreError::Corrupt("events"))?,
        disabled: disabled.map(why).transpose()?,
        secret_number: int(row, "secret_number")?,
        old_secret_until_ms: maybe_int(row, "old_secret_until_ms")?,
        created_at_ms: int(row, "created_at_ms")?,
        created_by: maybe_id(row, "created_by")?.map(MemberId::from_bytes),
        delivered_at_ms: maybe_int(row, "delivered_at_ms")?,
    })
}

async fn add(store: &SqlStore, row: &WebhookRow) -> Result<bool, StoreError> {
    let row = row.clone();
    within(store, &[Lock::Alone(Subject::Webhooks(row.account))], move |tx| {
        Box::pin(async move {
            query(
                "INSERT INTO webhooks (id, account_id, url, events, disabled, secret_number, created_at_ms, created_by)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&row.id.as_bytes()[..])
            .bind(&row.account.as_bytes()[..])
            .bind(&row.url)
            .bind(words(&row.events))
            .bind(row.disabled.map(Disabled::as_str))
            .bind(i64::from(row.secret_number))
            .bind(signed(row.created_at_ms))
            .bind(row.created_by.map(|member| member.as_bytes().to_vec()))
            .execute(&mut *tx)
            .await?;
            let held =
                query("SELECT count(*) AS held FROM webhooks WHERE account_id = $1 AND removed_at_ms IS NULL")
                    .bind(&row.account.as_bytes()[..])
                    .fetch_one(&mut *tx)
                    .await?;
            Ok(if int::<u32>(&held, "held")? > MOST_WEBHOOKS { Fate::Undo(false) } else { Fate::Keep(true) })
        })
    })
    .await
}

async fn change(
    store: &SqlStore,
    account: AccountId,
    id: WebhookId,
    change: &WebhookChange,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE webhooks SET url = $1, events = $2,
                disabled = CASE WHEN $3 = 1 THEN NULL ELSE coalesce(disabled, 'asked') END,
                paused_until_ms = 0
          WHERE id = $4 AND account_id = $5 AND removed_at_ms IS NULL",
    )
    .bind(&change.url)
    .bind(words(&change.events))
    .bind(i64::from(change.enabled))
    .bind(&id.as_bytes()[..])
    .bind(&account.as_bytes()[..])
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn renew(
    store: &SqlStore,
    account: AccountId,
    id: WebhookId,
    number: u32,
    old_until_ms: u64,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE webhooks SET secret_number = secret_number + 1, old_secret_until_ms = $1
          WHERE id = $2 AND account_id = $3 AND secret_number = $4 AND removed_at_ms IS NULL",
    )
    .bind(signed(old_until_ms))
    .bind(&id.as_bytes()[..])
    .bind(&account.as_bytes()[..])
    .bind(i64::from(number))
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() == 1)
}

#[async_trait]
impl WebhookStore for SqlStore {
    async fn add_webhook(&self, row: &WebhookRow) -> Result<bool, StoreError> {
        add(self, row).await
    }
    async fn webhooks(&self, account: AccountId) -> Result<Vec<WebhookRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM webhooks w WHERE w.account_id = $1 AND w.removed_at_ms IS NULL
              ORDER BY w.created_at_ms, w.id"
        );
        let rows = query(&sql).bind(&account.as_bytes()[..]).fetch_all(&self.readers).await?;
        rows.iter().map(webhook).collect()
    }
    async fn change_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        wanted: &WebhookChange,
    ) -> Result<bool, StoreError> {
        change(self, account, id, wanted).await
    }
    async fn renew_secret(
        &self,
        account: AccountId,
        id: WebhookId,
        number: u32,
        old_until_ms: u64,
    ) -> Result<bool, StoreError> {
        renew(self, account, id, number, old_until_ms).await
    }
    async fn remove_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let done = query(
            "UPDATE webhooks SET removed_at_ms = coalesce(removed_at_ms, $1) WHERE id = $2 AND account_id = $3",
        )
        .bind(signed(now_ms))
        .bind(&id.as_bytes()[..])
        .bind(&account.as_bytes()[..])
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }
    async fn add_event(&self, event: &EventRow, to: Option<WebhookId>) -> Result<u32, StoreError> {
        let event = event.clone();
        within(self, &[], move |tx| {
            Box::pin(async move { Ok(Fate::Keep(outbox::add(tx, &event, to).await?)) })
        })
        .await
    }
    async fn tell_exhausted(&self, refused: &Refused) -> Result<(), StoreError> {
        let refused = refused.clone();
        within(self, &[], move |tx| {
            Box::pin(async move {
                outbox::exhausted(tx, &refused).await?;
                Ok(Fate::Keep(()))
            })
        })
        .await
    }
    async fn accounts_that_want(&self, kind: EventKind) -> Result<Vec<AccountId>, StoreError> {
        let sql = format!(
            "SELECT DISTINCT w.account_id FROM webhooks w WHERE {} ORDER BY w.account_id",
            outbox::wants("$1")
        );
        let rows = query(&sql).bind(kind.as_str()).fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok(AccountId::from_bytes(blob(row, "account_id")?))).collect()
    }
    async fn claim_deliveries(&self, claim: &DeliveryClaim, most: u32) -> Result<Vec<Due>, StoreError> {
        // Most of the time nothing waits, and nobody is to wait for a look at that.
        let due = query("SELECT 1 AS due FROM deliveries WHERE state = 'pending' AND due_ms <= $1 LIMIT 1")
            .bind(signed(claim.now_ms))
            .fetch_optional(&self.readers)
            .await?;
        if due.is_none() {
            return Ok(Vec::new());
        }
        let claim = *claim;
        within(self, &[Lock::Alone(Subject::Deliveries)], move |tx| {
            Box::pin(async move { Ok(Fate::Keep(outbox::claim(tx, &claim, most).await?)) })
        })
        .await
    }
    async fn settle_delivery(&self, settled: &Settled) -> Result<bool, StoreError> {
        let settled = settled.clone();
        within(self, &[], move |tx| {
            Box::pin(async move { Ok(Fate::Keep(outbox::settle(tx, &settled).await?)) })
        })
        .await
    }
    async fn deliveries(
        &self,
        webhook: WebhookId,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        outbox::list(self, webhook, after, limit).await
    }
    async fn redeliver(&self, webhook: WebhookId, event: EventId, now_ms: u64) -> Result<bool, StoreError> {
        let done = query(
            "UPDATE deliveries SET state = 'pending', due_ms = $1, tries = 0, claim = NULL, claimed_until_ms = 0
              WHERE webhook_id = $2 AND event_id = $3",
        )
        .bind(signed(now_ms))
        .bind(&webhook.as_bytes()[..])
        .bind(&event.as_bytes()[..])
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }
    async fn forget_events(&self, before_ms: u64) -> Result<(), StoreError> {
        within(self, &[], move |tx| {
            Box::pin(async move {
                for sql in ["DELETE FROM deliveries WHERE at_ms < $1", "DELETE FROM events WHERE at_ms < $1"]
                {
                    query(sql).bind(signed(before_ms)).execute(&mut *tx).await?;
                }
                Ok(Fate::Keep(()))
            })
        })
        .await
    }
}

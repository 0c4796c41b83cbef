//! Events and their deliveries.

use super::rows::{blob, currency, int, maybe_int, signed, text};
use super::webhooks::{COLUMNS, kind, webhook};
use super::{Connection, DbRow, SqlStore, StoreError};
use crate::store::SessionRow;
use crate::store::event::Level;
use crate::store::webhooks::{
    AT_ONCE_TO_ONE, DeliveryClaim, DeliveryRow, Due, EventRow, Next, Refused, Settled,
};
use nearframe_protocol::webhook::{BudgetOf, DeliveryState, Disabled, EventKind};
use nearframe_protocol::{AccountId, ApiKeyId, Currency, EventId, Money, TitleId, WebhookId};
use sqlx::query;

/// Whether a webhook `w` is told of the kind in a parameter.
pub(super) fn wants(kind: &str) -> String {
    format!(
        "w.removed_at_ms IS NULL AND w.disabled IS NULL AND (' ' || w.events || ' ') LIKE ('% ' || {kind} || ' %')"
    )
}

/// Who is told.
#[derive(Clone, Copy)]
enum Whose<'a> {
    Account(AccountId),
    /// The account that pays for guests on a title.
    Owner(&'a TitleId),
}

/// Asks for the account in a parameter, or else for the owner of the title in another, where one of its webhooks is told
/// of the kind in the third.
pub(super) fn told_account(account: &str, title: &str, kind: &str) -> String {
    format!(
        "SELECT w.account_id FROM webhooks w
          WHERE w.account_id = coalesce({account}, (SELECT account_id FROM owners WHERE kind = 'title' AND subject = {title}))
            AND {} LIMIT 1",
        wants(kind)
    )
}

/// The account, where one of its webhooks is told of such events.
async fn who_wants(
    tx: &mut Connection,
    whose: Whose<'_>,
    kind: EventKind,
) -> Result<Option<AccountId>, StoreError> {
    let (account, title) = match whose {
        Whose::Account(account) => (Some(account.as_bytes().to_vec()), None),
        Whose::Owner(title) => (None, Some(title.as_str())),
    };
    let sql = told_account("$1", "$2", "$3");
    let row = query(&sql).bind(account).bind(title).bind(kind.as_str()).fetch_optional(tx).await?;
    row.map(|row| Ok(AccountId::from_bytes(blob(&row, "account_id")?))).transpose()
}

/// Writes an event with its deliveries; returns how many there are.
pub(super) async fn add(
    tx: &mut Connection,
    event: &EventRow,
    to: Option<WebhookId>,
) -> Result<u32, StoreError> {
    let done = query(
        "INSERT INTO events (id, account_id, kind, at_ms, body) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&event.id.as_bytes()[..])
    .bind(&event.account.as_bytes()[..])
    .bind(event.kind.as_str())
    .bind(signed(event.at_ms))
    .bind(&event.body)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(0);
    }
    let sql = format!(
        "INSERT INTO deliveries (webhook_id, event_id, at_ms, state, due_ms)
         SELECT w.id, e.id, e.at_ms, 'pending', e.at_ms FROM events e JOIN webhooks w ON w.account_id = e.account_id
          WHERE e.id = $1 AND ((($2 IS NULL) AND {}) OR (w.id = $2 AND w.removed_at_ms IS NULL))",
        wants("e.kind")
    );
    let done = query(&sql)
        .bind(&event.id.as_bytes()[..])
        .bind(to.map(|webhook| webhook.as_bytes().to_vec()))
        .execute(tx)
        .await?;
    Ok(u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
}

/// Tells that a session began, ended or was billed.
pub(super) async fn session(
    tx: &mut Connection,
    kind: EventKind,
    at_ms: u64,
    row: &SessionRow,
) -> Result<(), StoreError> {
    if row.stands_by {
        return Ok(());
    }
    let whose = row.payer.map_or(Whose::Owner(&row.title), |payer| Whose::Account(payer.account));
    if let Some(account) = who_wants(tx, whose, kind).await? {
        add(tx, &EventRow::of_session(account, kind, at_ms, row)?, None).await?;
    }
    Ok(())
}

/// A budget, where it stands in the database.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Account(AccountId),
    Key(AccountId, ApiKeyId),
    Title(&'a TitleId, &'a Currency),
}

impl Place<'_> {
    fn of(self) -> BudgetOf {
        match self {
            Self::Account(_) => BudgetOf::Account,
            Self::Key(_, id) => BudgetOf::Key { id },
            Self::Title(title, _) => BudgetOf::Title { id: title.clone() },
        }
    }

    async fn level(self, tx: &mut Connection) -> Result<Option<Level>, StoreError> {
        const LEVEL: &str = "SELECT currency, limit_micros, committed_micros, exhausted_told_ms FROM";
        let by_id = |table| format!("{LEVEL} {table} WHERE id = $1");
        let row = match self {
            Self::Account(id) => {
                query(&by_id("accounts")).bind(&id.as_bytes()[..]).fetch_optional(tx).await?
            }
            Self::Key(_, id) => query(&by_id("api_keys")).bind(&id.as_bytes()[..]).fetch_optional(tx).await?,
            Self::Title(title, currency) => {
                let sql = format!("{LEVEL} budgets WHERE title = $1 AND currency = $2");
                query(&sql).bind(title.as_str()).bind(currency.as_str()).fetch_optional(tx).await?
            }
        };
        row.map(|row| level(&row, &currency(&row)?, "exhausted_told_ms")).transpose()
    }

    /// Writes down that it was told.
    async fn told(self, tx: &mut Connection, column: &str, now_ms: u64) -> Result<(), StoreError> {
        let by_id = |table| format!("UPDATE {table} SET {column} = $2 WHERE id = $1");
        let now = signed(now_ms);
        match self {
            Self::Account(id) => {
                query(&by_id("accounts")).bind(&id.as_bytes()[..]).bind(now).execute(tx).await?
            }
            Self::Key(_, id) => {
                query(&by_id("api_keys")).bind(&id.as_bytes()[..]).bind(now).execute(tx).await?
            }
            Self::Title(title, currency) => {
                let sql = format!("UPDATE budgets SET {column} = $3 WHERE title = $1 AND currency = $2");
                query(&sql).bind(title.as_str()).bind(currency.as_str()).bind(now).execute(tx).await?
            }
        };
        Ok(())
    }

    /// Tells how it stands, where somebody wants to know.
    async fn tell(
        self,
        tx: &mut Connection,
        level: &Level,
        needed: Option<Money>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let (kind, column) = match needed {
            Some(_) => (EventKind::BudgetExhausted, "exhausted_told_ms"),
            None => (EventKind::BudgetLow, "low_told_ms"),
        };
        let whose = match self {
            Self::Account(account) | Self::Key(account, _) => Whose::Account(account),
            Self::Title(title, _) => Whose::Owner(title),
        };
        let Some(account) = who_wants(tx, whose, kind).await? else { return Ok(()) };
        self.told(tx, column, now_ms).await?;
        add(tx, &EventRow::of_budget(account, now_ms, self.of(), level, needed)?, None).await?;
        Ok(())
    }
}

/// A row with `limit_micros`, `committed_micros` and when it was told.
fn level(row: &DbRow, currency: &Currency, told: &'static str) -> Result<Level, StoreError> {
    Ok(Level {
        currency: currency.clone(),
        limit_micros: maybe_int::<i64>(row, "limit_micros")?.map(i128::from),
        committed_micros: int::<i64>(row, "committed_micros")?.into(),
        told_ms: maybe_int(row, told)?,
    })
}

/// Tells that a budget is low, where it is and was not told lately. `row`: how it stands after more was set aside.
pub(super) async fn low(
    tx: &mut Connection,
    row: &DbRow,
    place: Place<'_>,
    currency: &Currency,
    now_ms: u64,
) -> Result<(), StoreError> {
    let level = level(row, currency, "low_told_ms")?;
    if level.is_low() && level.is_news(now_ms) {
        place.tell(tx, &level, None, now_ms).await?;
    }
    Ok(())
}

/// Tells which budget did not hold something, where that was not told lately.
pub(super) async fn exhausted(tx: &mut Connection, refused: &Refused) -> Result<(), StoreError> {
    let places = match refused.payer {
        Some(payer) => {
            let of_key = payer.key.map(|key| Place::Key(payer.account, key));
            of_key.into_iter().chain([Place::Account(payer.account)]).collect()
        }
        None => vec![Place::Title(&refused.title, &refused.needed.currency)],
    };
    for place in places {
        let level = place.level(tx).await?.filter(|level| level.currency == refused.needed.currency);
        let Some(level) = level.filter(|level| level.lacks(&refused.needed)) else { continue };
        if level.is_news(refused.now_ms) {
            place.tell(tx, &level, Some(refused.needed.clone()), refused.now_ms).await?;
        }
        return Ok(());
    }
    Ok(())
}

/// Claims deliveries: of each webhook the oldest, and no more than it has room for.
pub(super) async fn claim(
    tx: &mut Connection,
    claim: &DeliveryClaim,
    most: u32,
) -> Result<Vec<Due>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, e.id AS event_id, e.kind, e.at_ms, e.body, q.tries
           FROM (SELECT d.webhook_id, d.event_id, d.due_ms, d.tries,
                        row_number() OVER (PARTITION BY d.webhook_id ORDER BY d.due_ms, d.at_ms, d.event_id) AS place
                   FROM deliveries d WHERE d.state = 'pending' AND d.due_ms <= $1 AND d.claimed_until_ms <= $1) q
           JOIN webhooks w ON w.id = q.webhook_id
           JOIN events e ON e.id = q.event_id
          WHERE w.removed_at_ms IS NULL AND w.disabled IS NULL AND w.paused_until_ms <= $1
            AND q.place + (SELECT count(*) FROM deliveries o WHERE o.webhook_id = q.webhook_id
                              AND o.state = 'pending' AND o.claimed_until_ms > $1) <= $2
          ORDER BY q.due_ms, e.id LIMIT $3"
    );
    let rows = query(&sql)
        .bind(signed(claim.now_ms))
        .bind(i64::from(AT_ONCE_TO_ONE))
        .bind(i64::from(most))
        .fetch_all(&mut *tx)
        .await?;
    let dues = rows.iter().map(due).collect::<Result<Vec<_>, _>>()?;
    for due in &dues {
        query(
            "UPDATE deliveries SET claim = $1, claimed_until_ms = $2 WHERE webhook_id = $3 AND event_id = $4",
        )
        .bind(&claim.claim[..])
        .bind(signed(claim.until_ms))
        .bind(&due.webhook.id.as_bytes()[..])
        .bind(&due.event.id.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    }
    Ok(dues)
}

fn due(row: &DbRow) -> Result<Due, StoreError> {
    let webhook = webhook(row)?;
    let event = EventRow {
        id: EventId::from_bytes(blob(row, "event_id")?),
        account: webhook.account,
        kind: kind(row)?,
        at_ms: int(row, "at_ms")?,
        body: text(row, "body")?.to_owned(),
    };
    Ok(Due { webhook, event, tries: int(row, "tries")? })
}

/// Writes down how a try ended, if the claim is still the one that it was tried under.
pub(super) async fn settle(tx: &mut Connection, settled: &Settled) -> Result<bool, StoreError> {
    let (state, due_ms) = match settled.next {
        Next::Delivered => (DeliveryState::Delivered, settled.at_ms),
        Next::Again { due_ms, .. } => (DeliveryState::Pending, due_ms),
        Next::Dead | Next::Gone => (DeliveryState::Dead, settled.at_ms),
    };
    let row = query(
        "UPDATE deliveries SET state = $1, due_ms = $2, tries = tries + 1, claim = NULL, claimed_until_ms = 0,
                tried_at_ms = $3, status = $4, trouble = $5
          WHERE webhook_id = $6 AND event_id = $7 AND claim = $8 RETURNING at_ms",
    )
    .bind(state.as_str())
    .bind(signed(due_ms))
    .bind(signed(settled.at_ms))
    .bind(settled.status.map(i64::from))
    .bind(settled.trouble.as_deref())
    .bind(&settled.webhook.as_bytes()[..])
    .bind(&settled.event.as_bytes()[..])
    .bind(&settled.claim[..])
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let happened_at_ms: u64 = int(&row, "at_ms")?;
    let id = settled.webhook.as_bytes().to_vec();
    match settled.next {
        Next::Delivered => {
            let sql = "UPDATE webhooks SET delivered_at_ms = $2 WHERE id = $1";
            query(sql).bind(id).bind(signed(settled.at_ms)).execute(tx).await?;
        }
        Next::Again { pause_until_ms, .. } if pause_until_ms > 0 => {
            let sql = "UPDATE webhooks SET paused_until_ms = $2 WHERE id = $1 AND paused_until_ms < $2";
            query(sql).bind(id).bind(signed(pause_until_ms)).execute(tx).await?;
        }
        Next::Again { .. } => {}
        Next::Gone => {
            let sql = "UPDATE webhooks SET disabled = $2 WHERE id = $1 AND disabled IS NULL";
            query(sql).bind(id).bind(Disabled::Gone.as_str()).execute(tx).await?;
        }
        Next::Dead => {
            let sql = "UPDATE webhooks SET disabled = $2
                        WHERE id = $1 AND disabled IS NULL AND (delivered_at_ms IS NULL OR delivered_at_ms < $3)";
            let failing = query(sql).bind(id).bind(Disabled::Failing.as_str()).bind(signed(happened_at_ms));
            failing.execute(tx).await?;
        }
    }
    Ok(true)
}

pub(super) async fn list(
    store: &SqlStore,
    webhook: WebhookId,
    after: Option<EventId>,
    limit: u32,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let rows = query(
        "SELECT d.event_id, e.kind, d.at_ms, d.state, d.due_ms, d.tries, d.tried_at_ms, d.status, d.trouble
           FROM deliveries d JOIN events e ON e.id = d.event_id
          WHERE d.webhook_id = $1 AND ($2 IS NULL OR (d.at_ms, d.event_id) <
                (SELECT c.at_ms, c.event_id FROM deliveries c WHERE c.webhook_id = $1 AND c.event_id = $2))
          ORDER BY d.at_ms DESC, d.event_id DESC LIMIT $3",
    )
    .bind(&webhook.as_bytes()[..])
    .bind(after.map(|event| event.as_bytes().to_vec()))
    .bind(i64::from(limit))
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(delivery).collect()
}

fn delivery(row: &DbRow) -> Result<DeliveryRow, StoreError> {
    use sqlx::Row;
    Ok(DeliveryRow {
        event: EventId::from_bytes(blob(row, "event_id")?),
        kind: kind(row)?,
        at_ms: int(row, "at_ms")?,
        state: DeliveryState::parse(text(row, "state")?).ok_or(StoreError::Corrupt("state"))?,
        due_ms: int(row, "due_ms")?,
        tries: int(row, "tries")?,
        tried_at_ms: maybe_int(row, "tried_at_ms")?,
        status: maybe_int(row, "status")?,
        trouble: row.try_get("trouble")?,
    })
}

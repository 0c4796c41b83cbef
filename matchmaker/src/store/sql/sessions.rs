//! Sessions and their leases.

use super::receipts::{append, lease_state};
use super::rows::{blob, int, session, signed};
use super::{
    Connection, Created, Db, Ended, Idempotency, NewSession, SessionRow, SqlStore, StoreError, Subject, lock,
};
use nearframe_ledger::LeaseAccount;
use nearframe_protocol::{EndReason, Generation, GuestId, NodeId, SessionId};
use sqlx::{Executor, query};
use std::collections::HashMap;

const SESSION_COLUMNS: &str = "
    SELECT s.id, s.guest_id, s.title, s.player_key, s.state, s.generation, s.created_at_ms, s.ended_at_ms,
           s.end_reason, l.id AS lease_id, l.node_id, l.title_hash, l.currency, n.name AS node_name,
           (SELECT count(*) FROM receipts r WHERE r.session_id = s.id) AS receipts,
           (SELECT CAST(coalesce(sum(r.billed_us), 0) AS BIGINT) FROM receipts r WHERE r.session_id = s.id) AS billed_us,
           (SELECT CAST(coalesce(sum(t.amount_micros), 0) AS BIGINT) FROM leases p JOIN transfers t ON t.lease_id = p.id
             WHERE p.session_id = s.id AND t.kind = 'post') AS cost_micros
      FROM sessions s
      JOIN leases l ON l.session_id = s.id AND l.generation = s.generation
      JOIN nodes n ON n.id = l.node_id ";

pub(super) async fn one(
    executor: impl Executor<'_, Database = Db>,
    id: SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    let sql = format!("{SESSION_COLUMNS} WHERE s.id = $1");
    let row = query(&sql).bind(&id.as_bytes()[..]).fetch_optional(executor).await?;
    row.as_ref().map(session).transpose()
}

pub(super) async fn of_guest(
    store: &SqlStore,
    guest: GuestId,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Vec<SessionRow>, StoreError> {
    let sql = format!(
        "{SESSION_COLUMNS} WHERE s.guest_id = $1 AND ($2 IS NULL OR (s.created_at_ms, s.id) <
            (SELECT c.created_at_ms, c.id FROM sessions c WHERE c.id = $2 AND c.guest_id = $1))
         ORDER BY s.created_at_ms DESC, s.id DESC LIMIT $3"
    );
    let rows = query(&sql)
        .bind(&guest.as_bytes()[..])
        .bind(after.map(|id| id.as_bytes().to_vec()))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(session).collect()
}

pub(super) async fn active(store: &SqlStore) -> Result<Vec<SessionRow>, StoreError> {
    let sql = format!("{SESSION_COLUMNS} WHERE s.state <> 'ended' ORDER BY s.created_at_ms, s.id");
    query(&sql).fetch_all(&store.readers).await?.iter().map(session).collect()
}

pub(super) async fn busy(store: &SqlStore) -> Result<HashMap<NodeId, u32>, StoreError> {
    let rows =
        query("SELECT node_id, count(*) AS held FROM leases WHERE ended_at_ms IS NULL GROUP BY node_id")
            .fetch_all(&store.readers)
            .await?;
    rows.iter().map(|row| Ok((NodeId::from_bytes(blob(row, "node_id")?), int(row, "held")?))).collect()
}

pub(super) async fn create(store: &SqlStore, new: &NewSession) -> Result<Created, StoreError> {
    let mut tx = store.begin().await?;
    if let Some(Idempotency { key, request }) = &new.idempotency {
        lock(&mut tx, Subject::Request(*key)).await?;
        let found = query("SELECT request_hash, session_id FROM idempotency WHERE key_hash = $1")
            .bind(&key[..])
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = found {
            if blob::<32>(&row, "request_hash")? != *request {
                return Ok(Created::KeyReused);
            }
            let id = SessionId::from_bytes(blob(&row, "session_id")?);
            let row = one(&mut *tx, id).await?.ok_or(StoreError::Corrupt("session_id"))?;
            return Ok(Created::Again(row));
        }
    }
    lock(&mut tx, Subject::Guest(new.guest)).await?;
    if guest_sessions(&mut tx, new.guest).await? >= new.guest_limit {
        return Ok(Created::TooMany);
    }
    lock(&mut tx, Subject::Node(new.node)).await?;
    if !has_free_slot(&mut tx, new.node).await? {
        return Ok(Created::NoCapacity);
    }
    match insert(&mut tx, new).await {
        Err(StoreError::OverBudget(_)) => return Ok(Created::OverBudget),
        inserted => inserted?,
    }
    let created = one(&mut *tx, new.id).await?.ok_or(StoreError::Corrupt("id"))?;
    tx.commit().await?;
    Ok(Created::New(created))
}

async fn guest_sessions(tx: &mut Connection, guest: GuestId) -> Result<u32, StoreError> {
    let row = query("SELECT count(*) AS held FROM sessions WHERE guest_id = $1 AND state <> 'ended'")
        .bind(&guest.as_bytes()[..])
        .fetch_one(tx)
        .await?;
    int(&row, "held")
}

async fn has_free_slot(tx: &mut Connection, node: NodeId) -> Result<bool, StoreError> {
    let free = query(
        "SELECT 1 FROM nodes WHERE id = $1 AND slots >
            (SELECT count(*) FROM leases WHERE node_id = $1 AND ended_at_ms IS NULL)",
    )
    .bind(&node.as_bytes()[..])
    .fetch_optional(tx)
    .await?;
    Ok(free.is_some())
}

async fn insert(tx: &mut Connection, new: &NewSession) -> Result<(), StoreError> {
    let now = signed(new.now_ms);
    query(
        "INSERT INTO sessions (id, guest_id, title, player_key, state, generation, created_at_ms)
         VALUES ($1, $2, $3, $4, 'starting', 0, $5)",
    )
    .bind(&new.id.as_bytes()[..])
    .bind(&new.guest.as_bytes()[..])
    .bind(new.title.as_str())
    .bind(&new.player_key.as_bytes()[..])
    .bind(now)
    .execute(&mut *tx)
    .await?;
    query(
        "INSERT INTO leases (id, session_id, generation, node_id, title_hash, price_micros_per_hour,
                             fee_permille, currency, started_at_ms)
         VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&new.lease.as_bytes()[..])
    .bind(&new.id.as_bytes()[..])
    .bind(&new.node.as_bytes()[..])
    .bind(&new.title_hash.as_bytes()[..])
    .bind(new.tariff.price_micros_per_hour)
    .bind(i64::from(new.tariff.fee_permille))
    .bind(new.tariff.currency.as_str())
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if let Some(Idempotency { key, request }) = &new.idempotency {
        query(
            "INSERT INTO idempotency (key_hash, request_hash, session_id, created_at_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(&key[..])
        .bind(&request[..])
        .bind(&new.id.as_bytes()[..])
        .bind(now)
        .execute(&mut *tx)
        .await?;
    }
    let account = LeaseAccount {
        lease: new.lease,
        title: new.title.clone(),
        node: new.node,
        tariff: new.tariff.clone(),
    };
    append(tx, &account.open(crate::random::transfer_id())?, new.now_ms).await
}

pub(super) async fn set_live(
    store: &SqlStore,
    id: SessionId,
    generation: Generation,
) -> Result<bool, StoreError> {
    let done =
        query("UPDATE sessions SET state = 'live' WHERE id = $1 AND generation = $2 AND state = 'starting'")
            .bind(&id.as_bytes()[..])
            .bind(i64::from(generation.0))
            .execute(&store.writer)
            .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn end(
    store: &SqlStore,
    id: SessionId,
    reason: EndReason,
    now_ms: u64,
) -> Result<Option<Ended>, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Session(id)).await?;
    let done = query(
        "UPDATE sessions SET state = 'ended', end_reason = $1, 
                ended_at_ms = CASE WHEN created_at_ms > $2 THEN created_at_ms ELSE $2 END
         WHERE id = $3 AND state <> 'ended'",
    )
    .bind(reason.as_str())
    .bind(signed(now_ms))
    .bind(&id.as_bytes()[..])
    .execute(&mut *tx)
    .await?;
    let first = done.rows_affected() == 1;
    if first {
        let row = one(&mut *tx, id).await?.ok_or(StoreError::Corrupt("id"))?;
        let ended_at_ms = row.ended_at_ms.unwrap_or(now_ms);
        if let Some(lease) = lease_state(&mut tx, id, row.generation).await?
            && let Some(release) = lease.at_end(ended_at_ms)?
        {
            append(&mut tx, &release, now_ms).await?;
        }
        query("UPDATE leases SET ended_at_ms = $1 WHERE session_id = $2 AND ended_at_ms IS NULL")
            .bind(signed(ended_at_ms))
            .bind(&id.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
    }
    let session = one(&mut *tx, id).await?;
    tx.commit().await?;
    Ok(session.map(|session| Ended { session, first }))
}

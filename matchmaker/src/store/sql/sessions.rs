//! Sessions and their leases.

use super::accounts::maybe_id;
use super::receipts::{append, lease_state};
use super::rows::{blob, int, session, signed, text};
use super::{
    Connection, Created, Db, Ended, Fate, HeldSlots, Idempotency, Lock, NewSession, SessionRow, SqlStore,
    StoreError, Subject, market, outbox, replicas, within,
};
use crate::store::webhooks::EventRow;
use nearframe_ledger::LeaseAccount;
use nearframe_protocol::webhook::EventKind;
use nearframe_protocol::{AccountId, EndReason, Generation, GuestId, NodeId, SessionId, SpendLimit};
use sqlx::{Executor, query};
use std::collections::HashMap;

const SESSION_COLUMNS: &str = "
    SELECT s.id, s.guest_id, s.title, s.player_key, s.state, s.generation, s.created_at_ms, s.ended_at_ms,
           s.end_reason, s.end_limit, l.id AS lease_id, l.account_id, l.key_id, l.reservation_id, l.work, l.node_id, l.title_hash, l.currency, n.name AS node_name, n.held, n.held_changes,
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

pub(super) async fn of_account(
    store: &SqlStore,
    account: AccountId,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Vec<SessionRow>, StoreError> {
    let sql = format!(
        "{SESSION_COLUMNS} WHERE l.account_id = $1 AND (l.work IS NULL OR l.work <> 'reserve') AND ($2 IS NULL OR (s.created_at_ms, s.id) <
            (SELECT c.created_at_ms, c.id FROM sessions c WHERE c.id = $2))
         ORDER BY s.created_at_ms DESC, s.id DESC LIMIT $3"
    );
    let rows = query(&sql)
        .bind(&account.as_bytes()[..])
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

pub(super) async fn on_node(store: &SqlStore, node: NodeId) -> Result<Vec<SessionRow>, StoreError> {
    let sql = format!(
        "{SESSION_COLUMNS} WHERE l.node_id = $1 AND l.ended_at_ms IS NULL ORDER BY s.created_at_ms, s.id"
    );
    query(&sql).bind(&node.as_bytes()[..]).fetch_all(&store.readers).await?.iter().map(session).collect()
}

pub(super) async fn starting(store: &SqlStore) -> Result<Vec<SessionRow>, StoreError> {
    let sql = format!("{SESSION_COLUMNS} WHERE s.state <> 'ended' AND s.state = 'starting'");
    query(&sql).fetch_all(&store.readers).await?.iter().map(session).collect()
}

pub(super) async fn orphaned(store: &SqlStore) -> Result<Vec<SessionRow>, StoreError> {
    let sql =
        format!("{SESSION_COLUMNS} WHERE n.held > 0 AND n.link_replica IS NULL AND l.ended_at_ms IS NULL");
    query(&sql).fetch_all(&store.readers).await?.iter().map(session).collect()
}

pub(super) async fn busy(store: &SqlStore) -> Result<HashMap<NodeId, u32>, StoreError> {
    let rows = query("SELECT id, held FROM nodes WHERE held > 0").fetch_all(&store.readers).await?;
    rows.iter().map(|row| Ok((NodeId::from_bytes(blob(row, "id")?), int(row, "held")?))).collect()
}

pub(super) async fn create(store: &SqlStore, new: &NewSession) -> Result<Created, StoreError> {
    let region = new.fence.iter().map(|fence| Lock::Shared(Subject::Region(&fence.region)));
    let request = new.idempotency.iter().map(|request| Lock::Alone(Subject::Request(request.key)));
    let reserved = new.reservation.iter().map(|id| Lock::Alone(Subject::Reservation(*id)));
    let guest = [Lock::Alone(Subject::Guest(new.guest))];
    let locks: Vec<_> = region.chain(request).chain(guest).chain(reserved).collect();
    let new = new.clone();
    within(store, &locks, move |tx| Box::pin(async move { create_in(tx, &new).await })).await
}

async fn create_in(tx: &mut Connection, new: &NewSession) -> Result<Fate<Created>, StoreError> {
    if let Some(fence) = &new.fence
        && !replicas::holds(tx, fence).await?
    {
        return Ok(Fate::Undo(Created::Fenced));
    }
    if let Some(Idempotency { key, request }) = &new.idempotency {
        let found = query("SELECT request_hash, session_id FROM idempotency WHERE key_hash = $1")
            .bind(&key[..])
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = found {
            if blob::<32>(&row, "request_hash")? != *request {
                return Ok(Fate::Undo(Created::KeyReused));
            }
            let id = SessionId::from_bytes(blob(&row, "session_id")?);
            let row = one(&mut *tx, id).await?.ok_or(StoreError::Corrupt("session_id"))?;
            return Ok(Fate::Undo(Created::Again(row)));
        }
    }
    if !insert_session(tx, new).await? {
        let earlier = one(&mut *tx, new.id).await?.ok_or(StoreError::Corrupt("id"))?;
        return Ok(Fate::Undo(Created::Again(earlier)));
    }
    // Under a reservation the slot is there already: what stands by in it makes way.
    let holds = match new.reservation {
        Some(reservation) => market::make_way(tx, reservation, new).await?,
        None => true,
    };
    let taken = if holds { take_slot(tx, new).await? } else { None };
    let Some(Slot { node_name, slots, guest_sessions, told }) = taken else {
        return Ok(Fate::Undo(Created::NoCapacity));
    };
    if guest_sessions > new.guest_limit {
        return Ok(Fate::Undo(Created::TooMany));
    }
    let row = SessionRow::fresh(new, node_name, slots);
    if let Some(account) = told {
        let event = EventRow::of_session(account, EventKind::SessionStarted, new.now_ms, &row)?;
        outbox::add(tx, &event, None).await?;
    }
    match insert_lease(tx, new, None).await {
        Err(StoreError::OverBudget(limit)) if limit.is_cap() => return Ok(Fate::Undo(Created::OverCap)),
        Err(StoreError::OverBudget(_)) => return Ok(Fate::Undo(Created::OverBudget)),
        inserted => inserted?,
    }
    Ok(Fate::Keep(Created::New(row)))
}

/// A slot that was taken.
struct Slot {
    node_name: String,
    slots: HeldSlots,
    /// Sessions of the guest that run, the new one among them.
    guest_sessions: u32,
    /// The account that wants to hear of the session.
    told: Option<AccountId>,
}

/// Takes a free slot, where there is one; tells what else has to be known, because every statement is a way to the
/// database and back. The row stays locked until the transaction ends.
async fn take_slot(tx: &mut Connection, new: &NewSession) -> Result<Option<Slot>, StoreError> {
    let sql = format!(
        "UPDATE nodes SET held = held + $6, held_changes = held_changes + 1
          WHERE id = $1 AND (held < slots OR $6 = 0)
         RETURNING name, held, held_changes, ({}) AS told,
                   (SELECT count(*) FROM sessions WHERE guest_id = $2 AND state <> 'ended') AS guest_sessions",
        outbox::told_account("$3", "$4", "$5")
    );
    let row = query(&sql)
        .bind(&new.node.as_bytes()[..])
        .bind(&new.guest.as_bytes()[..])
        .bind(new.payer.map(|payer| payer.account.as_bytes().to_vec()))
        .bind(new.title.as_str())
        .bind(EventKind::SessionStarted.as_str())
        .bind(i64::from(new.reservation.is_none()))
        .fetch_optional(tx)
        .await?;
    let taken = |row| {
        let (held, change) = (int(&row, "held")?, int(&row, "held_changes")?);
        Ok(Slot {
            node_name: text(&row, "name")?.to_owned(),
            slots: HeldSlots { node: new.node, held, change },
            guest_sessions: int(&row, "guest_sessions")?,
            told: maybe_id(&row, "told")?.map(AccountId::from_bytes),
        })
    };
    row.map(taken).transpose()
}

/// Gives a slot back.
pub(super) async fn give_slot(tx: &mut Connection, node: NodeId) -> Result<(), StoreError> {
    query("UPDATE nodes SET held = held - 1, held_changes = held_changes + 1 WHERE id = $1")
        .bind(&node.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(())
}

/// False where it is there already.
pub(super) async fn insert_session(tx: &mut Connection, new: &NewSession) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO sessions (id, guest_id, title, player_key, state, generation, created_at_ms)
         VALUES ($1, $2, $3, $4, 'starting', 0, $5) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&new.id.as_bytes()[..])
    .bind(&new.guest.as_bytes()[..])
    .bind(new.title.as_str())
    .bind(&new.player_key.as_bytes()[..])
    .bind(signed(new.now_ms))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a lease that begins with an hour set aside, or with this amount.
pub(super) async fn insert_lease(
    tx: &mut Connection,
    new: &NewSession,
    open_micros: Option<i128>,
) -> Result<(), StoreError> {
    let now = signed(new.now_ms);
    query(
        "INSERT INTO leases (id, session_id, generation, node_id, title_hash, price_micros_per_hour,
                             fee_permille, currency, started_at_ms, rate_card, work, rate_region, gpu_tier,
                             account_id, key_id, reservation_id, player)
         VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(&new.lease.as_bytes()[..])
    .bind(&new.id.as_bytes()[..])
    .bind(&new.node.as_bytes()[..])
    .bind(&new.title_hash.as_bytes()[..])
    .bind(new.tariff.price_micros_per_hour)
    .bind(i64::from(new.tariff.fee_permille))
    .bind(new.tariff.currency.as_str())
    .bind(now)
    .bind(new.basis.as_ref().map(|basis| i64::from(basis.rate_card)))
    .bind(new.basis.as_ref().map(|basis| basis.work.as_str()))
    .bind(new.basis.as_ref().map(|basis| basis.region.clone()))
    .bind(new.basis.as_ref().map(|basis| i64::from(basis.gpu_tier)))
    .bind(new.payer.map(|payer| payer.account.as_bytes().to_vec()))
    .bind(new.payer.and_then(|payer| payer.key).map(|key| key.as_bytes().to_vec()))
    .bind(new.reservation.map(|id| id.as_bytes().to_vec()))
    .bind(&new.player()[..])
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
    let opening = match open_micros {
        Some(micros) => account(new).open_with(crate::random::transfer_id(), micros)?,
        None => account(new).open(crate::random::transfer_id())?,
    };
    append(tx, &opening, new.now_ms).await
}

fn account(new: &NewSession) -> LeaseAccount {
    LeaseAccount {
        lease: new.lease,
        title: new.title.clone(),
        payer: new.payer.map(|payer| payer.account),
        node: new.node,
        tariff: new.tariff.clone(),
    }
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
    within(store, &[Lock::Alone(Subject::Session(id))], move |tx| Box::pin(end_in(tx, id, reason, now_ms)))
        .await
}

pub(super) async fn end_over_budget(
    store: &SqlStore,
    id: SessionId,
    limit: SpendLimit,
    now_ms: u64,
) -> Result<Option<Ended>, StoreError> {
    let over = EndReason::BudgetUsedUp;
    within(store, &[Lock::Alone(Subject::Session(id))], move |tx| {
        Box::pin(end_with(tx, id, (over, Some(limit)), now_ms))
    })
    .await
}

pub(super) async fn end_in(
    tx: &mut Connection,
    id: SessionId,
    reason: EndReason,
    now_ms: u64,
) -> Result<Fate<Option<Ended>>, StoreError> {
    end_with(tx, id, (reason, None), now_ms).await
}

async fn end_with(
    tx: &mut Connection,
    id: SessionId,
    (reason, limit): (EndReason, Option<SpendLimit>),
    now_ms: u64,
) -> Result<Fate<Option<Ended>>, StoreError> {
    let done = query(
        "UPDATE sessions SET state = 'ended', end_reason = $1, end_limit = $4,
                ended_at_ms = CASE WHEN created_at_ms > $2 THEN created_at_ms ELSE $2 END
         WHERE id = $3 AND state <> 'ended'",
    )
    .bind(reason.as_str())
    .bind(signed(now_ms))
    .bind(&id.as_bytes()[..])
    .bind(limit.map(SpendLimit::as_str))
    .execute(&mut *tx)
    .await?;
    let first = done.rows_affected() == 1;
    if first {
        let row = one(&mut *tx, id).await?.ok_or(StoreError::Corrupt("id"))?;
        let ended_at_ms = row.ended_at_ms.unwrap_or(now_ms);
        // Node before budget, as where a session begins: nobody waits for the other in a circle.
        match row.reservation {
            Some(reservation) => market::give_slot(tx, reservation, row.node).await?,
            None => give_slot(tx, row.node).await?,
        }
        if let Some(lease) = lease_state(tx, id, row.generation).await?
            && let Some(release) = lease.at_end(ended_at_ms)?
        {
            append(tx, &release, now_ms).await?;
        }
        query("UPDATE leases SET ended_at_ms = $1 WHERE session_id = $2 AND ended_at_ms IS NULL")
            .bind(signed(ended_at_ms))
            .bind(&id.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
    }
    let session = one(&mut *tx, id).await?;
    if let Some(row) = session.as_ref().filter(|_| first) {
        outbox::session(tx, EventKind::SessionEnded, row.ended_at_ms.unwrap_or(now_ms), row).await?;
    }
    Ok(Fate::Keep(session.map(|session| Ended { session, first })))
}

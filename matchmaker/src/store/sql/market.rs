//! Auctions, reservations, and the slots that stand by for them.
//!
//! A slot that a reservation holds is taken once and given back once, however often sessions and standing by take turns
//! in it. Whoever decides about that locks the node's row first, and reads what else it needs after that.

use super::accounts::maybe_id;
use super::auctions::{self, AUCTION_FIELDS, auction_row};
use super::rows::{blob, int, maybe_int, signed, signed_amount, text, title};
use super::{
    Connection, Db, DbRow, HeldSlots, NewSession, SqlStore, StoreError, Subject, keys, lock, sessions,
};
use crate::store::market::{
    MOST_ALIVE, MachineRow, MachineState, NewStandBy, ReservationRow, Reserved, Stood, within_ms,
};
use nearframe_ledger::auction::Cleared;
use nearframe_protocol::market::ReservationState;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{
    AccountId, ApiKeyId, Currency, EndReason, NodeId, ReservationId, SessionId, SpendLimit,
};
use sqlx::{Executor, Row, query};
use std::ops::Range;

const RESERVATION_FIELDS: &str =
    "r.id, r.account_id, r.key_id, r.title, r.rate_card, r.fee_permille, r.state,
    r.held_micros, r.created_at_ms, r.stops_at_ms";
fn reservation_row(row: &DbRow) -> Result<ReservationRow, StoreError> {
    Ok(ReservationRow {
        id: ReservationId::from_bytes(blob(row, "id")?),
        account: AccountId::from_bytes(blob(row, "account_id")?),
        key: maybe_id(row, "key_id")?.map(ApiKeyId::from_bytes),
        title: title(row)?,
        rate_card: int(row, "rate_card")?,
        fee_permille: int(row, "fee_permille")?,
        state: ReservationState::parse(text(row, "state")?).ok_or(StoreError::Corrupt("state"))?,
        held_micros: int::<i64>(row, "held_micros")?.into(),
        created_at_ms: int(row, "created_at_ms")?,
        stops_at_ms: maybe_int(row, "stops_at_ms")?,
        auction: auction_row(row)?,
    })
}

pub(super) async fn one(
    executor: impl Executor<'_, Database = Db>,
    id: ReservationId,
) -> Result<Option<ReservationRow>, StoreError> {
    let sql = format!(
        "SELECT {RESERVATION_FIELDS}, {AUCTION_FIELDS} FROM reservations r JOIN auctions a ON a.id = r.auction_id
          WHERE r.id = $1"
    );
    let row = query(&sql).bind(&id.as_bytes()[..]).fetch_optional(executor).await?;
    row.as_ref().map(reservation_row).transpose()
}

pub(super) async fn page(
    store: &SqlStore,
    account: Option<AccountId>,
    after: Option<ReservationId>,
    limit: u32,
) -> Result<Vec<ReservationRow>, StoreError> {
    let sql = format!(
        "SELECT {RESERVATION_FIELDS}, {AUCTION_FIELDS} FROM reservations r JOIN auctions a ON a.id = r.auction_id
          WHERE ($1 IS NULL OR r.account_id = $1)
            AND ($2 IS NULL OR (r.created_at_ms, r.id) < (SELECT c.created_at_ms, c.id FROM reservations c WHERE c.id = $2))
          ORDER BY r.created_at_ms DESC, r.id DESC LIMIT $3"
    );
    let rows = query(&sql)
        .bind(account.map(|id| id.as_bytes().to_vec()))
        .bind(after.map(|id| id.as_bytes().to_vec()))
        .bind(i64::from(limit))
        .fetch_all(&store.readers);
    rows.await?.iter().map(reservation_row).collect()
}

pub(super) async fn alive(store: &SqlStore) -> Result<Vec<ReservationRow>, StoreError> {
    let sql = format!(
        "SELECT {RESERVATION_FIELDS}, {AUCTION_FIELDS} FROM reservations r JOIN auctions a ON a.id = r.auction_id
          WHERE r.state IN ('bidding', 'booked') ORDER BY r.created_at_ms, r.id LIMIT $1"
    );
    let rows = query(&sql).bind(i64::from(MOST_ALIVE)).fetch_all(&store.readers);
    rows.await?.iter().map(reservation_row).collect()
}

pub(super) async fn reserve(store: &SqlStore, new: &ReservationRow) -> Result<Reserved, StoreError> {
    let mut tx = store.begin().await?;
    // How many there are is counted, then one is added.
    lock(&mut tx, Subject::Market).await?;
    if one(&mut *tx, new.id).await?.is_some() {
        return Ok(Reserved::Bidding);
    }
    let alive = query("SELECT count(*) AS alive FROM reservations WHERE state IN ('bidding', 'booked')");
    if int::<u32>(&alive.fetch_one(&mut *tx).await?, "alive")? >= MOST_ALIVE {
        return Ok(Reserved::TooMany);
    }
    auctions::insert(&mut tx, &new.auction).await?;
    query(
        "INSERT INTO reservations (id, auction_id, account_id, key_id, title, rate_card, fee_permille, state, held_micros,
                                   created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&new.id.as_bytes()[..])
    .bind(&new.auction.wanted.auction.as_bytes()[..])
    .bind(&new.account.as_bytes()[..])
    .bind(new.key.map(|key| key.as_bytes().to_vec()))
    .bind(new.title.as_str())
    .bind(i64::from(new.rate_card))
    .bind(i64::from(new.fee_permille))
    .bind(new.state.as_str())
    .bind(signed_amount(new.held_micros)?)
    .bind(signed(new.created_at_ms))
    .execute(&mut *tx)
    .await?;
    let amount = (&new.auction.wanted.currency, signed_amount(new.held_micros)?);
    match keys::set_aside(&mut tx, (new.account, new.key), amount, new.created_at_ms).await {
        Err(StoreError::OverBudget(_)) => return Ok(Reserved::OverBudget),
        done => done?,
    }
    tx.commit().await?;
    Ok(Reserved::Bidding)
}

pub(super) async fn close(
    store: &SqlStore,
    id: ReservationId,
    now_ms: u64,
) -> Result<Option<ReservationRow>, StoreError> {
    let mut tx = store.begin().await?;
    // No machine is promised to two at once.
    lock(&mut tx, Subject::Market).await?;
    let Some(row) = one(&mut *tx, id).await? else { return Ok(None) };
    let wanted = &row.auction.wanted;
    if row.state != ReservationState::Bidding || now_ms <= wanted.open_until_ms {
        return Ok(Some(row));
    }
    let mut entries = auctions::bids(&mut tx, wanted.auction).await?;
    for entry in &mut entries {
        entry.taken_by = auctions::taken_by(&mut tx, entry.node, wanted).await?;
        query("UPDATE bids SET taken_by = $1 WHERE auction_id = $2 AND node_id = $3")
            .bind(entry.taken_by.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>())
            .bind(&wanted.auction.as_bytes()[..])
            .bind(&entry.node.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
    }
    let (mut closed, cleared) = row.closed(&entries, now_ms)?;
    closed.held_micros = if cleared.winners.is_empty() { 0 } else { closed.whole_micros()? };
    query("UPDATE auctions SET closed_at_ms = $1, price_micros = $2 WHERE id = $3")
        .bind(signed(now_ms))
        .bind(closed.auction.price_micros)
        .bind(&wanted.auction.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    add_machines(&mut tx, id, &cleared).await?;
    write(&mut tx, &row, &closed, now_ms).await?;
    tx.commit().await?;
    Ok(Some(closed))
}

async fn add_machines(tx: &mut Connection, id: ReservationId, cleared: &Cleared) -> Result<(), StoreError> {
    let winners = cleared.winners.iter().map(|node| (node, false));
    let next = cleared.next.iter().map(|node| (node, true));
    for (place, (node, is_next)) in (0i64..).zip(winners.chain(next)) {
        query(
            "INSERT INTO reserved_machines (reservation_id, node_id, place, is_next, state)
             VALUES ($1, $2, $3, $4, 'waiting')",
        )
        .bind(&id.as_bytes()[..])
        .bind(&node.as_bytes()[..])
        .bind(place)
        .bind(i64::from(is_next))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Writes what changed of a reservation, and frees what it holds no more.
async fn write(
    tx: &mut Connection,
    before: &ReservationRow,
    after: &ReservationRow,
    now_ms: u64,
) -> Result<(), StoreError> {
    query("UPDATE reservations SET state = $1, held_micros = $2, stops_at_ms = $3 WHERE id = $4")
        .bind(after.state.as_str())
        .bind(signed_amount(after.held_micros)?)
        .bind(after.stops_at_ms.map(signed))
        .bind(&after.id.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    let change = signed_amount(after.held_micros - before.held_micros)?;
    if change == 0 {
        return Ok(());
    }
    keys::set_aside(tx, (after.account, after.key), (&after.auction.wanted.currency, change), now_ms).await
}

pub(super) async fn machines(store: &SqlStore, id: ReservationId) -> Result<Vec<MachineRow>, StoreError> {
    let rows = query(
        "SELECT m.node_id, m.place, m.is_next, m.state, l.session_id, l.work
           FROM reserved_machines m
           LEFT JOIN leases l ON l.reservation_id = m.reservation_id AND l.node_id = m.node_id AND l.ended_at_ms IS NULL
          WHERE m.reservation_id = $1 ORDER BY m.place",
    )
    .bind(&id.as_bytes()[..])
    .fetch_all(&store.readers)
    .await?;
    let machine = |row: &DbRow| {
        let stands_by = row.try_get::<Option<&str>, _>("work")? == Some(Work::Reserve.as_str());
        let session = maybe_id(row, "session_id")?.map(SessionId::from_bytes);
        Ok(MachineRow {
            node: NodeId::from_bytes(blob(row, "node_id")?),
            place: int(row, "place")?,
            is_next: int::<i64>(row, "is_next")? != 0,
            state: MachineState::parse(text(row, "state")?).ok_or(StoreError::Corrupt("state"))?,
            runs: session.map(|session| (session, stands_by)),
        })
    };
    rows.iter().map(machine).collect()
}

/// The machine's state; nobody else decides about its slots until the transaction ends.
async fn machine_state(
    tx: &mut Connection,
    id: ReservationId,
    node: NodeId,
) -> Result<Option<MachineState>, StoreError> {
    query("UPDATE nodes SET held_changes = held_changes + 1 WHERE id = $1")
        .bind(&node.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    let row = query("SELECT state FROM reserved_machines WHERE reservation_id = $1 AND node_id = $2")
        .bind(&id.as_bytes()[..])
        .bind(&node.as_bytes()[..])
        .fetch_optional(tx)
        .await?;
    row.map(|row| MachineState::parse(text(&row, "state")?).ok_or(StoreError::Corrupt("state"))).transpose()
}

async fn set_state(
    tx: &mut Connection,
    id: ReservationId,
    node: NodeId,
    state: MachineState,
) -> Result<(), StoreError> {
    query("UPDATE reserved_machines SET state = $1 WHERE reservation_id = $2 AND node_id = $3")
        .bind(state.as_str())
        .bind(&id.as_bytes()[..])
        .bind(&node.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(())
}

/// What runs on a machine for a reservation, and whether that stands by.
async fn running(
    tx: &mut Connection,
    id: ReservationId,
    node: NodeId,
) -> Result<Option<(SessionId, bool)>, StoreError> {
    let row = query(
        "SELECT session_id, work FROM leases WHERE reservation_id = $1 AND node_id = $2 AND ended_at_ms IS NULL",
    )
    .bind(&id.as_bytes()[..])
    .bind(&node.as_bytes()[..])
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        let stands_by = row.try_get::<Option<&str>, _>("work")? == Some(Work::Reserve.as_str());
        Ok((SessionId::from_bytes(blob(&row, "session_id")?), stands_by))
    })
    .transpose()
}

pub(super) async fn stand_by(store: &SqlStore, new: &NewStandBy) -> Result<Stood, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Reservation(new.reservation)).await?;
    let Some(row) = one(&mut *tx, new.reservation).await? else { return Ok(Stood::Already) };
    let state = machine_state(&mut tx, new.reservation, new.node).await?;
    let runs = running(&mut tx, new.reservation, new.node).await?;
    let is_open = matches!(state, Some(MachineState::Waiting | MachineState::Held));
    if !row.runs_at(new.now_ms) || !is_open || runs.is_some() {
        return Ok(Stood::Already);
    }
    if row.held_micros == 0 {
        return Ok(Stood::NoMoney);
    }
    if state == Some(MachineState::Waiting) {
        let done = query("UPDATE nodes SET held = held + 1 WHERE id = $1 AND held < slots")
            .bind(&new.node.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(Stood::Full);
        }
        set_state(&mut tx, new.reservation, new.node, MachineState::Held).await?;
    }
    let micros = row.standing_micros(new.now_ms, row.until_ms())?.min(row.held_micros);
    let session = new.session_of(&row);
    if !sessions::insert_session(&mut tx, &session).await? {
        return Ok(Stood::Already);
    }
    sessions::insert_lease(&mut tx, &session, Some(micros)).await?;
    let stood = sessions::one(&mut *tx, new.session).await?.ok_or(StoreError::Corrupt("id"))?;
    tx.commit().await?;
    Ok(Stood::New(Box::new(stood)))
}

/// Ends what stands by on a machine, so that a session takes its place; false: the machine is not the reservation's, or
/// a session plays there.
pub(super) async fn make_way(
    tx: &mut Connection,
    id: ReservationId,
    new: &NewSession,
) -> Result<bool, StoreError> {
    let row = one(&mut *tx, id).await?.filter(|row| row.runs_at(new.now_ms) && row.title == new.title);
    // Sessions are locked before the node's row, as where they end.
    let standing = running(tx, id, new.node).await?;
    if let Some((session, true)) = standing {
        lock(tx, Subject::Session(session)).await?;
    }
    let state = machine_state(tx, id, new.node).await?;
    if row.is_none() || state != Some(MachineState::Held) {
        return Ok(false);
    }
    match running(tx, id, new.node).await? {
        None => Ok(true),
        Some((session, true)) if standing == Some((session, true)) => {
            sessions::end_in(tx, session, EndReason::Preempted, new.now_ms).await?;
            Ok(true)
        }
        Some(_) => Ok(false),
    }
}

/// Gives the slot of something that ended under a reservation back, unless the reservation holds it.
pub(super) async fn give_slot(
    tx: &mut Connection,
    id: ReservationId,
    node: NodeId,
) -> Result<(), StoreError> {
    match machine_state(tx, id, node).await? {
        Some(MachineState::Held) => Ok(()),
        _ => sessions::give_slot(tx, node).await,
    }
}

pub(super) async fn let_go(
    store: &SqlStore,
    id: ReservationId,
    node: NodeId,
    gone: bool,
) -> Result<Option<HeldSlots>, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Reservation(id)).await?;
    let state = machine_state(&mut tx, id, node).await?;
    let runs = running(&mut tx, id, node).await?;
    // What stands by ends first: that is not let go of here.
    if matches!(runs, Some((_, true))) || !matches!(state, Some(MachineState::Waiting | MachineState::Held)) {
        return Ok(None);
    }
    set_state(&mut tx, id, node, if gone { MachineState::Gone } else { MachineState::Done }).await?;
    if state == Some(MachineState::Held) && runs.is_none() {
        sessions::give_slot(&mut tx, node).await?;
    }
    let row = query("SELECT held, held_changes FROM nodes WHERE id = $1")
        .bind(&node.as_bytes()[..])
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Some(HeldSlots { node, held: int(&row, "held")?, change: int(&row, "held_changes")? }))
}

pub(super) async fn cancel(
    store: &SqlStore,
    id: ReservationId,
    now_ms: u64,
) -> Result<Option<ReservationRow>, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Market).await?;
    lock(&mut tx, Subject::Reservation(id)).await?;
    let Some(row) = one(&mut *tx, id).await? else { return Ok(None) };
    let Some(mut after) = row.cancelled(now_ms) else { return Ok(Some(row)) };
    if after.state == ReservationState::Cancelled {
        after.held_micros = 0;
        query("UPDATE auctions SET closed_at_ms = coalesce(closed_at_ms, $1) WHERE id = $2")
            .bind(signed(now_ms))
            .bind(&row.auction.wanted.auction.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
        after.auction.closed_at_ms = after.auction.closed_at_ms.or(Some(now_ms));
    }
    write(&mut tx, &row, &after, now_ms).await?;
    tx.commit().await?;
    Ok(Some(after))
}

pub(super) async fn finish(store: &SqlStore, id: ReservationId, now_ms: u64) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Reservation(id)).await?;
    let Some(row) = one(&mut *tx, id).await? else { return Ok(false) };
    if row.state != ReservationState::Booked || now_ms < row.until_ms() {
        return Ok(false);
    }
    let held =
        query("SELECT count(*) AS held FROM reserved_machines WHERE reservation_id = $1 AND state = 'held'")
            .bind(&id.as_bytes()[..])
            .fetch_one(&mut *tx)
            .await?;
    if int::<u32>(&held, "held")? > 0 {
        return Ok(false);
    }
    // A receipt that is counted meanwhile may draw on it: what is left is read under the row's lock.
    let left = query("UPDATE reservations SET state = 'over' WHERE id = $1 RETURNING held_micros")
        .bind(&id.as_bytes()[..])
        .fetch_one(&mut *tx)
        .await?;
    let before = ReservationRow {
        held_micros: int::<i64>(&left, "held_micros")?.into(),
        state: ReservationState::Over,
        ..row
    };
    let after = ReservationRow { held_micros: 0, ..before.clone() };
    write(&mut tx, &before, &after, now_ms).await?;
    tx.commit().await?;
    Ok(true)
}

/// Counts what a lease that stands by sets aside or releases: out of what its reservation holds while that runs, and after
/// that in the budgets themselves.
pub(super) async fn draw(
    tx: &mut Connection,
    id: ReservationId,
    payer: (AccountId, Option<ApiKeyId>),
    (currency, change_micros): (&Currency, i64),
    now_ms: u64,
) -> Result<(), StoreError> {
    let done = query(
        "UPDATE reservations SET held_micros = held_micros - $1
          WHERE id = $2 AND state = 'booked' AND held_micros >= $1",
    )
    .bind(change_micros)
    .bind(&id.as_bytes()[..])
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    if change_micros > 0 {
        return Err(StoreError::OverBudget(SpendLimit::AccountBudget));
    }
    keys::set_aside(tx, payer, (currency, change_micros), now_ms).await
}

pub(super) async fn kept_ms(
    store: &SqlStore,
    id: ReservationId,
    during: &Range<u64>,
) -> Result<u64, StoreError> {
    let rows = query("SELECT started_at_ms, ended_at_ms FROM leases WHERE reservation_id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_all(&store.readers)
        .await?;
    let kept =
        |row: &DbRow| Ok(within_ms(during, int(row, "started_at_ms")?, maybe_int(row, "ended_at_ms")?));
    rows.iter().map(kept).sum()
}

pub(super) async fn stood_micros(store: &SqlStore, id: ReservationId) -> Result<i128, StoreError> {
    let row = query(
        "SELECT CAST(coalesce(sum(t.amount_micros), 0) AS BIGINT) AS stood FROM leases l
           JOIN transfers t ON t.lease_id = l.id AND t.kind = 'post' WHERE l.reservation_id = $1 AND l.work = 'reserve'",
    )
    .bind(&id.as_bytes()[..])
    .fetch_one(&store.readers)
    .await?;
    Ok(int::<i64>(&row, "stood")?.into())
}

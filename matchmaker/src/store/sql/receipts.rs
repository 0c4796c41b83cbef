//! Receipts and the journal.

use super::accounts::maybe_id;
use super::rows::{blob, int, maybe_int, signature, signed, signed_amount, tariff, title, transfer};
use super::{
    Connection, DbRow, Fate, Lock, Numbered, SqlStore, StoreError, Subject, Taken, budgets, lock,
    numbered_until, outbox, plans, sessions, within,
};
use crate::store::PostedRow;
use crate::store::account::{Entry, LeaseState, audit};
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_ledger::{Chain, Kind, LeaseAccount, Meter, Reservation, Terms, Transfer};
use nearframe_protocol::api::StoredReceipt;
use nearframe_protocol::receipt::{Receipt, ReceiptHash, SignedReceipt};
use nearframe_protocol::webhook::EventKind;
use nearframe_protocol::{AccountId, Generation, LeaseId, NodeId, PublicKey, SessionId};
use sqlx::query;

/// Accounts closed in one run; the rest waits for the next run of the job.
const CLOSE_AT_ONCE: u32 = 100;

const TRANSFER_COLUMNS: &str =
    "SELECT id, lease_id, kind, debit, credit, amount_micros, currency, key FROM transfers";

pub(super) async fn take(store: &SqlStore, signed: &SignedReceipt, now_ms: u64) -> Result<Taken, StoreError> {
    let signed = signed.clone();
    let locks = [Lock::Alone(Subject::Session(signed.receipt.session))];
    within(store, &locks, move |tx| Box::pin(async move { take_in(tx, &signed, now_ms).await })).await
}

async fn take_in(
    tx: &mut Connection,
    signed: &SignedReceipt,
    now_ms: u64,
) -> Result<Fate<Taken>, StoreError> {
    let receipt = &signed.receipt;
    let Some(lease) = lease_state(tx, receipt.session, receipt.generation).await? else {
        let message = "no such session or generation was ever leased here".to_owned();
        return Ok(Fate::Undo(Taken::Refused(message)));
    };
    let known = hash_of(tx, receipt.session, receipt.generation, receipt.sequence).await?;
    let entry = match lease.count(signed, known, now_ms)? {
        Ok(entry) => entry,
        Err(outcome) => return Ok(Fate::Undo(outcome)),
    };
    insert(tx, signed, &entry, now_ms).await?;
    for transfer in &entry.transfers {
        match append(tx, transfer, now_ms).await {
            // Nothing is committed: what the budget does not hold was never counted.
            Err(StoreError::OverBudget(limit)) => return Ok(Fate::Undo(Taken::OverBudget(limit))),
            appended => appended?,
        }
    }
    let posted_micros = lease.reservation.posted_micros + entry.bill.total_micros();
    plans::cover(tx, &lease.account, posted_micros, receipt.sequence, now_ms).await?;
    Ok(Fate::Keep(Taken::Counted { countersigned: entry.countersigned }))
}

async fn insert(
    tx: &mut Connection,
    signed_receipt: &SignedReceipt,
    entry: &Entry,
    now_ms: u64,
) -> Result<(), StoreError> {
    let receipt = &signed_receipt.receipt;
    query(
        "INSERT INTO receipts (session_id, generation, sequence, canonical, node_signature, player_signature,
                               countersigned, duration_us, billed_us, received_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&receipt.session.as_bytes()[..])
    .bind(i64::from(receipt.generation.0))
    .bind(i64::from(receipt.sequence))
    .bind(&receipt.canonical()[..])
    .bind(&signed_receipt.node_signature.as_bytes()[..])
    .bind(signed_receipt.player_signature.map(|signature| signature.as_bytes().to_vec()))
    .bind(i64::from(entry.countersigned))
    .bind(signed(receipt.duration_us))
    .bind(signed(entry.bill.billed_us))
    .bind(signed(now_ms))
    .execute(tx)
    .await?;
    Ok(())
}

/// Appends a transfer to the journal, within the budget of whoever pays. The budget comes last: its row is what others
/// wait for until the transaction ends.
pub(super) async fn append(tx: &mut Connection, transfer: &Transfer, now_ms: u64) -> Result<(), StoreError> {
    let amount = signed_amount(transfer.amount_micros)?;
    query(
        "INSERT INTO transfers (id, lease_id, kind, debit, credit, amount_micros, currency, key, at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&transfer.id.as_bytes()[..])
    .bind(&transfer.lease.as_bytes()[..])
    .bind(transfer.kind.as_str())
    .bind(transfer.debit.to_string())
    .bind(transfer.credit.to_string())
    .bind(amount)
    .bind(transfer.currency.as_str())
    .bind(&transfer.key)
    .bind(signed(now_ms))
    .execute(&mut *tx)
    .await?;
    budgets::count(tx, transfer, now_ms).await
}

/// A lease with the sums of its receipts and transfers.
pub(super) async fn lease_state(
    tx: &mut Connection,
    session: SessionId,
    generation: Generation,
) -> Result<Option<LeaseState>, StoreError> {
    let row = query(
        "SELECT l.id AS lease_id, l.session_id, l.generation, l.node_id, l.price_micros_per_hour, l.fee_permille,
                l.currency, l.account_id, l.started_at_ms, l.ended_at_ms, s.title, s.player_key, n.public_key,
                count(r.sequence) AS receipts,
                CAST(coalesce(sum(r.duration_us), 0) AS BIGINT) AS claimed_us,
                CAST(coalesce(sum(r.billed_us), 0) AS BIGINT) AS billed_us,
                CAST(coalesce(sum(r.billed_us * (1 - r.countersigned)), 0) AS BIGINT) AS unsigned_us
           FROM leases l
           JOIN sessions s ON s.id = l.session_id
           JOIN nodes n ON n.id = l.node_id
           LEFT JOIN receipts r ON r.session_id = l.session_id AND r.generation = l.generation
          WHERE l.session_id = $1 AND l.generation = $2
          GROUP BY l.id, s.id, n.id",
    )
    .bind(&session.as_bytes()[..])
    .bind(i64::from(generation.0))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let next_sequence: u32 = int(&row, "receipts")?;
    let head = match next_sequence.checked_sub(1) {
        Some(last) => hash_of(tx, session, generation, last).await?.ok_or(StoreError::Corrupt("sequence"))?,
        None => ReceiptHash::ZERO,
    };
    let lease = LeaseId::from_bytes(blob(&row, "lease_id")?);
    let reservation = reservation(tx, lease).await?;
    let chain = Chain { next_sequence, head, claimed_us: int(&row, "claimed_us")? };
    let (account, terms) = account_and_terms(&row)?;
    let meter = Meter { billed_us: int(&row, "billed_us")?, unsigned_us: int(&row, "unsigned_us")? };
    Ok(Some(LeaseState { terms, account, chain, meter, reservation }))
}

/// Who stands on either side of a lease, and what it says about its receipts.
pub(super) fn account_and_terms(row: &DbRow) -> Result<(LeaseAccount, Terms), StoreError> {
    let terms = Terms {
        session: SessionId::from_bytes(blob(row, "session_id")?),
        generation: Generation(int(row, "generation")?),
        node_key: PublicKey::from_bytes(blob(row, "public_key")?),
        player_key: PublicKey::from_bytes(blob(row, "player_key")?),
        started_at_ms: int(row, "started_at_ms")?,
        ended_at_ms: maybe_int(row, "ended_at_ms")?,
    };
    let account = LeaseAccount {
        lease: LeaseId::from_bytes(blob(row, "lease_id")?),
        title: title(row)?,
        payer: maybe_id(row, "account_id")?.map(AccountId::from_bytes),
        node: NodeId::from_bytes(blob(row, "node_id")?),
        tariff: tariff(row)?,
    };
    Ok((account, terms))
}

async fn reservation(tx: &mut Connection, lease: LeaseId) -> Result<Reservation, StoreError> {
    let rows =
        query("SELECT kind, CAST(sum(amount_micros) AS BIGINT) AS amount FROM transfers WHERE lease_id = $1 GROUP BY kind")
            .bind(&lease.as_bytes()[..])
            .fetch_all(tx)
            .await?;
    let mut sums = Reservation::default();
    for row in &rows {
        let sum = match Kind::parse(super::rows::text(row, "kind")?) {
            Some(Kind::Pending) => &mut sums.pending_micros,
            Some(Kind::Post) => &mut sums.posted_micros,
            Some(Kind::Void) => &mut sums.voided_micros,
            None => return Err(StoreError::Corrupt("kind")),
        };
        *sum = int::<i64>(row, "amount")?.into();
    }
    Ok(sums)
}

async fn hash_of(
    tx: &mut Connection,
    session: SessionId,
    generation: Generation,
    sequence: u32,
) -> Result<Option<ReceiptHash>, StoreError> {
    let row =
        query("SELECT canonical FROM receipts WHERE session_id = $1 AND generation = $2 AND sequence = $3")
            .bind(&session.as_bytes()[..])
            .bind(i64::from(generation.0))
            .bind(i64::from(sequence))
            .fetch_optional(tx)
            .await?;
    row.map(|row| Ok(parse(&row)?.hash())).transpose()
}

fn parse(row: &DbRow) -> Result<Receipt, StoreError> {
    use sqlx::Row;
    Receipt::parse(row.try_get("canonical")?).map_err(|_| StoreError::Corrupt("canonical"))
}

pub(super) async fn of_session(
    store: &SqlStore,
    session: SessionId,
    offset: u32,
    limit: u32,
) -> Result<Vec<StoredReceipt>, StoreError> {
    let rows = query(
        "SELECT canonical, node_signature, player_signature, countersigned, received_at_ms FROM receipts
          WHERE session_id = $1 ORDER BY generation, sequence LIMIT $2 OFFSET $3",
    )
    .bind(&session.as_bytes()[..])
    .bind(i64::from(limit))
    .bind(i64::from(offset))
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(stored).collect()
}

/// A row of `canonical`, both signatures, `countersigned` and `received_at_ms`.
pub(super) fn stored(row: &DbRow) -> Result<StoredReceipt, StoreError> {
    let node_signature = signature(row, "node_signature")?.ok_or(StoreError::Corrupt("node_signature"))?;
    let player_signature = signature(row, "player_signature")?;
    Ok(StoredReceipt {
        signed: SignedReceipt { receipt: parse(row)?, node_signature, player_signature },
        received_at_ms: int(row, "received_at_ms")?,
        countersigned: int::<i64>(row, "countersigned")? != 0,
    })
}

pub(super) async fn close_accounts(store: &SqlStore, now_ms: u64) -> Result<u32, StoreError> {
    let due = query(
        "SELECT session_id, generation FROM leases
          WHERE closed_at_ms IS NULL AND ended_at_ms < $1 ORDER BY ended_at_ms LIMIT $2",
    )
    .bind(signed(now_ms.saturating_sub(LATE_WINDOW_MS)))
    .bind(i64::from(CLOSE_AT_ONCE))
    .fetch_all(&store.readers)
    .await?;
    let mut closed = 0;
    for row in &due {
        let session = SessionId::from_bytes(blob(row, "session_id")?);
        match close_account(store, session, Generation(int(row, "generation")?), now_ms).await {
            Ok(()) => closed += 1,
            Err(error @ StoreError::Unbalanced(_)) => tracing::error!(%error, %session, "not closed"),
            Err(error) => return Err(error),
        }
    }
    Ok(closed)
}

async fn close_account(
    store: &SqlStore,
    session: SessionId,
    generation: Generation,
    now_ms: u64,
) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Session(session)).await?;
    let lease = lease_state(&mut tx, session, generation).await?.ok_or(StoreError::Corrupt("session_id"))?;
    if let Some(release) = lease.at_close()? {
        append(&mut tx, &release, now_ms).await?;
    }
    let id = lease.account.lease;
    audit(&transfers_of(&mut tx, id).await?)?;
    query("UPDATE leases SET closed_at_ms = $1 WHERE id = $2")
        .bind(signed(now_ms))
        .bind(&id.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    let row = sessions::one(&mut *tx, session).await?.ok_or(StoreError::Corrupt("session_id"))?;
    // A session that moved is billed when its last lease is.
    if row.lease == id {
        outbox::session(&mut tx, EventKind::SessionBilled, now_ms, &row).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// A lease's transfers, in writing order.
pub(super) async fn transfers_of(tx: &mut Connection, lease: LeaseId) -> Result<Vec<Transfer>, StoreError> {
    let sql = format!("{TRANSFER_COLUMNS} WHERE lease_id = $1 ORDER BY seq");
    let rows = query(&sql).bind(&lease.as_bytes()[..]).fetch_all(tx).await?;
    rows.iter().map(transfer).collect()
}

pub(super) async fn posted_after(
    store: &SqlStore,
    after: u64,
    limit: u32,
) -> Result<Vec<PostedRow>, StoreError> {
    let rows = query(
        "SELECT seq, id, lease_id, kind, debit, credit, amount_micros, currency, key FROM transfers
          WHERE seq > $1 AND seq <= $3 AND kind = 'post' ORDER BY seq LIMIT $2",
    )
    .bind(signed(after))
    .bind(i64::from(limit))
    .bind(numbered_until(store, Numbered::Transfers).await?)
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(|row| Ok(PostedRow { seq: int(row, "seq")?, transfer: transfer(row)? })).collect()
}

pub(super) async fn journal(store: &SqlStore) -> Result<Vec<Transfer>, StoreError> {
    let sql = format!("{TRANSFER_COLUMNS} ORDER BY seq");
    query(&sql).fetch_all(&store.readers).await?.iter().map(transfer).collect()
}

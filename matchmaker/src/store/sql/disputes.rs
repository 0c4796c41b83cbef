//! Disputes, and the entries that pay back.

use super::accounts::maybe_id;
use super::rows::{among, blob, currency, int, maybe_int, signed, signed_amount, text, title};
use super::{
    Connection, DbRow, Fate, Numbered, SqlStore, StoreError, Subject, budgets, lock, numbered_until, plans,
    within,
};
use crate::store::PostedRow;
use crate::store::deeds::{actor_text, parse_actor};
use crate::store::plans::Refund;
use crate::store::trust::{CorrectionRow, Decided, DisputeRow, Opened, Settling};
use nearframe_ledger::chain::LATE_WINDOW_MS;
use nearframe_ledger::settlement::Totals;
use nearframe_ledger::{Account, Kind, Transfer};
use nearframe_protocol::trust::Party;
use nearframe_protocol::{AccountId, CaseId, DisputeId, LeaseId, NodeId, SessionId, TransferId};
use nearframe_trust::dispute::Paid;
use sqlx::query;
use std::collections::BTreeMap;

const COLUMNS: &str =
    "SELECT id, session_id, party, reason, evidence, case_id, opened_at_ms, refund_permille, note, actor,
    decided_at_ms FROM disputes";
const CORRECTIONS: &str = "SELECT c.seq, c.id, c.dispute_id, c.lease_id, c.debit, c.credit, c.amount_micros,
    c.currency, c.key, c.at_ms, d.session_id FROM corrections c JOIN disputes d ON d.id = c.dispute_id";

fn party_text(party: Party) -> &'static str {
    match party {
        Party::Player => "player",
        Party::Studio => "studio",
        Party::Host => "host",
        Party::Operator => "operator",
    }
}

fn dispute(row: &DbRow) -> Result<DisputeRow, StoreError> {
    let party = text(row, "party")?;
    let parties = [Party::Player, Party::Studio, Party::Host, Party::Operator];
    let settled = match maybe_int(row, "decided_at_ms")? {
        None => None,
        Some(at_ms) => Some(Settling {
            refund_permille: int(row, "refund_permille")?,
            note: text(row, "note")?.to_owned(),
            actor: parse_actor(text(row, "actor")?).ok_or(StoreError::Corrupt("actor"))?,
            at_ms,
        }),
    };
    Ok(DisputeRow {
        id: DisputeId::from_bytes(blob(row, "id")?),
        session: SessionId::from_bytes(blob(row, "session_id")?),
        party: parties.into_iter().find(|it| party_text(*it) == party).ok_or(StoreError::Corrupt("party"))?,
        reason: text(row, "reason")?.to_owned(),
        evidence: text(row, "evidence")?.to_owned(),
        case: maybe_id(row, "case_id")?.map(CaseId::from_bytes),
        opened_at_ms: int(row, "opened_at_ms")?,
        settled,
    })
}

pub(super) async fn open(store: &SqlStore, new: &DisputeRow) -> Result<Opened, StoreError> {
    let new = new.clone();
    within(store, &[], move |tx| Box::pin(async move { Ok(Fate::Keep(open_in(tx, &new).await?)) })).await
}

pub(super) async fn open_in(tx: &mut Connection, new: &DisputeRow) -> Result<Opened, StoreError> {
    let done = query(
        "INSERT INTO disputes (id, session_id, party, reason, evidence, case_id, opened_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (session_id, party) DO NOTHING",
    )
    .bind(&new.id.as_bytes()[..])
    .bind(&new.session.as_bytes()[..])
    .bind(party_text(new.party))
    .bind(&new.reason)
    .bind(&new.evidence)
    .bind(new.case.map(|id| id.as_bytes().to_vec()))
    .bind(signed(new.opened_at_ms))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Opened::Now(new.clone()));
    }
    let sql = format!("{COLUMNS} WHERE session_id = $1 AND party = $2");
    let row = query(&sql).bind(&new.session.as_bytes()[..]).bind(party_text(new.party)).fetch_one(tx).await?;
    Ok(Opened::Again(dispute(&row)?))
}

pub(super) async fn list(
    store: &SqlStore,
    open: bool,
    after: Option<DisputeId>,
    limit: u32,
) -> Result<Vec<DisputeRow>, StoreError> {
    let sql = format!(
        "{COLUMNS} WHERE ($1 = 0 OR decided_at_ms IS NULL) AND ($2 IS NULL OR EXISTS (SELECT 1 FROM disputes a
            WHERE a.id = $2 AND (disputes.opened_at_ms < a.opened_at_ms
               OR (disputes.opened_at_ms = a.opened_at_ms AND disputes.id < a.id))))
          ORDER BY opened_at_ms DESC, id DESC LIMIT $3"
    );
    let rows = query(&sql)
        .bind(i64::from(open))
        .bind(after.map(|id| id.as_bytes().to_vec()))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(dispute).collect()
}

pub(super) async fn of_session(store: &SqlStore, session: SessionId) -> Result<Vec<DisputeRow>, StoreError> {
    let sql = format!("{COLUMNS} WHERE session_id = $1 ORDER BY opened_at_ms, id");
    query(&sql).bind(&session.as_bytes()[..]).fetch_all(&store.readers).await?.iter().map(dispute).collect()
}

pub(super) async fn decide(
    store: &SqlStore,
    id: DisputeId,
    settling: &Settling,
) -> Result<Decided<DisputeRow>, StoreError> {
    let settling = settling.clone();
    within(store, &[], move |tx| Box::pin(async move { decide_in(tx, id, &settling).await })).await
}

async fn decide_in(
    tx: &mut Connection,
    id: DisputeId,
    settling: &Settling,
) -> Result<Fate<Decided<DisputeRow>>, StoreError> {
    let sql = format!("{COLUMNS} WHERE id = $1");
    let read = |row: Option<DbRow>| row.as_ref().map(dispute).transpose();
    let found = read(query(&sql).bind(&id.as_bytes()[..]).fetch_optional(&mut *tx).await?)?;
    let Some(found) = found else { return Ok(Fate::Undo(Decided::Unknown)) };
    // Nothing of what was paid is credited meanwhile.
    lock(tx, Subject::Refunds).await?;
    lock(tx, Subject::Session(found.session)).await?;
    // Read again: another may have decided before the lock was ours.
    let row = read(query(&sql).bind(&id.as_bytes()[..]).fetch_optional(&mut *tx).await?)?;
    let row = row.ok_or(StoreError::Corrupt("id"))?;
    if let Some(before) = &row.settled {
        let same = before.refund_permille == settling.refund_permille;
        return Ok(Fate::Undo(if same { Decided::Again(row) } else { Decided::Otherwise(row) }));
    }
    let leases = paid(tx, row.session).await?;
    let leases = match leases {
        Ok(leases) => leases,
        Err(until_ms) => return Ok(Fate::Undo(Decided::TooEarly(until_ms))),
    };
    query(
        "UPDATE disputes SET refund_permille = $1, note = $2, actor = $3, decided_at_ms = $4 WHERE id = $5",
    )
    .bind(i64::from(settling.refund_permille))
    .bind(&settling.note)
    .bind(actor_text(&settling.actor))
    .bind(signed(settling.at_ms))
    .bind(&id.as_bytes()[..])
    .execute(&mut *tx)
    .await?;
    for paid in leases {
        let entries = paid.refund(id, settling.refund_permille, crate::random::transfer_id)?;
        for entry in &entries {
            correct(tx, id, entry, settling.at_ms).await?;
        }
        free(tx, id, &paid, &entries, settling.at_ms).await?;
    }
    Ok(Fate::Keep(Decided::Now(DisputeRow { settled: Some(settling.clone()), ..row })))
}

/// What each lease of a session has paid; when receipts can come no more, where they still can.
async fn paid(tx: &mut Connection, session: SessionId) -> Result<Result<Vec<Paid>, u64>, StoreError> {
    let rows = query(
        "SELECT l.id AS lease_id, l.account_id, l.currency, l.ended_at_ms, l.closed_at_ms, s.title
           FROM leases l JOIN sessions s ON s.id = l.session_id WHERE l.session_id = $1 ORDER BY l.generation",
    )
    .bind(&session.as_bytes()[..])
    .fetch_all(&mut *tx)
    .await?;
    let mut leases = Vec::with_capacity(rows.len());
    for row in &rows {
        if maybe_int::<u64>(row, "closed_at_ms")?.is_none() {
            let ended: Option<u64> = maybe_int(row, "ended_at_ms")?;
            return Ok(Err(ended.map_or(0, |ended| ended + LATE_WINDOW_MS)));
        }
        let lease = LeaseId::from_bytes(blob(row, "lease_id")?);
        let payer = maybe_id(row, "account_id")?.map(AccountId::from_bytes);
        let debtor = match payer {
            Some(account) => Account::Customer(account),
            None => Account::Studio(title(row)?),
        };
        let sums = query(
            "SELECT account, CAST(sum(amount_micros) AS BIGINT) AS amount_micros FROM (
                SELECT credit AS account, amount_micros FROM transfers WHERE lease_id = $1 AND kind = 'post'
                UNION ALL SELECT debit AS account, -amount_micros FROM corrections WHERE lease_id = $1
                UNION ALL SELECT credit AS account, amount_micros FROM corrections
                           WHERE lease_id = $1 AND credit = 'platform'
                UNION ALL SELECT CASE WHEN c.debit LIKE 'host:%' THEN c.debit ELSE 'platform' END AS account, -s.amount_micros
                            FROM credit_shares s JOIN credits c ON c.key = s.key WHERE s.lease_id = $1) p
              GROUP BY account",
        )
        .bind(&lease.as_bytes()[..])
        .fetch_all(&mut *tx)
        .await?;
        let mut to = BTreeMap::new();
        for sum in &sums {
            let account: Account =
                text(sum, "account")?.parse().map_err(|_| StoreError::Corrupt("credit"))?;
            to.insert(account, int::<i64>(sum, "amount_micros")?.into());
        }
        let before = query(
            "SELECT CAST(coalesce(sum(amount_micros), 0) AS BIGINT) AS amount_micros FROM corrections
              WHERE lease_id = $1 AND credit <> 'platform'",
        )
        .bind(&lease.as_bytes()[..])
        .fetch_one(&mut *tx)
        .await?;
        let before_micros = int::<i64>(&before, "amount_micros")?.into();
        leases.push(Paid { lease, debtor, to, before_micros, currency: currency(row)? });
    }
    Ok(Ok(leases))
}

async fn correct(
    tx: &mut Connection,
    dispute: DisputeId,
    entry: &Transfer,
    at_ms: u64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO corrections (id, dispute_id, lease_id, debit, credit, amount_micros, currency, key, at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&entry.id.as_bytes()[..])
    .bind(&dispute.as_bytes()[..])
    .bind(&entry.lease.as_bytes()[..])
    .bind(entry.debit.to_string())
    .bind(entry.credit.to_string())
    .bind(signed_amount(entry.amount_micros)?)
    .bind(entry.currency.as_str())
    .bind(&entry.key)
    .bind(signed(at_ms))
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// What is paid back may be spent again, except for what a subscription had covered.
async fn free(
    tx: &mut Connection,
    dispute: DisputeId,
    paid: &Paid,
    entries: &[Transfer],
    at_ms: u64,
) -> Result<(), StoreError> {
    let (first, back_micros) = match entries.first() {
        Some(first) if paid.back_micros(entries) > 0 => (first, paid.back_micros(entries)),
        _ => return Ok(()),
    };
    let row = query(
        "SELECT account_id, key_id, cover_us, cover_current_us, cover_from_ms, cover_micros,
                (SELECT CAST(sum(t.amount_micros) AS BIGINT) FROM transfers t
                  WHERE t.lease_id = l.id AND t.kind = 'post') AS posted_micros
           FROM leases l WHERE l.id = $1",
    )
    .bind(&paid.lease.as_bytes()[..])
    .fetch_one(&mut *tx)
    .await?;
    let cover = plans::cover_of(&row)?;
    let payer = maybe_id(&row, "account_id")?.zip(maybe_id(&row, "key_id")?);
    let Some((account, key)) = payer.filter(|_| cover.posted_micros > 0) else {
        let freed = Transfer {
            kind: Kind::Void,
            debit: paid.debtor.clone(),
            credit: first.debit.clone(),
            amount_micros: back_micros,
            ..first.clone()
        };
        return budgets::count(tx, &freed, at_ms).await;
    };
    let posted_micros: i128 = int::<i64>(&row, "posted_micros")?.into();
    let refund = Refund {
        dispute,
        lease: paid.lease,
        account: AccountId::from_bytes(account),
        currency: &paid.currency,
        posted_micros,
        before_micros: paid.before_micros,
        back_micros,
        at_ms,
    };
    plans::pay_back(tx, &refund, (&cover, &key)).await
}

fn entry(row: &DbRow) -> Result<Transfer, StoreError> {
    let account = |column| text(row, column)?.parse().map_err(|_| StoreError::Corrupt(column));
    Ok(Transfer {
        id: TransferId::from_bytes(blob(row, "id")?),
        lease: LeaseId::from_bytes(blob(row, "lease_id")?),
        kind: Kind::Post,
        debit: account("debit")?,
        credit: account("credit")?,
        amount_micros: int::<i64>(row, "amount_micros")?.into(),
        currency: currency(row)?,
        key: text(row, "key")?.to_owned(),
    })
}

pub(super) async fn corrections_of(
    store: &SqlStore,
    session: SessionId,
) -> Result<Vec<CorrectionRow>, StoreError> {
    let sql = format!("{CORRECTIONS} WHERE d.session_id = $1 ORDER BY c.seq");
    let rows = query(&sql).bind(&session.as_bytes()[..]).fetch_all(&store.readers).await?;
    let correction = |row: &DbRow| {
        let dispute = DisputeId::from_bytes(blob(row, "dispute_id")?);
        Ok(CorrectionRow { dispute, session, transfer: entry(row)?, at_ms: int(row, "at_ms")? })
    };
    rows.iter().map(correction).collect()
}

pub(super) async fn corrections_after(
    store: &SqlStore,
    after: u64,
    limit: u32,
) -> Result<Vec<PostedRow>, StoreError> {
    let sql = format!("{CORRECTIONS} WHERE c.seq > $1 AND c.seq <= $3 ORDER BY c.seq LIMIT $2");
    let until = numbered_until(store, Numbered::Corrections).await?;
    let rows = query(&sql).bind(signed(after)).bind(i64::from(limit)).bind(until).fetch_all(&store.readers);
    let rows = rows.await?;
    rows.iter().map(|row| Ok(PostedRow { seq: int(row, "seq")?, transfer: entry(row)? })).collect()
}

pub(super) async fn corrected(store: &SqlStore, hosts: Option<&[NodeId]>) -> Result<Totals, StoreError> {
    let among = among("debit", hosts, 1);
    let sql = format!(
        "SELECT debit, currency, CAST(sum(amount_micros) AS BIGINT) AS amount_micros FROM corrections
          WHERE debit LIKE 'host:%'{among} GROUP BY debit, currency"
    );
    let mut asked = query(&sql);
    for host in hosts.into_iter().flatten() {
        asked = asked.bind(Account::Host(*host).to_string());
    }
    let rows = asked.fetch_all(&store.readers).await?;
    let total = |row: &DbRow| match text(row, "debit")?.parse() {
        Ok(Account::Host(host)) => Ok(((host, currency(row)?), int::<i64>(row, "amount_micros")?.into())),
        _ => Err(StoreError::Corrupt("debit")),
    };
    rows.iter().map(total).collect()
}

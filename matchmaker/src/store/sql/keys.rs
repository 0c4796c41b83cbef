//! Keys, what they and their accounts may spend, and what accounts own.

use super::accounts::{maybe_id, purse};
use super::outbox::{self, Place};
use super::rows::{blob, int, maybe_int, signed, signed_amount, text};
use super::{Connection, DbRow, SqlStore, StoreError, Subject, lock, market, plans};
use crate::store::Hash;
use crate::store::accounts::{Holding, KeyRow, LISTED, MOST_KEYS, USE_NOTED_MS};
use nearframe_ledger::Transfer;
use nearframe_protocol::account::Scope;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{AccountId, ApiKeyId, Currency, MemberId, ReservationId, SpendLimit};
use sqlx::{Row, query};

const KEY_COLUMNS: &str =
    "SELECT id, account_id, name, prefix, scopes, created_at_ms, created_by, expires_at_ms,
    revoked_at_ms, last_used_ms, currency, limit_micros, committed_micros FROM api_keys";

fn key(row: &DbRow) -> Result<KeyRow, StoreError> {
    let scopes = text(row, "scopes")?.split(' ').map(Scope::parse).collect::<Option<_>>();
    Ok(KeyRow {
        id: ApiKeyId::from_bytes(blob(row, "id")?),
        account: AccountId::from_bytes(blob(row, "account_id")?),
        name: text(row, "name")?.to_owned(),
        prefix: text(row, "prefix")?.to_owned(),
        scopes: scopes.ok_or(StoreError::Corrupt("scopes"))?,
        created_at_ms: int(row, "created_at_ms")?,
        created_by: maybe_id(row, "created_by")?.map(MemberId::from_bytes),
        expires_at_ms: maybe_int(row, "expires_at_ms")?,
        revoked_at_ms: maybe_int(row, "revoked_at_ms")?,
        last_used_ms: maybe_int(row, "last_used_ms")?,
        purse: purse(row)?,
    })
}

pub(super) async fn add(store: &SqlStore, row: &KeyRow, secret: Hash) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Keys(row.account)).await?;
    let scopes: Vec<_> = row.scopes.iter().map(|scope| scope.as_str()).collect();
    query(
        "INSERT INTO api_keys (id, account_id, secret_hash, name, prefix, scopes, created_at_ms, created_by,
                               expires_at_ms, currency, limit_micros)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&row.id.as_bytes()[..])
    .bind(&row.account.as_bytes()[..])
    .bind(&secret[..])
    .bind(&row.name)
    .bind(&row.prefix)
    .bind(scopes.join(" "))
    .bind(signed(row.created_at_ms))
    .bind(row.created_by.map(|member| member.as_bytes().to_vec()))
    .bind(row.expires_at_ms.map(signed))
    .bind(row.purse.currency.as_str())
    .bind(row.purse.limit_micros.map(signed_amount).transpose()?)
    .execute(&mut *tx)
    .await?;
    let live = query("SELECT count(*) AS live FROM api_keys WHERE account_id = $1 AND revoked_at_ms IS NULL")
        .bind(&row.account.as_bytes()[..])
        .fetch_one(&mut *tx)
        .await?;
    if int::<u32>(&live, "live")? > MOST_KEYS {
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

pub(super) async fn of_account(store: &SqlStore, account: AccountId) -> Result<Vec<KeyRow>, StoreError> {
    let sql = format!("{KEY_COLUMNS} WHERE account_id = $1 ORDER BY created_at_ms DESC, id DESC LIMIT $2");
    let rows = query(&sql).bind(&account.as_bytes()[..]).bind(i64::from(LISTED)).fetch_all(&store.readers);
    rows.await?.iter().map(key).collect()
}

pub(super) async fn of_secret(store: &SqlStore, secret: Hash) -> Result<Option<KeyRow>, StoreError> {
    let sql = format!("{KEY_COLUMNS} WHERE secret_hash = $1");
    query(&sql).bind(&secret[..]).fetch_optional(&store.readers).await?.as_ref().map(key).transpose()
}

pub(super) async fn note_use(store: &SqlStore, id: ApiKeyId, now_ms: u64) -> Result<(), StoreError> {
    query("UPDATE api_keys SET last_used_ms = $1 WHERE id = $2 AND (last_used_ms IS NULL OR last_used_ms <= $3)")
        .bind(signed(now_ms))
        .bind(&id.as_bytes()[..])
        .bind(signed(now_ms.saturating_sub(USE_NOTED_MS)))
        .execute(&store.writer)
        .await?;
    Ok(())
}

pub(super) async fn set_limit(
    store: &SqlStore,
    account: AccountId,
    id: ApiKeyId,
    limit_micros: Option<i128>,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE api_keys SET limit_micros = $1, low_told_ms = NULL, exhausted_told_ms = NULL
          WHERE id = $2 AND account_id = $3",
    )
    .bind(limit_micros.map(signed_amount).transpose()?)
    .bind(&id.as_bytes()[..])
    .bind(&account.as_bytes()[..])
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn revoke(
    store: &SqlStore,
    account: AccountId,
    id: ApiKeyId,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE api_keys SET revoked_at_ms = coalesce(revoked_at_ms, $1) WHERE id = $2 AND account_id = $3",
    )
    .bind(signed(now_ms))
    .bind(&id.as_bytes()[..])
    .bind(&account.as_bytes()[..])
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts what a transfer of a lease sets aside or releases for its account and its key, in this order, beyond what the
/// account's subscription includes; refuses what one of them does not hold. Both rows stay locked until the transaction ends, so that no two decide by one balance,
/// and a key that was revoked sets nothing aside any more.
pub(super) async fn count(
    tx: &mut Connection,
    account: AccountId,
    transfer: &Transfer,
    change_micros: i64,
    now_ms: u64,
) -> Result<(), StoreError> {
    let sql = "
        SELECT l.key_id, k.revoked_at_ms, l.price_micros_per_hour, l.fee_permille, l.currency, l.work, l.reservation_id,
               l.cover_us, l.cover_current_us, l.cover_from_ms, l.cover_micros, p.account_id AS subscriber,
               (SELECT CAST(coalesce(sum(CASE t.kind WHEN 'pending' THEN t.amount_micros
                                                     WHEN 'void' THEN -t.amount_micros ELSE 0 END), 0) AS BIGINT)
                  FROM transfers t WHERE t.lease_id = l.id) AS committed_micros
          FROM leases l
          LEFT JOIN api_keys k ON k.id = l.key_id
          LEFT JOIN subscriptions p ON p.account_id = l.account_id AND p.ended_at_ms IS NULL
         WHERE l.id = $1";
    let row = query(sql).bind(&transfer.lease.as_bytes()[..]).fetch_one(&mut *tx).await?;
    let key = maybe_id(&row, "key_id")?.map(ApiKeyId::from_bytes);
    if row.try_get::<Option<&str>, _>("work")? == Some(Work::Reserve.as_str()) {
        let reservation = ReservationId::from_bytes(blob(&row, "reservation_id")?);
        return market::draw(tx, reservation, (account, key), (&transfer.currency, change_micros), now_ms)
            .await;
    }
    let revoked = maybe_int::<u64>(&row, "revoked_at_ms")?.is_some();
    if change_micros == 0 && !revoked {
        return Ok(());
    }
    let is_release = change_micros < 0;
    let change_micros = plans::count(tx, &row, (account, transfer), change_micros, now_ms).await?;
    if change_micros == 0 && (is_release || !revoked) {
        return Ok(());
    }
    set_aside(tx, (account, key), (&transfer.currency, change_micros), now_ms).await
}

/// Sets an amount aside in the budgets of an account and of a key, or frees it there; refuses what one of them does not
/// hold.
pub(super) async fn set_aside(
    tx: &mut Connection,
    (account, key): (AccountId, Option<ApiKeyId>),
    (currency, change_micros): (&Currency, i64),
    now_ms: u64,
) -> Result<(), StoreError> {
    let fits =
        "($1 <= 0 OR (currency = $3 AND (limit_micros IS NULL OR committed_micros + $1 <= limit_micros)))";
    let stands = "RETURNING limit_micros, committed_micros, low_told_ms";
    let of_account = format!(
        "UPDATE accounts SET committed_micros = committed_micros + $1 WHERE id = $2 AND {fits} {stands}"
    );
    let of_key = format!(
        "UPDATE api_keys SET committed_micros = committed_micros + $1
          WHERE id = $2 AND {fits} AND ($1 < 0 OR revoked_at_ms IS NULL) {stands}"
    );
    let by_account = (of_account, *account.as_bytes(), Place::Account(account), SpendLimit::AccountBudget);
    let by_key = key.map(|key| (of_key, *key.as_bytes(), Place::Key(account, key), SpendLimit::KeyBudget));
    for (sql, id, place, limit) in std::iter::once(by_account).chain(by_key) {
        let row = query(&sql)
            .bind(change_micros)
            .bind(&id[..])
            .bind(currency.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        let row = row.ok_or(StoreError::OverBudget(limit))?;
        if change_micros > 0 {
            outbox::low(tx, &row, place, currency, now_ms).await?;
        }
    }
    Ok(())
}

pub(super) async fn set_owner(
    store: &SqlStore,
    holding: &Holding,
    account: Option<AccountId>,
) -> Result<(), StoreError> {
    let (kind, subject) = holding.words();
    let Some(account) = account else {
        query("DELETE FROM owners WHERE kind = $1 AND subject = $2")
            .bind(kind)
            .bind(subject)
            .execute(&store.writer)
            .await?;
        return Ok(());
    };
    query(
        "INSERT INTO owners (kind, subject, account_id) VALUES ($1, $2, $3)
         ON CONFLICT (kind, subject) DO UPDATE SET account_id = $3",
    )
    .bind(kind)
    .bind(subject)
    .bind(&account.as_bytes()[..])
    .execute(&store.writer)
    .await?;
    Ok(())
}

pub(super) async fn owner(store: &SqlStore, holding: &Holding) -> Result<Option<AccountId>, StoreError> {
    let (kind, subject) = holding.words();
    let row = query("SELECT account_id FROM owners WHERE kind = $1 AND subject = $2")
        .bind(kind)
        .bind(subject)
        .fetch_optional(&store.readers)
        .await?;
    row.map(|row| Ok(AccountId::from_bytes(blob(&row, "account_id")?))).transpose()
}

pub(super) async fn holdings(store: &SqlStore, account: AccountId) -> Result<Vec<Holding>, StoreError> {
    let rows =
        query("SELECT kind, subject FROM owners WHERE account_id = $1 ORDER BY kind, subject LIMIT $2")
            .bind(&account.as_bytes()[..])
            .bind(i64::from(LISTED))
            .fetch_all(&store.readers)
            .await?;
    let holding = |row: &DbRow| {
        Holding::parse(text(row, "kind")?, text(row, "subject")?).ok_or(StoreError::Corrupt("subject"))
    };
    rows.iter().map(holding).collect()
}

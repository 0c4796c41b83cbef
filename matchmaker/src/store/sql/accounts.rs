//! Accounts, their members and how those sign in.

use super::rows::{blob, currency, int, maybe_int, signed, signed_amount, text};
use super::{Connection, DbRow, SqlStore, StoreError, Subject, lock, sign_in};
use crate::store::Hash;
use crate::store::accounts::{
    AccountRow, Arrival, Arrived, Changed, LISTED, LinkRow, MOST_MEMBERS, MemberRow, Purse,
};
use crate::store::sign_in::{Added, IdentityRow, NewCookie};
use nearframe_protocol::account::{AccountKind, MemberRole};
use nearframe_protocol::{AccountId, MemberId};
use nearframe_trust::seen::Mark;
use sqlx::{Row, query};

pub(super) const ACCOUNT_FIELDS: &str =
    "a.id, a.kind, a.name, a.created_at_ms, a.currency, a.limit_micros, a.committed_micros";
pub(super) const MEMBER_COLUMNS: &str =
    "SELECT m.id AS member_id, m.account_id, m.name AS member_name, m.role, m.joined_at_ms";

/// A row with `currency`, `limit_micros` and `committed_micros`.
pub(super) fn purse(row: &DbRow) -> Result<Purse, StoreError> {
    Ok(Purse {
        currency: currency(row)?,
        limit_micros: maybe_int::<i64>(row, "limit_micros")?.map(i128::from),
        committed_micros: int::<i64>(row, "committed_micros")?.into(),
    })
}

pub(super) fn account(row: &DbRow) -> Result<AccountRow, StoreError> {
    Ok(AccountRow {
        id: AccountId::from_bytes(blob(row, "id")?),
        kind: AccountKind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))?,
        name: text(row, "name")?.to_owned(),
        created_at_ms: int(row, "created_at_ms")?,
        purse: purse(row)?,
    })
}

fn role(row: &DbRow) -> Result<MemberRole, StoreError> {
    MemberRole::parse(text(row, "role")?).ok_or(StoreError::Corrupt("role"))
}

pub(super) fn member(row: &DbRow) -> Result<MemberRow, StoreError> {
    Ok(MemberRow {
        id: MemberId::from_bytes(blob(row, "member_id")?),
        account: AccountId::from_bytes(blob(row, "account_id")?),
        name: text(row, "member_name")?.to_owned(),
        role: role(row)?,
        joined_at_ms: int(row, "joined_at_ms")?,
    })
}

/// An optional id of 16 bytes.
pub(super) fn maybe_id(row: &DbRow, column: &'static str) -> Result<Option<[u8; 16]>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(|bytes| bytes.try_into().map_err(|_| StoreError::Corrupt(column))).transpose()
}

pub(super) async fn add(store: &SqlStore, row: &AccountRow) -> Result<(), StoreError> {
    let mut writer = store.writer.acquire().await?;
    add_in(&mut writer, row).await
}

pub(super) async fn add_in(tx: &mut Connection, row: &AccountRow) -> Result<(), StoreError> {
    query(
        "INSERT INTO accounts (id, kind, name, created_at_ms, currency, limit_micros, committed_micros)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&row.id.as_bytes()[..])
    .bind(row.kind.as_str())
    .bind(&row.name)
    .bind(signed(row.created_at_ms))
    .bind(row.purse.currency.as_str())
    .bind(row.purse.limit_micros.map(signed_amount).transpose()?)
    .bind(signed_amount(row.purse.committed_micros)?)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn all(store: &SqlStore) -> Result<Vec<AccountRow>, StoreError> {
    let sql = format!("SELECT {ACCOUNT_FIELDS} FROM accounts a ORDER BY a.name, a.id LIMIT $1");
    query(&sql).bind(i64::from(LISTED)).fetch_all(&store.readers).await?.iter().map(account).collect()
}

pub(super) async fn one(store: &SqlStore, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
    let sql = format!("SELECT {ACCOUNT_FIELDS} FROM accounts a WHERE a.id = $1");
    query(&sql)
        .bind(&id.as_bytes()[..])
        .fetch_optional(&store.readers)
        .await?
        .as_ref()
        .map(account)
        .transpose()
}

pub(super) async fn set_limit(
    store: &SqlStore,
    id: AccountId,
    limit_micros: Option<i128>,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE accounts SET limit_micros = $1, low_told_ms = NULL, exhausted_told_ms = NULL WHERE id = $2",
    )
    .bind(limit_micros.map(signed_amount).transpose()?)
    .bind(&id.as_bytes()[..])
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn add_link(store: &SqlStore, link: &LinkRow) -> Result<(), StoreError> {
    query(
        "INSERT INTO sign_in_links (token_hash, account_id, role, member_id, expires_at_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (token_hash) DO NOTHING",
    )
    .bind(&link.token[..])
    .bind(&link.account.as_bytes()[..])
    .bind(link.role.as_str())
    .bind(link.member.map(|member| member.as_bytes().to_vec()))
    .bind(signed(link.expires_at_ms))
    .execute(&store.writer)
    .await?;
    Ok(())
}

pub(super) async fn arrive(store: &SqlStore, arrival: &Arrival) -> Result<Arrived, StoreError> {
    let mut tx = store.begin().await?;
    let now = signed(arrival.now_ms);
    let link = query("SELECT account_id FROM sign_in_links WHERE token_hash = $1")
        .bind(&arrival.token[..])
        .fetch_optional(&mut *tx)
        .await?;
    let Some(link) = link else { return Ok(Arrived::Refused) };
    let account = AccountId::from_bytes(blob(&link, "account_id")?);
    lock(&mut tx, Subject::Members(account)).await?;
    let link = query(
        "UPDATE sign_in_links SET used_at_ms = $1 WHERE token_hash = $2 AND used_at_ms IS NULL AND expires_at_ms > $1
         RETURNING role, member_id",
    )
    .bind(now)
    .bind(&arrival.token[..])
    .fetch_optional(&mut *tx)
    .await?;
    let Some(link) = link else { return Ok(Arrived::Refused) };
    let identity = arrival.identity.as_ref();
    let id = match maybe_id(&link, "member_id")? {
        Some(id) => MemberId::from_bytes(id),
        None => {
            if present(&mut tx, account).await?.len() >= MOST_MEMBERS as usize {
                return Ok(Arrived::Full);
            }
            if let Some(identity) = identity
                && sign_in::is_in(&mut tx, &identity.who, account).await?
            {
                return Ok(Arrived::Already);
            }
            join_as(&mut tx, &arrival.new_member(account, role(&link)?)).await?;
            arrival.member
        }
    };
    let sql = format!("{MEMBER_COLUMNS} FROM members m WHERE m.id = $1 AND m.removed_at_ms IS NULL");
    let row = query(&sql).bind(&id.as_bytes()[..]).fetch_optional(&mut *tx).await?;
    let Some(row) = row else { return Ok(Arrived::Refused) };
    if let Some(identity) = identity {
        lock(&mut tx, Subject::Ways(id)).await?;
        let linked = IdentityRow { member: id, ..identity.clone() };
        if sign_in::link_in(&mut tx, &linked).await? != Added::Done {
            return Ok(Arrived::Full);
        }
    }
    let (cookie, expires_at_ms) = (arrival.cookie, arrival.cookie_expires_at_ms);
    cookie_in(&mut tx, id, NewCookie { cookie, expires_at_ms, now_ms: arrival.now_ms }).await?;
    tx.commit().await?;
    Ok(Arrived::As(member(&row)?))
}

/// Gives a member a cookie, and forgets those that are over.
pub(super) async fn cookie_in(
    tx: &mut Connection,
    member: MemberId,
    cookie: NewCookie,
) -> Result<(), StoreError> {
    query("DELETE FROM member_cookies WHERE expires_at_ms <= $1")
        .bind(signed(cookie.now_ms))
        .execute(&mut *tx)
        .await?;
    query("INSERT INTO member_cookies (cookie_hash, member_id, expires_at_ms) VALUES ($1, $2, $3)")
        .bind(&cookie.cookie[..])
        .bind(&member.as_bytes()[..])
        .bind(signed(cookie.expires_at_ms))
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn join_as(tx: &mut Connection, member: &MemberRow) -> Result<(), StoreError> {
    query("INSERT INTO members (id, account_id, name, role, joined_at_ms) VALUES ($1, $2, $3, $4, $5)")
        .bind(&member.id.as_bytes()[..])
        .bind(&member.account.as_bytes()[..])
        .bind(&member.name)
        .bind(member.role.as_str())
        .bind(signed(member.joined_at_ms))
        .execute(tx)
        .await?;
    Ok(())
}

async fn present(tx: &mut Connection, account: AccountId) -> Result<Vec<MemberRow>, StoreError> {
    let sql = format!(
        "{MEMBER_COLUMNS} FROM members m WHERE m.account_id = $1 AND m.removed_at_ms IS NULL
         ORDER BY m.joined_at_ms, m.id"
    );
    query(&sql).bind(&account.as_bytes()[..]).fetch_all(tx).await?.iter().map(member).collect()
}

pub(super) async fn of_cookie(
    store: &SqlStore,
    cookie: Hash,
    now_ms: u64,
) -> Result<Option<(MemberRow, AccountRow)>, StoreError> {
    let sql = format!(
        "{MEMBER_COLUMNS}, {ACCOUNT_FIELDS}
           FROM member_cookies c JOIN members m ON m.id = c.member_id JOIN accounts a ON a.id = m.account_id
          WHERE c.cookie_hash = $1 AND c.expires_at_ms > $2 AND m.removed_at_ms IS NULL"
    );
    let row = query(&sql).bind(&cookie[..]).bind(signed(now_ms)).fetch_optional(&store.readers).await?;
    row.map(|row| Ok((member(&row)?, account(&row)?))).transpose()
}

pub(super) async fn sign_out(store: &SqlStore, cookie: Hash) -> Result<(), StoreError> {
    query("DELETE FROM member_cookies WHERE cookie_hash = $1")
        .bind(&cookie[..])
        .execute(&store.writer)
        .await?;
    Ok(())
}

pub(super) async fn note_device(
    store: &SqlStore,
    account: AccountId,
    device: Mark,
    now_ms: u64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO member_devices (account_id, device, seen_ms) VALUES ($1, $2, $3)
         ON CONFLICT (account_id, device) DO UPDATE SET seen_ms = $3 WHERE member_devices.seen_ms < $3",
    )
    .bind(&account.as_bytes()[..])
    .bind(device.0.to_le_bytes().to_vec())
    .bind(signed(now_ms))
    .execute(&store.writer)
    .await?;
    Ok(())
}

pub(super) async fn devices(
    store: &SqlStore,
    account: AccountId,
    since_ms: u64,
) -> Result<Vec<Mark>, StoreError> {
    let rows = query(
        "SELECT device FROM member_devices WHERE account_id = $1 AND seen_ms >= $2
          ORDER BY seen_ms DESC, device LIMIT $3",
    )
    .bind(&account.as_bytes()[..])
    .bind(signed(since_ms))
    .bind(i64::from(LISTED))
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(|row| Ok(Mark(u64::from_le_bytes(blob(row, "device")?)))).collect()
}

pub(super) async fn forget_devices(store: &SqlStore, before_ms: u64) -> Result<(), StoreError> {
    query("DELETE FROM member_devices WHERE seen_ms < $1")
        .bind(signed(before_ms))
        .execute(&store.writer)
        .await?;
    Ok(())
}

pub(super) async fn members(store: &SqlStore, account: AccountId) -> Result<Vec<MemberRow>, StoreError> {
    let mut reader = store.readers.acquire().await?;
    present(&mut reader, account).await
}

pub(super) async fn set_role(
    store: &SqlStore,
    account: AccountId,
    id: MemberId,
    role: MemberRole,
) -> Result<Changed, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Members(account)).await?;
    let changed = MemberRow::change(&present(&mut tx, account).await?, id, role == MemberRole::Owner);
    if changed == Changed::Done {
        query("UPDATE members SET role = $1 WHERE id = $2")
            .bind(role.as_str())
            .bind(&id.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(changed)
}

pub(super) async fn remove_member(
    store: &SqlStore,
    account: AccountId,
    id: MemberId,
    now_ms: u64,
) -> Result<Changed, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Members(account)).await?;
    let changed = MemberRow::change(&present(&mut tx, account).await?, id, false);
    if changed == Changed::Done {
        let id = &id.as_bytes()[..];
        query("UPDATE members SET removed_at_ms = $1 WHERE id = $2")
            .bind(signed(now_ms))
            .bind(id)
            .execute(&mut *tx)
            .await?;
        query("DELETE FROM member_cookies WHERE member_id = $1").bind(id).execute(&mut *tx).await?;
        query("DELETE FROM sign_in_links WHERE member_id = $1").bind(id).execute(&mut *tx).await?;
        query("DELETE FROM identities WHERE member_id = $1").bind(id).execute(&mut *tx).await?;
        query("DELETE FROM passkeys WHERE member_id = $1").bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(changed)
}

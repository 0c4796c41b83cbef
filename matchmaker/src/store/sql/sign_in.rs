//! Identities, passkeys and sign-ins that are under way.

use super::accounts::{ACCOUNT_FIELDS, MEMBER_COLUMNS, account, add_in, cookie_in, join_as, member};
use super::rows::{blob, int, maybe_int, signed, text};
use super::{Connection, DbRow, Hash, SqlStore, StoreError, Subject, lock};
use crate::store::accounts::{AccountRow, MemberRow};
use crate::store::sign_in::{
    Added, IdentityRow, MOST_WAYS, NewCookie, Newcomer, Outsider, PasskeyRow, PendingRow, SignInStore,
};
use async_trait::async_trait;
use nearframe_protocol::{AccountId, IdentityId, MemberId, PasskeyId};
use sqlx::{Row, query};

const PASSKEY_COLUMNS: &str =
    "SELECT p.id AS passkey_id, p.credential_id, p.member_id AS owner_id, p.name AS passkey_name,
        p.body, p.added_at_ms, p.last_used_ms, p.flagged_at_ms";

fn identity(row: &DbRow) -> Result<IdentityRow, StoreError> {
    let owned = |column| Ok::<_, StoreError>(text(row, column)?.to_owned());
    Ok(IdentityRow {
        id: IdentityId::from_bytes(blob(row, "id")?),
        who: Outsider { issuer: owned("issuer")?, subject: owned("subject")?, name: owned("name")? },
        member: MemberId::from_bytes(blob(row, "member_id")?),
        linked_at_ms: int(row, "linked_at_ms")?,
        last_used_ms: maybe_int(row, "last_used_ms")?,
    })
}

fn passkey(row: &DbRow) -> Result<PasskeyRow, StoreError> {
    Ok(PasskeyRow {
        id: PasskeyId::from_bytes(blob(row, "passkey_id")?),
        credential: row.try_get::<&[u8], _>("credential_id")?.to_vec(),
        member: MemberId::from_bytes(blob(row, "owner_id")?),
        name: text(row, "passkey_name")?.to_owned(),
        body: text(row, "body")?.to_owned(),
        added_at_ms: int(row, "added_at_ms")?,
        last_used_ms: maybe_int(row, "last_used_ms")?,
        flagged_at_ms: maybe_int(row, "flagged_at_ms")?,
    })
}

async fn is_present(tx: &mut Connection, member: MemberId) -> Result<bool, StoreError> {
    let found = query("SELECT 1 FROM members WHERE id = $1 AND removed_at_ms IS NULL")
        .bind(&member.as_bytes()[..])
        .fetch_optional(tx)
        .await?;
    Ok(found.is_some())
}

async fn members_of(
    reader: &mut Connection,
    issuer: &str,
    subject: &str,
) -> Result<Vec<(MemberRow, AccountRow)>, StoreError> {
    let sql = format!(
        "{MEMBER_COLUMNS}, {ACCOUNT_FIELDS}
           FROM identities i JOIN members m ON m.id = i.member_id JOIN accounts a ON a.id = m.account_id
          WHERE i.issuer = $1 AND i.subject = $2 AND m.removed_at_ms IS NULL ORDER BY a.name, m.id"
    );
    let rows = query(&sql).bind(issuer).bind(subject).fetch_all(reader).await?;
    rows.iter().map(|row| Ok((member(row)?, account(row)?))).collect()
}

/// Whether an identity is linked to somebody in an account.
pub(super) async fn is_in(
    tx: &mut Connection,
    who: &Outsider,
    account: AccountId,
) -> Result<bool, StoreError> {
    let linked = members_of(tx, &who.issuer, &who.subject).await?;
    Ok(linked.iter().any(|(member, _)| member.account == account))
}

/// Links an identity to a member who is there; the caller decides alone about the member's ways in.
pub(super) async fn link_in(tx: &mut Connection, row: &IdentityRow) -> Result<Added, StoreError> {
    let count = query("SELECT count(*) AS ways FROM identities WHERE member_id = $1")
        .bind(&row.member.as_bytes()[..])
        .fetch_one(&mut *tx)
        .await?;
    let known = query("SELECT 1 FROM identities WHERE issuer = $1 AND subject = $2 AND member_id = $3")
        .bind(&row.who.issuer)
        .bind(&row.who.subject)
        .bind(&row.member.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    if known.is_some() {
        return Ok(Added::Done);
    }
    if int::<u32>(&count, "ways")? >= MOST_WAYS {
        return Ok(Added::Full);
    }
    query(
        "INSERT INTO identities (id, issuer, subject, member_id, name, linked_at_ms, last_used_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&row.id.as_bytes()[..])
    .bind(&row.who.issuer)
    .bind(&row.who.subject)
    .bind(&row.member.as_bytes()[..])
    .bind(&row.who.name)
    .bind(signed(row.linked_at_ms))
    .bind(row.last_used_ms.map(signed))
    .execute(tx)
    .await?;
    Ok(Added::Done)
}

async fn insert_passkey(tx: &mut Connection, row: &PasskeyRow) -> Result<(), StoreError> {
    query(
        "INSERT INTO passkeys (id, credential_id, member_id, name, body, added_at_ms) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&row.id.as_bytes()[..])
    .bind(&row.credential[..])
    .bind(&row.member.as_bytes()[..])
    .bind(&row.name)
    .bind(&row.body)
    .bind(signed(row.added_at_ms))
    .execute(tx)
    .await?;
    Ok(())
}

#[async_trait]
impl SignInStore for SqlStore {
    async fn add_pending(&self, pending: &PendingRow, most: u32, now_ms: u64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        query("DELETE FROM pending_sign_ins WHERE expires_at_ms <= $1")
            .bind(signed(now_ms))
            .execute(&mut *tx)
            .await?;
        query(
            "INSERT INTO pending_sign_ins (key_hash, body, expires_at_ms) VALUES ($1, $2, $3)
             ON CONFLICT (key_hash) DO UPDATE SET body = excluded.body, expires_at_ms = excluded.expires_at_ms",
        )
        .bind(&pending.key[..])
        .bind(&pending.body)
        .bind(signed(pending.expires_at_ms))
        .execute(&mut *tx)
        .await?;
        // Several at once may leave a few more, which does no harm.
        let count = query("SELECT count(*) AS pending FROM pending_sign_ins").fetch_one(&mut *tx).await?;
        let beyond = int::<u32>(&count, "pending")?.saturating_sub(most);
        if beyond > 0 {
            query(
                "DELETE FROM pending_sign_ins WHERE key_hash IN
                 (SELECT key_hash FROM pending_sign_ins ORDER BY expires_at_ms, key_hash LIMIT $1)",
            )
            .bind(i64::from(beyond))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
    async fn pending(&self, key: Hash, now_ms: u64) -> Result<Option<String>, StoreError> {
        let row = query("SELECT body FROM pending_sign_ins WHERE key_hash = $1 AND expires_at_ms > $2")
            .bind(&key[..])
            .bind(signed(now_ms))
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok(text(&row, "body")?.to_owned())).transpose()
    }
    async fn take_pending(&self, key: Hash, now_ms: u64) -> Result<Option<String>, StoreError> {
        let row = query("DELETE FROM pending_sign_ins WHERE key_hash = $1 RETURNING body, expires_at_ms")
            .bind(&key[..])
            .fetch_optional(&self.writer)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let is_over = int::<u64>(&row, "expires_at_ms")? <= now_ms;
        Ok(if is_over { None } else { Some(text(&row, "body")?.to_owned()) })
    }
    async fn members_of_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Vec<(MemberRow, AccountRow)>, StoreError> {
        let mut reader = self.readers.acquire().await?;
        members_of(&mut reader, issuer, subject).await
    }
    async fn link_identity(&self, identity: &IdentityRow) -> Result<Added, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Ways(identity.member)).await?;
        if !is_present(&mut tx, identity.member).await? {
            return Ok(Added::Unknown);
        }
        let added = link_in(&mut tx, identity).await?;
        tx.commit().await?;
        Ok(added)
    }
    async fn identities(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
        let rows = query(
            "SELECT id, issuer, subject, member_id, name, linked_at_ms, last_used_ms FROM identities
              WHERE member_id = $1 ORDER BY linked_at_ms, id",
        )
        .bind(&member.as_bytes()[..])
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(identity).collect()
    }
    async fn unlink_identity(&self, member: MemberId, id: IdentityId) -> Result<bool, StoreError> {
        let done = query("DELETE FROM identities WHERE id = $1 AND member_id = $2")
            .bind(&id.as_bytes()[..])
            .bind(&member.as_bytes()[..])
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }
    async fn sign_in_by_identity(
        &self,
        who: &Outsider,
        member: MemberId,
        cookie: NewCookie,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Ways(member)).await?;
        let used = query(
            "UPDATE identities SET last_used_ms = $1 WHERE issuer = $2 AND subject = $3 AND member_id = $4",
        )
        .bind(signed(cookie.now_ms))
        .bind(&who.issuer)
        .bind(&who.subject)
        .bind(&member.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
        if used.rows_affected() == 0 || !is_present(&mut tx, member).await? {
            return Ok(false);
        }
        cookie_in(&mut tx, member, cookie).await?;
        tx.commit().await?;
        Ok(true)
    }
    async fn add_newcomer(&self, newcomer: &Newcomer, cookie: NewCookie) -> Result<bool, StoreError> {
        let Newcomer { account, member, identity } = newcomer;
        let mut tx = self.begin().await?;
        let (issuer, subject) = (&identity.who.issuer, &identity.who.subject);
        lock(&mut tx, Subject::Identity(issuer, subject)).await?;
        if !members_of(&mut tx, issuer, subject).await?.is_empty() {
            return Ok(false);
        }
        add_in(&mut tx, account).await?;
        join_as(&mut tx, member).await?;
        link_in(&mut tx, identity).await?;
        cookie_in(&mut tx, member.id, cookie).await?;
        tx.commit().await?;
        Ok(true)
    }
    async fn add_passkey(&self, row: &PasskeyRow) -> Result<Added, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Ways(row.member)).await?;
        if !is_present(&mut tx, row.member).await? {
            return Ok(Added::Unknown);
        }
        let known = query("SELECT member_id FROM passkeys WHERE credential_id = $1")
            .bind(&row.credential[..])
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(known) = known {
            let mine = MemberId::from_bytes(blob(&known, "member_id")?) == row.member;
            return Ok(if mine { Added::Done } else { Added::Taken });
        }
        let count = query("SELECT count(*) AS ways FROM passkeys WHERE member_id = $1")
            .bind(&row.member.as_bytes()[..])
            .fetch_one(&mut *tx)
            .await?;
        if int::<u32>(&count, "ways")? >= MOST_WAYS {
            return Ok(Added::Full);
        }
        insert_passkey(&mut tx, row).await?;
        tx.commit().await?;
        Ok(Added::Done)
    }
    async fn passkeys(&self, member: MemberId) -> Result<Vec<PasskeyRow>, StoreError> {
        let sql =
            format!("{PASSKEY_COLUMNS} FROM passkeys p WHERE p.member_id = $1 ORDER BY p.added_at_ms, p.id");
        let rows = query(&sql).bind(&member.as_bytes()[..]).fetch_all(&self.readers).await?;
        rows.iter().map(passkey).collect()
    }
    async fn passkey(
        &self,
        credential: &[u8],
    ) -> Result<Option<(PasskeyRow, MemberRow, AccountRow)>, StoreError> {
        let members = MEMBER_COLUMNS.trim_start_matches("SELECT ");
        let sql = format!(
            "{PASSKEY_COLUMNS}, {members}, {ACCOUNT_FIELDS}
               FROM passkeys p JOIN members m ON m.id = p.member_id JOIN accounts a ON a.id = m.account_id
              WHERE p.credential_id = $1 AND m.removed_at_ms IS NULL"
        );
        let row = query(&sql).bind(credential).fetch_optional(&self.readers).await?;
        row.map(|row| Ok((passkey(&row)?, member(&row)?, account(&row)?))).transpose()
    }
    async fn sign_in_by_passkey(
        &self,
        read: &PasskeyRow,
        body: &str,
        cookie: NewCookie,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Ways(read.member)).await?;
        let used = query(
            "UPDATE passkeys SET body = $1, last_used_ms = $2 WHERE id = $3 AND body = $4 AND flagged_at_ms IS NULL",
        )
        .bind(body)
        .bind(signed(cookie.now_ms))
        .bind(&read.id.as_bytes()[..])
        .bind(&read.body)
        .execute(&mut *tx)
        .await?;
        if used.rows_affected() == 0 || !is_present(&mut tx, read.member).await? {
            return Ok(false);
        }
        cookie_in(&mut tx, read.member, cookie).await?;
        tx.commit().await?;
        Ok(true)
    }
    async fn flag_passkey(&self, id: PasskeyId, now_ms: u64) -> Result<(), StoreError> {
        query("UPDATE passkeys SET flagged_at_ms = $1 WHERE id = $2 AND flagged_at_ms IS NULL")
            .bind(signed(now_ms))
            .bind(&id.as_bytes()[..])
            .execute(&self.writer)
            .await?;
        Ok(())
    }
    async fn remove_passkey(&self, member: MemberId, id: PasskeyId) -> Result<bool, StoreError> {
        let done = query("DELETE FROM passkeys WHERE id = $1 AND member_id = $2")
            .bind(&id.as_bytes()[..])
            .bind(&member.as_bytes()[..])
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

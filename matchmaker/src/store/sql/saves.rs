//! Saves, and the assets that no row needs.

use super::rows::{blob, int, maybe_int, signed, text, title};
use super::{Connection, Db, DbRow, SqlStore, StoreError, Subject, lock};
use crate::store::{Hash, NewSave, SaveOwner, SaveRow, Saved};
use nearframe_protocol::{GuestId, PackHash, SaveVersion, SessionId};
use sqlx::{Executor, Row, query};

/// Which save of a guest's title is current: see [`crate::store::save`].
const SAVE_COLUMNS: &str = "
    SELECT title, version, based_on, hash, size_bytes, title_version, session_id, created_at_ms,
           CAST(CASE WHEN version = first_value(version) OVER (PARTITION BY guest_id, title
               ORDER BY played_at_ms DESC, session_id DESC, generation DESC, version DESC)
               THEN 1 ELSE 0 END AS BIGINT) AS is_current
      FROM saves WHERE guest_id = $1";

fn save(row: &DbRow) -> Result<SaveRow, StoreError> {
    Ok(SaveRow {
        title: title(row)?,
        version: SaveVersion(int(row, "version")?),
        current: int::<u8>(row, "is_current")? == 1,
        based_on: maybe_int(row, "based_on")?.map(SaveVersion),
        hash: PackHash::from_bytes(blob(row, "hash")?),
        size_bytes: int(row, "size_bytes")?,
        title_version: text(row, "title_version")?.to_owned(),
        session: SessionId::from_bytes(blob(row, "session_id")?),
        created_at_ms: int(row, "created_at_ms")?,
    })
}

pub(super) async fn of_guest(store: &SqlStore, guest: GuestId) -> Result<Vec<SaveRow>, StoreError> {
    let sql = format!("{SAVE_COLUMNS} ORDER BY title, version DESC");
    let rows = query(&sql).bind(&guest.as_bytes()[..]).fetch_all(&store.readers).await?;
    rows.iter().map(save).collect()
}

/// The saves of one title, newest version first.
pub(super) async fn of_title(
    executor: impl Executor<'_, Database = Db>,
    owner: &SaveOwner,
) -> Result<Vec<SaveRow>, StoreError> {
    let sql = format!("{SAVE_COLUMNS} AND title = $2 ORDER BY version DESC");
    let rows =
        query(&sql).bind(&owner.guest.as_bytes()[..]).bind(owner.title.as_str()).fetch_all(executor).await?;
    rows.iter().map(save).collect()
}

pub(super) async fn add(store: &SqlStore, new: &NewSave) -> Result<Saved, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Saves).await?;
    let session = query("SELECT guest_id, title, created_at_ms FROM sessions WHERE id = $1")
        .bind(&new.session.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    let Some(session) = session else { return Ok(Saved::UnknownSession) };
    let owner =
        SaveOwner { guest: GuestId::from_bytes(blob(&session, "guest_id")?), title: title(&session)? };
    let rows = of_title(&mut *tx, &owner).await?;
    if let Some(same) = new.same_as(&rows) {
        return Ok(Saved::Same(same.clone()));
    }
    if rows.is_empty() && titles(&mut tx, owner.guest).await? >= new.most_titles {
        return Ok(Saved::TooManyTitles);
    }
    let version = next_version(&mut tx, &owner).await?;
    insert(&mut tx, new, &owner, version, new.base(&rows, version), int(&session, "created_at_ms")?).await?;
    let rows = of_title(&mut *tx, &owner).await?;
    for old in rows.iter().skip(new.most_versions as usize).filter(|row| !row.current) {
        query("DELETE FROM saves WHERE guest_id = $1 AND title = $2 AND version = $3")
            .bind(&owner.guest.as_bytes()[..])
            .bind(owner.title.as_str())
            .bind(signed(old.version.0))
            .execute(&mut *tx)
            .await?;
        note(&mut tx, old.asset(), new.now_ms).await?;
    }
    tx.commit().await?;
    let made = rows.into_iter().find(|row| row.version == version);
    made.map(Saved::New).ok_or(StoreError::Corrupt("version"))
}

async fn titles(tx: &mut Connection, guest: GuestId) -> Result<u32, StoreError> {
    let row = query("SELECT count(DISTINCT title) AS titles FROM saves WHERE guest_id = $1")
        .bind(&guest.as_bytes()[..])
        .fetch_one(tx)
        .await?;
    int(&row, "titles")
}

async fn next_version(tx: &mut Connection, owner: &SaveOwner) -> Result<SaveVersion, StoreError> {
    let row = query(
        "INSERT INTO save_counters (guest_id, title, last_version) VALUES ($1, $2, 1)
         ON CONFLICT (guest_id, title) DO UPDATE SET last_version = save_counters.last_version + 1 RETURNING last_version",
    )
    .bind(&owner.guest.as_bytes()[..])
    .bind(owner.title.as_str())
    .fetch_one(tx)
    .await?;
    Ok(SaveVersion(int(&row, "last_version")?))
}

async fn insert(
    tx: &mut Connection,
    new: &NewSave,
    owner: &SaveOwner,
    version: SaveVersion,
    based_on: Option<SaveVersion>,
    played_at_ms: u64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO saves (guest_id, title, version, based_on, hash, size_bytes, title_version, session_id,
                            generation, played_at_ms, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&owner.guest.as_bytes()[..])
    .bind(owner.title.as_str())
    .bind(signed(version.0))
    .bind(based_on.map(|version| signed(version.0)))
    .bind(&new.hash.as_bytes()[..])
    .bind(signed(new.size_bytes))
    .bind(&new.title_version)
    .bind(&new.session.as_bytes()[..])
    .bind(i64::from(new.generation.0))
    .bind(signed(played_at_ms))
    .bind(signed(new.now_ms))
    .execute(&mut *tx)
    .await?;
    query("DELETE FROM unreferenced_assets WHERE hash = $1")
        .bind(&new.hash.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn remove(store: &SqlStore, owner: &SaveOwner, now_ms: u64) -> Result<u32, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Saves).await?;
    let removed = query("DELETE FROM saves WHERE guest_id = $1 AND title = $2 RETURNING hash")
        .bind(&owner.guest.as_bytes()[..])
        .bind(owner.title.as_str())
        .fetch_all(&mut *tx)
        .await?;
    for row in &removed {
        note(&mut tx, blob(row, "hash")?, now_ms).await?;
    }
    tx.commit().await?;
    Ok(u32::try_from(removed.len()).unwrap_or(u32::MAX))
}

/// [`note`] in a transaction of its own.
pub(super) async fn note_alone(store: &SqlStore, asset: Hash, now_ms: u64) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Saves).await?;
    note(&mut tx, asset, now_ms).await?;
    tx.commit().await?;
    Ok(())
}

/// Writes down that no row needs the asset, unless one does.
async fn note(tx: &mut Connection, asset: Hash, now_ms: u64) -> Result<(), StoreError> {
    query(
        "INSERT INTO unreferenced_assets (hash, since_ms)
         SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM saves WHERE hash = $1)
         ON CONFLICT (hash) DO UPDATE SET since_ms = excluded.since_ms",
    )
    .bind(&asset[..])
    .bind(signed(now_ms))
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn unreferenced(
    store: &SqlStore,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<Hash>, StoreError> {
    let rows =
        query("SELECT hash FROM unreferenced_assets WHERE since_ms < $1 ORDER BY since_ms, hash LIMIT $2")
            .bind(signed(before_ms))
            .bind(i64::from(limit))
            .fetch_all(&store.readers)
            .await?;
    rows.iter()
        .map(|row| row.try_get::<&[u8], _>("hash")?.try_into().map_err(|_| StoreError::Corrupt("hash")))
        .collect()
}

pub(super) async fn forget(store: &SqlStore, asset: Hash) -> Result<(), StoreError> {
    query("DELETE FROM unreferenced_assets WHERE hash = $1").bind(&asset[..]).execute(&store.writer).await?;
    Ok(())
}

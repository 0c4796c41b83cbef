//! Replicas, their regions and the links that they hold.

use super::rows::{blob, int, signed, text};
use super::{
    Connection, DbRow, Fence, HeldSlots, NOW, RegionOwner, ReplicaId, Replicas, SqlStore, StoreError,
    Stranded, Subject, lock,
};
use nearframe_protocol::NodeId;
use sqlx::{Executor, query};

pub(super) async fn clock_ms(store: &SqlStore) -> Result<u64, StoreError> {
    now_ms(&store.readers).await
}

async fn now_ms(executor: impl Executor<'_, Database = super::Db>) -> Result<u64, StoreError> {
    int(&query(NOW).fetch_one(executor).await?, "now_ms")
}

pub(super) async fn beat(
    store: &SqlStore,
    replica: ReplicaId,
    first: bool,
) -> Result<Option<Replicas>, StoreError> {
    let mut tx = store.begin().await?;
    let done = if first {
        query(
            "INSERT INTO replicas (id, beat) VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET beat = replicas.beat + 1",
        )
    } else {
        query("UPDATE replicas SET beat = beat + 1 WHERE id = $1")
    };
    if done.bind(replica.number()).execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(None);
    }
    let beats = query("SELECT id, beat FROM replicas ORDER BY id").fetch_all(&mut *tx).await?;
    let regions =
        query("SELECT region, owner, fence FROM regions ORDER BY region").fetch_all(&mut *tx).await?;
    let now_ms = now_ms(&mut *tx).await?;
    tx.commit().await?;
    let beat = |row| Ok((ReplicaId::from_number(int(row, "id")?), int(row, "beat")?));
    let region = |row| {
        Ok(RegionOwner {
            region: text(row, "region")?.to_owned(),
            owner: ReplicaId::from_number(int(row, "owner")?),
            fence: int(row, "fence")?,
        })
    };
    Ok(Some(Replicas {
        beats: beats.iter().map(beat).collect::<Result<_, StoreError>>()?,
        regions: regions.iter().map(region).collect::<Result<_, StoreError>>()?,
        now_ms,
    }))
}

pub(super) async fn bury(store: &SqlStore, replica: ReplicaId, beat: u64) -> Result<bool, StoreError> {
    let done = query("DELETE FROM replicas WHERE id = $1 AND beat = $2")
        .bind(replica.number())
        .bind(signed(beat))
        .execute(&store.writer)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn claim_region(
    store: &SqlStore,
    region: &str,
    replica: ReplicaId,
    over: Option<u64>,
) -> Result<Option<u64>, StoreError> {
    let mut tx = store.begin().await?;
    // Waits for leases that are being written under the number before.
    lock(&mut tx, Subject::Region(region)).await?;
    let claimed = match over {
        None => query(
            "INSERT INTO regions (region, owner, fence) VALUES ($1, $2, 1)
             ON CONFLICT (region) DO NOTHING RETURNING fence",
        ),
        Some(_) => query(
            "UPDATE regions SET owner = $2, fence = fence + 1 WHERE region = $1 AND fence = $3 RETURNING fence",
        ),
    };
    let claimed = claimed.bind(region).bind(replica.number());
    let claimed = match over {
        None => claimed,
        Some(fence) => claimed.bind(signed(fence)),
    };
    let fence = claimed.fetch_optional(&mut *tx).await?.map(|row| int(&row, "fence")).transpose()?;
    tx.commit().await?;
    Ok(fence)
}

/// Whether the fencing number still holds; it does until the transaction ends, which shares the region's lock.
pub(super) async fn holds(tx: &mut Connection, fence: &Fence) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM regions WHERE region = $1 AND fence = $2")
        .bind(&fence.region)
        .bind(signed(fence.number))
        .fetch_optional(tx)
        .await?;
    Ok(row.is_some())
}

pub(super) async fn open_link(store: &SqlStore, node: NodeId, replica: ReplicaId) -> Result<u64, StoreError> {
    let row = query("UPDATE nodes SET link = link + 1, link_replica = $2 WHERE id = $1 RETURNING link")
        .bind(&node.as_bytes()[..])
        .bind(replica.number())
        .fetch_optional(&store.writer)
        .await?;
    int(&row.ok_or(StoreError::Corrupt("node_id"))?, "link")
}

pub(super) async fn close_link(store: &SqlStore, node: NodeId, link: u64) -> Result<bool, StoreError> {
    let done = query("UPDATE nodes SET link_replica = NULL WHERE id = $1 AND link = $2")
        .bind(&node.as_bytes()[..])
        .bind(signed(link))
        .execute(&store.writer)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn stranded(store: &SqlStore) -> Result<Vec<Stranded>, StoreError> {
    let rows = query(
        "SELECT id, link FROM nodes WHERE held > 0 AND link_replica IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM replicas r WHERE r.id = nodes.link_replica)",
    )
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(link).collect()
}

pub(super) async fn links_of(store: &SqlStore, replica: ReplicaId) -> Result<Vec<Stranded>, StoreError> {
    let rows = query("SELECT id, link FROM nodes WHERE held > 0 AND link_replica = $1")
        .bind(replica.number())
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(link).collect()
}

fn link(row: &DbRow) -> Result<Stranded, StoreError> {
    Ok(Stranded { node: NodeId::from_bytes(blob(row, "id")?), link: int(row, "link")? })
}

pub(super) async fn held(store: &SqlStore) -> Result<Vec<HeldSlots>, StoreError> {
    let rows = query("SELECT id, held, held_changes FROM nodes WHERE held_changes > 0")
        .fetch_all(&store.readers)
        .await?;
    let slots = |row| {
        let node = NodeId::from_bytes(blob(row, "id")?);
        Ok(HeldSlots { node, held: int(row, "held")?, change: int(row, "held_changes")? })
    };
    rows.iter().map(slots).collect()
}

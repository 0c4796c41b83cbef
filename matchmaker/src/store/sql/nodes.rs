//! Secrets, nodes and their enrolment, operators.

use super::rows::{blob, int, signed, text};
use super::{Admission, DbRow, Hash, NodeRow, SqlStore, StoreError, Subject, lock};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::{NodeId, PublicKey};
use sqlx::query;

/// Nodes that one statement asks for: databases bound how many parameters a statement has.
const AT_ONCE: usize = 500;

pub(super) async fn secret(store: &SqlStore, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    let mut tx = store.begin().await?;
    query("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(&fresh[..])
        .execute(&mut *tx)
        .await?;
    let row = query("SELECT value FROM secrets WHERE name = $1").bind(name).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    blob(&row, "value")
}

pub(super) async fn add_enrolment(
    store: &SqlStore,
    code: Hash,
    expires_at_ms: u64,
) -> Result<(), StoreError> {
    query("INSERT INTO enrolments (code_hash, expires_at_ms) VALUES ($1, $2)")
        .bind(&code[..])
        .bind(signed(expires_at_ms))
        .execute(&store.writer)
        .await?;
    Ok(())
}

pub(super) async fn admit(
    store: &SqlStore,
    key: &PublicKey,
    code: Option<Hash>,
    offer: &NodeOffer,
    now_ms: u64,
) -> Result<Admission, StoreError> {
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::NodeKey(*key)).await?;
    let known = query("SELECT id FROM nodes WHERE public_key = $1")
        .bind(&key.as_bytes()[..])
        .fetch_optional(&mut *tx);
    if let Some(row) = known.await? {
        let id = NodeId::from_bytes(blob(&row, "id")?);
        query("UPDATE nodes SET name = $1, region = $2, slots = $3, adapter = $4, seen_at_ms = $5 WHERE id = $6")
            .bind(&offer.name)
            .bind(&offer.region)
            .bind(i64::from(offer.slots))
            .bind(&offer.adapter)
            .bind(signed(now_ms))
            .bind(&id.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        return Ok(Admission::Admitted(id));
    }
    let Some(code) = code else { return Ok(Admission::CodeNeeded) };
    let id = NodeId::from_random(crate::random::bytes());
    query(
        "INSERT INTO nodes (id, public_key, name, region, slots, adapter, enrolled_at_ms, seen_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
    )
    .bind(&id.as_bytes()[..])
    .bind(&key.as_bytes()[..])
    .bind(&offer.name)
    .bind(&offer.region)
    .bind(i64::from(offer.slots))
    .bind(&offer.adapter)
    .bind(signed(now_ms))
    .execute(&mut *tx)
    .await?;
    let used = query(
        "UPDATE enrolments SET used_by = $1 WHERE code_hash = $2 AND used_by IS NULL AND expires_at_ms > $3",
    )
    .bind(&id.as_bytes()[..])
    .bind(&code[..])
    .bind(signed(now_ms))
    .execute(&mut *tx)
    .await?;
    if used.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(Admission::BadCode);
    }
    tx.commit().await?;
    Ok(Admission::Admitted(id))
}

pub(super) async fn count(store: &SqlStore) -> Result<u64, StoreError> {
    int(&query("SELECT count(*) AS nodes FROM nodes").fetch_one(&store.readers).await?, "nodes")
}

pub(super) async fn some(
    store: &SqlStore,
    after: Option<NodeId>,
    limit: u32,
) -> Result<Vec<NodeRow>, StoreError> {
    let rows = query(
        "SELECT id, name, region, slots, adapter FROM nodes
          WHERE $1 IS NULL OR (name, id) > (SELECT c.name, c.id FROM nodes c WHERE c.id = $1)
          ORDER BY name, id LIMIT $2",
    )
    .bind(after.map(|id| id.as_bytes().to_vec()))
    .bind(i64::from(limit))
    .fetch_all(&store.readers)
    .await?;
    rows.iter().map(node).collect()
}

fn node(row: &DbRow) -> Result<NodeRow, StoreError> {
    Ok(NodeRow {
        id: NodeId::from_bytes(blob(row, "id")?),
        name: text(row, "name")?.to_owned(),
        region: text(row, "region")?.to_owned(),
        slots: int(row, "slots")?,
        adapter: text(row, "adapter")?.to_owned(),
    })
}

pub(super) async fn these(store: &SqlStore, ids: &[NodeId]) -> Result<Vec<NodeRow>, StoreError> {
    let mut rows = Vec::new();
    for some in ids.chunks(AT_ONCE) {
        let places: Vec<String> = (1..=some.len()).map(|at| format!("${at}")).collect();
        let sql =
            format!("SELECT id, name, region, slots, adapter FROM nodes WHERE id IN ({})", places.join(", "));
        let mut asked = query(&sql);
        for id in some {
            asked = asked.bind(id.as_bytes().to_vec());
        }
        for row in asked.fetch_all(&store.readers).await? {
            rows.push(node(&row)?);
        }
    }
    Ok(rows)
}

pub(super) async fn key(store: &SqlStore, node: NodeId) -> Result<Option<PublicKey>, StoreError> {
    let row = query("SELECT public_key FROM nodes WHERE id = $1")
        .bind(&node.as_bytes()[..])
        .fetch_optional(&store.readers)
        .await?;
    row.map(|row| Ok(PublicKey::from_bytes(blob(&row, "public_key")?))).transpose()
}

pub(super) async fn add_operator_link(
    store: &SqlStore,
    token: Hash,
    expires_at_ms: u64,
) -> Result<(), StoreError> {
    query("INSERT INTO operator_links (token_hash, expires_at_ms) VALUES ($1, $2)")
        .bind(&token[..])
        .bind(signed(expires_at_ms))
        .execute(&store.writer)
        .await?;
    Ok(())
}

pub(super) async fn redeem_operator_link(
    store: &SqlStore,
    token: Hash,
    now_ms: u64,
    cookie: Hash,
    cookie_expires_at_ms: u64,
) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let used = query(
        "UPDATE operator_links SET used_at_ms = $1
         WHERE token_hash = $2 AND used_at_ms IS NULL AND expires_at_ms > $1",
    )
    .bind(signed(now_ms))
    .bind(&token[..])
    .execute(&mut *tx)
    .await?;
    if used.rows_affected() == 0 {
        return Ok(false);
    }
    query("DELETE FROM operators WHERE expires_at_ms <= $1").bind(signed(now_ms)).execute(&mut *tx).await?;
    query("INSERT INTO operators (cookie_hash, expires_at_ms) VALUES ($1, $2)")
        .bind(&cookie[..])
        .bind(signed(cookie_expires_at_ms))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

pub(super) async fn is_operator(store: &SqlStore, cookie: Hash, now_ms: u64) -> Result<bool, StoreError> {
    let found = query("SELECT 1 FROM operators WHERE cookie_hash = $1 AND expires_at_ms > $2")
        .bind(&cookie[..])
        .bind(signed(now_ms))
        .fetch_optional(&store.readers)
        .await?;
    Ok(found.is_some())
}

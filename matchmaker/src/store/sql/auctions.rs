//! Auctions and their bids.

use super::rows::{blob, currency, int, maybe_int, signed, text};
use super::{Connection, DbRow, Fate, Lock, SqlStore, StoreError, Subject, within};
use crate::store::market::AuctionRow;
use nearframe_ledger::auction::{Entry, Wanted};
use nearframe_ledger::hash::Hash32;
use nearframe_protocol::auction::{Bid, OpenBid, Seal, SealedBid, seed_hash};
use nearframe_protocol::key::Nonce;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{AuctionId, NodeId, PublicKey, Signature};
use sqlx::{Row, query};

pub(super) const AUCTION_FIELDS: &str =
    "a.id AS auction_id, a.work, a.region, a.gpu_tier, a.machines, a.from_ms, a.until_ms,
    a.ceiling_micros, a.currency, a.seal_until_ms, a.open_until_ms, a.seed, a.closed_at_ms, a.price_micros";

/// Bytes of an id in a list of them.
const ID_LEN: usize = 16;

pub(super) fn auction_row(row: &DbRow) -> Result<AuctionRow, StoreError> {
    let seed: [u8; 32] = blob(row, "seed")?;
    Ok(AuctionRow {
        wanted: Wanted {
            auction: AuctionId::from_bytes(blob(row, "auction_id")?),
            work: Work::parse(text(row, "work")?).ok_or(StoreError::Corrupt("work"))?,
            region: text(row, "region")?.to_owned(),
            gpu_tier: int(row, "gpu_tier")?,
            machines: int(row, "machines")?,
            from_ms: int(row, "from_ms")?,
            until_ms: int(row, "until_ms")?,
            ceiling_micros_per_hour: int(row, "ceiling_micros")?,
            currency: currency(row)?,
            seal_until_ms: int(row, "seal_until_ms")?,
            open_until_ms: int(row, "open_until_ms")?,
            seed_hash: seed_hash(&seed),
        },
        seed: Hash32(seed),
        closed_at_ms: maybe_int(row, "closed_at_ms")?,
        price_micros: maybe_int(row, "price_micros")?,
    })
}

pub(super) async fn one(store: &SqlStore, id: AuctionId) -> Result<Option<AuctionRow>, StoreError> {
    let sql = format!("SELECT {AUCTION_FIELDS} FROM auctions a WHERE a.id = $1");
    let row = query(&sql).bind(&id.as_bytes()[..]).fetch_optional(&store.readers).await?;
    row.as_ref().map(auction_row).transpose()
}

pub(super) async fn insert(tx: &mut Connection, row: &AuctionRow) -> Result<(), StoreError> {
    let wanted = &row.wanted;
    query(
        "INSERT INTO auctions (id, work, region, gpu_tier, machines, from_ms, until_ms, ceiling_micros, currency,
                               seal_until_ms, open_until_ms, seed)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(&wanted.auction.as_bytes()[..])
    .bind(wanted.work.as_str())
    .bind(&wanted.region)
    .bind(i64::from(wanted.gpu_tier))
    .bind(i64::from(wanted.machines))
    .bind(signed(wanted.from_ms))
    .bind(signed(wanted.until_ms))
    .bind(wanted.ceiling_micros_per_hour)
    .bind(wanted.currency.as_str())
    .bind(signed(wanted.seal_until_ms))
    .bind(signed(wanted.open_until_ms))
    .bind(&row.seed.0[..])
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn seal(
    store: &SqlStore,
    node: NodeId,
    sealed: &SealedBid,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    query(
        "INSERT INTO bids (auction_id, node_id, seal, signature, sealed_at_ms)
         SELECT a.id, $2, $3, $4, $5 FROM auctions a WHERE a.id = $1 AND a.closed_at_ms IS NULL AND a.seal_until_ms >= $5
         ON CONFLICT (auction_id, node_id) DO NOTHING",
    )
    .bind(&sealed.auction.as_bytes()[..])
    .bind(&node.as_bytes()[..])
    .bind(&sealed.seal.as_bytes()[..])
    .bind(&sealed.signature.as_bytes()[..])
    .bind(signed(now_ms))
    .execute(&mut *tx)
    .await?;
    let row = query("SELECT 1 FROM bids WHERE auction_id = $1 AND node_id = $2 AND seal = $3")
        .bind(&sealed.auction.as_bytes()[..])
        .bind(&node.as_bytes()[..])
        .bind(&sealed.seal.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(row.is_some())
}

pub(super) async fn open(
    store: &SqlStore,
    node: NodeId,
    open: &OpenBid,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let open = open.clone();
    // With others that open, and never beside whoever closes: what counts is what stood when it was closed.
    within(store, &[Lock::Shared(Subject::Market)], move |tx| {
        Box::pin(async move { Ok(Fate::Keep(open_in(tx, node, &open, now_ms).await?)) })
    })
    .await
}

async fn open_in(tx: &mut Connection, node: NodeId, open: &OpenBid, now_ms: u64) -> Result<bool, StoreError> {
    let seal = open.bid.seal(&open.nonce);
    let done = query(
        "UPDATE bids SET opened = coalesce(opened, $4), nonce = coalesce(nonce, $5),
                         opened_at_ms = coalesce(opened_at_ms, $6)
          WHERE auction_id = $1 AND node_id = $2 AND seal = $3
            AND EXISTS (SELECT 1 FROM auctions a WHERE a.id = $1 AND a.closed_at_ms IS NULL
                                                   AND a.seal_until_ms < $6 AND a.open_until_ms >= $6)",
    )
    .bind(&open.bid.auction.as_bytes()[..])
    .bind(&node.as_bytes()[..])
    .bind(&seal.as_bytes()[..])
    .bind(&open.bid.canonical()[..])
    .bind(&open.nonce.as_bytes()[..])
    .bind(signed(now_ms))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn bid(row: &DbRow) -> Result<Entry, StoreError> {
    let opened: Option<&[u8]> = row.try_get("opened")?;
    let opened = match opened {
        Some(bytes) => {
            let bid = Bid::parse(bytes).map_err(|_| StoreError::Corrupt("opened"))?;
            Some((OpenBid { bid, nonce: Nonce::from_bytes(blob(row, "nonce")?) }, int(row, "opened_at_ms")?))
        }
        None => None,
    };
    let taken: &[u8] = row.try_get("taken_by")?;
    let (ids, rest) = taken.as_chunks::<ID_LEN>();
    if !rest.is_empty() {
        return Err(StoreError::Corrupt("taken_by"));
    }
    Ok(Entry {
        node: NodeId::from_bytes(blob(row, "node_id")?),
        key: PublicKey::from_bytes(blob(row, "public_key")?),
        sealed: SealedBid {
            auction: AuctionId::from_bytes(blob(row, "auction_id")?),
            seal: Seal::from_bytes(blob(row, "seal")?),
            signature: Signature::from_bytes(blob(row, "signature")?),
        },
        sealed_at_ms: int(row, "sealed_at_ms")?,
        opened,
        taken_by: ids.iter().map(|id| AuctionId::from_bytes(*id)).collect(),
    })
}

pub(super) async fn bids(tx: &mut Connection, auction: AuctionId) -> Result<Vec<Entry>, StoreError> {
    let rows = query(
        "SELECT b.auction_id, b.node_id, b.seal, b.signature, b.sealed_at_ms, b.opened, b.nonce, b.opened_at_ms,
                b.taken_by, n.public_key
           FROM bids b JOIN nodes n ON n.id = b.node_id WHERE b.auction_id = $1 ORDER BY b.node_id",
    )
    .bind(&auction.as_bytes()[..])
    .fetch_all(tx);
    rows.await?.iter().map(bid).collect()
}

/// Auctions of other reservations that a machine has won for some of this time, where they are as many as its slots.
pub(super) async fn taken_by(
    tx: &mut Connection,
    node: NodeId,
    wanted: &Wanted,
) -> Result<Vec<AuctionId>, StoreError> {
    let rows = query(
        "SELECT r.auction_id, n.slots FROM reserved_machines m
           JOIN reservations r ON r.id = m.reservation_id JOIN auctions a ON a.id = r.auction_id
           JOIN nodes n ON n.id = m.node_id
          WHERE m.node_id = $1 AND m.state IN ('waiting', 'held') AND r.state = 'booked'
            AND a.from_ms < $2 AND coalesce(r.stops_at_ms, a.until_ms) > $3 ORDER BY r.auction_id",
    )
    .bind(&node.as_bytes()[..])
    .bind(signed(wanted.until_ms))
    .bind(signed(wanted.from_ms))
    .fetch_all(tx)
    .await?;
    let slots: usize = rows.first().map_or(Ok(0), |row| int::<u32>(row, "slots"))? as usize;
    if rows.len() < slots.max(1) {
        return Ok(Vec::new());
    }
    rows.iter().map(|row| Ok(AuctionId::from_bytes(blob(row, "auction_id")?))).collect()
}

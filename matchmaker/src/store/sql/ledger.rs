//! Blocks of the general ledger.

use super::rows::{blob, int, signed};
use super::{DbRow, SqlStore, StoreError};
use crate::store::ledger::{BlockRow, LedgerStore, READ_BLOCKS, READ_BYTES};
use async_trait::async_trait;
use nearframe_journal::Following;
use nearframe_ledger::books::BlockHash;
use sqlx::{Row, query};

#[async_trait]
impl LedgerStore for SqlStore {
    async fn add_block(&self, block: &BlockRow) -> Result<bool, StoreError> {
        let done = query(
            "INSERT INTO ledger_blocks (height, hash, bytes)
             SELECT $1, $2, $3
              WHERE $1 = 0 OR EXISTS (SELECT 1 FROM ledger_blocks b WHERE b.height = $1 - 1 AND b.hash = $4)
             ON CONFLICT (height) DO NOTHING",
        )
        .bind(signed(block.height))
        .bind(&block.hash.as_bytes()[..])
        .bind(&block.bytes[..])
        .bind(&block.previous.as_bytes()[..])
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn blocks_after(&self, blocks: u64) -> Result<Following, StoreError> {
        let rows = query(
            "SELECT height, hash, CASE WHEN height >= $1 THEN bytes END AS bytes
               FROM (SELECT height, hash, bytes, sum(length(bytes)) OVER (ORDER BY height) AS read_bytes
                       FROM (SELECT height, hash, bytes FROM ledger_blocks WHERE height >= $1 - 1
                              ORDER BY height LIMIT $2) AS first_ones) AS sums
              WHERE read_bytes <= $3 ORDER BY height",
        )
        .bind(signed(blocks))
        .bind(i64::from(READ_BLOCKS))
        .bind(signed(READ_BYTES))
        .fetch_all(&self.readers)
        .await?;
        let mut following = Following::default();
        for row in &rows {
            match bytes(row)? {
                Some(bytes) => {
                    let expected = blocks + following.blocks.len() as u64;
                    if int::<u64>(row, "height")? != expected {
                        return Err(StoreError::Corrupt("height"));
                    }
                    following.blocks.push(bytes);
                }
                None => following.before = Some(BlockHash::from_bytes(blob(row, "hash")?)),
            }
        }
        Ok(following)
    }
}

fn bytes(row: &DbRow) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(row.try_get("bytes")?)
}

//! Entries that the general ledger refused, in memory.

use super::MemoryStore;
use crate::store::StoreError;
use crate::store::aside::{AsideRow, AsideStore, Feed};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// Each with the time at which the ledger took it after all.
pub(super) type Kept = BTreeMap<(Feed, u64), (AsideRow, Option<u64>)>;

#[async_trait]
impl AsideStore for MemoryStore {
    async fn set_aside(&self, row: &AsideRow) -> Result<bool, StoreError> {
        self.transact(|state| {
            let place = (row.feed, row.seq);
            let is_new = !state.asides.contains_key(&place);
            state.asides.entry(place).or_insert_with(|| (row.clone(), None));
            Ok(is_new)
        })
    }
    async fn asides(&self, limit: u32) -> Result<Vec<AsideRow>, StoreError> {
        Ok(self.read(|state| {
            let open = state.asides.values().filter(|(_, taken)| taken.is_none());
            let mut rows: Vec<_> = open.map(|(row, _)| row.clone()).collect();
            rows.sort_by_key(|row| (row.at_ms, row.feed.as_str(), row.seq));
            rows.truncate(limit as usize);
            rows
        }))
    }
    async fn taken_up(&self, feed: Feed, seq: u64, now_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            if let Some((_, taken)) = state.asides.get_mut(&(feed, seq)) {
                taken.get_or_insert(now_ms);
            }
            Ok(())
        })
    }
}

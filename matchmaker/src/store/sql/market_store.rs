//! Markets, as the seam wants them.

use super::{SqlStore, StoreError, auctions, caps, market};
use crate::bus::words::HeldSlots;
use crate::store::market::{
    AuctionRow, CapOf, CapRow, MachineRow, MarketStore, NewStandBy, ReservationRow, Reserved, Stood,
};
use async_trait::async_trait;
use nearframe_ledger::auction::Entry;
use nearframe_protocol::auction::{OpenBid, SealedBid};
use nearframe_protocol::{AccountId, AuctionId, NodeId, ReservationId};
use std::ops::Range;

#[async_trait]
impl MarketStore for SqlStore {
    async fn reserve(&self, new: &ReservationRow) -> Result<Reserved, StoreError> {
        market::reserve(self, new).await
    }
    async fn reservation(&self, id: ReservationId) -> Result<Option<ReservationRow>, StoreError> {
        market::one(&self.readers, id).await
    }
    async fn reservations(
        &self,
        account: Option<AccountId>,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<ReservationRow>, StoreError> {
        market::page(self, account, after, limit).await
    }
    async fn reservations_alive(&self) -> Result<Vec<ReservationRow>, StoreError> {
        market::alive(self).await
    }
    async fn auction(&self, id: AuctionId) -> Result<Option<AuctionRow>, StoreError> {
        auctions::one(self, id).await
    }
    async fn seal_bid(&self, node: NodeId, sealed: &SealedBid, now_ms: u64) -> Result<bool, StoreError> {
        auctions::seal(self, node, sealed, now_ms).await
    }
    async fn open_bid(&self, node: NodeId, open: &OpenBid, now_ms: u64) -> Result<bool, StoreError> {
        auctions::open(self, node, open, now_ms).await
    }
    async fn bids(&self, auction: AuctionId) -> Result<Vec<Entry>, StoreError> {
        auctions::bids(&mut *self.readers.acquire().await?, auction).await
    }
    async fn close_auction(
        &self,
        id: ReservationId,
        now_ms: u64,
    ) -> Result<Option<ReservationRow>, StoreError> {
        market::close(self, id, now_ms).await
    }
    async fn machines(&self, id: ReservationId) -> Result<Vec<MachineRow>, StoreError> {
        market::machines(self, id).await
    }
    async fn stand_by(&self, new: &NewStandBy) -> Result<Stood, StoreError> {
        market::stand_by(self, new).await
    }
    async fn let_go(
        &self,
        id: ReservationId,
        node: NodeId,
        gone: bool,
    ) -> Result<Option<HeldSlots>, StoreError> {
        market::let_go(self, id, node, gone).await
    }
    async fn cancel_reservation(
        &self,
        id: ReservationId,
        now_ms: u64,
    ) -> Result<Option<ReservationRow>, StoreError> {
        market::cancel(self, id, now_ms).await
    }
    async fn finish_reservation(&self, id: ReservationId, now_ms: u64) -> Result<bool, StoreError> {
        market::finish(self, id, now_ms).await
    }
    async fn stood_micros(&self, id: ReservationId) -> Result<i128, StoreError> {
        market::stood_micros(self, id).await
    }
    async fn kept_ms(&self, id: ReservationId, during: Range<u64>) -> Result<u64, StoreError> {
        market::kept_ms(self, id, &during).await
    }
    async fn set_cap(&self, of: &CapOf, cap: Option<&CapRow>) -> Result<(), StoreError> {
        caps::set(self, of, cap).await
    }
    async fn cap(&self, of: &CapOf) -> Result<Option<CapRow>, StoreError> {
        caps::one(self, of).await
    }
}

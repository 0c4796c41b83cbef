//! The statements of the record, written once and compiled for each database that keeps it.
//!
//! Whoever includes this module gives it the database's types, `SqlStore` with its `writer`, its `readers` and
//! `begin`, `within`, `lock`, `numbered_until` and `NOW`. The statements keep to what SQLite and PostgreSQL both say: numbered parameters, integers of
//! 64 bits, sums cast back to them.
//!
//! **Architecture invariant:** a transaction that decides by what it has read locks the [`Subject`] first. Subjects
//! are locked in the order in which they stand there, so that no two transactions wait for each other.

mod account_store;
mod accounts;
mod asides;
mod auctions;
mod billing;
mod budgets;
mod caps;
mod checks;
mod deeds;
mod disputes;
mod evidence;
mod keys;
mod ledger;
mod market;
mod market_store;
mod nodes;
mod outbox;
mod payouts;
mod placement;
mod plans;
mod receipts;
mod replicas;
mod rows;
mod saves;
mod service;
mod sessions;
mod settlements;
mod sign_in;
mod stakes;
mod trust;
mod webhooks;

use super::{Connection, Db, DbRow, NOW, SqlStore, lock, numbered_until, within};
use crate::bus::words::{HeldSlots, ReplicaId};
use crate::store::ledger::Numbered;
use crate::store::subject::{Lock, Subject};
use crate::store::{
    Admission, BudgetRow, Created, Ended, Fate, Fence, Hash, Idempotency, NewSave, NewSession, NodeRow,
    PostedRow, RegionOwner, Replicas, SaveOwner, SaveRow, Saved, SessionRow, Store, StoreError, Stranded,
    Taken,
};
use async_trait::async_trait;
use nearframe_ledger::Transfer;
use nearframe_ledger::bill::Evidence;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_protocol::api::StoredReceipt;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::{
    Currency, EndReason, Generation, GuestId, LeaseId, NodeId, PublicKey, SessionId, SpendLimit, TitleId,
};
use std::collections::HashMap;

#[async_trait]
impl Store for SqlStore {
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        nodes::secret(self, name, fresh).await
    }
    async fn add_enrolment(&self, code: Hash, expires_at_ms: u64) -> Result<(), StoreError> {
        nodes::add_enrolment(self, code, expires_at_ms).await
    }
    async fn admit_node(
        &self,
        key: &PublicKey,
        code: Option<Hash>,
        offer: &NodeOffer,
        now_ms: u64,
    ) -> Result<Admission, StoreError> {
        nodes::admit(self, key, code, offer, now_ms).await
    }
    async fn nodes(&self, after: Option<NodeId>, limit: u32) -> Result<Vec<NodeRow>, StoreError> {
        nodes::some(self, after, limit).await
    }
    async fn nodes_of(&self, ids: &[NodeId]) -> Result<Vec<NodeRow>, StoreError> {
        nodes::these(self, ids).await
    }
    async fn node_count(&self) -> Result<u64, StoreError> {
        nodes::count(self).await
    }
    async fn node_key(&self, node: NodeId) -> Result<Option<PublicKey>, StoreError> {
        nodes::key(self, node).await
    }
    async fn add_operator_link(&self, token: Hash, expires_at_ms: u64) -> Result<(), StoreError> {
        nodes::add_operator_link(self, token, expires_at_ms).await
    }
    async fn redeem_operator_link(
        &self,
        token: Hash,
        now_ms: u64,
        cookie: Hash,
        cookie_expires_at_ms: u64,
    ) -> Result<bool, StoreError> {
        nodes::redeem_operator_link(self, token, now_ms, cookie, cookie_expires_at_ms).await
    }
    async fn is_operator(&self, cookie: Hash, now_ms: u64) -> Result<bool, StoreError> {
        nodes::is_operator(self, cookie, now_ms).await
    }
    async fn create_session(&self, new: &NewSession) -> Result<Created, StoreError> {
        sessions::create(self, new).await
    }
    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        sessions::one(&self.readers, id).await
    }
    async fn sessions_of(
        &self,
        guest: GuestId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        sessions::of_guest(self, guest, after, limit).await
    }
    async fn active_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        sessions::active(self).await
    }
    async fn sessions_on(&self, node: NodeId) -> Result<Vec<SessionRow>, StoreError> {
        sessions::on_node(self, node).await
    }
    async fn starting_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        sessions::starting(self).await
    }
    async fn orphaned_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        sessions::orphaned(self).await
    }
    async fn busy(&self) -> Result<HashMap<NodeId, u32>, StoreError> {
        sessions::busy(self).await
    }
    async fn set_live(&self, id: SessionId, generation: Generation) -> Result<bool, StoreError> {
        sessions::set_live(self, id, generation).await
    }
    async fn end_session(
        &self,
        id: SessionId,
        reason: EndReason,
        now_ms: u64,
    ) -> Result<Option<Ended>, StoreError> {
        sessions::end(self, id, reason, now_ms).await
    }
    async fn end_over_budget(
        &self,
        id: SessionId,
        limit: SpendLimit,
        now_ms: u64,
    ) -> Result<Option<Ended>, StoreError> {
        sessions::end_over_budget(self, id, limit, now_ms).await
    }
    async fn take_receipt(&self, receipt: &SignedReceipt, now_ms: u64) -> Result<Taken, StoreError> {
        receipts::take(self, receipt, now_ms).await
    }
    async fn receipts(
        &self,
        session: SessionId,
        offset: u32,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, StoreError> {
        receipts::of_session(self, session, offset, limit).await
    }
    async fn close_accounts(&self, now_ms: u64) -> Result<u32, StoreError> {
        receipts::close_accounts(self, now_ms).await
    }
    async fn journal(&self) -> Result<Vec<Transfer>, StoreError> {
        receipts::journal(self).await
    }
    async fn evidence(
        &self,
        title: Option<&TitleId>,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<Evidence>, StoreError> {
        evidence::page(self, None, title, after, limit).await
    }
    async fn posted_after(&self, after: u64, limit: u32) -> Result<Vec<PostedRow>, StoreError> {
        receipts::posted_after(self, after, limit).await
    }
    async fn host_totals(&self, before_ms: u64, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        settlements::totals(self, before_ms, among).await
    }
    async fn last_settlement(&self) -> Result<Option<SignedRoot>, StoreError> {
        settlements::last(self).await
    }
    async fn set_budget(
        &self,
        title: &TitleId,
        currency: &Currency,
        limit_micros: Option<i128>,
    ) -> Result<(), StoreError> {
        budgets::set(self, title, currency, limit_micros).await
    }
    async fn budgets(&self) -> Result<Vec<BudgetRow>, StoreError> {
        budgets::all(self).await
    }
    async fn add_save(&self, new: &NewSave) -> Result<Saved, StoreError> {
        saves::add(self, new).await
    }
    async fn saves_of(&self, guest: GuestId) -> Result<Vec<SaveRow>, StoreError> {
        saves::of_guest(self, guest).await
    }
    async fn saves_of_title(&self, owner: &SaveOwner) -> Result<Vec<SaveRow>, StoreError> {
        saves::of_title(&self.readers, owner).await
    }
    async fn remove_saves(&self, owner: &SaveOwner, now_ms: u64) -> Result<u32, StoreError> {
        saves::remove(self, owner, now_ms).await
    }
    async fn note_asset(&self, asset: Hash, now_ms: u64) -> Result<(), StoreError> {
        saves::note_alone(self, asset, now_ms).await
    }
    async fn unreferenced_assets(&self, before_ms: u64, limit: u32) -> Result<Vec<Hash>, StoreError> {
        saves::unreferenced(self, before_ms, limit).await
    }
    async fn forget_asset(&self, asset: Hash) -> Result<(), StoreError> {
        saves::forget(self, asset).await
    }
    async fn clock_ms(&self) -> Result<u64, StoreError> {
        replicas::clock_ms(self).await
    }
    async fn beat(&self, replica: ReplicaId, first: bool) -> Result<Option<Replicas>, StoreError> {
        replicas::beat(self, replica, first).await
    }
    async fn bury(&self, replica: ReplicaId, beat: u64) -> Result<bool, StoreError> {
        replicas::bury(self, replica, beat).await
    }
    async fn claim_region(
        &self,
        region: &str,
        replica: ReplicaId,
        over: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        replicas::claim_region(self, region, replica, over).await
    }
    async fn open_link(&self, node: NodeId, replica: ReplicaId) -> Result<u64, StoreError> {
        replicas::open_link(self, node, replica).await
    }
    async fn close_link(&self, node: NodeId, link: u64) -> Result<bool, StoreError> {
        replicas::close_link(self, node, link).await
    }
    async fn stranded(&self) -> Result<Vec<Stranded>, StoreError> {
        replicas::stranded(self).await
    }
    async fn links_of(&self, replica: ReplicaId) -> Result<Vec<Stranded>, StoreError> {
        replicas::links_of(self, replica).await
    }
    async fn held(&self) -> Result<Vec<HeldSlots>, StoreError> {
        replicas::held(self).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

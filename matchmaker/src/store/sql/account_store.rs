//! Who is who, as the seam wants it.

use super::{SessionRow, SqlStore, StoreError, accounts, evidence, keys, sessions};
use crate::store::Hash;
use crate::store::accounts::{
    AccountRow, AccountStore, Arrival, Arrived, Changed, Holding, KeyRow, LinkRow, MemberRow,
};
use async_trait::async_trait;
use nearframe_ledger::bill::Evidence;
use nearframe_protocol::account::MemberRole;
use nearframe_protocol::{AccountId, ApiKeyId, LeaseId, MemberId, SessionId, TitleId};
use nearframe_trust::seen::Mark;

#[async_trait]
impl AccountStore for SqlStore {
    async fn add_account(&self, account: &AccountRow) -> Result<(), StoreError> {
        accounts::add(self, account).await
    }
    async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        accounts::all(self).await
    }
    async fn account(&self, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
        accounts::one(self, id).await
    }
    async fn set_account_limit(&self, id: AccountId, limit_micros: Option<i128>) -> Result<bool, StoreError> {
        accounts::set_limit(self, id, limit_micros).await
    }
    async fn add_link(&self, link: &LinkRow) -> Result<(), StoreError> {
        accounts::add_link(self, link).await
    }
    async fn arrive(&self, arrival: &Arrival) -> Result<Arrived, StoreError> {
        accounts::arrive(self, arrival).await
    }
    async fn member_of_cookie(
        &self,
        cookie: Hash,
        now_ms: u64,
    ) -> Result<Option<(MemberRow, AccountRow)>, StoreError> {
        accounts::of_cookie(self, cookie, now_ms).await
    }
    async fn sign_out(&self, cookie: Hash) -> Result<(), StoreError> {
        accounts::sign_out(self, cookie).await
    }
    async fn note_device(&self, account: AccountId, device: Mark, now_ms: u64) -> Result<(), StoreError> {
        accounts::note_device(self, account, device, now_ms).await
    }
    async fn devices(&self, account: AccountId, since_ms: u64) -> Result<Vec<Mark>, StoreError> {
        accounts::devices(self, account, since_ms).await
    }
    async fn forget_devices(&self, before_ms: u64) -> Result<(), StoreError> {
        accounts::forget_devices(self, before_ms).await
    }
    async fn members(&self, account: AccountId) -> Result<Vec<MemberRow>, StoreError> {
        accounts::members(self, account).await
    }
    async fn set_role(
        &self,
        account: AccountId,
        member: MemberId,
        role: MemberRole,
    ) -> Result<Changed, StoreError> {
        accounts::set_role(self, account, member, role).await
    }
    async fn remove_member(
        &self,
        account: AccountId,
        member: MemberId,
        now_ms: u64,
    ) -> Result<Changed, StoreError> {
        accounts::remove_member(self, account, member, now_ms).await
    }
    async fn add_key(&self, key: &KeyRow, secret: Hash) -> Result<bool, StoreError> {
        keys::add(self, key, secret).await
    }
    async fn keys(&self, account: AccountId) -> Result<Vec<KeyRow>, StoreError> {
        keys::of_account(self, account).await
    }
    async fn key_of_secret(&self, secret: Hash) -> Result<Option<KeyRow>, StoreError> {
        keys::of_secret(self, secret).await
    }
    async fn note_key_use(&self, id: ApiKeyId, now_ms: u64) -> Result<(), StoreError> {
        keys::note_use(self, id, now_ms).await
    }
    async fn set_key_limit(
        &self,
        account: AccountId,
        id: ApiKeyId,
        limit_micros: Option<i128>,
    ) -> Result<bool, StoreError> {
        keys::set_limit(self, account, id, limit_micros).await
    }
    async fn revoke_key(&self, account: AccountId, id: ApiKeyId, now_ms: u64) -> Result<bool, StoreError> {
        keys::revoke(self, account, id, now_ms).await
    }
    async fn set_owner(&self, holding: &Holding, account: Option<AccountId>) -> Result<(), StoreError> {
        keys::set_owner(self, holding, account).await
    }
    async fn owner(&self, holding: &Holding) -> Result<Option<AccountId>, StoreError> {
        keys::owner(self, holding).await
    }
    async fn holdings(&self, account: AccountId) -> Result<Vec<Holding>, StoreError> {
        keys::holdings(self, account).await
    }
    async fn sessions_of_account(
        &self,
        account: AccountId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        sessions::of_account(self, account, after, limit).await
    }
    async fn evidence_of_account(
        &self,
        account: AccountId,
        title: &TitleId,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<Evidence>, StoreError> {
        evidence::page(self, Some(account), Some(title), after, limit).await
    }
}

//! Accounts, members and keys, in memory.

use super::{Held, MemoryStore, State, evidence};
use crate::store::accounts::{
    AccountRow, AccountStore, Arrival, Arrived, Changed, Holding, KeyRow, LISTED, LinkRow, MOST_KEYS,
    MOST_MEMBERS, MemberRow, USE_NOTED_MS,
};
use crate::store::sign_in::{Added, IdentityRow};
use crate::store::{Hash, NewSession, SessionRow, StoreError};
use async_trait::async_trait;
use nearframe_ledger::bill::Evidence;
use nearframe_protocol::account::MemberRole;
use nearframe_protocol::webhook::BudgetOf;
use nearframe_protocol::{AccountId, ApiKeyId, LeaseId, MemberId, SessionId, TitleId};
use nearframe_trust::seen::Mark;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default, Clone)]
pub(super) struct Who {
    pub(super) accounts: BTreeMap<AccountId, AccountRow>,
    pub(super) keys: BTreeMap<ApiKeyId, KeyRow>,
    secrets: HashMap<Hash, ApiKeyId>,
    pub(super) members: Vec<MemberRow>,
    links: HashMap<Hash, LinkRow>,
    pub(super) cookies: HashMap<Hash, (MemberId, u64)>,
    owners: BTreeMap<Holding, AccountId>,
    /// Browsers of members, and when they were seen last.
    devices: BTreeMap<(AccountId, Mark), u64>,
}

impl Who {
    fn present(&self, account: AccountId) -> Vec<MemberRow> {
        let mut rows: Vec<_> = self.members.iter().filter(|row| row.account == account).cloned().collect();
        rows.sort_by_key(|row| (row.joined_at_ms, row.id));
        rows
    }

    /// Whose a title or a node is.
    pub(super) fn owner(&self, holding: &Holding) -> Option<AccountId> {
        self.owners.get(holding).copied()
    }

    /// Whether an account pays for a session.
    pub(super) fn pays(&self, account: AccountId, new: &NewSession) -> bool {
        match new.payer {
            Some(payer) => payer.account == account,
            None => self.owner(&Holding::Title(new.title.clone())) == Some(account),
        }
    }
}

impl State {
    fn arrive(&mut self, arrival: &Arrival) -> Arrived {
        let open = |link: &&LinkRow| link.expires_at_ms > arrival.now_ms;
        let Some(link) = self.who.links.get(&arrival.token).filter(open).cloned() else {
            return Arrived::Refused;
        };
        let id = link.member.unwrap_or(arrival.member);
        if link.member.is_none() {
            if self.who.present(link.account).len() >= MOST_MEMBERS as usize {
                return Arrived::Full;
            }
            if arrival.identity.as_ref().is_some_and(|identity| self.is_in(&identity.who, link.account)) {
                return Arrived::Already;
            }
        }
        let known = self.who.members.iter().find(|row| row.id == id).cloned();
        let new = || link.member.is_none().then(|| arrival.new_member(link.account, link.role));
        let Some(row) = known.or_else(new) else { return Arrived::Refused };
        if let Some(identity) = &arrival.identity {
            let linked = IdentityRow { member: id, ..identity.clone() };
            if self.ways.link(&linked) != Added::Done {
                return Arrived::Full;
            }
        }
        if link.member.is_none() {
            self.who.members.push(row.clone());
        }
        self.who.links.remove(&arrival.token);
        self.who.cookies.insert(arrival.cookie, (id, arrival.cookie_expires_at_ms));
        Arrived::As(row)
    }

    pub(super) fn account_row(&self, row: &AccountRow) -> AccountRow {
        let mut row = row.clone();
        row.purse.committed_micros = self.account_spent(row.id);
        row
    }

    fn key_row(&self, row: &KeyRow) -> KeyRow {
        let mut row = row.clone();
        row.purse.committed_micros = self.key_spent(row.id);
        row
    }
}

#[async_trait]
impl AccountStore for MemoryStore {
    async fn add_account(&self, account: &AccountRow) -> Result<(), StoreError> {
        self.transact(|state| {
            state.who.accounts.entry(account.id).or_insert_with(|| account.clone());
            Ok(())
        })
    }
    async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        Ok(self.read(|state| {
            let mut rows: Vec<_> = state.who.accounts.values().map(|row| state.account_row(row)).collect();
            rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
            rows.truncate(LISTED as usize);
            rows
        }))
    }
    async fn account(&self, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
        Ok(self.read(|state| state.who.accounts.get(&id).map(|row| state.account_row(row))))
    }
    async fn set_account_limit(&self, id: AccountId, limit_micros: Option<i128>) -> Result<bool, StoreError> {
        self.transact(|state| {
            state.hooks.account_limit_is_new(id);
            let row = state.who.accounts.get_mut(&id);
            Ok(row.map(|row| row.purse.limit_micros = limit_micros).is_some())
        })
    }
    async fn add_link(&self, link: &LinkRow) -> Result<(), StoreError> {
        self.transact(|state| {
            state.who.links.entry(link.token).or_insert_with(|| link.clone());
            Ok(())
        })
    }
    async fn arrive(&self, arrival: &Arrival) -> Result<Arrived, StoreError> {
        self.transact(|state| Ok(state.arrive(arrival)))
    }
    async fn member_of_cookie(
        &self,
        cookie: Hash,
        now_ms: u64,
    ) -> Result<Option<(MemberRow, AccountRow)>, StoreError> {
        Ok(self.read(|state| {
            let (id, _) = state.who.cookies.get(&cookie).filter(|(_, expires)| *expires > now_ms)?;
            let member = state.who.members.iter().find(|row| row.id == *id)?;
            let account = state.who.accounts.get(&member.account)?;
            Some((member.clone(), state.account_row(account)))
        }))
    }
    async fn sign_out(&self, cookie: Hash) -> Result<(), StoreError> {
        self.transact(|state| {
            state.who.cookies.remove(&cookie);
            Ok(())
        })
    }
    async fn note_device(&self, account: AccountId, device: Mark, now_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            let seen = state.who.devices.entry((account, device)).or_default();
            *seen = now_ms.max(*seen);
            Ok(())
        })
    }
    async fn devices(&self, account: AccountId, since_ms: u64) -> Result<Vec<Mark>, StoreError> {
        Ok(self.read(|state| {
            let own = state.who.devices.iter().filter(|((of, _), _)| *of == account);
            let mut rows: Vec<_> = own.filter(|(_, seen_ms)| **seen_ms >= since_ms).collect();
            rows.sort_by_key(|((_, device), seen_ms)| (Reverse(**seen_ms), device.0.to_le_bytes()));
            rows.into_iter().map(|((_, device), _)| *device).take(LISTED as usize).collect()
        }))
    }
    async fn forget_devices(&self, before_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            state.who.devices.retain(|_, seen_ms| *seen_ms >= before_ms);
            Ok(())
        })
    }
    async fn members(&self, account: AccountId) -> Result<Vec<MemberRow>, StoreError> {
        Ok(self.read(|state| state.who.present(account)))
    }
    async fn set_role(
        &self,
        account: AccountId,
        member: MemberId,
        role: MemberRole,
    ) -> Result<Changed, StoreError> {
        self.transact(|state| {
            let changed = MemberRow::change(&state.who.present(account), member, role == MemberRole::Owner);
            if changed == Changed::Done {
                let rows = state.who.members.iter_mut().filter(|row| row.id == member);
                rows.for_each(|row| row.role = role);
            }
            Ok(changed)
        })
    }
    async fn remove_member(
        &self,
        account: AccountId,
        member: MemberId,
        _now_ms: u64,
    ) -> Result<Changed, StoreError> {
        self.transact(|state| {
            let changed = MemberRow::change(&state.who.present(account), member, false);
            if changed == Changed::Done {
                state.who.members.retain(|row| row.id != member);
                state.who.cookies.retain(|_, (id, _)| *id != member);
                state.who.links.retain(|_, link| link.member != Some(member));
                state.ways.forget(member);
            }
            Ok(changed)
        })
    }
    async fn add_key(&self, key: &KeyRow, secret: Hash) -> Result<bool, StoreError> {
        self.transact(|state| {
            let live = |row: &&KeyRow| row.account == key.account && row.revoked_at_ms.is_none();
            let known = state.who.keys.contains_key(&key.id);
            if !known && state.who.keys.values().filter(live).count() >= MOST_KEYS as usize {
                return Ok(false);
            }
            if !known {
                state.who.keys.insert(key.id, key.clone());
                state.who.secrets.insert(secret, key.id);
            }
            Ok(true)
        })
    }
    async fn keys(&self, account: AccountId) -> Result<Vec<KeyRow>, StoreError> {
        Ok(self.read(|state| {
            let mine = state.who.keys.values().filter(|row| row.account == account);
            let mut rows: Vec<_> = mine.map(|row| state.key_row(row)).collect();
            rows.sort_by_key(|row| Reverse((row.created_at_ms, row.id)));
            rows.truncate(LISTED as usize);
            rows
        }))
    }
    async fn key_of_secret(&self, secret: Hash) -> Result<Option<KeyRow>, StoreError> {
        Ok(self.read(|state| {
            let id = state.who.secrets.get(&secret)?;
            state.who.keys.get(id).map(|row| state.key_row(row))
        }))
    }
    async fn note_key_use(&self, id: ApiKeyId, now_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            let long_ago =
                |row: &&mut KeyRow| row.last_used_ms.is_none_or(|last| last + USE_NOTED_MS <= now_ms);
            if let Some(row) = state.who.keys.get_mut(&id).filter(long_ago) {
                row.last_used_ms = Some(now_ms);
            }
            Ok(())
        })
    }
    async fn set_key_limit(
        &self,
        account: AccountId,
        id: ApiKeyId,
        limit_micros: Option<i128>,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            let row = state.who.keys.get_mut(&id).filter(|row| row.account == account);
            let is_there = row.map(|row| row.purse.limit_micros = limit_micros).is_some();
            if is_there {
                state.hooks.limit_is_new(&BudgetOf::Key { id });
            }
            Ok(is_there)
        })
    }
    async fn revoke_key(&self, account: AccountId, id: ApiKeyId, now_ms: u64) -> Result<bool, StoreError> {
        self.transact(|state| {
            let row = state.who.keys.get_mut(&id).filter(|row| row.account == account);
            Ok(row.map(|row| row.revoked_at_ms = row.revoked_at_ms.or(Some(now_ms))).is_some())
        })
    }
    async fn set_owner(&self, holding: &Holding, account: Option<AccountId>) -> Result<(), StoreError> {
        self.transact(|state| {
            match account {
                Some(account) => drop(state.who.owners.insert(holding.clone(), account)),
                None => drop(state.who.owners.remove(holding)),
            }
            Ok(())
        })
    }
    async fn owner(&self, holding: &Holding) -> Result<Option<AccountId>, StoreError> {
        Ok(self.read(|state| state.who.owner(holding)))
    }
    async fn holdings(&self, account: AccountId) -> Result<Vec<Holding>, StoreError> {
        Ok(self.read(|state| {
            let mine = state.who.owners.iter().filter(|(_, owner)| **owner == account);
            let mut rows: Vec<_> = mine.map(|(holding, _)| holding.clone()).collect();
            rows.sort_by_key(Holding::words);
            rows.truncate(LISTED as usize);
            rows
        }))
    }
    async fn sessions_of_account(
        &self,
        account: AccountId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let mine = |held: &Held| {
            !held.new.stands_by() && held.new.payer.is_some_and(|payer| payer.account == account)
        };
        let mut rows = self.read(|state| state.rows(mine));
        rows.reverse();
        if let Some(after) = after {
            let at = rows.iter().position(|row| row.id == after).map_or(rows.len(), |at| at + 1);
            rows.drain(..at);
        }
        rows.truncate(limit as usize);
        Ok(rows)
    }
    async fn evidence_of_account(
        &self,
        account: AccountId,
        title: &TitleId,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<Evidence>, StoreError> {
        self.read(|state| evidence::page(state, Some(account), Some(title), after, limit))
    }
}

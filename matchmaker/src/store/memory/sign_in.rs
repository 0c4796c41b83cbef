//! How members sign in, in memory.

use super::{MemoryStore, State};
use crate::store::accounts::{AccountRow, MemberRow};
use crate::store::sign_in::{
    Added, IdentityRow, MOST_WAYS, NewCookie, Newcomer, Outsider, PasskeyRow, PendingRow, SignInStore,
};
use crate::store::{Hash, StoreError};
use async_trait::async_trait;
use nearframe_protocol::{AccountId, IdentityId, MemberId, PasskeyId};
use std::collections::HashMap;

#[derive(Debug, Default, Clone)]
pub(super) struct Ways {
    pending: HashMap<Hash, PendingRow>,
    identities: Vec<IdentityRow>,
    passkeys: Vec<PasskeyRow>,
}

impl Ways {
    /// Forgets all of a member.
    pub(super) fn forget(&mut self, member: MemberId) {
        self.identities.retain(|row| row.member != member);
        self.passkeys.retain(|row| row.member != member);
    }

    pub(super) fn link(&mut self, row: &IdentityRow) -> Added {
        let same = |known: &&IdentityRow| {
            known.member == row.member
                && known.who.issuer == row.who.issuer
                && known.who.subject == row.who.subject
        };
        if self.identities.iter().any(|known| same(&known)) {
            return Added::Done;
        }
        if self.identities.iter().filter(|known| known.member == row.member).count() >= MOST_WAYS as usize {
            return Added::Full;
        }
        self.identities.push(row.clone());
        Added::Done
    }
}

impl State {
    fn present(&self, member: MemberId) -> Option<(MemberRow, AccountRow)> {
        let row = self.who.members.iter().find(|row| row.id == member)?;
        let account = self.who.accounts.get(&row.account)?;
        Some((row.clone(), self.account_row(account)))
    }

    fn members_of(&self, issuer: &str, subject: &str) -> Vec<(MemberRow, AccountRow)> {
        let mine =
            self.ways.identities.iter().filter(|row| row.who.issuer == issuer && row.who.subject == subject);
        let mut found: Vec<_> = mine.filter_map(|row| self.present(row.member)).collect();
        found.sort_by(|a, b| (&a.1.name, a.0.id).cmp(&(&b.1.name, b.0.id)));
        found
    }

    /// Whether an identity is linked to somebody in an account.
    pub(super) fn is_in(&self, who: &Outsider, account: AccountId) -> bool {
        self.members_of(&who.issuer, &who.subject).iter().any(|(member, _)| member.account == account)
    }
}

#[async_trait]
impl SignInStore for MemoryStore {
    async fn add_pending(&self, pending: &PendingRow, most: u32, now_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            let rows = &mut state.ways.pending;
            rows.retain(|_, row| row.expires_at_ms > now_ms);
            rows.insert(pending.key, pending.clone());
            let mut ends: Vec<_> = rows.values().map(|row| (row.expires_at_ms, row.key)).collect();
            ends.sort_unstable();
            let beyond = ends.len().saturating_sub(most as usize);
            ends[..beyond].iter().for_each(|(_, key)| drop(rows.remove(key)));
            Ok(())
        })
    }
    async fn pending(&self, key: Hash, now_ms: u64) -> Result<Option<String>, StoreError> {
        Ok(self.read(|state| {
            let row = state.ways.pending.get(&key).filter(|row| row.expires_at_ms > now_ms);
            row.map(|row| row.body.clone())
        }))
    }
    async fn take_pending(&self, key: Hash, now_ms: u64) -> Result<Option<String>, StoreError> {
        self.transact(|state| {
            let row = state.ways.pending.remove(&key);
            Ok(row.filter(|row| row.expires_at_ms > now_ms).map(|row| row.body))
        })
    }
    async fn members_of_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Vec<(MemberRow, AccountRow)>, StoreError> {
        Ok(self.read(|state| state.members_of(issuer, subject)))
    }
    async fn link_identity(&self, identity: &IdentityRow) -> Result<Added, StoreError> {
        self.transact(|state| {
            if state.present(identity.member).is_none() {
                return Ok(Added::Unknown);
            }
            Ok(state.ways.link(identity))
        })
    }
    async fn identities(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
        Ok(self.read(|state| {
            let mine = state.ways.identities.iter().filter(|row| row.member == member);
            let mut rows: Vec<_> = mine.cloned().collect();
            rows.sort_by_key(|row| (row.linked_at_ms, row.id));
            rows
        }))
    }
    async fn unlink_identity(&self, member: MemberId, id: IdentityId) -> Result<bool, StoreError> {
        self.transact(|state| {
            let before = state.ways.identities.len();
            state.ways.identities.retain(|row| row.id != id || row.member != member);
            Ok(state.ways.identities.len() < before)
        })
    }
    async fn sign_in_by_identity(
        &self,
        who: &Outsider,
        member: MemberId,
        cookie: NewCookie,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            let linked = state.members_of(&who.issuer, &who.subject);
            if !linked.iter().any(|(row, _)| row.id == member) {
                return Ok(false);
            }
            let same = |row: &&mut IdentityRow| {
                row.member == member && row.who.issuer == who.issuer && row.who.subject == who.subject
            };
            let used = state.ways.identities.iter_mut().filter(same);
            used.for_each(|row| row.last_used_ms = Some(cookie.now_ms));
            state.who.cookies.insert(cookie.cookie, (member, cookie.expires_at_ms));
            Ok(true)
        })
    }
    async fn add_newcomer(&self, newcomer: &Newcomer, cookie: NewCookie) -> Result<bool, StoreError> {
        let Newcomer { account, member, identity } = newcomer;
        self.transact(|state| {
            if !state.members_of(&identity.who.issuer, &identity.who.subject).is_empty() {
                return Ok(false);
            }
            state.who.accounts.insert(account.id, account.clone());
            state.who.members.push(member.clone());
            state.ways.identities.push(identity.clone());
            state.who.cookies.insert(cookie.cookie, (member.id, cookie.expires_at_ms));
            Ok(true)
        })
    }
    async fn add_passkey(&self, passkey: &PasskeyRow) -> Result<Added, StoreError> {
        self.transact(|state| {
            if state.present(passkey.member).is_none() {
                return Ok(Added::Unknown);
            }
            let rows = &mut state.ways.passkeys;
            if let Some(known) = rows.iter().find(|row| row.credential == passkey.credential) {
                return Ok(if known.member == passkey.member { Added::Done } else { Added::Taken });
            }
            if rows.iter().filter(|row| row.member == passkey.member).count() >= MOST_WAYS as usize {
                return Ok(Added::Full);
            }
            rows.push(passkey.clone());
            Ok(Added::Done)
        })
    }
    async fn passkeys(&self, member: MemberId) -> Result<Vec<PasskeyRow>, StoreError> {
        Ok(self.read(|state| {
            let mine = state.ways.passkeys.iter().filter(|row| row.member == member);
            let mut rows: Vec<_> = mine.cloned().collect();
            rows.sort_by_key(|row| (row.added_at_ms, row.id));
            rows
        }))
    }
    async fn passkey(
        &self,
        credential: &[u8],
    ) -> Result<Option<(PasskeyRow, MemberRow, AccountRow)>, StoreError> {
        Ok(self.read(|state| {
            let row = state.ways.passkeys.iter().find(|row| row.credential == credential)?;
            let (member, account) = state.present(row.member)?;
            Some((row.clone(), member, account))
        }))
    }
    async fn sign_in_by_passkey(
        &self,
        read: &PasskeyRow,
        body: &str,
        cookie: NewCookie,
    ) -> Result<bool, StoreError> {
        self.transact(|state| {
            let is_present = state.present(read.member).is_some();
            let same = |row: &&mut PasskeyRow| {
                row.id == read.id && row.body == read.body && row.flagged_at_ms.is_none()
            };
            let Some(row) = state.ways.passkeys.iter_mut().find(same).filter(|_| is_present) else {
                return Ok(false);
            };
            (row.body, row.last_used_ms) = (body.to_owned(), Some(cookie.now_ms));
            state.who.cookies.insert(cookie.cookie, (read.member, cookie.expires_at_ms));
            Ok(true)
        })
    }
    async fn flag_passkey(&self, id: PasskeyId, now_ms: u64) -> Result<(), StoreError> {
        self.transact(|state| {
            let rows = state.ways.passkeys.iter_mut().filter(|row| row.id == id);
            rows.for_each(|row| row.flagged_at_ms = row.flagged_at_ms.or(Some(now_ms)));
            Ok(())
        })
    }
    async fn remove_passkey(&self, member: MemberId, id: PasskeyId) -> Result<bool, StoreError> {
        self.transact(|state| {
            let before = state.ways.passkeys.len();
            state.ways.passkeys.retain(|row| row.id != id || row.member != member);
            Ok(state.ways.passkeys.len() < before)
        })
    }
}

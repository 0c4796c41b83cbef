//! How members sign in other than by links, as the store keeps it: identities, passkeys, and what is under way.

use super::accounts::{AccountRow, MemberRow};
use super::{Hash, StoreError};
use async_trait::async_trait;
use nearframe_protocol::{IdentityId, MemberId, PasskeyId};

/// Identities and passkeys, each, that a member may have: beyond that, they are not one person's.
pub const MOST_WAYS: u32 = 20;
/// What somebody is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outsider {
    /// The provider's address of itself.
    pub issuer: String,
    /// Whom it means, unique at the provider.
    pub subject: String,
    /// What it calls this person.
    pub name: String,
}

/// An identity that is linked to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRow {
    /// Its id.
    pub id: IdentityId,
    /// Who.
    pub who: Outsider,
    /// Whose.
    pub member: MemberId,
    /// Unix ms.
    pub linked_at_ms: u64,
    /// Unix ms.
    pub last_used_ms: Option<u64>,
}

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyRow {
    /// Its id.
    pub id: PasskeyId,
    /// What authenticators know it by.
    pub credential: Vec<u8>,
    /// Whose.
    pub member: MemberId,
    /// What its member calls it.
    pub name: String,
    /// JSON of its key and counter.
    pub body: String,
    /// Unix ms.
    pub added_at_ms: u64,
    /// Unix ms.
    pub last_used_ms: Option<u64>,
    /// When its counter went back, Unix ms.
    pub flagged_at_ms: Option<u64>,
}

/// A sign-in that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// Hash of what only the browser knows that began it.
    pub key: Hash,
    /// JSON of what is to be remembered.
    pub body: String,
    /// Unix ms.
    pub expires_at_ms: u64,
}

/// A cookie that is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewCookie {
    /// Its hash.
    pub cookie: Hash,
    /// When it expires, Unix ms.
    pub expires_at_ms: u64,
    /// Now, Unix ms.
    pub now_ms: u64,
}

/// What became of a new way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is one now, or was.
    Done,
    /// The member has [`MOST_WAYS`] of the kind.
    Full,
    /// Somebody else has it: a passkey of another member.
    Taken,
    /// There is no such member any more.
    Unknown,
}

/// Somebody who makes an account of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// The account.
    pub account: AccountRow,
    /// Its owner.
    pub member: MemberRow,
    /// The identity of the owner.
    pub identity: IdentityRow,
}

/// The part of the store that knows how members sign in. As of every method: one transaction, and repeating it changes
/// nothing, save that what may be taken once is taken once.
#[async_trait]
pub trait SignInStore: Send + Sync + 'static {
    /// Remembers a sign-in that begins, in place of one with the same key. Those that are over are forgotten, and where
    /// there are more than `most`, those that end first.
    async fn add_pending(&self, pending: &PendingRow, most: u32, now_ms: u64) -> Result<(), StoreError>;
    /// What is remembered under a key, which stays there.
    async fn pending(&self, key: Hash, now_ms: u64) -> Result<Option<String>, StoreError>;
    /// Takes what is remembered under a key: whoever asks next gets nothing.
    async fn take_pending(&self, key: Hash, now_ms: u64) -> Result<Option<String>, StoreError>;

    /// Members that an identity is linked to, with their accounts, by account name; those who are out are not.
    async fn members_of_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Vec<(MemberRow, AccountRow)>, StoreError>;
    /// Links an identity to its member.
    async fn link_identity(&self, identity: &IdentityRow) -> Result<Added, StoreError>;
    /// The member's identities, oldest first.
    async fn identities(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError>;
    /// Unlinks an identity of the member; false: it has none with this id.
    async fn unlink_identity(&self, member: MemberId, id: IdentityId) -> Result<bool, StoreError>;
    /// Gives a cookie to the member whom an identity is linked to; false: it is not, or they are out.
    async fn sign_in_by_identity(
        &self,
        who: &Outsider,
        member: MemberId,
        cookie: NewCookie,
    ) -> Result<bool, StoreError>;
    /// Makes an account with its owner, and gives a cookie to them; false: the identity is linked to a member already.
    async fn add_newcomer(&self, newcomer: &Newcomer, cookie: NewCookie) -> Result<bool, StoreError>;

    /// Keeps a passkey; one that its member has stays.
    async fn add_passkey(&self, passkey: &PasskeyRow) -> Result<Added, StoreError>;
    /// The member's passkeys, oldest first.
    async fn passkeys(&self, member: MemberId) -> Result<Vec<PasskeyRow>, StoreError>;
    /// The passkey that authenticators know by this, with its member and their account; not where they are out.
    async fn passkey(
        &self,
        credential: &[u8],
    ) -> Result<Option<(PasskeyRow, MemberRow, AccountRow)>, StoreError>;
    /// Gives a cookie for a passkey, if it still is as it was read, and keeps what it is now; false where it is not, or
    /// its member is out.
    async fn sign_in_by_passkey(
        &self,
        read: &PasskeyRow,
        body: &str,
        cookie: NewCookie,
    ) -> Result<bool, StoreError>;
    /// Notes that a passkey's counter went back; the first time stays.
    async fn flag_passkey(&self, id: PasskeyId, now_ms: u64) -> Result<(), StoreError>;
    /// Forgets a passkey of the member; false: it has none with this id.
    async fn remove_passkey(&self, member: MemberId, id: PasskeyId) -> Result<bool, StoreError>;
}

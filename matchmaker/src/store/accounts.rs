//! Accounts, members and keys as the store keeps them.

use super::sign_in::IdentityRow;
use super::{Hash, SessionRow, StoreError};
use async_trait::async_trait;
use nearframe_ledger::bill::Evidence;
use nearframe_protocol::account::{AccountKind, MemberRole, Scope};
use nearframe_protocol::{
    AccountId, ApiKeyId, Currency, LeaseId, MemberId, Money, NodeId, SessionId, TitleId,
};
use nearframe_trust::seen::Mark;
use serde::{Deserialize, Serialize};

/// Members that an account may have: beyond that, it is more than one organisation.
pub const MOST_MEMBERS: u32 = 200;
/// Keys that an account may have at once.
pub const MOST_KEYS: u32 = 100;
/// Accounts, keys and holdings that one listing gives.
pub const LISTED: u32 = 1_000;
/// A key's last use is written down this often, in ms.
pub const USE_NOTED_MS: u64 = 60_000;

/// What may be spent, and what is set aside or spent, in micro-units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purse {
    /// What it is counted in.
    pub currency: Currency,
    /// The most; `None`: without a limit.
    pub limit_micros: Option<i128>,
    /// Set aside or spent.
    pub committed_micros: i128,
}

impl Purse {
    /// With nothing spent.
    pub fn new(currency: Currency, limit_micros: Option<i128>) -> Self {
        Self { currency, limit_micros, committed_micros: 0 }
    }

    /// An amount in its currency.
    pub fn money(&self, amount_micros: i128) -> Money {
        Money { amount_micros, currency: self.currency.clone() }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub id: AccountId,
    /// What it is for.
    pub kind: AccountKind,
    /// What people call it.
    pub name: String,
    /// Unix ms.
    pub created_at_ms: u64,
    /// Of all its keys together.
    pub purse: Purse,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Its id.
    pub id: MemberId,
    /// Of which account.
    pub account: AccountId,
    /// What they call themselves.
    pub name: String,
    /// What they may do.
    pub role: MemberRole,
    /// Unix ms.
    pub joined_at_ms: u64,
}

impl MemberRow {
    /// Whether one of these members may lose its role; `stays_owner`: it becomes or stays an owner.
    pub(super) fn change(present: &[Self], id: MemberId, stays_owner: bool) -> Changed {
        let Some(member) = present.iter().find(|row| row.id == id) else { return Changed::Unknown };
        let owners = present.iter().filter(|row| row.role == MemberRole::Owner).count();
        let is_last = member.role == MemberRole::Owner && owners == 1;
        if is_last && !stays_owner { Changed::LastOwner } else { Changed::Done }
    }
}

/// A one-time link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Hash of what proves it.
    pub token: Hash,
    /// Into which account.
    pub account: AccountId,
    /// As what, for a new member.
    pub role: MemberRole,
    /// Who is signed in; `None`: a new member.
    pub member: Option<MemberId>,
    /// Unix ms.
    pub expires_at_ms: u64,
}

/// Who uses a link up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Hash of what proves the link.
    pub token: Hash,
    /// The id of the member, if it becomes one.
    pub member: MemberId,
    /// The name of the member, if it becomes one.
    pub name: String,
    /// Hash of the cookie.
    pub cookie: Hash,
    /// When the cookie expires, Unix ms.
    pub cookie_expires_at_ms: u64,
    /// Now, Unix ms.
    pub now_ms: u64,
    /// An identity from elsewhere that is linked to whoever comes; its `member` is not looked at.
    pub identity: Option<IdentityRow>,
}

impl Arrival {
    /// Who comes by a link for a new member.
    pub(super) fn new_member(&self, account: AccountId, role: MemberRole) -> MemberRow {
        let (name, joined_at_ms) = (self.name.clone(), self.now_ms);
        MemberRow { id: self.member, account, name, role, joined_at_ms }
    }
}

/// What became of a use of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Signed in.
    As(MemberRow),
    /// Unknown, used, too old, or for a member who was removed.
    Refused,
    /// The account has [`MOST_MEMBERS`], or the member as many identities as one may have.
    Full,
    /// The identity is linked to another member of the account, and the link is for a new one.
    Already,
}

/// What became of a change of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is so now.
    Done,
    /// There is no such member in the account.
    Unknown,
    /// Nobody would be left who lets people in.
    LastOwner,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: ApiKeyId,
    /// Of which account.
    pub account: AccountId,
    /// What it is for.
    pub name: String,
    /// How its secret begins.
    pub prefix: String,
    /// What it opens, in order.
    pub scopes: Vec<Scope>,
    /// Unix ms.
    pub created_at_ms: u64,
    /// The member who made it.
    pub created_by: Option<MemberId>,
    /// Unix ms.
    pub expires_at_ms: Option<u64>,
    /// Unix ms.
    pub revoked_at_ms: Option<u64>,
    /// Unix ms.
    pub last_used_ms: Option<u64>,
    /// What it may spend, within what its account may.
    pub purse: Purse,
}

/// Who pays for a session in the studio's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    /// The account.
    pub account: AccountId,
    /// The key that asked; `None`: a member did.
    pub key: Option<ApiKeyId>,
}

/// What an account owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// A title: the account pays for those who play it as guests.
    Title(TitleId),
    /// A node: the account is paid for it.
    Node(NodeId),
}

impl Holding {
    /// Kind and subject, as databases keep them.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::Title(title) => ("title", title.to_string()),
            Self::Node(node) => ("node", node.to_string()),
        }
    }

    /// From these words.
    pub fn parse(kind: &str, subject: &str) -> Option<Self> {
        match kind {
            "title" => TitleId::new(subject).ok().map(Self::Title),
            "node" => subject.parse().ok().map(Self::Node),
            _ => None,
        }
    }
}

/// The part of the store that knows who is who. As of every method: one transaction, and repeating it changes nothing.
#[async_trait]
pub trait AccountStore: Send + Sync + 'static {
    /// Writes an account; one with this id that is there stays.
    async fn add_account(&self, account: &AccountRow) -> Result<(), StoreError>;
    /// At most [`LISTED`] accounts, by name.
    async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError>;
    /// The account.
    async fn account(&self, id: AccountId) -> Result<Option<AccountRow>, StoreError>;
    /// From now on the account sets aside and spends no more than this; false: no such account.
    async fn set_account_limit(&self, id: AccountId, limit_micros: Option<i128>) -> Result<bool, StoreError>;

    /// Keeps a one-time link.
    async fn add_link(&self, link: &LinkRow) -> Result<(), StoreError>;
    /// Uses a link up for a cookie.
    async fn arrive(&self, arrival: &Arrival) -> Result<Arrived, StoreError>;
    /// Whose cookie it is.
    async fn member_of_cookie(
        &self,
        cookie: Hash,
        now_ms: u64,
    ) -> Result<Option<(MemberRow, AccountRow)>, StoreError>;
    /// Forgets a cookie.
    async fn sign_out(&self, cookie: Hash) -> Result<(), StoreError>;
    /// The account's members, in the order in which they joined.
    async fn members(&self, account: AccountId) -> Result<Vec<MemberRow>, StoreError>;
    /// Writes down that a member of the account was signed in in this browser.
    async fn note_device(&self, account: AccountId, device: Mark, now_ms: u64) -> Result<(), StoreError>;
    /// Browsers in which members of the account were signed in since then, at most [`LISTED`], the newest first.
    async fn devices(&self, account: AccountId, since_ms: u64) -> Result<Vec<Mark>, StoreError>;
    /// Forgets browsers that were not seen since then.
    async fn forget_devices(&self, before_ms: u64) -> Result<(), StoreError>;
    /// Changes what a member may do.
    async fn set_role(
        &self,
        account: AccountId,
        member: MemberId,
        role: MemberRole,
    ) -> Result<Changed, StoreError>;
    /// Takes a member out, with all cookies and links.
    async fn remove_member(
        &self,
        account: AccountId,
        member: MemberId,
        now_ms: u64,
    ) -> Result<Changed, StoreError>;

    /// Writes a key with the hash of its secret; false: the account has [`MOST_KEYS`] that are not revoked. One with
    /// this id that is there stays.
    async fn add_key(&self, key: &KeyRow, secret: Hash) -> Result<bool, StoreError>;
    /// At most [`LISTED`] keys of the account, newest first, revoked ones included.
    async fn keys(&self, account: AccountId) -> Result<Vec<KeyRow>, StoreError>;
    /// The key with this secret, whatever became of it.
    async fn key_of_secret(&self, secret: Hash) -> Result<Option<KeyRow>, StoreError>;
    /// Writes down that a key was used, if that was not done within [`USE_NOTED_MS`].
    async fn note_key_use(&self, id: ApiKeyId, now_ms: u64) -> Result<(), StoreError>;
    /// From now on the key sets aside and spends no more than this; false: no such key in the account.
    async fn set_key_limit(
        &self,
        account: AccountId,
        id: ApiKeyId,
        limit_micros: Option<i128>,
    ) -> Result<bool, StoreError>;
    /// The key opens nothing and sets nothing aside any more; the first time stays. False: no such key in the account.
    async fn revoke_key(&self, account: AccountId, id: ApiKeyId, now_ms: u64) -> Result<bool, StoreError>;

    /// Gives a title or a node to an account, or to none.
    async fn set_owner(&self, holding: &Holding, account: Option<AccountId>) -> Result<(), StoreError>;
    /// Whose a title or a node is.
    async fn owner(&self, holding: &Holding) -> Result<Option<AccountId>, StoreError>;
    /// At most [`LISTED`] titles and nodes of an account.
    async fn holdings(&self, account: AccountId) -> Result<Vec<Holding>, StoreError>;

    /// Sessions that an account's keys started, newest first, at most `limit`, after `after` where given.
    async fn sessions_of_account(
        &self,
        account: AccountId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError>;
    /// As [`Store::evidence`](super::Store::evidence), of what an account pays for: sessions of its keys, and guests on
    /// its titles.
    async fn evidence_of_account(
        &self,
        account: AccountId,
        title: &TitleId,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<Evidence>, StoreError>;
}

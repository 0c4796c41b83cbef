//! What must outlive the process: nodes, sessions, leases, receipts, the journal.
//!
//! [`Store`] is a seam: [`SqliteStore`] is the record on one machine, [`PostgresStore`] that of more, and
//! [`MemoryStore`] stands in for them in tests and can crash before a commit. All pass `tests/store_contract.rs`. What changes state decides nothing
//! about money itself: it calls `nearframe-ledger`.
//!
//! **Architecture invariant:** every method is one whole transaction. When it returns an error,
//! nothing has happened; when it is repeated, nothing happens twice.

mod account;
pub mod accounts;
pub mod aside;
pub mod billing;
pub mod checks;
pub mod deeds;
mod event;
pub mod ledger;
pub mod market;
mod memory;
mod months;
pub mod payouts;
pub mod placement;
pub mod plans;
mod postgres;
mod replica;
mod save;
pub mod service;
mod session;
pub mod sign_in;
mod sqlite;
pub mod stake;
mod subject;
pub mod trust;
pub mod webhooks;

pub use accounts::{AccountStore, Payer};
pub use aside::AsideStore;
pub use billing::BillingStore;
pub use checks::CheckStore;
pub use deeds::DeedStore;
pub use ledger::LedgerStore;
pub use market::MarketStore;
pub use memory::MemoryStore;
pub use payouts::PayoutStore;
pub use placement::PlacementStore;
pub use plans::PlanStore;
pub use postgres::PostgresStore;
pub use replica::{Fence, RegionOwner, Replicas, Stranded};
pub use save::{NewSave, SaveOwner, SaveRow, Saved};
pub use service::ServiceStore;
pub use session::{Idempotency, NewSession, SessionRow};
pub use sign_in::SignInStore;
pub use sqlite::SqliteStore;
pub use stake::StakeStore;
pub use trust::TrustStore;
pub use webhooks::WebhookStore;

use crate::bus::words::{HeldSlots, ReplicaId};
use async_trait::async_trait;
use nearframe_ledger::bill::Evidence;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_ledger::{Imbalance, LedgerError, Transfer};
use nearframe_protocol::api::StoredReceipt;
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::receipt::SignedReceipt;
use nearframe_protocol::{
    Currency, EndReason, Generation, GuestId, LeaseId, Money, NodeId, PublicKey, SessionId, SpendLimit,
    TitleId,
};
use nearframe_trust::seen::RefusedSeen;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// SHA-256-sized hash of a secret or of a request; secrets themselves are never kept.
pub type Hash = [u8; 32];

/// The database failed, or holds what it should not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("database schema: {0}; a database written by a newer release needs that release")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row that no release of this program writes.
    #[error("database: the column {0} holds an impossible value; restore the database from a backup")]
    Corrupt(&'static str),
    /// A sum of money that cannot be counted.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The journal of a lease breaks a rule of bookkeeping.
    #[error("the journal is wrong: {0}; the lease's account stays open until an operator looked at it")]
    Unbalanced(#[from] Imbalance),
    /// A limit does not hold what was to be set aside.
    #[error("what may be spent is used up: {0}")]
    OverBudget(SpendLimit),
    /// The database's disk has no room for what was to be committed.
    #[error("database: its disk is full")]
    Full,
    /// The process died before the commit (only from [`MemoryStore`]).
    #[error("crashed before the commit")]
    Crashed,
}

impl StoreError {
    /// Whether the database's disk has no room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Database(error) => is_full(error),
            _ => false,
        }
    }
}

/// SQLITE_FULL, and `disk_full` of PostgreSQL.
fn is_full(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "13" || code == "53100")
}

/// What became of a request for a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Created {
    /// A lease was written.
    New(SessionRow),
    /// The same request was answered before with this session.
    Again(SessionRow),
    /// The node has no free slot.
    NoCapacity,
    /// The budget of the title, or of the account or the key that asked, does not hold another hour.
    OverBudget,
    /// What the player may spend in a month does not hold another hour.
    OverCap,
    /// The guest has as many sessions as a guest may have.
    TooMany,
    /// The idempotency key was used for another request.
    KeyReused,
    /// Another replica leases in this region by now.
    Fenced,
}

/// What became of the end of a session.
#[derive(Debug)]
pub struct Ended {
    /// The session as it is now; its reason is the first one given.
    pub session: SessionRow,
    /// Whether this call ended it.
    pub first: bool,
}

/// What became of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Counted now.
    Counted {
        /// Whether the player's signature was there and right.
        countersigned: bool,
    },
    /// Counted before.
    Duplicate,
    /// Not counted: a limit does not hold it.
    OverBudget(SpendLimit),
    /// Will never be counted, and why.
    Refused(String),
    /// The same, and what it says about the node: no node that works sends it.
    Caught(String, RefusedSeen),
}

/// Whether a transaction keeps what it did.
enum Fate<T> {
    /// It does.
    Keep(T),
    /// It answers, and leaves nothing behind.
    Undo(T),
}

impl<T> Fate<T> {
    fn into_inner(self) -> T {
        match self {
            Self::Keep(value) | Self::Undo(value) => value,
        }
    }
}

/// What became of a node's hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Known, or enrolled just now.
    Admitted(NodeId),
    /// Unknown, and no code came with the hello.
    CodeNeeded,
    /// Unknown, and the code is wrong, used or too old.
    BadCode,
}

/// A node as it last described itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// Region, empty if unknown.
    pub region: String,
    /// Sessions it can run at once.
    pub slots: u32,
    /// Adapter.
    pub adapter: String,
}

/// A posted transfer, and its place in the journal of leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedRow {
    /// Grows with each row; rows between may be missing.
    pub seq: u64,
    /// The transfer.
    pub transfer: Transfer,
}

/// What may be spent on a title in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRow {
    /// The title.
    pub title: TitleId,
    /// The most that is ever set aside and spent; `None`: without a limit.
    pub limit: Option<Money>,
    /// What is set aside or spent.
    pub committed: Money,
}

/// The seam. Every method is one transaction; times are Unix ms by the caller's clock.
#[async_trait]
pub trait Store:
    AccountStore
    + AsideStore
    + BillingStore
    + CheckStore
    + DeedStore
    + LedgerStore
    + MarketStore
    + PayoutStore
    + PlacementStore
    + PlanStore
    + ServiceStore
    + SignInStore
    + StakeStore
    + TrustStore
    + WebhookStore
{
    /// The secret `name`; `fresh` becomes it when there is none.
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError>;

    /// Keeps a one-time enrolment code.
    async fn add_enrolment(&self, code: Hash, expires_at_ms: u64) -> Result<(), StoreError>;
    /// Lets a node in by its key, or by a code that is used up by it; keeps what it offers.
    async fn admit_node(
        &self,
        key: &PublicKey,
        code: Option<Hash>,
        offer: &NodeOffer,
        now_ms: u64,
    ) -> Result<Admission, StoreError>;
    /// Enrolled nodes by name and id, at most `limit`, after `after` where given.
    async fn nodes(&self, after: Option<NodeId>, limit: u32) -> Result<Vec<NodeRow>, StoreError>;
    /// Those of these nodes that are enrolled, in no order.
    async fn nodes_of(&self, ids: &[NodeId]) -> Result<Vec<NodeRow>, StoreError>;
    /// How many are enrolled.
    async fn node_count(&self) -> Result<u64, StoreError>;

    /// The key of an enrolled node.
    async fn node_key(&self, node: NodeId) -> Result<Option<PublicKey>, StoreError>;

    /// Keeps a one-time operator link.
    async fn add_operator_link(&self, token: Hash, expires_at_ms: u64) -> Result<(), StoreError>;
    /// Uses the link up for a cookie; false when it is unknown, used or too old.
    async fn redeem_operator_link(
        &self,
        token: Hash,
        now_ms: u64,
        cookie: Hash,
        cookie_expires_at_ms: u64,
    ) -> Result<bool, StoreError>;
    /// Whether the cookie is an operator's.
    async fn is_operator(&self, cookie: Hash, now_ms: u64) -> Result<bool, StoreError>;

    /// Writes session, lease and pending transfer if the node has a free slot.
    async fn create_session(&self, new: &NewSession) -> Result<Created, StoreError>;
    /// The session.
    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError>;
    /// The guest's sessions, newest first, at most `limit`, after `after` where given.
    async fn sessions_of(
        &self,
        guest: GuestId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError>;
    /// All sessions that are not over, oldest first.
    async fn active_sessions(&self) -> Result<Vec<SessionRow>, StoreError>;
    /// Sessions that hold a slot of the node, oldest first.
    async fn sessions_on(&self, node: NodeId) -> Result<Vec<SessionRow>, StoreError>;
    /// Sessions that nobody has seen yet.
    async fn starting_sessions(&self) -> Result<Vec<SessionRow>, StoreError>;
    /// Sessions that hold a slot of a lost node.
    async fn orphaned_sessions(&self) -> Result<Vec<SessionRow>, StoreError>;
    /// Slots that leases hold, by node.
    async fn busy(&self) -> Result<HashMap<NodeId, u32>, StoreError>;
    /// From `starting` to `live`; true if this call did it.
    async fn set_live(&self, id: SessionId, generation: Generation) -> Result<bool, StoreError>;
    /// Ends session and lease and releases what is set aside but for late receipts. The first reason
    /// stays. `None`: no such session.
    async fn end_session(
        &self,
        id: SessionId,
        reason: EndReason,
        now_ms: u64,
    ) -> Result<Option<Ended>, StoreError>;

    /// The same with [`EndReason::BudgetUsedUp`], because this limit did not hold its next hour.
    async fn end_over_budget(
        &self,
        id: SessionId,
        limit: SpendLimit,
        now_ms: u64,
    ) -> Result<Option<Ended>, StoreError>;

    /// Counts a receipt once, with its transfers.
    async fn take_receipt(&self, receipt: &SignedReceipt, now_ms: u64) -> Result<Taken, StoreError>;
    /// The session's receipts in order, at most `limit`, skipping `offset`.
    async fn receipts(
        &self,
        session: SessionId,
        offset: u32,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, StoreError>;
    /// Closes accounts whose late window is over, each in a transaction of its own and only if its
    /// journal balances; returns how many.
    async fn close_accounts(&self, now_ms: u64) -> Result<u32, StoreError>;
    /// The whole journal in writing order, for verification.
    async fn journal(&self) -> Result<Vec<Transfer>, StoreError>;
    /// What the bills of at most `limit` leases rest on, by lease id, after `after` where given; of one title where one
    /// is named. Each lease as it stood at one moment.
    async fn evidence(
        &self,
        title: Option<&TitleId>,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<Evidence>, StoreError>;

    /// At most `limit` posted transfers after the row `after`, by their numbers. As of all that is read so: whoever goes on
    /// from the last one misses nothing, and sees nothing while one with a lower number may still be to come.
    async fn posted_after(&self, after: u64, limit: u32) -> Result<Vec<PostedRow>, StoreError>;
    /// Everything that was posted to hosts before `before_ms`; to some of them where they are named.
    async fn host_totals(&self, before_ms: u64, among: Option<&[NodeId]>) -> Result<Totals, StoreError>;
    /// The root of the last settled epoch.
    async fn last_settlement(&self) -> Result<Option<SignedRoot>, StoreError>;

    /// From now on, no more is set aside or spent on a title than this, whatever was before; `None`: without a limit.
    async fn set_budget(
        &self,
        title: &TitleId,
        currency: &Currency,
        limit_micros: Option<i128>,
    ) -> Result<(), StoreError>;
    /// All budgets, and what is committed where there is none, by title and currency.
    async fn budgets(&self) -> Result<Vec<BudgetRow>, StoreError>;

    /// Keeps a pack as the next version of its guest's title, and drops versions that are too many.
    async fn add_save(&self, new: &NewSave) -> Result<Saved, StoreError>;
    /// The guest's saves, by title, newest version first.
    async fn saves_of(&self, guest: GuestId) -> Result<Vec<SaveRow>, StoreError>;
    /// The saves of one title, newest version first.
    async fn saves_of_title(&self, owner: &SaveOwner) -> Result<Vec<SaveRow>, StoreError>;
    /// Forgets all saves of a title; returns how many there were. Versions go on counting.
    async fn remove_saves(&self, owner: &SaveOwner, now_ms: u64) -> Result<u32, StoreError>;
    /// Writes down that an asset is about to be there and no row needs it yet, so that it is removed
    /// should none ever do.
    async fn note_asset(&self, asset: Hash, now_ms: u64) -> Result<(), StoreError>;
    /// Assets that no row has needed since before `before_ms`, at most `limit`.
    async fn unreferenced_assets(&self, before_ms: u64, limit: u32) -> Result<Vec<Hash>, StoreError>;
    /// The asset is removed.
    async fn forget_asset(&self, asset: Hash) -> Result<(), StoreError>;

    /// The store's clock, Unix ms: one for all replicas.
    async fn clock_ms(&self) -> Result<u64, StoreError>;
    /// Counts up that a replica lives, from its `first` time on, and tells what stands about all of them. `None`:
    /// others have buried it.
    async fn beat(&self, replica: ReplicaId, first: bool) -> Result<Option<Replicas>, StoreError>;
    /// Takes a replica off the list if it has not beaten again; true if this call did it.
    async fn bury(&self, replica: ReplicaId, beat: u64) -> Result<bool, StoreError>;
    /// Makes a replica the owner of a region that nobody owned, or, if its number is still `over`, of one that
    /// another did; gives its new number.
    async fn claim_region(
        &self,
        region: &str,
        replica: ReplicaId,
        over: Option<u64>,
    ) -> Result<Option<u64>, StoreError>;
    /// A node is linked to a replica; gives the number of the link, which is the node's highest.
    async fn open_link(&self, node: NodeId, replica: ReplicaId) -> Result<u64, StoreError>;
    /// The node is lost, if this is still its newest link; false where it is not.
    async fn close_link(&self, node: NodeId, link: u64) -> Result<bool, StoreError>;
    /// Nodes that hold sessions and whose replica is buried.
    async fn stranded(&self) -> Result<Vec<Stranded>, StoreError>;
    /// Nodes that hold sessions and whose newest link is a replica's.
    async fn links_of(&self, replica: ReplicaId) -> Result<Vec<Stranded>, StoreError>;
    /// Slots that leases hold or held, by node.
    async fn held(&self) -> Result<Vec<HeldSlots>, StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
    /// Finishes what is under way and closes.
    async fn close(&self);
}

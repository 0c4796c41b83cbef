//! Checkers, what they reported, and the draw of audits.

use super::StoreError;
use async_trait::async_trait;
use nearframe_protocol::check::SignedCheck;
use nearframe_protocol::check::draw::{Audit, Rules, Seed};
use nearframe_protocol::{NodeId, PublicKey};

/// A checker that is or was enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckerRow {
    /// Its key.
    pub key: PublicKey,
    /// What it is called.
    pub name: String,
    /// Unix ms.
    pub enrolled_at_ms: u64,
    /// When its reports stopped counting, Unix ms.
    pub revoked_at_ms: Option<u64>,
}

/// A report that was filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRow {
    /// As it came.
    pub check: SignedCheck,
    /// Unix ms.
    pub filed_at_ms: u64,
    /// What the checker is called.
    pub checker_name: String,
}

/// A day of the draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRow {
    /// Since 1970-01-01, UTC.
    pub day: u32,
    /// Told once the day is over.
    pub seed: Seed,
    /// By which nodes are drawn.
    pub rules: Rules,
}

/// An audit that a checker wants to carry out.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// Which.
    pub audit: Audit,
    /// Of which node.
    pub node: NodeId,
    /// By whom.
    pub checker: PublicKey,
    /// Unix ms.
    pub now_ms: u64,
    /// Whoever took it before this and reported nothing has given it up.
    pub stale_before_ms: u64,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filed {
    /// It counts from now on.
    New,
    /// It was filed before.
    Again,
    /// The checker has reported this session otherwise.
    Other,
    /// The checker is not enrolled, or not any more.
    Refused,
}

/// The part of the store that checks need. As of every method: one transaction, and repeating it changes nothing.
#[async_trait]
pub trait CheckStore: Send + Sync + 'static {
    /// Enrols a checker, or gives it another name; false where it was revoked, which stays.
    async fn enrol_checker(&self, key: &PublicKey, name: &str, now_ms: u64) -> Result<bool, StoreError>;
    /// Its reports count no more from now on; false where none is enrolled.
    async fn revoke_checker(&self, key: &PublicKey, now_ms: u64) -> Result<bool, StoreError>;
    /// All of them, by name.
    async fn checkers(&self) -> Result<Vec<CheckerRow>, StoreError>;
    /// The checker with this key.
    async fn checker(&self, key: &PublicKey) -> Result<Option<CheckerRow>, StoreError>;

    /// Files a report on a session that exists; with it, the audit that it names is done.
    async fn file_check(&self, check: &SignedCheck, now_ms: u64) -> Result<Filed, StoreError>;
    /// Reports on a node, newest first, at most `limit`.
    async fn checks_of(&self, node: NodeId, limit: u32) -> Result<Vec<CheckRow>, StoreError>;
    /// Reports on all nodes that were filed since, by checkers that still count, oldest first, at most `limit`.
    async fn checks_since(&self, since_ms: u64, limit: u32) -> Result<Vec<CheckRow>, StoreError>;

    /// The day's seed and rules; `fresh` becomes them where there are none.
    async fn check_day(&self, fresh: &DayRow) -> Result<DayRow, StoreError>;
    /// Days before this one, newest first, at most `limit`.
    async fn check_days(&self, before: u32, limit: u32) -> Result<Vec<DayRow>, StoreError>;
    /// All nodes with the time of their enrolment, Unix ms.
    async fn enrolled(&self) -> Result<Vec<(NodeId, u64)>, StoreError>;
    /// Audits from this day on that are done, or under way since `stale_before_ms`.
    async fn closed_audits(
        &self,
        from_day: u32,
        stale_before_ms: u64,
    ) -> Result<Vec<(Audit, NodeId)>, StoreError>;
    /// The audit is this checker's; false where it is another's or done.
    async fn take_audit(&self, take: &Take) -> Result<bool, StoreError>;
}

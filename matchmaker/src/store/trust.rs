//! What is known about trust: testimonies, cases, disputes, what was paid back and what is held because of them.

use super::{PostedRow, StoreError};
use async_trait::async_trait;
use nearframe_ledger::Transfer;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_protocol::account::Actor;
use nearframe_protocol::receipt::Receipt;
use nearframe_protocol::trust::{Party, Verdict, WithheldWhy};
use nearframe_protocol::{AccountId, CaseId, Currency, DisputeId, GuestId, NodeId, SessionId};
use nearframe_trust::fraud::{Exhibit, Grade, Kind};
use nearframe_trust::service::Served;
use nearframe_trust::witness::Witness;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a testimony is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TestimonyKind {
    /// A node's link opened.
    Link,
    /// A page's own count of a session.
    Page,
    /// A receipt of a session was refused.
    Refused,
}

impl TestimonyKind {
    const ALL: [Self; 3] = [Self::Link, Self::Page, Self::Refused];

    /// The form in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Page => "page",
            Self::Refused => "refused",
        }
    }

    /// The kind with this form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a witness said: the newest of its kind about its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// Of what kind.
    pub kind: TestimonyKind,
    /// A session's id, or a number of a link.
    pub subject: [u8; 16],
    /// About which node.
    pub node: NodeId,
    /// Unix ms.
    pub at_ms: u64,
    /// JSON, by kind.
    pub body: String,
}

/// A lease with the receipts that were counted.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayedRow {
    /// The session.
    pub session: SessionId,
    /// Where.
    pub node: NodeId,
    /// Who played.
    pub guest: GuestId,
    /// Who paid in the studio's place.
    pub account: Option<AccountId>,
    /// Unix ms.
    pub started_at_ms: u64,
    /// Unix ms.
    pub ended_at_ms: Option<u64>,
    /// By sequence.
    pub receipts: Vec<Receipt>,
}

/// What a case rests on: the form in which databases keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseBody {
    /// Who says so.
    pub witnesses: Vec<Witness>,
    /// What shows it.
    pub exhibits: Vec<Exhibit>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseVerdict {
    /// Which way.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub actor: Actor,
    /// Unix ms.
    pub at_ms: u64,
}

/// A case against a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRow {
    /// Follows from node, kind and day.
    pub id: CaseId,
    /// Against whom.
    pub node: NodeId,
    /// Of what kind.
    pub kind: Kind,
    /// How sure; never [`Grade::Watch`].
    pub grade: Grade,
    /// What it rests on.
    pub body: CaseBody,
    /// Unix ms.
    pub opened_at_ms: u64,
    /// Unix ms.
    pub changed_at_ms: u64,
    /// The one decision.
    pub verdict: Option<CaseVerdict>,
}

/// How a dispute ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settling {
    /// The part that is paid back, in thousandths.
    pub refund_permille: u16,
    /// Why.
    pub note: String,
    /// Who decided.
    pub actor: Actor,
    /// Unix ms.
    pub at_ms: u64,
}

/// A dispute about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisputeRow {
    /// Chosen by whoever writes it.
    pub id: DisputeId,
    /// About what.
    pub session: SessionId,
    /// Whose.
    pub party: Party,
    /// Why.
    pub reason: String,
    /// What shows it.
    pub evidence: String,
    /// The case that it follows from.
    pub case: Option<CaseId>,
    /// Unix ms.
    pub opened_at_ms: u64,
    /// The one decision.
    pub settled: Option<Settling>,
}

/// An entry that pays something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrectionRow {
    /// The dispute that it follows from.
    pub dispute: DisputeId,
    /// The session.
    pub session: SessionId,
    /// The entry.
    pub transfer: Transfer,
    /// Unix ms.
    pub at_ms: u64,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided<T> {
    /// Taken now.
    Now(T),
    /// The same was decided before.
    Again(T),
    /// Something else was decided before.
    Otherwise(T),
    /// Receipts may still come, until then, Unix ms; 0: the session runs.
    TooEarly(u64),
    /// There is none.
    Unknown,
}

/// What became of a new dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It stands.
    Now(DisputeRow),
    /// This party disputed the session before.
    Again(DisputeRow),
}

/// From when on a machine is not new any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Machines that were enrolled later than this are new, Unix ms.
    pub enrolled_before_ms: u64,
    /// And those on which fewer sessions have ended.
    pub sessions: u32,
}

/// What of a host's earnings is held, and why. Each earning has one reason, the first of [`WithheldWhy`] that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// The host.
    pub host: NodeId,
    /// In what.
    pub currency: Currency,
    /// Why.
    pub why: WithheldWhy,
    /// How much.
    pub amount_micros: i128,
}

/// What a node served in a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedRow {
    /// The node.
    pub node: NodeId,
    /// Its region, empty if unknown.
    pub region: String,
    /// How much.
    pub served: Served,
}

/// The part of the store that trust rests on.
#[async_trait]
pub trait TrustStore: Send + Sync {
    /// Keeps what a witness says in place of what the same one said before of the same subject.
    async fn testify(&self, testimony: &Testimony) -> Result<(), StoreError>;
    /// What was said since then, by node, kind and subject.
    async fn testimonies(&self, since_ms: u64) -> Result<Vec<Testimony>, StoreError>;
    /// Forgets what was said before then.
    async fn forget_testimonies(&self, before_ms: u64) -> Result<(), StoreError>;
    /// Leases that began since then, at most `limit`, by lease id.
    async fn played(&self, since_ms: u64, limit: u32) -> Result<Vec<PlayedRow>, StoreError>;

    /// Opens a case, or adds to what it rests on if it is open; one that was decided stays as it is. True if it is new.
    async fn add_case(&self, case: &CaseRow) -> Result<bool, StoreError>;
    /// Cases, newest first, at most `limit`, after `after` where given; those that are open alone, where asked.
    async fn cases(&self, open: bool, after: Option<CaseId>, limit: u32) -> Result<Vec<CaseRow>, StoreError>;
    /// Decides a case once; upholding it opens the disputes in the same transaction.
    async fn decide_case(
        &self,
        id: CaseId,
        verdict: &CaseVerdict,
        disputes: &[DisputeRow],
    ) -> Result<Decided<CaseRow>, StoreError>;

    /// Opens a dispute, once for each party of a session.
    async fn open_dispute(&self, dispute: &DisputeRow) -> Result<Opened, StoreError>;
    /// Disputes, newest first, at most `limit`, after `after` where given; those that are open alone, where asked.
    async fn disputes(
        &self,
        open: bool,
        after: Option<DisputeId>,
        limit: u32,
    ) -> Result<Vec<DisputeRow>, StoreError>;
    /// The disputes of a session, oldest first.
    async fn disputes_of(&self, session: SessionId) -> Result<Vec<DisputeRow>, StoreError>;
    /// Decides a dispute once, and in the same transaction pays back and frees the budgets; only after the accounts of
    /// the session's leases are closed, so that nothing is posted later.
    async fn decide_dispute(
        &self,
        id: DisputeId,
        settling: &Settling,
    ) -> Result<Decided<DisputeRow>, StoreError>;
    /// What was paid back of a session, in writing order.
    async fn corrections_of(&self, session: SessionId) -> Result<Vec<CorrectionRow>, StoreError>;
    /// At most `limit` entries that paid back after the row `after`, in writing order.
    async fn corrections_after(&self, after: u64, limit: u32) -> Result<Vec<PostedRow>, StoreError>;

    /// What of that which was posted to hosts before `before_ms` is held, by host, currency and reason; of some hosts where
    /// they are named.
    async fn held_earnings(
        &self,
        before_ms: u64,
        trial: Trial,
        among: Option<&[NodeId]>,
    ) -> Result<Vec<HeldRow>, StoreError>;
    /// What hosts paid back; some of them where they are named.
    async fn corrected(&self, among: Option<&[NodeId]>) -> Result<Totals, StoreError>;
    /// Keeps a signed root with what was posted and is not in it; the first of an epoch stays, with its own.
    async fn settle(&self, root: &SignedRoot, withheld: &Totals) -> Result<(), StoreError>;
    /// What nodes served under leases that ended then and of which something was billed, by node.
    async fn served(&self, ended: Range<u64>) -> Result<Vec<ServedRow>, StoreError>;

    /// What was posted until the end of a settled epoch and is not in its root; to some hosts where they are named.
    async fn withheld(&self, epoch: u32, among: Option<&[NodeId]>) -> Result<Totals, StoreError>;
}

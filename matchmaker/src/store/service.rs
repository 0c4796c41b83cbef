//! Service levels as the store keeps them: when machines were reached, what was paid on them, months that are closed.

use super::StoreError;
use super::stake::NewCredit;
use async_trait::async_trait;
use nearframe_ledger::Account;
use nearframe_protocol::{Currency, LeaseId, NodeId};
use std::ops::Range;

/// What was reached: a machine, or the matchmaker itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// The matchmaker ran.
    Service,
    /// The machine was linked.
    Node(NodeId),
}

impl Reached {
    /// The form in databases; no machine has the id of the matchmaker.
    pub(super) fn bytes(self) -> [u8; 16] {
        match self {
            Self::Service => [0; 16],
            Self::Node(node) => *node.as_bytes(),
        }
    }

    /// What has this form.
    pub(super) fn of(bytes: [u8; 16]) -> Self {
        if bytes == [0; 16] { Self::Service } else { Self::Node(NodeId::from_bytes(bytes)) }
    }
}

/// A time in which something was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachRow {
    /// What.
    pub subject: Reached,
    /// Unix ms.
    pub time: Range<u64>,
}

/// What was paid for a lease, less what was paid back and credited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidRow {
    /// The lease.
    pub lease: LeaseId,
    /// Who paid.
    pub payer: Account,
    /// Where.
    pub node: NodeId,
    /// In what.
    pub currency: Currency,
    /// How much, in micro-units; more than zero.
    pub paid_micros: i128,
}

/// A month whose credits were posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthRow {
    /// Such as `2026-11`.
    pub month: String,
    /// JSON of [`MonthCredits`](nearframe_protocol::trust::MonthCredits).
    pub body: String,
    /// Unix ms.
    pub at_ms: u64,
}

/// What a month is closed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// It.
    pub month: MonthRow,
    /// Its time.
    pub ended: Range<u64>,
    /// What was paid in it, as it was read; what is credited follows from that.
    pub paid: Vec<PaidRow>,
    /// What is credited.
    pub credits: Vec<NewCredit>,
}

/// The part of the store that service levels rest on.
#[async_trait]
pub trait ServiceStore: Send + Sync {
    /// These are reached now. What was reached within `gap_ms` before was so without a break.
    async fn note_reached(&self, subjects: &[Reached], now_ms: u64, gap_ms: u64) -> Result<(), StoreError>;
    /// When anything was reached in a time, by subject and beginning; not cut to it.
    async fn reached(&self, range: Range<u64>) -> Result<Vec<ReachRow>, StoreError>;

    /// What was paid for leases that ended then, by payer, machine, currency and lease; nothing of which nothing is left.
    async fn paid_for(&self, ended: Range<u64>) -> Result<Vec<PaidRow>, StoreError>;
    /// Disputes that nobody decided about sessions that ended then.
    async fn undecided(&self, ended: Range<u64>) -> Result<u64, StoreError>;
    /// Closes a month with its credits; false: it was closed before, or something was paid back since it was read, and
    /// nothing was written.
    async fn close_month(&self, closing: &Closing) -> Result<bool, StoreError>;
    /// A month that is closed.
    async fn month(&self, month: &str) -> Result<Option<MonthRow>, StoreError>;
}

//! Stakes as the store keeps them: tables of rules, entries, and what is credited.
//!
//! **Architecture invariant:** an entry is written only as the next one of its machine, so that two who decide at once
//! cannot both; and rows are never changed. The general ledger follows them.

use super::StoreError;
use super::payouts::Spent;
use super::trust::CaseRow;
use super::webhooks::EventRow;
use async_trait::async_trait;
use nearframe_ledger::Account;
use nearframe_ledger::settlement::Totals;
use nearframe_protocol::{CaseId, Currency, LeaseId, NodeId, SessionId};
use nearframe_trust::stake::Entry;
use std::ops::Range;

/// Which table of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleTable {
    /// What hosts stake and lose.
    Stake,
    /// What is credited.
    Credit,
}

impl RuleTable {
    /// The form in databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stake => "stake",
            Self::Credit => "credit",
        }
    }
}

/// A version of a table of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesRow {
    /// Counts up.
    pub version: u32,
    /// JSON of [`Rules`](nearframe_trust::stake::Rules) or [`CreditRules`](nearframe_trust::credit::CreditRules).
    pub body: String,
    /// In force since, Unix ms.
    pub since_ms: u64,
}

/// An entry of a machine's stake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StakeRow {
    /// Grows with each row of all machines; 0 before it is written.
    pub seq: u64,
    /// Whose stake.
    pub node: NodeId,
    /// What it is counted in.
    pub currency: Currency,
    /// What happened.
    pub entry: Entry,
}

/// What something is credited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CreditKind {
    /// A month below what was promised.
    Service,
    /// A stake that was taken.
    Slash,
}

impl CreditKind {
    /// The form in databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Slash => "slash",
        }
    }

    /// The kind with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Service, Self::Slash].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Something that is credited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditRow {
    /// Grows with each row; 0 before it is written.
    pub seq: u64,
    /// What for.
    pub kind: CreditKind,
    /// The month, or the case.
    pub about: String,
    /// Who pays.
    pub debit: Account,
    /// Who is paid.
    pub credit: Account,
    /// Micro-units, more than zero.
    pub amount_micros: i128,
    /// What it is counted in.
    pub currency: Currency,
    /// Writing the same key twice changes nothing.
    pub key: String,
    /// Unix ms.
    pub at_ms: u64,
}

/// A credit to be written, with what of it is for which lease; a part may be for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredit {
    /// It.
    pub row: CreditRow,
    /// Micro-units by lease, each more than zero.
    pub shares: Vec<(LeaseId, i128)>,
}

/// What of a credit was for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseCredit {
    /// The lease.
    pub lease: LeaseId,
    /// The credit; its amount is what of it was for the lease.
    pub row: CreditRow,
}

/// The part of the store that stakes rest on. As of every method: one transaction, and repeating it changes nothing.
#[async_trait]
pub trait StakeStore: Send + Sync {
    /// Keeps a version of a table, unless it is there; gives the one that is.
    async fn add_rules(&self, table: RuleTable, row: &RulesRow) -> Result<RulesRow, StoreError>;
    /// All versions of a table, by version.
    async fn rule_tables(&self, table: RuleTable) -> Result<Vec<RulesRow>, StoreError>;

    /// Writes the next entry of a machine's stake, with what is credited because of it and what is told of it. False: there
    /// is one with this number, and nothing was written.
    async fn add_stake_entry(
        &self,
        row: &StakeRow,
        credits: &[NewCredit],
        event: Option<&EventRow>,
    ) -> Result<bool, StoreError>;
    /// The same of an entry that stakes earnings. False also where earnings were spent since `spent` was read.
    async fn stake_earnings(&self, row: &StakeRow, spent: Spent) -> Result<bool, StoreError>;
    /// Entries, of one machine where it is named, by machine and number.
    async fn stake_entries(&self, node: Option<NodeId>) -> Result<Vec<StakeRow>, StoreError>;
    /// At most `limit` entries after the row `after`, in writing order.
    async fn stake_entries_after(&self, after: u64, limit: u32) -> Result<Vec<StakeRow>, StoreError>;

    /// A case.
    async fn case(&self, id: CaseId) -> Result<Option<CaseRow>, StoreError>;
    /// Cases that were upheld as proved, and of whose machine's stake nothing was set aside.
    async fn unpunished(&self) -> Result<Vec<CaseRow>, StoreError>;

    /// At most `limit` credits after the row `after`, in writing order.
    async fn credits_after(&self, after: u64, limit: u32) -> Result<Vec<CreditRow>, StoreError>;
    /// What these accounts were credited in a time, in writing order.
    async fn credits_to(&self, accounts: &[Account], range: Range<u64>)
    -> Result<Vec<CreditRow>, StoreError>;
    /// What the leases of a session were credited, in writing order.
    async fn credits_of_session(&self, session: SessionId) -> Result<Vec<LeaseCredit>, StoreError>;
    /// What hosts staked of their earnings and bore of credits, less what was released to them: below zero where more was.
    /// Of some hosts where they are named.
    async fn deducted(&self, among: Option<&[NodeId]>) -> Result<Totals, StoreError>;
    /// What was released to hosts.
    async fn released(&self) -> Result<Totals, StoreError>;
}

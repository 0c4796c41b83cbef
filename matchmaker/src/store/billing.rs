//! What was used and what it cost, as the store adds it up; what single bills rest on; and rate cards.

use super::StoreError;
use async_trait::async_trait;
use nearframe_ledger::Tariff;
use nearframe_ledger::bill::Evidence;
use nearframe_ledger::rates::RateCard;
use nearframe_protocol::prices::{Basis, Work};
use nearframe_protocol::{AccountId, Currency, LeaseId, NodeId, SessionId, SessionState, TitleId};
use std::ops::Range;

/// Whose receipts are added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageOf {
    /// Those that came in then, Unix ms.
    pub range: Range<u64>,
    /// Of this title alone.
    pub title: Option<TitleId>,
    /// Of this node alone.
    pub node: Option<NodeId>,
    /// Of what this account pays for alone.
    pub account: Option<AccountId>,
    /// Of these nodes alone; at most a few thousand.
    pub among: Option<Vec<NodeId>>,
}

impl UsageOf {
    /// All of a time.
    pub fn all(range: Range<u64>) -> Self {
        Self { range, title: None, node: None, account: None, among: None }
    }
}

/// What they are added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// By title.
    Title,
    /// By node.
    Node,
    /// By steps of so many ms from the beginning of the time, not 0.
    Step(u64),
    /// By what prices differ by; leases whose price follows from no rate card are left out.
    Rate,
}

/// Whose a sum is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageKey {
    /// A title's.
    Title(TitleId),
    /// A node's.
    Node(NodeId),
    /// That of the step which begins then, Unix ms.
    From(u64),
    /// That of a kind of work on machines of a region and a GPU tier.
    Rate {
        /// What is paid for.
        work: Work,
        /// Empty if unknown.
        region: String,
        /// GPU tier.
        gpu_tier: u8,
    },
}

/// What receipts add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// Leases with a receipt.
    pub leases: u64,
    /// Receipts.
    pub receipts: u64,
    /// Time billed, in µs.
    pub billed_us: u64,
    /// What hosts earned, in micro-units.
    pub host_micros: i128,
    /// What the platform earned, in micro-units.
    pub platform_micros: i128,
}

/// What was used in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Whose it is.
    pub key: UsageKey,
    /// What it is counted in.
    pub currency: Currency,
    /// How much.
    pub sums: UsageSums,
}

/// What was used under one lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseUsageRow {
    /// The session.
    pub session: SessionId,
    /// The lease.
    pub lease: LeaseId,
    /// What played.
    pub title: TitleId,
    /// Where.
    pub node: NodeId,
    /// What the node's owner calls it.
    pub node_name: String,
    /// Where the session stands.
    pub state: SessionState,
    /// Unix ms.
    pub started_at_ms: u64,
    /// Unix ms.
    pub ended_at_ms: Option<u64>,
    /// Its price.
    pub tariff: Tariff,
    /// What that follows from.
    pub basis: Option<Basis>,
    /// Of the receipts of the time that was asked for.
    pub sums: UsageSums,
}

/// Who wrote a rate card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardSource {
    /// The configuration, at a start.
    Configuration,
    /// An operator, while it ran.
    Operator,
}

impl CardSource {
    /// The form that the database keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Operator => "operator",
        }
    }
}

/// A version of the rate card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRow {
    /// Counts up from 1.
    pub version: u32,
    /// In force since, Unix ms.
    pub since_ms: u64,
    /// The prices.
    pub card: RateCard,
}

/// The part of the store that bills are read from.
#[async_trait]
pub trait BillingStore: Send + Sync {
    /// What was used and posted, by key and currency.
    async fn usage(&self, of: &UsageOf, by: UsageBy) -> Result<Vec<UsageRow>, StoreError>;
    /// The leases with such receipts, newest first, at most `limit`, after `after` where given.
    async fn lease_usage(
        &self,
        of: &UsageOf,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseUsageRow>, StoreError>;
    /// What the bills of a session rest on, by generation.
    async fn evidence_of(&self, session: SessionId) -> Result<Vec<Evidence>, StoreError>;

    /// Makes a card the version after `over`, if that is still the newest; 0: if there is none. True if this call did.
    async fn add_card(
        &self,
        card: &RateCard,
        source: CardSource,
        over: u32,
        now_ms: u64,
    ) -> Result<bool, StoreError>;
    /// The newest card, of one source where one is named.
    async fn newest_card(&self, source: Option<CardSource>) -> Result<Option<CardRow>, StoreError>;
    /// A version of the card.
    async fn card(&self, version: u32) -> Result<Option<CardRow>, StoreError>;
}

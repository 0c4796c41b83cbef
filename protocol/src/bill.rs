//! What was used, what it costs and what it earns, in the words of the API.
//!
//! Every sum is the server's and exact; whoever adds some of them up does it in integers of micro-units.

use crate::id::{LeaseId, NodeId, SessionId};
use crate::money::{Money, MoneyJson};
use crate::prices::{Basis, Work};
use crate::session::{Generation, SessionState};
use crate::title::TitleId;
use crate::trust::{Correction, CreditWhy, Withheld};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What receipts add up to in one currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sums {
    /// Leases with such a receipt.
    pub leases: u64,
    /// Receipts.
    pub receipts: u64,
    /// Time billed, in µs.
    pub used_us: u64,
    /// What hosts earned.
    #[schema(value_type = MoneyJson)]
    pub hosts: Money,
    /// What the platform kept as its fee.
    #[schema(value_type = MoneyJson)]
    pub platform: Money,
    /// What the studio owes: both of these.
    #[schema(value_type = MoneyJson)]
    pub total: Money,
}

/// What was used of a title.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TitleUsage {
    /// The title.
    pub title: TitleId,
    /// In one currency.
    pub sums: Sums,
}

/// What was used of a kind of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkUsage {
    /// The kind: play, what may be interrupted, or standing by.
    pub work: Work,
    /// In one currency.
    pub sums: Sums,
}

/// What was used of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeUsage {
    /// The node.
    pub node: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// Region, empty if unknown.
    pub region: String,
    /// In one currency.
    pub sums: Sums,
}

/// What was used within one step of a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageStep {
    /// When the step begins, Unix ms.
    pub from_ms: u64,
    /// In one currency.
    pub sums: Sums,
}

/// A time cut into steps. Steps in which nothing came in are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageSeries {
    /// When it begins, Unix ms; so does the first step.
    pub from_ms: u64,
    /// Its end, Unix ms, which is not in it.
    pub to_ms: u64,
    /// Length of a step, in seconds.
    pub step_s: u32,
    /// In the order of time, then of currency.
    pub items: Vec<UsageStep>,
}

/// What was used in one session on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionUsage {
    /// The session.
    pub session: SessionId,
    /// Its lease on that node.
    pub lease: LeaseId,
    /// What played.
    pub title: TitleId,
    /// Where.
    pub node: NodeId,
    /// What the node's owner calls it.
    pub node_name: String,
    /// Where the session stands.
    pub state: SessionState,
    /// When the lease began, Unix ms.
    pub started_at_ms: u64,
    /// When it ended, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// By which price.
    pub terms: BillTerms,
    /// Of the receipts of the time that was asked for.
    pub sums: Sums,
}

/// By what a lease is billed. Nothing changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BillTerms {
    /// What the studio pays for an hour, fee included.
    #[schema(value_type = MoneyJson)]
    pub price_per_hour: Money,
    /// The platform's share of that, in thousandths.
    pub fee_permille: u16,
    /// What both follow from; absent of leases that are older than rate cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
}

/// A session's bill, computed from its receipts when it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionBill {
    /// The session.
    pub session: SessionId,
    /// What played.
    pub title: TitleId,
    /// One for each node that it ran on.
    pub leases: Vec<LeaseBill>,
}

/// A lease's bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaseBill {
    /// The lease.
    pub lease: LeaseId,
    /// Placement generation.
    pub generation: Generation,
    /// Who earned.
    pub node: NodeId,
    /// By which price.
    pub terms: BillTerms,
    /// One for each receipt, in order.
    pub lines: Vec<BillLine>,
    /// Of all of them.
    pub sums: Sums,
    /// What was paid back of it after a dispute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// What of credits was for it: of its month, or out of its machine's stake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credits: Vec<BillCredit>,
}

/// What of a credit was for a lease. All shares of a credit come to the credit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BillCredit {
    /// Why.
    pub why: CreditWhy,
    /// The month, such as `2026-11`, or the case.
    pub about: String,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// Unix ms.
    pub at_ms: u64,
}

/// What one receipt costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BillLine {
    /// The receipt.
    pub sequence: u32,
    /// SHA-256 of its bytes, as hex.
    pub receipt_sha256: String,
    /// When it came in, Unix ms.
    pub received_at_ms: u64,
    /// Time it covers, in µs.
    pub duration_us: u64,
    /// The part of it that is billed, in µs.
    pub billed_us: u64,
    /// Whether the player signed it.
    pub countersigned: bool,
    /// What the host earns.
    #[schema(value_type = MoneyJson)]
    pub host: Money,
    /// What the platform keeps.
    #[schema(value_type = MoneyJson)]
    pub platform: Money,
    /// What the studio pays.
    #[schema(value_type = MoneyJson)]
    pub total: Money,
}

/// What hosts have earned and what of it they may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EarningsOverview {
    /// Everything so far, by node and currency.
    pub nodes: Vec<NodeEarned>,
    /// Days whose earnings are not settled yet, by day and currency.
    pub held: Vec<HeldDay>,
    /// What is held beyond those days, by node, currency and reason.
    #[serde(default)]
    pub withheld: Vec<Withheld>,
    /// Until when everything that is not held is settled, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_until_ms: Option<u64>,
    /// The server's clock, Unix ms.
    pub now_ms: u64,
}

/// A node's balance in one currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeEarned {
    /// The node.
    pub node: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// Region, empty if unknown.
    pub region: String,
    /// Everything so far.
    #[schema(value_type = MoneyJson)]
    pub earned: Money,
    /// What of it is settled and proved.
    #[schema(value_type = MoneyJson)]
    pub settled: Money,
    /// What of that is paid, or on its way.
    #[schema(value_type = MoneyJson)]
    pub paid: Money,
    /// What of that was staked or borne of credits, less what was released of stakes: below zero where more was. What is due
    /// is `settled` less `paid` less this.
    #[schema(value_type = MoneyJson)]
    pub deducted: Money,
}

/// What was earned on a day in UTC that is not settled yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldDay {
    /// Days since 1970-01-01.
    pub epoch: u32,
    /// The same for people.
    pub date: String,
    /// When the day begins, Unix ms.
    pub from_ms: u64,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// From when on it is settled, Unix ms.
    pub settles_at_ms: u64,
    /// Why it is held.
    pub why: HeldWhy,
}

/// Why earnings are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldWhy {
    /// The day is not over.
    DayRuns,
    /// The bills of the day may still be disputed.
    DisputeWindow,
    /// The time is over; the next settlement, within minutes, takes it in.
    SettlementDue,
}

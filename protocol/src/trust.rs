//! Cases against nodes, disputes about sessions, and what of earnings is held because of them, in the words of the API.

use crate::account::Actor;
use crate::id::{CaseId, DisputeId, LeaseId, NodeId, SessionId};
use crate::money::{Money, MoneyJson};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that looks like cheating, for an operator to decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Case {
    /// Its id: the same finding about the same node on the same day is the same case.
    pub id: CaseId,
    /// Whom it is about.
    pub node: NodeId,
    /// What its owner calls it.
    pub node_name: String,
    /// What it looks like, such as `inflated_time`.
    pub kind: String,
    /// How sure it is: `review`, or `slash` where independent witnesses prove it. Either holds the node's earnings.
    pub grade: String,
    /// Who says so: `player`, `checker`, `lease` (this server's own times), `itself` (the node signed a contradiction),
    /// `peer` (another owner's machine, which was reachable meanwhile).
    pub witnesses: Vec<String>,
    /// What shows it.
    pub exhibits: Vec<CaseExhibit>,
    /// Unix ms.
    pub opened_at_ms: u64,
    /// When evidence came in last, Unix ms.
    pub changed_at_ms: u64,
    /// What was decided; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<CaseDecision>,
    /// What was set aside of the machine's stake because of it, and the host's appeal; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slash: Option<Box<crate::stake::Slash>>,
}

/// What shows that a node cheats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseExhibit {
    /// In which session, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What, in words.
    pub what: String,
}

/// How a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The node cheated: a dispute is opened about each session that shows it.
    Upheld,
    /// There is another explanation; what was held is free again.
    Dismissed,
}

/// What was decided about a case. One case has one decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseDecision {
    /// Which way.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: Actor,
    /// Unix ms.
    pub at_ms: u64,
}

/// A decision to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideCase {
    /// Which way.
    pub verdict: Verdict,
    /// Why; 1 to 500 characters.
    pub reason: String,
}

/// As what somebody disputes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Whoever played.
    Player,
    /// Whoever pays, or publishes what was played.
    Studio,
    /// Whoever owns the node.
    Host,
    /// An operator.
    Operator,
}

/// A dispute about a session. What the session earned is held until it is decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dispute {
    /// Its id.
    pub id: DisputeId,
    /// The session.
    pub session: SessionId,
    /// Who disputes.
    pub by: Party,
    /// Why.
    pub reason: String,
    /// What shows it; empty where nothing was given.
    pub evidence: String,
    /// The case that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
    /// Unix ms.
    pub opened_at_ms: u64,
    /// What was decided; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DisputeDecision>,
}

/// What was decided about a dispute. One dispute has one decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DisputeDecision {
    /// The part that is paid back of what was paid for the session and not paid back before, in thousandths; 0: nothing.
    pub refund_permille: u16,
    /// Why.
    pub note: String,
    /// Who decided.
    pub by: Actor,
    /// Unix ms.
    pub at_ms: u64,
    /// What was booked: one entry for each account that gives something back.
    pub corrections: Vec<Correction>,
}

/// A dispute to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenDispute {
    /// Why; 1 to 500 characters.
    pub reason: String,
    /// What shows it: times, links, measurements; at most 4000 characters.
    #[serde(default)]
    pub evidence: String,
}

/// A decision to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideDispute {
    /// The part to pay back, in thousandths, 0 to 1000.
    pub refund_permille: u16,
    /// Why; 1 to 500 characters.
    pub note: String,
}

/// Money that was paid back: a new entry beside those that it corrects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Correction {
    /// The dispute that it follows from.
    pub dispute: DisputeId,
    /// For which lease.
    pub lease: LeaseId,
    /// The account that gives back, such as `host:…` or `platform`.
    pub from: String,
    /// The account that gets it.
    pub to: String,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// Unix ms.
    pub at_ms: u64,
}

/// Why earnings are held beyond the days of the dispute window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithheldWhy {
    /// The session is disputed.
    Disputed,
    /// A case about the machine is open.
    UnderReview,
    /// The machine is new.
    NewHost,
}

impl WithheldWhy {
    /// The form in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disputed => "disputed",
            Self::UnderReview => "under_review",
            Self::NewHost => "new_host",
        }
    }

    /// The reason with this form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Disputed, Self::UnderReview, Self::NewHost].into_iter().find(|why| why.as_str() == text)
    }
}

/// What of a node's earnings is held, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Withheld {
    /// The node.
    pub node: NodeId,
    /// Why.
    pub why: WithheldWhy,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
}

/// What a player's page counted by itself, from the first receipt to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PageCount {
    /// The last receipt whose time is in it.
    pub until_sequence: u32,
    /// By the page's clock, µs.
    pub elapsed_us: u64,
    /// Frames that arrived whole.
    pub frames: u64,
    /// Media bytes that arrived.
    pub bytes: u64,
    /// Media packets that arrived.
    pub packets: u64,
    /// Media packets that did not, by their numbers.
    pub packets_lost: u64,
}

/// How reliable machines were in a month in UTC. Everything here follows from the counts beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceLevels {
    /// Such as `2026-11`.
    pub month: String,
    /// What is promised, in millionths of the time.
    pub promised_ppm: u64,
    /// What a lost session counts as time without service, in µs.
    pub way_back_us: u64,
    /// By machine.
    pub nodes: Vec<NodeService>,
    /// By site: the machines of a region together.
    pub sites: Vec<SiteService>,
    /// What was credited for the month; absent until that is posted, and of months before the first table of credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<MonthCredits>,
}

/// How long a machine, or one of a site's, should have been and was reachable. It counts while the matchmaker itself ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reachability {
    /// Since it was enrolled, in ms.
    pub due_ms: u64,
    /// Of that, reached.
    pub up_ms: u64,
    /// Of the rest, excused because it was shared by many; counts for hosts alone.
    pub excused_ms: u64,
    /// `up_ms` by `due_ms`, in millionths, rounded down; a million where nothing was due.
    pub reachable_ppm: u64,
}

/// Below a level, so much is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreditStep {
    /// In millionths of the time.
    pub below_ppm: u64,
    /// Of what was paid, in thousandths.
    pub permille: u16,
}

/// The credits of a month: everything follows from the levels, and from what was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MonthCredits {
    /// When they were posted, Unix ms.
    pub at_ms: u64,
    /// Version of the table.
    pub version: u32,
    /// What is credited below which level; the most of those that fit.
    pub steps: Vec<CreditStep>,
    /// Regions in which the lower of `availability_ppm` and `reachable_ppm` counts; elsewhere the former does.
    pub promised_regions: Vec<String>,
    /// What a host bears at most, in thousandths of a credit.
    pub host_permille: u16,
    /// The level of each site that somebody paid on.
    pub sites: Vec<SiteCredit>,
    /// What was credited, without names; none where the promise was kept.
    pub credits: Vec<PostedCredit>,
}

/// Why somebody was credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CreditWhy {
    /// A month below what was promised.
    Service,
    /// A machine that deceived lost stake.
    Slash,
}

/// What an account was credited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountCredit {
    /// Unix ms.
    pub at_ms: u64,
    /// Why.
    pub why: CreditWhy,
    /// The month, such as `2026-11`, or the case.
    pub about: String,
    /// Who paid and is credited, such as `studio:…` or `customer:…`.
    pub to: String,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
}

/// The level of a site, and what that is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteCredit {
    /// Which, empty if unknown.
    pub region: String,
    /// In millionths of the time.
    pub level_ppm: u64,
    /// Of what was paid, in thousandths.
    pub permille: u16,
}

/// What somebody was credited for play on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PostedCredit {
    /// The machine's region, empty if unknown.
    pub region: String,
    /// The machine.
    pub node: NodeId,
    /// What was paid in the month, less what was paid back.
    #[schema(value_type = MoneyJson)]
    pub paid: Money,
    /// What of it was credited: the floor of the site's part.
    #[schema(value_type = MoneyJson)]
    pub credited: Money,
    /// What of that the machine's host bore.
    #[schema(value_type = MoneyJson)]
    pub by_host: Money,
}

/// How reliable a machine was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeService {
    /// Which.
    pub node: NodeId,
    /// Its region, empty if unknown.
    pub region: String,
    /// What it served.
    pub level: ServiceLevel,
    /// How long it was reachable.
    pub reach: Reachability,
}

/// How reliable the machines of a region were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteService {
    /// Which, empty if unknown.
    pub region: String,
    /// What they served.
    pub level: ServiceLevel,
    /// How long at least one of them was reachable.
    pub reach: Reachability,
}

/// What was served, and how much of it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceLevel {
    /// Sessions that ended in the month and of which something was billed.
    pub sessions: u64,
    /// Of those, lost by their machine.
    pub lost: u64,
    /// Time billed, in µs.
    pub served_us: u64,
    /// `served_us` by what it would be without loss (`served_us + lost × way_back_us`), in millionths, rounded down.
    pub availability_ppm: u64,
    /// `lost` by `sessions`, in millionths, rounded up.
    pub lost_ppm: u64,
}

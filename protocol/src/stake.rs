//! Stakes, appeals and the rules of both, in the words of the API.

use crate::account::Actor;
use crate::id::{CaseId, NodeId};
use crate::money::{Money, MoneyJson};
use crate::trust::CaseExhibit;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A machine's stake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stake {
    /// The machine.
    pub node: NodeId,
    /// What its owner calls it.
    pub node_name: String,
    /// What is staked, with what is set aside.
    #[schema(value_type = MoneyJson)]
    pub staked: Money,
    /// What of it is set aside because of cases.
    #[schema(value_type = MoneyJson)]
    pub set_aside: Money,
    /// What has to be staked. As much as is missing of it is not paid out.
    #[schema(value_type = MoneyJson)]
    pub least: Money,
    /// What could be staked of its earnings: settled, and neither paid out nor staked.
    #[schema(value_type = MoneyJson)]
    pub available: Money,
    /// When the stake is free by the notice that was given, Unix ms; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases_at_ms: Option<u64>,
    /// What was ever set aside, by case, the oldest first.
    pub slashes: Vec<Slash>,
    /// Everything that happened, the oldest first.
    pub entries: Vec<StakeEntry>,
}

/// Where a part of a stake that was set aside stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlashState {
    /// Set aside; the host may appeal.
    Pending,
    /// The host appealed; nobody ruled.
    Appealed,
    /// The appeal was refused; it is taken when its time has come.
    Confirmed,
    /// Taken.
    Taken,
    /// The appeal was allowed; it is free again.
    Freed,
}

/// A part of a stake that was set aside because of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slash {
    /// The case.
    pub case: CaseId,
    /// What was found, such as `inflated_time` or `left_early`.
    pub kind: String,
    /// Who says so.
    pub witnesses: Vec<String>,
    /// What shows it.
    pub exhibits: Vec<CaseExhibit>,
    /// Why it was upheld.
    pub reason: String,
    /// Version of the rules that say how much: `GET /v1/stake/rules`.
    pub rules: u32,
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// Unix ms.
    pub set_aside_at_ms: u64,
    /// When it is taken, Unix ms; until then the host may appeal.
    pub takes_at_ms: u64,
    /// Where it stands.
    pub state: SlashState,
    /// What the host says; absent where nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appeal: Option<Appeal>,
}

/// An appeal against what was set aside. One for each case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Appeal {
    /// Why.
    pub text: String,
    /// Unix ms.
    pub at_ms: u64,
    /// What was ruled; absent where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
}

/// What was ruled on an appeal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ruling {
    /// Whether what was set aside is free again.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// Who ruled.
    pub by: Actor,
    /// Whether that is who decided the case: there was nobody else.
    pub same_operator: bool,
    /// Unix ms.
    pub at_ms: u64,
}

/// Something that happened to a stake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StakeEntry {
    /// Counts up from 1, for each machine.
    pub number: u32,
    /// Unix ms.
    pub at_ms: u64,
    /// `posted`, `noticed`, `released`, `set_aside`, `appealed`, `confirmed`, `freed` or `taken`.
    pub what: String,
    /// How much; zero of what moves nothing.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// The case that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
    /// The operator's reference of a deposit from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Who did it; absent: time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
}

/// A stake to post from earnings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostStake {
    /// For which machine; it has to have earned as much.
    pub node: NodeId,
    /// How much of what is settled and not paid out.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
}

/// Notice to give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveNotice {
    /// For which machine.
    pub node: NodeId,
}

/// Money from outside that is staked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DepositStake {
    /// How much.
    #[schema(value_type = MoneyJson)]
    pub amount: Money,
    /// The operator's, such as a bank's end-to-end id, 1 to 140 characters; the same one again is the same deposit.
    pub reference: String,
}

/// An appeal to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppealCase {
    /// Why; 1 to 4000 characters.
    pub text: String,
}

/// A ruling to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideAppeal {
    /// Whether what was set aside is free again.
    pub allowed: bool,
    /// Why; 1 to 500 characters.
    pub reason: String,
}

/// A version of the rules of stakes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StakeRules {
    /// Counts up.
    pub version: u32,
    /// In force since, Unix ms.
    pub since_ms: u64,
    /// What a machine has to stake, in micro-units of this server's currency.
    pub least_micros: i64,
    /// The same of GPU tiers that differ.
    pub tiers: Vec<StakeTier>,
    /// Days from a notice until the stake is free.
    pub notice_days: u16,
    /// A machine that cannot be reached for longer than so many hours, without notice, has left early.
    pub leave_hours: u16,
    /// What that costs, in thousandths of the stake.
    pub left_early_permille: u16,
    /// What a proved deception costs, in thousandths of the stake.
    pub deceived_permille: u16,
    /// The same of kinds that differ.
    pub kinds: Vec<StakeKind>,
    /// Days in which the host may appeal.
    pub appeal_days: u16,
    /// What cases of one day set aside of a stake at most, in thousandths of it.
    pub cap_permille: u16,
}

/// Least stake of a GPU tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StakeTier {
    /// The tier, and higher ones that have none of their own.
    pub gpu_tier: u8,
    /// In micro-units.
    pub least_micros: i64,
}

/// What a kind of deception costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StakeKind {
    /// Such as `cloned_key`.
    pub kind: String,
    /// In thousandths of the stake.
    pub permille: u16,
}

/// Something that happened to a stake, as webhooks are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StakeEvent {
    /// The machine.
    pub node: NodeId,
    /// What happened.
    pub entry: StakeEntry,
    /// What is staked now.
    #[schema(value_type = MoneyJson)]
    pub staked: Money,
    /// When a part that was set aside is taken, Unix ms; until then the host may appeal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_at_ms: Option<u64>,
}

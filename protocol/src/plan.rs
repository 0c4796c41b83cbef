//! Subscriptions: plans with hours of play, paid ahead by the month.

use crate::account::words;
use crate::id::AccountId;
use crate::money::{Money, MoneyJson};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Most hours that a month of a plan includes: all of the longest.
pub const MOST_HOURS: u32 = 31 * 24;

/// What a plan is called in addresses: 1 to 32 lower-case letters, digits and hyphens.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "weekend")]
pub struct PlanName(String);

/// A text that names no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a plan is called by 1 to 32 lower-case letters, digits and hyphens")]
pub struct PlanNameError;

impl PlanName {
    /// Checks and wraps a name.
    pub fn new(text: &str) -> Result<Self, PlanNameError> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(PlanNameError) }
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for PlanName {
    type Error = PlanNameError;
    fn try_from(text: String) -> Result<Self, PlanNameError> {
        Self::new(&text)
    }
}
impl From<PlanName> for String {
    fn from(name: PlanName) -> String {
        name.0
    }
}
impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanName({})", self.0)
    }
}

/// A plan, as it is offered now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Which.
    pub name: PlanName,
    /// Its version; whoever subscribed to an earlier one keeps it.
    pub version: u32,
    /// In force since, Unix ms.
    pub since_ms: u64,
    /// Hours of interactive play in a month.
    pub included_hours: u32,
    /// What a month costs.
    #[schema(value_type = MoneyJson)]
    pub price: Money,
    /// Whether anybody may still subscribe.
    pub is_offered: bool,
}

/// The next version of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPlan {
    /// Hours of interactive play in a month, 1 to 744.
    pub included_hours: u32,
    /// What a month costs, in the server's currency.
    #[schema(value_type = MoneyJson)]
    pub price: Money,
    /// Whether anybody may subscribe.
    #[serde(default = "yes")]
    pub is_offered: bool,
}

fn yes() -> bool {
    true
}

/// Which plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// One that is offered.
    pub plan: PlanName,
}

/// An account's subscription, in its current month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Whose.
    pub account: AccountId,
    /// To which plan.
    pub plan: PlanName,
    /// Which version of it.
    pub version: u32,
    /// What a whole month of it costs.
    #[schema(value_type = MoneyJson)]
    pub price: Money,
    /// When this month began, Unix ms.
    pub from_ms: u64,
    /// When it is over, Unix ms: then the next one is paid, or the subscription ends.
    pub to_ms: u64,
    /// Time of play that this month includes, in µs.
    pub included_us: u64,
    /// What of it no session holds or has used, in µs.
    pub left_us: u64,
    /// What this month costs, parts of plans that it had before included.
    #[schema(value_type = MoneyJson)]
    pub fee: Money,
    /// Whether it ends with the month.
    pub is_cancelled: bool,
}

/// What something was charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeKind {
    /// A month's fee.
    Fee,
    /// Another plan for the rest of a month.
    Change,
    /// Play that the month includes: its price, posted back.
    Covered,
    /// What was left of a month's fee at its end, the platform's; nothing to the account.
    Unused,
}
words!(ChargeKind { Fee => "fee", Change => "change", Covered => "covered", Unused => "unused" });

/// What an account was charged beside its sessions in a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Charges {
    /// Oldest first.
    pub charges: Vec<Charge>,
    /// What of its sessions was included, posted back, by currency: below zero.
    #[schema(value_type = Vec<MoneyJson>)]
    pub covered: Vec<Money>,
}

/// Something that was charged beside sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Charge {
    /// Unix ms.
    pub at_ms: u64,
    /// What for.
    pub kind: ChargeKind,
    /// What the account pays; below zero where it is paid.
    #[schema(value_type = MoneyJson)]
    pub due: Money,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_words_in_json_are_those_in_databases() {
        assert_eq!(PlanName::new("weekend-2").unwrap().to_string(), "weekend-2");
        for wrong in ["", "Weekend", "week end", &"x".repeat(33)] {
            assert_eq!(PlanName::new(wrong), Err(PlanNameError), "{wrong}");
        }
        for kind in ChargeKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(ChargeKind::parse(kind.as_str()), Some(*kind));
        }
        let set: SetPlan =
            serde_json::from_str(r#"{"included_hours": 20, "price": {"amount": "9.99", "currency": "EUR"}}"#)
                .unwrap();
        assert!(set.is_offered && set.price.amount_micros == 9_990_000);
    }
}

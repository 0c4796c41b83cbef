//! Prices: rate cards, and what a lease's price follows from.

use crate::money::{Currency, Money, MoneyJson};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is paid for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A player's session.
    #[default]
    Interactive,
    /// A session that may be interrupted.
    Batch,
    /// A slot that stands by.
    Reserve,
}

impl Work {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Batch, Self::Reserve];

    /// The form that databases and files keep.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
            Self::Reserve => "reserve",
        }
    }
    /// The kind with this form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.as_str() == text)
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an hour costs of one kind of work, on machines of a GPU tier and above in a region and its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceRate {
    /// What is paid for.
    pub work: Work,
    /// ISO 3166 code: `DE` covers all of Germany, `US-CA` California alone; empty: everywhere.
    #[serde(default)]
    pub region: String,
    /// Least GPU tier, 0 (draws with the CPU) to 7.
    #[serde(default)]
    pub gpu_tier: u8,
    /// What the studio pays, fee included.
    #[schema(value_type = MoneyJson)]
    pub price_per_hour: Money,
}

/// A version of the rate card. What has a price under it keeps that price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Prices {
    /// Counts up from 1.
    pub version: u32,
    /// In force since, Unix ms, until the next version is.
    pub since_ms: u64,
    /// What prices are counted in.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// The platform's share of every price, in thousandths.
    pub fee_permille: u16,
    /// Why it was written, for people.
    pub note: String,
    /// Of those that fit a machine, the one of the closest region counts, then the one of the highest tier. A kind of
    /// work without any costs what interactive work does.
    pub rates: Vec<PriceRate>,
}

/// `PUT /v1/prices`, with `If-Match`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPrices {
    /// The platform's share, in thousandths; absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_permille: Option<u16>,
    /// Why, for people.
    #[serde(default)]
    pub note: String,
    /// All rates of the new version.
    pub rates: Vec<PriceRate>,
}

/// What an hour has cost lately: what was paid for work of one kind, by the time that was worked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IndexPrice {
    /// What was paid for.
    pub work: Work,
    /// Where, as an ISO 3166 code; empty if unknown.
    pub region: String,
    /// On machines of this GPU tier.
    pub gpu_tier: u8,
    /// Mean of an hour, fee included, each lease by its time, rounded down.
    #[schema(value_type = MoneyJson)]
    pub price_per_hour: Money,
    /// What an hour costs there now, by the rate card.
    #[schema(value_type = MoneyJson)]
    pub listed_per_hour: Money,
    /// Time that it is the mean of, in µs.
    pub billed_us: u64,
    /// Leases among it.
    pub leases: u64,
}

/// `GET /v1/prices/index`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PriceIndex {
    /// Receipts from then on, Unix ms.
    pub from_ms: u64,
    /// Until then, Unix ms.
    pub to_ms: u64,
    /// By kind of work, region and GPU tier; what nobody used is not there.
    pub prices: Vec<IndexPrice>,
}

/// What a lease's price follows from: the rate of this version of the card for this work on such a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Basis {
    /// Version of the rate card.
    pub rate_card: u32,
    /// What is paid for.
    pub work: Work,
    /// The machine's region when it was leased, empty if unknown.
    pub region: String,
    /// The machine's GPU tier when it was leased.
    pub gpu_tier: u8,
}

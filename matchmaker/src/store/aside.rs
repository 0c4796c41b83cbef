//! Entries that the general ledger refused: set aside, so that those after them go on.
//!
//! **Architecture invariant:** what the ledger has read past is in it, or stands here and is tried again until it is.

use super::StoreError;
use async_trait::async_trait;
use nearframe_ledger::Account;
use nearframe_protocol::Currency;

/// The journals of the record that the general ledger follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feed {
    /// What was posted for leases.
    Leases,
    /// What subscriptions cost and cover.
    Charges,
    /// What happened to stakes.
    Stakes,
    /// What was paid back.
    Corrections,
    /// What was credited.
    Credits,
}

impl Feed {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Leases, Self::Charges, Self::Stakes, Self::Corrections, Self::Credits];

    /// The form in databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leases => "leases",
            Self::Charges => "charges",
            Self::Stakes => "stakes",
            Self::Corrections => "corrections",
            Self::Credits => "credits",
        }
    }

    /// The journal with this form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feed| feed.as_str() == text)
    }
}

/// An entry that the ledger refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideRow {
    /// Where it stands.
    pub feed: Feed,
    /// Its place there.
    pub seq: u64,
    /// The key of its order.
    pub key: String,
    /// Who pays.
    pub debit: Account,
    /// Who is paid.
    pub credit: Account,
    /// Micro-units.
    pub amount_micros: i128,
    /// What it is counted in.
    pub currency: Currency,
    /// What the ledger said first.
    pub reason: String,
    /// When that was, Unix ms.
    pub at_ms: u64,
}

/// The part of the store that keeps what the ledger refused.
#[async_trait]
pub trait AsideStore: Send + Sync {
    /// Writes down that the ledger refused an entry; false: that stands there.
    async fn set_aside(&self, row: &AsideRow) -> Result<bool, StoreError>;
    /// What the ledger refuses still, the oldest first, at most `limit`.
    async fn asides(&self, limit: u32) -> Result<Vec<AsideRow>, StoreError>;
    /// The ledger took an entry after all.
    async fn taken_up(&self, feed: Feed, seq: u64, now_ms: u64) -> Result<(), StoreError>;
}

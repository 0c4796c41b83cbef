//! Usage as the store adds it up.

use nearframe_protocol::{Currency, TitleId};

/// What was used of a title in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The title.
    pub title: TitleId,
    /// What it is counted in.
    pub currency: Currency,
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

impl UsageRow {
    /// Nothing yet.
    pub fn none(title: TitleId, currency: Currency) -> Self {
        let (leases, receipts, billed_us, host_micros, platform_micros) = (0, 0, 0, 0, 0);
        Self { title, currency, leases, receipts, billed_us, host_micros, platform_micros }
    }
}

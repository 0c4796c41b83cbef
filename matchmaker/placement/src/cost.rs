//! What a node costs a request: a sum of terms in one unit, µs of round trip, so that every decision can be
//! read and argued with.

use crate::index::Record;
use crate::request::{Request, Weights};
use std::fmt;

/// The terms of a cost. All but the credit are the worse the higher; each is what it would take away to be
/// as good as a node without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Round trip above the best site's, weighted.
    pub rtt: u64,
    /// Price.
    pub price: u64,
    /// The chance that it breaks the session.
    pub failure: u64,
    /// What others would give for a slot here.
    pub scarcity: u64,
    /// How loaded the node is already.
    pub load: u64,
    /// The title has to be brought into memory first.
    pub locality: u64,
    /// What the request has gained by waiting; the same for every node.
    pub credit: u64,
}

impl Terms {
    /// All of it. What waiting has earned pays for a worse node, and never makes one negative.
    pub fn total(&self) -> u64 {
        self.before_credit().saturating_sub(self.credit)
    }

    /// What nodes are compared by.
    pub fn before_credit(&self) -> u64 {
        [self.rtt, self.price, self.failure, self.scarcity, self.load, self.locality]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} = rtt {} + price {} + failure {} + scarcity {} + load {} + locality {} - credit {}",
            self.total(),
            self.rtt,
            self.price,
            self.failure,
            self.scarcity,
            self.load,
            self.locality,
            self.credit
        )
    }
}

/// Waiting earns no more than this: nobody is sent across the world for patience alone, µs.
const MOST_CREDIT: u64 = 60_000;

/// What a round trip costs.
pub fn rtt_cost(weights: &Weights, rtt_us: u32) -> u64 {
    u64::from(rtt_us) * u64::from(weights.rtt_percent) / 100
}

/// What a price costs.
pub fn price_cost(weights: &Weights, micros_per_hour: u64) -> u64 {
    // A unit of currency is a thousand millis, of a thousand micro-units each.
    micros_per_hour.saturating_mul(u64::from(weights.price_per_milli)) / 1000
}

/// The highest price that costs no more than this; `None` where a price costs nothing.
pub fn price_within(weights: &Weights, cost: u64) -> Option<u64> {
    let next = cost.saturating_add(1).saturating_mul(1000);
    next.checked_div(u64::from(weights.price_per_milli))
}

/// What waiting has earned.
pub fn credit(request: &Request) -> u64 {
    let earned = request.waited_ms.saturating_mul(u64::from(request.weights.credit_per_waited_s)) / 1000;
    earned.min(MOST_CREDIT)
}

/// The terms of one node. `batch`: for work that may be interrupted. `rtt_us` is its site's, `best_us` the best site's.
pub(crate) fn terms(
    weights: &Weights,
    record: &Record,
    batch: bool,
    rtt_us: u32,
    best_us: u32,
    scarcity_us: u32,
    credit: u64,
) -> Terms {
    let rtt_us = rtt_us.saturating_add_signed(record.offset_us);
    let taken = u64::from(record.slots.saturating_sub(record.free));
    Terms {
        rtt: rtt_cost(weights, rtt_us.saturating_sub(best_us)),
        price: price_cost(weights, record.price_micros(batch)),
        failure: u64::from(record.failure_permille) * u64::from(weights.failure_per_permille),
        scarcity: u64::from(scarcity_us) * u64::from(weights.rtt_percent) / 100,
        load: u64::from(weights.load) * taken / u64::from(record.slots.max(1)),
        locality: if taken == 0 { u64::from(weights.cold_title) } else { 0 },
        credit,
    }
}

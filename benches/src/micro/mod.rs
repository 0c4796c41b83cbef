//! The innermost loops by themselves: medians over rounds of the same work.

mod conversion;
mod input;
mod packets;
mod send;

use crate::quantile::quantile;
use crate::report::Report;
use std::time::Instant;

/// Rounds whose median counts.
const ROUNDS: usize = 15;

/// Runs every micro bench.
pub(crate) fn run(report: &mut Report) {
    conversion::run(report);
    packets::run(report);
    send::run(report);
    input::run(report);
}

/// Seconds that one of `work`'s units takes: the median over rounds; `work` does one round and says how
/// many units that was. The first round warms up.
fn seconds_per_unit(mut work: impl FnMut() -> usize) -> Option<f64> {
    work();
    let rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let units = work();
            start.elapsed().as_secs_f64() / units as f64
        })
        .collect();
    quantile(&rounds, 0.5)
}

//! The general ledger by its public interface.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dice;
mod model;
mod rules;
mod simulation;

use simulation::{Crashes, run};

/// Postings over all seeds; more of them run at night.
fn postings() -> u64 {
    std::env::var("LEDGER_POSTINGS")
        .map_or(10_000_000, |text| text.parse().expect("LEDGER_POSTINGS is a number"))
}

/// Postings of one seed: what one seed's keys take is the memory of the run.
const EACH: u64 = 500_000;

#[test]
fn no_unit_drifts_and_no_limit_is_passed_over_ten_million_postings() {
    let seeds = postings().div_ceil(EACH).max(1);
    let mut sum = 0;
    for seed in 0..seeds {
        let outcome = run(seed, EACH.min(postings()), 1500, Crashes::OneIn(40));
        assert_eq!(outcome.drift_units, 0, "seed {seed}: {outcome:?}");
        assert!(outcome.refused > 1000 && outcome.again > 1000 && outcome.crashes > 2, "{outcome:?}");
        sum += outcome.postings;
    }
    assert!(sum >= postings());
}

#[test]
fn a_crash_on_either_side_of_every_write_changes_nothing() {
    for seed in 0..4 {
        let outcome = run(1000 + seed, 12_000, 24, Crashes::EveryWrite);
        assert_eq!(outcome.drift_units, 0, "seed {seed}: {outcome:?}");
        assert!(outcome.crashes > 400, "{outcome:?}");
    }
}

//! A day in the life of a fleet, simulated: players come by population and hour, nodes come and go, sites fail
//! together, some nodes lie about where they are, prices change; and every decision is `nearframe-placement`'s.
//!
//! An oracle knows every round trip and every free slot at the moment of a decision; regret is against it. Time is
//! simulated, and the same seed makes the same day.

mod plot;
mod world;

use crate::placement;
use crate::quantile::quantile;
use crate::report::{Report, Spec, higher, lower};
use anyhow::Result;
use std::path::PathBuf;
use world::Day;

/// What `nearframe-bench fleet` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder with `cities/` [default: generated cities]
    #[arg(long, value_name = "DIR", env = "NEARFRAME_BENCH_DATA")]
    data: Option<PathBuf>,
    /// A folder with `cities.csv` and `rtt_ms.csv`, plain or .gz
    #[arg(long, value_name = "DIR")]
    cities: Option<PathBuf>,
    /// Simulated hours
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=168))]
    hours: u32,
    /// Players at the busiest hour, as a share of all slots, percent
    #[arg(long, default_value_t = 85, value_parser = clap::value_parser!(u32).range(1..=200))]
    peak: u32,
    /// Of everything that happens by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the pictures into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// Round trip within which a game feels immediate, ms.
const BUDGET_MS: f64 = 30.0;

const REGRET_MEAN: Spec = lower("fleet_regret_mean_ms", "ms", None);
const REGRET_P95: Spec = lower("fleet_regret_p95_ms", "ms", None);
const WITHIN: Spec = higher("fleet_within_30ms_share", "", None);
const ORACLE_WITHIN: Spec = higher("fleet_oracle_within_30ms_share", "", None);
const WAIT_P95: Spec = lower("fleet_wait_p95_s", "s", None);
const WAIT_TOLD: Spec = higher("fleet_waits_within_told_share", "", None);
const RESERVE: Spec = higher("fleet_reserve_admitted_share", "", None);
const INTERRUPTED: Spec = lower("fleet_interrupted_share", "", None);
const EVICTED: Spec = lower("fleet_batch_evictions", "", None);
const LIARS: Spec = higher("fleet_liars_caught_share", "", None);
const HONEST: Spec = lower("fleet_honest_accused_share", "", None);
const SESSIONS: Spec = higher("fleet_sessions", "", None);

/// Simulates the day.
pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let cities = placement::cities(args.cities.as_deref(), args.data.as_deref())?;
    let mut day = Day::new(&cities, args.seed, f64::from(args.peak) / 100.0);
    for minute in 0..args.hours * 60 {
        day.minute(minute);
    }
    let seen = &day.seen;
    let none = "nobody played";
    let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
    let within = |rtts: &[f64]| {
        share(rtts.iter().filter(|rtt_ms| **rtt_ms <= BUDGET_MS).count() as u64, rtts.len() as u64)
    };
    let mean = seen.regret_ms.iter().sum::<f64>() / seen.regret_ms.len() as f64;
    report.add(REGRET_MEAN, Some(mean), none);
    report.add(REGRET_P95, quantile(&seen.regret_ms, 0.95), none);
    report.add(WITHIN, within(&seen.rtt_ms), none);
    report.add(ORACLE_WITHIN, within(&seen.oracle_ms), none);
    report.add(WAIT_P95, quantile(&seen.waited_s, 0.95), none);
    report.add(WAIT_TOLD, share(seen.told.0, seen.told.1), "nobody waited after a wait was told");
    report.add(RESERVE, share(seen.bookings.0, seen.bookings.1), "nothing was booked");
    report.add(INTERRUPTED, share(seen.interrupted, seen.rtt_ms.len() as u64), none);
    report.add(EVICTED, Some(seen.evicted as f64), none);
    report.add(LIARS, share(seen.liars.0, seen.liars.1), "nobody lied");
    report.add(HONEST, share(seen.accused.0, seen.accused.1), "there was no honest node");
    report.add(SESSIONS, Some(seen.rtt_ms.len() as f64), none);
    if let Some(folder) = &args.plots {
        plot::write(folder, &day.seen.hours)?;
    }
    Ok(())
}

//! Placement by itself: how far from the best players are put, how evenly under load, and how fast over
//! 440,000 nodes; with others' ways of choosing on the same clients.
//!
//! The clients and matrices come from files where they are named, else from a seeded generator. Nothing here is
//! tuned to a file: other slices and other cities are used to judge it.

mod baselines;
pub(crate) mod data;
pub(crate) mod dice;
mod exact;
mod load;
mod regret;
mod scale;
mod scan;
mod world;

pub(crate) use regret::model;

use crate::report::{Report, Spec, higher, lower};
use anyhow::Result;
use data::{Cities, Slices};
use std::path::{Path, PathBuf};

/// Where round trips come from.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder with `cities/` and `planetlab/` [default: generated]
    #[arg(long, value_name = "DIR", env = "NEARFRAME_BENCH_DATA")]
    data: Option<PathBuf>,
    /// A folder with `cities.csv` and `rtt_ms.csv`, plain or .gz, instead of `cities/` of the data
    #[arg(long, value_name = "DIR")]
    cities: Option<PathBuf>,
    /// A square matrix of round trips, ms, on which clients with a past are judged, instead of the last slice
    #[arg(long, value_name = "FILE")]
    matrix: Option<PathBuf>,
    /// An earlier slice of the matrix; may be repeated, oldest first
    #[arg(long, value_name = "FILE", requires = "matrix")]
    history: Vec<PathBuf>,
    /// Nodes of the search
    #[arg(long, default_value_t = 440_000, value_parser = clap::value_parser!(u32).range(1_000..=4_000_000))]
    nodes: u32,
    /// Decisions of the search
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(10_000..))]
    decisions: u32,
}

const COLD_MEAN: Spec = lower("cities_cold_mean_ms", "ms", Some(3.5));
const COLD_P95: Spec = lower("cities_cold_p95_ms", "ms", Some(20.0));
const COLD_TWO_ROUNDS: Spec = lower("cities_cold_two_rounds_mean_ms", "ms", None);
const WARM_MEAN: Spec = lower("planetlab_warm_mean_ms", "ms", Some(0.05));
const WARM_P99: Spec = lower("planetlab_warm_p99_ms", "ms", Some(5.0));
const NEAREST: [Spec; 2] = [lower("nearest_mean_ms", "ms", None), lower("nearest_p95_ms", "ms", None)];
const LIVEKIT: [Spec; 2] = [lower("livekit_mean_ms", "ms", None), lower("livekit_p95_ms", "ms", None)];
const PING_ALL: Spec = lower("ping_all_mean_ms", "ms", None);
const PING_ALL_COUNT: Spec = lower("ping_all_measurements", "", None);
const LOTTERY: [Spec; 2] =
    [lower("stake_lottery_mean_ms", "ms", None), lower("stake_lottery_p95_ms", "ms", None)];
const VIVALDI: [Spec; 2] = [lower("vivaldi_mean_ms", "ms", None), lower("vivaldi_p95_ms", "ms", None)];
const LOAD_RATIO: Spec = lower("load76_optimum_ratio", "", Some(1.05));
const LOAD_GREEDY: Spec = lower("load76_greedy_ratio", "", None);
const LOAD_SMALL: Spec = lower("load76_24k_slots_ratio", "", None);
const LOAD_TICK: Spec = lower("load76_tick_ms", "ms", None);
const DECISIONS: Spec = higher("decisions_per_s", "1/s", Some(80_000.0));
const DECISION_P99: Spec = lower("decision_p99_us", "µs", Some(100.0));
const SCAN_RATIO: Spec = higher("scan_ratio", "", Some(8.0));
const SCAN_US: Spec = lower("scan_us", "µs", None);
const DOUBLE: Spec = lower("double_bookings", "", Some(0.0));
const DISAGREEMENTS: Spec = lower("disagreements", "", Some(0.0));
const COMPARED: Spec = higher("disagreements_looked_for", "", None);
const REFUSED: Spec = lower("refused_share", "", None);
const BYTES: Spec = lower("bytes_per_node", "B", Some(400.0));
const CHANGES: Spec = higher("changes_per_s", "1/s", None);

impl Args {
    fn slices(&self) -> Result<Slices> {
        match (&self.matrix, &self.data) {
            (Some(now), _) => Slices::of(now, &self.history),
            (None, Some(data)) => Slices::read(&data.join("planetlab")),
            (None, None) => Ok(Slices::generate(300, 8, 2)),
        }
    }
}

/// Cities of a folder, or of the data, or generated.
pub(crate) fn cities(folder: Option<&Path>, data: Option<&Path>) -> Result<Cities> {
    match (folder, data) {
        (Some(folder), _) => Cities::read(folder),
        (None, Some(data)) => Cities::read(&data.join("cities")),
        (None, None) => Ok(Cities::generate(160, 1)),
    }
}

/// Runs all of it.
pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let cities = cities(args.cities.as_deref(), args.data.as_deref())?;
    let slices = args.slices()?;
    let cases = regret::cases(&cities);
    let model = model(&cities);
    let add = |report: &mut Report, spec: Spec, value: Option<f64>| {
        report.add(spec, value, "there is no client to judge by");
    };
    let cold = regret::cold(&model, &cases, 1);
    add(report, COLD_MEAN, cold.mean());
    add(report, COLD_P95, cold.quantile(0.95));
    add(report, COLD_TWO_ROUNDS, regret::cold(&model, &cases, 4).mean());
    let warm = regret::warm(&slices);
    add(report, WARM_MEAN, warm.mean());
    add(report, WARM_P99, warm.quantile(0.99));

    for (specs, regret) in [
        (NEAREST, Some(baselines::nearest(&cities, &cases))),
        (LIVEKIT, Some(baselines::livekit(&cities, &cases))),
        (LOTTERY, Some(baselines::stake_lottery(&cases))),
        (VIVALDI, baselines::vivaldi(&slices)),
    ] {
        add(report, specs[0], regret.as_ref().and_then(regret::Regret::mean));
        add(report, specs[1], regret.as_ref().and_then(|regret| regret.quantile(0.95)));
    }
    let (all, measurements) = baselines::ping_all(&cases);
    add(report, PING_ALL, all.mean());
    add(report, PING_ALL_COUNT, Some(measurements));

    let load = load::run(&cities);
    add(report, LOAD_RATIO, Some(load.priced_ratio));
    add(report, LOAD_GREEDY, Some(load.greedy_ratio));
    add(report, LOAD_SMALL, Some(load.small_ratio));
    add(report, LOAD_TICK, Some(load.tick_ms));

    let scale = scale::run(args.nodes, args.decisions);
    add(report, DECISIONS, Some(scale.decisions_per_s));
    add(report, DECISION_P99, Some(scale.p99_us));
    add(report, SCAN_RATIO, Some(scale.scan_us / scale.mean_us));
    add(report, SCAN_US, Some(scale.scan_us));
    add(report, DOUBLE, Some(scale.double_bookings as f64));
    add(report, DISAGREEMENTS, Some(scale.disagreements as f64));
    add(report, COMPARED, Some(scale.compared as f64));
    add(report, REFUSED, Some(scale.refused_share));
    add(report, BYTES, scale.bytes_per_node);
    add(report, CHANGES, Some(scale.changes_per_s));
    Ok(())
}

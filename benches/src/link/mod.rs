//! Ours and Chromium's own sender in turns through the same emulated path, to the same receiver.
//!
//! A [`Scenario`] is a path and how long it is used. For each seed both senders have one run of it, in the order ours,
//! theirs, theirs, ours, and so on, so that what else the machine does meets both. [`course`] makes one run,
//! [`measure`] turns its samples into numbers, [`record`] keeps them in a file from which an interrupted bench is
//! resumed, [`figures`] compares, [`plot`] draws.
//!
//! Needs the rights to make network namespaces; users who are not root get them from `unshare -Ur`.

mod bootstrap;
mod course;
mod figures;
mod measure;
mod plot;
mod record;
mod scenario;

use crate::latency::drawing;
use crate::machine;
use crate::report::Report;
use anyhow::{Context, Result};
use nearframe_link::{Queue, Rate, Reordering, parse_duration, parse_rate};
use record::{Results, Run, Sender};
use rustix::process::geteuid;
use scenario::Scenario;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Of one run.
const SECONDS: u64 = 30;
/// Of one run of `--quick`.
const QUICK_SECONDS: u64 = 15;
const SEEDS: u32 = 5;
const QUICK_SEEDS: u32 = 2;

/// What `nearframe-bench link` is told. Without a path of one's own, the named scenarios are run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A mahimahi trace of the way down, plain or .gz; may be repeated. With `NAME.down` in its name, the way up
    /// follows `NAME.up` beside it, where that exists
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// A folder of traces for the named scenarios: all files with `.down` in their names
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
    /// Capacity of the way down, such as 4M
    #[arg(long, value_parser = parse_rate, conflicts_with_all = ["trace", "step"])]
    rate: Option<u64>,
    /// Capacity of the way down in steps, such as 20M:5M@10s
    #[arg(long, conflicts_with = "trace")]
    step: Option<Rate>,
    /// The most that waits, such as 200ms or 64kB [default: 200ms]
    #[arg(long)]
    queue: Option<Queue>,
    /// Delay of both ways together, such as 20ms
    #[arg(long, value_parser = parse_duration)]
    rtt: Option<Duration>,
    /// The most that each way adds at random, such as 5ms
    #[arg(long, value_parser = parse_duration)]
    jitter: Option<Duration>,
    /// Share of packets that are overtaken, and by how much, such as 1%x5ms
    #[arg(long)]
    reorder: Option<Reordering>,
    /// Share of packets lost each way, such as 0.03
    #[arg(long)]
    loss: Option<f64>,
    /// Mean packets lost in a row [default: each by itself]
    #[arg(long, requires = "loss")]
    burst: Option<f64>,
    /// Packets that allow it are marked rather than wait longer than this, such as 5ms
    #[arg(long, value_parser = parse_duration)]
    mark: Option<Duration>,
    /// A TCP connection sends over the way down all the time
    #[arg(long)]
    tcp: bool,
    /// The client's address changes after this time, such as 10s
    #[arg(long, value_parser = parse_duration)]
    address_change: Option<Duration>,
    /// The bitrate that neither sender may exceed [default: 10M; where capacity falls in a step, its highest]
    #[arg(long, value_parser = parse_rate)]
    ceiling: Option<u64>,
    /// Seeds of each scenario [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: Option<u32>,
    /// A subset that takes about a quarter of an hour
    #[arg(long)]
    quick: bool,
    /// Only the scenarios with this in their names
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Keep the whole runs that the file of results holds for this commit
    #[arg(long)]
    resume: bool,
    /// The file of results
    #[arg(long, value_name = "FILE", default_value = "target/link/results.json")]
    out: PathBuf,
    /// A folder for plots [default: beside the results]
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// Runs what is not yet in the results, writes results and plots, and reports the figures.
pub(crate) fn run(args: &Args, nearframe: &Path, seconds: Option<u64>) -> Result<Report> {
    take_rights()?;
    let scenarios = scenario::all(args, seconds.unwrap_or(if args.quick { QUICK_SECONDS } else { SECONDS }))?;
    let mut results = Results::open(&args.out, args.resume, machine::commit(), machine::describe())?;
    let cards = tempfile::tempdir()?;
    drawing::write_cards(cards.path())?;
    let seeds = args.seeds.unwrap_or(if args.quick { QUICK_SEEDS } else { SEEDS });
    let turns: Vec<_> = turns(&scenarios, seeds).collect();
    for (done, (scenario, sender, seed)) in turns.iter().enumerate() {
        let what = format!("{}/{} {} {sender} seed {seed}", done + 1, turns.len(), scenario.name);
        if results.has(scenario, *sender, *seed) {
            note(&format!("{what}: kept"))?;
            continue;
        }
        note(&what)?;
        let outcome = course::play(scenario, *sender, *seed, nearframe, cards.path());
        let run = Run::new(scenario, *sender, *seed, outcome);
        if let Err(reason) = &run.outcome {
            note(&format!("{what}: failed: {reason}"))?;
        }
        results.add(run)?;
    }
    let summary = figures::summarise(&scenarios, &results);
    note(&figures::table(&summary))?;
    let beside = args.out.parent().unwrap_or(Path::new("."));
    plot::write(args.plots.as_deref().unwrap_or(beside), &scenarios, &results, &summary)
        .context("writing the plots")?;
    let mut report = Report::new("link");
    figures::add(&scenarios, &results, &summary, &mut report);
    results.finish(summary)?;
    Ok(report)
}

/// Begins anew inside a user namespace where this user may make no network namespace.
fn take_rights() -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    let this = std::env::current_exe()?;
    let failed =
        Command::new("unshare").args(["-Ur", "--"]).arg(this).args(std::env::args_os().skip(1)).exec();
    Err(failed)
        .context("starting `unshare -Ur`, because only root may make network namespaces: install util-linux")
}

/// Every run: both senders for each seed, whose order changes from seed to seed.
fn turns(scenarios: &[Scenario], seeds: u32) -> impl Iterator<Item = (&Scenario, Sender, u32)> {
    scenarios.iter().flat_map(move |scenario| {
        (1..=seeds).flat_map(move |seed| {
            let mut senders = vec![Sender::Nearframe];
            if scenario.has_peer() {
                senders.push(Sender::Chromium);
            }
            if seed % 2 == 0 {
                senders.reverse();
            }
            senders.into_iter().map(move |sender| (scenario, sender, seed))
        })
    })
}

fn note(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "{line}")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    /// Arguments as given in a shell.
    pub(super) fn parse(text: &str) -> Result<Args, clap::Error> {
        Ok(Cli::try_parse_from(["link"].into_iter().chain(text.split_whitespace()))?.args)
    }

    #[test]
    fn senders_take_turns_so_that_a_drift_meets_both() {
        let scenarios = scenario::all(&parse("--rate 4M").unwrap(), 30).unwrap();
        let order: String = turns(&scenarios, 4)
            .map(|(_, sender, _)| if sender == Sender::Nearframe { 'A' } else { 'B' })
            .collect();
        assert_eq!(order, "ABBAABBA");
    }

    #[test]
    fn contradictions_are_refused() {
        for text in
            ["--rate 4M --step 20M:5M@10s", "--trace a --rate 4M", "--burst 5", "--queue 3", "--seeds 0"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

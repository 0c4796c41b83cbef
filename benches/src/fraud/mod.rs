//! Planted cheaters against the real detectors: a day of nodes, players and checkers, simulated; receipts are signed,
//! chained, judged and billed by `nearframe-ledger`, and `nearframe-trust` judges what witnesses saw, every simulated
//! hour, as the matchmaker's job does.
//!
//! Whoever judges chooses how many cheat, how and how much; detectors see only what witnesses see. Honest nodes have
//! what honest nodes have: lossy networks, clocks that drift, late receipts, crashes, flats behind one address, cafés,
//! two lines that take turns, heat, owners who try their machine out, and players who lie.

mod cheat;
mod day;
mod play;
mod world;

use crate::quantile::quantile;
use crate::report::{Report, Spec, higher, lower};
use anyhow::{Result, ensure};
use cheat::Plan;
use day::{Day, Outcome};
use nearframe_trust::fraud::{Grade, Kind};

/// What `nearframe-bench fraud` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Honest nodes
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    honest: u32,
    /// Who cheats: `KIND[=RATE]:NODES`, may be repeated. Kinds: inflate-time, inflate-frames, inflate-bytes, inflate
    /// (these three in turns), skim, replay, clone, fake-gpu, recorded, sybil, wash [default: some of each]
    #[arg(long = "cheat", value_name = "KIND[=RATE]:NODES")]
    cheats: Vec<Plan>,
    /// Nobody cheats
    #[arg(long, conflicts_with = "cheats")]
    honest_only: bool,
    /// Of everything that happens by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days, one after the other, each with other nodes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    days: u32,
}

/// From this rate on inflation has to be caught.
const MUST_BE_CAUGHT: f64 = 0.05;

const CAUGHT: Spec = higher("cheats_caught_share", "", Some(0.99));
const PROVED: Spec = higher("cheats_proved_share", "", None);
const FALSE_SLASH: Spec = lower("false_slash_share", "", Some(0.001));
const FALSE_CASE: Spec = lower("false_case_share", "", None);
const HONEST: Spec = higher("honest_nodes", "", None);
const HOURS: Spec = lower("inflation_detected_p50_h", "h", None);
const HOURS_P95: Spec = lower("inflation_detected_p95_h", "h", None);
const OVERPAID: Spec = lower("inflation_overpaid_share", "", None);
const RECEIPTS: Spec = higher("receipts_judged", "", None);

/// Simulates the days.
pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let plans =
        if args.cheats.is_empty() && !args.honest_only { Plan::some_of_each() } else { args.cheats.clone() };
    let mut outcomes = Vec::new();
    let mut receipts = 0;
    for day in 0..args.days {
        let outcome = Day::new(args.honest, &plans, args.seed.wrapping_add(u64::from(day) << 32)).run();
        receipts += outcome.receipts;
        outcomes.extend(outcome.nodes);
    }
    ensure!(!outcomes.is_empty(), "no node served anybody: ask for more nodes with --honest");
    figures(&outcomes, report);
    report.add(RECEIPTS, Some(receipts as f64), "");
    for plan in &plans {
        by_plan(plan, &outcomes, report);
    }
    false_by_kind(&outcomes, report);
    Ok(())
}

fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

fn figures(outcomes: &[Outcome], report: &mut Report) {
    let inflating: Vec<&Outcome> =
        outcomes.iter().filter(|node| node.inflates().is_some_and(|rate| rate >= MUST_BE_CAUGHT)).collect();
    let honest: Vec<&Outcome> = outcomes.iter().filter(|node| node.cheat.is_none()).collect();
    let caught = |grade| inflating.iter().filter(|node| node.caught_at(grade).is_some()).count();
    let none = "nobody inflates by 5 % or more";
    report.add(CAUGHT, share(caught(Grade::Review), inflating.len()), none);
    report.add(PROVED, share(caught(Grade::Slash), inflating.len()), none);
    let accused = |grade| honest.iter().filter(|node| node.accused(grade)).count();
    report.add(FALSE_SLASH, share(accused(Grade::Slash), honest.len()), "there is no honest node");
    report.add(FALSE_CASE, share(accused(Grade::Review), honest.len()), "there is no honest node");
    report.add(HONEST, Some(honest.len() as f64), "");
    let hours: Vec<f64> = inflating.iter().filter_map(|node| node.hours_to_detection()).collect();
    report.add(HOURS, quantile(&hours, 0.5), "none was caught");
    report.add(HOURS_P95, quantile(&hours, 0.95), "none was caught");
    let timed = outcomes.iter().filter(|node| node.inflates_time());
    let (billed, true_us) =
        timed.fold((0_u64, 0_u64), |sum, node| (sum.0 + node.billed_us, sum.1 + node.played_us));
    let overpaid = (true_us > 0).then(|| billed as f64 / true_us as f64 - 1.0);
    report.add(OVERPAID, overpaid, "nobody inflates time");
}

fn by_plan(plan: &Plan, outcomes: &[Outcome], report: &mut Report) {
    let planted: Vec<&Outcome> = outcomes.iter().filter(|node| node.plan.as_ref() == Some(plan)).collect();
    let caught = |grade| planted.iter().filter(|node| node.caught_at(grade).is_some()).count();
    let hours: Vec<f64> = planted.iter().filter_map(|node| node.hours_to_detection()).collect();
    let shown = |p| quantile(&hours, p).map_or_else(|| "-".to_owned(), |hours| format!("{hours:.1}"));
    let fact = format!(
        "{plan}: {} of {} in review, {} proved; after {} h (median), {} h (p95)",
        caught(Grade::Review),
        planted.len(),
        caught(Grade::Slash),
        shown(0.5),
        shown(0.95)
    );
    report.fact("planted", fact);
}

fn false_by_kind(outcomes: &[Outcome], report: &mut Report) {
    for kind in Kind::ALL {
        let count = |grade| {
            let wrong = |node: &&Outcome| node.cheat.is_none() && node.found.contains_key(&(kind, grade));
            outcomes.iter().filter(wrong).count()
        };
        let fact = format!(
            "{kind}: {} proved, {} in review, {} watched",
            count(Grade::Slash),
            count(Grade::Review),
            count(Grade::Watch)
        );
        report.fact("of honest nodes", fact);
    }
}

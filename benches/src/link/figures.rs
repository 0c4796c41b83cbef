//! The figures, and every number of every scenario with its confidence interval.
//!
//! A figure over several scenarios is that of the worst of them, except stalls and late frames: their sums over all
//! scenarios are compared, because a scenario in which one sender had none has no ratio.

use super::bootstrap::{self, Estimate};
use super::measure::Metrics;
use super::record::{Comparison, Played, Results, Run, Sender, Summary};
use super::scenario::{Kind, Scenario};
use crate::quantile::{median, quantile};
use crate::report::{Report, Spec, higher, lower};
use std::collections::BTreeMap;
use std::fmt::Write;

type Of = fn(&Metrics) -> Option<f64>;

/// Every number that is summarised.
const NUMBERS: [(&str, Of); 17] = [
    ("age_p50_ms", |m| m.age_p50_ms),
    ("age_p95_ms", |m| m.age_p95_ms),
    ("age_p99_ms", |m| m.age_p99_ms),
    ("input_p50_ms", |m| m.input_p50_ms),
    ("input_p95_ms", |m| m.input_p95_ms),
    ("shown_fps", |m| m.shown_fps),
    ("bitrate_mbps", |m| m.bitrate_mbps),
    ("stall_ms", |m| Some(m.stall_ms)),
    ("late_share", |m| m.late_share),
    ("keyframes", |m| Some(m.keyframes)),
    ("redundancy", |m| m.redundancy),
    ("queue_p50_ms", |m| m.queue_p50_ms),
    ("queue_p95_ms", |m| m.queue_p95_ms),
    ("utilisation", |m| m.utilisation),
    ("tcp_share", |m| m.tcp_share),
    ("recovery_ms", |m| m.recovery_ms),
    ("creep_ms", |m| m.creep_ms),
];

const TRACE_AGE: Spec = lower("trace_p99_frame_age_ratio", "", Some(0.33));
const TRACE_BITRATE: Spec = higher("trace_bitrate_ratio", "", Some(1.0));
const TRACE_STALL: Spec = lower("trace_stall_ratio", "", Some(0.2));
const STEP_RATIO: Spec = lower("step_recovery_ratio", "", Some(0.3));
const STEP: Spec = lower("step_recovery_ms", "ms", Some(200.0));
const UTILISATION: Spec = higher("utilisation", "", Some(0.85));
/// Half a frame at 60 frames a second: the condition that `utilisation` is asked for under.
const STEADY_QUEUE: Spec = lower("steady_queue_p95_ms", "ms", Some(8.333));
const LATE: Spec = lower("loss_late_ratio", "", Some(0.5));
const REDUNDANCY: Spec = lower("loss_redundancy_ratio", "", Some(0.6));
const KEYFRAMES: Spec = lower("loss_keyframes", "", Some(0.0));
const CLEAN_RATIO: Spec = lower("clean_frame_age_p50_ratio", "", Some(0.25));
const CLEAN_AGE: [Spec; 2] =
    [lower("clean_frame_age_p50_ms", "ms", Some(8.0)), lower("clean_frame_age_p95_ms", "ms", Some(12.0))];
const CLEAN_INPUT: [Spec; 2] = [
    lower("clean_input_visible_p50_ms", "ms", Some(17.0)),
    lower("clean_input_visible_p95_ms", "ms", Some(26.0)),
];
const NARROW_AGE: [Spec; 2] =
    [lower("narrow_frame_age_p50_ms", "ms", Some(12.0)), lower("narrow_frame_age_p95_ms", "ms", Some(30.0))];
const ADDRESS: Spec = lower("address_change_p95_ms", "ms", Some(2000.0));
/// What is left to the sender beside one TCP connection, of its half; more than 2 would leave TCP none.
const FAIR: Spec = higher("tcp_fair_share", "", Some(0.5));
const CREEP: Spec = lower("creep_30min_ms", "ms", Some(5.0));
/// Of either sender; what they would have said is in no other figure.
const FAILED: Spec = lower("failed_runs", "", Some(0.0));
const LOAD: Spec = lower("machine_load_max", "", None);
const RELAY: Spec = lower("relay_late_p99_ms", "ms", Some(0.2));

/// What redundancy is measured by: the fixed share that others add.
const FIXED_REDUNDANCY: f64 = 0.2;

const NOT_RUN: &str = "no scenario of this kind was run";
const NO_PEER_EVENT: &str = "Chromium's own sender had none, or was not run";

/// Every number of every scenario.
pub(super) fn summarise(scenarios: &[Scenario], results: &Results) -> Summary {
    let numbers = |scenario: &Scenario| -> BTreeMap<String, Comparison> {
        NUMBERS.iter().map(|(name, of)| ((*name).to_owned(), compare(results, scenario, *of))).collect()
    };
    scenarios.iter().map(|scenario| (scenario.name.clone(), numbers(scenario))).collect()
}

fn compare(results: &Results, scenario: &Scenario, of: Of) -> Comparison {
    let by_seed = |sender| -> BTreeMap<u32, f64> {
        let seen = |run: &Run| Some((run.seed, of(&run.outcome.as_ref().ok()?.metrics)?));
        results.of(scenario, sender).filter_map(seen).collect()
    };
    let (ours, theirs) = (by_seed(Sender::Nearframe), by_seed(Sender::Chromium));
    let pairs: Vec<_> = ours.iter().filter_map(|(seed, ours)| Some((*ours, *theirs.get(seed)?))).collect();
    let values = |of: BTreeMap<u32, f64>| of.into_values().collect::<Vec<_>>();
    Comparison {
        ratio: bootstrap::ratio(&pairs),
        ours: bootstrap::estimate(&values(ours)),
        theirs: bootstrap::estimate(&values(theirs)),
    }
}

/// The scenarios of one kind, and what was measured in them.
struct Kindred<'a> {
    scenarios: Vec<&'a Scenario>,
    results: &'a Results,
    summary: &'a Summary,
}

impl Kindred<'_> {
    /// What one number is in each.
    fn each(&self, number: &str, of: fn(&Comparison) -> Option<f64>) -> Vec<f64> {
        let find = |scenario: &&Scenario| self.summary.get(&scenario.name)?.get(number).and_then(of);
        self.scenarios.iter().filter_map(find).collect()
    }

    fn ours(&self, number: &str) -> Vec<f64> {
        self.each(number, |one| Some(one.ours?.median))
    }

    fn ratios(&self, number: &str) -> Vec<f64> {
        self.each(number, |one| Some(one.ratio?.median))
    }

    fn runs(&self, sender: Sender) -> impl Iterator<Item = &Played> {
        let runs = self.scenarios.iter().flat_map(move |scenario| self.results.of(scenario, sender));
        runs.filter_map(|run| run.outcome.as_ref().ok())
    }

    fn failed(&self) -> usize {
        let both = [Sender::Nearframe, Sender::Chromium].into_iter();
        let runs =
            both.flat_map(|sender| self.scenarios.iter().flat_map(move |one| self.results.of(one, sender)));
        runs.filter(|run| run.outcome.is_err()).count()
    }

    /// Ours over theirs, of the sums over all runs; none where either was not run or theirs is nothing.
    fn ratio_of_sums(&self, of: Of) -> Option<f64> {
        let sum = |sender| {
            let values: Vec<f64> = self.runs(sender).filter_map(|played| of(&played.metrics)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let (ours, theirs) = (sum(Sender::Nearframe)?, sum(Sender::Chromium)?);
        (theirs > 0.0).then(|| ours / theirs)
    }
}

/// For people: the medians of every number that somebody has, with the ratio and its interval.
pub(super) fn table(summary: &Summary) -> String {
    let mut out = String::new();
    let value = |one: Option<Estimate>| one.map_or("-".to_owned(), |one| format!("{:.3}", one.median));
    for (scenario, numbers) in summary {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{scenario:<34} {:>12} {:>12}  ratio (95 % interval)", "ours", "theirs");
        for (name, one) in numbers.iter().filter(|(_, one)| one.ours.or(one.theirs).is_some()) {
            let ratio = one.ratio.map_or(String::new(), |ratio| {
                format!("{:.3} ({:.3} to {:.3})", ratio.median, ratio.low, ratio.high)
            });
            let _ = writeln!(out, "  {name:<32} {:>12} {:>12}  {ratio}", value(one.ours), value(one.theirs));
        }
    }
    out
}

/// Adds every figure, or why it is absent.
pub(super) fn add(scenarios: &[Scenario], results: &Results, summary: &Summary, report: &mut Report) {
    let of = |is: fn(&Kind) -> bool| {
        let scenarios = scenarios.iter().filter(|scenario| is(&scenario.kind)).collect();
        Kindred { scenarios, results, summary }
    };
    traces(&of(|kind| *kind == Kind::Trace), report);
    step(&of(|kind| matches!(kind, Kind::Step { .. })), report);
    let steady = of(|kind| *kind == Kind::Steady);
    report.add(UTILISATION, lowest(&steady.ours("utilisation")), NOT_RUN);
    report.add(STEADY_QUEUE, highest(&steady.ours("queue_p95_ms")), NOT_RUN);
    loss(&of(|kind| *kind == Kind::Loss), report);
    let clean = of(|kind| *kind == Kind::Clean);
    report.add(CLEAN_RATIO, highest(&clean.ratios("age_p50_ms")), NOT_RUN);
    both(report, CLEAN_AGE, &clean, ["age_p50_ms", "age_p95_ms"]);
    both(report, CLEAN_INPUT, &clean, ["input_p50_ms", "input_p95_ms"]);
    let narrow = of(|kind| *kind == Kind::Narrow);
    both(report, NARROW_AGE, &narrow, ["age_p50_ms", "age_p95_ms"]);
    let change = of(|kind| matches!(kind, Kind::AddressChange { .. }));
    let changes: Vec<_> =
        change.runs(Sender::Nearframe).filter_map(|played| played.metrics.recovery_ms).collect();
    report.add(ADDRESS, quantile(&changes, 0.95), NOT_RUN);
    let shares = of(|kind| *kind == Kind::Competing).ours("tcp_share");
    report.add(FAIR, highest(&shares).map(|tcp| 2.0 * (1.0 - tcp)), NOT_RUN);
    let creep = of(|kind| *kind == Kind::Creep);
    report.add(CREEP, highest(&creep.ours("creep_ms")), "only `--only creep` runs it");
    let all = of(|_| true);
    report.add(FAILED, Some(all.failed() as f64), "");
    let noises: Vec<_> =
        [Sender::Nearframe, Sender::Chromium].into_iter().flat_map(|sender| all.runs(sender)).collect();
    let loads: Vec<_> = noises.iter().map(|played| played.noise.load_after).collect();
    report.add(LOAD, highest(&loads), "no run was whole");
    let late: Vec<_> = noises.iter().map(|played| played.noise.relay_late_p99_ms).collect();
    report.add(RELAY, median(&late), "no run was whole");
}

fn traces(traces: &Kindred<'_>, report: &mut Report) {
    report.add(TRACE_AGE, highest(&traces.ratios("age_p99_ms")), NOT_RUN);
    report.add(TRACE_BITRATE, lowest(&traces.ratios("bitrate_mbps")), NOT_RUN);
    report.add(TRACE_STALL, traces.ratio_of_sums(|m| Some(m.stall_ms)), NO_PEER_EVENT);
}

fn step(step: &Kindred<'_>, report: &mut Report) {
    report.add(STEP_RATIO, highest(&step.ratios("recovery_ms")), NO_PEER_EVENT);
    report.add(STEP, highest(&step.ours("recovery_ms")), NOT_RUN);
}

fn loss(loss: &Kindred<'_>, report: &mut Report) {
    report.add(LATE, loss.ratio_of_sums(|m| m.late_share), NO_PEER_EVENT);
    let redundancy = highest(&loss.ours("redundancy")).map(|share| share / FIXED_REDUNDANCY);
    report.add(REDUNDANCY, redundancy, NOT_RUN);
    let keyframes: Vec<_> = loss.runs(Sender::Nearframe).map(|played| played.metrics.keyframes).collect();
    report.add(KEYFRAMES, highest(&keyframes), NOT_RUN);
}

fn both(report: &mut Report, specs: [Spec; 2], kindred: &Kindred<'_>, numbers: [&str; 2]) {
    for (spec, number) in specs.into_iter().zip(numbers) {
        report.add(spec, highest(&kindred.ours(number)), NOT_RUN);
    }
}

fn highest(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}

fn lowest(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::super::record::{Noise, Run};
    use super::super::{scenario, tests::parse};
    use super::*;

    fn results(scenarios: &[Scenario], metrics: impl Fn(&Scenario, Sender, u32) -> Metrics) -> Results {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("results.json");
        let mut results = Results::open(&file, false, "a".to_owned(), "here".to_owned()).unwrap();
        for scenario in scenarios {
            for sender in [Sender::Nearframe, Sender::Chromium] {
                for seed in 1..=3 {
                    let metrics = metrics(scenario, sender, seed);
                    let played = Played { metrics, noise: Noise::default(), bins: Vec::new() };
                    results.add(Run::new(scenario, sender, seed, Ok(played))).unwrap();
                }
            }
        }
        results
    }

    fn report(text: &str, metrics: impl Fn(&Scenario, Sender, u32) -> Metrics) -> serde_json::Value {
        let scenarios = scenario::all(&parse(text).unwrap(), 30).unwrap();
        let results = results(&scenarios, metrics);
        let summary = summarise(&scenarios, &results);
        let mut report = Report::new("link");
        add(&scenarios, &results, &summary, &mut report);
        serde_json::to_value(&report).unwrap()
    }

    #[test]
    fn a_ratio_is_of_medians_over_seeds() {
        let json = report("--only clean", |_, sender, seed| {
            let ours = f64::from(seed) * 10.0;
            let age = if sender == Sender::Nearframe { ours } else { ours * 4.0 };
            Metrics { age_p50_ms: Some(age), input_p50_ms: Some(16.0), ..Metrics::default() }
        });
        assert_eq!(json["figures"]["clean_frame_age_p50_ratio"]["value"], 0.25);
        assert_eq!(json["figures"]["clean_frame_age_p50_ms"]["value"], 20.0);
        assert_eq!(json["figures"]["clean_input_visible_p50_ms"]["value"], 16.0);
        assert_eq!(json["skipped"]["utilisation"], NOT_RUN);
    }

    #[test]
    fn the_table_has_what_was_seen_and_nothing_else() {
        let scenarios = scenario::all(&parse("--only narrow").unwrap(), 30).unwrap();
        let results = results(&scenarios, |_, _, _| Metrics { age_p95_ms: Some(30.0), ..Metrics::default() });
        let table = table(&summarise(&scenarios, &results));
        assert!(table.starts_with("narrow") && table.contains("1.000 (1.000 to 1.000)"), "{table}");
        assert!(table.contains("age_p95_ms") && !table.contains("age_p50_ms"), "{table}");
    }

    #[test]
    fn the_worst_loss_counts_and_late_frames_are_summed() {
        let json = report("--only loss", |scenario, sender, seed| {
            let ours = sender == Sender::Nearframe;
            let worst = scenario.name == "loss-5-bursts";
            Metrics {
                late_share: Some(if ours { 0.01 } else { 0.04 }),
                redundancy: Some(if worst { 0.1 } else { 0.02 }),
                keyframes: f64::from(u8::from(ours && worst && seed == 2)),
                ..Metrics::default()
            }
        });
        assert_eq!(json["figures"]["loss_late_ratio"]["value"], 0.25);
        assert_eq!(json["figures"]["loss_redundancy_ratio"]["value"], 0.5);
        assert_eq!(json["figures"]["loss_keyframes"]["value"], 1.0);
    }

    #[test]
    fn nothing_of_theirs_to_compare_with_is_said_and_no_ratio() {
        let json = report("--step 20M:5M@10s", |_, sender, _| Metrics {
            recovery_ms: (sender == Sender::Nearframe).then_some(150.0),
            ..Metrics::default()
        });
        assert_eq!(json["figures"]["step_recovery_ms"]["value"], 150.0);
        assert_eq!(json["skipped"]["step_recovery_ratio"], NO_PEER_EVENT);
    }
}

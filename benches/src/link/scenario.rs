//! Paths to measure on.

use super::Args;
use anyhow::{Context, Result, bail};
use nearframe_link::{Jitter, LinkSpec, Loss, Outage, Queue, Rate, Step, Trace};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `max_bitrate_bps` of a node by default.
const CEILING_BPS: u64 = 10_000_000;
/// The way up of paths whose way down has a limit: what a household has.
const UP_BPS: u64 = 10_000_000;
/// The ordinary path: a city away.
const RTT: Duration = Duration::from_millis(20);
/// A phone that leaves a Wi-Fi has no network for so long.
const HANDOVER: Duration = Duration::from_millis(200);
const CREEP_SECONDS: u64 = 1800;
/// Successive multiples of it spread evenly over a trace, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Which of the issue's questions a scenario answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Capacity as somebody recorded it.
    Trace,
    /// Capacity falls at this time.
    Step {
        /// After time zero.
        at: Duration,
    },
    /// Constant capacity below what the senders may use.
    Steady,
    /// Packets are lost.
    Loss,
    /// Nothing stands in the way.
    Clean,
    /// 4 Mbit/s.
    Narrow,
    /// The client's address changes at this time.
    AddressChange {
        /// After time zero.
        at: Duration,
    },
    /// A TCP connection wants the path too.
    Competing,
    /// Half an hour.
    Creep,
    /// None of them.
    Other,
}

/// A path, and how long it is used.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// Unique, and good for a file's name.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) down: LinkSpec,
    pub(super) up: LinkSpec,
    pub(super) ceiling_bps: u64,
    /// Whether a TCP connection competes.
    pub(super) tcp: bool,
    pub(super) seconds: u64,
}

impl Scenario {
    /// Whether Chromium's own sender has its turn: it cannot follow a change of address without a page that
    /// negotiates anew, and its creep is not asked for.
    pub(super) fn has_peer(&self) -> bool {
        !matches!(self.kind, Kind::AddressChange { .. } | Kind::Creep)
    }

    /// Everything that a result depends on, in words; two scenarios that differ have different words.
    pub(super) fn setting(&self) -> String {
        let words = |spec: &LinkSpec| match &spec.rate {
            // A trace's numbers are many; its length and mean tell traces apart.
            Rate::Trace { trace, .. } => {
                let plain = LinkSpec { rate: Rate::Unlimited, ..spec.clone() };
                format!("trace of {:?} at {} bit/s, {plain:?}", trace.period(), trace.mean_bps())
            }
            _ => format!("{spec:?}"),
        };
        let Self { kind, ceiling_bps, tcp, seconds, .. } = self;
        let (down, up) = (words(&self.down), words(&self.up));
        format!("{kind:?} down {down} up {up} ceiling {ceiling_bps} tcp {tcp} {seconds} s")
    }

    /// The path of one seed: a trace begins at a place of its own for each.
    pub(super) fn path(&self, seed: u32) -> [LinkSpec; 2] {
        [&self.down, &self.up].map(|spec| {
            let mut spec = spec.clone();
            if let Rate::Trace { trace, from } = &mut spec.rate {
                // In whole ms, because a trace has no finer times.
                let share = (f64::from(seed - 1) * GOLDEN).fract();
                *from = Duration::from_millis((trace.period().as_millis() as f64 * share) as u64);
            }
            spec
        })
    }

    /// The same path before time zero: what happens at a time has not happened yet.
    pub(super) fn settled(&self, seed: u32) -> [LinkSpec; 2] {
        self.path(seed).map(|mut spec| {
            if let Rate::Steps(steps) = &mut spec.rate {
                steps.truncate(1);
            }
            LinkSpec { outages: Vec::new(), address_change: None, ..spec }
        })
    }

    /// The same path while pages are loaded: as long, and as wide as can be, so that no start fails.
    pub(super) fn wide(&self) -> [LinkSpec; 2] {
        [&self.down, &self.up].map(|spec| LinkSpec { delay: spec.delay, ..LinkSpec::default() })
    }

    /// The way down's delay without any queue.
    pub(super) fn delay(&self) -> Duration {
        self.down.delay
    }
}

/// The path that the arguments describe, or else the named ones.
pub(super) fn all(args: &Args, seconds: u64) -> Result<Vec<Scenario>> {
    let own = !args.trace.is_empty()
        || args.rate.is_some()
        || args.step.is_some()
        || args.queue.is_some()
        || args.rtt.is_some()
        || args.jitter.is_some()
        || args.reorder.is_some()
        || args.loss.is_some()
        || args.mark.is_some()
        || args.tcp
        || args.address_change.is_some();
    let mut scenarios = if own { described(args, seconds)? } else { named(args, seconds)? };
    if let Some(only) = &args.only {
        scenarios.retain(|scenario| scenario.name.contains(only.as_str()));
    }
    for scenario in &mut scenarios {
        if let Some(ceiling_bps) = args.ceiling {
            scenario.ceiling_bps = ceiling_bps;
        }
        for (spec, way) in [(&scenario.down, "down"), (&scenario.up, "up")] {
            spec.check().with_context(|| format!("the way {way} of {}", scenario.name))?;
        }
    }
    if scenarios.is_empty() {
        bail!("no scenario is left: look at --only, and name traces with --traces DIR");
    }
    Ok(scenarios)
}

/// One for each trace, or one.
fn described(args: &Args, seconds: u64) -> Result<Vec<Scenario>> {
    let half = args.rtt.unwrap_or_default() / 2;
    let jitter = Jitter { spread: args.jitter.unwrap_or_default(), free: false };
    let loss = Loss::of(args.loss.unwrap_or_default(), args.burst);
    let reordering = args.reorder.unwrap_or_default();
    let plain = LinkSpec { delay: half, jitter, loss, reordering, ..LinkSpec::default() };
    let down = LinkSpec {
        rate: args.step.clone().or(args.rate.map(Rate::constant)).unwrap_or_default(),
        queue: args.queue.unwrap_or_default(),
        mark_above: args.mark,
        ..plain.clone()
    };
    let kind = match (&args.step, args.address_change, args.loss) {
        (_, Some(at), _) => Kind::AddressChange { at },
        (Some(Rate::Steps(steps)), ..) if let Some(at) = fall(steps) => Kind::Step { at },
        (_, _, Some(_)) => Kind::Loss,
        _ if args.tcp => Kind::Competing,
        _ if args.rate.is_some() => Kind::Steady,
        _ => Kind::Other,
    };
    let ceiling_bps = match &args.step {
        Some(Rate::Steps(steps)) => steps.iter().map(|step| step.bps).max().unwrap_or(CEILING_BPS),
        _ => CEILING_BPS,
    };
    let one = Scenario {
        name: "described".to_owned(),
        kind,
        down,
        up: plain.clone(),
        ceiling_bps,
        tcp: args.tcp,
        seconds,
    };
    if args.trace.is_empty() {
        return Ok(vec![one]);
    }
    args.trace.iter().map(|file| traced(&one, file)).collect()
}

/// The first time at which capacity falls.
fn fall(steps: &[Step]) -> Option<Duration> {
    steps.windows(2).find(|pair| pair[1].bps < pair[0].bps).map(|pair| pair[1].from)
}

/// `like`, with the capacity of a trace.
fn traced(like: &Scenario, file: &Path) -> Result<Scenario> {
    let name = file.file_name().and_then(|name| name.to_str()).context("a trace's name is text")?;
    let up_file = name.contains(".down").then(|| file.with_file_name(name.replace(".down", ".up")));
    let mut scenario = like.clone();
    scenario.name = format!("trace-{}", name.trim_end_matches(".gz").trim_end_matches(".down"));
    scenario.kind = if matches!(like.kind, Kind::Other) { Kind::Trace } else { like.kind };
    scenario.down.rate = Rate::trace(Trace::read(file)?);
    if let Some(up_file) = up_file.filter(|up_file| up_file.is_file()) {
        scenario.up.rate = Rate::trace(Trace::read(&up_file)?);
    }
    Ok(scenario)
}

/// Those of the issue's table.
fn named(args: &Args, seconds: u64) -> Result<Vec<Scenario>> {
    let at = Duration::from_secs(seconds / 3);
    let mut scenarios = vec![
        ordinary("clean", Kind::Clean, Rate::Unlimited, Duration::ZERO, seconds),
        ordinary("steady", Kind::Steady, Rate::constant(6_000_000), RTT, seconds),
        // Its goal is what serialising and queueing cost: no delay is added to them.
        ordinary("narrow", Kind::Narrow, Rate::constant(4_000_000), Duration::ZERO, seconds),
    ];
    let steps = vec![Step { from: Duration::ZERO, bps: 20_000_000 }, Step { from: at, bps: 5_000_000 }];
    let mut step = ordinary("step", Kind::Step { at }, Rate::Steps(steps), RTT, seconds);
    step.ceiling_bps = 20_000_000;
    scenarios.push(step);
    for percent in [1, 3, 5] {
        for (shape, burst) in [("random", None), ("bursts", Some(5.0))] {
            let name = format!("loss-{percent}-{shape}");
            let mut lossy = ordinary(&name, Kind::Loss, Rate::constant(20_000_000), RTT, seconds);
            lossy.down.loss = Loss::of(f64::from(percent) / 100.0, burst);
            lossy.up.loss = lossy.down.loss;
            scenarios.push(lossy);
        }
    }
    let change = Kind::AddressChange { at };
    let mut change = ordinary("address-change", change, Rate::constant(20_000_000), RTT, seconds);
    change.down.outages = vec![Outage { from: at, until: at + HANDOVER }];
    change.up.outages.clone_from(&change.down.outages);
    scenarios.push(change);
    let mut tcp = ordinary("tcp", Kind::Competing, Rate::constant(10_000_000), RTT, seconds);
    // More than the fair share is to be wanted.
    tcp.ceiling_bps = 20_000_000;
    tcp.tcp = true;
    scenarios.push(tcp);
    if args.only.as_deref() == Some("creep") {
        scenarios.push(ordinary("creep", Kind::Creep, Rate::constant(20_000_000), RTT, CREEP_SECONDS));
    }
    let like = ordinary("trace", Kind::Trace, Rate::Unlimited, RTT, seconds);
    for file in down_traces(args.traces.as_deref())? {
        scenarios.push(traced(&like, &file)?);
    }
    if args.quick {
        let mut traces = 0;
        scenarios.retain(|scenario| match scenario.kind {
            Kind::Trace => {
                traces += 1;
                traces == 1
            }
            Kind::Loss => scenario.name == "loss-3-bursts",
            Kind::Competing => false,
            _ => true,
        });
    }
    Ok(scenarios)
}

fn ordinary(name: &str, kind: Kind, rate: Rate, rtt: Duration, seconds: u64) -> Scenario {
    let up = if rate == Rate::Unlimited { Rate::Unlimited } else { Rate::constant(UP_BPS) };
    let link = |rate| LinkSpec { rate, delay: rtt / 2, queue: Queue::default(), ..LinkSpec::default() };
    Scenario {
        name: name.to_owned(),
        kind,
        down: link(rate),
        up: link(up),
        ceiling_bps: CEILING_BPS,
        tcp: false,
        seconds,
    }
}

fn down_traces(dir: Option<&Path>) -> Result<Vec<PathBuf>> {
    let Some(dir) = dir else { return Ok(Vec::new()) };
    let entries = fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains(".down")) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{} has no file with .down in its name", dir.display());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    fn scenarios(text: &str) -> Vec<Scenario> {
        all(&parse(text).unwrap(), 30).unwrap()
    }

    #[test]
    fn the_issues_scenarios_have_names_of_their_own() {
        let all = scenarios("");
        let names: std::collections::BTreeSet<_> =
            all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(all.iter().filter(|scenario| scenario.kind == Kind::Loss).count(), 6);
        assert_eq!(scenarios("--quick").len(), 6);
        assert_eq!(scenarios("--only creep")[0].seconds, 1800);
        assert!(super::all(&parse("--only nothing").unwrap(), 30).is_err());
    }

    #[test]
    fn a_described_path_answers_the_question_it_is_like() {
        let kind = |text: &str| scenarios(text)[0].kind;
        assert_eq!(kind("--step 20M:5M@10s"), Kind::Step { at: Duration::from_secs(10) });
        assert_eq!(kind("--rate 20M --loss 0.03 --burst 5"), Kind::Loss);
        assert_eq!(kind("--rate 4M --rtt 20ms"), Kind::Steady);
        assert_eq!(kind("--rate 4M --tcp"), Kind::Competing);
        assert_eq!(kind("--rtt 20ms"), Kind::Other);
        assert_eq!(scenarios("--step 20M:5M@10s")[0].ceiling_bps, 20_000_000);
        assert_eq!(scenarios("--rate 4M --ceiling 3M")[0].ceiling_bps, 3_000_000);
        assert!(all(&parse("--loss 2").unwrap(), 30).is_err());
    }

    #[test]
    fn traces_come_in_pairs_and_begin_elsewhere_for_each_seed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.down"), "1\n50\n1000\n").unwrap();
        fs::write(dir.path().join("a.up"), "7\n").unwrap();
        let all = scenarios(&format!("--traces {} --only trace-a", dir.path().display()));
        assert!(matches!(&all[0].up.rate, Rate::Trace { trace, .. } if trace.period().as_millis() == 7));
        let from = |seed| match &all[0].path(seed)[0].rate {
            Rate::Trace { from, .. } => *from,
            _ => panic!("a trace"),
        };
        assert_eq!(from(1), Duration::ZERO);
        assert!(from(2) != from(3) && from(3) < Duration::from_secs(1));
    }

    #[test]
    fn before_time_zero_nothing_that_has_a_time_happens() {
        let all = scenarios("--only step");
        let [down, _] = all[0].settled(1);
        assert_eq!(down.rate, Rate::constant(20_000_000));
        assert_eq!(all[0].wide()[0].delay, RTT / 2);
    }

    #[test]
    fn a_setting_tells_paths_apart() {
        let setting = |text: &str| scenarios(text)[0].setting();
        assert_ne!(setting("--rate 4M"), setting("--rate 4M --rtt 20ms"));
        assert_ne!(setting("--rate 4M"), setting("--rate 4M --tcp"));
        assert_ne!(setting("--rate 4M --address-change 5s"), setting("--rate 4M --address-change 6s"));
        assert_eq!(setting("--rate 4M"), setting("--rate 4000k"));
    }
}

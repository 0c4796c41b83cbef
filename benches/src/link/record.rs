//! What was measured, kept in a file after every run.

use super::bootstrap::Estimate;
use super::measure::{Bin, Metrics};
use super::scenario::Scenario;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sender {
    Nearframe,
    Chromium,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nearframe => "nearframe",
            Self::Chromium => "chromium",
        })
    }
}

/// What the machine did meanwhile, and how exact the path was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noise {
    /// Mean of runnable programs over a minute, before and after.
    pub(super) load_before: f64,
    pub(super) load_after: f64,
    /// Whether the relay ran before all other programs.
    pub(super) realtime: bool,
    /// How much later than the model packets arrived.
    pub(super) relay_late_p99_ms: f64,
    pub(super) relay_late_max_ms: f64,
}

/// A run that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Played {
    pub(super) metrics: Metrics,
    pub(super) noise: Noise,
    /// Tenths of a second from time zero.
    pub(super) bins: Vec<Bin>,
}

/// One sender's way through one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) scenario: String,
    /// Everything that it depends on, in words.
    setting: String,
    pub(super) sender: Sender,
    pub(super) seed: u32,
    #[serde(default)]
    commit: String,
    /// Or why there is none.
    pub(super) outcome: Result<Played, String>,
}

impl Run {
    pub(super) fn new(scenario: &Scenario, sender: Sender, seed: u32, outcome: Result<Played>) -> Self {
        Self {
            scenario: scenario.name.clone(),
            setting: scenario.setting(),
            sender,
            seed,
            commit: String::new(),
            outcome: outcome.map_err(|error| format!("{error:#}")),
        }
    }
}

/// One number of a scenario, over all seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Comparison {
    pub(super) ours: Option<Estimate>,
    pub(super) theirs: Option<Estimate>,
    /// Ours divided by theirs, seed by seed.
    pub(super) ratio: Option<Estimate>,
}

/// Scenario → number → comparison.
pub(super) type Summary = BTreeMap<String, BTreeMap<String, Comparison>>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    commit: String,
    machine: String,
    summary: Summary,
    runs: Vec<Run>,
}

/// All runs, on disk as in memory.
#[derive(Debug)]
pub(super) struct Results {
    file: PathBuf,
    kept: Kept,
}

impl Results {
    /// An empty file, or one that goes on where it stopped: with those runs of this commit that did not fail.
    pub(super) fn open(file: &Path, resume: bool, commit: String, machine: String) -> Result<Self> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut kept = Kept::default();
        if resume && file.is_file() {
            let text = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            kept = serde_json::from_slice(&text).with_context(|| {
                format!("{} holds no results: begin anew without --resume", file.display())
            })?;
            kept.runs.retain(|run| run.commit == commit && run.outcome.is_ok());
        }
        let kept = Kept { commit, machine, summary: Summary::new(), runs: kept.runs };
        Ok(Self { file: file.to_owned(), kept })
    }

    /// Whether this run is there.
    pub(super) fn has(&self, scenario: &Scenario, sender: Sender, seed: u32) -> bool {
        let setting = scenario.setting();
        let is = |run: &Run| {
            run.scenario == scenario.name
                && run.setting == setting
                && run.sender == sender
                && run.seed == seed
        };
        self.kept.runs.iter().any(is)
    }

    /// Adds a run and writes the file.
    pub(super) fn add(&mut self, run: Run) -> Result<()> {
        self.kept.runs.push(Run { commit: self.kept.commit.clone(), ..run });
        self.write()
    }

    /// The runs of one scenario, as it is now.
    pub(super) fn of<'a>(&'a self, scenario: &Scenario, sender: Sender) -> impl Iterator<Item = &'a Run> {
        let (name, setting) = (scenario.name.clone(), scenario.setting());
        self.kept
            .runs
            .iter()
            .filter(move |run| run.scenario == name && run.setting == setting && run.sender == sender)
    }

    /// Adds the summary and writes the file for the last time.
    pub(super) fn finish(mut self, summary: Summary) -> Result<()> {
        self.kept.summary = summary;
        self.write()
    }

    /// Whole or not at all, so that an interrupted bench can be resumed.
    fn write(&self) -> Result<()> {
        let draft = self.file.with_extension("draft");
        let text = serde_json::to_vec(&self.kept)?;
        fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
        fs::rename(&draft, &self.file).with_context(|| format!("writing {}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{scenario, tests::parse};
    use super::*;
    use anyhow::anyhow;

    pub(crate) fn played(metrics: Metrics) -> Played {
        Played { metrics, noise: Noise::default(), bins: vec![Bin::default(); 3] }
    }

    #[test]
    fn a_bench_goes_on_with_the_whole_runs_of_its_commit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/results.json");
        let one = &scenario::all(&parse("--rate 4M").unwrap(), 30).unwrap()[0];
        let other = &scenario::all(&parse("--rate 5M").unwrap(), 30).unwrap()[0];
        let open = |resume, commit: &str| Results::open(&file, resume, commit.to_owned(), "here".to_owned());
        let mut results = open(false, "a").unwrap();
        results.add(Run::new(one, Sender::Nearframe, 1, Ok(played(Metrics::default())))).unwrap();
        results.add(Run::new(one, Sender::Chromium, 1, Err(anyhow!("it rained")))).unwrap();
        results.finish(Summary::new()).unwrap();
        let results = open(true, "a").unwrap();
        assert!(results.has(one, Sender::Nearframe, 1));
        assert!(!results.has(one, Sender::Chromium, 1), "it failed");
        assert!(!results.has(one, Sender::Nearframe, 2));
        assert!(!results.has(other, Sender::Nearframe, 1), "another path of the same name");
        assert!(!open(true, "b").unwrap().has(one, Sender::Nearframe, 1));
        assert!(!open(false, "a").unwrap().has(one, Sender::Nearframe, 1));
        fs::write(&file, "rubbish").unwrap();
        assert!(format!("{:#}", open(true, "a").unwrap_err()).contains("without --resume"));
    }
}

//! What this machine can do, found by trying, and remembered as long as it stays the same machine.
//!
//! It is measured when a node starts for the first time and again when an adapter, a driver, an encoder or the
//! program changes. The report is signed with the node's key; placement reads it, `nearframe doctor` prints it.

mod measure;
mod sessions;

pub use measure::measure;

use nearframe_encode::{VideoBackendFacts, VideoOptions, video_backends_with};
use nearframe_gpu::AdapterFacts;
use nearframe_protocol::NodeKey;
use nearframe_protocol::capability::SignedCapability;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tracing::{info, warn};

/// What is there, without measuring it. Asking takes as long as drivers take to load.
#[derive(Clone, Debug)]
pub struct Machine {
    /// GPU adapters, best first.
    pub adapters: Vec<AdapterFacts>,
    /// Encoders, best first, and why one cannot be opened.
    pub encoders: Vec<VideoBackendFacts>,
    /// Which of them may be used, and how.
    pub video: VideoOptions,
}

impl Machine {
    /// Asks drivers and encoders.
    pub fn look(video: &VideoOptions) -> Self {
        let (adapters, encoders) = (nearframe_gpu::adapters(), video_backends_with(video));
        Self { adapters, encoders, video: video.clone() }
    }

    /// Names of the encoders that open here, best first.
    pub(crate) fn encoder_names(&self) -> Vec<String> {
        let open = self.encoders.iter().filter_map(|backend| backend.state.as_ref().ok());
        open.map(|can| can.name.to_owned()).collect()
    }
}

/// What a report holds for: any difference asks for a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Basis {
    release: String,
    /// Length and time of the program's file: another build measures differently.
    program: (u64, Duration),
    processors: usize,
    /// Adapters with their drivers.
    adapters: Vec<String>,
    /// Encoders that open, and what hinders others.
    encoders: Vec<String>,
}

impl Basis {
    fn of(machine: &Machine) -> Self {
        let adapters = machine.adapters.iter().map(|adapter| format!("{adapter}, {}", adapter.driver));
        let encoders = machine.encoders.iter().map(|backend| match &backend.state {
            Ok(can) => can.name.to_owned(),
            Err(why) => format!("{:?}: {why}", backend.backend),
        });
        Self {
            release: env!("CARGO_PKG_VERSION").to_owned(),
            program: program(),
            processors: std::thread::available_parallelism().map_or(1, |count| count.get()),
            adapters: adapters.collect(),
            encoders: encoders.collect(),
        }
    }
}

/// Zeros where the system does not tell: then the release alone decides.
fn program() -> (u64, Duration) {
    let facts = std::env::current_exe().and_then(fs::metadata);
    let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    facts.map_or_else(
        |_| (0, Duration::ZERO),
        |facts| (facts.len(), facts.modified().map(since_epoch).unwrap_or_default()),
    )
}

/// As it lies in the data directory.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    basis: Basis,
    report: SignedCapability,
}

/// The signed report on this machine, measured now unless one is remembered that still holds.
pub(crate) fn report(data_dir: &Path, key: &NodeKey, machine: &Machine) -> SignedCapability {
    let (file, basis) = (data_dir.join("capability.json"), Basis::of(machine));
    if let Some(report) = known(&file, &basis, key) {
        return report;
    }
    let capability = measure(machine);
    info!(sessions = capability.sessions, encoders = capability.encoders.len(), "this machine was measured");
    let remembered = Remembered { basis, report: SignedCapability::sign(key, capability) };
    let written = serde_json::to_vec_pretty(&remembered).map_err(std::io::Error::from);
    if let Err(error) = written.and_then(|bytes| fs::write(&file, bytes)) {
        warn!("what was measured is not remembered: {error}");
    }
    remembered.report
}

/// The remembered report, if it was signed by this node on this machine as it is now.
pub(crate) fn remembered(data_dir: &Path, key: &NodeKey, machine: &Machine) -> Option<SignedCapability> {
    known(&data_dir.join("capability.json"), &Basis::of(machine), key)
}

fn known(file: &Path, basis: &Basis, key: &NodeKey) -> Option<SignedCapability> {
    let known: Remembered = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let holds = known.basis == *basis && known.report.verify(&key.public()).is_ok();
    holds.then_some(known.report)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes the remembered report as `change` says, signed by `key`, and gives the report of the next start.
    fn next_start(dir: &Path, key: &NodeKey, machine: &Machine, change: impl FnOnce(&mut Remembered)) -> u32 {
        let file = dir.join("capability.json");
        let mut known: Remembered = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut known);
        fs::write(&file, serde_json::to_vec(&known).unwrap()).unwrap();
        report(dir, key, machine).capability.sessions
    }

    #[test]
    fn a_report_is_remembered_until_machine_or_key_change() {
        let (dir, key) = (tempfile::tempdir().unwrap(), NodeKey::from_seed([3; 32]));
        let machine = Machine::look(&VideoOptions::default());
        let first = report(dir.path(), &key, &machine);
        first.verify(&key.public()).unwrap();
        first.capability.check().unwrap();
        assert!(first.capability.sessions >= 1);
        assert_eq!(remembered(dir.path(), &key, &machine), Some(first.clone()));

        let marked = |known: &mut Remembered, signer: &NodeKey| {
            let capability =
                nearframe_protocol::capability::Capability { sessions: 63, ..Default::default() };
            known.report = SignedCapability::sign(signer, capability);
        };
        assert_eq!(next_start(dir.path(), &key, &machine, |known| marked(known, &key)), 63, "measured again");
        let other = NodeKey::from_seed([4; 32]);
        assert_ne!(
            next_start(dir.path(), &key, &machine, |known| marked(known, &other)),
            63,
            "signed by another"
        );
        let changed = next_start(dir.path(), &key, &machine, |known| {
            marked(known, &key);
            known.basis.adapters.push("a card that was taken out".to_owned());
        });
        assert_ne!(changed, 63, "another machine's report was believed");
    }
}

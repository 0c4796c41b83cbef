//! What this machine can do, found by trying, and remembered as long as it stays the same machine.
//!
//! It is measured when a node starts for the first time and again when an adapter, a driver, an encoder or the
//! program changes. The report is signed with the node's key; placement reads it, `nearframe doctor` prints it.

mod measure;
mod sessions;
mod terms;

pub use measure::measure;
pub(crate) use terms::terms;

use nearframe_encode::{VideoBackendFacts, VideoOptions, video_backends_with};
use nearframe_gpu::AdapterFacts;
use nearframe_protocol::NodeKey;
use nearframe_protocol::capability::{Capability, MAX_ITEMS, Missing, SignedCapability};
use nearframe_protocol::uplink::Uplink;
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
    /// The way that the report's uplink was measured over; none before it was.
    #[serde(default)]
    way: Option<String>,
}

const FILE: &str = "capability.json";

/// The signed report on this machine, measured now unless one is remembered that still holds.
pub(crate) fn report(data_dir: &Path, key: &NodeKey, machine: &Machine) -> SignedCapability {
    let (file, basis) = (data_dir.join(FILE), Basis::of(machine));
    if let Some(report) = known(&file, &basis, key) {
        return report;
    }
    info!("measuring what this machine encodes; this is done once and takes some seconds");
    let capability = measure(machine);
    info!(sessions = capability.sessions, encoders = capability.encoders.len(), "this machine was measured");
    let remembered = Remembered { basis, report: SignedCapability::sign(key, capability), way: None };
    remembered.write(&file);
    remembered.report
}

impl Remembered {
    fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    fn write(&self, file: &Path) {
        let written = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|bytes| fs::write(file, bytes)) {
            warn!("what was measured is not remembered: {error}");
        }
    }
}

/// The way that the remembered report's uplink was measured over.
pub(crate) fn measured_way(data_dir: &Path) -> Option<String> {
    Remembered::read(&data_dir.join(FILE))?.way
}

/// The report with what was measured of the uplink, remembered for this way. `None`: too little came to say anything.
pub(crate) fn with_uplink(
    data_dir: &Path,
    key: &NodeKey,
    report: &SignedCapability,
    uplink: Option<Uplink>,
    way: &str,
) -> SignedCapability {
    const NAME: &str = "uplink";
    let mut capability = Capability { uplink, ..report.capability.clone() };
    capability.missing.retain(|missing| missing.what != NAME);
    if uplink.is_none() && capability.missing.len() < MAX_ITEMS {
        let why = "less than 32 KiB reached the matchmaker in a second: look at what stands in the way";
        capability.missing.push(Missing { what: NAME.to_owned(), why: why.to_owned() });
    }
    let (file, signed) = (data_dir.join(FILE), SignedCapability::sign(key, capability));
    if let Some(known) = Remembered::read(&file).filter(|known| known.report == *report) {
        Remembered { report: signed.clone(), way: Some(way.to_owned()), ..known }.write(&file);
    }
    signed
}

/// The report as releases know it that measure no uplink.
pub(crate) fn without_uplink(key: &NodeKey, report: SignedCapability) -> SignedCapability {
    match report.capability.uplink {
        None => report,
        Some(_) => SignedCapability::sign(key, Capability { uplink: None, ..report.capability }),
    }
}

/// What a node that keeps its things in `data_dir` found of its uplink when it linked to its matchmaker.
pub fn known_uplink(data_dir: &Path) -> Option<Uplink> {
    let uplink = Remembered::read(&data_dir.join(FILE))?.report.capability.uplink?;
    uplink.check().is_ok().then_some(uplink)
}

/// The remembered report, if it was signed by this node on this machine as it is now.
pub(crate) fn remembered(data_dir: &Path, key: &NodeKey, machine: &Machine) -> Option<SignedCapability> {
    known(&data_dir.join(FILE), &Basis::of(machine), key)
}

fn known(file: &Path, basis: &Basis, key: &NodeKey) -> Option<SignedCapability> {
    let known = Remembered::read(file)?;
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
            let capability = Capability { sessions: 63, ..Default::default() };
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

    #[test]
    fn an_uplink_becomes_part_of_the_signed_report_and_belongs_to_its_way() {
        let (dir, key) = (tempfile::tempdir().unwrap(), NodeKey::from_seed([3; 32]));
        let machine = Machine { adapters: vec![], encoders: vec![], video: VideoOptions::default() };
        let report = SignedCapability::sign(&key, Capability { sessions: 7, ..Capability::default() });
        let known = Remembered { basis: Basis::of(&machine), report: report.clone(), way: None };
        known.write(&dir.path().join(FILE));
        assert_eq!((measured_way(dir.path()), known_uplink(dir.path())), (None, None));
        let uplink = Uplink { bytes: 1_250_000, elapsed_us: 1_000_000, at_least: false };
        let signed = with_uplink(dir.path(), &key, &report, Some(uplink), "a way");
        signed.verify(&key.public()).unwrap();
        assert_eq!((signed.capability.uplink, signed.capability.sessions), (Some(uplink), 7));
        assert_eq!(remembered(dir.path(), &key, &machine), Some(signed.clone()), "it is the same machine");
        assert_eq!(
            (measured_way(dir.path()).as_deref(), known_uplink(dir.path())),
            (Some("a way"), Some(uplink))
        );
        let nothing = with_uplink(dir.path(), &key, &signed, None, "another way");
        assert!(nothing.capability.uplink.is_none() && nothing.capability.missing[0].what == "uplink");
        let plain = without_uplink(&key, signed);
        assert_eq!(plain, report, "as an older matchmaker checks it");
    }
}

//! What every bench of the whole system is told.

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Duration;

/// How to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The program that is measured.
    pub(crate) nearframe: PathBuf,
    /// The program that behaves like a game.
    pub(crate) probe: PathBuf,
    /// Seconds of one measurement, after warming up.
    pub(crate) seconds: u64,
    /// Starts whose median counts.
    pub(crate) starts: u32,
}

impl Options {
    /// Looks for the programs beside this one unless they are named.
    pub(crate) fn new(
        nearframe: Option<PathBuf>,
        probe: Option<PathBuf>,
        seconds: u64,
        starts: u32,
    ) -> Result<Self> {
        let nearframe = found(nearframe, "nearframe", "--nearframe")?;
        let probe = found(probe, "nearframe-probe", "--probe")?;
        Ok(Self { nearframe, probe, seconds, starts })
    }

    /// Time of one measurement.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A program that is named, or else lies beside this one.
pub(crate) fn found(named: Option<PathBuf>, name: &str, flag: &str) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name(name),
    };
    if !path.is_file() {
        bail!("{} does not exist: build it first, or name one with {flag} FILE", path.display());
    }
    Ok(path)
}

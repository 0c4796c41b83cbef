//! `nearframe up`, as measured.

use crate::process;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running matchmaker and node with data of their own.
pub(crate) struct System {
    child: Child,
    base: String,
    data: TempDir,
}

impl System {
    /// Starts it with more flags for `up` and waits until a player can start.
    pub(crate) fn start(nearframe: &Path, flags: &[&OsStr]) -> Result<Self> {
        Self::start_by(Command::new(nearframe), "127.0.0.1:0", flags)
    }

    /// Starts it by a command that may run elsewhere, with its door at another address.
    pub(crate) fn start_by(mut command: Command, listen: &str, flags: &[&OsStr]) -> Result<Self> {
        let nearframe = PathBuf::from(command.get_program());
        let data = tempfile::tempdir()?;
        // An empty file keeps a configuration of this machine out of the measurement.
        let config = data.path().join("empty.toml");
        fs::write(&config, "")?;
        let mut child = command
            .args(["up", "--listen", listen, "--log", "warn", "--data"])
            .arg(data.path().join("data"))
            .arg("--config")
            .arg(config)
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", nearframe.display()))?;
        let stdout = child.stdout.take().context("the program has no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = lines.find_map(|line| line.ok()?.strip_prefix("ready ").map(str::to_owned));
        // What else it says is read away, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let Some(base) = ready else {
            let status = child.wait()?;
            bail!("{} ended with {status} before it was ready; its reason is above", nearframe.display());
        };
        Ok(Self { child, base, data })
    }

    /// Where its pages are.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Where the homes of its workers' titles lie.
    pub(crate) fn homes(&self) -> PathBuf {
        self.data.path().join("data/node/homes")
    }

    /// Its workers, the one that waits for a session included.
    pub(crate) fn workers(&self) -> Result<Vec<u32>> {
        process::children(self.child.id())
    }

    /// Its own process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The worker that plays: of all workers the one that has used most processor time.
    pub(crate) fn busiest_worker(&self) -> Result<u32> {
        let workers = self.workers()?;
        let busiest = workers.into_iter().max_by_key(|&pid| process::cpu_time(pid).unwrap_or_default());
        busiest.context("the node has no worker")
    }

    /// Asks it to stop and waits.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).context("stopping the program")?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the program ended with {status} when asked to stop");
        }
        Ok(())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // Fails only where it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

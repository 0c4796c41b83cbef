//! A PostgreSQL server of the bench's own, as durable as it is shipped.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_WITHIN: Duration = Duration::from_secs(60);
/// PostgreSQL refuses to run as root; there, it runs as `nobody`.
const NOBODY: u32 = 65_534;

pub(crate) struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    process: Child,
    url: String,
}

impl Server {
    /// Starts one with its data on the disk; `None` where PostgreSQL is not installed.
    pub(crate) fn start(disk: &Path) -> Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let folder = tempfile::Builder::new().prefix("nearframe-pg-").tempdir_in(disk)?;
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let data = folder.path().join("data");
        let mut init = command(&programs, "initdb");
        init.arg("--pgdata").arg(&data).args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        if !init.stdout(Stdio::null()).status()?.success() {
            bail!("initdb failed; its words are above");
        }
        let mut serve = command(&programs, "postgres");
        serve.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-c", "listen_addresses="]);
        let process = serve.stderr(Stdio::null()).spawn().context("starting PostgreSQL")?;
        let url = format!("postgres:///postgres?user=postgres&host={}", folder.path().display());
        let server = Self { folder, programs, process, url };
        let until = Instant::now() + START_WITHIN;
        let mut ready = command(&server.programs, "pg_isready");
        ready.arg("--quiet").arg("--host").arg(server.folder.path());
        while !ready.status()?.success() {
            if Instant::now() > until {
                bail!("PostgreSQL does not answer within {START_WITHIN:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(server))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed outright it would leave a segment of shared memory behind.
        let mut stop = command(&self.programs, "pg_ctl");
        stop.args(["stop", "--silent", "--mode=fast", "--pgdata"]).arg(self.folder.path().join("data"));
        if !stop.status().is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn command(programs: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join(name));
    // Of us it would inherit a folder that it may not read.
    command.current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Where Debian and Ubuntu put the programs of each version, or on the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = versions.map(|version| version.path().join("bin")).chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file())
}

//! PostgreSQL by its own measure, on a server of our own on the same disk.

use anyhow::{Context, Result, ensure};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// PostgreSQL refuses to run as root; there, it runs as `nobody`.
const NOBODY: u32 = 65_534;
const START_WITHIN: Duration = Duration::from_secs(60);
const CLIENTS: &str = "16";
const THREADS: &str = "2";

/// Transactions a second of `pgbench -N -M prepared -c 16 -j 2`.
pub(super) fn per_s(folder: &Path, scale: u32, seconds: u32) -> Result<f64> {
    let server = Server::start(folder)?;
    server.run("createdb", &["bench"])?;
    server.run("pgbench", &["--initialize", "--quiet", "--scale", &scale.to_string(), "bench"])?;
    let setting = server.run("psql", &["-Atc", "show fsync", "-c", "show synchronous_commit", "bench"])?;
    ensure!(setting.trim() == "on\non", "the database is not durable: {setting:?}");
    let time = seconds.to_string();
    let options = ["-N", "-M", "prepared", "-c", CLIENTS, "-j", THREADS, "-T", &time, "bench"];
    let words = server.run("pgbench", &options)?;
    tps(&words).with_context(|| format!("pgbench says no rate:\n{words}"))
}

fn tps(words: &str) -> Option<f64> {
    let line = words.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    fn start(folder: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pgbench-").tempdir_in(folder)?;
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let data = folder.path().canonicalize()?.join("data");
        let mut initdb = program("initdb")?;
        initdb.arg("--pgdata").arg(&data).args(["--username=postgres", "--auth=trust", "--no-instructions"]);
        output(&mut initdb)?;
        let mut server = program("postgres")?;
        server.arg("-D").arg(&data).arg("-k").arg(folder.path().canonicalize()?);
        server.args(["-c", "listen_addresses="]);
        let process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { folder, process };
        let until = Instant::now() + START_WITHIN;
        while server.run("pg_isready", &[]).is_err() {
            ensure!(Instant::now() < until, "PostgreSQL does not answer within {START_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = program(name)?;
        command.env("PGHOST", self.folder.path().canonicalize()?).env("PGUSER", "postgres");
        output(command.args(arguments))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT: a fast shutdown, which leaves no shared memory behind.
        let pid = rustix::process::Pid::from_child(&self.process);
        if rustix::process::kill_process(pid, rustix::process::Signal::INT).is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {words}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn program(name: &str) -> Result<Command> {
    let mut command = Command::new(find(name)?);
    // Of us it would inherit a folder that it may not read.
    command.current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

/// Where Debian and Ubuntu put the programs of each version, or on the path.
fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .map(|version| version.path().join("bin"))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is missing: install PostgreSQL, or say --without-pgbench"))
}

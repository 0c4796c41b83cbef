//! A PostgreSQL server of a test's own: its data lies in a folder that goes with it, it listens on a socket in that
//! folder, and at an address where a test gives it one, and it is as durable as any.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far above what it takes on a loaded machine of two cores.
const START_WITHIN: Duration = Duration::from_secs(60);
/// PostgreSQL refuses to run as root; there, it runs as `nobody`.
const NOBODY: u32 = 65_534;

pub(crate) struct Server {
    folder: tempfile::TempDir,
    /// Nothing: only the socket.
    address: String,
    process: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_at("").await
    }

    /// Also at an address, for whoever is in its network.
    pub(crate) async fn start_at(address: &str) -> Self {
        Self::start_in(address, vec![]).await
    }

    /// Also with these variables, until it is started again.
    pub(crate) async fn start_in(address: &str, environment: Vec<(&'static str, OsString)>) -> Self {
        let folder = tempfile::Builder::new().prefix("nearframe-pg-").tempdir().unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.path().join("data");
        let made = program("initdb")
            .arg("--pgdata")
            .arg(&data)
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ])
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb failed; its words are above");
        let mut who_may = OpenOptions::new().append(true).open(data.join("pg_hba.conf")).unwrap();
        writeln!(who_may, "host all all samenet trust").unwrap();
        let process = serve(folder.path(), address, environment);
        let server = Self { folder, address: address.to_owned(), process };
        server.answers().await;
        server
    }

    /// The folder that its socket is in.
    pub(crate) fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// As a power cut: nothing is finished.
    pub(crate) fn crash(&mut self) {
        let mut stop = program("pg_ctl");
        stop.args(["stop", "--silent", "--mode=immediate", "--pgdata"]).arg(self.folder.path().join("data"));
        assert!(stop.status().unwrap().success(), "pg_ctl failed; its words are above");
        self.process.wait().unwrap();
    }

    /// Starts it again with what it had committed.
    pub(crate) async fn restart(&mut self) {
        self.process = serve(self.folder.path(), &self.address, vec![]);
        self.answers().await;
    }

    /// What a query gives, as lines of text.
    pub(crate) fn ask(&self, database: &str, query: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["--username=postgres", "--no-align", "--tuples-only", "--command", query, database]);
        let answer = psql.output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    }

    async fn answers(&self) {
        let until = Instant::now() + START_WITHIN;
        while !self.client("pg_isready").arg("--quiet").status().unwrap().success() {
            assert!(Instant::now() < until, "PostgreSQL does not answer within {START_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A new, empty database; gives its address.
    pub(crate) async fn database(&self, name: &str) -> String {
        // The end of a long name is what tells it from others.
        let name = &name[name.len().saturating_sub(60)..];
        let made = self.client("createdb").args(["--username=postgres", name]).status();
        assert!(made.unwrap().success(), "createdb failed; its words are above");
        format!("postgres:///{name}?user=postgres&host={}", self.folder.path().display())
    }

    fn client(&self, name: &str) -> Command {
        let mut client = program(name);
        client.arg("--host").arg(self.folder.path());
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed outright it would leave a segment of shared memory behind.
        let mut stop = program("pg_ctl");
        stop.args(["stop", "--silent", "--mode=fast", "--pgdata"]).arg(self.folder.path().join("data"));
        if !stop.status().is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn serve(folder: &Path, address: &str, environment: Vec<(&'static str, OsString)>) -> Child {
    let mut server = program("postgres");
    server
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-c", &format!("listen_addresses={address}")]);
    server.envs(environment).stderr(Stdio::null()).spawn().unwrap()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn program(name: &str) -> Command {
    let mut command = Command::new(find(name));
    // Of us it would inherit a folder that it may not read.
    command.current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// On the path, or where Debian and Ubuntu put the programs of each version.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions
        .map(|version| version.path().join("bin"))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|program| Path::is_file(program));
    found.unwrap_or_else(|| panic!("{name} is missing: install PostgreSQL (`make test` does)"))
}

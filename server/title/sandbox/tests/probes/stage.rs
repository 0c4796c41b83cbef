//! What every test stands on: a title's folder that holds this very program, a home, and a host around
//! them with things that a title must not reach.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nearframe_sandbox::{Exit, Launch, Sandbox};
use tempfile::TempDir;

/// Whatever a test waits for has happened by then, or never will.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A host with one title on it.
pub(crate) struct Stage {
    dir: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        assert!(
            ["/usr/bin/bwrap", "/usr/local/bin/bwrap"].iter().any(|path| Path::new(path).is_file()),
            "these tests need bubblewrap: apt install bubblewrap"
        );
        let dir = tempfile::Builder::new().prefix("nearframe-sandbox-").tempdir().unwrap();
        let stage = Self { dir };
        for folder in [".", "title", "home", "session", "host"] {
            let folder = stage.path(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::copy(std::env::current_exe().unwrap(), stage.program()).unwrap();
        fs::set_permissions(stage.program(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(stage.path("title/data"), "the title's own").unwrap();
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// This program, where any user can run it.
    pub(crate) fn program(&self) -> PathBuf {
        self.path("title/probe")
    }

    /// The program as a title that does what `words` say.
    pub(crate) fn title(&self, words: &[&str]) -> Launch {
        let command = ["probe"].iter().chain(words).map(OsString::from).collect();
        Launch::new(self.program(), command, self.path("title"), self.path("home"), self.path("session"))
    }

    pub(crate) fn launch(&self, words: &[&str]) -> Sandbox {
        Sandbox::launch(&self.title(words)).unwrap()
    }

    /// What the title wrote into its home under `name`.
    pub(crate) fn wrote(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("home").join(name)).ok()
    }
}

/// Waits until the title has ended.
pub(crate) fn ended(sandbox: &mut Sandbox) -> Exit {
    let mut exit = None;
    eventually("the title has ended", || {
        exit = sandbox.try_wait();
        exit.is_some()
    });
    exit.unwrap()
}

/// Polls until `what` holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of the host whose command line holds `mark`, this one apart.
pub(crate) fn processes_with(mark: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        })
        .collect()
}

/// Whether the tests run as root, as on a build machine.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

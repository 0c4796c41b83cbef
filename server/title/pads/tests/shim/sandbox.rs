//! A title in a sandbox that mounts what [`Pads`] asks for, and nothing else into `/dev/input`.

use nearframe_pads::{Pads, Preference, Rumble, Settings};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Anything that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Session {
    pub pads: Pads,
    pub dir: TempDir,
}

impl Session {
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let settings = Settings { dir: dir.path().to_owned(), preference: Preference::Shim };
        Self { pads: Pads::start(settings).unwrap(), dir }
    }

    /// Starts `tests/title.c` in one of its roles.
    pub fn title(&self, role: &str) -> Title {
        let program = self.dir.path().join("title");
        if !program.exists() {
            compile(&program);
        }
        self.run(&program, &[role], &[])
    }

    pub fn run(&self, program: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Title {
        let mut command = Command::new("bwrap");
        command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/run", "--proc", "/proc"]);
        command.args(["--unshare-pid", "--die-with-parent"]);
        for (host, inside, device) in self.pads.binds() {
            let bind = if device { "--dev-bind" } else { "--ro-bind" };
            command.args([OsStr::new(bind), host.as_os_str(), inside.as_os_str()]);
        }
        let preload = self.pads.preload().unwrap();
        command.args(["--setenv", "LD_PRELOAD"]).arg(preload);
        for (name, value) in self.pads.env() {
            command.args(["--setenv", &name, &value]);
        }
        for (name, value) in env {
            command.args(["--setenv", name, value]);
        }
        command.arg(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("bwrap runs; install bubblewrap");
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Title { child, lines }
    }

    /// The next change of a motor, waited for.
    pub fn rumble(&mut self) -> Rumble {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(rumble) = self.pads.take_rumble() {
                return rumble;
            }
            assert!(Instant::now() < deadline, "no rumble came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn compile(program: &Path) {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/title.c");
    let status = Command::new("cc").args(["-O1", "-o"]).arg(program).arg(source).arg("-ldl").status();
    assert!(status.expect("a C compiler runs; install gcc").success(), "tests/title.c does not compile");
}

/// A running title; dropping it ends it.
pub struct Title {
    child: Child,
    lines: Receiver<String>,
}

impl Title {
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("the title says something");
        assert!(!line.starts_with("FAIL"), "{line}");
        line
    }

    /// Reads on until this line.
    pub fn until(&self, wanted: &str) {
        let mut seen = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line == wanted => return,
                Ok(line) => seen.push(line),
                Err(_) => break,
            }
        }
        panic!("the title never said {wanted:?}, but {seen:?}");
    }

    /// Reads on until it has ended by itself.
    pub fn ended(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        Instant::now() < deadline && self.child.wait().is_ok_and(|status| status.success())
    }

    pub fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Title {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

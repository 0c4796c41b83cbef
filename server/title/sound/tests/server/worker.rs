//! A process with one sound server, and what must be gone after it.

use nearframe_sound::{Capture, Settings, Sound};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Says to this program that it is the second process, and where.
const DIR: &str = "SOUND_TEST_DIR";
/// Where the second process notes every server it sees.
const PIDS: &str = "pids";

/// Runs `body` in a process that was started with the right environment, and then looks for left-overs.
pub(crate) fn in_worker(test: &str, microphone: bool, body: fn(Sound, &Path)) {
    if let Some(dir) = std::env::var_os(DIR) {
        let dir = Path::new(&dir);
        let sound = Sound::start(Settings { dir: dir.to_owned(), microphone }).unwrap();
        sound.wait_until_heard().unwrap();
        note(dir, sound.server_pid().unwrap());
        return body(sound, dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .envs(Sound::process_env(dir.path()))
        .env(DIR, dir.path())
        .status()
        .unwrap();
    let crashes = test == "a_crashed_owner_leaves_no_server";
    assert!(if crashes { died_by_signal(status) } else { status.success() }, "{test}: {status}");
    let pids = fs::read_to_string(dir.path().join(PIDS)).expect("the test ran");
    for pid in pids.lines().map(|pid| pid.parse().unwrap()) {
        until(Duration::from_secs(5), "the server is gone", || !alive(pid));
    }
    if !crashes {
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, [PIDS], "files stay behind");
    }
}

/// Has the first process look for this server, too.
pub(crate) fn note(dir: &Path, pid: u32) {
    let mut pids = fs::OpenOptions::new().create(true).append(true).open(dir.join(PIDS)).unwrap();
    writeln!(pids, "{pid}").unwrap();
}

fn died_by_signal(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal().is_some()
}

/// Ends this process the hard way: nothing is dropped.
pub(crate) fn crash() {
    signal(std::process::id(), "KILL");
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Whether the process runs; one that waits to be collected does not.
pub(crate) fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

pub(crate) fn until(time: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !done() {
        assert!(Instant::now() < end, "not in {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads 10 ms each 10 ms, as a session does.
pub(crate) struct Reader {
    capture: Capture,
    next: Instant,
    /// The longest that reading 10 ms took.
    pub(crate) slowest: Duration,
}

impl Reader {
    pub(crate) fn new(capture: Capture) -> Self {
        Self { capture, next: Instant::now(), slowest: Duration::ZERO }
    }

    pub(crate) fn block(&mut self) -> [f32; 960] {
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        self.next += Duration::from_millis(10);
        let mut block = [f32::NAN; 960];
        let asked = Instant::now();
        self.capture.fill(&mut block);
        self.slowest = self.slowest.max(asked.elapsed());
        block
    }

    /// Waits for sound, lets it settle, and returns a second in which nothing was missing.
    pub(crate) fn second_of_sound(&mut self) -> Vec<f32> {
        let end = Instant::now() + Duration::from_secs(15);
        let mut heard = Vec::new();
        while heard.len() < 96_000 + 9_600 {
            assert!(Instant::now() < end, "there is no second of whole sound");
            let block = self.block();
            if block.chunks(96).all(|part| part.iter().any(|sample| *sample != 0.0)) {
                heard.extend(block);
            } else {
                heard.clear();
            }
        }
        heard.split_off(9_600)
    }
}

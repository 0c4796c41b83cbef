//! Helpers, such as Xwayland and the sound server: what a hostile title could make of one is locked in as well.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus, Stdio};

use nearframe_sandbox::{HELPER_FOLDER, Helper, HelperProcess, helper_user};

use crate::Test;
use crate::escapes::{Host, answers};
use crate::probe::{Facts, probes};
use crate::stage::{Stage, eventually, processes_with};

pub(crate) const TESTS: &[Test] = &[
    ("every_probe_is_denied_inside_a_helper", every_probe),
    ("a_helper_has_its_folder_its_files_and_nothing_else", small_world),
    ("a_helper_that_is_killed_leaves_nothing", leaves_nothing),
    ("a_helper_ends_with_its_agent", ends_with_agent),
    ("a_helper_ends_with_its_bubblewrap", ends_with_bubblewrap),
    ("a_helper_has_an_end_to_what_it_can_use_up", bounded),
];
/// The first process is the helper itself, which may do to itself what it likes.
const ITS_OWN: [&str; 3] = [
    "signal_the_first_process",
    "open_the_memory_of_the_first_process",
    "read_the_environment_of_the_first_process",
];

/// A folder that belongs to the helper's user, with this program in it.
fn folder(stage: &Stage) -> std::path::PathBuf {
    let folder = stage.path("session/helper");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(stage.program(), folder.join("probe")).unwrap();
    if let Some(user) = helper_user() {
        chown(&folder, Some(user), Some(user)).unwrap();
    }
    folder
}

fn helper<'a>(script: &str, mark: &str) -> Helper<'a> {
    Helper {
        command: ["/bin/sh", "-c", script, mark].map(Into::into).into(),
        env: Vec::new(),
        folder: None,
        files: Vec::new(),
        stdin: Stdio::null(),
        user: helper_user(),
        gpu: false,
        memory_bytes: 256 << 20,
        processes: 64,
        open_files: 1024,
    }
}

fn ended(process: &mut HelperProcess) -> ExitStatus {
    let mut status = None;
    eventually("the helper has ended", || {
        status = process.ended();
        status.is_some()
    });
    status.unwrap()
}

fn every_probe() {
    let stage = Stage::new();
    let host = Host::around(&stage);
    let folder = folder(&stage);
    let script = format!("{HELPER_FOLDER}/probe attack all > {HELPER_FOLDER}/answers; exit 0");
    let mut helper = helper(&script, "x");
    helper.folder = Some(&folder);
    helper.env = host.aims.iter().map(|(name, value)| (name.into(), value.into())).collect();
    for (name, value) in [("HOME", HELPER_FOLDER), ("TITLE", "/usr"), ("FIRST", "1")] {
        helper.env.push((format!("{}{name}", Facts::PREFIX).into(), value.into()));
    }
    let mut process = HelperProcess::start(helper).unwrap();
    assert!(ended(&mut process).success(), "{}", process.output_tail());
    let answers = answers(&fs::read_to_string(folder.join("answers")).unwrap());
    let mut wrong = Vec::new();
    for probe in probes().iter().filter(|probe| !ITS_OWN.contains(&probe.name)) {
        let answer = &answers[probe.name];
        println!("{:<45} {}", probe.name, answer.replace('\t', ": "));
        if !answer.starts_with("denied") {
            wrong.push(format!("{}: {answer}", probe.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn small_world() {
    let stage = Stage::new();
    let folder = folder(&stage);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let number = theirs.as_raw_fd();
    let script = format!(
        "echo $$ >&{number}; id -u >&{number}; pwd >&{number}; env | cut -d= -f1 | sort >&{number}; \
         ls /proc/self/fd | wc -l >&{number}; touch saved; touch /usr/x /etc/x /x && exit 1; exit 7"
    );
    let mut helper = helper(&script, "x");
    helper.folder = Some(&folder);
    helper.files = vec![theirs.as_fd()];
    helper.env = vec![("LC_ALL".into(), "C".into())];
    let mut process = HelperProcess::start(helper).unwrap();
    drop(theirs);
    assert_eq!(ended(&mut process).code(), Some(7), "{}", process.output_tail());
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    // Its own number, its user, its folder; PATH, what was given, and what the shell sets. Standard files, the
    // socket, and the folder that `ls` reads.
    assert_eq!(lines, ["1", "1000", HELPER_FOLDER, "LC_ALL", "PATH", "PWD", "5"], "{said}");
    assert!(folder.join("saved").exists());
}

fn leaves_nothing() {
    let stage = Stage::new();
    let mark = stage.path("").display().to_string();
    let files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let open = files();
    for _ in 0..3 {
        let mut process = HelperProcess::start(helper("sleep 600 & wait", &mark)).unwrap();
        eventually("the helper runs", || {
            fs::read_to_string(format!("/proc/{}/cmdline", process.pid()))
                .is_ok_and(|line| line.starts_with("/bin/sh"))
        });
        assert!(process.ended().is_none());
        process.kill();
        assert_eq!(processes_with(&mark), [0_u32; 0]);
    }
    eventually("files are given back", || files() == open);
}

fn ends_with_agent() {
    let stage = Stage::new();
    let mark = stage.path("").display().to_string();
    let mut agent = Command::new(stage.program())
        .args(["act", "agent-with-a-helper", &mark])
        .env("TMPDIR", stage.path("host"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    eventually("its helper runs", || {
        assert!(agent.try_wait().unwrap().is_none());
        processes_with(&mark).iter().any(|pid| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with("/bin/sh"))
        })
    });
    agent.kill().unwrap();
    agent.wait().unwrap();
    eventually("nothing of it is left", || processes_with(&mark).is_empty());
}

fn ends_with_bubblewrap() {
    let stage = Stage::new();
    let mark = stage.path("").display().to_string();
    let mut process = HelperProcess::start(helper("while :; do sleep 60; done", &mark)).unwrap();
    eventually("the helper runs", || processes_with(&mark).len() > 1);
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let outer = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    // SAFETY: numbers only; the process is this test's own child.
    unsafe { libc::kill(outer, libc::SIGKILL) };
    eventually("the helper has ended with it", || process.ended().is_some());
    drop(process);
    eventually("nothing of it is left", || processes_with(&mark).is_empty());
}

/// The child's part.
pub(crate) fn agent_with_a_helper(mark: &str) {
    let _process = HelperProcess::start(helper("while :; do sleep 60; done", mark)).unwrap();
    loop {
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

fn bounded() {
    let stage = Stage::new();
    let folder = folder(&stage);
    for act in ["memory-bomb", "fork-bomb"] {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let script = format!("read start; cd {HELPER_FOLDER} && exec ./probe act {act}");
        let mut helper = helper(&script, "x");
        helper.folder = Some(&folder);
        helper.stdin = Stdio::from(std::os::fd::OwnedFd::from(theirs));
        let mut process = HelperProcess::start(helper).unwrap();
        ours.write_all(b"go\n").unwrap();
        // Both acts end the moment that they get no more: by a failed allocation, or without a home to report to.
        assert!(!ended(&mut process).success(), "{act}: {}", process.output_tail());
    }
}

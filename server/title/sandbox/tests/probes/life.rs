//! Starting, freezing, ending: and that nothing stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nearframe_sandbox::{Exit, Held, Sandbox, layers};

use crate::Test;
use crate::acts::hanging;
use crate::stage::{SOON, Stage, ended, eventually, processes_with};

pub(crate) const TESTS: &[Test] = &[
    ("freezing_stops_every_process_and_thawing_goes_on", || freezes(true)),
    ("freezing_by_signals_stops_every_process", || freezes(false)),
    ("a_frozen_title_can_be_killed", frozen_then_killed),
    ("a_title_that_is_asked_to_end_can_save", saves_at_the_end),
    ("a_title_that_does_not_listen_is_killed", deaf),
    ("a_title_that_nobody_else_may_reach_still_starts", out_of_reach),
    ("killing_leaves_no_process_mount_or_group", leaves_nothing),
    ("an_orphan_ends_with_its_title", orphan),
    ("dropping_a_sandbox_ends_its_title", dropped),
    ("a_title_dies_with_its_agent", dies_with_agent),
    ("an_agent_killed_while_it_launches_leaves_nothing", dies_while_launching),
    ("a_title_outlives_the_thread_that_launched_it", outlives_thread),
    ("sixteen_titles_run_side_by_side", side_by_side),
    ("usage_follows_what_a_title_does", usage),
    ("every_layer_says_whether_it_holds", every_layer),
    ("how_long_a_launch_takes", launch_time),
];

/// A mark that is in the command line of this test's processes and of no other.
fn mark(stage: &Stage) -> String {
    stage.path("").display().to_string()
}

pub(crate) fn freezes(control_groups: bool) {
    let stage = Stage::new();
    let mut launch = stage.title(&["act", "spin", "4"]);
    launch.control_groups = control_groups;
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    let spun = || {
        (0..4)
            .map(|index| stage.wrote(&format!("spin-{index}")).map_or(0, |text| text.len()))
            .collect::<Vec<_>>()
    };
    let grows = |than: &[usize]| {
        let than = than.to_vec();
        eventually("all four go on", || spun().iter().zip(&than).all(|(now, then)| now > then));
    };
    grows(&[0; 4]);
    for _ in 0..3 {
        sandbox.freeze().unwrap();
        let (at, cpu) = (spun(), sandbox.usage().cpu_us);
        // Longer than the watch's interval, so that it is seen to keep what is frozen frozen.
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(spun(), at, "frozen processes write nothing");
        assert_eq!(sandbox.usage().cpu_us, cpu, "frozen processes use no CPU time");
        assert_eq!(sandbox.try_wait(), None);
        sandbox.thaw().unwrap();
        grows(&at);
    }
}

fn frozen_then_killed() {
    for control_groups in [true, false] {
        let stage = Stage::new();
        let mut launch = stage.title(&["act", "spin", "4"]);
        launch.control_groups = control_groups;
        let mut sandbox = Sandbox::launch(&launch).unwrap();
        sandbox.freeze().unwrap();
        let pid = sandbox.pid();
        sandbox.kill();
        assert!(!fs::exists(format!("/proc/{pid}/ns/pid")).unwrap());
        assert_eq!(sandbox.try_wait(), Some(Exit::Signal(libc::SIGKILL)));
    }
}

/// A shell as the title.
fn shell(stage: &Stage, script: &str) -> nearframe_sandbox::Launch {
    let mut launch = stage.title(&[]);
    launch.command = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    launch
}

fn saves_at_the_end() {
    for frozen in [false, true] {
        let stage = Stage::new();
        let script =
            "trap 'echo saved > $HOME/at-end; exit 0' TERM; echo up > $HOME/up; while :; do sleep 0.05; done";
        let mut sandbox = Sandbox::launch(&shell(&stage, script)).unwrap();
        eventually("the title is up", || stage.wrote("up").is_some());
        if frozen {
            sandbox.freeze().unwrap();
        }
        sandbox.end(SOON);
        assert_eq!(stage.wrote("at-end").as_deref(), Some("saved\n"));
        assert!(matches!(sandbox.try_wait(), Some(Exit::Code(0))), "{:?}", sandbox.try_wait());
    }
}

fn deaf() {
    let stage = Stage::new();
    let script = "trap '' TERM; echo up > $HOME/up; while :; do sleep 0.05; done";
    let mut sandbox = Sandbox::launch(&shell(&stage, script)).unwrap();
    eventually("the title is up", || stage.wrote("up").is_some());
    sandbox.end(Duration::from_millis(200));
    assert_eq!(sandbox.try_wait(), Some(Exit::Signal(libc::SIGKILL)));
}

/// Its agent's folders are closed to all others, as a data directory or `/root` is.
fn out_of_reach() {
    let stage = Stage::new();
    for folder in ["title", "home", "session"] {
        fs::create_dir_all(stage.path("closed").join(folder)).unwrap();
    }
    fs::copy(stage.program(), stage.path("closed/title/probe")).unwrap();
    fs::set_permissions(stage.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let mut launch = shell(&stage, "echo seen > $HOME/seen; test -x /title/probe");
    launch.title_dir = stage.path("closed/title");
    launch.home = stage.path("closed/home");
    launch.dir = stage.path("closed/session");
    launch.launcher = stage.path("closed/title/probe");
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0), "{}", sandbox.output_tail());
    assert_eq!(fs::read_to_string(stage.path("closed/home/seen")).unwrap(), "seen\n");
}

fn groups_of_this_process() -> Vec<String> {
    let prefix = format!("nearframe-title-{}-", std::process::id());
    let mut found = Vec::new();
    let mut pending = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(entry.path().display().to_string());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(entry.path());
            }
        }
    }
    found
}

fn leaves_nothing() {
    let stage = Stage::new();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let (before, open, running) = (mounts(), files(), threads());
    let mark = mark(&stage);
    for _ in 0..3 {
        let mut launch = stage.title(&["act", "spin", "3"]);
        launch.command.push(mark.clone().into());
        let mut sandbox = Sandbox::launch(&launch).unwrap();
        assert!(!processes_with(&mark).is_empty(), "the title is seen while it runs");
        assert!(sandbox.try_wait().is_none());
        sandbox.kill();
        assert_eq!(processes_with(&mark), [0_u32; 0]);
    }
    assert_eq!(mounts(), before);
    assert_eq!(groups_of_this_process(), [""; 0]);
    eventually("files and threads are given back", || files() == open && threads() == running);
    assert_eq!(fs::read_dir(stage.path("session")).unwrap().count(), 0);
}

fn orphan() {
    let stage = Stage::new();
    let mut launch = stage.title(&["act", "orphan"]);
    launch.command.push(mark(&stage).into());
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Code(0));
    assert!(stage.wrote("orphan").is_some(), "there was an orphan");
    assert_eq!(processes_with(&mark(&stage)), [0_u32; 0]);
}

fn dropped() {
    let stage = Stage::new();
    let sandbox = hanging(&stage, &mark(&stage));
    assert!(!processes_with(&mark(&stage)).is_empty());
    drop(sandbox);
    assert_eq!(processes_with(&mark(&stage)), [0_u32; 0]);
}

/// An agent of its own in a child, whose title has `mark` in its command line.
fn other_agent(stage: &Stage, mark: &str) -> std::process::Child {
    Command::new(stage.program())
        .args(["act", "agent-that-dies", mark])
        .env("TMPDIR", stage.path("host"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn dies_with_agent() {
    let stage = Stage::new();
    let mark = mark(&stage);
    let mut agent = other_agent(&stage, &mark);
    // The title has begun when a process is called what it calls itself.
    eventually("the title of the other agent runs", || {
        assert!(agent.try_wait().unwrap().is_none());
        processes_with(&mark).iter().any(|pid| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with("/title/probe"))
        })
    });
    agent.kill().unwrap();
    agent.wait().unwrap();
    eventually("nothing of it is left", || processes_with(&mark).is_empty());
}

/// Killed at every stage of a launch; what bubblewrap leaves then, the next launch clears up.
fn dies_while_launching() {
    let stage = Stage::new();
    let mark = mark(&stage);
    for wait_ms in 0..24 {
        let mut agent = other_agent(&stage, &mark);
        std::thread::sleep(Duration::from_millis(wait_ms));
        agent.kill().unwrap();
        agent.wait().unwrap();
    }
    eventually("nothing of them is left", || {
        drop(hanging(&stage, "x"));
        processes_with(&mark).is_empty()
    });
}

/// The child's part.
pub(crate) fn agent_that_dies(mark: &str) {
    let stage = Stage::new();
    let _sandbox = hanging(&stage, mark);
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn outlives_thread() {
    let stage = Stage::new();
    let mut sandbox = std::thread::scope(|scope| scope.spawn(|| hanging(&stage, "x")).join().unwrap());
    // Its death would come at once, as a signal.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(sandbox.try_wait(), None);
}

fn side_by_side() {
    let stages: Vec<Stage> = (0..16).map(|_| Stage::new()).collect();
    let mut sandboxes: Vec<Sandbox> = stages.iter().map(|stage| hanging(stage, &mark(stage))).collect();
    sandboxes[3].kill();
    for (index, (sandbox, stage)) in sandboxes.iter_mut().zip(&stages).enumerate() {
        assert_eq!(sandbox.try_wait().is_some(), index == 3);
        assert_eq!(processes_with(&mark(stage)).is_empty(), index == 3);
    }
}

fn usage() {
    let stage = Stage::new();
    let sandbox = stage.launch(&["act", "spin", "2"]);
    eventually("two that spin, and who started them", || sandbox.usage().processes >= 3);
    let before = sandbox.usage().cpu_us;
    eventually("CPU time passes", || sandbox.usage().cpu_us > before + 50_000);
    assert!(sandbox.usage().memory_bytes > 0);
}

fn every_layer() {
    let layers = layers();
    for layer in &layers {
        println!("{:<28} {:?} {}", layer.name, layer.held, layer.advice.as_deref().unwrap_or_default());
        assert!(layer.held == Held::Yes || layer.advice.is_some(), "{layer:?} lacks advice");
    }
    let held = |name: &str| layers.iter().find(|layer| layer.name.contains(name)).unwrap().held.clone();
    assert_eq!(held("bubblewrap"), Held::Yes, "the other tests need it");
    assert_eq!(held("seccomp"), Held::Yes);
    assert_eq!(groups_of_this_process(), [""; 0]);
}

fn launch_time() {
    let stage = Stage::new();
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            let sandbox = hanging(&stage, "x");
            let took = begun.elapsed();
            drop(sandbox);
            took
        })
        .collect();
    times.sort_unstable();
    println!("launch until the title's program runs: p50 {:?}, slowest {:?}", times[10], times[19]);
}

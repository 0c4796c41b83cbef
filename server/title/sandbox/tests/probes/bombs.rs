//! Titles that use up what they can: each meets its limit, and the host does not notice.

use std::time::{Duration, Instant};

use nearframe_sandbox::{Exit, Launch, Sandbox};

use crate::Test;
use crate::stage::{Stage, ended, eventually};

pub(crate) const TESTS: &[Test] = &[
    ("a_fork_bomb_meets_the_process_limit", || within_limit("fork-bomb", "processes", 20, 64)),
    ("ten_thousand_threads_meet_the_process_limit", || within_limit("thread-bomb", "threads", 20, 64)),
    ("a_file_bomb_meets_the_open_file_limit", || within_limit("file-bomb", "files", 64, 128)),
    ("tmp_holds_no_more_than_its_limit", || within_limit("tmp-bomb", "tmp", 1 << 20, 8 << 20)),
    ("shared_memory_holds_no_more_than_its_limit", || within_limit("shm-bomb", "shm", 1 << 20, 8 << 20)),
    ("the_runtime_folder_holds_little", || within_limit("runtime-bomb", "runtime", 1 << 20, 8 << 20)),
    ("a_memory_bomb_is_ended_for_its_memory", || ends("memory-bomb", "memory", true)),
    ("a_memory_bomb_is_ended_by_the_watchdog", || ends("memory-bomb", "memory", false)),
    ("many_processes_together_are_ended_for_their_memory", || ends("memory-crowd", "memory", true)),
    ("many_processes_together_are_ended_by_the_watchdog", || ends("memory-crowd", "memory", false)),
    ("unmapped_memory_is_counted", || ends("memfd-bomb", "memory", true)),
    ("unmapped_memory_is_counted_by_the_watchdog", || ends("memfd-bomb", "memory", false)),
    ("a_disk_bomb_is_ended_for_its_home", || ends("disk-bomb", "home", true)),
    ("files_without_a_name_count_for_the_home", || ends("nameless-disk-bomb", "home", true)),
    ("a_title_within_its_limits_goes_on", within_memory),
    ("a_flood_of_output_is_drained_and_bounded", flood),
];

fn small(stage: &Stage, act: &str) -> Launch {
    let mut launch = stage.title(&["act", act]);
    launch.limits.processes = 64;
    launch.limits.open_files = 128;
    launch.limits.tmp_bytes = 8 << 20;
    launch.limits.memory_bytes = 128 << 20;
    launch.limits.home_bytes = 64 << 20;
    launch
}

/// The title reports how much it got before it was refused, with and without control groups, and goes on.
fn within_limit(act: &str, report: &str, least: u64, most: u64) {
    for control_groups in [true, false] {
        let stage = Stage::new();
        let mut launch = small(&stage, act);
        launch.control_groups = control_groups;
        let mut sandbox = Sandbox::launch(&launch).unwrap();
        eventually("the title met its limit", || {
            stage.wrote(report).is_some() || sandbox.try_wait().is_some()
        });
        assert_eq!(sandbox.try_wait(), None, "{}", sandbox.output_tail());
        let count: u64 = stage.wrote(report).unwrap().parse().unwrap();
        assert!((least..=most).contains(&count), "{count} {report}");
        sandbox.kill();
    }
}

fn ends(act: &str, limit: &'static str, control_groups: bool) {
    let stage = Stage::new();
    let mut launch = small(&stage, act);
    launch.control_groups = control_groups;
    let mut sandbox = Sandbox::launch(&launch).unwrap();
    assert_eq!(ended(&mut sandbox), Exit::Limit(limit), "{}", sandbox.output_tail());
}

/// The control: three quarters of the limit are its own.
fn within_memory() {
    for control_groups in [true, false] {
        let stage = Stage::new();
        let mut launch = small(&stage, "eat");
        launch.command.push((96 << 20).to_string().into());
        launch.control_groups = control_groups;
        let mut sandbox = Sandbox::launch(&launch).unwrap();
        eventually("its memory is in use", || sandbox.usage().memory_bytes > 96 << 20);
        // Two looks of the watchdog later it is still there.
        let until = Instant::now() + Duration::from_millis(600);
        while Instant::now() < until {
            assert_eq!(sandbox.try_wait(), None);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn flood() {
    let stage = Stage::new();
    let mut sandbox = stage.launch(&["act", "flood"]);
    eventually("the flood is over", || stage.wrote("flood").is_some());
    let written: u64 = stage.wrote("flood").unwrap().parse().unwrap();
    assert!(written > 1 << 20, "the title waited for its output: {written} bytes");
    assert!(written < 100 << 20, "reading was not bounded: {written} bytes");
    eventually("the end is kept", || sandbox.output_tail().ends_with("flooded\n"));
    assert!(sandbox.output_tail().len() <= 8 << 10);
    sandbox.kill();
}

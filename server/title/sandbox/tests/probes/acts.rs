//! Titles that behave well or badly, for the tests to start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::stage::Stage;
use crate::{escapes, helpers, life, normal};

const HOME: &str = "/home/player";

/// Plays the title that `words` name.
pub(crate) fn act(words: &[String]) -> ExitCode {
    let name = words.first().map(String::as_str);
    match name.unwrap() {
        "nothing" => {}
        "exit" => return ExitCode::from(words[1].parse::<u8>().unwrap()),
        "crash" => std::process::abort(),
        "hang" => hang(&words[1..]),
        "attack-into-home" => attack_into_home(),
        "agent-of-another-user" => escapes::agent_of_another_user(),
        "agent-with-a-helper" => helpers::agent_with_a_helper(&words[1]),
        "agent-that-dies" => life::agent_that_dies(&words[1]),
        "normal" => normal::inside(),
        "spin" => spin(words[1].parse().unwrap()),
        "spin-one" => count(&words[1]),
        "orphan" => orphan(),
        "fork-bomb" => report("processes", count_children()),
        "thread-bomb" => report("threads", count_threads()),
        "file-bomb" => report("files", count_files()),
        "memory-bomb" => eat(usize::MAX),
        "memory-crowd" => crowd(),
        "memfd-bomb" => memfd_bomb(),
        "disk-bomb" => disk_bomb(false),
        "nameless-disk-bomb" => disk_bomb(true),
        "tmp-bomb" => report("tmp", fill("/tmp/fill")),
        "shm-bomb" => report("shm", fill("/dev/shm/fill")),
        "runtime-bomb" => report("runtime", fill("/run/user/1000/fill")),
        "eat" => eat(words[1].parse().unwrap()),
        "flood" => flood(),
        other => panic!("no act {other}"),
    }
    ExitCode::SUCCESS
}

fn attack_into_home() {
    let answers = File::create(format!("{HOME}/answers")).unwrap();
    let status =
        Command::new(std::env::current_exe().unwrap()).args(["attack", "all"]).stdout(answers).status();
    assert!(status.unwrap().success());
}

/// Writes `bytes` into the home under `name` in one step.
fn report(name: &str, count: u64) {
    let partial = format!("{HOME}/.{name}");
    fs::write(&partial, count.to_string()).unwrap();
    fs::rename(partial, format!("{HOME}/{name}")).unwrap();
    hang(&[]);
}

/// Waits for ever, whatever signal comes; `words` only mark the process.
fn hang(_: &[String]) {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: ignoring a signal needs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Another process of the title, which ends with it.
fn again(words: &[&str]) {
    let child =
        Command::new(std::env::current_exe().unwrap()).arg("act").args(words).stdin(Stdio::null()).spawn();
    std::mem::forget(child.unwrap());
}

/// `count` processes that each count as fast as they can.
fn spin(count: u32) {
    for index in 0..count {
        again(&["spin-one", &index.to_string()]);
    }
    hang(&[]);
}

fn count(name: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(format!("{HOME}/spin-{name}")).unwrap();
    loop {
        let until = Instant::now() + Duration::from_millis(5);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        file.write_all(b".").unwrap();
    }
}

/// Leaves a daemon behind, twice forked, in a session of its own, and ends.
fn orphan() {
    // SAFETY: this process has one thread; the children only use calls that are safe after a fork.
    unsafe {
        if libc::fork() == 0 {
            libc::setsid();
            if libc::fork() == 0 {
                fs::write(format!("{HOME}/orphan"), "lives").unwrap();
                hang(&[]);
            }
            libc::_exit(0);
        }
    }
    while !Path::new(HOME).join("orphan").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn count_children() -> u64 {
    let mut children = 0;
    loop {
        // SAFETY: this process has one thread; the child only sleeps.
        match unsafe { libc::fork() } {
            0 => hang(&[]),
            -1 => return children,
            _ => children += 1,
        }
    }
}

fn count_threads() -> u64 {
    let mut threads = 0;
    while threads < 10_000 && std::thread::Builder::new().stack_size(64 << 10).spawn(|| hang(&[])).is_ok() {
        threads += 1;
    }
    threads
}

fn count_files() -> u64 {
    let mut files = 0;
    while let Ok(file) = File::open("/dev/null") {
        let _ = file.into_raw_fd();
        files += 1;
    }
    // Room for the report.
    // SAFETY: the number is one of those just opened and used by nobody.
    unsafe { libc::close(20) };
    files
}

fn eat(bytes: usize) {
    const CHUNK: usize = 4 << 20;
    let mut eaten = Vec::new();
    while eaten.len() * CHUNK < bytes {
        eaten.push(vec![1_u8; CHUNK]);
        // Slow enough for whoever watches to see it come.
        std::thread::sleep(Duration::from_millis(5));
    }
    hang(&[]);
}

/// Many processes that are each within the limit.
fn crowd() {
    for _ in 0..8 {
        again(&["eat", &(24 << 20).to_string()]);
    }
    hang(&[]);
}

/// Memory that no process maps.
fn memfd_bomb() {
    let chunk = vec![1_u8; 4 << 20];
    loop {
        let file = rustix::fs::memfd_create(c"bomb", rustix::fs::MemfdFlags::empty()).unwrap();
        let mut file = File::from(file);
        file.write_all(&chunk).unwrap();
        let _ = file.into_raw_fd();
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn disk_bomb(nameless: bool) {
    let chunk = vec![1_u8; 1 << 20];
    let mut open = Vec::new();
    for index in 0.. {
        let path = format!("{HOME}/bomb-{index}");
        let mut file = File::create(&path).unwrap();
        // A full disk is the host's to notice; this title goes on trying.
        let _ = file.write_all(&chunk);
        file.sync_data().unwrap();
        if nameless {
            fs::remove_file(path).unwrap();
            open.push(file);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How much fits.
fn fill(path: &str) -> u64 {
    let mut file = File::create(path).unwrap();
    let chunk = vec![1_u8; 64 << 10];
    while file.write_all(&chunk).is_ok() {}
    file.metadata().unwrap().len()
}

fn flood() {
    let line = [b'x'; 4096];
    let mut written = 0_u64;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        // SAFETY: the buffer has the length given.
        let count = unsafe { libc::write(io::stdout().as_raw_fd(), line.as_ptr().cast(), line.len()) };
        written += u64::try_from(count).unwrap();
    }
    println!("\nflooded");
    report("flood", written);
}

/// A stage whose title is this act, for those that only need to run.
pub(crate) fn hanging(stage: &Stage, mark: &str) -> nearframe_sandbox::Sandbox {
    stage.launch(&["act", "hang", mark])
}

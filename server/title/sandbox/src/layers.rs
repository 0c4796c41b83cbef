//! Which layers hold on this host, found by trying, for `nearframe doctor`.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::groups::Groups;
use crate::launch::{Limits, UNPRIVILEGED};
use crate::{bwrap, paths, spawn};

/// One layer of the sandbox on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerState {
    /// What it is.
    pub name: &'static str,
    /// Whether it holds.
    pub held: Held,
    /// What would make it hold (better).
    pub advice: Option<String>,
}

/// Whether a layer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It does.
    Yes,
    /// In part, or by other means, which are named.
    Partly(String),
    /// It does not, and why.
    No(String),
}

/// Tries every layer.
pub fn layers() -> Vec<LayerState> {
    let groups = Groups::new(&Limits::default());
    vec![
        bubblewrap(),
        user(),
        landlock(),
        seccomp(),
        memory(&groups),
        processes(&groups),
        cpu(&groups),
        freeze(&groups),
    ]
}

fn state(name: &'static str, held: Held, advice: Option<&str>) -> LayerState {
    LayerState { name, held, advice: advice.map(str::to_owned) }
}

fn bubblewrap() -> LayerState {
    let name = "namespaces (bubblewrap)";
    let program = match bwrap::program() {
        Ok(program) => program,
        Err(error) => return state(name, Held::No(error.to_string()), Some("apt install bubblewrap")),
    };
    let mut command = Command::new(program);
    command.args([
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
    ]);
    command.args(["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    // A folder by its open file, which older versions cannot mount.
    command.args(["--ro-bind-fd", "0", "/tmp/by-file", "/usr/bin/true"]);
    match File::open("/usr") {
        Ok(folder) => command.stdin(folder),
        Err(error) => return state(name, Held::No(error.to_string()), None),
    };
    if spawn::as_root() {
        // As titles are started: what root may do says nothing.
        // SAFETY: between fork and exec the closure only makes system calls.
        unsafe { command.pre_exec(|| spawn::Becomes::new(UNPRIVILEGED, Vec::new()).enter()) };
    }
    match command.env_clear().output() {
        Ok(output) if output.status.success() => state(name, Held::Yes, None),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let advice = spawn::advice(&said);
            state(name, Held::No(said), Some(advice))
        }
        Err(error) => state(name, Held::No(error.to_string()), None),
    }
}

fn user() -> LayerState {
    if spawn::as_root() {
        return state("unprivileged user", Held::Yes, None);
    }
    let own = "titles run as the agent's own user, in a user namespace".to_owned();
    state(
        "unprivileged user",
        Held::Partly(own),
        Some("give the agent a user of its own that owns nothing else"),
    )
}

fn landlock() -> LayerState {
    const WHOLE: i64 = 6;
    let upgrade = Some("Linux 6.12 or newer, with landlock in the kernel's `lsm=` list, gives all of it");
    match paths::version() {
        0 => state("Landlock", Held::No("the kernel has none, or it is switched off".to_owned()), upgrade),
        version if version < WHOLE => state("Landlock", Held::Partly(format!("version {version}")), upgrade),
        _ => state("Landlock", Held::Yes, None),
    }
}

fn seccomp() -> LayerState {
    match std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.contains("errno") => state("seccomp", Held::Yes, None),
        _ => state(
            "seccomp",
            Held::No("the kernel has no filters".to_owned()),
            Some("CONFIG_SECCOMP_FILTER=y"),
        ),
    }
}

const DELEGATE: &str = "run the agent as a systemd service with Delegate=yes and DelegateSubgroup=agent";

fn memory(groups: &Groups) -> LayerState {
    if groups.limits_memory() {
        return state("memory limit", Held::Yes, None);
    }
    state("memory limit", Held::Partly("a watchdog that looks every 250 ms".to_owned()), Some(DELEGATE))
}

fn processes(groups: &Groups) -> LayerState {
    if groups.limits_tasks() {
        return state("process limit", Held::Yes, None);
    }
    state(
        "process limit",
        Held::Partly("RLIMIT_NPROC in the title's user namespace".to_owned()),
        Some(DELEGATE),
    )
}

fn cpu(groups: &Groups) -> LayerState {
    if groups.shares_cpu() {
        return state("CPU shares", Held::Yes, None);
    }
    state("CPU shares", Held::No("titles compete process by process".to_owned()), Some(DELEGATE))
}

fn freeze(groups: &Groups) -> LayerState {
    if groups.freezes() {
        return state("freezing", Held::Yes, None);
    }
    state("freezing", Held::Partly("by SIGSTOP to every process".to_owned()), Some(DELEGATE))
}

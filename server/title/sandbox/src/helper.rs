//! A helper of the session's own, such as Xwayland or the sound server, in a sandbox of its own.
//!
//! A helper is an honest program, but it reads what a hostile title sends. So it gets less than a title: the
//! system's files to read, the files that it is handed, at most one folder to write, and an end to everything it can
//! use up. Namespaces, seccomp, limits and control groups are those of titles. Landlock is not used: it has to be
//! applied by the program itself, and bubblewrap mounts nothing any more after it.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource, Signal, pidfd_send_signal};

use crate::bwrap::{self, Arguments};
use crate::error::{SandboxError, Tried};
use crate::groups::Groups;
use crate::launch::Limits;
use crate::output::Tail;
use crate::spawn::{Becomes, Entry, as_root, explain, first_process};
use crate::watch::wait_until_gone;
use crate::{leftovers, seccomp};

/// Where a helper finds its folder; it starts there.
pub const HELPER_FOLDER: &str = "/run/helper";
/// User ids that systemd, too, hands out for a short time: nobody's files belong to them.
const USER_IDS: std::ops::RangeInclusive<u32> = 61_184..=65_519;
/// What a helper's own `/tmp` may hold: lock files and compiled keymaps.
const TMP_BYTES: u64 = 16 << 20;
/// What it may lock in memory.
const LOCKED_BYTES: u64 = 8 << 20;
/// Address space beside what a helper may use: its program and libraries.
const PROGRAM_BYTES: u64 = 512 << 20;
/// The words by which a helper of an agent that was killed is known.
const SHELL: [&str; 4] = ["/bin/sh", "-c", "exec \"$@\"", leftovers::HELPER];

/// One helper to be started. What is not named here does not exist for it.
#[derive(Debug)]
pub struct Helper<'a> {
    /// The program, one of the system's, and its arguments.
    pub command: Vec<OsString>,
    /// Its whole environment, PATH apart.
    pub env: Vec<(OsString, OsString)>,
    /// A folder that it may write to, found as [`HELPER_FOLDER`].
    pub folder: Option<&'a Path>,
    /// Open files that it inherits, under the numbers that they have here.
    pub files: Vec<BorrowedFd<'a>>,
    /// Its standard input.
    pub stdin: Stdio,
    /// Whom it becomes: [`helper_user`], or nobody else.
    pub user: Option<u32>,
    /// Whether it may draw with the host's GPU.
    pub gpu: bool,
    /// Memory that it may use, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads that it may have.
    pub processes: u64,
    /// Files that it may have open.
    pub open_files: u64,
}

/// A user of this process's helpers alone, where this process is root and can give one.
pub fn helper_user() -> Option<u32> {
    let count = USER_IDS.end() - USER_IDS.start() + 1;
    as_root().then(|| USER_IDS.start() + std::process::id() % count)
}

/// A helper that was started. Dropped, it is killed. It also ends with the thread that started it.
#[derive(Debug)]
pub struct HelperProcess {
    outer: Child,
    first: Pid,
    first_fd: OwnedFd,
    tail: Tail,
    /// Bubblewrap says here how the helper ended, and dies when nobody listens.
    _report: File,
    /// Removed last, when nothing is in them any more.
    _groups: Groups,
}

impl HelperProcess {
    /// Starts a helper; returns when its sandbox is being built, which cannot fail for want of rights any more.
    ///
    /// # Errors
    /// When bubblewrap is missing or may not make namespaces here.
    pub fn start(helper: Helper<'_>) -> Result<Self, SandboxError> {
        leftovers::end();
        let (report, report_in) = pipe_with(PipeFlags::CLOEXEC).tried("a pipe")?;
        let (gate_out, gate) = pipe_with(PipeFlags::CLOEXEC).tried("a pipe")?;
        let (output, output_in) = pipe_with(PipeFlags::CLOEXEC).tried("a pipe")?;
        let mut arguments = Arguments::for_helper(&helper, TMP_BYTES)?;
        arguments.option_fd("--json-status-fd", &report_in);
        arguments.option_fd("--block-fd", &gate_out);
        let filters = seccomp::as_files()?;
        for filter in &filters {
            arguments.option_fd("--add-seccomp-fd", filter);
        }
        let becomes = helper.user.map(|id| Becomes::new(id, std::mem::take(&mut arguments.groups)));
        let stage = arguments.stage();
        let (args, files) = arguments.into_files()?;
        let limits = limits(&helper, becomes.is_some());
        let mut command = Command::new(bwrap::program()?);
        command.env_clear().current_dir("/").process_group(0).stdin(helper.stdin);
        command.stdout(output_in.try_clone().tried("a helper's output")?).stderr(output_in);
        command.args(["--args", &args.as_raw_fd().to_string(), "--"]);
        command.args(SHELL).args(&helper.command);
        let mut inherited = bwrap::numbers(&files);
        inherited.extend(bwrap::numbers(&filters));
        inherited.extend(helper.files.iter().map(AsRawFd::as_raw_fd));
        inherited.extend([&args, &report_in, &gate_out].map(AsRawFd::as_raw_fd));
        let entry = Entry { agent: rustix::process::getpid(), inherited, stage, limits, becomes };
        let mut outer = entry.start(&mut command).tried("starting bubblewrap")?;
        // What remains open here would keep the pipes from ever ending.
        drop((command, args, files, filters, report_in, gate_out));
        let tail = Tail::default();
        let drained = tail.drain(output).tried("a thread for a helper's output")?;
        let mut report = File::from(report);
        match first_process(&mut report, &outer) {
            Ok((first, first_fd)) => {
                let mut groups = Groups::new(&Limits {
                    memory_bytes: helper.memory_bytes,
                    processes: helper.processes,
                    ..Limits::default()
                });
                if groups.enter(first).is_err() {
                    groups = Groups::default();
                }
                drop(gate);
                Ok(Self { outer, first, first_fd, tail, _report: report, _groups: groups })
            }
            Err(failure) => {
                // Both fail only when the child is gone already.
                let _ = outer.kill();
                let _ = outer.wait();
                let _ = drained.join();
                Err(explain(failure, &tail.text()))
            }
        }
    }

    /// The helper itself, by its number on the host.
    pub fn pid(&self) -> u32 {
        self.first.as_raw_nonzero().get().cast_unsigned()
    }

    /// Sends it a signal; one that is gone already does not mind.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.first_fd, signal);
    }

    /// How it ended, if it did; 128 and a signal's number is an end by that signal.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.outer.try_wait().ok().flatten()
    }

    /// At most the last 8 KiB of what it wrote to its standard output and error.
    pub fn output_tail(&self) -> String {
        self.tail.text()
    }

    /// Ends it now and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if !wait_until_gone(&self.first_fd) {
            // A device holds it: bubblewrap need not wait for it any longer.
            let _ = self.outer.kill();
        }
        let _ = self.outer.wait();
    }
}

impl Drop for HelperProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What holds without control groups as well. Drivers of GPUs reserve more address space than there is memory, and a
/// user that others have processes of cannot be limited in their number.
fn limits(helper: &Helper<'_>, own_user: bool) -> Vec<(Resource, u64)> {
    let mut limits = vec![
        (Resource::Core, 0),
        (Resource::Nofile, helper.open_files),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
        (Resource::Memlock, LOCKED_BYTES),
        (Resource::Fsize, helper.memory_bytes),
    ];
    if !helper.gpu {
        limits.push((Resource::As, helper.memory_bytes + PROGRAM_BYTES));
    }
    if own_user {
        limits.push((Resource::Nproc, 4 * helper.processes));
    }
    limits
}

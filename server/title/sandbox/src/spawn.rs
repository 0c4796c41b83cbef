//! Starts bubblewrap without the agent's rights, files or environment, and what it makes inside in control
//! groups.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Gid, Uid};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, setrlimit};

use crate::bwrap::{self, Arguments};
use crate::error::{SandboxError, Tried};
use crate::groups::Groups;
use crate::init::{self, READY};
use crate::launch::{Launch, UNPRIVILEGED};
use crate::output::Tail;
use crate::processes::Processes;
use crate::stage::Stage;

/// A title that is not running by then never will be: bubblewrap takes some 20 ms.
const START_WITHIN: Duration = Duration::from_secs(10);
/// More than an error of the last stage or a status of bubblewrap is long.
const MAX_REPORT: usize = 4096;
/// A pipe holds 64 KiB; longer only for a machine that does not run at all.
const READ_WITHIN: Duration = Duration::from_secs(1);

/// A title that runs.
pub(crate) struct Running {
    pub(crate) bubblewrap: Bubblewrap,
    /// The first process inside; when it has ended, so has every other.
    pub(crate) first: Pid,
    /// The same, for as long as it is watched.
    pub(crate) first_fd: OwnedFd,
    pub(crate) processes: Processes,
}

/// Bubblewrap outside.
pub(crate) struct Bubblewrap {
    /// Its exit is the title's.
    pub(crate) process: Child,
    /// It says here how the title ended, and dies when nobody listens.
    _report: File,
    /// Reads what the title writes until nobody can write any more.
    output: JoinHandle<()>,
}

impl Bubblewrap {
    /// Once every process is gone: waits until the last that they wrote is read, and no longer than that takes.
    pub(crate) fn wait_for_output(&self) {
        let until = Instant::now() + READ_WITHIN;
        while !self.output.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether titles run as another user than the agent.
pub(crate) fn as_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Starts `launch` and waits until the title itself runs. The calling thread must live as long as the
/// title: its end would be taken for the agent's.
pub(crate) fn spawn(
    launch: &Launch,
    title_dir: &Path,
    program: OsString,
    groups: &mut Groups,
    tail: &Tail,
) -> Result<Running, SandboxError> {
    let (report, report_in) = pipe()?;
    let (status, status_in) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .tried("a pair of sockets")?;
    let (gate_out, gate) = pipe()?;
    let (output, output_in) = pipe()?;
    let mut arguments = Arguments::new(launch, title_dir, as_root())?;
    arguments.option_fd("--json-status-fd", &report_in);
    arguments.option_fd("--block-fd", &gate_out);
    let becomes = as_root().then(|| Becomes::new(UNPRIVILEGED, std::mem::take(&mut arguments.groups)));
    let stage = arguments.stage();
    let (args, files) = arguments.into_files()?;

    let mut command = Command::new(bwrap::program()?);
    command.env_clear().current_dir("/").process_group(0).stdin(Stdio::null());
    command.stdout(output_in.try_clone().tried("the title's output")?).stderr(output_in);
    command.args(["--args", &args.as_raw_fd().to_string(), "--"]);
    command.args(init::command_line(launch, program, status_in.as_raw_fd())?);

    let mut inherited = bwrap::numbers(&files);
    inherited.extend([&args, &report_in, &status_in, &gate_out].map(AsRawFd::as_raw_fd));
    let entry = Entry { agent: rustix::process::getpid(), inherited, stage, limits: Vec::new(), becomes };
    let mut outer = entry.start(&mut command).tried("starting bubblewrap")?;
    // What remains open here would keep the pipes from ever ending.
    drop((command, args, files, report_in, status_in, gate_out));
    let drained = tail.drain(output).tried("a thread for the title's output")?;

    let mut report = File::from(report);
    let first = first_process(&mut report, &outer).and_then(|(first, first_fd)| {
        if groups.enter(first).is_err() {
            // Made, but not ours to fill: the watchdog takes over.
            *groups = Groups::default();
        }
        drop(gate);
        Ok((first, first_fd, started(status, first)?))
    });
    match first {
        Ok((first, first_fd, processes)) => {
            let bubblewrap = Bubblewrap { process: outer, _report: report, output: drained };
            Ok(Running { bubblewrap, first, first_fd, processes })
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

/// What the child does between fork and exec.
pub(crate) struct Entry {
    pub(crate) agent: Pid,
    /// Files that it keeps.
    pub(crate) inherited: Vec<RawFd>,
    pub(crate) stage: Stage,
    pub(crate) limits: Vec<(Resource, u64)>,
    /// Whom it becomes, when the agent is root.
    pub(crate) becomes: Option<Becomes>,
}

/// A user without rights, with a group of the same number.
pub(crate) struct Becomes {
    user: Uid,
    group: Gid,
    supplementary: Vec<Gid>,
}

impl Becomes {
    /// `groups` are those through which it uses devices.
    pub(crate) fn new(id: u32, groups: Vec<u32>) -> Self {
        let supplementary = groups.into_iter().map(Gid::from_raw).collect();
        Self { user: Uid::from_raw(id), group: Gid::from_raw(id), supplementary }
    }

    /// For good: without a root id left, the kernel takes every capability.
    pub(crate) fn enter(&self) -> io::Result<()> {
        rustix::thread::set_thread_groups(&self.supplementary)?;
        rustix::thread::set_thread_res_gid(self.group, self.group, self.group)?;
        rustix::thread::set_thread_res_uid(self.user, self.user, self.user)?;
        Ok(())
    }
}

impl Entry {
    /// Starts `command` by way of this.
    pub(crate) fn start(self, command: &mut Command) -> io::Result<Child> {
        // SAFETY: between fork and exec the closure only makes system calls on numbers that were collected
        // before; it neither allocates nor locks.
        unsafe { command.pre_exec(move || self.enter()) };
        command.spawn()
    }

    fn enter(&self) -> io::Result<()> {
        // Kernels before 5.11 lack the flag; the last stage closes everything once more.
        // SAFETY: only flags of files change, in a process that is about to be replaced.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        for file in &self.inherited {
            fcntl_setfd(borrowed(*file), FdFlags::empty())?;
        }
        self.stage.set()?;
        for (resource, most) in &self.limits {
            let most = rustix::process::getrlimit(*resource).maximum.map_or(*most, |now| now.min(*most));
            setrlimit(*resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
        if let Some(user) = &self.becomes {
            user.enter()?;
        }
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(self.agent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

fn borrowed<'a>(file: RawFd) -> BorrowedFd<'a> {
    // SAFETY: the numbers come from files that their owner keeps open until after the exec.
    unsafe { BorrowedFd::borrow_raw(file) }
}

/// Finds the first process inside, which waits at the gate.
pub(crate) fn first_process(report: &mut File, outer: &Child) -> Result<(Pid, OwnedFd), SandboxError> {
    let text = read_until(report, |text| text.contains(&b'}')).tried("bubblewrap's status")?;
    let silent = || SandboxError::Start(String::new());
    let first = child_pid(&String::from_utf8_lossy(&text)).ok_or_else(silent)?;
    let first_fd = pidfd_open(first, PidfdFlags::empty()).map_err(|_| silent())?;
    // Its number cannot have passed to another process while bubblewrap is its parent.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", first.as_raw_nonzero())).unwrap_or_default();
    let parent =
        stat.rsplit_once(')').and_then(|(_, after)| after.split_whitespace().nth(1)?.parse::<u32>().ok());
    if parent == Some(outer.id()) { Ok((first, first_fd)) } else { Err(silent()) }
}

/// Lets the last stage become the title once its processes can be watched, and waits until it has.
fn started(status: OwnedFd, first: Pid) -> Result<Processes, SandboxError> {
    let what = "waiting for the title to start";
    let mut status = File::from(status);
    let said = read_until(&mut status, |said| said.first() == Some(&READY)).tried(what)?;
    let failed = |error: &[u8]| SandboxError::Start(String::from_utf8_lossy(error).into_owned());
    if said != [READY] {
        return Err(failed(&said));
    }
    let processes = Processes::of(first).tried("watching the title")?;
    status.write_all(&[READY]).tried(what)?;
    // Silence until the exec closes the other end.
    let error = read_until(&mut status, |_| false).tried(what)?;
    if error.is_empty() { Ok(processes) } else { Err(failed(&error)) }
}

fn child_pid(report: &str) -> Option<Pid> {
    let (_, after) = report.split_once("\"child-pid\"")?;
    let digits: String =
        after.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    Pid::from_raw(digits.parse().ok()?)
}

/// Reads until it is `enough`, or until nobody holds the other end any more.
fn read_until(pipe: &mut File, enough: fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let until = Instant::now() + START_WITHIN;
    let (mut said, mut chunk) = (Vec::new(), [0; 512]);
    while !enough(&said) && said.len() < MAX_REPORT {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let count = pipe.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        said.extend_from_slice(&chunk[..count]);
    }
    Ok(said)
}

/// Turns silence of the last stage into bubblewrap's own words, and advice.
pub(crate) fn explain(failure: SandboxError, output: &str) -> SandboxError {
    let silent = matches!(&failure, SandboxError::Start(said) if said.is_empty());
    if !silent {
        return failure;
    }
    let said = output.lines().rev().find(|line| line.contains("bwrap")).unwrap_or(output).trim().to_owned();
    SandboxError::Refused { advice: advice(&said), said }
}

/// What the host can change so that bubblewrap may build its sandbox.
pub(crate) fn advice(said: &str) -> &'static str {
    let on = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if said.contains("nknown option") {
        "it is too old: 0.8 with --bind-fd and --disable-userns is needed"
    } else if on("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor keeps programs from making user namespaces: allow bwrap with a profile in /etc/apparmor.d \
         (`userns,`), or set kernel.apparmor_restrict_unprivileged_userns=0 with sysctl"
    } else if on("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "set kernel.unprivileged_userns_clone=1 with sysctl"
    } else if on("/proc/sys/user/max_user_namespaces", "0") {
        "set user.max_user_namespaces to 10000 with sysctl"
    } else if said.contains("proc") {
        "/proc cannot be mounted: inside a container, start it with --security-opt systempaths=unconfined"
    } else {
        "inside a container, allow user namespaces: --security-opt seccomp=unconfined or a profile that allows them"
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), SandboxError> {
    pipe_with(PipeFlags::CLOEXEC).tried("a pipe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_is_found_in_bubblewraps_report() {
        let report = "{ \"child-pid\": 4711, \"cgroup-namespace\": 4026532 }\n";
        assert_eq!(child_pid(report), Pid::from_raw(4711));
        assert_eq!(child_pid("{ \"exit-code\": 1 }"), None);
    }
}

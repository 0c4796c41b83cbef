//! The thread that starts a title, watches it, and clears up behind it.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, pidfd_send_signal};

use crate::error::{SandboxError, Tried};
use crate::groups::Groups;
use crate::home::Home;
use crate::launch::{Launch, Limits};
use crate::output::Tail;
use crate::processes::{Processes, Unlinked};
use crate::sandbox::Exit;
use crate::spawn::{Bubblewrap, Running, as_root, spawn};

/// How often the watchdog looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The home is walked at least this far apart, and never for more than a twentieth of the time.
const MEASURE_EVERY: Duration = Duration::from_millis(500);
const MEASURE_SHARE: u32 = 20;
/// How long the kernel may take to end the last process; longer only when a device hangs.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// A title as its handle and its watch share it.
pub(crate) struct Shared {
    pub(crate) first: Pid,
    pub(crate) first_fd: OwnedFd,
    pub(crate) processes: Processes,
    pub(crate) groups: Groups,
    pub(crate) wake: OwnedFd,
    pub(crate) tail: Tail,
    /// Stopped by signals, which others may undo: the watch stops them again.
    pub(crate) stopped: Mutex<bool>,
    pub(crate) ended: Mutex<Option<Exit>>,
    pub(crate) killed: AtomicBool,
}

impl Shared {
    /// Ends every process, without waiting.
    pub(crate) fn kill(&self) {
        // The first process takes every other with it, frozen or not; bubblewrap outside, which is not
        // frozen, collects it. Gone already is as good.
        let _ = pidfd_send_signal(&self.first_fd, Signal::KILL);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

/// The body of the thread. It both starts and outlives the title: bubblewrap dies with the thread that
/// started it.
pub(crate) fn watch(
    launch: &Launch,
    title_dir: &Path,
    program: OsString,
    started: &SyncSender<Result<Arc<Shared>, SandboxError>>,
) {
    let (shared, mut bubblewrap, home) = match start(launch, title_dir, program) {
        Ok(parts) => parts,
        Err(error) => {
            // Nobody waits any more: then nobody needs the error.
            let _ = started.send(Err(error));
            return;
        }
    };
    if started.send(Ok(Arc::clone(&shared))).is_err() {
        shared.kill();
    }
    let limit = look(&shared, &mut bubblewrap, &home, &launch.limits);
    shared.kill();
    if !wait_until_gone(&shared.first_fd) {
        // A device holds it: bubblewrap need not wait for it any longer.
        let _ = bubblewrap.process.kill();
    }
    let status = bubblewrap.process.wait().ok();
    bubblewrap.wait_for_output();
    let exit = limit.map_or_else(|| exit(status, shared.killed.load(Ordering::Acquire)), Exit::Limit);
    *shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit);
}

fn start(
    launch: &Launch,
    title_dir: &Path,
    program: OsString,
) -> Result<(Arc<Shared>, Bubblewrap, Home), SandboxError> {
    let home = Home::open(&launch.home)?;
    if as_root() {
        home.hand_over()?;
    }
    let mut groups = if launch.control_groups { Groups::new(&launch.limits) } else { Groups::default() };
    let tail = Tail::default();
    let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).tried("waking the watch")?;
    let Running { bubblewrap, first, first_fd, processes } =
        spawn(launch, title_dir, program, &mut groups, &tail)?;
    let shared = Shared {
        first,
        first_fd,
        processes,
        groups,
        wake,
        tail,
        stopped: Mutex::new(false),
        ended: Mutex::new(None),
        killed: AtomicBool::new(false),
    };
    Ok((Arc::new(shared), bubblewrap, home))
}

/// Looks until the title has ended, by itself, by its handle or for a limit, which is returned.
fn look(shared: &Shared, bubblewrap: &mut Bubblewrap, home: &Home, limits: &Limits) -> Option<&'static str> {
    let mut measure = Measure { next: Instant::now(), unlinked: Unlinked::default() };
    loop {
        let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK_EVERY.subsec_nanos().into() };
        let mut files =
            [PollFd::new(&shared.first_fd, PollFlags::IN), PollFd::new(&shared.wake, PollFlags::IN)];
        // Interrupted or not, what follows looks for itself.
        let _ = poll(&mut files, Some(&timeout));
        let ended = !matches!(bubblewrap.process.try_wait(), Ok(None));
        if ended || !files[0].revents().is_empty() || shared.killed.load(Ordering::Acquire) {
            // A process that the kernel killed for memory may have ended the title before the next look.
            return shared.groups.out_of_memory().then_some("memory");
        }
        keep_stopped(shared);
        let limit = measure.exceeded(shared, home, limits);
        if limit.is_some() {
            return limit;
        }
    }
}

/// Stops what was made since the title was stopped. Nobody lets the title go on meanwhile: it would stand still for good.
fn keep_stopped(shared: &Shared) {
    let stopped = shared.stopped.lock().unwrap_or_else(PoisonError::into_inner);
    if *stopped {
        // What cannot be stopped now is looked at again in a moment.
        let _ = shared.processes.stop();
    }
}

/// What was measured last, and when to measure again.
struct Measure {
    next: Instant,
    unlinked: Unlinked,
}

impl Measure {
    fn exceeded(&mut self, shared: &Shared, home: &Home, limits: &Limits) -> Option<&'static str> {
        if Instant::now() >= self.next {
            let begun = Instant::now();
            self.unlinked = shared.processes.unlinked(home.device);
            let beyond = match home.bytes() {
                Ok(Some(bytes)) => bytes + self.unlinked.on_disk_bytes > limits.home_bytes,
                Ok(None) => true,
                // The host's own trouble, which may have passed by the next look.
                Err(_) => false,
            };
            self.next = Instant::now() + MEASURE_EVERY.max(begun.elapsed() * MEASURE_SHARE);
            if beyond {
                return Some("home");
            }
        }
        if shared.groups.limits_memory() {
            return shared.groups.out_of_memory().then_some("memory");
        }
        let rough = shared.processes.sum().memory_bytes + self.unlinked.in_memory_bytes;
        let beyond = rough > limits.memory_bytes
            && shared.processes.exact_memory_bytes(self.unlinked) > limits.memory_bytes;
        beyond.then_some("memory")
    }
}

/// What bubblewrap's exit says about the title's: like a shell, it adds 128 to a signal.
fn exit(status: Option<ExitStatus>, killed: bool) -> Exit {
    let Some(status) = status.filter(|_| !killed) else { return Exit::Signal(libc::SIGKILL) };
    match status.code() {
        Some(code) if (129..=192).contains(&code) => Exit::Signal(code - 128),
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.signal().unwrap_or(libc::SIGKILL)),
    }
}

/// Waits for the first process, which ends after every other of its PID namespace; whether it has.
pub(crate) fn wait_until_gone(first: &OwnedFd) -> bool {
    let until = Instant::now() + GONE_WITHIN;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(first, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            ended => return matches!(ended, Ok(1..)),
        }
    }
}

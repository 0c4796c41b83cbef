//! The last stage, inside: our own binary locks the remaining doors and becomes the title.
//!
//! It runs with the title's rights already, so nothing that it does could be done by the title to gain
//! any; it only takes away.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::error::{SandboxError, Tried};
use crate::launch::{HOME, INIT, Launch, RUNTIME};
use crate::{paths, seccomp};

/// What a title may lock in memory: audio buffers and such.
const LOCKED_BYTES: u64 = 64 << 20;
/// Folders that every desktop's user has, and that some programs expect.
const USUAL_FOLDERS: [&str; 3] = [".cache", ".config", ".local/share"];
/// Bubblewrap's process inside counts for the title's user as well.
const OWN_PROCESSES: u64 = 1;
/// Said on the status socket once every layer holds, and answered when the title may begin.
pub(crate) const READY: u8 = b'+';

/// What the last stage is told, in the order of its arguments.
struct Orders {
    status: RawFd,
    processes: u64,
    open_files: u64,
    file_bytes: u64,
    environment: Vec<(OsString, OsString)>,
    command: Vec<OsString>,
}

/// Limits the process, applies Landlock and seccomp, and becomes the title. `arguments` are those after
/// `title-init`, as [`crate::Sandbox::launch`] wrote them.
///
/// # Errors
/// [`SandboxError::Start`] when a layer cannot be applied or the title's program not be run. The sandbox
/// outside reads the same, so that the caller only has to exit.
pub fn init(arguments: impl Iterator<Item = OsString>) -> Result<Infallible, SandboxError> {
    let orders = Orders::parse(arguments)?;
    // SAFETY: the sandbox passes this file to this process alone, and nothing else here owns it.
    let mut status = File::from(unsafe { std::os::fd::OwnedFd::from_raw_fd(orders.status) });
    let error = match lock_in(&orders) {
        Ok(()) => {
            status.write_all(&[READY]).tried("the status socket")?;
            // The agent answers once it watches; when it is gone, nothing is started.
            status.read_exact(&mut [0]).tried("the status socket")?;
            become_title(&orders)
        }
        Err(error) => error,
    };
    status.write_all(error.to_string().as_bytes()).tried("the status socket")?;
    Err(error)
}

/// The command line inside bubblewrap that makes [`init`] start `launch`.
pub(crate) fn command_line(
    launch: &Launch,
    program: OsString,
    status: RawFd,
) -> Result<Vec<OsString>, SandboxError> {
    let limits = launch.limits;
    let mut words: Vec<OsString> = vec![INIT.into(), "title-init".into()];
    let file_bytes = limits.home_bytes.max(limits.memory_bytes);
    for number in [status as u64, limits.processes + OWN_PROCESSES, limits.open_files, file_bytes] {
        words.push(number.to_string().into());
    }
    let environment = environment(launch)?;
    words.push(environment.len().to_string().into());
    for (name, value) in environment {
        words.extend([name, value]);
    }
    words.push(program);
    words.extend(launch.command.iter().skip(1).cloned());
    Ok(words)
}

/// The title's environment. It comes as arguments: what the dynamic linker does by it must not happen to
/// the last stage, whose doors are not locked yet.
fn environment(launch: &Launch) -> Result<BTreeMap<OsString, OsString>, SandboxError> {
    let own = [
        ("HOME", HOME),
        ("USER", "player"),
        ("LOGNAME", "player"),
        ("PATH", "/usr/bin:/bin:/usr/games"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
        ("TMPDIR", "/tmp"),
        ("XDG_RUNTIME_DIR", RUNTIME),
    ];
    let mut all: BTreeMap<OsString, OsString> = own.map(|(name, value)| (name.into(), value.into())).into();
    for (name, value) in &launch.env {
        if name.is_empty() || name.as_bytes().contains(&b'=') {
            let name = name.to_string_lossy();
            return Err(SandboxError::Start(format!("`{name}` is no name of an environment variable")));
        }
        all.insert(name.clone(), value.clone());
    }
    if let Some(preload) = &launch.preload {
        let list = all.entry("LD_PRELOAD".into()).or_default();
        let others = std::mem::replace(list, preload.clone().into());
        if !others.is_empty() {
            list.push(":");
            list.push(others);
        }
    }
    Ok(all)
}

impl Orders {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, SandboxError> {
        let wrong =
            || SandboxError::Start("title-init is not for use by hand: the sandbox calls it".to_owned());
        let mut number =
            || arguments.next().and_then(|word| word.to_str()?.parse::<u64>().ok()).ok_or_else(wrong);
        let status = RawFd::try_from(number()?).map_err(|_| wrong())?;
        let (processes, open_files, file_bytes) = (number()?, number()?, number()?);
        let variables = number()?;
        let mut environment = Vec::new();
        for _ in 0..variables {
            environment.push(arguments.next().zip(arguments.next()).ok_or_else(wrong)?);
        }
        let command: Vec<OsString> = arguments.collect();
        if status < 3 || command.is_empty() {
            return Err(wrong());
        }
        Ok(Self { status, processes, open_files, file_bytes, environment, command })
    }
}

fn lock_in(orders: &Orders) -> Result<(), SandboxError> {
    close_all_but(orders.status).tried("closing inherited files")?;
    let limits = [
        (Resource::Core, 0),
        (Resource::Nproc, orders.processes),
        (Resource::Nofile, orders.open_files),
        (Resource::Fsize, orders.file_bytes),
        (Resource::Memlock, LOCKED_BYTES),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    for (resource, most) in limits {
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |already| most.min(already));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .tried(format!("the limit {resource:?}"))?;
    }
    reset_signals();
    paths::restrict()?;
    seccomp::restrict()
}

fn become_title(orders: &Orders) -> SandboxError {
    for folder in USUAL_FOLDERS {
        // What a saved game has put in the way is the title's to deal with.
        let _ = std::fs::create_dir_all(Path::new(HOME).join(folder));
    }
    let mut command = Command::new(&orders.command[0]);
    command.args(&orders.command[1..]).env_clear().envs(orders.environment.iter().cloned());
    let error = command.exec();
    SandboxError::Start(format!("{}: {error}", orders.command[0].to_string_lossy()))
}

/// Closes every file from 3 on; `status` closes by itself when the title begins.
fn close_all_but(status: RawFd) -> std::io::Result<()> {
    let close = |first: RawFd, last: u32| {
        // SAFETY: no file of this range is used after this call: this process has opened none itself.
        let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    if status > 3 {
        close(3, (status - 1).cast_unsigned())?;
    }
    close(status + 1, u32::MAX)?;
    // SAFETY: `status` is open and owned by the caller; only its close-on-exec flag changes.
    let status = unsafe { std::os::fd::BorrowedFd::borrow_raw(status.as_raw_fd()) };
    rustix::io::fcntl_setfd(status, rustix::io::FdFlags::CLOEXEC)?;
    Ok(())
}

/// Every signal as at the start of a program: whatever agent and runtime ignored or blocked.
fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid disposition for every signal; where the kernel refuses, nothing changes.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set lives on this stack and is initialised by sigemptyset before it is read.
    unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

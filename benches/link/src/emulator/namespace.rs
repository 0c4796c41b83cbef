//! A network namespace, held by an open file.

use super::error::EmulatorError;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The namespace of the thread that reads it.
const OWN: &str = "/proc/thread-self/ns/net";

/// It lasts as long as this, its clones, and the processes in it.
#[derive(Clone, Debug)]
pub(super) struct Namespace(Arc<File>);

impl Namespace {
    /// An empty one, with a loopback device that is up.
    pub(super) fn new() -> Result<Self, EmulatorError> {
        let make = || {
            // SAFETY: of a thread's context only the network namespace is unshared; files stay common to all threads,
            // and this thread ends right after.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
            File::open(OWN)
        };
        // A thread of its own, because a thread that has left its namespace would have to find back.
        let file = thread::scope(|scope| scope.spawn(make).join()).unwrap_or_else(|_| Err(panicked()));
        let namespace = Self(Arc::new(file.map_err(EmulatorError::Namespace)?));
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    /// Runs `work` on a thread in it, and waits.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, EmulatorError> {
        let inside = || {
            self.enter()?;
            Ok(work())
        };
        let done = thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|_| Err(panicked()));
        done.map_err(EmulatorError::Namespace)
    }

    /// Runs `work` on a thread in it.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<JoinHandle<io::Result<T>>, EmulatorError> {
        let inside = self.clone();
        let work = move || {
            inside.enter()?;
            work()
        };
        thread::Builder::new().name(name.to_owned()).spawn(work).map_err(EmulatorError::Thread)
    }

    /// A command that will run in it, and be asked to end with the thread that starts it: what runs in a namespace
    /// keeps it, and a process that was killed cannot take its programs down.
    pub(super) fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        let inside = self.clone();
        // SAFETY: between fork and exec only the system calls prctl and setns are made, on a file that the closure
        // keeps open; nothing is allocated and no lock is taken.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::TERM))?;
                inside.enter()
            })
        };
        command
    }

    /// Leads to it while this process runs.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()))
    }

    /// Gives `ip` commands, one a line.
    pub(super) fn ip(&self, commands: &str) -> Result<(), EmulatorError> {
        let mut ip = self.command("ip".as_ref());
        ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ip.spawn().map_err(EmulatorError::NoIp)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(commands.as_bytes()).map_err(EmulatorError::NoIp)?;
        }
        let output = child.wait_with_output().map_err(EmulatorError::NoIp)?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(EmulatorError::Ip { commands: commands.to_owned(), reason })
    }

    fn enter(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

fn panicked() -> io::Error {
    io::Error::other("the thread at the other end panicked")
}

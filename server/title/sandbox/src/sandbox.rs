//! A title that runs, from outside.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::bundle::{check_apart, check_bundle, resolve_command};
use crate::error::{SandboxError, Tried};
use crate::launch::Launch;
use crate::leftovers;
use crate::spawn::as_root;
use crate::watch::{Shared, watch};

/// A title that was started. Dropped, it is ended as by [`Sandbox::kill`].
pub struct Sandbox {
    shared: Arc<Shared>,
    watch: Option<JoinHandle<()>>,
}

/// How a title ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code; 0 is success.
    Code(i32),
    /// By this signal; SIGKILL (9) when it was [`Sandbox::kill`].
    Signal(i32),
    /// For having used up this: `memory` or `home`.
    Limit(&'static str),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with code {code}"),
            Self::Signal(libc::SIGSYS) => {
                write!(f, "ended for calling the kernel as 32-bit programs do: only 64-bit programs run here")
            }
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Limit(what) => write!(f, "ended for having used up its {what}"),
        }
    }
}

/// What a title uses at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Memory in bytes: as the control group counts it, where there is one.
    pub memory_bytes: u64,
    /// Processes.
    pub processes: u64,
    /// CPU time since the start, of all its processes.
    pub cpu_us: u64,
}

impl Sandbox {
    /// Starts a title and returns once its program runs.
    ///
    /// # Errors
    /// When its folder, command or binds are refused, when bubblewrap is missing or may not build the
    /// sandbox, and when the program cannot be run. Nothing is left of it then.
    pub fn launch(launch: &Launch) -> Result<Self, SandboxError> {
        launch.limits.checked()?;
        let title_dir = check_bundle(&launch.title_dir, as_root())?;
        check_apart(&title_dir, &launch.home, &launch.dir)?;
        let first = launch
            .command
            .first()
            .ok_or_else(|| SandboxError::Command { command: String::new(), why: "is empty".to_owned() })?;
        let program = resolve_command(&title_dir, first)?.into_os_string();
        leftovers::end();
        let (started, start) = sync_channel(1);
        let own = launch.clone();
        let watch = std::thread::Builder::new()
            .name(launch.name.replace('\0', ""))
            .spawn(move || watch(&own, &title_dir, program, &started))
            .tried("a thread for the title's watch")?;
        match start.recv() {
            Ok(Ok(shared)) => Ok(Self { shared, watch: Some(watch) }),
            Ok(Err(error)) => {
                join(watch);
                Err(error)
            }
            Err(_) => Err(SandboxError::Start("its watch failed".to_owned())),
        }
    }

    /// How the title ended, once it has and nothing of it is left.
    pub fn try_wait(&mut self) -> Option<Exit> {
        let ended = *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_some()
            && let Some(watch) = self.watch.take()
        {
            join(watch);
        }
        ended
    }

    /// Stops every process, so that none uses the processor until [`Self::thaw`].
    ///
    /// # Errors
    /// When a process does not stop within five seconds.
    pub fn freeze(&mut self) -> Result<(), SandboxError> {
        if self.shared.groups.freezes() {
            return self.shared.groups.freeze(true).tried("freezing the title");
        }
        let mut stopped = self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.processes.stop().tried("stopping the title")?;
        *stopped = true;
        Ok(())
    }

    /// Lets every process go on where it was.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn thaw(&mut self) -> Result<(), SandboxError> {
        if self.shared.groups.freezes() {
            return self.shared.groups.freeze(false).tried("thawing the title");
        }
        let mut stopped = self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = false;
        self.shared.processes.go_on().tried("letting the title go on")
    }

    /// Asks the title to end, as a system that shuts down does, so that it can save; [`Self::kill`]s it when it has
    /// not ended within `grace`.
    pub fn end(&mut self, grace: Duration) {
        // A title that cannot be thawed cannot hear either.
        if self.thaw().is_ok() {
            self.shared.processes.ask_to_end();
            let until = Instant::now() + grace;
            while self.try_wait().is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.kill();
    }

    /// Ends every process and returns when none is left (after ten seconds in any case: a process can be
    /// held longer only by a device that hangs).
    pub fn kill(&mut self) {
        if let Some(watch) = self.watch.take() {
            self.shared.killed.store(true, Ordering::Release);
            self.shared.kill();
            join(watch);
        }
    }

    /// What the title uses at the moment.
    pub fn usage(&self) -> Usage {
        let sum = self.shared.processes.sum();
        let memory_bytes = self.shared.groups.memory_bytes().unwrap_or(sum.memory_bytes);
        Usage { memory_bytes, processes: sum.processes, cpu_us: sum.cpu_us }
    }

    /// At most the last 8 KiB of what the title wrote to its standard output and error.
    pub fn output_tail(&self) -> String {
        self.shared.tail.text()
    }

    /// The first process inside, by its number on the host.
    pub fn pid(&self) -> u32 {
        self.shared.first.as_raw_nonzero().get().cast_unsigned()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("pid", &self.pid()).finish_non_exhaustive()
    }
}

fn join(watch: JoinHandle<()>) {
    assert!(watch.join().is_ok(), "the watch of a title does not panic");
}

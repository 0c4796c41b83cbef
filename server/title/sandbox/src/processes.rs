//! The processes of one sandbox, read through its own `/proc`, which shows those of its PID namespace and
//! no other.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};

use crate::launch::RUNTIME;

/// Bubblewrap's own process inside; it is trusted and never stopped.
const INIT_PID: u32 = 1;
/// More text than any file of `/proc` that is read here.
const MAX_TEXT: u64 = 64 << 10;
/// How long all processes may take to stop: a process in the kernel stops when it leaves it.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Open files looked at in one round; a title that holds more is counted in part.
const MAX_FILES: usize = 65_536;

/// The processes of one sandbox.
#[derive(Debug)]
pub(crate) struct Processes {
    proc: OwnedFd,
    /// The file systems in memory that the title can fill.
    in_memory: Vec<OwnedFd>,
}

/// What all processes together use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    /// Processes, without bubblewrap's own.
    pub(crate) processes: u64,
    /// Memory of their own and shared memory that they map, each process for itself.
    pub(crate) memory_bytes: u64,
    /// CPU time, of those already gone as well.
    pub(crate) cpu_us: u64,
}

/// Files without a name that processes still hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unlinked {
    pub(crate) in_memory_bytes: u64,
    pub(crate) on_disk_bytes: u64,
}

struct Process {
    pid: u32,
    dir: OwnedFd,
}

impl Processes {
    /// Those of the PID namespace whose first process is `first`, with its mounts in place.
    pub(crate) fn of(first: Pid) -> io::Result<Self> {
        let root = open_dir(rustix::fs::CWD, &format!("/proc/{}/root", first.as_raw_nonzero()))?;
        let proc = open_dir(&root, "proc")?;
        let mut in_memory = Vec::new();
        for path in ["tmp", "dev/shm", RUNTIME.trim_start_matches('/')] {
            in_memory.push(open_dir(&root, path)?);
        }
        Ok(Self { proc, in_memory })
    }

    /// Memory, processes and CPU time of all.
    pub(crate) fn sum(&self) -> Sum {
        let mut sum = Sum { memory_bytes: self.in_memory_bytes(), ..Sum::default() };
        let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        for process in self.list() {
            let Some(stat) = process.stat() else { continue };
            sum.cpu_us += stat.ticks * tick_us;
            if process.pid != INIT_PID {
                sum.processes += 1;
                sum.memory_bytes += process.kilobytes("status", &["RssAnon:", "RssShmem:", "VmSwap:"]) << 10;
            }
        }
        sum
    }

    /// Memory with every shared page counted once; slower than [`Self::sum`].
    pub(crate) fn exact_memory_bytes(&self, unlinked: Unlinked) -> u64 {
        let (mut own, mut shared) = (0, 0);
        for process in self.list() {
            own += process.kilobytes("smaps_rollup", &["Pss_Anon:", "SwapPss:"]) << 10;
            shared += process.kilobytes("smaps_rollup", &["Pss_Shmem:"]) << 10;
        }
        // What is mapped lies in one of these files in memory, named or not.
        own + shared.max(self.in_memory_bytes() + unlinked.in_memory_bytes)
    }

    /// Files without a name that are held open; those on the device `home` count for the disk.
    pub(crate) fn unlinked(&self, home: u64) -> Unlinked {
        let mut seen = HashSet::new();
        let mut unlinked = Unlinked::default();
        let mut left = MAX_FILES;
        for process in self.list() {
            let Ok(files) = open_dir(&process.dir, "fd") else { continue };
            let Ok(entries) = Dir::read_from(&files) else { continue };
            for entry in entries.flatten().filter(|entry| number(entry.file_name()).is_some()) {
                left -= 1;
                if left == 0 {
                    return unlinked;
                }
                let Ok(stat) = rustix::fs::statat(&files, entry.file_name(), AtFlags::empty()) else {
                    continue;
                };
                let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                if !regular || stat.st_nlink != 0 || !seen.insert((stat.st_dev, stat.st_ino)) {
                    continue;
                }
                let bytes = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
                let on_disk = stat.st_dev == home;
                *(if on_disk { &mut unlinked.on_disk_bytes } else { &mut unlinked.in_memory_bytes }) += bytes;
            }
        }
        unlinked
    }

    /// Stops every process. Looks again until two rounds in a row found all of them stopped: between two
    /// looks a process may have been made by one that was not yet stopped.
    pub(crate) fn stop(&self) -> io::Result<()> {
        let until = Instant::now() + STOP_WITHIN;
        let mut calm = 0;
        while calm < 2 {
            let running: Vec<_> = self.list().into_iter().filter(Process::runs).collect();
            calm = if running.is_empty() { calm + 1 } else { 0 };
            for process in running {
                process.signal(Signal::STOP)?;
            }
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if calm == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// Lets every process go on.
    pub(crate) fn go_on(&self) -> io::Result<()> {
        self.list()
            .into_iter()
            .filter(|process| process.pid != INIT_PID)
            .try_for_each(|one| one.signal(Signal::CONT))
    }

    /// Asks every process to end; one that is gone already is no failure.
    pub(crate) fn ask_to_end(&self) {
        for process in self.list().into_iter().filter(|process| process.pid != INIT_PID) {
            let _ = process.signal(Signal::TERM);
        }
    }

    fn list(&self) -> Vec<Process> {
        // A new open file each time: the position of a shared one would be shared as well.
        let Ok(dir) = Dir::read_from(&self.proc) else { return Vec::new() };
        let pids = dir.flatten().filter_map(|entry| number(entry.file_name()));
        pids.filter_map(|pid| Some(Process { pid, dir: open_dir(&self.proc, &pid.to_string()).ok()? }))
            .collect()
    }

    fn in_memory_bytes(&self) -> u64 {
        let used = |dir: &OwnedFd| {
            rustix::fs::fstatvfs(dir).map_or(0, |stat| (stat.f_blocks - stat.f_bfree) * stat.f_frsize)
        };
        self.in_memory.iter().map(used).sum()
    }
}

/// What `/proc/<pid>/stat` says.
pub(crate) struct Stat {
    pub(crate) state: char,
    ticks: u64,
}

impl Process {
    fn stat(&self) -> Option<Stat> {
        parse_stat(&self.text("stat")?)
    }

    /// Whether any thread could still do something. One that waits in the kernel, such as for a child that was
    /// stopped before it had begun its own program, stops before it does anything else.
    fn runs(&self) -> bool {
        if self.pid == INIT_PID {
            return false;
        }
        let Ok(tasks) = open_dir(&self.dir, "task") else { return false };
        let Ok(entries) = Dir::read_from(&tasks) else { return false };
        let state = |task: u32| parse_stat(&text_at(&tasks, &format!("{task}/stat"))?).map(|stat| stat.state);
        let states: Vec<char> =
            entries.flatten().filter_map(|entry| number(entry.file_name())).filter_map(state).collect();
        let stops = || states.iter().any(|state| matches!(state, 'T' | 't')) || self.is_told_to_stop();
        states.iter().any(|state| match state {
            'T' | 't' | 'Z' | 'X' | 'x' => false,
            'D' => !stops(),
            _ => true,
        })
    }

    /// Whether a signal to stop waits for the process.
    fn is_told_to_stop(&self) -> bool {
        let Some(status) = self.text("status") else { return false };
        let waiting = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let signals = waiting.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        signals.is_some_and(|mask| mask >> (Signal::STOP.as_raw() - 1) & 1 == 1)
    }

    /// A folder of `/proc` names the process itself, so that no other can get the signal.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.dir, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        text_at(&self.dir, name)
    }

    /// The sum of the lines of file `name` that begin with one of `keys`.
    fn kilobytes(&self, name: &str, keys: &[&str]) -> u64 {
        let Some(text) = self.text(name) else { return 0 };
        let value = |line: &str| {
            let key = keys.iter().find(|key| line.starts_with(**key))?;
            line[key.len()..].trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        text.lines().filter_map(value).sum()
    }
}

pub(crate) fn parse_stat(text: &str) -> Option<Stat> {
    // The name before it is the title's own and may hold anything, brackets too.
    let (_, after) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { state: fields.first()?.chars().next()?, ticks })
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}

fn open_dir(at: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

fn text_at(at: impl AsFd, path: &str) -> Option<String> {
    let file = rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    File::from(file).take(MAX_TEXT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = parse_stat("7 (a) R 1 (b) S 1 7 7 0 -1 4194304 1 0 0 0 10 20 30 40 20 0 3 0 99").unwrap();
        assert_eq!((stat.state, stat.ticks), ('S', 100));
        assert!(parse_stat("7 (short) R 1").is_none());
    }
}

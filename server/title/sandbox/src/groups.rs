//! Control groups of one sandbox: version 2 where this process may make groups, and the memory, process
//! and CPU controllers of version 1 where those still hold them.
//!
//! Version 1's freezer is not used: a process frozen by it cannot be killed before it is thawed, so an
//! agent that dies would leave it behind.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::launch::Limits;
use crate::processes::parse_stat;

/// Begins the name of every group that is ours, followed by the agent's process id.
const PREFIX: &str = "nearframe-title-";
/// The controllers that limits need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// How long the kernel may take to freeze every process, or to empty a group of those it killed: milliseconds, but
/// each of them has to be given the processor once, which a machine that is full may put off.
const SETTLE: Duration = Duration::from_secs(5);
/// Bubblewrap's process inside is in the group beside the title's.
const OWN_PROCESSES: u64 = 1;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// The groups of one sandbox. Dropped, they are removed.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    unified: Option<PathBuf>,
    memory: Option<Memory>,
    tasks: bool,
    cpu: bool,
    /// Version 1's groups, one per controller.
    old: Vec<PathBuf>,
}

#[derive(Debug)]
enum Memory {
    Unified(PathBuf),
    Old(PathBuf),
}

/// Where groups of this process can be made.
struct Hierarchy {
    /// `None` for version 2, else the controllers of version 1.
    controllers: Option<Vec<String>>,
    folder: PathBuf,
}

impl Groups {
    /// Makes what groups this process may make, with `limits` set as far as their controllers go.
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut groups = Self::default();
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let hierarchies = hierarchies();
        for hierarchy in hierarchies.iter().filter(|hierarchy| hierarchy.controllers.is_none()) {
            groups.add_unified(&hierarchy.folder, &name, limits);
        }
        for hierarchy in hierarchies {
            if let Some(controllers) = &hierarchy.controllers {
                groups.add_old(&hierarchy.folder, controllers, &name, limits);
            }
        }
        groups
    }

    fn add_unified(&mut self, own: &Path, name: &str, limits: &Limits) {
        let Some(group) = unified_bases(own).into_iter().find_map(|base| make(&base, name)) else { return };
        let has = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
        let has = |controller: &str| has.split_whitespace().any(|name| name == controller);
        if has("memory") && write(&group, "memory.max", &limits.memory_bytes.to_string()).is_ok() {
            // Absent without swap, and then without meaning; the group as a whole dies of its limit.
            let _ = write(&group, "memory.swap.max", "0");
            let _ = write(&group, "memory.oom.group", "1");
            self.memory = Some(Memory::Unified(group.clone()));
        }
        self.tasks = has("pids") && write(&group, "pids.max", &tasks(limits)).is_ok();
        self.cpu =
            has("cpu") && write(&group, "cpu.weight", &limits.cpu_weight.min(10_000).to_string()).is_ok();
        self.unified = Some(group);
    }

    fn add_old(&mut self, base: &Path, controllers: &[String], name: &str, limits: &Limits) {
        let has = |controller: &str| controllers.iter().any(|name| name == controller);
        let wanted =
            [has("memory") && self.memory.is_none(), has("pids") && !self.tasks, has("cpu") && !self.cpu];
        if !wanted.contains(&true) {
            return;
        }
        let Some(group) = make(base, name) else { return };
        let [memory, tasks_, cpu] = wanted;
        let bytes = limits.memory_bytes.to_string();
        if memory && write(&group, "memory.limit_in_bytes", &bytes).is_ok() {
            // Absent without swap accounting.
            let _ = write(&group, "memory.memsw.limit_in_bytes", &bytes);
            self.memory = Some(Memory::Old(group.clone()));
        }
        self.tasks |= tasks_ && write(&group, "pids.max", &tasks(limits)).is_ok();
        let shares = (limits.cpu_weight.min(10_000) * 1024 / 100).max(2);
        self.cpu |= cpu && write(&group, "cpu.shares", &shares.to_string()).is_ok();
        self.old.push(group);
    }

    /// Moves the process `pid`, which has no child yet, into every group.
    pub(crate) fn enter(&self, pid: Pid) -> io::Result<()> {
        let pid = pid.as_raw_nonzero().to_string();
        self.unified.iter().chain(&self.old).try_for_each(|group| write(group, "cgroup.procs", &pid))
    }

    /// Whether the kernel itself limits memory.
    pub(crate) fn limits_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Whether the kernel itself limits processes and threads.
    pub(crate) fn limits_tasks(&self) -> bool {
        self.tasks
    }

    /// Whether the kernel shares out the processor.
    pub(crate) fn shares_cpu(&self) -> bool {
        self.cpu
    }

    /// Whether the whole group can be frozen at once.
    pub(crate) fn freezes(&self) -> bool {
        self.unified.is_some()
    }

    /// Bytes in use, as the kernel counts them: caches of files included.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        let path = match self.memory.as_ref()? {
            Memory::Unified(group) => group.join("memory.current"),
            Memory::Old(group) => group.join("memory.usage_in_bytes"),
        };
        fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    /// Whether a process was killed for want of memory.
    pub(crate) fn out_of_memory(&self) -> bool {
        let path = match &self.memory {
            Some(Memory::Unified(group)) => group.join("memory.events"),
            Some(Memory::Old(group)) => group.join("memory.oom_control"),
            None => return false,
        };
        let events = fs::read_to_string(path).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }

    /// Stops (or lets go on) every process at once; returns when it holds.
    pub(crate) fn freeze(&self, frozen: bool) -> io::Result<()> {
        let group = self.unified.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        write(group, "cgroup.freeze", if frozen { "1" } else { "0" })?;
        let wanted = if frozen { "frozen 1" } else { "frozen 0" };
        settles(|| {
            fs::read_to_string(group.join("cgroup.events"))
                .is_ok_and(|text| text.lines().any(|line| line == wanted))
        })
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in self.unified.iter().chain(&self.old) {
            // Busy only while the last process is on its way out.
            let _ = settles(|| fs::remove_dir(group).is_ok() || !group.exists());
        }
    }
}

fn tasks(limits: &Limits) -> String {
    limits.processes.saturating_add(OWN_PROCESSES).to_string()
}

fn settles(done: impl Fn() -> bool) -> io::Result<()> {
    let until = Instant::now() + SETTLE;
    while !done() {
        if Instant::now() > until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn write(group: &Path, file: &str, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(group.join(file))?.write_all(value.as_bytes())
}

/// A new group below `base` that processes may enter.
fn make(base: &Path, name: &str) -> Option<PathBuf> {
    remove_leftovers(base);
    let group = base.join(name);
    fs::create_dir(&group).ok()?;
    if OpenOptions::new().write(true).open(group.join("cgroup.procs")).is_ok() {
        return Some(group);
    }
    // Made, but not ours to fill.
    let _ = fs::remove_dir(&group);
    None
}

/// Groups of an agent that was killed are empty, because its sandboxes died with it.
fn remove_leftovers(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let agent = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if agent.is_some_and(has_ended) {
            // Not empty: a process is still on its way out, and the next launch removes it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Whether no process has this id, or one that is dead and only not yet collected: an orphan's collector may take
/// seconds.
fn has_ended(pid: &str) -> bool {
    let Ok(text) = fs::read_to_string(Path::new("/proc").join(pid).join("stat")) else { return true };
    parse_stat(&text).is_some_and(|stat| matches!(stat.state, 'Z' | 'X' | 'x'))
}

/// Where to make a group in version 2: beside our own group where its parent was delegated to us, since
/// only a group without processes hands controllers down; else below our own, to freeze.
fn unified_bases(own: &Path) -> Vec<PathBuf> {
    let mut bases = Vec::new();
    if let Some(parent) = own.parent().filter(|parent| delegated(parent)) {
        bases.push(parent.to_owned());
    }
    bases.push(own.to_owned());
    for base in &bases {
        for controller in CONTROLLERS {
            // Refused where the group has processes or lacks the controller; what holds is read afterwards.
            let _ = write(base, "cgroup.subtree_control", &format!("+{controller}"));
        }
    }
    bases
}

/// systemd marks what it hands over.
fn delegated(group: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0_u8; 4];
        rustix::fs::getxattr(group, *name, &mut value[..]).is_ok_and(|length| length == 1 && value[0] == b'1')
    })
}

/// Every hierarchy that is mounted and holds this process, by the folder of its own group.
fn hierarchies() -> Vec<Hierarchy> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|line| hierarchy(line, &own)).collect()
}

fn hierarchy(mount: &str, own: &str) -> Option<Hierarchy> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (fs_type, options) = (kind.next()?, kind.nth(1)?);
    let controllers: Option<Vec<String>> = match fs_type {
        "cgroup2" => None,
        "cgroup" => Some(options.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    let mine = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        let same = match &controllers {
            None => names.is_empty(),
            Some(controllers) => names.split(',').any(|name| controllers.iter().any(|known| known == name)),
        };
        same.then_some(path)
    })?;
    let below = Path::new(mine).strip_prefix(root).ok()?;
    Some(Hierarchy { controllers, folder: Path::new(point).join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_nobody_has_collected_yet_has_ended_all_the_same() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id().to_string();
        assert!(!has_ended(&pid));
        child.kill().unwrap();
        settles(|| has_ended(&pid)).unwrap();
        assert!(Path::new("/proc").join(&pid).exists(), "it is still to be collected");
        child.wait().unwrap();
        assert!(has_ended(&pid));
    }

    #[test]
    fn own_groups_are_found_in_both_versions() {
        let own = "5:devices:/\n4:memory:/service/a\n0::/user.slice/b.service\n";
        let two =
            hierarchy("30 23 0:26 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw", own).unwrap();
        assert!(two.controllers.is_none());
        assert_eq!(two.folder, Path::new("/sys/fs/cgroup/user.slice/b.service"));
        let one = hierarchy("35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory", own).unwrap();
        assert_eq!(one.folder, Path::new("/sys/fs/cgroup/memory/service/a"));
        let bound = hierarchy("35 31 0:32 /service /cg/memory rw - cgroup cgroup rw,memory", own).unwrap();
        assert_eq!(bound.folder, Path::new("/cg/memory/a"));
        assert!(hierarchy("35 31 0:32 /other /cg rw - cgroup cgroup rw,memory", own).is_none());
        assert!(hierarchy("35 31 0:32 / /cg rw - cgroup cgroup rw,pids", own).is_none());
        assert!(hierarchy("1 0 0:1 / / rw - ext4 /dev/vda rw", own).is_none());
    }
}

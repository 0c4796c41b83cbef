//! What an agent leaves that is killed in the very milliseconds of a launch.
//!
//! Bubblewrap's process inside dies with the one outside, but only from its first steps on; killed before
//! them, it waits for ever, with nothing in it. The next launch ends it.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::launch::INIT;

/// A word of every helper's command line, see [`crate::Helper`].
pub(crate) const HELPER: &str = "nearframe-helper";

/// Ends every process of a sandbox whose bubblewrap outside is gone.
pub(crate) fn end() {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
        if let Some(pid) = pid.filter(|_| abandoned(&entry.path())) {
            // Looked at again by a handle, which stays with this process when its number passes on.
            if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
                && abandoned(&entry.path())
            {
                // Of another user: then it is another agent's to end.
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        }
    }
}

/// Whether the process at `path` is bubblewrap inside, for our last stage or a helper, without the one outside.
fn abandoned(path: &Path) -> bool {
    // An orphan is below whoever collects orphans; one in use is below the bubblewrap outside.
    let parent = |path: &Path| Some(Path::new("/proc").join(parent(path)?.to_string()));
    is_ours(path) && inside_a_namespace(path) && parent(path).is_some_and(|parent| !is_ours(&parent))
}

fn is_ours(path: &Path) -> bool {
    let line = fs::read(path.join("cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).take(8).collect();
    let is_at = |index: usize, word: &str| words.get(index) == Some(&word.as_bytes());
    words.first().is_some_and(|program| program.ends_with(b"/bwrap")) && (is_at(4, INIT) || is_at(7, HELPER))
}

fn parent(path: &Path) -> Option<u32> {
    let stat = fs::read_to_string(path.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether the process is the first of a PID namespace below ours.
fn inside_a_namespace(path: &Path) -> bool {
    let status = fs::read_to_string(path.join("status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.is_some_and(|ids| ids.split_whitespace().count() > 1 && ids.trim_end().ends_with("\t1"))
}

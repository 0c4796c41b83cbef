//! Makes what is to be mounted reachable for bubblewrap when it does not run as the agent's user.
//!
//! Bubblewrap resolves every source to a path and walks it. When the agent is root, titles run as another user,
//! who may not walk through the agent's folders (`/root`, a private data directory). So each source becomes a
//! mount of its own, seen by this one bubblewrap alone, in a folder that anybody may walk.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Exists everywhere; what the host has there is hidden, in this one mount namespace only.
const STAGE: &std::ffi::CStr = c"/tmp";

/// Sources on their way to the stage.
pub(crate) struct Stage {
    /// A detached mount, the place it will have, and whether it is a folder.
    places: Vec<(RawFd, CString, bool)>,
}

/// A mount of `source` that nobody sees yet.
pub(crate) fn detach(source: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
        | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC
        | rustix::mount::OpenTreeFlags::AT_EMPTY_PATH
        | rustix::mount::OpenTreeFlags::AT_RECURSIVE;
    Ok(rustix::mount::open_tree(source, c"", flags)?)
}

impl Stage {
    /// Prepares places for these detached mounts; nothing is mounted yet.
    pub(crate) fn new<'a>(mounts: impl IntoIterator<Item = (&'a OwnedFd, bool)>) -> Self {
        let place = |(index, (mount, is_folder)): (usize, (&OwnedFd, bool))| {
            let name = format!("{}/{index}", STAGE.to_string_lossy()).into_bytes();
            // A path made of a constant and a number holds no zero byte.
            CString::new(name).ok().map(|path| (mount.as_raw_fd(), path, is_folder))
        };
        Self { places: mounts.into_iter().enumerate().filter_map(place).collect() }
    }

    /// Puts everything into place, in a mount namespace of the calling process's own. Called between fork and
    /// exec: it only makes system calls.
    pub(crate) fn set(&self) -> io::Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        // SAFETY: system calls on strings that end with zero and live until they return; the process is a child of
        // one thread that is about to be replaced.
        unsafe {
            check(libc::unshare(libc::CLONE_NEWNS))?;
            let none = std::ptr::null();
            let slave = libc::MS_SLAVE | libc::MS_REC;
            check(libc::mount(none, c"/".as_ptr(), none, slave, none.cast()))?;
            let flags = libc::MS_NOSUID | libc::MS_NODEV;
            let options = c"mode=0755,size=64k".as_ptr().cast();
            check(libc::mount(c"tmpfs".as_ptr(), STAGE.as_ptr(), c"tmpfs".as_ptr(), flags, options))?;
            for (mount, path, is_folder) in &self.places {
                if *is_folder {
                    check(libc::mkdir(path.as_ptr(), 0o755))?;
                } else {
                    check(libc::mknod(path.as_ptr(), libc::S_IFREG | 0o644, 0))?;
                }
                let moved = libc::syscall(
                    libc::SYS_move_mount,
                    *mount,
                    c"".as_ptr(),
                    libc::AT_FDCWD,
                    path.as_ptr(),
                    libc::MOVE_MOUNT_F_EMPTY_PATH,
                );
                if moved < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
        }
        Ok(())
    }
}

fn check(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

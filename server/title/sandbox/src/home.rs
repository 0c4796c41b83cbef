//! The title's home on the host: handed to the title's user, and measured.
//!
//! What lies in it was written by a hostile program: no link is followed, no count is unbounded.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;

use crate::error::{SandboxError, Tried};
use crate::launch::UNPRIVILEGED;

/// More files than games keep; also what bounds a walk.
const MAX_FILES: u64 = 200_000;
/// Deeper paths cannot be opened in one call, and no game makes them.
const MAX_PATH: usize = 3000;

/// The title's home.
#[derive(Debug)]
pub(crate) struct Home {
    root: OwnedFd,
    /// The device that it lies on.
    pub(crate) device: u64,
}

impl Home {
    /// Opens the folder at `path`, which must exist.
    pub(crate) fn open(path: &Path) -> Result<Self, SandboxError> {
        let what = || format!("the title's home {}", path.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).tried(what())?;
        let device = rustix::fs::fstat(&root).tried(what())?.st_dev;
        Ok(Self { root, device })
    }

    /// Hands everything in it to the user that titles run as.
    pub(crate) fn hand_over(&self) -> Result<(), SandboxError> {
        let (user, group) = (Uid::from_raw(UNPRIVILEGED), Gid::from_raw(UNPRIVILEGED));
        let what = "handing the home to the title's user";
        rustix::fs::fchown(&self.root, Some(user), Some(group)).tried(what)?;
        let walked = self.walk(|folder, name, stat| {
            // A second name may be a file of somebody else's that was linked here.
            let linked = FileType::from_raw_mode(stat.st_mode) != FileType::Directory && stat.st_nlink > 1;
            if (stat.st_uid == UNPRIVILEGED && stat.st_gid == UNPRIVILEGED) || linked {
                return Ok(());
            }
            let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
            Ok(rustix::fs::chownat(folder, &name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?)
        });
        if walked.tried(what)? {
            return Ok(());
        }
        Err(SandboxError::Start("its home holds more than 200 000 files, or too deep ones".to_owned()))
    }

    /// Bytes on disk of everything in it; `None` when there is more in it than can be counted.
    ///
    /// # Errors
    /// When the host cannot look, which is not the title's doing.
    pub(crate) fn bytes(&self) -> io::Result<Option<u64>> {
        let (mut bytes, mut seen) = (0, HashSet::new());
        let whole = self.walk(|_, _, stat| {
            if stat.st_nlink <= 1 || seen.insert(stat.st_ino) {
                bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            }
            Ok(())
        });
        Ok(whole?.then_some(bytes))
    }

    /// Calls `visit` for every entry; `false` when it stopped at a bound or could not look into a folder.
    fn walk(&self, mut visit: impl FnMut(&OwnedFd, &[u8], &Stat) -> io::Result<()>) -> io::Result<bool> {
        let mut pending = vec![b".".to_vec()];
        let mut files = 0;
        while let Some(path) = pending.pop() {
            let folder = match self.open_below(&path) {
                Ok(folder) => folder,
                // Removed or replaced by the title meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => continue,
                // Closed by the title again and again.
                Err(Errno::ACCESS | Errno::PERM) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let Ok(entries) = Dir::read_from(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                files += 1;
                if files > MAX_FILES || path.len() + name.len() > MAX_PATH {
                    return Ok(false);
                }
                // What the title just removed does not count.
                let Ok(stat) = rustix::fs::statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                else {
                    continue;
                };
                visit(&folder, name, &stat)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    pending.push([&path, &b"/"[..], name].concat());
                }
            }
        }
        Ok(true)
    }

    fn open_below(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = CString::new(path).map_err(|_| Errno::INVAL)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let open =
            |flags| rustix::fs::openat2(&self.root, &path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
        let read = OFlags::RDONLY | OFlags::DIRECTORY;
        open(read).or_else(|error| {
            if error != Errno::ACCESS {
                return Err(error);
            }
            // Closed by the title, which is the same user: opened again, so that nothing hides in it.
            let closed = open(OFlags::PATH | OFlags::DIRECTORY)?;
            rustix::fs::chmod(format!("/proc/self/fd/{}", closed.as_raw_fd()), Mode::RWXU)?;
            open(read)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_home_is_measured_with_closed_folders_and_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        let big = tempfile::tempdir().unwrap();
        fs::write(big.path().join("big"), vec![1; 8 << 20]).unwrap();
        fs::create_dir(dir.path().join("closed")).unwrap();
        fs::write(dir.path().join("closed/save"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(dir.path().join("closed/save"), dir.path().join("again")).unwrap();
        symlink(big.path(), dir.path().join("link")).unwrap();
        fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
        let bytes = Home::open(dir.path()).unwrap().bytes().unwrap().unwrap();
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
    }

    #[test]
    fn too_deep_a_home_is_said_to_be_beyond_counting() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut folder = Home::open(dir.path()).unwrap().root;
        for _ in 0..20 {
            rustix::fs::mkdirat(&folder, name.as_str(), Mode::RWXU).unwrap();
            folder = rustix::fs::openat(&folder, name.as_str(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert_eq!(Home::open(dir.path()).unwrap().bytes().unwrap(), None);
    }
}

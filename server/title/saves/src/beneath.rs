//! Opening one name in one folder, without following anything.

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::{Errno, Result};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// No way out of the folder: not by a link, not by a mount.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Opens the home itself; its own name may not be a link.
pub(crate) fn home(path: &Path) -> Result<OwnedFd> {
    openat(rustix::fs::CWD, path, FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Opens `name` in `folder`. A link is `ELOOP`, a mount point `EXDEV`.
pub(crate) fn open(folder: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
    match openat2(folder, name, flags, mode, BENEATH) {
        // Kernels before 5.6, and sandboxes that do not know the call. For a single name, not following
        // its own link is as good.
        Err(Errno::NOSYS) => openat(folder, name, flags, mode),
        result => result,
    }
}

/// Opens a folder in `folder`.
pub(crate) fn open_folder(folder: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    open(folder, name, FOLDER)
}

/// Opens the folder at the end of `names`.
pub(crate) fn walk<'n>(from: OwnedFd, mut names: impl Iterator<Item = &'n OsStr>) -> Result<OwnedFd> {
    names.try_fold(from, |folder, name| open_folder(folder.as_fd(), name))
}

/// Makes a folder that only its owner may enter; true when it was not there before.
pub(crate) fn make_folder(folder: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    match mkdirat(folder, name, Mode::RWXU) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

//! From an archive to a title's home.

use crate::declared::{Declared, is_name, names};
use crate::{Limits, Owner, SaveError, Unpacked, beneath, io_error};
use flate2::bufread::GzDecoder;
use rustix::fs::{Gid, OFlags, Uid, fchown, renameat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use tar::{Archive, EntryType};

/// A tar block; each entry has one for its header, and its content ends at one.
const BLOCK: u64 = 512;
/// Where the archive is unpacked before its paths are renamed into place, in the home itself and thus
/// on the same file system.
const DRAFT: &str = ".nearframe-restore";

/// Makes the declared `paths` below `home` hold exactly what the archive holds; other files stay.
///
/// The archive is checked whole before anything is written, and each declared path is renamed into
/// place whole. After an error, some of them may be the old ones. No title may run in this home yet.
pub fn unpack(
    bytes: &[u8],
    home: &Path,
    paths: &[String],
    limits: &Limits,
    owner: Option<Owner>,
) -> Result<Unpacked, SaveError> {
    let declared = Declared::read(paths, limits)?;
    let plain = inflate(bytes, limits)?;
    let items = index(&plain, &declared, limits)?;
    let draft = Draft::make(home, owner)?;
    let mut unpacked = Unpacked { files: 0, total_bytes: 0 };
    for item in &items {
        draft.write(item)?;
        if let Kind::File(content) = item.kind {
            unpacked.files += 1;
            unpacked.total_bytes += content.len() as u64;
        }
    }
    for (root, declared) in declared.iter().enumerate() {
        let is_new = items.iter().any(|item| item.root == root);
        draft.place(root, declared, is_new)?;
    }
    Ok(unpacked)
}

/// An entry of the archive, below one of the declared paths.
struct Item<'a> {
    /// Which declared path.
    root: usize,
    /// Names below it; none for the declared path itself.
    below: Vec<OsString>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Folder,
    File(&'a [u8]),
}

/// Decompresses at most what the limits allow to be in an archive.
fn inflate(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, SaveError> {
    let too_large = SaveError::TooLarge { most_bytes: limits.total_bytes };
    if bytes.len() as u64 > limits.total_bytes {
        return Err(too_large);
    }
    // A header, a long name with a header of its own, and content, each rounded up; and the end.
    let entry = 6 * BLOCK + limits.path_bytes as u64;
    let most = limits.total_bytes + u64::from(limits.entries) * entry + 4 * BLOCK;
    let mut gzip = GzDecoder::new(bytes);
    let mut plain = Vec::new();
    gzip.by_ref().take(most + 1).read_to_end(&mut plain).map_err(SaveError::Damaged)?;
    if plain.len() as u64 > most {
        return Err(too_large);
    }
    if !gzip.into_inner().is_empty() {
        return Err(SaveError::Damaged(io::Error::other("there are bytes after its end")));
    }
    Ok(plain)
}

/// Reads and checks every entry of the archive.
fn index<'a>(plain: &'a [u8], declared: &[Declared], limits: &Limits) -> Result<Vec<Item<'a>>, SaveError> {
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    let mut folders = BTreeSet::new();
    let mut total_bytes = 0;
    let mut archive = Archive::new(plain);
    for entry in archive.entries().map_err(SaveError::Damaged)? {
        let entry = entry.map_err(SaveError::Damaged)?;
        if items.len() >= limits.entries as usize {
            return Err(SaveError::TooMany { most: limits.entries });
        }
        let path = entry.path_bytes().into_owned();
        let refused = |why| SaveError::Refused { path: String::from_utf8_lossy(&path).into_owned(), why };
        let kind = match entry.header().entry_type() {
            EntryType::Regular => {
                let content = content(plain, entry.raw_file_position(), entry.size());
                Kind::File(content.ok_or_else(|| refused("is longer than the archive"))?)
            }
            EntryType::Directory if entry.size() == 0 => Kind::Folder,
            _ => return Err(refused("is neither a file nor a folder")),
        };
        if let Kind::File(content) = kind {
            total_bytes += content.len() as u64;
        }
        if total_bytes > limits.total_bytes {
            return Err(SaveError::TooLarge { most_bytes: limits.total_bytes });
        }
        let (root, below) = place_of(&path, declared, limits).map_err(refused)?;
        let place = (root, below.clone());
        let above = below.split_last().map(|(_, above)| (root, above.to_vec()));
        if above.is_some_and(|above| !folders.contains(&above)) {
            return Err(refused("stands in a folder that is not in the archive"));
        }
        if matches!(kind, Kind::Folder) {
            folders.insert(place.clone());
        }
        if !seen.insert(place) {
            return Err(refused("is there twice"));
        }
        items.push(Item { root, below, kind });
    }
    Ok(items)
}

fn content(plain: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    plain.get(at..at.checked_add(usize::try_from(len).ok()?)?)
}

/// Which declared path an entry belongs to, and its names below it.
fn place_of(
    path: &[u8],
    declared: &[Declared],
    limits: &Limits,
) -> Result<(usize, Vec<OsString>), &'static str> {
    let names = names(path);
    if path.len() > limits.path_bytes || names.len() > limits.depth {
        return Err("is too long or too deep");
    }
    if !names.iter().all(|name| is_name(name.as_encoded_bytes())) {
        return Err("is absolute, or has an empty name, `.`, `..` or a NUL in it");
    }
    let found = declared.iter().enumerate().find_map(|(root, path)| Some((root, path.below(&names)?)));
    let (root, below) = found.ok_or("is not below a path that the title declares")?;
    Ok((root, below.into_iter().map(OsStr::to_owned).collect()))
}

/// The folder in which the archive is unpacked; removed with everything left in it when dropped.
struct Draft {
    path: PathBuf,
    home: OwnedFd,
    folder: OwnedFd,
    owner: Option<Owner>,
}

impl Draft {
    fn make(home: &Path, owner: Option<Owner>) -> Result<Self, SaveError> {
        let path = home.join(DRAFT);
        // A crash may have left one. Links in it are removed, not followed.
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(format!("removing {}", path.display()))(error));
            }
            _ => {}
        }
        let making = || format!("making {}", path.display());
        let home = beneath::home(home).map_err(io_error(making()))?;
        beneath::make_folder(home.as_fd(), OsStr::new(DRAFT)).map_err(io_error(making()))?;
        let folder = beneath::open_folder(home.as_fd(), OsStr::new(DRAFT)).map_err(io_error(making()))?;
        Ok(Self { path, home, folder, owner })
    }

    fn write(&self, item: &Item<'_>) -> Result<(), SaveError> {
        let failed =
            || format!("restoring {}", self.path.join(item.below.iter().collect::<PathBuf>()).display());
        self.try_write(item).map_err(io_error(failed()))
    }

    fn try_write(&self, item: &Item<'_>) -> io::Result<()> {
        let root = new_name(item.root);
        let mut names: Vec<&OsStr> = vec![&root];
        names.extend(item.below.iter().map(OsString::as_os_str));
        let name = names.pop().expect("the root's name is there");
        let folder = beneath::walk(self.folder.try_clone()?, names.into_iter())?;
        match item.kind {
            Kind::Folder => {
                beneath::make_folder(folder.as_fd(), name)?;
                self.give(beneath::open_folder(folder.as_fd(), name)?.as_fd())?;
            }
            Kind::File(content) => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let mut file = File::from(beneath::open(folder.as_fd(), name, flags)?);
                file.write_all(content)?;
                self.give(file.as_fd())?;
            }
        }
        Ok(())
    }

    /// Renames what was unpacked for a declared path into its place; what stood there goes with the draft.
    fn place(&self, root: usize, declared: &Declared, is_new: bool) -> Result<(), SaveError> {
        let failed = || format!("restoring {}", String::from_utf8_lossy(&declared.to_bytes()));
        self.try_place(root, declared, is_new).map_err(io_error(failed()))
    }

    fn try_place(&self, root: usize, declared: &Declared, is_new: bool) -> io::Result<()> {
        let (above, name) = declared.split();
        let mut folder = self.home.try_clone()?;
        for above in above {
            let made = is_new && beneath::make_folder(folder.as_fd(), above)?;
            folder = match beneath::open_folder(folder.as_fd(), above) {
                Err(Errno::NOENT) if !is_new => return Ok(()),
                opened => opened?,
            };
            if made {
                self.give(folder.as_fd())?;
            }
        }
        let old = old_name(root);
        let was_there = match renameat(&folder, name, &self.folder, &old) {
            Ok(()) => true,
            Err(Errno::NOENT) => false,
            Err(error) => return Err(error.into()),
        };
        if is_new && let Err(error) = renameat(&self.folder, new_name(root), &folder, name) {
            if was_there {
                renameat(&self.folder, &old, &folder, name)?;
            }
            return Err(error.into());
        }
        Ok(())
    }

    fn give(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        if let Some(Owner { uid, gid }) = self.owner {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What is left of it is removed before the next restore.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn new_name(root: usize) -> OsString {
    format!("new-{root}").into()
}

fn old_name(root: usize) -> OsString {
    format!("old-{root}").into()
}

//! From a title's home to an archive.

use crate::declared::Declared;
use crate::{Limits, Pack, SaveError, beneath, io_error};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, fstat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// A file that changes while it is read is read again this often; then it is taken as it is.
const READS: u32 = 3;
/// In a gzip header: written by no system in particular.
const NO_SYSTEM: u8 = 255;

/// Packs what stands at `paths` below `home`. `None`: nothing stands there.
///
/// The title may run meanwhile: what vanishes, or is swapped for something else, is left out. A file
/// that it is writing may be taken half-written; freeze the title for a picture of one moment.
pub fn pack(home: &Path, paths: &[String], limits: &Limits) -> Result<Option<Pack>, SaveError> {
    let declared = Declared::read(paths, limits)?;
    let mut packer = Packer::new(limits);
    for declared in &declared {
        let (above, name) = declared.split();
        let folder = beneath::home(home).map_err(io_error(format!("opening {}", home.display())))?;
        match beneath::walk(folder, above) {
            Ok(folder) => packer.entry(folder.as_fd(), name, &declared.to_bytes())?,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => packer.leave_out(error, &declared.to_bytes())?,
        }
    }
    packer.finish()
}

struct Packer<'a> {
    limits: &'a Limits,
    archive: Builder<GzEncoder<Vec<u8>>>,
    entries: u32,
    taken: u32,
    files: u32,
    total_bytes: u64,
    left_out: u32,
}

impl<'a> Packer<'a> {
    fn new(limits: &'a Limits) -> Self {
        let gzip = GzBuilder::new().mtime(0).operating_system(NO_SYSTEM);
        Self {
            limits,
            archive: Builder::new(gzip.write(Vec::new(), Compression::new(6))),
            entries: 0,
            taken: 0,
            files: 0,
            total_bytes: 0,
            left_out: 0,
        }
    }

    /// Takes a file, or a folder with all below it.
    fn entry(&mut self, folder: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Result<(), SaveError> {
        let found = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return self.leave_out(error, path),
        };
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(SaveError::TooMany { most: self.limits.entries });
        }
        let depth = path.iter().filter(|byte| **byte == b'/').count() + 1;
        if path.len() > self.limits.path_bytes || depth > self.limits.depth {
            self.left_out += 1;
            return Ok(());
        }
        let flags = match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
            // Should a pipe take the file's place, opening it does not wait for a writer.
            FileType::RegularFile => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
            _ => {
                self.left_out += 1;
                return Ok(());
            }
        };
        let opened = match beneath::open(folder, name, flags) {
            Ok(opened) => opened,
            Err(error) => return self.leave_out(error, path),
        };
        // What was opened counts, not what stood there before.
        let stat = fstat(&opened).map_err(io_error(what("looking at", path)))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.folder(opened.as_fd(), path),
            FileType::RegularFile if stat.st_nlink == 1 => self.file(opened, path),
            _ => {
                self.left_out += 1;
                Ok(())
            }
        }
    }

    fn folder(&mut self, folder: BorrowedFd<'_>, path: &[u8]) -> Result<(), SaveError> {
        self.append(EntryType::Directory, 0o755, path, &[])?;
        let failed = || what("listing", path);
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(io_error(failed()))? {
            let entry = entry.map_err(io_error(failed()))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsString::from_vec(name.to_vec()));
            }
            if names.len() > self.limits.entries as usize {
                return Err(SaveError::TooMany { most: self.limits.entries });
            }
        }
        names.sort_unstable();
        for name in names {
            let below = [path, b"/", name.as_bytes()].concat();
            self.entry(folder, &name, &below)?;
        }
        Ok(())
    }

    fn file(&mut self, file: OwnedFd, path: &[u8]) -> Result<(), SaveError> {
        let room = self.limits.total_bytes - self.total_bytes;
        let content = read(File::from(file), room).map_err(io_error(what("reading", path)))?;
        if content.len() as u64 > room {
            return Err(SaveError::TooLarge { most_bytes: self.limits.total_bytes });
        }
        self.total_bytes += content.len() as u64;
        self.files += 1;
        self.append(EntryType::Regular, 0o644, path, &content)
    }

    fn append(&mut self, kind: EntryType, mode: u32, path: &[u8], content: &[u8]) -> Result<(), SaveError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.taken += 1;
        let path_in_archive = Path::new(OsStr::from_bytes(path));
        self.archive
            .append_data(&mut header, path_in_archive, content)
            .map_err(io_error(what("packing", path)))
    }

    /// Counts what cannot be taken because of what it is; any other error is one.
    fn leave_out(&mut self, error: Errno, path: &[u8]) -> Result<(), SaveError> {
        match error {
            // It vanished meanwhile.
            Errno::NOENT => Ok(()),
            Errno::LOOP | Errno::XDEV | Errno::NOTDIR | Errno::ACCESS | Errno::PERM | Errno::NXIO => {
                self.left_out += 1;
                Ok(())
            }
            error => Err(io_error(what("opening", path))(error)),
        }
    }

    fn finish(self) -> Result<Option<Pack>, SaveError> {
        if self.taken == 0 {
            return Ok(None);
        }
        let gzip = self.archive.into_inner().map_err(io_error("packing"))?;
        let bytes = gzip.finish().map_err(io_error("packing"))?;
        if bytes.len() as u64 > self.limits.total_bytes {
            return Err(SaveError::TooLarge { most_bytes: self.limits.total_bytes });
        }
        let hash = *blake3::hash(&bytes).as_bytes();
        let Self { files, total_bytes, left_out, .. } = self;
        Ok(Some(Pack { bytes, hash, files, total_bytes, left_out }))
    }
}

/// Reads a file, at most one byte more than `room`, so that too much is seen as such.
fn read(mut file: File, room: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    for _ in 0..READS {
        let before = fstat(&file)?;
        content.clear();
        file.rewind()?;
        (&mut file).take(room.saturating_add(1)).read_to_end(&mut content)?;
        if unchanged(&before, &fstat(&file)?) {
            break;
        }
    }
    Ok(content)
}

fn unchanged(before: &Stat, after: &Stat) -> bool {
    let stamp = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    stamp(before) == stamp(after)
}

fn what(doing: &str, path: &[u8]) -> String {
    format!("{doing} {}", String::from_utf8_lossy(path))
}

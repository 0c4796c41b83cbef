//! A player's saved games, packed and restored.
//!
//! [`pack`] reads the paths that a title declares below its home and makes one archive of them: a
//! gzipped tar of regular files and folders, without times and owners, so that the same content always
//! gives the same bytes and the same hash. [`unpack`] puts such an archive back. Deliberately without
//! versions, network and policy of when to save: the worker decides that.
//!
//! **Architecture invariant:** nothing outside the declared paths is ever read or written, whatever a
//! title does to its home meanwhile, and whatever an archive says: every name is opened alone, below
//! the folder it stands in, without following links.

mod beneath;
mod declared;
mod pack;
mod unpack;

pub use pack::pack;
pub use unpack::unpack;

use std::io;

/// What a title's saves may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders and whatever else stands in the declared paths.
    pub entries: u32,
    /// Bytes of all files together, and of the pack.
    pub total_bytes: u64,
    /// Bytes of a path below the home.
    pub path_bytes: usize,
    /// Names of a path below the home.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 4096, total_bytes: 64 * 1024 * 1024, path_bytes: 512, depth: 32 }
    }
}

/// An archive of a title's saves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// The archive.
    pub bytes: Vec<u8>,
    /// BLAKE3 of `bytes`.
    pub hash: [u8; 32],
    /// Files in it.
    pub files: u32,
    /// Bytes of these files.
    pub total_bytes: u64,
    /// Entries that were not taken: links, devices, sockets, pipes, files with several names, what may
    /// not be read, and what stands too deep.
    pub left_out: u32,
}

/// What an archive put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Files written.
    pub files: u32,
    /// Their bytes.
    pub total_bytes: u64,
}

/// Whose the restored files are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Why saves could not be packed or restored.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// A declared path that cannot be one.
    #[error("saves: {path:?} {why}; write a path below the title's home such as .local/share/game")]
    BadPath {
        /// As declared.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than may be kept.
    #[error("the saves have more than {most} files and folders; the title must keep fewer, or declare less")]
    TooMany {
        /// The limit.
        most: u32,
    },
    /// More bytes than may be kept.
    #[error("the saves have more than {most_bytes} bytes; the title must keep less, or declare less")]
    TooLarge {
        /// The limit.
        most_bytes: u64,
    },
    /// Not a whole archive.
    #[error("the pack is damaged: {0}; restore an earlier version")]
    Damaged(io::Error),
    /// An archive that [`pack`] does not make.
    #[error("the pack is refused: {path:?} {why}; restore an earlier version")]
    Refused {
        /// The entry's path, as far as it is text.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file system said no.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system says.
        error: io::Error,
    },
}

/// Names what was being done when the system said no.
fn io_error<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> SaveError {
    move |error| SaveError::Io { what: what.into(), error: error.into() }
}

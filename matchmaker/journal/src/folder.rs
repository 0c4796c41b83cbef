//! A folder as storage.

use crate::storage::{Chunks, Storage};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const BLOCKS: &str = "blocks";
const LOCK: &str = "lock";
/// The end of a name that is not whole yet.
const UNFINISHED: &str = ".new";

/// A folder that one process at a time writes.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    blocks: File,
    /// Files that are read again and again, held open.
    open: RefCell<HashMap<String, File>>,
    _lock: Option<File>,
}

impl Folder {
    /// Opens or makes the folder; refuses one that another process holds.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let make = |name: &str| {
            OpenOptions::new().create(true).truncate(false).read(true).append(true).open(path.join(name))
        };
        let lock = make(LOCK)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::new(
                ErrorKind::ResourceBusy,
                format!("another process writes the ledger in {}; stop it first", path.display()),
            ),
            TryLockError::Error(error) => error,
        })?;
        let folder = Self {
            path: path.to_owned(),
            blocks: make(BLOCKS)?,
            open: RefCell::default(),
            _lock: Some(lock),
        };
        for name in folder.all_names()?.iter().filter(|name| name.ends_with(UNFINISHED)) {
            std::fs::remove_file(folder.path.join(name))?;
        }
        folder.sync_folder()?;
        Ok(folder)
    }

    /// Opens a folder to read it, also while another process writes it.
    pub fn inspect(path: &Path) -> Result<Self> {
        let blocks = File::open(path.join(BLOCKS))?;
        Ok(Self { path: path.to_owned(), blocks, open: RefCell::default(), _lock: None })
    }

    fn sync_folder(&self) -> Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn all_names(&self) -> Result<Vec<String>> {
        let names = std::fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }
}

impl Storage for Folder {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.blocks.write_all(bytes)
    }
    fn sync(&mut self) -> Result<()> {
        self.blocks.sync_data()
    }
    fn blocks_len(&self) -> Result<u64> {
        Ok(self.blocks.metadata()?.len())
    }
    fn read_blocks(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.blocks.read_exact_at(into, at)
    }
    fn truncate_blocks(&mut self, length: u64) -> Result<()> {
        self.blocks.set_len(length)?;
        self.blocks.sync_all()
    }

    fn put(&self, name: &str, chunks: &mut Chunks<'_>) -> Result<()> {
        let unfinished = self.path.join(format!("{name}{UNFINISHED}"));
        let mut file = File::create(&unfinished)?;
        while let Some(chunk) = chunks()? {
            file.write_all(&chunk)?;
        }
        file.sync_all()?;
        std::fs::rename(&unfinished, self.path.join(name))?;
        self.open.borrow_mut().remove(name);
        self.sync_folder()
    }
    fn names(&self) -> Result<Vec<String>> {
        let mut names = self.all_names()?;
        names.retain(|name| name != BLOCKS && name != LOCK);
        Ok(names)
    }
    fn len(&self, name: &str) -> Result<u64> {
        Ok(std::fs::metadata(self.path.join(name))?.len())
    }
    fn read(&self, name: &str, at: u64, into: &mut [u8]) -> Result<()> {
        let mut open = self.open.borrow_mut();
        if let Some(file) = open.get(name) {
            return file.read_exact_at(into, at);
        }
        let file = File::open(self.path.join(name))?;
        file.read_exact_at(into, at)?;
        open.insert(name.to_owned(), file);
        Ok(())
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.open.borrow_mut().remove(name);
        std::fs::remove_file(self.path.join(name))
    }
}

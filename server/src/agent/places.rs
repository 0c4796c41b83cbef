//! Folders that a worker and its title live in, and that go with them.
//!
//! Sockets need short paths, so they lie in a folder of this node below the system's temporary folder; homes can
//! grow, so they lie in the data directory. What an agent that was killed left behind goes when the next starts.

use super::worker_process::WorkerId;
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Folders of nodes in the temporary folder.
const PREFIX: &str = "nearframe-";
/// The file that a running agent holds locked.
const LOCK_FILE: &str = "lock";
/// A Unix socket's path has 107 bytes; the names below the folder take less than 47 of them.
const MAX_ROOT_LEN: usize = 60;

/// All folders of this node. Dropping it removes them.
pub(crate) struct Places {
    root: PathBuf,
    homes: PathBuf,
    _lock: File,
}

/// The folders of one worker. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Place {
    /// For sockets and other short-lived things.
    pub(crate) dir: PathBuf,
    /// The title's home.
    pub(crate) home: PathBuf,
}

impl Places {
    /// Makes this node's folders, and removes those of nodes that are gone.
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let parent = [std::env::temp_dir(), PathBuf::from("/tmp")]
            .into_iter()
            .find(|dir| dir.as_os_str().len() <= MAX_ROOT_LEN - PREFIX.len() - 16)
            .context("the temporary folder's path is too long for sockets: set TMPDIR to a shorter one")?;
        remove_abandoned(&parent);
        let mut random = [0; 6];
        getrandom::fill(&mut random).context("drawing a name for this node's folder")?;
        let root = parent.join(format!("{PREFIX}{}", hex::encode(random)));
        private_folder(&root)?;
        let lock = File::create_new(root.join(LOCK_FILE)).context("locking this node's folder")?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).context("locking this node's folder")?;
        let homes = data_dir.join("homes");
        remove_folder(&homes);
        private_folder(&homes)?;
        Ok(Self { root, homes, _lock: lock })
    }

    /// Makes the folders of one worker.
    pub(crate) fn of_worker(&self, id: WorkerId) -> Result<Place> {
        let place =
            Place { dir: self.root.join(format!("w{}", id.0)), home: self.homes.join(format!("w{}", id.0)) };
        private_folder(&place.dir)?;
        private_folder(&place.home)?;
        Ok(place)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        remove_folder(&self.root);
        remove_folder(&self.homes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove_folder(&self.dir);
        remove_folder(&self.home);
    }
}

/// Only its owner lists or writes it; passing through is allowed, because a sandbox started by root has another user.
fn private_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o711)))
        .with_context(|| format!("creating {}", path.display()))
}

fn remove_folder(path: &Path) {
    match fs::remove_dir_all(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => warn!("{} could not be removed: {error}", path.display()),
    }
}

/// A folder whose lock is free belongs to nobody any more. Only our own user's are looked at.
fn remove_abandoned(parent: &Path) {
    let me = rustix::process::getuid().as_raw();
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && fs::symlink_metadata(entry.path()).is_ok_and(|meta| meta.is_dir() && meta.uid() == me);
        let Some(lock) = ours.then(|| File::open(entry.path().join(LOCK_FILE)).ok()).flatten() else {
            continue;
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            info!("removing {}, left behind by a node that is gone", entry.path().display());
            remove_folder(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_with_their_owner_and_abandoned_ones_with_the_next_node() {
        let data = tempfile::tempdir().unwrap();
        let places = Places::open(data.path()).unwrap();
        let place = places.of_worker(WorkerId(7)).unwrap();
        let (dir, home) = (place.dir.clone(), place.home.clone());
        assert!(dir.is_dir() && home.is_dir());
        drop(place);
        assert!(!dir.exists() && !home.exists());

        let held = places.root.clone();
        let abandoned = held.with_file_name(format!("{PREFIX}test-{}", std::process::id()));
        private_folder(&abandoned.join("w0")).unwrap();
        File::create(abandoned.join(LOCK_FILE)).unwrap();
        let other = tempfile::tempdir().unwrap();
        let next = Places::open(other.path()).unwrap();
        assert!(!abandoned.exists(), "an abandoned folder stays");
        assert!(held.is_dir(), "a running node's folder was removed");
        drop((places, next));
        assert!(!held.exists());
    }
}

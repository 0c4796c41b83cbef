//! The data directory, held by one process at a time.

use crate::file::absolute_env;
use crate::options::General;
use anyhow::{Context, Result, bail};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A part of the data directory, locked until dropped (or until the process dies).
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes and locks `part` of the data directory, readable by its owner alone.
    pub(crate) fn open(general: &General, part: &str) -> Result<Self> {
        let path = root(general)?.join(part);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("making {} (choose another place with --data DIR)", path.display()))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is; absolute, so that child processes find it too.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where a matchmaker on this machine keeps its record.
pub(crate) fn matchmaker_folder(general: &General) -> Result<PathBuf> {
    Ok(root(general)?.join(MATCHMAKER))
}

/// Where a node on this machine keeps its things.
pub(crate) fn node_folder(general: &General) -> Result<PathBuf> {
    Ok(root(general)?.join(NODE))
}

/// The node's part of the data directory.
pub(crate) const NODE: &str = "node";
/// A checker's part of the data directory.
pub(crate) const CHECKER: &str = "checker";
/// The matchmaker's part of the data directory.
pub(crate) const MATCHMAKER: &str = "matchmaker";

/// `--data`, or `$XDG_DATA_HOME/nearframe`, or `~/.local/share/nearframe`.
fn root(general: &General) -> Result<PathBuf> {
    let chosen = general.data.clone().or_else(|| {
        absolute_env("XDG_DATA_HOME")
            .or_else(|| absolute_env("HOME").map(|home| home.join(".local/share")))
            .map(|base| base.join("nearframe"))
    });
    let chosen =
        chosen.context("there is no home directory to keep data in: choose a place with --data DIR")?;
    std::path::absolute(&chosen).with_context(|| format!("--data {}", chosen.display()))
}

/// Takes the lock of `dir`; the kernel gives it back when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let mut file = File::options()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            bail!(
                "another nearframe (process {}) uses {}: stop it, or choose another place with --data DIR",
                holder.trim(),
                dir.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", path.display()));
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn general(data: &Path) -> General {
        General { data: Some(data.to_owned()), ..General::default() }
    }

    #[test]
    fn a_second_opener_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DataDir::open(&general(dir.path()), "node").unwrap();
        let text = format!("{:#}", DataDir::open(&general(dir.path()), "node").unwrap_err());
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        assert!(text.contains("--data"), "{text}");
    }

    #[test]
    fn matchmaker_and_node_share_a_root_and_a_dropped_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let node = DataDir::open(&general(dir.path()), "node").unwrap();
        let _matchmaker = DataDir::open(&general(dir.path()), "matchmaker").unwrap();
        drop(node);
        let _again = DataDir::open(&general(dir.path()), "node").unwrap();
    }

    #[test]
    fn others_may_not_look_in() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(&general(dir.path()), "node").unwrap();
        assert_eq!(fs::metadata(held.path()).unwrap().permissions().mode() & 0o077, 0);
    }
}

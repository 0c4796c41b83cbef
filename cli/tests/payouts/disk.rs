//! A small disk of a test's own, that it fills: a file system in memory with a size, in a mount namespace.

use rustix::process::geteuid;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(10);
/// What takes the room.
const FILLER: &str = "filler";

/// In place of a folder, for whoever is in its namespace.
pub(crate) struct Disk {
    folder: PathBuf,
    /// A program that does nothing but be in the namespace, which lasts as long as it does.
    keeper: Child,
}

impl Disk {
    /// One of this size over a folder, with what is in the folder.
    pub(crate) fn over(folder: &Path, size: &str) -> Self {
        let mut unshare = Command::new("unshare");
        if !geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let mount = format!("mount -t tmpfs -o size={size} none \"$0\" && exec sleep infinity");
        let keeper = unshare.args(["--mount", "sh", "-c", &mount]).arg(folder).stdin(Stdio::null()).spawn();
        let keeper = keeper.expect("unshare is installed: scripts/setup.sh test");
        let disk = Self { folder: folder.to_owned(), keeper };
        let until = Instant::now() + WITHIN;
        let mounts = format!("/proc/{}/mounts", disk.keeper.id());
        while !fs::read_to_string(&mounts).unwrap_or_default().contains(folder.to_str().unwrap()) {
            assert!(
                Instant::now() < until,
                "nothing is mounted: run as root, or allow users to make namespaces"
            );
            thread::sleep(Duration::from_millis(5));
        }
        copy(folder, &disk.path());
        disk
    }

    /// Where it is seen from outside.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.keeper.id(), self.folder.display()))
    }

    /// A program that sees it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg("--target").arg(self.keeper.id().to_string()).arg("--mount");
        if !geteuid().is_root() {
            nsenter.args(["--user", "--preserve-credentials"]);
        }
        nsenter.arg("--").arg(program);
        nsenter
    }

    /// Until not one byte more fits.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.path().join(FILLER)).unwrap();
        for size in [64 * 1024, 1] {
            loop {
                match filler.write_all(&vec![1; size]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Somebody makes room.
    pub(crate) fn free(&self) {
        fs::remove_file(self.path().join(FILLER)).unwrap();
    }

    /// The folder gets what is on it.
    pub(crate) fn take_back(&self) {
        // Where the folder goes, what is mounted over it goes as well.
        let kept = tempfile::tempdir().unwrap();
        copy(&self.path(), kept.path());
        fs::remove_dir_all(&self.folder).unwrap();
        copy(kept.path(), &self.folder);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

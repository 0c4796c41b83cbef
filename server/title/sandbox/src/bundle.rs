//! Looks through a title's folder before it is mounted: nothing in it may lead out of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::error::{SandboxError, Tried};
use crate::format::unrunnable;
use crate::launch::TITLE;

/// More files than any title ships; a folder beyond it is a mistake or an attack.
const MAX_ENTRIES: usize = 500_000;
/// Deeper than any title nests.
const MAX_DEPTH: usize = 64;

/// Refuses a title's folder that holds a symlink leading out of it, a device, a socket or a pipe, or
/// something that the title's user could not read; `others` says whether that user owns none of it.
/// Returns the folder with all links of its own path resolved.
///
/// # Errors
/// [`SandboxError::Bundle`] naming the entry and what to change.
pub fn check_bundle(title_dir: &Path, others: bool) -> Result<PathBuf, SandboxError> {
    let root = fs::canonicalize(title_dir).tried(format!("the title's folder {}", title_dir.display()))?;
    if !root.is_dir() {
        return Err(refused(&root, "is not a folder"));
    }
    if root == Path::new("/") {
        return Err(refused(&root, "is the whole system: give the title a folder of its own"));
    }
    let mut pending = vec![(root.clone(), 0)];
    let mut entries = 0;
    while let Some((folder, depth)) = pending.pop() {
        readable(&folder, 0o005, others)?;
        let what = || format!("the folder {}", folder.display());
        for entry in fs::read_dir(&folder).tried(what())? {
            let entry = entry.tried(what())?;
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(refused(&root, "holds more than 500 000 files"));
            }
            let (path, kind) = (entry.path(), entry.file_type().tried(what())?);
            if kind.is_symlink() {
                check_link(&root, &path)?;
            } else if kind.is_dir() {
                if depth == MAX_DEPTH {
                    return Err(refused(&path, "lies more than 64 folders deep"));
                }
                pending.push((path, depth + 1));
            } else if kind.is_file() {
                readable(&path, 0o004, others)?;
            } else {
                let name = if kind.is_socket() {
                    "socket"
                } else if kind.is_fifo() {
                    "pipe"
                } else {
                    "device"
                };
                return Err(refused(&path, &format!("is a {name}: a title holds files, folders and links")));
            }
        }
    }
    Ok(root)
}

/// Refuses folders of which one would show, or make writable, another.
pub(crate) fn check_apart(title_dir: &Path, home: &Path, session: &Path) -> Result<(), SandboxError> {
    let real = |path: &Path| fs::canonicalize(path).tried(path.display().to_string());
    let (home, session) = (real(home)?, real(session)?);
    for (inner, outer, why) in [
        (&*home, title_dir, "the home lies in the title's folder, which every player shares"),
        (title_dir, &home, "the title's folder lies in the home, where the title could change it"),
        (&session, &home, "the session's folder lies in the home, where the title could reach all of it"),
        (
            &session,
            title_dir,
            "the session's folder lies in the title's, where the title could read all of it",
        ),
    ] {
        if inner.starts_with(outer) {
            return Err(refused(inner, why));
        }
    }
    Ok(())
}

/// The title's program as a path inside.
pub(crate) fn resolve_command(root: &Path, program: &OsStr) -> Result<PathBuf, SandboxError> {
    let fault = |why: &str| SandboxError::Command {
        command: program.to_string_lossy().into_owned(),
        why: why.to_owned(),
    };
    if program.is_empty() {
        return Err(fault("is empty"));
    }
    let program = Path::new(program);
    if program.components().any(|part| part == Component::ParentDir) {
        return Err(fault("holds `..`"));
    }
    let within = match program.strip_prefix(TITLE) {
        Ok(within) => within,
        Err(_) if program.is_absolute() => return system_command(program).map_err(|why| fault(&why)),
        Err(_) => program,
    };
    let real = fs::canonicalize(root.join(within)).map_err(|_| fault("is not in the title's folder"))?;
    let inside = real.strip_prefix(root).map_err(|_| fault("leads out of the title's folder"))?;
    let meta = fs::metadata(&real).map_err(|_| fault("cannot be read"))?;
    if !meta.is_file() {
        return Err(fault("is not a file"));
    }
    if meta.mode() & 0o111 == 0 {
        return Err(fault("is not executable: chmod +x it"));
    }
    runnable(&real).map_err(|why| fault(&why))?;
    Ok(Path::new(TITLE).join(inside))
}

/// A program of the system: it exists and lies where the title can see it.
fn system_command(program: &Path) -> Result<PathBuf, String> {
    const SEEN: [&str; 3] = ["/usr", "/bin", "/sbin"];
    if !SEEN.iter().any(|seen| program.starts_with(seen)) {
        return Err("is neither in /title nor in /usr, and a title sees nothing else".to_owned());
    }
    match fs::metadata(program) {
        Ok(meta) if meta.is_file() && meta.mode() & 0o111 != 0 => {
            runnable(program).map(|()| program.to_owned())
        }
        Ok(_) => Err("is not a program".to_owned()),
        Err(_) => Err("does not exist on this host: install the package that the title requires".to_owned()),
    }
}

/// What cannot be read here says at its start why it does not run.
fn runnable(program: &Path) -> Result<(), String> {
    unrunnable(program).ok().flatten().map_or(Ok(()), Err)
}

fn check_link(root: &Path, link: &Path) -> Result<(), SandboxError> {
    let target = fs::read_link(link).tried(format!("the link {}", link.display()))?;
    let leaves =
        || refused(link, &format!("is a symlink to {}, which leaves the title's folder", target.display()));
    if target.is_absolute() {
        return Err(leaves());
    }
    // A link that leads nowhere is harmless where it stays inside by its letters alone.
    match fs::canonicalize(link) {
        Ok(real) if real.starts_with(root) => {}
        Ok(_) => return Err(leaves()),
        Err(_) if stays_inside(root, link, &target) => {}
        Err(_) => return Err(leaves()),
    }
    Ok(())
}

/// Whether `target`, seen from `link`, never climbs above `root`, taking every part for a plain folder.
fn stays_inside(root: &Path, link: &Path, target: &Path) -> bool {
    let Some(Ok(folder)) = link.parent().map(|parent| parent.strip_prefix(root)) else { return false };
    let mut depth = folder.components().count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::CurDir => {}
            _ => return false,
        }
    }
    true
}

/// Refuses what only its owner may read, when the title's user is another.
fn readable(path: &Path, needed: u32, others: bool) -> Result<(), SandboxError> {
    if !others {
        return Ok(());
    }
    let mode = fs::metadata(path).tried(path.display().to_string())?.mode();
    if mode & needed != needed {
        return Err(refused(
            path,
            "cannot be read by the user that titles run as: chmod -R o+rX the title's folder",
        ));
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> SandboxError {
    SandboxError::Bundle { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("game"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(dir.path().join("game"), fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn links_within_the_folder_are_allowed() {
        let dir = folder();
        symlink("../../game", dir.path().join("a/b/game")).unwrap();
        symlink("../missing", dir.path().join("a/dangling")).unwrap();
        check_bundle(dir.path(), false).unwrap();
    }

    #[test]
    fn links_that_leave_the_folder_are_refused() {
        for (target, at) in [
            ("/etc/passwd", "x"),
            ("/title/game", "x"),
            ("../../etc", "a/x"),
            ("../../../missing", "a/b/x"),
            ("b/../../../../..", "a/x"),
        ] {
            let dir = folder();
            symlink(target, dir.path().join(at)).unwrap();
            let error = check_bundle(dir.path(), false).unwrap_err().to_string();
            assert!(error.contains("leaves the title's folder"), "{target}: {error}");
        }
        // Through a link that is itself inside: `up` is `a`, so `up/../..` climbs out only for the kernel.
        let dir = folder();
        symlink("a/b", dir.path().join("down")).unwrap();
        symlink("down/../../..", dir.path().join("out")).unwrap();
        assert!(check_bundle(dir.path(), false).is_err());
    }

    #[test]
    fn a_folder_closed_to_others_is_refused_for_another_user() {
        let dir = folder();
        let close = |name: &str, mode| {
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let refused =
            || check_bundle(dir.path(), true).is_err_and(|error| error.to_string().contains("chmod -R o+rX"));
        close("", 0o755);
        check_bundle(dir.path(), true).unwrap();
        for (name, closed, open) in [("", 0o700, 0o755), ("a/b", 0o750, 0o755), ("game", 0o770, 0o755)] {
            close(name, closed);
            assert!(refused(), "{name}");
            check_bundle(dir.path(), false).unwrap();
            close(name, open);
        }
    }

    #[test]
    fn folders_within_each_other_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["title/in", "home/in", "session/in"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let check = |title, home, session| {
            check_apart(&fs::canonicalize(at(title)).unwrap(), &at(home), &at(session))
        };
        check("title", "home", "session").unwrap();
        check("title", "session/in", "session").unwrap();
        check("title", "title/in", "session").unwrap_err();
        check("home/in", "home", "session").unwrap_err();
        check("title", "home", "home/in").unwrap_err();
        check("title", "home", "home").unwrap_err();
        check("title", "home", "title/in").unwrap_err();
    }

    #[test]
    fn pipes_and_sockets_are_refused() {
        let dir = folder();
        let _listening = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(check_bundle(dir.path(), false).unwrap_err().to_string().contains("is a socket"));
    }

    #[test]
    fn a_relative_command_is_a_program_of_the_folder() {
        let dir = folder();
        let root = check_bundle(dir.path(), false).unwrap();
        let resolve = |command: &str| resolve_command(&root, OsStr::new(command));
        assert_eq!(resolve("game").unwrap(), Path::new("/title/game"));
        assert_eq!(resolve("./game").unwrap(), Path::new("/title/game"));
        assert_eq!(resolve("/title/game").unwrap(), Path::new("/title/game"));
        assert_eq!(resolve("/usr/bin/env").unwrap(), Path::new("/usr/bin/env"));
        for wrong in
            ["", "sh", "../game", "/title/../usr/bin/env", "a", "/etc/passwd", "/usr/bin/no-such-program"]
        {
            resolve(wrong).unwrap_err();
        }
    }
}

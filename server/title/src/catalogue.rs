//! The titles of a folder.
//!
//! Every folder below it that holds a `title.toml` is a title; folders inside a title are its own.

pub use crate::shipped::{missing_packages, shipped};
use nearframe_protocol::title::{
    TitleEntry, TitleError, TitleKind, TitleManifest, TouchControls, parse_touch_layouts, tree_hash,
};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The file that makes a folder a title.
pub const MANIFEST_FILE: &str = "title.toml";
/// Largest cover picture, in bytes: it travels to the matchmaker in one message.
pub const MAX_COVER_BYTES: u64 = 256 * 1024;

/// Folders deeper than this are no catalogue any more.
const MAX_DEPTH: u32 = 6;
/// Titles of one folder; a catalogue page shows no more.
const MAX_TITLES: usize = 1024;
/// Files of one title, so that a mistaken folder (`/`) is refused instead of read for hours.
const MAX_FILES: usize = 20_000;
/// A manifest is a page of text.
const MAX_MANIFEST_BYTES: u64 = 64 * 1024;
/// Widest or highest cover, in px.
const MAX_COVER_PX: u32 = 4096;

/// A title that can be offered.
#[derive(Clone, Debug)]
pub struct LoadedTitle {
    /// What its `title.toml` says.
    pub manifest: TitleManifest,
    /// Where its files lie.
    pub dir: PathBuf,
    /// How the catalogue lists it. `cover` is empty: where it is served is the server's to say.
    pub entry: TitleEntry,
    /// The cover's bytes: PNG, JPEG or WebP that decodes, at most [`MAX_COVER_BYTES`].
    pub cover: Option<Vec<u8>>,
}

/// A folder that looks like a title but cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", dir.display())]
pub struct LoadError {
    /// Which.
    pub dir: PathBuf,
    /// Why.
    #[source]
    pub reason: LoadReason,
}

/// Why a title cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum LoadReason {
    /// A file or folder cannot be read or, for a shipped title, written.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// `title.toml` is wrong.
    #[error("{MANIFEST_FILE}: {0}")]
    Manifest(#[from] TitleError),
    /// The cover is too large or no picture.
    #[error("cover {name:?}: {problem}")]
    Cover {
        /// What the manifest names.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file with touch layouts is wrong.
    #[error("{}: {error}", path.display())]
    Touch {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: TitleError,
    },
    /// `run.command` names nothing that can be started.
    #[error(
        "run.command: {}: {problem}{}",
        path.display(),
        if packages.is_empty() { String::new() } else { format!("; install {}", packages.join(" ")) }
    )]
    Program {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// Packages that would bring it.
        packages: Vec<String>,
    },
    /// Something in the folder does not belong into a title.
    #[error("{}: {problem}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two folders claim one id; the first in path order is offered.
    #[error("its id is already taken by {}", first.display())]
    Duplicate {
        /// The folder that keeps the id.
        first: PathBuf,
    },
}

/// Finds and loads all titles below `dir` (and `dir` itself), in path order. Hidden folders and
/// symbolic links to folders are not entered. What cannot be loaded is reported and left out.
pub fn load_dir(dir: &Path) -> (Vec<LoadedTitle>, Vec<LoadError>) {
    let (mut titles, mut errors) = (Vec::<LoadedTitle>::new(), Vec::new());
    let mut found = Vec::new();
    find_titles(dir, 0, &mut found, &mut errors);
    for dir in found {
        match load_title(&dir) {
            Ok(title) => match titles.iter().find(|other| other.entry.id == title.entry.id) {
                Some(other) => {
                    let reason = LoadReason::Duplicate { first: other.dir.clone() };
                    errors.push(LoadError { dir, reason });
                }
                None => titles.push(title),
            },
            Err(reason) => errors.push(LoadError { dir, reason }),
        }
    }
    (titles, errors)
}

/// Loads the title in `dir`: manifest, cover and the hash of all its files.
///
/// # Errors
/// Anything that keeps it from being offered.
pub fn load_title(dir: &Path) -> Result<LoadedTitle, LoadReason> {
    let text = read_bounded(&dir.join(MANIFEST_FILE), MAX_MANIFEST_BYTES)?;
    let text = String::from_utf8(text)
        .map_err(|_| LoadReason::Content { path: dir.join(MANIFEST_FILE), problem: "is not UTF-8 text" })?;
    let manifest = TitleManifest::parse(&text)?;
    let cover = manifest.cover.as_deref().map(|name| read_cover(dir, name)).transpose()?;
    let touch = read_touch(dir, &manifest)?;
    check_program(dir, &manifest)?;
    let mut files = Vec::new();
    hash_files(dir, "", &mut files)?;
    let hash = tree_hash(files.iter().map(|(path, len, content)| (path.as_str(), *len, *content)));
    let entry = TitleEntry {
        id: manifest.id.clone(),
        kind: manifest.run.kind,
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        hash,
        description: manifest.description.clone(),
        cover: None,
        width: manifest.run.width,
        height: manifest.run.height,
        fps: manifest.run.fps,
        controls: manifest.controls.clone(),
        touch,
    };
    Ok(LoadedTitle { manifest, dir: dir.to_path_buf(), entry, cover })
}

fn find_titles(dir: &Path, depth: u32, found: &mut Vec<PathBuf>, errors: &mut Vec<LoadError>) {
    if found.len() >= MAX_TITLES {
        return;
    }
    if dir.join(MANIFEST_FILE).is_file() {
        found.push(dir.to_path_buf());
        return;
    }
    match sorted_entries(dir) {
        Ok(entries) => {
            let inner = entries.into_iter().filter(|(name, kind, _)| kind.is_dir() && !name.starts_with('.'));
            if depth < MAX_DEPTH {
                inner.for_each(|(_, _, path)| find_titles(&path, depth + 1, found, errors));
            }
        }
        Err(reason) => errors.push(LoadError { dir: dir.to_path_buf(), reason }),
    }
}

type Entry = (String, std::fs::FileType, PathBuf);

fn sorted_entries(dir: &Path) -> Result<Vec<Entry>, LoadReason> {
    let failed = |error| LoadReason::Read { path: dir.to_path_buf(), error };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| LoadReason::Content { path: path.clone(), problem: "its name is not UTF-8" })?;
        entries.push((name, entry.file_type().map_err(failed)?, path));
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

fn hash_files(dir: &Path, prefix: &str, files: &mut Vec<(String, u64, [u8; 32])>) -> Result<(), LoadReason> {
    for (name, kind, path) in sorted_entries(dir)? {
        let relative = format!("{prefix}{name}");
        if kind.is_dir() {
            hash_files(&path, &format!("{relative}/"), files)?;
        } else if !kind.is_file() {
            return Err(LoadReason::Content { path, problem: "is neither a file nor a folder" });
        } else if files.len() == MAX_FILES {
            return Err(LoadReason::Content { path, problem: "the title has more than 20000 files" });
        } else {
            let failed = |error| LoadReason::Read { path: path.clone(), error };
            let mut hasher = blake3::Hasher::new();
            let file = std::fs::File::open(&path).map_err(failed)?;
            hasher.update_reader(file).map_err(failed)?;
            files.push((relative, hasher.count(), *hasher.finalize().as_bytes()));
        }
    }
    Ok(())
}

/// The touch controls with the layouts of the file that the manifest names.
fn read_touch(dir: &Path, manifest: &TitleManifest) -> Result<TouchControls, LoadReason> {
    let mut touch = manifest.touch.clone();
    if let Some(name) = touch.layout.take() {
        let path = dir.join(name);
        let wrong = |error| LoadReason::Touch { path: path.clone(), error };
        let text = String::from_utf8(read_bounded(&path, MAX_MANIFEST_BYTES)?)
            .map_err(|_| LoadReason::Content { path: path.clone(), problem: "is not UTF-8 text" })?;
        touch.layouts = parse_touch_layouts(&text).map_err(wrong)?;
    }
    Ok(touch)
}

/// A program must be there and be one; whether it lies in the folder or on the machine, its manifest says.
fn check_program(dir: &Path, manifest: &TitleManifest) -> Result<(), LoadReason> {
    let Some(program) = manifest.run.command.first().filter(|_| manifest.run.kind == TitleKind::App) else {
        return Ok(());
    };
    let path = dir.join(program);
    let file = std::fs::metadata(&path).map_err(|error| LoadReason::Program {
        path: path.clone(),
        problem: error.to_string(),
        packages: manifest.requires.packages.clone(),
    })?;
    if !file.is_file() || file.permissions().mode() & 0o111 == 0 {
        return Err(LoadReason::Program {
            path,
            problem: "is no program: make it executable (chmod +x)".to_owned(),
            packages: Vec::new(),
        });
    }
    match nearframe_sandbox::unrunnable(&path) {
        Ok(None) => Ok(()),
        Ok(Some(problem)) => Err(LoadReason::Program { path, problem, packages: Vec::new() }),
        Err(error) => Err(LoadReason::Read { path, error }),
    }
}

fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>, LoadReason> {
    let failed = |error| LoadReason::Read { path: path.to_path_buf(), error };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max_bytes {
        return Err(failed(io::Error::other(format!("larger than {} KiB", max_bytes / 1024))));
    }
    Ok(bytes)
}

fn read_cover(dir: &Path, name: &str) -> Result<Vec<u8>, LoadReason> {
    let bytes = read_bounded(&dir.join(name), MAX_COVER_BYTES)?;
    let wrong = |problem: String| LoadReason::Cover { name: name.to_owned(), problem };
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_COVER_PX), Some(MAX_COVER_PX));
    let mut reader = image::ImageReader::new(io::Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|error| wrong(error.to_string()))?;
    reader.limits(limits);
    reader.decode().map_err(|error| wrong(format!("no PNG, JPEG or WebP that decodes: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "name = \"A\"\nversion = \"1\"\n[run]\nkind = \"builtin\"\nbuiltin = \"testcard\"\n";

    fn write(root: &Path, path: &str, content: &[u8]) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn png() -> Vec<u8> {
        let mut bytes = io::Cursor::new(Vec::new());
        image::RgbImage::new(8, 8).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn titles_are_found_at_any_depth_and_broken_ones_do_not_hide_the_others() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "one/title.toml", format!("id = \"one\"\ncover = \"c.png\"\n{CARD}").as_bytes());
        write(root.path(), "one/c.png", &png());
        write(root.path(), "studio/two/title.toml", format!("id = \"two\"\n{CARD}").as_bytes());
        write(root.path(), "studio/two/data/title.toml", b"part of two, no title");
        write(root.path(), "again/title.toml", format!("id = \"two\"\n{CARD}").as_bytes());
        write(root.path(), "broken/title.toml", b"id = 3");
        write(root.path(), ".hidden/title.toml", b"id = 3");
        let (titles, errors) = load_dir(root.path());
        let ids: Vec<_> = titles.iter().map(|title| title.entry.id.as_str()).collect();
        assert_eq!(ids, ["two", "one"]);
        assert_eq!(titles[1].cover, Some(png()));
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].to_string().contains("broken"));
        assert!(matches!(errors[1].reason, LoadReason::Duplicate { .. }));
    }

    #[test]
    fn the_hash_covers_every_file() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "title.toml", format!("id = \"a\"\n{CARD}").as_bytes());
        let before = load_title(root.path()).unwrap().entry.hash;
        assert_eq!(before, load_title(root.path()).unwrap().entry.hash);
        write(root.path(), "deep/data", b"1");
        let after = load_title(root.path()).unwrap().entry.hash;
        assert_ne!(before, after);
        write(root.path(), "deep/data", b"2");
        assert_ne!(after, load_title(root.path()).unwrap().entry.hash);
    }

    #[test]
    fn a_cover_that_is_missing_too_large_or_no_picture_is_refused() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "title.toml", format!("id = \"a\"\ncover = \"c.png\"\n{CARD}").as_bytes());
        assert!(matches!(load_title(root.path()), Err(LoadReason::Read { .. })));
        write(root.path(), "c.png", b"<svg/>");
        assert!(matches!(load_title(root.path()), Err(LoadReason::Cover { .. })));
        write(root.path(), "c.png", &vec![0; MAX_COVER_BYTES as usize + 1]);
        let error = load_title(root.path()).unwrap_err().to_string();
        assert!(error.contains("256 KiB"), "{error}");
    }

    #[test]
    fn a_program_that_cannot_run_here_is_refused_with_the_reason() {
        let root = tempfile::tempdir().unwrap();
        let manifest =
            "id = \"a\"\nname = \"A\"\nversion = \"1\"\n[run]\nkind = \"app\"\ncommand = [\"game\"]\n";
        write(root.path(), "title.toml", manifest.as_bytes());
        let mut old = b"\x7fELF\x01\x01\x01".to_vec();
        old.resize(64, 0);
        for (content, says) in [(&old[..], "32-bit program"), (b"MZ", "Windows"), (b"text", "#!")] {
            write(root.path(), "game", content);
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(root.path().join("game"), executable).unwrap();
            let error = load_title(root.path()).unwrap_err().to_string();
            assert!(error.contains("run.command") && error.contains(says), "{error}");
        }
        write(root.path(), "game", b"#!/bin/sh\n");
        load_title(root.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "title.toml", format!("id = \"a\"\n{CARD}").as_bytes());
        std::os::unix::fs::symlink("/etc/hostname", root.path().join("link")).unwrap();
        assert!(matches!(load_title(root.path()), Err(LoadReason::Content { .. })));
    }
}

//! The titles that ship, embedded, so that a binary works without its source tree.

use crate::catalogue::{LoadError, LoadReason, LoadedTitle, load_dir};
use nearframe_protocol::title::TitleManifest;
use std::io;
use std::path::{Path, PathBuf};

macro_rules! shipped_file {
    ($path:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../titles/", $path))
    };
}

type File = (&'static str, &'static [u8]);

const SHIPPED: &[(&str, &[File])] = &[
    (
        "freedoom",
        &[
            ("cover.png", shipped_file!("freedoom/cover.png")),
            ("engine.cfg", shipped_file!("freedoom/engine.cfg")),
            ("title.toml", shipped_file!("freedoom/title.toml")),
            ("touch.toml", shipped_file!("freedoom/touch.toml")),
        ],
    ),
    (
        "meteor",
        &[
            ("cover.png", shipped_file!("meteor/cover.png")),
            ("title.toml", shipped_file!("meteor/title.toml")),
        ],
    ),
    (
        "scene",
        &[
            ("cover.png", shipped_file!("scene/cover.png")),
            ("scene.glb", shipped_file!("scene/scene.glb")),
            ("title.toml", shipped_file!("scene/title.toml")),
        ],
    ),
    (
        "testcard",
        &[
            ("cover.png", shipped_file!("testcard/cover.png")),
            ("title.toml", shipped_file!("testcard/title.toml")),
        ],
    ),
];

/// Unpacks the shipped titles below `data_dir/titles/` where they are missing or differ, and loads all
/// titles of that folder.
///
/// Each title appears whole or not at all: it is written beside its place and renamed into it.
///
/// What cannot be written or loaded is reported and left out.
pub fn shipped(data_dir: &Path) -> (Vec<LoadedTitle>, Vec<LoadError>) {
    let root = data_dir.join("titles");
    let mut unwritten = Vec::new();
    for (id, files) in SHIPPED {
        let place = root.join(id);
        if holds_exactly(&place, files) {
            continue;
        }
        if let Err(error) = replace(&root, id, files) {
            unwritten.push(LoadError { dir: place.clone(), reason: LoadReason::Read { path: place, error } });
        }
    }
    let (titles, mut errors) = load_dir(&root);
    errors.extend(unwritten);
    (titles, errors)
}

/// Shipped titles that play with programs of the system: their names, and the packages whose program is missing.
pub fn missing_packages() -> Vec<(String, Vec<String>)> {
    let manifests =
        SHIPPED.iter().flat_map(|(_, files)| files.iter()).filter(|(name, _)| *name == "title.toml");
    let parsed = manifests.filter_map(|(_, text)| TitleManifest::parse(std::str::from_utf8(text).ok()?).ok());
    parsed
        .filter(|title| title.run.command.first().is_some_and(|program| !Path::new(program).exists()))
        .map(|title| (title.name, title.requires.packages))
        .collect()
}

fn holds_exactly(dir: &Path, files: &[File]) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.count() == files.len()
        && files
            .iter()
            .all(|(name, content)| std::fs::read(dir.join(name)).is_ok_and(|have| have == *content))
}

fn replace(root: &Path, id: &str, files: &[File]) -> io::Result<()> {
    let aside = |role: &str| -> PathBuf { root.join(format!(".{role}-{id}-{}", std::process::id())) };
    let (fresh, stale, place) = (aside("new"), aside("old"), root.join(id));
    remove(&fresh)?;
    remove(&stale)?;
    std::fs::create_dir_all(&fresh)?;
    for (name, content) in files {
        std::fs::write(fresh.join(name), content)?;
    }
    match std::fs::rename(&place, &stale) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => std::fs::rename(&fresh, &place)?,
    }
    remove(&stale)
}

fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_titles_load_with_covers_and_controls() {
        let data = tempfile::tempdir().unwrap();
        let (titles, errors) = shipped(data.path());
        assert!(errors.is_empty(), "{errors:?}");
        let ids: Vec<_> = titles.iter().map(|title| title.entry.id.as_str()).collect();
        assert_eq!(ids, ["freedoom", "meteor", "scene", "testcard"]);
        for title in titles {
            let cover = title.cover.expect("every shipped title has a cover");
            assert!(cover.len() <= 200 * 1024, "{} cover is {} bytes", title.entry.id, cover.len());
            assert!(!title.entry.controls.is_empty() && !title.entry.description.is_empty());
        }
    }

    #[test]
    fn a_damaged_copy_is_repaired_and_an_intact_one_left_alone() {
        let data = tempfile::tempdir().unwrap();
        shipped(data.path());
        let manifest = data.path().join("titles/meteor/title.toml");
        let intact = data.path().join("titles/scene/scene.glb");
        let written = std::fs::metadata(&intact).unwrap().modified().unwrap();
        std::fs::write(&manifest, "rubbish").unwrap();
        std::fs::write(data.path().join("titles/meteor/more"), "rubbish").unwrap();
        let (titles, errors) = shipped(data.path());
        assert_eq!((titles.len(), errors.len()), (4, 0));
        assert_eq!(std::fs::metadata(&intact).unwrap().modified().unwrap(), written);
        let left = std::fs::read_dir(data.path().join("titles")).unwrap().count();
        assert_eq!(left, 4, "nothing stays beside the titles");
    }
}

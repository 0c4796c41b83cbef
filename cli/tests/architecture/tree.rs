//! The project's own source files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of what is built, downloaded, generated or played.
const NOT_OURS: [&str; 8] =
    ["target", "node_modules", "dist", "generated", "results", "test-results", ".git", ".nearframe"];

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every source file with one of `extensions`: its path from the top, and its text.
pub(crate) fn sources(extensions: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root(), extensions, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no sources found");
    found
}

fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_symlink() || NOT_OURS.contains(&name) {
            continue;
        }
        if path.is_dir() {
            collect(&path, extensions, found);
            continue;
        }
        let fits = path.extension().and_then(OsStr::to_str).is_some_and(|end| extensions.contains(&end));
        if fits && !name.starts_with("generated") {
            let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push((shown, fs::read_to_string(&path).unwrap()));
        }
    }
}

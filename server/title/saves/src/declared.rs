//! The paths that a title declares as its saves.

use crate::{Limits, SaveError};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A declared path: names below the home, at least one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Declared(Vec<String>);

impl Declared {
    /// Reads the declared paths, sorted; a path below another declared one is part of that one.
    pub(crate) fn read(paths: &[String], limits: &Limits) -> Result<Vec<Self>, SaveError> {
        let mut all = paths.iter().map(|path| Self::parse(path, limits)).collect::<Result<Vec<_>, _>>()?;
        all.sort();
        let mut kept: Vec<Self> = Vec::new();
        for declared in all {
            // Sorted by names, what stands below a path follows it.
            if !kept.last().is_some_and(|last| declared.0.starts_with(&last.0)) {
                kept.push(declared);
            }
        }
        Ok(kept)
    }

    fn parse(path: &str, limits: &Limits) -> Result<Self, SaveError> {
        let bad = |why| Err(SaveError::BadPath { path: path.to_owned(), why });
        if path.starts_with('/') {
            return bad("is absolute");
        }
        if path.len() > limits.path_bytes {
            return bad("is too long");
        }
        let names: Vec<_> = path.trim_end_matches('/').split('/').collect();
        if names.len() > limits.depth {
            return bad("has too many folders");
        }
        if names.iter().any(|name| !is_name(name.as_bytes())) {
            return bad("has an empty name, `.`, `..` or a NUL in it");
        }
        Ok(Self(names.into_iter().map(str::to_owned).collect()))
    }

    /// The folders above it, and its own name.
    pub(crate) fn split(&self) -> (impl Iterator<Item = &OsStr>, &OsStr) {
        let (last, above) = self.0.split_last().expect("a declared path has a name");
        (above.iter().map(OsStr::new), OsStr::new(last))
    }

    /// Its bytes, `/`-separated.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.join("/").into_bytes()
    }

    /// The names of `path` below this one: empty for the path itself, `None` for one elsewhere.
    pub(crate) fn below<'p>(&self, path: &[&'p OsStr]) -> Option<Vec<&'p OsStr>> {
        let same =
            path.len() >= self.0.len() && self.0.iter().zip(path).all(|(own, name)| OsStr::new(own) == *name);
        same.then(|| path[self.0.len()..].to_vec())
    }
}

/// Whether these bytes can name one file in a folder.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

/// The names of a `/`-separated path.
pub(crate) fn names(path: &[u8]) -> Vec<&OsStr> {
    path.split(|byte| *byte == b'/').map(OsStr::from_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(paths: &[&str]) -> Result<Vec<String>, SaveError> {
        let paths: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
        let read = Declared::read(&paths, &Limits::default())?;
        Ok(read.iter().map(|path| String::from_utf8(path.to_bytes()).unwrap()).collect())
    }

    #[test]
    fn a_path_below_another_is_part_of_it() {
        let read = read(&["b/c/d", "b", "a-x", "a/y", "a", "b", "saves/"]).unwrap();
        assert_eq!(read, ["a", "a-x", "b", "saves"]);
    }

    #[test]
    fn a_path_that_leaves_the_home_is_refused_by_name() {
        for path in
            ["", "/", "/etc", "..", "a/../..", "./a", "a//b", "a\0b", &"x".repeat(600), &"a/".repeat(40)]
        {
            let error = read(&[path]).unwrap_err();
            assert!(matches!(error, SaveError::BadPath { .. }), "{path:?}: {error}");
        }
    }
}

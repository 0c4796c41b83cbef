//! Titles: `title.toml`, hashes and catalogue entries.
//!
//! A title is known as (id, version, BLAKE3 tree hash). Its folder holds `title.toml` and the files it
//! names.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// `[a-z0-9-]{1,64}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "meteor")]
pub struct TitleId(String);

impl TitleId {
    /// Checks and wraps an id.
    pub fn new(id: &str) -> Result<Self, TitleError> {
        let fits = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(id.to_owned())) } else { Err(TitleError::Id) }
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for TitleId {
    type Error = TitleError;
    fn try_from(id: String) -> Result<Self, TitleError> {
        Self::new(&id)
    }
}
impl From<TitleId> for String {
    fn from(id: TitleId) -> String {
        id.0
    }
}
impl fmt::Display for TitleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for TitleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TitleId({})", self.0)
    }
}

crate::key::hex_bytes!(
    /// BLAKE3 tree hash of a title's folder, see [`tree_hash`].
    TitleHash,
    32
);
use crate::key::KeyError;

/// Hashes a folder's files: BLAKE3 over, for each path in byte order, the path's length u32 LE, the
/// path (relative, `/`-separated, UTF-8), the content's length u64 LE, and the content's BLAKE3 hash.
pub fn tree_hash<'a>(files: impl IntoIterator<Item = (&'a str, u64, [u8; 32])>) -> TitleHash {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable_by_key(|(path, ..)| *path);
    let mut hasher = blake3::Hasher::new();
    for (path, len, content) in files {
        hasher.update(&(path.len() as u32).to_le_bytes());
        hasher.update(path.as_bytes());
        hasher.update(&len.to_le_bytes());
        hasher.update(&content);
    }
    TitleHash(*hasher.finalize().as_bytes())
}

/// What `title.toml` says. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TitleManifest {
    /// Stable id.
    pub id: TitleId,
    /// What players call it.
    pub name: String,
    /// Version as the studio counts.
    pub version: String,
    /// One or two sentences for the catalogue.
    #[serde(default)]
    pub description: String,
    /// Cover picture (PNG, JPEG or WebP) below the title's folder.
    #[serde(default)]
    pub cover: Option<String>,
    /// How it runs.
    pub run: Run,
    /// What the catalogue tells the player.
    #[serde(default)]
    pub controls: Vec<ControlHint>,
    /// What the page draws on a touch screen.
    #[serde(default)]
    pub touch: TouchControls,
    /// Limits.
    #[serde(default)]
    pub policy: Policy,
}

/// How a title runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What kind of thing it is.
    pub kind: TitleKind,
    /// For `builtin`: which one.
    #[serde(default)]
    pub builtin: Option<String>,
    /// For `scene`: the `.glb` or `.gltf` below the title's folder.
    #[serde(default)]
    pub scene: Option<String>,
    /// Picture width in pixels, even, 64 to 4096.
    #[serde(default = "default_width")]
    pub width: u32,
    /// Picture height in pixels, even, 64 to 4096.
    #[serde(default = "default_height")]
    pub height: u32,
    /// Frames per second, 1 to 240.
    #[serde(default = "default_fps")]
    pub fps: u32,
}

fn default_width() -> u32 {
    1280
}
fn default_height() -> u32 {
    720
}
fn default_fps() -> u32 {
    60
}

/// Kinds of title that this release runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TitleKind {
    /// Part of the node itself, such as `meteor` and `testcard`.
    Builtin,
    /// A glTF 2.0 scene.
    Scene,
}

/// One line of control hints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlHint {
    /// What it does, such as `Fire`.
    pub action: String,
    /// Keys by `KeyboardEvent.code`, or `Mouse`, `MouseLeft`, `MouseRight`, `Wheel`.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Gamepad controls, such as `A` or `LeftStick`.
    #[serde(default)]
    pub pad: Vec<String>,
    /// Touch gesture in words.
    #[serde(default)]
    pub touch: Option<String>,
}

/// On-screen controls. They act as gamepad 0 of the seat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TouchControls {
    /// Draw a stick that acts as the pad's left stick.
    #[serde(default)]
    pub stick: bool,
    /// Buttons, nearest to the thumb first.
    #[serde(default)]
    pub buttons: Vec<TouchButton>,
}

/// One on-screen button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TouchButton {
    /// What is written on it.
    pub label: String,
    /// Index in the W3C standard gamepad mapping.
    pub button: u8,
}

/// Limits of a title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// A session without input ends after this, in seconds.
    pub idle_timeout_s: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { idle_timeout_s: 300 }
    }
}

impl TitleManifest {
    /// Reads `title.toml`; the error names line and key.
    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let manifest: Self = toml::from_str(text).map_err(|e| TitleError::Syntax(e.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), TitleError> {
        let run = &self.run;
        let bad = |key, allowed| Err(TitleError::Value { key, allowed });
        for (key, value) in [("run.width", run.width), ("run.height", run.height)] {
            if !(64..=4096).contains(&value) || value % 2 == 1 {
                return bad(key, "an even number from 64 to 4096");
            }
        }
        if !(1..=240).contains(&run.fps) {
            return bad("run.fps", "1 to 240");
        }
        if self.name.trim().is_empty() || self.name.len() > 128 {
            return bad("name", "1 to 128 bytes");
        }
        if self.version.is_empty() || self.version.len() > 64 {
            return bad("version", "1 to 64 bytes");
        }
        if self.description.len() > 2000 {
            return bad("description", "at most 2000 bytes");
        }
        match run.kind {
            TitleKind::Builtin if run.builtin.is_none() => bad("run.builtin", "the name of a built-in title"),
            TitleKind::Scene if run.scene.is_none() => bad("run.scene", "a .glb or .gltf file in the folder"),
            _ => {
                [("cover", &self.cover), ("run.scene", &run.scene)].into_iter().try_for_each(|(key, path)| {
                    match path {
                        Some(path) if !is_inside(path) => bad(key, "a relative path without '..'"),
                        _ => Ok(()),
                    }
                })
            }
        }
    }
}

fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// What can be wrong with a title's manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// Bad id.
    #[error("a title id is 1 to 64 of a-z, 0-9 and '-'")]
    Id,
    /// Not TOML, or not these keys. Carries line and column.
    #[error("{0}")]
    Syntax(String),
    /// A value out of range.
    #[error("{key}: allowed is {allowed}")]
    Value {
        /// Dotted key.
        key: &'static str,
        /// What would be right.
        allowed: &'static str,
    },
}

/// A title as nodes announce it and the catalogue lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TitleEntry {
    /// Stable id.
    pub id: TitleId,
    /// What players call it.
    pub name: String,
    /// Version as the studio counts.
    pub version: String,
    /// Tree hash of its folder.
    pub hash: TitleHash,
    /// One or two sentences.
    pub description: String,
    /// Path of the cover picture on this server; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
    /// Picture width, pixels.
    pub width: u32,
    /// Picture height, pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// What to press.
    pub controls: Vec<ControlHint>,
    /// What the page draws on a touch screen.
    pub touch: TouchControls,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "id = \"a-1\"\nname = \"A\"\nversion = \"1\"\n[run]\nkind = \"builtin\"\nbuiltin = \"meteor\"\n";

    #[test]
    fn a_minimal_manifest_has_defaults() {
        let manifest = TitleManifest::parse(GOOD).unwrap();
        assert_eq!((manifest.run.width, manifest.run.height, manifest.run.fps), (1280, 720, 60));
        assert_eq!(manifest.policy.idle_timeout_s, 300);
    }

    #[test]
    fn a_wrong_manifest_is_refused_naming_line_or_key() {
        let unknown = TitleManifest::parse(&format!("{GOOD}speed = 3\n")).unwrap_err().to_string();
        assert!(unknown.contains("line 7") && unknown.contains("speed"), "{unknown}");
        let odd = TitleManifest::parse(&format!("{GOOD}width = 333\n")).unwrap_err().to_string();
        assert!(odd.contains("run.width"), "{odd}");
        let outside = TitleManifest::parse(&format!("cover = \"../x.png\"\n{GOOD}")).unwrap_err().to_string();
        assert!(outside.contains("cover"), "{outside}");
    }

    #[test]
    fn the_tree_hash_depends_on_names_and_content_but_not_on_order() {
        let a = ("a", 1, [1; 32]);
        let b = ("b", 2, [2; 32]);
        assert_eq!(tree_hash([a, b]), tree_hash([b, a]));
        assert_ne!(tree_hash([a, b]), tree_hash([a, ("c", 2, [2; 32])]));
        assert_ne!(tree_hash([a, b]), tree_hash([a, ("b", 2, [3; 32])]));
    }
}

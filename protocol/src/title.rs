//! Titles: `title.toml`, hashes and catalogue entries.
//!
//! A title is known as (id, version, BLAKE3 tree hash). Its folder holds `title.toml` and the files it
//! names.

mod check;

pub use check::{TitleError, parse_touch_layouts};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// What the node must have.
    #[serde(default)]
    pub requires: Requires,
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
    /// For `app`: the program and its arguments. A relative program is a file in the folder.
    #[serde(default)]
    pub command: Vec<String>,
    /// For `app`: which window system it speaks.
    #[serde(default)]
    pub display: Display,
    /// For `app`: further variables of its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// For `app`: files and folders below the title's home that are kept for each player.
    #[serde(default)]
    pub saves: Vec<String>,
    /// Picture width in pixels, even, 64 to 4096.
    #[serde(default = "default_width")]
    pub width: u32,
    /// Picture height in pixels, even, 64 to 4096.
    #[serde(default = "default_height")]
    pub height: u32,
    /// Frames per second, 1 to 240.
    #[serde(default = "default_fps")]
    pub fps: u32,
    /// For `builtin`: it draws in HDR10, this bright. Players who cannot see that get it tone-mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdr: Option<HighDynamicRange>,
}

/// How bright a title draws, cd/m²; displays are told, and tone mapping bends the peak to white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HighDynamicRange {
    /// The brightest pixel, 203 (the white of standard range) to 10000.
    pub peak_nits: u16,
    /// The highest mean of a picture, 1 to the peak.
    pub average_nits: u16,
}

impl Default for HighDynamicRange {
    fn default() -> Self {
        Self { peak_nits: 1000, average_nits: 400 }
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TitleKind {
    /// Part of the node itself, such as `meteor` and `testcard`.
    Builtin,
    /// A glTF 2.0 scene.
    Scene,
    /// An unmodified Linux program under the node's own compositor.
    App,
}

/// Window systems of programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Display {
    /// Wayland.
    Wayland,
    /// X11, through Xwayland.
    X11,
    /// Both are offered and the program chooses; Xwayland starts when it is asked for.
    #[default]
    Auto,
}

/// What a node must have to run the title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requires {
    /// Packages of the node's distribution; `nearframe doctor` says which are missing.
    pub packages: Vec<String>,
    /// Memory that all its processes may use together, in MiB.
    pub memory_mib: u32,
    /// Processes and threads at once.
    pub processes: u32,
    /// Whether it gets the node's GPU; without it, it draws with the CPU.
    pub gpu: bool,
}

impl Default for Requires {
    fn default() -> Self {
        Self { packages: Vec::new(), memory_mib: 2048, processes: 256, gpu: true }
    }
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
    /// In `title.toml`: the file with authored layouts (a list of `[[layouts]]`), below the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Authored layouts; the player switches between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layouts: Vec<TouchLayout>,
}

/// One authored arrangement of on-screen controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TouchLayout {
    /// What the switch says, such as `Play` or `Menu`.
    pub name: String,
    /// The controls.
    pub controls: Vec<TouchControl>,
}

/// What an on-screen control is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TouchControlKind {
    /// Held while touched.
    Button,
    /// A stick: directions or a pad's stick.
    Stick,
    /// Four or eight directions.
    Dpad,
    /// An area that moves the mouse, as when looking around.
    Look,
}

/// One on-screen control. Places are percent of the picture: centre from the left and from the top, size of its
/// height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TouchControl {
    /// What it is.
    pub kind: TouchControlKind,
    /// What is written on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Centre from the left, percent.
    pub x: u8,
    /// Centre from the top, percent.
    pub y: u8,
    /// Diameter, percent of the picture's height.
    pub size: u8,
    /// Keys held by a button, by `KeyboardEvent.code`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Mouse button held by a button or clicked by a tap on a look area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<u8>,
    /// Gamepad button held by a button (W3C standard mapping).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<u8>,
    /// One notch of the wheel by each press of a button: −1 up, 1 down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wheel: Option<i8>,
    /// Keys of a stick's or d-pad's directions: up, left, down, right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directions: Vec<String>,
    /// The pad's stick that a stick acts as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_stick: Option<PadStick>,
    /// Of a look area: mouse motion for the finger's motion, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<u16>,
    /// A button that stays down until it is touched again.
    #[serde(default)]
    pub toggle: bool,
}

/// A gamepad's sticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PadStick {
    /// Left.
    Left,
    /// Right.
    Right,
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
    /// How long a session is kept, frozen, for a player who is gone, in seconds.
    pub keep_s: u32,
    /// Who vouches for it; hosts choose what they accept.
    pub trust: Trust,
    /// Regions that may run it (ISO 3166 codes); empty: anywhere.
    pub regions: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { idle_timeout_s: 300, keep_s: 120, trust: Trust::Sandboxed, regions: Vec::new() }
    }
}

/// How far a title is trusted. All programs run in the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nobody vouches for it. It gets no GPU driver to talk to: it draws with the CPU.
    #[default]
    Sandboxed,
    /// The host has looked at it.
    Reviewed,
}

/// A title as nodes announce it and the catalogue lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TitleEntry {
    /// Stable id.
    pub id: TitleId,
    /// What kind of thing it is.
    pub kind: TitleKind,
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

    #[test]
    fn the_tree_hash_depends_on_names_and_content_but_not_on_order() {
        let a = ("a", 1, [1; 32]);
        let b = ("b", 2, [2; 32]);
        assert_eq!(tree_hash([a, b]), tree_hash([b, a]));
        assert_ne!(tree_hash([a, b]), tree_hash([a, ("c", 2, [2; 32])]));
        assert_ne!(tree_hash([a, b]), tree_hash([a, ("b", 2, [3; 32])]));
    }
}

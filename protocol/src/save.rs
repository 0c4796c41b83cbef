//! A player's saved games on their way: packs, their versions, and what lets a node move them.
//!
//! A *pack* is an opaque archive of one title's saves, known by the BLAKE3 hash of its bytes. The node's
//! agent sends packs to `PUT /v1/sessions/{id}/save` and takes the one to restore from `GET` on the same
//! path, both with the session's save token as `Authorization: Bearer …`.

use crate::key::KeyError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// Largest pack, in bytes.
pub const MAX_PACK_BYTES: u64 = 64 * 1024 * 1024;
/// Request header of a pack that is sent: its [`PackHash`] as hex.
pub const HASH_HEADER: &str = "nearframe-save-hash";
/// Request header of a pack that is sent: the [`SaveVersion`] that the session started from, if any.
pub const BASED_ON_HEADER: &str = "nearframe-save-based-on";

crate::key::hex_bytes!(
    /// BLAKE3 hash of a pack's bytes.
    PackHash,
    32
);

impl FromStr for PackHash {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::try_from(text.to_owned())
    }
}

/// Which save of a player's title: grows by one with each one kept, and is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct SaveVersion(pub u64);

impl fmt::Display for SaveVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A save that is kept by the matchmaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SaveRef {
    /// Its version.
    pub version: SaveVersion,
    /// Of the pack's bytes.
    pub hash: PackHash,
    /// Length of the pack.
    pub size_bytes: u64,
}

/// What lets a node move the saves of one session: they belong to the session's guest and title alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveGrant {
    /// Secret; opens the session's save door while the session is open and ten minutes longer.
    pub token: String,
    /// What to restore before the title starts; absent when nothing was saved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<SaveRef>,
}

/// Without the token, so that it reaches no log.
impl fmt::Debug for SaveGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaveGrant").field("restore", &self.restore).finish_non_exhaustive()
    }
}

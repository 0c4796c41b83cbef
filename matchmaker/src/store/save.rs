//! Saves as the store keeps them.
//!
//! Versions count up in the order in which packs arrive. Which one is *current*, and thus restored next,
//! follows play instead: of the newest session (by its creation), in its newest generation, the newest
//! version. So a pack that a node could hand in only later, when its player had already gone on
//! elsewhere, is kept beside the newer play and never takes its place.

use super::Hash;
use nearframe_protocol::{
    Generation, GuestId, PackHash, SaveVersion, SessionId, TitleId, api,
    save::{SaveGrant, SaveRef},
};

/// A pack that arrived for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSave {
    /// Whose and of which title is known from its session.
    pub session: SessionId,
    /// The generation that sent it.
    pub generation: Generation,
    /// What the session started from, as the node says.
    pub based_on: Option<SaveVersion>,
    /// Of the pack.
    pub hash: PackHash,
    /// Length of the pack.
    pub size_bytes: u64,
    /// Version of the title, empty where unknown.
    pub title_version: String,
    /// Now, Unix ms.
    pub now_ms: u64,
    /// Titles of which a guest may have saves.
    pub most_titles: u32,
    /// Newest versions that stay; the current one stays in any case.
    pub most_versions: u32,
}

/// A save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveRow {
    /// Of which title.
    pub title: TitleId,
    /// Its version.
    pub version: SaveVersion,
    /// Whether it is restored next.
    pub current: bool,
    /// The version it goes on from.
    pub based_on: Option<SaveVersion>,
    /// Of the pack.
    pub hash: PackHash,
    /// Length of the pack.
    pub size_bytes: u64,
    /// Version of the title, empty where unknown.
    pub title_version: String,
    /// The session that made it.
    pub session: SessionId,
    /// Unix ms.
    pub created_at_ms: u64,
}

/// What became of a pack that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is a new version.
    New(SaveRow),
    /// It is what this session sent last, or what is current already.
    Same(SaveRow),
    /// The guest has saves of as many titles as a guest may have.
    TooManyTitles,
    /// The session was never leased here.
    UnknownSession,
}

/// Identifies the saves of one guest and title.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaveOwner {
    /// Whose.
    pub guest: GuestId,
    /// Of which title.
    pub title: TitleId,
}

impl SaveRow {
    /// The hash as the assets know it.
    pub fn asset(&self) -> Hash {
        *self.hash.as_bytes()
    }

    /// How the link names it.
    pub fn reference(&self) -> SaveRef {
        SaveRef { version: self.version, hash: self.hash, size_bytes: self.size_bytes }
    }

    /// What a node needs to go on from it.
    pub fn grant(restore: Option<&Self>, token: String) -> SaveGrant {
        SaveGrant { token, restore: restore.map(Self::reference) }
    }
}

impl From<SaveRow> for api::Save {
    fn from(row: SaveRow) -> Self {
        Self {
            title: row.title,
            version: row.version,
            current: row.current,
            based_on: row.based_on,
            hash: row.hash,
            size_bytes: row.size_bytes,
            title_version: row.title_version,
            session: row.session,
            created_at_ms: row.created_at_ms,
        }
    }
}

impl NewSave {
    /// The save that this pack repeats: what the session sent last, or what is current already. `rows`
    /// are all of the title, newest version first.
    pub(super) fn same_as<'r>(&self, rows: &'r [SaveRow]) -> Option<&'r SaveRow> {
        let own = rows.iter().find(|row| row.session == self.session);
        let current = rows.iter().find(|row| row.current);
        [own, current].into_iter().flatten().find(|row| row.hash == self.hash)
    }

    /// The version that `version` goes on from: what its session saved before, or what it started from.
    pub(super) fn base(&self, rows: &[SaveRow], version: SaveVersion) -> Option<SaveVersion> {
        let own = rows.iter().find(|row| row.session == self.session).map(|row| row.version);
        own.or(self.based_on.filter(|base| *base < version))
    }
}

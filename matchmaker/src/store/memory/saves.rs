//! Saves in memory.

use super::super::{Hash, NewSave, NewSession, SaveOwner, SaveRow, Saved};
use nearframe_protocol::{Generation, GuestId, SaveVersion, SessionId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// When a save was played: the largest is current.
type Played = (u64, SessionId, Generation, SaveVersion);

#[derive(Debug, Default, Clone)]
pub(super) struct Saves {
    rows: BTreeMap<SaveOwner, Vec<(Played, SaveRow)>>,
    last_version: HashMap<SaveOwner, SaveVersion>,
    unreferenced: HashMap<Hash, u64>,
}

impl Saves {
    pub(super) fn of_title(&self, owner: &SaveOwner) -> Vec<SaveRow> {
        let rows = self.rows.get(owner).map_or(&[][..], Vec::as_slice);
        let current = rows.iter().map(|(played, _)| *played).max();
        let mut rows: Vec<_> = rows
            .iter()
            .map(|(played, row)| SaveRow { current: current == Some(*played), ..row.clone() })
            .collect();
        rows.sort_by_key(|row| Reverse(row.version));
        rows
    }

    pub(super) fn of_guest(&self, guest: GuestId) -> Vec<SaveRow> {
        self.rows.keys().filter(|owner| owner.guest == guest).flat_map(|owner| self.of_title(owner)).collect()
    }

    pub(super) fn add(&mut self, new: &NewSave, session: &NewSession) -> Saved {
        let owner = SaveOwner { guest: session.guest, title: session.title.clone() };
        let rows = self.of_title(&owner);
        if let Some(same) = new.same_as(&rows) {
            return Saved::Same(same.clone());
        }
        let titles = self.rows.keys().filter(|other| other.guest == owner.guest).count();
        if rows.is_empty() && titles as u32 >= new.most_titles {
            return Saved::TooManyTitles;
        }
        let last = self.last_version.entry(owner.clone()).or_insert(SaveVersion(0));
        *last = SaveVersion(last.0 + 1);
        let version = *last;
        let row = SaveRow {
            title: owner.title.clone(),
            version,
            current: false,
            based_on: new.base(&rows, version),
            hash: new.hash,
            size_bytes: new.size_bytes,
            title_version: new.title_version.clone(),
            session: new.session,
            created_at_ms: new.now_ms,
        };
        let played = (session.now_ms, new.session, new.generation, version);
        self.rows.entry(owner.clone()).or_default().push((played, row));
        self.unreferenced.remove(new.hash.as_bytes());
        let rows = self.of_title(&owner);
        for old in rows.iter().skip(new.most_versions as usize).filter(|row| !row.current) {
            if let Some(kept) = self.rows.get_mut(&owner) {
                kept.retain(|(_, row)| row.version != old.version);
            }
            self.note(old.asset(), new.now_ms);
        }
        let made = rows.into_iter().find(|row| row.version == version);
        Saved::New(made.expect("it was pushed above, and the newest version stays"))
    }

    pub(super) fn remove(&mut self, owner: &SaveOwner, now_ms: u64) -> u32 {
        let removed = self.rows.remove(owner).unwrap_or_default();
        for (_, row) in &removed {
            self.note(row.asset(), now_ms);
        }
        removed.len() as u32
    }

    pub(super) fn note(&mut self, asset: Hash, now_ms: u64) {
        let needed = self.rows.values().flatten().any(|(_, row)| row.asset() == asset);
        if !needed {
            self.unreferenced.insert(asset, now_ms);
        }
    }

    pub(super) fn unreferenced(&self, before_ms: u64, limit: u32) -> Vec<Hash> {
        let mut due: Vec<_> =
            self.unreferenced.iter().filter(|(_, since_ms)| **since_ms < before_ms).collect();
        due.sort_by_key(|(hash, since_ms)| (**since_ms, **hash));
        due.into_iter().take(limit as usize).map(|(hash, _)| *hash).collect()
    }

    pub(super) fn forget(&mut self, asset: Hash) {
        self.unreferenced.remove(&asset);
    }
}

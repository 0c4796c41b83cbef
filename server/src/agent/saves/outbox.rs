//! Packs on disk until the matchmaker keeps them, so that neither a crash nor an outage loses one.
//!
//! A pack is a file beside one that says what it is; that one is written first, and a pack without it is
//! nothing. A newer pack of a session takes the place of an older one: it holds all that is in it.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use nearframe_protocol::save::MAX_PACK_BYTES;
use nearframe_protocol::worker::PACK_ENDING;
use nearframe_protocol::{Generation, PackHash, SaveVersion, SessionId};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tracing::warn;

/// A session in one of its generations.
pub(super) type Key = (SessionId, Generation);

/// Packs kept at most; beyond, new ones are refused rather than fill the disk.
const MAX_PACKS: usize = 256;

/// What is known of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) session: SessionId,
    pub(super) generation: Generation,
    /// Counts the session's packs.
    pub(super) number: u32,
    pub(super) token: String,
    pub(super) based_on: Option<SaveVersion>,
    pub(super) hash: PackHash,
    pub(super) size_bytes: u64,
}

impl Item {
    pub(super) fn key(&self) -> Key {
        (self.session, self.generation)
    }
}

/// The folder of packs.
#[derive(Clone, Debug)]
pub(super) struct Outbox(PathBuf);

impl Outbox {
    /// Opens the folder and removes what a crash left half-done.
    pub(super) fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        let outbox = Self(path.to_owned());
        let whole: BTreeSet<_> = outbox.items()?.iter().flat_map(|item| outbox.paths(item)).collect();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            if !whole.contains(&path) {
                warn!("{} is no whole pack of saves and is removed", path.display());
                let _ = fs::remove_file(&path);
            }
        }
        Ok(outbox)
    }

    /// All packs, by session and number.
    pub(super) fn items(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for entry in fs::read_dir(&self.0).with_context(|| format!("reading {}", self.0.display()))? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let item: Option<Item> = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
            items.extend(item.filter(|item| self.paths(item).iter().all(|path| path.is_file())));
        }
        items.sort_by_key(|item| (item.session, item.generation, item.number));
        Ok(items)
    }

    /// The newest pack of a session.
    pub(super) fn newest(&self, key: Key) -> Option<Item> {
        self.items().unwrap_or_default().into_iter().rev().find(|item| item.key() == key)
    }

    /// Moves a pack in; it is on disk when this returns.
    pub(super) fn take(&self, pack: &Path, item: &Item) -> Result<()> {
        if self.items()?.len() >= MAX_PACKS {
            bail!("{MAX_PACKS} packs wait for the matchmaker already");
        }
        let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(pack)?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() != item.size_bytes || item.size_bytes > MAX_PACK_BYTES {
            bail!("the pack is no file of {} bytes", item.size_bytes);
        }
        file.sync_all()?;
        let [about, place] = self.paths(item);
        let draft = about.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(item)?)?;
        file.sync_all()?;
        fs::rename(&draft, &about)?;
        fs::rename(pack, &place)?;
        File::open(&self.0)?.sync_all()?;
        Ok(())
    }

    /// The pack's bytes, if they are what its hash says.
    pub(super) fn read(&self, item: &Item) -> Result<Bytes> {
        let [_, path] = self.paths(item);
        let pack = read_pack(&path)?;
        if *blake3::hash(&pack).as_bytes() != *item.hash.as_bytes() {
            bail!("{} is damaged", path.display());
        }
        Ok(pack)
    }

    /// Removes this pack and the session's older ones.
    pub(super) fn done(&self, item: &Item) {
        for older in self.items().unwrap_or_default() {
            if older.key() == item.key() && older.number <= item.number {
                let [about, pack] = self.paths(&older);
                let _ = fs::remove_file(pack);
                let _ = fs::remove_file(about);
            }
        }
    }

    fn paths(&self, item: &Item) -> [PathBuf; 2] {
        let name = format!("{}-{}-{:06}", item.session, item.generation.0, item.number);
        ["json", PACK_ENDING].map(|ending| self.0.join(format!("{name}.{ending}")))
    }
}

/// A file's bytes, no more than a pack may have; a link is not followed.
pub(super) fn read_pack(path: &Path) -> Result<Bytes> {
    let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_PACK_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PACK_BYTES {
        bail!("{} is larger than a pack may be", path.display());
    }
    Ok(bytes.into())
}

fn no_follow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

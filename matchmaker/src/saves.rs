//! Saves of players: who may move them, when they are awaited, and when their packs are removed.
//!
//! A node gets a [`SaveGrant`] with each start. Its token is derived from our key, as a session's ticket
//! is: nothing is stored, and a start that is repeated carries the same one.
//!
//! A player who leaves and starts again at once would find the save before the last one, so a new
//! session waits a moment for the packs of those of the same player and title that have just ended: a
//! node hands in a session's last pack before it says that the session is over.

use crate::assets::{AssetError, Hash};
use crate::catalogue;
use crate::http::limits::Limiter;
use crate::state::Shared;
use crate::store::{NewSave, SaveOwner, SaveRow, Saved, SessionRow, StoreError};
use nearframe_protocol::save::SaveGrant;
use nearframe_protocol::{Generation, NodeId, SessionId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{RwLock, Semaphore, watch};

/// Titles of which a guest may have saves.
pub(crate) const MOST_TITLES: u32 = 32;
/// Versions of each that stay.
pub(crate) const MOST_VERSIONS: u32 = 5;
/// A save token works this long after its session's end, in ms: for packs that a node could not send
/// while the link or this server was away.
const TOKEN_AFTER_END_MS: u64 = 10 * 60 * 1000;
/// Packs that are received at once; each may take [`nearframe_protocol::save::MAX_PACK_BYTES`] of disk.
const UPLOADS: usize = 32;
/// Packs that one session may send in a minute: one is usual.
const PACKS_PER_MINUTE: u32 = 30;
/// A new session waits this long for the last pack of the one before.
const SETTLE_TIME: Duration = Duration::from_secs(3);
/// A session that was ended here is expected to hand in its last pack within this.
const LAST_PACK_TIME: Duration = Duration::from_secs(10);
/// A pack that no row needs is removed after this, in ms: longer than any upload takes.
const UNREFERENCED_MS: u64 = 3600 * 1000;
/// Packs removed in one run of the job, while uploads wait.
const REMOVED_AT_ONCE: u32 = 64;

/// What of saves is under way.
pub(crate) struct Saves {
    /// Rights to send a pack.
    pub(crate) uploads: Semaphore,
    /// How often a session may send one.
    pub(crate) pace: Limiter,
    /// Shared while a row that needs an asset is written, exclusive while unreferenced ones are removed:
    /// an asset cannot vanish between the look at it and the row.
    removing: RwLock<()>,
    settling: Mutex<HashMap<SessionId, Settling>>,
    settled: watch::Sender<()>,
}

/// A session that was ended here and whose node has not yet said so itself.
struct Settling {
    owner: SaveOwner,
    node: NodeId,
    until: Instant,
}

/// What became of a pack.
#[derive(Debug)]
pub(crate) enum Kept {
    /// As the store says.
    Stored(Saved),
    /// The asset is not there any more; it must be sent again.
    Vanished,
}

/// Why a pack could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Asset(#[from] AssetError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Saves {
    pub(crate) fn new() -> Self {
        Self {
            uploads: Semaphore::new(UPLOADS),
            pace: Limiter::per_minute(PACKS_PER_MINUTE),
            removing: RwLock::new(()),
            settling: Mutex::default(),
            settled: watch::Sender::new(()),
        }
    }

    /// The session was ended here; its node may still have a last pack of it.
    pub(crate) fn expect_last(&self, row: &SessionRow) {
        let now = Instant::now();
        let owner = SaveOwner { guest: row.guest, title: row.title.clone() };
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        settling.retain(|_, other| other.until > now);
        settling.insert(row.id, Settling { owner, node: row.node, until: now + LAST_PACK_TIME });
    }

    /// The node says that the session is over: what it had to send was sent, or comes much later.
    pub(crate) fn settled(&self, session: SessionId, node: NodeId) {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        if settling.get(&session).is_some_and(|settling| settling.node == node) {
            settling.remove(&session);
            self.settled.send_replace(());
        }
    }

    /// Waits for the last packs of the owner's sessions that have just ended, but not long.
    pub(crate) async fn settle(&self, owner: &SaveOwner) {
        let mut changed = self.settled.subscribe();
        let quiet = async {
            // The sender lives as long as `self`.
            while self.is_settling(owner) && changed.changed().await.is_ok() {}
        };
        if tokio::time::timeout(SETTLE_TIME, quiet).await.is_err() {
            tracing::warn!(title = %owner.title, "the last save of the session before has not come yet");
        }
    }

    fn is_settling(&self, owner: &SaveOwner) -> bool {
        let now = Instant::now();
        let settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        settling.values().any(|settling| settling.owner == *owner && settling.until > now)
    }
}

/// What lets the session's node move its saves.
pub(crate) async fn grant(shared: &Shared, row: &SessionRow) -> Result<SaveGrant, StoreError> {
    let owner = SaveOwner { guest: row.guest, title: row.title.clone() };
    let rows = shared.store.saves_of_title(&owner).await?;
    let current = rows.iter().find(|save| save.current);
    Ok(SaveRow::grant(current, shared.save_token(row.id, row.generation)))
}

/// The generation of a session that a token was given to, while it holds.
pub(crate) fn generation_of_token(shared: &Shared, row: &SessionRow, token: &str) -> Option<Generation> {
    let generation = shared.generation_of_save_token(row.id, token)?;
    let in_time =
        row.ended_at_ms.is_none_or(|ended_at_ms| shared.now_ms() < ended_at_ms + TOKEN_AFTER_END_MS);
    (in_time && generation <= row.generation).then_some(generation)
}

/// Makes an asset that was put a version of the guest's saves.
pub(crate) async fn keep(shared: &Shared, row: &SessionRow, new: NewSave) -> Result<Kept, KeepError> {
    let _no_removal = shared.saves.removing.read().await;
    if !shared.assets.has(Hash::from_bytes(*new.hash.as_bytes())).await? {
        return Ok(Kept::Vanished);
    }
    let held = catalogue::held(shared, &row.title).filter(|held| held.entry.hash == row.title_hash);
    let title_version = held.map(|held| held.entry.version).unwrap_or_default();
    Ok(Kept::Stored(shared.store.add_save(&NewSave { title_version, ..new }).await?))
}

/// Removes packs that no save needs any more.
pub(crate) async fn remove_unreferenced(shared: &Shared, now_ms: u64) -> Result<(), StoreError> {
    let _no_new_rows = shared.saves.removing.write().await;
    let before_ms = now_ms.saturating_sub(UNREFERENCED_MS);
    for asset in shared.store.unreferenced_assets(before_ms, REMOVED_AT_ONCE).await? {
        match shared.assets.remove(Hash::from_bytes(asset)).await {
            Ok(()) => shared.store.forget_asset(asset).await?,
            Err(error) => tracing::error!(%error, "an asset could not be removed and will be tried again"),
        }
    }
    Ok(())
}

//! Saves between a session's worker and the matchmaker.
//!
//! Before the worker is told to start, the pack to restore is fetched into the session's folder; without
//! it the session does not start, for it would save over the player's game. Packs that the worker makes
//! are moved to an outbox on disk and sent in the background until the matchmaker keeps them or will
//! never do. What a worker or agent that crashed left in a session's folder is sent as well.
//!
//! Deliberately without a look into packs: they are opaque here, and what is in them is as hostile as
//! the title that wrote it.

mod door;
mod outbox;
#[cfg(test)]
mod tests;

use super::{Config, Event};
use anyhow::{Context, Result, bail};
use door::{Door, DoorError};
use nearframe_protocol::save::{SaveGrant, SaveRef};
use nearframe_protocol::worker::{PACK_ENDING, RESTORE_PACK};
use nearframe_protocol::{Generation, PackHash, SessionId};
use outbox::{Item, Key, Outbox, read_pack};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tracing::{error, info, warn};

/// The pack to restore must be there within this, and a second more for every [`FETCH_BYTES_PER_S`].
const FETCH_TIME: Duration = Duration::from_secs(5);
/// The slowest way to the matchmaker that a large pack is waited for on.
const FETCH_BYTES_PER_S: u64 = 4_000_000;
/// Pause between two tries to fetch.
const FETCH_PAUSE: Duration = Duration::from_millis(300);
/// First and longest pause between two tries to send.
const SEND_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// Packs sent at once; each is in memory meanwhile.
const SENT_AT_ONCE: usize = 3;
/// After an agent's crash its workers end by themselves, and may still write a last pack this long.
const LEFTOVER_TIME: Duration = Duration::from_secs(20);
/// In a session's folder: what makes its packs sendable after a crash.
const ABOUT: &str = "session.json";

/// What happens to saves in the background.
#[derive(Debug)]
pub(crate) enum SaveEvent {
    /// The pack to restore is there, or why not.
    Restored(SessionId, Generation, Result<(), String>),
    /// Nothing of this session waits for the matchmaker any more.
    Settled(SessionId, Generation),
}

/// A running session's saves.
#[derive(Clone, Serialize, Deserialize)]
struct Running {
    session: SessionId,
    generation: Generation,
    grant: SaveGrant,
    /// Number of the session's next pack in the outbox.
    #[serde(skip)]
    next: u32,
}

/// All saves of this node.
pub(crate) struct Saves {
    folders: PathBuf,
    outbox: Outbox,
    door: Arc<Door>,
    running: HashMap<Key, Running>,
    /// Sessions whose packs are being sent.
    lanes: HashSet<Key>,
    rights: Arc<Semaphore>,
    /// Folders of an earlier run, until when they are looked at.
    leftovers: Vec<(PathBuf, Instant)>,
    events: mpsc::Sender<Event>,
}

impl Saves {
    /// Opens the folders below the data directory and goes on with what an earlier run left.
    pub(crate) fn open(config: &Config, events: mpsc::Sender<Event>) -> Result<Self> {
        let root = config.data_dir.join("saves");
        let folders = root.join("sessions");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folders)
            .with_context(|| format!("creating {}", folders.display()))?;
        let until = Instant::now() + LEFTOVER_TIME;
        let left: Vec<_> = fs::read_dir(&folders)?.flatten().map(|entry| (entry.path(), until)).collect();
        let mut saves = Self {
            outbox: Outbox::open(&root.join("outbox"))?,
            folders,
            door: Arc::new(Door::new(&config.matchmaker, config.pin)?),
            running: HashMap::new(),
            lanes: HashSet::new(),
            rights: Arc::new(Semaphore::new(SENT_AT_ONCE)),
            leftovers: left,
            events,
        };
        for item in saves.outbox.items()? {
            saves.send(item.key());
        }
        saves.look_at_leftovers(Instant::now());
        Ok(saves)
    }

    /// Makes the folder of a session. True: `Restored` follows, and the worker must wait for it.
    pub(crate) fn begin(
        &mut self,
        session: SessionId,
        generation: Generation,
        grant: SaveGrant,
    ) -> Result<(PathBuf, bool)> {
        let key = (session, generation);
        let folder = self.folder(key);
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).recursive(true);
        builder.create(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let next = self.outbox.newest(key).map_or(0, |item| item.number + 1);
        let running = Running { session, generation, grant, next };
        write(&folder.join(ABOUT), &serde_json::to_vec(&running)?)?;
        let restore = running.grant.restore;
        let token = running.grant.token.clone();
        self.running.insert(key, running);
        let Some(wanted) = restore else { return Ok((folder, false)) };
        let (door, events, place) = (Arc::clone(&self.door), self.events.clone(), folder.join(RESTORE_PACK));
        tokio::spawn(async move {
            let fetched = fetch(&door, session, &token, &wanted, &place).await;
            let restored = SaveEvent::Restored(session, generation, fetched.map_err(|e| format!("{e:#}")));
            let _ = events.send(Event::Save(restored)).await;
        });
        Ok((folder, true))
    }

    /// The worker says that a pack is there.
    pub(crate) fn saved(&mut self, key: Key, file: &Path, hash: PackHash, size_bytes: u64) {
        if let Err(error) = self.take(key, file, hash, size_bytes) {
            error!(session = %key.0, "a save is lost: {error:#}");
        }
    }

    fn take(&mut self, key: Key, file: &Path, hash: PackHash, size_bytes: u64) -> Result<()> {
        let folder = self.folder(key);
        let running = self.running.get_mut(&key).context("the session keeps no saves")?;
        if file.parent() != Some(&folder) || number(file).is_none() {
            bail!("{} is no pack in the session's folder", file.display());
        }
        let item = Item {
            session: key.0,
            generation: key.1,
            number: running.next,
            token: running.grant.token.clone(),
            based_on: running.grant.restore.map(|restore| restore.version),
            hash,
            size_bytes,
        };
        self.outbox.take(file, &item)?;
        running.next += 1;
        self.send(key);
        Ok(())
    }

    /// The session is over. True: `Settled` follows once its packs are with the matchmaker.
    pub(crate) fn end(&mut self, key: Key) -> bool {
        if self.running.contains_key(&key) {
            let folder = self.folder(key);
            self.adopt(key, &folder);
            self.running.remove(&key);
            remove(&folder);
        }
        self.lanes.contains(&key)
    }

    /// True when the session's packs are all sent; otherwise one came meanwhile, and is sent now.
    pub(crate) fn settle(&mut self, key: Key) -> bool {
        self.lanes.remove(&key);
        if self.outbox.newest(key).is_some() {
            self.send(key);
        }
        !self.lanes.contains(&key)
    }

    /// Sends what workers of an agent that crashed left, and forgets it in the end.
    pub(crate) fn look_at_leftovers(&mut self, now: Instant) {
        for (folder, until) in std::mem::take(&mut self.leftovers) {
            let about = fs::read(folder.join(ABOUT)).ok();
            let running = about.and_then(|text| serde_json::from_slice::<Running>(&text).ok());
            let Some(mut running) = running.filter(|_| now < until) else {
                remove(&folder);
                continue;
            };
            let key = (running.session, running.generation);
            // A session that was started anew with the same folder has a worker again.
            if self.running.contains_key(&key) {
                continue;
            }
            running.next = self.outbox.newest(key).map_or(0, |item| item.number + 1);
            self.running.insert(key, running);
            self.adopt(key, &folder);
            self.running.remove(&key);
            self.leftovers.push((folder, until));
        }
    }

    /// Takes the newest pack that nobody told of: its worker or the agent died in between.
    fn adopt(&mut self, key: Key, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut packs: Vec<_> =
            entries.flatten().filter_map(|entry| Some((number(&entry.path())?, entry.path()))).collect();
        packs.sort_unstable();
        let Some((_, newest)) = packs.last() else { return };
        let adopted = read_pack(newest).and_then(|pack| {
            let hash = PackHash::from_bytes(*blake3::hash(&pack).as_bytes());
            self.take(key, newest, hash, pack.len() as u64)
        });
        match adopted {
            Ok(()) => info!(session = %key.0, "a save that was left behind is sent"),
            Err(error) => warn!(session = %key.0, "a save that was left behind is lost: {error:#}"),
        }
        for (_, pack) in packs {
            let _ = fs::remove_file(pack);
        }
    }

    fn folder(&self, (session, generation): Key) -> PathBuf {
        self.folders.join(format!("{session}-{}", generation.0))
    }

    /// Starts the lane of a session that has something to send and none yet.
    fn send(&mut self, key: Key) {
        if self.lanes.insert(key) {
            let lane = Lane {
                key,
                door: Arc::clone(&self.door),
                outbox: self.outbox.clone(),
                rights: Arc::clone(&self.rights),
            };
            let events = self.events.clone();
            tokio::spawn(async move {
                lane.run().await;
                let _ = events.send(Event::Save(SaveEvent::Settled(key.0, key.1))).await;
            });
        }
    }
}

/// Sends the packs of one session, newest first, one at a time.
struct Lane {
    key: Key,
    door: Arc<Door>,
    outbox: Outbox,
    rights: Arc<Semaphore>,
}

impl Lane {
    async fn run(self) {
        let mut pause = SEND_PAUSE.0;
        while let Some(item) = self.outbox.newest(self.key) {
            match self.send(&item).await {
                Ok(()) => {
                    pause = SEND_PAUSE.0;
                    self.outbox.done(&item);
                }
                Err(DoorError::Refused(why)) => {
                    error!(session = %item.session, "a save will never be kept by the matchmaker: {why}");
                    self.outbox.done(&item);
                }
                Err(DoorError::Later(why)) => {
                    warn!(session = %item.session, "a save could not be sent and is tried again: {why:#}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(SEND_PAUSE.1);
                }
            }
        }
    }

    async fn send(&self, item: &Item) -> Result<(), DoorError> {
        let _right = self.rights.acquire().await.context("the agent stops")?;
        let (outbox, reading) = (self.outbox.clone(), item.clone());
        let read = tokio::task::spawn_blocking(move || outbox.read(&reading)).await.context("reading")?;
        // What is damaged on disk stays so.
        let pack = read.map_err(|error| DoorError::Refused(format!("{error:#}")))?;
        self.door.send(item, pack).await
    }
}

/// Fetches the pack to restore, however often it takes, within its time.
async fn fetch(door: &Door, session: SessionId, token: &str, wanted: &SaveRef, place: &Path) -> Result<()> {
    let time = FETCH_TIME + Duration::from_secs(wanted.size_bytes / FETCH_BYTES_PER_S);
    let mut last = String::from("no answer");
    let tries = async {
        loop {
            match door.fetch(session, token, wanted).await {
                Ok(pack) => return Ok(pack),
                Err(DoorError::Refused(why)) => bail!(why),
                Err(DoorError::Later(why)) => last = format!("{why:#}"),
            }
            tokio::time::sleep(FETCH_PAUSE).await;
        }
    };
    let fetched = tokio::time::timeout(time, tries).await;
    let pack = fetched.unwrap_or_else(|_| bail!("not there in {} s: {last}", time.as_secs()))?;
    write(place, &pack)
}

/// Writes a file whole or not at all, for our own eyes.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let draft = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft).with_context(|| format!("writing {}", draft.display()))?;
    file.write_all(content)?;
    fs::rename(&draft, path).with_context(|| format!("writing {}", path.display()))
}

/// The number of a worker's pack, such as 7 of `007.pack`.
fn number(path: &Path) -> Option<u32> {
    let is_pack = path.extension()? == PACK_ENDING;
    path.file_stem()?.to_str().filter(|_| is_pack)?.parse().ok()
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!("{} could not be removed: {error}", folder.display());
    }
}

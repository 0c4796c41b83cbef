//! Keeps a title's saved games: restored before it starts, packed every minute and when it has ended.
//!
//! Packs are written on a thread of their own. A pack taken while the title writes would be torn: it is only
//! kept when a second look a moment later finds the same.

use anyhow::{Context, Result};
use nearframe_protocol::save::PackHash;
use nearframe_protocol::worker::{FromWorker, PACK_ENDING, RESTORE_PACK};
use nearframe_saves::{Limits, Pack, pack, unpack};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{info, warn};

/// How often a running title's saves are looked at.
const INTERVAL: Duration = Duration::from_secs(60);
/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// Tries to find the files at rest; a title that writes all the time is packed at the next look.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

const NOT_KEPT: &str = "Your game cannot be kept at the moment. What was kept before is safe, and it is tried \
                        again every few seconds.";
const KEPT_AGAIN: &str = "Your game is kept again.";

/// Packs on its own thread until told to finish.
pub(crate) struct SaveKeeper {
    finish: Sender<()>,
    thread: JoinHandle<()>,
}

/// What is kept of one session, and where.
struct Keeper {
    home: PathBuf,
    paths: Vec<String>,
    save_dir: PathBuf,
    limits: Limits,
    last_hash: Option<[u8; 32]>,
    written: u32,
    /// The player has been told that it does not work.
    failing: bool,
    warnings: mpsc::UnboundedSender<&'static str>,
    to_agent: mpsc::Sender<FromWorker>,
}

impl SaveKeeper {
    /// Restores what was saved; then keeps what changes. What goes wrong meanwhile is said in `warnings`.
    ///
    /// # Errors
    /// A pack that is there but cannot be restored: the title must not start without it, or it would save over it.
    pub(crate) fn start(
        home: &Path,
        paths: &[String],
        save_dir: &Path,
        warnings: mpsc::UnboundedSender<&'static str>,
        to_agent: mpsc::Sender<FromWorker>,
    ) -> Result<Self> {
        let limits = Limits::default();
        let mut last_hash = None;
        let restore = save_dir.join(RESTORE_PACK);
        if restore.exists() {
            let bytes = fs::read(&restore).context("reading the saved game")?;
            let restored = unpack(&bytes, home, paths, &limits, None).context("restoring the saved game")?;
            info!(files = restored.files, bytes = restored.total_bytes, "the saved game is restored");
            last_hash =
                pack(home, paths, &limits).context("reading the saved game back")?.map(|pack| pack.hash);
        }
        let keeper = Keeper {
            home: home.to_owned(),
            paths: paths.to_vec(),
            save_dir: save_dir.to_owned(),
            limits,
            last_hash,
            written: 0,
            failing: false,
            warnings,
            to_agent,
        };
        let (finish, finished) = channel();
        let thread = std::thread::Builder::new()
            .name("saves".into())
            .spawn(move || keeper.run(&finished))
            .context("starting the thread that keeps saved games")?;
        Ok(Self { finish, thread })
    }

    /// Packs for the last time; the title must have ended. Returns when the pack has been told to the agent.
    pub(crate) async fn finish(self) {
        let Self { finish, thread } = self;
        let joined = tokio::task::spawn_blocking(move || {
            drop(finish);
            thread.join()
        });
        if !matches!(joined.await, Ok(Ok(()))) {
            warn!("the last saved game could not be kept");
        }
    }
}

impl Keeper {
    fn run(mut self, finished: &Receiver<()>) {
        loop {
            let last = match finished.recv_timeout(if self.failing { RETRY } else { INTERVAL }) {
                Err(RecvTimeoutError::Timeout) => false,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
            };
            self.look(last);
            if last {
                return;
            }
        }
    }

    /// Keeps what is new, and tells the player when that fails, once, and when it works again.
    fn look(&mut self, last: bool) {
        let kept =
            self.keep(last).inspect_err(|error| warn!("the saved game is not kept this time: {error:#}"));
        if kept.is_err() != self.failing {
            self.failing = kept.is_err();
            // A session that is ending listens no more.
            let _ = self.warnings.send(if self.failing { NOT_KEPT } else { KEPT_AGAIN });
        }
    }

    fn keep(&mut self, last: bool) -> Result<()> {
        let Some(pack) = self.pack_at_rest(last)? else { return Ok(()) };
        if self.last_hash == Some(pack.hash) {
            return Ok(());
        }
        let name = format!("{:03}.{PACK_ENDING}", self.written);
        let (fresh, place) = (self.save_dir.join(format!(".{name}")), self.save_dir.join(name));
        write_whole(&fresh, &place, &pack.bytes)?;
        self.written += 1;
        self.last_hash = Some(pack.hash);
        let saved = FromWorker::Saved {
            file: place,
            hash: PackHash::from_bytes(pack.hash),
            files: pack.files,
            bytes: pack.bytes.len() as u64,
            last,
        };
        // Without an agent there is nobody to tell; the session ends for that reason.
        let _ = self.to_agent.blocking_send(saved);
        Ok(())
    }

    /// A pack that two looks agree on; after the title's end one look is enough.
    fn pack_at_rest(&self, last: bool) -> Result<Option<Pack>> {
        let mut before = pack(&self.home, &self.paths, &self.limits)?;
        if last || before.as_ref().map(|pack| pack.hash) == self.last_hash {
            return Ok(before);
        }
        for _ in 0..TRIES {
            std::thread::sleep(PAUSE);
            let now = pack(&self.home, &self.paths, &self.limits)?;
            if before.as_ref().map(|pack| pack.hash) == now.as_ref().map(|pack| pack.hash) {
                return Ok(now);
            }
            before = now;
        }
        Ok(None)
    }
}

fn write_whole(fresh: &Path, place: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(fresh)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(fresh, place)
    };
    write()
        .inspect_err(|_| {
            // What did go onto a full disk is no use to anybody.
            let _ = fs::remove_file(fresh);
        })
        .with_context(|| format!("writing {}", place.display()))
}

#[cfg(test)]
mod tests;

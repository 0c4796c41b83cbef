//! Where the ledger is, and the way to it from tasks that must not wait for a disk or a database.

use super::General;
use super::table::Table;
use crate::state::Shared;
use nearframe_journal::{Folder, JournalError, Replicated};
use nearframe_ledger::books::SignedHead;
use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::watch;

/// Where a matchmaker keeps its ledger.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// In this folder.
    pub(crate) folder: PathBuf,
    /// Which is a copy of what the store has, where others may write as well.
    pub(crate) is_copy: bool,
}

/// Where this matchmaker keeps a general ledger, if it does, and the ledger once it is open.
#[derive(Debug, Default)]
pub(crate) struct Place {
    kept: OnceLock<Kept>,
    open: OnceLock<Ledger>,
    /// Held while it is opened: who comes meanwhile would find it held by another.
    opening: tokio::sync::Mutex<()>,
}

impl Place {
    /// From now on it is kept here.
    pub(crate) fn choose(&self, kept: Kept) {
        // Chosen once, when the matchmaker is opened.
        let _ = self.kept.set(kept);
    }
    /// The ledger, once it is open.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.open.get()
    }
}

/// The ledger that is open. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    general: Arc<Mutex<General>>,
    head: watch::Receiver<SignedHead>,
}

impl Ledger {
    fn new(general: General) -> Self {
        let head = general.heads();
        Self { general: Arc::new(Mutex::new(general)), head }
    }

    /// How far it goes, signed: as of the last write, or of what was last read of others.
    pub(crate) fn head(&self) -> SignedHead {
        self.head.borrow().clone()
    }

    /// Works on it on a thread that may wait for the disk, the database and whoever else works on it.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut General) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let general = Arc::clone(&self.general);
        beside(move || work(&mut general.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// Does what waits on a thread for that.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::other(error).into()))
}

/// Opens the ledger where one is kept and it is not open: its balances are compared with its blocks, and what others wrote
/// is fetched. `None` where none is kept, or where another still holds it: one that stops may take a moment.
pub(crate) async fn open(shared: &Shared) -> Result<Option<&Ledger>, JournalError> {
    let place = &shared.general;
    let (None, Some(kept)) = (place.open.get(), place.kept.get().cloned()) else {
        return Ok(place.open.get());
    };
    let _opening = place.opening.lock().await;
    if let Some(ledger) = place.open.get() {
        return Ok(Some(ledger));
    }
    let key = shared.ledger_key.clone();
    let table = kept.is_copy.then(|| Table::new(&shared.store));
    let opened = beside(move || {
        let folder = Folder::open(&kept.folder)?;
        let storage = match table {
            Some(table) => Replicated::copy_of(Box::new(table), folder),
            None => Replicated::alone(folder),
        };
        General::open(storage, key)
    });
    match opened.await {
        Ok(general) => Ok(Some(place.open.get_or_init(|| Ledger::new(general)))),
        Err(JournalError::Io(error)) if error.kind() == ErrorKind::ResourceBusy => {
            tracing::warn!(%error, "the ledger is held by another; tried again soon");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

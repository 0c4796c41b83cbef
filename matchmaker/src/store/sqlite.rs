//! SQLite: the record of money and leases on one machine.
//!
//! Write-ahead log with `synchronous = FULL`: what was committed survives a power cut. One connection
//! writes, so transactions never wait for each other inside SQLite; a few read.

mod group;
#[path = "sql/mod.rs"]
mod sql;

use super::StoreError;
use super::ledger::Numbered;
use super::subject::{Lock, Subject};
use group::{Group, Work};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous, SqliteTransactionManager,
};
use sqlx::{Sqlite, SqlitePool, Transaction, TransactionManager};
use std::path::Path;
use std::time::Duration;

/// Readers beside the one writer; requests are short, so a few serve hundreds of players.
const READERS: u32 = 4;
/// How long a transaction waits for another process (a backup) that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

type Db = Sqlite;
type DbRow = SqliteRow;
type Connection = SqliteConnection;
type SqlStore = SqliteStore;

/// The store in one file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    group: Group,
}

impl SqliteStore {
    /// Opens or creates the database and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        // Where its disk is full, SQLite ends a transaction by itself, and the connection still counts it: no other begins
        // on it. Another connection takes its place.
        let writer = SqlitePoolOptions::new().max_connections(1).before_acquire(|connection, _| {
            let is_free = SqliteTransactionManager::get_transaction_depth(connection) == 0;
            Box::pin(async move { Ok(is_free) })
        });
        let writer = writer.connect_with(options.clone()).await?;
        sqlx::migrate!("migrations/sqlite").run(&writer).await?;
        let readers =
            SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        let group = Group::start(writer.clone());
        Ok(Self { writer, readers, group })
    }

    /// A transaction that has the right to write from its start.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Does the work in a transaction; those that come at the same time are committed together.
async fn within<T: Send + 'static>(
    store: &SqliteStore,
    _: &[Lock<'_>],
    work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
) -> Result<T, StoreError> {
    store.group.run(work).await
}

/// Nothing to do: only one transaction writes at a time.
async fn lock(_: &mut SqliteConnection, _: Subject<'_>) -> Result<(), StoreError> {
    Ok(())
}

/// The number up to which no row is still to come: any, because who writes alone commits in the order of the numbers.
async fn numbered_until(_: &SqliteStore, _: Numbered) -> Result<i64, StoreError> {
    Ok(i64::MAX)
}

/// Asks for the clock: that of this machine.
const NOW: &str = "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now_ms";

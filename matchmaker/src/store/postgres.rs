//! PostgreSQL: the record of money and leases of more than one machine.
//!
//! `synchronous_commit` is on whatever the server's default: what was committed survives a power cut. Statements see
//! what was committed before them (`READ COMMITTED`); transactions that decide about the same thing wait for each
//! other by advisory locks, which end with the transaction.

mod cursor;
#[path = "sql/mod.rs"]
#[expect(clippy::duplicate_mod, reason = "the same statements for another database")]
mod sql;

use super::subject::{Lock, Subject};
use super::{Fate, StoreError};
use cursor::{Marks, numbered_until};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{Postgres, Transaction, query};
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

/// Transactions at once; the disk is the limit long before.
const CONNECTIONS: u32 = 16;
/// How long a request waits for a connection before it is told that the database is away.
const CONNECTION_WITHIN: Duration = Duration::from_secs(5);
/// A statement that takes longer is stuck behind one that hangs: it is taken back, and can be repeated.
const STATEMENT_WITHIN_MS: &str = "10000";
/// A replica that stands still in the middle of a transaction holds its locks no longer than this, so that the others
/// can take its regions over. Between two statements of a transaction lie microseconds.
const STANDSTILL_WITHIN_MS: &str = "1500";

type Db = Postgres;
type DbRow = PgRow;
type Connection = PgConnection;
type SqlStore = PostgresStore;

/// The store in a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    writer: PgPool,
    readers: PgPool,
    marks: Marks,
}

impl PostgresStore {
    /// Connects to the database of a `postgres://` address and brings its schema up to date. Where several
    /// programs start at once, one does and the others wait for it.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("nearframe-matchmaker").options([
            ("synchronous_commit", "on"),
            ("statement_timeout", STATEMENT_WITHIN_MS),
            ("idle_in_transaction_session_timeout", STANDSTILL_WITHIN_MS),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECTION_WITHIN)
            .connect_with(options)
            .await?;
        sqlx::migrate!("migrations/postgres").run(&pool).await?;
        Ok(Self { writer: pool.clone(), readers: pool, marks: Marks::default() })
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        Ok(self.writer.begin().await?)
    }
}

type Work<'c, T> = Pin<Box<dyn Future<Output = Result<Fate<T>, StoreError>> + Send + 'c>>;

/// Does the work in a transaction that begins with these locks, which costs no further way to the server; the server
/// commits those together that end at the same time.
async fn within<T: Send + 'static>(
    store: &PostgresStore,
    locks: &[Lock<'_>],
    work: impl for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
) -> Result<T, StoreError> {
    let mut begin = String::from("BEGIN");
    for lock in locks {
        let (function, subject) = match lock {
            Lock::Alone(subject) => ("pg_advisory_xact_lock", subject),
            Lock::Shared(subject) => ("pg_advisory_xact_lock_shared", subject),
        };
        begin.push_str(&format!("; SELECT {function}({})", subject.number()));
    }
    let mut tx = store.writer.begin_with(begin).await?;
    let done = work(&mut tx).await?;
    if matches!(done, Fate::Keep(_)) {
        tx.commit().await?;
    }
    Ok(done.into_inner())
}

/// Waits until no other transaction decides about the subject; this one does until it ends.
async fn lock(connection: &mut PgConnection, subject: Subject<'_>) -> Result<(), StoreError> {
    query("SELECT pg_advisory_xact_lock($1)").bind(subject.number()).execute(connection).await?;
    Ok(())
}

/// Asks for the clock: that of the server, which is one for all replicas.
const NOW: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms";

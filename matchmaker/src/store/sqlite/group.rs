//! Transactions that are committed together: a disk that takes a millisecond for each commit then does not limit
//! how many there are.
//!
//! **Architecture invariant:** nobody is answered before the commit that holds the answer's changes is durable.

use super::super::{Fate, StoreError, is_full};
use sqlx::sqlite::SqliteConnection;
use sqlx::{SqlitePool, query};
use std::pin::Pin;
use tokio::sync::{mpsc, oneshot};

/// Transactions that wait; more are made to wait before the queue.
const WAITING: usize = 1024;
/// Transactions in one commit: by then, a commit's share of each is small.
const TOGETHER: usize = 128;

/// Marks where a job begins. Each statement is a way to SQLite's thread and back, so that the mark of the job before
/// goes with the next one's, and the last with the commit.
const MARK: &str = "SAVEPOINT job";
const MARK_AGAIN: &str = "RELEASE job; SAVEPOINT job";
/// Back to the mark, which stays.
const UNDO: &str = "ROLLBACK TO job";

pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<Fate<T>, StoreError>> + Send + 'c>>;
type Step<'c> = Pin<Box<dyn Future<Output = Result<Answer, StoreError>> + Send + 'c>>;
type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> Step<'c> + Send>;
/// Answers whoever waits, once it is known whether the commit succeeded.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

#[derive(Debug)]
pub(super) struct Group {
    jobs: mpsc::Sender<Job>,
}

impl Group {
    /// Takes jobs until it is dropped.
    pub(super) fn start(writer: SqlitePool) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING);
        tokio::spawn(commit_together(writer, waiting));
        Self { jobs }
    }

    /// Does the work in a transaction that it shares with others; what it undoes or fails at is its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                let done = work(connection).await;
                if !matches!(done, Ok(Fate::Keep(_)))
                    && let Err(error) = query(UNDO).execute(connection).await
                {
                    // The transaction is gone, as where the disk is full. Whoever asked hears why.
                    let own = done.err().unwrap_or(StoreError::Database(sqlx::Error::WorkerCrashed));
                    drop(sender.send(Err(own)));
                    return Err(error.into());
                }
                let done = done.map(Fate::into_inner);
                // Whoever asked may have gone.
                Ok(Box::new(move |committed: Result<(), StoreError>| {
                    drop(sender.send(committed.and(done)));
                }) as Answer)
            })
        });
        let closed = || StoreError::Database(sqlx::Error::PoolClosed);
        self.jobs.send(job).await.map_err(|_| closed())?;
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }
}

async fn commit_together(writer: SqlitePool, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.recv().await {
        let mut tx = match writer.begin_with("BEGIN IMMEDIATE").await {
            Ok(tx) => tx,
            Err(error) => {
                // Whoever waits for this job is told by its being dropped.
                tracing::error!(%error, "the database cannot be written");
                continue;
            }
        };
        let mut answers = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            let mark = if answers.is_empty() { MARK } else { MARK_AGAIN };
            let done = match query(mark).execute(&mut *tx).await {
                Ok(_) => job(&mut tx).await,
                Err(error) => Err(error.into()),
            };
            match done {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    tracing::error!(%error, "a savepoint failed");
                    break;
                }
            }
            next = if answers.len() < TOGETHER { waiting.try_recv().ok() } else { None };
        }
        let committed = tx.commit().await;
        if let Err(error) = &committed {
            tracing::error!(%error, "a commit failed");
        }
        for answer in answers {
            answer(match &committed {
                Ok(()) => Ok(()),
                Err(error) if is_full(error) => Err(StoreError::Full),
                Err(_) => Err(StoreError::Database(sqlx::Error::WorkerCrashed)),
            });
        }
    }
}

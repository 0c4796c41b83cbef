//! How far rows may be read by their numbers.
//!
//! Numbers are drawn before the commit: a lower one may become visible after a higher one. Whoever writes has an id of its
//! transaction before it draws a number (triggers of migration 58). So the highest number that is seen is marked with an
//! id that is drawn after it was seen; once no transaction runs with an id below that, nothing up to the mark is
//! still to come.
//!
//! The snapshot's own `xmax` would not do as that id: it lies above the last transaction that is *over*, and one that runs may
//! have a higher one.

use super::PostgresStore;
use crate::store::StoreError;
use crate::store::ledger::Numbered;
use sqlx::{Row, query};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What is known of a table.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Nothing up to here is still to come.
    until: i64,
    /// The same of this number once no transaction below this id runs.
    next: Option<(i64, i64)>,
}

/// What is known of all of them, in this process alone: ids mean nothing in another database.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<HashMap<Numbered, Mark>>);

impl Marks {
    fn of(&self, table: Numbered) -> Mark {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.get(&table).copied().unwrap_or_default()
    }

    /// Another may have come as far meanwhile.
    fn set(&self, table: Numbered, mark: Mark) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = marks.entry(table).or_default();
        *kept = Mark { until: mark.until.max(kept.until), next: mark.next };
    }
}

/// The number up to which no row is still to come.
pub(super) async fn numbered_until(store: &PostgresStore, table: Numbered) -> Result<i64, StoreError> {
    let mut mark = store.marks.of(table);
    if mark.next.is_none() {
        let sql = format!("SELECT coalesce(max(seq), 0) FROM {}", table.table());
        let last = number(store, &sql).await?;
        if last > mark.until {
            // In a statement of its own, so that it is drawn after the number was seen.
            let id = number(store, "SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)").await?;
            mark.next = Some((last, id));
        }
    }
    if let Some((last, id)) = mark.next {
        let oldest = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)";
        if number(store, oldest).await? > id {
            mark = Mark { until: last, next: None };
        }
    }
    store.marks.set(table, mark);
    Ok(mark.until)
}

async fn number(store: &PostgresStore, sql: &str) -> Result<i64, StoreError> {
    Ok(query(sql).fetch_one(&store.readers).await?.try_get(0)?)
}

//! What the ledger refuses: kept in the record with its reason, and tried again whenever the ledger is written.
//!
//! A host that pays back what it was paid out already has not enough today and may have tomorrow; then its entry is taken
//! under the same key. What is refused for good stands there until a person has found out why.

use super::{AT_ONCE, General, Ledger, PostError, Posting};
use crate::state::Shared;
use crate::store::aside::{AsideRow, Feed};
use crate::store::plans::ChargeRow;
use crate::store::stake::{CreditRow, StakeRow};
use crate::store::{PostedRow, StoreError};
use nearframe_journal::JournalError;
use nearframe_ledger::books::Key;

/// An entry as its journal has it.
#[derive(Debug)]
enum Entry {
    Posted(Feed, PostedRow),
    Charge(ChargeRow),
    Stake(StakeRow),
    Credit(CreditRow),
}

impl General {
    /// Whether the ledger takes an entry.
    fn takes(&mut self, entry: &Entry, now_ms: u64) -> Result<bool, JournalError> {
        let refused = match entry {
            Entry::Posted(feed, row) => self.try_all(&[Posting::of_lease(*feed, row)], now_ms),
            Entry::Charge(row) => self.try_all(&[Posting::of_charge(row)], now_ms),
            Entry::Credit(row) => self.try_all(&[Posting::of_credit(row)], now_ms),
            Entry::Stake(row) => self.try_stakes(std::slice::from_ref(row), now_ms),
        };
        Ok(refused?.is_empty())
    }
}

/// Keeps what was refused: from now on it is known.
pub(super) async fn keep(shared: &Shared, ledger: &Ledger, refused: &[AsideRow]) -> Result<(), PostError> {
    for row in refused {
        if shared.store.set_aside(row).await? {
            let AsideRow { key, reason, amount_micros, .. } = row;
            tracing::error!(key, reason, micros = %amount_micros, "the ledger refuses an entry, which is set aside");
        }
    }
    let keys: Vec<Key> = refused.iter().map(|row| Key::of(&row.key)).collect();
    ledger
        .with(move |general| {
            general.asides.extend(keys);
            Ok(())
        })
        .await?;
    count(shared).await?;
    Ok(())
}

async fn count(shared: &Shared) -> Result<Vec<AsideRow>, StoreError> {
    let rows = shared.store.asides(AT_ONCE).await?;
    shared.metrics.ledger_refuses.set(rows.len());
    Ok(rows)
}

/// Tries again what was set aside, the oldest first.
pub(super) async fn try_again(shared: &Shared, ledger: &Ledger) -> Result<(), PostError> {
    let rows = count(shared).await?;
    let mut is_any_taken = false;
    for row in &rows {
        let Some(entry) = read(shared, row).await? else { continue };
        let (now_ms, key) = (shared.now_ms(), Key::of(&row.key));
        let takes = move |general: &mut General| {
            let is_taken = general.takes(&entry, now_ms)?;
            if is_taken {
                general.asides.remove(&key);
            }
            Ok(is_taken)
        };
        if ledger.with(takes).await? {
            shared.store.taken_up(row.feed, row.seq, now_ms).await?;
            tracing::info!(key = row.key, "the ledger takes an entry that was set aside");
            is_any_taken = true;
        }
    }
    if is_any_taken {
        count(shared).await?;
    }
    Ok(())
}

async fn read(shared: &Shared, row: &AsideRow) -> Result<Option<Entry>, StoreError> {
    let (store, before) = (&shared.store, row.seq.saturating_sub(1));
    let first = |rows: Vec<PostedRow>| rows.into_iter().next();
    let entry = match row.feed {
        Feed::Leases => first(store.posted_after(before, 1).await?).map(|it| Entry::Posted(row.feed, it)),
        Feed::Corrections => {
            first(store.corrections_after(before, 1).await?).map(|it| Entry::Posted(row.feed, it))
        }
        Feed::Charges => store.charges_after(before, 1).await?.into_iter().next().map(Entry::Charge),
        Feed::Stakes => store.stake_entries_after(before, 1).await?.into_iter().next().map(Entry::Stake),
        Feed::Credits => store.credits_after(before, 1).await?.into_iter().next().map(Entry::Credit),
    };
    Ok(entry)
}

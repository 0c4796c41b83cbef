//! What may be spent on a title.

use super::outbox::{self, Place};
use super::rows::{currency, maybe_int, signed_amount, title};
use super::{Connection, DbRow, SqlStore, StoreError, caps, keys};
use crate::store::BudgetRow;
use nearframe_ledger::{Account, Kind, Transfer};
use nearframe_protocol::{Currency, Money, SpendLimit, TitleId};
use sqlx::query;

/// Counts what a transfer sets aside or releases; refuses what the payer's budget does not hold. What is posted was
/// set aside before. The row is locked from here to the end of the transaction, so that no two decide by one balance.
pub(super) async fn count(tx: &mut Connection, transfer: &Transfer, now_ms: u64) -> Result<(), StoreError> {
    count_payer(tx, transfer, now_ms).await?;
    caps::count(tx, transfer).await
}

async fn count_payer(tx: &mut Connection, transfer: &Transfer, now_ms: u64) -> Result<(), StoreError> {
    let change_micros = match transfer.kind {
        Kind::Pending => signed_amount(transfer.amount_micros)?,
        Kind::Void => -signed_amount(transfer.amount_micros)?,
        Kind::Post => return Ok(()),
    };
    let title = match &transfer.debit {
        Account::Studio(_) if change_micros == 0 => return Ok(()),
        Account::Studio(title) => title,
        Account::Customer(account) => {
            return keys::count(tx, *account, transfer, change_micros, now_ms).await;
        }
        _ => return Err(StoreError::Corrupt("debit")),
    };
    if change_micros < 0 {
        return release(tx, title, &transfer.currency, change_micros).await;
    }
    let row = query(
        "INSERT INTO budgets (title, currency, limit_micros, committed_micros) VALUES ($1, $2, NULL, $3)
         ON CONFLICT (title, currency) DO UPDATE SET committed_micros = budgets.committed_micros + $3
          WHERE budgets.limit_micros IS NULL
             OR budgets.committed_micros + $3 <= budgets.limit_micros
         RETURNING limit_micros, committed_micros, low_told_ms",
    )
    .bind(title.as_str())
    .bind(transfer.currency.as_str())
    .bind(change_micros)
    .fetch_optional(&mut *tx)
    .await?;
    let row = row.ok_or(StoreError::OverBudget(SpendLimit::TitleBudget))?;
    outbox::low(tx, &row, Place::Title(title, &transfer.currency), &transfer.currency, now_ms).await
}

/// What is released was set aside before, so the row is there. Not an insertion: its check would see a row below zero.
async fn release(
    tx: &mut Connection,
    title: &TitleId,
    currency: &Currency,
    change_micros: i64,
) -> Result<(), StoreError> {
    let done = query(
        "UPDATE budgets SET committed_micros = committed_micros + $1 WHERE title = $2 AND currency = $3",
    )
    .bind(change_micros)
    .bind(title.as_str())
    .bind(currency.as_str())
    .execute(tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Corrupt("committed_micros")) }
}

pub(super) async fn set(
    store: &SqlStore,
    title: &TitleId,
    currency: &Currency,
    limit_micros: Option<i128>,
) -> Result<(), StoreError> {
    let limit_micros = limit_micros.map(signed_amount).transpose()?;
    query(
        "INSERT INTO budgets (title, currency, limit_micros, committed_micros) VALUES ($1, $2, $3, 0)
         ON CONFLICT (title, currency) DO UPDATE
            SET limit_micros = $3, low_told_ms = NULL, exhausted_told_ms = NULL",
    )
    .bind(title.as_str())
    .bind(currency.as_str())
    .bind(limit_micros)
    .execute(&store.writer)
    .await?;
    Ok(())
}

pub(super) async fn all(store: &SqlStore) -> Result<Vec<BudgetRow>, StoreError> {
    let rows =
        query("SELECT title, currency, limit_micros, committed_micros FROM budgets ORDER BY title, currency")
            .fetch_all(&store.readers)
            .await?;
    rows.iter().map(row).collect()
}

fn row(row: &DbRow) -> Result<BudgetRow, StoreError> {
    let currency: Currency = currency(row)?;
    let money =
        |amount_micros: i64| Money { amount_micros: amount_micros.into(), currency: currency.clone() };
    let committed = maybe_int(row, "committed_micros")?.ok_or(StoreError::Corrupt("committed_micros"))?;
    Ok(BudgetRow {
        title: title(row)?,
        limit: maybe_int(row, "limit_micros")?.map(money),
        committed: money(committed),
    })
}

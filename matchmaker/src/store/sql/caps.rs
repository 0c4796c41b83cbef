//! What players may spend in a month.
//!
//! A lease counts in the month in which it began, whenever its receipts come. Who spends under a cap for the first time in
//! a month begins with what the journal has of them.

use super::accounts::maybe_id;
use super::rows::{blob, currency, int, maybe_int, signed, signed_amount, text};
use super::{Connection, SqlStore, StoreError};
use crate::store::Hash;
use crate::store::market::{CapOf, CapRow};
use crate::store::months::{month_of, range_of};
use nearframe_ledger::{Kind, Transfer};
use nearframe_protocol::{AccountId, TitleId};
use sqlx::{Row, query};

pub(super) async fn set(store: &SqlStore, of: &CapOf, cap: Option<&CapRow>) -> Result<(), StoreError> {
    let (kind, subject) = of.words();
    let Some(cap) = cap else {
        query("DELETE FROM spend_caps WHERE kind = $1 AND subject = $2")
            .bind(kind)
            .bind(subject)
            .execute(&store.writer)
            .await?;
        return Ok(());
    };
    query(
        "INSERT INTO spend_caps (kind, subject, currency, limit_micros) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, subject) DO UPDATE SET currency = $3, limit_micros = $4",
    )
    .bind(kind)
    .bind(subject)
    .bind(cap.currency.as_str())
    .bind(signed_amount(cap.limit_micros)?)
    .execute(&store.writer)
    .await?;
    Ok(())
}

pub(super) async fn one(store: &SqlStore, of: &CapOf) -> Result<Option<CapRow>, StoreError> {
    let (kind, subject) = of.words();
    let row = query("SELECT currency, limit_micros FROM spend_caps WHERE kind = $1 AND subject = $2")
        .bind(kind)
        .bind(subject)
        .fetch_optional(&store.readers)
        .await?;
    row.map(|row| {
        Ok(CapRow { currency: currency(&row)?, limit_micros: int::<i64>(&row, "limit_micros")?.into() })
    })
    .transpose()
}

/// Counts what a transfer that is written sets aside or releases for whoever plays; refuses what a cap does not hold. The
/// rows of caps come last: nothing else waits for them.
pub(super) async fn count(tx: &mut Connection, transfer: &Transfer) -> Result<(), StoreError> {
    let change_micros = match transfer.kind {
        Kind::Pending => signed_amount(transfer.amount_micros)?,
        Kind::Void => -signed_amount(transfer.amount_micros)?,
        Kind::Post => return Ok(()),
    };
    if change_micros == 0 {
        return Ok(());
    }
    let lease = query(
        "SELECT s.title, l.player, l.account_id, l.started_at_ms FROM leases l JOIN sessions s ON s.id = l.session_id
          WHERE l.id = $1 AND l.player IS NOT NULL AND (l.work IS NULL OR l.work <> 'reserve')
            AND EXISTS (SELECT 1 FROM spend_caps)",
    )
    .bind(&transfer.lease.as_bytes()[..])
    .fetch_optional(&mut *tx)
    .await?;
    let Some(lease) = lease else { return Ok(()) };
    let title = TitleId::new(text(&lease, "title")?).map_err(|_| StoreError::Corrupt("title"))?;
    let account = maybe_id(&lease, "account_id")?.map(AccountId::from_bytes);
    let player: Hash = blob(&lease, "player")?;
    let month = month_of(int(&lease, "started_at_ms")?);
    for of in [Some(CapOf::Title(title)), account.map(CapOf::Account)].into_iter().flatten() {
        let (kind, subject) = of.words();
        let cap = query("SELECT currency, limit_micros FROM spend_caps WHERE kind = $1 AND subject = $2")
            .bind(kind)
            .bind(&subject)
            .fetch_optional(&mut *tx)
            .await?;
        let limit = match cap {
            Some(cap) if text(&cap, "currency")? == transfer.currency.as_str() => {
                maybe_int::<i64>(&cap, "limit_micros")?
            }
            // What a cap counts in another currency is not known, so nothing more is spent under it.
            Some(_) if change_micros > 0 => return Err(StoreError::OverBudget(of.limit())),
            _ => continue,
        };
        begin(tx, &of, (&player, month), transfer).await?;
        spend(tx, &of, &player, month, change_micros, limit).await?;
    }
    Ok(())
}

/// Of an account, the account is the player.
fn counted_player(of: &CapOf, player: &Hash) -> Hash {
    match of {
        CapOf::Title(_) => *player,
        CapOf::Account(_) => [0; 32],
    }
}

/// Whoever has no row yet gets one with what the journal has, but for the transfer that is written just now.
async fn begin(
    tx: &mut Connection,
    of: &CapOf,
    (player, month): (&Hash, u32),
    transfer: &Transfer,
) -> Result<(), StoreError> {
    let (kind, subject) = of.words();
    let range = range_of(month);
    let done = query(
        "INSERT INTO player_spending (kind, subject, player, month, committed_micros) VALUES ($1, $2, $3, $4, 0)
         ON CONFLICT (kind, subject, player, month) DO NOTHING",
    )
    .bind(kind)
    .bind(&subject)
    .bind(&counted_player(of, player)[..])
    .bind(i64::from(month))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    let whose = match of {
        CapOf::Title(_) => "l.player = $4 AND s.title = $5",
        CapOf::Account(_) => "l.account_id = $4",
    };
    let sql = format!(
        "SELECT CAST(coalesce(sum(CASE t.kind WHEN 'pending' THEN t.amount_micros
                                             WHEN 'void' THEN -t.amount_micros ELSE 0 END), 0) AS BIGINT) AS spent
           FROM leases l JOIN sessions s ON s.id = l.session_id JOIN transfers t ON t.lease_id = l.id
          WHERE l.started_at_ms >= $1 AND l.started_at_ms < $2 AND t.id <> $3
            AND (l.work IS NULL OR l.work <> 'reserve') AND {whose}"
    );
    let asked =
        query(&sql).bind(signed(range.start)).bind(signed(range.end)).bind(&transfer.id.as_bytes()[..]);
    let asked = match of {
        CapOf::Title(title) => asked.bind(player.to_vec()).bind(title.as_str()),
        CapOf::Account(account) => asked.bind(account.as_bytes().to_vec()),
    };
    let spent: i64 = asked.fetch_one(&mut *tx).await?.try_get("spent")?;
    query(
        "UPDATE player_spending SET committed_micros = $1 WHERE kind = $2 AND subject = $3 AND player = $4 AND month = $5",
    )
    .bind(spent)
    .bind(kind)
    .bind(&subject)
    .bind(&counted_player(of, player)[..])
    .bind(i64::from(month))
    .execute(tx)
    .await?;
    Ok(())
}

async fn spend(
    tx: &mut Connection,
    of: &CapOf,
    player: &Hash,
    month: u32,
    change_micros: i64,
    limit: Option<i64>,
) -> Result<(), StoreError> {
    let (kind, subject) = of.words();
    let done = query(
        "UPDATE player_spending SET committed_micros = committed_micros + $1
          WHERE kind = $2 AND subject = $3 AND player = $4 AND month = $5
            AND ($1 <= 0 OR $6 IS NULL OR committed_micros + $1 <= $6)",
    )
    .bind(change_micros)
    .bind(kind)
    .bind(&subject)
    .bind(&counted_player(of, player)[..])
    .bind(i64::from(month))
    .bind(limit)
    .execute(tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::OverBudget(of.limit())) }
}

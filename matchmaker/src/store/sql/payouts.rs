//! Destinations and payouts.

use super::rows::{among, blob, currency, int, signed, signed_amount, text};
use super::{Connection, DbRow, SqlStore, StoreError, Subject, lock, outbox};
use crate::store::payouts::{DestinationRow, PayoutRow, PayoutStore, Spent, state_text};
use crate::store::webhooks::EventRow;
use async_trait::async_trait;
use nearframe_ledger::hash::Hash32;
use nearframe_ledger::payout::{Destination, Payout, Rail, State};
use nearframe_ledger::settlement::Epoch;
use nearframe_protocol::payout::PayoutId;
use nearframe_protocol::{AccountId, Currency, NodeId};
use sqlx::{Row, query};

const PAYOUT: &str =
    "SELECT run, account_id, epoch, root, attempt, node_id, currency, amount_micros, rail, name, iban, bic, address,
    state, created_at_ms, changed_at_ms FROM payouts";

/// Columns `rail`, `name`, `iban`, `bic` and `address`.
fn words(destination: &Destination) -> (&'static str, [Option<String>; 4]) {
    let rail = destination.rail().as_str();
    match destination {
        Destination::Bank { name, iban, bic } => {
            (rail, [Some(name.clone()), Some(iban.to_string()), bic.as_ref().map(ToString::to_string), None])
        }
        Destination::Evm { address } => (rail, [None, None, None, Some(address.to_string())]),
    }
}

fn destination(row: &DbRow) -> Result<Destination, StoreError> {
    let corrupt = |_| StoreError::Corrupt("destination");
    if rail(row)? == Rail::Evm {
        return Ok(Destination::Evm { address: text(row, "address")?.parse().map_err(corrupt)? });
    }
    let bic: Option<&str> = row.try_get("bic")?;
    let bic = bic.map(str::parse).transpose().map_err(corrupt)?;
    let iban = text(row, "iban")?.parse().map_err(corrupt)?;
    Destination::bank(text(row, "name")?, iban, bic).map_err(corrupt)
}

fn rail(row: &DbRow) -> Result<Rail, StoreError> {
    let word = text(row, "rail")?;
    [Rail::Bank, Rail::Evm].into_iter().find(|rail| rail.as_str() == word).ok_or(StoreError::Corrupt("rail"))
}

fn state(row: &DbRow) -> Result<State, StoreError> {
    let word = text(row, "state")?;
    let all = [State::Created, State::Submitted, State::Settled, State::Failed];
    all.into_iter().find(|state| state_text(*state) == word).ok_or(StoreError::Corrupt("state"))
}

fn node(row: &DbRow) -> Result<NodeId, StoreError> {
    Ok(NodeId::from_bytes(blob(row, "node_id")?))
}

fn payout(row: &DbRow) -> Result<PayoutRow, StoreError> {
    Ok(PayoutRow {
        run: int(row, "run")?,
        account: AccountId::from_bytes(blob(row, "account_id")?),
        payout: Payout {
            epoch: Epoch(int(row, "epoch")?),
            root: Hash32(blob(row, "root")?),
            attempt: int(row, "attempt")?,
            host: node(row)?,
            currency: currency(row)?,
            amount_micros: int::<i64>(row, "amount_micros")?.into(),
            destination: destination(row)?,
        },
        state: state(row)?,
        created_at_ms: int(row, "created_at_ms")?,
        changed_at_ms: int(row, "changed_at_ms")?,
    })
}

/// How often earnings were spent. Whoever goes by it holds [`Subject::Earnings`].
pub(super) async fn spent(connection: &mut Connection) -> Result<Spent, StoreError> {
    let row = query(
        "SELECT (SELECT coalesce(max(run), 0) FROM payouts) AS run,
                (SELECT count(*) FROM stake_entries WHERE deed = 'posted') AS stakes",
    )
    .fetch_one(connection)
    .await?;
    Ok(Spent { run: int(&row, "run")?, stakes: int(&row, "stakes")? })
}

#[async_trait]
impl PayoutStore for SqlStore {
    async fn set_destination(&self, row: &DestinationRow) -> Result<(), StoreError> {
        let (rail, [name, iban, bic, address]) = words(&row.destination);
        query(
            "INSERT INTO destinations (account_id, currency, rail, name, iban, bic, address, since_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (account_id, currency) DO UPDATE SET rail = $3, name = $4, iban = $5, bic = $6, address = $7,
                since_ms = $8",
        )
        .bind(&row.account.as_bytes()[..])
        .bind(row.currency.as_str())
        .bind(rail)
        .bind(name)
        .bind(iban)
        .bind(bic)
        .bind(address)
        .bind(signed(row.since_ms))
        .execute(&self.writer)
        .await?;
        Ok(())
    }
    async fn destinations(&self, account: Option<AccountId>) -> Result<Vec<DestinationRow>, StoreError> {
        let rows = query(
            "SELECT account_id, currency, rail, name, iban, bic, address, since_ms FROM destinations
              WHERE $1 IS NULL OR account_id = $1 ORDER BY account_id, currency",
        )
        .bind(account.map(|account| account.as_bytes().to_vec()))
        .fetch_all(&self.readers)
        .await?;
        let row = |row: &DbRow| {
            Ok(DestinationRow {
                account: AccountId::from_bytes(blob(row, "account_id")?),
                currency: currency(row)?,
                destination: destination(row)?,
                since_ms: int(row, "since_ms")?,
            })
        };
        rows.iter().map(row).collect()
    }
    async fn spent(&self) -> Result<Spent, StoreError> {
        spent(&mut *self.readers.acquire().await?).await
    }
    async fn add_payouts(&self, rows: &[(PayoutRow, EventRow)], read: Spent) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Earnings).await?;
        if spent(&mut tx).await? != read {
            return Ok(false);
        }
        for (row, event) in rows {
            let PayoutRow { payout, .. } = row;
            let (rail, [name, iban, bic, address]) = words(&payout.destination);
            let done = query(
                "INSERT INTO payouts (id, run, account_id, epoch, root, attempt, node_id, currency, amount_micros,
                    rail, name, iban, bic, address, state, created_at_ms, changed_at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(&row.id().as_bytes()[..])
            .bind(signed(row.run))
            .bind(&row.account.as_bytes()[..])
            .bind(i64::from(payout.epoch.0))
            .bind(&payout.root.0[..])
            .bind(i64::from(payout.attempt))
            .bind(&payout.host.as_bytes()[..])
            .bind(payout.currency.as_str())
            .bind(signed_amount(payout.amount_micros)?)
            .bind(rail)
            .bind(name)
            .bind(iban)
            .bind(bic)
            .bind(address)
            .bind(state_text(row.state))
            .bind(signed(row.created_at_ms))
            .bind(signed(row.changed_at_ms))
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 {
                outbox::add(&mut tx, event, None).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }
    async fn set_payout_state(
        &self,
        id: PayoutId,
        state: State,
        now_ms: u64,
        event: Option<&EventRow>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let done = query(
            "UPDATE payouts SET state = $1, changed_at_ms = $2
              WHERE id = $3 AND (state = 'created' OR (state = 'submitted' AND $1 <> 'created')) AND state <> $1",
        )
            .bind(state_text(state))
            .bind(signed(now_ms))
            .bind(&id.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
        if let Some(event) = event.filter(|_| done.rows_affected() == 1) {
            outbox::add(&mut tx, event, None).await?;
        }
        tx.commit().await?;
        Ok(())
    }
    async fn payouts(
        &self,
        account: Option<AccountId>,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<PayoutRow>, StoreError> {
        let sql = format!(
            "{PAYOUT} WHERE ($1 IS NULL OR account_id = $1)
                AND ($2 IS NULL OR (run, id) < (SELECT p.run, p.id FROM payouts p WHERE p.id = $2))
              ORDER BY run DESC, id DESC LIMIT $3"
        );
        let rows = query(&sql)
            .bind(account.map(|account| account.as_bytes().to_vec()))
            .bind(after.map(|id| id.as_bytes().to_vec()))
            .bind(i64::from(limit))
            .fetch_all(&self.readers);
        rows.await?.iter().map(payout).collect()
    }
    async fn payouts_of_run(&self, run: u64) -> Result<Vec<PayoutRow>, StoreError> {
        let sql = format!("{PAYOUT} WHERE run = $1 ORDER BY id");
        query(&sql).bind(signed(run)).fetch_all(&self.readers).await?.iter().map(payout).collect()
    }
    async fn open_payouts(&self) -> Result<Vec<PayoutRow>, StoreError> {
        let sql = format!("{PAYOUT} WHERE state IN ('created', 'submitted') ORDER BY run, id");
        query(&sql).fetch_all(&self.readers).await?.iter().map(payout).collect()
    }
    async fn paid(
        &self,
        hosts: Option<&[NodeId]>,
    ) -> Result<Vec<(NodeId, Currency, Rail, i128)>, StoreError> {
        let among = among("node_id", hosts, 1);
        let sql = format!(
            "SELECT node_id, currency, rail, CAST(sum(amount_micros) AS BIGINT) AS paid FROM payouts
              WHERE state <> 'failed'{among} GROUP BY node_id, currency, rail ORDER BY node_id, currency, rail"
        );
        let mut asked = query(&sql);
        for host in hosts.into_iter().flatten() {
            asked = asked.bind(host.as_bytes().to_vec());
        }
        let rows = asked.fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| Ok((node(row)?, currency(row)?, rail(row)?, int::<i64>(row, "paid")?.into())))
            .collect()
    }
    async fn failed_payouts(&self, epoch: u32) -> Result<Vec<(NodeId, Currency, u32)>, StoreError> {
        let rows = query(
            "SELECT node_id, currency, count(*) AS failed FROM payouts WHERE epoch = $1 AND state = 'failed'
              GROUP BY node_id, currency ORDER BY node_id, currency",
        )
        .bind(i64::from(epoch))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((node(row)?, currency(row)?, int(row, "failed")?))).collect()
    }
}

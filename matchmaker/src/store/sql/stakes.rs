//! Stakes, tables of rules and credits.

use super::rows::{among, blob, currency, int, signed, signed_amount, text};
use super::{
    Connection, DbRow, Fate, Lock, Numbered, SqlStore, StoreError, Subject, numbered_until, outbox, payouts,
    trust, within,
};
use crate::store::deeds::{actor_text, parse_actor};
use crate::store::payouts::Spent;
use crate::store::stake::{
    CreditKind, CreditRow, LeaseCredit, NewCredit, RuleTable, RulesRow, StakeRow, StakeStore,
};
use crate::store::trust::CaseRow;
use crate::store::webhooks::EventRow;
use async_trait::async_trait;
use nearframe_ledger::Account;
use nearframe_ledger::settlement::Totals;
use nearframe_protocol::{CaseId, LeaseId, NodeId, SessionId};
use nearframe_trust::stake::Entry;
use sqlx::{Row, query};
use std::ops::Range;

const ENTRIES: &str =
    "SELECT seq, node_id, number, amount_micros, currency, body, actor, at_ms FROM stake_entries";
const CREDITS: &str =
    "SELECT seq, kind, about, debit, credit, amount_micros, currency, key, at_ms FROM credits";
/// Of an entry's body: where it came from. Deeds that move nothing between host and stake count for nothing.
const FROM_EARNINGS: &str = "deed = 'posted' AND body LIKE '%\"source\":\"earnings\"%'";

fn entry(row: &DbRow) -> Result<StakeRow, StoreError> {
    let actor: Option<&str> = row.try_get("actor")?;
    Ok(StakeRow {
        seq: int(row, "seq")?,
        node: NodeId::from_bytes(blob(row, "node_id")?),
        currency: currency(row)?,
        entry: Entry {
            number: int(row, "number")?,
            at_ms: int(row, "at_ms")?,
            amount_micros: int::<i64>(row, "amount_micros")?.into(),
            deed: serde_json::from_str(text(row, "body")?).map_err(|_| StoreError::Corrupt("body"))?,
            by: actor.map(|text| parse_actor(text).ok_or(StoreError::Corrupt("actor"))).transpose()?,
        },
    })
}

fn account(row: &DbRow, column: &'static str) -> Result<Account, StoreError> {
    text(row, column)?.parse().map_err(|_| StoreError::Corrupt(column))
}

fn credit(row: &DbRow) -> Result<CreditRow, StoreError> {
    Ok(CreditRow {
        seq: int(row, "seq")?,
        kind: CreditKind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))?,
        about: text(row, "about")?.to_owned(),
        debit: account(row, "debit")?,
        credit: account(row, "credit")?,
        amount_micros: int::<i64>(row, "amount_micros")?.into(),
        currency: currency(row)?,
        key: text(row, "key")?.to_owned(),
        at_ms: int(row, "at_ms")?,
    })
}

fn rules_row(row: &DbRow) -> Result<RulesRow, StoreError> {
    let body = text(row, "body")?.to_owned();
    Ok(RulesRow { version: int(row, "version")?, body, since_ms: int(row, "since_ms")? })
}

/// Writes credits; those whose key is there stay.
pub(super) async fn add_credits(tx: &mut Connection, credits: &[NewCredit]) -> Result<(), StoreError> {
    for NewCredit { row, shares } in credits {
        let done = query(
            "INSERT INTO credits (kind, about, debit, credit, amount_micros, currency, key, at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key) DO NOTHING",
        )
        .bind(row.kind.as_str())
        .bind(&row.about)
        .bind(row.debit.to_string())
        .bind(row.credit.to_string())
        .bind(signed_amount(row.amount_micros)?)
        .bind(row.currency.as_str())
        .bind(&row.key)
        .bind(signed(row.at_ms))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 1 {
            add_shares(tx, &row.key, shares).await?;
        }
    }
    Ok(())
}

async fn add_shares(tx: &mut Connection, key: &str, shares: &[(LeaseId, i128)]) -> Result<(), StoreError> {
    for (lease, micros) in shares {
        query("INSERT INTO credit_shares (lease_id, key, amount_micros) VALUES ($1, $2, $3)")
            .bind(&lease.as_bytes()[..])
            .bind(key)
            .bind(signed_amount(*micros)?)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn of_session(store: &SqlStore, session: SessionId) -> Result<Vec<LeaseCredit>, StoreError> {
    let rows = query(
        "SELECT s.lease_id, c.seq, c.kind, c.about, c.debit, c.credit, s.amount_micros, c.currency, c.key, c.at_ms
           FROM leases l JOIN credit_shares s ON s.lease_id = l.id JOIN credits c ON c.key = s.key
          WHERE l.session_id = $1 ORDER BY c.seq, s.lease_id",
    )
    .bind(&session.as_bytes()[..])
    .fetch_all(&store.readers)
    .await?;
    let of_lease = |row: &DbRow| {
        Ok(LeaseCredit { lease: LeaseId::from_bytes(blob(row, "lease_id")?), row: credit(row)? })
    };
    rows.iter().map(of_lease).collect()
}

async fn add(
    tx: &mut Connection,
    row: &StakeRow,
    credits: &[NewCredit],
    event: Option<&EventRow>,
) -> Result<Fate<bool>, StoreError> {
    let StakeRow { node, currency, entry, .. } = row;
    let body = serde_json::to_string(&entry.deed).map_err(|_| StoreError::Corrupt("body"))?;
    // A number is written only after the one before it.
    let done = query(
        "INSERT INTO stake_entries (node_id, number, deed, case_id, amount_micros, currency, body, actor, at_ms)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
          WHERE $2 = 1 + (SELECT coalesce(max(e.number), 0) FROM stake_entries e WHERE e.node_id = $1)
         ON CONFLICT DO NOTHING",
    )
    .bind(&node.as_bytes()[..])
    .bind(i64::from(entry.number))
    .bind(entry.deed.as_str())
    .bind(entry.deed.case().map(|case| case.as_bytes().to_vec()))
    .bind(signed_amount(entry.amount_micros)?)
    .bind(currency.as_str())
    .bind(body)
    .bind(entry.by.as_ref().map(actor_text))
    .bind(signed(entry.at_ms))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Fate::Undo(false));
    }
    add_credits(tx, credits).await?;
    if let Some(event) = event {
        outbox::add(tx, event, None).await?;
    }
    Ok(Fate::Keep(true))
}

fn totals(rows: &[DbRow]) -> Result<Totals, StoreError> {
    let total = |row: &DbRow| {
        let place = (NodeId::from_bytes(blob(row, "node_id")?), currency(row)?);
        Ok((place, i128::from(int::<i64>(row, "amount_micros")?)))
    };
    rows.iter().map(total).collect()
}

#[async_trait]
impl StakeStore for SqlStore {
    async fn add_rules(&self, table: RuleTable, row: &RulesRow) -> Result<RulesRow, StoreError> {
        query(
            "INSERT INTO rule_tables (name, version, body, since_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name, version) DO NOTHING",
        )
        .bind(table.as_str())
        .bind(i64::from(row.version))
        .bind(&row.body)
        .bind(signed(row.since_ms))
        .execute(&self.writer)
        .await?;
        let kept = query("SELECT version, body, since_ms FROM rule_tables WHERE name = $1 AND version = $2")
            .bind(table.as_str())
            .bind(i64::from(row.version))
            .fetch_one(&self.writer)
            .await?;
        rules_row(&kept)
    }
    async fn rule_tables(&self, table: RuleTable) -> Result<Vec<RulesRow>, StoreError> {
        let rows = query("SELECT version, body, since_ms FROM rule_tables WHERE name = $1 ORDER BY version")
            .bind(table.as_str())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(rules_row).collect()
    }
    async fn add_stake_entry(
        &self,
        row: &StakeRow,
        credits: &[NewCredit],
        event: Option<&EventRow>,
    ) -> Result<bool, StoreError> {
        let (row, credits, event) = (row.clone(), credits.to_vec(), event.cloned());
        within(self, &[], move |tx| Box::pin(async move { add(tx, &row, &credits, event.as_ref()).await }))
            .await
    }
    async fn stake_earnings(&self, row: &StakeRow, read: Spent) -> Result<bool, StoreError> {
        let row = row.clone();
        within(self, &[Lock::Alone(Subject::Earnings)], move |tx| {
            Box::pin(async move {
                if payouts::spent(tx).await? != read {
                    return Ok(Fate::Undo(false));
                }
                add(tx, &row, &[], None).await
            })
        })
        .await
    }
    async fn stake_entries(&self, node: Option<NodeId>) -> Result<Vec<StakeRow>, StoreError> {
        let sql = format!("{ENTRIES} WHERE $1 IS NULL OR node_id = $1 ORDER BY node_id, number");
        let rows = query(&sql).bind(node.map(|node| node.as_bytes().to_vec())).fetch_all(&self.readers);
        rows.await?.iter().map(entry).collect()
    }
    async fn stake_entries_after(&self, after: u64, limit: u32) -> Result<Vec<StakeRow>, StoreError> {
        let sql = format!("{ENTRIES} WHERE seq > $1 AND seq <= $3 ORDER BY seq LIMIT $2");
        let until = numbered_until(self, Numbered::StakeEntries).await?;
        let rows =
            query(&sql).bind(signed(after)).bind(i64::from(limit)).bind(until).fetch_all(&self.readers);
        rows.await?.iter().map(entry).collect()
    }
    async fn case(&self, id: CaseId) -> Result<Option<CaseRow>, StoreError> {
        let sql = format!("{} WHERE id = $1", trust::CASE_COLUMNS);
        let row = query(&sql).bind(&id.as_bytes()[..]).fetch_optional(&self.readers).await?;
        row.as_ref().map(trust::case).transpose()
    }
    async fn unpunished(&self) -> Result<Vec<CaseRow>, StoreError> {
        let sql = format!(
            "{} WHERE verdict = 'upheld' AND grade = 'slash' AND NOT EXISTS (SELECT 1 FROM stake_entries e
                WHERE e.case_id = trust_cases.id AND e.deed = 'set_aside') ORDER BY decided_at_ms, id",
            trust::CASE_COLUMNS
        );
        query(&sql).fetch_all(&self.readers).await?.iter().map(trust::case).collect()
    }
    async fn credits_after(&self, after: u64, limit: u32) -> Result<Vec<CreditRow>, StoreError> {
        let sql = format!("{CREDITS} WHERE seq > $1 AND seq <= $3 ORDER BY seq LIMIT $2");
        let until = numbered_until(self, Numbered::Credits).await?;
        let rows =
            query(&sql).bind(signed(after)).bind(i64::from(limit)).bind(until).fetch_all(&self.readers);
        rows.await?.iter().map(credit).collect()
    }
    async fn credits_to(
        &self,
        accounts: &[Account],
        range: Range<u64>,
    ) -> Result<Vec<CreditRow>, StoreError> {
        let sql = format!("{CREDITS} WHERE credit = $1 AND at_ms >= $2 AND at_ms < $3 ORDER BY seq");
        let mut all = vec![];
        for account in accounts {
            let rows = query(&sql)
                .bind(account.to_string())
                .bind(signed(range.start))
                .bind(signed(range.end))
                .fetch_all(&self.readers)
                .await?;
            for row in &rows {
                all.push(credit(row)?);
            }
        }
        all.sort_by_key(|row| row.seq);
        Ok(all)
    }
    async fn credits_of_session(&self, session: SessionId) -> Result<Vec<LeaseCredit>, StoreError> {
        of_session(self, session).await
    }
    async fn deducted(&self, hosts: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        let own = among("node_id", hosts, 1);
        let sql = format!(
            "SELECT node_id, currency, CAST(sum(CASE WHEN {FROM_EARNINGS} THEN amount_micros
                    WHEN deed = 'released' THEN -amount_micros ELSE 0 END) AS BIGINT) AS amount_micros
               FROM stake_entries WHERE 1 = 1{own} GROUP BY node_id, currency"
        );
        let mut asked = query(&sql);
        for host in hosts.into_iter().flatten() {
            asked = asked.bind(host.as_bytes().to_vec());
        }
        let mut sums = totals(&asked.fetch_all(&self.readers).await?)?;
        let own = among("debit", hosts, 1);
        let sql = format!(
            "SELECT debit, currency, CAST(sum(amount_micros) AS BIGINT) AS amount_micros FROM credits
              WHERE debit LIKE 'host:%'{own} GROUP BY debit, currency"
        );
        let mut asked = query(&sql);
        for host in hosts.into_iter().flatten() {
            asked = asked.bind(Account::Host(*host).to_string());
        }
        let borne = asked.fetch_all(&self.readers).await?;
        for row in &borne {
            let Account::Host(host) = account(row, "debit")? else {
                return Err(StoreError::Corrupt("debit"));
            };
            *sums.entry((host, currency(row)?)).or_default() += i128::from(int::<i64>(row, "amount_micros")?);
        }
        sums.retain(|_, micros| *micros != 0);
        Ok(sums)
    }
    async fn released(&self) -> Result<Totals, StoreError> {
        let rows = query(
            "SELECT node_id, currency, CAST(sum(amount_micros) AS BIGINT) AS amount_micros FROM stake_entries
              WHERE deed = 'released' GROUP BY node_id, currency",
        )
        .fetch_all(&self.readers);
        totals(&rows.await?)
    }
}

//! What was used and what it cost.

use super::evidence::{self, PAID_BY_5};
use super::rows::{among, basis, blob, currency, int, maybe_int, signed, state, tariff, text, title};
use super::{DbRow, SqlStore, StoreError};
use crate::store::billing::{
    BillingStore, CardRow, CardSource, LeaseUsageRow, UsageBy, UsageKey, UsageOf, UsageRow, UsageSums,
};
use async_trait::async_trait;
use nearframe_ledger::bill::Evidence;
use nearframe_ledger::rates::RateCard;
use nearframe_protocol::prices::Work;
use nearframe_protocol::{Currency, LeaseId, NodeId, SessionId, TitleId};
use sqlx::query;
use std::collections::BTreeMap;

/// Parameters 3 and 4: of one title, of one node. Parameter 5: of what an account pays for.
const OF: &str = "($3 IS NULL OR s.title = $3) AND ($4 IS NULL OR l.node_id = $4)";

/// What is grouped by; `at` names the column of the time.
fn key_sql(by: UsageBy, at: &str) -> String {
    match by {
        UsageBy::Title => "s.title".to_owned(),
        UsageBy::Node => "l.node_id".to_owned(),
        UsageBy::Step(step_ms) => format!("({at} - $1) / {}", signed(step_ms.max(1))),
        UsageBy::Rate => "l.work || '/' || l.gpu_tier || '/' || l.rate_region".to_owned(),
    }
}

fn key(by: UsageBy, row: &DbRow, of: &UsageOf) -> Result<UsageKey, StoreError> {
    Ok(match by {
        UsageBy::Title => UsageKey::Title(TitleId::new(text(row, "k")?).map_err(|_| corrupt())?),
        UsageBy::Node => UsageKey::Node(NodeId::from_bytes(blob(row, "k")?)),
        UsageBy::Step(step_ms) => UsageKey::From(of.range.start + int::<u64>(row, "k")? * step_ms.max(1)),
        UsageBy::Rate => rate_key(text(row, "k")?).ok_or(StoreError::Corrupt("work"))?,
    })
}

fn rate_key(joined: &str) -> Option<UsageKey> {
    let mut parts = joined.splitn(3, '/');
    let (work, gpu_tier) = (Work::parse(parts.next()?)?, parts.next()?.parse().ok()?);
    Some(UsageKey::Rate { work, gpu_tier, region: parts.next()?.to_owned() })
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("title")
}

async fn usage(store: &SqlStore, of: &UsageOf, by: UsageBy) -> Result<Vec<UsageRow>, StoreError> {
    let only = if by == UsageBy::Rate { "AND l.work IS NOT NULL" } else { "" };
    let among = among("l.node_id", of.among.as_deref(), 6);
    let group = key_sql(by, "r.received_at_ms");
    let used = format!(
        "SELECT {group} AS k, l.currency, count(DISTINCT l.id) AS leases, count(*) AS receipts,
                CAST(sum(r.billed_us) AS BIGINT) AS billed_us
           FROM receipts r
           JOIN leases l ON l.session_id = r.session_id AND l.generation = r.generation
           JOIN sessions s ON s.id = l.session_id
          WHERE r.received_at_ms >= $1 AND r.received_at_ms < $2 AND {OF} AND {PAID_BY_5}{among} {only} GROUP BY {group}, l.currency"
    );
    let group = key_sql(by, "t.at_ms");
    let posted = format!(
        "SELECT {group} AS k, t.currency,
                CAST(sum(CASE WHEN t.credit = 'platform' THEN t.amount_micros ELSE 0 END) AS BIGINT) AS platform_micros,
                CAST(sum(CASE WHEN t.credit = 'platform' THEN 0 ELSE t.amount_micros END) AS BIGINT) AS host_micros
           FROM transfers t
           JOIN leases l ON l.id = t.lease_id
           JOIN sessions s ON s.id = l.session_id
          WHERE t.kind = 'post' AND t.at_ms >= $1 AND t.at_ms < $2 AND {OF} AND {PAID_BY_5}{among} {only} GROUP BY {group}, t.currency"
    );
    let mut rows = BTreeMap::<(UsageKey, Currency), UsageSums>::new();
    for row in rows_of(store, &used, of).await? {
        let sums = rows.entry((key(by, &row, of)?, currency(&row)?)).or_default();
        (sums.leases, sums.receipts, sums.billed_us) =
            (int(&row, "leases")?, int(&row, "receipts")?, int(&row, "billed_us")?);
    }
    for row in rows_of(store, &posted, of).await? {
        let sums = rows.entry((key(by, &row, of)?, currency(&row)?)).or_default();
        posted_sums(sums, &row)?;
    }
    Ok(rows.into_iter().map(|((key, currency), sums)| UsageRow { key, currency, sums }).collect())
}

async fn rows_of(store: &SqlStore, sql: &str, of: &UsageOf) -> Result<Vec<DbRow>, StoreError> {
    let mut asked = query(sql)
        .bind(signed(of.range.start))
        .bind(signed(of.range.end))
        .bind(of.title.as_ref().map(|title| title.as_str().to_owned()))
        .bind(of.node.map(|node| node.as_bytes().to_vec()))
        .bind(of.account.map(|account| account.as_bytes().to_vec()));
    for node in of.among.iter().flatten() {
        asked = asked.bind(node.as_bytes().to_vec());
    }
    Ok(asked.fetch_all(&store.readers).await?)
}

fn posted_sums(sums: &mut UsageSums, row: &DbRow) -> Result<(), StoreError> {
    sums.host_micros = int::<i64>(row, "host_micros")?.into();
    sums.platform_micros = int::<i64>(row, "platform_micros")?.into();
    Ok(())
}

/// Money is looked up for the leases of the page alone.
fn leases_sql(of: &UsageOf) -> String {
    let among = among("l.node_id", of.among.as_deref(), 8);
    format!("
    SELECT p.*, s.title, s.state, n.name AS node_name,
           (SELECT CAST(coalesce(sum(t.amount_micros), 0) AS BIGINT) FROM transfers t WHERE t.lease_id = p.lease_id
               AND t.kind = 'post' AND t.at_ms >= $1 AND t.at_ms < $2 AND t.credit <> 'platform') AS host_micros,
           (SELECT CAST(coalesce(sum(t.amount_micros), 0) AS BIGINT) FROM transfers t WHERE t.lease_id = p.lease_id
               AND t.kind = 'post' AND t.at_ms >= $1 AND t.at_ms < $2 AND t.credit = 'platform') AS platform_micros
      FROM (SELECT l.id AS lease_id, l.session_id, l.node_id, l.started_at_ms, l.ended_at_ms,
                   l.price_micros_per_hour, l.fee_permille, l.currency, l.rate_card, l.work, l.rate_region, l.gpu_tier,
                   count(*) AS receipts,
                   CAST(sum(r.billed_us) AS BIGINT) AS billed_us
              FROM receipts r
              JOIN leases l ON l.session_id = r.session_id AND l.generation = r.generation
              JOIN sessions s ON s.id = l.session_id
             WHERE r.received_at_ms >= $1 AND r.received_at_ms < $2
               AND ($3 IS NULL OR s.title = $3) AND ($4 IS NULL OR l.node_id = $4)
               AND {PAID_BY_5}{among}
               AND ($6 IS NULL OR (l.started_at_ms, l.id) <
                   (SELECT c.started_at_ms, c.id FROM leases c WHERE c.id = $6))
             GROUP BY l.id ORDER BY l.started_at_ms DESC, l.id DESC LIMIT $7) p
      JOIN sessions s ON s.id = p.session_id
      JOIN nodes n ON n.id = p.node_id
     ORDER BY p.started_at_ms DESC, p.lease_id DESC")
}

async fn lease_usage(
    store: &SqlStore,
    of: &UsageOf,
    after: Option<LeaseId>,
    limit: u32,
) -> Result<Vec<LeaseUsageRow>, StoreError> {
    let sql = leases_sql(of);
    let mut asked = query(&sql)
        .bind(signed(of.range.start))
        .bind(signed(of.range.end))
        .bind(of.title.as_ref().map(|title| title.as_str().to_owned()))
        .bind(of.node.map(|node| node.as_bytes().to_vec()))
        .bind(of.account.map(|account| account.as_bytes().to_vec()))
        .bind(after.map(|lease| lease.as_bytes().to_vec()))
        .bind(i64::from(limit));
    for node in of.among.iter().flatten() {
        asked = asked.bind(node.as_bytes().to_vec());
    }
    asked.fetch_all(&store.readers).await?.iter().map(lease_row).collect()
}

fn lease_row(row: &DbRow) -> Result<LeaseUsageRow, StoreError> {
    let (receipts, billed_us) = (int(row, "receipts")?, int(row, "billed_us")?);
    let mut sums = UsageSums { leases: 1, receipts, billed_us, ..UsageSums::default() };
    posted_sums(&mut sums, row)?;
    Ok(LeaseUsageRow {
        session: SessionId::from_bytes(blob(row, "session_id")?),
        lease: LeaseId::from_bytes(blob(row, "lease_id")?),
        title: title(row)?,
        node: NodeId::from_bytes(blob(row, "node_id")?),
        node_name: text(row, "node_name")?.to_owned(),
        state: state(row)?,
        started_at_ms: int(row, "started_at_ms")?,
        ended_at_ms: maybe_int(row, "ended_at_ms")?,
        tariff: tariff(row)?,
        basis: basis(row)?,
        sums,
    })
}

/// Two that write the same version cannot both: it is the key.
async fn add_card(
    store: &SqlStore,
    card: &RateCard,
    source: CardSource,
    over: u32,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let body = serde_json::to_string(card).map_err(|_| StoreError::Corrupt("body"))?;
    let done = query(
        "INSERT INTO rate_cards (version, since_ms, source, body)
         SELECT $1 + 1, $2, $3, $4 WHERE $1 = (SELECT coalesce(max(version), 0) FROM rate_cards)
         ON CONFLICT (version) DO NOTHING",
    )
    .bind(i64::from(over))
    .bind(signed(now_ms))
    .bind(source.as_str())
    .bind(body)
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn newest_card(store: &SqlStore, source: Option<CardSource>) -> Result<Option<CardRow>, StoreError> {
    let row = query(
        "SELECT version, since_ms, body FROM rate_cards WHERE ($1 IS NULL OR source = $1)
          ORDER BY version DESC LIMIT 1",
    )
    .bind(source.map(CardSource::as_str))
    .fetch_optional(&store.readers)
    .await?;
    row.as_ref().map(card_row).transpose()
}

fn card_row(row: &DbRow) -> Result<CardRow, StoreError> {
    let card = serde_json::from_str(text(row, "body")?).map_err(|_| StoreError::Corrupt("body"))?;
    Ok(CardRow { version: int(row, "version")?, since_ms: int(row, "since_ms")?, card })
}

#[async_trait]
impl BillingStore for SqlStore {
    async fn usage(&self, of: &UsageOf, by: UsageBy) -> Result<Vec<UsageRow>, StoreError> {
        usage(self, of, by).await
    }
    async fn lease_usage(
        &self,
        of: &UsageOf,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Vec<LeaseUsageRow>, StoreError> {
        lease_usage(self, of, after, limit).await
    }
    async fn evidence_of(&self, session: SessionId) -> Result<Vec<Evidence>, StoreError> {
        evidence::of_session(self, session).await
    }
    async fn add_card(
        &self,
        card: &RateCard,
        source: CardSource,
        over: u32,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        add_card(self, card, source, over, now_ms).await
    }
    async fn newest_card(&self, source: Option<CardSource>) -> Result<Option<CardRow>, StoreError> {
        newest_card(self, source).await
    }
    async fn card(&self, version: u32) -> Result<Option<CardRow>, StoreError> {
        let row = query("SELECT version, since_ms, body FROM rate_cards WHERE version = $1")
            .bind(i64::from(version))
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(card_row).transpose()
    }
}

//! Testimonies, cases, and what of earnings is held.

use super::rows::{among, blob, currency, int, maybe_int, signed, signed_amount, text};
use super::{Connection, DbRow, Fate, SqlStore, StoreError, Subject, disputes, lock, settlements, within};
use crate::store::PostedRow;
use crate::store::deeds::{actor_text, parse_actor};
use crate::store::trust::{
    CaseRow, CaseVerdict, CorrectionRow, Decided, DisputeRow, HeldRow, Opened, PlayedRow, ServedRow,
    Settling, Testimony, TestimonyKind, Trial, TrustStore,
};
use async_trait::async_trait;
use nearframe_ledger::Account;
use nearframe_ledger::settlement::{SignedRoot, Totals};
use nearframe_protocol::receipt::Receipt;
use nearframe_protocol::trust::{Verdict, WithheldWhy};
use nearframe_protocol::{AccountId, CaseId, DisputeId, GuestId, NodeId, SessionId};
use nearframe_trust::fraud::{Grade, Kind};
use nearframe_trust::service::Served;
use sqlx::{Row, query};
use std::ops::Range;

pub(super) const CASE_COLUMNS: &str =
    "SELECT id, node_id, kind, grade, body, opened_at_ms, changed_at_ms, verdict, reason, actor,
    decided_at_ms FROM trust_cases";

fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Upheld => "upheld",
        Verdict::Dismissed => "dismissed",
    }
}

pub(super) fn case(row: &DbRow) -> Result<CaseRow, StoreError> {
    let verdict = match maybe_int(row, "decided_at_ms")? {
        None => None,
        Some(at_ms) => Some(CaseVerdict {
            verdict: match text(row, "verdict")? {
                "upheld" => Verdict::Upheld,
                "dismissed" => Verdict::Dismissed,
                _ => return Err(StoreError::Corrupt("verdict")),
            },
            reason: text(row, "reason")?.to_owned(),
            actor: parse_actor(text(row, "actor")?).ok_or(StoreError::Corrupt("actor"))?,
            at_ms,
        }),
    };
    Ok(CaseRow {
        id: CaseId::from_bytes(blob(row, "id")?),
        node: NodeId::from_bytes(blob(row, "node_id")?),
        kind: Kind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))?,
        grade: Grade::parse(text(row, "grade")?).ok_or(StoreError::Corrupt("grade"))?,
        body: serde_json::from_str(text(row, "body")?).map_err(|_| StoreError::Corrupt("body"))?,
        opened_at_ms: int(row, "opened_at_ms")?,
        changed_at_ms: int(row, "changed_at_ms")?,
        verdict,
    })
}

async fn one(tx: &mut Connection, id: CaseId) -> Result<Option<CaseRow>, StoreError> {
    let sql = format!("{CASE_COLUMNS} WHERE id = $1");
    query(&sql).bind(&id.as_bytes()[..]).fetch_optional(tx).await?.as_ref().map(case).transpose()
}

async fn add(store: &SqlStore, row: &CaseRow) -> Result<bool, StoreError> {
    let body = serde_json::to_string(&row.body).map_err(|_| StoreError::Corrupt("body"))?;
    let mut tx = store.begin().await?;
    lock(&mut tx, Subject::Case(row.id)).await?;
    let known = one(&mut tx, row.id).await?;
    match &known {
        None => {
            query(
                "INSERT INTO trust_cases (id, node_id, kind, grade, body, opened_at_ms, changed_at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $6)",
            )
            .bind(&row.id.as_bytes()[..])
            .bind(&row.node.as_bytes()[..])
            .bind(row.kind.as_str())
            .bind(row.grade.as_str())
            .bind(body)
            .bind(signed(row.opened_at_ms))
            .execute(&mut *tx)
            .await?;
        }
        Some(open) if open.verdict.is_none() && (open.grade < row.grade || open.body != row.body) => {
            query("UPDATE trust_cases SET grade = $1, body = $2, changed_at_ms = $3 WHERE id = $4")
                .bind(open.grade.max(row.grade).as_str())
                .bind(body)
                .bind(signed(row.opened_at_ms))
                .bind(&row.id.as_bytes()[..])
                .execute(&mut *tx)
                .await?;
        }
        Some(_) => {}
    }
    tx.commit().await?;
    Ok(known.is_none())
}

async fn decide(
    tx: &mut Connection,
    id: CaseId,
    verdict: &CaseVerdict,
    opening: &[DisputeRow],
) -> Result<Fate<Decided<CaseRow>>, StoreError> {
    lock(tx, Subject::Case(id)).await?;
    let Some(row) = one(tx, id).await? else { return Ok(Fate::Undo(Decided::Unknown)) };
    if let Some(before) = &row.verdict {
        let same = before.verdict == verdict.verdict;
        return Ok(Fate::Undo(if same { Decided::Again(row) } else { Decided::Otherwise(row) }));
    }
    query("UPDATE trust_cases SET verdict = $1, reason = $2, actor = $3, decided_at_ms = $4 WHERE id = $5")
        .bind(verdict_text(verdict.verdict))
        .bind(&verdict.reason)
        .bind(actor_text(&verdict.actor))
        .bind(signed(verdict.at_ms))
        .bind(&id.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    for dispute in opening {
        disputes::open_in(tx, dispute).await?;
    }
    Ok(Fate::Keep(Decided::Now(CaseRow { verdict: Some(verdict.clone()), ..row })))
}

async fn list(
    store: &SqlStore,
    open: bool,
    after: Option<CaseId>,
    limit: u32,
) -> Result<Vec<CaseRow>, StoreError> {
    let sql = format!(
        "{CASE_COLUMNS} WHERE ($1 = 0 OR decided_at_ms IS NULL) AND ($2 IS NULL OR EXISTS (SELECT 1 FROM trust_cases a
            WHERE a.id = $2 AND (trust_cases.opened_at_ms < a.opened_at_ms
               OR (trust_cases.opened_at_ms = a.opened_at_ms AND trust_cases.id < a.id))))
          ORDER BY opened_at_ms DESC, id DESC LIMIT $3"
    );
    let rows = query(&sql)
        .bind(i64::from(open))
        .bind(after.map(|id| id.as_bytes().to_vec()))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await?;
    rows.iter().map(case).collect()
}

fn testimony(row: &DbRow) -> Result<Testimony, StoreError> {
    Ok(Testimony {
        kind: TestimonyKind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))?,
        subject: blob(row, "subject")?,
        node: NodeId::from_bytes(blob(row, "node_id")?),
        at_ms: int(row, "at_ms")?,
        body: text(row, "body")?.to_owned(),
    })
}

async fn played(store: &SqlStore, since_ms: u64, limit: u32) -> Result<Vec<PlayedRow>, StoreError> {
    let leases = query(
        "SELECT l.session_id, l.generation, l.node_id, l.account_id, l.started_at_ms, l.ended_at_ms, s.guest_id
           FROM leases l JOIN sessions s ON s.id = l.session_id WHERE l.started_at_ms >= $1 AND (l.work IS NULL OR l.work <> 'reserve')
          ORDER BY l.id LIMIT $2",
    )
    .bind(signed(since_ms))
    .bind(i64::from(limit))
    .fetch_all(&store.readers)
    .await?;
    let mut rows = Vec::with_capacity(leases.len());
    for lease in &leases {
        let session: [u8; 16] = blob(lease, "session_id")?;
        let receipts = query(
            "SELECT canonical FROM receipts WHERE session_id = $1 AND generation = $2 ORDER BY sequence",
        )
        .bind(&session[..])
        .bind(int::<i64>(lease, "generation")?)
        .fetch_all(&store.readers)
        .await?;
        let receipt = |row: &DbRow| {
            Receipt::parse(row.try_get::<&[u8], _>("canonical")?)
                .map_err(|_| StoreError::Corrupt("canonical"))
        };
        rows.push(PlayedRow {
            session: SessionId::from_bytes(session),
            node: NodeId::from_bytes(blob(lease, "node_id")?),
            guest: GuestId::from_bytes(blob(lease, "guest_id")?),
            account: super::accounts::maybe_id(lease, "account_id")?.map(AccountId::from_bytes),
            started_at_ms: int(lease, "started_at_ms")?,
            ended_at_ms: maybe_int(lease, "ended_at_ms")?,
            receipts: receipts.iter().map(receipt).collect::<Result<_, StoreError>>()?,
        });
    }
    Ok(rows)
}

/// Money is added up for leases that are held alone; `among` says of which nodes.
fn held_sql(among: &str) -> String {
    format!("SELECT t.credit, t.currency, h.why, CAST(sum(t.amount_micros) AS BIGINT) AS amount_micros
    FROM (SELECT l.id,
                 CASE WHEN EXISTS (SELECT 1 FROM disputes d WHERE d.session_id = l.session_id
                                      AND d.decided_at_ms IS NULL) THEN 'disputed'
                      WHEN EXISTS (SELECT 1 FROM trust_cases c WHERE c.node_id = l.node_id
                                      AND c.decided_at_ms IS NULL) THEN 'under_review'
                      WHEN n.enrolled_at_ms > $2
                        OR (SELECT count(*) FROM leases o WHERE o.node_id = n.id AND o.ended_at_ms IS NOT NULL
                                                                AND (o.work IS NULL OR o.work <> 'reserve')) < $3
                      THEN 'new_host' ELSE '' END AS why
            FROM leases l JOIN nodes n ON n.id = l.node_id WHERE 1 = 1{among}) h
    JOIN transfers t ON t.lease_id = h.id
   WHERE h.why <> '' AND t.kind = 'post' AND t.credit LIKE 'host:%' AND t.at_ms < $1
   GROUP BY t.credit, t.currency, h.why ORDER BY t.credit, t.currency, h.why")
}

async fn held(
    store: &SqlStore,
    before_ms: u64,
    trial: Trial,
    hosts: Option<&[NodeId]>,
) -> Result<Vec<HeldRow>, StoreError> {
    let sql = held_sql(&among("l.node_id", hosts, 4));
    let mut asked = query(&sql)
        .bind(signed(before_ms))
        .bind(signed(trial.enrolled_before_ms))
        .bind(i64::from(trial.sessions));
    for host in hosts.into_iter().flatten() {
        asked = asked.bind(host.as_bytes().to_vec());
    }
    let rows = asked.fetch_all(&store.readers).await?;
    let row = |row: &DbRow| match text(row, "credit")?.parse() {
        Ok(Account::Host(host)) => Ok(HeldRow {
            host,
            currency: currency(row)?,
            why: WithheldWhy::parse(text(row, "why")?).ok_or(StoreError::Corrupt("why"))?,
            amount_micros: int::<i64>(row, "amount_micros")?.into(),
        }),
        _ => Err(StoreError::Corrupt("credit")),
    };
    rows.iter().map(row).collect()
}

/// Time is added up for leases that ended then alone.
const SERVED: &str = "SELECT e.node_id, e.region, count(*) AS sessions, CAST(sum(e.lost) AS BIGINT) AS lost,
       CAST(sum(e.billed_us) AS BIGINT) AS served_us
  FROM (SELECT l.node_id, n.region, CASE WHEN s.end_reason = 'node_lost' THEN 1 ELSE 0 END AS lost,
               (SELECT coalesce(sum(r.billed_us), 0) FROM receipts r
                 WHERE r.session_id = l.session_id AND r.generation = l.generation) AS billed_us
          FROM leases l JOIN sessions s ON s.id = l.session_id JOIN nodes n ON n.id = l.node_id
         WHERE l.ended_at_ms >= $1 AND l.ended_at_ms < $2 AND (l.work IS NULL OR l.work <> 'reserve')) e
 WHERE e.billed_us > 0 GROUP BY e.node_id, e.region ORDER BY e.node_id";

async fn served(store: &SqlStore, ended: &Range<u64>) -> Result<Vec<ServedRow>, StoreError> {
    let rows =
        query(SERVED).bind(signed(ended.start)).bind(signed(ended.end)).fetch_all(&store.readers).await?;
    let row = |row: &DbRow| {
        Ok(ServedRow {
            node: NodeId::from_bytes(blob(row, "node_id")?),
            region: text(row, "region")?.to_owned(),
            served: Served {
                sessions: int(row, "sessions")?,
                lost: int(row, "lost")?,
                served_us: int(row, "served_us")?,
            },
        })
    };
    rows.iter().map(row).collect()
}

async fn settle(store: &SqlStore, root: &SignedRoot, withheld: &Totals) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    if settlements::add(&mut tx, root).await? {
        for ((host, currency), amount_micros) in withheld {
            query(
                "INSERT INTO settlement_withheld (epoch, host, currency, amount_micros) VALUES ($1, $2, $3, $4)",
            )
            .bind(i64::from(root.epoch.0))
            .bind(&host.as_bytes()[..])
            .bind(currency.as_str())
            .bind(signed_amount(*amount_micros)?)
            .execute(&mut *tx)
            .await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn withheld(store: &SqlStore, epoch: u32, hosts: Option<&[NodeId]>) -> Result<Totals, StoreError> {
    let among = among("host", hosts, 2);
    let sql =
        format!("SELECT host, currency, amount_micros FROM settlement_withheld WHERE epoch = $1{among}");
    let mut asked = query(&sql).bind(i64::from(epoch));
    for host in hosts.into_iter().flatten() {
        asked = asked.bind(host.as_bytes().to_vec());
    }
    let rows = asked.fetch_all(&store.readers).await?;
    let place = |row: &DbRow| {
        let host = NodeId::from_bytes(blob(row, "host")?);
        Ok(((host, currency(row)?), int::<i64>(row, "amount_micros")?.into()))
    };
    rows.iter().map(place).collect()
}

#[async_trait]
impl TrustStore for SqlStore {
    async fn testify(&self, said: &Testimony) -> Result<(), StoreError> {
        query(
            "INSERT INTO testimonies (kind, subject, node_id, at_ms, body) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (node_id, kind, subject) DO UPDATE SET at_ms = $4, body = $5",
        )
        .bind(said.kind.as_str())
        .bind(&said.subject[..])
        .bind(&said.node.as_bytes()[..])
        .bind(signed(said.at_ms))
        .bind(&said.body)
        .execute(&self.writer)
        .await?;
        Ok(())
    }
    async fn testimonies(&self, since_ms: u64) -> Result<Vec<Testimony>, StoreError> {
        let rows = query(
            "SELECT kind, subject, node_id, at_ms, body FROM testimonies WHERE at_ms >= $1
              ORDER BY node_id, kind, at_ms, subject",
        )
        .bind(signed(since_ms))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(testimony).collect()
    }
    async fn forget_testimonies(&self, before_ms: u64) -> Result<(), StoreError> {
        query("DELETE FROM testimonies WHERE at_ms < $1")
            .bind(signed(before_ms))
            .execute(&self.writer)
            .await?;
        Ok(())
    }
    async fn played(&self, since_ms: u64, limit: u32) -> Result<Vec<PlayedRow>, StoreError> {
        played(self, since_ms, limit).await
    }
    async fn add_case(&self, case: &CaseRow) -> Result<bool, StoreError> {
        add(self, case).await
    }
    async fn cases(&self, open: bool, after: Option<CaseId>, limit: u32) -> Result<Vec<CaseRow>, StoreError> {
        list(self, open, after, limit).await
    }
    async fn decide_case(
        &self,
        id: CaseId,
        verdict: &CaseVerdict,
        opening: &[DisputeRow],
    ) -> Result<Decided<CaseRow>, StoreError> {
        let (verdict, opening) = (verdict.clone(), opening.to_vec());
        within(self, &[], move |tx| Box::pin(async move { decide(tx, id, &verdict, &opening).await })).await
    }
    async fn open_dispute(&self, dispute: &DisputeRow) -> Result<Opened, StoreError> {
        disputes::open(self, dispute).await
    }
    async fn disputes(
        &self,
        open: bool,
        after: Option<DisputeId>,
        limit: u32,
    ) -> Result<Vec<DisputeRow>, StoreError> {
        disputes::list(self, open, after, limit).await
    }
    async fn disputes_of(&self, session: SessionId) -> Result<Vec<DisputeRow>, StoreError> {
        disputes::of_session(self, session).await
    }
    async fn decide_dispute(
        &self,
        id: DisputeId,
        settling: &Settling,
    ) -> Result<Decided<DisputeRow>, StoreError> {
        disputes::decide(self, id, settling).await
    }
    async fn corrections_of(&self, session: SessionId) -> Result<Vec<CorrectionRow>, StoreError> {
        disputes::corrections_of(self, session).await
    }
    async fn corrections_after(&self, after: u64, limit: u32) -> Result<Vec<PostedRow>, StoreError> {
        disputes::corrections_after(self, after, limit).await
    }
    async fn held_earnings(
        &self,
        before_ms: u64,
        trial: Trial,
        among: Option<&[NodeId]>,
    ) -> Result<Vec<HeldRow>, StoreError> {
        held(self, before_ms, trial, among).await
    }
    async fn corrected(&self, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        disputes::corrected(self, among).await
    }
    async fn served(&self, ended: Range<u64>) -> Result<Vec<ServedRow>, StoreError> {
        served(self, &ended).await
    }
    async fn settle(&self, root: &SignedRoot, withheld: &Totals) -> Result<(), StoreError> {
        settle(self, root, withheld).await
    }
    async fn withheld(&self, epoch: u32, among: Option<&[NodeId]>) -> Result<Totals, StoreError> {
        withheld(self, epoch, among).await
    }
}

//! Checkers, their reports, and the draw of audits.

use super::rows::{blob, int, maybe_int, signed, text};
use super::{Connection, DbRow, SqlStore, StoreError, Subject, lock};
use crate::store::checks::{CheckRow, CheckStore, CheckerRow, DayRow, Filed, Take};
use async_trait::async_trait;
use nearframe_protocol::check::draw::{Audit, Rules, Seed};
use nearframe_protocol::check::{CheckReport, SignedCheck};
use nearframe_protocol::{NodeId, PublicKey, Signature};
use sqlx::{Row, query};

fn checker(row: &DbRow) -> Result<CheckerRow, StoreError> {
    Ok(CheckerRow {
        key: PublicKey::from_bytes(blob(row, "key")?),
        name: text(row, "name")?.to_owned(),
        enrolled_at_ms: int(row, "enrolled_at_ms")?,
        revoked_at_ms: maybe_int(row, "revoked_at_ms")?,
    })
}

fn check(row: &DbRow) -> Result<CheckRow, StoreError> {
    let report = CheckReport::parse(row.try_get("report")?).map_err(|_| StoreError::Corrupt("report"))?;
    Ok(CheckRow {
        check: SignedCheck { report, signature: Signature::from_bytes(blob(row, "signature")?) },
        filed_at_ms: int(row, "filed_at_ms")?,
        checker_name: text(row, "name")?.to_owned(),
    })
}

fn day(row: &DbRow) -> Result<DayRow, StoreError> {
    Ok(DayRow {
        day: int(row, "day")?,
        seed: Seed::from_bytes(blob(row, "seed")?),
        rules: Rules {
            new_days: int(row, "new_days")?,
            new_per_day: int(row, "new_per_day")?,
            per_day: int(row, "per_day")?,
        },
    })
}

async fn file(tx: &mut Connection, check: &SignedCheck, now_ms: u64) -> Result<Filed, StoreError> {
    let report = &check.report;
    lock(tx, Subject::Session(report.session)).await?;
    let enrolled = query("SELECT 1 FROM checkers WHERE key = $1 AND revoked_at_ms IS NULL")
        .bind(&report.checker.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    if enrolled.is_none() {
        return Ok(Filed::Refused);
    }
    let before = query("SELECT signature FROM checks WHERE checker_key = $1 AND session_id = $2")
        .bind(&report.checker.as_bytes()[..])
        .bind(&report.session.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(row) = before {
        let is_same = blob::<64>(&row, "signature")? == *check.signature.as_bytes();
        return Ok(if is_same { Filed::Again } else { Filed::Other });
    }
    query(
        "INSERT INTO checks (checker_key, session_id, node_id, filed_at_ms, report, signature)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&report.checker.as_bytes()[..])
    .bind(&report.session.as_bytes()[..])
    .bind(&report.node.as_bytes()[..])
    .bind(signed(now_ms))
    .bind(report.canonical())
    .bind(&check.signature.as_bytes()[..])
    .execute(&mut *tx)
    .await?;
    if let Some(audit) = report.audit {
        query(
            "UPDATE audits SET session_id = $1
              WHERE day = $2 AND hour = $3 AND node_id = $4 AND checker_key = $5 AND session_id IS NULL",
        )
        .bind(&report.session.as_bytes()[..])
        .bind(i64::from(audit.day))
        .bind(i64::from(audit.hour))
        .bind(&report.node.as_bytes()[..])
        .bind(&report.checker.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    }
    Ok(Filed::New)
}

#[async_trait]
impl CheckStore for SqlStore {
    async fn enrol_checker(&self, key: &PublicKey, name: &str, now_ms: u64) -> Result<bool, StoreError> {
        let done = query(
            "INSERT INTO checkers (key, name, enrolled_at_ms) VALUES ($1, $2, $3)
             ON CONFLICT (key) DO UPDATE SET name = $2 WHERE checkers.revoked_at_ms IS NULL",
        )
        .bind(&key.as_bytes()[..])
        .bind(name)
        .bind(signed(now_ms))
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }
    async fn revoke_checker(&self, key: &PublicKey, now_ms: u64) -> Result<bool, StoreError> {
        let done = query("UPDATE checkers SET revoked_at_ms = coalesce(revoked_at_ms, $2) WHERE key = $1")
            .bind(&key.as_bytes()[..])
            .bind(signed(now_ms))
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }
    async fn checkers(&self) -> Result<Vec<CheckerRow>, StoreError> {
        let rows = query("SELECT key, name, enrolled_at_ms, revoked_at_ms FROM checkers ORDER BY name, key")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(checker).collect()
    }
    async fn checker(&self, key: &PublicKey) -> Result<Option<CheckerRow>, StoreError> {
        let row = query("SELECT key, name, enrolled_at_ms, revoked_at_ms FROM checkers WHERE key = $1")
            .bind(&key.as_bytes()[..])
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(checker).transpose()
    }
    async fn file_check(&self, check: &SignedCheck, now_ms: u64) -> Result<Filed, StoreError> {
        let mut tx = self.begin().await?;
        let filed = file(&mut tx, check, now_ms).await?;
        tx.commit().await?;
        Ok(filed)
    }
    async fn checks_of(&self, node: NodeId, limit: u32) -> Result<Vec<CheckRow>, StoreError> {
        let rows = query(
            "SELECT c.report, c.signature, c.filed_at_ms, k.name
               FROM checks c JOIN checkers k ON k.key = c.checker_key
              WHERE c.node_id = $1 ORDER BY c.filed_at_ms DESC, c.session_id LIMIT $2",
        )
        .bind(&node.as_bytes()[..])
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(check).collect()
    }
    async fn checks_since(&self, since_ms: u64, limit: u32) -> Result<Vec<CheckRow>, StoreError> {
        let rows = query(
            "SELECT c.report, c.signature, c.filed_at_ms, k.name
               FROM checks c JOIN checkers k ON k.key = c.checker_key
              WHERE c.filed_at_ms >= $1 AND k.revoked_at_ms IS NULL
              ORDER BY c.filed_at_ms, c.session_id LIMIT $2",
        )
        .bind(since_ms.cast_signed())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(check).collect()
    }
    async fn check_day(&self, fresh: &DayRow) -> Result<DayRow, StoreError> {
        let mut tx = self.begin().await?;
        query(
            "INSERT INTO check_days (day, seed, new_days, new_per_day, per_day) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (day) DO NOTHING",
        )
        .bind(i64::from(fresh.day))
        .bind(&fresh.seed.as_bytes()[..])
        .bind(i64::from(fresh.rules.new_days))
        .bind(i64::from(fresh.rules.new_per_day))
        .bind(i64::from(fresh.rules.per_day))
        .execute(&mut *tx)
        .await?;
        let row = query("SELECT day, seed, new_days, new_per_day, per_day FROM check_days WHERE day = $1")
            .bind(i64::from(fresh.day))
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        day(&row)
    }
    async fn check_days(&self, before: u32, limit: u32) -> Result<Vec<DayRow>, StoreError> {
        let rows = query(
            "SELECT day, seed, new_days, new_per_day, per_day FROM check_days
              WHERE day < $1 ORDER BY day DESC LIMIT $2",
        )
        .bind(i64::from(before))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(day).collect()
    }
    async fn enrolled(&self) -> Result<Vec<(NodeId, u64)>, StoreError> {
        let rows = query("SELECT id, enrolled_at_ms FROM nodes ORDER BY id").fetch_all(&self.readers).await?;
        let node = |row: &DbRow| {
            Ok::<_, StoreError>((NodeId::from_bytes(blob(row, "id")?), int(row, "enrolled_at_ms")?))
        };
        rows.iter().map(node).collect()
    }
    async fn closed_audits(
        &self,
        from_day: u32,
        stale_before_ms: u64,
    ) -> Result<Vec<(Audit, NodeId)>, StoreError> {
        let rows = query(
            "SELECT day, hour, node_id FROM audits
              WHERE day >= $1 AND (session_id IS NOT NULL OR taken_at_ms >= $2) ORDER BY day, hour, node_id",
        )
        .bind(i64::from(from_day))
        .bind(signed(stale_before_ms))
        .fetch_all(&self.readers)
        .await?;
        let audit = |row: &DbRow| {
            let audit = Audit { day: int(row, "day")?, hour: int(row, "hour")? };
            Ok::<_, StoreError>((audit, NodeId::from_bytes(blob(row, "node_id")?)))
        };
        rows.iter().map(audit).collect()
    }
    async fn take_audit(&self, take: &Take) -> Result<bool, StoreError> {
        let done = query(
            "INSERT INTO audits (day, hour, node_id, checker_key, taken_at_ms) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (day, hour, node_id) DO UPDATE SET checker_key = $4, taken_at_ms = $5
              WHERE audits.session_id IS NULL AND audits.taken_at_ms < $6",
        )
        .bind(i64::from(take.audit.day))
        .bind(i64::from(take.audit.hour))
        .bind(&take.node.as_bytes()[..])
        .bind(&take.checker.as_bytes()[..])
        .bind(signed(take.now_ms))
        .bind(signed(take.stale_before_ms))
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

//! Round trips, orders, rules and bookings.

use super::rows::{blob, int, maybe_int, signed, text};
use super::{Connection, DbRow, SqlStore, StoreError, Subject, lock};
use crate::store::placement::{
    BookingRow, BookingTerms, InterruptibleRow, OrderKind, OrderRow, PastRow, PlacementStore, RuleKind,
    RuleRow, decide_booking,
};
use async_trait::async_trait;
use nearframe_placement::assign::reserve::NoRoom;
use nearframe_placement::latency::keep;
use nearframe_protocol::{NodeId, SessionId};
use sqlx::{Row, query};

#[async_trait]
impl PlacementStore for SqlStore {
    async fn latency_sites(&self, sites: &[String]) -> Result<Vec<u32>, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::LatencySites).await?;
        let mut numbers = Vec::with_capacity(sites.len());
        for site in sites {
            query(
                "INSERT INTO latency_sites (number, site)
                 SELECT (SELECT coalesce(max(number), 0) + 1 FROM latency_sites), $1
                  WHERE NOT EXISTS (SELECT 1 FROM latency_sites WHERE site = $1)",
            )
            .bind(site)
            .execute(&mut *tx)
            .await?;
            let row = query("SELECT number FROM latency_sites WHERE site = $1")
                .bind(site)
                .fetch_one(&mut *tx)
                .await?;
            numbers.push(int(&row, "number")?);
        }
        tx.commit().await?;
        Ok(numbers)
    }

    async fn known_latency_sites(&self) -> Result<Vec<(u32, String)>, StoreError> {
        let rows =
            query("SELECT number, site FROM latency_sites ORDER BY number").fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((int(row, "number")?, text(row, "site")?.to_owned()))).collect()
    }

    async fn merge_latency(&self, pasts: &[PastRow], now_ms: u64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Latency).await?;
        for row in pasts {
            let kept = query("SELECT past FROM latency_pasts WHERE client = $1")
                .bind(&row.client)
                .fetch_optional(&mut *tx)
                .await?;
            let kept = kept.map(|row| row.try_get::<Vec<u8>, _>("past")).transpose()?;
            let (past, newest) = keep::unite(kept.as_deref(), &row.past);
            query(
                "INSERT INTO latency_pasts (client, past, newest, changed_ms) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (client) DO UPDATE SET past = $2, newest = $3, changed_ms = $4",
            )
            .bind(&row.client)
            .bind(past)
            .bind(i64::from(newest))
            .bind(signed(now_ms))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn latency_since(&self, since_ms: u64, limit: u32) -> Result<Vec<(u64, PastRow)>, StoreError> {
        let rows = query(
            "SELECT client, past, newest, changed_ms FROM latency_pasts WHERE changed_ms >= $1
              ORDER BY changed_ms, client LIMIT $2",
        )
        .bind(signed(since_ms))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        let past = |row: &DbRow| {
            let past = PastRow {
                client: row.try_get("client")?,
                past: row.try_get("past")?,
                newest: int(row, "newest")?,
            };
            Ok((int(row, "changed_ms")?, past))
        };
        rows.iter().map(past).collect()
    }

    async fn prune_latency(&self, epoch: u32, most: u32) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Latency).await?;
        let old = query("DELETE FROM latency_pasts WHERE newest < $1")
            .bind(i64::from(epoch))
            .execute(&mut *tx)
            .await?;
        let beyond = query(
            "DELETE FROM latency_pasts WHERE client IN
                (SELECT client FROM latency_pasts ORDER BY newest DESC, changed_ms DESC, client
                  LIMIT 1000000000 OFFSET $1)",
        )
        .bind(i64::from(most))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(old.rows_affected() + beyond.rows_affected())
    }

    async fn add_order(&self, order: &OrderRow) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Orders(order.node)).await?;
        lift(&mut tx, order.node, order.kind, order.since_ms).await?;
        query(
            "INSERT INTO node_orders (node_id, kind, reason, evidence, since_ms) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&order.node.as_bytes()[..])
        .bind(order.kind.as_str())
        .bind(&order.reason)
        .bind(&order.evidence)
        .bind(signed(order.since_ms))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn lift_order(&self, node: NodeId, kind: OrderKind, now_ms: u64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Orders(node)).await?;
        let lifted = lift(&mut tx, node, kind, now_ms).await?;
        tx.commit().await?;
        Ok(lifted)
    }

    async fn standing_orders(&self) -> Result<Vec<OrderRow>, StoreError> {
        let rows = query(
            "SELECT node_id, kind, reason, evidence, since_ms, lifted_ms FROM node_orders
              WHERE lifted_ms IS NULL ORDER BY node_id, kind",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(order).collect()
    }

    async fn orders_of(&self, node: NodeId) -> Result<Vec<OrderRow>, StoreError> {
        let rows = query(
            "SELECT node_id, kind, reason, evidence, since_ms, lifted_ms FROM node_orders
              WHERE node_id = $1 ORDER BY since_ms DESC, kind LIMIT 100",
        )
        .bind(&node.as_bytes()[..])
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(order).collect()
    }

    async fn put_rule(&self, kind: RuleKind, subject: &str, body: Option<&str>) -> Result<(), StoreError> {
        let statement = match body {
            Some(body) => query(
                "INSERT INTO placement_rules (kind, subject, body) VALUES ($1, $2, $3)
                 ON CONFLICT (kind, subject) DO UPDATE SET body = $3",
            )
            .bind(kind.as_str())
            .bind(subject)
            .bind(body),
            None => query("DELETE FROM placement_rules WHERE kind = $1 AND subject = $2")
                .bind(kind.as_str())
                .bind(subject),
        };
        statement.execute(&self.writer).await?;
        Ok(())
    }

    async fn rules(&self) -> Result<Vec<RuleRow>, StoreError> {
        let rows = query("SELECT kind, subject, body FROM placement_rules ORDER BY kind, subject")
            .fetch_all(&self.readers)
            .await?;
        let rule = |row: &DbRow| {
            Ok(RuleRow {
                kind: RuleKind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))?,
                subject: text(row, "subject")?.to_owned(),
                body: text(row, "body")?.to_owned(),
            })
        };
        rows.iter().map(rule).collect()
    }

    async fn book(
        &self,
        booking: &BookingRow,
        terms: BookingTerms,
    ) -> Result<Result<(), NoRoom>, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Bookings).await?;
        let rows = query(
            "SELECT id, region, from_ms, until_ms, slots, note, cancelled_ms FROM bookings
              WHERE region = $1 AND cancelled_ms IS NULL AND (until_ms > $2 OR id = $3) ORDER BY from_ms, id",
        )
        .bind(&booking.region)
        .bind(signed(booking.from_ms))
        .bind(&booking.id[..])
        .fetch_all(&mut *tx)
        .await?;
        let kept: Vec<BookingRow> = rows.iter().map(booking_row).collect::<Result<_, _>>()?;
        if let Err(no) = decide_booking(kept, booking, terms) {
            return Ok(Err(no));
        }
        query(
            "INSERT INTO bookings (id, region, from_ms, until_ms, slots, note) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&booking.id[..])
        .bind(&booking.region)
        .bind(signed(booking.from_ms))
        .bind(signed(booking.until_ms))
        .bind(i64::from(booking.slots))
        .bind(&booking.note)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    async fn cancel_booking(&self, id: [u8; 16], now_ms: u64) -> Result<bool, StoreError> {
        let done = query("UPDATE bookings SET cancelled_ms = $1 WHERE id = $2 AND cancelled_ms IS NULL")
            .bind(signed(now_ms))
            .bind(&id[..])
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn bookings(&self, now_ms: u64) -> Result<Vec<BookingRow>, StoreError> {
        let rows = query(
            "SELECT id, region, from_ms, until_ms, slots, note, cancelled_ms FROM bookings
              WHERE cancelled_ms IS NULL AND until_ms > $1 ORDER BY from_ms, id",
        )
        .bind(signed(now_ms))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(booking_row).collect()
    }

    async fn use_booking(&self, id: [u8; 16], session: SessionId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, Subject::Bookings).await?;
        let done = query(
            "INSERT INTO booking_sessions (booking_id, session_id)
             SELECT b.id, $2 FROM bookings b WHERE b.id = $1 AND b.cancelled_ms IS NULL AND b.slots >
                (SELECT count(*) FROM booking_sessions u JOIN sessions s ON s.id = u.session_id
                  WHERE u.booking_id = $1 AND s.state <> 'ended')",
        )
        .bind(&id[..])
        .bind(&session.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    async fn booking_use(&self) -> Result<Vec<([u8; 16], u32)>, StoreError> {
        let rows = query(
            "SELECT u.booking_id, count(*) AS held FROM booking_sessions u JOIN sessions s ON s.id = u.session_id
              WHERE s.state <> 'ended' GROUP BY u.booking_id",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((blob(row, "booking_id")?, int(row, "held")?))).collect()
    }

    async fn add_interruptible(&self, session: SessionId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        query(
            "DELETE FROM interruptible_sessions WHERE session_id IN
                (SELECT i.session_id FROM interruptible_sessions i JOIN sessions s ON s.id = i.session_id
                  WHERE s.state = 'ended')",
        )
        .execute(&mut *tx)
        .await?;
        query(
            "INSERT INTO interruptible_sessions (session_id) VALUES ($1) ON CONFLICT (session_id) DO NOTHING",
        )
        .bind(&session.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn interruptible(&self) -> Result<Vec<InterruptibleRow>, StoreError> {
        let rows = query(
            "SELECT s.id, l.node_id, s.created_at_ms, i.ends_ms FROM interruptible_sessions i
               JOIN sessions s ON s.id = i.session_id
               JOIN leases l ON l.session_id = s.id AND l.generation = s.generation
              WHERE s.state <> 'ended' ORDER BY s.created_at_ms, s.id",
        )
        .fetch_all(&self.readers)
        .await?;
        let row = |row| {
            Ok(InterruptibleRow {
                session: SessionId::from_bytes(blob(row, "id")?),
                node: NodeId::from_bytes(blob(row, "node_id")?),
                since_ms: int(row, "created_at_ms")?,
                ends_ms: maybe_int(row, "ends_ms")?,
            })
        };
        rows.iter().map(row).collect()
    }

    async fn give_notice(&self, session: SessionId, ends_ms: u64) -> Result<bool, StoreError> {
        let done =
            query("UPDATE interruptible_sessions SET ends_ms = $1 WHERE session_id = $2 AND ends_ms IS NULL")
                .bind(signed(ends_ms))
                .bind(&session.as_bytes()[..])
                .execute(&self.writer)
                .await?;
        Ok(done.rows_affected() == 1)
    }
}

async fn lift(tx: &mut Connection, node: NodeId, kind: OrderKind, now_ms: u64) -> Result<bool, StoreError> {
    let done =
        query("UPDATE node_orders SET lifted_ms = $1 WHERE node_id = $2 AND kind = $3 AND lifted_ms IS NULL")
            .bind(signed(now_ms))
            .bind(&node.as_bytes()[..])
            .bind(kind.as_str())
            .execute(tx)
            .await?;
    Ok(done.rows_affected() > 0)
}

fn order(row: &DbRow) -> Result<OrderRow, StoreError> {
    Ok(OrderRow {
        node: NodeId::from_bytes(blob(row, "node_id")?),
        kind: OrderKind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))?,
        reason: text(row, "reason")?.to_owned(),
        evidence: text(row, "evidence")?.to_owned(),
        since_ms: int(row, "since_ms")?,
        lifted_ms: maybe_int(row, "lifted_ms")?,
    })
}

fn booking_row(row: &DbRow) -> Result<BookingRow, StoreError> {
    Ok(BookingRow {
        id: blob(row, "id")?,
        region: text(row, "region")?.to_owned(),
        from_ms: int(row, "from_ms")?,
        until_ms: int(row, "until_ms")?,
        slots: int(row, "slots")?,
        note: text(row, "note")?.to_owned(),
        cancelled_ms: maybe_int(row, "cancelled_ms")?,
    })
}

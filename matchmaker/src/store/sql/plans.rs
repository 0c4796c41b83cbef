//! Plans and subscriptions.

use super::accounts::maybe_id;
use super::rows::{blob, currency, int, signed, signed_amount, tariff, text};
use super::{Connection, DbRow, Numbered, SqlStore, StoreError, Subject, lock, numbered_until};
use crate::store::plans::{
    ChargeRow, MONTHS_AT_ONCE, PlanRow, PlanStore, RENEWED_AT_ONCE, Refund, Subscribed, SubscriptionRow,
};
use async_trait::async_trait;
use nearframe_ledger::subscription::{Cover, Plan, Term};
use nearframe_ledger::{Account, LeaseAccount, Transfer};
use nearframe_protocol::plan::{ChargeKind, PlanName};
use nearframe_protocol::prices::Work;
use nearframe_protocol::{AccountId, Currency, LeaseId};
use sqlx::{Row, query};
use std::ops::Range;

const SUBSCRIPTION: &str = "SELECT account_id, plan, version, plan_us, plan_micros, currency, anchor_ms, number, from_ms,
    to_ms, included_us, fee_micros, used_us, covered_micros, is_cancelled FROM subscriptions WHERE ended_at_ms IS NULL";
const CHARGE: &str =
    "SELECT seq, account_id, at_ms, kind, debit, credit, amount_micros, currency, key FROM charges";

#[async_trait]
impl PlanStore for SqlStore {
    async fn add_plan(&self, row: &PlanRow) -> Result<bool, StoreError> {
        add_plan(self, row).await
    }
    async fn plans(&self) -> Result<Vec<PlanRow>, StoreError> {
        let sql =
            "SELECT name, version, since_ms, included_us, price_micros, currency, is_offered FROM plans p
             WHERE version = (SELECT max(version) FROM plans n WHERE n.name = p.name) ORDER BY name";
        query(sql).fetch_all(&self.readers).await?.iter().map(plan).collect()
    }
    async fn subscription(&self, account: AccountId) -> Result<Option<SubscriptionRow>, StoreError> {
        let sql = format!("{SUBSCRIPTION} AND account_id = $1");
        let row = query(&sql).bind(&account.as_bytes()[..]).fetch_optional(&self.readers).await?;
        row.as_ref().map(subscription).transpose()
    }
    async fn subscribe(
        &self,
        account: AccountId,
        plan: &PlanRow,
        now_ms: u64,
    ) -> Result<Subscribed, StoreError> {
        subscribe(self, account, plan, now_ms).await
    }
    async fn cancel_subscription(&self, account: AccountId) -> Result<Option<SubscriptionRow>, StoreError> {
        query("UPDATE subscriptions SET is_cancelled = 1 WHERE account_id = $1 AND ended_at_ms IS NULL")
            .bind(&account.as_bytes()[..])
            .execute(&self.writer)
            .await?;
        self.subscription(account).await
    }
    async fn renew_subscriptions(&self, now_ms: u64) -> Result<u32, StoreError> {
        renew(self, now_ms).await
    }
    async fn charges(
        &self,
        account: AccountId,
        range: Range<u64>,
        limit: u32,
    ) -> Result<Vec<ChargeRow>, StoreError> {
        let sql = format!(
            "{CHARGE} WHERE account_id = $1 AND at_ms >= $2 AND at_ms < $3 AND kind <> 'covered' ORDER BY seq LIMIT $4"
        );
        let rows = query(&sql)
            .bind(&account.as_bytes()[..])
            .bind(signed(range.start))
            .bind(signed(range.end))
            .bind(i64::from(limit))
            .fetch_all(&self.readers);
        rows.await?.iter().map(charge).collect()
    }
    async fn charge_sums(
        &self,
        account: AccountId,
        range: Range<u64>,
    ) -> Result<Vec<(ChargeKind, Currency, i128)>, StoreError> {
        let rows = query(
            "SELECT kind, currency, CAST(sum(CASE WHEN debit = $4 THEN amount_micros WHEN credit = $4 THEN -amount_micros
                                                  ELSE 0 END) AS BIGINT) AS due
               FROM charges WHERE account_id = $1 AND at_ms >= $2 AND at_ms < $3
              GROUP BY kind, currency ORDER BY kind, currency",
        )
        .bind(&account.as_bytes()[..])
        .bind(signed(range.start))
        .bind(signed(range.end))
        .bind(Account::Customer(account).to_string())
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((kind(row)?, currency(row)?, micros(row, "due")?))).collect()
    }
    async fn charges_after(&self, after: u64, limit: u32) -> Result<Vec<ChargeRow>, StoreError> {
        let sql = format!("{CHARGE} WHERE seq > $1 AND seq <= $3 ORDER BY seq LIMIT $2");
        let until = numbered_until(self, Numbered::Charges).await?;
        let rows =
            query(&sql).bind(signed(after)).bind(i64::from(limit)).bind(until).fetch_all(&self.readers);
        rows.await?.iter().map(charge).collect()
    }
}

async fn add_plan(store: &SqlStore, row: &PlanRow) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO plans (name, version, since_ms, included_us, price_micros, currency, is_offered)
         SELECT $1, $2, $3, $4, $5, $6, $7
          WHERE $2 = (SELECT coalesce(max(version), 0) + 1 FROM plans WHERE name = $1)
         ON CONFLICT (name, version) DO NOTHING",
    )
    .bind(row.name.as_str())
    .bind(i64::from(row.version))
    .bind(signed(row.since_ms))
    .bind(signed(row.plan.included_us))
    .bind(signed_amount(row.plan.price_micros)?)
    .bind(row.currency.as_str())
    .bind(i64::from(row.is_offered))
    .execute(&store.writer)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn subscribe(
    store: &SqlStore,
    account: AccountId,
    plan: &PlanRow,
    now_ms: u64,
) -> Result<Subscribed, StoreError> {
    let mut tx = store.begin().await?;
    let subscription = match live(&mut tx, account).await? {
        None => {
            let row = SubscriptionRow::begin(account, plan, now_ms);
            let fee = row.fee(now_ms);
            if !charge_account(&mut tx, &fee).await? {
                return Ok(Subscribed::OverBudget);
            }
            row
        }
        Some(row) if (&row.name, row.version) == (&plan.name, plan.version) => {
            SubscriptionRow { is_cancelled: false, ..row }
        }
        Some(before) => {
            let row = before.by(plan, now_ms)?;
            let fee = row.change(&before, now_ms);
            if before.currency != plan.currency || !charge_account(&mut tx, &fee).await? {
                return Ok(Subscribed::OverBudget);
            }
            row
        }
    };
    write(&mut tx, &subscription, None).await?;
    tx.commit().await?;
    Ok(Subscribed::Done(subscription))
}

async fn renew(store: &SqlStore, now_ms: u64) -> Result<u32, StoreError> {
    let due = query("SELECT account_id FROM subscriptions WHERE ended_at_ms IS NULL AND to_ms <= $1 ORDER BY to_ms LIMIT $2")
        .bind(signed(now_ms))
        .bind(i64::from(RENEWED_AT_ONCE))
        .fetch_all(&store.readers)
        .await?;
    for row in &due {
        renew_one(store, AccountId::from_bytes(blob(row, "account_id")?), now_ms).await?;
    }
    Ok(due.len() as u32)
}

async fn renew_one(store: &SqlStore, account: AccountId, now_ms: u64) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let Some(mut row) = live(&mut tx, account).await? else { return Ok(()) };
    for _ in 0..MONTHS_AT_ONCE {
        if row.term.to_ms > now_ms {
            break;
        }
        insert(&mut tx, &row.unused()).await?;
        let next = SubscriptionRow { term: row.term.next(row.plan), ..row.clone() };
        let fee = next.fee(next.term.from_ms);
        if row.is_cancelled || !charge_account(&mut tx, &fee).await? {
            write(&mut tx, &row, Some(row.term.to_ms)).await?;
            break;
        }
        write(&mut tx, &next, None).await?;
        row = next;
    }
    tx.commit().await?;
    Ok(())
}

/// The account's subscription; nobody else decides about it until the transaction ends.
async fn live(tx: &mut Connection, account: AccountId) -> Result<Option<SubscriptionRow>, StoreError> {
    lock(tx, Subject::Plan(account)).await?;
    let sql = format!("{SUBSCRIPTION} AND account_id = $1");
    let row = query(&sql).bind(&account.as_bytes()[..]).fetch_optional(tx).await?;
    row.as_ref().map(subscription).transpose()
}

/// Posts a fee within the account's allowance; false: it does not hold it.
async fn charge_account(tx: &mut Connection, fee: &ChargeRow) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE accounts SET committed_micros = committed_micros + $1
          WHERE id = $2 AND currency = $3
            AND ($1 <= 0 OR limit_micros IS NULL OR committed_micros + $1 <= limit_micros)",
    )
    .bind(signed_amount(fee.due_micros())?)
    .bind(&fee.account.as_bytes()[..])
    .bind(fee.currency.as_str())
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    insert(tx, fee).await?;
    Ok(true)
}

async fn insert(tx: &mut Connection, charge: &ChargeRow) -> Result<(), StoreError> {
    if charge.amount_micros == 0 {
        return Ok(());
    }
    query(
        "INSERT INTO charges (account_id, at_ms, kind, debit, credit, amount_micros, currency, key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&charge.account.as_bytes()[..])
    .bind(signed(charge.at_ms))
    .bind(charge.kind.as_str())
    .bind(charge.debit.to_string())
    .bind(charge.credit.to_string())
    .bind(signed_amount(charge.amount_micros)?)
    .bind(charge.currency.as_str())
    .bind(&charge.key)
    .execute(tx)
    .await?;
    Ok(())
}

async fn write(
    tx: &mut Connection,
    row: &SubscriptionRow,
    ended_at_ms: Option<u64>,
) -> Result<(), StoreError> {
    let term = &row.term;
    query(
        "INSERT INTO subscriptions (account_id, plan, version, plan_us, plan_micros, currency, anchor_ms, number, from_ms,
                                    to_ms, included_us, fee_micros, used_us, covered_micros, is_cancelled, ended_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (account_id) DO UPDATE SET plan = $2, version = $3, plan_us = $4, plan_micros = $5, currency = $6,
            anchor_ms = $7, number = $8, from_ms = $9, to_ms = $10, included_us = $11, fee_micros = $12, used_us = $13,
            covered_micros = $14, is_cancelled = $15, ended_at_ms = $16",
    )
    .bind(&row.account.as_bytes()[..])
    .bind(row.name.as_str())
    .bind(i64::from(row.version))
    .bind(signed(row.plan.included_us))
    .bind(signed_amount(row.plan.price_micros)?)
    .bind(row.currency.as_str())
    .bind(signed(term.anchor_ms))
    .bind(i64::from(term.number))
    .bind(signed(term.from_ms))
    .bind(signed(term.to_ms))
    .bind(signed(term.included_us))
    .bind(signed_amount(term.fee_micros)?)
    .bind(signed(term.used_us))
    .bind(signed_amount(term.covered_micros)?)
    .bind(i64::from(row.is_cancelled))
    .bind(ended_at_ms.map(signed))
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes included time for what a lease sets aside, or gives back what it releases, once its transfer is written; gives by
/// how much its payer's own money changes. `row` is the lease, as `keys::count` reads it.
pub(super) async fn count(
    tx: &mut Connection,
    row: &DbRow,
    (payer, transfer): (AccountId, &Transfer),
    change_micros: i64,
    now_ms: u64,
) -> Result<i64, StoreError> {
    let (mut cover, tariff) = (cover_of(row)?, tariff(row)?);
    // Leases without a kind of work are older than rate cards: all of them are play.
    let work: Option<&str> = row.try_get("work")?;
    let is_play = work.is_none_or(|work| work == Work::Interactive.as_str());
    let subscribes = maybe_id(row, "subscriber")?.is_some() && is_play;
    if !subscribes && cover.included_us == 0 {
        return Ok(change_micros);
    }
    let committed_micros = micros(row, "committed_micros")?;
    let before_micros = cover.paid_micros(&tariff, committed_micros - i128::from(change_micros))?;
    let mut subscription = live(tx, payer).await?;
    let runs = |row: &&mut SubscriptionRow| row.currency == tariff.currency && now_ms < row.term.to_ms;
    if change_micros < 0 {
        cover.give_back(subscription.as_mut().map(|row| &mut row.term), &tariff, committed_micros);
    } else if let Some(row) = subscription.as_mut().filter(runs).filter(|_| is_play) {
        cover.take(&mut row.term, &tariff, change_micros.into());
    }
    if let Some(row) = &subscription {
        query("UPDATE subscriptions SET used_us = $1 WHERE account_id = $2")
            .bind(signed(row.term.used_us))
            .bind(&payer.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
    }
    write_cover(tx, transfer.lease, &cover).await?;
    signed_amount(cover.paid_micros(&tariff, committed_micros)? - before_micros)
}

/// Posts back what the payer's subscription covers of a receipt.
pub(super) async fn cover(
    tx: &mut Connection,
    account: &LeaseAccount,
    posted_micros: i128,
    sequence: u32,
    now_ms: u64,
) -> Result<(), StoreError> {
    let Some(payer) = account.payer else { return Ok(()) };
    let sql = "SELECT cover_us, cover_current_us, cover_from_ms, cover_micros FROM leases WHERE id = $1";
    let row = query(sql).bind(&account.lease.as_bytes()[..]).fetch_one(&mut *tx).await?;
    let mut cover = cover_of(&row)?;
    let amount_micros = cover.post(&account.tariff, posted_micros)?;
    if amount_micros == 0 {
        return Ok(());
    }
    lock(tx, Subject::Plan(payer)).await?;
    let done = query(
        "UPDATE subscriptions SET covered_micros = covered_micros + $1
          WHERE account_id = $2 AND from_ms = $3 AND ended_at_ms IS NULL",
    )
    .bind(signed_amount(amount_micros)?)
    .bind(&payer.as_bytes()[..])
    .bind(signed(cover.from_ms))
    .execute(&mut *tx)
    .await?;
    // What was left of a month that is over is the platform's, and so is what still has to be covered of it.
    let debit = if done.rows_affected() == 1 { Account::Plans } else { Account::Platform };
    write_cover(tx, account.lease, &cover).await?;
    let charge = ChargeRow {
        seq: 0,
        account: payer,
        at_ms: now_ms,
        kind: ChargeKind::Covered,
        debit,
        credit: Account::Customer(payer),
        amount_micros,
        currency: account.tariff.currency.clone(),
        key: format!("{}:plan:{sequence}", account.lease),
    };
    insert(tx, &charge).await
}

/// Takes back what a subscription had covered of what is paid back, and frees the rest for account and key.
pub(super) async fn pay_back(
    tx: &mut Connection,
    refund: &Refund<'_>,
    (cover, key): (&Cover, &[u8; 16]),
) -> Result<(), StoreError> {
    let mut subscription = live(tx, refund.account).await?;
    let (own_micros, charges) = refund.settle(cover, subscription.as_mut().map(|row| &mut row.term))?;
    if let Some(row) = &subscription {
        query("UPDATE subscriptions SET used_us = $1, covered_micros = $2 WHERE account_id = $3")
            .bind(signed(row.term.used_us))
            .bind(signed_amount(row.term.covered_micros)?)
            .bind(&refund.account.as_bytes()[..])
            .execute(&mut *tx)
            .await?;
    }
    for charge in &charges {
        insert(tx, charge).await?;
    }
    let own_micros = signed_amount(own_micros)?;
    for (sql, id) in [
        (
            "UPDATE accounts SET committed_micros = committed_micros - $1 WHERE id = $2",
            refund.account.as_bytes(),
        ),
        ("UPDATE api_keys SET committed_micros = committed_micros - $1 WHERE id = $2", key),
    ] {
        query(sql).bind(own_micros).bind(&id[..]).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn write_cover(tx: &mut Connection, lease: LeaseId, cover: &Cover) -> Result<(), StoreError> {
    query("UPDATE leases SET cover_us = $1, cover_current_us = $2, cover_from_ms = $3, cover_micros = $4 WHERE id = $5")
        .bind(signed(cover.included_us))
        .bind(signed(cover.current_us))
        .bind(signed(cover.from_ms))
        .bind(signed_amount(cover.posted_micros)?)
        .bind(&lease.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(())
}

/// Columns `cover_…` of a lease.
pub(super) fn cover_of(row: &DbRow) -> Result<Cover, StoreError> {
    Ok(Cover {
        included_us: int(row, "cover_us")?,
        current_us: int(row, "cover_current_us")?,
        from_ms: int(row, "cover_from_ms")?,
        posted_micros: int::<i64>(row, "cover_micros")?.into(),
    })
}

fn name(row: &DbRow, column: &'static str) -> Result<PlanName, StoreError> {
    PlanName::new(text(row, column)?).map_err(|_| StoreError::Corrupt(column))
}

fn kind(row: &DbRow) -> Result<ChargeKind, StoreError> {
    ChargeKind::parse(text(row, "kind")?).ok_or(StoreError::Corrupt("kind"))
}

fn micros(row: &DbRow, column: &'static str) -> Result<i128, StoreError> {
    Ok(int::<i64>(row, column)?.into())
}

fn plan(row: &DbRow) -> Result<PlanRow, StoreError> {
    Ok(PlanRow {
        name: name(row, "name")?,
        version: int(row, "version")?,
        since_ms: int(row, "since_ms")?,
        plan: Plan { included_us: int(row, "included_us")?, price_micros: micros(row, "price_micros")? },
        currency: currency(row)?,
        is_offered: int::<i64>(row, "is_offered")? != 0,
    })
}

fn subscription(row: &DbRow) -> Result<SubscriptionRow, StoreError> {
    Ok(SubscriptionRow {
        account: AccountId::from_bytes(blob(row, "account_id")?),
        name: name(row, "plan")?,
        version: int(row, "version")?,
        plan: Plan { included_us: int(row, "plan_us")?, price_micros: micros(row, "plan_micros")? },
        currency: currency(row)?,
        term: Term {
            anchor_ms: int(row, "anchor_ms")?,
            number: int(row, "number")?,
            from_ms: int(row, "from_ms")?,
            to_ms: int(row, "to_ms")?,
            included_us: int(row, "included_us")?,
            fee_micros: micros(row, "fee_micros")?,
            used_us: int(row, "used_us")?,
            covered_micros: micros(row, "covered_micros")?,
        },
        is_cancelled: int::<i64>(row, "is_cancelled")? != 0,
    })
}

fn charge(row: &DbRow) -> Result<ChargeRow, StoreError> {
    let account = |column| text(row, column)?.parse().map_err(|_| StoreError::Corrupt(column));
    Ok(ChargeRow {
        seq: int(row, "seq")?,
        account: AccountId::from_bytes(blob(row, "account_id")?),
        at_ms: int(row, "at_ms")?,
        kind: kind(row)?,
        debit: account("debit")?,
        credit: account("credit")?,
        amount_micros: micros(row, "amount_micros")?,
        currency: currency(row)?,
        key: text(row, "key")?.to_owned(),
    })
}

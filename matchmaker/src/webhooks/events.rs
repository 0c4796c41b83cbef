//! Events that are not written with what they tell of: a refusal writes nothing, and a month ends by itself.

use crate::state::Shared;
use crate::store::billing::{UsageBy, UsageKey, UsageOf};
use crate::store::webhooks::{EventRow, Refused};
use crate::store::{Payer, SessionRow, StoreError};
use nearframe_ledger::settlement::Epoch;
use nearframe_ledger::{RESERVE_US, Tariff};
use nearframe_protocol::webhook::{EventData, EventKind, StatementEvent, StatementSum, TestEvent};
use nearframe_protocol::{AccountId, EventId, Money, TitleId, WebhookId};
use std::ops::Range;

/// After the end of a month, transactions that began in it are over by then, in ms.
const MONTH_SETTLES_MS: u64 = 10 * 60 * 1000;
/// A month that ended longer ago is not told of any more, in ms: whoever registers later did not wait for it.
const MONTH_IS_NEWS_MS: u64 = 3 * 24 * 3600 * 1000;

/// A budget did not hold an hour. It is told after the refusal, which stands whether or not that succeeds.
pub(crate) async fn refused(shared: &Shared, payer: Option<Payer>, title: &TitleId, tariff: &Tariff) {
    let Ok(needed_micros) = tariff.cost_micros(RESERVE_US) else { return };
    let needed = Money { amount_micros: needed_micros, currency: tariff.currency.clone() };
    let refused = Refused { payer, title: title.clone(), needed, now_ms: shared.now_ms() };
    if let Err(error) = shared.store.tell_exhausted(&refused).await {
        tracing::warn!(%error, title = %refused.title, "nobody is told that a budget is used up");
    }
}

/// A session ended because its next hour was refused.
pub(crate) async fn hour_refused(shared: &Shared, row: &SessionRow) {
    match shared.store.evidence_of(row.id).await {
        Ok(leases) => {
            if let Some(lease) = leases.last() {
                refused(shared, row.payer, &row.title, &lease.account.tariff).await;
            }
        }
        Err(error) => tracing::warn!(%error, session = %row.id, "nobody is told that a budget is used up"),
    }
}

/// Sends something to one webhook; gives the event.
pub(crate) async fn test(
    shared: &Shared,
    account: AccountId,
    webhook: WebhookId,
) -> Result<EventId, StoreError> {
    let data = EventData::Test(TestEvent { webhook });
    let event = EventRow::new(account, EventKind::WebhookTest, shared.now_ms(), data)?;
    shared.store.add_event(&event, Some(webhook)).await?;
    Ok(event.id)
}

/// Tells accounts of the month that has just ended. The event's id follows from account and month, so that every replica
/// may try and it is told once.
pub(crate) async fn statements(shared: &Shared) -> Result<(), StoreError> {
    let now_ms = shared.now_ms();
    let Some((month, range)) = month_before(now_ms) else { return Ok(()) };
    let since_ms = now_ms - range.end;
    if !(MONTH_SETTLES_MS..MONTH_IS_NEWS_MS).contains(&since_ms) {
        return Ok(());
    }
    for account in shared.store.accounts_that_want(EventKind::StatementReady).await? {
        let of = UsageOf { account: Some(account), ..UsageOf::all(range.clone()) };
        let rows = shared.store.usage(&of, UsageBy::Title).await?;
        let sum = |row: crate::store::billing::UsageRow| {
            let UsageKey::Title(title) = row.key else { return None };
            let amount_micros = row.sums.host_micros + row.sums.platform_micros;
            let path = format!("/v1/statements/{title}/{month}");
            Some(StatementSum { title, total: Money { amount_micros, currency: row.currency }, path })
        };
        let statements: Vec<_> = rows.into_iter().filter_map(sum).collect();
        if statements.is_empty() {
            continue;
        }
        let invoice = format!("/v1/invoices/{month}");
        let data = EventData::Statement(StatementEvent { month: month.clone(), invoice, statements });
        let id = statement_id(account, &month);
        let event = EventRow::with_id(id, account, EventKind::StatementReady, range.end, data)?;
        shared.store.add_event(&event, None).await?;
    }
    Ok(())
}

fn statement_id(account: AccountId, month: &str) -> EventId {
    let mut hasher = blake3::Hasher::new_derive_key("nearframe statement.ready v1");
    hasher.update(account.as_bytes()).update(month.as_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    EventId::from_random(bytes)
}

/// The last month in UTC that is over: its name, and its first ms to the one after it.
fn month_before(now_ms: u64) -> Option<(String, Range<u64>)> {
    let (year, month, _) = Epoch::of(now_ms).date();
    let ends = Epoch::from_date(year, month, 1)?;
    let (year, month, _) = Epoch(ends.0.checked_sub(1)?).date();
    let begins = Epoch::from_date(year, month, 1)?;
    Some((format!("{year:04}-{month:02}"), begins.begins_at_ms()..ends.begins_at_ms()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_month_before_is_the_whole_one() {
        let day = |year, month, day| Epoch::from_date(year, month, day).unwrap().begins_at_ms();
        let (name, range) = month_before(day(2026, 1, 1)).unwrap();
        assert_eq!((name.as_str(), range), ("2025-12", day(2025, 12, 1)..day(2026, 1, 1)));
        let (name, range) = month_before(day(2024, 3, 31) + 5).unwrap();
        assert_eq!((name.as_str(), range), ("2024-02", day(2024, 2, 1)..day(2024, 3, 1)));
        assert_eq!(month_before(5), None);
    }

    #[test]
    fn a_months_event_has_one_id_for_each_account() {
        let account = |n| AccountId::from_bytes([n; 16]);
        assert_eq!(statement_id(account(1), "2026-11"), statement_id(account(1), "2026-11"));
        assert_ne!(statement_id(account(1), "2026-11"), statement_id(account(1), "2026-12"));
        assert_ne!(statement_id(account(1), "2026-11"), statement_id(account(2), "2026-11"));
    }
}

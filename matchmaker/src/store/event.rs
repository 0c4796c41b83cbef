//! The words of events, and when a budget is told of: the same for every store.

use super::webhooks::{EventRow, TOLD_AGAIN_MS};
use super::{SessionRow, StoreError};
use nearframe_ledger::settlement::{DAY_MS, Epoch};
use nearframe_protocol::account::Raise;
use nearframe_protocol::webhook::{
    BudgetEvent, BudgetOf, Event, EventBill, EventData, EventKind, LOW_ONE_IN, SessionEvent,
};
use nearframe_protocol::{AccountId, EventId, Money};

/// A time in the words of RFC 3339.
pub(crate) fn timestamp(at_ms: u64) -> String {
    let (day, ms) = (Epoch::of(at_ms), at_ms % DAY_MS);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{day}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

impl EventRow {
    /// Something that happened now.
    pub(crate) fn new(
        account: AccountId,
        kind: EventKind,
        at_ms: u64,
        data: EventData,
    ) -> Result<Self, StoreError> {
        let id = EventId::from_random(crate::random::bytes());
        Self::with_id(id, account, kind, at_ms, data)
    }

    /// The same with an id that follows from what happened.
    pub(crate) fn with_id(
        id: EventId,
        account: AccountId,
        kind: EventKind,
        at_ms: u64,
        data: EventData,
    ) -> Result<Self, StoreError> {
        let event = Event { kind, timestamp: timestamp(at_ms), account, data };
        let body = serde_json::to_string(&event).map_err(|_| StoreError::Corrupt("body"))?;
        Ok(Self { id, account, kind, at_ms, body })
    }

    /// That a session began, ended or was billed.
    pub(super) fn of_session(
        account: AccountId,
        kind: EventKind,
        at_ms: u64,
        row: &SessionRow,
    ) -> Result<Self, StoreError> {
        let bill = (kind != EventKind::SessionStarted).then(|| EventBill {
            receipts: row.receipts,
            used_us: row.billed_us,
            total: row.cost.clone(),
            is_final: kind == EventKind::SessionBilled,
        });
        let key = row.payer.and_then(|payer| payer.key);
        let data = SessionEvent { session: row.clone().into(), key, bill };
        Self::new(account, kind, at_ms, EventData::Session(Box::new(data)))
    }

    /// That a budget is low, or did not hold something.
    pub(super) fn of_budget(
        account: AccountId,
        at_ms: u64,
        of: BudgetOf,
        level: &Level,
        needed: Option<Money>,
    ) -> Result<Self, StoreError> {
        let money = |amount_micros| Money { amount_micros, currency: level.currency.clone() };
        let limit_micros = level.limit_micros.ok_or(StoreError::Corrupt("limit_micros"))?;
        let raise = needed.as_ref().and_then(|needed| raise(account, &of, level, needed));
        let kind = if needed.is_some() { EventKind::BudgetExhausted } else { EventKind::BudgetLow };
        let data = BudgetEvent {
            of,
            limit: money(limit_micros),
            committed: money(level.committed_micros),
            left: money((limit_micros - level.committed_micros).max(0)),
            needed,
            raise,
        };
        Self::new(account, kind, at_ms, EventData::Budget(Box::new(data)))
    }
}

/// As the offer of a 402 says it.
fn raise(account: AccountId, of: &BudgetOf, level: &Level, needed: &Money) -> Option<Raise> {
    let (path, by) = match of {
        BudgetOf::Account => (format!("/v1/accounts/{account}/allowance"), "an operator"),
        BudgetOf::Key { id } => {
            (format!("/v1/accounts/{account}/keys/{id}/allowance"), "a member of the account")
        }
        BudgetOf::Title { .. } => return None,
    };
    let to_at_least = Money {
        amount_micros: level.committed_micros + needed.amount_micros,
        currency: needed.currency.clone(),
    };
    Some(Raise { method: "PUT".to_owned(), path, by: by.to_owned(), to_at_least })
}

/// How a budget stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) currency: nearframe_protocol::Currency,
    pub(super) limit_micros: Option<i128>,
    pub(super) committed_micros: i128,
    /// When the same was told last, Unix ms.
    pub(super) told_ms: Option<u64>,
}

impl Level {
    /// Whether less than a fifth is left.
    pub(super) fn is_low(&self) -> bool {
        self.limit_micros.is_some_and(|limit| (limit - self.committed_micros) * LOW_ONE_IN < limit)
    }

    /// Whether it does not hold an amount.
    pub(super) fn lacks(&self, needed: &Money) -> bool {
        let room = |limit| limit - self.committed_micros;
        self.limit_micros.is_some_and(|limit| room(limit) < needed.amount_micros)
    }

    /// Whether that is to be told.
    pub(super) fn is_news(&self, now_ms: u64) -> bool {
        self.told_ms.is_none_or(|told| told + TOLD_AGAIN_MS <= now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::{ApiKeyId, Currency};

    fn level(limit_micros: Option<i128>, committed_micros: i128) -> Level {
        let currency = Currency::new("EUR").unwrap();
        Level { currency, limit_micros, committed_micros, told_ms: None }
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(1_795_957_500_250), "2026-11-29T13:05:00.250Z");
        assert_eq!(timestamp(951_868_799_999), "2000-02-29T23:59:59.999Z");
    }

    #[test]
    fn a_budget_is_low_below_a_fifth_and_told_once_a_day() {
        assert!(!level(None, 1_000_000).is_low(), "without a limit nothing is low");
        assert!(!level(Some(100), 80).is_low() && level(Some(100), 81).is_low());
        assert!(!level(Some(0), 0).is_low() && level(Some(100), 130).is_low());
        let told = Level { told_ms: Some(7), ..level(Some(100), 90) };
        assert!(!told.is_news(7 + TOLD_AGAIN_MS - 1) && told.is_news(7 + TOLD_AGAIN_MS));
    }

    #[test]
    fn what_did_not_fit_says_how_more_is_allowed() {
        let account = AccountId::from_bytes([1; 16]);
        let needed = Money { amount_micros: 30, currency: Currency::new("EUR").unwrap() };
        let of =
            |of| EventRow::of_budget(account, 5, of, &level(Some(100), 90), Some(needed.clone())).unwrap();
        let key = of(BudgetOf::Key { id: ApiKeyId::from_bytes([2; 16]) });
        assert_eq!(key.kind, EventKind::BudgetExhausted);
        let event: Event = serde_json::from_str(&key.body).unwrap();
        let EventData::Budget(data) = event.data else { panic!("{}", key.body) };
        assert_eq!((data.left.amount_micros, data.limit.amount_micros), (10, 100));
        let raise = data.raise.unwrap();
        assert_eq!(raise.to_at_least.amount_micros, 120);
        assert!(raise.path.ends_with("/allowance") && raise.path.contains("/keys/"), "{}", raise.path);
        let title = nearframe_protocol::TitleId::new("meteor").unwrap();
        assert!(!of(BudgetOf::Title { id: title }).body.contains("raise"));
    }
}

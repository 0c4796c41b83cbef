//! Webhooks: what happened, told to a program of the account by HTTP, after the Standard Webhooks specification, 1.0.0.
//!
//! A *webhook* is an address with the kinds of events that it wants; an *event* happened once, in an account; a
//! *delivery* brings one event to one webhook, as often as it takes.

use crate::account::{Raise, words};
use crate::api::Session;
use crate::money::{Money, MoneyJson};
use crate::{AccountId, ApiKeyId, EventId, MemberId, TitleId, WebhookId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Header with the id of the event, the same however often it is delivered.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the time of the try, Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures, spaces between them: each `v1,` and the base64 of an HMAC-SHA256 over id, timestamp and
/// body with full stops between them.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// What a secret begins with; the base64 of its bytes follows.
pub const SECRET_PREFIX: &str = "whsec_";
/// Of a budget, less than one part in so many is low.
pub const LOW_ONE_IN: i128 = 5;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum EventKind {
    /// A machine holds a slot for a session that the account pays for.
    #[serde(rename = "session.started")]
    SessionStarted,
    /// Such a session ended. Receipts may come in for another day: its bill is the one so far.
    #[serde(rename = "session.ended")]
    SessionEnded,
    /// Nothing can be added to the bill of such a session any more.
    #[serde(rename = "session.billed")]
    SessionBilled,
    /// Less than a fifth of a budget is left. Told at most once a day for each budget, and anew when it is set.
    #[serde(rename = "budget.low")]
    BudgetLow,
    /// A budget did not hold a session, or another hour of one. Told at most once a day for each budget, and anew when it
    /// is set.
    #[serde(rename = "budget.exhausted")]
    BudgetExhausted,
    /// A month in UTC is over: its statements do not change any more.
    #[serde(rename = "statement.ready")]
    StatementReady,
    /// An amount of the account's earnings is set aside and will be sent.
    #[serde(rename = "payout.created")]
    PayoutCreated,
    /// It arrived.
    #[serde(rename = "payout.settled")]
    PayoutSettled,
    /// It will never arrive; it is due again.
    #[serde(rename = "payout.failed")]
    PayoutFailed,
    /// A part of the stake of one of the account's machines is set aside because of a case; the host may appeal.
    #[serde(rename = "stake.pending")]
    StakePending,
    /// It was taken.
    #[serde(rename = "stake.slashed")]
    StakeSlashed,
    /// An appeal was allowed: it is free again.
    #[serde(rename = "stake.freed")]
    StakeFreed,
    /// The time of a notice is over: the stake is the account's to be paid.
    #[serde(rename = "stake.released")]
    StakeReleased,
    /// Somebody asked for it, to see whether a webhook works. Sent to that one alone, whatever it wants.
    #[serde(rename = "webhook.test")]
    WebhookTest,
}
words!(EventKind {
    SessionStarted => "session.started",
    SessionEnded => "session.ended",
    SessionBilled => "session.billed",
    BudgetLow => "budget.low",
    BudgetExhausted => "budget.exhausted",
    StatementReady => "statement.ready",
    PayoutCreated => "payout.created",
    PayoutSettled => "payout.settled",
    PayoutFailed => "payout.failed",
    StakePending => "stake.pending",
    StakeSlashed => "stake.slashed",
    StakeFreed => "stake.freed",
    StakeReleased => "stake.released",
    WebhookTest => "webhook.test",
});

/// The body of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// What happened; says which form `data` has.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When it happened, RFC 3339 in UTC.
    #[schema(example = "2026-11-29T13:05:00.250Z")]
    pub timestamp: String,
    /// In which account.
    pub account: AccountId,
    /// What there is to know.
    pub data: EventData,
}

/// What there is to know of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EventData {
    /// Of `session.*`.
    Session(Box<SessionEvent>),
    /// Of `budget.*`.
    Budget(Box<BudgetEvent>),
    /// Of `statement.ready`.
    Statement(StatementEvent),
    /// Of `payout.*`.
    Payout(Box<crate::payout::Payout>),
    /// Of `stake.*`.
    Stake(Box<crate::stake::StakeEvent>),
    /// Of `webhook.test`.
    Test(TestEvent),
}

/// A session as it was then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionEvent {
    /// The session.
    pub session: Session,
    /// The key that started it; absent: a guest plays the account's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ApiKeyId>,
    /// What it cost; absent while it has only begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<EventBill>,
}

/// A session's bill in one sum. The receipts behind it: `GET /v1/sessions/{id}/bill`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventBill {
    /// Receipts in it.
    pub receipts: u32,
    /// Time billed, in µs.
    pub used_us: u64,
    /// What is owed.
    #[schema(value_type = MoneyJson)]
    pub total: Money,
    /// Whether nothing can be added to it any more.
    pub is_final: bool,
}

/// A budget, and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetEvent {
    /// Whose.
    pub of: BudgetOf,
    /// The most that is ever set aside and spent.
    #[schema(value_type = MoneyJson)]
    pub limit: Money,
    /// What is set aside or spent.
    #[schema(value_type = MoneyJson)]
    pub committed: Money,
    /// What is free.
    #[schema(value_type = MoneyJson)]
    pub left: Money,
    /// What did not fit into it; of `budget.exhausted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub needed: Option<Money>,
    /// How more is allowed, of a key's or an account's `budget.exhausted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raise: Option<Raise>,
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BudgetOf {
    /// That of the whole account.
    Account,
    /// A key's own.
    Key {
        /// Which.
        id: ApiKeyId,
    },
    /// That of guests on one of the account's titles.
    Title {
        /// Which.
        id: TitleId,
    },
}

/// A month that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatementEvent {
    /// Year and month in UTC.
    #[schema(example = "2026-11")]
    pub month: String,
    /// Path of the month on paper, as PDF, on this server.
    #[schema(example = "/v1/invoices/2026-11")]
    pub invoice: String,
    /// One for each title and currency with a receipt in it.
    pub statements: Vec<StatementSum>,
}

/// A title's month in one sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatementSum {
    /// The title.
    pub title: TitleId,
    /// What is owed.
    #[schema(value_type = MoneyJson)]
    pub total: Money,
    /// Path of the statement on this server, with every receipt behind every line.
    #[schema(example = "/v1/statements/meteor/2026-11")]
    pub path: String,
}

/// Nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestEvent {
    /// The webhook that is tried.
    pub webhook: WebhookId,
}

/// `POST /v1/accounts/{account}/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where events are sent to: `https`, a public host.
    #[schema(example = "https://hooks.example.org/nearframe")]
    pub url: String,
    /// What it wants to be told; at least one.
    pub events: Vec<EventKind>,
}

/// `PUT /v1/accounts/{account}/webhooks/{webhook}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetWebhook {
    /// Where events are sent to.
    pub url: String,
    /// What it wants to be told; at least one.
    pub events: Vec<EventKind>,
    /// Whether anything is sent. What happens while nothing is, is never told.
    pub enabled: bool,
}

/// Why nothing is sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disabled {
    /// Somebody said so.
    Asked,
    /// It answered `410 Gone`.
    Gone,
    /// An event could not be delivered in three days, and none was meanwhile.
    Failing,
}
words!(Disabled { Asked => "asked", Gone => "gone", Failing => "failing" });

/// A webhook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// Id.
    pub id: WebhookId,
    /// Where events are sent to.
    pub url: String,
    /// What it wants to be told.
    pub events: Vec<EventKind>,
    /// Why nothing is sent; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// Unix ms.
    pub created_at_ms: u64,
    /// The member who made it; absent: an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<MemberId>,
    /// Until when deliveries are signed with the secret before as well, Unix ms; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_secret_until_ms: Option<u64>,
    /// When an event was delivered last, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at_ms: Option<u64>,
}

/// Answer to the making of a webhook, and of another secret for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookSecret {
    /// The webhook.
    pub webhook: Webhook,
    /// What its deliveries are signed with. Shown this once.
    #[schema(example = "whsec_…")]
    pub secret: String,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Is tried, or tried again.
    Pending,
    /// Was answered with a status of 200 to 299.
    Delivered,
    /// Is given up, until somebody asks for it again.
    Dead,
}
words!(DeliveryState { Pending => "pending", Delivered => "delivered", Dead => "dead" });

/// The way of one event to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// The event; `webhook-id` of the request.
    pub event: EventId,
    /// What happened.
    pub kind: EventKind,
    /// When it happened, Unix ms.
    pub at_ms: u64,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries that ended.
    pub tries: u32,
    /// When the last one ended, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at_ms: Option<u64>,
    /// HTTP status that it was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was not answered, or not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When it is tried again, while it is pending, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<u64>,
}

/// Answer to a test and to another delivery: it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queued {
    /// The event that is delivered.
    pub event: EventId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_json_are_those_in_databases() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert!(!kind.as_str().contains([' ', '%', '_']), "{kind:?} is looked for in a list of words");
        }
        for state in DeliveryState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for why in Disabled::ALL {
            assert_eq!(serde_json::to_value(why).unwrap(), why.as_str());
        }
    }

    #[test]
    fn an_event_reads_back_in_its_own_form() {
        let money = |amount_micros| Money { amount_micros, currency: crate::Currency::new("EUR").unwrap() };
        let test = TestEvent { webhook: WebhookId::from_bytes([1; 16]) };
        let budget = BudgetEvent {
            of: BudgetOf::Key { id: ApiKeyId::from_bytes([2; 16]) },
            limit: money(10),
            committed: money(9),
            left: money(1),
            needed: None,
            raise: None,
        };
        let statement = StatementEvent {
            month: "2026-11".into(),
            invoice: "/v1/invoices/2026-11".into(),
            statements: vec![],
        };
        let all = [
            (EventKind::WebhookTest, EventData::Test(test)),
            (EventKind::BudgetLow, EventData::Budget(Box::new(budget))),
            (EventKind::StatementReady, EventData::Statement(statement)),
        ];
        for (kind, data) in all {
            let timestamp = "2026-11-29T13:05:00.250Z".to_owned();
            let event = Event { kind, timestamp, account: AccountId::from_bytes([3; 16]), data };
            let text = serde_json::to_string(&event).unwrap();
            assert!(text.starts_with(&format!("{{\"type\":\"{}\"", kind.as_str())), "{text}");
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }
}

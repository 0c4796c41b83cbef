//! Webhooks, the events that they are told and their deliveries, as the store keeps them.
//!
//! **Architecture invariant:** an event is written in the transaction of what it tells of, or under an id that follows
//! from that, so that it is there exactly once. A delivery that was claimed and not settled is claimed again.

use super::{Payer, StoreError};
use async_trait::async_trait;
use nearframe_protocol::webhook::{DeliveryState, Disabled, EventKind};
use nearframe_protocol::{AccountId, EventId, MemberId, Money, TitleId, WebhookId};

/// Webhooks that an account may have: each event is sent to all that want it.
pub const MOST_WEBHOOKS: u32 = 20;
/// Of one webhook, this many deliveries are under way at once, so that one that hangs does not hold up the others.
pub const AT_ONCE_TO_ONE: u32 = 8;
/// A budget is told of again after this, in ms.
pub const TOLD_AGAIN_MS: u64 = 24 * 3600 * 1000;

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its id.
    pub id: WebhookId,
    /// Of which account.
    pub account: AccountId,
    /// Where events are sent to.
    pub url: String,
    /// What it wants to be told, in order.
    pub events: Vec<EventKind>,
    /// Why nothing is sent; `None` while it is.
    pub disabled: Option<Disabled>,
    /// Which of its secrets counts, from 1 on.
    pub secret_number: u32,
    /// Until when the one before counts as well, Unix ms.
    pub old_secret_until_ms: Option<u64>,
    /// Unix ms.
    pub created_at_ms: u64,
    /// The member who made it.
    pub created_by: Option<MemberId>,
    /// When an event was delivered last, Unix ms.
    pub delivered_at_ms: Option<u64>,
}

/// What is changed of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookChange {
    /// Where events are sent to.
    pub url: String,
    /// What it wants to be told, in order.
    pub events: Vec<EventKind>,
    /// Whether anything is sent.
    pub enabled: bool,
}

/// Something that happened, in the words that are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// In which account.
    pub account: AccountId,
    /// What.
    pub kind: EventKind,
    /// When, Unix ms.
    pub at_ms: u64,
    /// JSON of [`Event`](nearframe_protocol::webhook::Event).
    pub body: String,
}

/// A delivery that somebody is to try now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// To which webhook.
    pub webhook: WebhookRow,
    /// Of what.
    pub event: EventRow,
    /// Tries that ended.
    pub tries: u32,
}

/// Who tries deliveries, and until when nobody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryClaim {
    /// Drawn anew for each claim.
    pub claim: [u8; 16],
    /// Now, Unix ms.
    pub now_ms: u64,
    /// Unix ms.
    pub until_ms: u64,
}

/// What becomes of a delivery after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It arrived.
    Delivered,
    /// It is tried again.
    Again {
        /// When, Unix ms.
        due_ms: u64,
        /// Nothing else is sent to the webhook before, Unix ms; 0: as planned.
        pause_until_ms: u64,
    },
    /// It is given up. Where nothing was delivered since it happened, so is the webhook.
    Dead,
    /// It is given up, and so is the webhook.
    Gone,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The claim that it was tried under.
    pub claim: [u8; 16],
    /// To which webhook.
    pub webhook: WebhookId,
    /// Of which event.
    pub event: EventId,
    /// When it ended, Unix ms.
    pub at_ms: u64,
    /// HTTP status that it was answered with.
    pub status: Option<u16>,
    /// Why it was not answered, or not taken.
    pub trouble: Option<String>,
    /// What becomes of it.
    pub next: Next,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The event.
    pub event: EventId,
    /// What happened.
    pub kind: EventKind,
    /// When, Unix ms.
    pub at_ms: u64,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is tried, while it is pending, Unix ms.
    pub due_ms: u64,
    /// Tries that ended.
    pub tries: u32,
    /// When the last one ended, Unix ms.
    pub tried_at_ms: Option<u64>,
    /// HTTP status that it was answered with.
    pub status: Option<u16>,
    /// Why it was not answered, or not taken.
    pub trouble: Option<String>,
}

/// Something that a budget did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who would have paid; `None`: the studio, from the title's budget.
    pub payer: Option<Payer>,
    /// What would have played.
    pub title: TitleId,
    /// What would have been set aside.
    pub needed: Money,
    /// Now, Unix ms.
    pub now_ms: u64,
}

/// The part of the store that tells others. As of every method: one transaction, and repeating it changes nothing.
#[async_trait]
pub trait WebhookStore: Send + Sync + 'static {
    /// Writes a webhook; false: the account has [`MOST_WEBHOOKS`]. One with this id that is there stays.
    async fn add_webhook(&self, row: &WebhookRow) -> Result<bool, StoreError>;
    /// The account's webhooks, in the order in which they were made.
    async fn webhooks(&self, account: AccountId) -> Result<Vec<WebhookRow>, StoreError>;
    /// Changes a webhook; false: no such webhook in the account. One that is enabled again forgets why it was not.
    async fn change_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        change: &WebhookChange,
    ) -> Result<bool, StoreError>;
    /// Its next secret counts, and until a moment the one before; false: its secret is not the one with this number.
    async fn renew_secret(
        &self,
        account: AccountId,
        id: WebhookId,
        number: u32,
        old_until_ms: u64,
    ) -> Result<bool, StoreError>;
    /// Removes a webhook with what was not delivered yet; the first time stays. False: no such webhook in the account.
    async fn remove_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        now_ms: u64,
    ) -> Result<bool, StoreError>;

    /// Writes an event for all webhooks of its account that want it, or for one, whatever it wants; one with this id
    /// that is there stays. Returns to how many it goes.
    async fn add_event(&self, event: &EventRow, to: Option<WebhookId>) -> Result<u32, StoreError>;
    /// Writes `budget.exhausted` where somebody wants to know and was not told lately.
    async fn tell_exhausted(&self, refused: &Refused) -> Result<(), StoreError>;
    /// Accounts with a webhook that wants to be told of this.
    async fn accounts_that_want(&self, kind: EventKind) -> Result<Vec<AccountId>, StoreError>;

    /// Claims at most `most` deliveries that are due, the oldest first, at most [`AT_ONCE_TO_ONE`] of one webhook.
    async fn claim_deliveries(&self, claim: &DeliveryClaim, most: u32) -> Result<Vec<Due>, StoreError>;
    /// Writes down how a try ended; false: the claim is another's by now, and nothing was written.
    async fn settle_delivery(&self, settled: &Settled) -> Result<bool, StoreError>;
    /// The webhook's deliveries, by the time of their events, newest first, at most `limit`, after `after` where given.
    async fn deliveries(
        &self,
        webhook: WebhookId,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError>;
    /// Makes a delivery due now, with all its tries; false: there is none.
    async fn redeliver(&self, webhook: WebhookId, event: EventId, now_ms: u64) -> Result<bool, StoreError>;
    /// Forgets events from before `before_ms`, with their deliveries.
    async fn forget_events(&self, before_ms: u64) -> Result<(), StoreError>;
}

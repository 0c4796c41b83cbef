//! Webhooks of an account: registered by members, tried, looked at, taken back.

use super::accounts::known;
use super::paging::{self, Cursor, page};
use super::problem::{Code, Json, Path, Problem, Query};
use super::repeat::ShownOnce;
use super::role::Caller;
use super::trail::Made;
use crate::random;
use crate::state::Shared;
use crate::store::webhooks::{DeliveryRow, WebhookChange, WebhookRow};
use crate::webhooks;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::webhook::{
    CreateWebhook, Delivery, DeliveryState, EventKind, Queued, SetWebhook, Webhook, WebhookSecret,
};
use nearframe_protocol::{AccountId, EventId, WebhookId};
use std::sync::Arc;

type Secret = (StatusCode, Extension<ShownOnce>, Extension<Made>, axum::Json<WebhookSecret>);

fn shown(row: &WebhookRow, now_ms: u64) -> Webhook {
    Webhook {
        id: row.id,
        url: row.url.clone(),
        events: row.events.clone(),
        disabled: row.disabled,
        created_at_ms: row.created_at_ms,
        created_by: row.created_by,
        old_secret_until_ms: row.old_secret_until_ms.filter(|until| *until > now_ms),
        delivered_at_ms: row.delivered_at_ms,
    }
}

fn delivery(row: DeliveryRow) -> Delivery {
    Delivery {
        event: row.event,
        kind: row.kind,
        at_ms: row.at_ms,
        state: row.state,
        tries: row.tries,
        tried_at_ms: row.tried_at_ms,
        status: row.status,
        trouble: row.trouble,
        due_ms: (row.state == DeliveryState::Pending).then_some(row.due_ms),
    }
}

fn unknown() -> Problem {
    Problem::new(Code::UnknownWebhook, "The account has no such webhook.")
}

async fn find(shared: &Shared, account: AccountId, id: WebhookId) -> Result<WebhookRow, Problem> {
    let rows = shared.store.webhooks(account).await?;
    rows.into_iter().find(|row| row.id == id).ok_or_else(unknown)
}

/// The address and the kinds of events that were asked for, as they are kept.
fn wanted(shared: &Shared, url: &str, events: Vec<EventKind>) -> Result<(String, Vec<EventKind>), Problem> {
    let bad = |why: &str| Problem::new(Code::BadBody, why);
    let url = webhooks::check(url, shared.config.private_webhooks).map_err(bad)?;
    let mut events = events;
    events.sort_unstable();
    events.dedup();
    if events.is_empty() {
        return Err(bad("events: at least one"));
    }
    Ok((url.into(), events))
}

fn secret(shared: &Shared, row: &WebhookRow) -> Secret {
    let secret = webhooks::secret_text(&shared.webhook_secret(row.id, row.secret_number));
    let answer = WebhookSecret { webhook: shown(row, shared.now_ms()), secret };
    (StatusCode::CREATED, Extension(ShownOnce), Extension(Made(row.id.to_string())), axum::Json(answer))
}

/// The account's webhooks, in the order in which they were made; without their secrets.
#[utoipa::path(get, path = "/v1/accounts/{account}/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "At most 20 rows", body = Page<Webhook>),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Page<Webhook>>, Problem> {
    let now_ms = shared.now_ms();
    let items = shared.store.webhooks(account).await?.iter().map(|row| shown(row, now_ms)).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Registers an address that is told what happens, from now on. Its secret stands in this answer alone: deliveries are
/// signed with it after the Standard Webhooks specification. The address is `https`, and its host public.
#[utoipa::path(post, path = "/v1/accounts/{account}/webhooks", tag = "webhooks", operation_id = "create_webhook",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the caller, at most 128 bytes"),
    ),
    request_body = CreateWebhook, security(("operator" = []), ("member" = [])), responses(
    (status = 201, description = "Shown once", body = WebhookSecret),
    (status = "default", description = "Any error, such as `role_missing`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(account): Path<AccountId>,
    Json(asked): Json<CreateWebhook>,
) -> Result<Secret, Problem> {
    known(&shared, account).await?;
    let (url, events) = wanted(&shared, &asked.url, asked.events)?;
    let maker = caller.who.member.filter(|member| member.0.account == account);
    let row = WebhookRow {
        id: random::webhook_id(),
        account,
        url,
        events,
        disabled: None,
        secret_number: 1,
        old_secret_until_ms: None,
        created_at_ms: shared.now_ms(),
        created_by: maker.map(|member| member.0.id),
        delivered_at_ms: None,
    };
    if !shared.store.add_webhook(&row).await? {
        let detail = "An account has at most 20 webhooks. Remove one that nobody needs.";
        return Err(Problem::new(Code::TooManyWebhooks, detail));
    }
    Ok(secret(&shared, &row))
}

/// Changes where events are sent to, which, and whether any are. One that was disabled by what it answered starts anew,
/// with what was not delivered yet.
#[utoipa::path(put, path = "/v1/accounts/{account}/webhooks/{webhook}", tag = "webhooks", operation_id = "set_webhook",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("webhook" = WebhookId, Path, description = "Webhook id"),
    ),
    request_body = SetWebhook, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As it is now", body = Webhook),
    (status = "default", description = "Any error, such as `unknown_webhook`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(AccountId, WebhookId)>,
    Json(asked): Json<SetWebhook>,
) -> Result<axum::Json<Webhook>, Problem> {
    let (url, events) = wanted(&shared, &asked.url, asked.events)?;
    let change = WebhookChange { url, events, enabled: asked.enabled };
    if !shared.store.change_webhook(account, id, &change).await? {
        return Err(unknown());
    }
    Ok(axum::Json(shown(&find(&shared, account, id).await?, shared.now_ms())))
}

/// Removes a webhook; what was not delivered to it is not any more. Removing it again changes nothing.
#[utoipa::path(delete, path = "/v1/accounts/{account}/webhooks/{webhook}", tag = "webhooks",
    operation_id = "remove_webhook",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("webhook" = WebhookId, Path, description = "Webhook id"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 204, description = "It is gone"),
    (status = "default", description = "Any error, such as `unknown_webhook`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(AccountId, WebhookId)>,
) -> Result<StatusCode, Problem> {
    let removed = shared.store.remove_webhook(account, id, shared.now_ms()).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// Makes another secret, which stands in this answer alone. For a day, deliveries are signed with the one before as well;
/// one that is older counts no more.
#[utoipa::path(post, path = "/v1/accounts/{account}/webhooks/{webhook}/secret", tag = "webhooks",
    operation_id = "renew_webhook_secret",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("webhook" = WebhookId, Path, description = "Webhook id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the caller, at most 128 bytes"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 201, description = "Shown once", body = WebhookSecret),
    (status = "default", description = "Any error, such as `unknown_webhook`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn renew(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(AccountId, WebhookId)>,
) -> Result<Secret, Problem> {
    let row = find(&shared, account, id).await?;
    let until_ms = shared.now_ms() + webhooks::OLD_SECRET_MS;
    if !shared.store.renew_secret(account, id, row.secret_number, until_ms).await? {
        let detail = "Somebody else makes a secret for it at this moment. Ask again if you still need one.";
        return Err(Problem::new(Code::InProgress, detail).retry_after(1));
    }
    Ok(secret(&shared, &find(&shared, account, id).await?))
}

/// Sends a `webhook.test` event to this webhook. How it fares stands with its deliveries.
#[utoipa::path(post, path = "/v1/accounts/{account}/webhooks/{webhook}/test", tag = "webhooks",
    operation_id = "test_webhook",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("webhook" = WebhookId, Path, description = "Webhook id"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 202, description = "Under way", body = Queued),
    (status = "default", description = "Any error, such as `unknown_webhook`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn test(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(AccountId, WebhookId)>,
) -> Result<(StatusCode, axum::Json<Queued>), Problem> {
    sends(&find(&shared, account, id).await?)?;
    let event = webhooks::test(&shared, account, id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Queued { event })))
}

/// The webhook's deliveries, newest first. They are kept for 30 days.
#[utoipa::path(get, path = "/v1/accounts/{account}/webhooks/{webhook}/deliveries", tag = "webhooks",
    operation_id = "list_deliveries",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("webhook" = WebhookId, Path, description = "Webhook id"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "At most 50 rows", body = Page<Delivery>),
    (status = "default", description = "Any error, such as `unknown_webhook`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn deliveries(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(AccountId, WebhookId)>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<Delivery>>, Problem> {
    let after: Option<EventId> = cursor.read()?;
    find(&shared, account, id).await?;
    let rows = shared.store.deliveries(id, after, paging::ROWS + 1).await?;
    let rows = rows.into_iter().map(delivery).collect();
    Ok(axum::Json(page(rows, paging::ROWS, |last: &Delivery, _| last.event.to_string())))
}

/// Delivers an event once more, at once and with all tries, whatever became of it. It keeps its `webhook-id`.
#[utoipa::path(post, path = "/v1/accounts/{account}/webhooks/{webhook}/deliveries/{event}", tag = "webhooks",
    operation_id = "redeliver",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("webhook" = WebhookId, Path, description = "Webhook id"),
        ("event" = EventId, Path, description = "Event id"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 202, description = "Under way", body = Queued),
    (status = "default", description = "Any error, such as `unknown_delivery`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn redeliver(
    State(shared): State<Arc<Shared>>,
    Path((account, id, event)): Path<(AccountId, WebhookId, EventId)>,
) -> Result<(StatusCode, axum::Json<Queued>), Problem> {
    sends(&find(&shared, account, id).await?)?;
    if !shared.store.redeliver(id, event, shared.now_ms()).await? {
        let detail = "This event never went to this webhook, or is older than 30 days.";
        return Err(Problem::new(Code::UnknownDelivery, detail));
    }
    Ok((StatusCode::ACCEPTED, axum::Json(Queued { event })))
}

fn sends(row: &WebhookRow) -> Result<(), Problem> {
    match row.disabled {
        None => Ok(()),
        Some(_) => {
            let detail = "Nothing is sent to this webhook. Enable it first, with PUT and `enabled: true`.";
            Err(Problem::new(Code::WebhookDisabled, detail))
        }
    }
}

//! The queue as a guest sees it, and groups.

use super::problem::{Code, Json, Path, Problem};
use super::role::Caller;
use super::{Address, origin};
use crate::catalogue;
use crate::placing::groups::{self, SIZES};
use crate::placing::waiting;
use crate::state::Shared;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use nearframe_protocol::TitleId;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::fleet::{CreateGroup, Group, Queued};
use std::sync::Arc;
use std::time::Instant;

/// The caller's own places; none without a guest cookie.
#[utoipa::path(get, path = "/v1/queue", tag = "placement", operation_id = "list_queue", responses(
    (status = 200, description = "Place and time of each", body = Page<Queued>),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> axum::Json<Page<Queued>> {
    let items =
        caller.guest.map(|guest| shared.placing.waiting.of_guest(guest, shared.now_ms())).unwrap_or_default();
    axum::Json(Page { items, next_cursor: None })
}

/// Gives the caller's place for a title up. Giving it up again changes nothing.
#[utoipa::path(delete, path = "/v1/queue/{title}", tag = "placement", operation_id = "leave_queue",
    params(("title" = String, Path, description = "Title id, such as `meteor`")),
    responses(
        (status = 204, description = "The caller waits no longer"),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn leave(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(title): Path<TitleId>,
) -> StatusCode {
    if let Some(guest) = caller.guest {
        shared.placing.waiting.leave(guest, &title);
        waiting::tell(&shared).await;
    }
    StatusCode::NO_CONTENT
}

/// A group of players who want the same node, or the same region. Its secret goes to each of them.
#[utoipa::path(post, path = "/v1/groups", tag = "placement", operation_id = "create_group",
    request_body = CreateGroup,
    responses(
        (status = 201, description = "It gathers for 10 minutes", body = Group),
        (status = "default", description = "Any error, such as `unknown_title`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn group(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    Json(asked): Json<CreateGroup>,
) -> Result<(StatusCode, axum::Json<Group>), Problem> {
    origin::check(&shared, &headers)?;
    shared.session_limit.take(address, Instant::now()).map_err(|wait_s| {
        shared.metrics.rate_limited.add();
        Problem::new(Code::TooManyRequests, format!("Try again in {wait_s} s.")).retry_after(wait_s)
    })?;
    if !SIZES.contains(&asked.size) {
        let detail = format!("size: a group has {} to {} members", SIZES.start(), SIZES.end());
        return Err(Problem::new(Code::BadBody, detail));
    }
    if catalogue::held(&shared, &asked.title).is_none() {
        return Err(catalogue::unknown(&asked.title));
    }
    Ok((StatusCode::CREATED, axum::Json(groups::create(&shared, &asked))))
}

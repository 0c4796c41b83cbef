//! Sessions: create, list, look at, leave, receipts.

use super::paging::{self, Cursor, page};
use super::problem::{Code, Json, Path, Problem, Query};
use super::role::Caller;
use super::trail::Made;
use super::who::{GUEST_COOKIE, set_cookie};
use super::{Address, origin, repeat};
use crate::placements;
use crate::placing;
use crate::random;
use crate::sessions::{self, Answer, Wanted};
use crate::state::{Shared, hash};
use crate::store::{Idempotency, Payer};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nearframe_protocol::api::{self, CreateSession, CreatedSession, Page, Session, StoredReceipt};
use nearframe_protocol::fleet::{PathReport, Pending};
use nearframe_protocol::measure::LONGEST_RTT_US;
use nearframe_protocol::placement::Placement;
use nearframe_protocol::{EndReason, SessionId};
use std::sync::Arc;
use std::time::Instant;

/// A guest stays the same for a year, in seconds.
const GUEST_S: u64 = 365 * 24 * 3600;

/// Asks for a session on the best free machine. Sets the guest cookie when there is none. With an
/// `Idempotency-Key`, repeating the same request with the same `player_key` gives the same session. With a key of the
/// scope `sessions`, its account pays; where its budget does not hold, the problem has an `offer`.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", operation_id = "create_session",
    params(("Idempotency-Key" = Option<String>, Header, description = "Chosen by the caller, at most 128 bytes")),
    request_body = CreateSession,
    responses(
        (status = 201, description = "A machine holds a slot; connect to `signal_path`", body = CreatedSession),
        (status = 202, description = "No slot yet, or the group gathers: repeat the request with `queue`", body = Pending),
        (status = "default", description = "Any error, such as `no_capacity` or `unknown_title`",
         body = api::Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Address(address): Address,
    headers: HeaderMap,
    Json(request): Json<CreateSession>,
) -> Result<Response, Problem> {
    origin::check(&shared, &headers)?;
    let payer = caller.who.payer();
    let taken = match payer {
        // One address may ask for all the players of a studio.
        Some(payer) => {
            let whose = payer.key.map_or(*payer.account.as_bytes(), |key| *key.as_bytes());
            let prefix = whose.first_chunk().expect("an id has 16 bytes");
            shared.session_limit.take_for(*prefix, Instant::now())
        }
        None => shared.session_limit.take(address, Instant::now()),
    };
    if let Err(wait_s) = taken {
        shared.metrics.rate_limited.add();
        return Err(
            Problem::new(Code::TooManyRequests, format!("Try again in {wait_s} s.")).retry_after(wait_s)
        );
    }
    // A page whose cookies are kept from it is known by its place in the queue.
    let waiting = request.queue.as_deref().and_then(|queue| sessions::guest_of_queue(&shared, queue));
    let wanted = Wanted {
        guest: caller.guest.or(waiting).unwrap_or_else(random::guest_id),
        address,
        idempotency: idempotency(&headers, &request, payer)?,
        payer,
        request,
    };
    let (answer, guest) = sessions::create(&shared, wanted).await.inspect_err(|_| {
        shared.metrics.sessions_refused.add();
    })?;
    let mut response = match answer {
        Answer::Created(created) => {
            let made = Extension(Made(created.session.id.to_string()));
            (StatusCode::CREATED, made, axum::Json(created)).into_response()
        }
        Answer::Pending(pending) => (StatusCode::ACCEPTED, axum::Json(pending)).into_response(),
    };
    if caller.guest != Some(guest) {
        let cookie = set_cookie(&shared, GUEST_COOKIE, &shared.guest_cookie(guest), GUEST_S);
        let cookie = cookie.parse().expect("ids and base64 are a header value");
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The key is bound to the page's own key: a guest whose first answer was lost has no cookie yet. And to who pays.
fn idempotency(
    headers: &HeaderMap,
    request: &CreateSession,
    payer: Option<Payer>,
) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = repeat::key(headers)? else { return Ok(None) };
    let body = serde_json::to_string(request)
        .map_err(|error| Problem::new(Code::Internal, format!("The request cannot be kept: {error}.")))?;
    let payer = payer.map_or_else(String::new, |payer| format!("{}/", payer.account));
    let key = hash(&format!("{payer}{}/{key}", request.player_key));
    Ok(Some(Idempotency { key, request: hash(&body) }))
}

/// The caller's own sessions, newest first: of the account with its key, else of the guest; none without a cookie.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", operation_id = "list_sessions",
    params(("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses(
        (status = 200, description = "At most 50 rows", body = Page<Session>),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<Session>>, Problem> {
    let after: Option<SessionId> = cursor.read()?;
    let rows = match (caller.who.payer(), caller.guest) {
        (Some(payer), _) => shared.store.sessions_of_account(payer.account, after, paging::ROWS + 1).await?,
        (None, Some(guest)) => shared.store.sessions_of(guest, after, paging::ROWS + 1).await?,
        (None, None) => Vec::new(),
    };
    let rows: Vec<Session> = rows.into_iter().map(Session::from).collect();
    Ok(axum::Json(page(rows, paging::ROWS, |last, _| last.id.to_string())))
}

/// One session.
#[utoipa::path(get, path = "/v1/sessions/{id}", tag = "sessions", operation_id = "get_session",
    params(("id" = SessionId, Path, description = "Session id")),
    security(("guest" = []), ("ticket" = []), ("key" = [])),
    responses(
        (status = 200, description = "Where it stands and what it used", body = Session),
        (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn one(Extension(caller): Extension<Caller>) -> Result<axum::Json<Session>, Problem> {
    let row = caller.session.ok_or_else(super::role::unknown_session)?;
    Ok(axum::Json(row.into()))
}

/// Leaves a session: it ends with `player_left`, or with `operator` when only the operator's cookie
/// allows it. Leaving again changes nothing.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sessions", operation_id = "leave_session",
    params(("id" = SessionId, Path, description = "Session id")),
    security(("guest" = []), ("ticket" = []), ("key" = [])),
    responses(
        (status = 200, description = "The ended session", body = Session),
        (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn leave(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Session>, Problem> {
    let row = caller.session.ok_or_else(super::role::unknown_session)?;
    let reason = if caller.owner { EndReason::PlayerLeft } else { EndReason::Operator };
    let row = sessions::end(&shared, row.id, reason).await?.ok_or_else(super::role::unknown_session)?;
    Ok(axum::Json(row.into()))
}

/// Why the session runs where it runs: the nodes that could have taken it with their costs, and what stood in
/// the way of the others. Kept by the server that decided, for its last 4096 sessions.
#[utoipa::path(get, path = "/v1/sessions/{id}/placement", tag = "sessions", operation_id = "explain_placement",
    params(("id" = SessionId, Path, description = "Session id")),
    security(("guest" = []), ("ticket" = []), ("operator" = []), ("key" = [])),
    responses(
        (status = 200, description = "As things stood when it was decided", body = Placement),
        (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn placement(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<SessionId>,
) -> Result<axum::Json<Placement>, Problem> {
    let placement = placements::find(&shared, id).await.ok_or_else(|| {
        let detail = "The reasons of this placement are not kept any more: the server that decided it started \
                      again since, or decided 4096 sessions after it.";
        Problem::new(Code::NotFound, detail)
    })?;
    Ok(axum::Json(placement))
}

/// How far the node is while playing, told by the page now and then: what is learnt serves the next start.
#[utoipa::path(post, path = "/v1/sessions/{id}/path", tag = "sessions", operation_id = "report_path",
    params(("id" = SessionId, Path, description = "Session id")),
    request_body = PathReport,
    security(("guest" = []), ("ticket" = []), ("key" = [])),
    responses(
        (status = 204, description = "Taken"),
        (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn path(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Address(address): Address,
    Json(report): Json<PathReport>,
) -> Result<StatusCode, Problem> {
    let row = caller.session.ok_or_else(super::role::unknown_session)?;
    if caller.owner && row.is_active() {
        let client = shared.placing.client(address);
        let measured = [(row.node, report.rtt_us.min(LONGEST_RTT_US))];
        shared.fleet().learn(&client, &measured, placing::epoch(shared.now_ms()));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A session's receipts, in order.
#[utoipa::path(get, path = "/v1/sessions/{id}/receipts", tag = "sessions", operation_id = "list_receipts",
    params(
        ("id" = SessionId, Path, description = "Session id"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    security(("guest" = []), ("ticket" = []), ("key" = [])),
    responses(
        (status = 200, description = "At most 50 rows", body = Page<StoredReceipt>),
        (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn receipts(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<SessionId>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<StoredReceipt>>, Problem> {
    let offset: u32 = cursor.read()?.unwrap_or(0);
    let rows = shared.store.receipts(id, offset, paging::ROWS + 1).await?;
    Ok(axum::Json(page(rows, paging::ROWS, |_, rows| (offset as usize + rows).to_string())))
}

//! Disputes about sessions, and what a page says that it counted.

use super::Address;
use super::cases::{Which, actor, reason};
use super::paging::{self, Cursor, page};
use super::problem::{Code, Json, Path, Problem, Query};
use super::role::{Caller, unknown_session};
use crate::random;
use crate::state::Shared;
use crate::store::SessionRow;
use crate::store::trust::{CorrectionRow, Decided, DisputeRow, Opened, Settling};
use crate::trust;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::trust::{
    Correction, DecideDispute, Dispute, DisputeDecision, OpenDispute, PageCount,
};
use nearframe_protocol::{DisputeId, Money, SessionId};
use nearframe_trust::dispute::open_until_ms;
use std::sync::Arc;

/// Longest evidence, in bytes.
const MAX_EVIDENCE: usize = 4_000;

fn session(caller: Caller) -> Result<SessionRow, Problem> {
    caller.session.ok_or_else(unknown_session)
}

/// Disputes a session: as its player, as the studio whose title it was or whoever paid, as the host, or as an operator.
/// What it earned is held until an operator decides. Possible until the day on which it ended is settled; once for each
/// of these four: asked again, the first stands.
#[utoipa::path(post, path = "/v1/sessions/{id}/disputes", tag = "trust", operation_id = "open_dispute",
    params(("id" = SessionId, Path, description = "Session id")), request_body = OpenDispute,
    security(("guest" = []), ("ticket" = []), ("member" = []), ("operator" = []), ("key" = [])), responses(
    (status = 201, description = "It stands", body = Dispute),
    (status = 200, description = "It stood before", body = Dispute),
    (status = "default", description = "Any error, such as `dispute_too_late`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn open(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Json(asked): Json<OpenDispute>,
) -> Result<(StatusCode, axum::Json<Dispute>), Problem> {
    let party = caller.party.ok_or_else(unknown_session)?;
    let session = session(caller)?;
    let now_ms = shared.now_ms();
    if asked.evidence.len() > MAX_EVIDENCE {
        return Err(Problem::new(
            Code::BadBody,
            "evidence: at most 4000 characters; link to what is longer.",
        ));
    }
    if now_ms >= open_until_ms(session.ended_at_ms) {
        let detail = "The day on which this session ended is settled: that is 72 hours after its end in UTC.";
        return Err(Problem::new(Code::DisputeTooLate, detail));
    }
    let row = DisputeRow {
        id: random::dispute_id(),
        session: session.id,
        party,
        reason: reason(&asked.reason)?,
        evidence: asked.evidence,
        case: None,
        opened_at_ms: now_ms,
        settled: None,
    };
    let (status, row) = match shared.store.open_dispute(&row).await? {
        Opened::Now(row) => (StatusCode::CREATED, row),
        Opened::Again(row) => (StatusCode::OK, row),
    };
    Ok((status, axum::Json(dispute(&shared, row).await?)))
}

/// The disputes about a session, oldest first, with what was decided and paid back.
#[utoipa::path(get, path = "/v1/sessions/{id}/disputes", tag = "trust", operation_id = "session_disputes",
    params(("id" = SessionId, Path, description = "Session id")),
    security(("guest" = []), ("ticket" = []), ("member" = []), ("operator" = []), ("key" = [])), responses(
    (status = 200, description = "All of them", body = Page<Dispute>),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_session(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Page<Dispute>>, Problem> {
    let mut items = Vec::new();
    for row in shared.store.disputes_of(session(caller)?.id).await? {
        items.push(dispute(&shared, row).await?);
    }
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Disputes, newest first.
#[utoipa::path(get, path = "/v1/disputes", tag = "trust", operation_id = "disputes",
    params(("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
           ("decided" = Option<bool>, Query, description = "Also those that were decided")),
    security(("operator" = [])), responses(
    (status = 200, description = "At most 50 rows", body = Page<Dispute>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(cursor): Query<Cursor>,
    Query(which): Query<Which>,
) -> Result<axum::Json<Page<Dispute>>, Problem> {
    let after: Option<DisputeId> = cursor.read()?;
    let rows = shared.store.disputes(!which.decided, after, paging::ROWS + 1).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(dispute(&shared, row).await?);
    }
    Ok(axum::Json(page(items, paging::ROWS, |last: &Dispute, _| last.id.to_string())))
}

/// Decides a dispute: how much of what was paid for the session is paid back, by new entries; nothing is changed. One
/// dispute has one decision: the same again changes nothing. Only once no receipt can come any more, a day after the end.
#[utoipa::path(post, path = "/v1/disputes/{dispute}/decision", tag = "trust", operation_id = "decide_dispute",
    params(("dispute" = DisputeId, Path, description = "Dispute id")), request_body = DecideDispute,
    security(("operator" = [])), responses(
    (status = 200, description = "As it stands now", body = Dispute),
    (status = "default", description = "Any error, such as `too_early` or `decided_otherwise`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn decide(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<DisputeId>,
    Json(asked): Json<DecideDispute>,
) -> Result<axum::Json<Dispute>, Problem> {
    if asked.refund_permille > 1000 {
        return Err(Problem::new(Code::BadBody, "refund_permille: 0 to 1000 thousandths."));
    }
    let note = reason(&asked.note)?;
    let (refund_permille, at_ms) = (asked.refund_permille, shared.now_ms());
    let settling = Settling { refund_permille, note, actor: actor(&caller), at_ms };
    let row = match shared.store.decide_dispute(id, &settling).await? {
        Decided::Now(row) | Decided::Again(row) => row,
        Decided::Otherwise(_) => {
            let detail = "This dispute was decided otherwise before. A decision stands.";
            return Err(Problem::new(Code::DecidedOtherwise, detail));
        }
        Decided::TooEarly(0) => {
            return Err(Problem::new(Code::TooEarly, "The session runs. Decide a day after its end."));
        }
        Decided::TooEarly(until_ms) => {
            let detail =
                format!("Receipts of the session may come until {until_ms} (Unix ms). Decide after that.");
            return Err(Problem::new(Code::TooEarly, detail));
        }
        Decided::Unknown => {
            return Err(Problem::new(Code::UnknownDispute, "No dispute has this id. See GET /v1/disputes."));
        }
    };
    Ok(axum::Json(dispute(&shared, row).await?))
}

/// What the player's page counted by itself: a witness beside the node's receipts. The newest count of a session stays.
#[utoipa::path(put, path = "/v1/sessions/{id}/count", tag = "trust", operation_id = "count",
    params(("id" = SessionId, Path, description = "Session id")), request_body = PageCount,
    security(("guest" = []), ("ticket" = []), ("operator" = []), ("key" = [])), responses(
    (status = 204, description = "Written down"),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn count(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Address(address): Address,
    Json(count): Json<PageCount>,
) -> Result<StatusCode, Problem> {
    let session = session(caller)?;
    trust::counted(&shared, session.node, session.id, address, count).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn dispute(shared: &Shared, row: DisputeRow) -> Result<Dispute, Problem> {
    let decision = match row.settled {
        None => None,
        Some(settled) => {
            let paid = shared.store.corrections_of(row.session).await?;
            Some(DisputeDecision {
                refund_permille: settled.refund_permille,
                note: settled.note,
                by: settled.actor,
                at_ms: settled.at_ms,
                corrections: paid.iter().filter(|paid| paid.dispute == row.id).map(correction).collect(),
            })
        }
    };
    Ok(Dispute {
        id: row.id,
        session: row.session,
        by: row.party,
        reason: row.reason,
        evidence: row.evidence,
        case: row.case,
        opened_at_ms: row.opened_at_ms,
        decision,
    })
}

/// An entry that paid back, in the words of the API.
pub(super) fn correction(row: &CorrectionRow) -> Correction {
    let entry = &row.transfer;
    Correction {
        dispute: row.dispute,
        lease: entry.lease,
        from: entry.debit.to_string(),
        to: entry.credit.to_string(),
        amount: Money { amount_micros: entry.amount_micros, currency: entry.currency.clone() },
        at_ms: row.at_ms,
    }
}

//! Checks: who may file them, what was filed, and the draw.

use super::problem::{Code, Json, Path, Problem};
use super::role::Caller;
use crate::checks;
use crate::state::Shared;
use crate::store::checks::{CheckRow, CheckerRow, Filed};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::check::draw::{commitment, day_of};
use nearframe_protocol::check::{
    CheckSeeds, Checker, CommittedDay, EnrolChecker, FiledCheck, NextCheck, PublishedDay, SignedCheck,
};
use nearframe_protocol::{NodeId, PublicKey};
use std::sync::Arc;

/// Longest name of a checker, in bytes.
const MAX_NAME: usize = 100;
/// Reports on a node that one answer shows.
const SHOWN_CHECKS: u32 = 100;
/// Days that are told of.
const SHOWN_DAYS: u32 = 60;
/// A report may come this long after its session began, ms: whoever files it has just left.
const FILED_WITHIN_MS: u64 = 24 * 3600 * 1000;

fn shown(row: CheckerRow) -> Checker {
    Checker {
        key: row.key,
        name: row.name,
        enrolled_at_ms: row.enrolled_at_ms,
        revoked_at_ms: row.revoked_at_ms,
    }
}

fn key(text: &str) -> Result<PublicKey, Problem> {
    PublicKey::try_from(text.to_owned()).map_err(|error| Problem::new(Code::BadId, error.to_string()))
}

/// All checkers, also those whose reports count no more.
#[utoipa::path(get, path = "/v1/checkers", tag = "checks", operation_id = "list_checkers",
    security(("operator" = [])),
    responses(
        (status = 200, description = "By name", body = Page<Checker>),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<axum::Json<Page<Checker>>, Problem> {
    let rows = shared.store.checkers().await?;
    Ok(axum::Json(Page { items: rows.into_iter().map(shown).collect(), next_cursor: None }))
}

/// Enrols a checker by the key that `nearframe checker key` printed, or gives it another name.
#[utoipa::path(put, path = "/v1/checkers/{checker}", tag = "checks", operation_id = "enrol_checker",
    params(("checker" = String, Path, description = "Its Ed25519 key, 64 hex digits")),
    request_body = EnrolChecker, security(("operator" = [])),
    responses(
        (status = 204, description = "Its reports count from now on"),
        (status = "default", description = "Any error, such as `not_offered` for a key that was revoked",
         body = api::Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn enrol(
    State(shared): State<Arc<Shared>>,
    Path(checker): Path<String>,
    Json(asked): Json<EnrolChecker>,
) -> Result<StatusCode, Problem> {
    let (key, name) = (key(&checker)?, asked.name.trim());
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Problem::new(Code::BadBody, "name: 1 to 100 characters"));
    }
    if !shared.store.enrol_checker(&key, name, shared.now_ms()).await? {
        let detail = "This key was revoked, and stays so. Make a new one with `nearframe checker key`.";
        return Err(Problem::new(Code::NotOffered, detail));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Takes no more reports from a checker, for ever; those that were filed stay, with the time of this.
#[utoipa::path(delete, path = "/v1/checkers/{checker}", tag = "checks", operation_id = "revoke_checker",
    params(("checker" = String, Path, description = "Its Ed25519 key, 64 hex digits")),
    security(("operator" = [])),
    responses(
        (status = 204, description = "Revoked"),
        (status = "default", description = "Any error, such as `unknown_key`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Path(checker): Path<String>,
) -> Result<StatusCode, Problem> {
    if !shared.store.revoke_checker(&key(&checker)?, shared.now_ms()).await? {
        return Err(Problem::new(Code::UnknownKey, "No checker has this key. See GET /v1/checkers."));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Files a report. Each checker reports a session once; the same report again changes nothing.
#[utoipa::path(post, path = "/v1/checks", tag = "checks", operation_id = "file_check",
    request_body = SignedCheck, security(("checker" = [])),
    responses(
        (status = 204, description = "It counts"),
        (status = "default", description = "Any error, such as `sign_in_needed` for a checker that is not enrolled",
         body = api::Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn file(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Json(check): Json<SignedCheck>,
) -> Result<StatusCode, Problem> {
    let bad = |detail: &str| Problem::new(Code::BadBody, detail);
    let report = &check.report;
    if caller.checker != Some(report.checker) || check.verify().is_err() {
        return Err(bad("report.checker, signature: they are not of the checker that sends this"));
    }
    if !report.is_consistent() {
        return Err(bad(
            "report.verdict: it does not follow from the findings, which stand in order, each once",
        ));
    }
    let session = shared.store.session(report.session).await?.ok_or_else(super::role::unknown_session)?;
    if session.node != report.node {
        return Err(bad("report.node: the session ran elsewhere"));
    }
    let now = shared.now_ms();
    if now.saturating_sub(session.created_at_ms) > FILED_WITHIN_MS {
        return Err(bad("report.session: it began more than a day ago"));
    }
    match shared.store.file_check(&check, now).await? {
        Filed::New => {
            tracing::info!(node = %report.node, verdict = ?report.verdict, findings = ?report.findings, "checked");
            Ok(StatusCode::NO_CONTENT)
        }
        Filed::Again => Ok(StatusCode::NO_CONTENT),
        Filed::Other => Err(bad("report: this checker has reported this session otherwise before")),
        Filed::Refused => Err(super::role::checker_needed()),
    }
}

/// The audit that is due for the longest; it is the caller's for ten minutes.
#[utoipa::path(get, path = "/v1/checks/next", tag = "checks", operation_id = "next_check",
    security(("checker" = [])),
    responses(
        (status = 200, description = "To be carried out now", body = NextCheck),
        (status = 204, description = "Nothing is due"),
        (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn next(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let checker = caller.checker.ok_or_else(super::role::checker_needed)?;
    Ok(match checks::next(&shared, checker).await? {
        Some(next) => axum::Json(next).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// What today's draw is bound to, and the seeds of days that are over, with which anybody draws again.
#[utoipa::path(get, path = "/v1/checks/seeds", tag = "checks", operation_id = "check_seeds",
    responses(
        (status = 200, description = "At most 60 days", body = CheckSeeds),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn seeds(State(shared): State<Arc<Shared>>) -> Result<axum::Json<CheckSeeds>, Problem> {
    let row = checks::day(&shared, day_of(shared.now_ms())).await?;
    let today = CommittedDay {
        day: row.day,
        commitment: commitment(row.day, &row.seed, &row.rules),
        rules: row.rules,
    };
    let past = shared.store.check_days(row.day, SHOWN_DAYS).await?;
    let past = past.into_iter().map(|row| PublishedDay {
        day: row.day,
        commitment: commitment(row.day, &row.seed, &row.rules),
        rules: row.rules,
        seed: row.seed,
    });
    Ok(axum::Json(CheckSeeds { today, past: past.collect() }))
}

/// What checkers reported about a node, newest first: for its owner and for operators.
#[utoipa::path(get, path = "/v1/nodes/{id}/checks", tag = "checks", operation_id = "node_checks",
    params(("id" = NodeId, Path, description = "Node id")),
    security(("member" = []), ("operator" = [])),
    responses(
        (status = 200, description = "At most 100 reports", body = Page<FiledCheck>),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn of_node(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<NodeId>,
) -> Result<axum::Json<Page<FiledCheck>>, Problem> {
    let rows = shared.store.checks_of(id, SHOWN_CHECKS).await?;
    let filed = |row: CheckRow| FiledCheck {
        check: row.check,
        filed_at_ms: row.filed_at_ms,
        checker_name: row.checker_name,
    };
    Ok(axum::Json(Page { items: rows.into_iter().map(filed).collect(), next_cursor: None }))
}

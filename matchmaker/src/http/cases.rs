//! The operator's review queue.

use super::paging::{self, Cursor, page};
use super::problem::{Code, Json, Path, Problem, Query};
use super::role::Caller;
use super::stakes::{slash_of, words};
use super::usage::names;
use crate::random;
use crate::stakes;
use crate::state::Shared;
use crate::store::trust::{CaseRow, CaseVerdict, Decided, DisputeRow};
use axum::Extension;
use axum::extract::State;
use nearframe_protocol::account::Actor;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::stake::Slash;
use nearframe_protocol::trust::{Case, CaseDecision, CaseExhibit, DecideCase, Party, Verdict};
use nearframe_protocol::{CaseId, SessionId};
use nearframe_trust::fraud::Exhibit;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest reason, in bytes.
pub(super) const MAX_REASON: usize = 500;

/// Which rows of a queue.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    /// Also what was decided.
    #[serde(default)]
    pub(super) decided: bool,
}

/// A reason without the blanks around it, if it is one.
pub(super) fn reason(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_REASON {
        return Err(Problem::new(Code::BadBody, "Say why in 1 to 500 characters."));
    }
    Ok(text.to_owned())
}

/// Who decides, as the record names them.
pub(super) fn actor(caller: &Caller) -> Actor {
    caller.who.actor().unwrap_or(Actor::Operator)
}

/// What looks like cheating, newest first, with the evidence for it. While a case is open, its node's earnings are held.
#[utoipa::path(get, path = "/v1/cases", tag = "trust", operation_id = "cases",
    params(("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
           ("decided" = Option<bool>, Query, description = "Also those that were decided")),
    security(("operator" = [])), responses(
    (status = 200, description = "At most 50 rows", body = Page<Case>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(cursor): Query<Cursor>,
    Query(which): Query<Which>,
) -> Result<axum::Json<Page<Case>>, Problem> {
    let after: Option<CaseId> = cursor.read()?;
    let rows = shared.store.cases(!which.decided, after, paging::ROWS + 1).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        items.push(shown(&shared, row).await?);
    }
    Ok(axum::Json(page(items, paging::ROWS, |last: &Case, _| last.id.to_string())))
}

/// Decides a case. Upheld, a dispute is opened about each session that shows it, which holds what they earned until those
/// are decided, and where independent witnesses prove the case, a part of the machine's stake is set aside; dismissed, what was
/// held is free. One case has one decision: the same again changes nothing.
#[utoipa::path(post, path = "/v1/cases/{case}/decision", tag = "trust", operation_id = "decide_case",
    params(("case" = CaseId, Path, description = "Case id")), request_body = DecideCase,
    security(("operator" = [])), responses(
    (status = 200, description = "As it stands now", body = Case),
    (status = "default", description = "Any error, such as `decided_otherwise`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn decide(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<CaseId>,
    Json(asked): Json<DecideCase>,
) -> Result<axum::Json<Case>, Problem> {
    let now_ms = shared.now_ms();
    let reason = reason(&asked.reason)?;
    let verdict = CaseVerdict { verdict: asked.verdict, reason, actor: actor(&caller), at_ms: now_ms };
    let opening =
        if asked.verdict == Verdict::Upheld { disputes(&shared, id, now_ms).await? } else { vec![] };
    let row = match shared.store.decide_case(id, &verdict, &opening).await? {
        Decided::Now(row) | Decided::Again(row) => row,
        Decided::Otherwise(_) => {
            let detail = "This case was decided the other way before. A decision stands.";
            return Err(Problem::new(Code::DecidedOtherwise, detail));
        }
        Decided::Unknown | Decided::TooEarly(_) => {
            return Err(Problem::new(Code::UnknownCase, "No case has this id. See GET /v1/cases."));
        }
    };
    // What it costs the machine's stake is set aside at once; should that fail, soon.
    if let Err(error) = stakes::set_aside(&shared).await {
        tracing::warn!(%error, case = %row.id, "its part of the stake is set aside later");
    }
    Ok(axum::Json(shown(&shared, row).await?))
}

/// A case in the words of the API.
pub(super) async fn shown(shared: &Shared, row: CaseRow) -> Result<Case, Problem> {
    let slash = slash_of(shared, &row).await?;
    let known = names(shared, [row.node].into_iter()).await?;
    let name = known.get(&row.node).map(|(name, _)| name.clone()).unwrap_or_default();
    Ok(case(row, name, slash))
}

/// One for each session that shows it.
async fn disputes(shared: &Shared, id: CaseId, now_ms: u64) -> Result<Vec<DisputeRow>, Problem> {
    let open = shared.store.cases(true, None, u32::MAX).await?;
    let Some(row) = open.into_iter().find(|row| row.id == id) else { return Ok(vec![]) };
    let sessions: BTreeSet<SessionId> =
        row.body.exhibits.iter().filter_map(|exhibit| exhibit.session).collect();
    let dispute = |session| DisputeRow {
        id: random::dispute_id(),
        session,
        party: Party::Operator,
        reason: format!("follows from a case of {}", row.kind),
        evidence: String::new(),
        case: Some(id),
        opened_at_ms: now_ms,
        settled: None,
    };
    Ok(sessions.into_iter().map(dispute).collect())
}

fn case(row: CaseRow, node_name: String, slash: Option<Box<Slash>>) -> Case {
    let exhibit = |exhibit: Exhibit| CaseExhibit { session: exhibit.session, what: exhibit.what };
    Case {
        id: row.id,
        node: row.node,
        node_name,
        kind: row.kind.as_str().to_owned(),
        grade: row.grade.as_str().to_owned(),
        witnesses: words(&row.body.witnesses),
        exhibits: row.body.exhibits.into_iter().map(exhibit).collect(),
        opened_at_ms: row.opened_at_ms,
        changed_at_ms: row.changed_at_ms,
        decision: row.verdict.map(|verdict| CaseDecision {
            verdict: verdict.verdict,
            reason: verdict.reason,
            by: verdict.actor,
            at_ms: verdict.at_ms,
        }),
        slash,
    }
}

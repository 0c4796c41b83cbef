//! The audit trail: what operators, members and keys do at the doors, also where they are refused.

use super::paging::{self, Cursor, page};
use super::problem::{Problem, Query};
use super::role::{Caller, Guard, Role};
use super::who::Books;
use crate::state::Shared;
use crate::store::accounts::MemberRow;
use crate::store::deeds::{Deed, TrailRow};
use axum::Extension;
use axum::extract::{RawPathParams, State};
use axum::http::StatusCode;
use axum::response::Response;
use nearframe_protocol::account::{Actor, AuditLine};
use nearframe_protocol::api::{self, Page};
use std::sync::Arc;

/// Doors that change nothing worth a line, though they are no reading; an agent's tools come through doors that do.
const QUIET: [&str; 5] =
    ["/mcp", "/v1/quotes", "/v1/sessions/{id}/path", "/v1/sessions/{id}/count", "/v1/me/passkeys/challenge"];
/// Parameters of paths that are secrets.
const SECRET: [&str; 1] = ["booking"];

/// Marks an answer with the id of what was made.
#[derive(Clone, Debug)]
pub(crate) struct Made(pub(crate) String);

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    status: u16,
    made: Option<Made>,
}

impl Ending {
    pub(crate) fn of(response: &Response) -> Self {
        Self { status: response.status().as_u16(), made: response.extensions().get().cloned() }
    }
}

/// Writes down what was done, with how it ended. Readings and guests are not written down.
pub(crate) async fn note(
    shared: &Shared,
    guard: Guard,
    params: &RawPathParams,
    caller: &Caller,
    ending: Ending,
) {
    let Some(actor) = caller.who.actor() else { return };
    // A place in the queue is asked for every few seconds, and is no session yet.
    let waits = ending.status == StatusCode::ACCEPTED.as_u16();
    // Doors that sign somebody in write their own lines, of who came in.
    let is_open = matches!(guard.role, Role::Anyone | Role::OwnPages);
    if guard.method == "GET" || QUIET.contains(&guard.path) || is_open || waits {
        return;
    }
    let named = params.iter().find(|(name, _)| *name == "account").and_then(|(_, id)| id.parse().ok());
    let shown = params.iter().filter(|(name, _)| *name != "account" && !SECRET.contains(name));
    let made = ending.made.as_ref().map(|made| made.0.as_str());
    let subject: Vec<&str> = shown.map(|(_, value)| value).chain(made).collect();
    let deed = Deed {
        at_ms: shared.now_ms(),
        actor,
        account: named.or(caller.who.account()),
        door: format!("{} {}", guard.method, guard.path),
        subject: subject.join(" "),
        status: ending.status,
    };
    write(shared, &deed).await;
}

/// Writes down what a member did at a door that writes no line by itself.
pub(crate) async fn of_member(
    shared: &Shared,
    member: &MemberRow,
    door: &str,
    subject: String,
    status: StatusCode,
) {
    let deed = Deed {
        at_ms: shared.now_ms(),
        actor: Actor::Member { id: member.id },
        account: Some(member.account),
        door: door.to_owned(),
        subject,
        status: status.as_u16(),
    };
    write(shared, &deed).await;
}

/// Appends a line. What is done is done: where the line cannot be written, the log of this process has it.
pub(crate) async fn write(shared: &Shared, deed: &Deed) {
    if let Err(error) = shared.store.add_deed(deed).await {
        tracing::error!(%error, ?deed, "not in the audit trail");
    }
}

fn line(row: TrailRow) -> AuditLine {
    AuditLine {
        number: row.number,
        at_ms: row.deed.at_ms,
        actor: row.deed.actor,
        account: row.deed.account,
        door: row.deed.door,
        subject: row.deed.subject,
        status: row.deed.status,
        previous: hex::encode(row.previous),
        hash: hex::encode(row.hash),
    }
}

/// Who did what, newest first: all of it for operators, what concerns their account for its owners. Each line holds the
/// hash of the line before it; a line of another account is missing in the listing of an account, its hash is not.
#[utoipa::path(get, path = "/v1/audit", tag = "accounts", operation_id = "audit_trail",
    params(("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "At most 50 rows", body = Page<AuditLine>),
    (status = "default", description = "Any error, such as `role_missing`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<AuditLine>>, Problem> {
    let before: Option<u64> = cursor.read()?;
    let account = match caller.who.books()? {
        Books::All => None,
        Books::Of(account) => Some(account),
    };
    let rows = shared.store.trail(account, before, paging::ROWS + 1).await?;
    let rows: Vec<AuditLine> = rows.into_iter().map(line).collect();
    Ok(axum::Json(page(rows, paging::ROWS, |last, _| last.number.to_string())))
}

//! Accounts: made by operators, looked at by their members; what they may spend and what they own.

use super::problem::{Code, Json, Path, Problem};
use super::role::Caller;
use super::trail::Made;
use crate::random;
use crate::state::Shared;
use crate::store::accounts::{AccountRow, Holding, MemberRow, Purse};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_protocol::account::{
    Account, Allowance, CreateAccount, Holdings, Me, Member, SetAllowance, SetOwner,
};
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::{AccountId, Currency, Money, NodeId, TitleId};
use std::sync::Arc;

/// Longest name, in characters.
const MAX_NAME: usize = 100;

pub(super) fn allowance(purse: &Purse) -> Allowance {
    Allowance {
        limit: purse.limit_micros.map(|limit| purse.money(limit)),
        committed: purse.money(purse.committed_micros),
    }
}

pub(super) fn shown(row: &AccountRow) -> Account {
    Account {
        id: row.id,
        kind: row.kind,
        name: row.name.clone(),
        created_at_ms: row.created_at_ms,
        allowance: allowance(&row.purse),
    }
}

pub(super) fn shown_member(row: &MemberRow) -> Member {
    Member { id: row.id, name: row.name.clone(), role: row.role, joined_at_ms: row.joined_at_ms }
}

/// A name that people read: something, not much, and on one line.
pub(super) fn name(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let length = text.chars().count();
    if (1..=MAX_NAME).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(Code::BadBody, "name: 1 to 100 characters on one line"))
}

/// A limit in the account's currency, or none.
pub(super) fn limit(currency: &Currency, limit: Option<&Money>) -> Result<Option<i128>, Problem> {
    let fits = |limit: &Money| {
        limit.currency == *currency && i64::try_from(limit.amount_micros).is_ok_and(|micros| micros >= 0)
    };
    if limit.is_none_or(fits) {
        return Ok(limit.map(|limit| limit.amount_micros));
    }
    let detail = format!("A limit is an amount of zero or more in {currency}, or absent for none.");
    Err(Problem::new(Code::BadBody, detail))
}

pub(super) async fn known(shared: &Shared, id: AccountId) -> Result<AccountRow, Problem> {
    let row = shared.store.account(id).await?;
    row.ok_or_else(|| Problem::new(Code::UnknownAccount, "No account has this id. See GET /v1/accounts."))
}

/// Makes an account. It may spend nothing until it is let, and has no members until one is invited.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts", operation_id = "create_account",
    params(("Idempotency-Key" = Option<String>, Header, description = "Chosen by the caller, at most 128 bytes")),
    request_body = CreateAccount, security(("operator" = [])), responses(
    (status = 201, description = "It is there", body = Account),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<CreateAccount>,
) -> Result<(StatusCode, Extension<Made>, axum::Json<Account>), Problem> {
    let row = AccountRow {
        id: random::account_id(),
        kind: asked.kind,
        name: name(&asked.name)?,
        created_at_ms: shared.now_ms(),
        purse: Purse::new(shared.config.currency.clone(), Some(0)),
    };
    shared.store.add_account(&row).await?;
    Ok((StatusCode::CREATED, Extension(Made(row.id.to_string())), axum::Json(shown(&row))))
}

/// All accounts, by name.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", operation_id = "list_accounts",
    security(("operator" = [])), responses(
    (status = 200, description = "At most 1000 rows", body = Page<Account>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<axum::Json<Page<Account>>, Problem> {
    let items = shared.store.accounts().await?.iter().map(shown).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// An account, and what it may spend.
#[utoipa::path(get, path = "/v1/accounts/{account}", tag = "accounts", operation_id = "account",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As it is now", body = Account),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<AccountId>,
) -> Result<axum::Json<Account>, Problem> {
    Ok(axum::Json(shown(&known(&shared, id).await?)))
}

/// Sets the most that all keys of an account together set aside and spend from now on, all that was before included. A
/// session that it does not hold is refused with `budget_used_up`; one that runs ends when its hour cannot be renewed.
#[utoipa::path(put, path = "/v1/accounts/{account}/allowance", tag = "accounts", operation_id = "set_allowance",
    params(("account" = AccountId, Path, description = "Account id")),
    request_body = SetAllowance, security(("operator" = [])), responses(
    (status = 200, description = "The account as it is now", body = Account),
    (status = "default", description = "Any error, such as `unknown_account`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_allowance(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<AccountId>,
    Json(asked): Json<SetAllowance>,
) -> Result<axum::Json<Account>, Problem> {
    let row = known(&shared, id).await?;
    let limit_micros = limit(&row.purse.currency, asked.limit.as_ref())?;
    shared.store.set_account_limit(id, limit_micros).await?;
    Ok(axum::Json(shown(&known(&shared, id).await?)))
}

/// Titles and machines of an account.
#[utoipa::path(get, path = "/v1/accounts/{account}/holdings", tag = "accounts", operation_id = "holdings",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "At most 1000 of both", body = Holdings),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn holdings(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<AccountId>,
) -> Result<axum::Json<Holdings>, Problem> {
    let mut holdings = Holdings::default();
    for holding in shared.store.holdings(id).await? {
        match holding {
            Holding::Title(title) => holdings.titles.push(title),
            Holding::Node(node) => holdings.nodes.push(node),
        }
    }
    Ok(axum::Json(holdings))
}

/// Says whose a title is: its account pays for those who play it as guests, and reads what that cost.
#[utoipa::path(put, path = "/v1/titles/{id}/owner", tag = "accounts", operation_id = "set_title_owner",
    params(("id" = String, Path, description = "Title id, such as `meteor`")),
    request_body = SetOwner, security(("operator" = [])), responses(
    (status = 204, description = "It is so now"),
    (status = "default", description = "Any error, such as `unknown_account`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_title_owner(
    State(shared): State<Arc<Shared>>,
    Path(title): Path<TitleId>,
    Json(asked): Json<SetOwner>,
) -> Result<StatusCode, Problem> {
    set_owner(&shared, &Holding::Title(title), asked).await
}

/// Says whose a machine is: its account reads what it earned.
#[utoipa::path(put, path = "/v1/nodes/{id}/owner", tag = "accounts", operation_id = "set_node_owner",
    params(("id" = NodeId, Path, description = "Node id")),
    request_body = SetOwner, security(("operator" = [])), responses(
    (status = 204, description = "It is so now"),
    (status = "default", description = "Any error, such as `unknown_node`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_node_owner(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<NodeId>,
    Json(asked): Json<SetOwner>,
) -> Result<StatusCode, Problem> {
    if shared.store.node_key(node).await?.is_none() {
        let detail = "No enrolled machine has this id. See GET /v1/nodes.";
        return Err(Problem::new(Code::UnknownNode, detail));
    }
    set_owner(&shared, &Holding::Node(node), asked).await
}

async fn set_owner(shared: &Shared, holding: &Holding, asked: SetOwner) -> Result<StatusCode, Problem> {
    if let Some(account) = asked.account {
        known(shared, account).await?;
    }
    shared.store.set_owner(holding, asked.account).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who the server takes the caller for, by cookie or by key.
#[utoipa::path(get, path = "/v1/me", tag = "accounts", operation_id = "me",
    security((), ("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "Nothing of it for a guest", body = Me),
    (status = "default", description = "Any error, such as `bad_key`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn me(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Me>, Problem> {
    let who = &caller.who;
    let mut me = Me { operator: who.operator(), ..Me::default() };
    if let Some(key) = &who.key {
        me.key = Some(super::api_keys::shown(key));
        me.account = Some(shown(&known(&shared, key.account).await?));
    } else if let Some(member) = &who.member {
        me.member = Some(shown_member(&member.0));
        me.account = Some(shown(&member.1));
    }
    Ok(axum::Json(me))
}

//! Keys of an account: made by members, shown once, limited, revoked.

use super::accounts::{allowance, known, limit, name};
use super::problem::{Code, Json, Path, Problem, Query};
use super::repeat::ShownOnce;
use super::role::Caller;
use super::trail::Made;
use crate::keys;
use crate::random;
use crate::sessions;
use crate::state::{Shared, hash};
use crate::store::accounts::{KeyRow, Purse};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_protocol::account::{ApiKey, CreateKey, CreatedKey, SetAllowance};
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::{AccountId, ApiKeyId, EndReason};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn shown(row: &KeyRow) -> ApiKey {
    ApiKey {
        id: row.id,
        name: row.name.clone(),
        prefix: row.prefix.clone(),
        scopes: row.scopes.clone(),
        allowance: allowance(&row.purse),
        created_at_ms: row.created_at_ms,
        created_by: row.created_by,
        expires_at_ms: row.expires_at_ms,
        revoked_at_ms: row.revoked_at_ms,
        last_used_ms: row.last_used_ms,
    }
}

fn unknown() -> Problem {
    Problem::new(Code::UnknownKey, "The account has no such key.")
}

/// The account's keys, newest first, revoked ones included; without their secrets.
#[utoipa::path(get, path = "/v1/accounts/{account}/keys", tag = "accounts", operation_id = "list_keys",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "At most 1000 rows", body = Page<ApiKey>),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Page<ApiKey>>, Problem> {
    let items = shared.store.keys(account).await?.iter().map(shown).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Makes a key. Its secret stands in this answer and nowhere else: what is kept is its hash.
#[utoipa::path(post, path = "/v1/accounts/{account}/keys", tag = "accounts", operation_id = "create_key",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Chosen by the caller, at most 128 bytes"),
    ),
    request_body = CreateKey, security(("operator" = []), ("member" = [])), responses(
    (status = 201, description = "Shown once", body = CreatedKey),
    (status = "default", description = "Any error, such as `role_missing`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(account): Path<AccountId>,
    Json(asked): Json<CreateKey>,
) -> Result<(StatusCode, Extension<ShownOnce>, Extension<Made>, axum::Json<CreatedKey>), Problem> {
    let now_ms = shared.now_ms();
    let mut scopes = asked.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Problem::new(Code::BadBody, "scopes: at least one of quotes, sessions, usage"));
    }
    if asked.expires_at_ms.is_some_and(|expires| expires <= now_ms) {
        return Err(Problem::new(Code::BadBody, "expires_at_ms: a time that lies ahead, Unix ms"));
    }
    let owner = known(&shared, account).await?;
    let limit_micros = limit(&owner.purse.currency, asked.limit.as_ref())?;
    let secret = keys::fresh();
    let maker = caller.who.member.filter(|member| member.0.account == account);
    let row = KeyRow {
        id: random::key_id(),
        account,
        name: name(&asked.name)?,
        prefix: keys::shown(&secret),
        scopes,
        created_at_ms: now_ms,
        created_by: maker.map(|member| member.0.id),
        expires_at_ms: asked.expires_at_ms,
        revoked_at_ms: None,
        last_used_ms: None,
        purse: Purse::new(owner.purse.currency, limit_micros),
    };
    if !shared.store.add_key(&row, hash(&secret)).await? {
        let detail = "An account has at most 100 keys that are not revoked. Revoke one that nobody uses.";
        return Err(Problem::new(Code::TooManyKeys, detail));
    }
    let made = Extension(Made(row.id.to_string()));
    let created = CreatedKey { key: shown(&row), secret };
    Ok((StatusCode::CREATED, Extension(ShownOnce), made, axum::Json(created)))
}

/// Sets the most that a key sets aside and spends from now on, all that was before included.
#[utoipa::path(put, path = "/v1/accounts/{account}/keys/{key}/allowance", tag = "accounts",
    operation_id = "set_key_allowance",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("key" = ApiKeyId, Path, description = "Key id"),
    ),
    request_body = SetAllowance, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "The key as it is now", body = ApiKey),
    (status = "default", description = "Any error, such as `unknown_key`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_allowance(
    State(shared): State<Arc<Shared>>,
    Path((account, key)): Path<(AccountId, ApiKeyId)>,
    Json(asked): Json<SetAllowance>,
) -> Result<axum::Json<ApiKey>, Problem> {
    let owner = known(&shared, account).await?;
    let limit_micros = limit(&owner.purse.currency, asked.limit.as_ref())?;
    if !shared.store.set_key_limit(account, key, limit_micros).await? {
        return Err(unknown());
    }
    let rows = shared.store.keys(account).await?;
    let row = rows.iter().find(|row| row.id == key).ok_or_else(unknown)?;
    Ok(axum::Json(shown(row)))
}

#[derive(Deserialize)]
pub(crate) struct Revocation {
    #[serde(default)]
    end_sessions: bool,
}

/// Revokes a key: from now on it opens nothing and sets nothing aside, on every server. Sessions that it started play on
/// with what was set aside for them, unless they are to be ended. Revoking it again changes nothing.
#[utoipa::path(delete, path = "/v1/accounts/{account}/keys/{key}", tag = "accounts", operation_id = "revoke_key",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("key" = ApiKeyId, Path, description = "Key id"),
        ("end_sessions" = Option<bool>, Query, description = "Ends the sessions that it started"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 204, description = "It is revoked"),
    (status = "default", description = "Any error, such as `unknown_key`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Path((account, key)): Path<(AccountId, ApiKeyId)>,
    Query(asked): Query<Revocation>,
) -> Result<StatusCode, Problem> {
    if !shared.store.revoke_key(account, key, shared.now_ms()).await? {
        return Err(unknown());
    }
    if asked.end_sessions {
        let active = shared.store.active_sessions().await?;
        for row in active.into_iter().filter(|row| row.payer.is_some_and(|payer| payer.key == Some(key))) {
            sessions::end(&shared, row.id, EndReason::Operator).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

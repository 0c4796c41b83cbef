//! What players may spend in a month: each player of a title, by its studio's word; an account, by its own.

use super::accounts::known;
use super::problem::{Code, Json, Path, Problem};
use super::role::Caller;
use super::who::Books;
use crate::state::Shared;
use crate::store::accounts::Holding;
use crate::store::market::{CapOf, CapRow};
use axum::Extension;
use axum::extract::State;
use nearframe_protocol::api;
use nearframe_protocol::market::SpendCap;
use nearframe_protocol::{AccountId, Money, TitleId};
use std::sync::Arc;

async fn shown(shared: &Shared, of: &CapOf) -> Result<axum::Json<SpendCap>, Problem> {
    let cap = shared.store.cap(of).await?;
    let per_month = cap.map(|cap| Money { amount_micros: cap.limit_micros, currency: cap.currency });
    Ok(axum::Json(SpendCap { per_month }))
}

async fn set(shared: &Shared, of: &CapOf, asked: SpendCap) -> Result<axum::Json<SpendCap>, Problem> {
    let currency = &shared.config.currency;
    let cap = match asked.per_month {
        None => None,
        Some(limit)
            if limit.currency == *currency && (0..=i128::from(i64::MAX)).contains(&limit.amount_micros) =>
        {
            Some(CapRow { currency: limit.currency, limit_micros: limit.amount_micros })
        }
        Some(_) => {
            let detail = format!("per_month is an amount of zero or more in {currency}, or absent for none.");
            return Err(Problem::new(Code::BadBody, detail));
        }
    };
    shared.store.set_cap(of, cap.as_ref()).await?;
    shown(shared, of).await
}

/// The title, if it is the caller's.
async fn own(shared: &Shared, caller: &Caller, title: TitleId) -> Result<CapOf, Problem> {
    let unknown = || Problem::new(Code::UnknownTitle, "No title of yours has this id.");
    if let Books::Of(account) = caller.who.books()? {
        let owner = shared.store.owner(&Holding::Title(title.clone())).await?;
        if owner != Some(account) {
            return Err(unknown());
        }
    }
    Ok(CapOf::Title(title))
}

/// What each player of a title may spend in a month.
#[utoipa::path(get, path = "/v1/titles/{id}/player-cap", tag = "money", operation_id = "player_cap",
    params(("id" = TitleId, Path, description = "Title id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "The cap; empty where there is none", body = SpendCap),
    (status = "default", description = "Any error, such as `unknown_title`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_title(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(title): Path<TitleId>,
) -> Result<axum::Json<SpendCap>, Problem> {
    shown(&shared, &own(&shared, &caller, title).await?).await
}

/// Sets the most that any player of a title may spend in a month, in UTC, all of that month included: by what the studio
/// calls its player with its key, else by the guest. A session that it does not hold is refused with
/// `player_cap_reached`, one that runs ends when its hour cannot be renewed. Repeating it changes nothing.
#[utoipa::path(put, path = "/v1/titles/{id}/player-cap", tag = "money", operation_id = "set_player_cap",
    params(("id" = TitleId, Path, description = "Title id")),
    request_body = SpendCap, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "The cap as it is now", body = SpendCap),
    (status = "default", description = "Any error, such as `unknown_title`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_of_title(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(title): Path<TitleId>,
    Json(asked): Json<SpendCap>,
) -> Result<axum::Json<SpendCap>, Problem> {
    set(&shared, &own(&shared, &caller, title).await?, asked).await
}

/// What an account may spend on sessions in a month.
#[utoipa::path(get, path = "/v1/accounts/{account}/cap", tag = "money", operation_id = "account_cap",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "The cap; empty where there is none", body = SpendCap),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_account(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<SpendCap>, Problem> {
    shown(&shared, &CapOf::Account(known(&shared, account).await?.id)).await
}

/// Sets the most that an account, such as a player's, spends on sessions in a month, in UTC, within its allowance. What a
/// subscription covers counts too. Repeating it changes nothing.
#[utoipa::path(put, path = "/v1/accounts/{account}/cap", tag = "money", operation_id = "set_account_cap",
    params(("account" = AccountId, Path, description = "Account id")),
    request_body = SpendCap, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "The cap as it is now", body = SpendCap),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_of_account(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
    Json(asked): Json<SpendCap>,
) -> Result<axum::Json<SpendCap>, Problem> {
    set(&shared, &CapOf::Account(known(&shared, account).await?.id), asked).await
}

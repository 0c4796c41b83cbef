//! Budgets: what may be spent on a title.

use super::problem::{Code, Json, Path, Problem};
use crate::state::Shared;
use crate::store::BudgetRow;
use axum::extract::State;
use nearframe_protocol::TitleId;
use nearframe_protocol::api::{self, Budget, Page, SetBudget};
use std::sync::Arc;

fn shown(row: BudgetRow) -> Budget {
    Budget { title: row.title, limit: row.limit, committed: row.committed }
}

/// Every title's budget, and what is set aside or spent.
#[utoipa::path(get, path = "/v1/budgets", tag = "money", operation_id = "list_budgets",
    security(("operator" = [])), responses(
    (status = 200, description = "By title and currency", body = Page<Budget>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<axum::Json<Page<Budget>>, Problem> {
    let items = shared.store.budgets().await?.into_iter().map(shown).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Sets the most that may be set aside and spent on a title from now on, all that was before included. A session that
/// the budget does not hold is refused with `budget_used_up`; one that runs ends when its hour cannot be renewed.
/// Repeating it changes nothing.
#[utoipa::path(put, path = "/v1/budgets/{title}", tag = "money", operation_id = "set_budget",
    params(("title" = TitleId, Path, description = "Title id")),
    request_body = SetBudget, security(("operator" = [])), responses(
    (status = 200, description = "The budget as it is now", body = Budget),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set(
    State(shared): State<Arc<Shared>>,
    Path(title): Path<TitleId>,
    Json(request): Json<SetBudget>,
) -> Result<axum::Json<Budget>, Problem> {
    let currency = shared.config.currency.clone();
    let limit_micros = request.limit.as_ref().map(|limit| limit.amount_micros);
    if request.limit.is_some_and(|limit| limit.amount_micros < 0 || limit.currency != currency) {
        let detail = format!("A limit is an amount of zero or more in {currency}, or absent for none.");
        return Err(Problem::new(Code::BadBody, detail));
    }
    shared.store.set_budget(&title, &currency, limit_micros).await?;
    let rows = shared.store.budgets().await?;
    let row = rows.into_iter().find(|row| row.title == title && row.committed.currency == currency);
    let row = row.ok_or_else(|| Problem::new(Code::Internal, "The budget was written and is not there."))?;
    Ok(axum::Json(shown(row)))
}

//! Usage: a month in sums.

use super::problem::{Code, Path, Problem};
use super::role::Caller;
use super::statements::month_of;
use super::who::Books;
use crate::state::Shared;
use crate::store::UsageRow;
use axum::Extension;
use axum::extract::State;
use nearframe_protocol::Money;
use nearframe_protocol::api::{self, Page, Usage};
use std::sync::Arc;

/// What was used in a month in UTC, such as `2026-11`, and what it cost, by title. The lines behind a sum are in
/// `GET /v1/statements/{title}/{month}`. Of what an account pays for, where a member or a key of it asks: sessions of its
/// keys, and guests on its titles.
#[utoipa::path(get, path = "/v1/usage/{month}", tag = "money", operation_id = "usage",
    params(("month" = String, Path, description = "Year and month, such as 2026-11")),
    security(("operator" = []), ("member" = []), ("key" = [])), responses(
    (status = 200, description = "By title and currency", body = Page<Usage>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(month): Path<String>,
) -> Result<axum::Json<Page<Usage>>, Problem> {
    let range = month_of(&month)
        .ok_or_else(|| Problem::new(Code::BadRequest, "A month is a year and a month, such as 2026-11."))?;
    let rows = match caller.who.books()? {
        Books::All => shared.store.usage(range).await?,
        Books::Of(account) => shared.store.usage_of(account, range).await?,
    };
    let items = rows.into_iter().map(shown).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

fn shown(row: UsageRow) -> Usage {
    let money = |amount_micros| Money { amount_micros, currency: row.currency.clone() };
    Usage {
        leases: row.leases,
        receipts: row.receipts,
        used_s: row.billed_us as f64 / 1e6,
        hosts: money(row.host_micros),
        platform: money(row.platform_micros),
        total: money(row.host_micros + row.platform_micros),
        title: row.title,
    }
}

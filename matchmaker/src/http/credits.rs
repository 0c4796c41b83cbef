//! What an account was credited.

use super::accounts::known;
use super::problem::{Path, Problem};
use crate::state::Shared;
use crate::store::StoreError;
use crate::store::accounts::Holding;
use crate::store::stake::{CreditKind, CreditRow};
use axum::extract::State;
use nearframe_ledger::Account;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::trust::{AccountCredit, CreditWhy};
use nearframe_protocol::{AccountId, Money};
use std::ops::Range;
use std::sync::Arc;

/// What an account was credited in a time: as who paid with its keys, and as the studio of its titles.
pub(super) async fn of(
    shared: &Shared,
    account: AccountId,
    range: Range<u64>,
) -> Result<Vec<CreditRow>, StoreError> {
    let titles = shared.store.holdings(account).await?.into_iter().filter_map(|holding| match holding {
        Holding::Title(title) => Some(Account::Studio(title)),
        Holding::Node(_) => None,
    });
    let payers: Vec<Account> = [Account::Customer(account)].into_iter().chain(titles).collect();
    shared.store.credits_to(&payers, range).await
}

pub(super) fn why(kind: CreditKind) -> CreditWhy {
    match kind {
        CreditKind::Service => CreditWhy::Service,
        CreditKind::Slash => CreditWhy::Slash,
    }
}

/// What an account was credited, the oldest first: for months below what was promised, and out of stakes of machines that
/// deceived it. Invoices have it in the month in which it was posted.
#[utoipa::path(get, path = "/v1/accounts/{account}/credits", tag = "money", operation_id = "credits",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "All of them", body = Page<AccountCredit>),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Page<AccountCredit>>, Problem> {
    known(&shared, account).await?;
    let shown = |row: CreditRow| AccountCredit {
        at_ms: row.at_ms,
        why: why(row.kind),
        about: row.about,
        to: row.credit.to_string(),
        amount: Money { amount_micros: row.amount_micros, currency: row.currency },
    };
    let items = of(&shared, account, 0..u64::MAX).await?.into_iter().map(shown).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

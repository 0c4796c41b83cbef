//! Where hosts want their money, and payouts.

use super::accounts::known;
use super::paging::{self, Cursor, page};
use super::problem::{Code, Json, Path, Problem, Query};
use super::role::Caller;
use super::who::Books;
use crate::payouts::{self, PayError, shown};
use crate::state::Shared;
use crate::store::payouts::{DestinationRow, PayoutRow};
use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use nearframe_protocol::AccountId;
use nearframe_protocol::account::AccountKind;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::payout::{
    Claim, Claims, Destination, Payout, PayoutId, PayoutOutcome, PayoutRun, SetDestination,
};
use std::sync::Arc;

impl From<PayError> for Problem {
    fn from(error: PayError) -> Self {
        let code = match &error {
            PayError::Unknown | PayError::NoLedger => Code::NotFound,
            PayError::State(_) => Code::PayoutDecided,
            PayError::Busy => Code::Unavailable,
            PayError::Bank(_) | PayError::NoPayer => Code::NotPayable,
            PayError::Store(_)
            | PayError::Journal(_)
            | PayError::Manifest(_)
            | PayError::Amount(_)
            | PayError::Refused(_) => Code::Internal,
        };
        match error {
            PayError::Store(error) => return error.into(),
            PayError::Journal(error) => return error.into(),
            _ => {}
        }
        if code == Code::Internal {
            tracing::error!(%error, "payouts");
        }
        let mut detail = error.to_string();
        if let Some(first) = detail.get(..1).map(str::to_uppercase) {
            detail.replace_range(..1, &first);
        }
        Self::new(code, format!("{detail}."))
    }
}

fn shown_destination(row: &DestinationRow) -> Destination {
    let (currency, since_ms) = (row.currency.clone(), row.since_ms);
    Destination { currency, pay_to: payouts::pay_to(&row.destination), since_ms }
}

/// Where an account wants its earnings, by currency.
#[utoipa::path(get, path = "/v1/accounts/{account}/destination", tag = "money", operation_id = "destinations",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "None where it never said", body = Page<Destination>),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn destinations(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Page<Destination>>, Problem> {
    let items = shared.store.destinations(Some(account)).await?.iter().map(shown_destination).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// Says where a host's account wants its earnings from the next run on: a bank account or an address, each with a checksum
/// that is checked. Payouts that were made already go where they said.
#[utoipa::path(put, path = "/v1/accounts/{account}/destination", tag = "money", operation_id = "set_destination",
    params(("account" = AccountId, Path, description = "Account id")),
    request_body = SetDestination, security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "As it is now", body = Destination),
    (status = "default", description = "Any error, such as `bad_body` where a checksum is wrong", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_destination(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
    Json(asked): Json<SetDestination>,
) -> Result<axum::Json<Destination>, Problem> {
    if known(&shared, account).await?.kind != AccountKind::Host {
        return Err(Problem::new(Code::BadBody, "Accounts of hosts are paid; this is another kind."));
    }
    let destination = payouts::destination(&asked.pay_to)
        .map_err(|error| Problem::new(Code::BadBody, format!("pay_to: {error}.")))?;
    let currency = asked.currency.unwrap_or_else(|| shared.config.currency.clone());
    let row = DestinationRow { account, currency, destination, since_ms: shared.now_ms() };
    shared.store.set_destination(&row).await?;
    Ok(axum::Json(shown_destination(&row)))
}

/// Payouts, the newest run first; of an account, where a member asks.
#[utoipa::path(get, path = "/v1/payouts", tag = "money", operation_id = "list_payouts",
    params(("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "At most 50 rows", body = Page<Payout>),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<Payout>>, Problem> {
    let account = match caller.who.books()? {
        Books::All => None,
        Books::Of(account) => Some(account),
    };
    let after = match cursor.read::<String>()? {
        Some(text) => {
            let id = PayoutId::try_from(text);
            Some(id.map_err(|_| {
                Problem::new(Code::BadCursor, "Pass `next_cursor` of the page before, unchanged.")
            })?)
        }
        None => None,
    };
    let rows = shared.store.payouts(account, after, paging::ROWS + 1).await?;
    let rows = rows.iter().map(shown).collect();
    Ok(axum::Json(page(rows, paging::ROWS, |last: &Payout, _| last.id.to_string())))
}

fn run_of(rows: &[PayoutRow]) -> PayoutRun {
    PayoutRun { run: rows.first().map(|row| row.run), payouts: rows.iter().map(shown).collect() }
}

/// Collects everything that is settled, not paid and has a destination into a run of payouts, and sets it aside. Asking
/// again collects nothing twice.
#[utoipa::path(post, path = "/v1/payouts", tag = "money", operation_id = "run_payouts",
    security(("operator" = [])), responses(
    (status = 201, description = "The run; empty where nothing is due", body = PayoutRun),
    (status = "default", description = "Any error, such as `not_found` where this server keeps no ledger",
     body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn run(
    State(shared): State<Arc<Shared>>,
) -> Result<(StatusCode, axum::Json<PayoutRun>), Problem> {
    Ok((StatusCode::CREATED, axum::Json(run_of(&payouts::run(&shared).await?))))
}

/// Writes down that a run is about to be handed to banks and chains. Then its file and its claims can be fetched, as often
/// as wanted: they are the same each time. Repeating it changes nothing.
#[utoipa::path(post, path = "/v1/payouts/{run}/submission", tag = "money", operation_id = "submit_payouts",
    params(("run" = u64, Path, description = "Number of the run")),
    security(("operator" = [])), responses(
    (status = 200, description = "The run as it is now", body = PayoutRun),
    (status = "default", description = "Any error, such as `not_found`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn submit(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<u64>,
) -> Result<axum::Json<PayoutRun>, Problem> {
    Ok(axum::Json(run_of(&payouts::submit(&shared, run).await?)))
}

/// A submitted run as a file for the bank.
#[utoipa::path(get, path = "/v1/payouts/{run}/bank-file", tag = "money", operation_id = "bank_file",
    params(("run" = u64, Path, description = "Number of the run")),
    security(("operator" = [])), responses(
    (status = 200, description = "ISO 20022 pain.001.001.09", body = String, content_type = "application/xml"),
    (status = "default", description = "Any error, such as `not_payable` where nothing was submitted", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn bank_file(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<u64>,
) -> Result<Response, Problem> {
    let file = payouts::bank_file(&shared, run).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/xml".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"payouts-{run}.xml\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, file).into_response())
}

/// The claims of a submitted run, by token.
#[utoipa::path(get, path = "/v1/payouts/{run}/claims", tag = "money", operation_id = "claims",
    params(("run" = u64, Path, description = "Number of the run")),
    security(("operator" = [])), responses(
    (status = 200, description = "None where nobody is paid so", body = Page<Claims>),
    (status = "default", description = "Any error, such as `not_found`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn claims(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<u64>,
) -> Result<axum::Json<Page<Claims>>, Problem> {
    let claims = payouts::claims(&shared, run).await?;
    let items = claims.into_iter().filter_map(|(currency, claims)| {
        let of = claims.claims().iter().enumerate().filter_map(|(index, claim)| {
            Some(Claim {
                index: claim.index,
                account: claim.account.to_string(),
                cumulative: claim.cumulative.to_string(),
                calldata: hex::encode(claims.calldata(index)?),
            })
        });
        Some(Claims { currency, root: claims.root()?.to_string(), claims: of.collect() })
    });
    Ok(axum::Json(Page { items: items.collect(), next_cursor: None }))
}

/// Writes down what bank or chain said of a payout: that the money arrived, or that it never will. The last word stays;
/// what never arrives is due in the next run again.
#[utoipa::path(put, path = "/v1/payouts/{run}/{payout}/outcome", tag = "money", operation_id = "set_payout_outcome",
    params(
        ("run" = u64, Path, description = "Number of the run"),
        ("payout" = PayoutId, Path, description = "Payout id"),
    ),
    request_body = PayoutOutcome, security(("operator" = [])), responses(
    (status = 200, description = "As it is now", body = Payout),
    (status = "default", description = "Any error, such as `payout_decided`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn outcome(
    State(shared): State<Arc<Shared>>,
    Path((run, payout)): Path<(u64, PayoutId)>,
    Json(asked): Json<PayoutOutcome>,
) -> Result<axum::Json<Payout>, Problem> {
    Ok(axum::Json(shown(&payouts::outcome(&shared, run, payout, asked.settled).await?)))
}

//! Quotes: what a session would cost.

use super::problem::{Code, Json, Problem};
use crate::state::Shared;
use crate::{catalogue, quotes};
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_protocol::Money;
use nearframe_protocol::api::{self, CreateQuote, Quote};
use std::sync::Arc;

/// What an hour of a title costs now: on the dearest machine and on the cheapest, by the rate card in force. It binds: a
/// `POST /v1/sessions` with this `quote` while it is valid is priced by that card, whatever the prices are by then. Time is
/// billed by the microsecond, up to what both ends signed.
#[utoipa::path(post, path = "/v1/quotes", tag = "money", operation_id = "create_quote",
    request_body = CreateQuote, responses(
    (status = 201, description = "Valid for ten minutes", body = Quote),
    (status = "default", description = "Any error, such as `unknown_title`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Json(request): Json<CreateQuote>,
) -> Result<(StatusCode, axum::Json<Quote>), Problem> {
    if catalogue::held(&shared, &request.title).is_none() {
        let detail = format!("No connected machine holds the title {}. See GET /v1/titles.", request.title);
        return Err(Problem::new(Code::UnknownTitle, detail));
    }
    let row = shared.prices.card();
    let (quote, valid_until_ms) = quotes::make(&shared, &request.title, row.version, shared.now_ms());
    let (lowest, highest) = row.card.range_micros_per_hour(request.work);
    let money = |micros: i64| Money { amount_micros: micros.into(), currency: row.card.currency.clone() };
    let answer = Quote {
        quote,
        title: request.title,
        work: request.work,
        price_per_hour: money(highest),
        lowest_price_per_hour: money(lowest),
        fee_permille: row.card.fee_permille,
        rate_card: row.version,
        valid_until_ms,
    };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

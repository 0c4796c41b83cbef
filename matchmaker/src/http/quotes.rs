//! Quotes: what a session would cost.

use super::problem::{Code, Json, Problem};
use crate::state::Shared;
use crate::{catalogue, quotes};
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_protocol::Money;
use nearframe_protocol::api::{self, CreateQuote, Quote};
use std::sync::Arc;

/// The price of an hour of a title now. It binds: a `POST /v1/sessions` with this `quote` while it is valid costs that,
/// whatever the price is by then. Time is billed by the microsecond, up to what both ends signed.
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
    let tariff = shared.config.tariff();
    let (quote, valid_until_ms) = quotes::make(&shared, &request.title, &tariff, shared.now_ms());
    let amount_micros = tariff.price_micros_per_hour.into();
    let price_per_hour = Money { amount_micros, currency: tariff.currency };
    let fee_permille = tariff.fee_permille;
    let answer = Quote { quote, title: request.title, price_per_hour, fee_permille, valid_until_ms };
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

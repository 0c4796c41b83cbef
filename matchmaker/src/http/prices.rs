//! Prices: the rate card, version by version.

use super::problem::{Code, Json, Path, Problem};
use crate::prices;
use crate::state::Shared;
use crate::store::billing::CardRow;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use nearframe_ledger::rates::{Rate, RateCard};
use nearframe_protocol::prices::{PriceIndex, PriceRate, Prices, SetPrices};
use nearframe_protocol::{Currency, Money, api};
use std::sync::Arc;

/// What an hour costs now, by kind of work, region and GPU tier. `ETag` is the version, for `If-Match`.
#[utoipa::path(get, path = "/v1/prices", tag = "money", operation_id = "prices", responses(
    (status = 200, description = "The version in force", body = Prices),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn now(State(shared): State<Arc<Shared>>) -> Response {
    answer(&shared.prices.card())
}

/// What an hour has cost in the last 24 hours, by kind of work, region and GPU tier: what was paid, by the time that was
/// billed. Computed once a minute.
#[utoipa::path(get, path = "/v1/prices/index", tag = "money", operation_id = "price_index", responses(
    (status = 200, description = "Index prices", body = PriceIndex),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn index(State(shared): State<Arc<Shared>>) -> Result<axum::Json<PriceIndex>, Problem> {
    Ok(axum::Json(prices::index(&shared).await?))
}

/// A version of the rate card: bills name the one that their price follows from.
#[utoipa::path(get, path = "/v1/prices/{version}", tag = "money", operation_id = "prices_of_version",
    params(("version" = u32, Path, description = "Version")), responses(
    (status = 200, description = "It never changes", body = Prices),
    (status = "default", description = "Any error, such as `not_found`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn version(
    State(shared): State<Arc<Shared>>,
    Path(version): Path<u32>,
) -> Result<Response, Problem> {
    let card = prices::card(&shared, version).await?;
    let card = card.ok_or_else(|| Problem::new(Code::NotFound, "There is no such version of the prices."))?;
    Ok(answer(&card))
}

/// Replaces the prices by a new version, which is in force at once; other servers on the same database follow within two
/// seconds. Leases and quotes that were given keep their prices. `If-Match` is the version that is replaced, so that
/// nobody overwrites what another has just set.
#[utoipa::path(put, path = "/v1/prices", tag = "money", operation_id = "set_prices", request_body = SetPrices,
    params(("If-Match" = String, Header, description = "`ETag` of the prices that are replaced")),
    security(("operator" = [])), responses(
    (status = 200, description = "The new version", body = Prices),
    (status = "default", description = "Any error, such as `prices_changed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(wanted): Json<SetPrices>,
) -> Result<Response, Problem> {
    let over = matched(&headers)?;
    let now = shared.prices.card();
    let fee_permille = wanted.fee_permille.unwrap_or(now.card.fee_permille);
    let card = card_of(wanted, fee_permille, &shared.config.currency)?;
    card.check().map_err(|error| Problem::new(Code::BadBody, format!("{error}.")))?;
    match prices::replace(&shared, &card, over).await? {
        Some(row) => {
            tracing::info!(version = row.version, note = %row.card.note, "the operator set prices");
            Ok(answer(&row))
        }
        None => {
            let now = shared.prices.card().version;
            let detail = format!("Version {now} is in force. Read GET /v1/prices again and decide anew.");
            Err(Problem::new(Code::PricesChanged, detail))
        }
    }
}

fn matched(headers: &HeaderMap) -> Result<u32, Problem> {
    let missing = || {
        let detail = "Send If-Match with the ETag of GET /v1/prices, such as \"3\": these prices replace that version.";
        Problem::new(Code::PreconditionNeeded, detail)
    };
    let value = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let quoted = value.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted.and_then(|version| version.parse().ok()).ok_or_else(missing)
}

fn card_of(wanted: SetPrices, fee_permille: u16, currency: &Currency) -> Result<RateCard, Problem> {
    let rate = |rate: PriceRate| {
        let money = rate.price_per_hour;
        let micros = i64::try_from(money.amount_micros).ok().filter(|_| money.currency == *currency);
        let price_micros_per_hour = micros.ok_or_else(|| {
            Problem::new(Code::BadBody, format!("Prices are amounts in {currency}; {money} is not one."))
        })?;
        Ok(Rate { work: rate.work, region: rate.region, gpu_tier: rate.gpu_tier, price_micros_per_hour })
    };
    let rates = wanted.rates.into_iter().map(rate).collect::<Result<_, Problem>>()?;
    Ok(RateCard { currency: currency.clone(), fee_permille, note: wanted.note, rates })
}

fn answer(row: &CardRow) -> Response {
    let card = &row.card;
    let rate = |rate: &Rate| PriceRate {
        work: rate.work,
        region: rate.region.clone(),
        gpu_tier: rate.gpu_tier,
        price_per_hour: Money {
            amount_micros: rate.price_micros_per_hour.into(),
            currency: card.currency.clone(),
        },
    };
    let prices = Prices {
        version: row.version,
        since_ms: row.since_ms,
        currency: card.currency.clone(),
        fee_permille: card.fee_permille,
        note: card.note.clone(),
        rates: card.rates.iter().map(rate).collect(),
    };
    let tag = HeaderValue::from_str(&format!("\"{}\"", row.version)).expect("digits are a header");
    ([(header::ETAG, tag)], axum::Json(prices)).into_response()
}

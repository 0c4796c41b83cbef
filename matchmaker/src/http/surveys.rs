//! Measuring before playing: which nodes, what came of it, what may be expected.

use super::problem::{Code, Json, Problem};
use super::{Address, origin};
use crate::placing::{Asker, outlook, survey};
use crate::state::Shared;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use nearframe_protocol::api;
use nearframe_protocol::measure::{CheckRequest, CreateSurvey, Measured, Outlook, Survey};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

fn limit(shared: &Shared, address: IpAddr) -> Result<(), Problem> {
    shared.placing.limit.take(address, Instant::now()).map_err(|wait_s| {
        shared.metrics.rate_limited.add();
        Problem::new(Code::TooManyRequests, format!("Try again in {wait_s} s.")).retry_after(wait_s)
    })
}

/// The nodes that the caller should measure: a few that are probably near and one or two that hedge.
#[utoipa::path(post, path = "/v1/surveys", tag = "placement", operation_id = "create_survey",
    request_body = CreateSurvey,
    responses(
        (status = 200, description = "At most 8 candidates, each with the credentials of an ICE check", body = Survey),
        (status = "default", description = "Any error, such as `unknown_title`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    Json(request): Json<CreateSurvey>,
) -> Result<axum::Json<Survey>, Problem> {
    origin::check(&shared, &headers)?;
    limit(&shared, address)?;
    survey::create(&shared, address, &request).map(axum::Json)
}

/// Lets the caller in at candidates behind a NAT: each sends a few packets to the caller's outside address.
#[utoipa::path(post, path = "/v1/surveys/checks", tag = "placement", operation_id = "request_checks",
    request_body = CheckRequest,
    responses(
        (status = 204, description = "They were told"),
        (status = "default", description = "Any error, such as `bad_survey`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn checks(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    Json(request): Json<CheckRequest>,
) -> Result<StatusCode, Problem> {
    origin::check(&shared, &headers)?;
    limit(&shared, address)?;
    survey::let_in(&shared, address, &request.survey, &request.checks).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the caller measured; answers what it may expect now.
#[utoipa::path(post, path = "/v1/surveys/measured", tag = "placement", operation_id = "report_measured",
    request_body = Measured,
    responses(
        (status = 200, description = "Title by title", body = Outlook),
        (status = "default", description = "Any error, such as `bad_survey`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn measured(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    Json(measured): Json<Measured>,
) -> Result<axum::Json<Outlook>, Problem> {
    origin::check(&shared, &headers)?;
    limit(&shared, address)?;
    survey::measured(&shared, &measured).await.map(axum::Json)
}

/// What the caller may expect of each title, by what is known of its network.
#[utoipa::path(get, path = "/v1/outlook", tag = "placement", operation_id = "outlook", responses(
    (status = 200, description = "Title by title: round trip, quality, wait", body = Outlook),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn outlook(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
) -> Result<axum::Json<Outlook>, Problem> {
    let asker = Asker::of(&shared, address, None, shared.now_ms());
    Ok(axum::Json(outlook::of(&shared, &asker)))
}

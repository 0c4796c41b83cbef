//! What machines ask: alive, ready, metrics, the API's description.

use super::Api;
use super::problem::{Code, Problem};
use crate::state::{Phase, Shared};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use nearframe_protocol::api;
use std::sync::Arc;
use utoipa::OpenApi;

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "service", operation_id = "openapi", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"),
))]
pub(crate) async fn openapi() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(Api::openapi())
}

/// Whether the process serves at all.
#[utoipa::path(get, path = "/livez", tag = "service", operation_id = "livez", responses(
    (status = 200, description = "`ok`", body = String, content_type = "text/plain"),
))]
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Whether it takes sessions: the store answers and nothing drains.
#[utoipa::path(get, path = "/readyz", tag = "service", operation_id = "readyz", responses(
    (status = 200, description = "`ok`", body = String, content_type = "text/plain"),
    (status = 503, description = "`draining` or `unavailable`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    if *shared.phase.borrow() != Phase::Open {
        return Err(Problem::new(Code::Draining, "No new sessions are taken here."));
    }
    shared.store.ping().await?;
    Ok("ok\n")
}

/// Counters and gauges.
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "metrics", responses(
    (status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"),
))]
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], crate::metrics::render(&shared))
}

//! How reliable machines were, for everybody to see.

use super::problem::{Code, Path, Problem};
use super::statements::month_of;
use crate::months::{self, levels};
use crate::state::Shared;
use axum::extract::State;
use nearframe_protocol::api;
use nearframe_protocol::trust::{NodeService, ServiceLevel, ServiceLevels, SiteService};
use nearframe_trust::service::{PROMISED_PPM, Served, WAY_BACK_US};
use std::sync::Arc;

fn level(served: &Served) -> ServiceLevel {
    ServiceLevel {
        sessions: served.sessions,
        lost: served.lost,
        served_us: served.served_us,
        availability_ppm: served.availability_ppm().unwrap_or(0),
        lost_ppm: served.lost_ppm().unwrap_or(0),
    }
}

/// How reliable machines and sites were in a month in UTC, such as `2026-11`: what players lost, from the record of sessions,
/// and how long machines were reachable. Of a month that is closed, what was credited, without names.
/// `scripts/recompute-service-levels.py` computes all of it again from the counts.
#[utoipa::path(get, path = "/v1/service-levels/{month}", tag = "trust", operation_id = "service_levels",
    params(("month" = String, Path, description = "Year and month, such as 2026-11")), responses(
    (status = 200, description = "Machines that served somebody or were reachable", body = ServiceLevels),
    (status = "default", description = "Any error, such as `bad_request`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_month(
    State(shared): State<Arc<Shared>>,
    Path(month): Path<String>,
) -> Result<axum::Json<ServiceLevels>, Problem> {
    let range = month_of(&month)
        .ok_or_else(|| Problem::new(Code::BadRequest, "A month is a year and a month, such as 2026-11."))?;
    let levels = levels(&shared, &range).await?;
    let credits = match shared.store.month(&month).await? {
        Some(row) => Some(serde_json::from_str(&row.body).map_err(|error| {
            tracing::error!(%error, month, "a month's credits are no JSON");
            Problem::new(Code::Internal, "The month's credits cannot be read. Tell whoever runs this server.")
        })?),
        None => None,
    };
    let nodes = levels.nodes.into_iter().map(|(node, of)| NodeService {
        node,
        region: of.region,
        level: level(&of.served),
        reach: months::shown(&of.reach),
    });
    let sites = levels.sites.into_iter().map(|(region, (served, reach))| SiteService {
        region,
        level: level(&served),
        reach: months::shown(&reach),
    });
    Ok(axum::Json(ServiceLevels {
        month,
        promised_ppm: PROMISED_PPM,
        way_back_us: WAY_BACK_US,
        nodes: nodes.collect(),
        sites: sites.collect(),
        credits,
    }))
}

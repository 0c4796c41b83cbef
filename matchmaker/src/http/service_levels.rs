//! How reliable machines were, for everybody to see.

use super::problem::{Code, Path, Problem};
use super::statements::month_of;
use crate::state::Shared;
use axum::extract::State;
use nearframe_protocol::api;
use nearframe_protocol::trust::{NodeService, ServiceLevel, ServiceLevels, SiteService};
use nearframe_trust::service::{PROMISED_PPM, Served, WAY_BACK_US};
use std::collections::BTreeMap;
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

/// How reliable machines and sites were in a month in UTC, such as `2026-11`: what players lost, from the record of sessions.
/// `scripts/recompute-service-levels.py` computes it again from the counts.
#[utoipa::path(get, path = "/v1/service-levels/{month}", tag = "trust", operation_id = "service_levels",
    params(("month" = String, Path, description = "Year and month, such as 2026-11")), responses(
    (status = 200, description = "Machines that served somebody", body = ServiceLevels),
    (status = "default", description = "Any error, such as `bad_request`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn of_month(
    State(shared): State<Arc<Shared>>,
    Path(month): Path<String>,
) -> Result<axum::Json<ServiceLevels>, Problem> {
    let range = month_of(&month)
        .ok_or_else(|| Problem::new(Code::BadRequest, "A month is a year and a month, such as 2026-11."))?;
    let rows = shared.store.served(range).await?;
    let mut sites: BTreeMap<String, Served> = BTreeMap::new();
    for row in &rows {
        let site = sites.entry(row.region.clone()).or_default();
        *site = [*site, row.served].into_iter().sum();
    }
    let nodes = rows.into_iter().map(|row| NodeService {
        node: row.node,
        region: row.region,
        level: level(&row.served),
    });
    let sites = sites.into_iter().map(|(region, served)| SiteService { region, level: level(&served) });
    Ok(axum::Json(ServiceLevels {
        month,
        promised_ppm: PROMISED_PPM,
        way_back_us: WAY_BACK_US,
        nodes: nodes.collect(),
        sites: sites.collect(),
    }))
}

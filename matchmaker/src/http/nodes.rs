//! Nodes, as anyone may see them.

use super::problem::Problem;
use crate::state::Shared;
use axum::extract::State;
use nearframe_protocol::api::{self, Node, Page};
use std::sync::Arc;

/// All enrolled nodes, by name.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", operation_id = "list_nodes", responses(
    (status = 200, description = "Enrolled nodes", body = Page<Node>),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<axum::Json<Page<Node>>, Problem> {
    let rows = shared.store.nodes().await?;
    let busy = shared.store.busy().await?;
    let fleet = shared.fleet();
    let node = |row: crate::store::NodeRow| {
        let member = fleet.member(row.id);
        let offer = member.and_then(|member| member.offer.as_ref());
        Node {
            id: row.id,
            name: row.name,
            region: row.region,
            online: fleet.is_online(row.id),
            draining: fleet.is_draining(row.id),
            slots: row.slots,
            busy: busy.get(&row.id).copied().unwrap_or(0),
            adapter: row.adapter,
            encoders: offer.map(|offer| offer.encoders.clone()).unwrap_or_default(),
            titles: member
                .map(|member| member.titles.iter().map(|held| held.entry.id.clone()).collect())
                .unwrap_or_default(),
            capability: offer.and_then(|offer| offer.capability.clone()),
        }
    };
    Ok(axum::Json(Page { items: rows.into_iter().map(node).collect(), next_cursor: None }))
}

//! Nodes, as anyone may see them.

use super::paging::{Cursor, page};
use super::problem::{Problem, Query};
use crate::state::Shared;
use axum::extract::State;
use nearframe_protocol::api::{self, Node, Page};
use std::sync::Arc;

/// Nodes of one page: a screenful of any list, and few enough to be read at once.
const ROWS: u32 = 200;

/// Enrolled nodes, by name.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", operation_id = "list_nodes",
    params(("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses(
        (status = 200, description = "At most 200 nodes", body = Page<Node>),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(cursor): Query<Cursor>,
) -> Result<axum::Json<Page<Node>>, Problem> {
    let rows = shared.store.nodes(cursor.read()?, ROWS + 1).await?;
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
            busy: fleet.held(row.id),
            adapter: row.adapter,
            encoders: offer.map(|offer| offer.encoders.clone()).unwrap_or_default(),
            titles: member
                .map(|member| member.titles.iter().map(|held| held.entry.id.clone()).collect())
                .unwrap_or_default(),
            capability: offer.and_then(|offer| offer.capability.clone()),
        }
    };
    Ok(axum::Json(page(rows.into_iter().map(node).collect(), ROWS, |last, _| last.id.to_string())))
}

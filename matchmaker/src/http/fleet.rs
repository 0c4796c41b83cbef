//! The operator's view of the fleet, and what an operator may order.

use super::problem::{Code, Json, Path, Problem};
use super::role::Caller;
use crate::placing::rules;
use crate::sessions;
use crate::state::{Shared, hash};
use crate::store::placement::{BookingRow, OrderKind, OrderRow, RuleKind};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use nearframe_protocol::account::MemberRole;
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::fleet::{
    Booking, CreateBooking, FleetNode, FleetRegion, FleetView, GiveOrder, Order, PlacementRow, Reserve,
    Residency,
};
use nearframe_protocol::{EndReason, NodeId, TitleId};
use std::cmp::Reverse;
use std::sync::Arc;

/// Nodes that one view shows, by name; `GET /v1/nodes` has the others.
const SHOWN_NODES: u32 = 2_000;
/// Decisions that it shows.
const SHOWN_PLACEMENTS: usize = 50;
/// Longest reason and evidence, in bytes.
const MAX_REASON: usize = 500;
const MAX_EVIDENCE: usize = 4_000;
/// Slots that one booking may ask for.
const MAX_BOOKED: u32 = 100_000;
/// Times of bookings lie within this of now, ms: a year.
const HORIZON_MS: u64 = 366 * 24 * 3600 * 1000;

/// Everything that an operator watches: nodes, regions, queue, decisions, bookings.
#[utoipa::path(get, path = "/v1/fleet", tag = "fleet", operation_id = "fleet", security(("operator" = [])),
    responses(
        (status = 200, description = "As things stand now", body = FleetView),
        (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn view(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<FleetView>, Problem> {
    let rows = shared.store.nodes(None, SHOWN_NODES).await?;
    let total = shared.store.node_count().await?;
    let mut nodes: Vec<FleetNode> = rows.into_iter().map(|row| node(&shared, row)).collect();
    nodes.sort_by_key(|node| Reverse(node.online));
    let (queue, waiting) = shared.placing.waiting.shown(shared.now_ms());
    let mut placements = Vec::new();
    for (session, decided_at_ms, node, name) in shared.placements.newest(SHOWN_PLACEMENTS) {
        let state = shared.store.session(session).await?.map(|row| row.state);
        placements.push(PlacementRow { session, decided_at_ms, node, name, state });
    }
    let (clients_remembered, sites) = {
        let fleet = shared.fleet();
        (fleet.clients_remembered() as u64, fleet.sites() as u64)
    };
    let mut bookings = kept(&shared);
    if caller.who.operator() < Some(MemberRole::Member) {
        // Whoever only looks sees that there is one, not the secret that plays on it.
        bookings.iter_mut().for_each(|row| row.booking = hex::encode(&hash(&row.booking)[..8]));
    }
    Ok(axum::Json(FleetView {
        nodes,
        total,
        regions: regions(&shared),
        queue,
        waiting,
        placements,
        bookings,
        clients_remembered,
        sites,
    }))
}

fn node(shared: &Shared, row: crate::store::NodeRow) -> FleetNode {
    let orders = shared.placing.rules().orders_of(row.id).map(order).collect();
    let fleet = shared.fleet();
    let place = fleet.place_of(row.id);
    FleetNode {
        id: row.id,
        name: row.name,
        region: row.region,
        place: place.map(|place| [place.latitude_deg().into(), place.longitude_deg().into()]),
        online: fleet.is_online(row.id),
        draining: fleet.is_draining(row.id),
        banned: fleet.order_of(row.id).banned,
        orders,
        slots: row.slots,
        busy: fleet.held(row.id),
        rtt_ms: fleet.median_rtt_ms(row.id),
        measurable: fleet.reflector(row.id).is_some(),
        adapter: row.adapter,
    }
}

fn regions(shared: &Shared) -> Vec<FleetRegion> {
    let now = shared.now_ms();
    let rooms = shared.fleet().regions();
    let rules = shared.placing.rules();
    let region = |(name, room): (String, nearframe_placement::orders::Room)| FleetRegion {
        nodes: room.nodes,
        slots: room.slots,
        free: room.free,
        reserve: rules.reserve(&name),
        booked: rules.booked_now(&name, now),
        region: name,
    };
    rooms.into_iter().map(region).collect()
}

fn order(row: &OrderRow) -> Order {
    Order {
        kind: row.kind.as_str().to_owned(),
        reason: row.reason.clone(),
        evidence: row.evidence.clone(),
        since_ms: row.since_ms,
        lifted_ms: row.lifted_ms,
    }
}

async fn give(shared: &Shared, id: NodeId, kind: OrderKind, asked: GiveOrder) -> Result<StatusCode, Problem> {
    let reason = asked.reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON || asked.evidence.len() > MAX_EVIDENCE {
        let detail = "reason: 1 to 500 characters; evidence: at most 4000";
        return Err(Problem::new(Code::BadBody, detail));
    }
    if shared.store.node_key(id).await?.is_none() {
        return Err(unknown_node());
    }
    let order = OrderRow {
        node: id,
        kind,
        reason: reason.to_owned(),
        evidence: asked.evidence,
        since_ms: shared.now_ms(),
        lifted_ms: None,
    };
    shared.store.add_order(&order).await?;
    tracing::warn!(node = %id, order = kind.as_str(), reason, "an operator's order");
    rules::refresh(shared).await?;
    if asked.end_sessions {
        let active = shared.store.active_sessions().await?;
        for row in active.into_iter().filter(|row| row.node == id) {
            sessions::end(shared, row.id, EndReason::Operator).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn lift(shared: &Shared, id: NodeId, kind: OrderKind) -> Result<StatusCode, Problem> {
    shared.store.lift_order(id, kind, shared.now_ms()).await?;
    rules::refresh(shared).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown_node() -> Problem {
    Problem::new(Code::UnknownNode, "No enrolled machine has this id. See GET /v1/nodes.")
}

/// Shuts a node out: no session is placed on it, whatever else happens, until the ban is lifted.
#[utoipa::path(put, path = "/v1/nodes/{id}/ban", tag = "fleet", operation_id = "ban_node",
    params(("id" = NodeId, Path, description = "Node id")),
    request_body = GiveOrder, security(("operator" = [])),
    responses(
        (status = 204, description = "It stands"),
        (status = "default", description = "Any error, such as `unknown_node`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn ban(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<NodeId>,
    Json(asked): Json<GiveOrder>,
) -> Result<StatusCode, Problem> {
    give(&shared, id, OrderKind::Ban, asked).await
}

/// Lets a node in again.
#[utoipa::path(delete, path = "/v1/nodes/{id}/ban", tag = "fleet", operation_id = "lift_ban",
    params(("id" = NodeId, Path, description = "Node id")), security(("operator" = [])),
    responses(
        (status = 204, description = "No ban stands"),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn lift_ban(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<NodeId>,
) -> Result<StatusCode, Problem> {
    lift(&shared, id, OrderKind::Ban).await
}

/// Gives a node no new sessions; those that run play on, unless they are to be ended.
#[utoipa::path(put, path = "/v1/nodes/{id}/drain", tag = "fleet", operation_id = "drain_node",
    params(("id" = NodeId, Path, description = "Node id")),
    request_body = GiveOrder, security(("operator" = [])),
    responses(
        (status = 204, description = "It stands"),
        (status = "default", description = "Any error, such as `unknown_node`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn drain(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<NodeId>,
    Json(asked): Json<GiveOrder>,
) -> Result<StatusCode, Problem> {
    give(&shared, id, OrderKind::Drain, asked).await
}

/// Gives a node sessions again, unless it says itself that it takes none.
#[utoipa::path(delete, path = "/v1/nodes/{id}/drain", tag = "fleet", operation_id = "lift_drain",
    params(("id" = NodeId, Path, description = "Node id")), security(("operator" = [])),
    responses(
        (status = 204, description = "No such order stands"),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn lift_drain(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<NodeId>,
) -> Result<StatusCode, Problem> {
    lift(&shared, id, OrderKind::Drain).await
}

/// Every order about a node, newest first: also those that were lifted.
#[utoipa::path(get, path = "/v1/nodes/{id}/orders", tag = "fleet", operation_id = "list_orders",
    params(("id" = NodeId, Path, description = "Node id")), security(("operator" = [])),
    responses(
        (status = 200, description = "At most 100 rows", body = Page<Order>),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn orders(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<NodeId>,
) -> Result<axum::Json<Page<Order>>, Problem> {
    let rows = shared.store.orders_of(id).await?;
    Ok(axum::Json(Page { items: rows.iter().map(order).collect(), next_cursor: None }))
}

/// Where a title may run, for every player; an empty rule removes it.
#[utoipa::path(put, path = "/v1/titles/{id}/residency", tag = "fleet", operation_id = "set_residency",
    params(("id" = String, Path, description = "Title id, such as `meteor`")),
    request_body = Residency, security(("operator" = [])),
    responses(
        (status = 204, description = "It holds for every session from now on"),
        (status = "default", description = "Any error, such as `bad_body`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn residency(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<TitleId>,
    Json(asked): Json<Residency>,
) -> Result<StatusCode, Problem> {
    asked.check().map_err(|why| Problem::new(Code::BadBody, why))?;
    let body = serde_json::to_string(&asked)
        .map_err(|error| Problem::new(Code::Internal, format!("The rule cannot be kept: {error}.")))?;
    let body = (asked != Residency::default()).then_some(body);
    shared.store.put_rule(RuleKind::Residency, id.as_str(), body.as_deref()).await?;
    rules::refresh(&shared).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Slots of a region that players without a booking never get.
#[utoipa::path(put, path = "/v1/regions/{region}/reserve", tag = "fleet", operation_id = "set_reserve",
    params(("region" = String, Path, description = "Region, as nodes write it")),
    request_body = Reserve, security(("operator" = [])),
    responses(
        (status = 204, description = "It holds from now on"),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn reserve(
    State(shared): State<Arc<Shared>>,
    Path(region): Path<String>,
    Json(asked): Json<Reserve>,
) -> Result<StatusCode, Problem> {
    check_region(&region)?;
    let slots = (asked.slots > 0).then(|| asked.slots.to_string());
    shared.store.put_rule(RuleKind::Reserve, &region, slots.as_deref()).await?;
    rules::refresh(&shared).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_region(region: &str) -> Result<(), Problem> {
    let rule = Residency { allow: vec![region.to_owned()], deny: Vec::new() };
    rule.check().map_err(|why| Problem::new(Code::BadBody, why))
}

fn kept(shared: &Shared) -> Vec<Booking> {
    let rows: Vec<(BookingRow, u32)> =
        shared.placing.rules().bookings().map(|(row, used)| (row.clone(), used)).collect();
    rows.into_iter().map(|(row, used)| booking(shared, row, used)).collect()
}

fn booking(shared: &Shared, row: BookingRow, used: u32) -> Booking {
    Booking {
        booking: rules::booking_token(shared, row.id),
        region: row.region,
        from_ms: row.from_ms,
        until_ms: row.until_ms,
        slots: row.slots,
        used,
        note: row.note,
    }
}

/// Books slots of a region ahead. They are kept from everybody else for that time.
#[utoipa::path(post, path = "/v1/bookings", tag = "fleet", operation_id = "create_booking",
    request_body = CreateBooking, security(("operator" = [])),
    responses(
        (status = 201, description = "Booked; its secret goes with `POST /v1/sessions`", body = Booking),
        (status = "default", description = "Any error, such as `no_room`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn book(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<CreateBooking>,
) -> Result<(StatusCode, axum::Json<Booking>), Problem> {
    check_region(&asked.region)?;
    let now = shared.now_ms();
    let times = now < asked.until_ms && asked.until_ms <= now + HORIZON_MS;
    if !times || asked.slots > MAX_BOOKED || asked.note.len() > MAX_REASON {
        let detail = "until_ms lies ahead, within a year; at most 100000 slots; note: at most 500 characters";
        return Err(Problem::new(Code::BadBody, detail));
    }
    let row = BookingRow {
        id: rules::booking_id(),
        region: asked.region,
        from_ms: asked.from_ms.max(now),
        until_ms: asked.until_ms,
        slots: asked.slots,
        note: asked.note,
        cancelled_ms: None,
    };
    let _turn = shared.placing.turn.lock().await;
    let room = shared.fleet().regions().get(&row.region).copied().unwrap_or_default();
    let terms = shared.placing.rules().booking_terms(&row.region, &room, now);
    if let Err(no) = shared.store.book(&row, terms).await? {
        return Err(Problem::new(Code::NoRoom, no.to_string()));
    }
    rules::refresh(&shared).await?;
    Ok((StatusCode::CREATED, axum::Json(booking(&shared, row, 0))))
}

/// Bookings that are not over, by beginning.
#[utoipa::path(get, path = "/v1/bookings", tag = "fleet", operation_id = "list_bookings",
    security(("operator" = [])),
    responses(
        (status = 200, description = "All of them", body = Page<Booking>),
        (status = "default", description = "Any error", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn bookings(State(shared): State<Arc<Shared>>) -> axum::Json<Page<Booking>> {
    axum::Json(Page { items: kept(&shared), next_cursor: None })
}

/// Gives a booking up; sessions on it play on. Giving it up again changes nothing.
#[utoipa::path(delete, path = "/v1/bookings/{booking}", tag = "fleet", operation_id = "cancel_booking",
    params(("booking" = String, Path, description = "Its secret")), security(("operator" = [])),
    responses(
        (status = 204, description = "It does not stand"),
        (status = "default", description = "Any error, such as `unknown_booking`", body = api::Problem,
         content_type = "application/problem+json"),
    ))]
pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::new(Code::UnknownBooking, "No booking is known by this.");
    let id = rules::booking_of_token(&shared, &token).ok_or_else(unknown)?;
    shared.store.cancel_booking(id, shared.now_ms()).await?;
    rules::refresh(&shared).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! The HTTP doors: one table of routes, each with the role it asks for.
//!
//! Handlers are thin: they read the request, call [`crate::sessions`] or the store, and answer with the
//! types of `nearframe_protocol::api`. Every error is a [`problem::Problem`].
//!
//! **Architecture invariant:** the router is built from [`doors`] alone, so no route exists without a
//! role.

mod bills;
mod budgets;
mod earnings;
mod fleet;
pub(crate) mod limits;
mod nodes;
mod operator;
pub(crate) mod origin;
mod prices;
mod probes;
pub(crate) mod problem;
mod queue;
mod quotes;
mod role;
mod saves;
mod sessions;
mod statements;
mod static_files;
mod surveys;
mod titles;
mod usage;
#[cfg(test)]
mod walk;

use crate::signalling;
use crate::state::Shared;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use problem::{Code, Problem};
use role::{Role, authorize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};

/// Largest body of a request, in bytes; the largest the API knows is well below 1 KiB. A pack of saves is
/// streamed, with a limit of its own.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// A request that takes longer has met a stuck database.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The path on which packs of saves move, and the time for one: 64 MiB at 4 Mbit/s.
const TRANSFER: (&str, Duration) = ("/v1/sessions/{id}/save", Duration::from_secs(150));

/// One route.
struct Door {
    method: &'static str,
    path: &'static str,
    role: Role,
    handler: MethodRouter<Arc<Shared>>,
}

fn doors() -> Vec<Door> {
    let door = |method, path, role, handler| Door { method, path, role, handler };
    let page = || get(static_files::index);
    vec![
        door("GET", "/v1/titles", Role::Anyone, get(titles::list)),
        door("GET", "/v1/titles/{id}", Role::Anyone, get(titles::one)),
        door("GET", "/v1/titles/{id}/cover", Role::Anyone, get(titles::cover)),
        door("POST", "/v1/sessions", Role::Guest, post(sessions::create)),
        door("GET", "/v1/sessions", Role::Guest, get(sessions::list)),
        door("GET", "/v1/sessions/{id}", Role::SessionOwner, get(sessions::one)),
        door("DELETE", "/v1/sessions/{id}", Role::SessionOwner, delete(sessions::leave)),
        door("GET", "/v1/sessions/{id}/receipts", Role::SessionOwner, get(sessions::receipts)),
        door("GET", "/v1/sessions/{id}/placement", Role::SessionOwner, get(sessions::placement)),
        door("POST", "/v1/sessions/{id}/path", Role::SessionOwner, post(sessions::path)),
        door("POST", "/v1/surveys", Role::Guest, post(surveys::create)),
        door("POST", "/v1/surveys/checks", Role::Guest, post(surveys::checks)),
        door("POST", "/v1/surveys/measured", Role::Guest, post(surveys::measured)),
        door("GET", "/v1/outlook", Role::Guest, get(surveys::outlook)),
        door("GET", "/v1/queue", Role::Guest, get(queue::list)),
        door("DELETE", "/v1/queue/{title}", Role::Guest, delete(queue::leave)),
        door("POST", "/v1/groups", Role::Guest, post(queue::group)),
        door("GET", "/v1/fleet", Role::Operator, get(fleet::view)),
        door("PUT", "/v1/nodes/{id}/ban", Role::Operator, put(fleet::ban)),
        door("DELETE", "/v1/nodes/{id}/ban", Role::Operator, delete(fleet::lift_ban)),
        door("PUT", "/v1/nodes/{id}/drain", Role::Operator, put(fleet::drain)),
        door("DELETE", "/v1/nodes/{id}/drain", Role::Operator, delete(fleet::lift_drain)),
        door("GET", "/v1/nodes/{id}/orders", Role::Operator, get(fleet::orders)),
        door("PUT", "/v1/titles/{id}/residency", Role::Operator, put(fleet::residency)),
        door("PUT", "/v1/regions/{region}/reserve", Role::Operator, put(fleet::reserve)),
        door("POST", "/v1/bookings", Role::Operator, post(fleet::book)),
        door("GET", "/v1/bookings", Role::Operator, get(fleet::bookings)),
        door("DELETE", "/v1/bookings/{booking}", Role::Operator, delete(fleet::cancel)),
        door("GET", "/v1/sessions/{id}/signal", Role::Ticket, get(signalling::page::open)),
        door("PUT", "/v1/sessions/{id}/save", Role::SaveToken, put(saves::put)),
        door("GET", "/v1/sessions/{id}/save", Role::SaveToken, get(saves::get)),
        door("GET", "/v1/saves", Role::Guest, get(saves::list)),
        door("GET", "/v1/saves/{title}/{version}", Role::Guest, get(saves::download)),
        door("DELETE", "/v1/saves/{title}", Role::Guest, delete(saves::delete)),
        door("GET", "/v1/nodes", Role::Anyone, get(nodes::list)),
        door("GET", "/v1/nodes/link", Role::NodeKey, get(signalling::node::open)),
        door("POST", "/v1/enrolments", Role::Operator, post(operator::enrol)),
        door("GET", "/v1/prices", Role::Anyone, get(prices::now)),
        door("GET", "/v1/prices/{version}", Role::Anyone, get(prices::version)),
        door("PUT", "/v1/prices", Role::Operator, put(prices::set)),
        door("POST", "/v1/quotes", Role::Anyone, post(quotes::create)),
        door("GET", "/v1/budgets", Role::Operator, get(budgets::list)),
        door("PUT", "/v1/budgets/{title}", Role::Operator, put(budgets::set)),
        door("GET", "/v1/statements/{title}/{month}", Role::Operator, get(statements::csv)),
        door("GET", "/v1/usage/{month}", Role::Operator, get(usage::list)),
        door("GET", "/v1/usage/titles", Role::Operator, get(usage::titles)),
        door("GET", "/v1/usage/nodes", Role::Operator, get(usage::nodes)),
        door("GET", "/v1/usage/series", Role::Operator, get(usage::series)),
        door("GET", "/v1/usage/sessions", Role::Operator, get(usage::sessions)),
        door("GET", "/v1/sessions/{id}/bill", Role::SessionOwner, get(bills::of_session)),
        door("GET", "/v1/earnings", Role::Operator, get(earnings::overview)),
        door("GET", "/v1/ledger/head", Role::Anyone, get(earnings::head)),
        door("GET", "/v1/settlement", Role::Anyone, get(earnings::root)),
        door("GET", "/v1/nodes/{id}/earnings", Role::Operator, get(earnings::of_node)),
        door("GET", "/v1/openapi.json", Role::Anyone, get(probes::openapi)),
        door("GET", "/livez", Role::Anyone, get(probes::live)),
        door("GET", "/readyz", Role::Anyone, get(probes::ready)),
        door("GET", "/metrics", Role::Anyone, get(probes::metrics)),
        door("GET", "/operator", Role::Anyone, get(operator::sign_in)),
        door("GET", "/", Role::Anyone, page()),
        door("GET", "/play/{title}", Role::Anyone, page()),
        door("GET", "/sessions/{id}", Role::Anyone, page()),
        door("GET", "/nodes", Role::Anyone, page()),
        door("GET", "/fleet", Role::Anyone, page()),
        door("GET", "/earnings", Role::Anyone, page()),
        door("GET", "/costs", Role::Anyone, page()),
        door("GET", "/about", Role::Anyone, page()),
        door("GET", "/about/{*rest}", Role::Anyone, page()),
        door("GET", "/{*path}", Role::Anyone, get(static_files::file)),
    ]
}

/// Builds the router from the table.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for Door { method, path, role, handler } in doors() {
        tracing::debug!(method, path, ?role, "door");
        let check = from_fn_with_state((Arc::clone(shared), role), authorize);
        router = router.route(path, handler.route_layer(check));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(shared), bound))
        .layer(from_fn_with_state(Arc::clone(shared), origin::guard))
        .with_state(Arc::clone(shared))
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(
        Code::NotFound,
        "This address does not exist here. The API is described at /v1/openapi.json.",
    )
}

async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed, "See the Allow header, or /v1/openapi.json.")
}

/// Bounds the time of a request and counts its answer.
async fn bound(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let is_transfer =
        request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == TRANSFER.0);
    let time = if is_transfer { TRANSFER.1 } else { REQUEST_TIMEOUT };
    let response = match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Timeout, "The server is too busy. Try again in a moment.")
            .retry_after(5)
            .into_response(),
    };
    shared.metrics.response(response.status().as_u16());
    response
}

/// The caller's address, of a proxy on this machine the one that it forwards for. Where the listener does not say, all
/// callers share one.
pub(crate) struct Address(pub(crate) IpAddr);

impl<S: Sync> axum::extract::FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        let info = parts.extensions.get::<axum::extract::ConnectInfo<SocketAddr>>();
        let peer = info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        Ok(Self(forwarded(peer, &parts.headers).unwrap_or(peer)))
    }
}

/// For whom a proxy on this machine asks: the last address that it added. Nobody else is believed.
fn forwarded(peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    let is_local = peer.to_canonical().is_loopback();
    is_local.then(|| last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()).flatten()
}

/// The API's description, OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "nearframe",
        version = "1",
        description = "Games from the nearest GPU. Errors are RFC 9457 problems; ids are UUIDs; times \
                       are Unix milliseconds; money is a decimal string with its currency.",
        license(name = "MIT OR Apache-2.0")
    ),
    servers((url = "/")),
    paths(
        titles::list,
        titles::one,
        titles::cover,
        sessions::create,
        sessions::list,
        sessions::one,
        sessions::leave,
        sessions::receipts,
        sessions::placement,
        sessions::path,
        surveys::create,
        surveys::checks,
        surveys::measured,
        surveys::outlook,
        queue::list,
        queue::leave,
        queue::group,
        fleet::view,
        fleet::ban,
        fleet::lift_ban,
        fleet::drain,
        fleet::lift_drain,
        fleet::orders,
        fleet::residency,
        fleet::reserve,
        fleet::book,
        fleet::bookings,
        fleet::cancel,
        saves::put,
        saves::get,
        saves::list,
        saves::download,
        saves::delete,
        signalling::page::open,
        nodes::list,
        signalling::node::open,
        operator::enrol,
        prices::now,
        prices::version,
        prices::set,
        quotes::create,
        budgets::list,
        budgets::set,
        statements::csv,
        usage::list,
        usage::titles,
        usage::nodes,
        usage::series,
        usage::sessions,
        bills::of_session,
        earnings::overview,
        earnings::head,
        earnings::root,
        earnings::of_node,
        probes::openapi,
        probes::live,
        probes::ready,
        probes::metrics
    ),
    components(schemas(nearframe_protocol::api::Problem, nearframe_protocol::attest::Attestation)),
    modifiers(&Credentials)
)]
pub(crate) struct Api;

/// How a caller shows whose session it is, and who the operator is.
struct Credentials;

impl utoipa::Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let cookie = |name| SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(name)));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("guest", cookie(role::GUEST_COOKIE));
        components.add_security_scheme("operator", cookie(role::OPERATOR_COOKIE));
        let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("ticket", bearer());
        components.add_security_scheme("save_token", bearer());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_on_this_machine_speaks_for_others() {
        let of = |peer: &str, header: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", header.parse().unwrap());
            forwarded(peer.parse().unwrap(), &headers).map(|address| address.to_string())
        };
        assert_eq!(of("127.0.0.1", "10.9.9.9, 192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("::1", "2001:db8::7").as_deref(), Some("2001:db8::7"));
        assert_eq!(of("127.0.0.1", "rubbish"), None);
        assert_eq!(of("198.51.100.1", "192.0.2.7"), None);
    }

    #[test]
    fn every_door_of_the_api_is_described_and_nothing_else_is() {
        let described = serde_json::to_value(Api::openapi()).unwrap();
        let mut documented: Vec<(String, String)> = Vec::new();
        for (path, item) in described["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                documented.push((method.to_uppercase(), path.clone()));
            }
        }
        let api = |path: &str| path.starts_with("/v1/") || path.ends_with('z') || path == "/metrics";
        let mut routed: Vec<_> = doors()
            .iter()
            .filter(|door| api(door.path))
            .map(|door| (door.method.to_owned(), door.path.to_owned()))
            .collect();
        documented.sort();
        routed.sort();
        assert_eq!(documented, routed);
    }

    #[test]
    fn the_committed_description_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/openapi.json");
        let now = Api::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == now, "docs/api/openapi.json is old: run the tests with UPDATE_OPENAPI=1");
    }
}

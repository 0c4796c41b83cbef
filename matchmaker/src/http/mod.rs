//! The HTTP doors: one table of routes, each with the role it asks for.
//!
//! Handlers are thin: they read the request, call [`crate::sessions`] or the store, and answer with the
//! types of `nearframe_protocol::api`. Every error is a [`problem::Problem`].
//!
//! **Architecture invariant:** the router is built from [`doors`] alone, so no route exists without a
//! role.

mod accounts;
mod api_keys;
mod bills;
mod budgets;
mod caps;
mod cases;
mod checks;
mod credits;
mod description;
mod disputes;
mod doors;
mod earnings;
mod fleet;
mod invoices;
pub(crate) mod limits;
mod linger;
mod mcp;
mod members;
mod nodes;
mod operator;
pub(crate) mod origin;
mod paging;
mod passkeys;
mod payouts;
mod plans;
mod prices;
mod probes;
pub(crate) mod problem;
mod queue;
mod quotes;
pub(crate) mod repeat;
mod reservations;
mod role;
mod saves;
mod service_levels;
mod sessions;
mod sign_in;
mod stakes;
mod statements;
mod static_files;
mod surveys;
mod titles;
mod trail;
mod usage;
#[cfg(test)]
mod walk;
mod webhooks;
mod who;

use crate::state::Shared;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
pub(crate) use description::Api;
use doors::{Door, doors};
use problem::{Code, Problem};
use role::authorize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a request, in bytes; the largest the API knows is well below 1 KiB. A pack of saves is
/// streamed, with a limit of its own.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// A request that takes longer has met a stuck database.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The path on which packs of saves move, and the time for one: 64 MiB at 4 Mbit/s.
const TRANSFER: (&str, Duration) = ("/v1/sessions/{id}/save", Duration::from_secs(150));

/// Builds the router from the table. What agents ask by tools comes through the same doors.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let doors = of_table(shared);
    doors.clone().layer(Extension(mcp::Doors(doors)))
}

fn of_table(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for Door { guard, handler } in doors() {
        tracing::debug!(?guard, "door");
        let check = from_fn_with_state((Arc::clone(shared), guard), authorize);
        router = router.route(guard.path, handler.route_layer(check));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(shared), bound))
        .layer(from_fn_with_state(Arc::clone(shared), origin::guard))
        .layer(from_fn(linger::linger))
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

/// How the caller reaches this server: scheme, host and port.
fn base(shared: &Shared, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    match &shared.config.public_url {
        Some(url) => url.origin().ascii_serialization(),
        None => format!("http://{host}"),
    }
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
}

//! The operator: sign-in by one-time link, and enrolment of nodes.

use super::problem::{Code, Problem, Query};
use super::repeat::ShownOnce;
use super::static_files;
use super::trail;
use super::who::{OPERATOR_COOKIE, set_cookie};
use crate::enrolment;
use crate::random;
use crate::state::{Shared, hash};
use crate::store::deeds::Deed;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use nearframe_protocol::account::Actor;
use nearframe_protocol::api::{self, Enrolment};
use serde::Deserialize;
use std::sync::Arc;

/// An operator stays signed in this long, in seconds.
const OPERATOR_S: u64 = 12 * 3600;

#[derive(Deserialize)]
pub(crate) struct SignIn {
    token: Option<String>,
}

/// The operator's page; with a one-time token in the query, signs in first.
pub(crate) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<SignIn>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(token) = query.token else { return Ok(static_files::index(headers).await) };
    let cookie = random::secret();
    let now = shared.now_ms();
    let expires = now + OPERATOR_S * 1000;
    if !shared.store.redeem_operator_link(hash(&token), now, hash(&cookie), expires).await? {
        return Err(Problem::new(
            Code::SignInNeeded,
            "This link was used already or is too old. Restart the matchmaker to get a new one.",
        ));
    }
    let deed = Deed {
        at_ms: now,
        actor: Actor::Operator,
        account: None,
        door: "GET /operator".to_owned(),
        subject: String::new(),
        status: StatusCode::SEE_OTHER.as_u16(),
    };
    trail::write(&shared, &deed).await;
    let cookie = set_cookie(&shared, OPERATOR_COOKIE, &cookie, OPERATOR_S);
    let headers = AppendHeaders([
        (header::LOCATION, "/operator".to_owned()),
        (header::SET_COOKIE, cookie),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ]);
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// A one-time code for a new node.
#[utoipa::path(post, path = "/v1/enrolments", tag = "nodes", operation_id = "create_enrolment",
    security(("operator" = [])), responses(
    (status = 201, description = "Valid once, for 15 minutes", body = Enrolment),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn enrol(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<(StatusCode, Extension<ShownOnce>, axum::Json<Enrolment>), Problem> {
    let (code, expires_at_ms) = enrolment::create(&shared).await?;
    let base = super::base(&shared, &headers);
    let pin =
        shared.config.certificate_pin.as_deref().map(|pin| format!("sha256={pin}&")).unwrap_or_default();
    let url = format!("{base}#{pin}code={code}");
    Ok((StatusCode::CREATED, Extension(ShownOnce), axum::Json(Enrolment { url, code, expires_at_ms })))
}

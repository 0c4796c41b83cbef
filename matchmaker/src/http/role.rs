//! Who is calling, and whether that is enough for the door.

use super::problem::{Code, Problem};
use crate::saves;
use crate::state::{Shared, hash};
use crate::store::SessionRow;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use nearframe_protocol::{Generation, GuestId, SessionId};
use std::sync::Arc;

/// The guest's cookie.
pub(crate) const GUEST_COOKIE: &str = "nf_guest";
/// The operator's cookie.
pub(crate) const OPERATOR_COOKIE: &str = "nf_operator";

/// What a door asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Anyone,
    /// Nothing either, but what the caller sees or makes belongs to the guest of its cookie.
    Guest,
    /// The guest whose session it is, by cookie or by the session's ticket; or the operator.
    SessionOwner,
    /// The node that was told to start the session, by its save token.
    SaveToken,
    /// The operator's cookie.
    Operator,
    /// The socket's first message carries the session's ticket.
    Ticket,
    /// The socket's first message carries the signature of an enrolled node's key.
    NodeKey,
}

/// The caller, as far as the door asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// The guest of the cookie.
    pub(crate) guest: Option<GuestId>,
    /// Whether the operator's cookie is there. Looked up only where the door's role needs it.
    pub(crate) operator: bool,
    /// Whether cookie or ticket make the session of the path the caller's own.
    pub(crate) owner: bool,
    /// The session of the path, for a door of [`Role::SessionOwner`] or [`Role::SaveToken`].
    pub(crate) session: Option<SessionRow>,
    /// The generation that the save token was given to, for a door of [`Role::SaveToken`].
    pub(crate) generation: Option<Generation>,
}

/// Lets the request through if its caller has the role; the handler finds the [`Caller`] as an extension.
pub(crate) async fn authorize(
    State((shared, role)): State<(Arc<Shared>, Role)>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let params = params.map_err(|error| Problem::new(Code::BadId, error.body_text()))?;
    let headers = request.headers();
    let mut caller = Caller { guest: guest(&shared, headers), ..Caller::default() };
    match role {
        Role::Anyone | Role::Guest | Role::Ticket | Role::NodeKey => {}
        Role::Operator => {
            caller.operator = is_operator(&shared, headers).await?;
            if !caller.operator {
                return Err(operator_needed());
            }
        }
        Role::SessionOwner => {
            let id = session_id(&params)?;
            let row = shared.store.session(id).await?.ok_or_else(unknown_session)?;
            caller.operator = is_operator(&shared, headers).await?;
            let ticket = bearer(headers).map(|ticket| shared.is_ticket(id, ticket));
            caller.owner = caller.guest == Some(row.guest) || ticket == Some(true);
            if !caller.owner && !caller.operator {
                return Err(not_owner(caller.guest.is_some() || ticket.is_some()));
            }
            caller.session = Some(row);
        }
        Role::SaveToken => {
            let id = session_id(&params)?;
            let row = shared.store.session(id).await?.ok_or_else(unknown_session)?;
            let token = bearer(headers).and_then(|token| saves::generation_of_token(&shared, &row, token));
            caller.generation = Some(token.ok_or_else(save_token_needed)?);
            caller.session = Some(row);
        }
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

fn session_id(params: &RawPathParams) -> Result<SessionId, Problem> {
    let text = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, value)| value);
    text.parse()
        .map_err(|error: nearframe_protocol::id::IdError| Problem::new(Code::BadId, error.to_string()))
}

pub(crate) fn unknown_session() -> Problem {
    Problem::new(Code::UnknownSession, "No session has this id. Start a new one with POST /v1/sessions.")
}

fn not_owner(known: bool) -> Problem {
    if known {
        Problem::new(Code::NotYours, "This session belongs to another guest.")
    } else {
        Problem::new(
            Code::SignInNeeded,
            "Send the guest cookie, or the session's ticket as `Authorization: Bearer …`.",
        )
    }
}

fn save_token_needed() -> Problem {
    Problem::new(
        Code::SignInNeeded,
        "Send the session's save token as `Authorization: Bearer …`; it holds until 10 minutes after the end.",
    )
}

fn operator_needed() -> Problem {
    Problem::new(
        Code::SignInNeeded,
        "Only the operator may do this. Open the one-time operator link that the matchmaker printed.",
    )
}

fn guest(shared: &Shared, headers: &HeaderMap) -> Option<GuestId> {
    cookie(headers, GUEST_COOKIE).and_then(|cookie| shared.guest_of_cookie(cookie))
}

async fn is_operator(shared: &Shared, headers: &HeaderMap) -> Result<bool, Problem> {
    match cookie(headers, OPERATOR_COOKIE) {
        Some(cookie) => Ok(shared.store.is_operator(hash(cookie), shared.now_ms()).await?),
        None => Ok(false),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// A `Set-Cookie` value: not readable by scripts, not sent from other sites, `Secure` over TLS.
pub(crate) fn set_cookie(shared: &Shared, name: &str, value: &str, max_age_s: u64) -> String {
    let secure = if shared.config.is_secure() { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
}

//! Passkeys at the doors: added and removed by whoever is signed in, and signing in without a name.

use super::members::{limited, new_cookie, signed_in};
use super::problem::{Code, Json, Path, Problem};
use super::role::Caller;
use super::sign_in::{leave_before, remember};
use super::trail::{self, Made};
use super::who::{MEMBER_COOKIE, SIGN_IN_COOKIE, cookie, set_cookie, sign_in_needed};
use super::{Address, accounts};
use crate::passkeys::Wrong;
use crate::random;
use crate::state::{Shared, hash};
use crate::store::Hash;
use crate::store::accounts::{AccountRow, MemberRow};
use crate::store::sign_in::{Added, IdentityRow, PasskeyRow};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use nearframe_protocol::account::Me;
use nearframe_protocol::api;
use nearframe_protocol::sign_in::{AddPasskey, Identity, Passkey, PasskeyChallenge, SignIns, UsePasskey};
use nearframe_protocol::{IdentityId, PasskeyId};
use std::sync::Arc;

/// Browsers give an authenticator five minutes.
const CHALLENGE_S: u64 = 300;
/// The door that passkeys sign in at.
const DOOR: &str = "POST /v1/sign-in/passkey";

fn not_offered(why: &'static str) -> Problem {
    Problem::new(Code::NotOffered, why)
}

fn refused(detail: &str) -> Problem {
    Problem::new(Code::PasskeyRefused, detail)
}

fn wrong(wrong: &Wrong) -> Problem {
    match wrong {
        Wrong::Form(error) => Problem::new(Code::BadBody, error.to_string()),
        wrong => {
            Problem::new(Code::PasskeyRefused, format!("What the browser sent proves nothing: {wrong}."))
        }
    }
}

fn member(caller: &Caller) -> Result<&(MemberRow, AccountRow), Problem> {
    caller.who.member.as_deref().ok_or_else(sign_in_needed)
}

fn shown(row: PasskeyRow) -> Passkey {
    Passkey {
        id: row.id,
        name: row.name,
        added_at_ms: row.added_at_ms,
        last_used_ms: row.last_used_ms,
        flagged_at_ms: row.flagged_at_ms,
    }
}

fn shown_identity(shared: &Shared, row: IdentityRow) -> Identity {
    let known = shared.providers.all().find(|provider| provider.issuer == row.who.issuer);
    let provider = known.map_or(row.who.issuer, |provider| provider.label.clone());
    let (linked_at_ms, last_used_ms) = (row.linked_at_ms, row.last_used_ms);
    Identity { id: row.id, provider, name: row.who.name, linked_at_ms, last_used_ms }
}

/// A challenge is kept under the cookie of whoever is signed in, or of the browser that is about to be.
fn key(purpose: &str, headers: &HeaderMap, name: &str) -> Option<Hash> {
    cookie(headers, name).map(|cookie| hash(&format!("{purpose}/{cookie}")))
}

/// The member's own ways in.
#[utoipa::path(get, path = "/v1/me/sign-ins", tag = "accounts", operation_id = "sign_ins",
    security(("member" = [])), responses(
    (status = 200, description = "At most 20 of each", body = SignIns),
    (status = "default", description = "Any error, such as `sign_in_needed`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn own(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<SignIns>, Problem> {
    let id = member(&caller)?.0.id;
    let identities = shared.store.identities(id).await?;
    let identities = identities.into_iter().map(|row| shown_identity(&shared, row)).collect();
    let passkeys = shared.store.passkeys(id).await?.into_iter().map(shown).collect();
    Ok(axum::Json(SignIns { identities, passkeys }))
}

/// Unlinks an identity: it signs in as this member no more. Who is signed in by it stays so.
#[utoipa::path(delete, path = "/v1/me/identities/{identity}", tag = "accounts", operation_id = "unlink_identity",
    params(("identity" = IdentityId, Path, description = "Identity id")),
    security(("member" = [])), responses(
    (status = 204, description = "It is no way in"),
    (status = "default", description = "Any error, such as `unknown_way`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn unlink(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<IdentityId>,
) -> Result<StatusCode, Problem> {
    gone(shared.store.unlink_identity(member(&caller)?.0.id, id).await?)
}

/// Removes a passkey.
#[utoipa::path(delete, path = "/v1/me/passkeys/{passkey}", tag = "accounts", operation_id = "remove_passkey",
    params(("passkey" = PasskeyId, Path, description = "Passkey id")),
    security(("member" = [])), responses(
    (status = 204, description = "It is no way in"),
    (status = "default", description = "Any error, such as `unknown_way`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<PasskeyId>,
) -> Result<StatusCode, Problem> {
    gone(shared.store.remove_passkey(member(&caller)?.0.id, id).await?)
}

fn gone(was_there: bool) -> Result<StatusCode, Problem> {
    if was_there {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(Code::UnknownWay, "You have no such way in. See GET /v1/me/sign-ins."))
}

/// What the browser is to be asked to make a passkey.
#[utoipa::path(post, path = "/v1/me/passkeys/challenge", tag = "accounts", operation_id = "begin_passkey",
    security(("member" = [])), responses(
    (status = 200, description = "Good once, for five minutes", body = PasskeyChallenge),
    (status = "default", description = "Any error, such as `not_offered`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn begin_adding(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Address(address): Address,
    headers: HeaderMap,
) -> Result<axum::Json<PasskeyChallenge>, Problem> {
    shared.passkeys.check().map_err(not_offered)?;
    limited(&shared, address)?;
    let (row, account) = member(&caller)?;
    let known = shared.store.passkeys(row.id).await?;
    let known: Vec<_> = known.into_iter().map(|passkey| passkey.credential).collect();
    let name = format!("{} ({})", row.name, account.name);
    let (options, state) =
        shared.passkeys.begin_adding(row.id, &name, &known).map_err(|error| wrong(&error))?;
    let key = key("new passkey", &headers, MEMBER_COOKIE).ok_or_else(sign_in_needed)?;
    remember(&shared, key, state, CHALLENGE_S).await?;
    Ok(axum::Json(PasskeyChallenge { options }))
}

/// Keeps the passkey that the browser made.
#[utoipa::path(post, path = "/v1/me/passkeys", tag = "accounts", operation_id = "add_passkey",
    request_body = AddPasskey, security(("member" = [])), responses(
    (status = 201, description = "It signs in from now on", body = Passkey),
    (status = "default", description = "Any error, such as `passkey_refused`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn add(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(asked): Json<AddPasskey>,
) -> Result<(StatusCode, Extension<Made>, axum::Json<Passkey>), Problem> {
    shared.passkeys.check().map_err(not_offered)?;
    let name = accounts::name(&asked.name)?;
    let key = key("new passkey", &headers, MEMBER_COOKIE).ok_or_else(sign_in_needed)?;
    let now_ms = shared.now_ms();
    let state = shared.store.take_pending(key, now_ms).await?.ok_or_else(late)?;
    let kept = shared.passkeys.finish_adding(asked.credential, &state).map_err(|error| wrong(&error))?;
    let row = PasskeyRow {
        id: random::passkey_id(),
        credential: kept.credential,
        member: member(&caller)?.0.id,
        name,
        body: kept.body,
        added_at_ms: now_ms,
        last_used_ms: None,
        flagged_at_ms: None,
    };
    match shared.store.add_passkey(&row).await? {
        Added::Done => {}
        Added::Full => {
            let detail = "You have 20 passkeys. Remove one that you do not use.";
            return Err(Problem::new(Code::TooManyWays, detail));
        }
        Added::Taken => return Err(refused("This passkey belongs to another member.")),
        Added::Unknown => return Err(sign_in_needed()),
    }
    Ok((StatusCode::CREATED, Extension(Made(row.id.to_string())), axum::Json(shown(row))))
}

fn late() -> Problem {
    Problem::new(Code::UnknownSignIn, "The challenge was answered before or is too old. Begin again.")
}

/// What the browser is to be asked to sign in with a passkey. Sets a cookie that the answer needs.
#[utoipa::path(post, path = "/v1/sign-in/passkey/challenge", tag = "accounts", operation_id = "begin_passkey_sign_in",
    responses(
    (status = 200, description = "Good once, for five minutes", body = PasskeyChallenge),
    (status = "default", description = "Any error, such as `not_offered`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn begin(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
) -> Result<Response, Problem> {
    shared.passkeys.check().map_err(not_offered)?;
    limited(&shared, address)?;
    let (options, state) = shared.passkeys.begin().map_err(|error| wrong(&error))?;
    let browser = random::secret();
    remember(&shared, hash(&format!("passkey/{browser}")), state, CHALLENGE_S).await?;
    let headers = AppendHeaders([
        (header::SET_COOKIE, set_cookie(&shared, SIGN_IN_COOKIE, &browser, CHALLENGE_S)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ]);
    Ok((headers, axum::Json(PasskeyChallenge { options })).into_response())
}

/// Signs in with a passkey.
#[utoipa::path(post, path = "/v1/sign-in/passkey", tag = "accounts", operation_id = "sign_in_by_passkey",
    request_body = UsePasskey, responses(
    (status = 200, description = "Sets the cookie", body = Me),
    (status = "default", description = "Any error, such as `passkey_refused`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    Json(asked): Json<UsePasskey>,
) -> Result<Response, Problem> {
    shared.passkeys.check().map_err(not_offered)?;
    limited(&shared, address)?;
    let key = key("passkey", &headers, SIGN_IN_COOKIE).ok_or_else(late)?;
    let state = shared.store.take_pending(key, shared.now_ms()).await?.ok_or_else(late)?;
    let claim = shared.passkeys.read(asked.credential).map_err(|error| wrong(&error))?;
    let found = shared.store.passkey(&claim.credential).await?;
    // The authenticator has to name the member as well: nobody signs in as somebody by another's passkey.
    let Some((row, member, account)) = found.filter(|(row, ..)| row.member == claim.member) else {
        return Err(refused("No member of this server has this passkey any more. Sign in another way."));
    };
    if row.flagged_at_ms.is_some() {
        return Err(copied());
    }
    let body = match shared.passkeys.finish(&claim, &state, &row.body) {
        Ok(body) => body,
        Err(Wrong::Copied) => {
            shared.store.flag_passkey(row.id, shared.now_ms()).await?;
            let subject = format!("counter went back: {}", row.id);
            trail::of_member(&shared, &member, DOOR, subject, StatusCode::UNAUTHORIZED).await;
            return Err(copied());
        }
        Err(error) => return Err(wrong(&error)),
    };
    let (secret, fresh) = new_cookie(&shared);
    if !shared.store.sign_in_by_passkey(&row, &body, fresh).await? {
        return Err(refused("The passkey was used elsewhere at the same moment. Try again."));
    }
    trail::of_member(&shared, &member, DOOR, row.id.to_string(), StatusCode::OK).await;
    leave_before(&shared, &headers).await;
    Ok(signed_in(&shared, &member, &account, &secret))
}

fn copied() -> Problem {
    refused(
        "The counter of this passkey went back, as if there were a copy of it. It signs nobody in any more: sign in another \
         way, remove it, and add a new one.",
    )
}

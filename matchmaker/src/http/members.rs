//! Members: let in by one-time links, with roles, and let out again.

use super::accounts::{known, name, shown, shown_member};
use super::problem::{Code, Json, Path, Problem};
use super::repeat::ShownOnce;
use super::role::Caller;
use super::sign_in::leave_before;
use super::trail;
use super::who::{MEMBER_COOKIE, cookie, set_cookie};
use super::{Address, base};
use crate::random;
use crate::state::{Shared, hash};
use crate::store::accounts::{AccountRow, Arrival, Arrived, Changed, LinkRow, MemberRow};
use crate::store::sign_in::NewCookie;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use nearframe_protocol::account::{Invite, Me, Member, MemberRole, SetRole, SignIn, SignInLink};
use nearframe_protocol::api::{self, Page};
use nearframe_protocol::{AccountId, MemberId};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// A link holds this long, in ms: it is sent to somebody who is not at the desk now.
const LINK_MS: u64 = 3 * 24 * 3600 * 1000;
/// A member stays signed in this long, in seconds.
const MEMBER_S: u64 = 14 * 24 * 3600;

/// The account's members, in the order in which they joined.
#[utoipa::path(get, path = "/v1/accounts/{account}/members", tag = "accounts", operation_id = "list_members",
    params(("account" = AccountId, Path, description = "Account id")),
    security(("operator" = []), ("member" = [])), responses(
    (status = 200, description = "All of them", body = Page<Member>),
    (status = "default", description = "Any error, such as `not_yours`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
) -> Result<axum::Json<Page<Member>>, Problem> {
    let items = shared.store.members(account).await?.iter().map(shown_member).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// A link by which one person becomes a member. It works once, for three days.
#[utoipa::path(post, path = "/v1/accounts/{account}/invitations", tag = "accounts", operation_id = "invite",
    params(("account" = AccountId, Path, description = "Account id")),
    request_body = Invite, security(("operator" = []), ("member" = [])), responses(
    (status = 201, description = "Give it to that person", body = SignInLink),
    (status = "default", description = "Any error, such as `role_missing`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn invite(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<AccountId>,
    headers: HeaderMap,
    Json(asked): Json<Invite>,
) -> Result<(StatusCode, Extension<ShownOnce>, axum::Json<SignInLink>), Problem> {
    known(&shared, account).await?;
    link(&shared, &headers, account, asked.role, None).await
}

/// A link by which a member signs in on another device, or again. It works once, for three days.
#[utoipa::path(post, path = "/v1/accounts/{account}/members/{member}/link", tag = "accounts",
    operation_id = "link_member",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("member" = MemberId, Path, description = "Member id"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 201, description = "Give it to that person", body = SignInLink),
    (status = "default", description = "Any error, such as `unknown_member`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn link_again(
    State(shared): State<Arc<Shared>>,
    Path((account, member)): Path<(AccountId, MemberId)>,
    headers: HeaderMap,
) -> Result<(StatusCode, Extension<ShownOnce>, axum::Json<SignInLink>), Problem> {
    let members = shared.store.members(account).await?;
    let row = members.into_iter().find(|row| row.id == member).ok_or_else(unknown)?;
    link(&shared, &headers, account, row.role, Some(member)).await
}

async fn link(
    shared: &Shared,
    headers: &HeaderMap,
    account: AccountId,
    role: MemberRole,
    member: Option<MemberId>,
) -> Result<(StatusCode, Extension<ShownOnce>, axum::Json<SignInLink>), Problem> {
    let token = random::secret();
    let expires_at_ms = shared.now_ms() + LINK_MS;
    let row = LinkRow { token: hash(&token), account, role, member, expires_at_ms };
    shared.store.add_link(&row).await?;
    let url = format!("{}/account#join={token}", base(shared, headers));
    Ok((StatusCode::CREATED, Extension(ShownOnce), axum::Json(SignInLink { url, expires_at_ms })))
}

/// Changes what a member may do.
#[utoipa::path(put, path = "/v1/accounts/{account}/members/{member}", tag = "accounts", operation_id = "set_role",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("member" = MemberId, Path, description = "Member id"),
    ),
    request_body = SetRole, security(("operator" = []), ("member" = [])), responses(
    (status = 204, description = "It is so now"),
    (status = "default", description = "Any error, such as `last_owner`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn set_role(
    State(shared): State<Arc<Shared>>,
    Path((account, member)): Path<(AccountId, MemberId)>,
    Json(asked): Json<SetRole>,
) -> Result<StatusCode, Problem> {
    changed(shared.store.set_role(account, member, asked.role).await?)
}

/// Takes a member out, and signs them out everywhere. Keys that they made stay.
#[utoipa::path(delete, path = "/v1/accounts/{account}/members/{member}", tag = "accounts",
    operation_id = "remove_member",
    params(
        ("account" = AccountId, Path, description = "Account id"),
        ("member" = MemberId, Path, description = "Member id"),
    ),
    security(("operator" = []), ("member" = [])), responses(
    (status = 204, description = "They are no member"),
    (status = "default", description = "Any error, such as `last_owner`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path((account, member)): Path<(AccountId, MemberId)>,
) -> Result<StatusCode, Problem> {
    changed(shared.store.remove_member(account, member, shared.now_ms()).await?)
}

fn changed(outcome: Changed) -> Result<StatusCode, Problem> {
    match outcome {
        Changed::Done => Ok(StatusCode::NO_CONTENT),
        Changed::Unknown => Err(unknown()),
        Changed::LastOwner => {
            let detail = "Nobody would be left who lets people in. Make another member an owner first.";
            Err(Problem::new(Code::LastOwner, detail))
        }
    }
}

fn unknown() -> Problem {
    Problem::new(Code::UnknownMember, "The account has no such member.")
}

/// Uses a link up: whoever sends what stands behind its `#` becomes a member, or is signed in as one.
#[utoipa::path(post, path = "/v1/sign-in", tag = "accounts", operation_id = "sign_in",
    request_body = SignIn, responses(
    (status = 200, description = "Sets the cookie", body = Me),
    (status = "default", description = "Any error, such as `sign_in_needed` for a link that is used up",
     body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    Json(asked): Json<SignIn>,
) -> Result<Response, Problem> {
    limited(&shared, address)?;
    let secret = random::secret();
    let now_ms = shared.now_ms();
    let arrival = Arrival {
        token: hash(&asked.token),
        member: random::member_id(),
        name: name(asked.name.as_deref().unwrap_or("Member"))?,
        cookie: hash(&secret),
        cookie_expires_at_ms: now_ms + MEMBER_S * 1000,
        now_ms,
        identity: None,
    };
    let member = match shared.store.arrive(&arrival).await? {
        Arrived::As(member) => member,
        Arrived::Refused => {
            let detail =
                "This link was used already or is too old. Ask an owner of the account for a new one.";
            return Err(Problem::new(Code::SignInNeeded, detail));
        }
        Arrived::Full => {
            let detail = "The account has 200 members. An owner can take some out; the link stays good.";
            return Err(Problem::new(Code::TooManyMembers, detail));
        }
        // Only of those who come with an identity.
        Arrived::Already => {
            return Err(Problem::new(Code::TooManyMembers, "You are in the account already."));
        }
    };
    trail::of_member(&shared, &member, "POST /v1/sign-in", String::new(), StatusCode::OK).await;
    leave_before(&shared, &headers).await;
    let account = known(&shared, member.account).await?;
    Ok(signed_in(&shared, &member, &account, &secret))
}

/// Takes one sign-in from the address's allowance.
pub(super) fn limited(shared: &Shared, address: IpAddr) -> Result<(), Problem> {
    shared.sign_in_limit.take(address, Instant::now()).map_err(|wait_s| {
        shared.metrics.rate_limited.add();
        Problem::new(Code::TooManyRequests, format!("Try again in {wait_s} s.")).retry_after(wait_s)
    })
}

/// A member's cookie, fresh, and until when it holds.
pub(super) fn new_cookie(shared: &Shared) -> (String, NewCookie) {
    let secret = random::secret();
    let now_ms = shared.now_ms();
    let cookie = NewCookie { cookie: hash(&secret), expires_at_ms: now_ms + MEMBER_S * 1000, now_ms };
    (secret, cookie)
}

/// The header that gives a browser a member's cookie.
pub(super) fn member_cookie(shared: &Shared, secret: &str) -> String {
    set_cookie(shared, MEMBER_COOKIE, secret, MEMBER_S)
}

/// The answer to a member who came in.
pub(super) fn signed_in(shared: &Shared, member: &MemberRow, account: &AccountRow, secret: &str) -> Response {
    let me = Me { account: Some(shown(account)), member: Some(shown_member(member)), ..Me::default() };
    let headers = AppendHeaders([
        (header::SET_COOKIE, member_cookie(shared, secret)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ]);
    (headers, Extension(ShownOnce), axum::Json(me)).into_response()
}

/// Signs the member of the cookie out. Signing out again changes nothing.
#[utoipa::path(delete, path = "/v1/sign-in", tag = "accounts", operation_id = "sign_out",
    security((), ("member" = [])), responses(
    (status = 204, description = "The cookie opens nothing any more"),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let (Some(cookie), Some(_)) = (cookie(&headers, MEMBER_COOKIE), &caller.who.member) {
        shared.store.sign_out(hash(cookie)).await?;
    }
    let forget = set_cookie(&shared, MEMBER_COOKIE, "", 0);
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, forget)])).into_response())
}

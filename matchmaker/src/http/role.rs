//! Whether a caller is enough for a door; what it does there is written down and done once.

use super::origin::{self, Origin};
use super::problem::{Code, Problem};
use super::who::{self, Who, bearer, key_needed, sign_in_needed};
use super::{repeat, trail};
use crate::saves;
use crate::state::Shared;
use crate::store::SessionRow;
use crate::store::accounts::Holding;
use crate::trust;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use nearframe_protocol::account::{MemberRole, Scope};
use nearframe_protocol::check::{PROOF_HEADER, prover};
use nearframe_protocol::trust::Party;
use nearframe_protocol::{AccountId, Generation, GuestId, NodeId, PublicKey, SessionId};
use std::str::FromStr;
use std::sync::Arc;

/// What a door asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Anyone,
    /// Nothing either, but the handler learns who it is.
    Whoever,
    /// Nothing either, but only our own pages may ask, or no page at all: what it does signs this browser in.
    OwnPages,
    /// A member is signed in, of whichever account.
    SignedIn,
    /// Nothing either, but what the caller sees or makes belongs to the guest of its cookie, or to its key's account.
    Guest,
    /// The guest whose session it is, by cookie or by the session's ticket; a key of the account that pays; or an
    /// operator.
    SessionOwner,
    /// Whoever owns the session; a member of the account that pays, that publishes the title or that owns the node; or an
    /// operator.
    SessionParty,
    /// The node that was told to start the session, by its save token.
    SaveToken,
    /// The operator's link, or a member of an operator's account with this role or a higher one.
    Operator(MemberRole),
    /// A member of the account in the path with this role or a higher one, or an operator.
    Account(MemberRole),
    /// An operator, or for their own account: a member with this role or a higher one, or a key.
    Books(MemberRole),
    /// An operator, or a member of the account that owns the node in the path.
    NodeOwner,
    /// A key of an account, whatever its scopes: what it asks for has doors with scopes of their own.
    Key,
    /// A checker that is enrolled, by the signature of its key over the request.
    Checker,
    /// The socket's first message carries the session's ticket.
    Ticket,
    /// The socket's first message carries the signature of an enrolled node's key.
    NodeKey,
}

/// What is known of a door where it is guarded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) role: Role,
    /// What a key needs; without one, no key opens it.
    pub(crate) scope: Option<Scope>,
}

/// The caller, as far as the door asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// The guest of the cookie.
    pub(crate) guest: Option<GuestId>,
    /// Looked up only where the door's role needs it.
    pub(crate) who: Who,
    /// Whether cookie, ticket or key make the session of the path the caller's own.
    pub(crate) owner: bool,
    /// As what the caller has to do with it, for a door of [`Role::SessionParty`].
    pub(crate) party: Option<Party>,
    /// The session of the path, for a door of [`Role::SessionOwner`], [`Role::SessionParty`] or [`Role::SaveToken`].
    pub(crate) session: Option<SessionRow>,
    /// The generation that the save token was given to, for a door of [`Role::SaveToken`].
    pub(crate) generation: Option<Generation>,
    /// The key of the checker, for a door of [`Role::Checker`].
    pub(crate) checker: Option<PublicKey>,
}

/// Lets the request through if its caller has the role; the handler finds the [`Caller`] as an extension.
pub(crate) async fn authorize(
    State((shared, guard)): State<(Arc<Shared>, Guard)>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let params = match params {
        Ok(params) => params,
        Err(error) => return Problem::new(Code::BadId, error.body_text()).into_response(),
    };
    let mut caller = Caller { guest: who::guest(&shared, request.headers()), ..Caller::default() };
    let admitted = admit(&shared, guard, &params, request.headers(), &mut caller).await;
    let response = match admitted {
        Ok(()) => {
            if let (Some(member), Some(guest)) = (&caller.who.member, caller.guest) {
                trust::signed_in(&shared, member.0.account, guest).await;
            }
            request.extensions_mut().insert(caller.clone());
            repeat::once(&shared, guard, &caller, request, next).await
        }
        Err(problem) => problem.into_response(),
    };
    let ending = trail::Ending::of(&response);
    trail::note(&shared, guard, &params, &caller, ending).await;
    response
}

async fn admit(
    shared: &Shared,
    guard: Guard,
    params: &RawPathParams,
    headers: &HeaderMap,
    caller: &mut Caller,
) -> Result<(), Problem> {
    let is_public = matches!(guard.role, Role::Anyone | Role::Guest | Role::Ticket | Role::NodeKey);
    match who::key_text(headers) {
        Some(_) if is_public && guard.scope.is_none() => return Ok(()),
        Some(secret) => {
            let key = who::key(shared, secret).await?;
            let checked = who::check_scope(&key, guard.scope);
            caller.who.key = Some(Box::new(key));
            if !matches!(guard.role, Role::Whoever | Role::Key) {
                checked?;
            }
        }
        None if is_public || matches!(guard.role, Role::SaveToken | Role::Checker | Role::Key) => {}
        None => caller.who = Who::of_cookies(shared, headers).await?,
    }
    match guard.role {
        Role::Anyone | Role::Whoever | Role::Guest | Role::Ticket | Role::NodeKey => Ok(()),
        Role::OwnPages => own_pages(shared, headers),
        Role::Key => caller.who.key.as_ref().map(drop).ok_or_else(key_needed),
        Role::SignedIn => caller.who.member.as_ref().map(drop).ok_or_else(sign_in_needed),
        Role::Operator(role) => operator(&caller.who, role),
        Role::Account(role) => member(&caller.who, id(params, "account")?, role),
        Role::Books(role) => books(&caller.who, role),
        Role::NodeOwner => {
            let node: NodeId = id(params, "id")?;
            let owner = shared.store.owner(&Holding::Node(node)).await?;
            let owns = owner.is_some_and(|account| caller.who.may(account, MemberRole::Viewer));
            if owns { Ok(()) } else { operator(&caller.who, MemberRole::Viewer) }
        }
        Role::SessionOwner => session_owner(shared, guard, id(params, "id")?, headers, caller).await,
        Role::SessionParty => session_party(shared, guard, id(params, "id")?, headers, caller).await,
        Role::SaveToken => {
            let row = session(shared, id(params, "id")?).await?;
            let token = bearer(headers).and_then(|token| saves::generation_of_token(shared, &row, token));
            caller.generation = Some(token.ok_or_else(save_token_needed)?);
            caller.session = Some(row);
            Ok(())
        }
        Role::Checker => {
            caller.checker = Some(checker(shared, guard, headers).await?);
            Ok(())
        }
    }
}

async fn checker(shared: &Shared, guard: Guard, headers: &HeaderMap) -> Result<PublicKey, Problem> {
    let header = headers.get(PROOF_HEADER).and_then(|header| header.to_str().ok());
    let prover = header.and_then(|header| prover(header, shared.now_ms(), guard.method, guard.path));
    let key = prover.ok_or_else(checker_needed)?;
    let row = shared.store.checker(&key).await?;
    row.filter(|row| row.revoked_at_ms.is_none()).map(|row| row.key).ok_or_else(checker_needed)
}

async fn session_owner(
    shared: &Shared,
    guard: Guard,
    id: SessionId,
    headers: &HeaderMap,
    caller: &mut Caller,
) -> Result<(), Problem> {
    let row = session(shared, id).await?;
    let ticket = bearer(headers).map(|ticket| shared.is_ticket(id, ticket));
    caller.owner = match caller.who.payer() {
        Some(payer) => row.payer.is_some_and(|payers| payers.account == payer.account),
        None => caller.guest == Some(row.guest) || ticket == Some(true),
    };
    let least = if guard.method == "GET" { MemberRole::Viewer } else { MemberRole::Member };
    if !caller.owner && caller.who.operator() < Some(least) {
        return Err(not_owner(caller.guest.is_some() || ticket.is_some()));
    }
    caller.session = Some(row);
    Ok(())
}

/// Asking needs no role beyond seeing; disputing is done by whoever may change something.
async fn session_party(
    shared: &Shared,
    guard: Guard,
    id: SessionId,
    headers: &HeaderMap,
    caller: &mut Caller,
) -> Result<(), Problem> {
    let least = if guard.method == "GET" { MemberRole::Viewer } else { MemberRole::Member };
    let row = session(shared, id).await?;
    let of_title = shared.store.owner(&Holding::Title(row.title.clone())).await?;
    let of_node = shared.store.owner(&Holding::Node(row.node)).await?;
    let payer = row.payer.map(|payer| payer.account);
    let is_in =
        |account: Option<AccountId>| account.and_then(|account| caller.who.role_in(account)) >= Some(least);
    let found = if caller.who.key.is_some() {
        None
    } else if is_in(payer) || is_in(of_title) {
        Some(Party::Studio)
    } else if is_in(of_node) {
        Some(Party::Host)
    } else {
        None
    };
    if found.is_none() {
        session_owner(shared, guard, id, headers, caller).await?;
    }
    caller.party = found.or(Some(match (caller.owner, &caller.who.key) {
        (true, Some(_)) => Party::Studio,
        (true, None) => Party::Player,
        (false, _) => Party::Operator,
    }));
    caller.session = Some(row);
    Ok(())
}

fn own_pages(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    match origin::classify(shared, headers) {
        Origin::Absent | Origin::Own => Ok(()),
        Origin::Listed(_) | Origin::Stranger => {
            let detail = "Only this server's own pages may sign somebody in. Open its account page instead.";
            Err(Problem::new(Code::OriginNotAllowed, detail))
        }
    }
}

fn operator(who: &Who, role: MemberRole) -> Result<(), Problem> {
    match who.operator() {
        Some(has) if has >= role => Ok(()),
        Some(_) => Err(role_missing(role)),
        None => Err(operator_needed()),
    }
}

fn member(who: &Who, account: AccountId, role: MemberRole) -> Result<(), Problem> {
    if who.may(account, role) {
        return Ok(());
    }
    match who.account() {
        Some(own) if own == account => Err(role_missing(role)),
        Some(_) => Err(Problem::new(Code::NotYours, "You are a member of another account.")),
        None if who.operator().is_some() => Err(role_missing(MemberRole::Owner)),
        None => Err(sign_in_needed()),
    }
}

fn books(who: &Who, role: MemberRole) -> Result<(), Problem> {
    let of_member = who.member.as_ref().is_some_and(|member| member.0.role >= role);
    if who.operator() >= Some(role) || who.key.is_some() || of_member {
        return Ok(());
    }
    Err(if who.member.is_some() { role_missing(role) } else { sign_in_needed() })
}

/// An id of the path.
fn id<T: FromStr>(params: &RawPathParams, wanted: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    let text = params.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
    text.parse().map_err(|error: T::Err| Problem::new(Code::BadId, error.to_string()))
}

async fn session(shared: &Shared, id: SessionId) -> Result<SessionRow, Problem> {
    shared.store.session(id).await?.ok_or_else(unknown_session)
}

pub(crate) fn unknown_session() -> Problem {
    Problem::new(Code::UnknownSession, "No session has this id. Start a new one with POST /v1/sessions.")
}

fn not_owner(known: bool) -> Problem {
    if known {
        Problem::new(Code::NotYours, "This session belongs to somebody else.")
    } else {
        Problem::new(
            Code::SignInNeeded,
            "Send the guest cookie, or the session's ticket or a key as `Authorization: Bearer …`.",
        )
    }
}

fn save_token_needed() -> Problem {
    Problem::new(
        Code::SignInNeeded,
        "Send the session's save token as `Authorization: Bearer …`; it holds until 10 minutes after the end.",
    )
}

pub(crate) fn checker_needed() -> Problem {
    let detail = "Only an enrolled checker may do this, with a signature of its key that is less than a minute off this \
                  server's clock. An operator enrols it with PUT /v1/checkers/{key}; a key that was revoked stays so.";
    Problem::new(Code::SignInNeeded, detail)
}

fn operator_needed() -> Problem {
    Problem::new(
        Code::SignInNeeded,
        "Only an operator may do this. Open the one-time operator link that the matchmaker printed.",
    )
}

fn role_missing(role: MemberRole) -> Problem {
    let detail =
        format!("It takes the role `{}`. An owner of the account can give it to you.", role.as_str());
    Problem::new(Code::RoleMissing, detail)
}

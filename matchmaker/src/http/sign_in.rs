//! Sign-in by an identity from elsewhere (OpenID Connect): to the provider's page and back, and the choice that may follow.
//!
//! What is under way is kept in the store under a hash of two secrets: the state, which travels through the provider, and
//! a cookie, which does not. So any replica finishes it, no other browser can, and nobody can twice.

use super::accounts::name;
use super::members::{limited, member_cookie, new_cookie, signed_in};
use super::problem::{Code, Json, Path, Problem, Query};
use super::role::Caller;
use super::who::{MEMBER_COOKIE, SIGN_IN_COOKIE, cookie, set_cookie, sign_in_needed};
use super::{Address, trail};
use crate::oidc::{Answer, Kept, OidcError, Provider};
use crate::random;
use crate::state::{Shared, hash};
use crate::store::Hash;
use crate::store::accounts::{AccountRow, Arrival, Arrived, MemberRow, Purse};
use crate::store::sign_in::{Added, IdentityRow, Newcomer, Outsider, PendingRow};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use nearframe_protocol::MemberId;
use nearframe_protocol::account::{AccountKind, Me, MemberRole};
use nearframe_protocol::api;
use nearframe_protocol::sign_in::{
    BeginSignIn, BegunSignIn, ChoiceMember, Choose, SignInChoice, SignInProvider, SignInWays,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A sign-in may take this long, in seconds: some providers ask for a second factor.
pub(super) const UNDER_WAY_S: u64 = 600;
/// Sign-ins under way at once. Where somebody begins more, the oldest are over: the others still have a while.
const MOST_UNDER_WAY: u32 = 20_000;
/// Longest code and state that are looked at, in bytes.
const MAX_ANSWER: usize = 4096;
/// The door that providers send browsers back to.
const CALLBACK: &str = "GET /v1/sign-in/oidc/{provider}/callback";

/// What an identity is wanted for.
#[derive(Serialize, Deserialize)]
enum Purpose {
    SignIn,
    Join { token: Hash, name: Option<String> },
    Link { member: MemberId },
}

/// What is remembered while the provider's page is open.
#[derive(Serialize, Deserialize)]
struct UnderWay {
    provider: String,
    kept: Kept,
    purpose: Purpose,
}

/// Who came, and may be several people here, or nobody yet.
#[derive(Serialize, Deserialize)]
struct Came {
    issuer: String,
    subject: String,
    name: String,
}

impl Came {
    fn who(&self) -> Outsider {
        Outsider { issuer: self.issuer.clone(), subject: self.subject.clone(), name: self.name.clone() }
    }
}

fn state_key(state: &str, browser: &str) -> Hash {
    hash(&format!("oidc/{state}/{browser}"))
}

fn choice_key(browser: &str) -> Hash {
    hash(&format!("choice/{browser}"))
}

/// Remembers something for a browser that is about to sign in.
pub(super) async fn remember(shared: &Shared, key: Hash, body: String, for_s: u64) -> Result<(), Problem> {
    let now_ms = shared.now_ms();
    let pending = PendingRow { key, body, expires_at_ms: now_ms + for_s * 1000 };
    Ok(shared.store.add_pending(&pending, MOST_UNDER_WAY, now_ms).await?)
}

fn json_of(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

fn provider<'a>(shared: &'a Shared, id: &str) -> Result<&'a Provider, Problem> {
    let found = shared.providers.named(id);
    found.ok_or_else(|| {
        Problem::new(Code::UnknownProvider, "This server has no such provider. See GET /v1/sign-in.")
    })
}

fn callback_url(shared: &Shared, headers: &HeaderMap, provider: &str) -> String {
    format!("{}/v1/sign-in/oidc/{provider}/callback", super::base(shared, headers))
}

/// How members of this server may sign in.
#[utoipa::path(get, path = "/v1/sign-in", tag = "accounts", operation_id = "sign_in_ways", responses(
    (status = 200, description = "Beside the links that owners and operators give", body = SignInWays),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn ways(State(shared): State<Arc<Shared>>) -> axum::Json<SignInWays> {
    let provider =
        |config: &crate::OidcProvider| SignInProvider { id: config.id.clone(), label: config.label.clone() };
    let providers: Vec<_> = shared.providers.all().map(provider).collect();
    let new_accounts = if providers.is_empty() { vec![] } else { shared.config.new_accounts.clone() };
    axum::Json(SignInWays { providers, passkeys: shared.passkeys.offer(), new_accounts })
}

/// To the provider's page, to sign in. The answer comes back to this server, which sends the browser to `/account`.
#[utoipa::path(get, path = "/v1/sign-in/oidc/{provider}", tag = "accounts", operation_id = "sign_in_at_provider",
    params(("provider" = String, Path, description = "Provider id")), responses(
    (status = 303, description = "The provider's page, or `/account#sign-in=…` where that is not to be had"),
    (status = "default", description = "Any error, such as `unknown_provider`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn to_provider(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Address(address): Address,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    provider(&shared, &id)?;
    if limited(&shared, address).is_err() {
        return Ok(landing("too_many", vec![]));
    }
    match begin(&shared, &headers, &id, Purpose::SignIn).await {
        Ok((url, cookie)) => Ok(see_other(&url, vec![cookie])),
        Err(problem) if problem.is(Code::ProviderDown) => Ok(landing("provider_down", vec![])),
        Err(problem) => Err(problem),
    }
}

/// The address of the provider's page, to sign in, to use an invitation up, or to be one more way in for the member who
/// is signed in. Sets a cookie that the way back needs.
#[utoipa::path(post, path = "/v1/sign-in/oidc/{provider}", tag = "accounts", operation_id = "begin_sign_in",
    params(("provider" = String, Path, description = "Provider id")),
    request_body = BeginSignIn, security((), ("member" = [])), responses(
    (status = 200, description = "Where the browser is to go", body = BegunSignIn),
    (status = "default", description = "Any error, such as `provider_down`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn begin_at_provider(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    Address(address): Address,
    headers: HeaderMap,
    Json(asked): Json<BeginSignIn>,
) -> Result<Response, Problem> {
    limited(&shared, address)?;
    let purpose = match asked {
        BeginSignIn::SignIn => Purpose::SignIn,
        BeginSignIn::Join { token, name: wanted } => {
            let name = wanted.as_deref().map(name).transpose()?;
            Purpose::Join { token: hash(&token), name }
        }
        BeginSignIn::Link => {
            let member = caller.who.member.as_ref().ok_or_else(sign_in_needed)?;
            Purpose::Link { member: member.0.id }
        }
    };
    let (url, cookie) = begin(&shared, &headers, &id, purpose).await?;
    let headers =
        AppendHeaders([(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, "no-store".to_owned())]);
    Ok((headers, axum::Json(BegunSignIn { url })).into_response())
}

/// Remembers a sign-in, and gives the provider's page with the cookie of the browser that goes there.
async fn begin(
    shared: &Shared,
    headers: &HeaderMap,
    id: &str,
    purpose: Purpose,
) -> Result<(String, String), Problem> {
    let begun = provider(shared, id)?.begin(&callback_url(shared, headers, id)).await.map_err(|error| {
        tracing::warn!(provider = id, %error, "a sign-in cannot begin");
        let detail = "The provider does not answer. Try again in a moment, or sign in another way.";
        Problem::new(Code::ProviderDown, detail).retry_after(10)
    })?;
    // Fresh each time: whoever could set a cookie beforehand knows nothing of this one.
    let browser = random::secret();
    let under_way = UnderWay { provider: id.to_owned(), kept: begun.kept, purpose };
    remember(shared, state_key(&begun.state, &browser), json_of(&under_way)?, UNDER_WAY_S).await?;
    Ok((begun.url, set_cookie(shared, SIGN_IN_COOKIE, &browser, UNDER_WAY_S)))
}

/// What the provider sends back with the browser.
#[derive(Deserialize)]
pub(crate) struct Back {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Why somebody is not signed in, in a word that the account's page explains.
struct NotIn(&'static str);

impl From<crate::store::StoreError> for NotIn {
    fn from(error: crate::store::StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self("unavailable")
    }
}

impl From<Problem> for NotIn {
    fn from(_: Problem) -> Self {
        Self("unavailable")
    }
}

/// Back from the provider. Whatever became of it, the account's page says it.
#[utoipa::path(get, path = "/v1/sign-in/oidc/{provider}/callback", tag = "accounts",
    operation_id = "back_from_provider",
    params(
        ("provider" = String, Path, description = "Provider id"),
        ("state" = Option<String>, Query, description = "What was sent there"),
        ("code" = Option<String>, Query, description = "What the provider proves itself with"),
        ("iss" = Option<String>, Query, description = "The provider (RFC 9207)"),
        ("error" = Option<String>, Query, description = "Why there is no code"),
    ), responses(
    (status = 303, description = "`/account`, signed in; `/account#choose`; or `/account#sign-in=…` with why not"),
    (status = "default", description = "Any error", body = api::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn back(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    Address(address): Address,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Response {
    if limited(&shared, address).is_err() {
        return landing("too_many", vec![]);
    }
    match returned(&shared, &id, &caller, &headers, &back).await {
        Ok(response) => response,
        Err(NotIn(why)) => landing(why, vec![set_cookie(&shared, SIGN_IN_COOKIE, "", 0)]),
    }
}

async fn returned(
    shared: &Shared,
    id: &str,
    caller: &Caller,
    headers: &HeaderMap,
    back: &Back,
) -> Result<Response, NotIn> {
    let expired = || NotIn("expired");
    let state = back.state.as_deref().filter(|state| state.len() <= MAX_ANSWER).ok_or_else(expired)?;
    let browser = cookie(headers, SIGN_IN_COOKIE).ok_or_else(expired)?;
    let taken = shared.store.take_pending(state_key(state, browser), shared.now_ms()).await?;
    let under_way: UnderWay = taken.and_then(|body| serde_json::from_str(&body).ok()).ok_or_else(expired)?;
    // Another provider's answer is none of this one.
    if under_way.provider != id {
        return Err(NotIn("bad_answer"));
    }
    let provider = shared.providers.named(id).ok_or_else(expired)?;
    if let Some(error) = &back.error {
        tracing::info!(
            provider = id,
            error = error.chars().take(100).collect::<String>(),
            "the provider signs nobody in"
        );
        return Err(NotIn(if error == "access_denied" { "denied" } else { "provider_error" }));
    }
    let code = back.code.as_deref().filter(|code| code.len() <= MAX_ANSWER).ok_or(NotIn("bad_answer"))?;
    let answer = Answer { code, issuer: back.iss.as_deref() };
    let redirect = callback_url(shared, headers, id);
    let proved = provider.finish(&answer, &under_way.kept, &redirect, shared.now_ms()).await;
    let who = proved.map_err(|error| {
        tracing::warn!(provider = id, %error, "a sign-in is refused");
        NotIn(if matches!(error, OidcError::Down(_)) { "provider_down" } else { "bad_answer" })
    })?;
    match under_way.purpose {
        Purpose::SignIn => come(shared, who, headers, browser).await,
        Purpose::Join { token, name } => join(shared, who, token, name, headers).await,
        Purpose::Link { member } => link(shared, who, member, caller).await,
    }
}

/// Signs the one member in that the identity is linked to; where it is not one, a choice follows.
async fn come(shared: &Shared, who: Outsider, headers: &HeaderMap, browser: &str) -> Result<Response, NotIn> {
    let linked = shared.store.members_of_identity(&who.issuer, &who.subject).await?;
    if let [(member, _)] = &linked[..] {
        let (secret, fresh) = new_cookie(shared);
        if shared.store.sign_in_by_identity(&who, member.id, fresh).await? {
            trail::of_member(shared, member, CALLBACK, String::new(), StatusCode::SEE_OTHER).await;
            return Ok(arrived(shared, headers, &secret).await);
        }
    }
    if linked.is_empty() && shared.config.new_accounts.is_empty() {
        return Err(NotIn("no_account"));
    }
    let came = Came { issuer: who.issuer, subject: who.subject, name: who.name };
    let body = json_of(&came)?;
    remember(shared, choice_key(browser), body, UNDER_WAY_S).await?;
    Ok(see_other("/account#choose", vec![]))
}

/// Uses an invitation up.
async fn join(
    shared: &Shared,
    who: Outsider,
    token: Hash,
    name: Option<String>,
    headers: &HeaderMap,
) -> Result<Response, NotIn> {
    let (secret, fresh) = new_cookie(shared);
    let member = random::member_id();
    let arrival = Arrival {
        token,
        member,
        name: name.unwrap_or_else(|| who.name.clone()),
        cookie: fresh.cookie,
        cookie_expires_at_ms: fresh.expires_at_ms,
        now_ms: fresh.now_ms,
        identity: Some(identity(who, member, fresh.now_ms)),
    };
    match shared.store.arrive(&arrival).await? {
        Arrived::As(member) => {
            trail::of_member(shared, &member, CALLBACK, "linked".to_owned(), StatusCode::SEE_OTHER).await;
            Ok(arrived(shared, headers, &secret).await)
        }
        Arrived::Refused => Err(NotIn("link_used")),
        Arrived::Full => Err(NotIn("full")),
        Arrived::Already => Err(NotIn("already")),
    }
}

/// Links the identity to the member who asked for it, if they still are who is signed in.
async fn link(shared: &Shared, who: Outsider, member: MemberId, caller: &Caller) -> Result<Response, NotIn> {
    let Some(here) = caller.who.member.as_ref().filter(|here| here.0.id == member) else {
        return Err(NotIn("not_signed_in"));
    };
    let row = identity(who, member, shared.now_ms());
    let added = shared.store.link_identity(&row).await?;
    let status = if added == Added::Done { StatusCode::SEE_OTHER } else { StatusCode::CONFLICT };
    trail::of_member(shared, &here.0, CALLBACK, format!("linked {}", row.id), status).await;
    match added {
        Added::Done => Ok(landing("linked", vec![set_cookie(shared, SIGN_IN_COOKIE, "", 0)])),
        Added::Full | Added::Taken => Err(NotIn("full")),
        Added::Unknown => Err(NotIn("not_signed_in")),
    }
}

fn identity(who: Outsider, member: MemberId, now_ms: u64) -> IdentityRow {
    let id = random::identity_id();
    IdentityRow { id, who, member, linked_at_ms: now_ms, last_used_ms: Some(now_ms) }
}

/// Forgets whoever was signed in before in this browser.
pub(super) async fn leave_before(shared: &Shared, headers: &HeaderMap) {
    if let Some(old) = cookie(headers, MEMBER_COOKIE)
        && let Err(error) = shared.store.sign_out(hash(old)).await
    {
        tracing::warn!(%error, "an old cookie stays good until its end");
    }
}

async fn arrived(shared: &Shared, headers: &HeaderMap, secret: &str) -> Response {
    leave_before(shared, headers).await;
    see_other("/account", vec![member_cookie(shared, secret), set_cookie(shared, SIGN_IN_COOKIE, "", 0)])
}

/// To the account's page, with a word for what became of it.
fn landing(word: &str, cookies: Vec<String>) -> Response {
    see_other(&format!("/account#sign-in={word}"), cookies)
}

fn see_other(to: &str, cookies: Vec<String>) -> Response {
    let fixed = [(header::LOCATION, to.to_owned()), (header::CACHE_CONTROL, "no-store".to_owned())];
    let set = cookies.into_iter().map(|cookie| (header::SET_COOKIE, cookie));
    let headers: Vec<_> = fixed.into_iter().chain(set).collect();
    let mut response = StatusCode::SEE_OTHER.into_response();
    for (name, value) in headers {
        // Addresses and cookies are ASCII without line ends.
        if let Ok(value) = value.parse() {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn no_choice() -> Problem {
    Problem::new(Code::UnknownSignIn, "There is nothing to choose, or it took too long. Sign in again.")
}

/// Kinds of account that somebody may make, whom nobody knows.
fn may_make(shared: &Shared, linked: &[(MemberRow, AccountRow)]) -> Vec<AccountKind> {
    if linked.is_empty() { shared.config.new_accounts.clone() } else { vec![] }
}

async fn came(shared: &Shared, headers: &HeaderMap) -> Result<(Came, Hash), Problem> {
    let key = choice_key(cookie(headers, SIGN_IN_COOKIE).ok_or_else(no_choice)?);
    let body = shared.store.pending(key, shared.now_ms()).await?;
    let came = body.and_then(|body| serde_json::from_str(&body).ok());
    Ok((came.ok_or_else(no_choice)?, key))
}

/// As whom the identity may sign in that came last in this browser, where that is not one member alone.
#[utoipa::path(get, path = "/v1/sign-in/choice", tag = "accounts", operation_id = "sign_in_choice", responses(
    (status = 200, description = "For ten minutes", body = SignInChoice),
    (status = "default", description = "Any error, such as `unknown_sign_in`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn choice(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<axum::Json<SignInChoice>, Problem> {
    let (came, _) = came(&shared, &headers).await?;
    let linked = shared.store.members_of_identity(&came.issuer, &came.subject).await?;
    let new_accounts = may_make(&shared, &linked);
    let members = linked.into_iter().map(|(member, account)| ChoiceMember {
        member: member.id,
        name: member.name,
        role: member.role,
        account: account.id,
        account_name: account.name,
        kind: account.kind,
    });
    Ok(axum::Json(SignInChoice { name: came.name, members: members.collect(), new_accounts }))
}

/// Signs in as one of the members that an identity is linked to, or as the owner of a new account.
#[utoipa::path(post, path = "/v1/sign-in/choice", tag = "accounts", operation_id = "choose_sign_in",
    request_body = Choose, responses(
    (status = 200, description = "Sets the cookie", body = Me),
    (status = "default", description = "Any error, such as `unknown_sign_in`", body = api::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn choose(
    State(shared): State<Arc<Shared>>,
    Address(address): Address,
    headers: HeaderMap,
    Json(asked): Json<Choose>,
) -> Result<Response, Problem> {
    limited(&shared, address)?;
    let (came, key) = came(&shared, &headers).await?;
    let who = came.who();
    let linked = shared.store.members_of_identity(&who.issuer, &who.subject).await?;
    let (member, account, is_new) = match asked {
        Choose::Member { member } => {
            let found = linked.into_iter().find(|(row, _)| row.id == member);
            let (member, account) = found.ok_or_else(|| {
                Problem::new(Code::UnknownMember, "The identity is not linked to this member.")
            })?;
            (member, account, false)
        }
        Choose::NewAccount { kind, name: wanted } => {
            if !may_make(&shared, &linked).contains(&kind) {
                let detail = format!("Accounts of the kind {} are made by invitation here.", kind.as_str());
                return Err(Problem::new(Code::NotOffered, detail));
            }
            let account = new_account(&shared, kind, name(&wanted)?);
            let member = MemberRow {
                id: random::member_id(),
                account: account.id,
                name: who.name.clone(),
                role: MemberRole::Owner,
                joined_at_ms: account.created_at_ms,
            };
            (member, account, true)
        }
    };
    // Whoever takes it first signs in; who comes second finds nothing.
    shared.store.take_pending(key, shared.now_ms()).await?.ok_or_else(no_choice)?;
    let (secret, fresh) = new_cookie(&shared);
    let done = if is_new {
        let identity = identity(who, member.id, fresh.now_ms);
        let newcomer = Newcomer { account: account.clone(), member: member.clone(), identity };
        shared.store.add_newcomer(&newcomer, fresh).await?
    } else {
        shared.store.sign_in_by_identity(&who, member.id, fresh).await?
    };
    if !done {
        return Err(no_choice());
    }
    let subject = if is_new { account.id.to_string() } else { String::new() };
    trail::of_member(&shared, &member, "POST /v1/sign-in/choice", subject, StatusCode::OK).await;
    leave_before(&shared, &headers).await;
    Ok(signed_in(&shared, &member, &account, &secret))
}

/// One that may spend nothing.
fn new_account(shared: &Shared, kind: AccountKind, name: String) -> AccountRow {
    let purse = Purse::new(shared.config.currency.clone(), Some(0));
    AccountRow { id: random::account_id(), kind, name, created_at_ms: shared.now_ms(), purse }
}

//! Who is calling, beside the guest: the operator, a member, a program with a key; each by what they can prove.
//!
//! **Architecture invariant:** the cookies of operators and members count only where the request comes from our own
//! pages or from no page at all: sites that may embed the player act for guests, never for them.

use super::origin::{self, Origin};
use super::problem::{Code, Problem};
use crate::keys;
use crate::state::{Shared, hash};
use crate::store::Payer;
use crate::store::accounts::{AccountRow, KeyRow, MemberRow, USE_NOTED_MS};
use axum::http::{HeaderMap, header};
use nearframe_protocol::account::{AccountKind, Actor, MemberRole, Scope};
use nearframe_protocol::{AccountId, GuestId};

/// The guest's cookie.
pub(crate) const GUEST_COOKIE: &str = "nf_guest";
/// The operator's cookie.
pub(crate) const OPERATOR_COOKIE: &str = "nf_operator";
/// A member's cookie.
pub(crate) const MEMBER_COOKIE: &str = "nf_member";
/// The cookie of a browser that is about to sign in.
pub(crate) const SIGN_IN_COOKIE: &str = "nf_sign_in";

/// Whose books somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Books {
    /// An operator, everybody's.
    All,
    /// Their own account's.
    Of(AccountId),
}

/// Who proved that they are somebody. A browser may be operator and member at once; a key stands alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    /// The operator's link was opened in this browser.
    pub(crate) link: bool,
    pub(crate) member: Option<Box<(MemberRow, AccountRow)>>,
    pub(crate) key: Option<Box<KeyRow>>,
}

impl Who {
    /// By cookies.
    pub(crate) async fn of_cookies(shared: &Shared, headers: &HeaderMap) -> Result<Self, Problem> {
        if !matches!(origin::classify(shared, headers), Origin::Absent | Origin::Own) {
            return Ok(Self::default());
        }
        let now = shared.now_ms();
        let link = match cookie(headers, OPERATOR_COOKIE) {
            Some(cookie) => shared.store.is_operator(hash(cookie), now).await?,
            None => false,
        };
        let member = match cookie(headers, MEMBER_COOKIE) {
            Some(cookie) => shared.store.member_of_cookie(hash(cookie), now).await?,
            None => None,
        };
        Ok(Self { link, member: member.map(Box::new), key: None })
    }

    /// How far an operator's doors are open.
    pub(crate) fn operator(&self) -> Option<MemberRole> {
        let of_account = self.member.as_ref().filter(|member| member.1.kind == AccountKind::Operator);
        if self.link { Some(MemberRole::Owner) } else { of_account.map(|member| member.0.role) }
    }

    /// What the caller is in an account, as a member of it.
    pub(crate) fn role_in(&self, account: AccountId) -> Option<MemberRole> {
        self.member.as_ref().filter(|member| member.0.account == account).map(|member| member.0.role)
    }

    /// Whether the caller may act for an account as this role does: by being it, or for the whole server.
    pub(crate) fn may(&self, account: AccountId, role: MemberRole) -> bool {
        // What changes an account from outside asks for an operator's highest role.
        let outside = if role == MemberRole::Viewer { MemberRole::Viewer } else { MemberRole::Owner };
        self.role_in(account) >= Some(role) || self.operator() >= Some(outside)
    }

    /// The account of member or key.
    pub(crate) fn account(&self) -> Option<AccountId> {
        let of_member = self.member.as_ref().map(|member| member.0.account);
        self.key.as_ref().map(|key| key.account).or(of_member)
    }

    /// Whose books the caller reads.
    pub(crate) fn books(&self) -> Result<Books, Problem> {
        let own = self.account().map(Books::Of);
        let all = self.operator().map(|_| Books::All);
        all.or(own).ok_or_else(sign_in_needed)
    }

    /// Who pays for what the caller starts, in the studio's place.
    pub(crate) fn payer(&self) -> Option<Payer> {
        self.key.as_ref().map(|key| Payer { account: key.account, key: Some(key.id) })
    }

    /// As the audit trail names them: a person rather than a link.
    pub(crate) fn actor(&self) -> Option<Actor> {
        match (&self.key, &self.member) {
            (Some(key), _) => Some(Actor::Key { id: key.id }),
            (None, Some(member)) => Some(Actor::Member { id: member.0.id }),
            (None, None) => self.link.then_some(Actor::Operator),
        }
    }
}

pub(crate) fn sign_in_needed() -> Problem {
    Problem::new(
        Code::SignInNeeded,
        "Sign in on the account's page, or send a key as `Authorization: Bearer …`.",
    )
}

pub(crate) fn key_needed() -> Problem {
    let detail =
        "Send a key of an account as `Authorization: Bearer …`. A member makes one on the account's page.";
    Problem::new(Code::SignInNeeded, detail)
}

/// The key of the request, if it was sent one.
pub(crate) fn key_text(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).filter(|text| keys::is_meant(text))
}

/// The key with this secret, if it opens anything now.
pub(crate) async fn key(shared: &Shared, secret: &str) -> Result<KeyRow, Problem> {
    let bad = |detail: &str| Err(Problem::new(Code::BadKey, detail));
    if !keys::is_whole(secret) {
        return bad("The key is mistyped or cut short: copy it again, whole.");
    }
    let Some(row) = shared.store.key_of_secret(hash(secret)).await? else {
        return bad("No key of this server has this secret. Make one on the account's page.");
    };
    let now = shared.now_ms();
    if row.revoked_at_ms.is_some() {
        return bad("The key was revoked. Make a new one on the account's page.");
    }
    if row.expires_at_ms.is_some_and(|expires| expires <= now) {
        return bad("The key has expired. Make a new one on the account's page.");
    }
    if row.last_used_ms.is_none_or(|last| last + USE_NOTED_MS <= now)
        && let Err(error) = shared.store.note_key_use(row.id, now).await
    {
        tracing::warn!(%error, key = %row.id, "the last use of a key is not written down");
    }
    Ok(row)
}

/// Refuses a key without this scope.
pub(crate) fn check_scope(key: &KeyRow, scope: Option<Scope>) -> Result<(), Problem> {
    match scope {
        Some(scope) if key.scopes.contains(&scope) => Ok(()),
        Some(scope) => {
            let detail = format!("The key lacks the scope `{}`: make one that has it.", scope.as_str());
            Err(Problem::new(Code::ScopeMissing, detail))
        }
        None => Err(Problem::new(Code::ScopeMissing, "No key opens this door: sign in as a member.")),
    }
}

pub(crate) fn guest(shared: &Shared, headers: &HeaderMap) -> Option<GuestId> {
    cookie(headers, GUEST_COOKIE).and_then(|cookie| shared.guest_of_cookie(cookie))
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
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

//! Accounts, their members and their keys, as `/v1` shows them.
//!
//! An *account* is who pays, earns or decides; a *member* is a person in it; a *key* is a program's way in, with
//! scopes and a budget. Secrets (links, keys, cookies) leave the server once, in the answer that makes them.

use crate::money::{Money, MoneyJson};
use crate::{AccountId, ApiKeyId, MemberId, NodeId, TitleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Words in JSON and databases for the variants of an enum.
macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
            /// The word for it, in JSON and in databases.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            /// What a word stands for.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == word)
            }
        }
    };
}
pub(crate) use words;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// Publishes titles, or plays and renders with keys; pays.
    Studio,
    /// Runs machines; earns.
    Host,
    /// Runs this server: its members are operators.
    Operator,
    /// Plays, and wants to be known from one device to the next.
    Player,
}
words!(AccountKind { Studio => "studio", Host => "host", Operator => "operator", Player => "player" });

/// What a member may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Looks: budget, use, statements, who is in it, which keys there are.
    Viewer,
    /// Makes, limits and revokes keys.
    Member,
    /// Lets people in and out, and reads who did what.
    Owner,
}
words!(MemberRole { Viewer => "viewer", Member => "member", Owner => "owner" });

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Asks for prices.
    Quotes,
    /// Starts sessions, and looks at and ends those of its account.
    Sessions,
    /// Reads what its account used and what that cost.
    Usage,
}
words!(Scope { Quotes => "quotes", Sessions => "sessions", Usage => "usage" });

/// What may be spent, and what is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Allowance {
    /// The most that is ever set aside and spent; absent: without a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub limit: Option<Money>,
    /// What is set aside or spent.
    #[schema(value_type = MoneyJson)]
    pub committed: Money,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Id.
    pub id: AccountId,
    /// What it is for.
    pub kind: AccountKind,
    /// What people call it.
    pub name: String,
    /// Unix ms.
    pub created_at_ms: u64,
    /// Of all its keys together.
    pub allowance: Allowance,
}

/// `POST /v1/accounts`. A new account may spend nothing until `PUT /v1/accounts/{account}/allowance` lets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// What it is for.
    pub kind: AccountKind,
    /// What people call it, 1 to 100 characters.
    pub name: String,
}

/// `PUT` of an `allowance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAllowance {
    /// The most that may be set aside and spent, all that was before included; absent: without a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub limit: Option<Money>,
}

/// What an account owns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holdings {
    /// It pays for those who play these as guests.
    pub titles: Vec<TitleId>,
    /// It is paid for these.
    pub nodes: Vec<NodeId>,
}

/// `PUT /v1/titles/{id}/owner` and `PUT /v1/nodes/{id}/owner`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetOwner {
    /// Whose it is from now on; absent: nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

/// A person in an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Id.
    pub id: MemberId,
    /// What they call themselves.
    pub name: String,
    /// What they may do.
    pub role: MemberRole,
    /// Unix ms.
    pub joined_at_ms: u64,
}

/// `POST /v1/accounts/{account}/invitations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// What the new member may do.
    pub role: MemberRole,
}

/// `PUT /v1/accounts/{account}/members/{member}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// What the member may do from now on.
    pub role: MemberRole,
}

/// A link that signs one person in, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    /// To be opened in a browser. What proves it stands behind `#`, which browsers send to nobody.
    pub url: String,
    /// Unix ms.
    pub expires_at_ms: u64,
}

/// `POST /v1/sign-in`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// What stands behind `#` in the link.
    pub token: String,
    /// What a new member wants to be called, 1 to 100 characters; ignored where the link is for one who is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `POST /v1/accounts/{account}/keys`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// What it opens; at least one.
    pub scopes: Vec<Scope>,
    /// The most that it may ever set aside and spend; absent: as much as its account may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneyJson>)]
    pub limit: Option<Money>,
    /// When it stops to work, Unix ms; absent: when it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// How its secret begins, to tell one from another.
    #[schema(example = "nf_live_7Gq2")]
    pub prefix: String,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// What it may spend, within what its account may.
    pub allowance: Allowance,
    /// Unix ms.
    pub created_at_ms: u64,
    /// The member who made it; absent: an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<MemberId>,
    /// Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// When it was used last, to the minute, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_ms: Option<u64>,
}

/// Answer to `POST /v1/accounts/{account}/keys`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key.
    pub key: ApiKey,
    /// What goes behind `Authorization: Bearer `. Shown this once.
    #[schema(example = "nf_live_7Gq2…")]
    pub secret: String,
}

/// `GET /v1/me`: who the server takes the caller for. A guest is none of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Whether an operator's doors are open, and how far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<MemberRole>,
    /// The account of member or key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// The member who is signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
    /// The key that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ApiKey>,
}

/// Whose budget does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Short {
    /// The key's own.
    Key,
    /// That of the whole account.
    Account,
}

/// What a 402 offers: what it would cost, what is left, and how to have more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    /// What an hour costs.
    #[schema(value_type = MoneyJson)]
    pub price_per_hour: Money,
    /// What has to be free to start: an hour, of which what is not used comes back.
    #[schema(value_type = MoneyJson)]
    pub needed: Money,
    /// What is free.
    #[schema(value_type = MoneyJson)]
    pub left: Money,
    /// Whose limit stands in the way.
    pub short: Short,
    /// Where the limit is raised.
    pub raise: Raise,
}

/// How a limit is raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Raise {
    /// HTTP method.
    #[schema(example = "PUT")]
    pub method: String,
    /// Path on this server; the body is `{"limit": {"amount": "…", "currency": "…"}}`.
    pub path: String,
    /// Who may: `member` of the account, or `operator`.
    pub by: String,
    /// The lowest limit that would do.
    #[schema(value_type = MoneyJson)]
    pub to_at_least: Money,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// Whoever opened the operator's link.
    Operator,
    /// A member.
    Member {
        /// Who.
        id: MemberId,
    },
    /// A program with a key.
    Key {
        /// Which.
        id: ApiKeyId,
    },
}

/// A line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditLine {
    /// Counts up by one from 1, without holes.
    pub number: u64,
    /// Unix ms.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// The account that it was about, or of the actor; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Method and path of the door, such as `DELETE /v1/accounts/{account}/keys/{key}`.
    pub door: String,
    /// About what: ids from the path and of what was made, with spaces between them.
    pub subject: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Hash of the line before, hex; zeros before the first.
    pub previous: String,
    /// SHA-256 of this line with `previous`, hex: see `docs/accounts.md`.
    pub hash: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_json_are_those_in_databases() {
        for kind in AccountKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(AccountKind::parse(kind.as_str()), Some(*kind));
        }
        for role in MemberRole::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert_eq!(Scope::parse("Usage"), None);
        assert!(MemberRole::Owner > MemberRole::Member && MemberRole::Member > MemberRole::Viewer);
    }
}

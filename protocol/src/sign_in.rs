//! How people sign in, as `/v1` shows it: providers of identities (OpenID Connect), passkeys (WebAuthn).
//!
//! An *identity* is what somebody is at a provider: an issuer and a subject. It is linked to members, and signs in as
//! one of them. What browsers and authenticators say to each other is kept as it is (`options`, `credential`): its form
//! is that of WebAuthn, level 3, with bytes in unpadded base64url.

use crate::account::{AccountKind, MemberRole};
use crate::{AccountId, IdentityId, MemberId, PasskeyId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/sign-in`: what this server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInWays {
    /// Who vouches for identities.
    pub providers: Vec<SignInProvider>,
    /// Whether passkeys are offered.
    pub passkeys: PasskeyOffer,
    /// Kinds of account that whoever comes with an unknown identity may make.
    pub new_accounts: Vec<AccountKind>,
}

/// A provider of identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInProvider {
    /// Part of `/v1/sign-in/oidc/{provider}`.
    pub id: String,
    /// What people call it.
    pub label: String,
}

/// Whether passkeys are offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyOffer {
    /// Whether they are.
    pub offered: bool,
    /// The host name that they belong to: only pages under it can use them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Why not, for people; absent where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// `POST /v1/sign-in/oidc/{provider}`: what the identity is wanted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum BeginSignIn {
    /// To sign in.
    SignIn,
    /// To use an invitation up: the identity is linked to who comes by it.
    Join {
        /// What stands behind `#` in the link.
        token: String,
        /// What a new member wants to be called, 1 to 100 characters; absent: what the provider says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// To be another way in for the member who is signed in.
    Link,
}

/// Where to go now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BegunSignIn {
    /// The provider's page.
    pub url: String,
}

/// `GET /v1/sign-in/choice`: as whom an identity may sign in. It holds for ten minutes, in the browser that came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInChoice {
    /// What the provider calls this person.
    pub name: String,
    /// Members that the identity is linked to.
    pub members: Vec<ChoiceMember>,
    /// Kinds of account that it may make; only where it is linked to none.
    pub new_accounts: Vec<AccountKind>,
}

/// A member to sign in as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChoiceMember {
    /// The member.
    pub member: MemberId,
    /// What they are called there.
    pub name: String,
    /// What they may do there.
    pub role: MemberRole,
    /// The account.
    pub account: AccountId,
    /// What people call it.
    pub account_name: String,
    /// What it is for.
    pub kind: AccountKind,
}

/// `POST /v1/sign-in/choice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "sign_in_as", rename_all = "snake_case")]
pub enum Choose {
    /// One of the members.
    Member {
        /// Which.
        member: MemberId,
    },
    /// The owner of a new account. Like every new account, it may spend nothing.
    NewAccount {
        /// What it is for.
        kind: AccountKind,
        /// What people call it, 1 to 100 characters.
        name: String,
    },
}

/// `GET /v1/me/sign-ins`: the ways in of the member who is signed in. Links of owners and operators always are one more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignIns {
    /// Identities from elsewhere, oldest first.
    pub identities: Vec<Identity>,
    /// Passkeys, oldest first.
    pub passkeys: Vec<Passkey>,
}

/// An identity that is linked to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// Id.
    pub id: IdentityId,
    /// What people call the provider; its issuer where it is not offered any more.
    pub provider: String,
    /// What the provider called this person when it was linked.
    pub name: String,
    /// Unix ms.
    pub linked_at_ms: u64,
    /// When it signed in last, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_ms: Option<u64>,
}

/// A passkey of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Passkey {
    /// Id.
    pub id: PasskeyId,
    /// What its member calls it.
    pub name: String,
    /// Unix ms.
    pub added_at_ms: u64,
    /// When it signed in last, Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_ms: Option<u64>,
    /// When its counter went back, which a copy of it would explain, Unix ms. It signs nobody in from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flagged_at_ms: Option<u64>,
}

/// What `navigator.credentials` is to be asked, once and within five minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PasskeyChallenge {
    /// `CredentialCreationOptions` or `CredentialRequestOptions` in their JSON form.
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
}

/// `POST /v1/me/passkeys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPasskey {
    /// What its member calls it, 1 to 100 characters.
    pub name: String,
    /// What `navigator.credentials.create` gave, in its JSON form.
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

/// `POST /v1/sign-in/passkey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsePasskey {
    /// What `navigator.credentials.get` gave, in its JSON form.
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

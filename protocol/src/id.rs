//! Typed identifiers. Every id is 16 random bytes, written as a hyphenated UUID in JSON.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = uuid::Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// An id made of 16 random bytes that the caller drew.
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }
            /// The 16 bytes, as they stand in receipts and attestations.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
            /// The id with exactly these 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError { kind: stringify!($name) })
            }
        }
    };
}

/// A text that is no id of the wanted kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a {kind}: ids are UUIDs such as 6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11")]
pub struct IdError {
    kind: &'static str,
}

id!(
    /// One play of one title: has seats, a placement generation, and ends once.
    SessionId
);
id!(
    /// A machine that runs sessions, known by its Ed25519 key.
    NodeId
);
id!(
    /// The right of one session to one slot of one node, in one placement generation.
    LeaseId
);
id!(
    /// One WebRTC connection of one seat. A seat that loses its network gets a new peer.
    PeerId
);
id!(
    /// Whoever holds a guest cookie; owns sessions and saves.
    GuestId
);
id!(
    /// One movement of money between two accounts.
    TransferId
);
id!(
    /// A studio, a host, an operator or a player who pays, earns or decides; has members and keys.
    AccountId
);
id!(
    /// A person in an account.
    MemberId
);
id!(
    /// A program's key to an account.
    ApiKeyId
);
id!(
    /// Where an account wants to be told what happens.
    WebhookId
);
id!(
    /// Something that happened, of which webhooks tell.
    EventId
);
id!(
    /// What somebody is elsewhere, linked to a member.
    IdentityId
);
id!(
    /// Something that looks like cheating.
    CaseId
);
id!(
    /// A dispute about a session.
    DisputeId
);
id!(
    /// A passkey of a member.
    PasskeyId
);
id!(
    /// One sealed-bid auction.
    AuctionId
);
id!(
    /// Machines that stand by for an account in a time.
    ReservationId
);

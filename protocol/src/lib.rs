//! The words nearframe's programs speak.
//!
//! Ids, versions, signalling, input, frame facts, receipts and API types, with their exact byte and
//! JSON forms. Deliberately without I/O and without policy: nothing here opens a socket, reads a
//! clock or decides anything.
//!
//! **Architecture invariant:** `server` and `matchmaker` meet only through this crate, and every byte
//! form here has golden vectors in `protocol/vectors/` that Rust and TypeScript both read.

pub mod account;
pub mod api;
pub mod attest;
pub mod auction;
pub mod bill;
pub mod capability;
pub mod check;
pub mod codec;
pub mod control;
pub mod facts;
pub mod fleet;
pub mod id;
pub mod input;
pub mod key;
pub mod link;
pub mod market;
pub mod measure;
pub mod money;
pub mod network;
pub mod payout;
pub mod placement;
pub mod plan;
pub mod prices;
pub mod receipt;
pub mod save;
pub mod session;
pub mod sign_in;
pub mod signal;
pub mod stake;
pub mod terms;
pub mod title;
pub mod trust;
pub mod uplink;
pub mod version;
pub mod webhook;
pub mod wire;
pub mod worker;

pub use codec::VideoCodec;
pub use id::{
    AccountId, ApiKeyId, AuctionId, CaseId, DisputeId, EventId, GuestId, IdentityId, LeaseId, MemberId,
    NodeId, PasskeyId, PeerId, ReservationId, SessionId, TransferId, WebhookId,
};
pub use key::{NodeKey, PublicKey, Signature};
pub use money::{Currency, Money};
pub use save::{PackHash, SaveVersion};
pub use session::{EndReason, Generation, Seat, SessionState, SpendLimit};
pub use title::{TitleHash, TitleId};
pub use version::{VersionOffer, Versions};

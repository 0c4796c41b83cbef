//! Random ids and secrets from the operating system.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nearframe_protocol::{
    AccountId, ApiKeyId, AuctionId, DisputeId, GuestId, IdentityId, LeaseId, MemberId, PasskeyId,
    ReservationId, SessionId, TransferId, WebhookId,
};

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness once it runs processes");
    bytes
}

/// A secret of 256 bits that fits into a URL.
pub(crate) fn secret() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

pub(crate) fn session_id() -> SessionId {
    SessionId::from_random(bytes())
}
pub(crate) fn lease_id() -> LeaseId {
    LeaseId::from_random(bytes())
}
pub(crate) fn guest_id() -> GuestId {
    GuestId::from_random(bytes())
}
pub(crate) fn transfer_id() -> TransferId {
    TransferId::from_random(bytes())
}
pub(crate) fn account_id() -> AccountId {
    AccountId::from_random(bytes())
}
pub(crate) fn member_id() -> MemberId {
    MemberId::from_random(bytes())
}
pub(crate) fn webhook_id() -> WebhookId {
    WebhookId::from_random(bytes())
}
pub(crate) fn auction_id() -> AuctionId {
    AuctionId::from_random(bytes())
}
pub(crate) fn reservation_id() -> ReservationId {
    ReservationId::from_random(bytes())
}
pub(crate) fn key_id() -> ApiKeyId {
    ApiKeyId::from_random(bytes())
}
pub(crate) fn identity_id() -> IdentityId {
    IdentityId::from_random(bytes())
}
pub(crate) fn dispute_id() -> DisputeId {
    DisputeId::from_random(bytes())
}
pub(crate) fn passkey_id() -> PasskeyId {
    PasskeyId::from_random(bytes())
}

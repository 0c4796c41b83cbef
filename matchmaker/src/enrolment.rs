//! One-time codes for nodes and one-time links for the operator. Kept hashed.

use crate::random;
use crate::state::{Shared, hash};
use crate::store::StoreError;

/// An enrolment code holds this long, in ms: time to walk to the other machine.
const ENROLMENT_MS: u64 = 15 * 60 * 1000;
/// An operator link holds this long, in ms: it is printed at the start and used when needed.
const OPERATOR_LINK_MS: u64 = 24 * 3600 * 1000;

/// A fresh code and when it expires, Unix ms.
pub(crate) async fn create(shared: &Shared) -> Result<(String, u64), StoreError> {
    let code = random::secret();
    let expires_at_ms = shared.now_ms() + ENROLMENT_MS;
    shared.store.add_enrolment(hash(&code), expires_at_ms).await?;
    Ok((code, expires_at_ms))
}

/// Path and query of a fresh operator link.
pub(crate) async fn operator_link(shared: &Shared) -> Result<String, StoreError> {
    let token = random::secret();
    shared.store.add_operator_link(hash(&token), shared.now_ms() + OPERATOR_LINK_MS).await?;
    Ok(format!("/operator?token={token}"))
}

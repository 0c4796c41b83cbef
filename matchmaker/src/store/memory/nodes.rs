//! Who is enrolled, in memory.

use super::State;
use crate::store::{Admission, Hash, NodeRow};
use nearframe_protocol::link::NodeOffer;
use nearframe_protocol::{NodeId, PublicKey};

/// Lets a node in by its key, or by a code that is used up by it.
pub(super) fn admit(
    state: &mut State,
    key: &PublicKey,
    code: Option<Hash>,
    offer: &NodeOffer,
    now_ms: u64,
) -> Admission {
    let describe = |id| NodeRow {
        id,
        name: offer.name.clone(),
        region: offer.region.clone(),
        slots: offer.slots,
        adapter: offer.adapter.clone(),
    };
    if let Some((_, row)) = state.nodes.values_mut().find(|(known, _)| known == key) {
        *row = describe(row.id);
        return Admission::Admitted(row.id);
    }
    let Some(code) = code else { return Admission::CodeNeeded };
    match state.enrolments.get_mut(&code) {
        Some((expires_at_ms, used)) if !*used && *expires_at_ms > now_ms => *used = true,
        _ => return Admission::BadCode,
    }
    let id = NodeId::from_random(crate::random::bytes());
    state.nodes.insert(id, (*key, describe(id)));
    state.checks.enrolled.insert(id, now_ms);
    Admission::Admitted(id)
}

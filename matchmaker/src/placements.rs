//! Why sessions run where they run, for whoever asks afterwards.
//!
//! Kept in memory by the replica that decided, and asked for by the others: reasons are for a person who wonders now, not a record.

use crate::bus::words::{Answer, Question};
use crate::state::Shared;
use nearframe_placement::cost::Terms;
use nearframe_placement::index::Found;
use nearframe_placement::{Explanation, Fleet, NoNode, Obstacle};
use nearframe_protocol::placement::{
    Placement, PlacementCandidate, PlacementCost, RefusedCount, RefusedNode,
};
use nearframe_protocol::{NodeId, SessionId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Sessions whose reasons are kept, at about 4 KiB each.
const MOST: usize = 4096;

/// The reasons of the last decisions.
#[derive(Debug, Default)]
pub(crate) struct Placements {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    order: VecDeque<SessionId>,
    reasons: HashMap<SessionId, Placement>,
}

impl Placements {
    pub(crate) fn keep(&self, placement: Placement) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let session = placement.session;
        if kept.reasons.insert(session, placement).is_none() {
            kept.order.push_back(session);
        }
        if kept.order.len() > MOST
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.reasons.remove(&oldest);
        }
    }

    /// The newest decisions: session, when, node and its name.
    pub(crate) fn newest(&self, most: usize) -> Vec<(SessionId, u64, NodeId, String)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = kept.order.iter().rev().take(most).filter_map(|session| kept.reasons.get(session));
        let row = |reasons: &Placement| {
            let chosen = reasons.candidates.iter().find(|candidate| candidate.node == reasons.chosen);
            let name = chosen.map(|chosen| chosen.name.clone()).unwrap_or_default();
            (reasons.session, reasons.decided_at_ms, reasons.chosen, name)
        };
        newest.map(row).collect()
    }

    pub(crate) fn of(&self, session: SessionId) -> Option<Placement> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).reasons.get(&session).cloned()
    }
}

/// The reasons of a session's placement, whichever replica decided it.
pub(crate) async fn find(shared: &Shared, session: SessionId) -> Option<Placement> {
    if let Some(here) = shared.placements.of(session) {
        return Some(here);
    }
    for (replica, reached) in shared.cluster.reachable(Instant::now()) {
        if reached
            && let Ok(Answer::Reasons(Some(placement))) =
                shared.bus.ask(replica, Question::Reasons { session }).await
        {
            return Some(*placement);
        }
    }
    None
}

/// An explanation in the words of the API.
pub(crate) fn describe(shared: &Shared, session: SessionId, explanation: &Explanation) -> Option<Placement> {
    let fleet = shared.fleet();
    let candidate = |found: &Found| PlacementCandidate {
        node: found.node,
        name: name(&fleet, found.node),
        region: fleet.region_of(found.node).to_owned(),
        rtt_us: found.rtt_us,
        cost: cost(&found.terms),
    };
    let no = &explanation.no;
    Some(Placement {
        session,
        decided_at_ms: shared.now_ms(),
        chosen: explanation.chosen?.node,
        candidates: explanation.candidates.iter().map(candidate).collect(),
        allowed: explanation.allowed as u64,
        refused: refused(no),
        examples: no
            .examples
            .iter()
            .map(|(node, obstacle)| RefusedNode {
                node: *node,
                name: name(&fleet, *node),
                obstacle: obstacle.code().to_owned(),
            })
            .collect(),
        complete: explanation.complete,
    })
}

/// A cost in the words of the API.
pub(crate) fn cost(terms: &Terms) -> PlacementCost {
    PlacementCost {
        total: terms.total(),
        rtt: terms.rtt,
        price: terms.price,
        failure: terms.failure,
        scarcity: terms.scarcity,
        load: terms.load,
        locality: terms.locality,
        credit: terms.credit,
    }
}

/// Obstacles in the words of the API.
pub(crate) fn refused(no: &NoNode) -> Vec<RefusedCount> {
    let count = |(obstacle, nodes): (&Obstacle, &usize)| RefusedCount {
        obstacle: obstacle.code().to_owned(),
        words: obstacle.to_string(),
        nodes: *nodes as u64,
    };
    no.counts.iter().map(count).collect()
}

fn name(fleet: &Fleet, node: NodeId) -> String {
    let offer = fleet.member(node).and_then(|member| member.offer.as_ref());
    offer.map(|offer| offer.name.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn the_reasons_of_the_oldest_session_make_room() {
        let placements = Placements::default();
        let placement = || Placement {
            session: random::session_id(),
            decided_at_ms: 0,
            chosen: NodeId::from_bytes([1; 16]),
            candidates: vec![],
            allowed: 1,
            refused: vec![],
            examples: vec![],
            complete: true,
        };
        let first = placement();
        placements.keep(first.clone());
        assert_eq!(placements.of(first.session), Some(first.clone()));
        (0..MOST).for_each(|_| placements.keep(placement()));
        assert_eq!(placements.of(first.session), None);
    }
}

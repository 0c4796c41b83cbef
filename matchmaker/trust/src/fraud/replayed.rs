//! Receipts that say what other receipts said before, and receipts that contradict one that was counted.
//!
//! A receipt sent twice is harmless: it counts once, and every node sends some twice after a lost link. A recorded
//! chain under a new session gives itself away by its numbers: frames, bytes and encoder time of three receipts in a row
//! are the same in no two plays. The node signed both, so it witnesses against itself.

use super::{Exhibit, Finding, Grade, Kind};
use crate::seen::{RefusedSeen, SessionSeen};
use crate::witness::Witness;
use nearframe_protocol::{NodeId, SessionId};
use std::collections::{BTreeMap, HashMap};

/// Receipts in a row that have to be the same.
const RUN: usize = 3;
/// Sessions with a contradiction: one may be a disk that lost what it had said was written.
const FORKS: usize = 2;

/// Sessions by a run of their numbers.
type Runs = HashMap<[(u32, u64, u64); RUN], SessionId>;

pub(super) fn look(sessions: &[SessionSeen]) -> Vec<Finding> {
    let mut order: Vec<&SessionSeen> = sessions.iter().collect();
    order.sort_by_key(|session| (session.started_at_ms, session.session));
    let mut runs = Runs::new();
    let mut found: BTreeMap<NodeId, (Vec<Exhibit>, usize)> = BTreeMap::new();
    for session in order {
        if let Some((earlier, sequence)) = repeated(session, &runs) {
            let what = format!(
                "from receipt {sequence} on it claims the frames, bytes and encoder times of session {earlier}"
            );
            found.entry(session.node).or_default().0.push(Exhibit { session: Some(session.session), what });
        }
        if session.refused.contains(&RefusedSeen::Fork) {
            let what =
                "two receipts with one number and different content, both signed by the node".to_owned();
            let (exhibits, forks) = found.entry(session.node).or_default();
            exhibits.push(Exhibit { session: Some(session.session), what });
            *forks += 1;
        }
        for run in numbers(session) {
            runs.entry(run.1).or_insert(session.session);
        }
    }
    let finding = |(node, (exhibits, forks)): (NodeId, (Vec<Exhibit>, usize))| {
        let repeats = exhibits.len() - forks;
        let grade = match (repeats, forks) {
            (2.., _) | (1, 1..) => Grade::Slash,
            (1, 0) => Grade::Review,
            (_, forks) if forks >= FORKS => Grade::Review,
            _ => Grade::Watch,
        };
        Finding {
            node,
            kind: Kind::ReplayedReceipts,
            grade,
            witnesses: vec![Witness::Itself, Witness::Lease],
            exhibits,
        }
    };
    found.into_iter().map(finding).collect()
}

/// Runs of a session's receipts in which something was sent, with the sequence of their first.
fn numbers(session: &SessionSeen) -> impl Iterator<Item = (u32, [(u32, u64, u64); RUN])> {
    session.receipts.windows(RUN).filter_map(|window| {
        let run = [0, 1, 2].map(|at: usize| (window[at].frames, window[at].bytes, window[at].encoder_us));
        let worked =
            run.iter().all(|(frames, bytes, encoder_us)| *frames > 0 && *bytes > 0 && *encoder_us > 0);
        worked.then_some((window[0].sequence, run))
    })
}

fn repeated(session: &SessionSeen, runs: &Runs) -> Option<(SessionId, u32)> {
    numbers(session).find_map(|(sequence, run)| runs.get(&run).map(|earlier| (*earlier, sequence)))
}

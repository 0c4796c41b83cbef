//! A picture that was recorded before: what is asked for at random does not appear in it.
//!
//! Only a checker asks. One whose picture did not run at all says nothing about truth, only about service.

use super::{Exhibit, Finding, Grade, Kind};
use crate::seen::{CheckSeen, Mark};
use crate::witness::Witness;
use nearframe_protocol::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Checkers that have to agree for a penalty.
const CHECKERS: usize = 2;

pub(super) fn by_node(checks: &[CheckSeen]) -> BTreeMap<NodeId, Vec<&CheckSeen>> {
    let mut found: BTreeMap<NodeId, Vec<&CheckSeen>> = BTreeMap::new();
    for check in checks {
        found.entry(check.node).or_default().push(check);
    }
    found
}

fn ran(check: &CheckSeen) -> bool {
    let due = u128::from(check.elapsed_us) * u128::from(check.asked_fps) / 1_000_000;
    u128::from(check.frames_shown) * 2 >= due
}

pub(super) fn look(node: NodeId, checks: &[&CheckSeen]) -> Option<Finding> {
    let asked = |check: &&CheckSeen| check.challenges_asked > 0 && ran(check);
    let told: Vec<&CheckSeen> = checks.iter().copied().filter(asked).collect();
    let missing = |check: &&CheckSeen| check.challenges_answered * 2 < check.challenges_asked;
    let unanswered: Vec<&CheckSeen> = told.iter().copied().filter(missing).collect();
    let checkers: BTreeSet<Mark> = unanswered.iter().map(|check| check.checker).collect();
    let grade = match checkers.len() {
        0 => return None,
        1 => Grade::Watch,
        CHECKERS.. if unanswered.len() * 2 > told.len() => Grade::Slash,
        _ => Grade::Review,
    };
    let exhibit = |check: &&CheckSeen| Exhibit {
        session: Some(check.session),
        what: format!(
            "a checker asked for {} pictures at random and was shown {} of them",
            check.challenges_asked, check.challenges_answered
        ),
    };
    let exhibits = unanswered.iter().map(exhibit).collect();
    let witnesses = vec![Witness::Checker; checkers.len()];
    Some(Finding { node, kind: Kind::RecordedPicture, grade, witnesses, exhibits })
}

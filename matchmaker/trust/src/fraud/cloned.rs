//! Two machines with one key.
//!
//! A node has one link; a new one takes the place of the old. Two machines that live under one key take it from each
//! other again and again, from two addresses in turns, each while the other was just heard. A machine with two lines
//! changes its address as well, but its old link is silent by then.

use super::{Exhibit, Finding, Grade, Kind};
use crate::seen::NodeSeen;
use crate::witness::Witness;

/// A link that was heard this shortly before another opened was alive: heartbeats come every second.
const ALIVE_MS: u64 = 2_500;
/// Times that a living link is taken back by an address that had it before.
const REVIEW: usize = 4;
const SLASH: usize = 8;

pub(super) fn look(node: &NodeSeen) -> Option<Finding> {
    let mut exhibits = Vec::new();
    for links in node.links.windows(3) {
        let [first, second, third] = links else { continue };
        let back = first.address == third.address && first.address != second.address;
        let alive = third.opened_at_ms.saturating_sub(second.heard_until_ms) <= ALIVE_MS;
        if back && alive {
            let what = format!(
                "at {} an address took the link back that it had lost at {}, while the other was heard until {}",
                third.opened_at_ms, second.opened_at_ms, second.heard_until_ms
            );
            exhibits.push(Exhibit { session: None, what });
        }
    }
    let grade = match exhibits.len() {
        SLASH.. => Grade::Slash,
        REVIEW.. => Grade::Review,
        _ => return None,
    };
    // Each of the two ends proved the key.
    let witnesses = vec![Witness::Lease, Witness::Itself];
    Some(Finding { node: node.node, kind: Kind::ClonedKey, grade, witnesses, exhibits })
}

//! Why this node, and why not the others.

use crate::index::scan::Seen;
use crate::index::search::Query;
use crate::index::{Found, Index};
use crate::latency::SiteId;
use crate::obstacle::{NoNode, Obstacle};
use crate::request::Request;
use nearframe_protocol::NodeId;
use std::collections::BTreeMap;

/// Candidates that an explanation names.
pub const CANDIDATES: usize = 16;
/// Nodes that cannot be chosen, of which it names as many.
pub const EXAMPLES: usize = 16;

/// A decision, with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was chosen.
    pub chosen: Option<Found>,
    /// The cheapest nodes that may take it, cheapest first; the chosen one is among them.
    pub candidates: Vec<Found>,
    /// How many could have taken it.
    pub allowed: usize,
    /// Why the rest could not.
    pub no: NoNode,
    /// Whether every node was looked at.
    pub complete: bool,
}

/// Nodes that an explanation looks at: it is made with every decision, and must not grow with the fleet.
const LOOKED_AT: usize = 2048;

/// Says why `chosen` was chosen, by looking at the nodes of the ranked sites one by one, the nearest first.
pub fn explain(
    index: &Index,
    request: &Request,
    ranking: impl IntoIterator<Item = (u32, SiteId)>,
    chosen: Option<Found>,
) -> Explanation {
    let mut explanation = Explanation {
        chosen,
        candidates: chosen.into_iter().collect(),
        allowed: 0,
        no: NoNode::default(),
        complete: index.len() <= LOOKED_AT,
    };
    let Some(query) = Query::new(index, request) else {
        explanation.no.counts = untitled(index, request);
        explanation.complete = true;
        return explanation;
    };
    let versions = index.titles.versions(&request.title).iter();
    let others: Vec<_> = versions.map(|(_, key)| *key).filter(|key| *key != query.title).collect();
    for Seen { found, obstacle } in index.scan(&query, ranking, &others).take(LOOKED_AT) {
        match obstacle {
            None => {
                explanation.allowed += 1;
                explanation.consider(found);
            }
            Some(obstacle) => explanation.no.add(found.node, obstacle),
        }
    }
    explanation
}

/// Without a key for the title there is no query: every node lacks it, whatever else is wrong with it.
fn untitled(index: &Index, request: &Request) -> BTreeMap<Obstacle, usize> {
    let known = !index.titles.versions(&request.title).is_empty();
    let obstacle = if known { Obstacle::OtherVersion } else { Obstacle::TitleMissing };
    if index.is_empty() { BTreeMap::new() } else { BTreeMap::from([(obstacle, index.len())]) }
}

impl Explanation {
    fn consider(&mut self, found: Found) {
        if self.chosen.is_some_and(|chosen| chosen.node == found.node) {
            return;
        }
        let key = |found: &Found| (found.terms.before_credit(), found.node);
        let at = self.candidates.partition_point(|candidate| key(candidate) <= key(&found));
        self.candidates.insert(at, found);
        if self.candidates.len() > CANDIDATES {
            let chosen = self.chosen.map(|chosen| chosen.node);
            let last = self.candidates.iter().rposition(|candidate| Some(candidate.node) != chosen);
            self.candidates.remove(last.expect("only one of them is the chosen one"));
        }
    }
}

impl NoNode {
    fn add(&mut self, node: NodeId, obstacle: Obstacle) {
        *self.counts.entry(obstacle).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push((node, obstacle));
        }
    }
}

//! Choosing a node: hard filters first, then an integer cost, then the id, so that ties are the same
//! everywhere.

use nearframe_protocol::{NodeId, TitleHash, TitleId};
use std::collections::BTreeMap;
use std::fmt;

/// What is to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The title.
    pub title: TitleId,
    /// Exactly which bytes.
    pub hash: TitleHash,
    /// Regions it may run in (a prefix each, such as `DE` or `US-CA`); empty allows all.
    pub regions: Vec<String>,
}

/// A node as placement sees it at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which node.
    pub node: NodeId,
    /// Connected and heard in time.
    pub online: bool,
    /// Takes no new sessions.
    pub draining: bool,
    /// Sessions it can run at once.
    pub slots: u32,
    /// Slots that leases hold.
    pub busy: u32,
    /// Where it is; empty if unknown.
    pub region: String,
    /// The hash under which it holds the wanted title, if it does.
    pub holds: Option<TitleHash>,
    /// Round-trip time to the player in ms, where one was measured.
    pub rtt_ms: Option<u32>,
}

/// Why a node cannot take a request. In order of checking: the first one that holds is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// Not connected, or not heard in time.
    Offline,
    /// Takes no new sessions.
    Draining,
    /// Does not hold the title.
    TitleMissing,
    /// Holds other bytes of the title.
    OtherVersion,
    /// Outside the allowed regions.
    Region,
    /// All slots are taken.
    Full,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "offline",
            Self::Draining => "shutting down",
            Self::TitleMissing => "without the title",
            Self::OtherVersion => "with another version of the title",
            Self::Region => "outside the allowed regions",
            Self::Full => "full",
        })
    }
}

/// A choice and its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The chosen node.
    pub node: NodeId,
    /// Its cost; every eligible node costs at least this much.
    pub cost: u64,
    /// Nodes that could not be chosen, and why.
    pub obstacles: Vec<(NodeId, Obstacle)>,
}

/// No node can take the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoNode {
    /// Every candidate and what stands in its way.
    pub obstacles: Vec<(NodeId, Obstacle)>,
}

impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<Obstacle, usize> = BTreeMap::new();
        for (_, obstacle) in &self.obstacles {
            *counts.entry(*obstacle).or_default() += 1;
        }
        if counts.is_empty() {
            return f.write_str("no node is connected");
        }
        let parts: Vec<_> = counts.iter().map(|(obstacle, count)| format!("{count} {obstacle}")).collect();
        write!(f, "no node can take it: {}", parts.join(", "))
    }
}

/// Cost of a full millisecond of round-trip time; a whole node's load weighs as much as 20 ms.
const COST_PER_RTT_MS: u64 = 50;
/// What an unmeasured player counts as, in ms: neither better nor worse than an average node.
const UNKNOWN_RTT_MS: u32 = 40;
const COST_OF_FULL_LOAD: u64 = 1000;

/// Chooses the cheapest eligible candidate.
pub fn decide(
    request: &Request,
    candidates: impl IntoIterator<Item = Candidate>,
) -> Result<Decision, NoNode> {
    let mut obstacles = Vec::new();
    let mut best: Option<(u64, NodeId)> = None;
    for candidate in candidates {
        match obstacle(request, &candidate) {
            Some(why) => obstacles.push((candidate.node, why)),
            None => {
                let offer = (cost(&candidate), candidate.node);
                best = Some(best.map_or(offer, |best| best.min(offer)));
            }
        }
    }
    match best {
        Some((cost, node)) => Ok(Decision { node, cost, obstacles }),
        None => Err(NoNode { obstacles }),
    }
}

/// What stands in the way of placing `request` on `candidate`.
pub fn obstacle(request: &Request, candidate: &Candidate) -> Option<Obstacle> {
    let allowed = |region: &String| {
        candidate.region == *region
            || candidate.region.strip_prefix(region.as_str()).is_some_and(|rest| rest.starts_with('-'))
    };
    if !candidate.online {
        return Some(Obstacle::Offline);
    }
    if candidate.draining {
        return Some(Obstacle::Draining);
    }
    match candidate.holds {
        None => return Some(Obstacle::TitleMissing),
        Some(hash) if hash != request.hash => return Some(Obstacle::OtherVersion),
        Some(_) => {}
    }
    if !request.regions.is_empty() && !request.regions.iter().any(allowed) {
        return Some(Obstacle::Region);
    }
    (candidate.busy >= candidate.slots).then_some(Obstacle::Full)
}

fn cost(candidate: &Candidate) -> u64 {
    let load = u64::from(candidate.busy) * COST_OF_FULL_LOAD / u64::from(candidate.slots.max(1));
    u64::from(candidate.rtt_ms.unwrap_or(UNKNOWN_RTT_MS)) * COST_PER_RTT_MS + load
}

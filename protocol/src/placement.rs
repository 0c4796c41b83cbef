//! Why a session runs where it runs: `GET /v1/sessions/{id}/placement`.

use crate::{NodeId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A decision with its reasons, as things stood when it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placement {
    /// Of which session.
    pub session: SessionId,
    /// When it was decided, Unix ms.
    pub decided_at_ms: u64,
    /// The node that was chosen.
    pub chosen: NodeId,
    /// The cheapest of the nodes that may take the session, cheapest first, at most 16; the chosen one is among
    /// them.
    pub candidates: Vec<PlacementCandidate>,
    /// How many nodes could have taken it.
    pub allowed: u64,
    /// Why the others could not: each is counted under the first thing that stood in its way.
    pub refused: Vec<RefusedCount>,
    /// Some of them by name, at most 16.
    pub examples: Vec<RefusedNode>,
    /// Whether every node was looked at; of a large fleet, the nearest 2048 are.
    pub complete: bool,
}

/// A node that may take the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacementCandidate {
    /// Which.
    pub node: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// Where it is; empty if unknown.
    pub region: String,
    /// Round trip to its site as it was known then, µs; 80000 where nothing was known.
    #[serde(default)]
    pub rtt_us: u32,
    /// What it costs.
    pub cost: PlacementCost,
}

/// A cost and its terms, all in the worth of one microsecond of round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacementCost {
    /// The sum of the terms less the credit, at least 0.
    pub total: u64,
    /// Round trip above the best site's.
    pub rtt: u64,
    /// Price.
    pub price: u64,
    /// The chance that it breaks the session.
    pub failure: u64,
    /// What others would give for a slot at its site.
    pub scarcity: u64,
    /// How loaded it is.
    pub load: u64,
    /// Bringing the title into memory.
    pub locality: u64,
    /// Earned by waiting.
    pub credit: u64,
}

/// How many nodes one obstacle stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedCount {
    /// A stable code: `offline`, `banned`, `draining`, `title_missing`, `other_version`, `region`, `reserved`, `codec`,
    /// `resolution`, `gpu_tier`, `trust`, `stake`, `price`, `not_for_batch`, `distance` or `full`.
    pub obstacle: String,
    /// The same in words.
    pub words: String,
    /// How many nodes.
    pub nodes: u64,
}

/// A node that cannot take the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedNode {
    /// Which.
    pub node: NodeId,
    /// What its owner calls it.
    pub name: String,
    /// The code of what stands in its way.
    pub obstacle: String,
}

//! Replicas as the store keeps them: who lives, who owns a region, who holds a node's link.

use crate::bus::words::ReplicaId;
use nearframe_protocol::NodeId;
use serde::{Deserialize, Serialize};

/// The right to lease in a region, until a higher number is given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The region.
    pub region: String,
    /// Its number.
    pub number: u64,
}

/// Who leases in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionOwner {
    /// The region; empty for nodes that do not say where they are.
    pub region: String,
    /// The replica; it may be dead.
    pub owner: ReplicaId,
    /// Its fencing number.
    pub fence: u64,
}

/// All replicas, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// How often each has beaten.
    pub beats: Vec<(ReplicaId, u64)>,
    /// Regions that are or were owned.
    pub regions: Vec<RegionOwner>,
    /// The database's clock, Unix ms.
    pub now_ms: u64,
}

/// A link of a node, which perhaps nobody serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stranded {
    /// The node.
    pub node: NodeId,
    /// Its newest link.
    pub link: u64,
}

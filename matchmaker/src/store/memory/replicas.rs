//! Replicas in memory.

use crate::bus::words::ReplicaId;
use crate::store::{Fence, RegionOwner, Replicas, Stranded};
use nearframe_protocol::NodeId;
use std::collections::BTreeMap;

#[derive(Debug, Default, Clone)]
pub(super) struct Cluster {
    beats: BTreeMap<ReplicaId, u64>,
    regions: BTreeMap<String, (ReplicaId, u64)>,
    links: BTreeMap<NodeId, (u64, Option<ReplicaId>)>,
}

impl Cluster {
    pub(super) fn beat(&mut self, replica: ReplicaId, first: bool, now_ms: u64) -> Option<Replicas> {
        if first {
            self.beats.entry(replica).or_default();
        }
        *self.beats.get_mut(&replica)? += 1;
        let region = |(region, (owner, fence)): (&String, &(ReplicaId, u64))| RegionOwner {
            region: region.clone(),
            owner: *owner,
            fence: *fence,
        };
        Some(Replicas {
            beats: self.beats.iter().map(|(replica, beat)| (*replica, *beat)).collect(),
            regions: self.regions.iter().map(region).collect(),
            now_ms,
        })
    }

    pub(super) fn bury(&mut self, replica: ReplicaId, beat: u64) -> bool {
        let still = self.beats.get(&replica) == Some(&beat);
        if still {
            self.beats.remove(&replica);
        }
        still
    }

    pub(super) fn claim(&mut self, region: &str, replica: ReplicaId, over: Option<u64>) -> Option<u64> {
        let fence = self.regions.get(region).map(|(_, fence)| *fence);
        if fence != over {
            return None;
        }
        let fence = fence.unwrap_or(0) + 1;
        self.regions.insert(region.to_owned(), (replica, fence));
        Some(fence)
    }

    pub(super) fn holds(&self, fence: &Fence) -> bool {
        self.regions.get(&fence.region).is_some_and(|(_, number)| *number == fence.number)
    }

    pub(super) fn open_link(&mut self, node: NodeId, replica: ReplicaId) -> u64 {
        let (link, holder) = self.links.entry(node).or_default();
        *link += 1;
        *holder = Some(replica);
        *link
    }

    pub(super) fn close_link(&mut self, node: NodeId, link: u64) -> bool {
        let newest = self.links.get_mut(&node).filter(|(newest, _)| *newest == link);
        newest.map(|(_, holder)| *holder = None).is_some()
    }

    /// As for a node that was never linked.
    pub(super) fn is_lost(&self, node: NodeId) -> bool {
        self.links.get(&node).is_none_or(|(_, holder)| holder.is_none())
    }

    pub(super) fn stranded(&self, holds_sessions: impl Fn(NodeId) -> bool) -> Vec<Stranded> {
        self.links(|holder| !self.beats.contains_key(&holder), holds_sessions)
    }

    pub(super) fn links_of(&self, replica: ReplicaId, holds: impl Fn(NodeId) -> bool) -> Vec<Stranded> {
        self.links(|holder| holder == replica, holds)
    }

    fn links(&self, by: impl Fn(ReplicaId) -> bool, holds: impl Fn(NodeId) -> bool) -> Vec<Stranded> {
        self.links
            .iter()
            .filter(|(node, (_, holder))| holder.is_some_and(&by) && holds(**node))
            .map(|(node, (link, _))| Stranded { node: *node, link: *link })
            .collect()
    }
}

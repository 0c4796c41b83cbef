//! What an operator ordered about nodes, and how full their regions are.

use crate::assign::group;
use crate::fleet::{Fleet, Member};
use crate::geo::Place;
use crate::index::search::Query;
use crate::index::{Found, Scratch};
use crate::latency::{Ranking, SiteId};
use crate::obstacle::Obstacle;
use crate::request::{Needs, Request};
use nearframe_protocol::fleet::Together;
use nearframe_protocol::{NodeId, TitleId};
use std::collections::BTreeMap;

/// An operator's orders about one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Shut out.
    pub banned: bool,
    /// Takes no new sessions.
    pub drained: bool,
}

/// Clients whose pasts are looked at for a figure that an operator is shown.
const CLIENTS_LOOKED_AT: usize = 1024;

/// How full a region is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Open nodes.
    pub nodes: u32,
    /// Their slots.
    pub slots: u32,
    /// How many of those are free.
    pub free: u32,
}

impl Fleet {
    /// Replaces all orders. They hold also for nodes that come later.
    pub fn order(&mut self, orders: BTreeMap<NodeId, Order>) {
        let before = std::mem::replace(&mut self.orders, orders);
        let concerned: Vec<NodeId> = before.keys().chain(self.orders.keys()).copied().collect();
        concerned.into_iter().for_each(|node| self.show(node));
    }

    /// What is ordered about a node.
    pub fn order_of(&self, node: NodeId) -> Order {
        self.orders.get(&node).copied().unwrap_or_default()
    }

    /// Takes no new sessions: it said so, or an operator did.
    pub fn is_draining(&self, node: NodeId) -> bool {
        self.order_of(node).drained || self.members.get(&node).is_some_and(Member::is_draining)
    }

    /// How full each region is, by its code; the empty one stands for nodes that do not say.
    pub fn regions(&self) -> BTreeMap<String, Room> {
        let index = &self.board.index;
        let mut regions: BTreeMap<String, Room> = BTreeMap::new();
        for site in (0..index.sites()).map(|site| SiteId(site as u16)) {
            let (nodes, slots, free) = index.totals(site);
            let Some(region) = index.region(site).filter(|_| nodes > 0) else { continue };
            let room = regions.entry(index.regions.name(region).to_owned()).or_default();
            room.nodes += nodes;
            room.slots += slots;
            room.free += free;
        }
        regions
    }

    /// Whether some node could take the request if it had a free slot.
    pub fn could_take(&self, request: &Request) -> bool {
        let all: Vec<_> = (0..self.board.index.sites()).map(|site| SiteId(site as u16)).collect();
        self.is_possible(request, &all, None)
    }

    /// Whether this node could take the request if it had a free slot.
    pub fn could_take_at(&self, request: &Request, node: NodeId) -> bool {
        let site = self.site_of(node);
        site.is_some_and(|site| self.is_possible(request, &[site], Some(node)))
    }

    fn is_possible(&self, request: &Request, sites: &[SiteId], only: Option<NodeId>) -> bool {
        let index = &self.board.index;
        let Some(query) = Query::new(index, request) else { return false };
        let mut seen = index.scan(&query, sites.iter().map(|site| (0, *site)), &[]);
        seen.any(|seen| {
            let full = matches!(seen.obstacle, None | Some(Obstacle::Full | Obstacle::Reserved));
            full && only.is_none_or(|node| node == seen.found.node)
        })
    }

    /// Free slots of a node.
    pub fn free_slots(&self, node: NodeId) -> u16 {
        self.board.index.slots(node).map_or(0, |(_, free)| free)
    }

    /// Free slots of the open nodes of a site.
    pub fn free_at(&self, site: SiteId) -> u32 {
        self.board.index.totals(site).2
    }

    /// The open nodes of a site that hold a title, in the order of their ids.
    pub fn holders_at(&self, site: SiteId, title: &TitleId) -> Vec<NodeId> {
        let here = |node: &NodeId| self.site_of(*node) == Some(site) && self.board.index.is_open(*node);
        let holds = self.members.iter().filter(|(_, member)| member.title(title).is_some());
        holds.map(|(node, _)| *node).filter(here).collect()
    }

    /// The site that a node stands in.
    pub fn site_of(&self, node: NodeId) -> Option<SiteId> {
        self.board.index.handle(node).map(|handle| handle.site)
    }

    /// Whether two nodes stand in one site.
    pub fn are_neighbours(&self, one: NodeId, other: NodeId) -> bool {
        self.site_of(one).is_some_and(|site| self.site_of(other) == Some(site))
    }

    /// Where a node says that it stands.
    pub fn place_of(&self, node: NodeId) -> Option<Place> {
        let location = self.members.get(&node)?.offer.as_ref()?.terms.location?;
        Place::new(location.latitude_deg, location.longitude_deg)
    }

    /// The median of what clients remember of a node's site, ms.
    pub fn median_rtt_ms(&self, node: NodeId) -> Option<f64> {
        let site = self.site_of(node)?;
        let of_site = |past: &crate::latency::Past| {
            let known = past.sites().iter().find(|(known, _)| *known == site)?;
            known.1.median_us()
        };
        let mut values: Vec<u32> = self
            .board
            .model
            .history
            .pasts()
            .filter_map(|(_, past)| of_site(past))
            .take(CLIENTS_LOOKED_AT)
            .collect();
        values.sort_unstable();
        values.get(values.len() / 2).map(|median| f64::from(*median) / 1000.0)
    }

    /// A node for each member of a group, in their order: one for all, or each its own in one region. `None` where there
    /// is no room for all of them together.
    pub fn decide_group(
        &mut self,
        request: &Request,
        members: &[Ranking],
        together: Together,
        seed: u64,
    ) -> Option<Vec<Found>> {
        let members: Vec<_> = members.iter().map(|ranking| ranking.pairs().to_vec()).collect();
        let mut scratch = Scratch::default();
        let index = &mut self.board.index;
        match together {
            Together::Node => {
                let needs = Needs { slots: u32::try_from(members.len()).ok()?, ..request.needs.clone() };
                let query = Query::new(index, &Request { needs, ..request.clone() })?;
                let found = group::on_one_node(index, &query, &members, seed, &mut scratch)?;
                Some(vec![found; members.len()])
            }
            Together::Region => {
                let query = Query::new(index, request)?;
                let placed = group::in_one_region(index, &query, &members, seed, &mut scratch)?;
                let found = placed.iter().map(|(found, _)| *found).collect();
                // The store writes the leases; until it has, nothing is held here.
                placed.into_iter().for_each(|(_, claim)| index.release(claim));
                Some(found)
            }
        }
    }

    /// Free slots of all nodes that may take the request.
    pub fn free_for(&self, request: &Request) -> u32 {
        let index = &self.board.index;
        let Some(query) = Query::new(index, request) else { return 0 };
        let all: Vec<_> = (0..index.sites()).map(|site| (0, SiteId(site as u16))).collect();
        let able = index.scan(&query, all, &[]).filter(|seen| seen.obstacle.is_none());
        able.map(|seen| index.slots(seen.found.node).map_or(0, |(_, free)| u32::from(free))).sum()
    }
}

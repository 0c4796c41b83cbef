//! Presence: which nodes are there, what they offer and when they were last heard.
//!
//! A node whose link drops stays a member until it was silent for [`NODE_LOST_MS`]: it may come back,
//! and its sessions run on meanwhile. Times are milliseconds of one monotonic clock.

use crate::latency::{ClientKey, SiteId};
use crate::measuring::Measurable;
use crate::orders::Order;
use crate::placing::Board;
use crate::profile::{Profile, Vouched};
use nearframe_protocol::link::{HeldTitle, NODE_LOST_MS, NodeOffer};
use nearframe_protocol::measure::Reflector;
use nearframe_protocol::{Currency, NodeId, TitleId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One node.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it offers; absent for a node that is only awaited.
    pub offer: Option<NodeOffer>,
    /// Takes no new sessions: it said so, or an operator did.
    pub draining: bool,
    /// It said so itself.
    pub(crate) said_draining: bool,
    /// How pages may measure it.
    pub(crate) reflector: Option<(SiteId, Reflector)>,
    /// The link it speaks through; a newer link has a higher number.
    link: Option<u64>,
    lost_at_ms: u64,
    heartbeat: Option<u64>,
    running: usize,
}

impl Member {
    fn new(offer: Option<NodeOffer>, link: Option<u64>, lost_at_ms: u64) -> Self {
        Self {
            offer,
            draining: false,
            said_draining: false,
            reflector: None,
            link,
            lost_at_ms,
            heartbeat: None,
            running: 0,
        }
    }

    /// Connected and heard in time.
    pub fn is_online(&self, now_ms: u64) -> bool {
        self.link.is_some() && now_ms < self.lost_at_ms
    }
    /// The title as this node holds it.
    pub fn title(&self, title: &TitleId) -> Option<&HeldTitle> {
        self.offer.as_ref()?.titles.iter().find(|held| held.entry.id == *title)
    }
}

/// All nodes that are there or awaited.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(crate) members: BTreeMap<NodeId, Member>,
    pub(crate) board: Board,
    pub(crate) measurable: Measurable,
    pub(crate) orders: BTreeMap<NodeId, Order>,
    /// Clients of whom something was learnt that is not kept yet.
    pub(crate) touched: BTreeSet<ClientKey>,
    currency: Currency,
}

impl Fleet {
    /// An empty fleet whose prices are compared in `currency`.
    pub fn new(currency: Currency) -> Self {
        Self {
            members: BTreeMap::new(),
            board: Board::default(),
            measurable: Measurable::new(),
            orders: BTreeMap::new(),
            touched: BTreeSet::new(),
            currency,
        }
    }

    /// A node that ran sessions before this process started and is given until `lost_at_ms` to call.
    pub fn expect(&mut self, node: NodeId, lost_at_ms: u64) {
        self.members.entry(node).or_insert(Member::new(None, None, lost_at_ms));
    }

    /// Whether no online node runs a session, by its last heartbeat.
    pub fn is_quiet(&self, now_ms: u64) -> bool {
        self.members.values().filter(|member| member.is_online(now_ms)).all(|member| member.running == 0)
    }

    /// A node said hello through `link`, which replaces any older one.
    pub fn join(&mut self, node: NodeId, link: u64, offer: NodeOffer, now_ms: u64) {
        let lost_at_ms = now_ms + NODE_LOST_MS;
        self.board.seat(node, &offer, &Profile::of(&offer, Vouched::default(), &self.currency));
        self.forget_reflector(node);
        self.members.insert(node, Member::new(Some(offer), Some(link), lost_at_ms));
        self.obey(node);
    }

    /// Something came from the node through `link`.
    pub fn heard(&mut self, node: NodeId, link: u64, now_ms: u64) {
        if let Some(member) = self.through(node, link) {
            member.lost_at_ms = now_ms + NODE_LOST_MS;
        }
    }

    /// A heartbeat that names `running` sessions; true if it is newer than all before it on this link.
    pub fn heartbeat(&mut self, node: NodeId, link: u64, sequence: u64, running: usize) -> bool {
        let Some(member) = self.through(node, link) else { return false };
        let newer = member.heartbeat.is_none_or(|last| sequence > last);
        if newer {
            member.heartbeat = Some(sequence);
            member.running = running;
        }
        newer
    }

    /// The node takes no new sessions until it says hello again.
    pub fn drain(&mut self, node: NodeId, link: u64) {
        if let Some(member) = self.through(node, link) {
            member.said_draining = true;
            member.draining = true;
        }
    }

    /// The link closed. The node stays a member until it is lost.
    pub fn unlink(&mut self, node: NodeId, link: u64) {
        if let Some(member) = self.through(node, link) {
            member.link = None;
        }
    }

    /// Removes and names the nodes that were silent for too long.
    pub fn take_lost(&mut self, now_ms: u64) -> Vec<NodeId> {
        let lost: Vec<_> =
            self.members.iter().filter(|(_, m)| now_ms >= m.lost_at_ms).map(|(node, _)| *node).collect();
        for node in &lost {
            self.forget_reflector(*node);
            self.members.remove(node);
            self.board.index.remove(*node);
        }
        lost
    }

    /// The node, if it is there or awaited.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// All nodes, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.members.iter().map(|(node, member)| (*node, member))
    }

    /// The catalogue: each title that a node holds which was heard in time (its link may be down for a
    /// moment). Where nodes hold different bytes of a title, the ones that most nodes hold stand for
    /// it, then the higher version, then the higher hash.
    pub fn titles(&self, now_ms: u64) -> BTreeMap<TitleId, &HeldTitle> {
        let mut held: BTreeMap<TitleId, HashMap<_, (usize, &HeldTitle)>> = BTreeMap::new();
        for member in self.members.values().filter(|member| now_ms < member.lost_at_ms) {
            for title in member.offer.iter().flat_map(|offer| &offer.titles) {
                let versions = held.entry(title.entry.id.clone()).or_default();
                versions.entry(title.entry.hash).or_insert((0, title)).0 += 1;
            }
        }
        held.into_iter()
            .filter_map(|(id, versions)| {
                let most = versions.into_iter().max_by(|(hash, (count, title)), (other, (n, second))| {
                    (count, &title.entry.version, hash).cmp(&(n, &second.entry.version, other))
                });
                most.map(|(_, (_, title))| (id, title))
            })
            .collect()
    }

    fn forget_reflector(&mut self, node: NodeId) {
        let known = self.members.get_mut(&node).and_then(|member| member.reflector.take());
        let Some((site, _)) = known else { return };
        if let Some(nodes) = self.measurable.get_mut(&site) {
            nodes.retain(|other| *other != node);
            if nodes.is_empty() {
                self.measurable.remove(&site);
            }
        }
    }

    pub(crate) fn through(&mut self, node: NodeId, link: u64) -> Option<&mut Member> {
        self.members.get_mut(&node).filter(|member| member.link == Some(link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearframe_protocol::TitleHash;
    use nearframe_protocol::terms::NodeTerms;
    use nearframe_protocol::title::{TitleEntry, TouchControls};

    fn node(n: u8) -> NodeId {
        NodeId::from_random([n; 16])
    }
    fn offer(hashes: &[u8]) -> NodeOffer {
        let titles = hashes.iter().map(|&hash| HeldTitle {
            entry: TitleEntry {
                id: TitleId::new("meteor").unwrap(),
                kind: nearframe_protocol::title::TitleKind::Builtin,
                name: "Meteor".into(),
                version: "1".into(),
                hash: TitleHash::from_bytes([hash; 32]),
                description: String::new(),
                cover: None,
                width: 1280,
                height: 720,
                fps: 60,
                controls: vec![],
                touch: TouchControls::default(),
            },
            cover_base64: None,
        });
        NodeOffer {
            name: "n".into(),
            region: String::new(),
            slots: 2,
            adapter: String::new(),
            encoders: vec![],
            titles: titles.collect(),
            capability: None,
            terms: NodeTerms::default(),
        }
    }

    #[test]
    fn a_node_is_lost_exactly_three_seconds_after_its_last_word() {
        let mut fleet = Fleet::new(Currency::new("EUR").unwrap());
        fleet.join(node(1), 1, offer(&[1]), 0);
        fleet.heard(node(1), 1, 1000);
        assert!(fleet.take_lost(1000 + NODE_LOST_MS - 1).is_empty());
        assert_eq!(fleet.take_lost(1000 + NODE_LOST_MS), [node(1)]);
        assert!(fleet.member(node(1)).is_none());
    }

    #[test]
    fn a_dropped_link_makes_a_node_offline_but_not_lost_until_it_stayed_away() {
        let mut fleet = Fleet::new(Currency::new("EUR").unwrap());
        fleet.join(node(1), 1, offer(&[1]), 0);
        fleet.unlink(node(1), 1);
        assert!(!fleet.member(node(1)).unwrap().is_online(10));
        assert_eq!(fleet.titles(10).len(), 1, "the catalogue does not flicker");
        fleet.join(node(1), 2, offer(&[1]), 2000);
        assert!(fleet.take_lost(NODE_LOST_MS).is_empty());
        assert!(fleet.member(node(1)).unwrap().is_online(NODE_LOST_MS));
    }

    #[test]
    fn a_replaced_link_has_no_say_any_more() {
        let mut fleet = Fleet::new(Currency::new("EUR").unwrap());
        fleet.join(node(1), 1, offer(&[1]), 0);
        fleet.join(node(1), 2, offer(&[1]), 0);
        fleet.heard(node(1), 1, 2000);
        fleet.drain(node(1), 1);
        fleet.unlink(node(1), 1);
        let member = fleet.member(node(1)).unwrap();
        assert!(member.is_online(100) && !member.draining);
        assert_eq!(fleet.take_lost(NODE_LOST_MS), [node(1)]);
    }

    #[test]
    fn old_and_repeated_heartbeats_change_nothing() {
        let mut fleet = Fleet::new(Currency::new("EUR").unwrap());
        fleet.join(node(1), 1, offer(&[]), 0);
        let taken: Vec<_> = [1, 1, 3, 2, 4].map(|n| fleet.heartbeat(node(1), 1, n, 0)).into();
        assert_eq!(taken, [true, false, true, false, true]);
    }

    #[test]
    fn the_bytes_that_most_nodes_hold_stand_for_a_title() {
        let mut fleet = Fleet::new(Currency::new("EUR").unwrap());
        for (n, hash) in [(1, 9), (2, 5), (3, 5)] {
            fleet.join(node(n), 1, offer(&[hash]), 0);
        }
        let title = TitleId::new("meteor").unwrap();
        assert_eq!(fleet.titles(10)[&title].entry.hash, TitleHash::from_bytes([5; 32]));
        assert!(fleet.titles(NODE_LOST_MS).is_empty(), "titles of silent nodes are not offered");
    }
}

//! Presence: which nodes are there, what they offer and when they were last heard.
//!
//! A node whose link drops stays a member until it was silent for [`NODE_LOST_MS`]: it may come back,
//! and its sessions run on meanwhile. Nodes are linked to this matchmaker or to another replica of it, which says
//! how they are. Times are milliseconds of one monotonic clock.
//!
//! **Architecture invariant:** what is known of a node only moves forward, by the number of its link, then by the
//! link's [`Stage`]: an old word, a repeated one and another order of words end in the same state. The index is
//! changed together with the member, so that a decision looks at no other node than those it ranks.

mod titles;

use crate::assign::Crowd;
use crate::latency::{ClientKey, SiteId};
use crate::measuring::Measurable;
use crate::orders::Order;
use crate::placing::Board;
use crate::profile::{PriceList, Profile, Vouched};
use nearframe_protocol::link::{HeldTitle, NODE_LOST_MS, NodeOffer};
use nearframe_protocol::measure::Reflector;
use nearframe_protocol::{Currency, NodeId, TitleId};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use titles::Catalogue;

/// The life of a link: it goes only forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Connected.
    Linked,
    /// Connected, and takes nothing new.
    Draining,
    /// The connection closed; it may come back within a moment.
    Away,
    /// It did not come back in time.
    Lost,
}

/// Where a node is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// To this matchmaker.
    Here,
    /// To the replica of this number.
    There(u64),
}

/// One node.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it offers, but for the titles; absent while only a later word about its link has come.
    pub offer: Option<NodeOffer>,
    /// The titles it holds; nodes that hold the same share them.
    pub titles: Vec<Arc<HeldTitle>>,
    /// Where it is linked.
    pub home: Home,
    /// How far its link has come.
    pub stage: Stage,
    /// How pages may measure it.
    pub(crate) reflector: Option<(SiteId, Reflector)>,
    link: u64,
    /// Of a node that is linked here.
    lost_at_ms: u64,
    /// When it is looked at next, whether it is lost.
    due_at_ms: Option<u64>,
    heartbeat: Option<u64>,
    running: usize,
    /// By when of [`Fleet::moment`] something was said about it.
    told: u64,
}

impl Member {
    /// The link that it speaks through; a newer one has a higher number.
    pub fn link(&self) -> u64 {
        self.link
    }
    /// Takes no new sessions.
    pub fn is_draining(&self) -> bool {
        self.stage == Stage::Draining
    }
    /// How pages may measure it.
    pub fn reflector(&self) -> Option<&Reflector> {
        self.reflector.as_ref().map(|(_, reflector)| reflector)
    }

    /// The title as this node holds it.
    pub fn title(&self, title: &TitleId) -> Option<&HeldTitle> {
        self.titles.iter().find(|held| held.entry.id == *title).map(|held| &**held)
    }

    /// Whether its connection stands.
    fn is_linked(&self) -> bool {
        matches!(self.stage, Stage::Linked | Stage::Draining)
    }
}

/// All nodes that are there.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(crate) members: BTreeMap<NodeId, Member>,
    pub(crate) board: Board,
    catalogue: Catalogue,
    pub(crate) measurable: Measurable,
    pub(crate) orders: BTreeMap<NodeId, Order>,
    pub(crate) crowd: Crowd,
    /// Clients of whom something was learnt that is not kept yet.
    pub(crate) touched: BTreeSet<ClientKey>,
    currency: Currency,
    /// What hours cost; without one, what nodes ask.
    prices: Option<Arc<dyn PriceList>>,
    /// Slots that leases hold, and how often that changed.
    held: HashMap<NodeId, (u32, u64)>,
    /// The last link of nodes that are lost.
    lost: HashMap<NodeId, u64>,
    /// One entry for each node that is linked here, at a time when it was not lost yet.
    due: BinaryHeap<Reverse<(u64, NodeId)>>,
    /// Replicas that cannot be reached: their nodes take nothing.
    unreachable: HashSet<u64>,
    moment: u64,
}

impl Fleet {
    /// An empty fleet whose prices are compared in `currency`.
    pub fn new(currency: Currency) -> Self {
        Self {
            members: BTreeMap::new(),
            board: Board::default(),
            catalogue: Catalogue::default(),
            measurable: Measurable::new(),
            orders: BTreeMap::new(),
            crowd: Crowd::default(),
            touched: BTreeSet::new(),
            currency,
            prices: None,
            held: HashMap::new(),
            lost: HashMap::new(),
            due: BinaryHeap::new(),
            unreachable: HashSet::new(),
            moment: 0,
        }
    }

    /// A node said hello here through `link`, which replaces any older one; false where a newer one is known.
    pub fn join(&mut self, node: NodeId, link: u64, offer: NodeOffer, now_ms: u64) -> bool {
        if !self.tell(node, link, Stage::Linked, Some(offer), Home::Here) {
            return false;
        }
        let Some(member) = self.members.get_mut(&node) else { return false };
        member.lost_at_ms = now_ms + NODE_LOST_MS;
        member.due_at_ms = Some(member.lost_at_ms);
        self.due.push(Reverse((member.lost_at_ms, node)));
        true
    }

    /// What a replica says about a node; true if it was news.
    pub fn tell(
        &mut self,
        node: NodeId,
        link: u64,
        stage: Stage,
        offer: Option<NodeOffer>,
        home: Home,
    ) -> bool {
        self.moment += 1;
        if self.lost.get(&node).is_some_and(|lost| *lost >= link) {
            return false;
        }
        let known = self.members.get(&node).map(|member| member.link);
        if known.is_some_and(|known| known > link) {
            return false;
        }
        if stage == Stage::Lost {
            self.remove(node);
            self.lost.insert(node, link);
            return true;
        }
        if known != Some(link) {
            self.remove(node);
            self.members.insert(node, Member::new(link, stage, home));
        }
        self.advance(node, stage, offer)
    }

    /// Moves a link forward, and takes in its offer where that was missing.
    fn advance(&mut self, node: NodeId, stage: Stage, offer: Option<NodeOffer>) -> bool {
        let moment = self.moment;
        let Some(member) = self.members.get_mut(&node) else { return false };
        let news = stage > member.stage || member.offer.is_none() && offer.is_some();
        member.told = moment;
        member.stage = member.stage.max(stage);
        if member.offer.is_none()
            && let Some(mut offer) = offer
        {
            let profile = priced(&offer, &self.currency, self.prices.as_deref());
            self.board.seat(node, &offer, &profile);
            member.titles = offer.titles.drain(..).map(|held| self.catalogue.add(held)).collect();
            member.offer = Some(offer);
            let held = self.held.get(&node).map_or(0, |(held, _)| *held);
            self.board.index.set_busy(node, held);
        }
        self.show(node);
        news
    }

    /// Hours cost what this list says, on every node.
    pub fn set_prices(&mut self, prices: Arc<dyn PriceList>) {
        for (node, member) in &self.members {
            if let Some(offer) = &member.offer {
                let profile = priced(offer, &self.currency, Some(&*prices));
                self.board.index.set_price(*node, &profile);
            }
        }
        self.prices = Some(prices);
    }

    /// Writes into the index how the member is.
    pub(crate) fn show(&mut self, node: NodeId) {
        let Some(member) = self.members.get(&node) else { return };
        let reached = match member.home {
            Home::Here => true,
            Home::There(replica) => !self.unreachable.contains(&replica),
        };
        self.board.index.set_online(node, member.is_linked() && reached);
        let order = self.order_of(node);
        self.board.index.set_draining(node, member.is_draining() || order.drained);
        self.board.index.set_banned(node, order.banned);
    }

    fn remove(&mut self, node: NodeId) {
        self.forget_reflector(node);
        if let Some(member) = self.members.remove(&node) {
            member.titles.iter().for_each(|held| self.catalogue.remove(held));
            self.board.index.remove(node);
        }
    }

    /// Something came from the node through `link`.
    pub fn heard(&mut self, node: NodeId, link: u64, now_ms: u64) {
        if let Some(member) = self.here(node, link) {
            member.lost_at_ms = now_ms + NODE_LOST_MS;
        }
    }

    /// A heartbeat that names `running` sessions; true if it is newer than all before it on this link.
    pub fn heartbeat(&mut self, node: NodeId, link: u64, sequence: u64, running: usize) -> bool {
        let Some(member) = self.here(node, link) else { return false };
        let newer = member.heartbeat.is_none_or(|last| sequence > last);
        if newer {
            member.heartbeat = Some(sequence);
            member.running = running;
        }
        newer
    }

    /// The node takes no new sessions until it says hello again.
    pub fn drain(&mut self, node: NodeId, link: u64) {
        self.step(node, link, Stage::Draining);
    }

    /// The link closed. The node stays a member until it is lost.
    pub fn unlink(&mut self, node: NodeId, link: u64) {
        self.step(node, link, Stage::Away);
    }

    fn step(&mut self, node: NodeId, link: u64, stage: Stage) {
        if self.here(node, link).is_some() {
            self.advance(node, stage, None);
        }
    }

    /// Removes and names the nodes that were silent here for too long, with their links.
    pub fn take_lost(&mut self, now_ms: u64) -> Vec<(NodeId, u64)> {
        let mut lost = Vec::new();
        while let Some(Reverse((due_at_ms, node))) = self.due.peek().copied()
            && due_at_ms <= now_ms
        {
            self.due.pop();
            let Some(member) = self.members.get_mut(&node) else { continue };
            if member.home != Home::Here || member.due_at_ms != Some(due_at_ms) {
                continue;
            }
            if member.lost_at_ms > now_ms {
                member.due_at_ms = Some(member.lost_at_ms);
                self.due.push(Reverse((member.lost_at_ms, node)));
                continue;
            }
            let link = member.link;
            self.tell(node, link, Stage::Lost, None, Home::Here);
            lost.push((node, link));
        }
        lost
    }

    /// Slots of a node that leases hold, as of the change of this number; an older number changes nothing.
    pub fn set_held(&mut self, node: NodeId, held: u32, change: u64) {
        let known = self.held.entry(node).or_insert((0, 0));
        if change > known.1 {
            *known = (held, change);
            self.board.index.set_busy(node, held);
            self.crowd.set_held(node, held);
        }
    }

    /// The GPU tier that a node claims; 0 where it is not known here.
    pub fn gpu_tier(&self, node: NodeId) -> u8 {
        let offer = self.members.get(&node).and_then(|member| member.offer.as_ref());
        offer.map_or(0, |offer| offer.terms.gpu_tier)
    }

    /// Slots of a node that leases hold.
    pub fn held(&self, node: NodeId) -> u32 {
        self.held.get(&node).map_or(0, |(held, _)| *held)
    }

    /// Whether a replica can be reached; the nodes of one that cannot take nothing.
    pub fn set_reachable(&mut self, replica: u64, reachable: bool) {
        let changed =
            if reachable { self.unreachable.remove(&replica) } else { self.unreachable.insert(replica) };
        if changed {
            let nodes: Vec<_> = self.of(Home::There(replica)).collect();
            nodes.into_iter().for_each(|node| self.show(node));
        }
    }

    /// Counts up with each word: what [`Fleet::forget_untold`] compares.
    pub fn moment(&self) -> u64 {
        self.moment
    }

    /// A replica has named all its nodes since `moment`: the others are not linked to it any more.
    pub fn forget_untold(&mut self, replica: u64, moment: u64) {
        let untold = |node: &NodeId| self.members.get(node).is_some_and(|member| member.told <= moment);
        let nodes: Vec<_> = self.of(Home::There(replica)).filter(untold).collect();
        nodes.into_iter().for_each(|node| self.remove(node));
    }

    /// Whether no node that is linked here runs a session, by its last heartbeat.
    pub fn is_quiet(&self) -> bool {
        let here = |member: &&Member| member.home == Home::Here && member.is_linked();
        self.members.values().filter(here).all(|member| member.running == 0)
    }

    /// The node, if it is there.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// Whether it is connected, and reached.
    pub fn is_online(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(Member::is_linked) && self.board.index.is_online(node)
    }

    /// All nodes, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.members.iter().map(|(node, member)| (*node, member))
    }

    /// Nodes that are linked here, in the order of their ids, after `after`.
    pub fn linked_here(&self, after: Option<NodeId>) -> impl Iterator<Item = (NodeId, &Member)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let members = self.members.range((from, std::ops::Bound::Unbounded));
        members.filter(|(_, member)| member.home == Home::Here).map(|(node, member)| (*node, member))
    }

    /// The catalogue. Where nodes hold different bytes of a title, the ones that most nodes hold stand for
    /// it, then the higher version, then the higher hash.
    pub fn titles(&self) -> impl Iterator<Item = (&TitleId, &Arc<HeldTitle>)> {
        self.catalogue.all()
    }

    /// One title of the catalogue.
    pub fn title(&self, title: &TitleId) -> Option<&Arc<HeldTitle>> {
        self.catalogue.one(title)
    }

    /// The replica that a holder of the title is linked to, where that is another one.
    pub fn home_of(&self, held: &HeldTitle) -> Option<u64> {
        let holds = |member: &&Member| {
            member.titles.iter().any(|it| it.entry.id == held.entry.id && it.entry.hash == held.entry.hash)
        };
        let home = |member: &Member| match member.home {
            Home::Here => None,
            Home::There(replica) => Some(replica),
        };
        self.members.values().filter(holds).find_map(home)
    }

    fn of(&self, home: Home) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(move |(_, member)| member.home == home).map(|(node, _)| *node)
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

    fn here(&mut self, node: NodeId, link: u64) -> Option<&mut Member> {
        self.members.get_mut(&node).filter(|member| member.link == link && member.home == Home::Here)
    }
}

fn priced(offer: &NodeOffer, currency: &Currency, prices: Option<&dyn PriceList>) -> Profile {
    let profile = Profile::of(offer, Vouched::default(), currency);
    match prices {
        Some(prices) => profile.at(prices),
        None => profile,
    }
}

impl Member {
    fn new(link: u64, stage: Stage, home: Home) -> Self {
        Self {
            offer: None,
            titles: Vec::new(),
            home,
            stage,
            reflector: None,
            link,
            lost_at_ms: u64::MAX,
            due_at_ms: None,
            heartbeat: None,
            running: 0,
            told: 0,
        }
    }
}

#[cfg(test)]
mod tests;

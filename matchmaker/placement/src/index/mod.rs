//! The fleet, arranged for search: by site, and in each site one bitmap for each ability.
//!
//! A decision walks the sites of a client from near to far and ANDs a handful of words in each, so that its
//! cost hangs on how far it must walk and hardly on how many nodes there are. Positions are claimed and
//! released exactly: no node ever gives more slots than it has.

mod bargains;
mod eligible;
pub(crate) mod scan;
pub mod search;
mod site;
pub mod titles;
mod walk;

pub use search::{Found, Scratch};
pub(crate) use site::{Record, SiteNodes, closed};
use titles::Holders;
pub use titles::{TitleKey, Titles};

use crate::latency::SiteId;
use crate::profile::Profile;
use crate::region::{RegionId, Regions};
use bargains::Bargains;
use nearframe_protocol::NodeId;
use std::collections::HashMap;

/// Where a node stands in the index. Valid while the node is there; a node that came back stands elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    /// Its site.
    pub site: SiteId,
    at: u32,
    /// Which of the nodes that have stood there.
    serial: u32,
}

/// The right to slots of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Whose.
    pub node: NodeId,
    handle: Handle,
    slots: u16,
}

impl Claim {
    /// How many.
    pub fn slots(&self) -> u16 {
        self.slots
    }
}

/// Why slots cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The node left, or stands elsewhere by now.
    #[error("the node is gone: decide again")]
    Gone,
    /// It takes nothing new.
    #[error("the node takes no new sessions: decide again")]
    Closed,
    /// Others were faster.
    #[error("the node's slots are taken: decide again")]
    Full,
}

/// Nodes by site.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The regions of all sites.
    pub regions: Regions,
    /// The titles of all nodes.
    pub titles: Titles,
    sites: Vec<SiteNodes>,
    holders: Holders,
    handles: HashMap<NodeId, Handle>,
    bargains: Bargains,
    /// Of the node that joined last.
    serial: u32,
}

impl Index {
    /// No sites, no nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next site; ids count up from 0, as they do in the latency model. All nodes of a site stand in
    /// one region, so that residency is decided once for all of them.
    pub fn add_site(&mut self, region: &str) -> SiteId {
        let region = self.regions.intern(region);
        self.sites.push(SiteNodes::new(region));
        SiteId(u16::try_from(self.sites.len() - 1).expect("sites are fewer than 65,536"))
    }

    /// How many sites there are.
    pub fn sites(&self) -> usize {
        self.sites.len()
    }

    /// The region of a site.
    pub fn region(&self, site: SiteId) -> Option<RegionId> {
        self.sites.get(site.index()).map(|site| site.region)
    }

    /// A node joins, with all its slots free, or replaces what was known of it. `None`: no such site.
    pub fn insert(
        &mut self,
        node: NodeId,
        site: SiteId,
        profile: &Profile,
        titles: &[TitleKey],
    ) -> Option<Handle> {
        self.remove(node);
        self.serial = self.serial.wrapping_add(1);
        let record = Record { serial: self.serial, ..Record::new(profile, 0) };
        let nodes = self.sites.get_mut(site.index())?;
        let at = nodes.insert(node, record);
        let positions = nodes.positions() as usize;
        titles.iter().for_each(|title| self.holders.insert(*title, site, at, positions));
        self.refile(site, at);
        let handle = Handle { site, at, serial: self.serial };
        self.handles.insert(node, handle);
        Some(handle)
    }

    /// A node leaves; claims on it are void.
    pub fn remove(&mut self, node: NodeId) {
        if let Some(handle) = self.handles.remove(&node) {
            self.change(handle.site, handle.at, |site| site.remove(handle.at));
            self.holders.remove(handle.site, handle.at);
        }
    }

    /// Where a node stands.
    pub fn handle(&self, node: NodeId) -> Option<Handle> {
        self.handles.get(&node).copied()
    }

    /// Whether a node takes new sessions, free slots or not.
    pub fn is_open(&self, node: NodeId) -> bool {
        let record = self.handle(node).and_then(|handle| self.sites[handle.site.index()].record(handle.at));
        record.is_some_and(|record| record.closed == 0)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Connected and heard in time, or not.
    pub fn set_online(&mut self, node: NodeId, online: bool) {
        self.set_closed(node, closed::OFFLINE, !online);
    }

    /// Whether it is connected and heard in time, as far as was told.
    pub fn is_online(&self, node: NodeId) -> bool {
        let record = |handle: Handle| self.sites[handle.site.index()].record(handle.at);
        self.handle(node).and_then(record).is_some_and(|record| record.closed & closed::OFFLINE == 0)
    }

    /// Takes no new sessions, or does again.
    pub fn set_draining(&mut self, node: NodeId, draining: bool) {
        self.set_closed(node, closed::DRAINING, draining);
    }

    /// Shut out by an operator, or no longer.
    pub fn set_banned(&mut self, node: NodeId, banned: bool) {
        self.set_closed(node, closed::BANNED, banned);
    }

    /// So many of the node's slots are taken, by the word of whoever keeps the leases. More than it has counts
    /// as all.
    pub fn set_busy(&mut self, node: NodeId, busy: u32) {
        if let Some((site, at, record)) = self.located(node) {
            let free = u32::from(record.slots).saturating_sub(busy);
            let free = u16::try_from(free).expect("fewer than the slots");
            self.change(site, at, |site| site.set_free(at, free));
        }
    }

    /// The node answers this much slower (or faster) than its site, µs; moves a quarter of the way each time,
    /// by at most a millisecond, so that a single odd session moves little.
    pub fn observe_offset(&mut self, node: NodeId, offset_us: i32) {
        if let Some((site, at, record)) = self.located(node) {
            let mut record = record.clone();
            let step = (offset_us.saturating_sub(record.offset_us) / 4).clamp(-1000, 1000);
            record.offset_us = record.offset_us.saturating_add(step).max(-search::FASTER_US.cast_signed());
            self.change(site, at, |site| site.write(at, record));
        }
    }

    /// The node's prices are those of this profile from now on.
    pub fn set_price(&mut self, node: NodeId, profile: &Profile) {
        if let Some((site, at, _)) = self.located(node) {
            self.change(site, at, |site| site.set_price(at, profile));
        }
    }

    /// What others would give for a slot at this site, µs.
    pub fn set_scarcity(&mut self, site: SiteId, scarcity_us: u32) {
        if let Some(site) = self.sites.get_mut(site.index()) {
            site.scarcity_us = scarcity_us;
        }
    }

    /// Open nodes of a site, their slots, and how many of those are free.
    pub fn totals(&self, site: SiteId) -> (u32, u32, u32) {
        self.sites.get(site.index()).map_or((0, 0, 0), SiteNodes::totals)
    }

    /// Takes `slots` of a node, if it still has them.
    pub fn claim(&mut self, found: &Found, slots: u16) -> Result<Claim, ClaimError> {
        let Handle { site, at, .. } = found.handle;
        let record = self
            .sites
            .get(site.index())
            .ok_or(ClaimError::Gone)?
            .record(at)
            .filter(|record| record.serial == found.handle.serial);
        let record = record.ok_or(ClaimError::Gone)?;
        if record.closed != 0 {
            return Err(ClaimError::Closed);
        }
        let free = record.free.checked_sub(slots).ok_or(ClaimError::Full)?;
        self.change(site, at, |site| site.set_free(at, free));
        Ok(Claim { node: found.node, handle: found.handle, slots })
    }

    /// Gives claimed slots back; once, because the claim is used up. A node that left keeps nothing.
    pub fn release(&mut self, claim: Claim) {
        let Handle { site, at, serial } = claim.handle;
        let record = self.sites.get(site.index()).and_then(|site| site.record(at));
        if let Some(record) = record.filter(|record| record.serial == serial) {
            let free = record.free.saturating_add(claim.slots).min(record.slots);
            self.change(site, at, |site| site.set_free(at, free));
        }
    }

    /// Slots and free slots of a node.
    pub fn slots(&self, node: NodeId) -> Option<(u16, u16)> {
        let handle = self.handle(node)?;
        self.sites[handle.site.index()].record(handle.at).map(|record| (record.slots, record.free))
    }

    fn set_closed(&mut self, node: NodeId, reason: u8, set: bool) {
        if let Some((site, at, record)) = self.located(node) {
            let closed = if set { record.closed | reason } else { record.closed & !reason };
            self.change(site, at, |site| site.set_closed(at, closed));
        }
    }

    fn located(&self, node: NodeId) -> Option<(SiteId, u32, Record)> {
        let Handle { site, at, .. } = self.handle(node)?;
        Some((site, at, self.sites[site.index()].record(at)?.clone()))
    }

    /// The one place where a site's node changes, after it has joined.
    fn change(&mut self, site: SiteId, at: u32, how: impl FnOnce(&mut SiteNodes)) {
        how(&mut self.sites[site.index()]);
        self.refile(site, at);
    }
}

//! The nodes of one site: a record for each, and every ability as a bitmap over them.
//!
//! **Architecture invariant:** the bitmaps say what the records say; both change in [`SiteNodes::write`] alone.

use super::bargains::Filed;
use super::eligible::{BLOCK, Block, NOBODY, ask_for, bit_of};
use crate::caps::{BITS, Caps};
use crate::profile::Profile;
use crate::region::RegionId;
use nearframe_protocol::NodeId;

/// Why a node is closed, as bits; 0: it is open.
pub(crate) mod closed {
    /// Not connected, or not heard in time.
    pub(crate) const OFFLINE: u8 = 1;
    /// Takes no new sessions.
    pub(crate) const DRAINING: u8 = 2;
    /// Shut out by an operator.
    pub(crate) const BANNED: u8 = 4;
    /// Nobody stands there.
    pub(crate) const VACANT: u8 = 8;
}

/// What placement weighs of one node: a line of the cache, because a decision reads those of nodes far apart.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Record {
    /// Which of all nodes that ever joined: what was claimed of an earlier one is void.
    pub(crate) serial: u32,
    /// With the free slots of now.
    pub(crate) caps: Caps,
    pub(crate) pixels_per_s: u64,
    pub(crate) stake_micros: u64,
    pub(crate) price_micros_per_hour: u64,
    pub(crate) batch_discount_micros: u64,
    /// How much slower or faster than its site, µs.
    pub(crate) offset_us: i32,
    pub(crate) slots: u16,
    pub(crate) free: u16,
    pub(crate) failure_permille: u16,
    pub(crate) closed: u8,
    /// Where it stands among the nodes of its grade of price.
    pub(super) filed: Filed,
}

impl Record {
    pub(crate) fn new(profile: &Profile, closed: u8) -> Self {
        let slots = u16::try_from(profile.slots).unwrap_or(u16::MAX);
        Self {
            serial: 0,
            caps: Caps::of(profile, closed == 0).with_free(u32::from(slots)),
            pixels_per_s: profile.pixels_per_s,
            stake_micros: profile.stake_micros,
            price_micros_per_hour: profile.price_micros_per_hour,
            batch_discount_micros: profile.batch_discount_micros,
            offset_us: 0,
            slots,
            free: slots,
            failure_permille: profile.failure_permille,
            closed,
            filed: Filed::default(),
        }
    }

    /// What an hour costs, for work that may be interrupted or for a player.
    pub(crate) fn price_micros(&self, batch: bool) -> u64 {
        self.price_micros_per_hour - if batch { self.batch_discount_micros } else { 0 }
    }

    fn vacant() -> Self {
        Self { caps: Caps(0), ..Self::new(&Profile::default(), closed::VACANT) }
    }

    fn is_vacant(&self) -> bool {
        self.closed & closed::VACANT != 0
    }
}

const _: () = assert!(size_of::<Record>() == 64, "a record is a line of the cache");

/// One site.
#[derive(Clone, Debug)]
pub(crate) struct SiteNodes {
    pub(crate) region: RegionId,
    /// What a slot here is worth to those who want it most, µs; from the assignment (docs/placement.md).
    pub(crate) scarcity_us: u32,
    /// Open nodes with a free slot.
    open: u32,
    records: Vec<Record>,
    /// Who stands at each position, or stood there last.
    nodes: Vec<NodeId>,
    /// For each block of nodes, one bit for each of them of every ability: what a search ANDs lies together.
    pub(super) bits: Vec<[Block; BITS]>,
    vacant: Vec<u32>,
}

impl SiteNodes {
    pub(crate) fn new(region: RegionId) -> Self {
        Self {
            region,
            scarcity_us: 0,
            open: 0,
            records: Vec::new(),
            nodes: Vec::new(),
            bits: Vec::new(),
            vacant: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, node: NodeId, record: Record) -> u32 {
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.records.push(Record::vacant());
            self.nodes.push(node);
            if self.records.len() > self.bits.len() * BLOCK {
                self.bits.push([NOBODY; BITS]);
            }
            u32::try_from(self.records.len() - 1).expect("a site has fewer than 2^32 nodes")
        });
        self.write(at, record);
        self.nodes[at as usize] = node;
        at
    }

    pub(crate) fn remove(&mut self, at: u32) {
        self.write(at, Record::vacant());
        self.vacant.push(at);
    }

    /// The one place where a record and its bits change.
    pub(crate) fn write(&mut self, at: u32, record: Record) {
        let (block, word, bit) = bit_of(at);
        let changed = Caps(self.records[at as usize].caps.0 ^ record.caps.0);
        for position in changed.positions() {
            self.bits[block][position][word] ^= bit;
        }
        let old = &mut self.records[at as usize];
        self.open -= u32::from(old.caps.open_grade().is_some());
        self.open += u32::from(record.caps.open_grade().is_some());
        // Where it is filed is another's to change.
        let filed = old.filed;
        *old = record;
        old.filed = filed;
    }

    /// Whether any node is open and has a free slot.
    pub(crate) fn has_room(&self) -> bool {
        self.open > 0
    }

    /// The node has so many free slots.
    pub(crate) fn set_free(&mut self, at: u32, free: u16) {
        let mut record = self.records[at as usize].clone();
        record.free = free;
        record.caps = record.caps.with_free(u32::from(free));
        self.write(at, record);
    }

    /// The node costs as much as a profile says.
    pub(crate) fn set_price(&mut self, at: u32, profile: &Profile) {
        let mut record = self.records[at as usize].clone();
        record.price_micros_per_hour = profile.price_micros_per_hour;
        record.batch_discount_micros = profile.batch_discount_micros;
        record.caps = record.caps.with_price(profile.lowest_micros());
        self.write(at, record);
    }

    /// The node is closed for these reasons.
    pub(crate) fn set_closed(&mut self, at: u32, closed: u8) {
        let mut record = self.records[at as usize].clone();
        record.closed = closed;
        record.caps = record.caps.with_open(closed == 0);
        self.write(at, record);
    }

    pub(crate) fn record(&self, at: u32) -> Option<&Record> {
        self.records.get(at as usize).filter(|record| !record.is_vacant())
    }

    /// Who stands at a position that is not vacant.
    pub(super) fn node(&self, at: u32) -> NodeId {
        self.nodes[at as usize]
    }

    /// How many positions there are, vacant ones among them.
    pub(super) fn positions(&self) -> u32 {
        self.records.len() as u32
    }

    /// What is kept at a position, vacant or not.
    pub(super) fn kept(&self, at: u32) -> &Record {
        &self.records[at as usize]
    }

    /// Asks memory for what is kept of two nodes.
    pub(super) fn ask_for(&self, pair: [u32; 2]) {
        pair.iter().for_each(|at| ask_for(self.records.get(*at as usize).map(|record| &record.serial)));
    }

    /// The same, to file it.
    pub(super) fn kept_mut(&mut self, at: u32) -> &mut Record {
        &mut self.records[at as usize]
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, &Record)> {
        let all = self.records.iter().enumerate();
        all.filter(|(_, record)| !record.is_vacant()).map(|(at, record)| (at as u32, record))
    }

    /// Nodes, slots and free slots.
    pub(crate) fn totals(&self) -> (u32, u32, u32) {
        self.records().filter(|(_, record)| record.closed == 0).fold(
            (0, 0, 0),
            |(nodes, slots, free), (_, record)| {
                (nodes + 1, slots + u32::from(record.slots), free + u32::from(record.free))
            },
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::region::Regions;

    /// Nodes at all positions below `nodes`; a free slot is at those that `open` says.
    pub(in crate::index) fn site(nodes: u32, open: impl Fn(u32) -> bool) -> SiteNodes {
        let mut site = SiteNodes::new(Regions::default().intern("DE"));
        for n in 0..nodes {
            let node = NodeId::from_bytes(u128::from(n + 1).to_le_bytes());
            let at = site.insert(node, Record::new(&Profile { slots: 1, ..Profile::default() }, 0));
            if !open(n) {
                site.set_free(at, 0);
            }
        }
        site
    }

    #[test]
    fn room_is_counted() {
        let mut site = site(3, |n| n > 0);
        assert!(site.has_room());
        site.set_closed(1, closed::DRAINING);
        assert!(site.has_room());
        site.remove(2);
        assert!(!site.has_room());
        site.set_free(0, 1);
        assert!(site.has_room());
    }
}

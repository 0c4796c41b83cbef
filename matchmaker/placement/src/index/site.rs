//! The nodes of one site: a record for each, and every ability as a bitmap over them.
//!
//! **Architecture invariant:** the bitmaps say what the records say; both change in [`SiteNodes::write`] alone.

use super::titles::{Members, TitleKey};
use crate::caps::{BITS, Caps};
use crate::profile::Profile;
use crate::region::RegionId;
use nearframe_protocol::NodeId;
use std::collections::BTreeMap;

/// Why a node is closed, as bits; 0: it is open.
pub(crate) mod closed {
    /// Not connected, or not heard in time.
    pub(crate) const OFFLINE: u8 = 1;
    /// Takes no new sessions.
    pub(crate) const DRAINING: u8 = 2;
    /// Shut out by an operator.
    pub(crate) const BANNED: u8 = 4;
}

/// What placement keeps of one node.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// `None`: the position is vacant.
    pub(crate) node: Option<NodeId>,
    /// Which of all nodes that ever joined: what was claimed of an earlier one is void.
    pub(crate) serial: u32,
    /// With the free slots of now.
    pub(crate) caps: Caps,
    pub(crate) pixels_per_s: u64,
    pub(crate) stake_micros: u64,
    pub(crate) price_micros_per_hour: u64,
    /// How much slower or faster than its site, µs.
    pub(crate) offset_us: i32,
    pub(crate) slots: u16,
    pub(crate) free: u16,
    pub(crate) failure_permille: u16,
    pub(crate) closed: u8,
}

impl Record {
    pub(crate) fn new(node: NodeId, profile: &Profile, closed: u8) -> Self {
        let slots = u16::try_from(profile.slots).unwrap_or(u16::MAX);
        Self {
            node: Some(node),
            serial: 0,
            caps: Caps::of(profile, closed == 0).with_free(u32::from(slots)),
            pixels_per_s: profile.pixels_per_s,
            stake_micros: profile.stake_micros,
            price_micros_per_hour: profile.price_micros_per_hour,
            offset_us: 0,
            slots,
            free: slots,
            failure_permille: profile.failure_permille,
            closed,
        }
    }

    fn vacant() -> Self {
        let mut record = Self::new(NodeId::from_bytes([0; 16]), &Profile::default(), closed::OFFLINE);
        record.node = None;
        record.caps = Caps(0);
        record
    }
}

/// One site.
#[derive(Clone, Debug)]
pub(crate) struct SiteNodes {
    pub(crate) region: RegionId,
    /// What a slot here is worth to those who want it most, µs; from the assignment (docs/placement.md).
    pub(crate) scarcity_us: u32,
    /// No node here asks for less; may lag behind a node that left.
    pub(crate) cheapest_micros: u64,
    records: Vec<Record>,
    /// For each 64 nodes, [`BITS`] words: one for each ability.
    bits: Vec<u64>,
    titles: BTreeMap<TitleKey, Members>,
    vacant: Vec<u32>,
}

impl SiteNodes {
    pub(crate) fn new(region: RegionId) -> Self {
        Self {
            region,
            scarcity_us: 0,
            cheapest_micros: u64::MAX,
            records: Vec::new(),
            bits: Vec::new(),
            titles: BTreeMap::new(),
            vacant: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, record: Record, titles: &[TitleKey]) -> u32 {
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.records.push(Record::vacant());
            let words = self.records.len().div_ceil(64);
            self.bits.resize(words * BITS, 0);
            u32::try_from(self.records.len() - 1).expect("a site has fewer than 2^32 nodes")
        });
        self.cheapest_micros = self.cheapest_micros.min(record.price_micros_per_hour);
        self.write(at, record);
        let nodes = self.records.len();
        for title in titles {
            self.titles.entry(*title).or_insert_with(Members::new).insert(at, nodes);
        }
        at
    }

    pub(crate) fn remove(&mut self, at: u32) {
        self.write(at, Record::vacant());
        self.titles.values_mut().for_each(|members| members.remove(at));
        self.vacant.push(at);
    }

    /// The one place where a record and its bits change.
    pub(crate) fn write(&mut self, at: u32, record: Record) {
        let (word, bit) = (at as usize / 64, 1_u64 << (at % 64));
        let row = &mut self.bits[word * BITS..(word + 1) * BITS];
        let changed = Caps(self.records[at as usize].caps.0 ^ record.caps.0);
        for position in changed.positions() {
            row[position] ^= bit;
        }
        self.records[at as usize] = record;
    }

    /// The node has so many free slots.
    pub(crate) fn set_free(&mut self, at: u32, free: u16) {
        let mut record = self.records[at as usize].clone();
        record.free = free;
        record.caps = record.caps.with_free(u32::from(free));
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
        self.records.get(at as usize).filter(|record| record.node.is_some())
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, &Record)> {
        let all = self.records.iter().enumerate();
        all.filter(|(_, record)| record.node.is_some()).map(|(at, record)| (at as u32, record))
    }

    pub(crate) fn holds(&self, at: u32, title: TitleKey) -> bool {
        self.titles.get(&title).is_some_and(|members| members.contains(at))
    }

    /// Fills `words` with one bit for each node that holds the title and covers what is needed; says how many.
    pub(crate) fn eligible(&self, title: TitleKey, needed: Caps, words: &mut Vec<u64>) -> u32 {
        words.clear();
        let Some(members) = self.titles.get(&title) else { return 0 };
        words.resize(self.records.len().div_ceil(64), 0);
        match members {
            Members::Few(list) => {
                let mut count = 0;
                for &at in list {
                    if self.records[at as usize].caps.cover(needed) {
                        words[at as usize / 64] |= 1 << (at % 64);
                        count += 1;
                    }
                }
                count
            }
            Members::Many(holders) => {
                // Into an array once: the loop over words is the innermost of all.
                let mut positions = [0; BITS];
                let needs = needed.0.count_ones() as usize;
                positions.iter_mut().zip(needed.positions()).for_each(|(slot, position)| *slot = position);
                let mut count = 0;
                for ((word, holds), row) in words.iter_mut().zip(holders).zip(self.bits.chunks_exact(BITS)) {
                    let all = positions[..needs].iter().fold(*holds, |all, &position| all & row[position]);
                    *word = all;
                    count += all.count_ones();
                }
                count
            }
        }
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

/// The position of the set bit of this rank.
pub(super) fn nth_set(words: &[u64], mut rank: u32) -> Option<u32> {
    for (at, word) in words.iter().enumerate() {
        let ones = word.count_ones();
        if rank < ones {
            let mut word = *word;
            for _ in 0..rank {
                word &= word - 1;
            }
            return Some(at as u32 * 64 + word.trailing_zeros());
        }
        rank -= ones;
    }
    None
}

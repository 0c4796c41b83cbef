//! The nodes of one site: a record for each, and every ability as a bitmap over them.
//!
//! **Architecture invariant:** the bitmaps say what the records say; both change in [`SiteNodes::write`] alone.

use super::titles::{Members, TitleKey};
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
    pub(crate) batch_discount_micros: u64,
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
            batch_discount_micros: profile.batch_discount_micros,
            offset_us: 0,
            slots,
            free: slots,
            failure_permille: profile.failure_permille,
            closed,
        }
    }

    /// What an hour costs, for work that may be interrupted or for a player.
    pub(crate) fn price_micros(&self, batch: bool) -> u64 {
        self.price_micros_per_hour - if batch { self.batch_discount_micros } else { 0 }
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
    /// For each ability, `stride` words of one bit for each node: what a search ANDs lies together.
    bits: Vec<u64>,
    stride: usize,
    /// For each title of the fleet, where its holders stand in `holders`, plus one; 0: nobody here holds it.
    titles: Vec<u32>,
    holders: Vec<Members>,
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
            stride: 0,
            titles: Vec::new(),
            holders: Vec::new(),
            vacant: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, record: Record, titles: &[TitleKey]) -> u32 {
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.records.push(Record::vacant());
            self.make_room(self.records.len().div_ceil(64));
            u32::try_from(self.records.len() - 1).expect("a site has fewer than 2^32 nodes")
        });
        self.cheapest_micros = self.cheapest_micros.min(record.price_micros(true));
        self.write(at, record);
        let nodes = self.records.len();
        for title in titles {
            self.holders_mut(*title).insert(at, nodes);
        }
        at
    }

    pub(crate) fn remove(&mut self, at: u32) {
        self.write(at, Record::vacant());
        self.holders.iter_mut().for_each(|members| members.remove(at));
        self.vacant.push(at);
    }

    /// The one place where a record and its bits change.
    pub(crate) fn write(&mut self, at: u32, record: Record) {
        let (word, bit) = (at as usize / 64, 1_u64 << (at % 64));
        let changed = Caps(self.records[at as usize].caps.0 ^ record.caps.0);
        for position in changed.positions() {
            self.bits[position * self.stride + word] ^= bit;
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

    /// The node costs as much as a profile says.
    pub(crate) fn set_price(&mut self, at: u32, profile: &Profile) {
        let mut record = self.records[at as usize].clone();
        record.price_micros_per_hour = profile.price_micros_per_hour;
        record.batch_discount_micros = profile.batch_discount_micros;
        record.caps = record.caps.with_price(profile.lowest_micros());
        self.cheapest_micros = self.cheapest_micros.min(record.price_micros(true));
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
        self.holders(title).is_some_and(|members| members.contains(at))
    }

    /// Fills `words` with one bit for each node that holds the title and covers what is needed; false when there
    /// is none.
    pub(crate) fn eligible(&self, title: TitleKey, needed: Caps, words: &mut Vec<u64>) -> bool {
        words.clear();
        match self.holders(title) {
            None => false,
            Some(Members::Few(list)) => {
                let covering = || list.iter().filter(|at| self.records[**at as usize].caps.cover(needed));
                if covering().next().is_none() {
                    return false;
                }
                words.resize(self.records.len().div_ceil(64), 0);
                covering().for_each(|at| words[*at as usize / 64] |= 1 << (at % 64));
                true
            }
            Some(Members::Many(holders)) => {
                words.extend_from_slice(holders);
                for position in needed.positions() {
                    let row = &self.bits[position * self.stride..(position + 1) * self.stride];
                    words.iter_mut().zip(row).for_each(|(word, has)| *word &= has);
                }
                words.iter().fold(0, |any, word| any | word) != 0
            }
        }
    }

    fn holders(&self, title: TitleKey) -> Option<&Members> {
        let at = (*self.titles.get(title.0 as usize)?).checked_sub(1)?;
        self.holders.get(at as usize)
    }

    fn holders_mut(&mut self, title: TitleKey) -> &mut Members {
        let at = title.0 as usize;
        if self.titles.len() <= at {
            self.titles.resize(at + 1, 0);
        }
        if self.titles[at] == 0 {
            self.holders.push(Members::new());
            self.titles[at] = u32::try_from(self.holders.len()).expect("titles are fewer than 2^32");
        }
        &mut self.holders[self.titles[at] as usize - 1]
    }

    /// Widens the rows of bits, by half at a time.
    fn make_room(&mut self, words: usize) {
        if words <= self.stride {
            return;
        }
        let stride = words.max(self.stride + self.stride / 2);
        let mut bits = vec![0; stride * BITS];
        for (row, old) in bits.chunks_exact_mut(stride).zip(self.bits.chunks(self.stride.max(1))) {
            row[..old.len()].copy_from_slice(old);
        }
        (self.bits, self.stride) = (bits, stride);
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

/// The first set bit at or after a position, going round; `None` where no bit is set.
pub(super) fn next_set(words: &[u64], from: u32) -> Option<u32> {
    let (start, bit) = (from as usize / 64, from % 64);
    let first = words.get(start).map_or(0, |word| word >> bit << bit);
    if first != 0 {
        return Some(start as u32 * 64 + first.trailing_zeros());
    }
    let after = (start + 1..words.len()).chain(0..(start + 1).min(words.len()));
    let found = after.map(|at| (at, words[at])).find(|(_, word)| *word != 0);
    found.map(|(at, word)| at as u32 * 64 + word.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_found_from_anywhere_and_going_round() {
        let words = [1 << 5, 0, 1 << 63];
        let cases = [(0, 5), (5, 5), (6, 191), (191, 191), (64, 191), (500, 5)];
        for (from, found) in cases {
            assert_eq!(next_set(&words, from), Some(found), "from {from}");
        }
        assert_eq!(next_set(&[0, 0], 70), None);
    }
}

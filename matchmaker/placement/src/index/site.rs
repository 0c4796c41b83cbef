//! The nodes of one site: a record for each, and every ability as a bitmap over them.
//!
//! **Architecture invariant:** the bitmaps say what the records say; both change in [`SiteNodes::write`] alone.

use super::titles::{Members, TitleKey};
use crate::caps::{BITS, Caps, GRADES};
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
    /// Open nodes with a free slot, by grade of price.
    open: [u32; GRADES],
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
            open: [0; GRADES],
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
        self.cheapest_micros = self.cheapest_micros.min(record.price_micros_per_hour);
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
        if let Some(grade) = self.records[at as usize].caps.open_grade() {
            self.open[grade] -= 1;
        }
        if let Some(grade) = record.caps.open_grade() {
            self.open[grade] += 1;
        }
        self.records[at as usize] = record;
    }

    /// Whether any node is open and has a free slot, of this grade of price where one is given.
    pub(crate) fn has_room(&self, grade: Option<u32>) -> bool {
        match grade {
            Some(grade) => self.open[grade as usize] > 0,
            None => self.open.iter().any(|nodes| *nodes > 0),
        }
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
        self.holders(title).is_some_and(|members| members.contains(at))
    }

    /// The nodes that hold the title and cover what is needed; `None` where nobody holds it.
    pub(crate) fn eligible<'a>(
        &'a self,
        title: TitleKey,
        needed: Caps,
        blocks: &'a mut Blocks,
    ) -> Option<Eligible<'a>> {
        let holders = self.holders(title)?;
        if let Members::Many(words) = holders {
            blocks.begin(words.len());
        }
        Some(Eligible { site: self, holders, needed, blocks })
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

/// Words of a row that are looked at together: a line of the cache.
const BLOCK: usize = 8;

/// What was found in the blocks of one site; memory that searches share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    words: Vec<u64>,
    known: Vec<bool>,
}

impl Blocks {
    fn begin(&mut self, words: usize) {
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        self.known.clear();
        self.known.resize(words.div_ceil(BLOCK), false);
    }
}

/// The nodes of a site that may take a request, as far as bitmaps tell. Only as much of a site is looked at as is asked
/// for: the next node from a drawn position is mostly near.
pub(crate) struct Eligible<'a> {
    site: &'a SiteNodes,
    holders: &'a Members,
    needed: Caps,
    blocks: &'a mut Blocks,
}

impl Eligible<'_> {
    /// Positions that may be drawn.
    pub(crate) fn positions(&self) -> u32 {
        (self.site.records.len().div_ceil(64) * 64) as u32
    }

    /// The first at or after a position, going round.
    pub(crate) fn next(&mut self, from: u32) -> Option<u32> {
        self.at_or_after(from).or_else(|| self.at_or_after(0))
    }

    /// The first at or after a position.
    pub(crate) fn at_or_after(&mut self, from: u32) -> Option<u32> {
        match self.holders {
            Members::Few(list) => {
                let covers = |at: &&u32| self.site.records[**at as usize].caps.cover(self.needed);
                list[list.partition_point(|at| *at < from)..].iter().find(covers).copied()
            }
            Members::Many(holders) => self.among(holders, from),
        }
    }

    fn among(&mut self, holders: &[u64], from: u32) -> Option<u32> {
        let (mut word, mut below) = (from as usize / 64, from % 64);
        while word < holders.len() {
            self.look(holders, word / BLOCK);
            let end = ((word / BLOCK + 1) * BLOCK).min(holders.len());
            for at in word..end {
                let bits = self.blocks.words[at] >> below << below;
                if bits != 0 {
                    return Some(at as u32 * 64 + bits.trailing_zeros());
                }
                below = 0;
            }
            word = end;
        }
        None
    }

    /// ANDs the rows of a block.
    fn look(&mut self, holders: &[u64], block: usize) {
        if std::mem::replace(&mut self.blocks.known[block], true) {
            return;
        }
        let range = block * BLOCK..((block + 1) * BLOCK).min(holders.len());
        let words = &mut self.blocks.words[range.clone()];
        words.copy_from_slice(&holders[range.clone()]);
        for position in self.needed.positions() {
            let row = &self.site.bits[position * self.site.stride..][range.clone()];
            words.iter_mut().zip(row).for_each(|(word, has)| *word &= has);
            if words.iter().all(|word| *word == 0) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::region::Regions;

    /// Nodes at all positions below `nodes`; the title and a free slot are at those that `open` says.
    fn site(nodes: u32, open: impl Fn(u32) -> bool) -> (SiteNodes, TitleKey) {
        let mut site = SiteNodes::new(Regions::default().intern("DE"));
        let title = TitleKey(0);
        for n in 0..nodes {
            let node = NodeId::from_bytes(u128::from(n + 1).to_le_bytes());
            let at = site.insert(Record::new(node, &Profile { slots: 1, ..Profile::default() }, 0), &[title]);
            if !open(n) {
                site.set_free(at, 0);
            }
        }
        (site, title)
    }

    #[test]
    fn eligible_nodes_are_found_from_anywhere_and_going_round() {
        let is_open = |n: u32| [5, 191, 1300].contains(&n);
        let (site, title) = site(1400, is_open);
        let mut blocks = Blocks::default();
        let needed = Caps::needed(&crate::Needs::default());
        let cases = [(0, 5), (5, 5), (6, 191), (191, 191), (192, 1300), (1301, 5), (9_999, 5)];
        for (from, found) in cases {
            let mut eligible = site.eligible(title, needed, &mut blocks).expect("it is held");
            assert_eq!(eligible.next(from), Some(found), "from {from}");
            assert_eq!(eligible.next(from), Some(found), "again");
        }
        let mut eligible = site.eligible(title, needed, &mut blocks).expect("it is held");
        assert_eq!(eligible.at_or_after(1301), None);
        assert!(site.eligible(TitleKey(1), needed, &mut blocks).is_none(), "nobody holds it");
    }

    #[test]
    fn room_is_counted_by_grade_of_price() {
        let (mut site, _) = site(3, |n| n > 0);
        assert!(site.has_room(None) && site.has_room(Some(0)) && !site.has_room(Some(1)));
        site.set_closed(1, closed::DRAINING);
        assert!(site.has_room(Some(0)));
        site.remove(2);
        assert!(!site.has_room(None) && !site.has_room(Some(0)));
        site.set_free(0, 1);
        assert!(site.has_room(None));
    }
}

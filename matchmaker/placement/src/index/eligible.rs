//! The nodes of a site that may take a request, found by bits.

use super::site::SiteNodes;
use super::titles::Members;
use crate::caps::Caps;

/// One bit for each of [`BLOCK`] nodes: a line of the cache.
pub(super) type Block = [u64; 8];
/// Nodes whose bits are looked at together.
pub(super) const BLOCK: usize = 512;
/// No node of a block.
pub(super) const NOBODY: Block = [0; 8];

/// Where a node's bit stands: block, word, and the bit there.
pub(super) fn bit_of(at: u32) -> (usize, usize, u64) {
    (at as usize / BLOCK, at as usize % BLOCK / 64, 1 << (at % 64))
}

/// Reads a line of the cache for later, without waiting for it.
pub(super) fn ask_for<T: Copy>(there: Option<&T>) {
    std::hint::black_box(there.copied());
}

/// What was found in the blocks of one site; memory that searches share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    found: Vec<Block>,
    /// The search that found it; another's is not known.
    found_by: Vec<u32>,
    search: u32,
}

impl Blocks {
    fn begin(&mut self, blocks: usize) {
        if self.found.len() < blocks {
            self.found.resize(blocks, NOBODY);
            self.found_by.resize(blocks, 0);
        }
        self.search = self.search.wrapping_add(1);
        if self.search == 0 {
            self.found_by.fill(0);
            self.search = 1;
        }
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

impl<'a> Eligible<'a> {
    pub(super) fn new(
        site: &'a SiteNodes,
        holders: &'a Members,
        needed: Caps,
        blocks: &'a mut Blocks,
    ) -> Self {
        if let Members::Many(held) = holders {
            blocks.begin(held.len());
        }
        Self { site, holders, needed, blocks }
    }

    /// Reads what will be looked at from these positions on, so that it is on its way from memory when it is.
    pub(super) fn ask_for(site: &SiteNodes, holders: &Members, needed: Caps, from: [u32; 2]) {
        match holders {
            Members::Few(list) => ask_for(list.first()),
            Members::Many(held) => {
                let blocks = from.map(|at| bit_of(at).0);
                for block in if blocks[0] == blocks[1] { &blocks[..1] } else { &blocks[..] } {
                    ask_for(held.get(*block).map(|words| &words[0]));
                    let rows = site.bits.get(*block);
                    needed.positions().for_each(|position| ask_for(rows.map(|rows| &rows[position][0])));
                }
            }
        }
    }

    /// The first at or after a position, going round.
    pub(crate) fn next(&mut self, from: u32) -> Option<u32> {
        self.at_or_after(from).or_else(|| self.at_or_after(0))
    }

    /// The first at or after a position.
    pub(crate) fn at_or_after(&mut self, from: u32) -> Option<u32> {
        match self.holders {
            Members::Few(list) => {
                let covers = |at: &&u32| self.site.kept(**at).caps.cover(self.needed);
                list[list.partition_point(|at| *at < from)..].iter().find(covers).copied()
            }
            Members::Many(held) => self.among(held, from),
        }
    }

    fn among(&mut self, held: &[Block], from: u32) -> Option<u32> {
        let (first, word, bit) = bit_of(from);
        let mut passed = word * 64 + bit.trailing_zeros() as usize;
        for block in first..held.len() {
            let words = self.look(held, block);
            for (word, bits) in words.iter().enumerate().skip(passed / 64) {
                let below = if word == passed / 64 { passed % 64 } else { 0 };
                let bits = bits >> below << below;
                if bits != 0 {
                    return Some((block * BLOCK + word * 64) as u32 + bits.trailing_zeros());
                }
            }
            passed = 0;
        }
        None
    }

    /// ANDs the rows of a block.
    fn look(&mut self, held: &[Block], block: usize) -> &Block {
        if std::mem::replace(&mut self.blocks.found_by[block], self.blocks.search) != self.blocks.search {
            let rows = &self.site.bits[block];
            let mut words = held[block];
            for position in self.needed.positions_from_the_last() {
                words.iter_mut().zip(&rows[position]).for_each(|(word, has)| *word &= has);
                if words.iter().fold(0, |any, word| any | word) == 0 {
                    break;
                }
            }
            self.blocks.found[block] = words;
        }
        &self.blocks.found[block]
    }
}

#[cfg(test)]
mod tests {
    use super::super::site::tests::site;
    use super::*;

    #[test]
    fn eligible_nodes_are_found_from_anywhere_and_going_round() {
        let site = site(1400, |n| [5, 191, 1300].contains(&n));
        let mut holders = Members::new();
        (0..1400).for_each(|at| holders.insert(at, 1400));
        let mut blocks = Blocks::default();
        let needed = Caps::needed(&crate::Needs::default());
        let cases = [(0, 5), (5, 5), (6, 191), (191, 191), (192, 1300), (1301, 5), (9_999, 5)];
        for (from, found) in cases {
            let mut eligible = Eligible::new(&site, &holders, needed, &mut blocks);
            assert_eq!(eligible.next(from), Some(found), "from {from}");
            assert_eq!(eligible.next(from), Some(found), "again");
        }
        let mut eligible = Eligible::new(&site, &holders, needed, &mut blocks);
        assert_eq!(eligible.at_or_after(1301), None);
        let nobody = Members::new();
        assert_eq!(Eligible::new(&site, &nobody, needed, &mut blocks).next(0), None, "nobody holds it");
    }
}

//! The peer of the search: every node looked at.
//!
//! Nodes lie in the order of their sites, so that what a site decides (residency, round trip) is decided once for
//! all of its nodes; every ability is one row of bits over the whole fleet, so that a vector of 128 bits, which every
//! processor of this kind has, answers for 128 nodes at once; and only those that may be chosen are weighed. Its
//! rows are not kept up to date, which the search has to do beside deciding.

use super::world::{Asked, World};
use nearframe_placement::Weights;
use nearframe_placement::caps::{BITS, Caps};

/// Nodes whose title bits share a word.
const BLOCK: usize = 64;
/// The cost of a node that may not be chosen.
const NEVER: u32 = u32::MAX;

pub(super) struct Columns {
    /// Where each site's nodes begin; each site's are padded to whole blocks.
    starts: Vec<usize>,
    rows: Vec<Vec<u64>>,
    /// Price and failure as one cost, µs, of interactive weights.
    own_cost: Vec<u32>,
    price_micros: Vec<u32>,
    titles: Vec<Vec<u64>>,
}

impl Columns {
    pub(super) fn of(world: &World) -> Self {
        let mut columns = Self {
            starts: vec![0],
            rows: vec![Vec::new(); BITS],
            own_cost: Vec::new(),
            price_micros: Vec::new(),
            titles: vec![Vec::new(); super::world::TITLES],
        };
        for nodes in &world.by_site {
            for &node in nodes {
                let plain = &world.nodes[node as usize];
                let free = plain.profile.slots - plain.taken;
                let at = columns.own_cost.len();
                let caps = Caps::of(&plain.profile, !plain.draining).with_free(free);
                caps.positions().for_each(|position| set(&mut columns.rows[position], at));
                let Weights { price_per_milli, failure_per_permille, .. } = Weights::INTERACTIVE;
                let price = plain.profile.price_micros_per_hour as u32;
                let failure = u32::from(plain.profile.failure_permille) * failure_per_permille;
                columns.own_cost.push(price / 1000 * price_per_milli + failure);
                columns.price_micros.push(price);
                for title in &plain.titles {
                    set(&mut columns.titles[usize::from(*title)], at);
                }
            }
            let padded = columns.own_cost.len().next_multiple_of(BLOCK);
            columns.own_cost.resize(padded, NEVER);
            columns.price_micros.resize(padded, 0);
            columns.starts.push(padded);
        }
        let words = columns.own_cost.len() / BLOCK;
        columns.titles.iter_mut().chain(&mut columns.rows).for_each(|row| row.resize(words, 0));
        columns
    }

    /// The lowest cost of any node that may take the request.
    pub(super) fn cheapest(&self, asked: &Asked, rtt_us: &[u32], words: &mut Vec<u64>) -> Option<u32> {
        let needs = &asked.request.needs;
        let most_price = needs.price_ceiling_micros_per_hour.map_or(u32::MAX, |most| most as u32);
        let most_rtt = needs.rtt_ceiling_us.unwrap_or(u32::MAX);
        let mut cheapest = NEVER;
        for (site, range) in self.starts.windows(2).enumerate() {
            if !asked.allowed[site] || rtt_us[site] > most_rtt {
                continue;
            }
            let blocks = range[0] / BLOCK..range[1] / BLOCK;
            words.clear();
            words.extend_from_slice(&self.titles[usize::from(asked.title)][blocks.clone()]);
            for position in Caps::needed(needs).positions() {
                let row = &self.rows[position][blocks.clone()];
                words.iter_mut().zip(row).for_each(|(word, has)| *word &= has);
            }
            for (block, word) in blocks.zip(words.iter()) {
                for bit in Caps(*word).positions() {
                    let at = block * BLOCK + bit;
                    if self.price_micros[at] <= most_price {
                        cheapest = cheapest.min(self.own_cost[at].saturating_add(rtt_us[site]));
                    }
                }
            }
        }
        (cheapest != NEVER).then_some(cheapest)
    }
}

fn set(row: &mut Vec<u64>, at: usize) {
    row.resize(row.len().max(at / BLOCK + 1), 0);
    row[at / BLOCK] |= 1 << (at % BLOCK);
}

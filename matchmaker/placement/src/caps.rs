//! What a node can do and what a request needs, as one word each.
//!
//! Levels are thermometers: a node of GPU tier 3 has the bits "at least 1", "at least 2" and "at least 3", so
//! that one AND answers every question. Prices and stakes are graded to a level here and compared exactly
//! afterwards.

use crate::profile::Profile;
use crate::request::Needs;

/// Bits of [`Caps`]; also the number of bitmaps in each site.
pub const BITS: usize = 44;

const CODECS: u32 = 0;
const PIXELS: u32 = 4;
const PIXEL_LEVELS: [u64; 7] = [
    640 * 360 * 30,
    1280 * 720 * 30,
    1280 * 720 * 60,
    1920 * 1080 * 60,
    2560 * 1440 * 60,
    3840 * 2160 * 60,
    3840 * 2160 * 120,
];
const GPU: u32 = 11;
/// Highest GPU tier.
pub const GPU_TIERS: u8 = 7;
const TRUST: u32 = 18;
/// Highest trust tier.
pub const TRUST_TIERS: u8 = 3;
const STAKE: u32 = 21;
/// Stakes in micro-units: 1, 10, … 10,000,000 units of currency.
const STAKE_LEVELS: u32 = 8;
const STAKE_FROM: u64 = 1_000_000;
const PRICE: u32 = 29;
/// Prices of an hour in micro-units: 0, then 0.05 to 1.60 units of currency, doubling.
const PRICE_LEVELS: u32 = 7;
/// Grades of price.
pub(crate) const GRADES: usize = PRICE_LEVELS as usize + 1;
const PRICE_FROM: u64 = 50_000;
const OPEN: u32 = 36;
/// Free slots: at least 1, 2, 4, 8.
const FREE: u32 = 37;
const FREE_LEVELS: [u32; 4] = [1, 2, 4, 8];
const BATCH: u32 = 41;

/// A set of abilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps(pub u64);

impl Caps {
    /// What a node has, apart from its free slots.
    pub fn of(profile: &Profile, open: bool) -> Self {
        let mut bits = u64::from(profile.codecs & 0b1111) << CODECS;
        bits |=
            thermometer(PIXELS, PIXEL_LEVELS.iter().filter(|level| profile.pixels_per_s >= **level).count());
        bits |= thermometer(GPU, usize::from(profile.gpu_tier.min(GPU_TIERS)));
        bits |= thermometer(TRUST, usize::from(profile.trust.min(TRUST_TIERS)));
        bits |= thermometer(STAKE, stake_level(profile.stake_micros) as usize);
        // Here a bit says "not above": a dear node has few.
        bits |= not_above(profile.lowest_micros());
        bits |= u64::from(open) << OPEN | u64::from(profile.batch) << BATCH;
        Self(bits)
    }

    /// The same at another price.
    pub fn with_price(self, lowest_micros: u64) -> Self {
        Self(self.0 & !(((1 << PRICE_LEVELS) - 1) << PRICE) | not_above(lowest_micros))
    }

    /// The same with so many free slots.
    pub fn with_free(self, free: u32) -> Self {
        let levels = FREE_LEVELS.iter().filter(|level| free >= **level).count();
        Self(self.0 & !(0b1111 << FREE) | thermometer(FREE, levels))
    }

    /// The same, open or closed.
    pub fn with_open(self, open: bool) -> Self {
        Self(self.0 & !(1 << OPEN) | u64::from(open) << OPEN)
    }

    /// What a request needs, of each thermometer the highest bit, which implies the others. A node that has all of it may still fail the exact comparison of price, stake and
    /// pixels; a node that lacks some of it fails for certain.
    pub fn needed(needs: &Needs) -> Self {
        let mut bits = 1 << OPEN;
        bits |= u64::from(needs.codecs & 0b1111) << CODECS;
        bits |= highest(PIXELS, PIXEL_LEVELS.iter().filter(|level| needs.pixels_per_s >= **level).count());
        bits |= highest(GPU, usize::from(needs.gpu_tier.min(GPU_TIERS)));
        bits |= highest(TRUST, usize::from(needs.trust.min(TRUST_TIERS)));
        bits |= highest(STAKE, stake_level(needs.stake_micros) as usize);
        bits |= needs.price_ceiling_micros_per_hour.map_or(0, |ceiling| Self::not_dearer(ceiling).0);
        let levels = FREE_LEVELS.iter().filter(|level| needs.slots.max(1) >= **level).count();
        bits |= highest(FREE, levels);
        bits |= u64::from(needs.batch) << BATCH;
        Self(bits)
    }

    /// A price of no more than this, as far as grades tell.
    pub(crate) fn not_dearer(micros_per_hour: u64) -> Self {
        let level = price_level(micros_per_hour);
        Self(if level < PRICE_LEVELS { 1 << (PRICE + level) } else { 0 })
    }

    /// What either of them needs.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Grades of price, the cheapest first; the last holds every price.
    pub fn price_grades() -> impl Iterator<Item = u32> {
        0..=PRICE_LEVELS
    }

    /// Whether a price is of this grade or a cheaper one.
    pub fn is_within_grade(micros_per_hour: u64, grade: u32) -> bool {
        price_level(micros_per_hour) <= grade
    }

    /// The grade of price of a node that is open and has a free slot.
    pub(crate) fn open_grade(self) -> Option<usize> {
        let prices = (self.0 >> PRICE) & ((1 << PRICE_LEVELS) - 1);
        let open = 1 << OPEN | 1 << FREE;
        (self.0 & open == open).then(|| (PRICE_LEVELS - prices.count_ones()) as usize)
    }

    /// Whether it takes work that may be interrupted.
    pub(crate) fn takes_batch(self) -> bool {
        self.0 & 1 << BATCH != 0
    }

    /// Whether all of `needed` is there.
    pub fn cover(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The positions of the bits, the last first: what few nodes have where a fleet is well used, a free slot, comes
    /// before what many have.
    pub(crate) fn positions_from_the_last(self) -> impl Iterator<Item = usize> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let at = bits.checked_ilog2()?;
            bits ^= 1 << at;
            Some(at as usize)
        })
    }

    /// The positions of the bits.
    pub fn positions(self) -> impl Iterator<Item = usize> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let at = bits.trailing_zeros() as usize;
            (bits != 0).then(|| {
                bits &= bits - 1;
                at
            })
        })
    }
}

fn thermometer(from: u32, levels: usize) -> u64 {
    ((1 << levels) - 1) << from
}

/// The highest bit of a thermometer; none where it is empty.
fn highest(from: u32, levels: usize) -> u64 {
    if levels == 0 { 0 } else { 1 << (from + levels as u32 - 1) }
}

/// The bits of a price: the levels that it does not exceed.
fn not_above(micros: u64) -> u64 {
    (price_level(micros)..PRICE_LEVELS).fold(0, |bits, level| bits | 1 << (PRICE + level))
}

/// Powers of ten that a stake reaches.
fn stake_level(micros: u64) -> u32 {
    (0..STAKE_LEVELS).take_while(|level| micros >= STAKE_FROM * 10_u64.pow(*level)).count() as u32
}

/// The lowest level that a price does not exceed; [`PRICE_LEVELS`] above all of them.
fn price_level(micros: u64) -> u32 {
    match micros {
        0 => 0,
        _ => (1..PRICE_LEVELS).find(|level| micros <= PRICE_FROM << (level - 1)).unwrap_or(PRICE_LEVELS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_has_one_meaning_and_all_fit() {
        let all = Profile {
            codecs: 0b1111,
            pixels_per_s: u64::MAX,
            gpu_tier: 9,
            trust: 9,
            stake_micros: u64::MAX,
            batch: true,
            ..Profile::default()
        };
        let caps = Caps::of(&all, true).with_free(100);
        assert_eq!(caps.0.count_ones(), 4 + 7 + 7 + 3 + 8 + 7 + 1 + 4 + 1);
        assert!(caps.0 < 1 << BITS);
        assert_eq!(caps.positions().count() as u32, caps.0.count_ones());
    }

    #[test]
    fn a_node_that_is_open_and_free_has_its_grade_of_price() {
        for (price, grade) in [(0, 0), (1, 1), (50_000, 1), (50_001, 2), (1_600_000, 6), (9_000_000, 7)] {
            let node = Profile { price_micros_per_hour: price, ..Profile::default() };
            let caps = Caps::of(&node, true).with_free(1);
            assert_eq!(caps.open_grade(), Some(grade), "{price}");
            assert_eq!((caps.with_free(0).open_grade(), caps.with_open(false).open_grade()), (None, None));
        }
    }

    #[test]
    fn grading_never_excludes_what_the_exact_comparison_allows() {
        let micros = [0, 1, 49_999, 50_000, 50_001, 99_999, 100_000, 800_001, 1_600_000, 3_000_000];
        for price in micros {
            for ceiling in micros {
                let node = Profile { price_micros_per_hour: price, ..Profile::default() };
                let needs = Needs { price_ceiling_micros_per_hour: Some(ceiling), ..Needs::default() };
                let covered = Caps::of(&node, true).with_free(1).cover(Caps::needed(&needs));
                assert!(covered || price > ceiling, "{price} {ceiling}");
            }
        }
        for (stake, least) in [(0, 0), (5, 0), (2_000_000, 1_000_000), (10_000_000, 9_999_999)] {
            let node = Profile { stake_micros: stake, ..Profile::default() };
            let needs = Needs { stake_micros: least, ..Needs::default() };
            assert!(Caps::of(&node, true).with_free(1).cover(Caps::needed(&needs)));
        }
    }
}

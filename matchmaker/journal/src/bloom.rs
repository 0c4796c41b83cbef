//! A filter that knows for certain which keys a run does not hold.
//!
//! Each key sets [`PROBES`] bits within one line of 64 bytes, so that a look-up misses the processor's cache once.

use nearframe_ledger::books::Key;

/// Bits for each key: with these, about one look-up in sixty reads a page for nothing.
const BITS_PER_KEY: u64 = 12;
const PROBES: u32 = 6;
const LINE_BITS: u64 = 512;
const LINE_LEN: usize = 64;

/// The filter of one run.
#[derive(Debug)]
pub(crate) struct Bloom(Vec<u8>);

impl Bloom {
    /// An empty filter for so many keys.
    pub(crate) fn for_keys(keys: u64) -> Self {
        let lines = (keys * BITS_PER_KEY).div_ceil(LINE_BITS).max(1);
        Self(vec![0; lines as usize * LINE_LEN])
    }
    /// A filter that was kept; `None` where it cannot be one.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty() && bytes.len().is_multiple_of(LINE_LEN)).then_some(Self(bytes))
    }
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn insert(&mut self, key: &Key) {
        let (line, bits) = self.place(key);
        for bit in bits {
            self.0[line + bit / 8] |= 1 << (bit % 8);
        }
    }

    /// Whether the key may be there.
    pub(crate) fn may_hold(&self, key: &Key) -> bool {
        let (line, mut bits) = self.place(key);
        bits.all(|bit| self.0[line + bit / 8] & (1 << (bit % 8)) != 0)
    }

    /// Where its line begins, and its bits within it.
    fn place(&self, key: &Key) -> (usize, impl Iterator<Item = usize> + use<>) {
        let bits = u128::from_le_bytes(*key.as_bytes());
        let lines = (self.0.len() / LINE_LEN) as u128;
        // The upper half chooses the line, the lower half nine bits for each probe.
        let line = ((bits >> 64) * lines) >> 64;
        let probes = (0..PROBES).map(move |probe| ((bits >> (9 * probe)) as u64 % LINE_BITS) as usize);
        (line as usize * LINE_LEN, probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_few_others() {
        let mut bloom = Bloom::for_keys(10_000);
        (0..10_000).for_each(|n| bloom.insert(&Key::of(&format!("in {n}"))));
        assert!((0..10_000).all(|n| bloom.may_hold(&Key::of(&format!("in {n}")))));
        let wrong = (0..10_000).filter(|n| bloom.may_hold(&Key::of(&format!("out {n}")))).count();
        assert!(wrong < 400, "{wrong} of 10,000");
    }
}

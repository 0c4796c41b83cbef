//! Bits of a raw byte sequence payload (7.2, 9.1).

/// Reads bits, most significant first. Every read past the end is `None`.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// Reads from the first bit of a payload without emulation prevention bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// One bit.
    pub fn bit(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// `count` bits as a number; at most 32.
    pub fn bits(&mut self, count: u32) -> Option<u32> {
        if count > 32 {
            return None;
        }
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    /// `ue(v)`: an unsigned Exp-Golomb number below 2³² − 1.
    pub fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros == 32 {
                return None;
            }
        }
        Some(((1u64 << zeros) - 1) as u32 + self.bits(zeros)?)
    }

    /// `se(v)`: a signed Exp-Golomb number.
    pub fn signed(&mut self) -> Option<i32> {
        let code = i64::from(self.unsigned()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}

/// Writes bits, most significant first.
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    free: u32,
}

impl BitWriter {
    /// One bit.
    pub fn bit(&mut self, bit: bool) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        self.free -= 1;
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << self.free;
        }
    }

    /// The low `count` bits of `value`; at most 32.
    pub fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count.min(32)).rev() {
            self.bit(value >> shift & 1 == 1);
        }
    }

    /// `ue(v)`: below 2³² − 1.
    pub fn unsigned(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let zeros = code.ilog2();
        self.bits(0, zeros);
        self.bit(true);
        self.bits((code - (1 << zeros)) as u32, zeros);
    }

    /// `se(v)`.
    pub fn signed(&mut self, value: i32) {
        let doubled = 2 * i64::from(value).unsigned_abs();
        self.unsigned((if value > 0 { doubled - 1 } else { doubled }) as u32);
    }

    /// `rbsp_trailing_bits()` (7.3.2.11), then the whole payload.
    pub fn finish(mut self) -> Vec<u8> {
        self.bit(true);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            unsigned in proptest::collection::vec(0u32..u32::MAX - 1, 0..20),
            signed in proptest::collection::vec(-1_000_000_000i32..1_000_000_000, 0..20),
            width in 1u32..=32
        ) {
            let mut writer = BitWriter::default();
            unsigned.iter().for_each(|&v| writer.unsigned(v));
            signed.iter().for_each(|&v| writer.signed(v));
            writer.bits(1, width);
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for value in unsigned {
                prop_assert_eq!(reader.unsigned(), Some(value));
            }
            for value in signed {
                prop_assert_eq!(reader.signed(), Some(value));
            }
            prop_assert_eq!(reader.bits(width), Some(1));
            prop_assert_eq!(reader.bit(), Some(true));
        }
    }

    #[test]
    fn the_end_is_no_number() {
        assert_eq!(BitReader::new(&[0, 0, 0, 0, 0, 0]).unsigned(), None);
        assert_eq!(BitReader::new(&[0xff]).bits(9), None);
        assert_eq!(BitReader::new(&[]).bit(), None);
    }
}

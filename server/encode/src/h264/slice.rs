//! The first fields of slice headers (7.3.3).

use super::bits::BitReader;
use super::nal::{Nal, NalKind};
use super::sps::Sps;

/// More than the fields read here can take.
const HEADER_BYTES: usize = 24;

/// What a slice may refer to (Table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceKind {
    /// Earlier pictures.
    P,
    /// Two pictures, possibly later ones.
    B,
    /// Only itself.
    I,
    /// The switching kinds of the extended profile.
    Switching,
}

/// The beginning of a slice header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceHeader {
    /// First macroblock in raster order; 0 begins a picture.
    pub first_macroblock: u32,
    /// What it may refer to.
    pub kind: SliceKind,
    /// Counts reference pictures since the last refresh, modulo 2^`frame_num_bits`.
    pub frame_num: u32,
    /// Differs between successive refresh pictures; `None` for other slices.
    pub idr_pic_id: Option<u32>,
}

impl SliceHeader {
    /// Reads the header of a slice that belongs to `sps`; `None` for other NAL units or broken bytes.
    pub fn parse(nal: &Nal<'_>, sps: &Sps) -> Option<Self> {
        let refresh = match nal.kind() {
            NalKind::Slice => false,
            NalKind::IdrSlice => true,
            _ => return None,
        };
        let payload = nal.payload(HEADER_BYTES);
        let mut bits = BitReader::new(&payload);
        let first_macroblock = bits.unsigned()?;
        let kind = match bits.unsigned()? {
            0 | 5 => SliceKind::P,
            1 | 6 => SliceKind::B,
            2 | 7 => SliceKind::I,
            3 | 4 | 8 | 9 => SliceKind::Switching,
            _ => return None,
        };
        bits.unsigned()?;
        let frame_num = bits.bits(sps.frame_num_bits)?;
        let idr_pic_id = if refresh { Some(bits.unsigned()?) } else { None };
        Some(Self { first_macroblock, kind, frame_num, idr_pic_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::BitWriter;
    use proptest::prelude::*;

    #[test]
    fn a_refresh_slice_is_read() {
        let sps = Sps::constrained_baseline(640, 360, 30);
        let mut bits = BitWriter::default();
        [40, 7, 0].iter().for_each(|&v| bits.unsigned(v));
        bits.bits(0, sps.frame_num_bits);
        bits.unsigned(3);
        let bytes = [&[0x65], &bits.finish()[..]].concat();
        let header = SliceHeader::parse(&Nal { bytes: &bytes }, &sps);
        let expected =
            SliceHeader { first_macroblock: 40, kind: SliceKind::I, frame_num: 0, idr_pic_id: Some(3) };
        assert_eq!(header, Some(expected));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let sps = Sps::constrained_baseline(640, 360, 30);
            let _ = SliceHeader::parse(&Nal { bytes: &bytes }, &sps);
        }
    }
}

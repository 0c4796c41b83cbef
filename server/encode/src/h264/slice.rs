//! Slice headers of constrained baseline (7.3.3) up to the marking of references.

use super::bits::BitReader;
use super::nal::{Nal, NalKind};
use super::sps::Sps;

/// More than the fields read here can take.
const HEADER_BYTES: usize = 48;
/// Commands that are read of one list; a sender with one reference writes fewer.
const MAX_COMMANDS: usize = 8;

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

/// The first entry of a P slice's reference list (8.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The reference picture so many pictures before this one; 1 is the newest.
    Before(u32),
    /// The picture held at this long-term index.
    LongTerm(u32),
}

/// What becomes a long-term reference (8.2.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// This picture takes the index: a refresh picture, or operation 6.
    Current {
        /// Long-term index.
        index: u32,
    },
    /// The picture so many before this one takes the index: operation 3.
    Before {
        /// 1 is the picture just before this one.
        pictures: u32,
        /// Long-term index.
        index: u32,
    },
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
    /// What a P slice refers to; `None` for other slices.
    pub reference: Option<Reference>,
    /// What becomes a long-term reference with this picture.
    pub marking: Option<Marking>,
}

impl SliceHeader {
    /// Reads the header of a slice that belongs to `sps`; `None` for other NAL units, sets that order
    /// pictures by anything but `frame_num`, or broken bytes.
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
        if sps.pic_order_cnt_type != 2 {
            return None;
        }
        let reference = if kind == SliceKind::P { Some(reference(&mut bits)?) } else { None };
        let marking = match (nal.ref_idc(), refresh) {
            (0, _) => None,
            (_, true) => refresh_marking(&mut bits)?,
            (_, false) => marking(&mut bits)?,
        };
        Some(Self { first_macroblock, kind, frame_num, idr_pic_id, reference, marking })
    }
}

/// List size and `ref_pic_list_modification()` (7.3.3.1) of a P slice.
fn reference(bits: &mut BitReader<'_>) -> Option<Reference> {
    if bits.bit()? {
        bits.unsigned()?;
    }
    if !bits.bit()? {
        return Some(Reference::Before(1));
    }
    let mut first = None;
    for _ in 0..MAX_COMMANDS {
        let entry = match bits.unsigned()? {
            0 => Reference::Before(bits.unsigned()?.checked_add(1)?),
            2 => Reference::LongTerm(bits.unsigned()?),
            3 => return first.or(Some(Reference::Before(1))),
            // 1 counts upwards: to pictures that are not before this one.
            _ => return None,
        };
        first = first.or(Some(entry));
    }
    None
}

/// `dec_ref_pic_marking()` (7.3.3.3) of a refresh picture. The outer `None` is the end of the bytes.
fn refresh_marking(bits: &mut BitReader<'_>) -> Option<Option<Marking>> {
    bits.bit()?;
    Some(bits.bit()?.then_some(Marking::Current { index: 0 }))
}

/// `dec_ref_pic_marking()` (7.3.3.3) of other pictures. The outer `None` stands for broken bytes.
fn marking(bits: &mut BitReader<'_>) -> Option<Option<Marking>> {
    let mut found = None;
    if !bits.bit()? {
        return Some(found);
    }
    for _ in 0..MAX_COMMANDS {
        match bits.unsigned()? {
            0 => return Some(found),
            1 | 2 | 4 => drop(bits.unsigned()?),
            3 => {
                let pictures = bits.unsigned()?.checked_add(1)?;
                found = Some(Marking::Before { pictures, index: bits.unsigned()? });
            }
            6 => found = Some(Marking::Current { index: bits.unsigned()? }),
            // 5 forgets every reference; nobody here writes it.
            _ => return None,
        }
    }
    None
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
        bits.bits(0b01, 2);
        let bytes = [&[0x65], &bits.finish()[..]].concat();
        let header = SliceHeader::parse(&Nal { bytes: &bytes }, &sps);
        let expected = SliceHeader {
            first_macroblock: 40,
            kind: SliceKind::I,
            frame_num: 0,
            idr_pic_id: Some(3),
            reference: None,
            marking: Some(Marking::Current { index: 0 }),
        };
        assert_eq!(header, Some(expected));
    }

    /// A P slice with these list modifications and marking operations.
    fn predicted(modifications: &[u32], operations: &[u32]) -> Option<SliceHeader> {
        let sps = Sps::constrained_baseline(640, 360, 30);
        let mut bits = BitWriter::default();
        [0, 5, 0].iter().for_each(|&v| bits.unsigned(v));
        bits.bits(7, sps.frame_num_bits);
        bits.bit(false);
        for commands in [modifications, operations] {
            bits.bit(!commands.is_empty());
            commands.iter().for_each(|&v| bits.unsigned(v));
        }
        let bytes = [&[0x61], &bits.finish()[..]].concat();
        SliceHeader::parse(&Nal { bytes: &bytes }, &sps)
    }

    #[test]
    fn what_a_slice_refers_to_and_what_it_marks_is_read() {
        let read = |modifications: &[u32], operations: &[u32]| {
            predicted(modifications, operations).map(|header| (header.reference, header.marking))
        };
        assert_eq!(read(&[], &[]), Some((Some(Reference::Before(1)), None)));
        assert_eq!(read(&[0, 4, 3], &[1, 0, 0]), Some((Some(Reference::Before(5)), None)));
        let current = Some(Marking::Current { index: 1 });
        assert_eq!(read(&[2, 1, 3], &[4, 2, 1, 0, 6, 1, 0]), Some((Some(Reference::LongTerm(1)), current)));
        let before = Some(Marking::Before { pictures: 1, index: 0 });
        assert_eq!(read(&[], &[3, 0, 0, 0]), Some((Some(Reference::Before(1)), before)));
    }

    #[test]
    fn lists_without_an_end_and_unknown_commands_are_broken() {
        assert_eq!(predicted(&[0; 2 * MAX_COMMANDS], &[]), None);
        assert_eq!(predicted(&[9, 3], &[]), None);
        assert_eq!(predicted(&[], &[5, 0]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let sps = Sps::constrained_baseline(640, 360, 30);
            let _ = SliceHeader::parse(&Nal { bytes: &bytes }, &sps);
        }
    }
}

//! Sequence parameter sets of the baseline profile (7.3.2.1.1, Annex E).

use super::bits::{BitReader, BitWriter};
use super::nal::{Nal, NalKind, nals, push_nal};

/// More than a set of the baseline profile takes.
const MAX_PAYLOAD_BYTES: usize = 256;
/// `log2_max_frame_num` of the sets written here.
const WRITTEN_FRAME_NUM_BITS: u32 = 16;

/// How colours are to be understood (E.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// 0 to 255 instead of 16 to 235.
    pub full_range: bool,
    /// Table E-3; 1 is BT.709.
    pub primaries: u32,
    /// Table E-4; 1 is BT.709.
    pub transfer: u32,
    /// Table E-5; 1 is BT.709.
    pub matrix: u32,
}

/// What a set of the baseline profile says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// 66 is baseline.
    pub profile_idc: u32,
    /// `constraint_set0_flag` in the highest bit; set 1 makes baseline constrained baseline.
    pub constraints: u32,
    /// Ten times the level.
    pub level_idc: u32,
    /// Width of the `frame_num` of a slice header.
    pub frame_num_bits: u32,
    /// 2: pictures are shown in the order they are decoded in.
    pub pic_order_cnt_type: u32,
    /// How many pictures a decoder keeps for reference.
    pub max_num_ref_frames: u32,
    /// Whether frames may be missing; decoders that see a gap nevertheless take the stream for broken.
    pub frame_num_gaps: bool,
    /// Width of the shown picture in pixels.
    pub width: u32,
    /// Height of the shown picture in pixels.
    pub height: u32,
    /// If the stream says so.
    pub colour: Option<Colour>,
    /// `max_num_reorder_frames`, if the stream says so; decoders wait for reordering where it does not.
    pub max_reorder_frames: Option<u32>,
}

impl Sps {
    /// Reads a set; `None` for other NAL units, profiles with scaling lists, field coding, or broken bytes.
    pub fn parse(nal: &Nal<'_>) -> Option<Self> {
        if nal.kind() != NalKind::Sps {
            return None;
        }
        Self::read(&mut BitReader::new(&nal.payload(MAX_PAYLOAD_BYTES)))
    }

    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let front = Front::read(bits)?;
        let frame_num_gaps = bits.bit()?;
        let (width, height) = size(bits)?;
        let (colour, max_reorder_frames) = if bits.bit()? { usability(bits)? } else { (None, None) };
        let Front { profile_idc, constraints, level_idc, .. } = front;
        let Front { frame_num_bits, pic_order_cnt_type, max_num_ref_frames, .. } = front;
        Some(Self {
            profile_idc,
            constraints,
            level_idc,
            frame_num_bits,
            pic_order_cnt_type,
            max_num_ref_frames,
            frame_num_gaps,
            width,
            height,
            colour,
            max_reorder_frames,
        })
    }

    /// A constrained baseline set with id 0, BT.709 limited range and no reordering. Sizes are even.
    pub fn constrained_baseline(width: u32, height: u32, level_idc: u32) -> Self {
        Self {
            profile_idc: 66,
            constraints: 0b1100_0000,
            level_idc,
            frame_num_bits: WRITTEN_FRAME_NUM_BITS,
            pic_order_cnt_type: 2,
            max_num_ref_frames: 1,
            frame_num_gaps: false,
            width,
            height,
            colour: Some(Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 }),
            max_reorder_frames: Some(0),
        }
    }

    /// The payload of the set; only sets below the high profile with `pic_order_cnt_type` 2 can be written.
    pub fn write(&self) -> Vec<u8> {
        let mut bits = BitWriter::default();
        bits.bits(self.profile_idc, 8);
        bits.bits(self.constraints, 8);
        bits.bits(self.level_idc, 8);
        bits.unsigned(0);
        bits.unsigned(self.frame_num_bits - 4);
        bits.unsigned(self.pic_order_cnt_type);
        bits.unsigned(self.max_num_ref_frames);
        bits.bit(self.frame_num_gaps);
        let (columns, rows) = (self.width.div_ceil(16), self.height.div_ceil(16));
        bits.unsigned(columns - 1);
        bits.unsigned(rows - 1);
        bits.bit(true);
        bits.bit(true);
        let (crop_right, crop_bottom) = ((columns * 16 - self.width) / 2, (rows * 16 - self.height) / 2);
        bits.bit(crop_right + crop_bottom > 0);
        if crop_right + crop_bottom > 0 {
            [0, crop_right, 0, crop_bottom].iter().for_each(|&offset| bits.unsigned(offset));
        }
        bits.bit(true);
        self.write_usability(&mut bits);
        bits.finish()
    }

    fn write_usability(&self, bits: &mut BitWriter) {
        bits.bits(0, 2);
        bits.bit(self.colour.is_some());
        if let Some(colour) = self.colour {
            bits.bits(5, 3);
            bits.bit(colour.full_range);
            bits.bit(true);
            [colour.primaries, colour.transfer, colour.matrix].iter().for_each(|&code| bits.bits(code, 8));
        }
        bits.bits(0, 5);
        bits.bit(self.max_reorder_frames.is_some());
        if let Some(reordered) = self.max_reorder_frames {
            bits.bit(true);
            [0, 0, 16, 16, reordered, self.max_num_ref_frames].iter().for_each(|&v| bits.unsigned(v));
        }
    }
}

/// What stands before the bit that says that frames may be missing.
struct Front {
    profile_idc: u32,
    constraints: u32,
    level_idc: u32,
    frame_num_bits: u32,
    pic_order_cnt_type: u32,
    max_num_ref_frames: u32,
    /// Which bit of the payload that is.
    gaps_at: usize,
}

impl Front {
    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let (profile_idc, constraints, level_idc) = (bits.bits(8)?, bits.bits(8)?, bits.bits(8)?);
        bits.unsigned()?;
        match profile_idc {
            66 | 77 | 88 => {}
            HIGH => is_plain_420(bits)?.then_some(())?,
            _ => return None,
        }
        let frame_num_bits = bits.unsigned()?.checked_add(4).filter(|&bits| bits <= 16)?;
        let pic_order_cnt_type = bits.unsigned()?;
        match pic_order_cnt_type {
            0 => drop(bits.unsigned()?),
            2 => (),
            _ => return None,
        }
        let max_num_ref_frames = bits.unsigned()?;
        let gaps_at = bits.position();
        Some(Self {
            profile_idc,
            constraints,
            level_idc,
            frame_num_bits,
            pic_order_cnt_type,
            max_num_ref_frames,
            gaps_at,
        })
    }
}

const HIGH: u32 = 100;

/// Whether what the high profile adds says 4:2:0, 8 bit and no scaling lists (7.3.2.1.1).
fn is_plain_420(bits: &mut BitReader<'_>) -> Option<bool> {
    let format = bits.unsigned()?;
    let (luma, chroma) = (bits.unsigned()?, bits.unsigned()?);
    bits.bit()?;
    let scaling = bits.bit()?;
    Some((format, luma, chroma, scaling) == (1, 0, 0, false))
}

/// The byte stream with [`Sps::frame_num_gaps`] set in its sequence parameter sets: a stream whose frames
/// get lost, and go on from older references, then conforms to 7.4.3. `None`: a set cannot be read.
pub fn with_frame_num_gaps(stream: &[u8]) -> Option<Vec<u8>> {
    let mut changed = Vec::with_capacity(stream.len() + 8);
    for nal in nals(stream) {
        if nal.kind() != NalKind::Sps {
            changed.extend_from_slice(&[0, 0, 0, 1]);
            changed.extend_from_slice(nal.bytes);
            continue;
        }
        let mut payload = nal.payload(MAX_PAYLOAD_BYTES);
        let gaps_at = Front::read(&mut BitReader::new(&payload))?.gaps_at;
        *payload.get_mut(gaps_at / 8)? |= 0x80 >> (gaps_at % 8);
        push_nal(&mut changed, nal.bytes[0], &payload);
    }
    Some(changed)
}

/// Picture size after cropping; 4:2:0 crops in units of two pixels.
fn size(bits: &mut BitReader<'_>) -> Option<(u32, u32)> {
    let columns = bits.unsigned()?.checked_add(1)?;
    let rows = bits.unsigned()?.checked_add(1)?;
    let frames_only = bits.bit()?;
    bits.bit()?;
    let mut crop = [0; 4];
    if bits.bit()? {
        for offset in &mut crop {
            *offset = bits.unsigned()?;
        }
    }
    let shown = |blocks: u32, before: u32, after: u32| {
        let cropped = before.checked_add(after)?.checked_mul(2)?;
        blocks.checked_mul(16)?.checked_sub(cropped)
    };
    let size = (shown(columns, crop[0], crop[1])?, shown(rows, crop[2], crop[3])?);
    frames_only.then_some(size)
}

/// Colour description and `max_num_reorder_frames` of `vui_parameters()` (E.1.1).
fn usability(bits: &mut BitReader<'_>) -> Option<(Option<Colour>, Option<u32>)> {
    const EXTENDED_ASPECT_RATIO: u32 = 255;
    if bits.bit()? && bits.bits(8)? == EXTENDED_ASPECT_RATIO {
        bits.bits(32)?;
    }
    if bits.bit()? {
        bits.bit()?;
    }
    let mut colour = None;
    if bits.bit()? {
        bits.bits(3)?;
        let full_range = bits.bit()?;
        if bits.bit()? {
            let (primaries, transfer, matrix) = (bits.bits(8)?, bits.bits(8)?, bits.bits(8)?);
            colour = Some(Colour { full_range, primaries, transfer, matrix });
        }
    }
    if bits.bit()? {
        bits.unsigned()?;
        bits.unsigned()?;
    }
    if bits.bit()? {
        bits.bits(32)?;
        bits.bits(32)?;
        bits.bit()?;
    }
    let (nal_hrd, vcl_hrd) = (bits.bit()?, bits.bit()?);
    if nal_hrd || vcl_hrd {
        return None;
    }
    bits.bit()?;
    if !bits.bit()? {
        return Some((colour, None));
    }
    bits.bit()?;
    for _ in 0..4 {
        bits.unsigned()?;
    }
    Some((colour, Some(bits.unsigned()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::{nals, push_nal};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_set_reads_the_same(width in 8u32..2048, height in 8u32..1152, level in 10u32..53) {
            let sps = Sps::constrained_baseline(width * 2, height * 2, level);
            let mut stream = Vec::new();
            push_nal(&mut stream, 0x67, &sps.write());
            prop_assert_eq!(Sps::parse(&nals(&stream).next().unwrap()), Some(sps));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 1..80)) {
            let mut bytes = bytes;
            bytes[0] = 0x67;
            if let Some(profile) = bytes.get_mut(1) {
                *profile = 66;
            }
            let _ = Sps::parse(&Nal { bytes: &bytes });
            let _ = with_frame_num_gaps(&[&[0, 0, 1], &bytes[..]].concat());
        }

        #[test]
        fn gaps_are_allowed_and_nothing_else_changes(width in 8u32..2048, height in 8u32..1152) {
            let sps = Sps::constrained_baseline(width * 2, height * 2, 31);
            let mut stream = Vec::new();
            push_nal(&mut stream, 0x67, &sps.write());
            push_nal(&mut stream, 0x65, &[1, 0, 0, 2, 0x80]);
            let changed = with_frame_num_gaps(&stream).unwrap();
            let found: Vec<_> = nals(&changed).collect();
            prop_assert_eq!(Sps::parse(&found[0]), Some(Sps { frame_num_gaps: true, ..sps }));
            prop_assert_eq!(found[1].payload(9), [1, 0, 0, 2, 0x80]);
        }
    }

    /// As another encoder writes it for 1280×720 in the high profile.
    #[test]
    fn a_set_of_the_high_profile_is_read_and_made_to_allow_gaps() {
        let set = [
            0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
            0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
        ];
        let sps = Sps::parse(&Nal { bytes: &set }).unwrap();
        assert_eq!((sps.profile_idc, sps.width, sps.height, sps.frame_num_gaps), (100, 1280, 720, false));
        let changed = with_frame_num_gaps(&[&[0, 0, 0, 1], &set[..]].concat()).unwrap();
        let read = Sps::parse(&nals(&changed).next().unwrap()).unwrap();
        assert_eq!(read, Sps { frame_num_gaps: true, ..sps });
    }

    #[test]
    fn a_set_that_ends_before_its_bit_for_gaps_is_none() {
        // The codes 1, 1, 011 and 010 fill a byte, and the bit is the first of the next.
        let set = [0x67, 66, 0, 31, 0b1101_1010, 0b0011_1111];
        let stream = |payload: &[u8]| [&[0, 0, 1], payload].concat();
        let cut = (4..=6).map(|end| with_frame_num_gaps(&stream(&set[..end]))).collect::<Vec<_>>();
        assert_eq!(cut[..2], [None, None]);
        assert!(cut[2].is_some());
    }

    #[test]
    fn a_set_of_another_kind_is_none() {
        assert_eq!(Sps::parse(&Nal { bytes: &[0x68, 1, 2] }), None);
        assert_eq!(Sps::parse(&Nal { bytes: &[0x67, 100, 0, 31, 0xac] }), None);
    }
}

//! The Dependency Descriptor: what a frame refers to, said outside the codec (AV1 RTP specification,
//! appendix A.8).
//!
//! One spatial and one temporal layer, one decode target, no chains. A receiver that reads it decodes a
//! frame once all it refers to are decoded, whatever lies between; without it, a gap in sequence numbers
//! ends the picture until the next keyframe.

/// Templates of the structure that a keyframe brings.
const KEYFRAME_TEMPLATE: u32 = 0;
const DELTA_TEMPLATE: u32 = 1;
/// Frame difference of [`DELTA_TEMPLATE`].
const DELTA_DIFFERENCE: u32 = 1;
/// Largest frame difference that can be written: 12 bits of `fdiff_minus_one`.
pub(crate) const MAX_DIFFERENCE: u32 = 1 << 12;
/// A keyframe's first packet has the longest: three bytes and the structure's 34 bits.
const MAX_LEN: usize = 8;
/// `next_layer_idc` (A.8.3).
const SAME_LAYER: u32 = 0;
const NO_MORE_TEMPLATES: u32 = 3;
/// Decode target indication: a switch point.
const SWITCH: u32 = 2;

/// What the descriptor says of one packet's frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameRefs {
    /// The frame's number; 16 bits of it are sent.
    pub(crate) number: u32,
    /// The frame it is predicted from; `None` for a keyframe.
    pub(crate) refers_to: Option<u32>,
}

/// The extension's content for a packet that is the `first` or `last` of its frame: three bytes, and more
/// on a keyframe's first packet and on a frame that does not refer to the one before.
pub(crate) fn write(frame: FrameRefs, first: bool, last: bool) -> Content {
    let template = if frame.refers_to.is_none() { KEYFRAME_TEMPLATE } else { DELTA_TEMPLATE };
    let mut bits = BitWriter::default();
    bits.put(u32::from(first), 1);
    bits.put(u32::from(last), 1);
    bits.put(template, 6);
    bits.put(frame.number & 0xffff, 16);
    match frame.refers_to.map(|reference| frame.number.wrapping_sub(reference)) {
        None if first => structure(&mut bits),
        None | Some(DELTA_DIFFERENCE) => {}
        Some(difference) => custom_difference(&mut bits, difference),
    }
    bits.content
}

/// `template_dependency_structure` (A.8.3).
fn structure(bits: &mut BitWriter) {
    // Structure present; no active decode targets; no custom DTIs, differences or chains.
    bits.put(0b10000, 5);
    bits.put(KEYFRAME_TEMPLATE, 6); // template_id_offset
    bits.put(0, 5); // dt_cnt_minus_one
    bits.put(SAME_LAYER, 2);
    bits.put(NO_MORE_TEMPLATES, 2);
    bits.put(SWITCH, 2);
    bits.put(SWITCH, 2);
    bits.put(0, 1); // a keyframe refers to nothing
    bits.put(1, 1);
    bits.put(DELTA_DIFFERENCE - 1, 4);
    bits.put(0, 1);
    bits.put(0, 1); // chains_cnt, ns(2)
    bits.put(0, 1); // resolutions_present_flag
}

/// `frame_fdiffs` (A.8.3) with one difference.
fn custom_difference(bits: &mut BitWriter, difference: u32) {
    let minus_one = difference.clamp(1, MAX_DIFFERENCE) - 1;
    let nibbles = match minus_one {
        0..0x10 => 1,
        0x10..0x100 => 2,
        _ => 3,
    };
    bits.put(0b00010, 5);
    bits.put(nibbles, 2);
    bits.put(minus_one, 4 * nibbles);
    bits.put(0, 2);
}

/// The descriptor's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Content {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl std::ops::Deref for Content {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Bits, most significant first, the last byte filled with zeros.
#[derive(Default)]
struct BitWriter {
    content: Content,
    bits: usize,
}

impl BitWriter {
    /// Appends the low `bits` of `value`, a byte's rest at a time.
    fn put(&mut self, value: u32, bits: u32) {
        let mut left = bits;
        while left > 0 {
            let free = 8 - (self.bits % 8) as u32;
            let taken = left.min(free);
            let part = value >> (left - taken) & ((1 << taken) - 1);
            self.content.bytes[self.bits / 8] |= (part << (free - taken)) as u8;
            self.bits += taken as usize;
            left -= taken;
        }
        self.content.len = self.bits.div_ceil(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_a_frame_that_refers_to_the_one_before_costs_three_bytes() {
        let frame = FrameRefs { number: 0x1_2345, refers_to: Some(0x1_2344) };
        assert_eq!(write(frame, true, false)[..], [0x81, 0x23, 0x45]);
        assert_eq!(write(frame, false, true)[..], [0x41, 0x23, 0x45]);
    }

    #[test]
    fn a_keyframe_brings_the_structure_on_its_first_packet_only() {
        let frame = FrameRefs { number: 7, refers_to: None };
        // 10000 000000 00000 00 11 10 10 0 1 0000 0 0 0, filled up to whole bytes.
        let structure = [0b1000_0000, 0b0000_0000, 0b0011_1010, 0b0100_0000, 0];
        assert_eq!(write(frame, true, false)[..], [[0x80, 0, 7].as_slice(), &structure].concat());
        assert_eq!(write(frame, false, false)[..], [0x00, 0, 7]);
    }

    #[test]
    fn a_frame_that_refers_further_back_says_how_far() {
        let far = |number, reference| write(FrameRefs { number, refers_to: Some(reference) }, false, false);
        // 00010 01 0100 00: five frames back.
        assert_eq!(far(10, 5)[3..], [0b0001_0010, 0b1000_0000]);
        // 00010 10 00010011 00: twenty frames back, across the wrap of 16 bits.
        assert_eq!(far(0x1_0002, 0xffee)[..3], [0x01, 0x00, 0x02]);
        assert_eq!(far(0x1_0002, 0xffee)[3..], [0b0001_0100, 0b0010_0110, 0]);
    }
}

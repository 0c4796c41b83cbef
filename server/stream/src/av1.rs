//! AV1 temporal units → RTP payloads (RTP Payload Format For AV1, version 1.0, section 4).
//!
//! Each payload is an aggregation header and OBU elements: whole OBUs or parts of them, one after the other, without
//! the size that the elements' own lengths make needless.

use crate::payload::PayloadWriter;
use bytes::Bytes;
use std::ops::Range;

/// The first element continues an OBU of the packet before (Z).
const CONTINUES: u8 = 0x80;
/// The last element goes on in the next packet (Y).
const GOES_ON: u8 = 0x40;
/// A coded video sequence begins (N).
const BEGINS: u8 = 0x08;
/// Up to this many elements are counted in the header (W), and the last of them needs no length.
const MAX_COUNTED: usize = 3;
const COUNT_SHIFT: u32 = 4;

const TYPE_SHIFT: u32 = 3;
const TYPE_MASK: u8 = 0x0f;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// A length of an element is no longer than this: no payload has 16384 bytes.
const MAX_LENGTH_LEN: usize = 2;

/// An OBU without its size.
struct Obu<'a> {
    /// One byte, or two with the extension.
    header: [u8; 2],
    header_len: usize,
    content: &'a [u8],
}

impl Obu<'_> {
    fn len(&self) -> usize {
        self.header_len + self.content.len()
    }

    /// The bytes of a part of it.
    fn part(&self, range: &Range<usize>) -> [&[u8]; 2] {
        let head = self.header_len;
        let header = &self.header[range.start.min(head)..range.end.min(head)];
        [header, &self.content[range.start.max(head) - head..range.end.max(head) - head]]
    }
}

/// A part of an OBU.
struct Element {
    obu: usize,
    range: Range<usize>,
}

/// Splits a temporal unit of OBUs with sizes, as [`crate::h264::packetize`] does. What follows broken bytes is left
/// out.
pub(crate) fn packetize(temporal_unit: &[u8], max_payload: usize, first_sequence: u64) -> Vec<Bytes> {
    let (obus, begins) = obus(temporal_unit);
    let mut writer = PayloadWriter::new(temporal_unit.len(), max_payload, first_sequence);
    for (i, elements) in plan(&obus, max_payload).iter().enumerate() {
        write(&mut writer, &obus, elements, if begins && i == 0 { BEGINS } else { 0 });
    }
    writer.finish()
}

/// The OBUs that are sent, and whether a coded video sequence begins with them: encoders put the sequence header into
/// keyframes only.
fn obus(mut data: &[u8]) -> (Vec<Obu<'_>>, bool) {
    let (mut obus, mut begins) = (Vec::new(), false);
    while let Some((kind, obu, rest)) = next_obu(data) {
        begins |= kind == SEQUENCE_HEADER;
        if !matches!(kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
            obus.push(obu);
        }
        data = rest;
    }
    (obus, begins)
}

fn next_obu(data: &[u8]) -> Option<(u8, Obu<'_>, &[u8])> {
    let (&first, mut rest) = data.split_first()?;
    let mut header = [first & !HAS_SIZE, 0];
    let mut header_len = 1;
    if first & HAS_EXTENSION != 0 {
        let (&extension, after) = rest.split_first()?;
        (header[1], header_len, rest) = (extension, 2, after);
    }
    let size = if first & HAS_SIZE == 0 { rest.len() } else { leb128(&mut rest)? };
    let (content, rest) = rest.split_at_checked(size)?;
    Some((first >> TYPE_SHIFT & TYPE_MASK, Obu { header, header_len, content }, rest))
}

/// `leb128()` of the AV1 specification (4.10.5).
fn leb128(data: &mut &[u8]) -> Option<usize> {
    let mut value = 0u64;
    for i in 0..8 {
        let (&byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

/// Which parts go into which packet: packets of nearly equal length, so that the last is not a few bytes alone.
fn plan(obus: &[Obu<'_>], max_payload: usize) -> Vec<Vec<Element>> {
    let room = max_payload - 1;
    let total: usize = obus.iter().map(|obu| obu.len() + MAX_LENGTH_LEN).sum();
    let count = total.div_ceil(room).max(1);
    // Every packet may begin with the rest of an OBU, which costs one more length.
    let fill = (total.div_ceil(count) + MAX_LENGTH_LEN).min(room);
    let (mut packets, mut packet, mut left) = (Vec::new(), Vec::new(), fill);
    for (obu, one) in obus.iter().enumerate() {
        let mut from = 0;
        while from < one.len() {
            if left <= MAX_LENGTH_LEN {
                packets.push(std::mem::take(&mut packet));
                left = fill;
            }
            let to = one.len().min(from + left - MAX_LENGTH_LEN);
            packet.push(Element { obu, range: from..to });
            left -= to - from + MAX_LENGTH_LEN;
            from = to;
        }
    }
    if !packet.is_empty() {
        packets.push(packet);
    }
    packets
}

fn write(writer: &mut PayloadWriter, obus: &[Obu<'_>], elements: &[Element], begins: u8) {
    let (Some(first), Some(last)) = (elements.first(), elements.last()) else { return };
    let continues = if first.range.start > 0 { CONTINUES } else { 0 };
    let goes_on = if last.range.end < obus[last.obu].len() { GOES_ON } else { 0 };
    let counted = if elements.len() <= MAX_COUNTED { elements.len() } else { 0 };
    writer.begin();
    writer.put(&[continues | goes_on | (counted as u8) << COUNT_SHIFT | begins]);
    for (i, Element { obu, range }) in elements.iter().enumerate() {
        if i + 1 != counted {
            let len = range.len();
            let (low, high) = (len as u8 & 0x7f, (len >> 7) as u8);
            if high == 0 { writer.put(&[low]) } else { writer.put(&[low | 0x80, high]) }
        }
        obus[*obu].part(range).iter().for_each(|part| writer.put(part));
    }
    writer.end();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::OSN_LEN;
    use proptest::prelude::*;
    use rtc_rtp::codec::av1::Av1Depacketizer;
    use rtc_rtp::packetizer::Depacketizer;

    const FRAME: u8 = 6;

    /// As encoders write it: with its size.
    fn obu(kind: u8, extension: Option<u8>, len: usize) -> Vec<u8> {
        let flag = if extension.is_some() { HAS_EXTENSION } else { 0 };
        let mut out = vec![kind << TYPE_SHIFT | HAS_SIZE | flag];
        out.extend(extension);
        let mut rest = len;
        loop {
            let more = u8::from(rest > 0x7f) << 7;
            out.push(rest as u8 & 0x7f | more);
            rest >>= 7;
            if more == 0 {
                break;
            }
        }
        out.extend((0..len).map(|i| i as u8));
        out
    }

    /// What somebody else's reader makes of the packets: OBUs with sizes again.
    fn read(packets: &[Bytes]) -> Vec<u8> {
        let mut reader = Av1Depacketizer::new();
        let read = packets.iter().map(|packet| reader.depacketize(&packet.slice(OSN_LEN..)).unwrap());
        read.flat_map(|part| part.to_vec()).collect()
    }

    #[test]
    fn a_keyframe_is_one_packet_without_its_delimiter_and_begins_a_sequence() {
        let (header, frame) = (obu(SEQUENCE_HEADER, None, 11), obu(FRAME, None, 500));
        let unit = [obu(TEMPORAL_DELIMITER, None, 0), header.clone(), frame.clone()].concat();
        let packets = packetize(&unit, 1150, 9);
        assert_eq!(packets.len(), 1);
        // Two elements, the first with its length of header and content, the second without.
        assert_eq!(packets[0][..4], [0, 9, 2 << COUNT_SHIFT | BEGINS, 12]);
        assert_eq!(packets[0].len(), OSN_LEN + 1 + 1 + 12 + 501);
        assert_eq!(read(&packets), [header, frame].concat());
    }

    #[test]
    fn a_large_frame_goes_on_from_packet_to_packet_of_nearly_one_length() {
        let frame = obu(FRAME, Some(0x20), 5000);
        let packets = packetize(&frame, 1150, 65_535);
        assert_eq!(packets.len(), 5);
        let flags: Vec<u8> = packets.iter().map(|packet| packet[OSN_LEN]).collect();
        let (both, one) = (CONTINUES | GOES_ON, 1 << COUNT_SHIFT);
        assert_eq!(flags, [GOES_ON | one, both | one, both | one, both | one, CONTINUES | one]);
        let lens: Vec<usize> = packets.iter().map(Bytes::len).collect();
        assert!(lens.iter().max().unwrap() - lens.iter().min().unwrap() < 20, "{lens:?}");
        assert_eq!(read(&packets), frame);
    }

    #[test]
    fn more_elements_than_can_be_counted_have_all_their_lengths() {
        let unit: Vec<u8> = (0..5).flat_map(|_| obu(FRAME, None, 200)).collect();
        let packets = packetize(&unit, 1150, 0);
        assert_eq!((packets.len(), packets[0][OSN_LEN]), (1, 0));
        assert_eq!(read(&packets), unit);
    }

    proptest! {
        #[test]
        fn every_temporal_unit_survives_the_way_through_packets(
            sizes in proptest::collection::vec((3u8..=7, proptest::option::of(0u8..=255), 1usize..4000), 1..8),
            max_payload in 100usize..1400,
        ) {
            let unit: Vec<u8> =
                sizes.iter().flat_map(|&(kind, extension, len)| obu(kind, extension, len)).collect();
            let packets = packetize(&unit, max_payload, 0);
            prop_assert!(packets.iter().all(|packet| packet.len() <= max_payload + OSN_LEN));
            prop_assert_eq!(read(&packets), unit);
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            packetize(&data, 100, 0);
        }
    }
}

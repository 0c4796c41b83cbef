//! HEVC access units → RTP payloads (RFC 7798, one RTP stream, no DONL).
//!
//! Parameter sets and small NAL units at the front share one aggregation packet, other small ones travel alone,
//! large ones as fragmentation units.

use crate::annex_b::nal_units;
use crate::payload::{PayloadWriter, fragments};
use bytes::Bytes;

/// `forbidden_zero_bit`, 6 bits of type, 6 of layer, 3 of `nuh_temporal_id_plus1`.
const HEADER_LEN: usize = 2;
const ACCESS_UNIT_DELIMITER: u8 = 35;
const FILLER: u8 = 38;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

fn kind(nal: &[u8]) -> u8 {
    nal[0] >> 1 & 0x3f
}

/// The header of a NAL unit as another type.
fn retyped(nal: &[u8], kind: u8) -> [u8; HEADER_LEN] {
    [nal[0] & 0x81 | kind << 1, nal[1]]
}

/// Splits an access unit in Annex B form, as [`crate::h264::packetize`] does.
pub(crate) fn packetize(access_unit: &[u8], max_payload: usize, first_sequence: u64) -> Vec<Bytes> {
    let nals: Vec<&[u8]> = nal_units(access_unit)
        .map(|range| &access_unit[range])
        .filter(|nal| nal.len() > HEADER_LEN && !matches!(kind(nal), ACCESS_UNIT_DELIMITER | FILLER))
        .collect();
    let mut writer = PayloadWriter::new(access_unit.len(), max_payload, first_sequence);
    let shared = aggregated(&nals, max_payload);
    match shared {
        0 => {}
        1 => writer.payload(&[nals[0]]),
        _ => aggregate(&mut writer, &nals[..shared]),
    }
    for nal in &nals[shared..] {
        if nal.len() <= max_payload {
            writer.payload(&[nal]);
        } else {
            fragment(&mut writer, nal, max_payload);
        }
    }
    writer.finish()
}

/// How many NAL units at the front fit into one aggregation packet (§4.4.2).
fn aggregated(nals: &[&[u8]], max_payload: usize) -> usize {
    let mut len = HEADER_LEN;
    nals.iter()
        .take_while(|nal| {
            len += 2 + nal.len();
            len <= max_payload
        })
        .count()
}

/// Layer and temporal id of the header are the lowest of those in the packet.
fn aggregate(writer: &mut PayloadWriter, nals: &[&[u8]]) {
    let forbidden = nals.iter().fold(0, |bits, nal| bits | nal[0] & 0x80);
    let layer = nals.iter().map(|nal| (nal[0] & 1) << 5 | nal[1] >> 3).min().unwrap_or(0);
    let temporal = nals.iter().map(|nal| nal[1] & 7).min().unwrap_or(1);
    writer.begin();
    writer.put(&[forbidden | AGGREGATION << 1 | layer >> 5, layer << 3 | temporal]);
    for nal in nals {
        writer.put(&(nal.len() as u16).to_be_bytes());
        writer.put(nal);
    }
    writer.end();
}

/// Fragmentation units (§4.4.3): the header with another type, a byte with the type itself, a part of what follows.
fn fragment(writer: &mut PayloadWriter, nal: &[u8], max_payload: usize) {
    let parts = fragments(&nal[HEADER_LEN..], max_payload - HEADER_LEN - 1);
    let last = parts.len() - 1;
    let [first, second] = retyped(nal, FRAGMENT);
    for (i, part) in parts.enumerate() {
        let start = if i == 0 { FU_START } else { 0 };
        let end = if i == last { FU_END } else { 0 };
        writer.payload(&[&[first, second, start | end | kind(nal)], part]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::OSN_LEN;
    use proptest::prelude::*;
    use rtc_rtp::codec::h265::{H265Packet, H265Payload};
    use rtc_rtp::packetizer::Depacketizer;

    fn annex_b(nals: &[Vec<u8>]) -> Vec<u8> {
        nals.iter().fold(Vec::new(), |out, nal| [out, vec![0, 0, 0, 1], nal.clone()].concat())
    }

    /// NAL units with no zero byte need no emulation prevention.
    fn nal(kind: u8, len: usize) -> Vec<u8> {
        let byte = |i: usize| match i {
            0 => kind << 1,
            1 => 1,
            _ => 1 + (i % 255) as u8,
        };
        (0..len.max(HEADER_LEN + 1)).map(byte).collect()
    }

    /// What somebody else's reader of RFC 7798 makes of the packets.
    fn read(packets: &[Bytes]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for packet in packets {
            let mut reader = H265Packet::default();
            reader.depacketize(&packet.slice(OSN_LEN..)).unwrap();
            match reader.payload() {
                H265Payload::H265SingleNALUnitPacket(single) => {
                    let header = single.payload_header().0.to_be_bytes();
                    nals.push([header.as_slice(), &single.payload()].concat());
                }
                H265Payload::H265AggregationPacket(several) => {
                    nals.push(several.first_unit().unwrap().nal_unit().to_vec());
                    nals.extend(several.other_units().iter().map(|unit| unit.nal_unit().to_vec()));
                }
                H265Payload::H265FragmentationUnitPacket(part) => {
                    if part.fu_header().s() {
                        let outer = part.payload_header().0.to_be_bytes();
                        nals.push(retyped(&outer, part.fu_header().fu_type()).to_vec());
                    }
                    nals.last_mut().unwrap().extend_from_slice(&part.payload());
                }
                other => panic!("{other:?} is not written"),
            }
        }
        nals
    }

    #[test]
    fn parameter_sets_and_a_small_slice_share_one_packet() {
        let nals = [nal(32, 20), nal(33, 30), nal(34, 8), nal(19, 500)];
        let packets = packetize(&annex_b(&nals), 1150, 9);
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0][..4], [0, 9, AGGREGATION << 1, 1]);
        assert_eq!(read(&packets), nals);
    }

    #[test]
    fn a_large_slice_after_parameter_sets_is_fragmented() {
        let nals = [nal(32, 20), nal(33, 30), nal(34, 8), nal(19, 5000)];
        let packets = packetize(&annex_b(&nals), 1150, 65_535);
        assert_eq!(packets.len(), 6);
        assert_eq!(packets[1][2..5], [FRAGMENT << 1, 1, FU_START | 19]);
        assert_eq!(packets[5][4], FU_END | 19);
        assert_eq!(read(&packets), nals);
    }

    #[test]
    fn delimiters_and_filler_are_not_sent() {
        let packets = packetize(&annex_b(&[nal(35, 3), nal(1, 40), nal(38, 30)]), 1150, 0);
        assert_eq!(read(&packets), [nal(1, 40)]);
    }

    proptest! {
        #[test]
        fn every_access_unit_survives_the_way_through_packets(
            sizes in proptest::collection::vec((0u8..=34, 3usize..4000), 1..8),
            max_payload in 100usize..1400,
        ) {
            let nals: Vec<Vec<u8>> = sizes.iter().map(|&(kind, len)| nal(kind, len)).collect();
            let packets = packetize(&annex_b(&nals), max_payload, 0);
            prop_assert!(packets.iter().all(|packet| packet.len() <= max_payload + OSN_LEN));
            prop_assert_eq!(read(&packets), nals);
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(0u8..3, 0..200)) {
            packetize(&data, 100, 0);
        }
    }
}

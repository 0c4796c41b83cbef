//! HEVC as [`crate::nal`] packs it: RFC 7798, one RTP stream, no DONL; aggregation packets (§4.4.2) and fragmentation
//! units (§4.4.3).

use crate::nal::NalFormat;

const ACCESS_UNIT_DELIMITER: u8 = 35;
const FILLER: u8 = 38;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

fn kind(nal: &[u8]) -> u8 {
    nal[0] >> 1 & 0x3f
}

/// The header of a NAL unit as another type.
fn retyped(nal: &[u8], kind: u8) -> [u8; 2] {
    [nal[0] & 0x81 | kind << 1, nal[1]]
}

/// Two bytes: `forbidden_zero_bit`, 6 bits of type, 6 of layer, 3 of `nuh_temporal_id_plus1`.
pub(crate) struct Hevc;

impl NalFormat for Hevc {
    type Header = [u8; 2];
    type FragmentHeader = [u8; 3];

    const HEADER_LEN: usize = 2;

    fn is_sent(nal: &[u8]) -> bool {
        nal.len() > Self::HEADER_LEN && !matches!(kind(nal), ACCESS_UNIT_DELIMITER | FILLER)
    }

    /// Layer and temporal id are the lowest of those in the packet.
    fn shared(nals: &[&[u8]]) -> [u8; 2] {
        let forbidden = nals.iter().fold(0, |bits, nal| bits | nal[0] & 0x80);
        let layer = nals.iter().map(|nal| (nal[0] & 1) << 5 | nal[1] >> 3).min().unwrap_or(0);
        let temporal = nals.iter().map(|nal| nal[1] & 7).min().unwrap_or(1);
        [forbidden | AGGREGATION << 1 | layer >> 5, layer << 3 | temporal]
    }

    /// The header with another type, and a byte with the type itself.
    fn fragment(nal: &[u8], place: u8) -> [u8; 3] {
        let [first, second] = retyped(nal, FRAGMENT);
        [first, second, place | kind(nal)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nal::{FU_END, FU_START};
    use crate::payload::OSN_LEN;
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtc_rtp::codec::h265::{H265Packet, H265Payload};
    use rtc_rtp::packetizer::Depacketizer;

    fn packetize(stream: &[u8], max_payload: usize, first_sequence: u64) -> Vec<Bytes> {
        crate::nal::packetize::<Hevc>(stream, max_payload, first_sequence)
    }

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
        (0..len.max(Hevc::HEADER_LEN + 1)).map(byte).collect()
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

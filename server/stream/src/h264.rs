//! H.264 as [`crate::nal`] packs it: RFC 6184, packetization mode 1, so that shared packets are STAP-A and fragments FU-A.

use crate::nal::NalFormat;

const TYPE_MASK: u8 = 0x1f;
const REFERENCE_MASK: u8 = 0xe0;
const ACCESS_UNIT_DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// One byte: `nal_ref_idc` and type.
pub(crate) struct H264;

impl NalFormat for H264 {
    type Header = [u8; 1];
    type FragmentHeader = [u8; 2];

    const HEADER_LEN: usize = 1;

    fn is_sent(nal: &[u8]) -> bool {
        !matches!(nal[0] & TYPE_MASK, ACCESS_UNIT_DELIMITER | FILLER)
    }

    fn shared(nals: &[&[u8]]) -> [u8; 1] {
        let reference = nals.iter().map(|nal| nal[0] & REFERENCE_MASK).max().unwrap_or(0);
        [STAP_A | reference]
    }

    fn fragment(nal: &[u8], place: u8) -> [u8; 2] {
        [FU_A | (nal[0] & REFERENCE_MASK), place | (nal[0] & TYPE_MASK)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nal::{FU_END, FU_START};
    use crate::payload::OSN_LEN;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn packetize(stream: &[u8], max_payload: usize, first_sequence: u64) -> Vec<Bytes> {
        crate::nal::packetize::<H264>(stream, max_payload, first_sequence)
    }

    fn annex_b(nals: &[Vec<u8>]) -> Vec<u8> {
        nals.iter().enumerate().fold(Vec::new(), |mut out, (i, nal)| {
            out.extend_from_slice(if i % 2 == 0 { &[0, 0, 0, 1] } else { &[0, 0, 1] });
            out.extend_from_slice(nal);
            out
        })
    }

    /// The other direction, as RFC 6184 §5 tells a receiver.
    fn depacketize(packets: &[Bytes]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for packet in packets {
            let payload = &packet[OSN_LEN..];
            match payload[0] & TYPE_MASK {
                STAP_A => {
                    let mut rest = &payload[1..];
                    while let [high, low, tail @ ..] = rest {
                        let (nal, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                        nals.push(nal.to_vec());
                        rest = tail;
                    }
                }
                FU_A => {
                    if payload[1] & FU_START != 0 {
                        nals.push(vec![payload[0] & REFERENCE_MASK | payload[1] & TYPE_MASK]);
                    }
                    nals.last_mut().unwrap().extend_from_slice(&payload[2..]);
                }
                _ => nals.push(payload.to_vec()),
            }
        }
        nals
    }

    /// NAL units with no zero byte need no emulation prevention.
    fn nal(kind: u8, len: usize) -> Vec<u8> {
        (0..len).map(|i| if i == 0 { 0x60 | kind } else { 1 + (i % 255) as u8 }).collect()
    }

    #[test]
    fn parameter_sets_and_a_small_slice_share_one_packet() {
        let nals = [nal(7, 12), nal(8, 4), nal(5, 500)];
        let packets = packetize(&annex_b(&nals), 1150, 9);
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0][..3], [0, 9, STAP_A | 0x60]);
        assert_eq!(depacketize(&packets), nals);
    }

    #[test]
    fn a_large_slice_after_parameter_sets_is_fragmented() {
        let nals = [nal(7, 12), nal(8, 4), nal(5, 5000)];
        let packets = packetize(&annex_b(&nals), 1150, 65_535);
        assert_eq!(packets.len(), 6);
        assert_eq!(packets[1][..2], [0, 0], "sequence numbers wrap");
        assert_eq!(packets[1][3], FU_START | 5);
        assert_eq!(packets[5][3], FU_END | 5);
        assert_eq!(depacketize(&packets), nals);
    }

    #[test]
    fn delimiters_and_filler_are_not_sent() {
        let packets = packetize(&annex_b(&[nal(9, 2), nal(1, 40), nal(12, 30)]), 1150, 0);
        assert_eq!(depacketize(&packets), [nal(1, 40)]);
    }

    proptest! {
        #[test]
        fn every_access_unit_survives_the_way_through_packets(
            sizes in proptest::collection::vec((1u8..=8, 1usize..4000), 1..8),
            max_payload in 100usize..1400,
        ) {
            let nals: Vec<Vec<u8>> = sizes.iter().map(|&(kind, len)| nal(kind, len)).collect();
            let packets = packetize(&annex_b(&nals), max_payload, 0);
            prop_assert!(packets.iter().all(|packet| packet.len() <= max_payload + OSN_LEN));
            prop_assert_eq!(depacketize(&packets), nals);
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(0u8..3, 0..200)) {
            packetize(&data, 100, 0);
        }
    }
}

//! The few bytes of IPv4 headers (RFC 791) that a link looks at.

use crate::link::Ecn;

/// Without options.
const SHORTEST_HEADER: usize = 20;

/// The protocol field of TCP and UDP.
pub(super) const TCP: u8 = 6;

/// Whether it is an IPv4 packet with a whole header.
pub(super) fn is_ipv4(packet: &[u8]) -> bool {
    header_length(packet).is_some()
}

/// What it carries; `packet` is IPv4.
pub(super) fn protocol(packet: &[u8]) -> u8 {
    packet.get(9).copied().unwrap_or_default()
}

/// Its mark; `packet` is IPv4.
pub(super) fn ecn(packet: &[u8]) -> Ecn {
    match packet.get(1).map_or(0, |tos| tos & 3) {
        0 => Ecn::NotEct,
        1 => Ecn::Ect1,
        2 => Ecn::Ect0,
        _ => Ecn::Ce,
    }
}

/// Marks it "congestion experienced" and makes its checksum anew.
pub(super) fn mark(packet: &mut [u8]) {
    let Some(length) = header_length(packet) else { return };
    packet[1] |= 3;
    packet[10..12].fill(0);
    let sum = checksum(&packet[..length]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let length = usize::from(first & 15) * 4;
    (first >> 4 == 4 && (SHORTEST_HEADER..=packet.len()).contains(&length)).then_some(length)
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071's readers everywhere: 192.168.0.1 to 192.168.0.199, checksum 0xb861.
    const HEADER: [u8; 20] =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];

    #[test]
    fn a_marked_header_has_a_right_checksum() {
        let mut packet = HEADER.to_vec();
        packet[1] = 2;
        assert_eq!(ecn(&packet), Ecn::Ect0);
        mark(&mut packet);
        assert_eq!(ecn(&packet), Ecn::Ce);
        // With the checksum in it, a right header sums up to nothing.
        assert_eq!(checksum(&packet), 0);
        assert_eq!(checksum(&HEADER), 0);
        assert_eq!(protocol(&packet), 17);
    }

    #[test]
    fn what_is_no_ipv4_packet_is_left_alone() {
        for rubbish in [&[][..], &[0x45; 19], &[0x60; 40], &[0x41; 40], &[0x4f; 40]] {
            assert!(!is_ipv4(rubbish));
            let mut packet = rubbish.to_vec();
            mark(&mut packet);
            assert_eq!(packet, rubbish);
        }
    }
}

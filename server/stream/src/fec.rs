//! FlexFEC parity over video (draft-ietf-payload-flexible-fec-scheme-03, as libwebrtc reads it: one
//! protected SSRC, a flexible mask).
//!
//! A block is closed at the end of a frame. Its parity packets interleave: of `k`, each covers every
//! `k`-th packet, so that any `k` losses in a row are repaired; against scattered losses, every other round
//! of packets is covered once more (see [`Layout`]). A receiver clears the transport-wide number before it
//! adds packets up, because that number is stamped last; so does this.

use crate::payload::OSN_LEN;
use crate::rtp::{RTP_HEADER_LEN, RtpPacket};
use bytes::{BufMut, Bytes, BytesMut};

/// As many packets one mask covers.
pub(crate) const MAX_PROTECTED: usize = 109;
/// How many of them the first, the second and the third part of the mask hold (draft §4.2).
const MASK_BITS: [u32; 3] = [15, 31, 63];
/// Fixed part of the header, the protected SSRC and the base of the mask.
const FIXED_HEADER_LEN: usize = 18;
const MAX_MASK_LEN: usize = 14;
/// Bytes that parity has beyond the longest packet it covers, the RTP header of both left out.
pub(crate) const MAX_OVERHEAD_LEN: usize = FIXED_HEADER_LEN + MAX_MASK_LEN;

/// Which losses the parity packets of a block are good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each packet is covered once: a burst as long as there are parity packets is repaired.
    Interleaved,
    /// Every other round of packets is covered twice, so that what one parity packet restores helps
    /// another: half as many blocks of scattered losses fail.
    Overlapping,
}

/// Overlapping needs a parity packet that is neither the packet's own nor the only other one.
const MIN_OVERLAPPING: usize = 3;

impl Layout {
    /// Whether parity packet `group` of `groups` covers packet `index`.
    fn covers(self, index: usize, group: usize, groups: usize) -> bool {
        let (own, round) = (index % groups, index / groups);
        if own == group || self == Self::Interleaved || groups < MIN_OVERLAPPING || round % 2 == 0 {
            return own == group;
        }
        (own + 1 + round / 2 % (groups - 1)) % groups == group
    }
}

/// One parity packet.
#[derive(Clone, Debug)]
pub(crate) struct Parity {
    /// Its own unwrapped sequence number.
    pub(crate) sequence: u64,
    pub(crate) coverage: Coverage,
    /// Its sequence number (2 bytes), then the payload.
    pub(crate) data: Bytes,
}

/// Which packets a parity packet covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Sequence number of bit 0.
    pub(crate) base: u64,
    /// Bit `i` covers `base + i`.
    pub(crate) mask: u128,
    /// Last packet of the whole block.
    pub(crate) end: u64,
}

impl Coverage {
    pub(crate) fn sequences(&self) -> impl Iterator<Item = u64> + use<> {
        let Self { base, mask, .. } = *self;
        (0..MAX_PROTECTED as u64).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| base + bit)
    }
}

/// Gathers the packets of one video stream and adds them up.
#[derive(Debug)]
pub(crate) struct FecEncoder {
    sequence: u64,
    /// Sequence number of the first packet of the block.
    first: u64,
    block: Vec<RtpPacket>,
    /// Frames that ended in the block.
    frames: u32,
}

impl FecEncoder {
    pub(crate) fn new(first_sequence: u64) -> Self {
        Self { sequence: first_sequence, first: 0, block: Vec::new(), frames: 0 }
    }

    /// Adds a packet as it will leave, its transport-wide number zero. Sequence numbers follow on each
    /// other within a block, and a full block is closed first.
    pub(crate) fn add(&mut self, sequence: u64, packet: RtpPacket) {
        debug_assert!(!self.is_full(), "a full block is closed before more is added");
        if self.block.is_empty() {
            self.first = sequence;
        }
        self.frames += u32::from(packet.marker);
        self.block.push(packet);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.block.len() >= MAX_PROTECTED
    }
    pub(crate) fn packets(&self) -> usize {
        self.block.len()
    }
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Forgets the block.
    pub(crate) fn discard(&mut self) {
        self.block.clear();
        self.frames = 0;
    }

    /// Closes the block with at most `count` parity packets.
    pub(crate) fn close(&mut self, count: usize, layout: Layout) -> Vec<Parity> {
        let count = count.min(self.block.len());
        let parity = (0..count).map(|group| self.parity(group, count, layout)).collect();
        self.discard();
        parity
    }

    fn parity(&mut self, group: usize, groups: usize, layout: Layout) -> Parity {
        let mask = (0..self.block.len())
            .filter(|&index| layout.covers(index, group, groups))
            .fold(0u128, |mask, index| mask | 1 << index);
        let members = || {
            self.block
                .iter()
                .enumerate()
                .filter(|(index, _)| mask >> index & 1 == 1)
                .map(|(_, packet)| packet)
        };
        let coverage = Coverage { base: self.first, mask, end: self.first + self.block.len() as u64 - 1 };
        let ssrc = self.block[group].ssrc;
        let longest = members().map(RtpPacket::rtp_len).max().unwrap_or(0);
        let mut data = BytesMut::with_capacity(OSN_LEN + MAX_OVERHEAD_LEN + longest);
        let mut header = [0; 8];
        data.put_u16(self.sequence as u16);
        data.put_slice(&header);
        // One SSRC, three reserved bytes, the SSRC, the base of the mask.
        data.put_u32(1 << 24);
        data.put_u32(ssrc);
        data.put_u16(self.first as u16);
        put_mask(&mut data, mask);
        let body = data.len();
        data.resize(body + longest.saturating_sub(RTP_HEADER_LEN), 0);
        members().for_each(|packet| add_packet(&mut header, &mut data[body..], packet));
        // The first two bits are R and F here, both clear.
        header[0] &= 0x3f;
        data[OSN_LEN..OSN_LEN + header.len()].copy_from_slice(&header);
        self.sequence += 1;
        Parity { sequence: self.sequence - 1, coverage, data: data.freeze() }
    }
}

/// Adds a packet's recovery fields to `header`, and what follows its fixed header to `body`.
fn add_packet(header: &mut [u8; 8], body: &mut [u8], packet: &RtpPacket) {
    let extensions = packet.extension_block();
    let len = (extensions.len() + packet.payload.len()) as u16;
    let [first, second] = packet.first_bytes();
    let [high, low] = len.to_be_bytes();
    let [t0, t1, t2, t3] = packet.timestamp.to_be_bytes();
    xor(header, &[first, second, high, low, t0, t1, t2, t3]);
    let (front, back) = body.split_at_mut(extensions.len());
    xor(front, &extensions);
    xor(back, &packet.payload);
}

fn xor(into: &mut [u8], bytes: &[u8]) {
    into.iter_mut().zip(bytes).for_each(|(into, byte)| *into ^= byte);
}

/// Writes the shortest mask: each part begins with a bit that says whether it is the last.
fn put_mask(out: &mut BytesMut, mask: u128) {
    let used = 128 - mask.leading_zeros();
    let mut from = 0;
    for (part, bits) in MASK_BITS.into_iter().enumerate() {
        let last = used <= from + bits || part + 1 == MASK_BITS.len();
        let word =
            (from..from + bits).fold(u64::from(last), |word, bit| word << 1 | (mask >> bit & 1) as u64);
        match part {
            0 => out.put_u16(word as u16),
            1 => out.put_u32(word as u32),
            _ => out.put_u64(word),
        }
        if last {
            return;
        }
        from += bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask_bytes(mask: u128) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_mask(&mut out, mask);
        out.to_vec()
    }

    #[test]
    fn masks_are_as_short_as_they_can_be() {
        assert_eq!(mask_bytes(0b1), [0xc0, 0]);
        assert_eq!(mask_bytes(1 << 14), [0x80, 1]);
        assert_eq!(mask_bytes(1 << 15), [0, 0, 0xc0, 0, 0, 0]);
        assert_eq!(mask_bytes(1 | 1 << 45), [0x40, 0, 0x80, 0, 0, 1]);
        assert_eq!(mask_bytes(1 << 46), [0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(mask_bytes(1 << 108), [0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn parity_packets_cover_every_packet_once_and_neighbours_never_together() {
        let packet = RtpPacket {
            payload_type: 96,
            marker: false,
            sequence: 0,
            timestamp: 0,
            ssrc: 1,
            extensions: crate::extensions::Extensions::default(),
            payload: Bytes::from_static(&[1; 40]),
            kind: crate::rtp::PacketKind::Video,
        };
        for packets in 1..=MAX_PROTECTED {
            for count in [1, 2, 5, 20] {
                let mut fec = FecEncoder::new(0);
                (0..packets as u64).for_each(|sequence| fec.add(70_000 + sequence, packet.clone()));
                let parity = fec.close(count, Layout::Interleaved);
                assert_eq!(parity.len(), count.min(packets));
                let covered = parity.iter().fold(0u128, |all, one| {
                    assert_eq!(all & one.coverage.mask, 0);
                    let near = (1..parity.len()).any(|gap| one.coverage.mask & one.coverage.mask >> gap != 0);
                    assert!(!near, "{packets} packets, {count} parity packets");
                    all | one.coverage.mask
                });
                assert_eq!(covered.count_ones() as usize, packets);
                assert_eq!(parity[0].coverage.end, 70_000 + packets as u64 - 1);
            }
        }
    }
}

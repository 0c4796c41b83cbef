//! Redundant audio (RFC 2198): a packet of Opus carries those before it once more.
//!
//! Audio cannot wait for a retransmission, and one packet of it is small: repeating the last one or two
//! costs little and repairs what a round trip would repair too late.

use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// As many packets are kept, and repeated at most.
pub(crate) const MAX_REDUNDANCY: usize = 2;
/// A block's length has 10 bits, its timestamp offset 14 (RFC 2198 §3).
const MAX_BLOCK_LEN: usize = (1 << 10) - 1;
const MAX_OFFSET: u32 = (1 << 14) - 1;
const BLOCK_HEADER_LEN: usize = 4;
/// Says that another block header follows.
const FOLLOWED: u32 = 1 << 31;

/// Wraps Opus packets of one stream.
#[derive(Debug)]
pub(crate) struct RedEncoder {
    payload_type: u8,
    max_payload: usize,
    last: VecDeque<(u32, Bytes)>,
}

impl RedEncoder {
    /// `payload_type` is that of Opus itself.
    pub(crate) fn new(payload_type: u8, max_payload: usize) -> Self {
        Self { payload_type: payload_type & 0x7f, max_payload, last: VecDeque::new() }
    }

    /// The RED payload of one packet with up to `redundancy` before it, oldest first, as far as they fit.
    pub(crate) fn encode(&mut self, timestamp: u32, payload: &[u8], redundancy: usize) -> Bytes {
        let mut room = self.max_payload.saturating_sub(1 + payload.len());
        let mut first = self.last.len();
        for (index, (before, block)) in self.last.iter().enumerate().rev().take(redundancy) {
            let cost = BLOCK_HEADER_LEN + block.len();
            let offset = timestamp.wrapping_sub(*before);
            if cost > room || !(1..=MAX_OFFSET).contains(&offset) {
                break;
            }
            (room, first) = (room - cost, index);
        }
        let carried = self.last.range(first..);
        let mut out = BytesMut::with_capacity(self.max_payload - room);
        for (before, block) in carried.clone() {
            let header = FOLLOWED
                | u32::from(self.payload_type) << 24
                | timestamp.wrapping_sub(*before) << 10
                | block.len() as u32;
            out.put_u32(header);
        }
        out.put_u8(self.payload_type);
        carried.for_each(|(_, block)| out.put_slice(block));
        out.put_slice(payload);
        self.keep(timestamp, payload);
        out.freeze()
    }

    fn keep(&mut self, timestamp: u32, payload: &[u8]) {
        if payload.len() > MAX_BLOCK_LEN {
            self.last.clear();
            return;
        }
        if self.last.len() == MAX_REDUNDANCY {
            self.last.pop_front();
        }
        self.last.push_back((timestamp, Bytes::copy_from_slice(payload)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_carries_those_before_it_with_how_long_ago_they_were_said() {
        let mut red = RedEncoder::new(111, 1150);
        assert_eq!(red.encode(480, b"one", 2)[..], *b"\x6fone");
        assert_eq!(red.encode(960, b"two", 0)[..], *b"\x6ftwo");
        // F = 1, type 111, offset 960, length 3; then offset 480.
        let headers = [0xef, 0x0f, 0x00, 3, 0xef, 0x07, 0x80, 3, 0x6f];
        assert_eq!(red.encode(1440, b"three", 2)[..], [&headers[..], b"onetwothree"].concat());
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_oldest_on() {
        let mut red = RedEncoder::new(111, 1150);
        red.encode(0, &[1; 500], 2);
        red.encode(480, &[2; 500], 2);
        let both = red.encode(960, &[3; 500], 2);
        assert_eq!(both.len(), 4 + 1 + 1000);
        // Longer ago than 14 bits say, and longer than 10 bits say.
        assert_eq!(red.encode(960 + (1 << 14), &[4; 10], 2).len(), 11);
        red.encode(20_000, &[5; 1100], 2);
        assert_eq!(red.encode(20_480, &[6; 10], 2).len(), 11);
    }
}

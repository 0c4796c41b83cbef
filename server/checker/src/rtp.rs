//! RTP packets of H.264 put in order and together again: access units as a decoder takes them (RFC 6184).
//!
//! A packet that is missing is waited for, as retransmissions take their time; then the frame is given up and a keyframe
//! asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A missing packet is given up after this.
const PATIENCE: Duration = Duration::from_millis(250);
/// Packets that wait for a missing one; more is a second of the highest rate.
const MOST_WAITING: usize = 4096;
/// An access unit beyond this is no picture.
const MOST_BYTES: usize = 8 * 1024 * 1024;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// 90 kHz.
    pub(crate) timestamp: u32,
    /// Annex B.
    pub(crate) data: Vec<u8>,
}

struct Waiting {
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
    at: Instant,
}

/// Puts packets in order and frames together.
#[derive(Default)]
pub(crate) struct Assembler {
    /// By sequence number, counted on past its end.
    waiting: BTreeMap<u64, Waiting>,
    newest: Option<u64>,
    next: Option<u64>,
    unit: Vec<u8>,
    timestamp: u32,
    /// The unit lacks something.
    damaged: bool,
    /// Packets before the next one were given up; its frame may have been theirs.
    gap: bool,
    /// Within a fragmented NAL.
    fragment: bool,
    lost: u32,
    wants_keyframe: bool,
}

impl Assembler {
    /// Takes a packet that came at `at`.
    pub(crate) fn push(&mut self, sequence: u16, timestamp: u32, marker: bool, payload: &[u8], at: Instant) {
        let number = self.number(sequence);
        let is_late = self.next.is_some_and(|next| number < next);
        if is_late || self.waiting.len() >= MOST_WAITING {
            return;
        }
        self.next.get_or_insert(number);
        self.waiting.insert(number, Waiting { timestamp, marker, payload: payload.to_vec(), at });
    }

    /// The next whole frame, as of `now`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Unit> {
        loop {
            let next = self.next?;
            let Some(packet) = self.waiting.remove(&next) else {
                self.give_up(next, now)?;
                continue;
            };
            self.next = Some(next + 1);
            if let Some(unit) = self.take(&packet) {
                return Some(unit);
            }
        }
    }

    /// Packets that never came.
    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    /// Whether a keyframe is needed to go on; asks once.
    pub(crate) fn take_wish(&mut self) -> bool {
        std::mem::take(&mut self.wants_keyframe)
    }

    fn number(&mut self, sequence: u16) -> u64 {
        let newest = *self.newest.get_or_insert(u64::from(sequence) + (1 << 16));
        // The number nearest to the newest that has these last 16 bits.
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        let number = newest.saturating_add_signed(ahead.into());
        self.newest = Some(newest.max(number));
        number
    }

    /// Skips what is missing once the first packet behind it waited long enough.
    fn give_up(&mut self, next: u64, now: Instant) -> Option<()> {
        let (&first, packet) = self.waiting.first_key_value()?;
        if now.saturating_duration_since(packet.at) < PATIENCE && self.waiting.len() < MOST_WAITING {
            return None;
        }
        self.lost = self.lost.saturating_add(u32::try_from(first - next).unwrap_or(u32::MAX));
        (self.next, self.gap) = (Some(first), true);
        self.wants_keyframe = true;
        Some(())
    }

    fn take(&mut self, packet: &Waiting) -> Option<Unit> {
        if packet.payload.is_empty() {
            return None;
        }
        if packet.timestamp != self.timestamp {
            self.unit.clear();
            (self.timestamp, self.fragment, self.damaged) = (packet.timestamp, false, false);
        }
        self.damaged |= std::mem::take(&mut self.gap);
        let is_whole = self.unit.len() < MOST_BYTES && self.add(&packet.payload).is_some();
        self.damaged |= !is_whole;
        if !packet.marker {
            return None;
        }
        let data = std::mem::take(&mut self.unit);
        let is_good = !std::mem::take(&mut self.damaged) && !data.is_empty();
        is_good.then_some(Unit { timestamp: packet.timestamp, data })
    }

    /// Appends what a payload holds; `None` where it has no form that is known.
    fn add(&mut self, payload: &[u8]) -> Option<()> {
        let (&head, rest) = payload.split_first()?;
        match head & 0x1f {
            1..=23 => self.nal(payload),
            24 => {
                let mut rest = rest;
                while let Some((size, tail)) = rest.split_first_chunk::<2>() {
                    let (nal, tail) = tail.split_at_checked(u16::from_be_bytes(*size).into())?;
                    self.nal(nal);
                    rest = tail;
                }
                return rest.is_empty().then_some(());
            }
            28 => {
                let (&fragment, data) = rest.split_first()?;
                let begins = fragment & 0x80 != 0;
                if begins {
                    self.unit.extend_from_slice(&START_CODE);
                    self.unit.push(head & 0xe0 | fragment & 0x1f);
                } else if !self.fragment {
                    return None;
                }
                self.unit.extend_from_slice(data);
                self.fragment = fragment & 0x40 == 0;
            }
            _ => return None,
        }
        Some(())
    }

    fn nal(&mut self, nal: &[u8]) {
        self.unit.extend_from_slice(&START_CODE);
        self.unit.extend_from_slice(nal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAL: [u8; 3] = [0x65, 1, 2];

    fn unit(timestamp: u32, nals: &[&[u8]]) -> Option<Unit> {
        let data = nals.iter().flat_map(|nal| START_CODE.iter().chain(*nal).copied()).collect();
        Some(Unit { timestamp, data })
    }

    #[test]
    fn packets_come_in_any_order_also_where_their_numbers_begin_again() {
        let (mut assembler, now) = (Assembler::default(), Instant::now());
        assembler.push(65_534, 10, false, &NAL, now);
        assembler.push(0, 20, true, &NAL, now);
        assert_eq!(assembler.poll(now), None);
        assembler.push(65_535, 10, true, &[0x41, 3], now);
        assert_eq!(assembler.poll(now), unit(10, &[&NAL, &[0x41, 3]]));
        assert_eq!(assembler.poll(now), unit(20, &[&NAL]));
        assembler.push(65_535, 10, true, &[0x41, 3], now);
        assert_eq!((assembler.poll(now), assembler.lost()), (None, 0), "what comes twice counts once");
    }

    #[test]
    fn fragments_and_aggregates_become_what_they_were() {
        let (mut assembler, now) = (Assembler::default(), Instant::now());
        assembler.push(1, 5, false, &[24, 0, 2, 0x67, 9, 0, 1, 0x68], now);
        assembler.push(2, 5, false, &[0x7c, 0x85, 1, 2], now);
        assembler.push(3, 5, false, &[0x7c, 0x05, 3], now);
        assembler.push(4, 5, true, &[0x7c, 0x45, 4], now);
        assert_eq!(assembler.poll(now), unit(5, &[&[0x67, 9], &[0x68], &[0x65, 1, 2, 3, 4]]));
    }

    #[test]
    fn a_lost_packet_is_waited_for_and_then_costs_its_frame_alone() {
        let (mut assembler, now) = (Assembler::default(), Instant::now());
        assembler.push(1, 1, true, &NAL, now);
        assert!(assembler.poll(now).is_some());
        assembler.push(3, 2, true, &NAL, now);
        assembler.push(4, 3, true, &NAL, now);
        assert_eq!(assembler.poll(now + PATIENCE / 2), None);
        let late = now + PATIENCE;
        let shown: Vec<_> = std::iter::from_fn(|| assembler.poll(late)).map(|unit| unit.timestamp).collect();
        assert_eq!((shown, assembler.lost()), (vec![3], 1));
        assert!(assembler.take_wish() && !assembler.take_wish());
    }

    #[test]
    fn rubbish_is_no_frame_and_never_panics() {
        let (mut assembler, now) = (Assembler::default(), Instant::now());
        let payloads: [&[u8]; 8] =
            [&[], &[24], &[24, 0], &[24, 0, 9, 1], &[28], &[0x7c, 0x05, 1], &[31, 1], &[0]];
        for (number, payload) in payloads.iter().enumerate() {
            assembler.push(number as u16, number as u32 + 1, true, payload, now);
        }
        assert_eq!(assembler.poll(now), None);
    }
}

//! Packets kept for sending again (RFC 4588), bounded in number, time and repetitions.

use crate::payload::OSN_LEN;
use crate::rtp::{PayloadTypes, StreamIds, unwrap_sequence};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One second at 20 Mbit/s and 1150 bytes.
const MAX_STORED: usize = 2048;
/// A picture that stood still for longer is better restarted by a keyframe.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Chromium asks ten times; a packet lost this often is lost because the path is gone.
const MAX_RESENDS: u8 = 8;
/// Below this, a second request cannot be an answer to the first repetition.
const MIN_RESEND_INTERVAL: Duration = Duration::from_millis(5);
/// A probe is filled with packets that are worth their header.
const MIN_PADDING_LEN: usize = 400;

/// A packet that left, without what is stamped on it when it leaves.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Unwrapped sequence number.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    /// It ends its frame, or the parity of one.
    pub(crate) marker: bool,
    /// Of its codec, where those are not the stream's own.
    pub(crate) types: Option<PayloadTypes>,
    /// Original sequence number (2 bytes), then the payload.
    pub(crate) data: Bytes,
}

impl Stored {
    pub(crate) fn payload(&self) -> Bytes {
        self.data.slice(OSN_LEN..)
    }
}

#[derive(Debug)]
struct Entry {
    packet: Stored,
    left: Instant,
    resent: u8,
    resent_at: Option<Instant>,
    /// What was sent again last did not arrive.
    lost: bool,
}

/// Why a packet is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Sent again less than a round trip ago: this request crossed it.
    TooSoon,
    /// No longer kept, never sent, or sent again too often.
    Gone,
}

/// Packets of one stream, in order of departure.
#[derive(Debug, Default)]
pub(crate) struct RetransmitStore {
    entries: VecDeque<Entry>,
}

impl RetransmitStore {
    /// Keeps a packet that leaves now.
    pub(crate) fn keep(&mut self, now: Instant, packet: Stored) {
        while self.entries.front().is_some_and(|entry| {
            self.entries.len() >= MAX_STORED || now.saturating_duration_since(entry.left) > MAX_AGE
        }) {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { packet, left: now, resent: 0, resent_at: None, lost: false });
    }

    /// Takes a packet for sending again; `rtt` is the shortest that a round trip takes.
    pub(crate) fn request(&mut self, now: Instant, sequence: u16, rtt: Duration) -> Result<Stored, Refusal> {
        let index = self.index(sequence).ok_or(Refusal::Gone)?;
        let entry = &mut self.entries[index];
        if now.saturating_duration_since(entry.left) > MAX_AGE || entry.resent >= MAX_RESENDS {
            return Err(Refusal::Gone);
        }
        let interval = rtt.max(MIN_RESEND_INTERVAL);
        let crossed = entry.resent_at.is_some_and(|at| now.saturating_duration_since(at) < interval);
        if crossed && !entry.lost {
            return Err(Refusal::TooSoon);
        }
        entry.resent += 1;
        (entry.resent_at, entry.lost) = (Some(now), false);
        Ok(entry.packet.clone())
    }

    /// The last repetition is known to be lost: a request for it crosses nothing.
    pub(crate) fn was_lost(&mut self, sequence: u16) {
        if let Some(entry) = self.index(sequence).and_then(|index| self.entries.get_mut(index)) {
            entry.lost = true;
        }
    }

    /// When a packet was sent again last.
    pub(crate) fn resent_at(&self, sequence: u16) -> Option<Instant> {
        self.entries[self.index(sequence)?].resent_at
    }

    fn index(&self, sequence: u16) -> Option<usize> {
        let newest = self.entries.back().map_or(0, |entry| entry.packet.sequence);
        let wanted = unwrap_sequence(newest, sequence)?;
        self.entries.binary_search_by_key(&wanted, |entry| entry.packet.sequence).ok()
    }

    /// The newest packet that is large enough to fill a probe with.
    pub(crate) fn padding(&self, now: Instant) -> Option<&Stored> {
        self.entries
            .iter()
            .rev()
            .take_while(|entry| now.saturating_duration_since(entry.left) <= MAX_AGE)
            .map(|entry| &entry.packet)
            .find(|packet| packet.data.len() >= MIN_PADDING_LEN)
    }
}

/// SSRC and payload type of retransmissions, where they have a stream of their own.
pub(crate) fn rtx_ids(ids: &StreamIds) -> Option<(u32, u8)> {
    ids.rtx_ssrc.zip(ids.rtx_payload_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn stored(sequence: u64) -> Stored {
        Stored { sequence, timestamp: 0, marker: false, types: None, data: Bytes::from_static(&[0; 500]) }
    }

    #[test]
    fn a_packet_is_sent_again_once_a_round_trip_and_not_for_ever() {
        let start = Instant::now();
        let mut store = RetransmitStore::default();
        store.keep(start, stored(65_536));
        assert!(store.request(start, 0, RTT).is_ok());
        assert_eq!(store.request(start + RTT / 2, 0, RTT).unwrap_err(), Refusal::TooSoon);
        let answers = (1..20).map(|i| store.request(start + RTT * i, 0, RTT).is_ok());
        assert_eq!(answers.filter(|&sent| sent).count(), usize::from(MAX_RESENDS) - 1);
    }

    #[test]
    fn a_repetition_that_was_lost_is_made_again_at_once_and_then_waited_for() {
        let start = Instant::now();
        let mut store = RetransmitStore::default();
        store.keep(start, stored(7));
        assert!(store.request(start, 7, RTT).is_ok());
        store.was_lost(7);
        assert!(store.request(start + RTT / 4, 7, RTT).is_ok());
        assert_eq!(store.request(start + RTT / 2, 7, RTT).unwrap_err(), Refusal::TooSoon);
    }

    #[test]
    fn old_unknown_and_excess_packets_are_gone() {
        let start = Instant::now();
        let mut store = RetransmitStore::default();
        (0..3000).for_each(|sequence| store.keep(start, stored(sequence)));
        assert_eq!(store.entries.len(), MAX_STORED);
        assert_eq!(store.request(start, 0, RTT).unwrap_err(), Refusal::Gone);
        assert_eq!(store.request(start, 3000, RTT).unwrap_err(), Refusal::Gone);
        assert!(store.request(start, 2999, RTT).is_ok());
        assert_eq!(store.request(start + MAX_AGE * 2, 2998, RTT).unwrap_err(), Refusal::Gone);
    }
}

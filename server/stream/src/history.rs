//! What left under which transport-wide sequence number, until the receiver's feedback tells its fate.

use crate::feedback::{PacketReport, TwccReport};
use crate::rtp::unwrap_sequence;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Four seconds at 2000 packets a second; feedback that is older no longer matters.
const MAX_ENTRIES: usize = 8192;
/// Longer than any feedback interval and round trip together.
const MAX_AGE: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Missing,
    Arrived,
}

/// What a packet brings to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cargo {
    /// The packet of video with this sequence number, on its own stream.
    Video(u64),
    /// The same on the stream of retransmissions.
    Repeat(u64),
    /// The parity packet with this sequence number.
    Fec(u64),
    /// Something else.
    Other,
}

#[derive(Debug)]
struct Sent {
    departure: Instant,
    size: usize,
    probe: Option<u32>,
    media: bool,
    cargo: Cargo,
    fate: Fate,
}

/// Departures by transport-wide sequence number.
#[derive(Debug)]
pub(crate) struct SendHistory {
    entries: VecDeque<Sent>,
    /// Number of the front entry.
    first: u64,
}

/// What one report tells.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    /// Packets whose fate is news, in order of departure.
    pub(crate) packets: Vec<PacketReport>,
    /// What became of each packet's cargo, in order of departure.
    pub(crate) cargo: Vec<CargoFate>,
    /// Media packets newly missing, less those that turned up after all.
    pub(crate) newly_lost: i64,
    /// Departure of the newest packet that arrived.
    pub(crate) newest_departure: Option<Instant>,
}

/// News of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CargoFate {
    pub(crate) cargo: Cargo,
    pub(crate) arrived: bool,
    /// It was reported missing before.
    pub(crate) corrected: bool,
}

impl SendHistory {
    pub(crate) fn new(first_sequence: u64) -> Self {
        Self { entries: VecDeque::new(), first: first_sequence }
    }

    /// Notes a departure and gives the packet its number, of which 16 bits are sent. `media` is false for probes.
    pub(crate) fn stamp(
        &mut self,
        now: Instant,
        size: usize,
        probe: Option<u32>,
        media: bool,
        cargo: Cargo,
    ) -> u64 {
        while self.entries.front().is_some_and(|entry| {
            self.entries.len() >= MAX_ENTRIES || now.saturating_duration_since(entry.departure) > MAX_AGE
        }) {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(Sent { departure: now, size, probe, media, cargo, fate: Fate::Unknown });
        self.first + self.entries.len() as u64 - 1
    }

    /// Whether something with this cargo left after `since` of which no report has told yet.
    pub(crate) fn is_under_way(&self, cargo: Cargo, since: Instant) -> bool {
        let lately = self.entries.iter().rev().take_while(|entry| entry.departure > since);
        lately.into_iter().any(|entry| entry.cargo == cargo && entry.fate == Fate::Unknown)
    }

    /// Applies one report; what it says again, or of packets never sent, changes nothing.
    pub(crate) fn resolve(&mut self, report: &TwccReport) -> Fates {
        let mut fates = Fates::default();
        let newest = self.first + self.entries.len() as u64;
        let mut marked = report.marked.iter().peekable();
        for &(sequence, arrival) in &report.reports {
            let ce = marked.next_if_eq(&&sequence).is_some() && arrival.is_some();
            let Some(entry) = unwrap_sequence(newest, sequence)
                .and_then(|number| number.checked_sub(self.first))
                .and_then(|index| self.entries.get_mut(usize::try_from(index).ok()?))
            else {
                continue;
            };
            let fate = if arrival.is_some() { Fate::Arrived } else { Fate::Missing };
            match (entry.fate, fate) {
                (Fate::Unknown, _) | (Fate::Missing, Fate::Arrived) => {}
                _ => continue,
            }
            if entry.media {
                fates.newly_lost += i64::from(fate == Fate::Missing) - i64::from(entry.fate == Fate::Missing);
            }
            fates.cargo.push(CargoFate {
                cargo: entry.cargo,
                arrived: arrival.is_some(),
                corrected: entry.fate == Fate::Missing,
            });
            entry.fate = fate;
            if arrival.is_some() {
                fates.newest_departure = fates.newest_departure.max(Some(entry.departure));
            }
            let (departure, size, probe) = (entry.departure, entry.size, entry.probe);
            fates.packets.push(PacketReport { departure, arrival, size, probe, ce });
        }
        fates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reports: &[(u16, Option<u64>)]) -> TwccReport {
        let reports: Vec<_> = reports.iter().map(|&(seq, at)| (seq, at.map(Duration::from_millis))).collect();
        TwccReport { base_seq: reports[0].0, reports, marked: Vec::new() }
    }

    #[test]
    fn a_congestion_mark_is_told_with_the_packet_that_arrived_with_it() {
        let now = Instant::now();
        let mut history = SendHistory::new(65_535);
        for _ in 0..3 {
            history.stamp(now, 100, None, true, Cargo::Other);
        }
        let mut report = report(&[(65_535, Some(1)), (0, None), (1, Some(2))]);
        report.marked = vec![0, 1];
        let marks: Vec<bool> = history.resolve(&report).packets.iter().map(|packet| packet.ce).collect();
        assert_eq!(marks, [false, false, true], "a lost packet carries no mark");
    }

    #[test]
    fn a_fate_is_told_once_and_a_late_packet_is_taken_back_from_the_lost() {
        let now = Instant::now();
        let mut history = SendHistory::new(65_535);
        assert_eq!(
            [0; 3].map(|_| history.stamp(now, 100, None, true, Cargo::Other)),
            [65_535, 65_536, 65_537]
        );
        let fates = history.resolve(&report(&[(65_535, Some(1)), (0, None), (1, Some(2))]));
        assert_eq!((fates.packets.len(), fates.newly_lost), (3, 1));
        let fates = history.resolve(&report(&[(65_535, Some(1)), (0, Some(3))]));
        assert_eq!((fates.packets.len(), fates.newly_lost), (1, -1));
    }

    #[test]
    fn reports_of_packets_never_sent_are_ignored() {
        let mut history = SendHistory::new(5);
        history.stamp(Instant::now(), 100, None, true, Cargo::Other);
        let fates = history.resolve(&report(&[(4, Some(1)), (6, Some(1)), (32_000, None), (40_000, None)]));
        assert!(fates.packets.is_empty());
    }

    #[test]
    fn the_history_is_bounded_in_packets_and_time() {
        let start = Instant::now();
        let mut history = SendHistory::new(0);
        for i in 0..20_000u64 {
            history.stamp(start + Duration::from_micros(i), 100, None, true, Cargo::Other);
        }
        assert_eq!(history.entries.len(), MAX_ENTRIES);
        history.stamp(start + Duration::from_secs(60), 100, None, true, Cargo::Other);
        assert_eq!(history.entries.len(), 1);
    }
}

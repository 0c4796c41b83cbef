//! Sender reports (RFC 3550 §6.4.1): which moment of the wall clock a stream's timestamps mean, and how much
//! of it left. The receiver's answers to them measure the round trip.

use nearframe_stream::{PacketKind, RtpPacket};
use rtc::rtcp::sender_report::SenderReport;
use std::time::{Duration, Instant};

/// Between two reports of a stream.
const INTERVAL: Duration = Duration::from_secs(1);

/// What left of one stream.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    clock_rate: u32,
    packets: u32,
    octets: u32,
    /// The newest timestamp, and when its first packet left; none before the first.
    newest: Option<(u32, Instant)>,
}

/// The media streams of one peer, without their repairs.
#[derive(Debug)]
pub(super) struct SenderReports {
    streams: [Stream; 2],
    due: Instant,
}

impl SenderReports {
    /// For streams of this SSRC and clock rate each.
    pub(super) fn new(streams: [(u32, u32); 2], now: Instant) -> Self {
        let stream = |(ssrc, clock_rate)| Stream { ssrc, clock_rate, packets: 0, octets: 0, newest: None };
        Self { streams: streams.map(stream), due: now + INTERVAL }
    }

    /// A packet leaves.
    pub(super) fn count(&mut self, now: Instant, packet: &RtpPacket) {
        if !matches!(packet.kind, PacketKind::Video | PacketKind::Audio) {
            return;
        }
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == packet.ssrc) else { return };
        stream.packets = stream.packets.wrapping_add(1);
        stream.octets = stream.octets.wrapping_add(packet.payload.len() as u32);
        if stream.newest.is_none_or(|(timestamp, _)| timestamp != packet.timestamp) {
            stream.newest = Some((packet.timestamp, now));
        }
    }

    /// The reports to send now, with this NTP time; none before they are due.
    pub(super) fn due(&mut self, now: Instant, ntp_time: u64) -> Vec<SenderReport> {
        if now < self.due {
            return Vec::new();
        }
        self.due = now + INTERVAL;
        let report = |stream: &Stream| {
            let (timestamp, at) = stream.newest?;
            let since = now.saturating_duration_since(at).as_secs_f64();
            Some(SenderReport {
                ssrc: stream.ssrc,
                ntp_time,
                rtp_time: timestamp.wrapping_add((since * f64::from(stream.clock_rate)) as u32),
                packet_count: stream.packets,
                octet_count: stream.octets,
                ..SenderReport::default()
            })
        };
        self.streams.iter().filter_map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use nearframe_stream::Extensions;

    fn packet(ssrc: u32, timestamp: u32, kind: PacketKind) -> RtpPacket {
        let payload = Bytes::from_static(&[0; 100]);
        let (payload_type, marker, sequence, extensions) = (96, false, 0, Extensions::default());
        RtpPacket { payload_type, marker, sequence, timestamp, ssrc, extensions, payload, kind }
    }

    #[test]
    fn a_report_a_second_says_what_left_and_what_time_it_is_in_the_stream() {
        let start = Instant::now();
        let mut reports = SenderReports::new([(1, 90_000), (3, 48_000)], start);
        reports.count(start, &packet(1, 500, PacketKind::Video));
        reports.count(start + INTERVAL / 2, &packet(1, 500, PacketKind::Video));
        reports.count(start, &packet(1, 9, PacketKind::Retransmission));
        reports.count(start, &packet(2, 9, PacketKind::Video));
        assert!(reports.due(start + INTERVAL / 2, 7).is_empty());
        let due = reports.due(start + INTERVAL, 7);
        let [report] = due.as_slice() else { panic!("{due:?}") };
        assert_eq!((report.ssrc, report.ntp_time, report.rtp_time), (1, 7, 90_500));
        assert_eq!((report.packet_count, report.octet_count), (2, 200));
        assert!(reports.due(start + INTERVAL, 7).is_empty());
        reports.count(start, &packet(3, 0, PacketKind::Audio));
        assert_eq!(reports.due(start + INTERVAL * 2, 7).len(), 2);
    }
}

//! RTCP as the `rtc` crate parses it → what `stream` understands.

use nearframe_stream::{Feedback, TwccReport};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use std::time::{Duration, SystemTime};

/// A reference time counts 64 ms.
const REFERENCE_UNIT: Duration = Duration::from_millis(64);

/// From 1900 (NTP) to 1970 (Unix), in seconds.
const NTP_OFFSET_S: u64 = 2_208_988_800;
/// A longer round trip is a clock that was set.
const MAX_RTT: Duration = Duration::from_secs(10);

/// What one RTCP packet says; `None` for what nobody here needs.
pub(super) fn convert(
    packet: &dyn rtcp::Packet,
    ntp_now: u32,
    clock: &mut ReferenceClock,
) -> Option<Feedback> {
    let any = packet.as_any();
    if any.is::<PictureLossIndication>() || any.is::<FullIntraRequest>() {
        return Some(Feedback::Pli);
    }
    if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
        let sequences = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
        return Some(Feedback::Nack { ssrc: nack.media_ssrc, sequences });
    }
    if let Some(twcc) = any.downcast_ref::<TransportLayerCc>() {
        return Some(Feedback::TransportCc(convert_twcc(twcc, clock)));
    }
    let report = any.downcast_ref::<ReceiverReport>()?.reports.first()?;
    Some(Feedback::ReceiverReport {
        ssrc: report.ssrc,
        fraction_lost: f32::from(report.fraction_lost) / 256.0,
        highest_seq: report.last_sequence_number,
        jitter: report.jitter,
        rtt: round_trip(ntp_now, report.last_sender_report, report.delay),
    })
}

/// NTP time (RFC 3550 §4): 2⁻³² s since 1900, modulo 2³² s.
pub(super) fn ntp(now: SystemTime) -> u64 {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since_1970.as_secs().wrapping_add(NTP_OFFSET_S) & 0xffff_ffff;
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32) | fraction
}

/// Its middle 32 bits: 1/65536 s, modulo 2³².
pub(super) fn ntp_middle(now: SystemTime) -> u32 {
    (ntp(now) >> 16) as u32
}

/// RFC 3550 §6.4.1: arrival − last sender report − the receiver's delay. A wall clock that was set in
/// between gives nonsense, which is left out.
fn round_trip(now: u32, last_sender_report: u32, delay: u32) -> Option<Duration> {
    if last_sender_report == 0 {
        return None;
    }
    let ticks = now.wrapping_sub(last_sender_report).wrapping_sub(delay);
    let rtt = Duration::from_nanos((u64::from(ticks) * 1_000_000_000) >> 16);
    (rtt < MAX_RTT).then_some(rtt)
}

/// Extends the 24-bit reference time of transport-wide feedback, which starts over every twelve days.
#[derive(Debug, Default)]
pub(super) struct ReferenceClock {
    last: Option<i64>,
}

impl ReferenceClock {
    /// The value nearest to the one before.
    fn extend(&mut self, reference: u32) -> i64 {
        let value = match self.last {
            None => i64::from(reference),
            Some(last) => {
                let ahead = (reference.wrapping_sub(last as u32) << 8) as i32 >> 8;
                last + i64::from(ahead)
            }
        };
        self.last = Some(value);
        value
    }
}

/// draft-holmer-rmcat-transport-wide-cc-extensions-01: statuses in order, then one delta per arrival.
fn convert_twcc(twcc: &TransportLayerCc, clock: &mut ReferenceClock) -> TwccReport {
    let count = usize::from(twcc.packet_status_count);
    let statuses = twcc.packet_chunks.iter().flat_map(|chunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => vec![run.packet_status_symbol; usize::from(run.run_length)],
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    });
    let mut deltas = twcc.recv_deltas.iter();
    let mut arrival_us = clock.extend(twcc.reference_time) * REFERENCE_UNIT.as_micros() as i64;
    let mut reports = Vec::with_capacity(count);
    for (offset, status) in statuses.take(count).enumerate() {
        let sequence = twcc.base_sequence_number.wrapping_add(offset as u16);
        let arrived = matches!(
            status,
            SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta
        );
        let arrival = arrived.then(|| deltas.next()).flatten().map(|delta| {
            arrival_us += delta.delta;
            Duration::from_micros(arrival_us.max(0) as u64)
        });
        reports.push((sequence, arrival));
    }
    TwccReport { base_seq: twcc.base_sequence_number, reports, marked: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{RecvDelta, RunLengthChunk, StatusChunkTypeTcc};

    #[test]
    fn twcc_arrivals_add_up_and_missing_packets_stay_missing() {
        let run = |symbol, run_length| {
            PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                type_tcc: StatusChunkTypeTcc::RunLengthChunk,
                packet_status_symbol: symbol,
                run_length,
            })
        };
        let delta = |delta| RecvDelta { type_tcc_packet: SymbolTypeTcc::PacketReceivedSmallDelta, delta };
        let twcc = TransportLayerCc {
            base_sequence_number: u16::MAX,
            packet_status_count: 3,
            reference_time: 2,
            packet_chunks: vec![
                run(SymbolTypeTcc::PacketReceivedSmallDelta, 1),
                run(SymbolTypeTcc::PacketNotReceived, 1),
                run(SymbolTypeTcc::PacketReceivedSmallDelta, 1),
            ],
            recv_deltas: vec![delta(250), delta(1000)],
            ..Default::default()
        };
        let report = convert_twcc(&twcc, &mut ReferenceClock::default());
        let us = Duration::from_micros;
        assert_eq!(report.reports, [(u16::MAX, Some(us(128_250))), (0, None), (1, Some(us(129_250)))]);
    }

    #[test]
    fn the_round_trip_is_what_the_receiver_did_not_hold_and_a_set_clock_gives_none() {
        let ms = |ms: u32| ms * 65_536 / 1000;
        assert_eq!(round_trip(ms(500), 0, 0), None);
        let rtt = round_trip(ms(500), ms(400), ms(80)).unwrap();
        assert!(rtt.abs_diff(Duration::from_millis(20)) < Duration::from_millis(1), "{rtt:?}");
        assert_eq!(round_trip(ms(400), ms(500), 0), None);
    }

    #[test]
    fn the_reference_time_goes_on_where_its_24_bits_start_over() {
        let mut clock = ReferenceClock::default();
        assert_eq!(clock.extend(0xff_ffff), 0xff_ffff);
        assert_eq!(clock.extend(1), 0x100_0001);
        assert_eq!(clock.extend(0xff_ffff), 0xff_ffff);
    }
}

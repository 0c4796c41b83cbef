//! Repairs: parity ahead of loss, retransmissions after it.

use super::{MediaSender, UNKNOWN_RTT};
use crate::pacer::{Queued, Stream};
use crate::payload::OSN_LEN;
use crate::recovery::{Closing, Conditions};
use crate::retransmit::{Refusal, Stored};
use crate::rtp::{PacketKind, unwrap_sequence};
use bytes::{BufMut, Bytes, BytesMut};
use std::time::{Duration, Instant};

/// A path that lets packets stand for longer loses them to load.
const QUEUED: Duration = Duration::from_millis(15);
/// Beyond the shortest round trip, a retransmission and the request that crosses it take so long to pass.
const PASSING: Duration = Duration::from_millis(2);
/// One request names no more than are kept.
const MAX_REQUESTED: usize = 2048;
/// Retransmissions that wait to be sent a second time.
const MAX_ECHOES: usize = 256;

/// What became of a request for one packet.
#[derive(PartialEq, Eq)]
pub(super) enum Answer {
    /// On its way, or not needed.
    Repaired,
    /// There is no repairing it.
    Refused,
    /// It costs more than may be spent on repairs.
    TooDear,
}

impl MediaSender {
    pub(super) fn conditions(&self, now: Instant) -> Conditions {
        Conditions {
            loss: self.loss.rate(now),
            burst: self.loss.burst(now),
            rtt: self.rtt.shortest().unwrap_or(UNKNOWN_RTT),
            queued: self.estimator.queue_delay() > QUEUED,
        }
    }

    /// The parity that leaves behind these packets of a frame, which `ends` with them or goes on.
    pub(super) fn protect(&mut self, now: Instant, packets: &[Queued], ends: bool) -> Vec<Queued> {
        let path = self.conditions(now);
        self.recovery.sent(path, packets.len());
        if !self.recovery.protects(path) {
            self.fec.discard();
            return Vec::new();
        }
        let mut parity = Vec::new();
        for queued in packets {
            if self.fec.is_full() {
                self.close_block(path, queued, &mut parity);
            }
            let sequence = queued.packet.sequence;
            let place = self.frames.refs(sequence);
            self.fec.add(sequence, self.outlet.unnumbered(&queued.packet, place));
        }
        if let Some(last) = packets.last().filter(|_| ends) {
            self.close_block(path, last, &mut parity);
        }
        // The last one asks for a report: until its fate is known, what is missing is left to it.
        if let Some(last) = parity.last_mut() {
            last.packet.marker = true;
        }
        parity
    }

    /// Closes the open block where it is time for that.
    fn close_block(&mut self, path: Conditions, last: &Queued, parity: &mut Vec<Queued>) {
        let (packets, full) = (self.fec.packets(), self.fec.is_full());
        let Closing::Close(count) = self.recovery.closing(path, packets, self.fec.frames(), full) else {
            return;
        };
        for one in self.fec.close(count, self.recovery.layout(path)) {
            self.recovery.spent(1);
            self.frames.protect(&one);
            let packet = Stored {
                sequence: one.sequence,
                timestamp: last.packet.timestamp,
                marker: false,
                types: None,
                data: one.data,
            };
            parity.push(Queued { kind: PacketKind::Fec, packet, begins: None, ..last.clone() });
        }
    }

    pub(super) fn on_nack(&mut self, now: Instant, ssrc: u32, sequences: &[u16]) {
        let sequences = &sequences[..sequences.len().min(MAX_REQUESTED)];
        if ssrc == self.config.video.ssrc {
            self.on_video_nack(now, sequences);
        } else if ssrc == self.config.audio.ssrc {
            for &sequence in sequences {
                let answer = self.resend(now, Stream::Audio, sequence);
                self.stats.retransmissions_refused += u64::from(answer != Answer::Repaired);
            }
        }
    }

    fn on_video_nack(&mut self, now: Instant, sequences: &[u16]) {
        // All are noted first: whether parity restores one depends on the others.
        let (again, news): (Vec<u64>, Vec<u64>) = sequences
            .iter()
            .filter_map(|&sequence| unwrap_sequence(self.video_sequence, sequence))
            .partition(|&sequence| self.frames.asked(now, sequence));
        let mut wanted = self.frames.unrestored(news.into_iter());
        wanted.extend(again);
        let mut hopeless = Vec::new();
        let mut too_dear = false;
        for sequence in wanted {
            match self.repair(now, sequence, too_dear) {
                Answer::Repaired => continue,
                Answer::Refused => {}
                Answer::TooDear => too_dear = true,
            }
            self.stats.retransmissions_refused += 1;
            hopeless.push(sequence);
        }
        if self.keeps_references() && !hopeless.is_empty() {
            self.lose(now, &hopeless);
        } else if too_dear {
            self.ask_keyframe(now);
        }
    }

    /// Answers the request for one packet of video.
    pub(super) fn repair(&mut self, now: Instant, sequence: u64, too_dear: bool) -> Answer {
        if self.keeps_references() && self.frames.is_broken(sequence) {
            return Answer::Repaired;
        }
        if sequence < self.repair_floor {
            return Answer::Refused;
        }
        if self.is_too_late(now, sequence) {
            return if self.is_on_its_way(now, sequence) { Answer::Repaired } else { Answer::Refused };
        }
        if too_dear {
            return Answer::TooDear;
        }
        self.resend(now, Stream::Video, sequence as u16)
    }

    fn resend(&mut self, now: Instant, stream: Stream, sequence: u16) -> Answer {
        let rtt = self.rtt.shortest().unwrap_or(UNKNOWN_RTT) + PASSING;
        let store = match stream {
            Stream::Video => &mut self.video_store,
            Stream::Audio => &mut self.audio_store,
        };
        let again = store.resent_at(sequence).is_some();
        let packet = match store.request(now, sequence, rtt) {
            Ok(packet) => packet,
            Err(Refusal::TooSoon) => return Answer::Repaired,
            Err(Refusal::Gone) => return Answer::Refused,
        };
        let kind = PacketKind::Retransmission;
        let repair = Queued { stream, kind, packet, begins: None, keyframe: false, since: now };
        if !self.afford(now, &repair) {
            return Answer::TooDear;
        }
        if stream == Stream::Video {
            self.echo(now, &repair, again);
        }
        if self.pacer.push_repair(now, repair) { Answer::Repaired } else { Answer::TooDear }
    }

    /// Whether the encoder goes on without this packet sooner than it would be repaired.
    fn is_too_late(&self, now: Instant, sequence: u64) -> bool {
        let patience = self.recovery.patience(self.conditions(now).rtt);
        self.keeps_references() && self.frames.age(now, sequence).is_none_or(|age| age > patience)
    }

    /// Whether this packet was sent again so lately that a request may have crossed it.
    fn is_on_its_way(&self, now: Instant, sequence: u64) -> bool {
        let way = self.rtt.smoothed().unwrap_or(UNKNOWN_RTT) * 5 / 4;
        let resent = self.video_store.resent_at(sequence as u16);
        resent.is_some_and(|at| now.saturating_duration_since(at) < way)
    }

    fn afford(&mut self, now: Instant, repair: &Queued) -> bool {
        let bits = repair.packet.data.len() as f64 * 8.0;
        let granted = self.repair_budget.take(now, self.estimator.target_bps(), bits);
        self.recovery.spent(usize::from(granted));
        granted
    }

    /// Has a retransmission sent a second time where that is worth it; `again` if it replaces a lost one.
    fn echo(&mut self, now: Instant, repair: &Queued, again: bool) {
        let wanted = self.recovery.sends_twice(self.conditions(now), again);
        if wanted && self.echoes.len() < MAX_ECHOES && self.afford(now, repair) {
            let due = now + self.recovery.echo_delay();
            self.echoes.push_back(Queued { since: due, ..repair.clone() });
        }
    }

    /// Has a keyframe's first packet sent twice where it tells how to read all others: a receiver that has
    /// never seen one drops whatever comes without it.
    pub(super) fn repeat_structure(&mut self, now: Instant, packets: &[Queued]) {
        let first = packets.first().filter(|first| first.keyframe && self.keeps_references());
        if let Some(first) = first.filter(|_| self.echoes.len() < MAX_ECHOES) {
            let (kind, since) = (PacketKind::Retransmission, now + self.recovery.echo_delay());
            self.echoes.push_back(Queued { kind, since, begins: None, ..first.clone() });
        }
    }

    /// Queues the second copies that are due and still of use.
    pub(super) fn queue_echoes(&mut self, now: Instant) {
        while self.echoes.front().is_some_and(|echo| echo.since <= now) {
            if let Some(echo) = self.echoes.pop_front()
                && echo.packet.sequence >= self.repair_floor
                && !self.frames.is_settled(echo.packet.sequence)
            {
                self.pacer.push_repair(now, echo);
            }
        }
    }

    /// Sequence number and Opus, in RED where that is agreed.
    pub(super) fn audio_payload(&mut self, now: Instant, rtp_timestamp: u32, payload: &[u8]) -> Bytes {
        let redundancy = self.recovery.audio_redundancy(self.conditions(now));
        let red = self.red.as_mut().map(|red| red.encode(rtp_timestamp, payload, redundancy));
        let payload = red.as_deref().unwrap_or(payload);
        let mut data = BytesMut::with_capacity(OSN_LEN + payload.len());
        data.put_u16(self.audio_sequence as u16);
        data.put_slice(payload);
        data.freeze()
    }
}

//! A small model of a browser's receiver: it names gaps, repairs them, asks for a keyframe where it cannot,
//! and decodes a frame once it is whole and follows on the one before, or, with a Dependency Descriptor, once
//! what it refers to was decoded.

use crate::wire::{Descriptor, FecDecoder, Templates, marshal, read_red, unmarshal};
use crate::world::{AUDIO_SSRC, DESCRIPTOR_ID, FEC_SSRC, RED_TYPE, RTX_SSRC, TRANSPORT_CC_ID, VIDEO_SSRC};
use nearframe_stream::{Feedback, PacketKind, RtpPacket, TwccReport};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);
const NACK_INTERVAL: Duration = Duration::from_millis(40);
const MAX_NACKS: u32 = 10;
const MAX_MISSING: usize = 1000;
const PLI_INTERVAL: Duration = Duration::from_millis(200);
/// With descriptors a picture that stands still for so long is reported lost.
const STANDSTILL: Duration = Duration::from_secs(1);

struct Part {
    timestamp: u32,
    begins: bool,
    marker: bool,
    keyframe: bool,
    descriptor: Option<Descriptor>,
}

struct Missing {
    asked: Option<Instant>,
    times: u32,
}

pub(crate) struct Receiver {
    start: Instant,
    parts: BTreeMap<u64, Part>,
    missing: BTreeMap<u64, Missing>,
    highest: Option<u64>,
    /// Whether anything of the video came, readable or not.
    heard: bool,
    /// A packet is asked for again after this long: a round trip, as browsers do once they know it.
    pub(crate) nack_interval: Duration,
    /// Sequence number after the last decoded frame; `None` waits for a keyframe.
    follows: Option<u64>,
    pli_at: Option<Instant>,
    arrivals: BTreeMap<u64, Instant>,
    reported: u64,
    feedback_at: Instant,
    fec: FecDecoder,
    templates: Templates,
    /// Numbers of the frames decoded, where they carry descriptors.
    shown: BTreeSet<u16>,
    /// Packets that only parity brought.
    pub(crate) restored: usize,
    /// Timestamps of the audio that arrived, itself or within a later packet, with the first arrival.
    pub(crate) audio: BTreeMap<u32, Instant>,
    /// Most blocks that one packet of audio had.
    pub(crate) audio_blocks: usize,
    pub(crate) decoded: Vec<(u32, Instant)>,
    pub(crate) plis: usize,
    pub(crate) probes: usize,
}

/// The 64-bit number nearest to `reference`.
fn unwrap(reference: u64, sequence: u16) -> u64 {
    reference.saturating_add_signed(i64::from(sequence.wrapping_sub(reference as u16) as i16))
}

impl Receiver {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            parts: BTreeMap::new(),
            missing: BTreeMap::new(),
            highest: None,
            heard: false,
            nack_interval: NACK_INTERVAL,
            follows: None,
            pli_at: None,
            arrivals: BTreeMap::new(),
            reported: 0,
            feedback_at: start,
            fec: FecDecoder::default(),
            templates: Templates::default(),
            shown: BTreeSet::new(),
            restored: 0,
            audio: BTreeMap::new(),
            audio_blocks: 0,
            decoded: Vec::new(),
            plis: 0,
            probes: 0,
        }
    }

    pub(crate) fn take(&mut self, at: Instant, packet: &RtpPacket) {
        let (_, number) = packet.extensions.iter().find(|(id, _)| *id == TRANSPORT_CC_ID).unwrap();
        let number = u16::from_be_bytes([number[0], number[1]]);
        let reference = self.arrivals.last_key_value().map_or(u64::from(number) + 65_536, |(&n, _)| n);
        self.arrivals.insert(unwrap(reference, number), at);
        self.probes += usize::from(packet.kind == PacketKind::Probe);
        match packet.ssrc {
            VIDEO_SSRC => {
                self.heard = true;
                self.fec.media(marshal(packet, TRANSPORT_CC_ID));
                self.take_video(packet.sequence, packet, &packet.payload);
                self.restore();
            }
            FEC_SSRC => {
                self.fec.parity(&packet.payload);
                self.restore();
            }
            AUDIO_SSRC => self.take_audio(at, packet),
            RTX_SSRC => {
                let original = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
                self.take_video(original, packet, &packet.payload[2..]);
            }
            _ => {}
        }
        self.decode(at);
    }

    fn restore(&mut self) {
        for bytes in self.fec.restore() {
            let packet = unmarshal(&bytes);
            let number = unwrap(self.highest.unwrap_or(0), packet.sequence);
            self.restored += usize::from(self.missing.contains_key(&number));
            self.take_video(packet.sequence, &packet, &packet.payload);
        }
    }

    fn take_audio(&mut self, at: Instant, packet: &RtpPacket) {
        let blocks = match packet.payload_type {
            RED_TYPE => read_red(packet.timestamp, &packet.payload),
            kind => vec![(kind, packet.timestamp, packet.payload.to_vec())],
        };
        self.audio_blocks = self.audio_blocks.max(blocks.len());
        for (_, timestamp, content) in blocks {
            assert_eq!(content[..4], timestamp.to_be_bytes(), "a block is what was said at its time");
            self.audio.entry(timestamp).or_insert(at);
        }
    }

    fn take_video(&mut self, sequence: u16, packet: &RtpPacket, payload: &[u8]) {
        let descriptor = packet.extensions.iter().find(|(id, _)| *id == DESCRIPTOR_ID);
        let descriptor = match descriptor.map(|(_, content)| self.templates.read(content)) {
            // A descriptor that cannot be read is the end of its packet.
            Some(None) => return,
            descriptor => descriptor.flatten(),
        };
        let highest = *self.highest.get_or_insert(u64::from(sequence) + 65_536 - 1);
        let number = unwrap(highest, sequence);
        for gap in highest + 1..number {
            self.missing.insert(gap, Missing { asked: None, times: 0 });
        }
        self.highest = Some(highest.max(number));
        self.missing.remove(&number);
        if self.follows.is_some_and(|follows| number < follows) {
            return;
        }
        let fragment = payload[0] & 0x1f == 28;
        let (begins, nal) = if fragment { (payload[1] & 0x80 != 0, payload[1]) } else { (true, payload[0]) };
        let part = Part {
            timestamp: packet.timestamp,
            begins,
            marker: packet.marker,
            keyframe: nal & 0x1f == 5,
            descriptor,
        };
        self.parts.insert(number, part);
    }

    /// Decodes every frame that is whole and refers to one that was decoded.
    fn decode_described(&mut self, at: Instant) {
        while let Some((last, timestamp, number)) = self.next_described() {
            self.shown.insert(number);
            self.follows = Some(last + 1);
            self.decoded.push((timestamp, at));
            self.parts = self.parts.split_off(&(last + 1));
            self.missing = self.missing.split_off(&(last + 1));
            self.pli_at = Some(at + STANDSTILL);
        }
    }

    fn next_described(&self) -> Option<(u64, u32, u16)> {
        let mut expected = None;
        for (&sequence, part) in &self.parts {
            let descriptor = part.descriptor.unwrap();
            let known = descriptor
                .difference
                .is_none_or(|back| self.shown.contains(&descriptor.number.wrapping_sub(back as u16)));
            let follows = descriptor.first || expected == Some(sequence);
            expected = (known && follows).then_some(sequence + 1);
            if expected.is_some() && descriptor.last {
                return Some((sequence, part.timestamp, descriptor.number));
            }
        }
        None
    }

    /// Decodes every frame that is whole and decodable.
    fn decode(&mut self, at: Instant) {
        if self.parts.values().next().is_some_and(|part| part.descriptor.is_some()) {
            self.decode_described(at);
            return;
        }
        let mut from = self.follows.unwrap_or(0);
        while let Some((first, last, timestamp, keyframe)) = self.whole_frame(from) {
            from = last + 1;
            if !keyframe && self.follows != Some(first) {
                continue;
            }
            self.follows = Some(from);
            self.decoded.push((timestamp, at));
            self.parts = self.parts.split_off(&from);
            self.missing = self.missing.split_off(&from);
            if keyframe {
                self.pli_at = None;
            }
        }
    }

    /// The first frame at or after `from` that has all its packets.
    fn whole_frame(&self, from: u64) -> Option<(u64, u64, u32, bool)> {
        let mut open: Option<u64> = None;
        let mut previous = None;
        for (&number, part) in self.parts.range(from..) {
            let contiguous = previous == number.checked_sub(1);
            previous = Some(number);
            if part.begins && open.is_none_or(|_| !contiguous || self.parts[&(number - 1)].marker) {
                open = Some(number);
            } else if !contiguous {
                open = None;
            }
            if let Some(first) = open.filter(|_| part.marker) {
                return Some((first, number, part.timestamp, part.keyframe));
            }
        }
        None
    }

    /// Messages to send now.
    pub(crate) fn feedback(&mut self, now: Instant) -> Vec<Feedback> {
        let mut out = Vec::new();
        let sequences = self.nack(now);
        if !sequences.is_empty() {
            out.push(Feedback::Nack { ssrc: VIDEO_SSRC, sequences });
        }
        let still = !self.shown.is_empty() && self.pli_at.is_some_and(|due| now >= due);
        if (still || self.follows.is_none()) && self.heard {
            let asked = *self.pli_at.get_or_insert(now);
            if now.saturating_duration_since(asked) >= PLI_INTERVAL {
                self.pli_at = Some(now);
                self.plis += 1;
                out.push(Feedback::Pli);
            }
        }
        if now - self.feedback_at >= FEEDBACK_INTERVAL {
            self.feedback_at = now;
            out.extend(self.transport_cc());
        }
        out
    }

    fn nack(&mut self, now: Instant) -> Vec<u16> {
        let mut hopeless = self.missing.len() > MAX_MISSING;
        let mut due = Vec::new();
        for (number, missing) in &mut self.missing {
            if missing.asked.is_none_or(|at| now - at >= self.nack_interval) {
                hopeless |= missing.times >= MAX_NACKS;
                missing.asked = Some(now);
                missing.times += 1;
                due.push(*number as u16);
            }
        }
        if !self.shown.is_empty() {
            // What a descriptor makes superfluous is given up, not the picture.
            self.missing.retain(|_, missing| missing.times < MAX_NACKS);
        } else if hopeless {
            self.missing.clear();
            self.follows = None;
            self.pli_at = Some(now - PLI_INTERVAL);
            due.clear();
        }
        due
    }

    fn transport_cc(&mut self) -> Option<Feedback> {
        let (&first, _) = self.arrivals.range(self.reported..).next()?;
        let (&last, _) = self.arrivals.last_key_value()?;
        let base = if self.reported == 0 { first } else { self.reported };
        self.reported = last + 1;
        let reports = (base..=last)
            .map(|number| (number as u16, self.arrivals.get(&number).map(|&at| at - self.start)))
            .collect();
        self.arrivals = self.arrivals.split_off(&last.saturating_sub(4096));
        Some(Feedback::TransportCc(TwccReport { base_seq: base as u16, reports, marked: Vec::new() }))
    }
}

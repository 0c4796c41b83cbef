//! Frames that cannot be shown, and how the sender goes on from an older one.

use crate::wire::{Descriptor, Templates};
use crate::world::{DESCRIPTOR_ID, RTX_SSRC, TRANSPORT_CC_ID, VIDEO_SSRC, resilient};
use crate::{events, frame};
use nearframe_protocol::VideoCodec;
use nearframe_stream::{Feedback, MediaSender, PacketKind, RtpPacket, SenderEvent, TwccReport, VideoFrame};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const RTT: Duration = Duration::from_millis(30);
const INTERVAL: Duration = Duration::from_millis(16);
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn transport_number(packet: &RtpPacket) -> u16 {
    let (_, number) = packet.extensions.iter().find(|(id, _)| *id == TRANSPORT_CC_ID).unwrap();
    u16::from_be_bytes([number[0], number[1]])
}

/// A sender whose receiver has frames 0 to 9.
struct Peer {
    sender: MediaSender,
    start: Instant,
    now: Instant,
    templates: Templates,
}

impl Peer {
    fn new() -> Self {
        let start = Instant::now();
        let sender = MediaSender::new(resilient(), start, 4);
        let mut peer = Self { sender, start, now: start, templates: Templates::default() };
        for number in 0..10 {
            peer.push(number, number == 0, None);
            let packets = peer.drain();
            peer.report(&packets);
        }
        let received = (0..10).map(|frame| SenderEvent::FrameReceived { frame });
        assert!(
            peer.events()
                .into_iter()
                .filter(|event| !matches!(event, SenderEvent::FrameSent { .. }))
                .eq(received)
        );
        peer
    }

    fn push(&mut self, number: u32, keyframe: bool, refers_to: Option<u32>) {
        let data = frame(number, keyframe, 5000);
        let rtp_timestamp = number * 1500;
        self.sender.push_video(
            self.now,
            VideoFrame {
                frame: number,
                rtp_timestamp,
                keyframe,
                codec: VideoCodec::H264,
                refers_to,
                data: &data,
            },
        );
    }

    /// All that leaves within a frame interval.
    fn drain(&mut self) -> Vec<RtpPacket> {
        let end = self.now + INTERVAL;
        let mut packets = Vec::new();
        while self.now < end {
            packets.extend(std::iter::from_fn(|| self.sender.poll_packet(self.now)));
            self.now += Duration::from_millis(1);
        }
        packets
    }

    fn report(&mut self, packets: &[RtpPacket]) {
        let reports: Vec<_> =
            packets.iter().map(|packet| (transport_number(packet), Some(self.now - self.start))).collect();
        let report = TwccReport { base_seq: reports[0].0, reports, marked: Vec::new() };
        self.sender.handle_feedback(self.now + RTT / 2, Feedback::TransportCc(report));
    }

    /// The packet's Dependency Descriptor.
    fn read(&mut self, packet: &RtpPacket) -> Descriptor {
        let (_, content) = packet.extensions.iter().find(|(id, _)| *id == DESCRIPTOR_ID).unwrap();
        self.templates.read(content).unwrap()
    }

    fn events(&mut self) -> Vec<SenderEvent> {
        events(&mut self.sender)
    }

    /// Everything but what left and what arrived.
    fn needs(&mut self) -> Vec<SenderEvent> {
        let told = |event: &SenderEvent| {
            !matches!(event, SenderEvent::FrameSent { .. } | SenderEvent::FrameReceived { .. })
        };
        self.events().into_iter().filter(told).collect()
    }
}

#[test]
fn every_packet_and_its_retransmission_say_what_the_frame_refers_to() {
    let mut peer = Peer::new();
    let video = |peer: &mut Peer| -> Vec<RtpPacket> {
        peer.drain().into_iter().filter(|packet| packet.ssrc == VIDEO_SSRC).collect()
    };
    peer.push(10, true, None);
    let keyframe = video(&mut peer);
    for (index, packet) in keyframe.iter().enumerate() {
        let said = peer.read(packet);
        assert_eq!((said.first, said.last), (index == 0, index + 1 == keyframe.len()));
        assert_eq!((said.number, said.difference, said.brings_structure), (10, None, index == 0));
    }
    peer.push(11, false, None);
    peer.push(12, false, Some(10));
    let delta = video(&mut peer);
    let last = delta.last().unwrap();
    let (before, after) = (peer.read(&delta[0]), peer.read(last));
    assert_eq!((before.number, before.difference), (11, Some(1)));
    assert_eq!((after.number, after.difference), (12, Some(2)));
    let nack = Feedback::Nack { ssrc: VIDEO_SSRC, sequences: vec![last.sequence] };
    peer.sender.handle_feedback(peer.now, nack);
    let kind = PacketKind::Retransmission;
    let again = peer.drain().into_iter().find(|packet| packet.kind == kind).unwrap();
    assert_eq!((again.ssrc, peer.read(&again)), (RTX_SSRC, after));
}

#[test]
fn frame_numbers_wrap_and_differences_do_not_notice() {
    let start = Instant::now();
    let (sender, templates) = (MediaSender::new(resilient(), start, 4), Templates::default());
    let mut peer = Peer { sender, start, now: start, templates };
    for number in 65_530..65_545u32 {
        let reference = (number == 65_540).then_some(65_533);
        peer.push(number, number == 65_530, reference);
        let packets = peer.drain();
        let first = packets.iter().find(|packet| packet.ssrc == VIDEO_SSRC).unwrap();
        let said = peer.read(first);
        let difference = match number {
            65_530 => None,
            65_540 => Some(7),
            _ => Some(1),
        };
        assert_eq!((said.number, said.difference), (number as u16, difference));
        peer.report(&packets);
    }
}

#[test]
fn video_that_waited_too_long_is_gone_around_and_nothing_that_depends_on_it_leaves() {
    let mut peer = Peer::new();
    peer.push(10, false, None);
    peer.now += SECOND;
    peer.push(11, false, None);
    assert_eq!(peer.needs(), [SenderEvent::ReferenceLost { newest_good: 9 }]);
    peer.push(12, false, None);
    assert_eq!(peer.drain().len(), 0);
    assert_eq!(peer.needs(), [], "the answer is on its way");
    assert_eq!(peer.sender.stats().frames_dropped, 3);
    peer.push(13, false, Some(9));
    peer.push(14, false, None);
    let left: Vec<u32> = peer.drain().iter().map(|packet| packet.timestamp / 1500).collect();
    assert!(left.contains(&13) && left.contains(&14) && !left.contains(&12), "{left:?}");
    assert_eq!(peer.sender.stats().keyframe_requests, 0);
}

#[test]
fn a_lost_picture_is_gone_on_with_from_what_arrived_and_a_relapse_needs_a_keyframe() {
    let mut peer = Peer::new();
    peer.push(10, false, None);
    peer.drain();
    peer.now += RTT;
    peer.sender.handle_feedback(peer.now, Feedback::Pli);
    peer.sender.handle_feedback(peer.now, Feedback::Pli);
    assert_eq!(peer.needs(), [SenderEvent::ReferenceLost { newest_good: 9 }]);
    peer.push(11, false, Some(9));
    peer.drain();
    peer.sender.handle_feedback(peer.now, Feedback::Pli);
    assert_eq!(peer.needs(), [], "this report crossed the answer");
    peer.now += SECOND / 4;
    peer.sender.handle_feedback(peer.now, Feedback::Pli);
    assert_eq!(peer.needs(), [SenderEvent::KeyframeNeeded]);
}

#[test]
fn what_was_sent_into_silence_is_not_taken_for_there_once_reports_come_again() {
    let mut peer = Peer::new();
    for number in 10..70 {
        peer.push(number, false, None);
        peer.drain();
    }
    peer.needs();
    // The first that comes through again is all that the receiver tells of; for what came before it wants a keyframe.
    peer.push(70, false, None);
    let packets = peer.drain();
    assert!(!packets.is_empty());
    peer.report(&packets);
    peer.sender.handle_feedback(peer.now + RTT / 2, Feedback::Pli);
    assert_eq!(peer.needs(), [SenderEvent::ReferenceLost { newest_good: 9 }]);
}

#[test]
fn a_reference_that_is_too_old_and_an_encoder_that_never_answers_end_in_a_keyframe() {
    let mut peer = Peer::new();
    peer.now += SECOND;
    peer.sender.handle_feedback(peer.now, Feedback::Pli);
    assert_eq!(peer.needs(), [SenderEvent::ReferenceLost { newest_good: 9 }]);
    peer.sender.reference_too_old(peer.now);
    assert_eq!(peer.needs(), [SenderEvent::KeyframeNeeded]);
    peer.push(10, false, Some(9));
    assert_eq!(peer.drain(), []);
    peer.push(11, true, None);
    assert!(!peer.drain().is_empty());

    let mut deaf = Peer::new();
    deaf.push(10, false, None);
    deaf.drain();
    deaf.now += SECOND;
    deaf.sender.handle_feedback(deaf.now, Feedback::Pli);
    for number in 11..50 {
        deaf.push(number, false, None);
        deaf.drain();
    }
    let needs = deaf.needs();
    assert!(needs[1..].contains(&SenderEvent::KeyframeNeeded), "{needs:?}");
    assert_eq!(needs[0], SenderEvent::ReferenceLost { newest_good: 9 });
}

#[test]
fn a_retransmission_is_sent_twice_where_loss_is_high() {
    let mut peer = Peer::new();
    peer.push(10, false, None);
    let packets = peer.drain();
    let nack = Feedback::Nack { ssrc: VIDEO_SSRC, sequences: vec![packets[0].sequence] };
    let copies = |peer: &mut Peer| {
        peer.sender.handle_feedback(peer.now, nack.clone());
        // What is missing and was not asked for is repeated as well.
        let asked = |packet: &RtpPacket| packet.payload.starts_with(&packets[0].sequence.to_be_bytes());
        let again = |packet: &RtpPacket| packet.kind == PacketKind::Retransmission && asked(packet);
        let again: Vec<RtpPacket> = peer.drain().into_iter().filter(again).collect();
        peer.now += RTT;
        again
    };
    assert_eq!(copies(&mut peer).len(), 1);
    // Half of the last frame was lost.
    let arrival = peer.now - peer.start;
    let fate = |(at, packet)| (transport_number(packet), (at % 2 == 1).then_some(arrival));
    let reports: Vec<_> = packets.iter().enumerate().map(fate).collect();
    let report = TwccReport { base_seq: reports[0].0, reports, marked: Vec::new() };
    peer.sender.handle_feedback(peer.now, Feedback::TransportCc(report));
    let twice = copies(&mut peer);
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0].payload, twice[1].payload);
    assert_ne!(twice[0].sequence, twice[1].sequence);
}

#[test]
fn what_is_missing_is_repeated_without_being_asked_for_and_again_when_the_repeat_is_lost() {
    let mut peer = Peer::new();
    peer.push(10, false, None);
    let sent = peer.drain();
    let report = |peer: &mut Peer, packets: &[RtpPacket], lost: u16| {
        let arrival = peer.now - peer.start;
        let fate = |packet| (transport_number(packet), (packet.sequence != lost).then_some(arrival));
        let reports: Vec<_> = packets.iter().map(fate).collect();
        let report = TwccReport { base_seq: reports[0].0, reports, marked: Vec::new() };
        peer.sender.handle_feedback(peer.now, Feedback::TransportCc(report));
    };
    let lost = sent[0].sequence;
    peer.now += RTT;
    report(&mut peer, &sent, lost);
    let repeats = |peer: &mut Peer| {
        let packets = peer.drain().into_iter();
        packets.filter(|packet| packet.kind == PacketKind::Retransmission).collect::<Vec<_>>()
    };
    let at_once: Vec<_> = std::iter::from_fn(|| peer.sender.poll_packet(peer.now)).collect();
    assert!(at_once.is_empty(), "a request may be on its way");
    let first = repeats(&mut peer);
    assert!(!first.is_empty());
    assert!(first.iter().all(|packet| packet.payload.starts_with(&lost.to_be_bytes())));
    // The receiver's own request crosses it.
    peer.sender.handle_feedback(peer.now, Feedback::Nack { ssrc: VIDEO_SSRC, sequences: vec![lost] });
    assert!(repeats(&mut peer).is_empty());
    peer.now += RTT;
    for (at, packet) in first.iter().enumerate() {
        report(&mut peer, std::slice::from_ref(packet), packet.sequence);
        let again = repeats(&mut peer);
        assert_eq!(again.is_empty(), at + 1 < first.len(), "while another copy may arrive, none is sent");
    }
}

/// An encoder that answers sometimes, over a receiver that says anything.
struct Chaos {
    peer: Peer,
    number: u32,
    /// Frames that may not leave any more.
    forbidden: BTreeSet<u32>,
    newest_good: Option<u32>,
    keyframe_due: bool,
    sent: Vec<RtpPacket>,
}

impl Chaos {
    fn push(&mut self, answers: bool) {
        let keyframe = answers && std::mem::take(&mut self.keyframe_due);
        let reference = self.newest_good.filter(|_| answers && !keyframe);
        let refers_to = reference.unwrap_or(self.number - 1);
        let goes_on = keyframe || reference.is_some() || !self.forbidden.contains(&refers_to);
        if !goes_on {
            self.forbidden.insert(self.number);
        }
        if answers {
            self.newest_good = None;
        }
        self.peer.push(self.number, keyframe, reference);
        self.number += 1;
        self.heed();
    }

    fn drain(&mut self) {
        let packets = self.peer.drain();
        self.heed();
        self.sent.extend(packets);
    }

    /// What the sender asks for; what left before is checked first.
    fn heed(&mut self) {
        while let Some(event) = self.peer.sender.poll_event() {
            match event {
                SenderEvent::KeyframeNeeded => self.keyframe_due = true,
                SenderEvent::ReferenceLost { newest_good } => {
                    assert!(newest_good < self.number);
                    self.newest_good = Some(newest_good);
                    self.forbidden.extend(newest_good + 1..self.number);
                }
                SenderEvent::FrameSent { frame, .. } => {
                    assert!(!self.forbidden.contains(&frame), "frame {frame} depends on a lost one");
                }
                _ => {}
            }
        }
    }

    fn report(&mut self, lost: u16) {
        let arrival = self.peer.now - self.peer.start;
        let fate = |(at, packet): (usize, &RtpPacket)| {
            (transport_number(packet), (lost >> (at % 16) & 1 == 0).then_some(arrival))
        };
        let reports: Vec<_> = self.sent.iter().enumerate().map(fate).collect();
        let Some(&(base_seq, _)) = reports.first() else { return };
        let lost: Vec<u16> = self
            .sent
            .iter()
            .enumerate()
            .filter(|(at, packet)| packet.ssrc == VIDEO_SSRC && lost >> (at % 16) & 1 == 1)
            .map(|(_, packet)| packet.sequence)
            .collect();
        let nack = Feedback::Nack { ssrc: VIDEO_SSRC, sequences: lost };
        self.peer.sender.handle_feedback(self.peer.now, nack);
        self.heed();
        let report = TwccReport { base_seq, reports, marked: Vec::new() };
        self.peer.sender.handle_feedback(self.peer.now, Feedback::TransportCc(report));
        self.heed();
        self.sent.drain(..self.sent.len().saturating_sub(30));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_no_frame_leaves_that_depends_on_a_lost_one(
        steps in proptest::collection::vec((0u8..12, any::<u16>()), 1..150),
    ) {
        let (forbidden, sent) = (BTreeSet::new(), Vec::new());
        let peer = Peer::new();
        let mut chaos = Chaos { peer, number: 10, forbidden, newest_good: None, keyframe_due: false, sent };
        for (step, value) in steps {
            match step {
                0..5 => chaos.push(value % 3 == 0),
                5..8 => chaos.drain(),
                8 => chaos.report(value & value >> 3),
                9 => chaos.report(0),
                10 => {
                    chaos.peer.sender.handle_feedback(chaos.peer.now, Feedback::Pli);
                    chaos.heed();
                }
                _ => chaos.peer.now += Duration::from_millis(u64::from(value % 400)),
            }
            if value % 40 == 0 && chaos.newest_good.take().is_some() {
                chaos.peer.sender.reference_too_old(chaos.peer.now);
                chaos.heed();
            }
            chaos.peer.sender.handle_timeout(chaos.peer.now);
            while let Some(packet) = chaos.peer.sender.poll_packet(chaos.peer.now) {
                chaos.sent.push(packet);
            }
            chaos.heed();
            let next = chaos.peer.sender.poll_timeout();
            prop_assert!(next.is_none_or(|at| at > chaos.peer.now), "after a drain nothing is due");
        }
    }
}

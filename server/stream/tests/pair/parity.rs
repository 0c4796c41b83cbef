//! Parity as it leaves the sender, against a decoder written from the draft.

use crate::wire::{FecDecoder, Parity, marshal};
use crate::world::{FEC_SSRC, TRANSPORT_CC_ID, VIDEO_SSRC, resilient};
use nearframe_protocol::VideoCodec;
use nearframe_stream::{Feedback, MediaSender, PacketKind, RtpPacket, TwccReport, VideoFrame};
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_micros(16_667);

/// A sender on a path of this round trip, on which some packets are lost.
struct Lossy {
    sender: MediaSender,
    start: Instant,
    now: Instant,
    rtt: Duration,
    frame: u32,
    sent: Vec<(Instant, u16)>,
    /// Reports on their way back.
    reports: VecDeque<(Instant, TwccReport)>,
}

impl Lossy {
    fn new(rtt: Duration, lose: impl Fn(usize) -> bool) -> Self {
        Self::with(rtt, false, lose)
    }

    /// `asks`: the receiver agreed to report on request, and does.
    fn with(rtt: Duration, asks: bool, lose: impl Fn(usize) -> bool) -> Self {
        let start = Instant::now();
        // Without descriptors, so that frames are not given up that nobody asks for again.
        let mut config = resilient();
        config.extensions.dependency_descriptor = None;
        if asks {
            for extensions in [&mut config.extensions, &mut config.audio_extensions] {
                extensions.feedback_request = extensions.transport_cc.replace(TRANSPORT_CC_ID + 8);
            }
        }
        let sender = MediaSender::new(config, start, 9);
        let mut lossy =
            Self { sender, start, now: start, rtt, frame: 0, sent: Vec::new(), reports: VecDeque::new() };
        for _ in 0..30 {
            lossy.push(9000);
            lossy.report(&lose);
        }
        lossy
    }

    /// Sends one frame; returns all packets of video and parity that leave.
    fn push(&mut self, size: usize) -> Vec<RtpPacket> {
        let keyframe = self.frame == 0;
        let mut data: Vec<u8> = (0..size).map(|i| (i * 7 + self.frame as usize) as u8 | 1).collect();
        data[..5].copy_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }]);
        let (frame, rtp_timestamp) = (self.frame, self.frame * 1500);
        let video = VideoFrame {
            frame,
            rtp_timestamp,
            keyframe,
            codec: VideoCodec::H264,
            refers_to: None,
            data: &data,
        };
        self.sender.push_video(self.now, video);
        self.frame += 1;
        let mut packets = Vec::new();
        let end = self.now + INTERVAL;
        while self.now < end {
            while let Some((at, report)) = self.reports.pop_front_if(|(at, _)| *at <= self.now) {
                self.sender.handle_feedback(at, Feedback::TransportCc(report));
            }
            while let Some(packet) = self.sender.poll_packet(self.now) {
                let (_, number) = packet.extensions.iter().find(|(id, _)| *id == TRANSPORT_CC_ID).unwrap();
                self.sent.push((self.now, u16::from_be_bytes([number[0], number[1]])));
                packets.push(packet);
            }
            self.now += Duration::from_micros(500);
        }
        packets.retain(|packet| matches!(packet.kind, PacketKind::Video | PacketKind::Fec));
        packets
    }

    /// Reports everything sent so far, a round trip after the last of it.
    fn report(&mut self, lose: impl Fn(usize) -> bool) {
        let now = self.sent.last().unwrap().0 + self.rtt;
        let reports: Vec<_> = self
            .sent
            .drain(..)
            .map(|(at, number)| {
                let arrival = at - self.start + self.rtt / 2;
                (number, (!lose(usize::from(number))).then_some(arrival))
            })
            .collect();
        let report = TwccReport { base_seq: reports[0].0, reports, marked: Vec::new() };
        self.reports.push_back((now, report));
    }

    /// A fresh block, of frames of these sizes until it is closed: media and parity.
    fn block(&mut self, sizes: &[usize]) -> (Vec<RtpPacket>, Vec<RtpPacket>) {
        let parity = |packet: &RtpPacket| packet.kind == PacketKind::Fec;
        (0..12).any(|_| self.push(9000).iter().any(parity));
        let mut packets = Vec::new();
        for &size in sizes.iter().cycle().take(12) {
            packets.extend(self.push(size));
            if packets.iter().any(parity) {
                break;
            }
        }
        let (mut media, parity): (Vec<_>, Vec<_>) =
            packets.into_iter().partition(|packet| packet.kind == PacketKind::Video);
        // What parity could not be afforded for was let go without.
        let covered: BTreeSet<u16> =
            parity.iter().flat_map(|packet| Parity::read(&packet.payload).covers).collect();
        media.retain(|packet| covered.contains(&packet.sequence));
        (media, parity)
    }
}

fn restored(media: &[RtpPacket], parity: &[RtpPacket], lost: &[u16]) -> Vec<Vec<u8>> {
    let mut decoder = FecDecoder::default();
    let there = media.iter().filter(|packet| !lost.contains(&packet.sequence));
    there.for_each(|packet| decoder.media(marshal(packet, TRANSPORT_CC_ID)));
    parity.iter().for_each(|packet| decoder.parity(&packet.payload));
    decoder.restore()
}

fn original(media: &[RtpPacket], sequence: u16) -> Vec<u8> {
    marshal(media.iter().find(|packet| packet.sequence == sequence).unwrap(), TRANSPORT_CC_ID)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_loss_that_the_masks_cover_is_restored_byte_for_byte(
        sizes in proptest::collection::vec(100usize..90_000, 1..4),
        bursts in any::<bool>(),
        choice in proptest::collection::vec(any::<proptest::sample::Index>(), 1..12),
    ) {
        let (every, in_a_row) = if bursts { (200, 10) } else { (20, 1) };
        let mut lossy = Lossy::new(Duration::from_millis(60), |number| number % every < in_a_row);
        let (media, parity) = lossy.block(&sizes);
        prop_assert!(!parity.is_empty());
        let lost: BTreeSet<u16> = choice.iter().map(|at| at.get(&media).sequence).collect();
        let mut missing = lost.clone();
        let covers: Vec<BTreeSet<u16>> =
            parity.iter().map(|packet| Parity::read(&packet.payload).covers.into_iter().collect()).collect();
        while let Some(only) = covers.iter().find_map(|covers| {
            let mut inside = covers.intersection(&missing);
            inside.next().copied().filter(|_| inside.next().is_none())
        }) {
            missing.remove(&only);
        }
        let mut back = restored(&media, &parity, &lost.iter().copied().collect::<Vec<_>>());
        back.sort();
        let mut wanted: Vec<Vec<u8>> =
            lost.difference(&missing).map(|&sequence| original(&media, sequence)).collect();
        wanted.sort();
        prop_assert_eq!(back, wanted);
    }
}

#[test]
fn any_one_packet_of_a_block_can_be_lost() {
    for (rtt, asks) in [(40, false), (60, false), (60, true), (120, true)] {
        let mut lossy = Lossy::with(Duration::from_millis(rtt), asks, |number| number % 20 == 0);
        let (media, parity) = lossy.block(&[20_000]);
        assert!(media.len() >= 17, "{} packets are covered", media.len());
        for packet in &media {
            let back = restored(&media, &parity, &[packet.sequence]);
            assert_eq!(back, [marshal(packet, TRANSPORT_CC_ID)], "round trip of {rtt} ms");
        }
    }
}

#[test]
fn a_burst_as_long_as_was_measured_is_restored_wherever_it_falls() {
    // Five in a row of every 200.
    let mut lossy = Lossy::new(Duration::from_millis(100), |number| number % 200 < 5);
    (0..3).for_each(|_| drop(lossy.block(&[20_000])));
    let (media, parity) = lossy.block(&[20_000]);
    assert!(parity.len() >= 5, "{}", parity.len());
    for at in 0..media.len() - 5 {
        let lost: Vec<u16> = media[at..at + 5].iter().map(|packet| packet.sequence).collect();
        assert_eq!(restored(&media, &parity, &lost).len(), 5, "a burst at {at} of {}", media.len());
    }
}

#[test]
fn parity_leaves_behind_its_frame_with_a_stream_and_a_transport_number_of_its_own() {
    let mut lossy = Lossy::with(Duration::from_millis(60), true, |number| number % 20 == 0);
    let mut next = None;
    for _ in 0..20 {
        let packets = lossy.push(20_000);
        let kinds: Vec<PacketKind> = packets.iter().map(|packet| packet.kind).collect();
        assert!(kinds.is_sorted_by_key(|kind| *kind == PacketKind::Fec), "{kinds:?}");
        for packet in packets.iter().filter(|packet| packet.kind == PacketKind::Fec) {
            assert_eq!((packet.ssrc, packet.payload_type, packet.marker), (FEC_SSRC, 49, false));
            assert_eq!(packet.extensions.iter().count(), 1);
            assert!(packet.wire_len() <= 1280, "{}", packet.wire_len());
            assert!(next.is_none_or(|next: u16| next == packet.sequence));
            next = Some(packet.sequence.wrapping_add(1));
            assert_eq!(Parity::read(&packet.payload).ssrc, VIDEO_SSRC);
        }
    }
    assert!(next.is_some());
}

#[test]
fn without_loss_or_where_a_retransmission_is_soon_enough_there_is_no_parity() {
    for (rtt, every) in [(60, usize::MAX), (3, 20)] {
        let mut lossy = Lossy::new(Duration::from_millis(rtt), |number| number % every == 1);
        let (_, parity) = lossy.block(&[20_000]);
        assert_eq!(parity.len(), 0, "round trip of {rtt} ms");
        assert_eq!(lossy.sender.stats().fec_packets, 0, "round trip of {rtt} ms");
    }
}

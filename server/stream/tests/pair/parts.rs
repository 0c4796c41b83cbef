//! Pictures that are sent while they are still being encoded.

use crate::reference::transport_number;
use crate::wire::{Descriptor, Templates};
use crate::world::{DESCRIPTOR_ID, VIDEO_SSRC, config, resilient};
use nearframe_protocol::VideoCodec;
use nearframe_stream::{Feedback, MediaSender, RtpPacket, SenderEvent, TwccReport, VideoFrame};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_nanos(16_666_667);

struct Sender {
    sender: MediaSender,
    start: Instant,
    now: Instant,
    templates: Templates,
}

/// A slice of so many bytes, Annex B; the kind is that of an H.264 slice.
fn slice(keyframe: bool, bytes: usize, fill: u8) -> Vec<u8> {
    let mut data = vec![0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }];
    data.resize(bytes, fill);
    data
}

impl Sender {
    /// One keyframe was sent.
    fn new(keeps_references: bool) -> Self {
        let start = Instant::now();
        let config = if keeps_references { resilient() } else { config() };
        let sender = MediaSender::new(config, start, 9);
        let mut this = Self { sender, start, now: start, templates: Templates::default() };
        this.sender.push_video(start, frame(0, true, &slice(true, 3000, 1)));
        let packets = this.drain();
        if keeps_references {
            assert!(packets.iter().map(|packet| this.read(packet)).any(|told| told.brings_structure));
        }
        this.report(&packets);
        this.needs();
        this
    }

    fn part(&mut self, number: u32, data: &[u8], last: bool) {
        self.sender.push_video_part(self.now, frame(number, false, data), last);
    }

    fn drain(&mut self) -> Vec<RtpPacket> {
        let end = self.now + INTERVAL;
        let mut packets = Vec::new();
        while self.now < end {
            packets.extend(std::iter::from_fn(|| self.sender.poll_packet(self.now)));
            self.now += Duration::from_millis(1);
        }
        packets.retain(|packet| packet.ssrc == VIDEO_SSRC);
        packets
    }

    fn report(&mut self, packets: &[RtpPacket]) {
        let reports: Vec<_> =
            packets.iter().map(|packet| (transport_number(packet), Some(self.now - self.start))).collect();
        let report = TwccReport { base_seq: reports[0].0, reports, marked: Vec::new() };
        self.sender.handle_feedback(self.now, Feedback::TransportCc(report));
    }

    fn read(&mut self, packet: &RtpPacket) -> Descriptor {
        let (_, content) = packet.extensions.iter().find(|(id, _)| *id == DESCRIPTOR_ID).unwrap();
        self.templates.read(content).unwrap()
    }

    /// What it asks for, and the frames that arrived.
    fn needs(&mut self) -> Vec<SenderEvent> {
        let told = |event: &SenderEvent| !matches!(event, SenderEvent::FrameSent { .. });
        std::iter::from_fn(|| self.sender.poll_event()).filter(told).collect()
    }
}

fn frame(number: u32, keyframe: bool, data: &[u8]) -> VideoFrame<'_> {
    VideoFrame {
        frame: number,
        rtp_timestamp: number * 1500,
        keyframe,
        codec: VideoCodec::H264,
        refers_to: number.checked_sub(1).filter(|_| !keyframe),
        data,
    }
}

fn sequences(packets: &[RtpPacket]) -> Vec<u16> {
    packets.iter().map(|packet| packet.sequence).collect()
}

#[test]
fn packets_of_a_part_leave_before_the_picture_ends_and_the_last_one_ends_it() {
    for ends_with_bytes in [false, true] {
        let mut sender = Sender::new(true);
        sender.part(1, &slice(false, 3000, 1), false);
        let early = sender.drain();
        assert!(early.len() >= 2, "all but one of the part: {}", early.len());
        sender.report(&early);
        assert_eq!(sender.needs(), [], "a picture that goes on has not arrived");
        sender.part(1, &slice(false, 2500, 2), ends_with_bytes);
        let mut late = sender.drain();
        if !ends_with_bytes {
            sender.part(1, &[], true);
            late.extend(sender.drain());
        }
        let all: Vec<_> = early.iter().chain(&late).cloned().collect();
        assert_eq!(all.iter().map(|packet| packet.marker).filter(|marker| *marker).count(), 1);
        assert!(all.last().unwrap().marker && all.iter().all(|packet| packet.timestamp == 1500));
        let numbers = sequences(&all);
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
        for (at, packet) in all.iter().enumerate() {
            let told = sender.read(packet);
            assert_eq!((told.number, told.first, told.last), (1, at == 0, at + 1 == all.len()));
        }
        sender.report(&late);
        assert_eq!(sender.needs(), [SenderEvent::FrameReceived { frame: 1 }]);
    }
}

#[test]
fn parts_are_packed_into_the_bytes_that_the_whole_is_packed_into() {
    let (first, second) = (slice(false, 4000, 1), slice(false, 700, 2));
    let payloads =
        |packets: Vec<RtpPacket>| packets.into_iter().map(|packet| packet.payload).collect::<Vec<_>>();
    let mut whole = Sender::new(true);
    whole.sender.push_video(whole.now, frame(1, false, &[first.clone(), second.clone()].concat()));
    let mut parts = Sender::new(true);
    parts.part(1, &first, false);
    parts.part(1, &second, true);
    assert_eq!(payloads(parts.drain()), payloads(whole.drain()));
}

#[test]
fn a_picture_that_never_ends_is_given_up_and_its_number_is_not_used_again() {
    for keeps_references in [true, false] {
        let mut sender = Sender::new(keeps_references);
        sender.part(1, &slice(false, 3000, 1), false);
        let early = sender.drain();
        // The encoder failed, and the next one made a keyframe of the same picture.
        sender.sender.push_video(sender.now, frame(1, true, &slice(true, 3000, 3)));
        let rest = sender.drain();
        assert_eq!(rest.len(), 1, "what was kept back leaves, so that no number is missing");
        assert!(!rest[0].marker && rest[0].sequence == early.last().unwrap().sequence.wrapping_add(1));
        assert_eq!(sender.needs(), [SenderEvent::KeyframeNeeded]);
        sender.sender.push_video(sender.now, frame(2, true, &slice(true, 3000, 4)));
        let next = sender.drain();
        assert_eq!(next[0].sequence, rest[0].sequence.wrapping_add(1));
        assert!(next.last().unwrap().marker && next[0].timestamp == 3000);
    }
}

#[test]
fn what_builds_on_a_picture_that_was_given_up_is_not_sent() {
    let mut sender = Sender::new(true);
    sender.part(1, &slice(false, 3000, 1), false);
    sender.drain();
    sender.part(2, &slice(false, 3000, 2), false);
    sender.part(2, &slice(false, 3000, 2), true);
    let packets = sender.drain();
    assert!(
        packets.iter().all(|packet| packet.timestamp == 1500),
        "the rest of the first, nothing of the second"
    );
    assert_eq!(sender.needs(), [SenderEvent::ReferenceLost { newest_good: 0 }]);
    let around = VideoFrame { refers_to: Some(0), ..frame(3, false, &[]) };
    let data = slice(false, 3000, 3);
    sender.sender.push_video_part(sender.now, VideoFrame { data: &data, ..around }, true);
    assert!(sender.drain().last().unwrap().marker, "and the picture goes on around it");
}

#[test]
fn parts_of_keyframes_are_not_taken() {
    let mut sender = Sender::new(true);
    sender.sender.push_video_part(sender.now, frame(1, true, &slice(true, 3000, 1)), true);
    assert!(sender.drain().is_empty());
}

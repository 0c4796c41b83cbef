//! A sender with an encoder, a receiver, and the link between them, in simulated time.

use crate::link::{Dice, Link, Path};
use crate::receiver::Receiver;
use nearframe_protocol::VideoCodec;
use nearframe_stream::{
    ExtensionIds, FecIds, Feedback, MediaSender, OtherCodecs, RtpPacket, SenderConfig, SenderEvent,
    StreamIds, VideoFrame,
};
use std::time::{Duration, Instant};

pub(crate) const VIDEO_SSRC: u32 = 1;
pub(crate) const RTX_SSRC: u32 = 2;
pub(crate) const AUDIO_SSRC: u32 = 3;
pub(crate) const FEC_SSRC: u32 = 4;
pub(crate) const TRANSPORT_CC_ID: u8 = 5;
pub(crate) const DESCRIPTOR_ID: u8 = 6;
pub(crate) const RED_TYPE: u8 = 63;

const STEP: Duration = Duration::from_micros(250);
const FRAME: Duration = Duration::from_nanos(16_666_667);
const AUDIO: Duration = Duration::from_millis(10);
/// A keyframe is this many times an average frame, and at least so many bytes.
const KEYFRAME_FACTOR: f64 = 3.0;
const KEYFRAME_BYTES: usize = 20_000;

pub(crate) fn config() -> SenderConfig {
    SenderConfig {
        video: StreamIds {
            ssrc: VIDEO_SSRC,
            rtx_ssrc: Some(RTX_SSRC),
            payload_type: 96,
            rtx_payload_type: Some(97),
            clock_rate: 90_000,
        },
        audio: StreamIds {
            ssrc: AUDIO_SSRC,
            rtx_ssrc: None,
            payload_type: 111,
            rtx_payload_type: None,
            clock_rate: 48_000,
        },
        other_codecs: OtherCodecs::default(),
        fec: None,
        audio_red_payload_type: None,
        extensions: ExtensionIds {
            playout_delay: Some(4),
            transport_cc: Some(TRANSPORT_CC_ID),
            feedback_request: None,
            dependency_descriptor: None,
            colour_space: None,
        },
        audio_extensions: ExtensionIds { transport_cc: Some(TRANSPORT_CC_ID), ..ExtensionIds::default() },
        max_payload: 1150,
        min_bps: 300_000,
        start_bps: 2_500_000,
        max_bps: 20_000_000,
        fps: 60,
    }
}

/// The same with all that helps against loss.
pub(crate) fn resilient() -> SenderConfig {
    let mut config = config();
    config.fec = Some(FecIds { ssrc: FEC_SSRC, payload_type: 49 });
    config.audio_red_payload_type = Some(RED_TYPE);
    config.extensions.dependency_descriptor = Some(DESCRIPTOR_ID);
    config
}

/// Loses a packet, or not.
pub(crate) type Fault = Box<dyn FnMut(Duration, &RtpPacket) -> bool>;

/// How the encoder follows its target.
#[derive(Clone, Copy)]
pub(crate) enum Encoder {
    /// Fills the target, each frame 0.8 to 1.2 of the average.
    Hungry,
    /// Never wants more than this many bits a second.
    Quiet(f64),
}

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) target_bps: u64,
    pub(crate) paced_bytes: usize,
}

pub(crate) struct World {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) sender: MediaSender,
    pub(crate) receiver: Receiver,
    pub(crate) link: Link<RtpPacket>,
    back: Link<Feedback>,
    encoder: Encoder,
    dice: Dice,
    next_frame: Instant,
    next_audio: Instant,
    pub(crate) frames: u32,
    keyframe_due: bool,
    target_bps: u64,
    pub(crate) samples: Vec<Sample>,
    /// Arrival since the start, queueing delay and bytes of every packet that came through.
    pub(crate) passed: Vec<(Duration, Duration, usize)>,
    pub(crate) keyframes_asked: usize,
    /// What each frame was predicted from.
    pub(crate) references: Vec<Option<u32>>,
    /// The reference that the encoder was told to use next.
    reference: Option<u32>,
    /// When the encoder was told so.
    pub(crate) lost_at: Vec<Duration>,
    pub(crate) received: Vec<u32>,
    pub(crate) audio_frames: u32,
    pub(crate) fault: Fault,
    /// The round trip as receiver reports tell it once a second, where they do.
    reported_rtt: Option<Duration>,
    next_report: Instant,
}

impl World {
    pub(crate) fn new(path: &Path, encoder: Encoder, seed: u64) -> Self {
        Self::with(config(), path, encoder, seed)
    }

    pub(crate) fn with(config: SenderConfig, path: &Path, encoder: Encoder, seed: u64) -> Self {
        let start = Instant::now();
        let mut receiver = Receiver::new(start);
        let reported_rtt = config.audio_red_payload_type.map(|_| path.delay * 2);
        receiver.nack_interval = receiver.nack_interval.max(reported_rtt.unwrap_or_default());
        let back = Path { rate_bps: vec![(Duration::ZERO, 1e9)], buffer_bytes: 1 << 20, ..path.clone() };
        Self {
            start,
            now: start,
            sender: MediaSender::new(config, start, seed),
            receiver,
            link: Link::new(path.clone(), start, seed ^ 1),
            back: Link::new(back, start, seed ^ 2),
            encoder,
            dice: Dice(seed ^ 3),
            next_frame: start,
            next_audio: start,
            frames: 0,
            keyframe_due: true,
            target_bps: config.start_bps,
            samples: Vec::new(),
            passed: Vec::new(),
            keyframes_asked: 0,
            references: Vec::new(),
            reference: None,
            lost_at: Vec::new(),
            received: Vec::new(),
            audio_frames: 0,
            fault: Box::new(|_, _| false),
            reported_rtt,
            next_report: start + Duration::from_secs(1),
        }
    }

    /// Runs until `end` after the start.
    pub(crate) fn run_until(&mut self, end: Duration) -> &mut Self {
        while self.now - self.start < end {
            self.now += STEP;
            self.step();
        }
        self
    }

    fn step(&mut self) {
        let now = self.now;
        for arrival in self.link.receive(now) {
            self.passed.push((arrival.at - self.start, arrival.queued, arrival.packet.wire_len()));
            self.receiver.take(arrival.at, &arrival.packet);
        }
        for feedback in self.receiver.feedback(now) {
            self.back.send(now, 100, feedback);
        }
        if self.next_report <= now {
            self.next_report += Duration::from_secs(1);
            if let Some(rtt) = self.reported_rtt {
                let (ssrc, rtt) = (VIDEO_SSRC, Some(rtt));
                let report =
                    Feedback::ReceiverReport { ssrc, fraction_lost: 0.0, highest_seq: 0, jitter: 0, rtt };
                self.back.send(now, 100, report);
            }
        }
        for arrival in self.back.receive(now) {
            self.sender.handle_feedback(now, arrival.packet);
        }
        self.produce(now);
        if self.sender.poll_timeout().is_some_and(|at| at <= now) {
            self.sender.handle_timeout(now);
        }
        while let Some(packet) = self.sender.poll_packet(now) {
            if !(self.fault)(now - self.start, &packet) {
                self.link.send(now, packet.wire_len(), packet);
            }
        }
        assert!(
            self.sender.poll_timeout().is_none_or(|at| at > now),
            "a timer that is due after it was served"
        );
        while let Some(event) = self.sender.poll_event() {
            match event {
                SenderEvent::KeyframeNeeded => {
                    self.keyframe_due = true;
                    self.keyframes_asked += 1;
                }
                SenderEvent::TargetBitrate { bps } => self.target_bps = bps,
                SenderEvent::FrameSent { .. } => {}
                SenderEvent::ReferenceLost { newest_good } => {
                    self.reference = Some(newest_good);
                    self.lost_at.push(now - self.start);
                }
                SenderEvent::FrameReceived { frame } => self.received.push(frame),
            }
        }
        self.samples.push(Sample {
            at: now - self.start,
            target_bps: self.target_bps,
            paced_bytes: self.sender.stats().paced_bytes,
        });
    }

    fn produce(&mut self, now: Instant) {
        if self.next_frame <= now {
            self.next_frame += FRAME;
            let data = self.encode();
            let (frame, keyframe) = (self.frames, data[4] == 0x65);
            let reference = self.reference.take().filter(|_| !keyframe);
            self.references.push(reference.or(frame.checked_sub(1)).filter(|_| !keyframe));
            let (rtp_timestamp, refers_to) = (frame * 1500, reference);
            self.sender.push_video(
                now,
                VideoFrame {
                    frame,
                    rtp_timestamp,
                    keyframe,
                    codec: VideoCodec::H264,
                    refers_to,
                    data: &data,
                },
            );
            self.frames += 1;
        }
        if self.next_audio <= now {
            self.next_audio += AUDIO;
            let timestamp = self.audio_frames * 480;
            let mut opus = [0x55; 160];
            opus[..4].copy_from_slice(&timestamp.to_be_bytes());
            self.sender.push_audio(now, timestamp, &opus);
            self.audio_frames += 1;
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        let wanted = match self.encoder {
            Encoder::Hungry => self.target_bps as f64,
            Encoder::Quiet(most) => most.min(self.target_bps as f64),
        };
        let average = wanted / 8.0 / 60.0;
        let keyframe = std::mem::take(&mut self.keyframe_due);
        let size = if keyframe {
            ((average * KEYFRAME_FACTOR) as usize).max(KEYFRAME_BYTES)
        } else {
            (average * (0.8 + 0.4 * self.dice.roll())) as usize
        };
        let mut data = vec![0x77; size.max(64)];
        data[..5].copy_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }]);
        data
    }

    /// Queueing delays in ms of what arrived in this time, ascending.
    pub(crate) fn queueing_ms(&self, from_s: f64, to_s: f64) -> Vec<f64> {
        let span = Duration::from_secs_f64(from_s.max(0.0))..Duration::from_secs_f64(to_s);
        let passed = self.passed.iter().filter(|(at, ..)| span.contains(at));
        let mut delays: Vec<f64> = passed.map(|(_, queued, _)| queued.as_secs_f64() * 1000.0).collect();
        delays.sort_by(f64::total_cmp);
        delays
    }

    /// Bits a second that arrived in this time.
    pub(crate) fn throughput_bps(&self, from_s: f64, to_s: f64) -> f64 {
        let span = Duration::from_secs_f64(from_s.max(0.0))..Duration::from_secs_f64(to_s);
        let bytes: usize =
            self.passed.iter().filter(|(at, ..)| span.contains(at)).map(|(.., size)| size).sum();
        bytes as f64 * 8.0 / (to_s - from_s)
    }

    /// Whether every frame that was decoded had what it is predicted from.
    pub(crate) fn nothing_corrupt(&self) -> bool {
        let shown: Vec<u32> = self.receiver.decoded.iter().map(|(timestamp, _)| timestamp / 1500).collect();
        shown.iter().all(|&frame| {
            self.references[frame as usize].is_none_or(|reference| shown.binary_search(&reference).is_ok())
        })
    }

    /// Ages in ms at which the frames of this time were decoded, ascending; those never decoded are infinite.
    pub(crate) fn ages_ms(&self, from_s: f64, to_s: f64) -> Vec<f64> {
        let mut ages: Vec<f64> = ((from_s * 60.0) as u32..(to_s * 60.0) as u32)
            .map(|frame| {
                let made = self.start + FRAME * frame;
                let decoded = self.receiver.decoded.binary_search_by_key(&(frame * 1500), |&(at, _)| at);
                decoded.map_or(f64::INFINITY, |index| {
                    (self.receiver.decoded[index].1 - made).as_secs_f64() * 1000.0
                })
            })
            .collect();
        ages.sort_by(f64::total_cmp);
        ages
    }

    /// Frames decoded that were captured in this time.
    pub(crate) fn decoded_between(&self, from_s: f64, to_s: f64) -> usize {
        let frames = (from_s * 60.0) as u32 * 1500..(to_s * 60.0) as u32 * 1500;
        self.receiver.decoded.iter().filter(|(timestamp, _)| frames.contains(timestamp)).count()
    }
}

/// The value below which this share of an ascending list lies.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

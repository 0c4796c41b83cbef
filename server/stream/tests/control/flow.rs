//! One stream: encoder, sender, receiver, and what a player would have seen.

use crate::gcc_sender::GccSender;
use crate::link::Dice;
use nearframe_protocol::VideoCodec;
use nearframe_stream::{
    ExtensionIds, Feedback, MediaSender, OtherCodecs, PacketKind, SenderConfig, SenderEvent, StreamIds,
    TwccReport, VideoFrame,
};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

const TRANSPORT_CC_ID: u8 = 5;
const REQUEST_ID: u8 = 6;
pub(crate) const FRAME: Duration = Duration::from_nanos(16_666_667);
/// Clocks of two machines differ by up to this.
const SKEW: f64 = 100e-6;
const AUDIO: Duration = Duration::from_millis(10);
const REPORT: Duration = Duration::from_millis(50);
/// Where senders begin, bits a second.
const START_BPS: u64 = 3_000_000;
/// No encoder makes a picture of less.
const MIN_FRAME: usize = 600;
const KEYFRAME: usize = 20_000;

pub(crate) fn config(start_bps: u64, max_bps: u64) -> SenderConfig {
    let ids = |ssrc, payload_type, clock_rate| StreamIds {
        ssrc,
        rtx_ssrc: (ssrc == 1).then_some(2),
        payload_type,
        rtx_payload_type: (ssrc == 1).then_some(97),
        clock_rate,
    };
    let extensions = ExtensionIds {
        transport_cc: Some(TRANSPORT_CC_ID),
        feedback_request: Some(REQUEST_ID),
        ..ExtensionIds::default()
    };
    SenderConfig {
        other_codecs: OtherCodecs::default(),
        fec: None,
        audio_red_payload_type: None,
        video: ids(1, 96, 90_000),
        audio: ids(3, 111, 48_000),
        extensions,
        audio_extensions: extensions,
        max_payload: 1150,
        min_bps: 300_000,
        start_bps,
        max_bps,
        fps: 60,
    }
}

enum Source {
    Ours(Box<MediaSender>),
    Gcc(Box<GccSender>),
}

#[derive(Default)]
struct Frame {
    sent: usize,
    closed: bool,
    arrived: usize,
    done: Option<Instant>,
}

/// A packet as it goes into the link.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) frame: Option<u32>,
    pub(crate) size: usize,
    /// How many packets the report that it asks for covers; 0 asks for none, nothing leaves it to the receiver.
    pub(crate) ask: Option<u64>,
}

/// The same as it came out.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) queued: Duration,
    pub(crate) marked: bool,
}

pub(crate) struct Flow {
    start: Instant,
    source: Source,
    dice: Dice,
    interval: Duration,
    /// The encoder never wants more, bits a second.
    appetite: f64,
    target_bps: f64,
    keyframe_due: bool,
    next_frame: Instant,
    /// How long a frame is encoded.
    encoding: Duration,
    /// Frames being encoded: when each is done, its number, size, and whether it is a keyframe.
    encoded: VecDeque<(Instant, u32, usize, bool)>,
    next_audio: Instant,
    frames: Vec<Frame>,
    arrivals: Vec<(u64, Instant, bool)>,
    /// Reports asked for: the first number that each covers, and the last.
    asked: Vec<(u64, u64)>,
    reported: u64,
    report_at: Instant,
    reports: VecDeque<(Instant, TwccReport)>,
    /// Reports that the world is to carry.
    made: Vec<TwccReport>,
    /// No report comes back in this time, and all that were made when it is over.
    deaf: Range<Duration>,
    number_high: u64,
    reports_itself: bool,
    pub(crate) passed: Vec<(Duration, Duration, usize)>,
    /// Target of the encoder at each frame.
    pub(crate) targets: Vec<(Duration, f64)>,
    picture: Vec<u8>,
}

impl Flow {
    fn new(start: Instant, from: Duration, source: Source, start_bps: f64, seed: u64) -> Self {
        let at = start + from;
        let mut dice = Dice(seed);
        let interval = FRAME.mul_f64(1.0 + SKEW * (2.0 * dice.roll() - 1.0));
        Self {
            start,
            source,
            dice,
            interval,
            appetite: f64::MAX,
            target_bps: start_bps,
            keyframe_due: true,
            next_frame: at,
            encoding: Duration::ZERO,
            encoded: VecDeque::new(),
            next_audio: at,
            frames: Vec::new(),
            arrivals: Vec::new(),
            asked: Vec::new(),
            reported: 0,
            report_at: at,
            reports: VecDeque::new(),
            made: Vec::new(),
            deaf: Duration::MAX..Duration::MAX,
            number_high: 0,
            reports_itself: false,
            passed: Vec::new(),
            targets: Vec::new(),
            picture: vec![0x77; 1 << 20],
        }
    }

    /// The sender of this crate, from 3 to at most 20 Mbit/s, `from` after the start.
    pub(crate) fn ours(start: Instant, from: Duration, seed: u64) -> Self {
        Self::configured(config(START_BPS, 20_000_000), start, from, seed)
    }

    /// The same to at most 10 Mbit/s.
    pub(crate) fn ours_to_ten(start: Instant, from: Duration, seed: u64) -> Self {
        Self::configured(config(START_BPS, 10_000_000), start, from, seed)
    }

    /// The same with a receiver that reports by itself alone.
    pub(crate) fn unasked(start: Instant, from: Duration, seed: u64) -> Self {
        let mut config = config(START_BPS, 20_000_000);
        config.extensions.feedback_request = None;
        Self::configured(config, start, from, seed)
    }

    fn configured(config: SenderConfig, start: Instant, from: Duration, seed: u64) -> Self {
        let sender = MediaSender::new(config, start + from, seed);
        Self::new(start, from, Source::Ours(Box::new(sender)), START_BPS as f64, seed ^ 3)
    }

    /// libwebrtc's, with the same limits.
    pub(crate) fn gcc(start: Instant, from: Duration, seed: u64) -> Self {
        Self::of_gcc(20e6, start, from, seed)
    }

    /// The same to at most 10 Mbit/s.
    pub(crate) fn gcc_to_ten(start: Instant, from: Duration, seed: u64) -> Self {
        Self::of_gcc(10e6, start, from, seed)
    }

    fn of_gcc(max_bps: f64, start: Instant, from: Duration, seed: u64) -> Self {
        let sender = GccSender::new(start + from, START_BPS as f64, max_bps);
        Self::new(start, from, Source::Gcc(Box::new(sender)), START_BPS as f64, seed ^ 3)
    }

    /// An encoder that takes its time.
    pub(crate) fn slow(mut self, encoding: Duration) -> Self {
        self.encoding = encoding;
        self
    }

    /// A way back that stands still in this time.
    pub(crate) fn deaf(mut self, during: Range<Duration>) -> Self {
        self.deaf = during;
        self
    }

    /// An encoder that wants no more than this.
    pub(crate) fn quiet(mut self, appetite: f64) -> Self {
        self.appetite = appetite;
        self
    }

    pub(crate) fn on_arrival(&mut self, sent: Sent, seen: Seen) {
        self.arrivals.push((sent.number, seen.at, seen.marked));
        self.passed.push((seen.at - self.start, seen.queued, sent.size));
        match sent.ask {
            None => self.reports_itself = true,
            Some(0) => {}
            Some(count) => self.asked.push((sent.number + 1 - count, sent.number)),
        }
        let Some(frame) = sent.frame.and_then(|frame| self.frames.get_mut(frame as usize)) else { return };
        frame.arrived += 1;
        if frame.closed && frame.arrived == frame.sent {
            frame.done = Some(seen.at);
        }
    }

    /// A report has come back.
    pub(crate) fn hear(&mut self, at: Instant, report: TwccReport) {
        self.reports.push_back((at, report));
    }

    /// Reports made in the last step, where they do not all take as long.
    pub(crate) fn take_reports(&mut self) -> Vec<TwccReport> {
        std::mem::take(&mut self.made)
    }

    /// `back` is how long reports take.
    pub(crate) fn step(&mut self, now: Instant, back: Option<Duration>, mut send: impl FnMut(Sent)) {
        if self.next_frame <= now {
            self.next_frame += self.interval;
            self.capture(now);
        }
        while let Some((_, frame, size, keyframe)) = self.encoded.pop_front_if(|&mut (at, ..)| at <= now) {
            self.push(now, frame, size, keyframe);
        }
        if self.next_audio <= now {
            self.next_audio += AUDIO;
            match &mut self.source {
                Source::Ours(sender) => sender.push_audio(now, 0, &[0x55; 160]),
                Source::Gcc(sender) => sender.push_audio(),
            }
        }
        self.report(now, back);
        self.drain(now, &mut send);
    }

    /// One tick of the frame clock: a frame within the budget, or none. As in the worker, there is one only where the
    /// path is narrow.
    fn capture(&mut self, now: Instant) {
        let index = self.frames.len();
        self.frames.push(Frame::default());
        self.targets.push((now - self.start, self.target_bps));
        let average = self.target_bps.min(self.appetite) / 8.0 / 60.0;
        let noise = 0.8 + 0.4 * self.dice.roll();
        let size = match (&mut self.source, self.keyframe_due) {
            (_, true) => KEYFRAME.max(3 * average as usize),
            (Source::Ours(sender), false) => {
                let budget = sender.frame_limit(now, self.target_bps as u64);
                if budget.is_some_and(|budget| budget < MIN_FRAME) {
                    return;
                }
                // Encoders miss a budget a little, and aim at the average otherwise.
                let miss = 0.95 + 0.1 * self.dice.roll();
                let limit = budget.map_or(f64::MAX, |budget| budget as f64 * miss);
                (average * noise).min(limit) as usize
            }
            (Source::Gcc(_), false) => (average * noise) as usize,
        };
        let keyframe = std::mem::take(&mut self.keyframe_due);
        let size = size.clamp(MIN_FRAME, self.picture.len());
        self.encoded.push_back((now + self.encoding, index as u32, size, keyframe));
    }

    fn push(&mut self, now: Instant, frame: u32, size: usize, keyframe: bool) {
        match &mut self.source {
            Source::Ours(sender) => {
                let head = [0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }];
                self.picture[..5].copy_from_slice(&head);
                let data = &self.picture[..size];
                sender.push_video(
                    now,
                    VideoFrame {
                        frame,
                        rtp_timestamp: frame * 1500,
                        keyframe,
                        codec: VideoCodec::H264,
                        refers_to: None,
                        data,
                    },
                );
            }
            Source::Gcc(sender) => sender.push_video(frame, size),
        }
    }

    fn drain(&mut self, now: Instant, send: &mut impl FnMut(Sent)) {
        let frames = &mut self.frames;
        let mut note = |frame: Option<u32>, last: bool| {
            if let Some(frame) = frame.and_then(|frame| frames.get_mut(frame as usize)) {
                frame.sent += 1;
                frame.closed |= last;
            }
        };
        match &mut self.source {
            Source::Ours(sender) => {
                if sender.poll_timeout().is_some_and(|at| at <= now) {
                    sender.handle_timeout(now);
                }
                while let Some(packet) = sender.poll_packet(now) {
                    let (_, content) = packet.extensions.iter().last().expect("every packet is numbered");
                    let number = u16::from_be_bytes([content[0], content[1]]);
                    let request = content.get(2..4).map(|two| u16::from_be_bytes([two[0], two[1]]));
                    let ahead = number.wrapping_sub(self.number_high as u16) as i16;
                    self.number_high = self.number_high.max(1 << 16).saturating_add_signed(i64::from(ahead));
                    let frame = (packet.kind == PacketKind::Video).then_some(packet.timestamp / 1500);
                    note(frame, packet.marker);
                    let ask = request.map(|request| u64::from(request & 0x7fff));
                    send(Sent { number: self.number_high, frame, size: packet.wire_len(), ask });
                }
                while let Some(event) = sender.poll_event() {
                    match event {
                        SenderEvent::KeyframeNeeded => self.keyframe_due = true,
                        SenderEvent::TargetBitrate { bps } => self.target_bps = bps as f64,
                        SenderEvent::ReferenceLost { .. }
                        | SenderEvent::FrameReceived { .. }
                        | SenderEvent::FrameSent { .. } => {}
                    }
                }
            }
            Source::Gcc(sender) => {
                while let Some(packet) = sender.poll(now) {
                    note(packet.frame, packet.last);
                    let (number, frame, size) = (packet.number, packet.frame, packet.size);
                    send(Sent { number, frame, size, ask: None });
                }
                self.target_bps = sender.video_bps();
            }
        }
    }

    /// Reports what came in, and hands over reports that have come back.
    fn report(&mut self, now: Instant, back: Option<Duration>) {
        let mut reports = Vec::new();
        for (from, last) in std::mem::take(&mut self.asked) {
            self.arrivals.retain(|&(number, ..)| number >= from);
            reports.push(self.report_of(from, last));
        }
        if self.reports_itself && now - self.report_at.min(now) >= REPORT {
            self.report_at = now;
            if let (Some(&(first, ..)), Some(&(last, ..))) = (self.arrivals.first(), self.arrivals.last()) {
                let from = if self.reported == 0 { first } else { self.reported };
                self.reported = last + 1;
                reports.push(self.report_of(from, last));
                self.arrivals.clear();
            }
        }
        match back {
            Some(back) => self.reports.extend(reports.into_iter().map(|report| (now + back, report))),
            None => self.made.extend(reports),
        }
        let heard = !self.deaf.contains(&(now - self.start));
        while self.reports.front().is_some_and(|&(at, _)| heard && at <= now) {
            let Some((_, report)) = self.reports.pop_front() else { break };
            match &mut self.source {
                Source::Ours(sender) => sender.handle_feedback(now, Feedback::TransportCc(report)),
                Source::Gcc(sender) => sender.on_report(now, &report),
            }
        }
    }

    fn report_of(&self, from: u64, last: u64) -> TwccReport {
        let mut arrived = self.arrivals.iter().peekable();
        let mut report = TwccReport { base_seq: from as u16, ..TwccReport::default() };
        for number in from..=last {
            let hit = arrived.next_if(|&&(arrived, ..)| arrived == number);
            // TWCC tells times in steps of 250 µs.
            let at = hit
                .map(|(_, at, _)| Duration::from_micros((*at - self.start).as_micros() as u64 / 250 * 250));
            report.reports.push((number as u16, at));
            if hit.is_some_and(|(.., marked)| *marked) {
                report.marked.push(number as u16);
            }
        }
        report
    }

    fn captured(&self, index: usize) -> Instant {
        self.next_frame - self.interval * (self.frames.len() - index) as u32
    }

    /// At each tick of the frame clock: when it was, and how many ms until its picture or a newer one came.
    pub(crate) fn ages(&self) -> Vec<(f64, f64)> {
        let mut newest: Option<Instant> = None;
        let mut ages = Vec::new();
        for (index, frame) in self.frames.iter().enumerate().rev() {
            newest = match (newest, frame.done) {
                (Some(newest), Some(done)) => Some(newest.min(done)),
                (newest, done) => newest.or(done),
            };
            let captured = self.captured(index);
            if let Some(shown) = newest {
                let age = (shown - captured).as_secs_f64() * 1000.0;
                ages.push(((captured - self.start).as_secs_f64(), age));
            }
        }
        ages.reverse();
        ages
    }

    /// Ages in this time, ascending, in ms.
    pub(crate) fn ages_ms(&self, from_s: f64, to_s: f64) -> Vec<f64> {
        let ages = self.ages().into_iter().filter(|(at, _)| (from_s..to_s).contains(at));
        let mut ages: Vec<f64> = ages.map(|(_, age)| age).collect();
        ages.sort_by(f64::total_cmp);
        ages
    }

    /// Seconds from `at_s` on until all of a whole second's pictures are younger than `limit_ms` again.
    pub(crate) fn recovery_s(&self, at_s: f64, limit_ms: f64) -> f64 {
        let late = self.ages().into_iter().filter(|&(at, age)| at > at_s - 0.02 && age > limit_ms);
        let late: Vec<f64> = late.map(|(at, _)| at + FRAME.as_secs_f64() - at_s).collect();
        let last =
            late.iter().enumerate().find(|&(i, at)| late.get(i + 1).is_none_or(|next| next - at > 1.0));
        last.map_or(0.0, |(_, at)| *at)
    }

    /// Seconds of this time in which the picture stood still for more than 100 ms.
    pub(crate) fn stalled_s(&self, from_s: f64, to_s: f64) -> f64 {
        let done = self.frames.iter().filter_map(|frame| frame.done);
        let at = done.map(|at| (at - self.start).as_secs_f64()).filter(|at| (from_s..to_s).contains(at));
        let mut shown: Vec<f64> = at.chain([from_s, to_s]).collect();
        shown.sort_by(f64::total_cmp);
        shown
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .filter(|gap| *gap > 0.1)
            .fold(0.0, |sum, gap| sum + gap)
    }

    pub(crate) fn delivered_bps(&self, from_s: f64, to_s: f64) -> f64 {
        let span = Duration::from_secs_f64(from_s)..Duration::from_secs_f64(to_s);
        let bytes: usize =
            self.passed.iter().filter(|(at, ..)| span.contains(at)).map(|(.., size)| size).sum();
        bytes as f64 * 8.0 / (to_s - from_s)
    }

    /// Queueing delays of packets that arrived in this time, ascending, in ms.
    pub(crate) fn queueing_ms(&self, from_s: f64, to_s: f64) -> Vec<f64> {
        let span = Duration::from_secs_f64(from_s)..Duration::from_secs_f64(to_s);
        let passed = self.passed.iter().filter(|(at, ..)| span.contains(at));
        let mut delays: Vec<f64> = passed.map(|(_, queued, _)| queued.as_secs_f64() * 1000.0).collect();
        delays.sort_by(f64::total_cmp);
        delays
    }
}

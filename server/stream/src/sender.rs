//! The media of one peer: access units and audio in, packets out, feedback heeded.

mod ceiling;
mod feedback;
mod parts;
mod reference;
mod repair;
mod room;
mod unasked;

use crate::codec;
use crate::config::SenderConfig;
use crate::descriptor::FrameRefs;
use crate::estimator::{BandwidthEstimator, DelayEstimator};
use crate::fec::FecEncoder;
use crate::frames::FrameLog;
use crate::keyframe::KeyframeRequests;
use crate::loss::LossMeter;
use crate::outlet::Outlet;
use crate::pacer::{Pacer, Queued, Stream};
use crate::probe::ProbePlan;
use crate::recovery::{REDUNDANCY, RecoveryPolicy};
use crate::red::RedEncoder;
use crate::references::ReferenceRequests;
use crate::repair::{RepairBudget, SecondMeter};
use crate::retransmit::{RetransmitStore, Stored, rtx_ids};
use crate::rtp::{PacketKind, RtpPacket, Seed};
use crate::rtt::RttMeter;
use crate::usage::{SenderStats, Usage};
use bytes::Bytes;
use ceiling::Ceiling;
use feedback::Hearing;
use nearframe_protocol::VideoCodec;
use parts::Open;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use unasked::Unasked;

/// Round-trip time taken for granted before one is measured.
const UNKNOWN_RTT: Duration = Duration::from_millis(50);
/// Nobody listens to events that are older than this many.
const MAX_EVENTS: usize = 64;
/// Share of the wire rate that is left for payload at 1150 bytes a packet.
const PAYLOAD_SHARE: f64 = 0.94;
/// Smallest change of the encoder's target that is worth telling.
const TARGET_STEP: f64 = 0.02;
/// How long a probe may take; a stalled one is given up.
const PROBE_PATIENCE: Duration = Duration::from_millis(100);
/// Over what video at its highest rate needs, so that repairs do not lower it.
const REPAIR_HEADROOM: f64 = 1.15;
/// Audio on the wire until it is measured, bits a second: Opus at 96 kbit/s in packets of 10 ms.
const EXPECTED_AUDIO_BPS: f64 = 160_000.0;

/// What the usual time of encoding follows one frame by.
const LEAD_WEIGHT: u32 = 8;
/// A picture that stands still for longer is a stall. Nobody sees one of 80 ms.
const MAX_STILL: Duration = Duration::from_millis(80);
/// As much may be sent then, whatever the path: no more than the sound of that time.
const STILL_BYTES: usize = 1200;
/// After so many pictures that were sent for that alone, 1.3 s of them, the next come four times as seldom, so that
/// little of it is old news when a path that stood still goes on.
const PATIENT_AFTER: u32 = 16;

/// One encoded picture.
#[derive(Clone, Copy, Debug)]
pub struct VideoFrame<'a> {
    /// 0, 1, 2, …
    pub frame: u32,
    /// 90 kHz.
    pub rtp_timestamp: u32,
    /// Whether it can be decoded without any other.
    pub keyframe: bool,
    /// The frame that this one is predicted from, where that is not the one before; it stands for all that
    /// it refers to. Nothing for a keyframe.
    pub refers_to: Option<u32>,
    /// What it is encoded with; one that the receiver takes.
    pub codec: VideoCodec,
    /// H.264 and HEVC: an access unit in Annex B form. AV1: a temporal unit of OBUs with sizes.
    pub data: &'a [u8],
}

/// What the caller is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderEvent {
    /// Make the next frame a keyframe.
    KeyframeNeeded,
    /// What was sent last is lost for good. Predict the next frame from `newest_good` or from an older
    /// frame that was received, and from nothing else; where none is kept, make it a keyframe, or call
    /// [`MediaSender::reference_too_old`] to be asked for one.
    ReferenceLost {
        /// The newest frame that the receiver surely can show.
        newest_good: u32,
    },
    /// The receiver surely can show this frame: it may serve as a reference after a loss.
    FrameReceived {
        /// Which frame.
        frame: u32,
    },
    /// Aim the video encoder at this many bits a second.
    TargetBitrate {
        /// Payload bits a second.
        bps: u64,
    },
    /// The first packet of a frame was handed out.
    FrameSent {
        /// Which frame.
        frame: u32,
        /// When.
        at: Instant,
    },
}

#[derive(Debug)]
struct ActiveProbe {
    plan: ProbePlan,
    sent: usize,
    began: Instant,
}

/// Sends the media of one peer. After every call, drain `poll_packet` and `poll_event`, and call
/// `handle_timeout` at `poll_timeout`.
#[derive(Debug)]
pub struct MediaSender {
    config: SenderConfig,
    estimator: Box<dyn BandwidthEstimator>,
    pacer: Pacer,
    outlet: Outlet,
    video_store: RetransmitStore,
    audio_store: RetransmitStore,
    video_sequence: u64,
    audio_sequence: u64,
    /// Sequence number of the first packet of video that has not left.
    video_left: u64,
    /// The newest frame that the encoder made, sent or not.
    offered: Option<u32>,
    /// A frame of which parts have come, and not the last.
    open: Option<Open>,
    frames: FrameLog,
    fec: FecEncoder,
    red: Option<RedEncoder>,
    loss: LossMeter,
    recovery: RecoveryPolicy,
    references: ReferenceRequests,
    /// Retransmissions to be sent once more when their time comes.
    echoes: VecDeque<Queued>,
    unasked: Unasked,
    hearing: Hearing,
    ceiling: Ceiling,
    probe: Option<ActiveProbe>,
    events: VecDeque<SenderEvent>,
    rtt: RttMeter,
    keyframes: KeyframeRequests,
    /// Highest sequence number in the last receiver report.
    reported_seq: Option<u32>,
    /// First packet of the newest keyframe: nothing before it is worth repairing.
    repair_floor: u64,
    repair_budget: RepairBudget,
    /// Retransmissions and parity.
    repair_rate: SecondMeter,
    audio_rate: SecondMeter,
    told_bps: u64,
    /// Since when the path has carried all that was asked for and lost nothing.
    ample_since: Option<Instant>,
    /// When a limit was asked for of a frame that has yet to come.
    asked_at: Option<Instant>,
    /// From then until it comes, usually.
    lead: Duration,
    /// When a frame was last queued.
    pushed_at: Option<Instant>,
    /// Frames in a row before which the picture had stood still.
    stills: u32,
    stats: SenderStats,
}

impl MediaSender {
    /// A sender with the delay-based estimator; `seed` chooses the initial sequence numbers.
    pub fn new(config: SenderConfig, now: Instant, seed: u64) -> Self {
        let config = config.checked();
        // The estimator counts what the wire carries: headers and audio come on top, and repairs at the end.
        let wire = |bps: u64| bps as f64 / PAYLOAD_SHARE + EXPECTED_AUDIO_BPS;
        let max = wire(config.max_bps) * REPAIR_HEADROOM;
        let estimator = DelayEstimator::new(now, wire(config.min_bps), wire(config.start_bps), max);
        Self::with_estimator(config, now, seed, Box::new(estimator))
    }

    /// A sender that follows another policy.
    pub fn with_estimator(
        config: SenderConfig,
        now: Instant,
        seed: u64,
        estimator: Box<dyn BandwidthEstimator>,
    ) -> Self {
        let config = config.checked();
        let mut seed = Seed(seed);
        let video_sequence = seed.first_sequence();
        let opus = config.audio.payload_type;
        Self {
            told_bps: config.start_bps,
            ample_since: None,
            asked_at: None,
            lead: Duration::ZERO,
            pushed_at: None,
            stills: 0,
            outlet: Outlet::new(&config, &mut seed),
            config,
            estimator,
            pacer: Pacer::new(now),
            video_store: RetransmitStore::default(),
            audio_store: RetransmitStore::default(),
            video_sequence,
            audio_sequence: seed.first_sequence(),
            video_left: video_sequence,
            offered: None,
            open: None,
            frames: FrameLog::default(),
            fec: FecEncoder::new(seed.first_sequence()),
            red: config.audio_red_payload_type.map(|_| RedEncoder::new(opus, config.max_payload)),
            loss: LossMeter::default(),
            recovery: RecoveryPolicy::new(config.fps, config.fec.is_some()),
            references: ReferenceRequests::default(),
            echoes: VecDeque::new(),
            unasked: Unasked::default(),
            hearing: Hearing::default(),
            ceiling: Ceiling::default(),
            probe: None,
            events: VecDeque::new(),
            rtt: RttMeter::new(now),
            keyframes: KeyframeRequests::new(),
            reported_seq: None,
            repair_floor: 0,
            repair_budget: RepairBudget::new(now),
            repair_rate: SecondMeter::new(now, 0.0),
            audio_rate: SecondMeter::new(now, EXPECTED_AUDIO_BPS),
            stats: SenderStats::default(),
        }
    }

    /// Queues one picture. A frame that cannot be shown, because what it is predicted from was dropped or is
    /// lost for good, is dropped as well, and what the picture needs is asked for.
    pub fn push_video(&mut self, now: Instant, frame: VideoFrame<'_>) {
        self.drop_stale(now);
        if self.abandon(now) == Some(frame.frame) {
            // The receiver has this number for a picture that never ended.
            self.keyframes.broken();
            self.ask_keyframe(now);
            return;
        }
        let Some(refs) = self.admit(now, &frame) else { return };
        let payloads = codec::packetize(&frame, self.config.max_payload, self.video_sequence);
        if payloads.is_empty() {
            return;
        }
        self.offered = Some(frame.frame);
        if frame.keyframe {
            self.keyframes.pushed();
            self.repair_floor = self.video_sequence;
            self.pacer.drop_repairs();
        }
        self.frames.push(now, refs, self.video_sequence, payloads.len());
        let mut packets = self.queue_up(now, &frame, payloads, true);
        if let Some(end) = packets.last_mut() {
            end.packet.marker = true;
        }
        self.repeat_structure(now, &packets);
        self.ceiling.spent(frame.data.len());
        self.enqueue(now, &frame, packets, true);
    }

    /// What a frame refers to, if it is to be sent.
    fn admit(&mut self, now: Instant, frame: &VideoFrame<'_>) -> Option<FrameRefs> {
        self.note_lead(now);
        if !self.takes(frame.codec) {
            return None;
        }
        let refers_to = if frame.keyframe { None } else { frame.refers_to.or(self.offered) };
        if !self.admits(now, frame, refers_to) {
            self.offered = Some(frame.frame);
            return None;
        }
        let before = self.pushed_at.replace(now);
        let still = before.is_some_and(|at| now.saturating_duration_since(at) >= MAX_STILL);
        self.stills = if still { self.stills.saturating_add(1) } else { 0 };
        Some(FrameRefs { number: frame.frame, refers_to })
    }

    /// Hands packets of a frame to the pacer, with their parity once it `ends`.
    fn enqueue(&mut self, now: Instant, frame: &VideoFrame<'_>, packets: Vec<Queued>, ends: bool) {
        let parity = self.protect(now, &packets, ends);
        let window = self.window(now, frame.keyframe, frame.data.len());
        self.pacer.push_video(now, window, packets.into_iter().chain(parity));
    }

    /// Whether the receiver takes pictures in this codec.
    pub fn takes(&self, codec: VideoCodec) -> bool {
        codec == VideoCodec::H264 || self.config.other_codecs.of(codec).is_some()
    }

    /// How long a frame was encoded after its limit was asked for.
    fn note_lead(&mut self, now: Instant) {
        let Some(asked_at) = self.asked_at.take() else { return };
        let lead = now.saturating_duration_since(asked_at).min(Duration::from_secs(1) / self.config.fps);
        self.lead = (self.lead * (LEAD_WEIGHT - 1) + lead) / LEAD_WEIGHT;
    }

    /// The packets of a frame, or of a part of it with which it `begins`, numbered; none of them ends it.
    fn queue_up(
        &mut self,
        now: Instant,
        frame: &VideoFrame<'_>,
        payloads: Vec<Bytes>,
        begins: bool,
    ) -> Vec<Queued> {
        let (first, count) = (self.video_sequence, payloads.len() as u64);
        let types = self.config.other_codecs.of(frame.codec);
        self.video_sequence += count;
        let queued = |(data, sequence)| Queued {
            stream: Stream::Video,
            kind: PacketKind::Video,
            packet: Stored { sequence, timestamp: frame.rtp_timestamp, marker: false, types, data },
            begins: (begins && sequence == first).then_some(frame.frame),
            keyframe: frame.keyframe,
            since: now,
        };
        payloads.into_iter().zip(first..).map(queued).collect()
    }

    /// Queues one Opus packet.
    pub fn push_audio(&mut self, now: Instant, rtp_timestamp: u32, payload: &[u8]) {
        let data = self.audio_payload(now, rtp_timestamp, payload);
        let sequence = self.audio_sequence;
        self.audio_sequence += 1;
        let packet = Stored { sequence, timestamp: rtp_timestamp, marker: false, types: None, data };
        let (stream, kind) = (Stream::Audio, PacketKind::Audio);
        self.pacer.push_audio(Queued { stream, kind, packet, begins: None, keyframe: false, since: now });
    }

    /// To be called at `poll_timeout`; harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.estimator.handle_timeout(now);
        self.drop_stale(now);
        if self
            .probe
            .as_ref()
            .is_some_and(|probe| now.saturating_duration_since(probe.began) > PROBE_PATIENCE)
        {
            self.probe = None;
        }
        self.tell_target(now);
    }

    /// The next packet to encrypt and send now.
    pub fn poll_packet(&mut self, now: Instant) -> Option<RtpPacket> {
        self.drop_stale(now);
        self.queue_echoes(now);
        self.repair_unasked(now);
        let probe_bps = self.probe.as_ref().map_or(0.0, |probe| probe.plan.rate_bps);
        let pace_bps = (self.estimator.target_bps() * self.pace_factor(now)).max(probe_bps);
        let queued = self.pacer.poll(now, pace_bps).or_else(|| self.padding(now))?;
        Some(self.release(now, queued))
    }

    /// When to call `handle_timeout` and `poll_packet` again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let padded = self.probe.is_some() && rtx_ids(&self.config.video).is_some();
        let probe = padded.then(|| self.pacer.busy_until());
        let echo = self.echoes.front().map(|echo| echo.since);
        let unasked = self.unasked.due();
        [self.pacer.poll_timeout(), self.estimator.poll_timeout(), probe, echo, unasked]
            .into_iter()
            .flatten()
            .min()
    }

    /// The oldest event not yet taken.
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    /// Frames come at another rate from now on: budgets, windows and repairs are parts of its interval.
    pub fn set_frame_rate(&mut self, fps: u32) {
        self.config = SenderConfig { fps, ..self.config }.checked();
        self.recovery.set_frame_rate(self.config.fps);
    }

    /// Bytes that the next frame may have at most, where video is made at `bps`; `None` where the path carries more
    /// than its bitrate says.
    pub fn frame_limit(&mut self, now: Instant, bps: u64) -> Option<usize> {
        self.asked_at = Some(now);
        let budget = self.frame_budget(now).min(self.ceiling.bytes(now, bps, self.config.fps));
        let share = self.told_bps / 8 / u64::from(self.config.fps);
        let late = (budget as u64) < share && self.estimator.is_late(now);
        (late || self.estimator.is_constrained(now)).then_some(budget)
    }

    /// Bytes that the next frame may have at most to be through before the one after it: what the path
    /// carries in a frame's interval, less what will be queued in it and here once the frame is encoded. Where that is less than a picture
    /// needs, leave this frame out; a picture that stood still for long may be replaced by a poor one.
    fn frame_budget(&mut self, now: Instant) -> usize {
        let interval = Duration::from_secs(1) / self.config.fps;
        let other = (self.audio_rate.bps(now) + self.repair_rate.bps(now)) * interval.as_secs_f64() / 8.0;
        let room = self.estimator.room_bytes(now, interval, self.lead, self.pacer.waiting_bytes()) - other;
        let budget = (room * PAYLOAD_SHARE).max(0.0) as usize;
        let patience = MAX_STILL * if self.stills < PATIENT_AFTER { 1 } else { 4 };
        let still = self.pushed_at.is_some_and(|at| now.saturating_duration_since(at) >= patience);
        if still { budget.max(STILL_BYTES) } else { budget }
    }

    /// What the sender is doing.
    pub fn stats(&self) -> SenderStats {
        SenderStats {
            usage: self.usage(),
            estimate_bps: self.estimator.target_bps() as u64,
            target_bps: self.told_bps,
            queue_delay: self.estimator.queue_delay(),
            paced_bytes: self.pacer.video_bytes(),
            ..self.stats
        }
    }

    /// Share of packets lost lately, 0.0..=1.0: what an audio encoder prepares for.
    pub fn loss(&self, now: Instant) -> f64 {
        self.loss.rate(now)
    }

    /// Use so far, for receipts.
    pub fn usage(&self) -> Usage {
        Usage { rtt: self.rtt.smoothed(), ..self.stats.usage }
    }

    /// A packet sent before, to fill a running probe where there is nothing else to send.
    fn padding(&mut self, now: Instant) -> Option<Queued> {
        self.probe.as_ref()?;
        rtx_ids(&self.config.video)?;
        if !self.pacer.may_send(now) {
            return None;
        }
        let Some(packet) = self.video_store.padding(now).cloned() else {
            self.probe = None;
            return None;
        };
        let rate = self.probe.as_ref()?.plan.rate_bps;
        self.pacer.spend(now, packet.data.len() as f64 * 8.0, rate);
        let (stream, kind) = (Stream::Video, PacketKind::Probe);
        Some(Queued { stream, kind, packet, begins: None, keyframe: false, since: now })
    }

    fn release(&mut self, now: Instant, queued: Queued) -> RtpPacket {
        let probe = self.probe.as_ref().map(|probe| probe.plan.id);
        let place = match (queued.stream, queued.kind) {
            (Stream::Audio, _) | (_, PacketKind::Fec) => None,
            (Stream::Video, _) => self.frames.refs(queued.packet.sequence),
        };
        let (packet, asks) = self.outlet.label(now, &queued, place, probe);
        let size = packet.wire_len();
        self.estimator.on_sent(now, size, asks);
        if let Some(probe) = &mut self.probe {
            probe.sent += size;
            if probe.sent >= probe.plan.bytes {
                self.probe = None;
            }
        }
        self.account(now, &queued, &packet);
        match queued.kind {
            PacketKind::Video => {
                self.video_left = queued.packet.sequence + 1;
                self.video_store.keep(now, queued.packet);
            }
            PacketKind::Audio => self.audio_store.keep(now, queued.packet),
            PacketKind::Retransmission | PacketKind::Fec | PacketKind::Probe => {}
        }
        packet
    }

    fn account(&mut self, now: Instant, queued: &Queued, packet: &RtpPacket) {
        match packet.kind {
            PacketKind::Probe => {
                self.stats.probes += 1;
                return;
            }
            PacketKind::Retransmission => {
                self.stats.retransmissions += 1;
                self.repair_rate.count(now, packet.wire_len());
            }
            PacketKind::Fec => {
                self.stats.fec_packets += 1;
                self.repair_rate.count(now, packet.wire_len());
            }
            PacketKind::Audio => self.audio_rate.count(now, packet.wire_len()),
            PacketKind::Video => {
                self.stats.usage.frames += u64::from(packet.marker);
                if packet.marker && queued.keyframe {
                    self.keyframes.left(now);
                }
            }
        }
        let usage = &mut self.stats.usage;
        usage.bytes += packet.rtp_len() as u64;
        usage.packets_sent += 1;
        if let Some(frame) = queued.begins {
            self.push_event(SenderEvent::FrameSent { frame, at: now });
        }
    }

    /// Tells the encoder what is left of the estimate after audio, repairs and headers.
    fn tell_target(&mut self, now: Instant) {
        let all = self.estimator.target_bps();
        // Parity begins at once, and what was measured follows a second later.
        let parity = if self.recovery.reserves(self.conditions(now)) {
            all * REDUNDANCY / (1.0 + REDUNDANCY)
        } else {
            0.0
        };
        let other = self.audio_rate.bps(now) + self.repair_rate.bps(now).max(parity);
        let video = (all - other) * PAYLOAD_SHARE;
        let bps = (video.max(0.0) as u64).clamp(self.config.min_bps, self.config.max_bps);
        let change = bps.abs_diff(self.told_bps) as f64 / self.told_bps.max(1) as f64;
        let at_limit = bps != self.told_bps && (bps == self.config.max_bps || bps == self.config.min_bps);
        if change >= TARGET_STEP || at_limit {
            self.told_bps = bps;
            self.push_event(SenderEvent::TargetBitrate { bps });
        }
    }

    fn push_event(&mut self, event: SenderEvent) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

//! The media of one peer: access units and audio in, packets out, feedback heeded.

use crate::config::SenderConfig;
use crate::estimator::{BandwidthEstimator, DelayEstimator};
use crate::feedback::{Feedback, TwccReport};
use crate::h264;
use crate::keyframe::KeyframeRequests;
use crate::outlet::Outlet;
use crate::pacer::{
    AMPLE_PACE_FACTOR, CONSTRAINED_PACE_FACTOR, CONSTRAINED_WINDOW, PACE_FACTOR, Pacer, Queued, Stream,
};
use crate::probe::ProbePlan;
use crate::repair::{RepairBudget, SecondMeter};
use crate::retransmit::{Refusal, RetransmitStore, Stored, rtx_ids};
use crate::rtp::{PacketKind, RtpPacket, Seed};
use crate::usage::{SenderStats, Usage};
use bytes::{BufMut, BytesMut};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

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
const REPAIR_HEADROOM: f64 = 1.1;
/// A round-trip time above this is a mistake.
const MAX_RTT: Duration = Duration::from_secs(10);
/// Audio on the wire until it is measured, bits a second: Opus at 96 kbit/s in packets of 10 ms.
const EXPECTED_AUDIO_BPS: f64 = 160_000.0;

/// A picture that stands still for longer is a stall. Nobody sees one of 80 ms.
const MAX_STILL: Duration = Duration::from_millis(80);
/// As much may be sent then, whatever the path; the next after twice the time, up to eight times this, so
/// that little of it is old news when a path that stood still goes on.
const STILL_BYTES: usize = 1200;

/// One encoded picture.
#[derive(Clone, Copy, Debug)]
pub struct VideoFrame<'a> {
    /// 0, 1, 2, …
    pub frame: u32,
    /// 90 kHz.
    pub rtp_timestamp: u32,
    /// Whether it can be decoded without any other.
    pub keyframe: bool,
    /// H.264 access unit in Annex B form.
    pub data: &'a [u8],
}

/// What the caller is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderEvent {
    /// Make the next frame a keyframe.
    KeyframeNeeded,
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

/// What is known of the path.
enum Room {
    /// A bottleneck was met lately.
    Constrained,
    /// Its capacity is still being found.
    Unknown,
    /// It carries all that is asked for.
    Ample,
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
    probe: Option<ActiveProbe>,
    events: VecDeque<SenderEvent>,
    rtt: Option<Duration>,
    keyframes: KeyframeRequests,
    /// Highest sequence number in the last receiver report.
    reported_seq: Option<u32>,
    /// First packet of the newest keyframe: nothing before it is worth repairing.
    repair_floor: u64,
    repair_budget: RepairBudget,
    repair_rate: SecondMeter,
    audio_rate: SecondMeter,
    told_bps: u64,
    /// When a frame was last queued.
    pushed_at: Option<Instant>,
    /// For how long the picture had stood still then, if that was long.
    still: Duration,
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
        Self {
            told_bps: config.start_bps,
            pushed_at: None,
            still: Duration::ZERO,
            outlet: Outlet::new(&config, &mut seed),
            config,
            estimator,
            pacer: Pacer::new(now),
            video_store: RetransmitStore::default(),
            audio_store: RetransmitStore::default(),
            video_sequence: seed.first_sequence(),
            audio_sequence: seed.first_sequence(),
            probe: None,
            events: VecDeque::new(),
            rtt: None,
            keyframes: KeyframeRequests::new(),
            reported_seq: None,
            repair_floor: 0,
            repair_budget: RepairBudget::new(now),
            repair_rate: SecondMeter::new(now, 0.0),
            audio_rate: SecondMeter::new(now, EXPECTED_AUDIO_BPS),
            stats: SenderStats::default(),
        }
    }

    /// Queues one picture. A delta frame whose predecessor was dropped is dropped as well, and a
    /// keyframe asked for.
    pub fn push_video(&mut self, now: Instant, frame: VideoFrame<'_>) {
        self.drop_stale(now);
        if self.keyframes.awaited() && !frame.keyframe {
            self.stats.frames_dropped += 1;
            self.ask_keyframe(now);
            return;
        }
        let still = self.pushed_at.replace(now).map(|at| now.saturating_duration_since(at));
        self.still = still.filter(|&still| still >= MAX_STILL).unwrap_or_default();
        let payloads = h264::packetize(frame.data, self.config.max_payload, self.video_sequence);
        if payloads.is_empty() {
            return;
        }
        if frame.keyframe {
            self.keyframes.pushed();
            self.repair_floor = self.video_sequence;
            self.pacer.drop_repairs();
        }
        let (first, count) = (self.video_sequence, payloads.len() as u64);
        self.video_sequence += count;
        let window = self.window(now, frame.keyframe);
        let packets = payloads.into_iter().zip(first..).map(|(data, sequence)| Queued {
            stream: Stream::Video,
            kind: PacketKind::Video,
            packet: Stored {
                sequence,
                timestamp: frame.rtp_timestamp,
                marker: sequence + 1 == first + count,
                data,
            },
            begins: (sequence == first).then_some(frame.frame),
            keyframe: frame.keyframe,
            since: now,
        });
        self.pacer.push_video(now, window, packets);
    }

    /// Queues one Opus packet.
    pub fn push_audio(&mut self, now: Instant, rtp_timestamp: u32, payload: &[u8]) {
        let sequence = self.audio_sequence;
        self.audio_sequence += 1;
        let mut data = BytesMut::with_capacity(h264::OSN_LEN + payload.len());
        data.put_u16(sequence as u16);
        data.put_slice(payload);
        let packet = Stored { sequence, timestamp: rtp_timestamp, marker: false, data: data.freeze() };
        let (stream, kind) = (Stream::Audio, PacketKind::Audio);
        self.pacer.push_audio(Queued { stream, kind, packet, begins: None, keyframe: false, since: now });
    }

    /// Heeds one message of the receiver.
    pub fn handle_feedback(&mut self, now: Instant, feedback: Feedback) {
        match feedback {
            Feedback::Pli => self.on_pli(now),
            Feedback::Nack { ssrc, sequences } => self.on_nack(now, ssrc, &sequences),
            Feedback::TransportCc(report) => self.on_transport_cc(now, &report),
            Feedback::ReceiverReport { ssrc, fraction_lost, highest_seq, rtt, .. } => {
                if let Some(rtt) = rtt {
                    self.on_rtt(rtt);
                }
                if ssrc == self.config.video.ssrc {
                    self.on_receiver_report(now, fraction_lost, highest_seq);
                }
            }
            Feedback::Remb { bps } => self.estimator.on_remb(now, bps),
        }
        self.tell_target(now);
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
        let probe_bps = self.probe.as_ref().map_or(0.0, |probe| probe.plan.rate_bps);
        let factor = match self.room(now) {
            Room::Constrained => CONSTRAINED_PACE_FACTOR,
            Room::Unknown => PACE_FACTOR,
            Room::Ample => AMPLE_PACE_FACTOR,
        };
        let pace_bps = (self.estimator.target_bps() * factor).max(probe_bps);
        let queued = self.pacer.poll(now, pace_bps).or_else(|| self.padding(now))?;
        Some(self.release(now, queued))
    }

    /// When to call `handle_timeout` and `poll_packet` again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let padded = self.probe.is_some() && rtx_ids(&self.config.video).is_some();
        let probe = padded.then(|| self.pacer.busy_until());
        [self.pacer.poll_timeout(), self.estimator.poll_timeout(), probe].into_iter().flatten().min()
    }

    /// The oldest event not yet taken.
    pub fn poll_event(&mut self) -> Option<SenderEvent> {
        self.events.pop_front()
    }

    /// Bytes that the next frame may have at most to be through before the one after it: what the path
    /// carries in a frame's interval, less what is queued in it and here. Where that is less than a picture
    /// needs, leave this frame out; a picture that stood still for long may be replaced by a poor one.
    pub fn frame_budget(&mut self, now: Instant) -> usize {
        let interval = Duration::from_secs(1) / self.config.fps;
        let other = (self.audio_rate.bps(now) + self.repair_rate.bps(now)) * interval.as_secs_f64() / 8.0;
        let room = self.estimator.room_bytes(now, interval) - other;
        let budget = ((room * PAYLOAD_SHARE).max(0.0) as usize).saturating_sub(self.pacer.waiting_bytes());
        let patience = (self.still * 2).clamp(MAX_STILL, MAX_STILL * 8);
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

    /// Use so far, for receipts.
    pub fn usage(&self) -> Usage {
        Usage { rtt: self.rtt, ..self.stats.usage }
    }

    fn window(&self, now: Instant, keyframe: bool) -> Duration {
        let interval = Duration::from_secs(1) / self.config.fps;
        match (self.room(now), keyframe) {
            (Room::Constrained, _) => CONSTRAINED_WINDOW,
            (Room::Unknown, true) => interval * 2,
            (Room::Unknown, false) | (Room::Ample, true) => interval / 2,
            (Room::Ample, false) => interval / 8,
        }
    }

    fn room(&self, now: Instant) -> Room {
        if self.estimator.is_constrained(now) {
            Room::Constrained
        } else if self.told_bps >= self.config.max_bps {
            Room::Ample
        } else {
            Room::Unknown
        }
    }

    fn on_pli(&mut self, now: Instant) {
        if !self.pacer.keyframe_waits() && !self.keyframes.answers(now, self.rtt.unwrap_or(UNKNOWN_RTT)) {
            self.ask_keyframe(now);
        }
    }

    fn ask_keyframe(&mut self, now: Instant) {
        if self.keyframes.ask(now) {
            self.stats.keyframe_requests += 1;
            self.push_event(SenderEvent::KeyframeNeeded);
        }
    }

    fn on_nack(&mut self, now: Instant, ssrc: u32, sequences: &[u16]) {
        let (stream, store, floor) = if ssrc == self.config.video.ssrc {
            (Stream::Video, &mut self.video_store, self.repair_floor)
        } else if ssrc == self.config.audio.ssrc {
            (Stream::Audio, &mut self.audio_store, 0)
        } else {
            return;
        };
        let rtt = self.rtt.unwrap_or(UNKNOWN_RTT);
        let target = self.estimator.target_bps();
        let kind = PacketKind::Retransmission;
        let mut spent = false;
        for &sequence in sequences {
            let refused = match store.request(now, sequence, rtt) {
                Ok(packet) if packet.sequence < floor => true,
                Ok(packet) => {
                    spent |= !self.repair_budget.take(now, target, packet.data.len() as f64 * 8.0);
                    let repair = Queued { stream, kind, packet, begins: None, keyframe: false, since: now };
                    spent || !self.pacer.push_repair(now, repair)
                }
                Err(Refusal::TooSoon) => false,
                Err(Refusal::Gone) => true,
            };
            self.stats.retransmissions_refused += u64::from(refused);
        }
        if spent && stream == Stream::Video {
            self.ask_keyframe(now);
        }
    }

    fn on_transport_cc(&mut self, now: Instant, report: &TwccReport) {
        let fates = self.outlet.history.resolve(report);
        let lost = self.stats.usage.packets_lost.saturating_add_signed(fates.newly_lost);
        self.stats.usage.packets_lost = lost;
        if let Some(departure) = fates.newest_departure {
            self.on_rtt(now.saturating_duration_since(departure));
        }
        if !fates.packets.is_empty() {
            self.estimator.on_packets(now, &fates.packets);
        }
        if let Some(plan) = self.estimator.poll_probe(now) {
            self.probe = Some(ActiveProbe { plan, sent: 0, began: now });
        }
    }

    fn on_receiver_report(&mut self, now: Instant, fraction_lost: f32, highest_seq: u32) {
        self.estimator.on_receiver_report(now, fraction_lost);
        let since =
            self.reported_seq.replace(highest_seq).map_or(0, |before| highest_seq.wrapping_sub(before));
        // Transport-wide feedback counts each packet; a step of half the numbers is a report out of order.
        if self.config.extensions.transport_cc.is_none() && since < u32::MAX / 2 {
            self.stats.usage.packets_lost += (fraction_lost.clamp(0.0, 1.0) * since as f32) as u64;
        }
    }

    fn on_rtt(&mut self, sample: Duration) {
        let sample = sample.min(MAX_RTT);
        let rtt = self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8);
        self.rtt = Some(rtt);
    }

    fn drop_stale(&mut self, now: Instant) {
        if self.pacer.is_stale(now) {
            self.stats.frames_dropped += self.pacer.drop_video();
            self.keyframes.broken();
            self.ask_keyframe(now);
        }
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
        let packet = self.outlet.label(now, &queued, probe);
        let size = packet.wire_len();
        self.estimator.on_sent(now, size);
        if let Some(probe) = &mut self.probe {
            probe.sent += size;
            if probe.sent >= probe.plan.bytes {
                self.probe = None;
            }
        }
        self.account(now, &queued, &packet);
        match queued.kind {
            PacketKind::Video => self.video_store.keep(now, queued.packet),
            PacketKind::Audio => self.audio_store.keep(now, queued.packet),
            PacketKind::Retransmission | PacketKind::Probe => {}
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
        let other = self.audio_rate.bps(now) + self.repair_rate.bps(now);
        let video = (self.estimator.target_bps() - other) * PAYLOAD_SHARE;
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

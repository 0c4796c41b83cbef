//! The sender around [`Gcc`]: libwebrtc's pacer, which sends at 2.5 times the target, and its probes.

use crate::gcc::Gcc;
use nearframe_stream::{PacketReport, TwccReport};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const PACING: f64 = 2.5;
/// Bytes of a full packet and of one of audio on the wire.
const PACKET: usize = 1214;
const PAYLOAD: usize = 1150;
const AUDIO: usize = 228;
const AUDIO_BPS: f64 = 160_000.0;
const PROBE: Duration = Duration::from_millis(15);
/// The pacer may make up for so much of a late wake-up.
const CATCH_UP: Duration = Duration::from_millis(5);

pub(crate) struct Out {
    pub(crate) size: usize,
    pub(crate) number: u64,
    pub(crate) frame: Option<u32>,
    pub(crate) last: bool,
}

struct Probe {
    bps: f64,
    first: u64,
    left: usize,
    /// Numbers of its packets, once all have left.
    numbers: Option<(u64, u64)>,
    sent: Option<(Instant, Instant)>,
    arrived: Option<(Duration, Duration)>,
    bytes: usize,
}

pub(crate) struct GccSender {
    gcc: Gcc,
    audio: usize,
    video: VecDeque<(u32, usize, bool)>,
    busy_until: Instant,
    history: VecDeque<(Instant, usize)>,
    first: u64,
    probe: Option<Probe>,
}

impl GccSender {
    pub(crate) fn new(now: Instant, start_bps: f64, max_bps: f64) -> Self {
        Self {
            gcc: Gcc::new(now, start_bps, max_bps),
            audio: 0,
            video: VecDeque::new(),
            busy_until: now,
            history: VecDeque::new(),
            first: 1,
            probe: None,
        }
    }

    /// What is left for the payload of video.
    pub(crate) fn video_bps(&self) -> f64 {
        (self.gcc.target_bps() - AUDIO_BPS) * PAYLOAD as f64 / PACKET as f64
    }

    pub(crate) fn push_audio(&mut self) {
        self.audio += 1;
    }

    pub(crate) fn push_video(&mut self, frame: u32, size: usize) {
        let count = size.div_ceil(PAYLOAD);
        for index in 0..count {
            let payload = (size - index * PAYLOAD).min(PAYLOAD);
            self.video.push_back((frame, payload + PACKET - PAYLOAD, index + 1 == count));
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<Out> {
        if self.audio > 0 {
            self.audio -= 1;
            return Some(self.leave(now, AUDIO, None, false));
        }
        if self.busy_until > now {
            return None;
        }
        let probing = self.probe.as_ref().filter(|probe| probe.left > 0).map(|probe| probe.bps);
        let rate = probing.unwrap_or(PACING * self.gcc.target_bps());
        let out = match self.video.pop_front() {
            Some((frame, size, last)) => self.leave(now, size, Some(frame), last),
            None => {
                probing?;
                self.leave(now, PACKET, None, false)
            }
        };
        let begins = self.busy_until.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        let begins = if self.video.is_empty() && probing.is_none() { now } else { begins };
        self.busy_until = begins + Duration::from_secs_f64(out.size as f64 * 8.0 / rate);
        Some(out)
    }

    fn leave(&mut self, now: Instant, size: usize, frame: Option<u32>, last: bool) -> Out {
        let number = self.first + self.history.len() as u64;
        self.history.push_back((now, size));
        if self.history.len() > 8192 {
            self.history.pop_front();
            self.first += 1;
        }
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.left > 0) {
            probe.left = probe.left.saturating_sub(size);
            if probe.left == 0 {
                probe.numbers = Some((probe.first, number));
            }
        }
        Out { size, number, frame, last }
    }

    pub(crate) fn on_report(&mut self, now: Instant, report: &TwccReport) {
        let newest = self.first + self.history.len() as u64;
        let mut packets = Vec::with_capacity(report.reports.len());
        for &(number, arrival) in &report.reports {
            let number = newest.saturating_add_signed(i64::from(number.wrapping_sub(newest as u16) as i16));
            let Some(index) = number.checked_sub(self.first) else { continue };
            let Some(&(departure, size)) = self.history.get(index as usize) else { continue };
            packets.push(PacketReport { departure, arrival, size, probe: None, ce: false });
            if let (Some(probe), Some(arrival)) = (&mut self.probe, arrival)
                && probe.numbers.is_some_and(|(first, last)| (first..=last).contains(&number))
            {
                let (first, _) = *probe.sent.get_or_insert((departure, departure));
                probe.sent = Some((first, departure));
                let (first, _) = *probe.arrived.get_or_insert((arrival, arrival));
                probe.bytes += if probe.arrived == Some((arrival, arrival)) { 0 } else { size };
                probe.arrived = Some((first, arrival));
            }
        }
        self.gcc.on_packets(now, &packets);
        self.conclude(now);
        if self.probe.is_none()
            && let Some(bps) = self.gcc.poll_probe()
        {
            let left = (bps * PROBE.as_secs_f64() / 8.0) as usize;
            let first = self.first + self.history.len() as u64;
            self.probe = Some(Probe { bps, first, left, numbers: None, sent: None, arrived: None, bytes: 0 });
        }
    }

    fn conclude(&mut self, now: Instant) {
        let newest = self.first + self.history.len() as u64;
        let Some(probe) = &self.probe else { return };
        let Some((_, last)) = probe.numbers else { return };
        let (Some(sent), Some(arrived)) = (probe.sent, probe.arrived) else { return };
        let last_sent = last.checked_sub(self.first).and_then(|index| self.history.get(index as usize));
        if newest > last && last_sent.is_some_and(|&(at, _)| at <= sent.1) {
            let bits = probe.bytes as f64 * 8.0;
            let rate = |span: Duration| bits / span.as_secs_f64().max(1e-4);
            let (sent_bps, arrived_bps) = (rate(sent.1 - sent.0), rate(arrived.1 - arrived.0));
            self.probe = None;
            self.gcc.on_probe(now, sent_bps, arrived_bps);
        }
    }
}

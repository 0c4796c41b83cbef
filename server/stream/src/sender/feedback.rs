//! What the receiver says.

use super::{ActiveProbe, MediaSender, SenderEvent};
use crate::feedback::{Feedback, PacketReport, TwccReport};
use crate::history::{Cargo, CargoFate};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A report that says more frames are good than this tells of the newest only, so that other events keep
/// their place.
const MAX_FRAMES_TOLD: usize = 32;

/// For how long the receiver has heard what was sent. What it missed in a pause it can ask for only once that is over.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Departures of the first packet after a pause, and of the newest.
    span: Option<(Instant, Instant)>,
}

impl Hearing {
    /// A packet that left at `departure` arrived; `patience` is a pause.
    fn heard(&mut self, departure: Instant, patience: Duration) {
        let span = self.span.get_or_insert((departure, departure));
        if departure.saturating_duration_since(span.1) > patience {
            span.0 = departure;
        }
        span.1 = span.1.max(departure);
    }

    /// What left before would have been asked for by now, if it were missing.
    fn moment(&self, patience: Duration) -> Option<Instant> {
        let (since, newest) = self.span?;
        newest.checked_sub(patience).filter(|&moment| moment >= since)
    }
}

impl MediaSender {
    /// Heeds one message of the receiver.
    pub fn handle_feedback(&mut self, now: Instant, feedback: Feedback) {
        match feedback {
            Feedback::Pli => self.on_pli(now),
            Feedback::Nack { ssrc, sequences } => self.on_nack(now, ssrc, &sequences),
            Feedback::TransportCc(report) => self.on_transport_cc(now, &report),
            Feedback::ReceiverReport { ssrc, fraction_lost, highest_seq, rtt, .. } => {
                if let Some(rtt) = rtt {
                    self.rtt.take(now, rtt);
                }
                if ssrc == self.config.video.ssrc {
                    self.on_receiver_report(now, fraction_lost, highest_seq);
                }
            }
            Feedback::Remb { bps } => self.estimator.on_remb(now, bps),
        }
        self.tell_target(now);
    }

    fn on_transport_cc(&mut self, now: Instant, report: &TwccReport) {
        self.outlet.asking.answered();
        let fates = self.outlet.history.resolve(report);
        let lost = self.stats.usage.packets_lost.saturating_add_signed(fates.newly_lost);
        self.stats.usage.packets_lost = lost;
        if let Some(departure) = fates.newest_departure {
            self.rtt.take(now, now.saturating_duration_since(departure));
        }
        self.presume(now, &fates.packets);
        self.on_cargo(now, &fates.cargo);
        if !fates.packets.is_empty() {
            self.estimator.on_packets(now, &fates.packets);
        }
        if let Some(plan) = self.estimator.poll_probe(now) {
            self.probe = Some(ActiveProbe { plan, sent: 0, began: now });
        }
    }

    /// What the receiver has not asked for while it heard what left later is there.
    fn presume(&mut self, now: Instant, packets: &[PacketReport]) {
        let patience = self.recovery.patience(self.conditions(now).rtt);
        let arrived = packets.iter().filter(|packet| packet.arrival.is_some());
        arrived.for_each(|packet| self.hearing.heard(packet.departure, patience));
        if let Some(moment) = self.hearing.moment(patience) {
            self.frames.presume(moment);
        }
    }

    fn on_cargo(&mut self, now: Instant, fates: &[CargoFate]) {
        let (mut lost_again, mut blocks) = (Vec::new(), BTreeSet::new());
        for fate in fates {
            match fate {
                CargoFate { corrected: true, .. } => self.loss.turned_up(now),
                CargoFate { arrived, .. } => self.loss.count(now, *arrived),
            }
            match fate.cargo {
                Cargo::Video(sequence) if fate.arrived => self.frames.arrived(sequence),
                Cargo::Repeat(sequence) if fate.arrived => self.frames.repeat_arrived(sequence),
                Cargo::Fec(sequence) => blocks.extend(self.frames.parity_reported(sequence, fate.arrived)),
                Cargo::Video(sequence) => {
                    self.frames.missed(sequence);
                    self.unasked.missing(now, sequence);
                }
                Cargo::Repeat(sequence) => lost_again.push(sequence),
                _ => {}
            }
        }
        let good = self.frames.settle();
        // What was left to parity is not repaired where that is lost as well.
        let left = blocks.into_iter().flat_map(|base| self.frames.left_of(base)).collect();
        self.repair_again(now, lost_again);
        self.repair_absent(now, left);
        if self.keeps_references() {
            for &frame in &good[good.len().saturating_sub(MAX_FRAMES_TOLD)..] {
                self.push_event(SenderEvent::FrameReceived { frame });
            }
        }
    }

    fn on_receiver_report(&mut self, now: Instant, fraction_lost: f32, highest_seq: u32) {
        self.estimator.on_receiver_report(now, fraction_lost);
        let since =
            self.reported_seq.replace(highest_seq).map_or(0, |before| highest_seq.wrapping_sub(before));
        // Transport-wide feedback counts each packet; a step of half the numbers is a report out of order.
        if self.config.extensions.transport_cc.is_none() && since < u32::MAX / 2 {
            self.stats.usage.packets_lost += (fraction_lost.clamp(0.0, 1.0) * since as f32) as u64;
            self.loss.count_share(now, since, fraction_lost);
        }
    }
}

//! Packets that reports call missing before the receiver asks for them.
//!
//! A browser that only receives has never measured a round trip, takes it for 100 ms, and repeats a request after no
//! less: where a request or its answer is lost, the picture stands for as long. Reports of arrivals come with every
//! frame, so a repeat that was lost is made again at once, and a packet that is missing without having been asked for
//! is repeated as if it had been, once the request had the time to arrive.

use super::repair::Answer;
use super::{MediaSender, UNKNOWN_RTT};
use crate::history::Cargo;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A request leaves a receiver as soon as the report that calls the packet missing; it may come by so much later.
const GRACE: Duration = Duration::from_millis(8);
/// Packets that may wait for their request; more are an outage, after which other things help.
const MAX_WAITING: usize = 512;

/// Packets of video that were reported missing, and when they count as unasked for.
#[derive(Debug, Default)]
pub(super) struct Unasked(VecDeque<(Instant, u64)>);

impl Unasked {
    /// This packet was reported missing.
    pub(super) fn missing(&mut self, now: Instant, sequence: u64) {
        if self.0.len() < MAX_WAITING {
            self.0.push_back((now + GRACE, sequence));
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|&(due, _)| due)
    }

    fn take(&mut self, now: Instant) -> Option<u64> {
        self.0.pop_front_if(|(due, _)| *due <= now).map(|(_, sequence)| sequence)
    }
}

impl MediaSender {
    /// Repeats what was reported missing and not asked for in time. What parity may restore is left to it and to
    /// the receiver, which alone knows whether it did.
    pub(super) fn repair_unasked(&mut self, now: Instant) {
        let mut unasked = Vec::new();
        while let Some(sequence) = self.unasked.take(now) {
            let is_known = self.frames.is_asked(sequence) || self.frames.is_settled(sequence);
            if !is_known && !self.frames.is_protected(sequence) {
                unasked.push(sequence);
            }
        }
        self.repair_missing(now, unasked);
    }

    /// Repeats what was lost on its way once more, where no other copy is under way.
    pub(super) fn repair_again(&mut self, now: Instant, lost: Vec<u64>) {
        let lost = self.absent(now, lost);
        for &sequence in &lost {
            self.video_store.was_lost(sequence as u16);
        }
        self.repair_missing(now, lost);
    }

    /// Repeats what is missing, where no copy is under way.
    pub(super) fn repair_absent(&mut self, now: Instant, missing: Vec<u64>) {
        let missing = self.absent(now, missing);
        self.repair_missing(now, missing);
    }

    /// Those of them that the receiver needs and that are not on their way.
    fn absent(&self, now: Instant, sequences: Vec<u64>) -> Vec<u64> {
        let way = self.rtt.smoothed().unwrap_or(UNKNOWN_RTT) * 3 / 2;
        let since = now.checked_sub(way).unwrap_or(now);
        let history = &self.outlet.history;
        let is_coming = |sequence: u64| {
            let waits = self.echoes.iter().any(|echo| echo.packet.sequence == sequence);
            waits || history.is_under_way(Cargo::Repeat(sequence), since)
        };
        let is_missed = |&sequence: &u64| !self.frames.is_settled(sequence) && !is_coming(sequence);
        sequences.into_iter().filter(is_missed).collect()
    }

    fn repair_missing(&mut self, now: Instant, sequences: Vec<u64>) {
        let mut hopeless = Vec::new();
        for sequence in sequences {
            match self.repair(now, sequence, false) {
                // What is too dear now may be asked for later.
                Answer::Repaired | Answer::TooDear => {}
                Answer::Refused => hopeless.push(sequence),
            }
        }
        if self.keeps_references() && !hopeless.is_empty() {
            self.lose(now, &hopeless);
        }
    }
}

//! What the spacing of packets tells of the bottleneck (packet dispersion, as in Pudica, NSDI 2024).
//!
//! While packets queue, they arrive spaced at the bottleneck's rate, whatever was sent: a run of packets that
//! all had to queue measures the capacity. A frame that arrives as fast as it was paced out has met no
//! bottleneck: it proves its own pace. Both come from ordinary frames; nothing is sent for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A packet this late had to queue, on a path without jitter.
const BUSY_US: i64 = 1500;
/// Only so much of a run counts, so that a capacity that changes is followed.
const RUN_WINDOW_US: i64 = 80_000;
/// Shorter runs say nothing: arrival times are told in steps of 250 µs.
const MIN_RUN_US: i64 = 4000;
const MIN_RUN_PACKETS: usize = 4;
/// A run this long is believed at once where it contradicts what was known by [`CONTRADICTION`].
const LONG_RUN_US: i64 = 20_000;
const CONTRADICTION: f64 = 0.75;
/// A shorter one where it falls far below.
const FALLEN_RUN_US: i64 = 8000;
const FALLEN: f64 = 0.6;
/// How fast shorter runs move the estimate: a run of this length by 63 %.
const SMOOTHING_US: f64 = 60_000.0;
/// A capacity that no run has confirmed for so long may be another.
const MEMORY: Duration = Duration::from_secs(3);
/// Packets that leave at most this far apart are one burst: a frame, paced in groups of a millisecond.
const BURST_GAP_US: i64 = 3000;
const MIN_BURST_US: i64 = 2000;
const MIN_BURST_PACKETS: usize = 4;
/// A burst that takes this much longer to arrive than to leave met a bottleneck.
const STRETCH: f64 = 1.1;
const STRETCH_US: i64 = 500;
/// As many bursts in a row must agree.
const PROOFS: usize = 3;
const PROOF_MEMORY: Duration = Duration::from_millis(300);
/// Weight of one burst in the measured jitter.
const JITTER_WEIGHT: f64 = 1.0 / 16.0;
/// More than this between two bursts is congestion, not jitter.
const MAX_JITTER_US: f64 = 20_000.0;
/// Bound of the run: 80 ms at 25 000 packets a second.
const MAX_RUN: usize = 2048;

/// One packet that arrived. Times in µs, on two clocks: only differences mean anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) departure: i64,
    pub(crate) arrival: i64,
    /// Delay beyond the path's shortest.
    pub(crate) queue: i64,
    pub(crate) bits: f64,
}

/// A busy period of the bottleneck, still open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    /// What the path carried, bits a second.
    pub(crate) rate_bps: f64,
    /// What was sent into it, bits a second.
    pub(crate) offered_bps: f64,
    pub(crate) span: Duration,
    /// What its newest packet had to queue.
    pub(crate) queue: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    first: Passed,
    last: Passed,
    bits: f64,
    packets: usize,
    /// The longest time between two arrivals, µs.
    gap: i64,
}

impl Burst {
    fn of(first: Passed) -> Self {
        Self { first, last: first, bits: 0.0, packets: 1, gap: 0 }
    }

    /// The first packet opens the interval in which the others arrive.
    fn add(&mut self, passed: Passed) {
        self.gap = self.gap.max(passed.arrival - self.last.arrival);
        self.bits += passed.bits;
        self.packets += 1;
        self.last = passed;
    }

    /// Whether packets arrived evenly, as a bottleneck lets them through, and not before and after a pause.
    fn is_even(&self) -> bool {
        self.gap * 2 <= self.last.arrival - self.first.arrival
    }

    /// Takes a packet that left right after the last one.
    fn extend(&mut self, passed: Passed) -> bool {
        let follows = (0..=BURST_GAP_US).contains(&(passed.departure - self.last.departure))
            && passed.arrival >= self.last.arrival;
        if follows {
            self.add(passed);
        }
        follows
    }
}

/// A rate that runs have measured.
#[derive(Debug, Default)]
struct Rate {
    known: Option<(f64, Instant)>,
}

impl Rate {
    fn bps(&self, now: Instant) -> Option<f64> {
        let (bps, at) = self.known?;
        (now.saturating_duration_since(at) < MEMORY).then_some(bps)
    }

    /// Learns from a run, of which `fresh_us` are news.
    fn learn(&mut self, now: Instant, run: &Burst, fresh_us: i64) {
        let span = run.last.arrival - run.first.arrival;
        if run.packets < MIN_RUN_PACKETS || span < MIN_RUN_US || !run.is_even() {
            return;
        }
        let sample = run.bits * 1e6 / span as f64;
        let offered = run.bits * 1e6 / (run.last.departure - run.first.departure).max(1) as f64;
        let known = self.bps(now);
        if offered < sample * STRETCH && known.is_none_or(|known| sample < known) {
            // All that was sent came through, behind a queue of others or an old one of ours.
            return;
        }
        let bps = known.map_or(sample, |known| {
            let contradicts = !(CONTRADICTION..1.0 / CONTRADICTION).contains(&(sample / known));
            let fallen = sample < FALLEN * known && span >= FALLEN_RUN_US;
            let weight = if contradicts && span >= LONG_RUN_US || fallen {
                1.0
            } else {
                1.0 - (-(fresh_us.min(span) as f64) / SMOOTHING_US).exp()
            };
            known + (sample - known) * weight
        });
        self.known = Some((bps, now));
    }
}

/// Measures capacity from dispersion.
#[derive(Debug, Default)]
pub(crate) struct Dispersion {
    run: VecDeque<Passed>,
    /// Arrival of the newest packet of it that `share` has learnt from.
    learnt_until: Option<i64>,
    /// The part of the run that lies within one burst.
    section: Option<Burst>,
    /// From sections: the whole bottleneck's rate, unless others send at the same moment.
    capacity: Rate,
    /// From runs: what is left for us while others send as well.
    share: Rate,
    burst: Option<Burst>,
    proofs: VecDeque<Option<f64>>,
    proven_at: Option<Instant>,
    /// What the newest burst's first packet had to queue beyond what the burst before had left.
    unforeseen: Option<i64>,
    jitter_us: f64,
}

impl Dispersion {
    /// Takes packets in order of departure. `calm`: whether no queue stands, so that what varies is jitter.
    pub(crate) fn on_packet(&mut self, now: Instant, passed: Passed, calm: bool) {
        self.extend_burst(now, passed, calm);
        if passed.queue < self.busy_us() {
            self.close_section(now);
            self.close_run(now);
            return;
        }
        self.extend_section(now, passed);
        if self.run.back().is_some_and(|last| passed.arrival < last.arrival) {
            return;
        }
        let jitter = 2 * self.jitter_us as i64;
        if self.run.back().is_some_and(|last| passed.departure - last.departure > last.queue - jitter) {
            // The queue had run out in between: what made both late is something else.
            self.close_run(now);
        }
        self.run.push_back(passed);
        while self.run.len() > MAX_RUN
            || self.run.front().is_some_and(|first| passed.arrival - first.arrival > RUN_WINDOW_US)
        {
            self.run.pop_front();
        }
    }

    /// To be called after the packets of a report: a run need not end to be believed.
    pub(crate) fn on_report(&mut self, now: Instant) {
        if self.run_span() >= FALLEN_RUN_US && self.fresh_us() >= FALLEN_RUN_US {
            self.learn_share(now);
        }
    }

    /// How much of the run is news to `share`.
    fn fresh_us(&self) -> i64 {
        let newest = self.run.back().map_or(0, |last| last.arrival);
        self.learnt_until.map_or_else(|| self.run_span(), |until| newest - until)
    }

    fn learn_share(&mut self, now: Instant) {
        let fresh_us = self.fresh_us();
        if let Some(run) = self.run_so_far() {
            self.share.learn(now, &run, fresh_us);
            self.learnt_until = Some(run.last.arrival);
        }
    }

    /// What the bottleneck carries, where a frame had to queue lately.
    pub(crate) fn capacity_bps(&self, now: Instant) -> Option<f64> {
        self.capacity.bps(now)
    }

    /// What the bottleneck carries of ours, where packets had to queue lately.
    pub(crate) fn share_bps(&self, now: Instant) -> Option<f64> {
        self.share.bps(now)
    }

    /// The least that the path was just shown to carry.
    pub(crate) fn proven_bps(&self, now: Instant) -> Option<f64> {
        let fresh = self.proven_at.is_some_and(|at| now.saturating_duration_since(at) < PROOF_MEMORY);
        if !fresh || self.proofs.len() < PROOFS {
            return None;
        }
        self.proofs.iter().copied().try_fold(f64::MAX, |least, proof| Some(least.min(proof?)))
    }

    /// The busy period that lasts.
    pub(crate) fn run(&self) -> Option<Run> {
        let run = self.run_so_far()?;
        let span = self.run_span();
        if run.packets < MIN_RUN_PACKETS || span < MIN_RUN_US || !run.is_even() {
            return None;
        }
        let sent_us = (run.last.departure - run.first.departure).max(1);
        Some(Run {
            rate_bps: run.bits * 1e6 / span as f64,
            offered_bps: run.bits * 1e6 / sent_us as f64,
            span: Duration::from_micros(span.unsigned_abs()),
            queue: Duration::from_micros(run.last.queue.unsigned_abs()),
        })
    }

    /// How much the delay varies from frame to frame without congestion, and not by what our own frames left queued.
    pub(crate) fn jitter(&self) -> Duration {
        Duration::from_micros(self.jitter_us as u64)
    }

    pub(crate) fn forget(&mut self) {
        *self = Self { jitter_us: self.jitter_us, ..Self::default() };
    }

    /// Takes back a capacity that was disproved.
    pub(crate) fn forget_capacity(&mut self) {
        self.capacity = Rate::default();
        self.share = Rate::default();
    }

    fn busy_us(&self) -> i64 {
        BUSY_US + (2.0 * self.jitter_us) as i64
    }

    fn run_span(&self) -> i64 {
        self.run.front().zip(self.run.back()).map_or(0, |(first, last)| last.arrival - first.arrival)
    }

    fn run_so_far(&self) -> Option<Burst> {
        let mut run = Burst::of(*self.run.front()?);
        self.run.iter().skip(1).for_each(|&passed| run.add(passed));
        Some(run)
    }

    fn close_run(&mut self, now: Instant) {
        if self.fresh_us() > 0 {
            self.learn_share(now);
        }
        self.run.clear();
        self.learnt_until = None;
    }

    fn extend_section(&mut self, now: Instant, passed: Passed) {
        if self.section.as_mut().is_some_and(|section| section.extend(passed)) {
            return;
        }
        self.close_section(now);
        self.section = Some(Burst::of(passed));
    }

    fn close_section(&mut self, now: Instant) {
        if let Some(section) = self.section.take() {
            self.capacity.learn(now, &section, section.last.arrival - section.first.arrival);
        }
    }

    fn extend_burst(&mut self, now: Instant, passed: Passed, calm: bool) {
        let mut own = 0;
        if let Some(burst) = &mut self.burst {
            if burst.extend(passed) {
                return;
            }
            let burst = *burst;
            self.judge(now, &burst);
            own = (burst.last.queue - (passed.departure - burst.last.departure)).max(0);
        }
        let unforeseen = passed.queue - own;
        if let Some(before) = self.unforeseen.filter(|_| calm) {
            let change = (unforeseen.saturating_sub(before).saturating_abs() as f64).min(MAX_JITTER_US);
            self.jitter_us += (change - self.jitter_us) * JITTER_WEIGHT;
        }
        self.unforeseen = Some(unforeseen);
        self.burst = Some(Burst::of(passed));
    }

    fn judge(&mut self, now: Instant, burst: &Burst) {
        let sent = burst.last.departure - burst.first.departure;
        if burst.packets < MIN_BURST_PACKETS || sent < MIN_BURST_US {
            return;
        }
        let arrived = burst.last.arrival - burst.first.arrival;
        let free = arrived as f64 <= sent as f64 * STRETCH + STRETCH_US as f64
            && self.jitter_us * 6.0 < sent as f64
            && burst.last.queue < self.busy_us() + STRETCH_US;
        if self.proofs.len() >= PROOFS {
            self.proofs.pop_front();
        }
        self.proofs.push_back(free.then(|| burst.bits * 1e6 / arrived.max(sent) as f64));
        self.proven_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET_BITS: f64 = 10_000.0;

    /// Frames of 20 packets every 16.7 ms, paced at 20 Mbit/s into a bottleneck of `capacity_bps`.
    fn frames(capacity_bps: f64, count: i64, jitter_us: i64) -> (Dispersion, Instant) {
        let now = Instant::now();
        let (mut dispersion, mut free_at) = (Dispersion::default(), 0);
        for frame in 0..count {
            let late = frame * 7919 % (jitter_us + 1);
            for packet in 0..20 {
                let departure = frame * 16_667 + packet * 500;
                free_at = free_at.max(departure) + (PACKET_BITS * 1e6 / capacity_bps) as i64;
                let arrival = free_at + late;
                let queue = arrival - departure - (PACKET_BITS * 1e6 / capacity_bps) as i64;
                dispersion.on_packet(now, Passed { departure, arrival, queue, bits: PACKET_BITS }, true);
            }
            dispersion.on_report(now);
        }
        (dispersion, now)
    }

    #[test]
    fn frames_that_queue_measure_the_bottleneck_though_no_queue_stands() {
        for capacity in [13e6, 14e6, 15e6] {
            let (dispersion, now) = frames(capacity, 20, 0);
            let found = dispersion.capacity_bps(now).unwrap();
            assert!((found / capacity - 1.0).abs() < 0.03, "{capacity} was taken for {found}");
            assert_eq!(dispersion.proven_bps(now), None);
        }
    }

    #[test]
    fn frames_that_arrive_as_paced_prove_their_pace_and_name_no_bottleneck() {
        let (dispersion, now) = frames(100e6, 20, 0);
        assert_eq!(dispersion.capacity_bps(now), None);
        assert!((dispersion.proven_bps(now).unwrap() / 20e6 - 1.0).abs() < 0.02);
    }

    #[test]
    fn jitter_is_no_bottleneck_and_proves_nothing() {
        let (dispersion, now) = frames(100e6, 200, 9000);
        assert_eq!(dispersion.proven_bps(now), None);
        assert!(dispersion.capacity_bps(now).is_none_or(|bps| bps > 18e6));
    }

    #[test]
    fn what_our_own_frames_left_in_the_queue_is_no_jitter() {
        for capacity in [13e6, 11e6, 9e6] {
            let (dispersion, _) = frames(capacity, 60, 0);
            assert!(
                dispersion.jitter() < Duration::from_micros(300),
                "{capacity}: {:?}",
                dispersion.jitter()
            );
        }
        assert!(frames(100e6, 200, 9000).0.jitter() > Duration::from_micros(1500));
    }

    #[test]
    fn what_was_found_is_forgotten_after_a_while() {
        let (dispersion, now) = frames(15e6, 20, 0);
        assert_eq!(dispersion.capacity_bps(now + MEMORY), None);
    }
}

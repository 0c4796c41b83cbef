//! A seeded link in simulated time: rate or trace, propagation delay, jitter, drop-tail queue, random loss,
//! congestion marks, outages.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// SplitMix64: the same seed, the same run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Uniform in 0.0..1.0.
    pub(crate) fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Bytes of one opportunity of a trace, as mahimahi counts them.
const OPPORTUNITY_BYTES: usize = 1504;

/// What a link does to packets.
#[derive(Clone)]
pub(crate) struct Path {
    /// Bits a second from each moment on, ascending, first at zero.
    pub(crate) rate_bps: Vec<(Duration, f64)>,
    pub(crate) delay: Duration,
    /// Uniform extra delay; order is kept.
    pub(crate) jitter: Duration,
    pub(crate) buffer_bytes: usize,
    pub(crate) loss: f64,
    /// Nothing passes.
    pub(crate) outage: Range<Duration>,
    /// The receiving process sleeps this often, for up to so long.
    pub(crate) stalls: Option<(Duration, Duration)>,
    /// In place of the rate: milliseconds at which 1504 bytes may pass, ascending; repeats from its end.
    pub(crate) trace: Option<Arc<[u32]>>,
    /// A packet that stood in the queue for longer is marked (ECN CE).
    pub(crate) mark: Option<Duration>,
}

impl Path {
    pub(crate) fn of(rate_bps: f64, buffer: Duration) -> Self {
        Self {
            rate_bps: vec![(Duration::ZERO, rate_bps)],
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(1),
            buffer_bytes: (rate_bps * buffer.as_secs_f64() / 8.0) as usize,
            loss: 0.0,
            outage: Duration::MAX..Duration::MAX,
            stalls: None,
            trace: None,
            mark: None,
        }
    }
    fn rate_at(&self, elapsed: Duration) -> f64 {
        self.rate_bps.iter().rev().find(|(from, _)| *from <= elapsed).map_or(1e9, |&(_, rate)| rate)
    }
}

struct Waiting<T> {
    size: usize,
    entered: Instant,
    packet: T,
}

/// A packet that came through.
pub(crate) struct Arrival<T> {
    pub(crate) at: Instant,
    /// How long it stood in the queue, its own transmission included.
    pub(crate) queued: Duration,
    #[allow(dead_code, reason = "read by the tests of congestion control")]
    pub(crate) marked: bool,
    pub(crate) packet: T,
}

/// The opportunities of a trace that are still to come.
#[derive(Default)]
struct Opportunities {
    next: u64,
    /// When the last one was used, and what it has left for a packet that waits.
    open: (Duration, usize),
}

impl Opportunities {
    /// When `size` bytes that begin at `from` are through.
    fn serve(&mut self, trace: &[u32], from: Duration, size: usize) -> Duration {
        let (at, left) = self.open;
        let mut served = if at == from { left } else { 0 };
        let mut through = at.max(from);
        while served < size {
            let (round, index) = (self.next / trace.len() as u64, (self.next % trace.len() as u64) as usize);
            let period = u64::from(trace[trace.len() - 1]);
            through = Duration::from_millis(round * period + u64::from(trace[index]));
            self.next += 1;
            if through >= from {
                served += OPPORTUNITY_BYTES;
            }
        }
        self.open = (through, served - size);
        through
    }
}

/// One direction of a path.
pub(crate) struct Link<T> {
    path: Path,
    start: Instant,
    dice: Dice,
    queue: VecDeque<Waiting<T>>,
    queued_bytes: usize,
    /// When the head of the queue is through.
    head_done: Instant,
    flying: VecDeque<Arrival<T>>,
    /// The next or present sleep of the receiving process.
    stall: (Instant, Instant),
    opportunities: Opportunities,
    pub(crate) dropped: usize,
}

impl<T> Link<T> {
    pub(crate) fn new(path: Path, start: Instant, seed: u64) -> Self {
        Self {
            path,
            start,
            dice: Dice(seed),
            queue: VecDeque::new(),
            queued_bytes: 0,
            head_done: start,
            flying: VecDeque::new(),
            stall: (start, start),
            opportunities: Opportunities::default(),
            dropped: 0,
        }
    }

    pub(crate) fn send(&mut self, now: Instant, size: usize, packet: T) {
        let lost = self.dice.roll() < self.path.loss || self.path.outage.contains(&(now - self.start));
        if lost || self.queued_bytes + size > self.path.buffer_bytes {
            self.dropped += 1;
            return;
        }
        if self.queue.is_empty() {
            self.head_done = now + self.transmission(now, size);
        }
        self.queued_bytes += size;
        self.queue.push_back(Waiting { size, entered: now, packet });
    }

    /// What has arrived by now, in order.
    pub(crate) fn receive(&mut self, now: Instant) -> Vec<Arrival<T>> {
        while self.head_done <= now {
            let Some(Waiting { size, entered, packet }) = self.queue.pop_front() else { break };
            self.queued_bytes -= size;
            let done = self.head_done;
            let flight = self.path.delay + self.path.jitter.mul_f64(self.dice.roll());
            let at = self.awake(done + flight);
            let at = self.flying.back().map_or(at, |last| last.at.max(at));
            let queued = done - entered;
            let marked = self.path.mark.is_some_and(|threshold| queued > threshold);
            self.flying.push_back(Arrival { at, queued, marked, packet });
            if let Some(head) = self.queue.front() {
                self.head_done = done + self.transmission(done, head.size);
            }
        }
        let arrived = self.flying.iter().take_while(|arrival| arrival.at <= now).count();
        self.flying.drain(..arrived).collect()
    }

    /// Makes the path longer from now on, as a new route does.
    pub(crate) fn lengthen(&mut self, extra: Duration) {
        self.path.delay += extra;
    }

    /// When the receiving process takes what reaches it at `at`.
    fn awake(&mut self, at: Instant) -> Instant {
        let Some((every, longest)) = self.path.stalls else { return at };
        while self.stall.1 < at {
            let begins = self.stall.1 + every.mul_f64(0.5 + self.dice.roll());
            self.stall = (begins, begins + longest.mul_f64(self.dice.roll()));
        }
        if self.stall.0 <= at { self.stall.1 } else { at }
    }

    fn transmission(&mut self, now: Instant, size: usize) -> Duration {
        if let Some(trace) = &self.path.trace {
            let from = now - self.start;
            return self.opportunities.serve(trace, from, size) - from;
        }
        Duration::from_secs_f64(size as f64 * 8.0 / self.path.rate_at(now - self.start))
    }
}

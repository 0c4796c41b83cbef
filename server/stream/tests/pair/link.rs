//! A seeded link in simulated time: rate, propagation delay, jitter, drop-tail queue, random loss, outages.

use std::collections::VecDeque;
use std::ops::Range;
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
    pub(crate) packet: T,
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
            self.flying.push_back(Arrival { at, queued: done - entered, packet });
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

    fn transmission(&self, now: Instant, size: usize) -> Duration {
        Duration::from_secs_f64(size as f64 * 8.0 / self.path.rate_at(now - self.start))
    }
}

//! One direction of a path, in simulated time.

use crate::capacity::Capacity;
use crate::loss::LossChain;
use crate::rng::Rng;
use crate::spec::{LinkSpec, Queue, SpecError};
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// A queue in time holds at least this, so that a whole packet fits: one Ethernet frame.
const SMALLEST_QUEUE_BYTES: u64 = 1514;
/// Packets that a link without a limit of its own holds, waiting or under way; a second at 3 Gbit/s.
const MOST_UNDER_WAY: usize = 1 << 18;

/// The ECN field of an IP header (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// The sender does not know of marks.
    #[default]
    NotEct,
    /// L4S (RFC 9331).
    Ect1,
    /// It does.
    Ect0,
    /// Congestion experienced.
    Ce,
}

/// What becomes of a packet, known at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The queue was full.
    QueueFull,
    /// It leaves after this wait and is lost on the way.
    Lost {
        /// From coming to having left.
        queued: Duration,
    },
    /// It arrives.
    Arrives {
        /// From coming to having left.
        queued: Duration,
        /// When.
        at: Duration,
        /// Whether it is marked.
        marked: bool,
    },
}

/// A packet that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<P> {
    /// When.
    pub at: Duration,
    /// What was pushed.
    pub packet: P,
    /// Its size in bytes.
    pub size: u32,
    /// Its mark, ours included.
    pub ecn: Ecn,
    /// From coming to having left the queue.
    pub queued: Duration,
}

/// What a link has done so far. `sent` is the sum of `delivered`, `queue_full`, `lost` and what is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets pushed.
    pub sent: u64,
    /// Packets polled.
    pub delivered: u64,
    /// Bytes polled.
    pub delivered_bytes: u64,
    /// Packets that found the queue full.
    pub queue_full: u64,
    /// Packets lost on the way.
    pub lost: u64,
    /// Packets marked.
    pub marked: u64,
}

/// One direction of a path. Packets of any kind go in with a time and come out with one.
#[derive(Clone, Debug)]
pub struct Link<P> {
    spec: LinkSpec,
    capacity: Capacity,
    chances: Chances,
    seed: u64,
    /// When the specification's time zero was.
    origin: Duration,
    /// The latest time that was told.
    now: Duration,
    /// The latest arrival of those that keep their order.
    latest: Duration,
    /// `(leaves, size)` of what has not left, in order.
    waiting: VecDeque<(Duration, u32)>,
    waiting_bytes: u64,
    under_way: BinaryHeap<Reverse<UnderWay<P>>>,
    stats: LinkStats,
}

/// What is drawn for each packet, each from a stream of its own.
#[derive(Clone, Debug)]
struct Chances {
    loss: LossChain,
    jitter: Rng,
    reordering: Rng,
}

impl Chances {
    fn new(spec: &LinkSpec, seed: u64) -> Self {
        Self {
            loss: LossChain::new(spec.loss, Rng::stream(seed, 0)),
            jitter: Rng::stream(seed, 1),
            reordering: Rng::stream(seed, 2),
        }
    }
}

#[derive(Clone, Debug)]
struct UnderWay<P> {
    /// Packets that arrive at one time come out as they were pushed.
    order: (Duration, u64),
    delivery: Delivery<P>,
}

impl<P> Link<P> {
    /// A link at time zero with nothing on it.
    ///
    /// # Errors
    /// When no link can be like that.
    pub fn new(spec: LinkSpec, seed: u64) -> Result<Self, SpecError> {
        spec.check()?;
        Ok(Self {
            capacity: Capacity::new(spec.rate.clone(), spec.outages.clone()),
            chances: Chances::new(&spec, seed),
            seed,
            spec,
            origin: Duration::ZERO,
            now: Duration::ZERO,
            latest: Duration::ZERO,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            under_way: BinaryHeap::new(),
            stats: LinkStats::default(),
        })
    }

    /// What it is like.
    pub fn spec(&self) -> &LinkSpec {
        &self.spec
    }

    /// What it has done.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// From now on the link is like `spec`, whose time zero is now: steps, trace, outages, change of address and all
    /// chances begin anew, as on a new link. What has been pushed keeps its fate.
    ///
    /// # Errors
    /// When no link can be like that; nothing has changed then.
    pub fn restart(&mut self, at: Duration, spec: LinkSpec) -> Result<(), SpecError> {
        spec.check()?;
        let at = self.advance(at);
        self.origin = at;
        self.capacity.restart(at, spec.rate.clone(), spec.outages.clone());
        self.chances = Chances::new(&spec, self.seed);
        self.spec = spec;
        Ok(())
    }

    /// A packet of `size` bytes, its headers included, comes at `at`. A time before an earlier call's counts as that.
    pub fn push(&mut self, at: Duration, size: u32, ecn: Ecn, packet: P) -> Fate {
        let at = self.advance(at);
        self.stats.sent += 1;
        // Drawn for every packet, so that one that is dropped does not shift the fates of those that follow.
        let lost = self.chances.loss.next();
        let extra = self.spec.jitter.spread.mul_f64(self.chances.jitter.unit());
        let held_back = self.chances.reordering.chance(self.spec.reordering.share);
        if self.is_full(at, size) {
            self.stats.queue_full += 1;
            return Fate::QueueFull;
        }
        let leaves = self.capacity.serve(at, size);
        self.waiting.push_back((leaves, size));
        self.waiting_bytes += u64::from(size);
        let queued = leaves - at;
        let arrives = self.arrival(leaves, extra, held_back);
        if lost || self.changes_address(at, arrives) {
            self.stats.lost += 1;
            return Fate::Lost { queued };
        }
        let marked =
            matches!(ecn, Ecn::Ect0 | Ecn::Ect1) && self.spec.mark_above.is_some_and(|most| queued > most);
        self.stats.marked += u64::from(marked);
        let ecn = if marked { Ecn::Ce } else { ecn };
        let delivery = Delivery { at: arrives, packet, size, ecn, queued };
        self.under_way.push(Reverse(UnderWay { order: (arrives, self.stats.sent), delivery }));
        Fate::Arrives { queued, at: arrives, marked }
    }

    /// The next packet that has arrived by `at`; to be called until there is none.
    pub fn poll(&mut self, at: Duration) -> Option<Delivery<P>> {
        let at = self.advance(at);
        if self.poll_timeout()? > at {
            return None;
        }
        let Reverse(UnderWay { delivery, .. }) = self.under_way.pop()?;
        self.stats.delivered += 1;
        self.stats.delivered_bytes += u64::from(delivery.size);
        Some(delivery)
    }

    /// When the next packet arrives; `None` while none is under way.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse(next)| next.order.0)
    }

    /// Bytes that have not left, as of the latest call.
    pub fn queue_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Packets that are to arrive.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// What could have left between two times after the latest restart; `None` where there is no limit.
    pub fn capacity_bytes(&self, from: Duration, until: Duration) -> Option<u64> {
        self.capacity.bytes_between(from, until)
    }

    fn advance(&mut self, at: Duration) -> Duration {
        self.now = self.now.max(at);
        while let Some((_, size)) = self.waiting.pop_front_if(|(leaves, _)| *leaves <= self.now) {
            self.waiting_bytes -= u64::from(size);
        }
        self.now
    }

    fn is_full(&self, at: Duration, size: u32) -> bool {
        if self.waiting.len() + self.under_way.len() >= MOST_UNDER_WAY {
            return true;
        }
        let limit = match (self.spec.queue, self.spec.rate.bps_at(at.saturating_sub(self.origin))) {
            (_, None) => return false,
            (Queue::Bytes(bytes), _) => bytes,
            (Queue::Time(time), Some(bps)) => {
                ((time.as_nanos() * u128::from(bps) / 8_000_000_000) as u64).max(SMALLEST_QUEUE_BYTES)
            }
        };
        self.waiting_bytes > 0 && self.waiting_bytes + u64::from(size) > limit
    }

    fn arrival(&mut self, leaves: Duration, extra: Duration, held_back: bool) -> Duration {
        let mut arrives = leaves + self.spec.delay + extra;
        if !self.spec.jitter.free {
            arrives = arrives.max(self.latest);
            self.latest = arrives;
        }
        if held_back { arrives + self.spec.reordering.by } else { arrives }
    }

    fn changes_address(&self, comes: Duration, arrives: Duration) -> bool {
        let change = self.spec.address_change.map(|change| self.origin + change);
        change.is_some_and(|change| comes < change && change <= arrives)
    }
}

impl<P> PartialEq for UnderWay<P> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<P> Eq for UnderWay<P> {}

impl<P> PartialOrd for UnderWay<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for UnderWay<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

//! Media and TCP flows that share one link, in simulated time.
//!
//! Every media flow has the same encoder and the same receiver; only the sender differs. The receiver reports
//! every 50 ms, or when it is asked to, as libwebrtc does. A frame with a packet missing is never complete: repair is another test's
//! subject. What counts is what a player sees: at each tick of the frame clock, how long it takes until that
//! picture or a newer one is there, whether or not a frame was encoded for it.

use crate::flow::{Flow, Seen, Sent};
use crate::link::{Link, Path};
use crate::tcp::{Kind, SEGMENT, Tcp};
use nearframe_stream::TwccReport;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A report on the wire.
const REPORT_BYTES: usize = 100;
const STEP: Duration = Duration::from_micros(250);

/// What the link carries.
pub(crate) enum Load {
    Media { flow: usize, sent: Sent },
    Tcp { flow: usize, number: u64 },
}

struct Bulk {
    tcp: Tcp,
    during: Range<Duration>,
    acks: VecDeque<(Instant, u64)>,
    passed: Vec<(Duration, usize)>,
}

pub(crate) struct World {
    start: Instant,
    now: Instant,
    link: Link<Load>,
    back: Duration,
    /// The way of reports, where it is not always as long as `back`.
    reports: Option<Link<(usize, TwccReport)>>,
    pub(crate) flows: Vec<Flow>,
    bulks: Vec<Bulk>,
}

impl World {
    pub(crate) fn new(path: &Path, seed: u64) -> Self {
        let start = Instant::now();
        let link = Link::new(path.clone(), start, seed ^ 1);
        let (flows, bulks) = (Vec::new(), Vec::new());
        Self { start, now: start, link, back: path.delay, reports: None, flows, bulks }
    }

    /// Reports come back over this path.
    pub(crate) fn back_over(mut self, path: &Path, seed: u64) -> Self {
        self.reports = Some(Link::new(path.clone(), self.start, seed ^ 2));
        self
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn with(mut self, flow: Flow) -> Self {
        self.flows.push(flow);
        self
    }

    pub(crate) fn with_tcp(mut self, kind: Kind, during: Range<Duration>) -> Self {
        let tcp = Tcp::new(kind, self.start + during.start);
        self.bulks.push(Bulk { tcp, during, acks: VecDeque::new(), passed: Vec::new() });
        self
    }

    pub(crate) fn run_until(mut self, end: Duration) -> Self {
        while self.now - self.start < end {
            self.now += STEP;
            self.step();
        }
        self
    }

    fn step(&mut self) {
        let now = self.now;
        for arrival in self.link.receive(now) {
            let at = arrival.at - self.start;
            match arrival.packet {
                Load::Media { flow, sent } => {
                    let seen = Seen { at: arrival.at, queued: arrival.queued, marked: arrival.marked };
                    self.flows[flow].on_arrival(sent, seen);
                }
                Load::Tcp { flow, number } => {
                    self.bulks[flow].passed.push((at, SEGMENT));
                    self.bulks[flow].acks.push_back((arrival.at + self.back, number));
                }
            }
        }
        for arrival in self.reports.iter_mut().flat_map(|link| link.receive(now)) {
            let (flow, report) = arrival.packet;
            self.flows[flow].hear(arrival.at, report);
        }
        let back = self.reports.is_none().then_some(self.back);
        for (index, flow) in self.flows.iter_mut().enumerate() {
            flow.step(now, back, |sent| {
                self.link.send(now, sent.size, Load::Media { flow: index, sent });
            });
            for report in flow.take_reports() {
                if let Some(link) = &mut self.reports {
                    link.send(now, REPORT_BYTES, (index, report));
                }
            }
        }
        for (index, bulk) in self.bulks.iter_mut().enumerate() {
            while bulk.acks.front().is_some_and(|&(at, _)| at <= now) {
                let Some((_, number)) = bulk.acks.pop_front() else { break };
                bulk.tcp.on_ack(now, number);
            }
            if !bulk.during.contains(&(now - self.start)) {
                continue;
            }
            while let Some(number) = bulk.tcp.poll(now) {
                self.link.send(now, SEGMENT, Load::Tcp { flow: index, number });
            }
        }
    }

    /// Bits a second that a TCP flow got through in this time.
    pub(crate) fn tcp_bps(&self, flow: usize, from_s: f64, to_s: f64) -> f64 {
        let span = Duration::from_secs_f64(from_s)..Duration::from_secs_f64(to_s);
        let passed = self.bulks[flow].passed.iter().filter(|(at, _)| span.contains(at));
        passed.map(|(_, size)| size).sum::<usize>() as f64 * 8.0 / (to_s - from_s)
    }
}

/// One media flow on this path.
pub(crate) fn alone(
    path: &Path,
    make: fn(Instant, Duration, u64) -> Flow,
    end: Duration,
    seed: u64,
) -> World {
    let world = World::new(path, seed);
    let flow = make(world.start(), Duration::ZERO, seed);
    world.with(flow).run_until(end)
}

/// Jain's index: 1 where all have the same.
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / squares / shares.len() as f64
}

/// The middle of a list.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

/// The value below which this share of an ascending list lies.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

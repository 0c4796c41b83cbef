//! Decisions over the whole fleet while it changes, against the scan and against our own books.

use super::scan::Columns;
use super::world::{Held, World, number};
use nearframe_placement::index::{Found, Scratch};
use nearframe_placement::latency::{Ranking, SiteId};
use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

/// Decisions for each change: at 80,000 decisions a second, 1 % of 440,000 nodes change a second.
const DECISIONS_PER_CHANGE: u32 = 18;
/// Sessions that run at once, as a share of all slots.
const LOAD: f64 = 0.6;
/// One in so many decisions is compared with a look at every node.
const COMPARE_EVERY: u32 = 10_000;
/// Requests timed with the scan.
const SCANS: usize = 512;
/// Sites that a client has measured itself.
const MEASURED: usize = 6;

pub(super) struct Outcome {
    pub(super) decisions_per_s: f64,
    pub(super) mean_us: f64,
    pub(super) p99_us: f64,
    pub(super) scan_us: f64,
    pub(super) double_bookings: u64,
    pub(super) disagreements: u64,
    pub(super) compared: u64,
    pub(super) refused_share: f64,
    pub(super) bytes_per_node: Option<f64>,
    pub(super) changes_per_s: f64,
}

pub(super) fn run(nodes: u32, decisions: u32) -> Outcome {
    let mut world = World::new(nodes);
    let before = resident_bytes();
    world.fill();
    let grown = resident_bytes().zip(before).map(|(after, before)| after - before);
    world.ask();
    let mut run = Run::new(world);
    run.decide(decisions);
    let scan_us = run.scan_us();
    let mut nanos = run.nanos;
    let rank = nanos.len() * 99 / 100;
    let p99 = *nanos.select_nth_unstable(rank).1;
    let whole = (run.deciding + run.changing).as_secs_f64();
    Outcome {
        decisions_per_s: f64::from(decisions) / whole,
        mean_us: run.deciding.as_secs_f64() * 1e6 / f64::from(decisions),
        p99_us: f64::from(p99) / 1000.0,
        scan_us,
        double_bookings: run.double_bookings,
        disagreements: run.disagreements,
        compared: run.compared,
        refused_share: run.refused as f64 / f64::from(decisions),
        bytes_per_node: grown.map(|bytes| bytes / f64::from(nodes)),
        changes_per_s: run.changes as f64 / whole,
    }
}

/// A run under way. Only deciding, claiming, releasing and changing count as time; our own books do not.
struct Run {
    world: World,
    held: VecDeque<Held>,
    most_held: usize,
    scratch: Scratch,
    /// What clients have measured themselves.
    own: Vec<Ranking>,
    nanos: Vec<u32>,
    deciding: Duration,
    changing: Duration,
    changes: u64,
    refused: u64,
    double_bookings: u64,
    disagreements: u64,
    compared: u64,
}

impl Run {
    fn new(mut world: World) -> Self {
        let slots: u64 = world.nodes.iter().map(|node| u64::from(node.profile.slots)).sum();
        let own = (0..world.cells.len())
            .map(|cell| {
                let near = &world.cells[cell].pairs()[..MEASURED];
                let measured = near
                    .iter()
                    .map(|&(rtt_us, site)| (rtt_us / 2 + world.dice.below(rtt_us as usize + 1) as u32, site));
                Ranking::from_pairs(measured)
            })
            .collect();
        Self {
            world,
            held: VecDeque::new(),
            most_held: (slots as f64 * LOAD) as usize,
            scratch: Scratch::default(),
            own,
            nanos: Vec::new(),
            deciding: Duration::ZERO,
            changing: Duration::ZERO,
            changes: 0,
            refused: 0,
            double_bookings: 0,
            disagreements: 0,
            compared: 0,
        }
    }

    fn decide(&mut self, decisions: u32) {
        for serial in 0..decisions {
            let asked = self.world.dice.below(self.world.asked.len());
            let cell = self.world.dice.below(self.world.cells.len());
            let seed = self.world.dice.next();
            let start = Instant::now();
            let found = self.find(asked, cell, seed);
            let slots = self.world.asked[asked].request.needs.slots;
            let claim = found.and_then(|found| self.world.index.claim(&found, slots as u16).ok());
            let took = start.elapsed();
            self.deciding += took;
            self.nanos.push(took.as_nanos().min(u128::from(u32::MAX)) as u32);
            if serial % COMPARE_EVERY == 0 {
                self.compare(asked, cell, found.as_ref());
            }
            match claim {
                Some(claim) => {
                    let node = number(claim.node);
                    let plain = &mut self.world.nodes[node as usize];
                    plain.taken += slots;
                    self.double_bookings += u64::from(plain.taken > plain.profile.slots);
                    self.held.push_back(Held { claim, node, life: plain.life, slots });
                }
                None => {
                    self.refused += 1;
                    // What was found could always be claimed: nobody else decides here.
                    self.double_bookings += u64::from(found.is_some());
                }
            }
            let start = Instant::now();
            if self.held.len() > self.most_held {
                self.end_oldest();
            }
            if serial % DECISIONS_PER_CHANGE == 0 {
                self.world.change();
                self.changes += 1;
            }
            self.changing += start.elapsed();
        }
    }

    fn find(&mut self, asked: usize, cell: usize, seed: u64) -> Option<Found> {
        let World { index, asked: all, cells, .. } = &self.world;
        let query = &all[asked].query;
        if all[asked].request.needs.batch {
            return index.find(query, index.anywhere(), seed, &mut self.scratch);
        }
        index.find(query, cells[cell].walk(&self.own[cell]), seed, &mut self.scratch)
    }

    fn end_oldest(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.world.index.release(held.claim);
            let plain = &mut self.world.nodes[held.node as usize];
            if plain.life == held.life {
                plain.taken -= held.slots;
            }
        }
    }

    /// Looks at every node, by the plain columns.
    fn compare(&mut self, asked: usize, cell: usize, found: Option<&Found>) {
        let rtts = self.rtts(asked, cell);
        // What was just claimed is not in our books yet.
        let may = |node: u32| {
            let site = self.world.nodes[node as usize].site;
            self.world.may(&self.world.asked[asked], rtts[site], node)
        };
        let right = match found {
            Some(found) => may(number(found.node)),
            None => !(0..self.world.nodes.len() as u32).any(may),
        };
        self.disagreements += u64::from(!right);
        self.compared += 1;
    }

    /// Round trips by site.
    fn rtts(&self, asked: usize, cell: usize) -> Vec<u32> {
        let mut rtts = vec![0; super::world::SITES];
        if !self.world.asked[asked].request.needs.batch {
            for (rtt_us, SiteId(site)) in self.world.cells[cell].walk(&self.own[cell]) {
                rtts[usize::from(site)] = rtt_us;
            }
        }
        rtts
    }

    /// The mean time of a scan over requests such as were decided.
    fn scan_us(&mut self) -> f64 {
        let columns = Columns::of(&self.world);
        let mut spent = Duration::ZERO;
        let mut met = 0_u64;
        let mut words = Vec::new();
        for _ in 0..SCANS {
            let asked = self.world.dice.below(self.world.asked.len());
            let cell = self.world.dice.below(self.world.cells.len());
            let rtts = self.rtts(asked, cell);
            let start = Instant::now();
            let cheapest = columns.cheapest(&self.world.asked[asked], &rtts, &mut words);
            spent += start.elapsed();
            met += u64::from(cheapest.is_some());
        }
        assert!(met > 0, "some request can be met");
        spent.as_secs_f64() * 1e6 / SCANS as f64
    }
}

/// Memory of this process.
fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

//! The day, hour by hour: what witnesses saw so far is judged, and what only one witness says makes a checker come.

use super::cheat::{Cheat, Plan};
use super::play::{Played, play};
use super::world::{BEGIN_MS, DAY_MS, World};
use crate::placement::dice::Dice;
use nearframe_protocol::NodeId;
use nearframe_trust::fraud::{Finding, Grade, Kind, judge};
use nearframe_trust::seen::{ReceiptSeen, Seen};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const HOUR_MS: u64 = 3_600_000;
/// Threads that play; each node's play depends on its own seed alone.
const THREADS: usize = 2;

/// What became of a node.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) cheat: Option<Cheat>,
    pub(crate) plan: Option<Plan>,
    rate: f64,
    /// What was found, and when first, Unix ms.
    pub(crate) found: BTreeMap<(Kind, Grade), u64>,
    /// When it cheated first.
    first_ms: u64,
    pub(crate) billed_us: u64,
    pub(crate) played_us: u64,
}

impl Outcome {
    /// By how much receipts are inflated, if they are.
    pub(crate) fn inflates(&self) -> Option<f64> {
        self.cheat.filter(|cheat| cheat.inflates()).map(|_| self.rate)
    }

    pub(crate) fn inflates_time(&self) -> bool {
        self.cheat == Some(Cheat::InflateTime)
    }

    /// When it was found at this grade or a higher one, as what it is.
    pub(crate) fn caught_at(&self, grade: Grade) -> Option<u64> {
        let kinds = self.cheat?.kinds();
        let found = self.found.iter().filter(|((kind, of), _)| kinds.contains(kind) && *of >= grade);
        found.map(|(_, at_ms)| *at_ms).min()
    }

    pub(crate) fn hours_to_detection(&self) -> Option<f64> {
        let at_ms = self.caught_at(Grade::Review)?;
        Some(at_ms.saturating_sub(self.first_ms) as f64 / HOUR_MS as f64)
    }

    /// Whether anything was found at this grade or a higher one.
    pub(crate) fn accused(&self, grade: Grade) -> bool {
        self.found.keys().any(|(_, of)| *of >= grade)
    }
}

/// Of a day.
pub(crate) struct Outcomes {
    pub(crate) nodes: Vec<Outcome>,
    pub(crate) receipts: u64,
}

/// A day of nodes.
pub(crate) struct Day {
    world: World,
    played: BTreeMap<usize, Played>,
    dice: Dice,
}

impl Day {
    pub(crate) fn new(honest: u32, plans: &[Plan], seed: u64) -> Self {
        let world = World::new(honest, plans, seed);
        Self { world, played: BTreeMap::new(), dice: Dice::new(seed ^ 0xC4EC) }
    }

    pub(crate) fn run(mut self) -> Outcomes {
        self.play((0..self.world.plots.len()).collect());
        let mut found: HashMap<NodeId, BTreeMap<(Kind, Grade), u64>> = HashMap::new();
        let mut sent = BTreeSet::new();
        for hour in 1..=24 {
            let now_ms = BEGIN_MS + hour * HOUR_MS;
            for Finding { node, kind, grade, .. } in judge(&self.seen(now_ms)) {
                found.entry(node).or_default().entry((kind, grade)).or_insert(now_ms);
                if grade == Grade::Watch && hour < 24 && sent.insert((node, hour / 3)) {
                    self.send_checker(node, now_ms);
                }
            }
        }
        self.outcomes(&mut found)
    }

    /// One comes within two hours.
    fn send_checker(&mut self, node: NodeId, now_ms: u64) {
        let Some(at) = self.world.nodes.iter().position(|known| known.seen.node == node) else { return };
        let from_ms = now_ms - BEGIN_MS + self.dice.below(2 * HOUR_MS as usize) as u64;
        if from_ms + 180_000 < DAY_MS {
            let plot = self.world.check(at, from_ms);
            self.play(vec![plot]);
        }
    }

    fn play(&mut self, plots: Vec<usize>) {
        let mut by_node: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for plot in plots {
            by_node.entry(self.world.plots[plot].node).or_default().push(plot);
        }
        let groups: Vec<(usize, Vec<usize>)> = by_node.into_iter().collect();
        let world = &self.world;
        let played: Vec<(usize, Played)> = std::thread::scope(|scope| {
            let parts = groups.chunks(groups.len().div_ceil(THREADS).max(1));
            let threads: Vec<_> = parts.map(|part| scope.spawn(move || play_all(world, part))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a session was played")).collect()
        });
        self.played.extend(played);
    }

    /// What witnesses have seen by now of sessions that are over.
    fn seen(&self, now_ms: u64) -> Seen {
        let over = self.played.values().filter(|played| played.seen.until_ms <= now_ms);
        let (mut sessions, mut checks) = (Vec::new(), Vec::new());
        for played in over {
            sessions.push(played.seen.clone());
            checks.extend(played.check);
        }
        let nodes = self.world.nodes.iter().map(|node| {
            let mut seen = node.seen.clone();
            seen.links.retain(|link| link.opened_at_ms <= now_ms);
            seen
        });
        Seen { nodes: nodes.collect(), sessions, checks }
    }

    fn outcomes(&self, found: &mut HashMap<NodeId, BTreeMap<(Kind, Grade), u64>>) -> Outcomes {
        let mut sums: HashMap<NodeId, (u64, u64, u64)> = HashMap::new();
        for played in self.played.values() {
            let sum = sums.entry(played.seen.node).or_insert((u64::MAX, 0, 0));
            sum.0 = sum.0.min(played.seen.started_at_ms);
            sum.1 += played.billed_us;
            sum.2 += played.played_us;
        }
        // A node that nobody came to can neither cheat nor be accused.
        let served = self.world.nodes.iter().filter_map(|node| Some((node, *sums.get(&node.seen.node)?)));
        let outcome =
            |(node, (first_ms, billed_us, played_us)): (&super::world::Node, (u64, u64, u64))| Outcome {
                cheat: node.cheat,
                plan: node.plan.clone(),
                rate: node.rate,
                found: found.remove(&node.seen.node).unwrap_or_default(),
                first_ms,
                billed_us,
                played_us,
            };
        let receipts = self.played.values().map(|played| played.receipts).sum();
        Outcomes { nodes: served.map(outcome).collect(), receipts }
    }
}

fn play_all(world: &World, part: &[(usize, Vec<usize>)]) -> Vec<(usize, Played)> {
    let mut all = Vec::new();
    for (node, plots) in part {
        let mut earlier: Option<Vec<ReceiptSeen>> = None;
        for plot in plots {
            let played = play(&world.nodes[*node], &world.plots[*plot], earlier.as_deref());
            if earlier.is_none() && played.seen.receipts.len() > 5 {
                earlier = Some(played.seen.receipts.clone());
            }
            all.push((*plot, played));
        }
    }
    all
}

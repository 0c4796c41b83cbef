//! Who is there: nodes, players, addresses, and what each session of the day will be like.

use super::cheat::{Cheat, Plan};
use crate::placement::dice::Dice;
use nearframe_protocol::{AccountId, NodeId, SessionId};
use nearframe_trust::seen::{LinkSeen, Mark, NodeSeen, Player};

/// A day, ms.
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1000;
/// The day begins then, Unix ms: nothing depends on it.
pub(crate) const BEGIN_MS: u64 = 1_700_006_400_000;
/// Cheaters among new nodes are checked as often as honest ones: this often a day.
const CHECKS_NEW: f64 = 3.0;
const CHECKS_OLD: f64 = 1.0;

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) seen: NodeSeen,
    pub(crate) cheat: Option<Cheat>,
    pub(crate) plan: Option<Plan>,
    pub(crate) rate: f64,
    /// What its clock goes wrong by, millionths.
    pub(crate) clock_ppm: f64,
    /// The part of frames it manages by itself: a hot or fake GPU manages less.
    pub(crate) speed: f64,
    /// Loss on its own line.
    pub(crate) loss: f64,
    pub(crate) seed: u64,
}

/// A session to be played.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) session: SessionId,
    pub(crate) node: usize,
    pub(crate) player: Player,
    pub(crate) started_at_ms: u64,
    pub(crate) length_ms: u64,
    /// Before the first frame.
    pub(crate) start_up_ms: u64,
    pub(crate) loss: f64,
    /// The part of frames that the player's own line and machine let through.
    pub(crate) line: f64,
    /// The part of frames that the node manages, others on its machine considered.
    pub(crate) speed: f64,
    /// Of what a lying player says less.
    pub(crate) understates: f64,
    /// A checker's.
    pub(crate) checker: Option<Mark>,
    pub(crate) page_ppm: f64,
    /// The node loses power in the middle.
    pub(crate) crashes: bool,
}

/// Everything of a day, before it is played.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) plots: Vec<Plot>,
    dice: Dice,
    sessions: u32,
    marks: u64,
}

impl World {
    pub(crate) fn new(honest: u32, plans: &[Plan], seed: u64) -> Self {
        let mut world =
            Self { nodes: vec![], plots: vec![], dice: Dice::new(seed), sessions: 0, marks: 1 << 40 };
        world.honest(honest);
        for plan in plans {
            for n in 0..plan.nodes {
                world.cheater(plan, n);
            }
        }
        for node in 0..world.nodes.len() {
            world.busy_day(node);
        }
        world.share_machines();
        world
    }

    fn mark(&mut self) -> Mark {
        self.marks += 1;
        Mark(self.marks)
    }

    fn id(&mut self) -> [u8; 16] {
        let (one, other) = (self.dice.next(), self.dice.next());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&one.to_le_bytes());
        bytes[8..].copy_from_slice(&other.to_le_bytes());
        bytes
    }

    fn node(&mut self, address: Mark) -> Node {
        let id = NodeId::from_random(self.id());
        let owner = AccountId::from_random(self.id());
        let owner_devices = vec![self.mark()];
        let gpu_tier = 2 + self.dice.below(5) as u8;
        let links = self.links(address);
        // Most clocks are within 40 millionths; a few are broken.
        let broken = self.dice.chance(0.002);
        let clock_ppm = (self.dice.share() - 0.5) * if broken { 5_000.0 } else { 80.0 };
        let hot = self.dice.chance(0.004);
        let speed = if hot { 0.7 + 0.15 * self.dice.share() } else { 0.97 + 0.03 * self.dice.share() };
        let loss = if self.dice.chance(0.05) { 0.03 * self.dice.share() } else { 0.001 };
        let seed = self.dice.next();
        let seen = NodeSeen { node: id, owner: Some(owner), owner_devices, address, gpu_tier, links };
        Node { seen, cheat: None, plan: None, rate: 0.0, clock_ppm, speed, loss, seed }
    }

    /// One link all day, or several after losses; some have two lines that take turns.
    fn links(&mut self, address: Mark) -> Vec<LinkSeen> {
        let two_lines = self.dice.chance(0.01).then(|| self.mark());
        let losses = if two_lines.is_some() { 3 + self.dice.below(8) } else { self.dice.below(3) };
        let mut links = vec![LinkSeen { address, opened_at_ms: BEGIN_MS, heard_until_ms: BEGIN_MS + DAY_MS }];
        let mut times: Vec<u64> =
            (0..losses).map(|_| BEGIN_MS + self.dice.below(DAY_MS as usize) as u64).collect();
        times.sort_unstable();
        for (n, at_ms) in times.into_iter().enumerate() {
            // The old link is silent for a while; now and then the new line is there before the old one breaks.
            let silent_ms = if self.dice.chance(0.1) { 500 } else { 3_000 + self.dice.below(20_000) as u64 };
            let address = two_lines.filter(|_| n % 2 == 0).unwrap_or(address);
            if let Some(last) = links.last_mut() {
                last.heard_until_ms = at_ms.saturating_sub(silent_ms);
            }
            links.push(LinkSeen { address, opened_at_ms: at_ms, heard_until_ms: BEGIN_MS + DAY_MS });
        }
        links
    }

    fn honest(&mut self, count: u32) {
        let count = count as usize;
        while self.nodes.len() < count {
            let address = self.mark();
            // One alone; flats behind one address; a café.
            let together = match self.dice.below(200) {
                0..=183 => 1,
                184..=198 => 2 + self.dice.below(4),
                _ => 8 + self.dice.below(12),
            };
            for _ in 0..together.min(count - self.nodes.len()) {
                let node = self.node(address);
                self.nodes.push(node);
            }
        }
    }

    fn cheater(&mut self, plan: &Plan, n: u32) {
        let cheat = plan.cheats[n as usize % plan.cheats.len()];
        let beside = self.nodes.last().filter(|last| {
            cheat == Cheat::Sybil && last.plan.as_ref() == Some(plan) && !n.is_multiple_of(plan.rate as u32)
        });
        let address = match beside.map(|last| last.seen.address) {
            Some(address) => address,
            None => self.mark(),
        };
        let mut node = self.node(address);
        (node.cheat, node.plan, node.rate) = (Some(cheat), Some(plan.clone()), plan.rate);
        match cheat {
            Cheat::FakeGpu => node.speed = plan.rate,
            Cheat::Clone => node.seen.links = self.two_machines(address),
            // Whoever lives from sharing a machine has one that works alone.
            Cheat::Sybil => node.speed = 0.98,
            _ => {}
        }
        self.nodes.push(node);
    }

    /// Each takes the link from the other as soon as it notices, within seconds, all day long.
    fn two_machines(&mut self, address: Mark) -> Vec<LinkSeen> {
        let other = self.mark();
        let (mut at_ms, mut links) = (BEGIN_MS, Vec::new());
        while at_ms < BEGIN_MS + DAY_MS {
            let until = at_ms + 30_000 + self.dice.below(3_600_000) as u64;
            let address = if links.len() % 2 == 0 { address } else { other };
            let heard = until.saturating_sub(self.dice.below(1_500) as u64);
            links.push(LinkSeen { address, opened_at_ms: at_ms, heard_until_ms: heard });
            at_ms = until;
        }
        links
    }

    /// Players, the owner, checkers.
    fn busy_day(&mut self, at: usize) {
        // A few never rest; whoever pretends to have many machines wants them full.
        let busy = self.dice.chance(0.03) || self.nodes[at].cheat == Some(Cheat::Sybil);
        let popular = if busy { 30.0 } else { 3.0 + 9.0 * self.dice.share() };
        // Regulars come back; others share an address with somebody.
        let regulars: Vec<Player> = (0..4).map(|_| self.player()).collect();
        let mut from_ms = self.dice.exponential(DAY_MS as f64 / popular);
        while from_ms < DAY_MS as f64 {
            let player =
                if self.dice.chance(0.3) { regulars[self.dice.below(regulars.len())] } else { self.player() };
            let length_ms = self.length_ms(8.0);
            self.plot(at, player, from_ms as u64, length_ms, None);
            from_ms += self.dice.exponential(DAY_MS as f64 / popular);
        }
        self.own_play(at);
        let checks = if self.dice.chance(0.1) { CHECKS_NEW } else { CHECKS_OLD };
        let mut from_ms = self.dice.exponential(DAY_MS as f64 / checks);
        while from_ms < DAY_MS as f64 {
            self.check(at, from_ms as u64);
            from_ms += self.dice.exponential(DAY_MS as f64 / checks);
        }
    }

    /// A checker comes at a time of the day.
    pub(crate) fn check(&mut self, node: usize, from_ms: u64) -> usize {
        let checker = Mark(1 + self.dice.below(6) as u64);
        // It looks like any player.
        let player = Player { account: None, device: self.mark(), address: self.mark() };
        let length_ms = 90_000 + self.dice.below(60_000) as u64;
        self.plot(node, player, from_ms, length_ms, Some(checker));
        self.plots.len() - 1
    }

    /// Owners try their machine out; a few play on it in the evening; those who wash never stop.
    fn own_play(&mut self, at: usize) {
        let seen = &self.nodes[at].seen;
        let (owner, device, address) = (seen.owner, seen.owner_devices[0], seen.address);
        let wash = self.nodes[at].cheat == Some(Cheat::Wash);
        let (share, rate) = (self.dice.share(), self.nodes[at].rate);
        let hours = match (wash, share) {
            (true, _) => 20.0 * rate,
            (false, ..0.02) => 3.0,
            (false, ..0.2) => 0.3,
            _ => return,
        };
        // Some pay from the own account, some play as a guest in the own browser, some hide it and play from home.
        let player = match self.dice.below(3) {
            0 => Player { account: owner, device: self.mark(), address: self.mark() },
            1 => Player { account: None, device, address },
            _ => Player { account: None, device: self.mark(), address },
        };
        let mut left_ms = (hours * 3_600_000.0) as u64;
        let mut from_ms = self.dice.below(if wash { 600_000 } else { 60_000_000 }) as u64;
        while left_ms > 0 && from_ms < DAY_MS {
            let length_ms = left_ms.min(3_600_000);
            self.plot(at, player, from_ms, length_ms, None);
            left_ms -= length_ms;
            from_ms += length_ms + 60_000;
        }
    }

    fn player(&mut self) -> Player {
        // Every tenth plays from a network with one address for thousands.
        let address =
            if self.dice.chance(0.1) { Mark(1_000 + self.dice.below(50) as u64) } else { self.mark() };
        Player { account: None, device: self.mark(), address }
    }

    fn length_ms(&mut self, mean_minutes: f64) -> u64 {
        (self.dice.exponential(mean_minutes * 60_000.0) as u64).clamp(20_000, 3 * 3_600_000)
    }

    fn plot(&mut self, node: usize, player: Player, from_ms: u64, length_ms: u64, checker: Option<Mark>) {
        self.sessions += 1;
        let mut id = self.id();
        id[..4].copy_from_slice(&self.sessions.to_be_bytes());
        let dice = &mut self.dice;
        let bad_line = checker.is_none() && dice.chance(0.08);
        let plot = Plot {
            session: SessionId::from_random(id),
            node,
            player,
            started_at_ms: BEGIN_MS + from_ms,
            length_ms: length_ms.min(DAY_MS - from_ms.min(DAY_MS - 1)),
            start_up_ms: 300 + dice.below(5_000) as u64,
            loss: if bad_line { 0.06 * dice.share() } else { 0.002 * dice.share() },
            line: if bad_line { 0.5 + 0.5 * dice.share() } else { 1.0 },
            speed: self.nodes[node].speed,
            understates: if checker.is_none() && dice.chance(0.01) { 0.1 + 0.4 * dice.share() } else { 0.0 },
            checker,
            page_ppm: (dice.share() - 0.5) * 100.0,
            crashes: dice.chance(0.01),
        };
        self.plots.push(plot);
    }

    /// Nodes of one machine serve at once only what the machine can.
    fn share_machines(&mut self) {
        let spans: Vec<(usize, u64, u64)> = self
            .plots
            .iter()
            .map(|plot| (plot.node, plot.started_at_ms, plot.started_at_ms + plot.length_ms))
            .collect();
        let is_sybil = |node: &Node| node.cheat == Some(Cheat::Sybil);
        for (at, (node, from, until)) in spans.iter().enumerate() {
            if !is_sybil(&self.nodes[*node]) {
                continue;
            }
            let address = self.nodes[*node].seen.address;
            let overlap = |(other, begins, ends): &&(usize, u64, u64)| {
                other != node && self.nodes[*other].seen.address == address && begins < until && ends > from
            };
            let together: u64 = spans
                .iter()
                .filter(overlap)
                .map(|(_, begins, ends)| ends.min(until) - begins.max(from))
                .sum();
            let company = together as f64 / (until - from).max(1) as f64;
            self.plots[at].speed /= 1.0 + company;
        }
    }
}

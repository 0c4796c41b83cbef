//! A fleet of hundreds of thousands of nodes, and what players ask of it.
//!
//! Kept a second time in plain columns, by which the scan works and by which what the search says is checked.

use super::dice::{Dice, sums};
use nearframe_placement::geo::Place;
use nearframe_placement::index::TitleKey;
use nearframe_placement::index::search::Query;
use nearframe_placement::latency::{Ranking, SiteId, Sites};
use nearframe_placement::profile::Profile;
use nearframe_placement::region::{Residency, covers};
use nearframe_placement::{Index, Needs, Request, Weights};
use nearframe_protocol::{NodeId, TitleHash, TitleId};

/// Sites of the fleet; the facts of the field: hundreds of thousands of nodes stand in a few hundred.
pub(super) const SITES: usize = 440;
/// Titles that nodes hold.
pub(super) const TITLES: usize = 300;
/// Titles on a node.
const HELD: usize = 24;
/// Distinct requests; each is asked many times.
const REQUESTS: usize = 4_096;
/// Cells of players.
const CELLS: usize = 2_048;

/// A node in plain columns.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) profile: Profile,
    pub(super) site: usize,
    pub(super) titles: Vec<u16>,
    pub(super) draining: bool,
    /// Slots that are taken, by our own books.
    pub(super) taken: u32,
    /// How often it has joined.
    pub(super) life: u32,
}

/// A request, and the same as the search has looked it up.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) title: u16,
    pub(super) query: Query,
    pub(super) allowed: Vec<bool>,
}

pub(super) struct World {
    pub(super) index: Index,
    pub(super) nodes: Vec<Plain>,
    pub(super) by_site: Vec<Vec<u32>>,
    pub(super) regions: Vec<String>,
    pub(super) cells: Vec<Ranking>,
    pub(super) asked: Vec<Asked>,
    keys: Vec<TitleKey>,
    popularity: Vec<f64>,
    pub(super) dice: Dice,
}

const COUNTRIES: [&str; 12] = ["DE", "FR", "US", "GB", "JP", "BR", "IN", "PL", "SE", "AU", "CA", "ZA"];

impl World {
    /// The index alone, so that its memory can be weighed; requests come with [`World::ask`].
    pub(super) fn new(count: u32) -> Self {
        let mut dice = Dice::new(440_000);
        let mut index = Index::new();
        let mut regions = Vec::new();
        for site in 0..SITES {
            let country = COUNTRIES[dice.below(COUNTRIES.len())];
            let region =
                if site % 3 == 0 { country.to_owned() } else { format!("{country}-{}", dice.below(9)) };
            index.add_site(&region);
            regions.push(region);
        }
        let titles = (0..TITLES).map(|n| TitleId::new(&format!("title-{n}")).expect("an id"));
        let keys = titles.map(|id| index.titles.intern(&id, TitleHash::from_bytes([1; 32]))).collect();
        let mut world = Self {
            index,
            nodes: Vec::with_capacity(count as usize),
            by_site: vec![Vec::new(); SITES],
            regions,
            cells: Vec::new(),
            asked: Vec::new(),
            keys,
            popularity: sums((1..=TITLES).map(|rank| 1.0 / rank as f64)),
            dice,
        };
        // A few sites are large and many small.
        let sizes = sums((1..=SITES).map(|rank| 1.0 / (rank as f64).sqrt()));
        for _ in 0..count {
            let site = world.dice.weighted(&sizes);
            let node = world.draw(site);
            world.nodes.push(node);
        }
        world
    }

    /// Puts every node into the index.
    pub(super) fn fill(&mut self) {
        for node in 0..self.nodes.len() as u32 {
            self.by_site[self.nodes[node as usize].site].push(node);
            self.join(node);
        }
    }

    fn draw(&mut self, site: usize) -> Plain {
        let dice = &mut self.dice;
        let pixels = [1280 * 720 * 60, 1920 * 1080 * 60, 2560 * 1440 * 60, 3840 * 2160 * 60];
        let gpu_tier = dice.below(6) as u8;
        let profile = Profile {
            slots: 1 + dice.below(8) as u32,
            codecs: 1 | (dice.below(8) as u8) << 1,
            pixels_per_s: pixels[usize::from(gpu_tier).min(3)],
            gpu_tier,
            trust: dice.below(4) as u8,
            stake_micros: [0, 5_000_000, 50_000_000, 700_000_000][dice.below(4)],
            price_micros_per_hour: 20_000 * dice.below(60) as u64,
            batch_discount_micros: 0,
            failure_permille: dice.below(20) as u16,
            batch: dice.chance(0.5),
            region: String::new(),
        };
        let mut titles: Vec<u16> = (0..HELD).map(|_| dice.weighted(&self.popularity) as u16).collect();
        titles.sort_unstable();
        titles.dedup();
        Plain { profile, site, titles, draining: false, taken: 0, life: 0 }
    }

    /// The node joins, again or for the first time; what ran on it is over.
    pub(super) fn join(&mut self, node: u32) {
        let plain = &mut self.nodes[node as usize];
        plain.taken = 0;
        plain.life += 1;
        plain.draining = false;
        let keys: Vec<_> = plain.titles.iter().map(|title| self.keys[usize::from(*title)]).collect();
        self.index.insert(id(node), SiteId(plain.site as u16), &plain.profile, &keys);
    }

    /// One of the changes of which a fleet sees one in a hundred nodes each second: a node restarts, changes its
    /// price, drains, or takes sessions again.
    pub(super) fn change(&mut self) {
        let node = self.dice.below(self.nodes.len());
        match self.dice.below(4) {
            0 => self.join(node as u32),
            1 => {
                self.nodes[node].profile.price_micros_per_hour = 20_000 * self.dice.below(60) as u64;
                self.join(node as u32);
            }
            _ => {
                let draining = !self.nodes[node].draining && self.dice.chance(0.3);
                self.nodes[node].draining = draining;
                self.index.set_draining(id(node as u32), draining);
            }
        }
    }

    /// Draws the players and what they ask, for the fleet as it is now.
    pub(super) fn ask(&mut self) {
        let place = |dice: &mut Dice| Place::new(dice.share() * 110.0 - 45.0, dice.share() * 340.0 - 170.0);
        let mut sites = Sites::new();
        for _ in 0..SITES {
            sites.add(place(&mut self.dice));
        }
        for _ in 0..CELLS {
            let there = place(&mut self.dice);
            self.cells.push(Ranking::of_place(&sites, there));
        }
        for _ in 0..REQUESTS {
            let (request, title) = self.request();
            let query = Query::new(&self.index, &request).expect("every title is held");
            let allows = |region: &String| request.residency.iter().all(|rule| allowed(rule, region));
            let allowed = self.regions.iter().map(allows).collect();
            self.asked.push(Asked { request, title, query, allowed });
        }
    }

    fn request(&mut self) -> (Request, u16) {
        let title = self.dice.weighted(&self.popularity);
        let id = TitleId::new(&format!("title-{title}")).expect("an id");
        let dice = &mut self.dice;
        let code = |dice: &mut Dice| COUNTRIES[dice.below(COUNTRIES.len())].to_owned();
        let mut residency = Vec::new();
        if dice.chance(0.3) {
            residency.push(Residency::only((0..4).map(|_| code(dice)).collect()));
        }
        if dice.chance(0.3) {
            residency.push(Residency { allow: Vec::new(), deny: vec![code(dice)] });
        }
        let batch = dice.chance(0.03);
        let needs = Needs {
            codecs: [1, 1, 1, 5, 3][dice.below(5)],
            pixels_per_s: [1280 * 720 * 60, 1920 * 1080 * 60, 2560 * 1440 * 60][dice.below(3)],
            gpu_tier: dice.below(4) as u8,
            trust: [0, 0, 1, 2][dice.below(4)],
            stake_micros: [0, 0, 0, 7_000_000][dice.below(4)],
            rtt_ceiling_us: (!batch && dice.chance(0.5)).then(|| 60_000 + dice.below(90_000) as u32),
            price_ceiling_micros_per_hour: dice.chance(0.3).then(|| 150_000 + dice.below(900_000) as u64),
            slots: if dice.chance(0.02) { 3 } else { 1 },
            batch,
        };
        let weights = if batch { Weights::BATCH } else { Weights::INTERACTIVE };
        let hash = TitleHash::from_bytes([1; 32]);
        (Request { residency, needs, weights, ..Request::play(id, hash) }, title as u16)
    }

    /// Whether a node may take a request, by the plain columns and in other words than the search's.
    pub(super) fn may(&self, asked: &Asked, rtt_us: u32, node: u32) -> bool {
        let plain = &self.nodes[node as usize];
        let (has, needs) = (&plain.profile, &asked.request.needs);
        !plain.draining
            && plain.titles.contains(&asked.title)
            && asked.allowed[plain.site]
            && has.codecs & needs.codecs == needs.codecs
            && has.pixels_per_s >= needs.pixels_per_s
            && has.gpu_tier >= needs.gpu_tier
            && has.trust >= needs.trust
            && has.stake_micros >= needs.stake_micros
            && (has.batch || !needs.batch)
            && needs.price_ceiling_micros_per_hour.is_none_or(|most| has.price_micros_per_hour <= most)
            && needs.rtt_ceiling_us.is_none_or(|most| rtt_us <= most)
            && has.slots - plain.taken >= needs.slots
    }
}

fn allowed(rule: &Residency, region: &str) -> bool {
    let among = |codes: &[String]| codes.iter().any(|code| covers(code, region));
    (rule.allow.is_empty() || among(&rule.allow)) && !among(&rule.deny)
}

/// A node's number as its id.
pub(super) fn id(node: u32) -> NodeId {
    NodeId::from_bytes(u128::from(node).to_le_bytes())
}

/// The number of a node's id.
pub(super) fn number(node: NodeId) -> u32 {
    u128::from_le_bytes(*node.as_bytes()) as u32
}

/// A claim that is held, in our own books.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) claim: nearframe_placement::index::Claim,
    pub(super) node: u32,
    pub(super) life: u32,
    pub(super) slots: u32,
}

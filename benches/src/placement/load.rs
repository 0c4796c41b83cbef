//! A house that is three quarters full: mean round trip against the best that any assignment of the same
//! players could reach.

use super::data::Cities;
use super::dice::{Dice, sums};
use super::exact::Seating;
use nearframe_placement::assign::{Assignment, Market, Plan, assign};
use nearframe_placement::index::search::Query;
use nearframe_placement::index::{Claim, Scratch};
use nearframe_placement::latency::{Ranking, SiteId};
use nearframe_placement::profile::Profile;
use nearframe_placement::{Index, Request};
use nearframe_protocol::{NodeId, TitleHash, TitleId};
use std::time::Instant;

const LOAD: f64 = 0.76;
/// Slots of the whole house: one for each node of a fleet of 440,000.
const SLOTS: f64 = 440_000.0;
/// Of a small one, in which chance weighs more: a crowd of a few dozen is there before anybody leaves.
const FEW_SLOTS: f64 = 24_000.0;
const SLOTS_PER_NODE: u32 = 4;
/// Players who left and came since the start, as a multiple of those who play.
const TURNOVER: usize = 6;
/// Ticks in the time in which as many come as play.
const TICKS_PER_TURNOVER: usize = 40;
/// A player in a city with a site, µs.
const LOCAL_US: u32 = 2_000;
/// A pair that was not measured, µs.
const UNKNOWN_US: u32 = 400_000;

pub(super) struct Outcome {
    pub(super) priced_ratio: f64,
    pub(super) greedy_ratio: f64,
    pub(super) small_ratio: f64,
    pub(super) tick_ms: f64,
}

pub(super) fn run(cities: &Cities) -> Outcome {
    let (priced_ratio, tick_ms) = House::new(cities, SLOTS).live(true);
    let (greedy_ratio, _) = House::new(cities, SLOTS).live(false);
    let (small_ratio, _) = House::new(cities, FEW_SLOTS).live(true);
    Outcome { priced_ratio, greedy_ratio, small_ratio, tick_ms }
}

/// Sites in every city, players from every city.
struct House {
    index: Index,
    query: Query,
    rankings: Vec<Ranking>,
    market: Market,
    /// City by city, players at each site.
    seated: Vec<u32>,
    plan: Plan,
    /// Who plays: city, site and slot.
    playing: Vec<(usize, Claim, SiteId)>,
    arrivals: Vec<f64>,
    dice: Dice,
}

impl House {
    /// Demand follows the square root of the population, so that no megacity is the whole world; supply follows
    /// the same, with a spread of its own: hosts are not where players are.
    fn new(cities: &Cities, slots: f64) -> Self {
        let count = cities.places.len();
        let mut dice = Dice::new(76);
        let roots: Vec<f64> = cities.population.iter().map(|people| people.max(1.0).sqrt()).collect();
        let supply: Vec<f64> = roots.iter().map(|root| root * (0.3 + dice.exponential(1.0))).collect();
        let all: f64 = supply.iter().sum();
        let mut index = Index::new();
        let title = TitleId::new("meteor").expect("a title's id");
        let hash = TitleHash::from_bytes([1; 32]);
        let key = index.titles.intern(&title, hash);
        let mut capacity = Vec::new();
        let mut serial = 0_u128;
        for share in supply {
            let site = index.add_site("");
            let nodes = (share / all * slots / f64::from(SLOTS_PER_NODE)).round().max(1.0) as u32;
            for _ in 0..nodes {
                serial += 1;
                let profile = Profile { slots: SLOTS_PER_NODE, ..Profile::default() };
                index.insert(NodeId::from_bytes(serial.to_le_bytes()), site, &profile, &[key]);
            }
            capacity.push(nodes * SLOTS_PER_NODE);
        }
        let cost = |city: usize, site: usize| match cities.rtt.rtt_ms(city, site) {
            _ if city == site => LOCAL_US,
            Some(rtt_ms) => (rtt_ms * 1000.0) as u32,
            None => UNKNOWN_US,
        };
        let cost_us: Vec<u32> =
            (0..count).flat_map(|city| (0..count).map(move |site| cost(city, site))).collect();
        let rankings = cost_us
            .chunks(count)
            .map(|row| Ranking::from_pairs(row.iter().zip(0..).map(|(&rtt_us, site)| (rtt_us, SiteId(site)))))
            .collect();
        let query = Query::new(&index, &Request::play(title, hash)).expect("the title is held");
        Self {
            index,
            query,
            rankings,
            seated: vec![0; count * count],
            plan: Plan::default(),
            market: Market { demand: vec![0; count], capacity, cost_us },
            playing: Vec::new(),
            arrivals: sums(roots),
            dice,
        }
    }

    /// Fills the house and lets players come and go; the ratio to the optimum, averaged over looks, and the time
    /// of a tick.
    fn live(mut self, priced: bool) -> (f64, f64) {
        let players = (self.market.capacity.iter().sum::<u32>() as f64 * LOAD) as usize;
        let between = players / TICKS_PER_TURNOVER;
        let (mut ratios, mut ticks, mut spent) = (Vec::new(), 0_u32, 0.0);
        let mut scratch = Scratch::default();
        for step in 0..players * TURNOVER {
            if self.playing.len() >= players {
                let at = self.dice.below(self.playing.len());
                let (city, claim, site) = self.playing.swap_remove(at);
                self.market.demand[city] -= 1;
                self.seated[city * self.rankings.len() + site.index()] -= 1;
                self.index.release(claim);
            }
            self.arrive(&mut scratch);
            if priced && step % between == 0 {
                let start = Instant::now();
                self.plan.tick(&self.market, &self.seated);
                spent += start.elapsed().as_secs_f64() * 1000.0;
                ticks += 1;
                for (&price, site) in self.plan.prices_us().iter().zip(0..) {
                    self.index.set_scarcity(SiteId(site), price);
                }
            }
            // Looked at when the house has turned over, and then now and then.
            if step > players * TURNOVER / 2 && step % players == players - 1 {
                ratios.push(self.ratio());
            }
        }
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        (mean, spent / f64::from(ticks.max(1)))
    }

    fn arrive(&mut self, scratch: &mut Scratch) {
        let city = self.dice.weighted(&self.arrivals);
        let seed = self.dice.next();
        let ranking = self.rankings[city].pairs();
        let planned = self.plan.site_for(city);
        let found = self.index.find_planned(&self.query, ranking, planned, seed, scratch);
        let found = found.expect("a quarter of the slots is free");
        let claim = self.index.claim(&found, 1).expect("what was found is free");
        let site = found.handle.site;
        self.market.demand[city] += 1;
        self.plan.seated(city, site);
        self.seated[city * self.rankings.len() + site.index()] += 1;
        self.playing.push((city, claim, site));
    }

    fn ratio(&self) -> f64 {
        let total =
            |players| Seating { cost_us: &self.market.cost_us, capacity: &self.market.capacity, players };
        let ours = total(self.seated.clone()).total_us();
        // Any start leads to the same optimum; this one is near it.
        let mut best = total(assign(&self.market, &Assignment::default()).flow);
        best.optimise();
        ours as f64 / best.total_us() as f64
    }
}

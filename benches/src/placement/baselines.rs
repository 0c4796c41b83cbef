//! What others do, re-implemented after their sources and papers, on the same clients.

use super::data::{Cities, Slices};
use super::dice::{Dice, sums};
use super::regret::{Case, Regret};

/// The site nearest on the map.
pub(crate) fn nearest(cities: &Cities, cases: &[Case]) -> Regret {
    chosen_by(cases, |case| {
        let km = |site: usize| case.claimed.km_to(cities.places[site]);
        least(case, km)
    })
}

/// LiveKit (`pkg/routing/selector/regionaware.go`): nodes above the limit of load are left out where others
/// are there, then the region nearest by great circle, then the least loaded node in it. A region here is a
/// site of four nodes.
pub(crate) fn livekit(cities: &Cities, cases: &[Case]) -> Regret {
    const LOAD_LIMIT: f64 = 0.9;
    const NODES: usize = 4;
    let mut dice = Dice::new(4);
    chosen_by(cases, |case| {
        let load: Vec<f64> =
            cities.places.iter().map(|_| (0..NODES).map(|_| dice.share()).fold(1.0, f64::min)).collect();
        least(case, |site| {
            let overloaded = if load[site] > LOAD_LIMIT { 1e9 } else { 0.0 };
            overloaded + case.claimed.km_to(cities.places[site])
        })
    })
}

/// cloud-game: the page pings every worker and takes the fastest. Nothing is missed; what it costs is one
/// measurement of each.
pub(crate) fn ping_all(cases: &[Case]) -> (Regret, f64) {
    let measured: usize = cases.iter().map(|case| case.allowed.len()).sum();
    let regret = chosen_by(cases, |case| least(case, |site| case.rtt_ms(site)));
    (regret, measured as f64 / cases.len().max(1) as f64)
}

/// Livepeer before anything is known of an orchestrator: a lottery by stake.
pub(crate) fn stake_lottery(cases: &[Case]) -> Regret {
    let mut dice = Dice::new(5);
    let most = cases.iter().flat_map(|case| &case.allowed).map(|(site, _)| site + 1).max().unwrap_or(0);
    let stakes: Vec<f64> = (0..most).map(|_| dice.exponential(1.0).powi(2)).collect();
    chosen_by(cases, |case| {
        let weights = sums(case.allowed.iter().map(|(site, _)| stakes[*site]));
        case.allowed[dice.weighted(&weights)].0
    })
}

/// Vivaldi (Dabek, Cox, Kaashoek, Morris 2004): the host whose coordinates are nearest. Coordinates have three
/// dimensions and a height, and are trained on the last earlier slice with 32 neighbours each.
pub(crate) fn vivaldi(slices: &Slices) -> Option<Regret> {
    const NEIGHBOURS: usize = 32;
    const ROUNDS: usize = 200;
    let past = slices.history.last()?;
    let count = past.size();
    let mut dice = Dice::new(6);
    let mut hosts: Vec<Coordinates> = (0..count).map(|_| Coordinates::near_origin(&mut dice)).collect();
    let neighbours: Vec<Vec<usize>> =
        (0..count).map(|_| (0..NEIGHBOURS).map(|_| dice.below(count)).collect()).collect();
    for _ in 0..ROUNDS {
        for host in 0..count {
            let other = neighbours[host][dice.below(NEIGHBOURS)];
            if let Some(rtt_ms) = past.rtt_ms(host, other) {
                let theirs = hosts[other].clone();
                hosts[host].learn(&theirs, rtt_ms, &mut dice);
            }
        }
    }
    let mut regret = Regret::default();
    for host in 0..count {
        let reachable = (0..count).filter_map(|to| Some((to, slices.now.rtt_ms(host, to)?)));
        let nearest = reachable
            .clone()
            .min_by(|one, other| hosts[host].to(&hosts[one.0]).total_cmp(&hosts[host].to(&hosts[other.0])));
        let best = reachable.map(|(_, rtt_ms)| rtt_ms).fold(f64::INFINITY, f64::min);
        if let Some((_, rtt_ms)) = nearest {
            regret.add(rtt_ms - best);
        }
    }
    Some(regret)
}

#[derive(Clone, Debug)]
struct Coordinates {
    at: [f64; 3],
    height: f64,
    error: f64,
}

impl Coordinates {
    fn near_origin(dice: &mut Dice) -> Self {
        Self { at: std::array::from_fn(|_| dice.share()), height: 1.0, error: 1.0 }
    }

    fn to(&self, other: &Self) -> f64 {
        let square: f64 = self.at.iter().zip(other.at).map(|(a, b)| (a - b).powi(2)).sum();
        square.sqrt() + self.height + other.height
    }

    /// Constants of the paper: a quarter for error and for step.
    fn learn(&mut self, other: &Self, rtt_ms: f64, dice: &mut Dice) {
        const GAIN: f64 = 0.25;
        let weight = self.error / (self.error + other.error).max(1e-9);
        let guess = self.to(other);
        let wrong = (guess - rtt_ms).abs() / rtt_ms.max(0.1);
        self.error = (wrong * GAIN * weight + self.error * (1.0 - GAIN * weight)).clamp(0.0, 1.5);
        let force = GAIN * weight * (rtt_ms - guess);
        let mut way: [f64; 3] = std::array::from_fn(|axis| self.at[axis] - other.at[axis]);
        let mut length = way.iter().map(|part| part * part).sum::<f64>().sqrt();
        if length < 1e-6 {
            way = std::array::from_fn(|_| dice.share() - 0.5);
            length = way.iter().map(|part| part * part).sum::<f64>().sqrt();
        }
        for (at, part) in self.at.iter_mut().zip(way) {
            *at += force * part / length;
        }
        let heights = self.height + other.height;
        self.height = (self.height + force * heights / (length + heights)).max(0.1);
    }
}

fn chosen_by(cases: &[Case], mut choose: impl FnMut(&Case) -> usize) -> Regret {
    let mut regret = Regret::default();
    for case in cases {
        regret.add(case.rtt_ms(choose(case)) - case.best_ms());
    }
    regret
}

fn least(case: &Case, score: impl Fn(usize) -> f64) -> usize {
    let sites = case.allowed.iter().map(|(site, _)| *site);
    sites.min_by(|one, other| score(*one).total_cmp(&score(*other))).expect("a case allows something")
}

//! How much farther than the best allowed site each player is placed.

use super::data::{Cities, Slices};
use super::dice::Dice;
use crate::quantile::quantile;
use nearframe_placement::geo::Place;
use nearframe_placement::latency::{Client, ClientKey, LatencyModel, SiteId, Survey};

/// Clients whose address database is wrong about them.
const MISLOCATED: f64 = 0.2;
/// Times that each city is a client, with another draw of what the database says.
const ROUNDS: u64 = 20;
/// Measurements of a stranger.
pub(crate) const COLD_MEASUREMENTS: usize = 8;
/// Measurements of a client with a past.
pub(crate) const WARM_MEASUREMENTS: usize = 3;

/// Excess round trips over the best allowed site, ms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Regret {
    samples: Vec<f64>,
}

impl Regret {
    pub(crate) fn add(&mut self, excess_ms: f64) {
        self.samples.push(excess_ms);
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        let count = self.samples.len();
        (count > 0).then(|| self.samples.iter().sum::<f64>() / count as f64)
    }

    pub(crate) fn quantile(&self, p: f64) -> Option<f64> {
        quantile(&self.samples, p)
    }
}

/// One client: where it is, where the database says it is, and the sites it may be sent to with their round
/// trips. Its own city is not among them, nor is what that city knows.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) city: usize,
    pub(crate) claimed: Place,
    pub(crate) allowed: Vec<(usize, f64)>,
}

impl Case {
    pub(crate) fn best_ms(&self) -> f64 {
        self.allowed.iter().map(|(_, rtt_ms)| *rtt_ms).fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn rtt_ms(&self, site: usize) -> f64 {
        let found = self.allowed.iter().find(|(allowed, _)| *allowed == site);
        found.expect("only allowed sites are chosen").1
    }
}

/// Every city as a client, [`ROUNDS`] times.
pub(crate) fn cases(cities: &Cities) -> Vec<Case> {
    let count = cities.places.len();
    let mut dice = Dice::new(20_181_101);
    let mut cases = Vec::new();
    for _ in 0..ROUNDS {
        for city in 0..count {
            let elsewhere = if dice.chance(MISLOCATED) { dice.below(count) } else { city };
            let allowed: Vec<_> =
                (0..count).filter_map(|site| Some((site, cities.rtt.rtt_ms(city, site)?))).collect();
            if !allowed.is_empty() {
                cases.push(Case { city, claimed: cities.places[elsewhere], allowed });
            }
        }
    }
    cases
}

/// The sites of all cities, with what nodes there measure between each other.
pub(crate) fn model(cities: &Cities) -> LatencyModel {
    let mut model = LatencyModel::default();
    for place in &cities.places {
        model.sites.add(Some(*place)).expect("fewer cities than sites");
    }
    for one in 0..cities.places.len() {
        for other in 0..cities.places.len() {
            if let Some(rtt_ms) = cities.rtt.rtt_ms(one, other) {
                model.sites.observe(site(one), site(other), rtt_ms as f32);
            }
        }
    }
    model
}

/// Strangers, measuring `at_once` sites at a time.
pub(crate) fn cold(model: &LatencyModel, cases: &[Case], at_once: usize) -> Regret {
    let mut regret = Regret::default();
    for case in cases {
        let client = Client { place: Some(case.claimed), ..Client::default() };
        let allowed = case.allowed.iter().map(|(allowed, _)| site(*allowed)).collect();
        // The client stands in its city, and no node does: what nodes there would know is not known.
        let mut survey = Survey::new(model, &client, allowed, COLD_MEASUREMENTS).apart_from(site(case.city));
        let chosen = run(&mut survey, at_once, |site| case.rtt_ms(site));
        regret.add(case.rtt_ms(chosen) - case.best_ms());
    }
    regret
}

/// Clients with a past: each host of the matrix, from all others.
pub(crate) fn warm(slices: &Slices) -> Regret {
    let count = slices.now.size();
    let mut model = LatencyModel::default();
    (0..count).for_each(|_| {
        model.sites.add(None);
    });
    for (epoch, slice) in slices.history.iter().enumerate() {
        for client in 0..count {
            for to in 0..count {
                if let Some(rtt_ms) = slice.rtt_ms(client, to) {
                    let rtt_us = (rtt_ms * 1000.0) as u32;
                    model.history.observe(key(client), site(to), epoch as u32, rtt_us);
                }
            }
        }
    }
    let mut regret = Regret::default();
    for host in 0..count {
        let there: Vec<_> = (0..count).filter_map(|to| Some((to, slices.now.rtt_ms(host, to)?))).collect();
        let best = there.iter().map(|(_, rtt_ms)| *rtt_ms).fold(f64::INFINITY, f64::min);
        let client = Client { prefix: Some(key(host)), ..Client::default() };
        let allowed: Vec<_> = there.iter().map(|(to, _)| site(*to)).collect();
        if allowed.is_empty() {
            continue;
        }
        let mut survey = Survey::new(&model, &client, allowed, WARM_MEASUREMENTS);
        let now = |to| slices.now.rtt_ms(host, to).expect("only allowed sites are measured");
        let chosen = run(&mut survey, WARM_MEASUREMENTS, now);
        regret.add(now(chosen) - best);
    }
    regret
}

fn run(survey: &mut Survey<'_>, at_once: usize, rtt_ms: impl Fn(usize) -> f64) -> usize {
    loop {
        let batch = survey.next(at_once);
        if batch.is_empty() {
            break;
        }
        for asked in batch {
            survey.record(asked, rtt_ms(asked.index()) as f32);
        }
    }
    survey.best().expect("something is allowed").0.index()
}

fn site(index: usize) -> SiteId {
    SiteId(u16::try_from(index).expect("fewer than 65,536 sites"))
}

fn key(client: usize) -> ClientKey {
    ClientKey::V4(u32::try_from(client).expect("fewer than 2^32 clients"))
}

//! Where a stranger probably is, as a belief over sites: "this client sees the network as site h does".
//!
//! The prior is geography, and the chance that geography is wrong. Each measurement multiplies the weight of
//! every hypothesis by how well it foretold the value. The next site to measure is the one whose expected
//! improvement over the best so far is greatest (Močkus 1975): it weighs how probable each hypothesis is
//! against what it would win, where the rule "smallest largest disagreement" looks at the worst
//! disagreement alone.

use super::sites::{SiteId, Sites};
use crate::geo::{Place, typical_ms};

/// The chance that a claimed place is not where the client is: address databases err on about this share.
const MISLOCATED: f32 = 0.2;
/// Within this distance of a claimed place sites are about equally likely to see the network alike, km.
const ALIKE_KM: f64 = 300.0;
/// Of the difference between a client and the site it resembles: access networks alone differ by this, ms …
const NOISE_MS: f32 = 8.0;
/// … and detours by this share of the way.
const NOISE_SHARE: f32 = 0.2;
/// What no hypothesis foretells happens with about this density, 1/ms: one odd value condemns none for good.
const SURPRISE: f32 = 0.0003;
/// A client right beside a site, ms.
const BESIDE_MS: f32 = 2.0;
/// A round trip nobody would play over, ms; what lies above counts no worse.
const HOPELESS_MS: f32 = 200.0;

/// Weights of hypotheses about one client.
#[derive(Clone, Debug)]
pub struct Belief<'a> {
    sites: &'a Sites,
    /// Every site there is: also one that may not be chosen may be the one that the client resembles.
    weights: Vec<f32>,
    /// The lowest measured so far, ms.
    best_ms: f32,
}

impl<'a> Belief<'a> {
    /// Before anything is measured. The client is known not to resemble `apart`, such as a site that was taken
    /// away with all it knew.
    pub fn new(sites: &'a Sites, claimed: Option<Place>, apart: Option<SiteId>) -> Self {
        let is_apart = |site: usize| apart.is_some_and(|apart| apart.index() == site);
        let mut weights: Vec<f32> = (0..sites.len())
            .map(|site| match (claimed, sites.place(id(site))) {
                _ if is_apart(site) => 0.0,
                (Some(claimed), Some(place)) => closeness(claimed.km_to(place)),
                _ => 1.0,
            })
            .collect();
        let wrong = if claimed.is_some() { MISLOCATED } else { 1.0 };
        normalise(&mut weights);
        let everywhere = wrong / sites.len().max(1) as f32;
        for (site, weight) in weights.iter_mut().enumerate() {
            *weight = if is_apart(site) { 0.0 } else { *weight * (1.0 - wrong) + everywhere };
        }
        Self { sites, weights, best_ms: f32::INFINITY }
    }

    /// A measured round trip that may end the search.
    pub fn measured(&mut self, site: SiteId, rtt_ms: f32) {
        self.best_ms = self.best_ms.min(rtt_ms);
        self.learn(site, rtt_ms);
    }

    /// A round trip that only says where the client is, such as an old one.
    pub fn learn(&mut self, site: SiteId, rtt_ms: f32) {
        for hypothesis in 0..self.weights.len() {
            let foretold = self.foretold_ms(hypothesis, site);
            let noise = noise_ms(foretold.max(rtt_ms));
            let likelihood = (-(rtt_ms - foretold).abs() / noise).exp() / (2.0 * noise) + SURPRISE;
            self.weights[hypothesis] *= likelihood;
        }
        normalise(&mut self.weights);
    }

    /// The round trip to expect, ms.
    pub fn expected_ms(&self, site: SiteId) -> f32 {
        self.weights.iter().enumerate().map(|(h, weight)| weight * self.foretold_ms(h, site)).sum()
    }

    /// The `most` sites of `allowed` to measure next, best first, all of them at once: each is chosen as if the
    /// ones before it had answered as each hypothesis foretells.
    pub fn next(&self, allowed: &[SiteId], most: usize) -> Vec<SiteId> {
        let mut chosen: Vec<SiteId> = Vec::with_capacity(most);
        let start = self.best_ms.min(HOPELESS_MS);
        let mut best: Vec<f32> = vec![start; self.weights.len()];
        while chosen.len() < most {
            let open = allowed.iter().filter(|site| !chosen.contains(site));
            let gains = open.map(|&site| (self.gain(site, &best), site));
            let next = gains.max_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(&one.1)));
            let Some((_, site)) = next else { break };
            for (hypothesis, best) in best.iter_mut().enumerate() {
                *best = best.min(self.foretold_ms(hypothesis, site));
            }
            chosen.push(site);
        }
        chosen
    }

    /// Expected improvement by measuring `site`, where each hypothesis has its own best so far, ms.
    fn gain(&self, site: SiteId, best: &[f32]) -> f32 {
        self.weights
            .iter()
            .enumerate()
            .map(|(hypothesis, weight)| {
                let foretold = self.foretold_ms(hypothesis, site);
                weight * improvement(best[hypothesis] - foretold, noise_ms(foretold))
            })
            .sum()
    }

    fn foretold_ms(&self, hypothesis: usize, site: SiteId) -> f32 {
        if hypothesis == site.index() { BESIDE_MS } else { self.sites.between_ms(id(hypothesis), site) }
    }
}

/// Expected value of `max(0, margin + noise)` for Laplace noise of this scale.
fn improvement(margin: f32, scale: f32) -> f32 {
    let tail = 0.5 * scale * (-margin.abs() / scale).exp();
    margin.max(0.0) + tail
}

fn noise_ms(rtt_ms: f32) -> f32 {
    NOISE_MS + NOISE_SHARE * rtt_ms
}

/// How alike two places see the network: flat nearby, falling with the cube of the distance.
fn closeness(km: f64) -> f32 {
    let far = km / ALIKE_KM;
    (1.0 / ((1.0 + far * far) * (1.0 + far))) as f32
}

fn normalise(weights: &mut [f32]) {
    let sum: f32 = weights.iter().sum();
    if sum > 0.0 && sum.is_finite() {
        weights.iter_mut().for_each(|weight| *weight /= sum);
    } else {
        let even = 1.0 / weights.len().max(1) as f32;
        weights.fill(even);
    }
}

fn id(site: usize) -> SiteId {
    SiteId(u16::try_from(site).expect("sites are fewer than 65,536"))
}

/// What geography alone expects between a client and a site, ms.
pub(super) fn by_distance_ms(client: Place, site: Place) -> f32 {
    typical_ms(client.km_to(site)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sites on the equator, 10° apart, with round trips by distance.
    fn belt() -> Sites {
        let mut sites = Sites::new();
        for n in 0..30 {
            sites.add(Place::new(0.0, f64::from(n) * 10.0 - 150.0)).unwrap();
        }
        sites
    }

    #[test]
    fn a_client_at_the_wrong_place_is_found_by_its_round_trips() {
        let sites = belt();
        let (here, claimed) = (SiteId(22), Place::new(0.0, -150.0));
        let allowed: Vec<_> = (0..30).map(SiteId).filter(|site| *site != here).collect();
        let mut belief = Belief::new(&sites, claimed, None);
        let mut best = f32::MAX;
        for _ in 0..8 {
            let site = belief.next(&allowed, 1)[0];
            let rtt_ms = sites.between_ms(here, site);
            best = best.min(rtt_ms);
            belief.measured(site, rtt_ms);
        }
        assert_eq!(best, sites.between_ms(here, SiteId(21)), "a neighbour was measured");
    }

    #[test]
    fn a_batch_hedges_between_hypotheses() {
        let sites = belt();
        let belief = Belief::new(&sites, Place::new(0.0, -150.0), None);
        let allowed: Vec<_> = (0..30).map(SiteId).collect();
        let batch = belief.next(&allowed, 4);
        assert_eq!(batch[0], SiteId(0), "the claimed place first");
        assert!(batch[1..].iter().any(|site| site.0 > 10), "and somewhere else entirely: {batch:?}");
    }
}

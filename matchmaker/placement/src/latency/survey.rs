//! One client's short active measurement: which sites next, what came of it, which is best.

use super::belief::Belief;
use super::history::{History, Past};
use super::sites::{SiteId, Sites};
use super::{Client, LatencyModel, Ranking};
use crate::geo::Place;

/// Most measurements of one client: more would take longer than they save.
pub const MAX_MEASUREMENTS: usize = 8;
/// A past is trusted to choose by itself when so many epochs stand behind it.
const WARM_EPOCHS: usize = 2;

/// A survey under way.
#[derive(Clone, Debug)]
pub struct Survey<'a> {
    sites: &'a Sites,
    place: Option<Place>,
    belief: Belief<'a>,
    allowed: Vec<SiteId>,
    /// What the client's past would measure, in reverse order; empty for a stranger.
    planned: Vec<SiteId>,
    /// Asked for and answered or not; none is asked for twice.
    asked: Vec<SiteId>,
    measured: Vec<(f32, SiteId)>,
    /// From the client's past.
    remembered: Vec<(f32, SiteId)>,
    left: usize,
}

impl<'a> Survey<'a> {
    /// Of `client`, over the sites that may be chosen, with at most `most` measurements.
    pub fn new(model: &'a LatencyModel, client: &Client, allowed: Vec<SiteId>, most: usize) -> Self {
        Self::over(&model.sites, &model.history, client, allowed, most.min(MAX_MEASUREMENTS))
    }

    fn over(
        sites: &'a Sites,
        history: &'a History,
        client: &Client,
        allowed: Vec<SiteId>,
        left: usize,
    ) -> Self {
        let mut belief = Belief::new(sites, client.place, None);
        let mut planned = Vec::new();
        let mut remembered = Vec::new();
        if let Some(past) = client.keys().find_map(|key| history.past(key)) {
            for (site, recent) in past.sites() {
                if let Some(median_us) = recent.median_us().filter(|_| site.index() < sites.len()) {
                    let median_ms = median_us as f32 / 1000.0;
                    belief.learn(*site, median_ms);
                    remembered.push((median_ms, *site));
                }
            }
            if is_warm(past, &allowed, left) {
                planned = past.portfolio(&allowed, left);
                planned.reverse();
            }
        }
        Self {
            sites,
            place: client.place,
            belief,
            allowed,
            planned,
            asked: Vec::new(),
            measured: Vec::new(),
            remembered,
            left,
        }
    }

    /// The same before anything is asked, for a client that does not resemble `apart`: a site that was taken away
    /// with all it knew.
    pub fn apart_from(mut self, apart: SiteId) -> Self {
        self.belief = Belief::new(self.sites, self.place, Some(apart));
        self.remembered.iter().for_each(|(rtt_ms, site)| self.belief.learn(*site, *rtt_ms));
        self
    }

    /// The next sites to measure, at most `most` at once; none when the survey is over.
    pub fn next(&mut self, most: usize) -> Vec<SiteId> {
        let most = most.min(self.left);
        let mut batch: Vec<SiteId> = Vec::with_capacity(most);
        batch.extend((0..most).map_while(|_| self.planned.pop()));
        if batch.len() < most {
            let open: Vec<SiteId> = self
                .allowed
                .iter()
                .copied()
                .filter(|site| !self.asked.contains(site) && !batch.contains(site))
                .collect();
            batch.extend(self.belief.next(&open, most - batch.len()));
        }
        self.left -= batch.len();
        self.asked.extend(&batch);
        batch
    }

    /// A site answered. What was not asked for, or is no duration, changes nothing.
    pub fn record(&mut self, site: SiteId, rtt_ms: f32) {
        if self.asked.contains(&site) && rtt_ms.is_finite() && rtt_ms >= 0.0 {
            self.belief.measured(site, rtt_ms);
            self.measured.push((rtt_ms, site));
        }
    }

    /// A measurement that was asked for earlier, by a survey that this one goes on with.
    pub fn know(&mut self, site: SiteId, rtt_ms: f32) {
        if site.index() < self.sites.len() && !self.asked.contains(&site) {
            self.asked.push(site);
            self.left = self.left.saturating_sub(1);
        }
        self.record(site, rtt_ms);
    }

    /// All allowed sites by what is known now: as measured, else as remembered, else as the belief expects. A client
    /// that is not where a database puts it is not ranked by that place any more once it has measured.
    pub fn ranking(&self) -> Ranking {
        let of = |known: &[(f32, SiteId)], site: SiteId| {
            known.iter().filter(|(_, of)| *of == site).map(|(rtt_ms, _)| *rtt_ms).reduce(f32::min)
        };
        Ranking::from_pairs(self.allowed.iter().map(|&site| {
            let known = of(&self.measured, site).or_else(|| of(&self.remembered, site));
            let rtt_ms = known.unwrap_or_else(|| self.belief.expected_ms(site));
            ((rtt_ms * 1000.0) as u32, site)
        }))
    }

    /// The site with the lowest measured round trip; before any answer, with the lowest expected one.
    pub fn best(&self) -> Option<(SiteId, f32)> {
        let lowest = |values: &mut dyn Iterator<Item = (f32, SiteId)>| {
            values.min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)))
        };
        let measured = lowest(&mut self.measured.iter().copied());
        let (rtt_ms, site) = measured.or_else(|| {
            lowest(&mut self.allowed.iter().map(|&site| (self.belief.expected_ms(site), site)))
        })?;
        Some((site, rtt_ms))
    }
}

fn is_warm(past: &Past, allowed: &[SiteId], most: usize) -> bool {
    let known = past
        .sites()
        .iter()
        .filter(|(site, recent)| recent.minima().len() >= WARM_EPOCHS && allowed.contains(site));
    known.take(most).count() == most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_measured_is_not_ranked_by_where_a_database_puts_it() {
        let mut model = LatencyModel::default();
        for n in 0..30 {
            model.sites.add(Place::new(0.0, f64::from(n) * 10.0 - 150.0)).unwrap();
        }
        let client = Client { place: Place::new(0.0, -150.0), ..Client::default() };
        let all: Vec<_> = (0..30).map(SiteId).collect();
        let mut survey = Survey::new(&model, &client, all, 4);
        assert_eq!(survey.ranking().pairs()[0].1, SiteId(0), "as the database says");
        for site in survey.next(4) {
            survey.record(site, model.sites.between_ms(SiteId(22), site));
        }
        let order: Vec<_> = survey.ranking().pairs().iter().map(|(_, site)| site.0).collect();
        assert!(order[0].abs_diff(22) <= 3, "near where it is: {order:?}");
        assert!(
            order.iter().position(|site| *site == 0).unwrap() > 15,
            "the claimed place is far: {order:?}"
        );
    }
}

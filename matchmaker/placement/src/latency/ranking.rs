//! The sites in the order of their expected round trips to one client.
//!
//! The long list comes from geography and the matrix between sites, and is the same for all clients of a
//! cell of the map: it is computed once and shared. What is known of the client itself, by measurement or
//! from the past, is a short list that takes precedence while both are walked.

use super::Client;
use super::belief::by_distance_ms;
use super::history::History;
use super::sites::{SiteId, Sites};
use crate::geo::Place;

/// A client this near to a site sees the network as that site does, km.
const SAME_METRO_KM: f64 = 300.0;
/// The round trip to expect where nothing is known, µs: neither near nor hopeless.
const UNKNOWN_US: u32 = 80_000;

/// Sites and round trips in µs, nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    order: Vec<(u32, SiteId)>,
}

impl Ranking {
    /// What geography and the matrix say about a place; all sites alike where it is unknown.
    pub fn of_place(sites: &Sites, place: Option<Place>) -> Self {
        let all = (0..sites.len()).map(|site| SiteId(site as u16));
        let Some(place) = place else { return Self::from_pairs(all.map(|site| (UNKNOWN_US, site))) };
        let distance = |site: SiteId| sites.place(site).map(|there| place.km_to(there));
        let nearest = all
            .clone()
            .filter_map(|site| distance(site).map(|km| (km, site)))
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .filter(|(km, _)| *km <= SAME_METRO_KM);
        Self::from_pairs(all.map(|site| {
            let rtt_ms = match (nearest, sites.place(site)) {
                (Some((km, anchor)), _) if anchor == site => Some(crate::geo::typical_ms(km) as f32),
                (Some((_, anchor)), _) => Some(sites.between_ms(anchor, site)),
                (None, Some(there)) => Some(by_distance_ms(place, there)),
                (None, None) => None,
            };
            (rtt_ms.map_or(UNKNOWN_US, |ms| (ms * 1000.0) as u32), site)
        }))
    }

    /// These sites, sorted.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (u32, SiteId)>) -> Self {
        let mut order: Vec<_> = pairs.into_iter().collect();
        order.sort_unstable();
        Self { order }
    }

    /// What is known of the client itself: `measured` just now, and its past for other sites.
    pub fn of_client(history: &History, client: &Client, measured: &[(SiteId, u32)]) -> Self {
        let past = client.keys().find_map(|key| history.past(key));
        let remembered = past.into_iter().flat_map(|past| past.sites()).filter_map(|(site, recent)| {
            let new = measured.iter().all(|(measured, _)| measured != site);
            recent.median_us().filter(|_| new).map(|rtt_us| (rtt_us, *site))
        });
        Self::from_pairs(measured.iter().map(|&(site, rtt_us)| (rtt_us, site)).chain(remembered))
    }

    /// Sites nearest first; a site that `own` ranks is ranked by it.
    pub fn walk<'a>(&'a self, own: &'a Self) -> impl Iterator<Item = (u32, SiteId)> + 'a {
        let known = |site: SiteId| own.order.iter().any(|(_, known)| *known == site);
        let mut shared = self.order.iter().copied().filter(move |(_, site)| !known(*site)).peekable();
        let mut own = own.order.iter().copied().peekable();
        std::iter::from_fn(move || match (shared.peek(), own.peek()) {
            (Some(one), Some(other)) if one < other => shared.next(),
            (_, Some(_)) => own.next(),
            (_, None) => shared.next(),
        })
    }

    /// The pairs, nearest first.
    pub fn pairs(&self) -> &[(u32, SiteId)] {
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_the_client_takes_precedence() {
        let shared = Ranking::from_pairs([(10, SiteId(1)), (20, SiteId(2)), (30, SiteId(3))]);
        let own = Ranking::from_pairs([(25, SiteId(1)), (5, SiteId(3))]);
        let order: Vec<_> = shared.walk(&own).collect();
        assert_eq!(order, [(5, SiteId(3)), (20, SiteId(2)), (25, SiteId(1))]);
    }

    #[test]
    fn a_client_in_a_metropolis_with_a_site_sees_what_the_site_sees() {
        let mut sites = Sites::new();
        let add = |sites: &mut Sites, lat, lon| sites.add(Place::new(lat, lon)).unwrap();
        let (berlin, munich, madrid) =
            (add(&mut sites, 52.5, 13.4), add(&mut sites, 48.1, 11.6), add(&mut sites, 40.4, -3.7));
        sites.observe(berlin, munich, 60.0);
        sites.observe(berlin, madrid, 40.0);
        let ranking = Ranking::of_place(&sites, Place::new(52.4, 13.1));
        let order: Vec<_> = ranking.pairs().iter().map(|(_, site)| *site).collect();
        assert_eq!(order, [berlin, madrid, munich]);
    }
}

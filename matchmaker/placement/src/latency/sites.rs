//! The sites that nodes stand in, and the round trips between them.
//!
//! 440,000 nodes stand in a few hundred sites (a metropolis of one provider each); nodes measure each other
//! all the time, so the matrix is well known. It is what a stranger's few measurements are compared with.

use crate::geo::{Place, typical_ms};

/// A site, as an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u16);

impl SiteId {
    /// As an index into what is kept for each site.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Most sites of one fleet: a belief over them is worked through for every measurement.
pub const MAX_SITES: usize = 4096;
/// A round trip between sites about which nothing is known, ms: across an ocean.
const UNKNOWN_MS: f32 = 150.0;

/// Places of sites and what was measured between them, ms.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    places: Vec<Option<Place>>,
    /// Lower triangle with the diagonal, row by row; NaN where nothing was measured.
    rtt_ms: Vec<f32>,
}

impl Sites {
    /// No sites.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a site; `None` when there are [`MAX_SITES`].
    pub fn add(&mut self, place: Option<Place>) -> Option<SiteId> {
        if self.places.len() >= MAX_SITES {
            return None;
        }
        let id = SiteId(u16::try_from(self.places.len()).ok()?);
        self.places.push(place);
        self.rtt_ms.resize(self.rtt_ms.len() + self.places.len(), f32::NAN);
        Some(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a site is.
    pub fn place(&self, site: SiteId) -> Option<Place> {
        self.places.get(site.index()).copied().flatten()
    }

    /// A round trip between two sites. Paths differ by direction: the lower of both stands for the pair.
    pub fn observe(&mut self, one: SiteId, other: SiteId, rtt_ms: f32) {
        let usable = rtt_ms.is_finite() && rtt_ms >= 0.0;
        if usable && let Some(known) = self.rtt_ms.get_mut(cell(one, other)) {
            *known = if known.is_nan() { rtt_ms } else { known.min(rtt_ms) };
        }
    }

    /// The round trip between two sites, ms: as measured, else by distance, else an ocean.
    pub fn between_ms(&self, one: SiteId, other: SiteId) -> f32 {
        let known = self.rtt_ms.get(cell(one, other)).copied().unwrap_or(f32::NAN);
        if !known.is_nan() {
            return known;
        }
        match (self.place(one), self.place(other)) {
            (Some(from), Some(to)) => typical_ms(from.km_to(to)) as f32,
            _ => UNKNOWN_MS,
        }
    }
}

fn cell(one: SiteId, other: SiteId) -> usize {
    let (row, column) = (one.index().max(other.index()), one.index().min(other.index()));
    row * (row + 1) / 2 + column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_win_over_geography_in_both_directions() {
        let mut sites = Sites::new();
        let places = [(52.5, 13.4), (48.1, 11.6)].map(|(lat, lon)| Place::new(lat, lon));
        let [berlin, munich] = places.map(|place| sites.add(place).unwrap());
        let nowhere = sites.add(None).unwrap();
        assert!((sites.between_ms(berlin, munich) - 12.3).abs() < 0.5);
        sites.observe(munich, berlin, 9.0);
        sites.observe(berlin, munich, 11.0);
        sites.observe(berlin, munich, f32::NAN);
        assert_eq!(sites.between_ms(berlin, munich), 9.0);
        assert_eq!(sites.between_ms(nowhere, munich), UNKNOWN_MS);
    }
}

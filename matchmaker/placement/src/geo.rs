//! Places on Earth, and what distance says about a round trip.

use serde::{Deserialize, Serialize};

/// A place, as far as it is known: from a host's word, an address or a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    latitude_deg: f32,
    longitude_deg: f32,
}

/// Mean radius of the Earth, km.
const EARTH_KM: f64 = 6371.0;
/// Kilometres of one way for each ms of a round trip at the speed of light in vacuum: nothing is faster.
const LIGHT_KM_PER_RTT_MS: f64 = 149.9;
/// What access and the first hops cost before any distance counts, ms.
const ACCESS_MS: f64 = 4.0;
/// A typical path's ms for each km: light in glass needs 0.010, and cables run on detours of a half to two
/// thirds more.
const TYPICAL_MS_PER_KM: f64 = 0.0165;

impl Place {
    /// `None` where the numbers are no place on Earth.
    pub fn new(latitude_deg: f64, longitude_deg: f64) -> Option<Self> {
        let inside = (-90.0..=90.0).contains(&latitude_deg) && (-180.0..=180.0).contains(&longitude_deg);
        inside.then_some(Self { latitude_deg: latitude_deg as f32, longitude_deg: longitude_deg as f32 })
    }

    /// Degrees north.
    pub fn latitude_deg(self) -> f32 {
        self.latitude_deg
    }

    /// Degrees east.
    pub fn longitude_deg(self) -> f32 {
        self.longitude_deg
    }

    /// Great-circle distance, km (haversine).
    pub fn km_to(self, other: Self) -> f64 {
        let radians = |degrees: f32| f64::from(degrees).to_radians();
        let (from, to) = (radians(self.latitude_deg), radians(other.latitude_deg));
        let half = |a: f64, b: f64| ((b - a) / 2.0).sin().powi(2);
        let chord = half(from, to)
            + from.cos() * to.cos() * half(radians(self.longitude_deg), radians(other.longitude_deg));
        2.0 * EARTH_KM * chord.sqrt().min(1.0).asin()
    }
}

/// No round trip over this distance takes less, ms.
pub fn floor_ms(km: f64) -> f64 {
    km / LIGHT_KM_PER_RTT_MS
}

/// What a round trip over this distance takes where nothing was measured, ms.
pub fn typical_ms(km: f64) -> f64 {
    ACCESS_MS + km * TYPICAL_MS_PER_KM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_atlas() {
        let berlin = Place::new(52.52, 13.405).unwrap();
        let sydney = Place::new(-33.869, 151.209).unwrap();
        assert!((berlin.km_to(sydney) - 16_090.0).abs() < 30.0);
        assert!(berlin.km_to(berlin) < 1e-6);
        let antipode = Place::new(-52.52, 13.405 - 180.0).unwrap();
        assert!((berlin.km_to(antipode) - 20_015.0).abs() < 5.0);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        assert!(Place::new(91.0, 0.0).is_none() && Place::new(0.0, 181.0).is_none());
        assert!(Place::new(f64::NAN, 0.0).is_none());
    }
}

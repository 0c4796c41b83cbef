//! What cannot be: claims that light or a third party contradicts.
//!
//! Coordinates and distances serve this alone; they choose no node.

use super::sites::{SiteId, Sites};
use crate::geo::{Place, floor_ms};

/// Clocks and rounding may make a true round trip look this much shorter, ms.
const CLOCK_MS: f64 = 0.5;
/// Routes on the internet break the triangle inequality often, by less than this share; a sum of two legs
/// that is even shorter was made up.
const TRIANGLE_SHARE: f32 = 0.5;
/// Anchors must be at least this far from each other for their legs to say anything, ms.
const TRIANGLE_FROM_MS: f32 = 20.0;
/// A node that is measured at this many times what its distance explains is not disproved, but not placed
/// either.
const UNEXPLAINED_TIMES: f64 = 4.0;
/// … and by at least this much, ms: slow access is no lie.
const UNEXPLAINED_MS: f64 = 60.0;

/// What measurements say about a claimed place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing contradicts it.
    Consistent,
    /// Every anchor is slower than distance explains: it may be there, but nothing shows it.
    Unproven,
    /// An anchor answered faster than light could: it is not there.
    Impossible {
        /// Which of the anchors.
        anchor: usize,
        /// It is at least this much nearer to that anchor than it claims, km.
        nearer_by_km: f64,
    },
}

/// Judges a claimed place by round trips to anchors whose places are known, ms.
pub fn judge(claimed: Place, anchors: &[(Place, f64)]) -> Verdict {
    let mut explained = anchors.is_empty();
    for (anchor, (place, rtt_ms)) in anchors.iter().enumerate() {
        let km = claimed.km_to(*place);
        let floor = floor_ms(km);
        if rtt_ms + CLOCK_MS < floor {
            let nearer_by_km = km * (1.0 - (rtt_ms + CLOCK_MS) / floor);
            return Verdict::Impossible { anchor, nearer_by_km };
        }
        let typical = crate::geo::typical_ms(km);
        explained |= *rtt_ms <= (typical * UNEXPLAINED_TIMES).max(typical + UNEXPLAINED_MS);
    }
    if explained { Verdict::Consistent } else { Verdict::Unproven }
}

/// Whether one party can have measured these round trips: no two legs are far shorter than the way between
/// their ends. Names the first pair that is.
pub fn contradiction(sites: &Sites, measured: &[(SiteId, f32)]) -> Option<(SiteId, SiteId)> {
    measured.iter().enumerate().find_map(|(at, &(one, leg))| {
        let contradicts = |&&(other, other_leg): &&(SiteId, f32)| {
            let way = sites.between_ms(one, other);
            way >= TRIANGLE_FROM_MS && leg + other_leg < way * TRIANGLE_SHARE
        };
        measured[at + 1..].iter().find(contradicts).map(|(other, _)| (one, *other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lat: f64, lon: f64) -> Place {
        Place::new(lat, lon).unwrap()
    }

    #[test]
    fn a_node_that_answers_faster_than_light_is_elsewhere() {
        let (frankfurt, virginia) = (place(50.1, 8.7), place(39.0, -77.5));
        // Claims Frankfurt to satisfy residency, stands in Virginia.
        let verdict = judge(frankfurt, &[(frankfurt, 95.0), (virginia, 2.0)]);
        assert!(matches!(verdict, Verdict::Impossible { anchor: 1, nearer_by_km } if nearer_by_km > 6000.0));
        assert_eq!(judge(frankfurt, &[(frankfurt, 3.0), (virginia, 88.0)]), Verdict::Consistent);
        assert_eq!(judge(frankfurt, &[(frankfurt, 140.0)]), Verdict::Unproven);
    }

    #[test]
    fn two_short_legs_do_not_span_an_ocean() {
        let mut sites = Sites::new();
        let [berlin, tokyo] =
            [(52.5, 13.4), (35.7, 139.7)].map(|(a, b)| sites.add(Place::new(a, b)).unwrap());
        sites.observe(berlin, tokyo, 240.0);
        assert_eq!(contradiction(&sites, &[(berlin, 8.0), (tokyo, 9.0)]), Some((berlin, tokyo)));
        assert_eq!(contradiction(&sites, &[(berlin, 8.0), (tokyo, 200.0)]), None);
    }
}

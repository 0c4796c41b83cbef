//! Light and its code in HDR10 (SMPTE ST 2084), and how what is too bright for standard range is brought into it.
//!
//! The curve is ITU-R BT.2390-11, 5.4.1 (EETF) without a lift of black: in the code's own, perceptual steps everything
//! below a knee stays as it is, and what lies above is bent so that the source's peak meets the target's. It is applied to
//! a pixel's brightest channel, and all three are scaled alike, which keeps the hue. Standard range has its white at
//! [`REFERENCE_WHITE_NITS`] (ITU-R BT.2408).

/// Where the white of standard range lies, cd/m².
pub(crate) const REFERENCE_WHITE_NITS: f64 = 203.0;
/// What the highest code stands for, cd/m².
const MOST_NITS: f64 = 10_000.0;

const M1: f64 = 2610.0 / 16384.0;
const M2: f64 = 2523.0 / 4096.0 * 128.0;
const C1: f64 = 3424.0 / 4096.0;
const C2: f64 = 2413.0 / 4096.0 * 32.0;
const C3: f64 = 2392.0 / 4096.0 * 32.0;

/// From BT.2020 to BT.709, both with linear light (ITU-R BT.2087 backwards).
pub(crate) const TO_BT709: [[f32; 3]; 3] = [
    [1.660_491, -0.587_641, -0.072_850],
    [-0.124_550, 1.132_9, -0.008_349],
    [-0.018_151, -0.100_579, 1.118_73],
];

/// cd/m² of a code from 0 to 1.
pub(crate) fn nits(code: f64) -> f64 {
    let root = code.max(0.0).powf(1.0 / M2);
    MOST_NITS * ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// The code, 0 to 1, of cd/m².
pub(crate) fn code(nits: f64) -> f64 {
    let root = (nits.max(0.0) / MOST_NITS).powf(M1);
    ((C1 + C2 * root) / (1.0 + C3 * root)).powf(M2)
}

/// Brings pictures of one peak into standard range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ToneCurve {
    /// The source's peak as a code.
    peak: f64,
    /// The target's, as a share of that; at least 1 where nothing has to be bent.
    target: f64,
    /// Below this share nothing changes.
    knee: f64,
}

impl ToneCurve {
    pub(crate) fn new(peak_nits: u16) -> Self {
        let peak = code(f64::from(peak_nits));
        let target = code(REFERENCE_WHITE_NITS) / peak;
        Self { peak, target, knee: 1.5 * target - 0.5 }
    }

    /// The code that a code becomes.
    pub(crate) fn mapped(&self, code: f64) -> f64 {
        let share = (code / self.peak).min(1.0);
        if share <= self.knee {
            return share * self.peak;
        }
        let t = (share - self.knee) / (1.0 - self.knee);
        let (t2, t3) = (t * t, t * t * t);
        let bent = (2.0 * t3 - 3.0 * t2 + 1.0) * self.knee
            + (t3 - 2.0 * t2 + t) * (1.0 - self.knee)
            + (3.0 * t2 - 2.0 * t3) * self.target;
        bent * self.peak
    }
}

/// The code of standard range (sRGB, IEC 61966-2-1), 0 to 1, of linear light from 0 to 1.
pub(crate) fn srgb(light: f64) -> f64 {
    if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_the_standard_prints() {
        // BT.2408, table 1, and ST 2084: 203 cd/m² is 58 %, 1000 is 75 %, 10 000 is all.
        for (light, wanted) in [(0.0, 0.0), (100.0, 0.508), (203.0, 0.581), (1000.0, 0.752), (10_000.0, 1.0)]
        {
            assert!((code(light) - wanted).abs() < 0.001, "{light}: {}", code(light));
            assert!((nits(code(light)) - light).abs() < 0.01, "{light}");
        }
    }

    #[test]
    fn the_curve_keeps_what_is_dark_meets_white_at_the_peak_and_never_falls() {
        let curve = ToneCurve::new(1000);
        assert!((curve.mapped(code(50.0)) - code(50.0)).abs() < 1e-12);
        assert!((nits(curve.mapped(code(1000.0))) - 203.0).abs() < 0.01);
        assert!((nits(curve.mapped(1.0)) - 203.0).abs() < 0.01, "brighter than the title said");
        let levels: Vec<f64> = (0..=1000).map(|step| curve.mapped(f64::from(step) / 1000.0)).collect();
        assert!(levels.is_sorted());
        let dim = ToneCurve::new(150);
        assert!((dim.mapped(code(150.0)) - code(150.0)).abs() < 1e-12, "there is nothing to bend");
    }
}

//! HDR10 into standard range on the CPU, by tables: a power for each channel of each pixel would take a core's time.

use super::curve::{REFERENCE_WHITE_NITS, TO_BT709, ToneCurve, code, nits, srgb};
use super::unpacked;

/// Codes of ten bits.
const CODES: usize = 1024;
/// Steps of linear light: near black, where a code of eight bits takes 20 of them, they are fine enough.
const STEPS: usize = 1 << 16;

/// Brings pictures of one peak into standard range.
#[derive(Debug)]
pub(super) struct ToneMap {
    peak_nits: u16,
    /// Linear light of each code, white being 1.
    light: Vec<f32>,
    /// What a pixel is dimmed by, by the code of its brightest channel.
    gain: Vec<f32>,
    /// Of each step of light, 8 bits.
    encoded: Vec<u8>,
}

impl ToneMap {
    pub(super) fn new(peak_nits: u16) -> Self {
        let curve = ToneCurve::new(peak_nits);
        let share = |at: usize| at as f64 / (CODES - 1) as f64;
        let light = (0..CODES).map(|at| (nits(share(at)) / REFERENCE_WHITE_NITS) as f32).collect();
        let gain = |at: usize| {
            let source = nits(share(at));
            if source > 0.0 { (nits(curve.mapped(share(at))) / source) as f32 } else { 1.0 }
        };
        let encoded = (0..STEPS).map(|at| (255.0 * srgb(at as f64 / (STEPS - 1) as f64)).round() as u8);
        Self { peak_nits, light, gain: (0..CODES).map(gain).collect(), encoded: encoded.collect() }
    }

    pub(super) fn fits(&self, peak_nits: u16) -> bool {
        self.peak_nits == peak_nits
    }

    /// A row of 10-bit pixels into one of opaque BGRA.
    pub(super) fn row(&self, source: &[u8], target: &mut [u8]) {
        for (from, to) in source.as_chunks::<4>().0.iter().zip(target.as_chunks_mut::<4>().0) {
            *to = self.pixel(unpacked(*from));
        }
    }

    fn pixel(&self, codes: [u16; 3]) -> [u8; 4] {
        let gain = self.gain[usize::from(codes[0].max(codes[1]).max(codes[2])) % CODES];
        let [r, g, b] = codes.map(|code| self.light[usize::from(code) % CODES] * gain);
        let [r, g, b] = TO_BT709.map(|row| row[0] * r + row[1] * g + row[2] * b);
        // The cast keeps what lies outside of BT.709 at its edge.
        let encoded = |light: f32| self.encoded[usize::from((light * (STEPS - 1) as f32 + 0.5) as u16)];
        [encoded(b), encoded(g), encoded(r), 255]
    }
}

/// The ten-bit code, 0 to 1023, that a channel of an [`Hdr10Picture`](crate::Hdr10Picture) has for a light in cd/m².
pub fn hdr10_code(nits: f64) -> u16 {
    (code(nits) * (CODES - 1) as f64).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_stay_grey_white_is_white_and_colours_outside_are_at_the_edge() {
        let map = ToneMap::new(1000);
        for light in [0.0, 1.0, 20.0, 203.0, 600.0, 1000.0] {
            let [b, g, r, _] = map.pixel([hdr10_code(light); 3]);
            assert!(r.abs_diff(g) <= 1 && b.abs_diff(g) <= 1, "{light}: {r} {g} {b}");
        }
        assert_eq!(map.pixel([hdr10_code(1000.0); 3])[1], 255);
        assert_eq!(map.pixel([0; 3]), [0, 0, 0, 255]);
        // BT.2020's green has negative red and blue in BT.709.
        let [b, g, r, _] = map.pixel([0, hdr10_code(203.0), 0]);
        assert_eq!((r, b), (0, 0));
        assert!(g > 200, "{g}");
    }
}

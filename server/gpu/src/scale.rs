//! Bilinear scaling with letterbox on the CPU.

use crate::letterbox::{Placement, fit};
use crate::picture::CpuPicture;

/// Fixed-point bits of a weight; a sample with a weight's fraction takes 16 bits, and a second weight's 24.
const WEIGHT_BITS: u32 = 8;

/// Bits of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Four bytes, opaque.
    Eight,
    /// Three times ten bits of a word, R the lowest, and opaque.
    Ten,
}

impl Depth {
    fn opaque_black(self) -> [u8; 4] {
        match self {
            Self::Eight => [0, 0, 0, 255],
            Self::Ten => [0, 0, 0, 0xc0],
        }
    }
}

/// Between which two source samples a target sample lies, and how near the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tap {
    first: u32,
    second: u32,
    weight: u16,
}

/// Scales pictures of one depth into frames of one size, keeping their proportions; bars are opaque black.
/// Memory is one frame and two rows, kept between frames.
#[derive(Debug)]
pub(crate) struct Scaler {
    width: u32,
    height: u32,
    depth: Depth,
    source: (u32, u32),
    placement: Placement,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    upper: ScaledRow,
    lower: ScaledRow,
    frame: Vec<u8>,
}

/// One source row scaled horizontally.
#[derive(Debug, Default)]
struct ScaledRow {
    source_row: Option<u32>,
    samples: Vec<u16>,
}

impl Scaler {
    /// For frames of `width × height`, both even.
    pub(crate) fn new(width: u32, height: u32, depth: Depth) -> Self {
        Self {
            width,
            height,
            depth,
            source: (0, 0),
            placement: Placement { x: 0, y: 0, width: 0, height: 0 },
            columns: Vec::new(),
            rows: Vec::new(),
            upper: ScaledRow::default(),
            lower: ScaledRow::default(),
            frame: Vec::new(),
        }
    }

    /// The frame with the picture in it: pixels as the picture's, rows of `4 * width` bytes. The picture is checked.
    pub(crate) fn scale(&mut self, picture: &CpuPicture<'_>) -> &[u8] {
        if self.source != (picture.width, picture.height) {
            self.prepare((picture.width, picture.height));
        }
        self.upper.source_row = None;
        self.lower.source_row = None;
        for row in 0..self.rows.len() {
            let tap = self.rows[row];
            if self.upper.source_row != Some(tap.first) {
                std::mem::swap(&mut self.upper, &mut self.lower);
                self.upper.fill(picture, tap.first, &self.columns, self.depth);
            }
            self.lower.fill(picture, tap.second, &self.columns, self.depth);
            let start =
                4 * ((self.placement.y as usize + row) * self.width as usize + self.placement.x as usize);
            let target = &mut self.frame[start..start + 4 * self.columns.len()];
            match self.depth {
                Depth::Eight => blend(&self.upper.samples, &self.lower.samples, tap.weight, target),
                Depth::Ten => blend_tens(&self.upper.samples, &self.lower.samples, tap.weight, target),
            }
        }
        &self.frame
    }

    fn prepare(&mut self, source: (u32, u32)) {
        self.source = source;
        self.placement = fit(source, (self.width, self.height));
        self.columns = taps(source.0, self.placement.width);
        self.rows = taps(source.1, self.placement.height);
        let samples = 4 * self.columns.len();
        self.upper.samples.resize(samples, 0);
        self.lower.samples.resize(samples, 0);
        self.frame = self.depth.opaque_black().repeat(self.width as usize * self.height as usize);
    }
}

impl ScaledRow {
    /// Scales one row of the picture, unless it is already here.
    fn fill(&mut self, picture: &CpuPicture<'_>, row: u32, columns: &[Tap], depth: Depth) {
        if self.source_row == Some(row) {
            return;
        }
        self.source_row = Some(row);
        let start = row as usize * picture.stride as usize;
        let (source, _) = picture.data[start..start + 4 * picture.width as usize].as_chunks::<4>();
        let (samples, _) = self.samples.as_chunks_mut::<4>();
        for (sample, tap) in samples.iter_mut().zip(columns) {
            let (first, second) = (source[tap.first as usize], source[tap.second as usize]);
            let weight = u32::from(tap.weight);
            let keep = (1 << WEIGHT_BITS) - weight;
            match depth {
                Depth::Eight => {
                    for channel in 0..4 {
                        let mixed = u32::from(first[channel]) * keep + u32::from(second[channel]) * weight;
                        sample[channel] = mixed as u16;
                    }
                }
                Depth::Ten => {
                    let (first, second) = (u32::from_le_bytes(first), u32::from_le_bytes(second));
                    for (channel, sample) in sample.iter_mut().take(3).enumerate() {
                        let code = |word: u32| word >> (10 * channel) & 0x3ff;
                        *sample = ((code(first) * keep + code(second) * weight) >> 2) as u16;
                    }
                }
            }
        }
    }
}

/// Mixes two rows of samples (8 integer and 8 fractional bits) into bytes.
fn blend(upper: &[u16], lower: &[u16], weight: u16, target: &mut [u8]) {
    let weight = u32::from(weight);
    let keep = (1 << WEIGHT_BITS) - weight;
    for ((out, &above), &below) in target.iter_mut().zip(upper).zip(lower) {
        let mixed = u32::from(above) * keep + u32::from(below) * weight;
        *out = ((mixed + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS)) as u8;
    }
}

/// Mixes two rows of samples (10 integer and 6 fractional bits) into words of three.
fn blend_tens(upper: &[u16], lower: &[u16], weight: u16, target: &mut [u8]) {
    const SHIFT: u32 = 2 * WEIGHT_BITS - 2;
    let weight = u32::from(weight);
    let keep = (1 << WEIGHT_BITS) - weight;
    let pixels = target.as_chunks_mut::<4>().0.iter_mut();
    for ((out, above), below) in pixels.zip(upper.as_chunks::<4>().0).zip(lower.as_chunks::<4>().0) {
        let code = |channel: usize| {
            let mixed = u32::from(above[channel]) * keep + u32::from(below[channel]) * weight;
            (mixed + (1 << (SHIFT - 1))) >> SHIFT
        };
        *out = (code(0) | code(1) << 10 | code(2) << 20 | 3 << 30).to_le_bytes();
    }
}

/// For each of `target` samples the source samples around its centre, clamped to the edge.
fn taps(source: u32, target: u32) -> Vec<Tap> {
    let scale = f64::from(source) / f64::from(target);
    let last = source - 1;
    (0..target)
        .map(|at| {
            let centre = ((f64::from(at) + 0.5) * scale - 0.5).clamp(0.0, f64::from(last));
            let first = centre as u32;
            let weight = ((centre - f64::from(first)) * f64::from(1 << WEIGHT_BITS)).round() as u16;
            Tap { first, second: (first + 1).min(last), weight }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Vec<u8> {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        pixels.flat_map(|(x, y)| [value(x, y), value(x, y), value(x, y), 255]).collect()
    }

    fn picture(width: u32, height: u32, data: &[u8]) -> CpuPicture<'_> {
        CpuPicture { width, height, stride: 4 * width, data }
    }

    #[test]
    fn a_linear_ramp_stays_linear_when_it_grows() {
        let data = grey(16, 16, |x, _| (x * 16) as u8);
        let mut scaler = Scaler::new(64, 64, Depth::Eight);
        let frame = scaler.scale(&picture(16, 16, &data));
        for x in 2..62_usize {
            let expected = ((x as f64 + 0.5) / 4.0 - 0.5) * 16.0;
            let got = f64::from(frame[4 * (64 * 30 + x)]);
            assert!((got - expected).abs() <= 1.0, "column {x}: {got} against {expected}");
        }
    }

    #[test]
    fn bars_are_opaque_black_and_the_picture_fills_its_place() {
        let data = grey(20, 20, |_, _| 200);
        let mut scaler = Scaler::new(80, 40, Depth::Eight);
        let frame = scaler.scale(&picture(20, 20, &data));
        for y in 0..40 {
            for x in 0..80 {
                let expected =
                    if (20..60).contains(&x) { [200, 200, 200, 255] } else { Depth::Eight.opaque_black() };
                let at = 4 * (80 * y + x);
                assert_eq!(frame[at..at + 4], expected, "at {x}, {y}");
            }
        }
    }

    #[test]
    fn a_picture_of_another_size_leaves_nothing_of_the_one_before() {
        let wide = grey(40, 10, |_, _| 255);
        let tall = grey(10, 40, |_, _| 100);
        let mut scaler = Scaler::new(32, 32, Depth::Eight);
        scaler.scale(&picture(40, 10, &wide));
        let mixed = scaler.scale(&picture(10, 40, &tall)).to_vec();
        let fresh = Scaler::new(32, 32, Depth::Eight).scale(&picture(10, 40, &tall)).to_vec();
        assert_eq!(mixed, fresh);
    }

    #[test]
    fn a_single_pixel_fills_its_place() {
        let data = grey(1, 1, |_, _| 7);
        let mut scaler = Scaler::new(16, 16, Depth::Eight);
        let frame = scaler.scale(&picture(1, 1, &data));
        assert!(frame.chunks(4).all(|pixel| pixel == [7, 7, 7, 255]));
    }

    #[test]
    fn ten_bits_are_scaled_in_ten_bits() {
        let ramp: Vec<u8> = (0..16 * 16_u32)
            .flat_map(|at| {
                let code = at % 16 * 64;
                (code | (1023 - code) << 10 | 512 << 20 | 3 << 30).to_le_bytes()
            })
            .collect();
        let mut scaler = Scaler::new(80, 64, Depth::Ten);
        let frame = scaler.scale(&picture(16, 16, &ramp)).to_vec();
        let at = |x: usize| u32::from_le_bytes(frame.as_chunks::<4>().0[80 * 30 + x]);
        assert_eq!(at(0), 3 << 30, "the bar");
        for x in 2..62_usize {
            let wanted = ((x as f64 + 0.5) / 4.0 - 0.5) * 64.0;
            let got = at(8 + x);
            assert!((f64::from(got & 0x3ff) - wanted).abs() <= 1.0, "column {x}");
            assert!((f64::from(got >> 10 & 0x3ff) - (1023.0 - wanted)).abs() <= 1.0, "column {x}");
            assert_eq!(got >> 20, 512 | 3 << 10);
        }
    }
}

//! The card itself: BGRA, opaque, rows without padding.
//!
//! Bands of smooth noise that scroll at different speeds, moving boxes and a zone plate: about what a
//! busy game costs to encode, for little more than one copy of the picture.

use super::hands::Hands;
use crate::rng::Rng;

/// The noise repeats after this many px, a power of two.
const PERIOD: usize = 1024;
/// Scroll speeds of the bands, px per frame.
const BAND_SPEEDS: [usize; 4] = [1, 3, 5, 8];
/// Noise octaves: cell in px (dividing [`PERIOD`]) and amplitude.
const OCTAVES: [(usize, i32); 3] = [(64, 60), (16, 40), (4, 24)];
const BOXES: usize = 10;
/// Sides of the smallest lamp, in px.
const MIN_LAMP_PX: usize = 3;

type Pixel = [u8; 4];

/// A picture in px.
#[derive(Clone, Copy)]
struct Rect {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
}

/// Paints into one reused frame.
pub(crate) struct Painter {
    width: usize,
    height: usize,
    /// `(width + PERIOD) × height`, so that any scroll offset is one contiguous row.
    texture: Vec<u8>,
    /// Squared distance from the plate's centre as a phase, `side × side`.
    plate: Vec<u8>,
    plate_side: usize,
    wave: [Pixel; 256],
    frame: Vec<u8>,
}

impl Painter {
    pub(crate) fn new(width: u32, height: u32, seed: u64) -> Self {
        let (width, height) = (width as usize, height as usize);
        let plate_side = (height / 4).min(width / 4);
        let middle = plate_side as i32 / 2;
        let plate = (0..plate_side * plate_side)
            .map(|i| {
                let (x, y) = ((i % plate_side) as i32 - middle, (i / plate_side) as i32 - middle);
                // One full turn of phase per pixel at the rim would alias; a third of that does not.
                ((x * x + y * y) * 85 / plate_side as i32) as u8
            })
            .collect();
        let wave = std::array::from_fn(|i| {
            let level = (128.0 + 100.0 * (i as f32 / 256.0 * std::f32::consts::TAU).sin()) as u8;
            [level, level, level, 255]
        });
        Self {
            width,
            height,
            texture: texture(width, height, seed),
            plate,
            plate_side,
            wave,
            frame: vec![255; width * height * 4],
        }
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.frame
    }

    /// Fills the frame with the scrolling bands.
    pub(crate) fn bands(&mut self, step: u32) {
        let (row, texture_row) = (self.width * 4, (self.width + PERIOD) * 4);
        for y in 0..self.height {
            let speed = BAND_SPEEDS[y * BAND_SPEEDS.len() / self.height];
            let offset = (step as usize).wrapping_mul(speed) % PERIOD * 4;
            let from = y * texture_row + offset;
            self.frame[y * row..(y + 1) * row].copy_from_slice(&self.texture[from..from + row]);
        }
    }

    /// Draws boxes that bounce between the edges.
    pub(crate) fn boxes(&mut self, step: u32) {
        let side = self.height / 10;
        for i in 0..BOXES {
            let x = bounce(i * 97 + step as usize * (2 + i % 5), self.width - side);
            let y = bounce(i * 53 + step as usize * (1 + i % 3), self.height - side);
            let hue = (i * 25) as u8;
            self.fill(Rect { x, y, w: side, h: side }, [250 - hue, 90 + hue / 2, 30 + hue, 255]);
            let core = Rect { x: x + side / 4, y: y + side / 4, w: side / 2, h: side / 2 };
            self.fill(core, [hue, 200, 255 - hue, 255]);
        }
    }

    /// Draws the turning zone plate in the middle of the right half.
    pub(crate) fn zone_plate(&mut self, step: u32) {
        let (left, top) = (self.width * 3 / 4 - self.plate_side / 2, (self.height - self.plate_side) / 2);
        let turn = (step as u8).wrapping_mul(6);
        for (y, phases) in self.plate.chunks_exact(self.plate_side).enumerate() {
            let start = ((top + y) * self.width + left) * 4;
            let row = &mut self.frame[start..start + self.plate_side * 4];
            for (pixel, phase) in row.chunks_exact_mut(4).zip(phases) {
                pixel.copy_from_slice(&self.wave[usize::from(phase.wrapping_sub(turn))]);
            }
        }
    }

    /// Draws what is held as lit boxes, the pointer as a cross and the marker of a fresh press.
    pub(crate) fn hands(&mut self, hands: &Hands, flash: bool) {
        let lamp = (self.height / 60).max(MIN_LAMP_PX);
        let step = lamp + 1;
        let (left, top) = (step, self.height - 10 * step);
        self.fill(Rect { x: 0, y: top - step, w: 34 * step, h: self.height - top + step }, [24, 20, 20, 255]);
        let at = |column: usize, row: usize| Rect {
            x: left + column * step,
            y: top + row * step,
            w: lamp,
            h: lamp,
        };
        let (lit, dark) = ([80, 255, 255, 255], [70, 60, 60, 255]);
        for (code, down) in hands.keys.iter().enumerate() {
            self.fill(at(code % 32, code / 32), if *down { lit } else { dark });
        }
        for (button, down) in hands.buttons.iter().enumerate() {
            self.fill(at(button, 8), if *down { lit } else { dark });
        }
        for bit in 0..24 {
            let down = hands.pads.iter().any(|pad| pad.buttons >> bit & 1 == 1);
            self.fill(at(8 + bit, 8), if down { lit } else { dark });
        }
        let side = self.height / 8;
        let marker = Rect { x: self.width - side, y: self.height - side, w: side, h: side };
        self.fill(marker, if flash { [255; 4] } else { [40, 32, 32, 255] });
        self.cross(hands.pointer);
    }

    fn cross(&mut self, [px, py]: [f32; 2]) {
        let arm = self.height / 24;
        let x = (px * (self.width - 1) as f32) as usize;
        let y = (py * (self.height - 1) as f32) as usize;
        let (x0, y0) = (x.saturating_sub(arm), y.saturating_sub(arm));
        let red = [40, 40, 255, 255];
        self.fill(Rect { x: x0, y: y.saturating_sub(1), w: 2 * arm + 1, h: 3 }, red);
        self.fill(Rect { x: x.saturating_sub(1), y: y0, w: 3, h: 2 * arm + 1 }, red);
    }

    /// Fills what of `rect` lies inside the frame.
    fn fill(&mut self, rect: Rect, colour: Pixel) {
        let right = (rect.x + rect.w).min(self.width);
        for y in rect.y..(rect.y + rect.h).min(self.height) {
            let row = &mut self.frame[(y * self.width + rect.x.min(right)) * 4..(y * self.width + right) * 4];
            row.chunks_exact_mut(4).for_each(|pixel| pixel.copy_from_slice(&colour));
        }
    }
}

/// Goes to and fro in `0..=span`.
fn bounce(way: usize, span: usize) -> usize {
    let folded = way % (2 * span).max(1);
    folded.min((2 * span).saturating_sub(folded))
}

/// Smooth value noise in several octaves that repeats after [`PERIOD`] px, tinted from row to row.
fn texture(width: usize, height: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut relief = vec![0i32; PERIOD * height];
    for (cell, amplitude) in OCTAVES {
        let (columns, rows) = (PERIOD / cell, height / cell + 2);
        let grid: Vec<i32> = (0..columns * rows).map(|_| rng.below(256) as i32 - 128).collect();
        let c = cell as i32;
        for (i, sum) in relief.iter_mut().enumerate() {
            let (x, y) = (i % PERIOD, i / PERIOD);
            let (gx, gy, fx, fy) = (x / cell, y / cell, (x % cell) as i32, (y % cell) as i32);
            let corner = |dx: usize, dy: usize| grid[(gy + dy) * columns + (gx + dx) % columns];
            let upper = corner(0, 0) * (c - fx) + corner(1, 0) * fx;
            let lower = corner(0, 1) * (c - fx) + corner(1, 1) * fx;
            *sum += (upper * (c - fy) + lower * fy) / (c * c) * amplitude / 128;
        }
    }
    let mut pixels = Vec::with_capacity((width + PERIOD) * height * 4);
    for (y, row) in relief.chunks_exact(PERIOD).enumerate() {
        let warm = (y * 80 / height) as i32 - 40;
        let pixel = |level: &i32| {
            let channel = |tint: i32| (120 + level + tint).clamp(0, 255) as u8;
            [channel(-warm), channel(level / 4), channel(warm), 255]
        };
        pixels.extend(row.iter().cycle().take(width + PERIOD).flat_map(pixel));
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_has_no_seam_where_it_repeats() {
        let mut painter = Painter::new(320, 180, 1);
        painter.bands(0);
        let first = painter.frame.clone();
        painter.bands(PERIOD as u32);
        assert_eq!(first, painter.frame);
    }

    #[test]
    fn boxes_bounce_inside_at_any_time() {
        for way in (0..10_000).chain([usize::MAX / 2]) {
            assert!(bounce(way, 100) <= 100);
        }
        assert_eq!([bounce(99, 100), bounce(100, 100), bounce(101, 100)], [99, 100, 99]);
    }
}

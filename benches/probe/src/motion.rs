//! The testcard's moving picture: scrolling bands of noise, bouncing boxes and a turning zone plate, pixel for pixel
//! those of `server/title/src/testcard/picture.rs`, so that a program's picture costs as much to encode as the
//! testcard's. A test compares both.

use crate::canvas::{Canvas, Pixel, Rect};

/// The noise repeats after this many px.
const PERIOD: usize = 1024;
/// Scroll speeds of the bands, px per picture.
const BAND_SPEEDS: [usize; 4] = [1, 3, 5, 8];
/// Noise octaves: cell in px (dividing [`PERIOD`]) and amplitude.
const OCTAVES: [(usize, i32); 3] = [(64, 60), (16, 40), (4, 24)];
const BOXES: usize = 10;

/// The picture at any step, for one size.
pub struct Motion {
    width: usize,
    height: usize,
    /// `(width + PERIOD) × height`, so that any scroll offset is one contiguous row.
    texture: Vec<u8>,
    /// Squared distance from the plate's centre as a phase, `side × side`.
    plate: Vec<u8>,
    plate_side: usize,
    wave: [Pixel; 256],
}

impl Motion {
    /// For pictures of `width × height` px; `seed` decides the noise.
    pub fn new(width: usize, height: usize, seed: u64) -> Self {
        let plate_side = (height / 4).min(width / 4);
        let middle = plate_side as i32 / 2;
        let phase = |i: usize| {
            let (x, y) = ((i % plate_side) as i32 - middle, (i / plate_side) as i32 - middle);
            ((x * x + y * y) * 85 / plate_side as i32) as u8
        };
        let wave = std::array::from_fn(|i| {
            let level = (128.0 + 100.0 * (i as f32 / 256.0 * std::f32::consts::TAU).sin()) as u8;
            [level, level, level, 255]
        });
        Self {
            width,
            height,
            texture: texture(width, height, seed),
            plate: (0..plate_side * plate_side).map(phase).collect(),
            plate_side,
            wave,
        }
    }

    /// The size that it is for, in px.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Draws over all of a picture of its size.
    ///
    /// # Panics
    /// When the picture has another size.
    pub fn draw(&self, canvas: &mut Canvas, step: u32) {
        assert_eq!((canvas.width(), canvas.height()), self.size(), "a picture of the size that it is for");
        self.bands(canvas, step);
        self.boxes(canvas, step);
        self.zone_plate(canvas, step);
    }

    fn bands(&self, canvas: &mut Canvas, step: u32) {
        let texture_row = (self.width + PERIOD) * 4;
        for y in 0..self.height {
            let speed = BAND_SPEEDS[y * BAND_SPEEDS.len() / self.height];
            let offset = (step as usize).wrapping_mul(speed) % PERIOD * 4;
            let from = y * texture_row + offset;
            canvas.copy(0, y, &self.texture[from..from + self.width * 4]);
        }
    }

    fn boxes(&self, canvas: &mut Canvas, step: u32) {
        let side = self.height / 10;
        for i in 0..BOXES {
            let x = bounce(i * 97 + step as usize * (2 + i % 5), self.width - side);
            let y = bounce(i * 53 + step as usize * (1 + i % 3), self.height - side);
            let hue = (i * 25) as u8;
            canvas.fill(Rect { x, y, w: side, h: side }, [250 - hue, 90 + hue / 2, 30 + hue, 255]);
            let core = Rect { x: x + side / 4, y: y + side / 4, w: side / 2, h: side / 2 };
            canvas.fill(core, [hue, 200, 255 - hue, 255]);
        }
    }

    fn zone_plate(&self, canvas: &mut Canvas, step: u32) {
        let (left, top) = (self.width * 3 / 4 - self.plate_side / 2, (self.height - self.plate_side) / 2);
        let turn = (step as u8).wrapping_mul(6);
        let mut row = Vec::with_capacity(self.plate_side * 4);
        for (y, phases) in self.plate.chunks_exact(self.plate_side).enumerate() {
            row.clear();
            row.extend(phases.iter().flat_map(|phase| self.wave[usize::from(phase.wrapping_sub(turn))]));
            canvas.copy(left, top + y, &row);
        }
    }
}

/// Goes to and fro in `0..=span`.
fn bounce(way: usize, span: usize) -> usize {
    let folded = way % (2 * span).max(1);
    folded.min((2 * span).saturating_sub(folded))
}

/// SplitMix64 (Steele, Lea, Flood 2014), as `server/title/src/rng.rs`.
struct Rng(u64);

impl Rng {
    /// Uniform in `0..n`.
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((((z ^ (z >> 31)) >> 32) * u64::from(n)) >> 32) as u32
    }
}

/// Smooth value noise in several octaves that repeats after [`PERIOD`] px, tinted from row to row.
fn texture(width: usize, height: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
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

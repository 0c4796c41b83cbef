//! Large coloured cells that survive the encoder: what the probe draws, and what reads it back.

use crate::canvas::{Canvas, Pixel, Rect};
use crate::crc::crc16;
use crate::mode::Mode;

/// Cells in a row.
pub const COLUMNS: usize = 16;
/// Rows of cells.
pub const ROWS: usize = 9;
/// The row that says mode and phase.
pub const MODE_ROW: usize = 1;
/// A channel's mean within this distance of the middle says nothing.
const UNCLEAR: u32 = 40;

/// The colour of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Colour {
    /// All channels off.
    Black,
    /// Red.
    Red,
    /// Green.
    Green,
    /// Red and green.
    Yellow,
    /// Blue.
    Blue,
    /// Red and blue.
    Magenta,
    /// Green and blue.
    Cyan,
    /// All channels on.
    White,
}

impl Colour {
    /// The colour of these three bits: 1 red, 2 green, 4 blue.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::Black,
            1 => Self::Red,
            2 => Self::Green,
            3 => Self::Yellow,
            4 => Self::Blue,
            5 => Self::Magenta,
            6 => Self::Cyan,
            _ => Self::White,
        }
    }

    /// As a pixel.
    pub fn pixel(self) -> Pixel {
        let on = |bit: u8| if self as u8 & bit == 0 { 0 } else { 255 };
        [on(4), on(2), on(1), 255]
    }
}

/// The px that cell (column, row) covers in a picture of `width × height` px.
pub const fn rect(width: usize, height: usize, column: usize, row: usize) -> Rect {
    let (x, y) = (column * width / COLUMNS, row * height / ROWS);
    Rect { x, y, w: (column + 1) * width / COLUMNS - x, h: (row + 1) * height / ROWS - y }
}

/// Colours a cell.
pub fn paint(canvas: &mut Canvas, column: usize, row: usize, colour: Colour) {
    canvas.fill(rect(canvas.width(), canvas.height(), column, row), colour.pixel());
}

/// Colours all cells of these rows.
pub fn paint_rows(canvas: &mut Canvas, rows: std::ops::Range<usize>, colour: Colour) {
    for row in rows {
        (0..COLUMNS).for_each(|column| paint(canvas, column, row, colour));
    }
}

/// Writes a number into a row.
pub fn paint_number(canvas: &mut Canvas, row: usize, number: u32) {
    let bits = u64::from(checksum(row, number)) << 32 | u64::from(number);
    for column in 0..COLUMNS {
        paint(canvas, column, row, Colour::from_bits((bits >> (3 * column)) as u8));
    }
}

/// Writes mode and phase.
pub fn paint_mode(canvas: &mut Canvas, mode: Mode, phase: u16) {
    paint_number(canvas, MODE_ROW, u32::from(mode as u16) << 16 | u32::from(phase));
}

fn checksum(row: usize, number: u32) -> u16 {
    crc16([row as u8].into_iter().chain(number.to_le_bytes()))
}

/// The cells of one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells([[Option<Colour>; COLUMNS]; ROWS]);

/// A picture that has no cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellsError {
    /// Too few px for the grid.
    #[error("a picture of {width} × {height} px is too small for cells")]
    TooSmall {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
    },
    /// Fewer bytes than the size says.
    #[error("the picture has fewer bytes than its size and stride say")]
    Short,
}

/// Reads a BGRA picture of `width × height` px with `stride` bytes in a row. A cell counts by the mean of its
/// middle half, so that blur and noise at the edges do not matter.
///
/// # Errors
/// A picture too small for cells, or shorter than it says.
pub fn read(bgra: &[u8], width: usize, height: usize, stride: usize) -> Result<Cells, CellsError> {
    if width < 4 * COLUMNS || height < 4 * ROWS {
        return Err(CellsError::TooSmall { width, height });
    }
    let enough = stride >= width * 4 && (height - 1) * stride + width * 4 <= bgra.len();
    if !enough {
        return Err(CellsError::Short);
    }
    let cell = |column, row| {
        let Rect { x, y, w, h } = rect(width, height, column, row);
        let (x, y, w, h) = (x + w / 4, y + h / 4, w / 2, h / 2);
        let mut sums = [0u32; 3];
        for line in y..y + h {
            let start = line * stride + x * 4;
            for pixel in bgra[start..start + w * 4].chunks_exact(4) {
                sums.iter_mut().zip(pixel).for_each(|(sum, channel)| *sum += u32::from(*channel));
            }
        }
        colour(sums.map(|sum| sum / (w * h) as u32))
    };
    Ok(Cells(std::array::from_fn(|row| std::array::from_fn(|column| cell(column, row)))))
}

/// The colour of a mean of blue, green and red, where it is clear.
fn colour([blue, green, red]: [u32; 3]) -> Option<Colour> {
    let bit = |mean: u32, bit| match mean.abs_diff(128) {
        ..UNCLEAR => None,
        _ => Some(if mean > 128 { bit } else { 0 }),
    };
    Some(Colour::from_bits(bit(red, 1)? | bit(green, 2)? | bit(blue, 4)?))
}

impl Cells {
    /// The colour of a cell; nothing outside the grid or where it is unclear.
    pub fn at(&self, column: usize, row: usize) -> Option<Colour> {
        *self.0.get(row)?.get(column)?
    }

    /// The number in a row, if it is whole.
    pub fn number(&self, row: usize) -> Option<u32> {
        let cells = self.0.get(row)?;
        let bits =
            cells.iter().rev().try_fold(0u64, |sum, cell| Some(sum << 3 | u64::from((*cell)? as u8)))?;
        let number = bits as u32;
        (bits >> 32 == u64::from(checksum(row, number))).then_some(number)
    }

    /// Mode and phase, if this is a picture of the probe.
    pub fn mode(&self) -> Option<(Mode, u16)> {
        let number = self.number(MODE_ROW)?;
        Some((Mode::from_number((number >> 16) as u16)?, number as u16))
    }

    /// Whether all cells of these rows have this colour.
    pub fn all(&self, rows: std::ops::Range<usize>, colour: Colour) -> bool {
        rows.into_iter().all(|row| (0..COLUMNS).all(|column| self.at(column, row) == Some(colour)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Canvas {
        let mut canvas = Canvas::new(width, height);
        paint_mode(&mut canvas, Mode::Lock, 1);
        paint_number(&mut canvas, 2, 0xdead_beef);
        paint_number(&mut canvas, 3, 0);
        paint(&mut canvas, 5, 8, Colour::Magenta);
        canvas
    }

    fn check(cells: &Cells) {
        assert_eq!(cells.mode(), Some((Mode::Lock, 1)));
        assert_eq!(cells.number(2), Some(0xdead_beef));
        assert_eq!(cells.number(3), Some(0));
        assert_eq!(cells.number(4), None, "an empty row is no number");
        assert_eq!((cells.at(5, 8), cells.at(6, 8)), (Some(Colour::Magenta), Some(Colour::Black)));
        assert_eq!((cells.at(16, 0), cells.number(9)), (None, None));
    }

    #[test]
    fn cells_are_read_back_at_any_size_and_stride() {
        for (width, height) in [(64, 36), (640, 360), (1280, 720), (1366, 768), (1920, 1080)] {
            let canvas = picture(width, height);
            let stride = canvas.stride() + 12;
            let mut padded = vec![77; stride * height];
            for y in 0..height {
                padded[y * stride..][..canvas.stride()].copy_from_slice(canvas.rows(y, 1));
            }
            check(&read(&padded, width, height, stride).unwrap());
        }
    }

    /// BT.709 limited range with one chroma sample for each 2 × 2 px, coarsely quantised, and back.
    fn through_video(canvas: &Canvas) -> Vec<u8> {
        let coarse = |level: f32| (level / 24.0).round() * 24.0;
        let mut out = canvas.pixels().to_vec();
        for (i, pixel) in out.chunks_exact_mut(4).enumerate() {
            let (x, y) = (i % canvas.width(), i / canvas.width());
            let luma = |[b, g, r]: [f32; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
            let at = |x, y| [0, 1, 2].map(|c| f32::from(canvas.at(x, y)[c]));
            let (own, shared) = (luma(at(x, y)), at(x / 2 * 2, y / 2 * 2));
            let (u, v) = ((shared[0] - luma(shared)) / 1.8556, (shared[2] - luma(shared)) / 1.5748);
            let (own, u, v) = (coarse(own), coarse(u), coarse(v));
            let back = [own + 1.8556 * u, own - 0.1873 * u - 0.4681 * v, own + 1.5748 * v];
            pixel[..3].copy_from_slice(&back.map(|channel| channel.clamp(0.0, 255.0) as u8));
        }
        out
    }

    #[test]
    fn subsampled_chroma_and_coarse_quantisation_do_not_harm_them() {
        let canvas = picture(1280, 720);
        check(&read(&through_video(&canvas), 1280, 720, canvas.stride()).unwrap());
    }

    #[test]
    fn a_damaged_or_misplaced_row_is_refused() {
        let mut canvas = picture(640, 360);
        paint(&mut canvas, 7, 2, Colour::Red);
        paint_number(&mut canvas, 4, 77);
        let cells = read(canvas.pixels(), 640, 360, 640 * 4).unwrap();
        assert_eq!(cells.number(2), None);
        let mut moved = cells.clone();
        moved.0[5] = cells.0[4];
        assert_eq!((moved.number(4), moved.number(5)), (Some(77), None));
        let grey = vec![128; 640 * 360 * 4];
        assert_eq!(read(&grey, 640, 360, 640 * 4).unwrap().at(3, 3), None);
    }

    #[test]
    fn small_or_short_pictures_are_refused() {
        assert_eq!(read(&[], 63, 720, 252), Err(CellsError::TooSmall { width: 63, height: 720 }));
        assert_eq!(read(&[0; 100], 640, 360, 2560), Err(CellsError::Short));
        assert_eq!(read(&vec![0; 640 * 360 * 4], 640, 360, 2559), Err(CellsError::Short));
    }
}

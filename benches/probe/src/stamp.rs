//! The testcard's stamp, written. Format and reader: `server/title/src/stamp.rs`; a test has that reader
//! read what is written here, so that both stay one.

use crate::canvas::{Canvas, Pixel, Rect};
use crate::crc::crc16;

/// Blocks in one row.
const BLOCKS_PER_ROW: usize = 64;
const ROWS: usize = 2;
/// Narrowest picture that has room for the stamp and its grey band, in px.
pub const MIN_WIDTH: usize = (BLOCKS_PER_ROW + 1) * 4;

const WHITE: Pixel = [255; 4];
const BLACK: Pixel = [0, 0, 0, 255];
const GREY: Pixel = [128, 128, 128, 255];

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Time of drawing, CLOCK_MONOTONIC in µs, modulo 2⁴⁸.
    pub now_us: u64,
    /// Number of the picture.
    pub frame: u32,
    /// Input events that had arrived.
    pub input_serial: u32,
}

/// Side of one block in px for a picture of this width.
pub const fn block_px(width: usize) -> usize {
    if width / 80 < 4 { 4 } else { width / 80 }
}

impl Stamp {
    /// The 16 bytes, checksum included.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.now_us.to_le_bytes()[..6]);
        bytes[6..10].copy_from_slice(&self.frame.to_le_bytes());
        bytes[10..14].copy_from_slice(&self.input_serial.to_le_bytes());
        let sum = crc16(bytes[..14].iter().copied());
        bytes[14..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Draws the stamp and its grey band.
    pub fn draw(self, canvas: &mut Canvas) {
        let block = block_px(canvas.width());
        let bytes = self.to_bytes();
        for bit in 0..BLOCKS_PER_ROW * ROWS {
            let lit = bytes[bit / 8] >> (bit % 8) & 1 == 1;
            let (x, y) = (bit % BLOCKS_PER_ROW * block, bit / BLOCKS_PER_ROW * block);
            canvas.fill(Rect { x, y, w: block, h: block }, if lit { WHITE } else { BLACK });
        }
        let (right, below) = (BLOCKS_PER_ROW * block, ROWS * block);
        canvas.fill(Rect { x: right, y: 0, w: block, h: below }, GREY);
        canvas.fill(Rect { x: 0, y: below, w: right + block, h: block }, GREY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_fixed() {
        let bytes = Stamp { now_us: 1, frame: 2, input_serial: 3 }.to_bytes();
        assert_eq!(bytes[..14], [1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        let mut canvas = Canvas::new(1280, 720);
        Stamp { now_us: 1, frame: 2, input_serial: 3 }.draw(&mut canvas);
        assert_eq!(canvas.at(8, 8), WHITE, "bit 0 is the top left block");
        assert_eq!(canvas.at(24, 8), BLACK, "bit 1");
        assert_eq!((canvas.at(64 * 16 + 8, 8), canvas.at(8, 40)), (GREY, GREY), "the grey band");
    }
}

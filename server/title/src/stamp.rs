//! The testcard's machine-readable stamp.
//!
//! 128 bits as black and white blocks at the top left of the picture: two rows of 64 blocks, each
//! block `b × b` px with `b` = max(4, width ÷ 80 rounded down). Bit 0 is the leftmost block of the
//! upper row, bit 64 the leftmost of the lower row; white is 1, black is 0. A band of mid grey, one
//! block wide, lies to the right and below, so that no colour bleeds in from the picture.
//!
//! The bits are those of 16 bytes, least significant bit of byte 0 first:
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 0..6 | time of drawing, node clock in µs, u48 little-endian |
//! | 6..10 | frame number, u32 little-endian |
//! | 10..14 | serial of the newest input event that the frame shows, u32 little-endian |
//! | 14..16 | CRC-16/CCITT-FALSE (poly 0x1021, init 0xFFFF, no reflection) of bytes 0..14, u16 little-endian |

/// Blocks in one row.
pub const BLOCKS_PER_ROW: u32 = 64;
/// Rows of blocks.
pub const ROWS: u32 = 2;
/// Narrowest picture that has room for the stamp and its grey band, in px.
pub const MIN_WIDTH: u32 = (BLOCKS_PER_ROW + 1) * 4;

const WHITE: [u8; 4] = [255; 4];
const BLACK: [u8; 4] = [0, 0, 0, 255];
const GREY: [u8; 4] = [128, 128, 128, 255];

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Time of drawing, node clock in µs, modulo 2⁴⁸.
    pub now_us: u64,
    /// Frame number.
    pub frame: u32,
    /// Serial of the newest input event applied.
    pub input_serial: u32,
}

/// The picture carries no stamp that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Narrower or lower than the stamp.
    #[error("the picture is too small for a stamp")]
    TooSmall,
    /// The checksum does not fit: damaged, or no testcard.
    #[error("the stamp's checksum does not match")]
    Checksum,
}

/// Side of one block in px for a picture of this width.
pub const fn block_px(width: u32) -> u32 {
    if width / 80 < 4 { 4 } else { width / 80 }
}

impl Stamp {
    /// The 16 bytes, checksum included.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.now_us.to_le_bytes()[..6]);
        bytes[6..10].copy_from_slice(&self.frame.to_le_bytes());
        bytes[10..14].copy_from_slice(&self.input_serial.to_le_bytes());
        let sum = crc16(&bytes[..14]);
        bytes[14..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the 16 bytes and checks them.
    pub fn from_bytes(bytes: &[u8; 16]) -> Result<Self, StampError> {
        let [t0, t1, t2, t3, t4, t5, f0, f1, f2, f3, s0, s1, s2, s3, c0, c1] = *bytes;
        if u16::from_le_bytes([c0, c1]) != crc16(&bytes[..14]) {
            return Err(StampError::Checksum);
        }
        Ok(Self {
            now_us: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, 0, 0]),
            frame: u32::from_le_bytes([f0, f1, f2, f3]),
            input_serial: u32::from_le_bytes([s0, s1, s2, s3]),
        })
    }

    /// Draws the stamp and its grey band into a BGRA picture of `width` px with `stride` bytes per row.
    /// The picture must be at least [`MIN_WIDTH`] wide and three blocks high.
    pub fn draw(self, bgra: &mut [u8], width: u32, stride: usize) {
        draw_bytes(&self.to_bytes(), bgra, width, stride);
    }
}

/// Whether a picture of this size has room for 16 bytes with their grey band.
pub const fn has_room(width: u32, height: u32) -> bool {
    width >= MIN_WIDTH && height >= (ROWS + 1) * block_px(width)
}

/// Draws any 16 bytes where a stamp stands, with the grey band. The picture must have room ([`has_room`]).
pub fn draw_bytes(bytes: &[u8; 16], bgra: &mut [u8], width: u32, stride: usize) {
    let block = block_px(width) as usize;
    let row_bytes = (BLOCKS_PER_ROW as usize + 1) * block * 4;
    for row in 0..=ROWS as usize {
        let top = row * block * stride;
        for column in 0..=BLOCKS_PER_ROW as usize {
            let colour = match row * BLOCKS_PER_ROW as usize + column {
                _ if row == ROWS as usize || column == BLOCKS_PER_ROW as usize => GREY,
                bit if bytes[bit / 8] >> (bit % 8) & 1 == 1 => WHITE,
                _ => BLACK,
            };
            let left = top + column * block * 4;
            for pixel in bgra[left..left + block * 4].chunks_exact_mut(4) {
                pixel.copy_from_slice(&colour);
            }
        }
        for line in 1..block {
            bgra.copy_within(top..top + row_bytes, top + line * stride);
        }
    }
}

/// Reads the stamp of a picture from its luma: `luma(x, y)` is 0..=255, full or limited range.
///
/// Every bit is the mean of the middle half of its block, so that blur at the edges does not matter.
///
/// # Errors
/// A picture too small for a stamp, or a checksum that does not fit.
pub fn read(width: u32, height: u32, luma: impl Fn(u32, u32) -> u8) -> Result<Stamp, StampError> {
    Stamp::from_bytes(&read_bytes(width, height, luma)?)
}

/// Reads the 16 bytes that stand where a stamp does, as they are.
///
/// # Errors
/// A picture too small for them.
pub fn read_bytes(width: u32, height: u32, luma: impl Fn(u32, u32) -> u8) -> Result<[u8; 16], StampError> {
    let block = block_px(width);
    if width < BLOCKS_PER_ROW * block || height < ROWS * block {
        return Err(StampError::TooSmall);
    }
    let (inset, span) = (block / 4, block - 2 * (block / 4));
    let mut bytes = [0u8; 16];
    for bit in 0..BLOCKS_PER_ROW * ROWS {
        let left = bit % BLOCKS_PER_ROW * block + inset;
        let top = bit / BLOCKS_PER_ROW * block + inset;
        let sum: u32 = (0..span * span).map(|i| u32::from(luma(left + i % span, top + i / span))).sum();
        if sum > 127 * span * span {
            bytes[bit as usize / 8] |= 1 << (bit % 8);
        }
    }
    Ok(bytes)
}

/// CRC-16/CCITT-FALSE.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(
            crc ^ u16::from(byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { now_us: 0x8123_4567_89ab, frame: 0xdead_0001, input_serial: 77 };

    /// A noisy card with the stamp on it, as luma.
    fn card(width: u32, height: u32) -> Vec<u8> {
        let stride = width as usize * 4 + 12;
        let mut bgra: Vec<u8> = (0..stride * height as usize).map(|i| ((i * 7919) >> 3) as u8).collect();
        STAMP.draw(&mut bgra, width, stride);
        (0..height as usize * width as usize)
            .map(|i| bgra[i / width as usize * stride + i % width as usize * 4 + 1])
            .collect()
    }

    #[test]
    fn the_checksum_is_ccitt_false() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn a_stamp_is_read_back_at_any_size() {
        for (width, height) in [(260, 64), (640, 360), (1280, 720), (1366, 768), (3840, 2160)] {
            let luma = card(width, height);
            assert_eq!(read(width, height, |x, y| luma[(y * width + x) as usize]), Ok(STAMP), "{width}");
        }
    }

    #[test]
    fn blur_and_coarse_limited_range_quantisation_do_not_harm_it() {
        let (width, height) = (1280u32, 720u32);
        let luma = card(width, height);
        let at = |x: i64, y: i64| {
            let (x, y) = (x.clamp(0, 1279) as u32, y.clamp(0, 719) as u32);
            u32::from(luma[(y * width + x) as usize])
        };
        let blurred = |x: u32, y: u32| {
            let sum: u32 =
                (0..49).map(|i| at(i64::from(x) + i % 7 - 3, i64::from(y) + i / 7 - 3)).sum::<u32>() / 49;
            (16 + sum * 219 / 255) as u8 / 48 * 48
        };
        assert_eq!(read(width, height, blurred), Ok(STAMP));
    }

    #[test]
    fn one_flipped_bit_or_no_stamp_at_all_is_refused() {
        for bit in 0..128 {
            let mut bytes = STAMP.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Stamp::from_bytes(&bytes), Err(StampError::Checksum));
        }
        assert_eq!(read(1280, 720, |_, _| 0), Err(StampError::Checksum));
        assert_eq!(read(64, 64, |_, _| 0), Err(StampError::TooSmall));
    }

    #[test]
    fn the_layout_is_fixed() {
        assert_eq!(
            Stamp { now_us: 1, frame: 2, input_serial: 3 }.to_bytes()[..14],
            [1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]
        );
        let luma = card(1280, 720);
        assert_eq!(luma[0], 255, "bit 0 of 0xab is the top left block");
        assert_eq!(luma[32], 0, "bit 2 of 0xab");
        assert_eq!((luma[64 * 16], luma[32 * 1280]), (128, 128), "the grey band");
    }
}

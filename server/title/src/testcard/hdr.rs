//! The card in HDR10: its picture with white at 203 cd/m², and patches of known light on it.

use nearframe_gpu::hdr10_code;

/// Where the white of standard range lies (ITU-R BT.2408), cd/m².
const WHITE_NITS: f64 = 203.0;
/// R, G and B of each patch, cd/m²: greys up to what few displays show, and the primaries of BT.2020.
const PATCHES: [[f64; 3]; 11] = [
    [0.0; 3],
    [1.0; 3],
    [10.0; 3],
    [100.0; 3],
    [WHITE_NITS; 3],
    [400.0; 3],
    [1000.0; 3],
    [4000.0; 3],
    [WHITE_NITS, 0.0, 0.0],
    [0.0, WHITE_NITS, 0.0],
    [0.0, 0.0, WHITE_NITS],
];
/// A pixel that hides what lies behind it.
const OPAQUE: u32 = 3 << 30;

/// Turns the card into words of ten bits a channel.
pub(super) struct Wide {
    width: usize,
    height: usize,
    peak_nits: u16,
    /// The code of each level of standard range.
    codes: [u32; 256],
    patches: [u32; PATCHES.len()],
    words: Vec<u8>,
}

impl Wide {
    /// For a card of this size. Nothing of it is brighter than `peak_nits`.
    pub(super) fn new(width: u32, height: u32, peak_nits: u16) -> Self {
        let (width, height) = (width as usize, height as usize);
        let code = |nits: f64| u32::from(hdr10_code(nits.min(peak_nits.into())));
        let codes = std::array::from_fn(|level| code(WHITE_NITS * light(level as f64 / 255.0)));
        let patches = PATCHES.map(|nits| packed(nits.map(code)));
        Self { width, height, peak_nits, codes, patches, words: vec![0; width * height * 4] }
    }

    pub(super) fn peak_nits(&self) -> u16 {
        self.peak_nits
    }

    /// The card in HDR10, from the one in standard range: BGRA, rows without padding.
    pub(super) fn show(&mut self, card: &[u8]) -> &[u8] {
        let pixels = self.words.as_chunks_mut::<4>().0.iter_mut().zip(card.as_chunks::<4>().0);
        for (word, &[b, g, r, _]) in pixels {
            *word = packed([r, g, b].map(|level| self.codes[usize::from(level)])).to_le_bytes();
        }
        let side = patch_px(self.height);
        for (number, word) in self.patches.iter().enumerate() {
            let left = (side * (number + 1)).min(self.width);
            let right = (left + side).min(self.width);
            for y in top_px(self.height)..top_px(self.height) + side {
                let row = &mut self.words[4 * (y * self.width + left)..4 * (y * self.width + right)];
                row.as_chunks_mut::<4>().0.fill(word.to_le_bytes());
            }
        }
        &self.words
    }
}

/// Side of a patch; the first begins as far from the left edge.
fn patch_px(height: usize) -> usize {
    height / 12
}

/// Upper edge of the patches.
fn top_px(height: usize) -> usize {
    height / 3
}

fn packed([r, g, b]: [u32; 3]) -> u32 {
    OPAQUE | r | g << 10 | b << 20
}

/// Linear light of a level of sRGB, both 0 to 1.
fn light(level: f64) -> f64 {
    if level <= 0.040_45 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FrameTick, TitleSource};
    use crate::stamp::{self, Stamp};
    use crate::testcard::Testcard;
    use nearframe_gpu::{Converter, Hdr10Picture, Layout, Picture};
    use nearframe_protocol::title::HighDynamicRange;

    const TICK: FrameTick = FrameTick { frame: 3, now_us: 50_000, input_serial: 9 };

    fn card() -> Testcard {
        Testcard::new(640, 360, 3, Some(HighDynamicRange::default())).unwrap()
    }

    #[test]
    fn patches_have_their_light_and_nothing_is_brighter_than_the_title_says() {
        let mut card = card();
        let drawn = card.draw(TICK).unwrap();
        let Picture::Hdr10(Hdr10Picture { pixels, peak_nits }) = drawn.picture else {
            panic!("not in HDR10")
        };
        let nearframe_gpu::Hdr10Pixels::Cpu(picture) = pixels else { panic!("not drawn by the CPU") };
        assert_eq!((picture.width, picture.height, peak_nits), (640, 360, 1000));
        let words = picture.data.as_chunks::<4>().0;
        let middle = |number: usize| {
            let (side, y) = (patch_px(360), top_px(360) + patch_px(360) / 2);
            let word = u32::from_le_bytes(words[y * 640 + side * (number + 1) + side / 2]);
            [0, 10, 20].map(|shift| (word >> shift & 1023) as u16)
        };
        for (number, nits) in PATCHES.iter().enumerate() {
            assert_eq!(middle(number), nits.map(|nits| hdr10_code(nits.min(1000.0))), "{number}");
        }
        let most = u32::from(hdr10_code(1000.0));
        let brightest = words.iter().map(|word| u32::from_le_bytes(*word) & 1023).max();
        assert_eq!(brightest, Some(most));
    }

    #[test]
    fn the_stamp_is_read_in_either_range() {
        for layout in [Layout::I420, Layout::P010] {
            let mut card = card();
            let mut converter = Converter::new(None, layout, 640, 360).unwrap();
            let surface = converter.convert(&card.draw(TICK).unwrap().picture).unwrap().unwrap();
            let luma = surface.as_cpu().unwrap().luma();
            let at = |x: u32, y: u32| match layout {
                // The upper byte: what eight bits would show.
                Layout::P010 => luma[2 * (y * 640 + x) as usize + 1],
                _ => luma[(y * 640 + x) as usize],
            };
            let read = stamp::read(640, 360, at);
            assert_eq!(read, Ok(Stamp { now_us: 50_000, frame: 3, input_serial: 9 }), "{layout:?}");
        }
    }
}

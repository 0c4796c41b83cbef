//! The arithmetic of the kernels, one pixel at a time: for pictures narrower than they take, and processors without
//! their instructions.
//!
//! Weights are small integers and each sum is brought to its range by one multiplication whose upper 16 bits are the
//! sample: `((weights · pixel + bias) · scale) >> 16`. The integers are those whose ratios come nearest to BT.709's among
//! the ones for which no step overflows 16 bits, so that luma is at most 0.3 of a step off before it is rounded, and
//! chroma 0.5 with the rounding of its means.

use super::{ByteOrder, Chroma, RowPair};

/// How a sample follows from a pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Of R, G and B.
    pub(super) weights: [i8; 3],
    pub(super) bias: u16,
    pub(super) scale: u16,
}

/// 0.2126, 0.7152, 0.0722 times 137: with 8 bits a channel the sum of any two products of neighbours is below 2¹⁵, and
/// all of it below 2¹⁶. Then 219 ÷ (255 · 137), and 16.5 of its steps.
pub(super) const LUMA: Sample = Sample { weights: [29, 98, 10], bias: 2631, scale: 411 };
/// −0.2126, −0.7152, 0.9278 to one another; they add up to nothing, so that grey is exactly 128. Then
/// 112 ÷ (255 · 105), and 128.5 of its steps.
pub(super) const CB: Sample = Sample { weights: [-24, -81, 105], bias: 30_735, scale: 274 };
/// 0.7874, −0.7152, −0.0722 to one another. Then 112 ÷ (255 · 109), and 128.5 of its steps.
pub(super) const CR: Sample = Sample { weights: [109, -99, -10], bias: 31_899, scale: 264 };

impl Sample {
    fn of(self, pixel: [u8; 3]) -> u8 {
        let products =
            pixel.iter().zip(self.weights).map(|(&value, weight)| i32::from(value) * i32::from(weight));
        let sum: i32 = products.sum();
        (((sum + i32::from(self.bias)) * i32::from(self.scale)) >> 16) as u8
    }
}

/// Converts two rows of any even width.
pub(super) fn convert(order: ByteOrder, pair: RowPair<'_>) {
    let RowPair { width, pixels, stride, luma, chroma } = pair;
    let rows = [&pixels[..4 * width], &pixels[stride..stride + 4 * width]];
    for (row, luma) in rows.iter().zip(luma.chunks_exact_mut(width)) {
        let samples = row.chunks_exact(4).map(|pixel| LUMA.of(channels(pixel, order)));
        luma.iter_mut().zip(samples).for_each(|(to, sample)| *to = sample);
    }
    let means =
        rows[0].chunks_exact(8).zip(rows[1].chunks_exact(8)).map(|(top, bottom)| mean(top, bottom, order));
    match chroma {
        Chroma::Pairs(pairs) => {
            pairs.chunks_exact_mut(2).zip(means).for_each(|(to, mean)| {
                to.copy_from_slice(&[CB.of(mean), CR.of(mean)]);
            });
        }
        Chroma::Planes(cb, cr) => {
            cb.iter_mut()
                .zip(cr)
                .zip(means)
                .for_each(|((cb, cr), mean)| (*cb, *cr) = (CB.of(mean), CR.of(mean)));
        }
    }
}

fn channels(pixel: &[u8], order: ByteOrder) -> [u8; 3] {
    match order {
        ByteOrder::Rgba => [pixel[0], pixel[1], pixel[2]],
        ByteOrder::Bgra => [pixel[2], pixel[1], pixel[0]],
    }
}

/// The mean of two pixels and the two below them: first of each column, then of both, halves rounded up.
fn mean(top: &[u8], bottom: &[u8], order: ByteOrder) -> [u8; 3] {
    let up = |a: u8, b: u8| (u16::from(a) + u16::from(b)).div_ceil(2) as u8;
    let column = |at: usize| {
        let (above, below) = (channels(&top[at..], order), channels(&bottom[at..], order));
        [0, 1, 2].map(|channel| up(above[channel], below[channel]))
    };
    let (left, right) = (column(0), column(4));
    [0, 1, 2].map(|channel| up(left[channel], right[channel]))
}

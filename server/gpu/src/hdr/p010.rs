//! HDR10 pixels into P010: ITU-R BT.2020, non-constant luminance, limited range (tables 4 and 5).

use super::unpacked;

/// Fractional bits; with those of a sample and of the sum of four pixels they stay within 31.
const BITS: u32 = 16;
/// R, G, B of luma.
const WEIGHTS: [f64; 3] = [0.2627, 0.6780, 0.0593];

/// What a channel's code counts for in a sample that spans `span` steps.
const fn fixed(weight: f64, span: f64) -> i32 {
    let value = weight * span / 1023.0 * (1 << BITS) as f64;
    (if value < 0.0 { value - 0.5 } else { value + 0.5 }) as i32
}

const fn all(weights: [f64; 3], span: f64) -> [i32; 3] {
    [fixed(weights[0], span), fixed(weights[1], span), fixed(weights[2], span)]
}

const LUMA: [i32; 3] = all(WEIGHTS, 876.0);
/// Spans of 2 (1 − Kb) and 2 (1 − Kr).
const CB: [i32; 3] = all([-WEIGHTS[0] / 1.8814, -WEIGHTS[1] / 1.8814, 0.5], 896.0);
const CR: [i32; 3] = all([0.5, -WEIGHTS[1] / 1.4746, -WEIGHTS[2] / 1.4746], 896.0);

/// A sample in the high bits of a word; `extra` is log2 of how many pixels `sums` holds.
fn sample(sums: [i32; 3], weights: [i32; 3], offset: i32, extra: u32) -> u16 {
    let shift = BITS + extra;
    let sum = sums[0] * weights[0] + sums[1] * weights[1] + sums[2] * weights[2];
    let rounded = (sum + (offset << shift) + (1 << (shift - 1))) >> shift;
    (rounded.clamp(0, 1023) as u16) << 6
}

fn codes(pixel: [u8; 4]) -> [i32; 3] {
    unpacked(pixel).map(i32::from)
}

/// Two rows of pixels into two rows of luma, one right after the other, and one of chroma.
pub(super) fn rows(top: &[u8], bottom: &[u8], luma: &mut [u8], chroma: &mut [u8]) {
    let half = luma.len() / 2;
    let (luma_top, luma_bottom) = luma.split_at_mut(half);
    let upper = top.as_chunks::<8>().0.iter().zip(luma_top.as_chunks_mut::<4>().0);
    let lower = bottom.as_chunks::<8>().0.iter().zip(luma_bottom.as_chunks_mut::<4>().0);
    for (((above, to_above), (below, to_below)), pair) in upper.zip(lower).zip(chroma.as_chunks_mut::<4>().0)
    {
        let (a, b) = two(above);
        let (c, d) = two(below);
        *to_above = words(sample(a, LUMA, 64, 0), sample(b, LUMA, 64, 0));
        *to_below = words(sample(c, LUMA, 64, 0), sample(d, LUMA, 64, 0));
        let sums = [0, 1, 2].map(|channel| a[channel] + b[channel] + c[channel] + d[channel]);
        *pair = words(sample(sums, CB, 512, 2), sample(sums, CR, 512, 2));
    }
}

fn two(pixels: &[u8; 8]) -> ([i32; 3], [i32; 3]) {
    let [a, b, c, d, e, f, g, h] = *pixels;
    (codes([a, b, c, d]), codes([e, f, g, h]))
}

fn words(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
    [a, b, c, d]
}

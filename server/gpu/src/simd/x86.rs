//! AVX2, and the dot products of AVX-512 VNNI where the processor has them.
#![expect(
    unsafe_code,
    reason = "instructions that the build does not take for granted, and loads of 32 bytes"
)]

use super::portable::{CB, CR, LUMA, Sample};
use super::{ByteOrder, Chroma, RowPair};
use std::arch::x86_64::*;

/// Pixels of a row that are converted at once: no picture may be narrower.
pub(super) const BLOCK: usize = 32;

/// What the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Avx2,
    /// AVX-512 VNNI at 256 bits: four products are added up in one instruction.
    Vnni,
}

impl Level {
    /// The best; the answer is remembered by the standard library.
    pub(super) fn of_this_machine() -> Option<Self> {
        let avx2 = is_x86_feature_detected!("avx2");
        let vnni = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vl");
        match (avx2, vnni) {
            (true, true) => Some(Self::Vnni),
            (true, false) => Some(Self::Avx2),
            (false, _) => None,
        }
    }

    /// Converts two rows that are at least [`BLOCK`] pixels wide.
    pub(super) fn convert(self, order: ByteOrder, pair: RowPair<'_>) {
        let rows = Rows::of(pair);
        // SAFETY: a level is made by `of_this_machine` alone, which asks the processor for its instructions.
        unsafe {
            match self {
                Self::Avx2 => avx2(order, &rows),
                Self::Vnni => vnni(order, &rows),
            }
        }
    }
}

/// Where to read and write, once its lengths are known to suffice.
struct Rows {
    width: usize,
    top: *const u8,
    bottom: *const u8,
    luma_top: *mut u8,
    luma_bottom: *mut u8,
    chroma: ChromaTo,
}

enum ChromaTo {
    Pairs(*mut u8),
    Planes(*mut u8, *mut u8),
}

impl Rows {
    fn of(pair: RowPair<'_>) -> Self {
        let RowPair { width, pixels, stride, luma, chroma } = pair;
        assert!(width >= BLOCK && width.is_multiple_of(2), "narrower pictures go another way");
        assert!(pixels.len() >= stride + 4 * width && stride >= 4 * width, "two rows of pixels");
        let (luma_top, luma_bottom) = luma.split_at_mut(width);
        assert_eq!(luma_bottom.len(), width, "two rows of luma");
        let chroma = match chroma {
            Chroma::Pairs(pairs) => {
                assert_eq!(pairs.len(), width, "a row of chroma");
                ChromaTo::Pairs(pairs.as_mut_ptr())
            }
            Chroma::Planes(cb, cr) => {
                assert!(cb.len() == width / 2 && cr.len() == width / 2, "a row of chroma");
                ChromaTo::Planes(cb.as_mut_ptr(), cr.as_mut_ptr())
            }
        };
        Self {
            width,
            top: pixels.as_ptr(),
            bottom: pixels[stride..].as_ptr(),
            luma_top: luma_top.as_mut_ptr(),
            luma_bottom: luma_bottom.as_mut_ptr(),
            chroma,
        }
    }
}

/// The loop over a pair of rows, with the dot product of each four unsigned bytes with signed ones, in 32 bits.
macro_rules! kernel {
    ($name:ident, $features:literal, $dot:ident) => {
        #[target_feature(enable = $features)]
        fn $name(order: ByteOrder, rows: &Rows) {
            let (y, cb, cr) = (weights(order, LUMA), weights(order, CB), weights(order, CR));
            for block in 0..rows.width.div_ceil(BLOCK) {
                // Where the width is no multiple, the last block begins earlier and does some pixels again.
                let x = (block * BLOCK).min(rows.width - BLOCK);
                // SAFETY: `Rows::of` checked that the rows hold `width` pixels, and x + BLOCK is no more than that.
                let (top, bottom) = unsafe { (&*part(rows.top, 4 * x), &*part(rows.bottom, 4 * x)) };
                let (top, bottom) = (loaded(top), loaded(bottom));
                let [a, b, c, d] = top;
                let upper = luma([$dot(a, y), $dot(b, y), $dot(c, y), $dot(d, y)]);
                let [a, b, c, d] = bottom;
                let lower = luma([$dot(a, y), $dot(b, y), $dot(c, y), $dot(d, y)]);
                let [left, right] = means(top, bottom);
                let cb = difference([$dot(left, cb), $dot(right, cb)], CB);
                let cr = difference([$dot(left, cr), $dot(right, cr)], CR);
                // SAFETY: as above; there are half as many samples of Cb and of Cr, and x is even.
                unsafe {
                    *part_mut(rows.luma_top, x) = stored(upper);
                    *part_mut(rows.luma_bottom, x) = stored(lower);
                    match rows.chroma {
                        ChromaTo::Pairs(pairs) => *part_mut(pairs, x) = stored(in_turns(cb, cr)),
                        ChromaTo::Planes(to_cb, to_cr) => {
                            let (cb, cr) = apart(cb, cr);
                            *part_mut(to_cb, x / 2) = cb;
                            *part_mut(to_cr, x / 2) = cr;
                        }
                    }
                }
            }
        }
    };
}

kernel!(avx2, "avx2", dot_avx2);
kernel!(vnni, "avx2,avx512vl,avx512vnni", dot_vnni);

#[inline]
#[target_feature(enable = "avx2")]
fn dot_avx2(pixels: __m256i, weights: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_maddubs_epi16(pixels, weights), _mm256_set1_epi16(1))
}

#[inline]
#[target_feature(enable = "avx2,avx512vl,avx512vnni")]
fn dot_vnni(pixels: __m256i, weights: __m256i) -> __m256i {
    _mm256_dpbusd_epi32(_mm256_setzero_si256(), pixels, weights)
}

/// Weights as the bytes of pixels lie, nothing for the fourth.
#[inline]
#[target_feature(enable = "avx2")]
fn weights(order: ByteOrder, sample: Sample) -> __m256i {
    let [r, g, b] = sample.weights;
    let bytes = match order {
        ByteOrder::Rgba => [r, g, b, 0],
        ByteOrder::Bgra => [b, g, r, 0],
    };
    _mm256_set1_epi32(i32::from_le_bytes(bytes.map(|weight| weight as u8)))
}

/// Some bytes of a row. Whoever looks there knows that they are the row's.
#[inline]
fn part<const N: usize>(row: *const u8, at: usize) -> *const [u8; N] {
    // A build for development checks each step of a pointer and each load by intrinsic, which costs more than the rest.
    row.wrapping_add(at).cast()
}

#[inline]
fn part_mut<const N: usize>(row: *mut u8, at: usize) -> *mut [u8; N] {
    row.wrapping_add(at).cast()
}

/// Eight pixels a register.
#[inline]
#[target_feature(enable = "avx2")]
fn loaded(pixels: &[u8; 4 * BLOCK]) -> [__m256i; 4] {
    // SAFETY: both are 128 bytes, of which any are a value.
    unsafe { std::mem::transmute(*pixels) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn stored(samples: __m256i) -> [u8; BLOCK] {
    // SAFETY: both are 32 bytes, of which any are a value.
    unsafe { std::mem::transmute(samples) }
}

/// Packing works within halves of a register: groups of four bytes lie as 0 2 4 6, 1 3 5 7.
#[inline]
#[target_feature(enable = "avx2")]
fn in_order(packed: __m256i) -> __m256i {
    _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}

#[inline]
#[target_feature(enable = "avx2")]
fn scaled(sums: __m256i, to: Sample) -> __m256i {
    let biased = _mm256_add_epi16(sums, _mm256_set1_epi16(to.bias as i16));
    _mm256_mulhi_epu16(biased, _mm256_set1_epi16(to.scale as i16))
}

/// Luma of 32 pixels.
#[inline]
#[target_feature(enable = "avx2")]
fn luma([a, b, c, d]: [__m256i; 4]) -> __m256i {
    let upper = scaled(_mm256_packus_epi32(a, b), LUMA);
    let lower = scaled(_mm256_packus_epi32(c, d), LUMA);
    in_order(_mm256_packus_epi16(upper, lower))
}

/// Means of 2×2 pixels, channel by channel.
#[inline]
#[target_feature(enable = "avx2")]
fn means(top: [__m256i; 4], bottom: [__m256i; 4]) -> [__m256i; 2] {
    let (a, b) = (_mm256_avg_epu8(top[0], bottom[0]), _mm256_avg_epu8(top[1], bottom[1]));
    let (c, d) = (_mm256_avg_epu8(top[2], bottom[2]), _mm256_avg_epu8(top[3], bottom[3]));
    [neighbours(a, b), neighbours(c, d)]
}

/// Means of each even pixel and the odd one after it.
#[inline]
#[target_feature(enable = "avx2")]
fn neighbours(left: __m256i, right: __m256i) -> __m256i {
    let (left, right) = (_mm256_castsi256_ps(left), _mm256_castsi256_ps(right));
    let even = _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(left, right));
    let odd = _mm256_castps_si256(_mm256_shuffle_ps::<0xdd>(left, right));
    _mm256_avg_epu8(even, odd)
}

/// Sixteen samples of Cb or Cr in 16 bits each, in order. Biases turn the signed sums into unsigned ones.
#[inline]
#[target_feature(enable = "avx2")]
fn difference([a, b]: [__m256i; 2], to: Sample) -> __m256i {
    in_order(scaled(_mm256_packs_epi32(a, b), to))
}

#[inline]
#[target_feature(enable = "avx2")]
fn in_turns(cb: __m256i, cr: __m256i) -> __m256i {
    _mm256_or_si256(cb, _mm256_slli_epi16::<8>(cr))
}

#[inline]
#[target_feature(enable = "avx2")]
fn apart(cb: __m256i, cr: __m256i) -> ([u8; BLOCK / 2], [u8; BLOCK / 2]) {
    let both = stored(_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(cb, cr)));
    // SAFETY: both are 32 bytes, of which any are a value.
    unsafe { std::mem::transmute(both) }
}

#[cfg(test)]
mod tests {
    use super::super::portable;
    use super::*;

    fn noise(bytes: usize, seed: u32) -> Vec<u8> {
        (0..bytes as u32)
            .map(|at| (at.wrapping_mul(0x9e37_79b1) ^ seed).wrapping_mul(0x85eb_ca6b) >> 24)
            .map(|v| v as u8)
            .collect()
    }

    /// Two rows as `convert` makes them: luma, and chroma side by side and apart.
    fn converted(convert: impl Fn(RowPair<'_>), pixels: &[u8], stride: usize, width: usize) -> [Vec<u8>; 4] {
        let (mut luma, mut pairs) = (vec![0; 2 * width], vec![0; width]);
        let (mut cb, mut cr) = (vec![0; width / 2], vec![0; width / 2]);
        for chroma in [Chroma::Pairs(&mut pairs), Chroma::Planes(&mut cb, &mut cr)] {
            convert(RowPair { width, pixels, stride, luma: &mut luma, chroma });
        }
        [luma, pairs, cb, cr]
    }

    #[test]
    fn every_kernel_that_this_machine_has_does_the_same_arithmetic_at_any_width() {
        let Some(best) = Level::of_this_machine() else { return eprintln!("skipped: no AVX2 here") };
        let levels = if best == Level::Vnni { vec![Level::Avx2, Level::Vnni] } else { vec![Level::Avx2] };
        for level in levels {
            for (width, order) in
                [(32, ByteOrder::Bgra), (34, ByteOrder::Rgba), (62, ByteOrder::Bgra), (640, ByteOrder::Rgba)]
            {
                let stride = 4 * width + 12;
                let mut pixels = noise(2 * stride, width as u32);
                // The extremes of every sum.
                pixels[..16].copy_from_slice(&[255, 255, 255, 255, 0, 0, 0, 0, 255, 0, 0, 9, 0, 255, 0, 9]);
                let portable = converted(|pair| portable::convert(order, pair), &pixels, stride, width);
                let kernel = converted(|pair| level.convert(order, pair), &pixels, stride, width);
                assert_eq!(kernel, portable, "{level:?} {width}");
            }
        }
    }
}

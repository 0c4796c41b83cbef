//! Colour conversion on the CPU, with SIMD: two rows at a time, each pixel read once and each sample written once.
//!
//! On x86-64 by kernels of our own, which want AVX2 ([`x86`]), and by the same arithmetic without them for narrower pictures
//! and older processors ([`portable`]); elsewhere by the `yuv` crate, which has NEON and takes long to compile. All keep
//! within one step of the exact value (`tests/convert.rs`).

#[cfg(not(target_arch = "x86_64"))]
mod library;
#[cfg(target_arch = "x86_64")]
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::error::GpuError;
use crate::surface::{CpuSurface, Layout};

/// Which channel a pixel's first byte holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Rgba,
    Bgra,
}

/// Two rows of pixels, and where their samples go.
struct RowPair<'a> {
    /// Even.
    width: usize,
    /// The upper row from 0 on, the lower from `stride` on: 4 bytes a pixel.
    pixels: &'a [u8],
    stride: usize,
    /// Both rows, one right after the other.
    luma: &'a mut [u8],
    chroma: Chroma<'a>,
}

/// Half as many samples as a row has pixels, of each kind.
enum Chroma<'a> {
    /// Cb and Cr in turns.
    Pairs(&'a mut [u8]),
    /// Cb, and Cr.
    Planes(&'a mut [u8], &'a mut [u8]),
}

/// Converts `stride`-byte rows of 4-byte pixels, of the surface's size, into the surface.
pub(crate) fn convert(
    pixels: &[u8],
    stride: u32,
    order: ByteOrder,
    surface: &mut CpuSurface,
) -> Result<(), GpuError> {
    convert_rows(surface, |pair, with| with(&pixels[2 * pair * stride as usize..], stride as usize, order))
}

/// Gives two rows of pixels, from the first byte of the upper one on, with their stride, to be converted.
type PairSink<'a> = &'a mut dyn FnMut(&[u8], usize, ByteOrder) -> Result<(), GpuError>;

/// Converts rows as they are made: `rows` is asked for each pair, by its number, and hands it to what it is given.
pub(crate) fn convert_rows(
    surface: &mut CpuSurface,
    mut rows: impl FnMut(usize, PairSink<'_>) -> Result<(), GpuError>,
) -> Result<(), GpuError> {
    let (layout, width) = (surface.layout(), surface.width() as usize);
    let (luma, chroma) = surface.planes_mut();
    let luma = luma.chunks_exact_mut(2 * width);
    match layout {
        Layout::Nv12 => {
            for (number, (luma, pairs)) in luma.zip(chroma.chunks_exact_mut(width)).enumerate() {
                rows(number, &mut |pixels, stride, order| {
                    let chroma = Chroma::Pairs(&mut *pairs);
                    convert_pair(order, RowPair { width, pixels, stride, luma: &mut *luma, chroma })
                })?;
            }
            Ok(())
        }
        Layout::I420 => {
            let half = chroma.len() / 2;
            let (cb, cr) = chroma.split_at_mut(half);
            let planes = cb.chunks_exact_mut(width / 2).zip(cr.chunks_exact_mut(width / 2));
            for (number, (luma, (cb, cr))) in luma.zip(planes).enumerate() {
                rows(number, &mut |pixels, stride, order| {
                    let chroma = Chroma::Planes(&mut *cb, &mut *cr);
                    convert_pair(order, RowPair { width, pixels, stride, luma: &mut *luma, chroma })
                })?;
            }
            Ok(())
        }
        Layout::P010 | Layout::Yuv444 => Err(GpuError::BadLayout(layout)),
    }
}

#[cfg(target_arch = "x86_64")]
fn convert_pair(order: ByteOrder, pair: RowPair<'_>) -> Result<(), GpuError> {
    match x86::Level::of_this_machine().filter(|_| pair.width >= x86::BLOCK) {
        Some(level) => level.convert(order, pair),
        None => portable::convert(order, pair),
    }
    Ok(())
}

#[cfg(not(target_arch = "x86_64"))]
fn convert_pair(order: ByteOrder, pair: RowPair<'_>) -> Result<(), GpuError> {
    library::convert(order, pair)
}

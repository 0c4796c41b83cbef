//! Colour conversion on the CPU, with SIMD.

use crate::error::GpuError;
use crate::surface::{CpuSurface, Layout};
use yuv::{
    BufferStoreMut, YuvBiPlanarImageMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

/// Which channel a pixel's first byte holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Rgba,
    Bgra,
}

/// Converts `stride`-byte rows of 4-byte pixels, of the surface's size, into the surface.
pub(crate) fn convert(
    pixels: &[u8],
    stride: u32,
    order: ByteOrder,
    surface: &mut CpuSurface,
) -> Result<(), GpuError> {
    let (layout, width, height) = (surface.layout(), surface.width(), surface.height());
    let (y_plane, chroma) = surface.planes_mut();
    let matrix = YuvStandardMatrix::Bt709;
    let (range, mode) = (YuvRange::Limited, YuvConversionMode::Balanced);
    let converted = match layout {
        Layout::Nv12 => {
            let mut image = YuvBiPlanarImageMut {
                y_plane: BufferStoreMut::Borrowed(y_plane),
                y_stride: width,
                uv_plane: BufferStoreMut::Borrowed(chroma),
                uv_stride: width,
                width,
                height,
            };
            match order {
                ByteOrder::Rgba => yuv::rgba_to_yuv_nv12(&mut image, pixels, stride, range, matrix, mode),
                ByteOrder::Bgra => yuv::bgra_to_yuv_nv12(&mut image, pixels, stride, range, matrix, mode),
            }
        }
        Layout::I420 => {
            let half = chroma.len() / 2;
            let (u_plane, v_plane) = chroma.split_at_mut(half);
            let mut image = YuvPlanarImageMut {
                y_plane: BufferStoreMut::Borrowed(y_plane),
                y_stride: width,
                u_plane: BufferStoreMut::Borrowed(u_plane),
                u_stride: width / 2,
                v_plane: BufferStoreMut::Borrowed(v_plane),
                v_stride: width / 2,
                width,
                height,
            };
            match order {
                ByteOrder::Rgba => yuv::rgba_to_yuv420(&mut image, pixels, stride, range, matrix, mode),
                ByteOrder::Bgra => yuv::bgra_to_yuv420(&mut image, pixels, stride, range, matrix, mode),
            }
        }
        Layout::P010 | Layout::Yuv444 => return Err(GpuError::BadLayout(layout)),
    };
    converted.map_err(|error| GpuError::BadPicture(error.to_string()))
}

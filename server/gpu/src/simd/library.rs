//! By the `yuv` crate.

use super::{ByteOrder, Chroma, RowPair};
use crate::error::GpuError;
use yuv::{
    BufferStoreMut, YuvBiPlanarImageMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

pub(super) fn convert(order: ByteOrder, pair: RowPair<'_>) -> Result<(), GpuError> {
    let RowPair { width, pixels, stride, luma, chroma } = pair;
    let size =
        |value: usize| u32::try_from(value).map_err(|_| GpuError::BadPicture(format!("{value} bytes")));
    let (width, stride, height) = (size(width)?, size(stride)?, 2);
    let matrix = YuvStandardMatrix::Bt709;
    let (range, mode) = (YuvRange::Limited, YuvConversionMode::Balanced);
    let y_plane = BufferStoreMut::Borrowed(luma);
    let converted = match chroma {
        Chroma::Pairs(pairs) => {
            let uv_plane = BufferStoreMut::Borrowed(pairs);
            let mut image =
                YuvBiPlanarImageMut { y_plane, y_stride: width, uv_plane, uv_stride: width, width, height };
            match order {
                ByteOrder::Rgba => yuv::rgba_to_yuv_nv12(&mut image, pixels, stride, range, matrix, mode),
                ByteOrder::Bgra => yuv::bgra_to_yuv_nv12(&mut image, pixels, stride, range, matrix, mode),
            }
        }
        Chroma::Planes(cb, cr) => {
            let mut image = YuvPlanarImageMut {
                y_plane,
                y_stride: width,
                u_plane: BufferStoreMut::Borrowed(cb),
                u_stride: width / 2,
                v_plane: BufferStoreMut::Borrowed(cr),
                v_stride: width / 2,
                width,
                height,
            };
            match order {
                ByteOrder::Rgba => yuv::rgba_to_yuv420(&mut image, pixels, stride, range, matrix, mode),
                ByteOrder::Bgra => yuv::bgra_to_yuv420(&mut image, pixels, stride, range, matrix, mode),
            }
        }
    };
    converted.map_err(|error| GpuError::BadPicture(error.to_string()))
}

//! Where the planes of a slot lie, and which matrix fills them.

use crate::exported::PlaneLayout;
use crate::surface::Layout;

/// Rows start at multiples of this: more than any encoder and any copy asks for.
const STRIDE_ALIGNMENT: u32 = 256;

/// The matrix from R′G′B′ to Y′CbCr, limited range. The transfer is the picture's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColourMatrix {
    /// ITU-R BT.709: everything in standard dynamic range.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance: HDR10.
    Bt2020,
}

impl ColourMatrix {
    /// Kr, Kg, Kb.
    pub fn weights(self) -> [f32; 3] {
        match self {
            Self::Bt709 => [0.2126, 0.7152, 0.0722],
            Self::Bt2020 => [0.2627, 0.6780, 0.0593],
        }
    }
}

/// The planes of a slot, one right after the other with one stride, and the bytes of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    pub(super) planes: Vec<PlaneLayout>,
    pub(super) stride_bytes: u32,
    pub(super) luma_bytes: u64,
    pub(super) bytes: u64,
}

impl Planes {
    /// `None` for a layout that hardware encoders do not take.
    pub(super) fn of(layout: Layout, width: u32, height: u32) -> Option<Self> {
        let planes: u64 = match layout {
            Layout::Nv12 | Layout::P010 => 2,
            Layout::Yuv444 => 3,
            Layout::I420 => return None,
        };
        let stride_bytes = u32::try_from(layout.row_bytes(width)).ok()?.next_multiple_of(STRIDE_ALIGNMENT);
        let luma_bytes = u64::from(stride_bytes) * u64::from(height);
        let bytes = if layout == Layout::Yuv444 { luma_bytes * 3 } else { luma_bytes / 2 * 3 };
        let planes =
            (0..planes).map(|plane| PlaneLayout { offset_bytes: plane * luma_bytes, stride_bytes }).collect();
        Some(Self { planes, stride_bytes, luma_bytes, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_follow_each_other_and_rows_are_aligned() {
        for (layout, planes) in [(Layout::Nv12, 2), (Layout::P010, 2), (Layout::Yuv444, 3)] {
            for (width, height) in [(16, 16), (1280, 720), (1366, 768), (3840, 2160)] {
                let laid = Planes::of(layout, width, height).unwrap();
                let (luma, chroma) = layout.plane_bytes(laid.stride_bytes, height);
                let padded = if layout == Layout::P010 { 2 } else { 1 };
                assert_eq!(laid.bytes, (luma + chroma) as u64 / padded, "{layout:?} {width}×{height}");
                assert!(laid.stride_bytes.is_multiple_of(STRIDE_ALIGNMENT));
                assert!(laid.stride_bytes as usize >= layout.row_bytes(width));
                assert_eq!(laid.planes.len(), planes);
                assert_eq!(laid.planes[1].offset_bytes, laid.luma_bytes);
            }
        }
        assert_eq!(Planes::of(Layout::I420, 64, 64), None);
    }

    #[test]
    fn weights_add_up_to_white() {
        for matrix in [ColourMatrix::Bt709, ColourMatrix::Bt2020] {
            assert!((matrix.weights().iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}

//! What a title has drawn.

use crate::error::GpuError;

/// 8-bit BGRA, sRGB-encoded, opaque, top row first.
#[derive(Clone, Copy, Debug)]
pub struct CpuPicture<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one row to the next: a multiple of 4, at least `4 * width`.
    pub stride: u32,
    /// `stride * height` bytes.
    pub data: &'a [u8],
}

impl CpuPicture<'_> {
    /// An error unless its rows lie within its data.
    pub(crate) fn check(&self) -> Result<(), GpuError> {
        let Self { width, height, stride, data } = *self;
        let rows = u64::from(stride) * u64::from(height);
        if !stride.is_multiple_of(4) {
            return Err(GpuError::BadPicture(format!("rows of {stride} bytes hold no whole pixels")));
        }
        if width == 0 || height == 0 || u64::from(stride) < 4 * u64::from(width) || (data.len() as u64) < rows
        {
            return Err(GpuError::BadPicture(format!(
                "{width}×{height} with rows of {stride} bytes does not fit {} bytes",
                data.len()
            )));
        }
        Ok(())
    }
}

/// A finished picture, borrowed from the title until the next one is drawn.
#[derive(Clone, Copy, Debug)]
pub enum Picture<'a> {
    /// In CPU memory.
    Cpu(CpuPicture<'a>),
    /// On the session's wgpu device: `Rgba8Unorm` or `Bgra8Unorm` holding sRGB-encoded values, with
    /// usage `TEXTURE_BINDING | COPY_SRC`; all work that draws it has been submitted.
    Gpu(&'a wgpu::Texture),
}

impl Picture<'_> {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Cpu(picture) => (picture.width, picture.height),
            Self::Gpu(texture) => (texture.width(), texture.height()),
        }
    }
}

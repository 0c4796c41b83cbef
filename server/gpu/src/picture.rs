//! What a title has drawn.

use crate::error::GpuError;

/// Pixels of four bytes, top row first. In standard range 8-bit BGRA, sRGB-encoded and opaque; in HDR10
/// ([`Hdr10Picture`]) little-endian words of ten bits each for R (the lowest), G and B.
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
    /// In high dynamic range.
    Hdr10(Hdr10Picture<'a>),
}

/// A picture in the colours of BT.2020, each channel encoded by SMPTE ST 2084 (PQ) over its full range.
#[derive(Clone, Copy, Debug)]
pub struct Hdr10Picture<'a> {
    /// Where it lies.
    pub pixels: Hdr10Pixels<'a>,
    /// The brightest that it means to show, cd/m², 1 to 10 000: what tone mapping bends to white.
    pub peak_nits: u16,
}

/// Where the pixels of an [`Hdr10Picture`] lie.
#[derive(Clone, Copy, Debug)]
pub enum Hdr10Pixels<'a> {
    /// In CPU memory.
    Cpu(CpuPicture<'a>),
    /// On the session's wgpu device: `Rgb10a2Unorm` or `Rgba16Float` with usage `TEXTURE_BINDING`; all work that draws
    /// it has been submitted.
    Gpu(&'a wgpu::Texture),
}

impl Picture<'_> {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Cpu(picture) | Self::Hdr10(Hdr10Picture { pixels: Hdr10Pixels::Cpu(picture), .. }) => {
                (picture.width, picture.height)
            }
            Self::Gpu(texture) | Self::Hdr10(Hdr10Picture { pixels: Hdr10Pixels::Gpu(texture), .. }) => {
                (texture.width(), texture.height())
            }
        }
    }
}

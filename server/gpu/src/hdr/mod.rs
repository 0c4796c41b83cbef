//! HDR10 pictures into frames in CPU memory: as they are into P010, tone-mapped into 8 bits ([`curve`]).
//!
//! What is in GPU memory is read back in 10 bits and goes the same way; the shader `tone_map.wgsl` does the same where
//! frames stay on the GPU.

mod curve;
mod p010;
mod tone_map;

pub use tone_map::hdr10_code;

use crate::composite::Compositor;
use crate::device::Gpu;
use crate::error::GpuError;
use crate::picture::{CpuPicture, Hdr10Picture, Hdr10Pixels};
use crate::pixels::PixelReader;
use crate::scale::{Depth, Scaler};
use crate::simd::{self, ByteOrder};
use crate::surface::{CpuSurface, Layout};
use std::sync::Arc;
use tone_map::ToneMap;

/// The code of a picture's peak, as the shader takes it.
pub(crate) fn peak_code(peak_nits: u16) -> f32 {
    curve::code(f64::from(peak_nits)) as f32
}

/// R, G, B of a pixel: ten bits each, R the lowest.
fn unpacked(pixel: [u8; 4]) -> [u16; 3] {
    let word = u32::from_le_bytes(pixel);
    [0, 10, 20].map(|shift| (word >> shift & 0x3ff) as u16)
}

/// Converts into surfaces of one size.
#[derive(Debug)]
pub(crate) struct HdrPath {
    size: (u32, u32),
    scaler: Option<Scaler>,
    tone: Option<ToneMap>,
    /// Two rows in standard range.
    rows: Vec<u8>,
    from_gpu: Option<FromGpu>,
}

#[derive(Debug)]
struct FromGpu {
    compositor: Compositor,
    reader: PixelReader,
}

impl HdrPath {
    pub(crate) fn new(size: (u32, u32)) -> Self {
        Self { size, scaler: None, tone: None, rows: Vec::new(), from_gpu: None }
    }

    /// Scales with letterbox where sizes differ, and converts; into 8 bits it is tone-mapped.
    pub(crate) fn convert(
        &mut self,
        picture: &Hdr10Picture<'_>,
        gpu: Option<&Arc<Gpu>>,
        surface: &mut CpuSurface,
    ) -> Result<(), GpuError> {
        let peak = picture.peak_nits;
        match picture.pixels {
            Hdr10Pixels::Cpu(pixels) => self.convert_cpu(&pixels, peak, surface),
            Hdr10Pixels::Gpu(texture) => {
                let gpu = gpu.ok_or(GpuError::NeedsDevice)?;
                gpu.check()?;
                check_texture(texture)?;
                self.convert_texture(gpu, texture, peak, surface)
            }
        }
    }

    fn convert_cpu(
        &mut self,
        picture: &CpuPicture<'_>,
        peak: u16,
        surface: &mut CpuSurface,
    ) -> Result<(), GpuError> {
        picture.check()?;
        let (width, height) = self.size;
        if (picture.width, picture.height) == self.size {
            let (tone, rows) = (&mut self.tone, &mut self.rows);
            return into_surface(picture.data, picture.stride, tone, rows, peak, surface);
        }
        let scaler = self.scaler.get_or_insert_with(|| Scaler::new(width, height, Depth::Ten));
        let scaled = scaler.scale(picture);
        into_surface(scaled, 4 * width, &mut self.tone, &mut self.rows, peak, surface)
    }

    fn convert_texture(
        &mut self,
        gpu: &Arc<Gpu>,
        texture: &wgpu::Texture,
        peak: u16,
        surface: &mut CpuSurface,
    ) -> Result<(), GpuError> {
        let (width, height) = self.size;
        let FromGpu { compositor, reader } = self.from_gpu.get_or_insert_with(|| FromGpu {
            compositor: Compositor::with_format(gpu, width, height, wgpu::TextureFormat::Rgb10a2Unorm),
            reader: PixelReader::new(gpu, width, height),
        });
        let frame = compositor.draw(gpu, texture);
        let (tone, rows) = (&mut self.tone, &mut self.rows);
        reader.read(gpu, frame, |pixels, stride| into_surface(pixels, stride, tone, rows, peak, surface))?
    }
}

/// Pixels of the surface's size.
fn into_surface(
    pixels: &[u8],
    stride: u32,
    tone: &mut Option<ToneMap>,
    rows: &mut Vec<u8>,
    peak: u16,
    surface: &mut CpuSurface,
) -> Result<(), GpuError> {
    let (stride, row) = (stride as usize, 4 * surface.width() as usize);
    let source = |number: usize| &pixels[number * stride..][..row];
    if surface.layout() == Layout::P010 {
        let width = row / 4;
        let (luma, chroma) = surface.planes_mut();
        let frame = luma.chunks_exact_mut(4 * width).zip(chroma.chunks_exact_mut(2 * width));
        for (pair, (luma, chroma)) in frame.enumerate() {
            p010::rows(source(2 * pair), source(2 * pair + 1), luma, chroma);
        }
        return Ok(());
    }
    let map = match tone.take() {
        Some(map) if map.fits(peak) => map,
        _ => ToneMap::new(peak),
    };
    rows.resize(2 * row, 0);
    let converted = simd::convert_rows(surface, |pair, with| {
        let (top, bottom) = rows.split_at_mut(row);
        map.row(source(2 * pair), top);
        map.row(source(2 * pair + 1), bottom);
        with(rows, row, ByteOrder::Bgra)
    });
    *tone = Some(map);
    converted
}

/// Refuses what holds no HDR10 or cannot be read.
pub(crate) fn check_texture(texture: &wgpu::Texture) -> Result<(), GpuError> {
    use wgpu::TextureFormat::{Rgb10a2Unorm, Rgba16Float};
    let known = matches!(texture.format(), Rgb10a2Unorm | Rgba16Float);
    if known && texture.usage().contains(wgpu::TextureUsages::TEXTURE_BINDING) {
        return Ok(());
    }
    let (format, usage) = (texture.format(), texture.usage());
    Err(GpuError::BadPicture(format!(
        "its texture is {format:?} for {usage:?}; HDR10 must be Rgb10a2Unorm or Rgba16Float for TEXTURE_BINDING"
    )))
}

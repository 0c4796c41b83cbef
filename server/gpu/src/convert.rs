//! Pictures into surfaces.

use crate::composite::{Compositor, texture};
use crate::device::Gpu;
use crate::error::GpuError;
use crate::hdr::HdrPath;
use crate::picture::{CpuPicture, Picture};
use crate::pixels::PixelReader;
use crate::scale::{Depth, Scaler};
use crate::shader::ShaderConverter;
use crate::simd::{self, ByteOrder};
use crate::surface::{CpuSurface, Layout, Surface, SurfaceRing};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Frames converted each way before choosing, after one that compiles and allocates.
const TRIAL_FRAMES: usize = 5;
/// The smallest frame an encoder takes is one macroblock.
const MIN_SIDE: u32 = 16;
/// The largest side of H.264 level 5.2 and of every device's texture.
const MAX_SIDE: u32 = 4096;

/// Where colours of GPU pictures are converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Pixels are read back and converted by the CPU.
    Simd,
    /// A compute shader converts and the samples are read back.
    Shader,
}

impl fmt::Display for Conversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simd => "simd",
            Self::Shader => "shader",
        })
    }
}

/// Turns pictures of any size into surfaces of one size and layout.
#[derive(Debug)]
pub struct Converter {
    ring: SurfaceRing,
    size: (u32, u32),
    scaler: Option<Scaler>,
    gpu: Option<GpuPath>,
    hdr: HdrPath,
    /// What HDR10 textures are read back from.
    device: Option<Arc<Gpu>>,
}

impl Converter {
    /// A converter into `width × height` (both even, 16 to 4096) of [`Layout::Nv12`] or [`Layout::I420`], which
    /// tone-maps what is in HDR10, or of [`Layout::P010`], which takes nothing else. With `None` it takes CPU pictures
    /// only and touches no GPU. On a software adapter this converts a few frames both ways to choose, which takes some
    /// tens of milliseconds.
    pub fn new(gpu: Option<Arc<Gpu>>, layout: Layout, width: u32, height: u32) -> Result<Self, GpuError> {
        let mut converter = Self::without_gpu(layout, width, height)?;
        converter.device.clone_from(&gpu);
        if layout != Layout::P010 {
            let open = |gpu| GpuPath::new(gpu, &converter.ring, layout, (width, height));
            converter.gpu = gpu.map(open).transpose()?;
        }
        Ok(converter)
    }

    /// As [`Self::new`], but converts GPU pictures the given way without trying which is faster.
    pub fn with_conversion(
        gpu: Arc<Gpu>,
        layout: Layout,
        width: u32,
        height: u32,
        conversion: Conversion,
    ) -> Result<Self, GpuError> {
        let mut converter = Self::without_gpu(layout, width, height)?;
        converter.device = Some(Arc::clone(&gpu));
        if layout != Layout::P010 {
            let colours = Colours::new(&gpu, layout, (width, height), conversion);
            converter.gpu = Some(GpuPath::with_colours(gpu, (width, height), colours));
        }
        Ok(converter)
    }

    fn without_gpu(layout: Layout, width: u32, height: u32) -> Result<Self, GpuError> {
        let fits = |side: u32| side.is_multiple_of(2) && (MIN_SIDE..=MAX_SIDE).contains(&side);
        if !fits(width) || !fits(height) {
            return Err(GpuError::BadSize { width, height, layout, max: MAX_SIDE });
        }
        if !matches!(layout, Layout::Nv12 | Layout::I420 | Layout::P010) {
            return Err(GpuError::BadLayout(layout));
        }
        let (ring, size) = (SurfaceRing::new(layout, width, height), (width, height));
        Ok(Self { ring, size, scaler: None, gpu: None, hdr: HdrPath::new(size), device: None })
    }

    /// Where colours of GPU pictures are converted; CPU pictures of the right size are always `Simd`.
    pub fn conversion(&self) -> Conversion {
        self.gpu.as_ref().map_or(Conversion::Simd, |path| path.conversion())
    }

    /// Scales with letterbox where sizes differ, and converts. `None`: all surfaces are in use, the frame
    /// is to be left out. Blocks until the surface is written.
    pub fn convert(&mut self, picture: &Picture<'_>) -> Result<Option<Surface>, GpuError> {
        let Some(mut surface) = self.ring.take() else { return Ok(None) };
        match *picture {
            Picture::Hdr10(picture) => self.hdr.convert(&picture, self.device.as_ref(), &mut surface)?,
            Picture::Cpu(_) | Picture::Gpu(_) if surface.layout() == Layout::P010 => {
                let why = "it is in standard range, and P010 is for HDR10: open the encoder for 8 bits";
                return Err(GpuError::BadPicture(why.to_owned()));
            }
            Picture::Cpu(picture) => self.convert_cpu(&picture, &mut surface)?,
            Picture::Gpu(texture) => {
                let path = self.gpu.as_mut().ok_or(GpuError::NeedsDevice)?;
                check_texture(texture)?;
                path.convert(texture, &mut surface)?;
            }
        }
        Ok(Some(surface.into()))
    }

    fn convert_cpu(&mut self, picture: &CpuPicture<'_>, surface: &mut CpuSurface) -> Result<(), GpuError> {
        picture.check()?;
        if (picture.width, picture.height) == self.size {
            return simd::convert(picture.data, picture.stride, ByteOrder::Bgra, surface);
        }
        if let Some(path) = self.gpu.as_mut().filter(|path| !path.gpu.is_software()) {
            return path.upload_and_convert(picture, surface);
        }
        let (width, height) = self.size;
        let scaler = self.scaler.get_or_insert_with(|| Scaler::new(width, height, Depth::Eight));
        simd::convert(scaler.scale(picture), 4 * width, ByteOrder::Bgra, surface)
    }
}

/// Everything that lives on the device.
#[derive(Debug)]
struct GpuPath {
    gpu: Arc<Gpu>,
    size: (u32, u32),
    colours: Colours,
    compositor: Option<Compositor>,
    uploaded: Option<wgpu::Texture>,
}

#[derive(Debug)]
enum Colours {
    Simd(PixelReader),
    Shader(Box<ShaderConverter>),
}

impl Colours {
    fn new(gpu: &Gpu, layout: Layout, (width, height): (u32, u32), conversion: Conversion) -> Self {
        match conversion {
            Conversion::Simd => Self::Simd(PixelReader::new(gpu, width, height)),
            Conversion::Shader => Self::Shader(Box::new(ShaderConverter::new(gpu, layout, width, height))),
        }
    }

    fn convert(
        &mut self,
        gpu: &Gpu,
        frame: &wgpu::Texture,
        surface: &mut CpuSurface,
    ) -> Result<(), GpuError> {
        match self {
            Self::Simd(reader) => reader.convert(gpu, frame, surface),
            Self::Shader(shader) => shader.convert(gpu, frame, surface),
        }
    }
}

impl GpuPath {
    fn new(gpu: Arc<Gpu>, ring: &SurfaceRing, layout: Layout, size: (u32, u32)) -> Result<Self, GpuError> {
        let shader = Colours::new(&gpu, layout, size, Conversion::Shader);
        let colours = if gpu.is_software() {
            let simd = Colours::new(&gpu, layout, size, Conversion::Simd);
            faster(&gpu, ring, size, simd, shader)?
        } else {
            shader
        };
        Ok(Self::with_colours(gpu, size, colours))
    }

    fn with_colours(gpu: Arc<Gpu>, size: (u32, u32), colours: Colours) -> Self {
        Self { gpu, size, colours, compositor: None, uploaded: None }
    }

    fn conversion(&self) -> Conversion {
        match self.colours {
            Colours::Simd(_) => Conversion::Simd,
            Colours::Shader(_) => Conversion::Shader,
        }
    }

    fn convert(&mut self, picture: &wgpu::Texture, surface: &mut CpuSurface) -> Result<(), GpuError> {
        self.gpu.check()?;
        let (gpu, size) = (&self.gpu, self.size);
        if (picture.width(), picture.height()) == size {
            return self.colours.convert(gpu, picture, surface);
        }
        let compositor = self.compositor.get_or_insert_with(|| Compositor::new(gpu, size.0, size.1));
        let frame = compositor.draw(gpu, picture);
        self.colours.convert(gpu, frame, surface)
    }

    fn upload_and_convert(
        &mut self,
        picture: &CpuPicture<'_>,
        surface: &mut CpuSurface,
    ) -> Result<(), GpuError> {
        let size = (picture.width, picture.height);
        let most = self.gpu.device().limits().max_texture_dimension_2d;
        if size.0 > most || size.1 > most {
            return Err(GpuError::BadPicture(format!(
                "{}×{} is more than the device's {most}",
                size.0, size.1
            )));
        }
        let texture = match self.uploaded.take() {
            Some(texture) if (texture.width(), texture.height()) == size => texture,
            _ => {
                let format = wgpu::TextureFormat::Bgra8Unorm;
                texture(&self.gpu, "upload", size, format, wgpu::TextureUsages::COPY_DST)
            }
        };
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(picture.stride),
            rows_per_image: None,
        };
        self.gpu.queue().write_texture(texture.as_image_copy(), picture.data, layout, texture.size());
        let converted = self.convert(&texture, surface);
        self.uploaded = Some(texture);
        converted
    }
}

/// Converts a few frames each way and keeps the faster way.
fn faster(
    gpu: &Gpu,
    ring: &SurfaceRing,
    size: (u32, u32),
    mut simd: Colours,
    mut shader: Colours,
) -> Result<Colours, GpuError> {
    let Some(mut surface) = ring.take() else { return Ok(simd) };
    let frame = texture(gpu, "trial", size, wgpu::TextureFormat::Rgba8Unorm, wgpu::TextureUsages::empty());
    let simd_time = median_time(|| simd.convert(gpu, &frame, &mut surface))?;
    let shader_time = median_time(|| shader.convert(gpu, &frame, &mut surface))?;
    let chosen = if simd_time <= shader_time { simd } else { shader };
    let conversion = if simd_time <= shader_time { Conversion::Simd } else { Conversion::Shader };
    tracing::info!(?simd_time, ?shader_time, %conversion, "colour conversion chosen");
    Ok(chosen)
}

fn median_time(mut convert: impl FnMut() -> Result<(), GpuError>) -> Result<Duration, GpuError> {
    convert()?;
    let mut times = [Duration::ZERO; TRIAL_FRAMES];
    for time in &mut times {
        let start = Instant::now();
        convert()?;
        *time = start.elapsed();
    }
    times.sort_unstable();
    Ok(times[TRIAL_FRAMES / 2])
}

fn check_texture(texture: &wgpu::Texture) -> Result<(), GpuError> {
    use wgpu::TextureFormat::{Bgra8Unorm, Rgba8Unorm};
    let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_SRC;
    if !matches!(texture.format(), Rgba8Unorm | Bgra8Unorm) || !texture.usage().contains(usage) {
        return Err(GpuError::BadPicture(format!(
            "its texture is {:?} for {:?}; it must be Rgba8Unorm or Bgra8Unorm for {usage:?}",
            texture.format(),
            texture.usage()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uploaded_picture_looks_like_one_scaled_on_the_cpu() {
        let gpu = Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers");
        let pixel = |at: u32| [(at % 90 * 2) as u8, (at / 90 * 3) as u8, 90, 255];
        let data: Vec<u8> = (0..90 * 70).flat_map(pixel).collect();
        let picture = CpuPicture { width: 90, height: 70, stride: 360, data: &data };
        let mut converter = Converter::new(None, Layout::I420, 320, 180).unwrap();
        let scaled = converter.convert(&Picture::Cpu(picture)).unwrap().unwrap();
        let scaled = scaled.as_cpu().unwrap();
        for conversion in [Conversion::Simd, Conversion::Shader] {
            let colours = Colours::new(&gpu, Layout::I420, (320, 180), conversion);
            let mut path = GpuPath::with_colours(Arc::clone(&gpu), (320, 180), colours);
            let mut uploaded = SurfaceRing::new(Layout::I420, 320, 180).take().unwrap();
            for _ in 0..2 {
                path.upload_and_convert(&picture, &mut uploaded).unwrap();
            }
            let samples = scaled.luma().iter().zip(uploaded.luma());
            let worst =
                samples.chain(scaled.chroma().iter().zip(uploaded.chroma())).map(|(a, b)| a.abs_diff(*b));
            assert!(worst.max().unwrap_or(255) <= 3, "{conversion}");
        }
    }
}

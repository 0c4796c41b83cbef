//! Pictures into exported slots: `shaders/convert_planes.wgsl`, with `shaders/tone_map.wgsl` before it.

use super::handover::{After, given_away, taken_back};
use super::planes::ColourMatrix;
use super::ring::{SlotRing, no_encoder_takes};
use crate::composite::{Compositor, texture};
use crate::device::Gpu;
use crate::error::GpuError;
use crate::exported::{DeviceUuid, GpuSurface};
use crate::hdr;
use crate::measure::{GpuTimes, Stopwatch};
use crate::picture::{CpuPicture, Hdr10Picture, Hdr10Pixels, Picture};
use crate::readback::Readback;
use crate::surface::Layout;
use std::sync::Arc;

const SHADER: &str = concat!(
    include_str!("../../../../shaders/tone_map.wgsl"),
    include_str!("../../../../shaders/convert_planes.wgsl")
);
/// Pixels of one workgroup: 16×8 invocations of 8×2.
const TILE: (u32, u32) = (128, 16);
/// The smallest frame an encoder takes is one macroblock.
const MIN_SIDE: u32 = 16;
/// The largest side of every hardware encoder for HEVC and AV1.
const MAX_SIDE: u32 = 8192;

/// Turns pictures of any size into exported frames of one layout. Where readers can wait for timelines it
/// submits and waits for nothing.
#[derive(Debug)]
pub struct GpuConverter {
    gpu: Arc<Gpu>,
    ring: SlotRing,
    layout: Layout,
    matrix: ColourMatrix,
    size: (u32, u32),
    pipelines: Pipelines,
    frame: wgpu::Buffer,
    /// What `frame` says of the picture: its peak, where it is tone-mapped.
    bent_from: Option<u16>,
    compositor: Option<Compositor>,
    uploaded: Option<wgpu::Texture>,
    /// The texture of the frame before, with its bindings to each slot; titles draw into the same one again.
    bound: Option<(wgpu::Texture, Vec<Option<wgpu::BindGroup>>)>,
}

/// The shader for pictures as they are, and, once there was one, for those that are tone-mapped.
#[derive(Debug)]
struct Pipelines {
    module: wgpu::ShaderModule,
    entry_point: &'static str,
    plain: wgpu::ComputePipeline,
    tone_mapping: Option<wgpu::ComputePipeline>,
}

impl Pipelines {
    fn new(gpu: &Gpu, entry_point: &'static str) -> Self {
        let module = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("convert_planes"),
            source: wgpu::ShaderSource::Wgsl(SHADER.into()),
        });
        let plain = Self::make(gpu, &module, entry_point, false);
        Self { module, entry_point, plain, tone_mapping: None }
    }

    fn make(
        gpu: &Gpu,
        module: &wgpu::ShaderModule,
        entry_point: &str,
        tone_maps: bool,
    ) -> wgpu::ComputePipeline {
        gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: None,
            module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("tone_maps", f64::from(u8::from(tone_maps)))],
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        })
    }

    fn prepare_tone_mapping(&mut self, gpu: &Gpu) {
        let Self { module, entry_point, tone_mapping, .. } = self;
        tone_mapping.get_or_insert_with(|| Self::make(gpu, module, entry_point, true));
    }

    /// The one that tone-maps, if it was prepared and is asked for.
    fn get(&self, tone_maps: bool) -> &wgpu::ComputePipeline {
        self.tone_mapping.as_ref().filter(|_| tone_maps).unwrap_or(&self.plain)
    }
}

impl GpuConverter {
    /// A converter into `width × height` (both even, 16 to 8192) of [`Layout::Nv12`], [`Layout::P010`] or
    /// [`Layout::Yuv444`]. With [`ColourMatrix::Bt709`] what is in HDR10 is tone-mapped; with [`ColourMatrix::Bt2020`]
    /// it is taken as it is.
    ///
    /// # Errors
    /// [`GpuError::NoExport`] where the adapter exports no memory: read back instead ([`crate::Converter`]).
    /// [`GpuError::OutOfMemory`] where not even two frames fit.
    pub fn new(
        gpu: Arc<Gpu>,
        layout: Layout,
        matrix: ColourMatrix,
        width: u32,
        height: u32,
    ) -> Result<Self, GpuError> {
        gpu.check()?;
        let max = gpu.device().limits().max_texture_dimension_2d.min(MAX_SIDE);
        let fits = |side: u32| side.is_multiple_of(2) && (MIN_SIDE..=max).contains(&side);
        if !fits(width) || !fits(height) {
            return Err(GpuError::BadSize { width, height, layout, max });
        }
        let ring = SlotRing::new(&gpu, layout, width, height)?;
        let entry_point = entry_point(layout)?;
        let device = gpu.device();
        let pipelines = Pipelines::new(&gpu, entry_point);
        let contents = uniform(&ring, matrix, (width, height), None);
        let frame = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("frame"),
            size: contents.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue().write_buffer(&frame, 0, &contents);
        let size = (width, height);
        let (compositor, uploaded, bound, bent_from) = (None, None, None, None);
        Ok(Self { gpu, ring, layout, matrix, size, pipelines, frame, bent_from, compositor, uploaded, bound })
    }

    /// The device that its frames lie on.
    pub fn device(&self) -> Result<DeviceUuid, GpuError> {
        self.gpu.exporter().map(|exporter| exporter.device)
    }

    /// Width and height of its frames, in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// How its samples lie.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Frames that can be underway at once: 3, or 2 where memory is short.
    pub fn slots(&self) -> usize {
        self.ring.len()
    }

    /// Blocks until every frame that was handed out is whole.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.ring.wait()
    }

    /// A frame of this converter in CPU memory, planes with their padding, copied by the device that wrote it.
    /// Blocks.
    pub fn read_back(&self, surface: &GpuSurface) -> Result<Vec<u8>, GpuError> {
        self.ring.wait()?;
        let foreign = || GpuError::NoExport("the frame is another converter's".to_owned());
        let buffer = self.ring.buffer(self.ring.index_of(surface).ok_or_else(foreign)?);
        let bytes = self.ring.planes().bytes;
        let readback = Readback::new(&self.gpu, bytes);
        let back = taken_back(&self.gpu, buffer)?;
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, readback.buffer(), 0, bytes);
        let away = given_away(&self.gpu, buffer, After::Copy)?;
        readback.submit_and_read(&self.gpu, [back, encoder.finish(), away], <[u8]>::to_vec)
    }

    /// Scales with letterbox where sizes differ, and converts. `None`: all slots are in use, the frame is to be
    /// left out.
    pub fn convert(&mut self, picture: &Picture<'_>) -> Result<Option<GpuSurface>, GpuError> {
        use wgpu::TextureFormat::{Bgra8Unorm, Rgb10a2Unorm};
        self.gpu.check()?;
        match *picture {
            Picture::Gpu(texture) => {
                check_texture(texture)?;
                self.bend(None);
                self.convert_texture(texture)
            }
            Picture::Cpu(picture) => {
                self.bend(None);
                self.convert_uploaded(&picture, Bgra8Unorm)
            }
            Picture::Hdr10(Hdr10Picture { pixels, peak_nits }) => {
                self.bend(Some(peak_nits).filter(|_| self.matrix == ColourMatrix::Bt709));
                match pixels {
                    Hdr10Pixels::Cpu(picture) => self.convert_uploaded(&picture, Rgb10a2Unorm),
                    Hdr10Pixels::Gpu(texture) => {
                        hdr::check_texture(texture)?;
                        self.convert_texture(texture)
                    }
                }
            }
        }
    }

    /// From the next frame on pictures of this peak are tone-mapped, or none are.
    fn bend(&mut self, peak_nits: Option<u16>) {
        if self.bent_from != peak_nits {
            let contents = uniform(&self.ring, self.matrix, self.size, peak_nits);
            self.gpu.queue().write_buffer(&self.frame, 0, &contents);
            if self.bent_from.is_some() != peak_nits.is_some() {
                // Bindings belong to the pipeline that they were made for.
                self.bound = None;
                self.pipelines.prepare_tone_mapping(&self.gpu);
            }
            self.bent_from = peak_nits;
        }
    }

    fn convert_uploaded(
        &mut self,
        picture: &CpuPicture<'_>,
        format: wgpu::TextureFormat,
    ) -> Result<Option<GpuSurface>, GpuError> {
        let texture = self.upload(picture, format)?;
        let converted = self.convert_texture(&texture);
        self.uploaded = Some(texture);
        converted
    }

    fn upload(
        &mut self,
        picture: &CpuPicture<'_>,
        format: wgpu::TextureFormat,
    ) -> Result<wgpu::Texture, GpuError> {
        picture.check()?;
        let size = (picture.width, picture.height);
        let most = self.gpu.device().limits().max_texture_dimension_2d;
        if size.0 > most || size.1 > most {
            let detail = format!("{}×{} is more than the device's {most}", size.0, size.1);
            return Err(GpuError::BadPicture(detail));
        }
        let fits =
            |known: &wgpu::Texture| (known.width(), known.height()) == size && known.format() == format;
        let uploaded = self
            .uploaded
            .take()
            .filter(fits)
            .unwrap_or_else(|| texture(&self.gpu, "upload", size, format, wgpu::TextureUsages::COPY_DST));
        let rows = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(picture.stride),
            rows_per_image: None,
        };
        self.gpu.queue().write_texture(uploaded.as_image_copy(), picture.data, rows, uploaded.size());
        Ok(uploaded)
    }

    fn convert_texture(&mut self, picture: &wgpu::Texture) -> Result<Option<GpuSurface>, GpuError> {
        let Some(index) = self.ring.take() else { return Ok(None) };
        let commands = self.commands(picture, index);
        let released = given_away(&self.gpu, self.ring.buffer(index), After::Shader);
        match released {
            Ok(released) => self.ring.write(index, [commands, released]).map(Some),
            Err(error) => {
                self.ring.put_back(index);
                Err(error)
            }
        }
    }

    /// What scales and converts.
    fn commands(&mut self, picture: &wgpu::Texture, index: usize) -> wgpu::CommandBuffer {
        let descriptor = wgpu::CommandEncoderDescriptor::default();
        let mut encoder = self.gpu.device().create_command_encoder(&descriptor);
        let source = self.record_composite(picture, &mut encoder);
        self.record_conversion(&source, index, &mut encoder);
        encoder.finish()
    }

    /// Scales a picture of another size; one of the right size is given back as it is.
    fn record_composite(
        &mut self,
        picture: &wgpu::Texture,
        encoder: &mut wgpu::CommandEncoder,
    ) -> wgpu::Texture {
        let (width, height) = self.size;
        if (picture.width(), picture.height()) == self.size {
            return picture.clone();
        }
        let (gpu, format) = (&self.gpu, composite_format(self.layout, picture.format()));
        let known = self.compositor.take().filter(|compositor| compositor.format() == format);
        let compositor = known.unwrap_or_else(|| Compositor::with_format(gpu, width, height, format));
        self.compositor.insert(compositor).record(gpu, picture, encoder).clone()
    }

    fn record_conversion(
        &mut self,
        source: &wgpu::Texture,
        index: usize,
        encoder: &mut wgpu::CommandEncoder,
    ) {
        let (width, height) = self.size;
        let bindings = self.bindings(source, index);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(self.pipelines.get(self.bent_from.is_some()));
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(width.div_ceil(TILE.0), height.div_ceil(TILE.1), 1);
    }

    /// Time on the GPU of scaling a picture on it and of converting what comes of it, median over `rounds`; the first is
    /// zero for a picture of the right size. `None`: the adapter has no timestamps.
    pub fn time(&mut self, picture: &Picture<'_>, rounds: usize) -> Result<Option<GpuTimes>, GpuError> {
        let picture = match *picture {
            Picture::Gpu(texture) => {
                check_texture(texture)?;
                self.bend(None);
                texture
            }
            Picture::Hdr10(Hdr10Picture { pixels: Hdr10Pixels::Gpu(texture), peak_nits }) => {
                hdr::check_texture(texture)?;
                self.bend(Some(peak_nits).filter(|_| self.matrix == ColourMatrix::Bt709));
                texture
            }
            Picture::Cpu(_) | Picture::Hdr10(_) => {
                return Err(GpuError::BadPicture(
                    "it lies in CPU memory, where no GPU's clock runs".to_owned(),
                ));
            }
        };
        let Some(watch) = Stopwatch::new(&self.gpu) else { return Ok(None) };
        let Some(index) = self.ring.take() else {
            return Err(GpuError::NoExport("all of its frames are in use".to_owned()));
        };
        let mut source = picture.clone();
        let composite = watch.median(rounds, |encoder| source = self.record_composite(picture, encoder));
        let convert = watch.median(rounds, |encoder| self.record_conversion(&source, index, encoder));
        self.ring.put_back(index);
        Ok(Some(GpuTimes { composite: composite?, convert: convert? }))
    }

    fn bindings(&mut self, source: &wgpu::Texture, index: usize) -> wgpu::BindGroup {
        if self.bound.as_ref().is_none_or(|(bound, _)| bound != source) {
            self.bound = Some((source.clone(), vec![None; self.ring.len()]));
        }
        let pipeline = self.pipelines.get(self.bent_from.is_some());
        let make = || {
            let view = source.create_view(&wgpu::TextureViewDescriptor::default());
            self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("convert_planes"),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
                    wgpu::BindGroupEntry {
                        binding: 1,
                        resource: self.ring.buffer(index).as_entire_binding(),
                    },
                    wgpu::BindGroupEntry { binding: 2, resource: self.frame.as_entire_binding() },
                ],
            })
        };
        match self.bound.as_mut().and_then(|(_, groups)| groups.get_mut(index)) {
            Some(group) => group.get_or_insert_with(make).clone(),
            None => make(),
        }
    }
}

/// The shader's entry point for a layout.
fn entry_point(layout: Layout) -> Result<&'static str, GpuError> {
    match layout {
        Layout::Nv12 => Ok("nv12"),
        Layout::P010 => Ok("p010"),
        Layout::Yuv444 => Ok("yuv444"),
        Layout::I420 => Err(no_encoder_takes(layout)),
    }
}

/// A scaled picture keeps the bits that the frame can show, and those that tone mapping takes.
fn composite_format(layout: Layout, picture: wgpu::TextureFormat) -> wgpu::TextureFormat {
    use wgpu::TextureFormat::{Bgra8Unorm, Rgba8Unorm, Rgba16Float};
    match (layout, picture) {
        (Layout::Nv12 | Layout::I420 | Layout::Yuv444, Rgba8Unorm | Bgra8Unorm) => Rgba8Unorm,
        _ => Rgba16Float,
    }
}

/// `Frame` of the shader, with the peak of pictures that are tone-mapped.
fn uniform(
    ring: &SlotRing,
    matrix: ColourMatrix,
    (width, height): (u32, u32),
    bent_from: Option<u16>,
) -> [u8; 48] {
    let peak = bent_from.map_or(0.0, hdr::peak_code);
    let [kr, kg, kb] = matrix.weights();
    let planes = ring.planes();
    let sizes = [width, height, planes.stride_bytes / 8, (planes.luma_bytes / 8) as u32];
    let matrix = [kr, kg, kb, 0.0, 2.0 * (1.0 - kb), 2.0 * (1.0 - kr), peak, 0.0];
    let mut bytes = [0; 48];
    bytes[..16].copy_from_slice(bytemuck::cast_slice(&sizes));
    bytes[16..].copy_from_slice(bytemuck::cast_slice(&matrix));
    bytes
}

fn check_texture(texture: &wgpu::Texture) -> Result<(), GpuError> {
    use wgpu::TextureFormat::{Bgra8Unorm, Rgb10a2Unorm, Rgba8Unorm, Rgba16Float};
    let known = matches!(texture.format(), Rgba8Unorm | Bgra8Unorm | Rgb10a2Unorm | Rgba16Float);
    if !known || !texture.usage().contains(wgpu::TextureUsages::TEXTURE_BINDING) {
        return Err(GpuError::BadPicture(format!(
            "its texture is {:?} for {:?}; it must be Rgba8Unorm, Bgra8Unorm, Rgb10a2Unorm or Rgba16Float for \
             TEXTURE_BINDING",
            texture.format(),
            texture.usage()
        )));
    }
    Ok(())
}

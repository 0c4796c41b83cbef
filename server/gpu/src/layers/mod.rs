//! The windows of a title as one picture, on the GPU: `shaders/layers.wgsl`.

mod place;
mod uploads;

use crate::composite::texture;
use crate::device::Gpu;
use crate::dmabuf::{Handover, ImportedImage, hand_over};
use crate::error::GpuError;
use crate::picture::CpuPicture;
use place::{Quad, place};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uploads::Uploads;

/// More than any title's windows, menus and cursors together.
const MAX_LAYERS: usize = 512;
/// Uploaded bytes of one frame: fifteen pictures of 8-bit 4K.
const MAX_BYTES: u64 = 512 << 20;
/// How long a frame waits for titles that still draw: six frames at 60 Hz. What is slower repeats its
/// last picture.
const DRAWN_WITHIN: Duration = Duration::from_millis(100);
/// What frames are stored in.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// One picture and its place.
#[derive(Clone, Copy, Debug)]
pub struct GpuLayer<'a> {
    /// The picture.
    pub content: GpuContent<'a>,
    /// Which part of it: x, y, width and height in its own pixels. A negative size mirrors: a picture
    /// whose first row is its lowest has `[0, height, width, -height]`. Beyond its edges the picture's
    /// outermost pixels go on.
    pub source: [f64; 4],
    /// Where it goes: x, y, width and height in pixels of the frame; it may reach beyond the edges.
    pub target: [i32; 4],
    /// Alpha is ignored and nothing shines through.
    pub opaque: bool,
}

/// Where a layer's pixels are.
#[derive(Clone, Copy, Debug)]
pub enum GpuContent<'a> {
    /// In CPU memory.
    Pixels {
        /// Another one for every version of the content; what is on the device already is not uploaded
        /// again.
        id: u64,
        /// As [`CpuPicture`], but with premultiplied alpha unless the layer is opaque.
        picture: CpuPicture<'a>,
    },
    /// In a GPU buffer of the title.
    Dmabuf(&'a ImportedImage),
}

/// Draws layers into frames of one size, over black.
#[derive(Debug)]
pub struct LayerCompositor {
    gpu: Arc<Gpu>,
    opaque: wgpu::RenderPipeline,
    blended: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    sampler: wgpu::Sampler,
    quads: wgpu::Buffer,
    uploads: Uploads,
    frame: wgpu::Texture,
    view: wgpu::TextureView,
}

/// What one layer is drawn with.
struct Draw {
    bindings: wgpu::BindGroup,
    opaque: bool,
}

impl LayerCompositor {
    /// For frames of `width × height` pixels.
    pub fn new(gpu: Arc<Gpu>, width: u32, height: u32) -> Result<Self, GpuError> {
        let most = gpu.device().limits().max_texture_dimension_2d;
        if !(1..=most).contains(&width) || !(1..=most).contains(&height) {
            return Err(GpuError::BadLayers(format!("{width}×{height} is no frame; the most is {most}")));
        }
        let device = gpu.device();
        let frame = texture(&gpu, "layers", (width, height), FORMAT, wgpu::TextureUsages::RENDER_ATTACHMENT);
        let view = frame.create_view(&wgpu::TextureViewDescriptor::default());
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("bilinear"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let quads = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("layers"),
            size: (MAX_LAYERS * size_of::<Quad>()) as u64,
            usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let layout = bindings_layout(device);
        let (opaque, blended) = (
            pipeline(device, &layout, None),
            pipeline(device, &layout, Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING)),
        );
        Ok(Self { opaque, blended, layout, sampler, quads, uploads: Uploads::default(), frame, view, gpu })
    }

    /// Draws the layers, the first one lowest, and submits that. The picture is for [`crate::Converter`]
    /// (`Rgba8Unorm`, `TEXTURE_BINDING | COPY_SRC`, opaque) and stays until the next call; an error
    /// leaves it as it was. Waits for GPU buffers that are still being drawn, with a bound.
    pub fn compose(&mut self, layers: &[GpuLayer<'_>]) -> Result<&wgpu::Texture, GpuError> {
        self.gpu.check()?;
        self.check(layers)?;
        let deadline = Instant::now() + DRAWN_WITHIN;
        let mut images = Vec::new();
        for layer in layers {
            let GpuContent::Dmabuf(image) = layer.content else { continue };
            if !image.wait_drawn(deadline)? {
                return Err(GpuError::StillDrawing(DRAWN_WITHIN));
            }
            images.push(image);
        }
        // A barrier names each image once, however many layers show it.
        images.sort_by_key(|image| std::ptr::from_ref(*image));
        images.dedup_by_key(|image| std::ptr::from_ref(*image));
        let (quads, draws) = self.prepare(layers);
        self.gpu.queue().write_buffer(&self.quads, 0, bytemuck::cast_slice(&quads));
        let drawing = self.draw(&draws);
        if images.is_empty() {
            self.gpu.queue().submit([drawing]);
        } else {
            let acquire = hand_over(&self.gpu, &images, Handover::Acquire)?;
            let release = hand_over(&self.gpu, &images, Handover::Release)?;
            self.gpu.queue().submit([acquire, drawing, release]);
        }
        Ok(&self.frame)
    }

    /// The last picture that was drawn; black before the first.
    pub fn picture(&self) -> &wgpu::Texture {
        &self.frame
    }

    fn check(&self, layers: &[GpuLayer<'_>]) -> Result<(), GpuError> {
        if layers.len() > MAX_LAYERS {
            return Err(GpuError::BadLayers(format!("{} are more than {MAX_LAYERS}", layers.len())));
        }
        let most = self.gpu.device().limits().max_texture_dimension_2d;
        let mut bytes = 0;
        for (_, picture) in pixels(layers) {
            picture.check()?;
            if picture.width > most || picture.height > most {
                let (width, height) = (picture.width, picture.height);
                return Err(GpuError::BadLayers(format!(
                    "{width}×{height} is more than the device's {most}"
                )));
            }
            bytes += 4 * u64::from(picture.width) * u64::from(picture.height);
        }
        if bytes > MAX_BYTES {
            return Err(GpuError::BadLayers(format!("{bytes} bytes are more than {MAX_BYTES}")));
        }
        Ok(())
    }

    /// Uploads what is new and says what is drawn with what.
    fn prepare(&mut self, layers: &[GpuLayer<'_>]) -> (Vec<Quad>, Vec<Draw>) {
        let size = (self.frame.width(), self.frame.height());
        let (gpu, layout, sampler) = (&self.gpu, &self.layout, &self.sampler);
        let bind = |texture: &wgpu::Texture| bind(gpu.device(), layout, sampler, texture);
        self.uploads.begin(pixels(layers));
        let mut quads = Vec::with_capacity(layers.len());
        let mut draws = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            // Premultiplied colours over black are those colours.
            let opaque = layer.opaque
                || index == 0
                || matches!(layer.content, GpuContent::Dmabuf(image) if image.is_opaque());
            let Some(quad) = place(layer.source, layer.target, size, opaque) else { continue };
            let bindings = match layer.content {
                GpuContent::Pixels { id, picture } => self.uploads.bindings(gpu, id, &picture, bind).clone(),
                GpuContent::Dmabuf(image) => bind(image.texture()),
            };
            quads.push(quad);
            draws.push(Draw { bindings, opaque });
        }
        self.uploads.end();
        (quads, draws)
    }

    fn draw(&self, draws: &[Draw]) -> wgpu::CommandBuffer {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("layers") };
        let mut encoder = self.gpu.device().create_command_encoder(&descriptor);
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("layers"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        });
        let quad = size_of::<Quad>() as u64;
        for (start, draw) in (0..).step_by(size_of::<Quad>()).zip(draws) {
            pass.set_pipeline(if draw.opaque { &self.opaque } else { &self.blended });
            pass.set_bind_group(0, &draw.bindings, &[]);
            pass.set_vertex_buffer(0, self.quads.slice(start..start + quad));
            pass.draw(0..4, 0..1);
        }
        drop(pass);
        encoder.finish()
    }
}

/// The layers whose pixels are in CPU memory.
fn pixels<'a>(layers: &[GpuLayer<'a>]) -> impl Iterator<Item = (u64, CpuPicture<'a>)> {
    layers.iter().filter_map(|layer| match layer.content {
        GpuContent::Pixels { id, picture } => Some((id, picture)),
        GpuContent::Dmabuf(_) => None,
    })
}

fn bindings_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty,
        count: None,
    };
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("layers"),
        entries: &[
            entry(
                0,
                wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Float { filterable: true },
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
            ),
            entry(1, wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering)),
        ],
    })
}

fn bind(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    sampler: &wgpu::Sampler,
    texture: &wgpu::Texture,
) -> wgpu::BindGroup {
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("layer"),
        layout,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
            wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(sampler) },
        ],
    })
}

fn pipeline(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    blend: Option<wgpu::BlendState>,
) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("layers"),
        source: wgpu::ShaderSource::Wgsl(include_str!("../../../../shaders/layers.wgsl").into()),
    });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("layers"),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let buffer = wgpu::VertexBufferLayout {
        array_stride: size_of::<Quad>() as u64,
        step_mode: wgpu::VertexStepMode::Instance,
        attributes: &Quad::ATTRIBUTES,
    };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("layers"),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("place"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[Some(buffer)],
        },
        primitive: wgpu::PrimitiveState {
            topology: wgpu::PrimitiveTopology::TriangleStrip,
            ..Default::default()
        },
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("sample_layer"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format: FORMAT,
                blend,
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        multiview_mask: None,
        cache: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textures_are_reused_and_their_number_is_bounded() {
        let gpu = Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers");
        let mut compositor = LayerCompositor::new(gpu, 32, 32).unwrap();
        let data = [7; 4 * 16 * 16];
        let layer = |id, side: u32| GpuLayer {
            content: GpuContent::Pixels {
                id,
                picture: CpuPicture { width: side, height: side, stride: 4 * side, data: &data },
            },
            source: [0.0, 0.0, 16.0, 16.0],
            target: [0, 0, 16, 16],
            opaque: true,
        };
        for id in 0..10 {
            compositor.compose(&[layer(id, 16), layer(id, 16)]).unwrap();
            assert_eq!(compositor.uploads.len(), 1, "new content goes where the old was");
        }
        let many: Vec<_> = (100..120).map(|id| layer(id, 8)).collect();
        compositor.compose(&many).unwrap();
        assert_eq!(compositor.uploads.len(), 21);
        compositor.compose(&[]).unwrap();
        assert_eq!(compositor.uploads.len(), 4, "only spares stay");
    }
}

//! Scaling with letterbox on the GPU: `shaders/composite.wgsl`.

use crate::device::Gpu;
use crate::letterbox::fit;

/// What the composited frame is stored in.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// Draws pictures of any size into a frame of one size.
#[derive(Debug)]
pub(crate) struct Compositor {
    pipeline: wgpu::RenderPipeline,
    sampler: wgpu::Sampler,
    frame: wgpu::Texture,
    view: wgpu::TextureView,
    /// The bindings for the texture of the frame before; titles draw into the same one again.
    bound: Option<(wgpu::Texture, wgpu::BindGroup)>,
}

impl Compositor {
    pub(crate) fn new(gpu: &Gpu, width: u32, height: u32) -> Self {
        Self::with_format(gpu, width, height, FORMAT)
    }

    /// As [`Self::new`], into a frame of another format.
    pub(crate) fn with_format(gpu: &Gpu, width: u32, height: u32, format: wgpu::TextureFormat) -> Self {
        let device = gpu.device();
        let frame =
            texture(gpu, "composite", (width, height), format, wgpu::TextureUsages::RENDER_ATTACHMENT);
        let view = frame.create_view(&wgpu::TextureViewDescriptor::default());
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("bilinear"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("composite"),
            source: wgpu::ShaderSource::Wgsl(include_str!("../../../shaders/composite.wgsl").into()),
        });
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("composite"),
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("cover"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: None,
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("sample_picture"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(format.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        Self { pipeline, sampler, frame, view, bound: None }
    }

    /// What its frame is stored in.
    pub(crate) fn format(&self) -> wgpu::TextureFormat {
        self.frame.format()
    }

    /// Submits the drawing and gives the frame it goes into.
    pub(crate) fn draw(&mut self, gpu: &Gpu, picture: &wgpu::Texture) -> &wgpu::Texture {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.record(gpu, picture, &mut encoder);
        gpu.queue().submit([encoder.finish()]);
        &self.frame
    }

    /// Records the drawing and gives the frame it goes into.
    pub(crate) fn record(
        &mut self,
        gpu: &Gpu,
        picture: &wgpu::Texture,
        encoder: &mut wgpu::CommandEncoder,
    ) -> &wgpu::Texture {
        let bindings = self.bindings(gpu, picture);
        let target = (self.frame.width(), self.frame.height());
        let place = fit((picture.width(), picture.height()), target);
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("composite"),
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
            pass.set_viewport(
                place.x as f32,
                place.y as f32,
                place.width as f32,
                place.height as f32,
                0.0,
                1.0,
            );
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &bindings, &[]);
            pass.draw(0..3, 0..1);
        }
        &self.frame
    }

    fn bindings(&mut self, gpu: &Gpu, picture: &wgpu::Texture) -> wgpu::BindGroup {
        if let Some((bound, group)) = &self.bound
            && bound == picture
        {
            return group.clone();
        }
        let view = picture.create_view(&wgpu::TextureViewDescriptor::default());
        let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("composite"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(&self.sampler) },
            ],
        });
        self.bound = Some((picture.clone(), group.clone()));
        group
    }
}

/// A texture that can be converted, with further usages.
pub(crate) fn texture(
    gpu: &Gpu,
    label: &str,
    (width, height): (u32, u32),
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
) -> wgpu::Texture {
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: usage | wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    })
}

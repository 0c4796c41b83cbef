//! What a title that draws with the GPU draws into.

/// Colour format of every GPU title: holds sRGB-encoded values, as `Picture::Gpu` asks.
pub(crate) const COLOUR: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// Depth format; 32-bit float is what every adapter offers.
pub(crate) const DEPTH: wgpu::TextureFormat = wgpu::TextureFormat::Depth32Float;

/// One colour picture with its depth buffer.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) colour: wgpu::Texture,
    colour_view: wgpu::TextureView,
    depth_view: wgpu::TextureView,
}

impl Target {
    pub(crate) fn new(device: &wgpu::Device, width: u32, height: u32) -> Self {
        let texture = |label, format, usage| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some(label),
                size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format,
                usage,
                view_formats: &[],
            })
        };
        use wgpu::TextureUsages as Usage;
        let picture = Usage::RENDER_ATTACHMENT | Usage::TEXTURE_BINDING | Usage::COPY_SRC | Usage::COPY_DST;
        let colour = texture("title colour", COLOUR, picture);
        let depth = texture("title depth", DEPTH, Usage::RENDER_ATTACHMENT);
        Self {
            colour_view: colour.create_view(&wgpu::TextureViewDescriptor::default()),
            depth_view: depth.create_view(&wgpu::TextureViewDescriptor::default()),
            colour,
        }
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.colour.width(), self.colour.height())
    }

    /// Width over height.
    pub(crate) fn aspect(&self) -> f32 {
        self.colour.width() as f32 / self.colour.height() as f32
    }

    /// Begins a pass that draws over `background`, a picture of the same size and format; depth is
    /// cleared to the far plane.
    pub(crate) fn begin_over<'a>(
        &'a self,
        encoder: &'a mut wgpu::CommandEncoder,
        background: &wgpu::Texture,
    ) -> wgpu::RenderPass<'a> {
        let from = background.as_image_copy();
        encoder.copy_texture_to_texture(from, self.colour.as_image_copy(), self.colour.size());
        self.pass(encoder, wgpu::LoadOp::Load)
    }

    /// Begins a pass that begins in black; depth is cleared to the far plane.
    pub(crate) fn begin<'a>(&'a self, encoder: &'a mut wgpu::CommandEncoder) -> wgpu::RenderPass<'a> {
        self.pass(encoder, wgpu::LoadOp::Clear(wgpu::Color::BLACK))
    }

    fn pass<'a>(
        &'a self,
        encoder: &'a mut wgpu::CommandEncoder,
        load: wgpu::LoadOp<wgpu::Color>,
    ) -> wgpu::RenderPass<'a> {
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("title"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.colour_view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
            })],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: &self.depth_view,
                depth_ops: Some(wgpu::Operations {
                    load: wgpu::LoadOp::Clear(1.0),
                    store: wgpu::StoreOp::Discard,
                }),
                stencil_ops: None,
            }),
            ..Default::default()
        })
    }
}

/// Depth test of a pipeline: nearer wins; `write` says whether it also hides what comes later.
pub(crate) fn depth_state(write: bool) -> wgpu::DepthStencilState {
    wgpu::DepthStencilState {
        format: DEPTH,
        depth_write_enabled: Some(write),
        depth_compare: Some(wgpu::CompareFunction::LessEqual),
        stencil: wgpu::StencilState::default(),
        bias: wgpu::DepthBiasState::default(),
    }
}

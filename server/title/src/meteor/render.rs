//! Draws a [`Frame`] with wgpu in one pass over the painted background: shapes, spots of light, letters.

use super::draw::{Frame, Glyph, MAX_GLYPHS, MAX_SOLIDS, MAX_SPRITES, Solid, Sprite};
use super::font::{ATLAS_H, ATLAS_W, atlas};
use super::hud::LAYOUT_H;
use super::mesh::{Corner, SHAPES, Shapes};
use super::view::{EYE, View};
use crate::target::{COLOUR, Target, depth_state};
use bytemuck::{Pod, Zeroable};
use glam::{Mat4, Vec2};
use std::ops::Range;
use wgpu::util::{BufferInitDescriptor, DeviceExt, TextureDataOrder};

const SKY: &str = concat!(
    include_str!("../../../../shaders/title_meteor_frame.wgsl"),
    include_str!("../../../../shaders/title_meteor_sky.wgsl")
);
const SOLID: &str = concat!(
    include_str!("../../../../shaders/title_meteor_frame.wgsl"),
    include_str!("../../../../shaders/title_meteor_solid.wgsl")
);
const SPRITE: &str = concat!(
    include_str!("../../../../shaders/title_meteor_frame.wgsl"),
    include_str!("../../../../shaders/title_meteor_sprite.wgsl")
);
const TEXT: &str = concat!(
    include_str!("../../../../shaders/title_meteor_frame.wgsl"),
    include_str!("../../../../shaders/title_meteor_text.wgsl")
);

/// See `title_meteor_frame.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Uniform {
    projection: [[f32; 4]; 4],
    eye: [f32; 4],
    right: [f32; 4],
    up: [f32; 4],
    forward: [f32; 4],
}

/// Everything meteor keeps on the GPU.
pub(crate) struct Renderer {
    device: wgpu::Device,
    queue: wgpu::Queue,
    target: Target,
    view: View,
    /// Sky and ground, drawn once: nothing in them moves but the lines across, which are sprites.
    background: wgpu::Texture,
    solid: wgpu::RenderPipeline,
    sprite: wgpu::RenderPipeline,
    text: wgpu::RenderPipeline,
    bindings: wgpu::BindGroup,
    uniform: wgpu::Buffer,
    corners: wgpu::Buffer,
    shapes: [Range<u32>; SHAPES],
    solids: wgpu::Buffer,
    sprites: wgpu::Buffer,
    glyphs: wgpu::Buffer,
}

impl Renderer {
    pub(crate) fn new(device: wgpu::Device, queue: wgpu::Queue, width: u32, height: u32) -> Self {
        let target = Target::new(&device, width, height);
        let view = View::new(target.aspect());
        let shapes = Shapes::new();
        let corners = device.create_buffer_init(&BufferInitDescriptor {
            label: Some("meteor shapes"),
            contents: bytemuck::cast_slice(&shapes.corners),
            usage: wgpu::BufferUsages::VERTEX,
        });
        let uniform = buffer::<Uniform>(&device, "meteor frame", 1, wgpu::BufferUsages::UNIFORM);
        let layout = binding_layout(&device);
        let bindings = bind(&device, &queue, &layout, &uniform);
        let pipelines = Pipelines { device: &device, layout: &layout };
        let vertex = wgpu::BufferUsages::VERTEX;
        let sky = pipelines.sky();
        let renderer = Self {
            background: Target::new(&device, width, height).colour,
            solid: pipelines.solid(),
            sprite: pipelines.overlay::<Sprite>("sprite", SPRITE, true),
            text: pipelines.overlay::<Glyph>("text", TEXT, false),
            bindings,
            uniform,
            corners,
            shapes: shapes.ranges,
            solids: buffer::<Solid>(&device, "meteor solids", MAX_SOLIDS, vertex),
            sprites: buffer::<Sprite>(&device, "meteor sprites", MAX_SPRITES, vertex),
            glyphs: buffer::<Glyph>(&device, "meteor glyphs", MAX_GLYPHS, vertex),
            target,
            view,
            device,
            queue,
        };
        renderer.paint_background(&sky);
        renderer
    }

    fn paint_background(&self, sky: &wgpu::RenderPipeline) {
        self.upload(&Frame::new());
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = self.target.begin(&mut encoder);
        pass.set_pipeline(sky);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.draw(0..3, 0..1);
        drop(pass);
        let (from, to) = (self.target.colour.as_image_copy(), self.background.as_image_copy());
        encoder.copy_texture_to_texture(from, to, self.background.size());
        self.queue.submit([encoder.finish()]);
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        self.target.size()
    }

    pub(crate) fn view(&self) -> View {
        self.view
    }

    /// Draws the frame and submits the work; the picture stays valid until the next call.
    pub(crate) fn draw(&mut self, frame: &Frame) -> &wgpu::Texture {
        let groups = self.upload(frame);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = self.target.begin_over(&mut encoder, &self.background);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.set_pipeline(&self.solid);
        pass.set_vertex_buffer(0, self.corners.slice(..));
        pass.set_vertex_buffer(1, self.solids.slice(..));
        for (shape, group) in self.shapes.iter().zip(groups) {
            pass.draw(shape.clone(), group);
        }
        pass.set_pipeline(&self.sprite);
        pass.set_vertex_buffer(0, self.sprites.slice(..));
        pass.draw(0..4, 0..frame.sprites.len() as u32);
        pass.set_pipeline(&self.text);
        pass.set_vertex_buffer(0, self.glyphs.slice(..));
        pass.draw(0..4, 0..frame.glyphs.len() as u32);
        drop(pass);
        self.queue.submit([encoder.finish()]);
        &self.target.colour
    }

    /// Writes the lists; the instances of each shape.
    fn upload(&self, frame: &Frame) -> [Range<u32>; SHAPES] {
        let (right, up) = self.view.axes();
        let edge = self.view.ray(Vec2::ONE) - self.view.ray(Vec2::ZERO);
        let (reach_x, reach_y) = (edge.dot(right), edge.dot(up));
        let uniform = Uniform {
            projection: projection(&self.view, frame).to_cols_array_2d(),
            eye: EYE.extend(0.0).to_array(),
            right: (right * reach_x).extend(0.0).to_array(),
            up: (up * reach_y).extend(LAYOUT_H * self.view.aspect()).to_array(),
            forward: self.view.ray(Vec2::ZERO).extend(0.0).to_array(),
        };
        self.queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(&uniform));
        let mut start = 0;
        let groups = std::array::from_fn(|shape| {
            let solids = &frame.solids[shape];
            let room = MAX_SOLIDS - start as usize;
            let fitting = &solids[..solids.len().min(room)];
            let offset = u64::from(start) * size_of::<Solid>() as u64;
            self.queue.write_buffer(&self.solids, offset, bytemuck::cast_slice(fitting));
            let group = start..start + fitting.len() as u32;
            start = group.end;
            group
        });
        self.queue.write_buffer(&self.sprites, 0, bytemuck::cast_slice(&frame.sprites));
        self.queue.write_buffer(&self.glyphs, 0, bytemuck::cast_slice(&frame.glyphs));
        groups
    }
}

/// World to clip space of this frame.
pub(crate) fn projection(view: &View, frame: &Frame) -> Mat4 {
    view.projection(frame.shake)
}

fn buffer<T>(device: &wgpu::Device, label: &str, len: usize, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: (len * size_of::<T>()) as u64,
        usage: usage | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn binding_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry = |binding, visibility, ty| wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None };
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("meteor"),
        entries: &[
            entry(
                0,
                wgpu::ShaderStages::VERTEX_FRAGMENT,
                wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
            ),
            entry(
                1,
                wgpu::ShaderStages::FRAGMENT,
                wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Float { filterable: true },
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
            ),
            entry(
                2,
                wgpu::ShaderStages::FRAGMENT,
                wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
            ),
        ],
    })
}

fn bind(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    layout: &wgpu::BindGroupLayout,
    uniform: &wgpu::Buffer,
) -> wgpu::BindGroup {
    let lettering = device.create_texture_with_data(
        queue,
        &wgpu::TextureDescriptor {
            label: Some("meteor lettering"),
            size: wgpu::Extent3d { width: ATLAS_W as u32, height: ATLAS_H as u32, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::R8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        },
        TextureDataOrder::LayerMajor,
        &atlas(),
    );
    let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
        mag_filter: wgpu::FilterMode::Linear,
        min_filter: wgpu::FilterMode::Linear,
        ..Default::default()
    });
    let lettering = lettering.create_view(&wgpu::TextureViewDescriptor::default());
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("meteor"),
        layout,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&lettering) },
            wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Sampler(&sampler) },
        ],
    })
}

/// Makes pipelines that share one layout.
struct Pipelines<'a> {
    device: &'a wgpu::Device,
    layout: &'a wgpu::BindGroupLayout,
}

impl Pipelines<'_> {
    fn sky(&self) -> wgpu::RenderPipeline {
        self.pipeline("sky", SKY, &[], wgpu::PrimitiveState::default(), depth_state(false), None)
    }

    fn solid(&self) -> wgpu::RenderPipeline {
        let buffers = [
            Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Corner>() as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Float32x3, 1 => Float32x3, 2 => Float32x4],
            }),
            Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Solid>() as u64,
                step_mode: wgpu::VertexStepMode::Instance,
                attributes: &wgpu::vertex_attr_array![3 => Float32x4, 4 => Float32x4, 5 => Float32x4],
            }),
        ];
        // The world is left-handed: what is counter-clockwise in it is clockwise in the picture.
        let primitive = wgpu::PrimitiveState {
            front_face: wgpu::FrontFace::Cw,
            cull_mode: Some(wgpu::Face::Back),
            ..Default::default()
        };
        self.pipeline("solid", SOLID, &buffers, primitive, depth_state(true), None)
    }

    /// A pipeline of instanced quads with three `vec4` each; `T` is one instance.
    fn overlay<T>(&self, name: &str, source: &str, depth: bool) -> wgpu::RenderPipeline {
        let buffers = [Some(wgpu::VertexBufferLayout {
            array_stride: size_of::<T>() as u64,
            step_mode: wgpu::VertexStepMode::Instance,
            attributes: &wgpu::vertex_attr_array![0 => Float32x4, 1 => Float32x4, 2 => Float32x4],
        })];
        let primitive =
            wgpu::PrimitiveState { topology: wgpu::PrimitiveTopology::TriangleStrip, ..Default::default() };
        let depth = if depth {
            depth_state(false)
        } else {
            wgpu::DepthStencilState {
                depth_compare: Some(wgpu::CompareFunction::Always),
                ..depth_state(false)
            }
        };
        let blend = Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING);
        self.pipeline(name, source, &buffers, primitive, depth, blend)
    }

    fn pipeline(
        &self,
        name: &str,
        source: &str,
        buffers: &[Option<wgpu::VertexBufferLayout<'_>>],
        primitive: wgpu::PrimitiveState,
        depth: wgpu::DepthStencilState,
        blend: Option<wgpu::BlendState>,
    ) -> wgpu::RenderPipeline {
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(self.layout)],
            ..Default::default()
        });
        self.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(name),
            layout: Some(&layout),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some(&format!("{name}_vertex")),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers,
            },
            primitive,
            depth_stencil: Some(depth),
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some(&format!("{name}_fragment")),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                targets: &[Some(wgpu::ColorTargetState {
                    format: COLOUR,
                    blend,
                    write_mask: wgpu::ColorWrites::ALL,
                })],
            }),
            multiview_mask: None,
            cache: None,
        })
    }
}

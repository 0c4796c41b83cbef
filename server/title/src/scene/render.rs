//! Draws a [`Model`] with wgpu. The sun and the scene stand still, so its shadow is drawn once.

use super::camera::Camera;
use super::materials::Materials;
use super::model::{Blend, Material, Model, Vertex};
use crate::target::{COLOUR, DEPTH, Target, depth_state};
use bytemuck::{Pod, Zeroable};
use glam::{Mat4, Vec3};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use wgpu::util::{BufferInitDescriptor, DeviceExt};

const SHADER: &str = include_str!("../../../../shaders/title_scene.wgsl");
/// Cells of the sky; the same as in the shader.
const SKY_COLUMNS: u32 = 40;
const SKY_ROWS: u32 = 27;
/// Side of the shadow in px; the same as in the shader.
const SHADOW_PX: u32 = 1024;
/// Direction to the sun; the same as in the shader.
const SUN: Vec3 = Vec3::new(0.585, 0.420, 0.694);

/// See `title_scene.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Uniform {
    projection: [[f32; 4]; 4],
    sun_projection: [[f32; 4]; 4],
    eye: [f32; 4],
    right: [f32; 4],
    up: [f32; 4],
    forward: [f32; 4],
}

/// One draw call.
struct Piece {
    pipeline: usize,
    material: usize,
    indices: Range<u32>,
    middle: Vec3,
}

/// Everything the scene keeps on the GPU.
pub(crate) struct Renderer {
    device: wgpu::Device,
    queue: wgpu::Queue,
    target: Target,
    uniform: wgpu::Buffer,
    bindings: wgpu::BindGroup,
    sky: wgpu::RenderPipeline,
    /// Pipelines of surfaces, those that are needed.
    surfaces: BTreeMap<usize, wgpu::RenderPipeline>,
    materials: Materials,
    vertices: wgpu::Buffer,
    indices: wgpu::Buffer,
    /// Solid pieces first, then those that mix, sorted by distance before each frame.
    pieces: Vec<Piece>,
    solid: usize,
    sun_projection: Mat4,
    /// How far a point is lifted off its face when it asks for its shadow.
    lift: f32,
}

impl Renderer {
    pub(crate) fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        width: u32,
        height: u32,
        model: &Model,
    ) -> Self {
        let target = Target::new(&device, width, height);
        let (middle, radius) = model.ball();
        let materials = Materials::new(&device, &queue, model);
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("scene"),
            source: wgpu::ShaderSource::Wgsl(SHADER.into()),
        });
        let uniform = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("scene frame"),
            size: size_of::<Uniform>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let shadow = shadow_texture(&device);
        let layout = frame_layout(&device, true);
        let bindings = bind_frame(&device, &layout, &uniform, &shadow);
        let pipelines =
            Pipelines { device: &device, shader: &shader, frame: &layout, material: materials.layout() };
        let (pieces, solid, vertices, indices) = upload(&device, model);
        let renderer = Self {
            sky: pipelines.sky(),
            surfaces: used(&pieces).map(|index| (index, pipelines.surface(index))).collect(),
            target,
            uniform,
            bindings,
            materials,
            vertices,
            indices,
            pieces,
            solid,
            sun_projection: sun_projection(middle, radius),
            lift: radius * 0.004,
            queue,
            device,
        };
        renderer.draw_shadow(&shader, &shadow);
        renderer
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        self.target.size()
    }

    pub(crate) fn aspect(&self) -> f32 {
        self.target.aspect()
    }

    /// Draws what the camera sees and submits the work; the picture stays valid until the next call.
    pub(crate) fn draw(&mut self, camera: &Camera) -> &wgpu::Texture {
        let [right, up, forward] = camera.axes();
        let (eye, reach) = (camera.eye(), camera.reach());
        self.write_uniform(&Uniform {
            projection: camera.projection().to_cols_array_2d(),
            sun_projection: self.sun_projection.to_cols_array_2d(),
            eye: eye.extend(self.lift).to_array(),
            right: (right * reach.x).extend(0.0).to_array(),
            up: (up * reach.y).extend(0.0).to_array(),
            forward: forward.extend(0.0).to_array(),
        });
        let away = |piece: &Piece| (piece.middle - eye).length_squared();
        self.pieces[self.solid..].sort_unstable_by(|a, b| away(b).total_cmp(&away(a)));
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = self.target.begin(&mut encoder);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.set_vertex_buffer(0, self.vertices.slice(..));
        pass.set_index_buffer(self.indices.slice(..), wgpu::IndexFormat::Uint32);
        let (solid, mixing) = self.pieces.split_at(self.solid);
        solid.iter().for_each(|piece| self.piece(&mut pass, piece));
        // Behind what is solid, so that what that hides is never computed.
        pass.set_pipeline(&self.sky);
        pass.draw(0..2 * (SKY_COLUMNS + 1), 0..SKY_ROWS);
        mixing.iter().for_each(|piece| self.piece(&mut pass, piece));
        drop(pass);
        self.queue.submit([encoder.finish()]);
        &self.target.colour
    }

    fn piece(&self, pass: &mut wgpu::RenderPass<'_>, piece: &Piece) {
        pass.set_pipeline(&self.surfaces[&piece.pipeline]);
        pass.set_bind_group(1, self.materials.group(piece.material), &[]);
        pass.draw_indexed(piece.indices.clone(), 0, 0..1);
    }

    fn write_uniform(&self, uniform: &Uniform) {
        self.queue.write_buffer(&self.uniform, 0, bytemuck::bytes_of(uniform));
    }

    fn draw_shadow(&self, shader: &wgpu::ShaderModule, shadow: &wgpu::TextureView) {
        let layout = frame_layout(&self.device, false);
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("scene shadow"),
            layout: &layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: self.uniform.as_entire_binding() }],
        });
        let pipeline = shadow_pipeline(&self.device, shader, &layout);
        let sun_projection = self.sun_projection.to_cols_array_2d();
        self.write_uniform(&Uniform { sun_projection, ..Uniform::zeroed() });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("scene shadow"),
            color_attachments: &[],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: shadow,
                depth_ops: Some(wgpu::Operations {
                    load: wgpu::LoadOp::Clear(1.0),
                    store: wgpu::StoreOp::Store,
                }),
                stencil_ops: None,
            }),
            ..Default::default()
        });
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.set_vertex_buffer(0, self.vertices.slice(..));
        pass.set_index_buffer(self.indices.slice(..), wgpu::IndexFormat::Uint32);
        for piece in &self.pieces[..self.solid] {
            pass.draw_indexed(piece.indices.clone(), 0, 0..1);
        }
        drop(pass);
        self.queue.submit([encoder.finish()]);
    }
}

/// World to the sun's clip space, around a ball.
fn sun_projection(middle: Vec3, radius: f32) -> Mat4 {
    let sun = SUN.normalize();
    let view = Mat4::look_at_rh(middle + sun * radius * 2.0, middle, Vec3::Y);
    Mat4::orthographic_rh(-radius, radius, -radius, radius, radius * 0.5, radius * 3.5) * view
}

/// One vertex and one index buffer of all parts, and the pieces in them, solid ones first.
fn upload(device: &wgpu::Device, model: &Model) -> (Vec<Piece>, usize, wgpu::Buffer, wgpu::Buffer) {
    let mut order: Vec<usize> = (0..model.parts.len()).collect();
    order.sort_by_key(|index| {
        let material = &model.parts[*index].material;
        (material.blend == Blend::Mix, pipeline_of(material))
    });
    let (mut vertices, mut indices, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
    for index in order {
        let part = &model.parts[index];
        let start = indices.len() as u32;
        let sum: Vec3 = part.vertices.iter().map(|vertex| Vec3::from(vertex.position)).sum();
        pieces.push(Piece {
            pipeline: pipeline_of(&part.material),
            material: index,
            indices: start..start + part.indices.len() as u32,
            middle: sum / part.vertices.len().max(1) as f32,
        });
        let base = vertices.len() as u32;
        indices.extend(part.indices.iter().map(|index| base + index));
        vertices.extend_from_slice(&part.vertices);
    }
    let solid = model.parts.iter().filter(|part| part.material.blend != Blend::Mix).count();
    let buffer = |label, contents: &[u8], usage| {
        device.create_buffer_init(&BufferInitDescriptor { label: Some(label), contents, usage })
    };
    let vertices = buffer("scene vertices", bytemuck::cast_slice(&vertices), wgpu::BufferUsages::VERTEX);
    let indices = buffer("scene indices", bytemuck::cast_slice(&indices), wgpu::BufferUsages::INDEX);
    (pieces, solid, vertices, indices)
}

/// A dielectric at least this rough shows no highlight; see the shader.
const MATT_ROUGHNESS: f32 = 0.9;

fn used(pieces: &[Piece]) -> impl Iterator<Item = usize> {
    let indices: BTreeSet<usize> = pieces.iter().map(|piece| piece.pipeline).collect();
    indices.into_iter()
}

/// Index of a material's pipeline: blend × double-sided × matt × textured.
fn pipeline_of(material: &Material) -> usize {
    let maps = &material.maps;
    let plain = maps.metal_rough.is_none();
    let matt = plain && material.metallic == 0.0 && material.roughness >= MATT_ROUGHNESS;
    let textured = [maps.base, maps.metal_rough, maps.normal, maps.occlusion, maps.emissive];
    material.blend as usize * 8
        + usize::from(material.double_sided) * 4
        + usize::from(matt) * 2
        + usize::from(textured.iter().any(Option::is_some))
}

fn shadow_texture(device: &wgpu::Device) -> wgpu::TextureView {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("scene shadow"),
        size: wgpu::Extent3d { width: SHADOW_PX, height: SHADOW_PX, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: DEPTH,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    });
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

/// The bindings of a frame, with or without its shadow.
fn frame_layout(device: &wgpu::Device, shadow: bool) -> wgpu::BindGroupLayout {
    let entry = |binding, visibility, ty| wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None };
    let entries = [
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
                sample_type: wgpu::TextureSampleType::Float { filterable: false },
                view_dimension: wgpu::TextureViewDimension::D2,
                multisampled: false,
            },
        ),
    ];
    let entries = if shadow { &entries[..] } else { &entries[..1] };
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("scene frame"), entries })
}

fn bind_frame(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    uniform: &wgpu::Buffer,
    shadow: &wgpu::TextureView,
) -> wgpu::BindGroup {
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("scene frame"),
        layout,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(shadow) },
        ],
    })
}

fn shadow_pipeline(
    device: &wgpu::Device,
    shader: &wgpu::ShaderModule,
    layout: &wgpu::BindGroupLayout,
) -> wgpu::RenderPipeline {
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("scene shadow"),
        bind_group_layouts: &[Some(layout)],
        ..Default::default()
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("scene shadow"),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: shader,
            entry_point: Some("shadow_vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Vertex>() as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Float32x3],
            })],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: Some(wgpu::DepthStencilState {
            bias: wgpu::DepthBiasState { constant: 2, slope_scale: 2.0, clamp: 0.0 },
            ..depth_state(true)
        }),
        multisample: wgpu::MultisampleState::default(),
        fragment: None,
        multiview_mask: None,
        cache: None,
    })
}

/// Makes the pipelines of a frame.
struct Pipelines<'a> {
    device: &'a wgpu::Device,
    shader: &'a wgpu::ShaderModule,
    frame: &'a wgpu::BindGroupLayout,
    material: &'a wgpu::BindGroupLayout,
}

impl Pipelines<'_> {
    fn sky(&self) -> wgpu::RenderPipeline {
        let shape = Shape {
            name: "sky",
            groups: &[Some(self.frame)],
            buffers: &[],
            topology: wgpu::PrimitiveTopology::TriangleStrip,
            cull: None,
            write: false,
        };
        self.pipeline(&shape, &[], None)
    }

    fn surface(&self, index: usize) -> wgpu::RenderPipeline {
        let bit = |bit: usize| index >> bit & 1 == 1;
        let (blend, double_sided, matt, textured) = (index / 8, bit(2), bit(1), bit(0));
        let masked = blend == Blend::Mask as usize;
        let mixing = blend == Blend::Mix as usize;
        let attributes = &wgpu::vertex_attr_array![
            0 => Float32x3, 1 => Float32x3, 2 => Float32x4, 3 => Float32x2, 4 => Unorm8x4
        ];
        let shape = Shape {
            name: "surface",
            groups: &[Some(self.frame), Some(self.material)],
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Vertex>() as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes,
            })],
            topology: wgpu::PrimitiveTopology::TriangleList,
            cull: (!double_sided).then_some(wgpu::Face::Back),
            write: !mixing,
        };
        let constants = [("TEXTURED", textured), ("MASKED", masked), ("MATT", matt)]
            .map(|(name, on)| (name, f64::from(u8::from(on))));
        self.pipeline(&shape, &constants, mixing.then_some(wgpu::BlendState::ALPHA_BLENDING))
    }

    fn pipeline(
        &self,
        shape: &Shape<'_>,
        constants: &[(&str, f64)],
        blend: Option<wgpu::BlendState>,
    ) -> wgpu::RenderPipeline {
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shape.name),
            bind_group_layouts: shape.groups,
            ..Default::default()
        });
        self.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(shape.name),
            layout: Some(&layout),
            vertex: wgpu::VertexState {
                module: self.shader,
                entry_point: Some(&format!("{}_vertex", shape.name)),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: shape.buffers,
            },
            primitive: wgpu::PrimitiveState {
                topology: shape.topology,
                cull_mode: shape.cull,
                ..Default::default()
            },
            depth_stencil: Some(depth_state(shape.write)),
            multisample: wgpu::MultisampleState::default(),
            fragment: Some(wgpu::FragmentState {
                module: self.shader,
                entry_point: Some(&format!("{}_fragment", shape.name)),
                compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
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

/// What differs between pipelines.
struct Shape<'a> {
    name: &'a str,
    groups: &'a [Option<&'a wgpu::BindGroupLayout>],
    buffers: &'a [Option<wgpu::VertexBufferLayout<'a>>],
    topology: wgpu::PrimitiveTopology,
    cull: Option<wgpu::Face>,
    write: bool,
}

//! Colour conversion on the GPU: `shaders/convert.wgsl`.

use crate::device::Gpu;
use crate::error::GpuError;
use crate::readback::Readback;
use crate::surface::{CpuSurface, Layout};

/// Pixels of one workgroup of `convert_blocks`: 16×8 invocations of 8×2 pixels.
const BLOCKS_TILE: (u32, u32) = (128, 16);
/// Bytes of one workgroup of `convert_bytes`: 256 invocations of 4.
const BYTES_TILE: u32 = 1024;

/// Converts textures of one size into surfaces of one layout.
#[derive(Debug)]
pub(crate) struct ShaderConverter {
    pipeline: wgpu::ComputePipeline,
    workgroups: (u32, u32),
    frame: wgpu::Buffer,
    surface: wgpu::Buffer,
    bytes: u64,
    readback: Readback,
    /// The bindings for the texture of the frame before; titles draw into the same one again.
    bound: Option<(wgpu::Texture, wgpu::BindGroup)>,
}

impl ShaderConverter {
    pub(crate) fn new(gpu: &Gpu, layout: Layout, width: u32, height: u32) -> Self {
        let device = gpu.device();
        let bytes = (u64::from(width) * u64::from(height) * 3 / 2).next_multiple_of(4);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("convert"),
            source: wgpu::ShaderSource::Wgsl(include_str!("../../../shaders/convert.wgsl").into()),
        });
        let (entry_point, workgroups) = if width.is_multiple_of(8) {
            ("convert_blocks", (width.div_ceil(BLOCKS_TILE.0), height.div_ceil(BLOCKS_TILE.1)))
        } else {
            let groups = u32::try_from(bytes.div_ceil(u64::from(BYTES_TILE))).unwrap_or(u32::MAX);
            ("convert_bytes", (groups, 1))
        };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: None,
            module: &module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let surface = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("surface"),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let order = u32::from(layout == Layout::I420);
        let frame = uniform(gpu, &[width, height, order, 0]);
        let readback = Readback::new(gpu, bytes);
        Self { pipeline, workgroups, frame, surface, bytes, readback, bound: None }
    }

    /// Converts a texture of exactly the surface's size. Blocks until the samples are in CPU memory.
    pub(crate) fn convert(
        &mut self,
        gpu: &Gpu,
        texture: &wgpu::Texture,
        surface: &mut CpuSurface,
    ) -> Result<(), GpuError> {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let bindings = self.bindings(gpu, texture);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_bind_group(0, &bindings, &[]);
            pass.set_pipeline(&self.pipeline);
            pass.dispatch_workgroups(self.workgroups.0, self.workgroups.1, 1);
        }
        encoder.copy_buffer_to_buffer(&self.surface, 0, self.readback.buffer(), 0, self.bytes);
        self.readback.submit_and_read(gpu, [encoder.finish()], |samples| {
            let (luma, chroma) = surface.planes_mut();
            luma.copy_from_slice(&samples[..luma.len()]);
            chroma.copy_from_slice(&samples[luma.len()..luma.len() + chroma.len()]);
        })
    }

    fn bindings(&mut self, gpu: &Gpu, texture: &wgpu::Texture) -> wgpu::BindGroup {
        if let Some((bound, group)) = &self.bound
            && bound == texture
        {
            return group.clone();
        }
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("convert"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 1, resource: self.surface.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 2, resource: self.frame.as_entire_binding() },
            ],
        });
        self.bound = Some((texture.clone(), group.clone()));
        group
    }
}

fn uniform(gpu: &Gpu, words: &[u32; 4]) -> wgpu::Buffer {
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("frame"),
        size: size_of_val(words) as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(words));
    buffer
}

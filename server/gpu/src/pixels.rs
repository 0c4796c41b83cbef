//! Reading a texture's pixels back, and converting them with SIMD.

use crate::device::Gpu;
use crate::error::GpuError;
use crate::readback::Readback;
use crate::simd::{self, ByteOrder};
use crate::surface::CpuSurface;

/// Reads textures of one size.
#[derive(Debug)]
pub(crate) struct PixelReader {
    stride: u32,
    readback: Readback,
}

impl PixelReader {
    pub(crate) fn new(gpu: &Gpu, width: u32, height: u32) -> Self {
        let stride = (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let readback = Readback::new(gpu, u64::from(stride) * u64::from(height));
        Self { stride, readback }
    }

    /// Converts a texture of exactly the surface's size. Blocks until its pixels are in CPU memory.
    pub(crate) fn convert(
        &self,
        gpu: &Gpu,
        texture: &wgpu::Texture,
        surface: &mut CpuSurface,
    ) -> Result<(), GpuError> {
        let order = match texture.format() {
            wgpu::TextureFormat::Bgra8Unorm => ByteOrder::Bgra,
            _ => ByteOrder::Rgba,
        };
        self.read(gpu, texture, |pixels, stride| simd::convert(pixels, stride, order, surface))?
    }

    /// Shows the pixels of a texture, four bytes each, with their stride. Blocks until they are in CPU memory.
    pub(crate) fn read<T>(
        &self,
        gpu: &Gpu,
        texture: &wgpu::Texture,
        show: impl FnOnce(&[u8], u32) -> T,
    ) -> Result<T, GpuError> {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_texture_to_buffer(
            texture.as_image_copy(),
            wgpu::TexelCopyBufferInfo {
                buffer: self.readback.buffer(),
                layout: wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(self.stride),
                    rows_per_image: None,
                },
            },
            texture.size(),
        );
        self.readback.submit_and_read(gpu, [encoder.finish()], |pixels| show(pixels, self.stride))
    }
}

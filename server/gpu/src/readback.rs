//! Waiting for the GPU and reading what it wrote.

use crate::device::Gpu;
use crate::error::GpuError;
use std::time::Duration;

/// A frame takes milliseconds; a GPU that is silent for this long hangs.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// A CPU-readable buffer, kept between frames.
#[derive(Debug)]
pub(crate) struct Readback {
    buffer: wgpu::Buffer,
}

impl Readback {
    /// Room for `bytes`, a multiple of 4.
    pub(crate) fn new(gpu: &Gpu, bytes: u64) -> Self {
        let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: bytes,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        Self { buffer }
    }

    /// What commands copy into.
    pub(crate) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Submits commands that end in a copy into [`Self::buffer`], waits without spinning, and shows the
    /// bytes.
    pub(crate) fn submit_and_read<T>(
        &self,
        gpu: &Gpu,
        commands: impl IntoIterator<Item = wgpu::CommandBuffer>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, GpuError> {
        let alone = gpu.alone_on_queue();
        let submission = gpu.queue().submit(commands);
        drop(alone);
        // The outcome shows in `get_mapped_range`, so the callback has nothing to carry.
        self.buffer.map_async(wgpu::MapMode::Read, .., |_| ());
        // Mesa 22's software drivers mix up their clocks and report a timeout at once whenever they have to
        // wait; the CPU does not hang the way a GPU can, so there the wait has no end.
        let timeout = (!gpu.is_software()).then_some(STALLED_AFTER);
        let waited = gpu.device().poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout });
        gpu.check()?;
        waited.map_err(|_| GpuError::Stalled(STALLED_AFTER))?;
        let view = self.buffer.get_mapped_range(..).map_err(|error| GpuError::Lost(error.to_string()))?;
        let result = read(&view);
        drop(view);
        self.buffer.unmap();
        Ok(result)
    }
}

//! Time that the GPU itself needs, by its own clock.

use crate::composite::texture;
use crate::device::Gpu;
use crate::error::GpuError;
use crate::readback::Readback;
use std::sync::Arc;
use std::time::Duration;

/// What a frame takes on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuTimes {
    /// Scaling with letterbox; zero where nothing is scaled.
    pub composite: Duration,
    /// RGB to what the encoder takes.
    pub convert: Duration,
}

/// Two timestamps around whatever is recorded between them.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    gpu: Arc<Gpu>,
    stamps: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: Readback,
}

const STAMPS: u32 = 2;
const BYTES: u64 = 8 * STAMPS as u64;

impl Stopwatch {
    /// `None` where the adapter has no timestamps.
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Option<Self> {
        let device = gpu.device();
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let stamps = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("stopwatch"),
            ty: wgpu::QueryType::Timestamp,
            count: STAMPS,
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("stopwatch"),
            size: BYTES,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let readback = Readback::new(gpu, BYTES);
        Some(Self { gpu: Arc::clone(gpu), stamps, resolved, readback })
    }

    /// The median time of what `record` records; one round before does not count.
    pub(crate) fn median(
        &self,
        rounds: usize,
        mut record: impl FnMut(&mut wgpu::CommandEncoder),
    ) -> Result<Duration, GpuError> {
        self.time(&mut record)?;
        let mut times = (0..rounds.max(1)).map(|_| self.time(&mut record)).collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    fn time(&self, record: &mut impl FnMut(&mut wgpu::CommandEncoder)) -> Result<Duration, GpuError> {
        self.gpu.check()?;
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("stopwatch") };
        let mut encoder = self.gpu.device().create_command_encoder(&descriptor);
        self.stamp(&mut encoder, 0);
        record(&mut encoder);
        self.stamp(&mut encoder, 1);
        encoder.resolve_query_set(&self.stamps, 0..STAMPS, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, self.readback.buffer(), 0, BYTES);
        let ticks = self.readback.submit_and_read(&self.gpu, [encoder.finish()], |bytes| {
            let (stamps, _) = bytes.as_chunks::<8>();
            stamps.iter().map(|stamp| u64::from_le_bytes(*stamp)).collect::<Vec<_>>()
        })?;
        let period_ns = f64::from(self.gpu.queue().get_timestamp_period());
        let elapsed = ticks.last().zip(ticks.first()).map_or(0, |(end, start)| end.saturating_sub(*start));
        Ok(Duration::from_secs_f64(elapsed as f64 * period_ns * 1e-9))
    }

    /// A pass without work, stamped at its end: everything recorded before is done then.
    fn stamp(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("stamp"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.stamps,
                beginning_of_pass_write_index: None,
                end_of_pass_write_index: Some(index),
            }),
        });
    }
}

impl Gpu {
    /// A picture that is black all over, to measure with.
    pub fn blank_picture(&self, width: u32, height: u32) -> wgpu::Texture {
        let format = wgpu::TextureFormat::Rgba8Unorm;
        texture(self, "blank", (width, height), format, wgpu::TextureUsages::COPY_DST)
    }

    /// Time on the GPU of copying `bytes` from one of its buffers to another, median over `rounds`: what a pass
    /// over memory is measured against. `None`: the adapter has no timestamps.
    pub fn time_copy(self: &Arc<Self>, bytes: u64, rounds: usize) -> Result<Option<Duration>, GpuError> {
        let Some(watch) = Stopwatch::new(self) else { return Ok(None) };
        let buffer = |usage| {
            self.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("copied"),
                size: bytes.next_multiple_of(4),
                usage,
                mapped_at_creation: false,
            })
        };
        let (from, to) = (buffer(wgpu::BufferUsages::COPY_SRC), buffer(wgpu::BufferUsages::COPY_DST));
        let size = from.size();
        watch.median(rounds, |encoder| encoder.copy_buffer_to_buffer(&from, 0, &to, 0, size)).map(Some)
    }
}

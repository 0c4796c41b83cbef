//! Giving slots to whoever imported them, and taking them back.
#![expect(unsafe_code, reason = "wgpu knows no external queue family; Vulkan barriers are recorded here")]

use crate::device::Gpu;
use crate::error::GpuError;
use ash::vk;
use wgpu::hal::vulkan::Api as Vulkan;

/// What touched a buffer last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Shader,
    Copy,
}

/// Commands that give a buffer to the external queue family. The next writer takes nothing back: it overwrites
/// the whole frame, so that what is there may be discarded.
pub(super) fn given_away(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    after: After,
) -> Result<wgpu::CommandBuffer, GpuError> {
    let (stage, access) = match after {
        After::Shader => (vk::PipelineStageFlags::COMPUTE_SHADER, vk::AccessFlags::SHADER_WRITE),
        After::Copy => (vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_READ),
    };
    record(gpu, buffer, |family| Handover {
        barrier: vk::BufferMemoryBarrier::default()
            .src_queue_family_index(family)
            .dst_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL)
            .src_access_mask(access),
        before: stage,
        after: vk::PipelineStageFlags::BOTTOM_OF_PIPE,
    })
}

/// Commands that take a buffer back with its contents, to be copied from.
pub(super) fn taken_back(gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<wgpu::CommandBuffer, GpuError> {
    record(gpu, buffer, |family| Handover {
        barrier: vk::BufferMemoryBarrier::default()
            .src_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL)
            .dst_queue_family_index(family)
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ),
        before: vk::PipelineStageFlags::TOP_OF_PIPE,
        after: vk::PipelineStageFlags::TRANSFER,
    })
}

struct Handover {
    barrier: vk::BufferMemoryBarrier<'static>,
    before: vk::PipelineStageFlags,
    after: vk::PipelineStageFlags,
}

fn record(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    handover: impl FnOnce(u32) -> Handover,
) -> Result<wgpu::CommandBuffer, GpuError> {
    let no_vulkan = || GpuError::NoExport("it is no Vulkan device".to_owned());
    // SAFETY: the guard is only used to record into an encoder of the same device.
    let device = unsafe { gpu.device().as_hal::<Vulkan>() }.ok_or_else(no_vulkan)?;
    // SAFETY: only the handle's value is taken; the buffer lives as long as its ring.
    let handle = unsafe { buffer.as_hal::<Vulkan>().ok_or_else(no_vulkan)?.raw_handle() };
    let Handover { barrier, before, after } = handover(device.queue_family_index());
    let barrier = barrier.buffer(handle).size(vk::WHOLE_SIZE);
    let descriptor = wgpu::CommandEncoderDescriptor { label: Some("hand over") };
    let mut encoder = gpu.device().create_command_encoder(&descriptor);
    // SAFETY: the encoder is fresh, is used for nothing else, and is finished by wgpu below; the barrier names a
    // buffer of this device that its ring keeps until the submission is done.
    unsafe {
        encoder.as_hal_mut::<Vulkan, _, _>(|encoder| {
            let commands = encoder.ok_or_else(no_vulkan)?.raw_handle();
            let flags = vk::DependencyFlags::empty();
            device.raw_device().cmd_pipeline_barrier(commands, before, after, flags, &[], &[barrier], &[]);
            Ok::<_, GpuError>(())
        })
    }?;
    drop(device);
    Ok(encoder.finish())
}

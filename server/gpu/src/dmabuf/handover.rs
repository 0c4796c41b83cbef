//! Taking images over from whoever drew them, and giving them back.
#![expect(unsafe_code, reason = "wgpu knows no foreign queue family; Vulkan barriers are recorded here")]

use super::ImportedImage;
use crate::device::Gpu;
use crate::error::GpuError;
use ash::vk;
use wgpu::hal::vulkan::Api as Vulkan;

/// Which way images go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handover {
    /// From the foreign queue family to ours, to be sampled in a fragment shader.
    Acquire,
    /// Back, with contents unchanged.
    Release,
}

/// Commands that hand the images over. Between the acquire and the release of one submission an image is
/// in wgpu's state [`wgpu::TextureUses::RESOURCE`], which is what wgpu believes it to be in throughout;
/// no command outside may touch it.
pub(crate) fn hand_over(
    gpu: &Gpu,
    images: &[&ImportedImage],
    handover: Handover,
) -> Result<wgpu::CommandBuffer, GpuError> {
    // SAFETY: the guard is only used to record into an encoder of the same device.
    let device = unsafe { gpu.device().as_hal::<Vulkan>() }.ok_or(GpuError::NoDmabufs)?;
    let barriers = images
        .iter()
        .map(|image| barrier(image.texture(), device.queue_family_index(), handover))
        .collect::<Result<Vec<_>, _>>()?;
    let (before, after) = match handover {
        Handover::Acquire => (vk::PipelineStageFlags::TOP_OF_PIPE, vk::PipelineStageFlags::FRAGMENT_SHADER),
        Handover::Release => {
            (vk::PipelineStageFlags::FRAGMENT_SHADER, vk::PipelineStageFlags::BOTTOM_OF_PIPE)
        }
    };
    let descriptor = wgpu::CommandEncoderDescriptor { label: Some("hand over") };
    let mut encoder = gpu.device().create_command_encoder(&descriptor);
    // SAFETY: the encoder is fresh, is used for nothing else, and is finished by wgpu below; the barriers
    // name images of this device that the caller keeps until the submission is done.
    unsafe {
        encoder.as_hal_mut::<Vulkan, _, _>(|encoder| {
            let commands = encoder.ok_or(GpuError::NoDmabufs)?.raw_handle();
            device.raw_device().cmd_pipeline_barrier(
                commands,
                before,
                after,
                vk::DependencyFlags::empty(),
                &[],
                &[],
                &barriers,
            );
            Ok::<_, GpuError>(())
        })
    }?;
    Ok(encoder.finish())
}

/// The foreign side's layout is GENERAL by convention; UNDEFINED would let the driver drop the contents.
fn barrier(
    texture: &wgpu::Texture,
    family: u32,
    handover: Handover,
) -> Result<vk::ImageMemoryBarrier<'static>, GpuError> {
    // SAFETY: only the handle's value is taken; the texture outlives the submission.
    let image = unsafe { texture.as_hal::<Vulkan>().ok_or(GpuError::NoDmabufs)?.raw_handle() };
    let whole = vk::ImageSubresourceRange::default()
        .aspect_mask(vk::ImageAspectFlags::COLOR)
        .level_count(1)
        .layer_count(1);
    let barrier = vk::ImageMemoryBarrier::default().image(image).subresource_range(whole);
    let (ours, theirs) = (vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL, vk::ImageLayout::GENERAL);
    Ok(match handover {
        Handover::Acquire => barrier
            .src_queue_family_index(vk::QUEUE_FAMILY_FOREIGN_EXT)
            .dst_queue_family_index(family)
            .old_layout(theirs)
            .new_layout(ours)
            .dst_access_mask(vk::AccessFlags::SHADER_READ),
        Handover::Release => barrier
            .src_queue_family_index(family)
            .dst_queue_family_index(vk::QUEUE_FAMILY_FOREIGN_EXT)
            .old_layout(ours)
            .new_layout(theirs)
            .src_access_mask(vk::AccessFlags::SHADER_READ),
    })
}

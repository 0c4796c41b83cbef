//! What the device exports, asked once when it is opened.
#![expect(unsafe_code, reason = "wgpu exports nothing; Vulkan is asked here")]

use super::memory::EXPORT_USAGE;
use crate::exported::DeviceUuid;
use ash::vk;
use std::ffi::CStr;
use wgpu::hal::vulkan::Api as Vulkan;

/// What exporting needs beyond what wgpu enables by itself, where the adapter has it. Timelines are part of Vulkan 1.2;
/// wgpu names their extension only on older devices, and what is enabled is known by name alone.
pub(crate) fn extra_extensions(adapter: &wgpu::hal::vulkan::Adapter) -> Vec<&'static CStr> {
    let capabilities = adapter.physical_device_capabilities();
    let extra = [
        ash::khr::external_memory_fd::NAME,
        ash::khr::external_semaphore_fd::NAME,
        ash::khr::timeline_semaphore::NAME,
    ];
    extra.into_iter().filter(|name| capabilities.supports_extension(name)).collect()
}

/// What one device exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exporter {
    /// Of the GPU.
    pub(crate) device: DeviceUuid,
    /// Timeline semaphores can be exported too.
    pub(crate) timelines: bool,
}

impl Exporter {
    /// Asks the driver. The error says what it lacks.
    pub(crate) fn query(device: &wgpu::Device) -> Result<Self, String> {
        // SAFETY: the handles of the guard are only read, and the device outlives this function.
        let Some(hal) = (unsafe { device.as_hal::<Vulkan>() }) else {
            return Err("it is driven through OpenGL, not Vulkan".to_owned());
        };
        let enabled = hal.enabled_device_extensions();
        for needed in [ash::khr::external_memory_fd::NAME, ash::khr::timeline_semaphore::NAME] {
            if !enabled.contains(&needed) {
                return Err(format!("its driver has no {}", needed.to_string_lossy()));
            }
        }
        let (instance, physical) = (hal.shared_instance().raw_instance(), hal.raw_physical_device());
        if !exports_buffers(instance, physical) {
            return Err("its driver exports no buffers as file descriptors".to_owned());
        }
        let mut ids = vk::PhysicalDeviceIDProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
        // SAFETY: the physical device is this instance's; the chain lives here. wgpu needs Vulkan 1.1's
        // functions for external memory, so they are loaded.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        let timelines =
            enabled.contains(&ash::khr::external_semaphore_fd::NAME) && exports_timelines(instance, physical);
        Ok(Self { device: DeviceUuid(ids.device_uuid), timelines })
    }
}

fn exports_buffers(instance: &ash::Instance, physical: vk::PhysicalDevice) -> bool {
    let asked = vk::PhysicalDeviceExternalBufferInfo::default()
        .usage(EXPORT_USAGE)
        .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
    let mut answer = vk::ExternalBufferProperties::default();
    // SAFETY: the physical device is this instance's, and both structures live here.
    unsafe { instance.get_physical_device_external_buffer_properties(physical, &asked, &mut answer) };
    let features = answer.external_memory_properties.external_memory_features;
    features.contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE | vk::ExternalMemoryFeatureFlags::IMPORTABLE)
}

fn exports_timelines(instance: &ash::Instance, physical: vk::PhysicalDevice) -> bool {
    let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
    let asked = vk::PhysicalDeviceExternalSemaphoreInfo::default()
        .handle_type(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD)
        .push_next(&mut kind);
    let mut answer = vk::ExternalSemaphoreProperties::default();
    // SAFETY: as above.
    unsafe { instance.get_physical_device_external_semaphore_properties(physical, &asked, &mut answer) };
    answer.external_semaphore_features.contains(vk::ExternalSemaphoreFeatureFlags::EXPORTABLE)
}

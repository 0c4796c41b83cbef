//! One exportable buffer, drawn into by wgpu and known to others by its file descriptor.
#![expect(unsafe_code, reason = "wgpu allocates no exportable memory; Vulkan is called here")]

use crate::device::Gpu;
use crate::error::GpuError;
use ash::vk;
use std::os::fd::{FromRawFd, OwnedFd};
use wgpu::hal::vulkan::Api as Vulkan;

/// How every exported buffer is used; an importer creates its own buffer with exactly this.
pub const EXPORT_USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::STORAGE_BUFFER.as_raw()
        | vk::BufferUsageFlags::TRANSFER_SRC.as_raw()
        | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

/// Memory as it was exported.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) fd: OwnedFd,
    pub(super) allocation_bytes: u64,
}

/// A buffer that is destroyed unless it reaches wgpu.
struct RawBuffer<'a> {
    device: &'a ash::Device,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
}

impl Drop for RawBuffer<'_> {
    fn drop(&mut self) {
        // SAFETY: both were made by this device, no command has used them, and null is allowed.
        unsafe {
            self.device.destroy_buffer(self.buffer, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

/// Allocates `bytes` in the GPU's own memory, exported, and as a buffer of wgpu.
pub(super) fn allocate(gpu: &Gpu, bytes: u64) -> Result<(wgpu::Buffer, Exported), GpuError> {
    gpu.exporter()?;
    gpu.faults().may_allocate(bytes)?;
    // SAFETY: the guard makes objects of this device that wgpu then owns; it destroys nothing.
    let hal =
        unsafe { gpu.device().as_hal::<Vulkan>() }.ok_or_else(|| no_export("it is no Vulkan device"))?;
    let (device, instance) = (hal.raw_device(), hal.shared_instance().raw_instance());
    let kind = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
    let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(kind);
    let info = vk::BufferCreateInfo::default()
        .size(bytes)
        .usage(EXPORT_USAGE)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .push_next(&mut external);
    // SAFETY: the driver offers this usage for export (`Exporter::query`), and the chain lives here.
    let buffer = unsafe { device.create_buffer(&info, None) }.map_err(|error| driver(error, bytes))?;
    let mut raw = RawBuffer { device, buffer, memory: vk::DeviceMemory::null() };
    // SAFETY: the buffer is this device's; the physical device is this instance's.
    let (needs, memories) = unsafe {
        let memories = instance.get_physical_device_memory_properties(hal.raw_physical_device());
        (device.get_buffer_memory_requirements(buffer), memories)
    };
    let memory_type_index = exported_memory_type(&memories, needs.memory_type_bits)
        .ok_or_else(|| no_export("its own memory takes no exported buffers"))?;
    let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(kind);
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
    let info = vk::MemoryAllocateInfo::default()
        .allocation_size(needs.size)
        .memory_type_index(memory_type_index)
        .push_next(&mut export)
        .push_next(&mut dedicated);
    // SAFETY: the type is one that the buffer takes, the size is the buffer's, and the chain lives here.
    raw.memory = unsafe { device.allocate_memory(&info, None) }.map_err(|error| driver(error, bytes))?;
    // SAFETY: buffer and memory are this device's, unused so far, and the memory is dedicated to the buffer.
    unsafe { device.bind_buffer_memory(buffer, raw.memory, 0) }.map_err(|error| driver(error, bytes))?;
    let functions = ash::khr::external_memory_fd::Device::new(instance, device);
    let asked = vk::MemoryGetFdInfoKHR::default().memory(raw.memory).handle_type(kind);
    // SAFETY: the extension is enabled and the memory was allocated for this kind of handle.
    let fd = unsafe { functions.get_memory_fd(&asked) }.map_err(|error| driver(error, bytes))?;
    // SAFETY: the driver has just opened this descriptor for the caller.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let exported = Exported { fd, allocation_bytes: needs.size };
    let (buffer, allocated) = (raw.buffer, raw.memory);
    std::mem::forget(raw);
    let descriptor = wgpu::BufferDescriptor {
        label: Some("exported"),
        size: bytes,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    };
    // SAFETY: buffer and memory are this device's and bound; wgpu owns both from here on, with usages that the
    // buffer was created for. Its contents are written whole before anything reads them.
    let buffer = unsafe {
        let raw = wgpu::hal::vulkan::Buffer::from_raw_managed(buffer, allocated, 0, bytes);
        gpu.device().create_buffer_from_hal::<Vulkan>(raw, &descriptor)
    };
    Ok((buffer, exported))
}

/// The memory type of exported buffers among `bits`, the types that such a buffer takes: the first of the GPU
/// itself. An import has to name the same one, and finds it by the same rule.
pub fn exported_memory_type(memories: &vk::PhysicalDeviceMemoryProperties, bits: u32) -> Option<u32> {
    let own = |(index, memory): &(usize, &vk::MemoryType)| {
        bits & 1 << index != 0 && memory.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
    };
    let (index, _) = memories.memory_types_as_slice().iter().enumerate().find(own)?;
    u32::try_from(index).ok()
}

fn no_export(why: &str) -> GpuError {
    GpuError::NoExport(why.to_owned())
}

/// The driver's answer to an allocation.
fn driver(error: vk::Result, bytes: u64) -> GpuError {
    match error {
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY
        | vk::Result::ERROR_OUT_OF_HOST_MEMORY
        | vk::Result::ERROR_TOO_MANY_OBJECTS => GpuError::OutOfMemory { bytes },
        vk::Result::ERROR_DEVICE_LOST => GpuError::Lost("it was lost while memory was allocated".to_owned()),
        error => GpuError::NoExport(format!("the driver says {error}")),
    }
}

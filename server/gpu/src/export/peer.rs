//! A second Vulkan device of the same adapter that reads exported frames: what an encoder outside wgpu does.
//!
//! It proves an export byte by byte, in tests, in `nearframe-bench gpu` and when a node measures itself.
#![expect(unsafe_code, reason = "wgpu imports no memory; a device of our own is driven here")]

use super::memory::{EXPORT_USAGE, exported_memory_type};
use crate::device::Gpu;
use crate::error::GpuError;
use crate::exported::GpuSurface;
use ash::vk;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use wgpu::hal::vulkan::Api as Vulkan;

/// Copies take milliseconds.
const STALLED_AFTER_NS: u64 = 5_000_000_000;

/// Another device on the adapter of a [`Gpu`].
pub struct PeerDevice {
    device: ash::Device,
    queue: vk::Queue,
    family: u32,
    pool: vk::CommandPool,
    memories: vk::PhysicalDeviceMemoryProperties,
    semaphore_fd: Option<ash::khr::external_semaphore_fd::Device>,
    /// Keeps the instance.
    gpu: Arc<Gpu>,
}

impl std::fmt::Debug for PeerDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerDevice").field("adapter", self.gpu.facts()).finish_non_exhaustive()
    }
}

/// Objects of one read, destroyed at its end whatever happened.
struct Imports<'a> {
    device: &'a ash::Device,
    buffers: Vec<vk::Buffer>,
    memories: Vec<vk::DeviceMemory>,
    semaphore: vk::Semaphore,
    fence: vk::Fence,
    commands: Option<(vk::CommandPool, vk::CommandBuffer)>,
}

impl Drop for Imports<'_> {
    fn drop(&mut self) {
        // SAFETY: all are this device's; a read that failed may have left work underway, which is waited for.
        unsafe {
            let _ = self.device.device_wait_idle();
            if let Some((pool, commands)) = self.commands {
                self.device.free_command_buffers(pool, &[commands]);
            }
            self.device.destroy_fence(self.fence, None);
            self.device.destroy_semaphore(self.semaphore, None);
            self.buffers.iter().for_each(|&buffer| self.device.destroy_buffer(buffer, None));
            self.memories.iter().for_each(|&memory| self.device.free_memory(memory, None));
        }
    }
}

impl PeerDevice {
    /// Opens it; the adapter must export ([`GpuError::NoExport`]).
    pub fn open(gpu: Arc<Gpu>) -> Result<Self, GpuError> {
        let timelines = gpu.exporter()?.timelines;
        // SAFETY: the guard's handles are used to make a device of its own; the instance outlives it in `gpu`.
        let hal =
            unsafe { gpu.device().as_hal::<Vulkan>() }.ok_or_else(|| failed("it is no Vulkan device"))?;
        let (instance, physical) = (hal.shared_instance().raw_instance().clone(), hal.raw_physical_device());
        let family = hal.queue_family_index();
        drop(hal);
        let priorities = [1.0];
        let queues =
            [vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(&priorities)];
        let mut extensions = vec![ash::khr::external_memory_fd::NAME.as_ptr()];
        extensions.push(ash::khr::timeline_semaphore::NAME.as_ptr());
        if timelines {
            extensions.push(ash::khr::external_semaphore_fd::NAME.as_ptr());
        }
        let mut timeline = vk::PhysicalDeviceTimelineSemaphoreFeatures::default().timeline_semaphore(true);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(&mut timeline);
        // SAFETY: the extensions are those that the exporter found, and the family is one of the adapter's.
        let device = unsafe { instance.create_device(physical, &info, None) }.map_err(driver)?;
        // SAFETY: the queue was asked for above, and the physical device is this instance's.
        let (queue, memories) = unsafe {
            let memories = instance.get_physical_device_memory_properties(physical);
            (device.get_device_queue(family, 0), memories)
        };
        let semaphore_fd =
            timelines.then(|| ash::khr::external_semaphore_fd::Device::new(&instance, &device));
        let mut peer =
            Self { device, queue, family, pool: vk::CommandPool::null(), memories, semaphore_fd, gpu };
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(family);
        // SAFETY: the family is the one that the device was made with.
        peer.pool = unsafe { peer.device.create_command_pool(&info, None) }.map_err(driver)?;
        Ok(peer)
    }

    /// Imports the frame's slot, waits for the frame, copies its planes with their padding, and moves the slot's
    /// timeline on. A surface is read once; where timelines are not exported, as often as one likes.
    pub fn read(&self, surface: &GpuSurface) -> Result<Vec<u8>, GpuError> {
        let mut imports = Imports {
            device: &self.device,
            buffers: Vec::new(),
            memories: Vec::new(),
            semaphore: vk::Semaphore::null(),
            fence: vk::Fence::null(),
            commands: None,
        };
        let slot = surface.slot();
        let rows = slot.contiguous().ok_or_else(|| failed("its planes have gaps"))?;
        let bytes = rows.1;
        let source = self.import(&mut imports, surface, bytes)?;
        let (target, mapped) = self.readable(&mut imports, bytes)?;
        if let (Some(fd), Some(functions)) = (&slot.timeline, &self.semaphore_fd) {
            imports.semaphore = self.import_timeline(functions, fd)?;
        }
        self.copy(&mut imports, surface, source, target, bytes)?;
        let length = usize::try_from(bytes).map_err(|_| failed("it is larger than memory"))?;
        // SAFETY: the mapping is coherent, holds `bytes`, and the copy into it is done.
        Ok(unsafe { std::slice::from_raw_parts(mapped, length) }.to_vec())
    }

    /// The slot's memory as a buffer of this device.
    fn import(
        &self,
        imports: &mut Imports<'_>,
        surface: &GpuSurface,
        bytes: u64,
    ) -> Result<vk::Buffer, GpuError> {
        let slot = surface.slot();
        let kind = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(kind);
        let info = vk::BufferCreateInfo::default().size(bytes).usage(EXPORT_USAGE).push_next(&mut external);
        // SAFETY: created exactly as the exporter's buffer, which dedicated imports have to be.
        let buffer = unsafe { self.device.create_buffer(&info, None) }.map_err(driver)?;
        imports.buffers.push(buffer);
        // SAFETY: the buffer is this device's.
        let needs = unsafe { self.device.get_buffer_memory_requirements(buffer) };
        let index = exported_memory_type(&self.memories, needs.memory_type_bits)
            .ok_or_else(|| failed("no memory takes its buffer"))?;
        let fd = slot.memory.try_clone().map_err(|error| failed(&error.to_string()))?;
        let mut source = vk::ImportMemoryFdInfoKHR::default().handle_type(kind).fd(fd.as_raw_fd());
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(slot.allocation_bytes)
            .memory_type_index(index)
            .push_next(&mut source)
            .push_next(&mut dedicated);
        // SAFETY: size, type and handle are the exporter's; the descriptor is a duplicate for the driver.
        let memory = unsafe { self.device.allocate_memory(&info, None) }.map_err(driver)?;
        // From here on the descriptor is the driver's, which closes it.
        let _ = fd.into_raw_fd();
        imports.memories.push(memory);
        // SAFETY: both are this device's, unbound so far, and the memory is dedicated to the buffer.
        unsafe { self.device.bind_buffer_memory(buffer, memory, 0) }.map_err(driver)?;
        Ok(buffer)
    }

    /// A buffer that the CPU reads, and where it is mapped.
    fn readable(&self, imports: &mut Imports<'_>, bytes: u64) -> Result<(vk::Buffer, *const u8), GpuError> {
        let info = vk::BufferCreateInfo::default().size(bytes).usage(vk::BufferUsageFlags::TRANSFER_DST);
        // SAFETY: a plain buffer.
        let buffer = unsafe { self.device.create_buffer(&info, None) }.map_err(driver)?;
        imports.buffers.push(buffer);
        // SAFETY: the buffer is this device's.
        let needs = unsafe { self.device.get_buffer_memory_requirements(buffer) };
        let wanted = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        let fits = |(index, memory): &(usize, &vk::MemoryType)| {
            needs.memory_type_bits & 1 << index != 0 && memory.property_flags.contains(wanted)
        };
        let (index, _) = self
            .memories
            .memory_types_as_slice()
            .iter()
            .enumerate()
            .find(fits)
            .ok_or_else(|| failed("no memory can be read by the CPU"))?;
        let info =
            vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(index as u32);
        // SAFETY: a type that the buffer takes, with its size; then bound and mapped once, until it is freed.
        unsafe {
            let memory = self.device.allocate_memory(&info, None).map_err(driver)?;
            imports.memories.push(memory);
            self.device.bind_buffer_memory(buffer, memory, 0).map_err(driver)?;
            let flags = vk::MemoryMapFlags::empty();
            let mapped = self.device.map_memory(memory, 0, vk::WHOLE_SIZE, flags).map_err(driver)?;
            Ok((buffer, mapped.cast::<u8>().cast_const()))
        }
    }

    fn import_timeline(
        &self,
        functions: &ash::khr::external_semaphore_fd::Device,
        fd: &OwnedFd,
    ) -> Result<vk::Semaphore, GpuError> {
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        let fd = fd.as_fd().try_clone_to_owned().map_err(|error| failed(&error.to_string()))?;
        // SAFETY: timelines are enabled; the semaphore is destroyed if the import fails; the descriptor is a
        // duplicate that the driver takes over when it succeeds.
        unsafe {
            let semaphore = self.device.create_semaphore(&info, None).map_err(driver)?;
            let import = vk::ImportSemaphoreFdInfoKHR::default()
                .semaphore(semaphore)
                .handle_type(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD)
                .fd(fd.as_raw_fd());
            if let Err(error) = functions.import_semaphore_fd(&import) {
                self.device.destroy_semaphore(semaphore, None);
                return Err(driver(error));
            }
            let _ = fd.into_raw_fd();
            Ok(semaphore)
        }
    }

    fn copy(
        &self,
        imports: &mut Imports<'_>,
        surface: &GpuSurface,
        source: vk::Buffer,
        target: vk::Buffer,
        bytes: u64,
    ) -> Result<(), GpuError> {
        let device = &self.device;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        // SAFETY: everything named is this device's and lives until the fence has been waited for below; the
        // frame is whole because the timeline is waited for, or the converter has waited already.
        unsafe {
            let commands = device.allocate_command_buffers(&info).map_err(driver)?[0];
            imports.commands = Some((self.pool, commands));
            let once = vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT;
            let begin = vk::CommandBufferBeginInfo::default().flags(once);
            device.begin_command_buffer(commands, &begin).map_err(driver)?;
            let (top, transfer, host) = (
                vk::PipelineStageFlags::TOP_OF_PIPE,
                vk::PipelineStageFlags::TRANSFER,
                vk::PipelineStageFlags::HOST,
            );
            let flags = vk::DependencyFlags::empty();
            let acquire = vk::BufferMemoryBarrier::default()
                .src_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL)
                .dst_queue_family_index(self.family)
                .dst_access_mask(vk::AccessFlags::TRANSFER_READ)
                .buffer(source)
                .size(vk::WHOLE_SIZE);
            device.cmd_pipeline_barrier(commands, top, transfer, flags, &[], &[acquire], &[]);
            device.cmd_copy_buffer(commands, source, target, &[vk::BufferCopy::default().size(bytes)]);
            let read = vk::BufferMemoryBarrier::default()
                .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
                .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
                .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
                .dst_access_mask(vk::AccessFlags::HOST_READ)
                .buffer(target)
                .size(vk::WHOLE_SIZE);
            device.cmd_pipeline_barrier(commands, transfer, host, flags, &[], &[read], &[]);
            let release = vk::BufferMemoryBarrier::default()
                .src_queue_family_index(self.family)
                .dst_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL)
                .src_access_mask(vk::AccessFlags::TRANSFER_READ)
                .buffer(source)
                .size(vk::WHOLE_SIZE);
            let bottom = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
            device.cmd_pipeline_barrier(commands, transfer, bottom, flags, &[], &[release], &[]);
            device.end_command_buffer(commands).map_err(driver)?;
            imports.fence = device.create_fence(&vk::FenceCreateInfo::default(), None).map_err(driver)?;
            self.submit(imports, surface, commands)?;
            device.wait_for_fences(&[imports.fence], true, STALLED_AFTER_NS).map_err(driver)
        }
    }

    fn submit(
        &self,
        imports: &Imports<'_>,
        surface: &GpuSurface,
        commands: vk::CommandBuffer,
    ) -> Result<(), GpuError> {
        let buffers = [commands];
        let (semaphores, stages) = ([imports.semaphore], [vk::PipelineStageFlags::ALL_COMMANDS]);
        let (ready, done) = ([surface.ready()], [surface.done()]);
        let mut values = vk::TimelineSemaphoreSubmitInfo::default()
            .wait_semaphore_values(&ready)
            .signal_semaphore_values(&done);
        let mut info = vk::SubmitInfo::default().command_buffers(&buffers);
        if imports.semaphore != vk::Semaphore::null() {
            info = info
                .wait_semaphores(&semaphores)
                .wait_dst_stage_mask(&stages)
                .signal_semaphores(&semaphores)
                .push_next(&mut values);
        }
        // SAFETY: the commands are recorded, the fence is fresh, and this object is the queue's only user.
        unsafe { self.device.queue_submit(self.queue, &[info], imports.fence) }.map_err(driver)
    }
}

impl Drop for PeerDevice {
    fn drop(&mut self) {
        // SAFETY: every read has destroyed what it made; the instance still lives in `gpu`.
        unsafe {
            let _ = self.device.device_wait_idle();
            self.device.destroy_command_pool(self.pool, None);
            self.device.destroy_device(None);
        }
    }
}

fn failed(why: &str) -> GpuError {
    GpuError::NoExport(format!("a second device cannot read the frame: {why}"))
}

fn driver(error: vk::Result) -> GpuError {
    failed(&format!("the driver says {error}"))
}

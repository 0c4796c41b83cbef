//! The timeline of one slot, which says when its frame is whole.
#![expect(unsafe_code, reason = "wgpu has no timeline semaphores; Vulkan is called here")]

use crate::device::Gpu;
use crate::error::GpuError;
use ash::vk;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use wgpu::hal::vulkan::Api as Vulkan;

/// A frame takes milliseconds; a GPU that is silent for this long hangs.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// A timeline semaphore of our device.
pub(super) struct Timeline {
    gpu: Arc<Gpu>,
    functions: ash::khr::timeline_semaphore::Device,
    semaphore: vk::Semaphore,
    /// The newest value that a submission will signal; 0 before the first.
    newest: u64,
}

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timeline").field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl Timeline {
    /// A timeline at 0 and, where the driver exports it, its opaque descriptor.
    pub(super) fn new(gpu: Arc<Gpu>) -> Result<(Self, Option<OwnedFd>), GpuError> {
        let exporter = *gpu.exporter()?;
        // SAFETY: the guard makes a semaphore of this device; it destroys nothing.
        let hal = unsafe { gpu.device().as_hal::<Vulkan>() }.ok_or_else(no_vulkan)?;
        let (device, instance) = (hal.raw_device(), hal.shared_instance().raw_instance());
        let kind = vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD;
        let mut export = vk::ExportSemaphoreCreateInfo::default().handle_types(kind);
        let mut timeline = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let mut info = vk::SemaphoreCreateInfo::default().push_next(&mut timeline);
        if exporter.timelines {
            info = info.push_next(&mut export);
        }
        let failed = |error: vk::Result| GpuError::NoExport(format!("its timeline semaphore: {error}"));
        // SAFETY: timeline semaphores are enabled (`Exporter::query`), and so is their export where asked for.
        let semaphore = unsafe { device.create_semaphore(&info, None) }.map_err(failed)?;
        let functions = ash::khr::timeline_semaphore::Device::new(instance, device);
        let exports =
            exporter.timelines.then(|| ash::khr::external_semaphore_fd::Device::new(instance, device));
        drop(hal);
        let timeline = Self { gpu, functions, semaphore, newest: 0 };
        let Some(exports) = exports else { return Ok((timeline, None)) };
        let asked = vk::SemaphoreGetFdInfoKHR::default().semaphore(semaphore).handle_type(kind);
        // SAFETY: the semaphore was created for this kind of handle.
        let fd = unsafe { exports.get_semaphore_fd(&asked) }.map_err(failed)?;
        // SAFETY: the driver has just opened this descriptor for the caller.
        Ok((timeline, Some(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Submits commands; the timeline reaches `value`, above every value before, once they are done.
    pub(super) fn submit<const N: usize>(
        &mut self,
        commands: [wgpu::CommandBuffer; N],
        value: u64,
    ) -> Result<(), GpuError> {
        // wgpu attaches the signal to whatever is submitted next, so nothing else may come between.
        let alone = self.gpu.alone_on_queue();
        // SAFETY: the guard is only used to add a signal of a semaphore that outlives the submission.
        unsafe { self.gpu.queue().as_hal::<Vulkan>() }
            .ok_or_else(no_vulkan)?
            .add_signal_semaphore(self.semaphore, Some(value));
        self.gpu.queue().submit(commands);
        drop(alone);
        self.newest = value;
        self.gpu.check()
    }

    /// Blocks until everything that was submitted is done.
    pub(super) fn wait(&self) -> Result<(), GpuError> {
        if self.newest == 0 {
            return Ok(());
        }
        self.gpu.check()?;
        // Mesa 22's software drivers mix up their clocks; the CPU does not hang the way a GPU can.
        let limit_ns = if self.gpu.is_software() { u64::MAX } else { STALLED_AFTER.as_nanos() as u64 };
        let (semaphores, values) = ([self.semaphore], [self.newest]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the semaphore is this device's and lives as long as this object.
        match unsafe { self.functions.wait_semaphores(&info, limit_ns) } {
            Ok(()) => Ok(()),
            Err(vk::Result::TIMEOUT) => Err(GpuError::Stalled(STALLED_AFTER)),
            Err(error) => Err(GpuError::Lost(format!("waiting for a frame: {error}"))),
        }
    }
}

fn no_vulkan() -> GpuError {
    GpuError::NoExport("it is no Vulkan device".to_owned())
}

impl Drop for Timeline {
    fn drop(&mut self) {
        if self.wait().is_err() && !self.gpu.is_lost() {
            // Destroying a semaphore that a hanging queue still holds is undefined; leaking it is not.
            return;
        }
        // SAFETY: the guard is only used to destroy what this object alone holds.
        if let Some(hal) = unsafe { self.gpu.device().as_hal::<Vulkan>() } {
            // SAFETY: every submission that signals it is done, or the device is lost; this device made it.
            unsafe { hal.raw_device().destroy_semaphore(self.semaphore, None) };
        }
    }
}

//! The session's GPU device.

use crate::adapter::{self, AdapterFacts, AdapterKind};
use crate::dmabuf::{self, Importer};
use crate::error::GpuError;
use crate::export::{self, Exporter};
use crate::exported::DeviceUuid;
use crate::faults::Faults;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use wgpu::hal::vulkan::Api as Vulkan;

/// One opened device with its queue; a title draws on it and the converter reads from it.
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    facts: AdapterFacts,
    importer: Option<Importer>,
    exporter: Result<Exporter, String>,
    failed: Arc<OnceLock<Failure>>,
    alone: Mutex<()>,
    faults: Faults,
}

/// Why a device is of no use any more.
#[derive(Clone, Debug)]
enum Failure {
    /// It is gone, or refuses commands; a new one may work.
    Lost(String),
    /// It has no memory for what was asked; a new one has none either.
    Full(String),
}

impl Gpu {
    /// Opens the best adapter (see [`AdapterKind`] for the order). Blocks for the driver's start-up.
    pub fn open() -> Result<Arc<Self>, GpuError> {
        Self::open_chosen(None, &[])
    }

    /// Opens the best adapter whose name contains `name`, upper or lower case.
    pub fn open_named(name: &str) -> Result<Arc<Self>, GpuError> {
        Self::open_chosen(Some(name), &[])
    }

    /// Opens the best adapter; of several that are alike, the one that comes first in `order`.
    pub fn open_in_order(order: &[DeviceUuid]) -> Result<Arc<Self>, GpuError> {
        Self::open_chosen(None, order)
    }

    fn open_chosen(name: Option<&str>, order: &[DeviceUuid]) -> Result<Arc<Self>, GpuError> {
        let (facts, adapter) = adapter::choose(name, order)?;
        let supported = adapter.limits();
        let mut limits = wgpu::Limits::default();
        if !limits.check_limits(&supported) {
            limits = wgpu::Limits::downlevel_defaults().using_resolution(supported);
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("session"),
            required_limits: limits,
            required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            // Many sessions share a machine; large suballocation blocks would be memory nobody uses.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = open_device(&adapter, &descriptor)
            .map_err(|detail| GpuError::NoDevice { adapter: facts.to_string(), detail })?;
        let failed = Arc::new(OnceLock::new());
        watch(&device, &failed);
        let importer = Importer::query(&device);
        let exporter = Exporter::query(&device);
        tracing::info!(adapter = %facts, driver = %facts.driver, exports = exporter.is_ok(), "GPU device opened");
        let (alone, faults) = (Mutex::new(()), Faults::default());
        Ok(Arc::new(Self { device, queue, facts, importer, exporter, failed, alone, faults }))
    }

    /// For resources and pipelines.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// For submissions.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Which adapter this is.
    pub fn facts(&self) -> &AdapterFacts {
        &self.facts
    }

    /// Whether the CPU does the drawing.
    pub fn is_software(&self) -> bool {
        self.facts.kind == AdapterKind::Software
    }

    /// Memory of its own in bytes; of an integrated or software adapter, what it shares. `None` where the driver is
    /// not Vulkan's.
    #[expect(unsafe_code, reason = "wgpu does not tell; Vulkan is asked")]
    pub fn memory_bytes(&self) -> Option<u64> {
        // SAFETY: the handles of the guard are only read, and the device outlives this function.
        let hal = unsafe { self.device.as_hal::<Vulkan>() }?;
        let instance = hal.shared_instance().raw_instance();
        // SAFETY: the physical device is this instance's.
        let memory = unsafe { instance.get_physical_device_memory_properties(hal.raw_physical_device()) };
        let own = |heap: &&ash::vk::MemoryHeap| heap.flags.contains(ash::vk::MemoryHeapFlags::DEVICE_LOCAL);
        Some(memory.memory_heaps_as_slice().iter().filter(own).map(|heap| heap.size).sum())
    }

    /// Whether the device is gone for good.
    pub fn is_lost(&self) -> bool {
        self.failed.get().is_some()
    }

    /// Which physical device this is, where it exports frames; else why it does not.
    pub fn exports(&self) -> Result<DeviceUuid, GpuError> {
        self.exporter().map(|exporter| exporter.device)
    }

    /// What imports dma-bufs, where the driver does.
    pub(crate) fn importer(&self) -> Option<&Importer> {
        self.importer.as_ref()
    }

    /// How frames are exported, where the driver does.
    pub(crate) fn exporter(&self) -> Result<&Exporter, GpuError> {
        self.exporter.as_ref().map_err(|why| GpuError::NoExport(why.clone()))
    }

    /// Held while what is attached to the next submission must not meet another one.
    pub(crate) fn alone_on_queue(&self) -> MutexGuard<'_, ()> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this device lack something, for tests and drills.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Loses the device as a driver's reset does, for tests and drills: everything on it is gone, and every use
    /// says so.
    pub fn lose(&self, why: &str) {
        // What failed first is told.
        let _ = self.failed.set(Failure::Lost(why.to_owned()));
        self.device.destroy();
    }

    /// Why the device is gone for good: [`GpuError::Lost`], after which another may be opened, or
    /// [`GpuError::Full`]; `None` while it is not.
    pub fn failure(&self) -> Option<GpuError> {
        Some(match self.failed.get()? {
            Failure::Lost(why) => GpuError::Lost(why.clone()),
            Failure::Full(what) => GpuError::Full(what.clone()),
        })
    }

    /// An error once the device is gone.
    pub(crate) fn check(&self) -> Result<(), GpuError> {
        self.failure().map_or(Ok(()), Err)
    }
}

/// Opens a device as wgpu does, with what imports need beyond that where the driver is Vulkan's.
#[expect(unsafe_code, reason = "wgpu enables further extensions only through its backend")]
fn open_device(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
) -> Result<(wgpu::Device, wgpu::Queue), String> {
    // SAFETY: the guard opens a device and destroys nothing.
    let Some(hal) = (unsafe { adapter.as_hal::<Vulkan>() }) else {
        return pollster::block_on(adapter.request_device(descriptor)).map_err(|error| error.to_string());
    };
    let mut extra = dmabuf::extra_extensions(&hal);
    extra.extend(export::extra_extensions(&hal));
    let (features, limits) = (descriptor.required_features, &descriptor.required_limits);
    let add = move |arguments: wgpu::hal::vulkan::CreateDeviceCallbackArgs<'_, '_, '_>| {
        for name in extra {
            if !arguments.extensions.contains(&name) {
                arguments.extensions.push(name);
            }
        }
    };
    // SAFETY: the callback only adds extensions that the adapter has; the device comes from this adapter
    // and is opened with the features that the descriptor asks for.
    unsafe {
        let open = hal.open_with_callback(features, limits, &descriptor.memory_hints, Some(Box::new(add)));
        let open = open.map_err(|error| error.to_string())?;
        adapter.create_device_from_hal::<Vulkan>(open, descriptor).map_err(|error| error.to_string())
    }
}

/// Without these two callbacks wgpu panics on the first driver error.
fn watch(device: &wgpu::Device, failed: &Arc<OnceLock<Failure>>) {
    let gone = Arc::clone(failed);
    device.set_device_lost_callback(move |reason, message| {
        // Dropping the device reports `Destroyed`, which is no failure.
        if reason != wgpu::DeviceLostReason::Destroyed {
            let _ = gone.set(Failure::Lost(message));
        }
    });
    let gone = Arc::clone(failed);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let text = with_causes(&error);
        tracing::error!(error = text, "the GPU refuses a command");
        let _ = gone.set(match error {
            wgpu::Error::OutOfMemory { .. } => Failure::Full(text),
            _ => Failure::Lost(text),
        });
    }));
}

/// An error and everything behind it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

//! The session's GPU device.

use crate::adapter::{self, AdapterFacts, AdapterKind};
use crate::dmabuf::{self, Importer};
use crate::error::GpuError;
use std::sync::{Arc, OnceLock};
use wgpu::hal::vulkan::Api as Vulkan;

/// One opened device with its queue; a title draws on it and the converter reads from it.
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    facts: AdapterFacts,
    importer: Option<Importer>,
    lost: Arc<OnceLock<String>>,
}

impl Gpu {
    /// Opens the best adapter (see [`AdapterKind`] for the order). Blocks for the driver's start-up.
    pub fn open() -> Result<Arc<Self>, GpuError> {
        Self::open_chosen(None)
    }

    /// Opens the best adapter whose name contains `name`, upper or lower case.
    pub fn open_named(name: &str) -> Result<Arc<Self>, GpuError> {
        Self::open_chosen(Some(name))
    }

    fn open_chosen(name: Option<&str>) -> Result<Arc<Self>, GpuError> {
        let (facts, adapter) = adapter::choose(name)?;
        let supported = adapter.limits();
        let mut limits = wgpu::Limits::default();
        if !limits.check_limits(&supported) {
            limits = wgpu::Limits::downlevel_defaults().using_resolution(supported);
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("session"),
            required_limits: limits,
            // Many sessions share a machine; large suballocation blocks would be memory nobody uses.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = open_device(&adapter, &descriptor)
            .map_err(|detail| GpuError::NoDevice { adapter: facts.to_string(), detail })?;
        let lost = Arc::new(OnceLock::new());
        watch(&device, &lost);
        let importer = Importer::query(&device);
        tracing::info!(adapter = %facts, driver = %facts.driver, "GPU device opened");
        Ok(Arc::new(Self { device, queue, facts, importer, lost }))
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

    /// Whether the device is gone for good.
    pub fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// What imports dma-bufs, where the driver does.
    pub(crate) fn importer(&self) -> Option<&Importer> {
        self.importer.as_ref()
    }

    /// An error once the device is gone.
    pub(crate) fn check(&self) -> Result<(), GpuError> {
        self.lost.get().map_or(Ok(()), |why| Err(GpuError::Lost(why.clone())))
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
    let extra = dmabuf::extra_extensions(&hal);
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
fn watch(device: &wgpu::Device, lost: &Arc<OnceLock<String>>) {
    let gone = Arc::clone(lost);
    device.set_device_lost_callback(move |reason, message| {
        // Dropping the device reports `Destroyed`, which is no failure.
        if reason != wgpu::DeviceLostReason::Destroyed {
            let _ = gone.set(message);
        }
    });
    let gone = Arc::clone(lost);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let error = with_causes(&error);
        tracing::error!(%error, "the GPU refuses a command");
        let _ = gone.set(error);
    }));
}

/// An error and everything behind it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

//! Which adapter draws: discrete before integrated before virtual before software.

use crate::error::GpuError;
use crate::exported::DeviceUuid;
use std::fmt;
use wgpu::hal::vulkan::Api as Vulkan;

/// What an adapter is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// Shares memory with the CPU.
    Integrated,
    /// A GPU handed into a virtual machine.
    Virtual,
    /// The driver does not say.
    Unknown,
    /// Drawn by the CPU, such as llvmpipe.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Unknown => "unknown kind",
            Self::Software => "software",
        })
    }
}

/// What is told about an adapter in logs, statistics and `nearframe doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterFacts {
    /// As the driver names it.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// `Vulkan` or `OpenGL`.
    pub backend: &'static str,
    /// Driver name and version; may be empty.
    pub driver: String,
}

impl fmt::Display for AdapterFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.kind, self.backend)
    }
}

impl AdapterFacts {
    pub(crate) fn of(info: &wgpu::AdapterInfo) -> Self {
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Unknown,
        };
        let backend = match info.backend {
            wgpu::Backend::Vulkan => "Vulkan",
            wgpu::Backend::Gl => "OpenGL",
            _ => "other",
        };
        let driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
        Self { name: info.name.clone(), kind, backend, driver }
    }
}

/// Every adapter of this machine, best first, Vulkan before OpenGL within a kind. Blocks while drivers
/// load.
pub fn adapters() -> Vec<AdapterFacts> {
    let instance = instance(wgpu::Backends::VULKAN | wgpu::Backends::GL);
    let found = enumerate(&instance, wgpu::Backends::VULKAN | wgpu::Backends::GL);
    found.into_iter().map(|(facts, _)| facts).collect()
}

/// The adapter to draw on: the best one whose name contains `wanted` (any case), or the best of all.
/// Of those alike, the first in `order` comes first. OpenGL is asked only where Vulkan has nothing fitting, because
/// loading it costs time and memory.
pub(crate) fn choose(
    wanted: Option<&str>,
    order: &[DeviceUuid],
) -> Result<(AdapterFacts, wgpu::Adapter), GpuError> {
    let mut names = Vec::new();
    for backends in [wgpu::Backends::VULKAN, wgpu::Backends::GL] {
        let mut found = enumerate(&instance(backends), backends);
        if !order.is_empty() {
            found.sort_by_cached_key(|(facts, adapter)| (facts.kind, place(order, device_uuid(adapter))));
        }
        names.extend(found.iter().map(|(facts, _)| facts.to_string()));
        if let Some(chosen) = found.into_iter().find(|(facts, _)| fits(facts, wanted)) {
            return Ok(chosen);
        }
    }
    match wanted {
        Some(wanted) if !names.is_empty() => {
            Err(GpuError::NoSuchAdapter { wanted: wanted.to_owned(), found: names.join(", ") })
        }
        _ => Err(GpuError::NoAdapter),
    }
}

/// Devices that are not in the order come after all that are.
fn place(order: &[DeviceUuid], device: Option<DeviceUuid>) -> usize {
    device.and_then(|device| order.iter().position(|one| *one == device)).unwrap_or(order.len())
}

/// `None` of an adapter that is not driven through Vulkan.
#[expect(unsafe_code, reason = "wgpu does not tell; Vulkan is asked")]
fn device_uuid(adapter: &wgpu::Adapter) -> Option<DeviceUuid> {
    // SAFETY: the handles of the guard are only read, and the adapter outlives this function.
    let hal = unsafe { adapter.as_hal::<Vulkan>() }?;
    let mut ids = ash::vk::PhysicalDeviceIDProperties::default();
    let mut properties = ash::vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
    let instance = hal.shared_instance().raw_instance();
    // SAFETY: the physical device is this instance's; the chain lives here. wgpu needs Vulkan 1.1.
    unsafe { instance.get_physical_device_properties2(hal.raw_physical_device(), &mut properties) };
    Some(DeviceUuid(ids.device_uuid))
}

fn fits(facts: &AdapterFacts, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|part| facts.name.to_lowercase().contains(&part.to_lowercase()))
}

fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // Validation layers cost start-up time and are wgpu's to test, not ours.
    descriptor.flags = wgpu::InstanceFlags::empty();
    wgpu::Instance::new(descriptor)
}

fn enumerate(instance: &wgpu::Instance, backends: wgpu::Backends) -> Vec<(AdapterFacts, wgpu::Adapter)> {
    let mut found: Vec<_> = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .map(|adapter| (AdapterFacts::of(&adapter.get_info()), adapter))
        .collect();
    found.sort_by_key(|(facts, _)| (facts.kind, facts.backend != "Vulkan"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, kind: AdapterKind) -> AdapterFacts {
        AdapterFacts { name: name.to_owned(), kind, backend: "Vulkan", driver: String::new() }
    }

    #[test]
    fn kinds_are_ordered_from_best_to_worst() {
        let mut kinds = [
            AdapterKind::Software,
            AdapterKind::Virtual,
            AdapterKind::Discrete,
            AdapterKind::Unknown,
            AdapterKind::Integrated,
        ];
        kinds.sort();
        assert_eq!(kinds[0], AdapterKind::Discrete);
        assert_eq!(kinds[1], AdapterKind::Integrated);
        assert_eq!(kinds[4], AdapterKind::Software);
    }

    #[test]
    fn an_adapter_is_named_by_any_part_of_its_name() {
        let card = facts("NVIDIA H200", AdapterKind::Discrete);
        assert!(fits(&card, None) && fits(&card, Some("nvidia")) && !fits(&card, Some("radeon")));
        assert_eq!(card.to_string(), "NVIDIA H200 (discrete, Vulkan)");
    }

    #[test]
    fn of_adapters_alike_the_first_in_the_order_is_first() {
        let [a, b, c] = [1, 2, 3].map(|byte| DeviceUuid([byte; 16]));
        assert_eq!([a, b, c].map(|device| place(&[b, a], Some(device))), [1, 0, 2]);
        assert_eq!(place(&[b, a], None), 2);
        let (_, best) = choose(None, &[]).expect("a GPU, if only one of software: mesa-vulkan-drivers");
        assert!(device_uuid(&best).is_none_or(|uuid| uuid != DeviceUuid([0; 16])));
    }

    #[test]
    fn an_unknown_name_lists_what_there_is() {
        let error = choose(Some("no such adapter"), &[]).unwrap_err();
        assert!(matches!(error, GpuError::NoSuchAdapter { .. } | GpuError::NoAdapter), "{error}");
    }
}

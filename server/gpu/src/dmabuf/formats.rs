//! Which formats and layouts the driver imports.
#![expect(unsafe_code, reason = "wgpu does not list modifiers; Vulkan is asked here")]

use super::DmabufFormat;
use ash::vk;
use std::ffi::CStr;
use wgpu::hal::vulkan::Api as Vulkan;

/// What an import needs of the device. wgpu enables all but the last wherever they exist.
const NEEDED: [&CStr; 4] = [
    ash::khr::external_memory_fd::NAME,
    ash::ext::external_memory_dma_buf::NAME,
    ash::ext::image_drm_format_modifier::NAME,
    ash::ext::queue_family_foreign::NAME,
];

/// The most planes an image has.
pub(super) const MAX_PLANES: usize = 4;

/// A fourcc and what it is to Vulkan and to wgpu.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    fourcc: u32,
    pub(super) vulkan: vk::Format,
    pub(super) wgpu: wgpu::TextureFormat,
    /// The format has no alpha; those bits hold anything.
    pub(super) is_opaque: bool,
}

/// 8 bits a channel in both orders and 10 bits in the one that wgpu has. All are 4 bytes a pixel.
const PIXELS: [Pixel; 6] = [
    pixel(b"XR24", vk::Format::B8G8R8A8_UNORM, wgpu::TextureFormat::Bgra8Unorm, true),
    pixel(b"AR24", vk::Format::B8G8R8A8_UNORM, wgpu::TextureFormat::Bgra8Unorm, false),
    pixel(b"XB24", vk::Format::R8G8B8A8_UNORM, wgpu::TextureFormat::Rgba8Unorm, true),
    pixel(b"AB24", vk::Format::R8G8B8A8_UNORM, wgpu::TextureFormat::Rgba8Unorm, false),
    pixel(b"XB30", vk::Format::A2B10G10R10_UNORM_PACK32, wgpu::TextureFormat::Rgb10a2Unorm, true),
    pixel(b"AB30", vk::Format::A2B10G10R10_UNORM_PACK32, wgpu::TextureFormat::Rgb10a2Unorm, false),
];

const fn pixel(fourcc: &[u8; 4], vulkan: vk::Format, wgpu: wgpu::TextureFormat, is_opaque: bool) -> Pixel {
    Pixel { fourcc: u32::from_le_bytes(*fourcc), vulkan, wgpu, is_opaque }
}

/// One layout that can be imported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Importable {
    pub(super) pixel: Pixel,
    pub(super) modifier: u64,
    pub(super) planes: u32,
    /// Largest width and height.
    pub(super) most: (u32, u32),
}

/// What one device imports.
#[derive(Debug)]
pub(crate) struct Importer {
    importables: Vec<Importable>,
    render_node: Option<u64>,
}

/// What importing needs beyond what wgpu enables by itself, where the adapter has it.
pub(crate) fn extra_extensions(adapter: &wgpu::hal::vulkan::Adapter) -> Vec<&'static CStr> {
    let capabilities = adapter.physical_device_capabilities();
    let extra = [ash::ext::queue_family_foreign::NAME];
    extra.into_iter().filter(|name| capabilities.supports_extension(name)).collect()
}

impl Importer {
    /// Asks the driver; `None` without the extensions or without anything to import.
    pub(crate) fn query(device: &wgpu::Device) -> Option<Self> {
        // SAFETY: the handles of the guard are only read, and the device outlives this function.
        let hal = unsafe { device.as_hal::<Vulkan>() }?;
        let enabled = hal.enabled_device_extensions();
        if !NEEDED.iter().all(|name| enabled.contains(name)) {
            return None;
        }
        let instance = hal.shared_instance().raw_instance();
        let physical = hal.raw_physical_device();
        let limit = device.limits().max_texture_dimension_2d;
        let mut importables = Vec::new();
        for pixel in PIXELS {
            for listed in modifiers(instance, physical, pixel.vulkan) {
                let modifier = listed.drm_format_modifier;
                let planes = listed.drm_format_modifier_plane_count;
                let Some(most) = largest(instance, physical, pixel.vulkan, modifier) else { continue };
                if (1..=MAX_PLANES as u32).contains(&planes) {
                    let most = (most.width.min(limit), most.height.min(limit));
                    importables.push(Importable { pixel, modifier, planes, most });
                }
            }
        }
        let render_node = render_node(instance, physical);
        tracing::debug!(formats = importables.len(), ?render_node, "the GPU imports dma-bufs");
        (!importables.is_empty()).then_some(Self { importables, render_node })
    }

    /// `dev_t` of the render node, where the driver names it.
    pub(super) fn render_node(&self) -> Option<u64> {
        self.render_node
    }

    pub(super) fn formats(&self) -> impl Iterator<Item = DmabufFormat> {
        let formats = self.importables.iter();
        formats
            .map(|importable| DmabufFormat { fourcc: importable.pixel.fourcc, modifier: importable.modifier })
    }

    pub(super) fn find(&self, format: DmabufFormat) -> Option<&Importable> {
        let fits = |importable: &&Importable| {
            importable.pixel.fourcc == format.fourcc && importable.modifier == format.modifier
        };
        self.importables.iter().find(fits)
    }
}

/// The modifiers of a format that can be sampled bilinearly.
fn modifiers(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    format: vk::Format,
) -> Vec<vk::DrmFormatModifierPropertiesEXT> {
    let mut counted = vk::DrmFormatModifierPropertiesListEXT::default();
    let mut properties = vk::FormatProperties2::default().push_next(&mut counted);
    // SAFETY: the physical device is this instance's, and a list without room only has its length written.
    unsafe { instance.get_physical_device_format_properties2(physical, format, &mut properties) };
    let mut listed = vec![
        vk::DrmFormatModifierPropertiesEXT::default();
        counted.drm_format_modifier_count.try_into().unwrap_or(0)
    ];
    let mut list =
        vk::DrmFormatModifierPropertiesListEXT::default().drm_format_modifier_properties(&mut listed);
    let mut properties = vk::FormatProperties2::default().push_next(&mut list);
    // SAFETY: as above; the list says how much room it has, and the driver writes no more.
    unsafe { instance.get_physical_device_format_properties2(physical, format, &mut properties) };
    let filled = list.drm_format_modifier_count as usize;
    listed.truncate(filled);
    let needed = vk::FormatFeatureFlags::SAMPLED_IMAGE | vk::FormatFeatureFlags::SAMPLED_IMAGE_FILTER_LINEAR;
    listed.retain(|modifier| modifier.drm_format_modifier_tiling_features.contains(needed));
    listed
}

/// The largest image of this layout that can be imported from a dma-buf, if any can.
fn largest(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    format: vk::Format,
    modifier: u64,
) -> Option<vk::Extent3D> {
    let mut layout = vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default()
        .drm_format_modifier(modifier)
        .sharing_mode(vk::SharingMode::EXCLUSIVE);
    let mut memory = vk::PhysicalDeviceExternalImageFormatInfo::default()
        .handle_type(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
    let asked = vk::PhysicalDeviceImageFormatInfo2::default()
        .format(format)
        .ty(vk::ImageType::TYPE_2D)
        .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
        .usage(vk::ImageUsageFlags::SAMPLED)
        .push_next(&mut layout)
        .push_next(&mut memory);
    let mut external = vk::ExternalImageFormatProperties::default();
    let mut properties = vk::ImageFormatProperties2::default().push_next(&mut external);
    // SAFETY: the physical device is this instance's, and every structure of both chains lives here.
    unsafe { instance.get_physical_device_image_format_properties2(physical, &asked, &mut properties) }
        .ok()?;
    let most = properties.image_format_properties.max_extent;
    let features = external.external_memory_properties.external_memory_features;
    features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE).then_some(most)
}

/// `dev_t` of the physical device's render node.
fn render_node(instance: &ash::Instance, physical: vk::PhysicalDevice) -> Option<u64> {
    // SAFETY: the physical device is this instance's.
    let extensions = unsafe { instance.enumerate_device_extension_properties(physical) }.ok()?;
    let drm = |extension: &vk::ExtensionProperties| {
        extension.extension_name_as_c_str() == Ok(ash::ext::physical_device_drm::NAME)
    };
    if !extensions.iter().any(drm) {
        return None;
    }
    let mut node = vk::PhysicalDeviceDrmPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut node);
    // SAFETY: the physical device is this instance's and has the extension whose structure is chained.
    unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
    if node.has_render == vk::FALSE {
        return None;
    }
    let (major, minor) = (node.render_major.try_into().ok()?, node.render_minor.try_into().ok()?);
    Some(rustix::fs::makedev(major, minor))
}

/// A format for tests of what surrounds it.
#[cfg(test)]
pub(super) fn argb() -> Pixel {
    PIXELS[1]
}

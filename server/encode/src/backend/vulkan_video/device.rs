//! A Vulkan device of our own with a video encode queue.
#![expect(unsafe_code, reason = "Vulkan is called here")]

use super::profile::operation;
use crate::video::Codec;
use ash::vk;
use nearframe_gpu::DeviceUuid;
use std::ffi::CStr;
use std::sync::Arc;

/// What every encoder needs; the codec's own extension comes to it.
const NEEDED: [&CStr; 2] = [ash::khr::video_queue::NAME, ash::khr::video_encode_queue::NAME];
/// What reading exported frames needs; without them frames come through the CPU.
const FOR_IMPORTS: [&CStr; 2] = [ash::khr::external_memory_fd::NAME, ash::khr::external_semaphore_fd::NAME];

/// A queue and its family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) family: u32,
    pub(super) raw: vk::Queue,
}

/// An opened device.
pub(super) struct Device {
    pub(super) raw: ash::Device,
    pub(super) instance: ash::Instance,
    pub(super) physical: vk::PhysicalDevice,
    pub(super) queries: ash::khr::video_queue::Instance,
    pub(super) video: ash::khr::video_queue::Device,
    pub(super) encode: ash::khr::video_encode_queue::Device,
    /// `None`: exported frames cannot be imported.
    pub(super) semaphore_fd: Option<ash::khr::external_semaphore_fd::Device>,
    pub(super) encode_queue: Queue,
    /// Copies frames into the encoder's image; the same as the encode queue where that one copies.
    pub(super) copy_queue: Queue,
    pub(super) memories: vk::PhysicalDeviceMemoryProperties,
    pub(super) uuid: DeviceUuid,
    pub(super) name: String,
    /// Keeps the library loaded.
    _entry: ash::Entry,
}

impl Device {
    /// The best device that encodes `codec`, `near` before others; else why there is none, for each that was looked at.
    pub(super) fn open(codec: Codec, near: Option<DeviceUuid>) -> Result<Arc<Self>, String> {
        // SAFETY: the system's Vulkan loader is trusted as it is by every program that draws.
        let entry = unsafe { ash::Entry::load() }
            .map_err(|error| format!("Vulkan cannot be loaded ({error}): install libvulkan1"))?;
        let instance = open_instance(&entry)?;
        let opened = Self::choose(&entry, &instance.0, codec, near);
        match opened {
            Ok(device) => {
                // The device destroys it from here on.
                std::mem::forget(instance);
                Ok(Arc::new(device))
            }
            Err(why) => Err(why),
        }
    }

    fn choose(
        entry: &ash::Entry,
        instance: &ash::Instance,
        codec: Codec,
        near: Option<DeviceUuid>,
    ) -> Result<Self, String> {
        // SAFETY: the instance is alive.
        let mut found = unsafe { instance.enumerate_physical_devices() }
            .map_err(|error| format!("Vulkan lists no devices: {error}"))?;
        found.sort_by_key(|physical| {
            // SAFETY: the physical devices are this instance's.
            let kind = match unsafe { instance.get_physical_device_properties(*physical) }.device_type {
                vk::PhysicalDeviceType::DISCRETE_GPU => 0,
                vk::PhysicalDeviceType::INTEGRATED_GPU => 1,
                _ => 2,
            };
            (near != Some(uuid(instance, *physical)), kind)
        });
        if found.is_empty() {
            return Err("there is no Vulkan device: install the GPU's driver".to_owned());
        }
        let mut reasons = Vec::new();
        for physical in found {
            match Self::open_physical(entry, instance, physical, codec) {
                Ok(device) => return Ok(device),
                Err(why) => reasons.push(format!("{}: {why}", name(instance, physical))),
            }
        }
        Err(reasons.join("; "))
    }

    fn open_physical(
        entry: &ash::Entry,
        instance: &ash::Instance,
        physical: vk::PhysicalDevice,
        codec: Codec,
    ) -> Result<Self, String> {
        let extensions = extensions(instance, physical, codec)?;
        let families = Families::find(instance, physical, codec)?;
        let imports = FOR_IMPORTS.iter().all(|name| extensions.contains(name));
        let priorities = [1.0];
        let mut queues = vec![
            vk::DeviceQueueCreateInfo::default()
                .queue_family_index(families.encode)
                .queue_priorities(&priorities),
        ];
        if families.copy != families.encode {
            queues.push(
                vk::DeviceQueueCreateInfo::default()
                    .queue_family_index(families.copy)
                    .queue_priorities(&priorities),
            );
        }
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let mut synchronization =
            vk::PhysicalDeviceSynchronization2Features::default().synchronization2(true);
        let mut timeline = vk::PhysicalDeviceTimelineSemaphoreFeatures::default().timeline_semaphore(true);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut synchronization)
            .push_next(&mut timeline);
        // SAFETY: extensions and families are this physical device's; both features are part of Vulkan 1.3, which
        // `extensions` has checked.
        let raw = unsafe { instance.create_device(physical, &info, None) }
            .map_err(|error| format!("it gives no device: {error}"))?;
        // SAFETY: both queues were asked for above; the physical device is this instance's.
        let (encode_queue, copy_queue, memories) = unsafe {
            (
                Queue { family: families.encode, raw: raw.get_device_queue(families.encode, 0) },
                Queue { family: families.copy, raw: raw.get_device_queue(families.copy, 0) },
                instance.get_physical_device_memory_properties(physical),
            )
        };
        Ok(Self {
            queries: ash::khr::video_queue::Instance::new(entry, instance),
            video: ash::khr::video_queue::Device::new(instance, &raw),
            encode: ash::khr::video_encode_queue::Device::new(instance, &raw),
            semaphore_fd: imports.then(|| ash::khr::external_semaphore_fd::Device::new(instance, &raw)),
            raw,
            instance: instance.clone(),
            physical,
            encode_queue,
            copy_queue,
            memories,
            uuid: uuid(instance, physical),
            name: name(instance, physical),
            _entry: entry.clone(),
        })
    }

    /// What its driver says that it encodes. Which profiles and sizes, opening asks.
    pub(super) fn codecs(&self) -> Vec<Codec> {
        let can = |codec: &Codec| {
            extensions(&self.instance, self.physical, *codec).is_ok()
                && Families::find(&self.instance, self.physical, *codec).is_ok()
        };
        Codec::ALL.into_iter().filter(can).collect()
    }

    /// Index of the first memory type among `bits` with all of `wanted`.
    pub(super) fn memory_type(&self, bits: u32, wanted: vk::MemoryPropertyFlags) -> Option<u32> {
        let fits = |(index, memory): &(usize, &vk::MemoryType)| {
            bits & 1 << index != 0 && memory.property_flags.contains(wanted)
        };
        self.memories.memory_types_as_slice().iter().enumerate().find(fits).map(|(index, _)| index as u32)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: whatever was made by the device holds it, so nothing of it is left; the instance is ours alone.
        unsafe {
            self.raw.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// Destroys the instance unless a device takes it over.
struct OwnedInstance(ash::Instance);

impl Drop for OwnedInstance {
    fn drop(&mut self) {
        // SAFETY: no device of it was kept.
        unsafe { self.0.destroy_instance(None) };
    }
}

fn open_instance(entry: &ash::Entry) -> Result<OwnedInstance, String> {
    let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
    let info = vk::InstanceCreateInfo::default().application_info(&application);
    // SAFETY: no layers and no extensions are asked for; the structures live here.
    let instance = unsafe { entry.create_instance(&info, None) };
    instance.map(OwnedInstance).map_err(|error| format!("Vulkan does not start: {error}"))
}

/// What is enabled: all that is needed, or which of it the driver lacks.
fn extensions(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    codec: Codec,
) -> Result<Vec<&'static CStr>, String> {
    // SAFETY: the physical device is this instance's.
    let (offered, version) = unsafe {
        let offered = instance.enumerate_device_extension_properties(physical);
        (offered, instance.get_physical_device_properties(physical).api_version)
    };
    let offered = offered.map_err(|error| format!("it lists no extensions: {error}"))?;
    let has = |name: &CStr| offered.iter().any(|offered| offered.extension_name_as_c_str() == Ok(name));
    let own = match codec {
        Codec::H264 => ash::khr::video_encode_h264::NAME,
        Codec::Hevc | Codec::Hevc10 => ash::khr::video_encode_h265::NAME,
        Codec::Av1 => return Err("AV1 is not encoded through Vulkan here".to_owned()),
    };
    let needed = NEEDED.iter().copied().chain([own]);
    if let Some(lacking) = needed.clone().find(|name| !has(name)) {
        return Err(format!("its driver has no {}; a newer one may", lacking.to_string_lossy()));
    }
    if version < vk::API_VERSION_1_3 {
        return Err("its driver is older than Vulkan 1.3: update it".to_owned());
    }
    let optional = FOR_IMPORTS.into_iter().filter(|name| has(name));
    Ok(needed.chain(optional).collect())
}

/// Queue families by what they do.
struct Families {
    encode: u32,
    copy: u32,
}

impl Families {
    fn find(instance: &ash::Instance, physical: vk::PhysicalDevice, codec: Codec) -> Result<Self, String> {
        // SAFETY: the physical device is this instance's; both arrays have the length that it names, and their
        // chains live here.
        let flags: Vec<_> = unsafe {
            let count = instance.get_physical_device_queue_family_properties2_len(physical);
            let mut video = vec![vk::QueueFamilyVideoPropertiesKHR::default(); count];
            let mut families: Vec<_> = video
                .iter_mut()
                .map(|video| vk::QueueFamilyProperties2::default().push_next(video))
                .collect();
            instance.get_physical_device_queue_family_properties2(physical, &mut families);
            let flags: Vec<_> =
                families.iter().map(|family| family.queue_family_properties.queue_flags).collect();
            flags.into_iter().zip(video.iter().map(|video| video.video_codec_operations)).collect()
        };
        choose_families(&flags, operation(codec)).ok_or_else(|| format!("no queue of it encodes {codec}"))
    }
}

/// The family that encodes, and one that copies into images of any size: the same where it can.
fn choose_families(
    flags: &[(vk::QueueFlags, vk::VideoCodecOperationFlagsKHR)],
    operation: vk::VideoCodecOperationFlagsKHR,
) -> Option<Families> {
    let encodes = |(flags, operations): &(vk::QueueFlags, vk::VideoCodecOperationFlagsKHR)| {
        flags.contains(vk::QueueFlags::VIDEO_ENCODE_KHR) && operations.contains(operation)
    };
    let encode = flags.iter().position(encodes)?;
    let copies = |flags: vk::QueueFlags| {
        flags.intersects(vk::QueueFlags::TRANSFER | vk::QueueFlags::GRAPHICS | vk::QueueFlags::COMPUTE)
    };
    // A family for transfers alone may copy in coarse pieces only; those that compute copy anything.
    let whole = |flags: vk::QueueFlags| flags.intersects(vk::QueueFlags::GRAPHICS | vk::QueueFlags::COMPUTE);
    let copy =
        if copies(flags[encode].0) { encode } else { flags.iter().position(|(flags, _)| whole(*flags))? };
    Some(Families { encode: encode as u32, copy: copy as u32 })
}

fn uuid(instance: &ash::Instance, physical: vk::PhysicalDevice) -> DeviceUuid {
    let mut ids = vk::PhysicalDeviceIDProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
    // SAFETY: the physical device is this instance's, and the chain lives here.
    unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
    DeviceUuid(ids.device_uuid)
}

fn name(instance: &ash::Instance, physical: vk::PhysicalDevice) -> String {
    // SAFETY: the physical device is this instance's.
    let properties = unsafe { instance.get_physical_device_properties(physical) };
    properties
        .device_name_as_c_str()
        .map_or_else(|_| "a GPU".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vk::QueueFlags as Queue;
    use vk::VideoCodecOperationFlagsKHR as Operation;

    #[test]
    fn the_encode_queue_copies_where_it_can_and_another_that_computes_does_otherwise() {
        let (h264, h265) = (Operation::ENCODE_H264, Operation::ENCODE_H265);
        let none = Operation::empty();
        let nvidia = [
            (Queue::GRAPHICS | Queue::COMPUTE | Queue::TRANSFER, none),
            (Queue::TRANSFER, none),
            (Queue::TRANSFER | Queue::VIDEO_ENCODE_KHR, h264 | h265),
        ];
        let found = choose_families(&nvidia, h264).unwrap();
        assert_eq!((found.encode, found.copy), (2, 2));
        let amd = [(Queue::TRANSFER, none), (Queue::COMPUTE, none), (Queue::VIDEO_ENCODE_KHR, h264)];
        let found = choose_families(&amd, h264).unwrap();
        assert_eq!((found.encode, found.copy), (2, 1));
        assert!(choose_families(&amd, h265).is_none());
    }

    /// lavapipe encodes nothing, and neither does a machine without Vulkan: both say why.
    #[test]
    fn where_nothing_encodes_each_device_says_why() {
        match Device::open(Codec::H264, None) {
            Ok(device) => eprintln!("skipped: {} encodes H.264", device.name),
            Err(why) => assert!(
                why.contains("VK_KHR_video") || why.contains("install") || why.contains("no queue"),
                "{why}"
            ),
        }
        assert!(Device::open(Codec::Av1, None).is_err());
    }
}

//! Frames on their way into the encoder's image: from exported slots, or through a buffer of the CPU.
#![expect(unsafe_code, reason = "Vulkan is called here")]

use super::device::Device;
use super::objects::{Objects, refused};
use ash::vk;
use nearframe_gpu::{CpuSurface, EXPORT_USAGE, GpuSurface, Layout, SlotId, exported_memory_type};
use std::collections::HashMap;
use std::os::fd::{AsRawFd, IntoRawFd};

/// Slots that are remembered: a ring has three, and a ring of another size comes with another encoder.
const MOST_IMPORTS: usize = 16;

/// A slot as this device knows it.
#[derive(Clone, Copy)]
struct Import {
    buffer: vk::Buffer,
    timeline: vk::Semaphore,
}

/// Where a frame lies for the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planes {
    pub(super) stride_bytes: u32,
    /// Of the plane of Cb Cr pairs.
    pub(super) chroma_offset: u64,
    pub(super) sample_bytes: u32,
}

/// A frame that is ready to be copied.
#[derive(Clone, Copy)]
pub(super) struct Input {
    pub(super) buffer: vk::Buffer,
    pub(super) planes: Planes,
    /// Timeline with the value to wait for and the one to signal; the buffer is another's then, and is acquired.
    pub(super) timeline: Option<(vk::Semaphore, u64, u64)>,
}

/// Knows slots by their ids and holds the CPU's buffer.
pub(super) struct Source {
    imports: HashMap<SlotId, Import>,
    staging: Option<(vk::Buffer, *mut u8, u64)>,
}

// SAFETY: the mapped address is used by whoever owns this object, one thread at a time.
unsafe impl Send for Source {}

impl Source {
    pub(super) fn new() -> Self {
        Self { imports: HashMap::new(), staging: None }
    }

    /// A frame in exported memory; its slot is imported the first time.
    pub(super) fn exported(&mut self, objects: &mut Objects, surface: &GpuSurface) -> Result<Input, String> {
        let slot = surface.slot();
        let (stride_bytes, bytes) = slot.contiguous().ok_or("the planes of the frame have gaps")?;
        let import = match self.imports.get(&slot.id) {
            Some(import) => *import,
            None => {
                if self.imports.len() >= MOST_IMPORTS {
                    return Err("frames come from too many buffers".to_owned());
                }
                let import = import(objects, surface, bytes)?;
                self.imports.insert(slot.id, import);
                import
            }
        };
        let planes = planes(slot.layout, stride_bytes, slot.height);
        let waits = import.timeline != vk::Semaphore::null();
        let timeline = waits.then_some((import.timeline, surface.ready(), surface.done()));
        Ok(Input { buffer: import.buffer, planes, timeline })
    }

    /// A frame in CPU memory, copied into a buffer that the GPU reads.
    pub(super) fn copied(&mut self, objects: &mut Objects, surface: &CpuSurface) -> Result<Input, String> {
        let (luma, chroma) = (surface.luma(), surface.chroma());
        let bytes = (luma.len() + chroma.len()) as u64;
        let (buffer, at, _) = match self.staging.filter(|(_, _, room)| *room >= bytes) {
            Some(staging) => staging,
            None => {
                let usage = vk::BufferUsageFlags::TRANSFER_SRC;
                let (buffer, at) = objects.mapped_buffer(bytes, usage, None)?;
                *self.staging.insert((buffer, at, bytes))
            }
        };
        // SAFETY: the mapping holds as many bytes, and the GPU has read the frame before (the encoder waits for
        // each picture).
        unsafe {
            at.copy_from_nonoverlapping(luma.as_ptr(), luma.len());
            at.add(luma.len()).copy_from_nonoverlapping(chroma.as_ptr(), chroma.len());
        }
        let stride = surface.layout().row_bytes(surface.width()) as u32;
        let planes = planes(surface.layout(), stride, surface.height());
        Ok(Input { buffer, planes, timeline: None })
    }
}

fn planes(layout: Layout, stride_bytes: u32, height: u32) -> Planes {
    let sample_bytes = if layout == Layout::P010 { 2 } else { 1 };
    Planes { stride_bytes, chroma_offset: u64::from(stride_bytes) * u64::from(height), sample_bytes }
}

fn import(objects: &mut Objects, surface: &GpuSurface, bytes: u64) -> Result<Import, String> {
    let device = std::sync::Arc::clone(objects.device());
    let slot = surface.slot();
    let kind = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
    let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(kind);
    let info = vk::BufferCreateInfo::default().size(bytes).usage(EXPORT_USAGE).push_next(&mut external);
    // SAFETY: created exactly as the exporter's buffer, which dedicated imports have to be.
    let buffer = unsafe { device.raw.create_buffer(&info, None) }.map_err(refused("an import"))?;
    // SAFETY: the buffer is this device's.
    let needs = unsafe { device.raw.get_buffer_memory_requirements(buffer) };
    let memory = exported_memory_type(&device.memories, needs.memory_type_bits)
        .ok_or_else(|| "no memory takes exported frames".to_owned())
        .and_then(|index| import_memory(&device, surface, buffer, index));
    let memory = match memory {
        Ok(memory) => memory,
        Err(why) => {
            // SAFETY: nothing has used it.
            unsafe { device.raw.destroy_buffer(buffer, None) };
            return Err(why);
        }
    };
    objects.adopt(buffer, memory);
    // SAFETY: both are this device's, unbound so far, and the memory is dedicated to the buffer.
    unsafe { device.raw.bind_buffer_memory(buffer, memory, 0) }.map_err(refused("binding an import"))?;
    let timeline = match &slot.timeline {
        Some(_) => import_timeline(&device, surface)?,
        None => vk::Semaphore::null(),
    };
    if timeline != vk::Semaphore::null() {
        objects.adopt_semaphore(timeline);
    }
    Ok(Import { buffer, timeline })
}

fn import_memory(
    device: &Device,
    surface: &GpuSurface,
    buffer: vk::Buffer,
    index: u32,
) -> Result<vk::DeviceMemory, String> {
    let slot = surface.slot();
    let fd = slot.memory.try_clone().map_err(|error| format!("an import: {error}"))?;
    let mut source = vk::ImportMemoryFdInfoKHR::default()
        .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD)
        .fd(fd.as_raw_fd());
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
    let mut info = vk::MemoryAllocateInfo::default()
        .allocation_size(slot.allocation_bytes)
        .memory_type_index(index)
        .push_next(&mut source);
    if slot.dedicated {
        info = info.push_next(&mut dedicated);
    }
    // SAFETY: size, type and handle are the exporter's; the descriptor is a duplicate for the driver.
    let memory = unsafe { device.raw.allocate_memory(&info, None) }.map_err(refused("an import"))?;
    // From here on the descriptor is the driver's, which closes it.
    let _ = fd.into_raw_fd();
    Ok(memory)
}

fn import_timeline(device: &Device, surface: &GpuSurface) -> Result<vk::Semaphore, String> {
    let functions = device.semaphore_fd.as_ref().ok_or("its driver imports no semaphores")?;
    let fd = surface.slot().timeline.as_ref().ok_or("the frame has no timeline")?;
    let fd = fd.try_clone().map_err(|error| format!("an import: {error}"))?;
    let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
    let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
    // SAFETY: timelines are enabled; the semaphore is destroyed if the import fails; the descriptor is a duplicate
    // that the driver takes over when it succeeds.
    unsafe {
        let semaphore = device.raw.create_semaphore(&info, None).map_err(refused("an import"))?;
        let import = vk::ImportSemaphoreFdInfoKHR::default()
            .semaphore(semaphore)
            .handle_type(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD)
            .fd(fd.as_raw_fd());
        if let Err(error) = functions.import_semaphore_fd(&import) {
            device.raw.destroy_semaphore(semaphore, None);
            return Err(format!("importing a timeline: {error}"));
        }
        let _ = fd.into_raw_fd();
        Ok(semaphore)
    }
}

/// Copies of both planes into an image of `coded` size; rows below the picture repeat its last one, so that what
/// is coded around the picture costs nothing.
pub(super) fn copies(planes: Planes, picture: (u32, u32), coded: (u32, u32)) -> Vec<vk::BufferImageCopy> {
    let mut copies = Vec::new();
    for (aspect, offset, divisor, texel_bytes) in [
        (vk::ImageAspectFlags::PLANE_0, 0, 1, planes.sample_bytes),
        (vk::ImageAspectFlags::PLANE_1, planes.chroma_offset, 2, 2 * planes.sample_bytes),
    ] {
        let (rows, coded_rows) = (picture.1 / divisor, coded.1 / divisor);
        let row_texels = planes.stride_bytes / texel_bytes;
        // Padding of rows is copied too, as far as there is some.
        let width = (coded.0 / divisor).min(row_texels);
        let mut copy = |row: u32, from: u32, count: u32| {
            copies.push(vk::BufferImageCopy {
                buffer_offset: offset + u64::from(from) * u64::from(planes.stride_bytes),
                buffer_row_length: row_texels,
                buffer_image_height: 0,
                image_subresource: vk::ImageSubresourceLayers {
                    aspect_mask: aspect,
                    mip_level: 0,
                    base_array_layer: 0,
                    layer_count: 1,
                },
                image_offset: vk::Offset3D { x: 0, y: row as i32, z: 0 },
                image_extent: vk::Extent3D { width, height: count, depth: 1 },
            });
        };
        copy(0, 0, rows);
        (rows..coded_rows).for_each(|row| copy(row, rows - 1, 1));
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_below_the_picture_repeat_its_last_one() {
        let nv12 = planes(Layout::Nv12, 2048, 1080);
        let regions = copies(nv12, (1920, 1080), (1920, 1088));
        assert_eq!(regions.len(), (1 + 8) + (1 + 4));
        let luma = &regions[0];
        assert_eq!((luma.buffer_offset, luma.buffer_row_length, luma.image_extent.height), (0, 2048, 1080));
        let last = &regions[8];
        assert_eq!((last.image_offset.y, last.image_extent.height), (1087, 1));
        assert_eq!(last.buffer_offset, 1079 * 2048);
        let chroma = &regions[9];
        assert_eq!(chroma.image_subresource.aspect_mask, vk::ImageAspectFlags::PLANE_1);
        assert_eq!((chroma.buffer_offset, chroma.buffer_row_length), (2048 * 1080, 1024));
        assert_eq!((chroma.image_extent.width, chroma.image_extent.height), (960, 540));
    }

    #[test]
    fn ten_bit_rows_are_counted_in_pairs_of_bytes_and_nothing_beyond_the_buffer_is_read() {
        let tight = planes(Layout::P010, 1366 * 2, 768);
        let regions = copies(tight, (1366, 768), (1376, 768));
        assert_eq!((regions[0].buffer_row_length, regions[0].image_extent.width), (1366, 1366));
        assert_eq!((regions[1].buffer_row_length, regions[1].image_extent.width), (683, 683));
    }
}

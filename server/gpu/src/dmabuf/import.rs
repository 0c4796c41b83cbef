//! Importing one image: checks first, then the driver.
#![expect(unsafe_code, reason = "wgpu imports single planes only; Vulkan is called here")]

use super::DmabufImage;
use super::formats::{Importable, Importer, MAX_PLANES};
use crate::device::Gpu;
use crate::error::GpuError;
use ash::vk;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{SeekFrom, fstat, seek};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::time::Instant;
use wgpu::hal::vulkan::{Api as Vulkan, TextureMemory};

/// `DRM_FORMAT_MOD_LINEAR`: rows one after the other.
const LINEAR: u64 = 0;
/// What a plane is for after plane 0 is the driver's secret, but none starts at an odd byte.
const PLANE_ALIGNMENT: u32 = 4;

/// An image of another program, readable by [`crate::LayerCompositor`] and by nothing else.
#[derive(Debug)]
pub struct ImportedImage {
    texture: wgpu::Texture,
    memory: OwnedFd,
    is_opaque: bool,
}

impl ImportedImage {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.texture.width(), self.texture.height())
    }

    /// Whether the format has no alpha.
    pub fn is_opaque(&self) -> bool {
        self.is_opaque
    }

    pub(crate) fn texture(&self) -> &wgpu::Texture {
        &self.texture
    }

    /// Waits until what the title has submitted to draw this image is done, at most until `deadline`.
    pub(crate) fn wait_drawn(&self, deadline: Instant) -> Result<bool, GpuError> {
        let failed = |error: rustix::io::Errno| refused(format!("its fences cannot be waited for: {error}"));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(|_| failed(rustix::io::Errno::INVAL))?;
            // A dma-buf is readable once its last writer is done.
            match poll(&mut [PollFd::new(&self.memory, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

pub(super) fn import(
    gpu: &Gpu,
    importer: &Importer,
    image: &DmabufImage<'_>,
) -> Result<ImportedImage, GpuError> {
    let importable = importer.find(image.format).ok_or_else(|| {
        let format = image.format;
        refused(format!("format {:#x} with modifier {:#x} is not offered", format.fourcc, format.modifier))
    })?;
    let memory = memory_of(image)?;
    check(image, importable, memory.bytes)?;
    let texture = bind(gpu, image, importable, &memory)?;
    let memory = memory.fd.try_clone_to_owned().map_err(|error| refused(error.to_string()))?;
    Ok(ImportedImage { texture, memory, is_opaque: importable.pixel.is_opaque })
}

/// The one dma-buf behind all planes.
struct Memory<'a> {
    fd: BorrowedFd<'a>,
    bytes: u64,
}

fn memory_of<'a>(image: &DmabufImage<'a>) -> Result<Memory<'a>, GpuError> {
    let unknown = |error: rustix::io::Errno| refused(format!("its memory cannot be looked at: {error}"));
    let [first, others @ ..] = image.planes else { return Err(refused("it has no planes".to_owned())) };
    if others.len() >= MAX_PLANES {
        return Err(refused(format!("it has {} planes", image.planes.len())));
    }
    let identity = |fd: BorrowedFd<'_>| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).map_err(unknown);
    let memory = identity(first.fd)?;
    for plane in others {
        if identity(plane.fd)? != memory {
            return Err(refused("its planes lie in different buffers".to_owned()));
        }
    }
    let bytes = seek(first.fd, SeekFrom::End(0)).map_err(unknown)?;
    Ok(Memory { fd: first.fd, bytes })
}

/// Whether the planes can lie in that many bytes. Only the driver knows how much a tiled plane takes:
/// [`bind`] checks its answer.
fn check(image: &DmabufImage<'_>, importable: &Importable, bytes: u64) -> Result<(), GpuError> {
    let DmabufImage { width, height, planes, .. } = *image;
    let most = importable.most;
    if width == 0 || height == 0 || width > most.0 || height > most.1 {
        return Err(refused(format!("{width}×{height} is not within 1×1 to {}×{}", most.0, most.1)));
    }
    if planes.len() != importable.planes as usize {
        return Err(refused(format!("it has {} planes, not {}", planes.len(), importable.planes)));
    }
    for plane in planes {
        let (offset, stride) = (u64::from(plane.offset), u64::from(plane.stride));
        if !plane.offset.is_multiple_of(PLANE_ALIGNMENT) || offset >= bytes || stride > bytes {
            return Err(refused(format!(
                "a plane at {offset} with rows of {stride} bytes is not in {bytes}"
            )));
        }
    }
    let (offset, stride) = (u64::from(planes[0].offset), u64::from(planes[0].stride));
    let row = 4 * u64::from(width);
    if importable.modifier == LINEAR
        && (stride < row
            || !stride.is_multiple_of(4)
            || offset + stride * u64::from(height - 1) + row > bytes)
    {
        return Err(refused(format!(
            "{width}×{height} at {offset} with rows of {stride} bytes is not in {bytes}"
        )));
    }
    Ok(())
}

/// An image that is destroyed unless it reaches wgpu.
struct RawImage<'a> {
    device: &'a ash::Device,
    image: vk::Image,
    memory: vk::DeviceMemory,
}

impl RawImage<'_> {
    fn into_parts(self) -> (vk::Image, vk::DeviceMemory) {
        let parts = (self.image, self.memory);
        std::mem::forget(self);
        parts
    }
}

impl Drop for RawImage<'_> {
    fn drop(&mut self) {
        // SAFETY: both were made by this device, no command has used them, and null is allowed.
        unsafe {
            self.device.destroy_image(self.image, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

/// Creates the image, binds the memory and hands both to wgpu.
fn bind(
    gpu: &Gpu,
    image: &DmabufImage<'_>,
    importable: &Importable,
    memory: &Memory<'_>,
) -> Result<wgpu::Texture, GpuError> {
    // SAFETY: the guard makes objects of this device that wgpu then owns; it destroys nothing.
    let hal = unsafe { gpu.device().as_hal::<Vulkan>() }.ok_or(GpuError::NoDmabufs)?;
    let mut raw = create_image(hal.raw_device(), image, importable)?;
    // SAFETY: the image is this device's.
    let needs = unsafe { hal.raw_device().get_image_memory_requirements(raw.image) };
    if needs.size > memory.bytes.next_multiple_of(needs.alignment.max(1)) {
        return Err(refused(format!("it needs {} bytes and has {}", needs.size, memory.bytes)));
    }
    let instance = hal.shared_instance().raw_instance();
    raw.memory = import_memory(instance, &raw, &needs, memory.fd)?;
    // SAFETY: image and memory are this device's, unused so far, and the memory is dedicated to the image.
    unsafe { raw.device.bind_image_memory(raw.image, raw.memory, 0) }.map_err(driver)?;
    let size = wgpu::Extent3d { width: image.width, height: image.height, depth_or_array_layers: 1 };
    let hal_descriptor = wgpu::hal::TextureDescriptor {
        label: Some("imported"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: importable.pixel.wgpu,
        usage: wgpu::TextureUses::RESOURCE,
        memory_flags: wgpu::hal::MemoryFlags::empty(),
        view_formats: Vec::new(),
    };
    let descriptor = wgpu::TextureDescriptor {
        label: Some("imported"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: importable.pixel.wgpu,
        usage: wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    };
    let (image, memory) = raw.into_parts();
    // SAFETY: the image was created as the descriptor says and its memory is bound; wgpu takes both over.
    // It is in the state RESOURCE whenever wgpu's own commands see it, because only layers are drawn from
    // it, between an acquire and a release.
    unsafe {
        let texture = hal.texture_from_raw(image, &hal_descriptor, None, TextureMemory::Dedicated(memory));
        let state = wgpu::TextureUses::RESOURCE;
        Ok(gpu.device().create_texture_from_hal::<Vulkan>(texture, &descriptor, state))
    }
}

fn create_image<'a>(
    device: &'a ash::Device,
    image: &DmabufImage<'_>,
    importable: &Importable,
) -> Result<RawImage<'a>, GpuError> {
    // Sizes and array or depth pitches are to be zero here: the driver knows them.
    let planes: Vec<_> = image
        .planes
        .iter()
        .map(|plane| {
            vk::SubresourceLayout::default().offset(plane.offset.into()).row_pitch(plane.stride.into())
        })
        .collect();
    let mut layout = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default()
        .drm_format_modifier(importable.modifier)
        .plane_layouts(&planes);
    let mut external = vk::ExternalMemoryImageCreateInfo::default()
        .handle_types(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
    let info = vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(importable.pixel.vulkan)
        .extent(vk::Extent3D { width: image.width, height: image.height, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
        .usage(vk::ImageUsageFlags::SAMPLED)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED)
        .push_next(&mut external)
        .push_next(&mut layout);
    // SAFETY: the driver offers this format with this modifier, number of planes and size for import
    // (`check`), and every structure of the chain lives until the call is over.
    let image = unsafe { device.create_image(&info, None) }.map_err(driver)?;
    Ok(RawImage { device, image, memory: vk::DeviceMemory::null() })
}

/// The dma-buf as memory dedicated to the image.
fn import_memory(
    instance: &ash::Instance,
    raw: &RawImage<'_>,
    needs: &vk::MemoryRequirements,
    fd: BorrowedFd<'_>,
) -> Result<vk::DeviceMemory, GpuError> {
    let kind = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
    let functions = ash::khr::external_memory_fd::Device::new(instance, raw.device);
    let fd = fd.try_clone_to_owned().map_err(|error| refused(error.to_string()))?;
    let mut offered = vk::MemoryFdPropertiesKHR::default();
    // SAFETY: the extension is enabled and the descriptor is open; one that is no dma-buf is an error.
    unsafe { functions.get_memory_fd_properties(kind, fd.as_raw_fd(), &mut offered) }.map_err(driver)?;
    let types = offered.memory_type_bits & needs.memory_type_bits;
    if types == 0 {
        return Err(refused("the device cannot reach its memory".to_owned()));
    }
    let mut source = vk::ImportMemoryFdInfoKHR::default().handle_type(kind).fd(fd.as_raw_fd());
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(raw.image);
    let info = vk::MemoryAllocateInfo::default()
        .allocation_size(needs.size)
        .memory_type_index(types.trailing_zeros())
        .push_next(&mut source)
        .push_next(&mut dedicated);
    // SAFETY: the type is one that both the image and the dma-buf take, and the size is the image's.
    let memory = unsafe { raw.device.allocate_memory(&info, None) }.map_err(driver)?;
    // From here on the descriptor is the driver's, which closes it.
    let _ = fd.into_raw_fd();
    Ok(memory)
}

fn refused(why: String) -> GpuError {
    GpuError::BadDmabuf(why)
}

fn driver(error: vk::Result) -> GpuError {
    refused(format!("the driver says {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dmabuf::{DmabufFormat, DmabufPlane};
    use proptest::prelude::*;
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn memory(bytes: u64) -> OwnedFd {
        let fd = memfd_create("image", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&fd, bytes).unwrap();
        fd
    }

    fn importable(modifier: u64, planes: u32) -> Importable {
        Importable { pixel: crate::dmabuf::formats::argb(), modifier, planes, most: (4096, 4096) }
    }

    fn image<'a>(width: u32, height: u32, modifier: u64, planes: &'a [DmabufPlane<'a>]) -> DmabufImage<'a> {
        DmabufImage { width, height, format: DmabufFormat { fourcc: 0, modifier }, planes }
    }

    fn checked(image: &DmabufImage<'_>, importable: &Importable) -> bool {
        memory_of(image).and_then(|memory| check(image, importable, memory.bytes)).is_ok()
    }

    proptest! {
        #[test]
        fn what_passes_as_linear_lies_within_its_memory(
            width in 0u32..5000, height in 0u32..5000, stride in any::<u32>(), offset in any::<u32>(),
            bytes in 0u64..100_000,
        ) {
            let fd = memory(bytes);
            for (stride, offset) in [(stride, offset), (4 * width, offset % 64), (stride % 20_000, 0)] {
                let planes = [DmabufPlane { fd: fd.as_fd(), offset, stride }];
                let image = image(width, height, LINEAR, &planes);
                let end = u128::from(offset)
                    + u128::from(stride) * u128::from(height.saturating_sub(1))
                    + 4 * u128::from(width);
                if checked(&image, &importable(LINEAR, 1)) {
                    prop_assert!(width > 0 && height > 0 && stride >= 4 * width && end <= u128::from(bytes));
                }
            }
        }
    }

    #[test]
    fn a_tight_image_passes_and_one_byte_less_does_not() {
        for (bytes, fits) in [(256 * 9 + 200, true), (256 * 9 + 199, false)] {
            let fd = memory(bytes);
            let planes = [DmabufPlane { fd: fd.as_fd(), offset: 0, stride: 256 }];
            assert_eq!(checked(&image(50, 10, LINEAR, &planes), &importable(LINEAR, 1)), fits);
        }
    }

    #[test]
    fn wrong_planes_are_refused() {
        let (one, other) = (memory(1 << 20), memory(1 << 20));
        fn plane(fd: &OwnedFd, offset: u32, stride: u32) -> DmabufPlane<'_> {
            DmabufPlane { fd: fd.as_fd(), offset, stride }
        }
        let good = [plane(&one, 0, 4096), plane(&one, 524_288, 512)];
        assert!(checked(&image(64, 64, 7, &good), &importable(7, 2)));
        assert!(checked(&image(64, 64, LINEAR, &good[..1]), &importable(LINEAR, 1)));
        assert!(!checked(&image(64, 64, 7, &good[..1]), &importable(7, 2)), "too few");
        assert!(!checked(&image(64, 64, LINEAR, &good), &importable(LINEAR, 1)), "too many");
        assert!(!checked(&image(64, 64, LINEAR, &[]), &importable(LINEAR, 1)), "none");
        let five = [good[0]; 5];
        assert!(!checked(&image(64, 64, 7, &five), &importable(7, 5)), "five");
        for second in [plane(&other, 0, 512), plane(&one, 1 << 20, 512), plane(&one, 2, 512)] {
            assert!(!checked(&image(64, 64, 7, &[good[0], second]), &importable(7, 2)), "{second:?}");
        }
        for size in [(0, 64), (64, 0), (4097, 1), (1, u32::MAX)] {
            assert!(!checked(&image(size.0, size.1, 7, &good), &importable(7, 2)), "{size:?}");
        }
    }

    #[test]
    fn what_has_no_size_is_refused() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let planes = [DmabufPlane { fd: reader.as_fd(), offset: 0, stride: 256 }];
        assert!(!checked(&image(64, 64, LINEAR, &planes), &importable(LINEAR, 1)));
    }

    /// A pipe stands in for a dma-buf whose writer is still at work: both become readable.
    #[test]
    fn waiting_ends_with_the_drawing_or_with_the_deadline() {
        let gpu = Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers");
        let (format, usage) = (wgpu::TextureFormat::Bgra8Unorm, wgpu::TextureUsages::COPY_DST);
        let (reader, mut writer) = std::io::pipe().unwrap();
        let texture = crate::composite::texture(&gpu, "test", (4, 4), format, usage);
        let image = ImportedImage { texture, memory: reader.into(), is_opaque: false };
        assert!(!image.wait_drawn(Instant::now() + Duration::from_millis(20)).unwrap());
        assert!(!image.wait_drawn(Instant::now()).unwrap());
        std::io::Write::write_all(&mut writer, b"done").unwrap();
        assert!(image.wait_drawn(Instant::now() + Duration::from_secs(60)).unwrap());
    }
}

//! Images of other programs, where the driver imports them; else the refusal.
#![allow(unsafe_code, reason = "the other program is played with Vulkan's own calls")]
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

use ash::vk;
use nearframe_gpu::{
    DmabufFormat, DmabufImage, DmabufPlane, Gpu, GpuContent, GpuError, GpuLayer, LayerCompositor,
};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use wgpu::hal::vulkan::Api as Vulkan;

const LINEAR: u64 = 0;
const AR24: u32 = u32::from_le_bytes(*b"AR24");
/// A row of 256 pixels is as wide as any device wants rows aligned.
const SIZE: (u32, u32) = (256, 64);
const STRIDE: u32 = 4 * SIZE.0;

fn gpu() -> Arc<Gpu> {
    Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers")
}

fn bytes() -> Vec<u8> {
    (0..SIZE.1 * SIZE.0).flat_map(|at| [at as u8, (at >> 3) as u8, (at >> 8) as u8, 255]).collect()
}

fn image<'a>(planes: &'a [DmabufPlane<'a>], modifier: u64) -> DmabufImage<'a> {
    let format = DmabufFormat { fourcc: AR24, modifier };
    DmabufImage { width: SIZE.0, height: SIZE.1, format, planes }
}

/// Memory that another program has filled, as a dma-buf; `None` where the driver exports none.
fn exported(gpu: &Gpu, content: &[u8]) -> Option<OwnedFd> {
    let kind = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
    // SAFETY: every object is made by this device and valid; the mapping holds at least `content`.
    unsafe {
        let hal = gpu.device().as_hal::<Vulkan>()?;
        let (device, instance) = (hal.raw_device(), hal.shared_instance().raw_instance());
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(kind);
        let info = vk::BufferCreateInfo::default()
            .size(content.len() as u64)
            .usage(vk::BufferUsageFlags::TRANSFER_SRC)
            .push_next(&mut external);
        let buffer = device.create_buffer(&info, None).ok()?;
        let needs = device.get_buffer_memory_requirements(buffer);
        let wanted = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        let kinds = instance.get_physical_device_memory_properties(hal.raw_physical_device());
        let index = kinds.memory_types_as_slice().iter().enumerate().position(|(index, memory)| {
            needs.memory_type_bits & 1 << index != 0 && memory.property_flags.contains(wanted)
        })?;
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(kind);
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(index as u32)
            .push_next(&mut export)
            .push_next(&mut dedicated);
        let memory = device.allocate_memory(&info, None).ok()?;
        device.bind_buffer_memory(buffer, memory, 0).unwrap();
        let mapped = device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()).unwrap();
        mapped.cast::<u8>().copy_from(content.as_ptr(), content.len());
        device.unmap_memory(memory);
        let functions = ash::khr::external_memory_fd::Device::new(instance, device);
        let asked = vk::MemoryGetFdInfoKHR::default().memory(memory).handle_type(kind);
        let fd = functions.get_memory_fd(&asked).ok().map(|fd| OwnedFd::from_raw_fd(fd));
        device.destroy_buffer(buffer, None);
        device.free_memory(memory, None);
        fd
    }
}

/// Rows of RGBA.
fn read(gpu: &Gpu, texture: &wgpu::Texture) -> Vec<u8> {
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(STRIDE * SIZE.1),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(STRIDE), rows_per_image: None };
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
        texture.size(),
    );
    gpu.queue().submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    buffer.get_mapped_range(..).unwrap().to_vec()
}

/// Whether this device imports anything at all.
fn imports(gpu: &Gpu) -> bool {
    let imports = !matches!(gpu.import_dmabuf(&image(&[], LINEAR)), Err(GpuError::NoDmabufs));
    if !imports {
        eprintln!("skipped: {} imports no dma-bufs", gpu.facts());
        assert_eq!(gpu.dmabuf_support(), None, "titles must not be offered what is refused");
    }
    imports
}

#[test]
fn what_another_program_has_drawn_is_shown_and_stays_whole() {
    let gpu = gpu();
    if !imports(&gpu) {
        return;
    }
    let content = bytes();
    let Some(memory) = exported(&gpu, &content) else {
        eprintln!("skipped: {} exports no dma-bufs", gpu.facts());
        return;
    };
    let planes = [DmabufPlane { fd: memory.as_fd(), offset: 0, stride: STRIDE }];
    let imported = gpu.import_dmabuf(&image(&planes, LINEAR)).unwrap();
    assert_eq!((imported.size(), imported.is_opaque()), (SIZE, false));
    let mut compositor = LayerCompositor::new(Arc::clone(&gpu), SIZE.0, SIZE.1).unwrap();
    let layer = GpuLayer {
        content: GpuContent::Dmabuf(&imported),
        source: [0.0, 0.0, f64::from(SIZE.0), f64::from(SIZE.1)],
        target: [0, 0, SIZE.0 as i32, SIZE.1 as i32],
        opaque: false,
    };
    let swapped: Vec<u8> = content.chunks(4).flat_map(|p| [p[2], p[1], p[0], p[3]]).collect();
    // Twice, and in two layers at once: each frame takes the image over and gives it back.
    for layers in [&[layer][..], &[layer, layer]] {
        let frame = compositor.compose(layers).unwrap();
        assert_eq!(read(&gpu, frame), swapped);
    }
    drop(imported);
    assert!(!gpu.is_lost());
}

#[test]
fn what_does_not_fit_its_memory_or_is_not_offered_is_refused() {
    let gpu = gpu();
    if !imports(&gpu) {
        return;
    }
    let Some(memory) = exported(&gpu, &bytes()) else {
        eprintln!("skipped: {} exports no dma-bufs", gpu.facts());
        return;
    };
    let refused = |offset, stride, modifier| {
        let planes = [DmabufPlane { fd: memory.as_fd(), offset, stride }];
        matches!(gpu.import_dmabuf(&image(&planes, modifier)), Err(GpuError::BadDmabuf(_)))
    };
    assert!(refused(0, u32::MAX, LINEAR) && refused(u32::MAX - 3, STRIDE, LINEAR));
    assert!(refused(0, STRIDE * 4096, LINEAR) && refused(0, STRIDE - 4, LINEAR));
    assert!(refused(0, STRIDE, u64::MAX >> 8), "DRM_FORMAT_MOD_INVALID says nothing");
    assert!(!gpu.is_lost());
}

#[test]
fn what_is_no_gpu_memory_is_refused() {
    let gpu = gpu();
    let (pipe, _writer) = std::io::pipe().unwrap();
    let planes = [DmabufPlane { fd: pipe.as_fd(), offset: 0, stride: STRIDE }];
    let error = gpu.import_dmabuf(&image(&planes, LINEAR)).unwrap_err();
    assert!(matches!(error, GpuError::BadDmabuf(_) | GpuError::NoDmabufs), "{error}");
    assert!(!gpu.is_lost());
}

//! What is exported, as CUDA reads it.

mod common;

use common::Clip;
use common::exported::Exported;
use common::stand_in::StandIn;
use nearframe_encode::{CudaReader, NvidiaLibraries, nvenc_devices};
use nearframe_gpu::{
    ColourMatrix, CpuPicture, DeviceUuid, Gpu, GpuConverter, GpuSurface, Layout, Picture, Surface,
};
use std::sync::Arc;

fn on_gpu(surface: &Surface) -> &GpuSurface {
    match surface {
        Surface::Gpu(surface) => surface,
        Surface::Cpu(_) => panic!("it lies in memory of the CPU"),
    }
}

#[test]
fn pictures_are_read_once_they_are_drawn_and_nothing_is_kept() {
    let stand_in = StandIn::new();
    let libraries = stand_in.options().libraries;
    let device = nvenc_devices(&libraries).unwrap()[0].uuid.unwrap();
    let reader = CudaReader::open(&libraries, device).unwrap();
    let size = (320, 192);
    let clip = Clip::of(Layout::Nv12, size.0, size.1);
    for with_timeline in [true, false] {
        let mut ring = Exported::new(device, size, with_timeline);
        for frame in 0..3 {
            let surface = ring.take();
            let picture = clip.draw(frame);
            ring.draw(&picture);
            let read = reader.read(on_gpu(&surface)).unwrap();
            let picture = picture.as_cpu().unwrap();
            let width = size.0 as usize;
            let rows = picture.luma().chunks(width).chain(picture.chroma().chunks(width));
            let stride = read.len() / (size.1 as usize * 3 / 2);
            assert!(read.chunks(stride).map(|row| &row[..width]).eq(rows), "frame {frame}");
        }
    }
    let mut undrawn = Exported::new(device, size, true);
    let why = reader.read(on_gpu(&undrawn.take())).unwrap_err().to_string();
    assert!(why.contains("was not drawn within"), "{why}");
    let elsewhere = CudaReader::open(&libraries, DeviceUuid([7; 16])).unwrap_err().to_string();
    assert!(elsewhere.contains("no NVIDIA GPU of this driver"), "{elsewhere}");
    drop(reader);
    stand_in.assert_clean("what was read");
}

/// Real hardware only: on others CUDA says what it lacks.
#[test]
fn what_vulkan_draws_is_what_cuda_reads_byte_for_byte() {
    let gpu = Gpu::open().expect("a GPU, if only one of software: mesa-vulkan-drivers");
    let reader = match gpu.exports().map(|device| CudaReader::open(&NvidiaLibraries::default(), device)) {
        Ok(Ok(reader)) => reader,
        Ok(Err(why)) => return eprintln!("skipped on {}: {why}", gpu.facts()),
        Err(why) => return eprintln!("skipped on {}: {why}", gpu.facts()),
    };
    let data: Vec<u8> =
        (0..640 * 360 * 4u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let picture = CpuPicture { width: 640, height: 360, stride: 2560, data: &data };
    for layout in [Layout::Nv12, Layout::P010, Layout::Yuv444] {
        let mut converter =
            GpuConverter::new(Arc::clone(&gpu), layout, ColourMatrix::Bt709, 640, 360).unwrap();
        for _ in 0..6 {
            let surface = converter.convert(&Picture::Cpu(picture)).unwrap().unwrap();
            assert!(reader.read(&surface).unwrap() == converter.read_back(&surface).unwrap(), "{layout:?}");
        }
    }
}

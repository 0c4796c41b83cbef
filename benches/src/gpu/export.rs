//! Exported frames as another device reads them, byte by byte.

use super::{SIZES, texture};
use crate::report::{Report, Spec, higher, lower};
use anyhow::Context;
use nearframe_encode::{CudaReader, NvidiaLibraries};
use nearframe_gpu::{ColourMatrix, Gpu, GpuConverter, GpuSurface, Layout, PeerDevice, Picture};
use std::sync::Arc;
use std::time::Instant;

/// Bytes that another Vulkan device reads otherwise than they were written.
const MISMATCHES: Spec = lower("export_mismatches", "bytes", Some(0.0));
/// Import, wait, copy and comparison together.
const VERIFIED: Spec = higher("export_verified_mb_per_s", "MB/s", None);

/// The same as CUDA reads it.
const CUDA_MISMATCHES: Spec = lower("export_cuda_mismatches", "bytes", Some(0.0));
const CUDA_VERIFIED: Spec = higher("export_cuda_verified_mb_per_s", "MB/s", None);

pub(super) fn run(report: &mut Report, gpu: &Arc<Gpu>) {
    let read_by_vulkan = || -> anyhow::Result<_> {
        let peer = PeerDevice::open(Arc::clone(gpu))?;
        compare(gpu, |surface| Ok(peer.read(surface)?))
    };
    match read_by_vulkan() {
        Ok(compared) => {
            report.add(MISMATCHES, Some(compared.mismatches as f64), "");
            report.add(VERIFIED, Some(compared.mb_per_s()), "nothing was read");
        }
        Err(error) => skip_vulkan(report, &format!("{error:#}")),
    }
    let read_by_cuda = || -> anyhow::Result<_> {
        let reader = CudaReader::open(&NvidiaLibraries::default(), gpu.exports()?)?;
        compare(gpu, |surface| Ok(reader.read(surface)?))
    };
    match read_by_cuda() {
        Ok(compared) => {
            report.add(CUDA_MISMATCHES, Some(compared.mismatches as f64), "");
            report.add(CUDA_VERIFIED, Some(compared.mb_per_s()), "nothing was read");
        }
        Err(error) => skip_cuda(report, &format!("{error:#}")),
    }
}

pub(super) fn skip(report: &mut Report, why: &str) {
    skip_vulkan(report, why);
    skip_cuda(report, why);
}

fn skip_vulkan(report: &mut Report, why: &str) {
    report.skip(MISMATCHES, why);
    report.skip(VERIFIED, why);
}

fn skip_cuda(report: &mut Report, why: &str) {
    report.skip(CUDA_MISMATCHES, why);
    report.skip(CUDA_VERIFIED, why);
}

/// What a reader found, and the seconds that it took.
#[derive(Default)]
struct Compared {
    mismatches: usize,
    bytes: usize,
    seconds: f64,
}

impl Compared {
    fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / self.seconds.max(f64::MIN_POSITIVE) / 1e6
    }
}

fn compare(
    gpu: &Arc<Gpu>,
    read: impl Fn(&GpuSurface) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Compared> {
    let mut compared = Compared::default();
    for (_, width, height) in SIZES {
        let picture = texture(gpu, wgpu::TextureFormat::Rgba8Unorm, width, height);
        for layout in [Layout::Nv12, Layout::P010, Layout::Yuv444] {
            let mut converter =
                GpuConverter::new(Arc::clone(gpu), layout, ColourMatrix::Bt709, width, height)?;
            let surface = converter.convert(&Picture::Gpu(&picture))?.context("no slot is free")?;
            let start = Instant::now();
            let theirs = read(&surface)?;
            compared.seconds += start.elapsed().as_secs_f64();
            let ours = converter.read_back(&surface)?;
            compared.bytes += theirs.len();
            compared.mismatches += ours.len().abs_diff(theirs.len());
            compared.mismatches += ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        }
    }
    Ok(compared)
}

//! Exported frames as another device reads them, byte by byte.

use super::{SIZES, texture};
use crate::report::{Report, Spec, higher, lower};
use nearframe_gpu::{ColourMatrix, Gpu, GpuConverter, GpuError, Layout, PeerDevice, Picture};
use std::sync::Arc;
use std::time::Instant;

/// Bytes that another Vulkan device reads otherwise than they were written.
const MISMATCHES: Spec = lower("export_mismatches", "bytes", Some(0.0));
/// Import, wait, copy and comparison together.
const VERIFIED: Spec = higher("export_verified_mb_per_s", "MB/s", None);

pub(super) fn run(report: &mut Report, gpu: &Arc<Gpu>) {
    match compare(gpu) {
        Ok((mismatches, bytes, seconds)) => {
            report.add(MISMATCHES, Some(mismatches as f64), "");
            report.add(VERIFIED, Some(bytes as f64 / seconds / 1e6), "nothing was read");
        }
        Err(error) => skip(report, &error.to_string()),
    }
}

pub(super) fn skip(report: &mut Report, why: &str) {
    report.skip(MISMATCHES, why);
    report.skip(VERIFIED, why);
}

/// Mismatches, bytes, and seconds that the other device took.
fn compare(gpu: &Arc<Gpu>) -> Result<(usize, usize, f64), GpuError> {
    let peer = PeerDevice::open(Arc::clone(gpu))?;
    let (mut mismatches, mut bytes, mut seconds) = (0, 0, 0.0);
    for (_, width, height) in SIZES {
        let picture = texture(gpu, width, height);
        for layout in [Layout::Nv12, Layout::P010, Layout::Yuv444] {
            let mut converter =
                GpuConverter::new(Arc::clone(gpu), layout, ColourMatrix::Bt709, width, height)?;
            let all_in_use = || GpuError::NoExport("no slot is free".to_owned());
            let surface = converter.convert(&Picture::Gpu(&picture))?.ok_or_else(all_in_use)?;
            let start = Instant::now();
            let theirs = peer.read(&surface)?;
            seconds += start.elapsed().as_secs_f64();
            let ours = converter.read_back(&surface)?;
            bytes += theirs.len();
            mismatches += ours.len().abs_diff(theirs.len());
            mismatches += ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        }
    }
    Ok((mismatches, bytes, seconds))
}

//! Scaling and colour conversion, against copies by the same processor.

use super::{ROUNDS, SIZES, is_hardware, median_ms, named, noise, texture};
use crate::report::{Better, Report, Spec, higher, lower};
use nearframe_gpu::{
    ColourMatrix, Conversion, Converter, CpuPicture, Gpu, GpuConverter, GpuError, Hdr10Picture, Hdr10Pixels,
    Layout, Picture,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// The CPU's way, worst of all sizes, against a plain copy of the same picture.
const MEMCPY_RATIO: Spec = lower("convert_memcpy_ratio", "", Some(1.4));
/// The GPU's way at 2160p: bytes read and written a second, against the device's own copy.
const SHARE: &str = "convert_bandwidth_share";
const SHARE_GOAL: f64 = 0.5;
const COPY: Spec = higher("gpu_copy_gb_per_s", "GB/s", None);
/// From a 1080p texture to samples in CPU memory.
const READBACK: Spec = lower("readback_ms", "ms", None);
/// Of pictures in HDR10.
const PEAK_NITS: u16 = 1000;
/// Bytes of a pixel that a conversion to NV12 reads and writes.
const BYTES_PER_PIXEL: f64 = 4.0 + 1.5;
/// A copy that no cache holds.
const COPY_BYTES: u64 = 256 << 20;
/// A software adapter's copies are in cache or slow; the same bytes as a 2160p conversion are fair there.
const SOFTWARE_COPY_BYTES: u64 = 48 << 20;

fn share(hardware: bool) -> Spec {
    higher(SHARE, "", hardware.then_some(SHARE_GOAL))
}

/// A picture in CPU memory into I420, as OpenH264 takes it.
pub(super) fn on_cpu(report: &mut Report) {
    let mut worst = None::<f64>;
    let mut failed = String::new();
    for (name, width, height) in SIZES {
        match cpu_size(width, height) {
            Ok((converted_ms, copied_ms)) => {
                let figure = named(format!("cpu_convert_{name}_ms"), "ms", None, Better::Lower);
                report.add(figure, Some(converted_ms), "");
                let ratio = converted_ms / copied_ms;
                worst = Some(worst.map_or(ratio, |before| before.max(ratio)));
            }
            Err(error) => failed = error.to_string(),
        }
    }
    report.add(MEMCPY_RATIO, worst, &failed);
    for (name, width, height) in SIZES {
        let figure = named(format!("cpu_tone_map_{name}_ms"), "ms", None, Better::Lower);
        match tone_mapped(width, height) {
            Ok(ms) => report.add(figure, Some(ms), ""),
            Err(error) => report.skip(figure, &error.to_string()),
        }
    }
}

/// Milliseconds of bringing a picture in HDR10 into I420.
fn tone_mapped(width: u32, height: u32) -> Result<f64, GpuError> {
    let data = noise(width, height);
    let mut converter = Converter::new(None, Layout::I420, width, height)?;
    let pixels = Hdr10Pixels::Cpu(CpuPicture { width, height, stride: 4 * width, data: &data });
    let picture = Picture::Hdr10(Hdr10Picture { pixels, peak_nits: PEAK_NITS });
    median_ms(|| converter.convert(&picture).map(|surface| drop(black_box(surface))))
}

/// Milliseconds of a conversion and of a copy, in turns so that both see the same machine.
fn cpu_size(width: u32, height: u32) -> Result<(f64, f64), GpuError> {
    let pixels = noise(width, height);
    let mut copy = vec![0; pixels.len()];
    let mut converter = Converter::new(None, Layout::I420, width, height)?;
    let picture = Picture::Cpu(CpuPicture { width, height, stride: 4 * width, data: &pixels });
    let copied = median_ms(|| {
        copy.copy_from_slice(black_box(&pixels));
        black_box(&mut copy);
        Ok::<_, GpuError>(())
    })?;
    let converted = median_ms(|| converter.convert(&picture).map(|surface| drop(black_box(surface))))?;
    Ok((converted, copied))
}

/// A picture on the GPU into an exported slot, by the GPU's clock.
pub(super) fn on_gpu(report: &mut Report, gpu: &Arc<Gpu>) {
    let share = share(is_hardware(gpu));
    let copied = match copy_bytes_per_s(gpu) {
        Ok(copied) => copied,
        Err(why) => {
            report.skip(COPY, &why);
            report.skip(share, &why);
            return;
        }
    };
    report.add(COPY, Some(copied / 1e9), "");
    let mut newest = Err("no size was measured".to_owned());
    for (name, width, height) in SIZES {
        for (layout, suffix) in [(Layout::Nv12, ""), (Layout::P010, "_p010"), (Layout::Yuv444, "_yuv444")] {
            let convert = named(format!("gpu_convert_{name}{suffix}_ms"), "ms", None, Better::Lower);
            let measured = gpu_size(gpu, layout, width, height);
            match &measured {
                Ok(times) => report.add(convert, Some(ms(times.convert)), ""),
                Err(why) => report.skip(convert, why),
            }
            if layout != Layout::Nv12 {
                continue;
            }
            let composite = named(format!("gpu_composite_{name}_ms"), "ms", None, Better::Lower);
            match &measured {
                Ok(times) => report.add(composite, Some(ms(times.composite)), ""),
                Err(why) => report.skip(composite, why),
            }
            let pixels = f64::from(width) * f64::from(height);
            newest = measured.map(|times| pixels * BYTES_PER_PIXEL / times.convert.as_secs_f64() / copied);
            let figure = named(format!("gpu_tone_map_{name}_ms"), "ms", None, Better::Lower);
            match gpu_tone_mapped(gpu, width, height) {
                Ok(time) => report.add(figure, Some(ms(time)), ""),
                Err(why) => report.skip(figure, &why),
            }
        }
    }
    match newest {
        Ok(reached) => report.add(share, Some(reached), "the GPU's clock did not move"),
        Err(why) => report.skip(share, &why),
    }
}

/// Bytes a second that the device reads and writes while it copies.
fn copy_bytes_per_s(gpu: &Arc<Gpu>) -> Result<f64, String> {
    let most = gpu.device().limits().max_buffer_size;
    let bytes = if is_hardware(gpu) { COPY_BYTES } else { SOFTWARE_COPY_BYTES }.min(most);
    let time = gpu.time_copy(bytes, ROUNDS).map_err(|error| error.to_string())?;
    let time = time.ok_or_else(|| "this adapter has no timestamps".to_owned())?;
    if time.is_zero() {
        return Err("the GPU's clock did not move during a copy".to_owned());
    }
    Ok(2.0 * bytes as f64 / time.as_secs_f64())
}

/// Composite from a picture of another size, and conversion.
fn gpu_size(
    gpu: &Arc<Gpu>,
    layout: Layout,
    width: u32,
    height: u32,
) -> Result<nearframe_gpu::GpuTimes, String> {
    let other = texture(gpu, wgpu::TextureFormat::Rgba8Unorm, width * 3 / 4, height * 3 / 4);
    let mut converter = GpuConverter::new(Arc::clone(gpu), layout, ColourMatrix::Bt709, width, height)
        .map_err(|error| error.to_string())?;
    let times = converter.time(&Picture::Gpu(&other), ROUNDS).map_err(|error| error.to_string())?;
    times.ok_or_else(|| "this adapter has no timestamps".to_owned())
}

/// Conversion of a picture in HDR10 into 8 bits.
fn gpu_tone_mapped(gpu: &Arc<Gpu>, width: u32, height: u32) -> Result<Duration, String> {
    let noise = texture(gpu, wgpu::TextureFormat::Rgb10a2Unorm, width, height);
    let (layout, matrix) = (Layout::Nv12, ColourMatrix::Bt709);
    let converter = GpuConverter::new(Arc::clone(gpu), layout, matrix, width, height);
    let picture = Hdr10Picture { pixels: Hdr10Pixels::Gpu(&noise), peak_nits: PEAK_NITS };
    let times = converter.and_then(|mut converter| converter.time(&Picture::Hdr10(picture), ROUNDS));
    let times = times.map_err(|error| error.to_string())?;
    times.map(|times| times.convert).ok_or_else(|| "this adapter has no timestamps".to_owned())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The way without exported memory.
pub(super) fn readback(report: &mut Report, gpu: &Arc<Gpu>) {
    let (_, width, height) = SIZES[1];
    let picture = texture(gpu, wgpu::TextureFormat::Rgba8Unorm, width, height);
    let measured = || {
        let conversion = if is_hardware(gpu) { Conversion::Shader } else { Conversion::Simd };
        let mut converter =
            Converter::with_conversion(Arc::clone(gpu), Layout::I420, width, height, conversion)?;
        median_ms(|| converter.convert(&Picture::Gpu(&picture)).map(|surface| drop(black_box(surface))))
    };
    match measured() {
        Ok(ms) => report.add(READBACK, Some(ms), ""),
        Err(error) => report.skip(READBACK, &error.to_string()),
    }
}

/// Says why nothing on the GPU was measured.
pub(super) fn skip_gpu(report: &mut Report, why: &str) {
    for spec in [share(false), COPY, READBACK] {
        report.skip(spec, why);
    }
}

//! RGB to 4:2:0 at 1280×720, against a plain copy of the same picture.

use super::seconds_per_unit;
use crate::report::{Report, Spec, lower};
use nearframe_gpu::{Conversion, Converter, CpuPicture, Gpu, Layout, Picture};
use std::hint::black_box;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const FRAMES: usize = 20;

const CPU: Spec = lower("convert_cpu_picture_ms", "ms", None);
const CPU_RATIO: Spec = lower("convert_cpu_picture_copy_ratio", "", None);
const SIMD: Spec = lower("convert_texture_simd_ms", "ms", None);
const SHADER: Spec = lower("convert_texture_shader_ms", "ms", None);
const TEXTURE_RATIO: Spec = lower("convert_texture_copy_ratio", "", None);

pub(super) fn run(report: &mut Report) {
    let pixels: Vec<u8> =
        (0..WIDTH as usize * HEIGHT as usize * 4).map(|i| ((i * 2_654_435_761) >> 11) as u8).collect();
    let mut copy = vec![0; pixels.len()];
    let copied = seconds_per_unit(|| {
        for _ in 0..FRAMES {
            copy.copy_from_slice(black_box(&pixels));
            black_box(&mut copy);
        }
        FRAMES
    });
    let ratio = |seconds: Option<f64>| Some(seconds? / copied?);

    let picture = Picture::Cpu(CpuPicture { width: WIDTH, height: HEIGHT, stride: WIDTH * 4, data: &pixels });
    match Converter::new(None, Layout::I420, WIDTH, HEIGHT) {
        Ok(mut converter) => {
            let seconds = time(&mut converter, &picture);
            report.add(CPU, seconds.map(|s| s * 1000.0), "the converter failed");
            report.add(CPU_RATIO, ratio(seconds), "the converter failed");
        }
        Err(error) => report.skip(CPU, &error.to_string()),
    }
    if let Err(why) = texture(report, ratio) {
        for spec in [SIMD, SHADER, TEXTURE_RATIO] {
            report.skip(spec, &why);
        }
    }
}

/// A picture in GPU memory goes the way that the converter found faster on this adapter.
fn texture(report: &mut Report, ratio: impl Fn(Option<f64>) -> Option<f64>) -> Result<(), String> {
    let gpu = Gpu::open().map_err(|error| error.to_string())?;
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: Some("bench picture"),
        size: wgpu::Extent3d { width: WIDTH, height: HEIGHT, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Bgra8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let mut converter =
        Converter::new(Some(gpu), Layout::I420, WIDTH, HEIGHT).map_err(|error| error.to_string())?;
    let (chosen, other) = match converter.conversion() {
        Conversion::Simd => (SIMD, SHADER),
        Conversion::Shader => (SHADER, SIMD),
    };
    let seconds = time(&mut converter, &Picture::Gpu(&texture));
    report.add(chosen, seconds.map(|s| s * 1000.0), "the converter failed");
    report.skip(other, &format!("the converter chose {} on this adapter", converter.conversion()));
    report.add(TEXTURE_RATIO, ratio(seconds), "the converter failed");
    Ok(())
}

fn time(converter: &mut Converter, picture: &Picture<'_>) -> Option<f64> {
    let mut failed = false;
    let seconds = seconds_per_unit(|| {
        for _ in 0..FRAMES {
            failed |= !matches!(black_box(converter.convert(picture)), Ok(Some(_)));
        }
        FRAMES
    });
    if failed { None } else { seconds }
}

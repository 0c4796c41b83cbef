//! `nearframe-bench gpu`: what this machine's GPU and encoders do with frames.
//!
//! Reads nothing but this program itself, so that one file can be carried to a machine with a GPU. Each part is
//! by itself: what a machine lacks is skipped with the reason.

mod conversion;
mod encoders;
mod export;
mod recovery;

use crate::quantile::median;
use crate::report::{Better, Report, Spec};
use nearframe_gpu::{AdapterKind, Gpu};
use std::sync::Arc;
use std::time::Instant;

/// Sizes that are measured, by the name that they have in figures.
const SIZES: [(&str, u32, u32); 4] =
    [("720p", 1280, 720), ("1080p", 1920, 1080), ("1440p", 2560, 1440), ("2160p", 3840, 2160)];
/// Rounds whose median counts.
const ROUNDS: usize = 15;

/// Runs all parts.
pub(crate) fn run(report: &mut Report) {
    for facts in nearframe_gpu::adapters() {
        report.fact("adapter", format!("{facts}, {}", facts.driver));
    }
    conversion::on_cpu(report);
    match Gpu::open() {
        Ok(gpu) => {
            let memory = gpu
                .memory_bytes()
                .map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
            report.fact("measured_on", format!("{}, {}, memory {memory}", gpu.facts(), gpu.facts().driver));
            if let Err(why) = gpu.exports() {
                report.fact("measured_on", why.to_string());
            }
            conversion::on_gpu(report, &gpu);
            conversion::readback(report, &gpu);
            export::run(report, &gpu);
        }
        Err(error) => {
            let why = error.to_string();
            conversion::skip_gpu(report, &why);
            export::skip(report, &why);
        }
    }
    encoders::run(report);
    recovery::run(report);
}

/// A figure for each size or encoder. Names live as long as the program, of which there are a few dozen.
fn named(name: String, unit: &'static str, goal: Option<f64>, better: Better) -> Spec {
    Spec { name: Box::leak(name.into_boxed_str()), unit, goal, better }
}

fn is_hardware(gpu: &Gpu) -> bool {
    gpu.facts().kind != AdapterKind::Software
}

/// The median time of `work` in ms; the first round warms up.
fn median_ms<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    work()?;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(&times).unwrap_or_default())
}

/// Noise: what no cache and no compression makes cheaper.
fn noise(width: u32, height: u32) -> Vec<u8> {
    (0..width as usize * height as usize * 4).map(|i| ((i * 2_654_435_761) >> 11) as u8).collect()
}

/// Noise on the GPU, four bytes a pixel.
fn texture(gpu: &Arc<Gpu>, format: wgpu::TextureFormat, width: u32, height: u32) -> wgpu::Texture {
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: Some("bench picture"),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING
            | wgpu::TextureUsages::COPY_SRC
            | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let rows =
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * width), rows_per_image: None };
    gpu.queue().write_texture(texture.as_image_copy(), &noise(width, height), rows, texture.size());
    texture
}

//! What encoding a frame takes, by encoder, codec and size.

use super::{SIZES, named};
use crate::quantile::quantile;
use crate::report::{Better, Report, Spec, lower};
use anyhow::{Context, Result};
use nearframe_encode::{
    Codec, FrameRequest, VideoBackend, VideoPreference, VideoSettings, open_video, video_backends,
};
use nearframe_gpu::{ColourMatrix, Converter, Gpu, GpuConverter, Picture, Surface};
use nearframe_protocol::title::TitleManifest;
use nearframe_title::{FrameTick, TitleFailure};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Of the best encoder at 1080p.
const P50: Spec = lower("encode_p50_ms", "ms", None);
const P99: Spec = lower("encode_p99_ms", "ms", None);
const HEADLINE: &str = "1080p";
/// Enough for a 99th percentile that is not the worst frame alone.
const FRAMES: u32 = 240;
/// Not counted: the first frames fill caches and are keyframes.
const WARM_UP_FRAMES: u32 = 20;
const FPS: u32 = 60;
/// Of 1080p; other sizes by their pixels.
const BITRATE_BPS: u64 = 15_000_000;

pub(super) fn run(report: &mut Report) {
    let mut headline = None;
    for facts in video_backends() {
        let name = format!("{:?}", facts.backend).to_lowercase();
        let can = match facts.state {
            Ok(can) => can,
            Err(why) => {
                report.fact("encoder", format!("{name}: {why}"));
                continue;
            }
        };
        report.fact("encoder", format!("{name}: {} ({})", can.name, can.codec));
        for codec in Codec::ALL {
            measure_codec(report, facts.backend, codec, &name, &mut headline);
        }
    }
    let (p50, p99) = headline.unzip();
    report.add(P50, p50, "no encoder opens for H.264 at 1080p");
    report.add(P99, p99, "no encoder opens for H.264 at 1080p");
}

fn measure_codec(
    report: &mut Report,
    backend: VideoBackend,
    codec: Codec,
    name: &str,
    headline: &mut Option<(f64, f64)>,
) {
    for (size, width, height) in SIZES {
        let codec_name = format!("{codec:?}").to_lowercase();
        let figure = |which: &str| {
            named(format!("encode_{name}_{codec_name}_{size}_{which}_ms"), "ms", None, Better::Lower)
        };
        match measure(backend, codec, width, height) {
            Ok(times_ms) => {
                let (p50, p99) = (quantile(&times_ms, 0.5), quantile(&times_ms, 0.99));
                report.add(figure("p50"), p50, "no frame was encoded");
                report.add(figure("p99"), p99, "no frame was encoded");
                if size == HEADLINE && codec == Codec::H264 && headline.is_none() {
                    *headline = p50.zip(p99);
                }
            }
            Err(error) => report.skip(figure("p50"), &format!("{error:#}")),
        }
    }
}

/// Milliseconds of each frame: from the surface to the access unit.
fn measure(backend: VideoBackend, codec: Codec, width: u32, height: u32) -> Result<Vec<f64>> {
    let bitrate_bps = u32::try_from(BITRATE_BPS * u64::from(width) * u64::from(height) / (1920 * 1080))?;
    let settings = VideoSettings { codec, width, height, fps: FPS, bitrate_bps };
    let mut encoder = open_video(settings, VideoPreference::Only(backend))?;
    let mut source = Source::new(&encoder.capabilities().clone(), width, height)?;
    let mut times = Vec::with_capacity(FRAMES as usize);
    for frame in 0..WARM_UP_FRAMES + FRAMES {
        let surface = source.next(frame)?;
        let at = Duration::from_secs(1) / FPS * frame;
        let request = FrameRequest { frame, at, keyframe: frame == 0, budget_bytes: None };
        let unit = encoder.encode(&surface, request)?;
        if let Some(unit) = unit.filter(|_| frame >= WARM_UP_FRAMES) {
            times.push(unit.encode_time.as_secs_f64() * 1000.0);
        }
    }
    Ok(times)
}

/// The moving testcard, converted as the encoder takes it.
struct Source {
    title: Box<dyn nearframe_title::TitleSource>,
    converter: Way,
}

enum Way {
    Cpu(Box<Converter>),
    Gpu(Box<GpuConverter>),
}

impl Source {
    fn new(encoder: &nearframe_encode::Capabilities, width: u32, height: u32) -> Result<Self> {
        let wide = encoder.codec == Codec::Hevc10;
        let matrix = if wide { ColourMatrix::Bt2020 } else { ColourMatrix::Bt709 };
        let manifest = TitleManifest::parse(&format!(
            "id = \"bench\"\nname = \"Bench\"\nversion = \"1\"\n[run]\nkind = \"builtin\"\n\
             builtin = \"testcard\"\nwidth = {width}\nheight = {height}\n{}",
            if wide { "hdr = {}\n" } else { "" }
        ))
        .context("the bench's manifest")?;
        let no_gpu = || Err(TitleFailure("the testcard needs no GPU".to_owned()));
        let title = nearframe_title::open(&manifest, Path::new("."), 1, None, &no_gpu)?;
        let on_gpu = encoder.device.and_then(|device| {
            let gpu = Gpu::open().ok().filter(|gpu| gpu.exports().ok() == Some(device))?;
            GpuConverter::new(Arc::clone(&gpu), encoder.layout, matrix, width, height).ok()
        });
        let converter = match on_gpu {
            Some(converter) => Way::Gpu(Box::new(converter)),
            None => Way::Cpu(Box::new(Converter::new(None, encoder.layout, width, height)?)),
        };
        Ok(Self { title, converter })
    }

    fn next(&mut self, frame: u32) -> Result<Surface> {
        let now_us = u64::from(frame) * 1_000_000 / u64::from(FPS);
        let drawn = self.title.draw(FrameTick { frame, now_us, input_serial: 0 })?;
        let picture: Picture<'_> = drawn.picture;
        let surface = match &mut self.converter {
            Way::Cpu(converter) => converter.convert(&picture)?,
            Way::Gpu(converter) => {
                let surface = converter.convert(&picture)?;
                converter.wait()?;
                surface.map(Surface::from)
            }
        };
        surface.context("the encoder holds every frame")
    }
}

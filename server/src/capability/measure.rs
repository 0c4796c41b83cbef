//! Trying everything once, within seconds.

use super::{Machine, sessions};
use crate::worker::Frames;
use nearframe_encode::{
    Codec, EncodeError, FrameRequest, VideoBackend, VideoEncoder, VideoOptions, VideoSettings, open_backend,
};
use nearframe_gpu::{
    AdapterFacts, ColourMatrix, Converter, CpuPicture, Gpu, GpuConverter, GpuError, Hdr10Picture,
    Hdr10Pixels, Layout, Picture,
};
use nearframe_protocol::capability::{
    AdapterCapability, Capability, ConversionCapability, EncoderCapability, Missing, fitting,
};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Sizes that sessions have, in pixels.
const SIZES: [(u16, u16); 3] = [(1280, 720), (1920, 1080), (3840, 2160)];
/// Frames whose median counts, after two that warm up: few, because a software encoder takes 50 ms for one.
const FRAMES: u32 = 5;
const WARM_UP_FRAMES: u32 = 2;
const FPS: u32 = 60;
/// Encoders of one kind are opened until one is refused, at most this many.
const MOST_SESSIONS: usize = 12;
/// Of 1080p; other sizes by their pixels.
const BITRATE_BPS: u64 = 15_000_000;
/// Of pictures in HDR10; nothing is tone-mapped by it here.
const PEAK_NITS: u16 = 1000;

/// Tries everything that `machine` has. Takes a few seconds of one processor.
pub fn measure(machine: &Machine) -> Capability {
    let mut capability = Capability {
        measured_at_ms: unix_ms(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        sessions: sessions::fitting_here(&machine.video),
        ..Capability::default()
    };
    conversions_on_cpu(&mut capability);
    let gpu = Gpu::open();
    adapters(machine, &gpu, &mut capability);
    encoders(machine, gpu.ok().as_ref(), &mut capability);
    capability
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn missing(capability: &mut Capability, what: &str, why: &str) {
    capability.missing.push(Missing { what: text(what), why: text(why) });
}

/// What a driver says, on one line and no longer than a report has room for.
fn text(words: &str) -> String {
    fitting(&words.replace(char::is_control, " ")).to_owned()
}

fn adapters(machine: &Machine, opened: &Result<Arc<Gpu>, GpuError>, capability: &mut Capability) {
    match opened {
        Ok(gpu) => {
            if let Err(error) = gpu.exports() {
                missing(capability, "frames without a copy", &error.to_string());
            }
            conversions_on(gpu, capability);
        }
        Err(error) => missing(capability, "GPU", &error.to_string()),
    }
    // Only the best adapter is opened: sessions use no other.
    let best = opened.as_ref().ok();
    for facts in &machine.adapters {
        let gpu = best.filter(|gpu| gpu.facts() == facts);
        capability.adapters.push(adapter(facts, gpu));
    }
}

fn adapter(facts: &AdapterFacts, gpu: Option<&Arc<Gpu>>) -> AdapterCapability {
    let memory_mib = gpu.and_then(|gpu| gpu.memory_bytes()).map_or(0, |bytes| bytes >> 20);
    AdapterCapability {
        name: text(&facts.name),
        kind: facts.kind.to_string(),
        driver: text(&facts.driver),
        memory_mib: u32::try_from(memory_mib).unwrap_or(u32::MAX),
        exports: gpu.is_some_and(|gpu| gpu.exports().is_ok()),
    }
}

/// Slopes with an edge every 24 pixels, about as busy as a game's picture: noise would take an encoder several times as long.
fn picture(width: u16, height: u16) -> Vec<u8> {
    let (wide, high) = (usize::from(width), usize::from(height));
    let mut data = Vec::with_capacity(wide * high * 4);
    for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
        let tile = ((x / 24) ^ (y / 24)) * 37;
        data.extend([(x * 255 / wide) as u8, (y * 255 / high) as u8, tile as u8, 255]);
    }
    data
}

/// The same in HDR10: three times ten bits a word.
fn ten_bits(bgra: &[u8]) -> Vec<u8> {
    let word = |&[b, g, r, _]: &[u8; 4]| {
        let [r, g, b] = [r, g, b].map(|level| u32::from(level) << 2);
        (r | g << 10 | b << 20 | 3 << 30).to_le_bytes()
    };
    bgra.as_chunks::<4>().0.iter().flat_map(word).collect()
}

fn conversions_on_cpu(capability: &mut Capability) {
    for (width, height) in SIZES {
        let data = picture(width, height);
        let (wide, high) = (u32::from(width), u32::from(height));
        let picture = CpuPicture { width: wide, height: high, stride: 4 * wide, data: &data };
        let measured = Converter::new(None, Layout::I420, wide, high)
            .and_then(|mut converter| median_us(|| converter.convert(&Picture::Cpu(picture)).map(drop)));
        note(capability, "cpu", (width, height), measured);
    }
}

/// Into exported memory where the adapter exports, else read back: as sessions have it.
fn conversions_on(gpu: &Arc<Gpu>, capability: &mut Capability) {
    for (width, height) in SIZES {
        let (wide, high) = (u32::from(width), u32::from(height));
        let texture = gpu.blank_picture(wide, high);
        let matrix = ColourMatrix::Bt709;
        let measured = match GpuConverter::new(Arc::clone(gpu), Layout::Nv12, matrix, wide, high) {
            Ok(mut converter) => median_us(|| {
                let surface = converter.convert(&Picture::Gpu(&texture))?;
                converter.wait()?;
                drop(surface);
                Ok(())
            }),
            Err(GpuError::NoExport(_)) => Converter::new(Some(Arc::clone(gpu)), Layout::I420, wide, high)
                .and_then(|mut converter| median_us(|| converter.convert(&Picture::Gpu(&texture)).map(drop))),
            Err(error) => Err(error),
        };
        note(capability, &gpu.facts().name, (width, height), measured);
    }
}

fn note(capability: &mut Capability, on: &str, (width, height): (u16, u16), measured: Result<u32, GpuError>) {
    match measured {
        Ok(frame_us) => {
            let adapter = text(on);
            capability.conversions.push(ConversionCapability { adapter, width, height, frame_us });
        }
        Err(error) => {
            missing(capability, &format!("conversion at {width}×{height} on {on}"), &error.to_string());
        }
    }
}

fn encoders(machine: &Machine, gpu: Option<&Arc<Gpu>>, capability: &mut Capability) {
    // As sessions have it: the encoder beside the pictures, which reach it without a copy where they can.
    let near = gpu.and_then(|gpu| gpu.exports().ok());
    let video = VideoOptions { near, ..machine.video.clone() };

    for facts in &machine.encoders {
        let name = format!("{:?}", facts.backend);
        match &facts.state {
            Err(why) => missing(capability, &name, why),
            Ok(_) => {
                for codec in Codec::ALL {
                    encoder(capability, &video, gpu, facts.backend, codec);
                }
            }
        }
    }
}

fn encoder(
    capability: &mut Capability,
    video: &VideoOptions,
    gpu: Option<&Arc<Gpu>>,
    backend: VideoBackend,
    codec: Codec,
) {
    let most = sessions_at_once(video, backend, codec);
    for (width, height) in SIZES {
        let settings = settings(codec, width, height);
        match encode(settings, video, gpu, backend) {
            Ok((name, frame_us)) => capability.encoders.push(EncoderCapability {
                name: name.to_owned(),
                codec: codec.to_string(),
                width,
                height,
                frame_us,
                sessions: most,
            }),
            // A codec or size that the encoder does not do is no defect of the machine.
            Err(EncodeError::Unsupported { .. }) => {}
            Err(error) => {
                missing(capability, &format!("{backend:?} {codec} {width}×{height}"), &error.to_string());
            }
        }
    }
}

fn settings(codec: Codec, width: u16, height: u16) -> VideoSettings {
    let bitrate_bps = BITRATE_BPS * u64::from(width) * u64::from(height) / (1920 * 1080);
    let bitrate_bps = u32::try_from(bitrate_bps).unwrap_or(u32::MAX);
    VideoSettings { codec, width: width.into(), height: height.into(), fps: FPS, bitrate_bps }
}

/// How many stay open beside each other.
fn sessions_at_once(video: &VideoOptions, backend: VideoBackend, codec: Codec) -> u32 {
    let settings = VideoSettings { bitrate_bps: 1_000_000, ..settings(codec, 320, 180) };
    let open = || open_backend(backend, settings, video).ok();
    let opened: Vec<Box<dyn VideoEncoder>> = (0..MOST_SESSIONS).map_while(|_| open()).collect();
    opened.len() as u32
}

/// The encoder's name and the median time of a frame.
fn encode(
    settings: VideoSettings,
    video: &VideoOptions,
    gpu: Option<&Arc<Gpu>>,
    backend: VideoBackend,
) -> Result<(&'static str, u32), EncodeError> {
    let mut encoder = open_backend(backend, settings, video)?;
    let failed = |error: &dyn std::fmt::Display| EncodeError::Backend {
        encoder: "the trial",
        doing: "converting",
        detail: error.to_string(),
    };
    let name = encoder.capabilities().name;
    let VideoSettings { width, height, .. } = settings;
    let frames = Frames::new(gpu.cloned(), encoder.capabilities(), width, height);
    let mut frames = frames.map_err(|error| failed(&error))?;
    let wide = settings.codec == Codec::Hevc10;
    let mut data = picture(width as u16, height as u16);
    let mut times = Vec::new();
    for frame in 0..WARM_UP_FRAMES + FRAMES {
        // A band that moves, so that there is something to predict.
        let row = 4 * width as usize;
        data.rotate_right(row * 4);
        let words = wide.then(|| ten_bits(&data));
        let data = words.as_deref().unwrap_or(&data);
        let picture = CpuPicture { width, height, stride: 4 * width, data };
        let picture = if wide {
            Picture::Hdr10(Hdr10Picture { pixels: Hdr10Pixels::Cpu(picture), peak_nits: PEAK_NITS })
        } else {
            Picture::Cpu(picture)
        };
        let converted = frames.convert(&picture).map_err(|error| failed(&error))?;
        let Some(surface) = converted else { return Err(failed(&"no surface is free")) };
        let at = Duration::from_secs(1) / FPS * frame;
        let request = FrameRequest { frame, at, keyframe: frame == 0, budget_bytes: None };
        let start = Instant::now();
        encoder.encode(&surface, request)?;
        if frame >= WARM_UP_FRAMES {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok((name, u32::try_from(median.as_micros()).unwrap_or(u32::MAX)))
}

fn median_us(mut work: impl FnMut() -> Result<(), GpuError>) -> Result<u32, GpuError> {
    let mut times = Vec::new();
    for frame in 0..WARM_UP_FRAMES + FRAMES {
        let start = Instant::now();
        work()?;
        if frame >= WARM_UP_FRAMES {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(u32::try_from(median.as_micros()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_here_is_measured_and_the_rest_has_a_reason() {
        let machine = Machine::look(&VideoOptions::default());
        let capability = measure(&machine);
        capability.check().unwrap();
        assert_eq!(capability.adapters.len(), machine.adapters.len());
        let on_cpu = capability.conversions.iter().filter(|conversion| conversion.adapter == "cpu");
        assert!(on_cpu.count() == SIZES.len() && capability.conversions.iter().all(|one| one.frame_us > 0));
        let h264 =
            capability.encoders.iter().find(|one| one.name == "OpenH264" && one.width == 1280).unwrap();
        assert!(h264.frame_us > 0 && h264.sessions >= 1 && h264.codec == "H.264");
        for facts in machine.encoders.iter().filter(|facts| facts.state.is_err()) {
            let name = format!("{:?}", facts.backend);
            assert!(capability.missing.iter().any(|missing| missing.what == name), "{name}");
        }
        assert!(capability.missing.iter().all(|missing| !missing.why.is_empty()));
    }
}

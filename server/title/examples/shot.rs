//! Plays a title for some frames and saves the last picture: how the covers are made.
//!
//! `cargo run -p nearframe-title --example shot -- TITLE_DIR FRAMES OUT.png [WIDTH HEIGHT [FROM]]`
//!
//! From frame FROM on (default 60; later than FRAMES for the attract screen) it presses fire and sweeps
//! the pointer. Prints the time per frame, drawing and waiting for the GPU, without the first second.

#[path = "../tests/support/mod.rs"]
mod support;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use nearframe_gpu::Picture;
use nearframe_protocol::Seat;
use nearframe_protocol::input::{InputEvent, Key};
use nearframe_title::{FrameTick, TitleSource, catalogue, open};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, frames, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: shot TITLE_DIR FRAMES OUT.png [WIDTH HEIGHT [FROM]]".into());
    };
    let mut title = catalogue::load_title(Path::new(dir))?;
    if let [width, height, ..] = rest {
        (title.manifest.run.width, title.manifest.run.height) = (width.parse()?, height.parse()?);
    }
    let from: u32 = rest.get(2).map_or(Ok(60), |from| from.parse())?;
    let (device, queue) = support::device()?;
    let gpu = || Ok((device.clone(), queue.clone()));
    let mut source = open(&title.manifest, &title.dir, 4, None, &gpu)?;
    let frames: u32 = frames.parse()?;
    let mut times_ms = Vec::new();
    for frame in 0..frames {
        if frame >= from {
            play(&mut *source, frame, from);
        }
        let start = Instant::now();
        source.draw(FrameTick { frame, now_us: u64::from(frame) * 16_667, input_serial: frame })?;
        device.poll(wgpu::PollType::wait_indefinitely())?;
        times_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let steady = &mut times_ms[60.min(frames as usize - 1)..];
    steady.sort_by(f64::total_cmp);
    let (median, slow) = (steady[steady.len() / 2], steady[steady.len() * 19 / 20]);
    eprintln!("{}: median {median:.2} ms, p95 {slow:.2} ms", title.entry.id);
    let tick = FrameTick { frame: frames, now_us: u64::from(frames) * 16_667, input_serial: frames };
    let pixels = match source.draw(tick)?.picture {
        Picture::Cpu(picture) => picture.data.chunks_exact(4).flat_map(|p| [p[2], p[1], p[0]]).collect(),
        Picture::Gpu(texture) => support::read_back(&device, &queue, texture)?,
        Picture::Hdr10(_) => return Err("a cover is in standard range: take run.hdr out for it".into()),
    };
    let (width, height) = source.size();
    let image = image::RgbImage::from_raw(width, height, pixels).ok_or("the picture has gaps")?;
    let file = std::io::BufWriter::new(std::fs::File::create(out)?);
    image.write_with_encoder(PngEncoder::new_with_quality(
        file,
        CompressionType::Best,
        FilterType::Adaptive,
    ))?;
    Ok(())
}

fn play(source: &mut dyn TitleSource, frame: u32, from: u32) {
    if frame == from {
        let key = Key::from_code("Space").expect("Space is a known key");
        source.apply(Seat(0), &InputEvent::Key { key, down: true });
    }
    let sway = (f64::from(frame) * 0.031).sin();
    let x = (32_768.0 + sway * 14_000.0) as u16;
    source.apply(Seat(0), &InputEvent::Position { x, y: 52_000 });
}

//! A busy synthetic clip, and encoders for it.

#![allow(dead_code, reason = "each test binary uses its part of this")]

pub(crate) mod de265;
pub(crate) mod exported;
pub(crate) mod stand_in;

use nearframe_encode::{
    AccessUnit, Capabilities, EncodeError, FrameRequest, Invalidated, NvencEncoder, SliceSink, VideoBackend,
    VideoEncoder, VideoPreference, VideoSettings, open_video,
};
use nearframe_gpu::{Layout, Surface, SurfaceRing};
use stand_in::StandIn;
use std::time::Duration;

/// Detailed, moving pictures in I420 or NV12, the same for the same frame number: scrolling terrain, rings that
/// change everywhere at once, film grain, and blocks that move across all of it.
pub(crate) struct Clip {
    ring: SurfaceRing,
    width: usize,
    height: usize,
    terrain: Vec<u8>,
    wave: Vec<u8>,
}

const TERRAIN: usize = 512;
const WAVE: usize = 1024;

impl Clip {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self::of(Layout::I420, width, height)
    }

    pub(crate) fn of(layout: Layout, width: u32, height: u32) -> Self {
        let mut terrain = vec![0.0; TERRAIN * TERRAIN];
        for (cell, amplitude, seed) in [(64, 60.0, 1), (16, 40.0, 2), (4, 24.0, 3)] {
            let grid = |x: usize, y: usize| {
                let cells = TERRAIN / cell;
                f64::from(scramble((x % cells) as u32, (y % cells) as u32, seed) & 255) / 128.0 - 1.0
            };
            for (at, value) in terrain.iter_mut().enumerate() {
                let (x, y) = (at % TERRAIN, at / TERRAIN);
                let (fx, fy) = ((x % cell) as f64 / cell as f64, (y % cell) as f64 / cell as f64);
                let (cx, cy) = (x / cell, y / cell);
                let above = grid(cx, cy) * (1.0 - fx) + grid(cx + 1, cy) * fx;
                let below = grid(cx, cy + 1) * (1.0 - fx) + grid(cx + 1, cy + 1) * fx;
                *value += amplitude * (above * (1.0 - fy) + below * fy);
            }
        }
        let angle = |at: usize| at as f64 / WAVE as f64 * std::f64::consts::TAU;
        Self {
            ring: SurfaceRing::new(layout, width, height),
            width: width as usize,
            height: height as usize,
            terrain: terrain.iter().map(|v| (126.0 + v).clamp(16.0, 235.0) as u8).collect(),
            wave: (0..WAVE).map(|at| (126.0 + 70.0 * angle(at).sin()) as u8).collect(),
        }
    }

    pub(crate) fn draw(&self, frame: u32) -> Surface {
        let mut surface = self.ring.take().expect("tests hold fewer surfaces than the ring has");
        let (width, height, t) = (self.width, self.height, frame as usize);
        let layout = surface.layout();
        let (luma, chroma) = surface.planes_mut();
        for (y, row) in luma.chunks_mut(width).enumerate() {
            let band = y * 4 / height;
            for (x, sample) in row.iter_mut().enumerate() {
                *sample = if band == 1 {
                    let (dx, dy) = (x.abs_diff(width / 2), y.abs_diff(height / 3));
                    self.wave[((dx * dx + 2 * dy * dy) / 64 + 20 * t) % WAVE]
                } else {
                    self.terrain[y % TERRAIN * TERRAIN + (x + t * (2 + band)) % TERRAIN]
                };
                if band == 2 {
                    *sample += (scramble(x as u32, y as u32, frame) & 15) as u8;
                }
            }
        }
        for block in 0..8 {
            let bx = (block * 97 + t * (3 + block)) % (width - 48);
            let by = (block * 53 + t * (1 + block % 5)) % (height - 48);
            for y in by..by + 48 {
                luma[y * width + bx..y * width + bx + 48].fill((40 + block * 20) as u8);
            }
        }
        let interleaved = layout == Layout::Nv12;
        let half = chroma.len() / 2;
        for (at, sample) in chroma.iter_mut().enumerate() {
            let place = if interleaved { at / 2 + at % 2 * half } else { at };
            *sample = 100 + ((place / 40 + t) % 56) as u8;
        }
        surface.into()
    }
}

fn scramble(x: u32, y: u32, seed: u32) -> u32 {
    let mut h = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ seed.wrapping_mul(0xc2b2_ae3d);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2c1b_3c6d);
    h ^ h >> 13
}

pub(crate) fn open(backend: VideoBackend, settings: VideoSettings) -> Box<dyn VideoEncoder> {
    try_open(backend, settings).expect("it is built in")
}

/// NVENC is opened against a stand-in for its driver.
pub(crate) fn try_open(
    backend: VideoBackend,
    settings: VideoSettings,
) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    if backend != VideoBackend::Nvenc {
        return open_video(settings, VideoPreference::Only(backend));
    }
    let stand_in = StandIn::new();
    let encoder = Some(NvencEncoder::open(settings, &stand_in.options())?);
    Ok(Box::new(WithStandIn { encoder, stand_in }))
}

/// An encoder and the driver it runs on; takes pictures in I420 too, so that all backends are given the same.
struct WithStandIn {
    encoder: Option<NvencEncoder>,
    stand_in: StandIn,
}

impl WithStandIn {
    fn encoder(&mut self) -> &mut NvencEncoder {
        self.encoder.as_mut().expect("it is dropped last")
    }
}

impl Drop for WithStandIn {
    fn drop(&mut self) {
        self.encoder = None;
        if !std::thread::panicking() {
            self.stand_in.assert_clean("what an encoder did and left");
        }
    }
}

/// NV12 from I420; other layouts as they are.
fn interleaved(surface: &Surface) -> Option<Surface> {
    let from = surface.as_cpu().filter(|surface| surface.layout() == Layout::I420)?;
    let mut to = SurfaceRing::new(Layout::Nv12, from.width(), from.height()).take()?;
    let (luma, chroma) = to.planes_mut();
    luma.copy_from_slice(from.luma());
    let (cb, cr) = from.chroma().split_at(chroma.len() / 2);
    for ((pair, cb), cr) in chroma.chunks_exact_mut(2).zip(cb).zip(cr) {
        (pair[0], pair[1]) = (*cb, *cr);
    }
    Some(to.into())
}

impl VideoEncoder for WithStandIn {
    fn capabilities(&self) -> &Capabilities {
        self.encoder.as_ref().expect("it is dropped last").capabilities()
    }
    fn encode(
        &mut self,
        surface: &Surface,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit>, EncodeError> {
        let turned = interleaved(surface);
        self.encoder().encode(turned.as_ref().unwrap_or(surface), request)
    }
    fn set_bitrate(&mut self, bitrate_bps: u32) -> Result<(), EncodeError> {
        self.encoder().set_bitrate(bitrate_bps)
    }
    fn set_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError> {
        self.encoder().set_frame_rate(fps)
    }
    fn set_size(&mut self, width: u32, height: u32) -> Result<(), EncodeError> {
        self.encoder().set_size(width, height)
    }
    fn acknowledge(&mut self, frame: u32) -> Result<(), EncodeError> {
        self.encoder().acknowledge(frame)
    }
    fn invalidate(&mut self, newest_good: u32) -> Result<Invalidated, EncodeError> {
        self.encoder().invalidate(newest_good)
    }
    fn stream_slices(&mut self, sink: Option<SliceSink>) -> Result<(), EncodeError> {
        self.encoder().stream_slices(sink)
    }
}

pub(crate) fn request(frame: u32, fps: u32, keyframe: bool) -> FrameRequest {
    let at = Duration::from_secs_f64(f64::from(frame) / f64::from(fps));
    FrameRequest { frame, at, keyframe, budget_bytes: None }
}

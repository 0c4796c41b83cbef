//! How many sessions this machine can hold.
//!
//! One second of a moving picture is drawn, converted and encoded as a session would, as fast as possible. What
//! that costs in processor time says how many such sessions fit beside each other.

use anyhow::{Context, Result};
use nearframe_encode::{Codec, EncoderChain, FrameRequest, VideoEncoder, VideoOptions, VideoSettings};
use nearframe_gpu::Converter;
use nearframe_protocol::title::TitleManifest;
use nearframe_title::FrameTick;
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::Duration;
use tracing::warn;

/// The picture that is tried: what most titles have.
const TRIAL: &str =
    "id = \"trial\"\nname = \"Trial\"\nversion = \"1\"\n[run]\nkind = \"builtin\"\nbuiltin = \"testcard\"\n";
const FRAMES: u32 = 60;
/// Not counted: the first frames fill caches and are keyframes.
const WARM_UP_FRAMES: u32 = 10;
const BITRATE_BPS: u32 = 8_000_000;
/// Packets, encryption, sound and input of a session beside its picture: the share of the whole in the benches.
const BESIDE_THE_PICTURE: f64 = 1.35;
/// What titles themselves and the system may use.
const FOR_SESSIONS: f64 = 0.75;
/// Whatever is measured, no node offers more.
const MOST: u32 = 64;

/// Sessions at once, at least one.
pub(super) fn fitting_here(video: &VideoOptions) -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    match session_cost(video) {
        Ok(session_s_per_s) => fitting(processors, session_s_per_s),
        Err(error) => {
            warn!("capacity could not be measured, one session is offered: {error:#}");
            1
        }
    }
}

fn fitting(processors: usize, session_s_per_s: f64) -> u32 {
    let room = processors as f64 * FOR_SESSIONS / session_s_per_s.max(1e-3);
    (room as u32).clamp(1, MOST)
}

/// Processor seconds of one second of one session.
fn session_cost(video: &VideoOptions) -> Result<f64> {
    let manifest = TitleManifest::parse(TRIAL).context("the trial's manifest")?;
    let run = &manifest.run;
    let no_gpu = || Err(nearframe_title::TitleFailure("the trial needs no GPU".to_owned()));
    let mut title = nearframe_title::open(&manifest, Path::new("."), 1, None, &no_gpu)?;
    let settings = VideoSettings {
        codec: Codec::H264,
        width: run.width,
        height: run.height,
        fps: run.fps,
        bitrate_bps: BITRATE_BPS,
    };
    let mut encoder = EncoderChain::open(settings, video.clone())?;
    let mut converter = Converter::new(None, encoder.capabilities().layout, run.width, run.height)?;
    let interval = Duration::from_secs(1) / run.fps;
    let mut before = Duration::ZERO;
    for frame in 0..WARM_UP_FRAMES + FRAMES {
        if frame == WARM_UP_FRAMES {
            before = processor_time();
        }
        let at = interval * frame;
        let drawn = title.draw(FrameTick { frame, now_us: at.as_micros() as u64, input_serial: 0 })?;
        if let Some(surface) = converter.convert(&drawn.picture)? {
            encoder.encode(&surface, FrameRequest { frame, at, keyframe: frame == 0, budget_bytes: None })?;
        }
    }
    let cost = (processor_time() - before).as_secs_f64() / f64::from(FRAMES) * f64::from(run.fps);
    Ok(cost * BESIDE_THE_PICTURE)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_costs_something_and_what_fits_follows_from_it() {
        let cost = session_cost(&VideoOptions::default()).unwrap();
        assert!(cost > 0.005, "{cost} processor seconds a second");
        assert_eq!(fitting(2, 0.4), 3);
        assert_eq!(fitting(1, 5.0), 1, "one session is always offered");
        assert_eq!(fitting(1024, 0.001), MOST);
    }
}

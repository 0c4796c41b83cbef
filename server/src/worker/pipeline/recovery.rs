//! A GPU that was lost, replaced under a title that goes on.

use super::GpuSource;
use super::frames::Frames;
use nearframe_encode::Capabilities;
use nearframe_gpu::{Gpu, GpuError};
use nearframe_stream::Quality;
use nearframe_title::TitleSource;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// A driver that resets answers again within this time, or not in this session.
const WITHIN: Duration = Duration::from_secs(5);
/// Between attempts; a driver in reset refuses at once.
const PAUSE: Duration = Duration::from_millis(100);
/// A GPU that is lost this often within [`MEMORY`] is lost by what the title does with it.
const MOST_LOSSES: usize = 3;
const MEMORY: Duration = Duration::from_secs(60);

/// A session's GPU is gone and none takes its place: the session is to be placed on another machine.
#[derive(Debug, thiserror::Error)]
#[error("the GPU failed: {0}")]
pub(super) struct GpuGone(String);

/// When the GPU was lost lately.
#[derive(Debug, Default)]
pub(super) struct Losses(Vec<Instant>);

impl Losses {
    /// Counts a loss; whether it is worth going on after it.
    fn is_bearable(&mut self, now: Instant) -> bool {
        self.0.retain(|at| now.duration_since(*at) < MEMORY);
        self.0.push(now);
        self.0.len() <= MOST_LOSSES
    }
}

/// What is replaced.
pub(super) struct Parts<'a> {
    pub(super) title: &'a mut dyn TitleSource,
    pub(super) frames: &'a mut Frames,
    pub(super) encoder: &'a Capabilities,
    pub(super) quality: Quality,
}

/// Opens the GPU again and gives it to title and converter.
pub(super) fn replace(parts: Parts<'_>, source: &GpuSource, losses: &mut Losses) -> Result<(), GpuGone> {
    let Parts { title, frames, encoder, quality } = parts;
    let lost = frames.gpu().and_then(|gpu| gpu.failure());
    let why = lost.as_ref().map_or_else(|| "it answers no more".to_owned(), ToString::to_string);
    if matches!(lost, Some(GpuError::Full(_))) {
        return Err(GpuGone(why));
    }
    let start = Instant::now();
    if !losses.is_bearable(start) {
        return Err(GpuGone(format!("{why}; for the {}th time within a minute", losses.0.len())));
    }
    warn!(why, "the GPU was lost and is opened again");
    let gpu = reopened(source, start)?;
    title.replace_gpu(&gpu).map_err(|error| GpuGone(error.to_string()))?;
    let Quality { width, height, .. } = quality;
    *frames = Frames::new(Some(gpu), encoder, width, height).map_err(|error| GpuGone(error.to_string()))?;
    info!(took_ms = start.elapsed().as_millis() as u64, "the title goes on with a new GPU device");
    Ok(())
}

fn reopened(source: &GpuSource, start: Instant) -> Result<Arc<Gpu>, GpuGone> {
    loop {
        match source() {
            Ok(gpu) => return Ok(gpu),
            Err(error) if start.elapsed() + PAUSE >= WITHIN => return Err(GpuGone(error.to_string())),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_lost_again_and_again_is_given_up() {
        let mut losses = Losses::default();
        let start = Instant::now();
        assert!((0..3).all(|n| losses.is_bearable(start + Duration::from_secs(n))));
        assert!(!losses.is_bearable(start + Duration::from_secs(4)));
        assert!(losses.is_bearable(start + Duration::from_secs(90)), "what is long ago is forgiven");
    }
}

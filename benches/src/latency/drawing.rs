//! The testcard by itself: what its drawing costs, and pictures to check another drawing against.

use anyhow::{Context, Result, bail};
use nearframe_gpu::Picture;
use nearframe_protocol::title::TitleManifest;
use nearframe_title::{FrameTick, TitleSource};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"
id = "testcard"
name = "Testcard"
version = "1"
[run]
kind = "builtin"
builtin = "testcard"
"#;
const FRAME_TIME: Duration = Duration::from_nanos(16_666_667);
/// The seed in `driver/sender.js`.
const SEED: u64 = 1;
/// Steps at which the two drawings are compared: the first, some, and one past every period.
const CHECKED_STEPS: [u32; 4] = [0, 1, 77, 300];

fn open() -> Result<Box<dyn TitleSource>> {
    let manifest = TitleManifest::parse(MANIFEST).context("the testcard's manifest")?;
    let no_gpu = || Err(nearframe_title::TitleFailure("the testcard needs no GPU".to_owned()));
    nearframe_title::open(&manifest, Path::new("."), SEED, None, &no_gpu).context("opening the testcard")
}

/// Processor seconds per second of drawing at 60 frames a second with no session.
pub(super) fn cpu_share(length: Duration) -> Result<f64> {
    let mut card = open()?;
    let (started, cpu) = (Instant::now(), thread_time());
    let mut frame = 0;
    while started.elapsed() < length {
        let now_us = started.elapsed().as_micros() as u64;
        card.draw(FrameTick { frame, now_us, input_serial: 0 })?;
        frame += 1;
        std::thread::sleep((FRAME_TIME * frame).saturating_sub(started.elapsed()));
    }
    Ok((thread_time() - cpu).as_secs_f64() / started.elapsed().as_secs_f64())
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Writes `frame-N.bgra` for the steps that the peer's drawing is checked at.
pub(crate) fn write_cards(dir: &Path) -> Result<()> {
    let mut card = open()?;
    let last = CHECKED_STEPS.iter().copied().max().unwrap_or_default();
    for frame in 0..=last {
        let picture = card.draw(FrameTick { frame, now_us: 0, input_serial: 0 })?.picture;
        if !CHECKED_STEPS.contains(&frame) {
            continue;
        }
        let Picture::Cpu(picture) = picture else { bail!("the testcard is drawn by the CPU") };
        fs::write(dir.join(format!("frame-{frame}.bgra")), picture.data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_whole_pictures_that_move() {
        let dir = tempfile::tempdir().unwrap();
        write_cards(dir.path()).unwrap();
        let read = |step: u32| fs::read(dir.path().join(format!("frame-{step}.bgra"))).unwrap();
        assert_eq!(read(0).len(), 1280 * 720 * 4);
        assert_ne!(read(0), read(1));
    }

    #[test]
    fn drawing_uses_some_of_a_processor() {
        let share = cpu_share(Duration::from_millis(200)).unwrap();
        assert!(share > 0.0 && share <= 1.0, "{share}");
    }
}

//! What the compositor itself costs: laying out, copying the program's picture, and flattening it for conversion.
//!
//! `nearframe-probe stamp --moving` runs beside it as its only client, outside of any sandbox, and draws 60 new
//! pictures of 1280×720 a second. Waiting for the program does not count; time is what the compositor's own clock
//! says (`Timings::composed_us`) and what `Canvas::flatten` takes. `compositor_cpu_ms` is the processor time of the
//! compositor's thread for each frame, its part in the protocol included.

use crate::options::Options;
use crate::process;
use crate::quantile::quantile;
use crate::report::{Report, Spec, lower};
use anyhow::{Context, Result, bail};
use nearframe_compositor::canvas::Canvas;
use nearframe_compositor::{Compositor, Display, Frame, FrameRequest, KeyboardLayout, Settings};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const FPS: u32 = 60;
/// The thread's name, and the socket's in its folder.
const THREAD: &str = "compositor";
const SOCKET: &str = "wayland-0";
/// A program has drawn long before this.
const FIRST_PICTURE_TIME: Duration = Duration::from_secs(20);
/// Frames in which caches fill and the compositor learns how fast the program answers.
const WARM_UP_FRAMES: u32 = 60;
/// Beyond this nothing new is learned.
const LONGEST: Duration = Duration::from_secs(10);

const COST: Spec = lower("compositor_ms", "ms", Some(1.5));
const COST_P95: Spec = lower("compositor_p95_ms", "ms", None);
const FLATTEN: Spec = lower("compositor_flatten_ms", "ms", None);
const CPU: Spec = lower("compositor_cpu_ms", "ms", None);
const WAIT: Spec = lower("compositor_title_answer_ms", "ms", None);

/// Ends when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only where it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One frame that showed something new.
struct Cost {
    composed_ms: f64,
    flatten_ms: f64,
    waited_ms: f64,
}

/// Measures and adds the figures.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let settings = Settings {
        dir: dir.path().to_owned(),
        width: WIDTH,
        height: HEIGHT,
        fps: FPS,
        display: Display::Wayland,
        layout: KeyboardLayout::default(),
        dmabuf: None,
    };
    let (mut compositor, _events) = Compositor::start(settings).context("starting the compositor")?;
    let _program = program(&options.probe, dir.path())?;
    let mut clock = Clock(Instant::now());
    first_picture(&mut compositor, &mut clock)?;
    for _ in 0..WARM_UP_FRAMES {
        tick(&mut compositor, &mut clock)?;
    }
    let (costs, cpu_ms) = measure(&mut compositor, &mut clock, options.length().min(LONGEST))?;
    add(&costs, cpu_ms, report);
    Ok(())
}

fn program(probe: &Path, dir: &Path) -> Result<Program> {
    let child = Command::new(probe)
        .args(["stamp", "--moving"])
        .env("XDG_RUNTIME_DIR", dir)
        .env("WAYLAND_DISPLAY", SOCKET)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", probe.display()))?;
    Ok(Program(child))
}

/// When the last frame began.
struct Clock(Instant);

fn tick(compositor: &mut Compositor, clock: &mut Clock) -> Result<Frame> {
    clock.0 = (clock.0 + Duration::from_secs(1) / FPS).max(Instant::now());
    std::thread::sleep(clock.0.saturating_duration_since(Instant::now()));
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000;
    Ok(compositor.frame(FrameRequest { inputs: Vec::new(), now_us })?)
}

fn first_picture(compositor: &mut Compositor, clock: &mut Clock) -> Result<()> {
    let deadline = Instant::now() + FIRST_PICTURE_TIME;
    while tick(compositor, clock)?.layers.is_empty() {
        if Instant::now() > deadline {
            bail!("the probe showed nothing within {} s", FIRST_PICTURE_TIME.as_secs());
        }
    }
    Ok(())
}

/// The costs of all frames that were new, and the thread's processor time for each frame.
fn measure(compositor: &mut Compositor, clock: &mut Clock, length: Duration) -> Result<(Vec<Cost>, f64)> {
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    let mut costs = Vec::new();
    let (started, cpu) = (Instant::now(), thread_time()?);
    let mut frames = 0;
    while started.elapsed() < length {
        let frame = tick(compositor, clock)?;
        frames += 1;
        let flattening = Instant::now();
        canvas.flatten(&frame).context("the picture cannot be flattened")?;
        if frame.changed {
            costs.push(Cost {
                composed_ms: f64::from(frame.timings.composed_us) / 1000.0,
                flatten_ms: flattening.elapsed().as_secs_f64() * 1000.0,
                waited_ms: f64::from(frame.timings.waited_us) / 1000.0,
            });
        }
    }
    let cpu = thread_time()?.saturating_sub(cpu);
    Ok((costs, cpu.as_secs_f64() * 1000.0 / f64::from(frames.max(1))))
}

fn thread_time() -> Result<Duration> {
    let threads = process::threads(std::process::id())?;
    Ok(threads.into_iter().filter(|(name, _)| name == THREAD).map(|(_, cpu)| cpu).sum())
}

fn add(costs: &[Cost], cpu_ms: f64, report: &mut Report) {
    let why = "no frame showed anything new";
    let of = |value: fn(&Cost) -> f64| costs.iter().map(value).collect::<Vec<f64>>();
    let both = of(|cost| cost.composed_ms + cost.flatten_ms);
    report.add(COST, quantile(&both, 0.5), why);
    report.add(COST_P95, quantile(&both, 0.95), why);
    report.add(FLATTEN, quantile(&of(|cost| cost.flatten_ms), 0.5), why);
    report.add(WAIT, quantile(&of(|cost| cost.waited_ms), 0.5), why);
    report.add(CPU, Some(cpu_ms), why);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composing_and_flattening_count_and_waiting_does_not() {
        let cost = |composed_ms| Cost { composed_ms, flatten_ms: 0.25, waited_ms: 5.0 };
        let mut report = Report::new("compositor");
        add(&[cost(1.0), cost(3.0), cost(0.5)], 0.75, &mut report);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["compositor_ms"]["value"], 1.25);
        assert_eq!(json["figures"]["compositor_p95_ms"]["value"], 3.25);
        assert_eq!(json["figures"]["compositor_cpu_ms"]["value"], 0.75);
    }
}

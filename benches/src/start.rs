//! From a player's request to the first picture of Freedoom, warm and cold.
//!
//! *Request* is the moment that the page's `POST /v1/sessions` leaves the browser; loading the page itself is
//! measured by `latency` (`first_frame_ms`). *First picture* is the display callback of the first frame that is not
//! black all over: before a program has opened its window, its session shows black, and that does not count.
//!
//! *Warm*: a worker waits ready, and the node has played before. *Cold*: the first session of a node that has just
//! started, whose waiting worker is killed when the request leaves. Files that the system has cached stay cached.

use crate::driver::Driver;
use crate::options::Options;
use crate::process;
use crate::quantile::quantile;
use crate::report::{Report, Spec, lower};
use crate::system::System;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::ffi::OsStr;
use std::time::{Duration, Instant};

const WARM: Spec = lower("start_warm_ms", "ms", Some(1000.0));
const COLD: Spec = lower("start_cold_ms", "ms", Some(3000.0));
const WARM_WORST: Spec = lower("start_warm_worst_ms", "ms", None);
const COLD_WORST: Spec = lower("start_cold_worst_ms", "ms", None);
const WARM_FRAME: Spec = lower("start_warm_any_frame_ms", "ms", None);
const COLD_FRAME: Spec = lower("start_cold_any_frame_ms", "ms", None);

const TITLE: &str = "freedoom";
const PROGRAM: &str = "/usr/games/chocolate-doom";
/// Sessions at once: the one that plays, and one that is just ending. Named, so that a node does not measure its
/// capacity first.
const SLOTS: &str = "2";
/// A worker is ready long before this.
const SPARE_TIME: Duration = Duration::from_secs(20);

/// One start, in ms after the request.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Start {
    /// A frame was displayed, perhaps a black one.
    frame_ms: f64,
    /// A frame was displayed that is not black.
    picture_ms: f64,
}

/// What `start.mjs` says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// The page is about to request a session, and waits for `go`.
    Requesting,
    /// The title was seen.
    Started(Start),
}

/// Measures and adds the figures.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    if !std::path::Path::new(PROGRAM).is_file() {
        let why = format!("{PROGRAM} is not installed");
        [WARM, COLD, WARM_WORST, COLD_WORST, WARM_FRAME, COLD_FRAME]
            .into_iter()
            .for_each(|spec| report.skip(spec, &why));
        return Ok(());
    }
    let cold = (0..options.starts).map(|_| cold(options)).collect::<Result<Vec<_>>>();
    add(report, [COLD, COLD_WORST, COLD_FRAME], &cold.context("starting cold")?);
    let warm = warm(options).context("starting warm")?;
    add(report, [WARM, WARM_WORST, WARM_FRAME], &warm);
    Ok(())
}

fn add(report: &mut Report, [median, worst, frame]: [Spec; 3], starts: &[Start]) {
    let why = "the title was never seen";
    let pictures: Vec<f64> = starts.iter().map(|start| start.picture_ms).collect();
    let frames: Vec<f64> = starts.iter().map(|start| start.frame_ms).collect();
    report.add(median, quantile(&pictures, 0.5), why);
    report.add(worst, quantile(&pictures, 1.0), why);
    report.add(frame, quantile(&frames, 0.5), why);
}

/// The node has played once, which is not counted.
fn warm(options: &Options) -> Result<Vec<Start>> {
    let system = system(options)?;
    let mut starts = Vec::new();
    for turn in 0..=options.starts {
        let start = start(&system, |_| Ok(()))?;
        if turn > 0 {
            starts.push(start);
        }
    }
    system.stop()?;
    Ok(starts)
}

fn cold(options: &Options) -> Result<Start> {
    let system = system(options)?;
    let start = start(&system, |worker| {
        let pid = i32::try_from(worker).ok().and_then(Pid::from_raw).context("the worker has no process id")?;
        kill_process(pid, Signal::KILL).context("killing the worker that waits")
    })?;
    system.stop()?;
    Ok(start)
}

fn system(options: &Options) -> Result<System> {
    System::start(&options.nearframe, &[OsStr::new("--slots"), OsStr::new(SLOTS)])
}

/// Opens the page, does something to the worker that waits when the request leaves, and watches.
fn start(system: &System, at_request: impl Fn(u32) -> Result<()>) -> Result<Start> {
    let worker = ready_worker(system)?;
    let mut driver = Driver::start("start.mjs", &[system.base().to_owned(), TITLE.to_owned()])?;
    loop {
        match driver.next()? {
            Event::Requesting => {
                at_request(worker)?;
                driver.tell("go")?;
            }
            Event::Started(start) => {
                driver.finish()?;
                return Ok(start);
            }
        }
    }
}

/// The node's only worker, once it sleeps and waits for a session.
fn ready_worker(system: &System) -> Result<u32> {
    let deadline = Instant::now() + SPARE_TIME;
    let mut before = None;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(300));
        let [worker] = *system.workers()? else { continue };
        let now = Some((worker, process::cpu_time(worker)?));
        if now == before {
            return Ok(worker);
        }
        before = now;
    }
    bail!("no single worker waited for a session within {} s", SPARE_TIME.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_picture_has_the_goal() {
        let starts = [300.0, 900.0, 500.0].map(|ms| Start { frame_ms: ms - 100.0, picture_ms: ms });
        let mut report = Report::new("start");
        add(&mut report, [WARM, WARM_WORST, WARM_FRAME], &starts);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["start_warm_ms"]["value"], 500.0);
        assert_eq!(json["figures"]["start_warm_ms"]["goal"], 1000.0);
        assert_eq!(json["figures"]["start_warm_worst_ms"]["value"], 900.0);
        assert_eq!(json["figures"]["start_warm_any_frame_ms"]["value"], 400.0);
    }
}

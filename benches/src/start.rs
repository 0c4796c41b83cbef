//! From a player's request to the first picture of Freedoom, warm and cold.
//!
//! *Request* is the moment that the page's `POST /v1/sessions` leaves the browser; loading the page itself is
//! measured by `latency` (`first_frame_ms`). *First picture* is the display callback of the first frame that is not
//! one colour all over: before a program has opened its window, its session shows black, and that does not count.
//!
//! *Warm*: a worker waits ready, and the node has played before. *Prepared*: the title waits at its menu, frozen
//! (`--prepare`). *Cold*: the first session of a node that has just started, whose waiting worker is killed when the
//! request leaves. Files that the system has cached stay cached.

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
use std::path::Path;
use std::time::{Duration, Instant};

/// The figures of one kind of start: median and worst first picture, median first frame of any colour.
#[derive(Clone, Copy)]
struct Kind {
    median: Spec,
    worst: Spec,
    any_frame: Spec,
}

const COLD: Kind = Kind {
    median: lower("start_cold_ms", "ms", Some(3000.0)),
    worst: lower("start_cold_worst_ms", "ms", None),
    any_frame: lower("start_cold_any_frame_ms", "ms", None),
};
const WARM: Kind = Kind {
    median: lower("start_warm_ms", "ms", Some(1000.0)),
    worst: lower("start_warm_worst_ms", "ms", None),
    any_frame: lower("start_warm_any_frame_ms", "ms", None),
};
const PREPARED: Kind = Kind {
    median: lower("start_prepared_ms", "ms", None),
    worst: lower("start_prepared_worst_ms", "ms", None),
    any_frame: lower("start_prepared_any_frame_ms", "ms", None),
};

const TITLE: &str = "freedoom";
const PROGRAM: &str = "/usr/games/chocolate-doom";
/// Sessions at once: the one that plays, and one that is just ending. Named, so that a node does not measure its
/// capacity first.
const SLOTS: &str = "2";
/// A worker is ready long before this, and so is a title at its menu.
const READY_TIME: Duration = Duration::from_secs(60);
/// A worker that draws uses more processor time in between than the kernel's unit of it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    if !Path::new(PROGRAM).is_file() {
        let why = format!("{PROGRAM} is not installed");
        for Kind { median, worst, any_frame } in [COLD, WARM, PREPARED] {
            [median, worst, any_frame].into_iter().for_each(|spec| report.skip(spec, &why));
        }
        return Ok(());
    }
    let cold = (0..options.starts).map(|_| cold(options)).collect::<Result<Vec<_>>>();
    add(report, COLD, &cold.context("starting cold")?);
    add(report, WARM, &warm(options, 1, &[]).context("starting warm")?);
    let prepare = [OsStr::new("--prepare"), OsStr::new(TITLE)];
    add(report, PREPARED, &warm(options, 2, &prepare).context("starting prepared")?);
    Ok(())
}

fn add(report: &mut Report, kind: Kind, starts: &[Start]) {
    let why = "the title was never seen";
    let pictures: Vec<f64> = starts.iter().map(|start| start.picture_ms).collect();
    let frames: Vec<f64> = starts.iter().map(|start| start.frame_ms).collect();
    report.add(kind.median, quantile(&pictures, 0.5), why);
    report.add(kind.worst, quantile(&pictures, 1.0), why);
    report.add(kind.any_frame, quantile(&frames, 0.5), why);
}

/// On a node that keeps so many workers waiting, with more flags. It has played once, which is not counted.
fn warm(options: &Options, waiting: usize, flags: &[&OsStr]) -> Result<Vec<Start>> {
    let system = system(options, flags)?;
    let mut starts = Vec::new();
    for turn in 0..=options.starts {
        let start = start(&system, waiting, |_| Ok(()))?;
        if turn > 0 {
            starts.push(start);
        }
    }
    system.stop()?;
    Ok(starts)
}

fn cold(options: &Options) -> Result<Start> {
    let system = system(options, &[])?;
    let start = start(&system, 1, |workers| {
        for &worker in workers {
            let pid = i32::try_from(worker).ok().and_then(Pid::from_raw);
            let pid = pid.context("the worker has no process id")?;
            kill_process(pid, Signal::KILL).context("killing the worker that waits")?;
        }
        Ok(())
    })?;
    system.stop()?;
    Ok(start)
}

fn system(options: &Options, flags: &[&OsStr]) -> Result<System> {
    let flags = [&[OsStr::new("--slots"), OsStr::new(SLOTS)], flags].concat();
    System::start(&options.nearframe, &flags)
}

/// Opens the page, does something to the workers that wait when the request leaves, and watches.
fn start(system: &System, waiting: usize, at_request: impl Fn(&[u32]) -> Result<()>) -> Result<Start> {
    let workers = ready_workers(system, waiting)?;
    let mut driver = Driver::start("start.mjs", &[system.base().to_owned(), TITLE.to_owned()])?;
    loop {
        match driver.next()? {
            Event::Requesting => {
                at_request(&workers)?;
                driver.tell("go")?;
            }
            Event::Started(start) => {
                driver.finish()?;
                return Ok(start);
            }
        }
    }
}

/// The node's workers, once there are as many as are to wait and nothing moves: in all but one, a title is frozen.
fn ready_workers(system: &System, waiting: usize) -> Result<Vec<u32>> {
    let deadline = Instant::now() + READY_TIME;
    let mut before = Vec::new();
    while Instant::now() < deadline {
        std::thread::sleep(LOOK_EVERY);
        let workers = system.workers()?;
        let now = workers.iter().map(|&worker| stir(worker)).collect::<Result<Vec<_>>>()?;
        let frozen = now.iter().filter(|(has_title, _)| *has_title).count();
        if now.len() == waiting && frozen + 1 == waiting && now == before {
            return Ok(workers);
        }
        before = now;
    }
    bail!("{waiting} workers did not wait for sessions within {} s", READY_TIME.as_secs())
}

/// Whether a worker has a title, and the processor time that must stand still when it waits: the title's, or else its
/// own. Its sound goes on beside a frozen title.
fn stir(worker: u32) -> Result<(bool, Duration)> {
    let is_title = |pid: &u32| process::name(*pid).is_some_and(|name| name != process::SOUND_SERVER);
    let title: Vec<u32> = process::descendants(worker)?.into_iter().filter(is_title).collect();
    // One that ends now is missed at the next look.
    let time = |pid: u32| process::cpu_time(pid).unwrap_or_default();
    if title.is_empty() {
        return Ok((false, time(worker)));
    }
    Ok((true, title.into_iter().map(time).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_picture_has_the_goal() {
        let starts = [300.0, 900.0, 500.0].map(|ms| Start { frame_ms: ms - 100.0, picture_ms: ms });
        let mut report = Report::new("start");
        add(&mut report, WARM, &starts);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["start_warm_ms"]["value"], 500.0);
        assert_eq!(json["figures"]["start_warm_ms"]["goal"], 1000.0);
        assert_eq!(json["figures"]["start_warm_worst_ms"]["value"], 900.0);
        assert_eq!(json["figures"]["start_warm_any_frame_ms"]["value"], 400.0);
    }
}

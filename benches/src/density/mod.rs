//! How many Doom sessions at 35 frames a second this machine holds, and what each stage costs a frame.
//!
//! Sessions are added one by one. In each, Doom runs in its sandbox with sound, and turns on the spot for ever in a
//! level without monsters, so that every frame is new all over: more than most play costs. The last number at which
//! every session got at least 33 frames a second is `doom_sessions`; a number is given up when two measurements in a
//! row miss that.
//!
//! Each player is a page in one Chromium on the same machine that receives everything but decodes next to nothing
//! (`driver/light.js`). What these pages still take is in `doom_viewers_cpu_s_per_s`: without them the machine would
//! hold more, and a machine with players elsewhere is better judged by `doom_session_cpu_s_per_s`. What neither
//! sessions nor pages used is `doom_other_cpu_s_per_s`: where something else runs beside, the number says little.
//!
//! Costs are processor time as the kernel counts it, by process and thread ([`stages`]), at the last number that
//! held (at the first, where none did), for each frame delivered.

mod stages;

use crate::driver::Driver;
use crate::options::Options;
use crate::report::{Report, Spec, higher, lower};
use crate::system::System;
use crate::titles::{DOOM, Titles};
use anyhow::{Context, Result};
use serde::Deserialize;
use stages::{Costs, STAGES};
use std::ffi::OsStr;
use std::path::Path;

/// A session with fewer frames a second than this is one too many.
const ENOUGH_FPS: f64 = 33.0;
/// More than anything here could hold.
const MOST: u32 = 64;
/// Measurements in a row that must miss.
const TRIES: u32 = 2;
/// Seconds of one measurement at most.
const LONGEST_S: u64 = 10;

const NEEDED: [&str; 2] = ["/usr/games/chocolate-doom", "/usr/share/games/doom/freedoom1.wad"];

const SESSIONS: Spec = higher("doom_sessions", "", None);
const WORST_FPS: Spec = higher("doom_worst_fps", "1/s", None);
const NEXT_FPS: Spec = higher("doom_worst_fps_with_one_more", "1/s", None);
const SESSION_CPU: Spec = lower("doom_session_cpu_s_per_s", "s/s", None);
const NODE_CPU: Spec = lower("doom_node_cpu_s_per_s", "s/s", None);
const VIEWERS_CPU: Spec = lower("doom_viewers_cpu_s_per_s", "s/s", None);
const OTHERS_CPU: Spec = lower("doom_other_cpu_s_per_s", "s/s", None);

/// What `density.mjs` says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// One more session plays.
    Added,
    /// Frames of each session.
    Measured { frames: Vec<f64>, length_s: f64 },
}

/// One measurement of a number of sessions.
#[derive(Clone, Debug)]
struct Step {
    sessions: u32,
    /// Of the session that got least.
    worst_fps: f64,
    frames: f64,
    length_s: f64,
    costs: Costs,
}

impl Step {
    fn holds(&self) -> bool {
        self.worst_fps >= ENOUGH_FPS
    }
}

/// Measures and adds the figures.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    if let Some(missing) = NEEDED.iter().find(|path| !Path::new(path).is_file()) {
        let why = format!("{missing} is not installed");
        specs().into_iter().for_each(|spec| report.skip(spec, &why));
        return Ok(());
    }
    let titles = Titles::with_doom()?;
    let slots = MOST.to_string();
    let flags = [OsStr::new("--titles"), titles.dir().as_os_str(), OsStr::new("--slots"), OsStr::new(&slots)];
    let system = System::start(&options.nearframe, &flags)?;
    let mut driver = Driver::start("density.mjs", &[system.base().to_owned(), DOOM.to_owned()])?;
    let mut steps = Vec::<Step>::new();
    while steps.last().is_none_or(Step::holds) && steps.len() < MOST as usize {
        let sessions = steps.len() as u32 + 1;
        let step = one_more(&system, &mut driver, sessions, options.seconds.min(LONGEST_S));
        steps.push(step.with_context(|| format!("playing {sessions} sessions"))?);
    }
    driver.finish()?;
    system.stop()?;
    add(&steps, report);
    Ok(())
}

fn specs() -> Vec<Spec> {
    let totals = [SESSIONS, WORST_FPS, NEXT_FPS, SESSION_CPU, NODE_CPU, VIEWERS_CPU, OTHERS_CPU];
    totals.into_iter().chain(STAGES.map(|(_, spec)| spec)).collect()
}

/// Adds a session and measures all of them.
fn one_more(system: &System, driver: &mut Driver, sessions: u32, seconds: u64) -> Result<Step> {
    driver.tell("add")?;
    let Event::Added = driver.next()? else { anyhow::bail!("the driver added nothing") };
    let mut step = measure(system, driver, sessions, seconds)?;
    for _ in 1..TRIES {
        if !step.holds() {
            step = measure(system, driver, sessions, seconds)?;
        }
    }
    Ok(step)
}

fn measure(system: &System, driver: &mut Driver, sessions: u32, seconds: u64) -> Result<Step> {
    let before = Costs::now(system, driver.pid())?;
    driver.tell(&format!("measure {seconds}"))?;
    let Event::Measured { frames, length_s } = driver.next()? else {
        anyhow::bail!("the driver measured nothing");
    };
    let costs = Costs::now(system, driver.pid())?.since(&before);
    let worst_fps = frames.iter().copied().fold(f64::INFINITY, f64::min) / length_s;
    Ok(Step { sessions, worst_fps, frames: frames.iter().sum(), length_s, costs })
}

fn add(steps: &[Step], report: &mut Report) {
    let held = steps.iter().rfind(|step| step.holds());
    report.add(SESSIONS, Some(held.map_or(0.0, |step| f64::from(step.sessions))), "");
    let next = steps.last().filter(|step| !step.holds()).map(|step| step.worst_fps);
    report.add(NEXT_FPS, next, "the machine held all that a node may offer");
    report.add(WORST_FPS, held.map(|step| step.worst_fps), "not even one session got enough frames");
    let Some(step) = held.or(steps.first()) else { return };
    let seconds_each = |seconds: f64| seconds / step.length_s;
    let node = step.costs.node_s();
    report.add(NODE_CPU, Some(seconds_each(node)), "");
    report.add(SESSION_CPU, Some(seconds_each(node) / f64::from(step.sessions)), "");
    report.add(VIEWERS_CPU, Some(seconds_each(step.costs.viewers_s)), "");
    report.add(OTHERS_CPU, Some(seconds_each(step.costs.others_s())), "");
    for (stage, spec) in STAGES {
        let each_ms = step.costs.of_s(stage) * 1000.0 / step.frames;
        report.add(spec, Some(each_ms), "no frame was delivered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sessions: u32, worst_fps: f64) -> Step {
        Step { sessions, worst_fps, frames: 350.0, length_s: 10.0, costs: Costs::default() }
    }

    #[test]
    fn the_last_number_that_held_counts() {
        let mut report = Report::new("density");
        add(&[step(1, 35.0), step(2, 34.1), step(3, 21.0)], &mut report);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["doom_sessions"]["value"], 2.0);
        assert_eq!(json["figures"]["doom_worst_fps"]["value"], 34.1);
        assert_eq!(json["figures"]["doom_worst_fps_with_one_more"]["value"], 21.0);
    }

    #[test]
    fn a_machine_that_holds_none_still_tells_what_one_costs() {
        let mut report = Report::new("density");
        let mut costs = Costs::default();
        costs.viewers_s = 5.0;
        add(&[Step { costs, ..step(1, 12.0) }], &mut report);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["doom_sessions"]["value"], 0.0);
        assert_eq!(json["figures"]["doom_viewers_cpu_s_per_s"]["value"], 0.5);
        assert!(json["skipped"]["doom_worst_fps"].is_string());
    }
}

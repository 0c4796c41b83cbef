//! The whole system: from drawing a frame to the display callback of a real browser, and back.
//!
//! Ours and Chromium's own sender are received by the same page code (`driver/receiver.js`), one after
//! the other in the same run; their ratio is what counts, because machines differ. [`app`] measures a program
//! under the compositor against the built-in testcard in the same way.

pub(crate) mod app;

pub(crate) mod analysis;
pub(crate) mod drawing;
pub(crate) mod samples;

mod figures;
mod stages;

use crate::driver::Driver;
use crate::options::Options;
use crate::process::{Cost, Meter};
use crate::report::Report;
use crate::system::System;
use analysis::Samples;
use anyhow::{Context, Result};
use samples::{Done, Event, Own};
use stages::{CpuShares, Stages};

/// What our sender may use at most, and Chromium's as well: `max_bitrate_bps` of a node by default.
const BITRATE_CAP_BPS: u32 = 10_000_000;
/// The built-in title with the stamp.
const TESTCARD: &str = "testcard";

/// Everything measured in one run.
struct Measured {
    ours: Samples,
    stages: Stages,
    cpu: CpuShares,
    own: Own,
    first_frames_ms: Vec<f64>,
    cost: Cost,
    drawing_s_per_s: f64,
    peer: Result<Samples>,
}

/// Measures and adds the figures.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let system = System::start(&options.nearframe, &[])?;
    let played = play(&system, TESTCARD, options.seconds, options.starts);
    let (done, cost, cpu) = played.context("playing through nearframe")?;
    system.stop()?;
    let drawing_s_per_s = drawing::cpu_share(options.length())?;
    let peer = peer(options).context("playing through Chromium's own sender");
    let own = done.own.clone().context("the page said nothing of itself")?;
    let first_frames_ms = done.first_frames_ms.clone();
    let stages = Stages::of(&done);
    let ours = Samples::from(done);
    let measured = Measured { ours, stages, cpu, own, first_frames_ms, cost, drawing_s_per_s, peer };
    figures::add(&measured, report);
    Ok(())
}

/// Our own page and programs; the worker's cost is taken while the page is measured.
fn play(system: &System, title: &str, seconds: u64, starts: u32) -> Result<(Done, Cost, CpuShares)> {
    let args = [system.base().to_owned(), seconds.to_string(), starts.to_string(), title.to_owned()];
    let mut driver = Driver::start("play.mjs", &args)?;
    let mut meters = None;
    let mut costs = None;
    let done = loop {
        match driver.next()? {
            Event::Measuring => {
                let worker = system.busiest_worker()?;
                meters = Some((Meter::start(worker)?, stages::CpuMeter::start(worker)?));
            }
            Event::Measured => {
                let (whole, threads) = meters.take().context("the driver measured backwards")?;
                costs = Some((whole.finish()?, threads.finish()?));
            }
            Event::Done(done) => break *done,
        }
    };
    driver.finish()?;
    let (cost, cpu) = costs.context("the driver never measured")?;
    Ok((done, cost, cpu))
}

/// Chromium's own sender.
fn peer(options: &Options) -> Result<Samples> {
    let cards = tempfile::tempdir()?;
    drawing::write_cards(cards.path())?;
    let dir = cards.path().to_str().context("the temporary folder's name is no text")?;
    let args = [dir.to_owned(), options.seconds.to_string(), BITRATE_CAP_BPS.to_string()];
    let mut driver = Driver::start("peer.mjs", &args)?;
    loop {
        if let Event::Done(done) = driver.next()? {
            driver.finish()?;
            return Ok(Samples::from(*done));
        }
    }
}

//! The whole system: from drawing a frame to the display callback of a real browser, and back.
//!
//! Ours and Chromium's own sender are received by the same page code (`driver/receiver.js`), one after
//! the other in the same run; their ratio is what counts, because machines differ.

mod analysis;
mod drawing;
mod driver;
mod figures;
mod process;
mod system;

use crate::report::Report;
use analysis::Samples;
use anyhow::{Context, Result, bail};
use driver::{Driver, Event};
use process::Cost;
use std::path::PathBuf;
use std::time::Duration;
use system::System;

/// What our sender may use at most, and Chromium's as well: `max_bitrate_bps` of a node by default.
const BITRATE_CAP_BPS: u32 = 10_000_000;

/// How to measure.
pub(crate) struct Options {
    nearframe: PathBuf,
    seconds: u64,
    starts: u32,
}

impl Options {
    /// Looks for the program beside this one unless it is named.
    pub(crate) fn new(nearframe: Option<PathBuf>, seconds: u64, starts: u32) -> Result<Self> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("nearframe"));
        let nearframe = nearframe.map_or_else(beside, Ok)?;
        if !nearframe.is_file() {
            bail!(
                "{} does not exist: build it first, or name one with --nearframe FILE",
                nearframe.display()
            );
        }
        Ok(Self { nearframe, seconds, starts })
    }
}

/// Everything measured in one run.
struct Measured {
    ours: Samples,
    own: driver::Own,
    first_frames_ms: Vec<f64>,
    cost: Cost,
    drawing_s_per_s: f64,
    peer: Result<Samples>,
}

/// Measures and adds the figures.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<()> {
    let (done, cost) = play(options).context("playing through nearframe")?;
    let drawing_s_per_s = drawing::cpu_share(Duration::from_secs(options.seconds))?;
    let peer = peer(options).context("playing through Chromium's own sender");
    let own = done.own.clone().context("the page said nothing of itself")?;
    let first_frames_ms = done.first_frames_ms.clone();
    let ours = Samples::from(done);
    figures::add(&Measured { ours, own, first_frames_ms, cost, drawing_s_per_s, peer }, report);
    Ok(())
}

/// Our own page and programs; the worker's cost is taken while the page is measured.
fn play(options: &Options) -> Result<(driver::Done, Cost)> {
    let system = System::start(&options.nearframe)?;
    let args = [system.base().to_owned(), options.seconds.to_string(), options.starts.to_string()];
    let mut driver = Driver::start("play.mjs", &args)?;
    let mut meter = None;
    let mut cost = None;
    let done = loop {
        match driver.next()? {
            Event::Measuring => meter = Some(process::Meter::start(system.busiest_worker()?)?),
            Event::Measured => cost = meter.take().map(process::Meter::finish).transpose()?,
            Event::Done(done) => break *done,
        }
    };
    driver.finish()?;
    system.stop()?;
    Ok((done, cost.context("the driver never measured")?))
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

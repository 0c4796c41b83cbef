//! One run: a path, a sender at its server's end, a browser at its client's end.

use super::measure::{self, Raw};
use super::record::{Noise, Played, Sender};
use super::scenario::{Kind, Scenario};
use crate::driver::Driver;
use crate::latency::samples::Done;
use crate::system::System;
use anyhow::{Context, Result};
use nearframe_link::emulator::{Direction, Emulator, EmulatorSpec, End};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Of nearframe's door at its end of the path.
const DOOR_PORT: u16 = 8443;

/// What `link.mjs` says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// The first frame is there; it waits for the path to become what it is to be.
    Showing,
    /// Samples count from now on; it waits for time zero.
    Measuring,
    /// All samples.
    Done(Box<Done>),
}

/// Sets everything up, measures, and takes everything down.
pub(super) fn play(
    scenario: &Scenario,
    sender: Sender,
    seed: u32,
    nearframe: &Path,
    cards: &Path,
) -> Result<Played> {
    let load_before = load()?;
    let [down, up] = scenario.wide();
    let mut emulator = Emulator::start(&EmulatorSpec { down, up, seed: u64::from(seed) })?;
    let browsers = Browsers::new(&emulator)?;
    let ceiling = scenario.ceiling_bps.to_string();
    let (system, source) = match sender {
        Sender::Nearframe => {
            let door = format!("{}:{DOOR_PORT}", emulator.server_address());
            let command = emulator.command_in(End::Server, nearframe);
            let system = System::start_by(command, &door, &["--max-bitrate-bps", &ceiling].map(OsStr::new))?;
            let base = system.base().to_owned();
            (Some(system), base)
        }
        Sender::Chromium => (None, text(cards)?),
    };
    let (server, client) = (browsers.at("server")?, browsers.at("client")?);
    let args = [sender.to_string(), source, scenario.seconds.to_string(), ceiling, server, client];
    let mut driver = Driver::start("link.mjs", &args)?;
    let measured = watch(scenario, seed, &mut emulator, &mut driver)?;
    driver.finish()?;
    if let Some(system) = system {
        system.stop()?;
    }
    let (metrics, bins) = measure::measure(scenario, measured.raw);
    let noise = Noise { load_before, load_after: load()?, ..measured.noise };
    Ok(Played { metrics, noise, bins })
}

struct Measured {
    raw: Raw,
    noise: Noise,
}

/// Turns the path into what it is to be when the driver says so, until it is done.
fn watch(scenario: &Scenario, seed: u32, emulator: &mut Emulator, driver: &mut Driver) -> Result<Measured> {
    let (mut origin_ms, mut flow) = (0.0, None);
    let length = Duration::from_secs(scenario.seconds);
    let done = loop {
        match driver.next()? {
            Event::Showing => {
                let [down, up] = scenario.settled(seed);
                emulator.restart(down, up)?;
                driver.tell("go")?;
            }
            Event::Measuring => {
                let [down, up] = scenario.path(seed);
                emulator.restart(down, up)?;
                origin_ms = monotonic_ms();
                if scenario.tcp {
                    flow = Some(emulator.start_bulk_flow(Duration::ZERO, length)?);
                }
                driver.tell("go")?;
                if let Kind::AddressChange { at } = scenario.kind {
                    thread::sleep(at.saturating_sub(emulator.elapsed()));
                    emulator.change_address()?;
                }
            }
            Event::Done(done) => break *done,
        }
    };
    drop(flow);
    let stats = emulator.take_stats(Direction::Down);
    let relay = emulator.relay_stats();
    let late_ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let noise = Noise {
        realtime: relay.realtime,
        relay_late_p99_ms: relay.lateness.quantile(0.99).map(late_ms).unwrap_or_default(),
        relay_late_max_ms: late_ms(relay.lateness.max()),
        ..Noise::default()
    };
    let bins = (length.as_millis() / measure::BIN.as_millis()) as u32;
    let capacity_bytes = (0..bins)
        .map(|bin| emulator.capacity_bytes(Direction::Down, measure::BIN * bin, measure::BIN * (bin + 1)))
        .collect();
    Ok(Measured { raw: Raw { done, log: stats.log, origin_ms, capacity_bytes }, noise })
}

/// Programs that start Chromium at either end, for drivers that can only name a program.
struct Browsers(TempDir);

impl Browsers {
    fn new(emulator: &Emulator) -> Result<Self> {
        let browsers = Self(tempfile::tempdir()?);
        for (name, end) in [("server", End::Server), ("client", End::Client)] {
            let net = emulator.namespace_path(end);
            let program = browsers.0.path().join(name);
            let script = format!(
                "#!/bin/sh\nexec nsenter --net={} \"${{CHROMIUM:-/usr/bin/chromium}}\" \"$@\"\n",
                net.display()
            );
            fs::write(&program, script)?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
        }
        Ok(browsers)
    }

    fn at(&self, name: &str) -> Result<String> {
        text(&self.0.path().join(name))
    }
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("the temporary folder's name is no text")?.to_owned())
}

fn monotonic_ms() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1e6
}

/// Mean of runnable programs over the last minute (proc_loadavg(5)).
fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("reading the machine's load")?;
    text.split(' ').next().and_then(|load| load.parse().ok()).context("/proc/loadavg begins with no number")
}
